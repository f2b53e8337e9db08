"""Which browser a session is in, as its owner would call it."""

import re

from flask_babel import gettext as _

#: The first that is found in the user agent counts: most name others too.
BROWSERS = (
    ("Edge", "Edg"),
    ("Opera", "OPR"),
    ("Samsung Internet", "SamsungBrowser"),
    ("Firefox", "Firefox|FxiOS"),
    ("Chrome", "Chrome|CriOS|Chromium"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac", "Mac OS X"),
    ("Linux", "Linux|X11"),
)


def browser_name(user_agent: str | None) -> str:
    """``Firefox, Windows``; a user agent says what it likes, so only names of ours come out of it."""
    found = (_first(BROWSERS, user_agent or ""), _first(SYSTEMS, user_agent or ""))
    return ", ".join(filter(None, found)) or _("Unknown browser")


def _first(names: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for name, pattern in names if re.search(pattern, text)), None)
