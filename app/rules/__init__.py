"""The rules of a fax's life. No I/O to the outside: the database is all that they touch."""
