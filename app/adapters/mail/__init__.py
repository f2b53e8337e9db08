"""Emails in and out, and PGP."""
