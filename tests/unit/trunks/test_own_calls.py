"""Calls to extensions lead from this Asterisk back to it."""

import re
from pathlib import Path

CONFIGURATION = Path(__file__).parents[3] / "asterisk/pjsip.conf"


def test_who_learned_the_secret_of_own_calls_reaches_no_extension_from_elsewhere() -> None:
    """Of the rules that fit the last one counts (main/acl.c, ast_apply_acl), and each is of one family of addresses."""
    section = CONFIGURATION.read_text().partition("[(own](trunk)\n")[2].partition("\n[")[0]
    assert re.findall(r"^(deny|permit) = (.+)$", section, re.MULTILINE) == [
        ("deny", "0.0.0.0/0.0.0.0"),
        ("deny", "::/0"),
        ("permit", "127.0.0.1/255.255.255.255"),
    ]
