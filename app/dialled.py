"""What is dialled: the one grammar of it, for rules and for the last door before Asterisk. ``/ @ & , ;`` in a dial
string would reach another trunk or another file. Standard library only.
"""

import re
from typing import NamedTuple

#: A public number, E.164 with +.
_PUBLIC = r"\+[1-9][0-9]{3,14}"
#: ``<tenant>*<extension>`` for a line without one, which only the own loop carries; with a code for a self-test.
_INTERNAL = r"([0-9]{1,10})\*([0-9]{1,16})(?:\*([0-9]{9}))?"
CODE_DIGITS = 9
DIAL_STRING = re.compile(rf"{_PUBLIC}|{_INTERNAL}", re.ASCII)
#: Names the endpoints of a trunk in Asterisk (``asterisk/pjsip.conf``).
TRUNK_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
#: A public number as a trunk writes it, with a national or an international prefix where it wants one.
WIRE_NUMBER = re.compile(r"\+?[0-9]{3,20}", re.ASCII)
#: Where calls of a shared line go that are no fax: an extension of the telephone system, or a number.
VOICE_DESTINATION = re.compile(r"\+?[0-9]{1,20}")


def t38_of(trunk: str) -> str:
    """What Asterisk calls a trunk's way for T.38: by this name it knows the carrier, and by it with a bracket before it
    we call."""
    return f"{trunk}-t38"


class Internal(NamedTuple):
    """A line by its company and extension. ``code`` is that of a self-test, or empty."""

    tenant_id: int
    extension: str
    code: str = ""

    def __str__(self) -> str:
        return "*".join((str(self.tenant_id), self.extension, *filter(None, (self.code,))))


def read_internal(text: str) -> Internal | None:
    """None if it names no line of the own loop."""
    found = re.fullmatch(_INTERNAL, text)
    return Internal(int(found[1]), found[2], found[3] or "") if found else None
