"""Faxroom: a fax room for every company on a shared phone system."""
