"""Accounts and the people who have them."""
