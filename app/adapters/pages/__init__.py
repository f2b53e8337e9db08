"""A page drawn, and turned into the dots of a fax."""
