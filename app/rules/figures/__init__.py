"""Figures by day, and the alerts when something goes wrong."""
