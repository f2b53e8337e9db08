"""Encrypted columns, as the tables above the floor use them."""

from tenants.sealed import SealedText, sealing_key

__all__ = ["SealedText", "sealing_key"]
