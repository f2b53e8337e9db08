"""Forms that must act once however often they are sent."""

import secrets


def fresh_key() -> str:
    """For a form that must act once however often it is sent."""
    return secrets.token_urlsafe(18)
