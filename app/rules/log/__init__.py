"""The fax log: its list, its search, its rows for downloads."""
