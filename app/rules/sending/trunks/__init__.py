"""Trunks to carriers and telephone systems: what Asterisk is told of them, how they write numbers, when one is set
aside."""
