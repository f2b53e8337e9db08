"""Copies for places outside, and how long files are kept."""
