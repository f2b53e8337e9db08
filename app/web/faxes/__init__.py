"""Sending, the fax log, one fax, its pages, the inbox."""
