"""Boxes, what came of their emails, and the tester."""
