"""Figures and alerts."""
