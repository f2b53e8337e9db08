"""Hears Asterisk, imports what came in, ends silent calls."""
