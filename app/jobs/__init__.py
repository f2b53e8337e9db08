"""What RQ runs. Thin: fetch the row, call the rule, call the adapter, commit. Any job may be run twice.

No database transaction is open while an adapter works: SQLite has one write lock for all.
"""
