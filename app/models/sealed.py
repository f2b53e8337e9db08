"""Encrypted columns, as the tables above the floor use them."""

from tenants.sealed import SealedText, SealingKeys, sealing_key

__all__ = ["SealedText", "SealingKeys", "sealing_key"]
