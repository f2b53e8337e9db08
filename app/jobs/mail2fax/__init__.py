"""Collects the boxes and enters what they bring."""
