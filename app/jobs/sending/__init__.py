"""Prepares, draws, dials, records."""
