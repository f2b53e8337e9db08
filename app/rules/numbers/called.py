"""Which number a call from outside is for, of all that the network says of it.

Most networks write the called number into the request's address. Some write an account's name or the address that we
have registered there, the same for all calls; then the number stands in a header (RFC 3261 To, RFC 7315
P-Called-Party-ID, RFC 7044 History-Info, RFC 5806 Diversion).
"""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

#: What may name the called number, in the order in which it is asked unless the operator has set another. Asterisk
#: tells them in this order, ``|`` between them (asterisk/extensions.conf, faxroom-in).
SIGNS = ("uri", "p-called-party-id", "to", "history-info", "diversion")
#: What stands behind them, where Asterisk tells it: the trunk that the call came over.
_TRUNK = re.compile(r"[a-z0-9-]{1,20}")
#: Signs of a number that is written for people (RFC 3966, visual separators; blanks besides).
_SEPARATORS = re.compile(r"[-.() ]")
_NUMBER = re.compile(r"\+?[0-9]{1,20}")
#: Only what is there to its end: a long header is cut off by Asterisk, and half a number is somebody else's. Without an
#: @ it is SIP's name of a host, even if that is an address of digits.
_USER = re.compile(r"sips?:([^@;>?]*)(?:;[^@>?]*)?@|tel:([^@;>?]*)[;>?]", re.IGNORECASE)


def is_from_outside(called: str) -> bool:
    """Told by Asterisk with all its signs. What comes over the own loop, and what former versions kept, is a plain
    number or an extension."""
    return "|" in called


def trunk_in(called: str) -> str:
    """The name of the trunk that the call came over; empty where none is told.

    >>> trunk_in("+390509655637|||||backup")
    'backup'
    """
    name = "".join(called.split("|")[len(SIGNS) :])
    return name if _TRUNK.fullmatch(name) else ""


def written_numbers(called: str, order: Sequence[str] = SIGNS) -> Iterator[str]:
    """What may be the called number: plain digits, perhaps behind a +, as the network wrote them, the likeliest
    first. ``called`` is as Asterisk told it.

    >>> list(written_numbers("+39-050-9655637;npdi|"))
    ['+390509655637']
    >>> list(written_numbers("account77||<sip:0509655637@carrier.example>"))
    ['0509655637']
    """
    if not is_from_outside(called):
        order, called = SIGNS[:1], f"{called}|"
    said = dict(zip(SIGNS, called.split("|"), strict=False))
    for name in order:
        if number := plain_number(user_of(name, said.get(name, ""))):
            yield number


def user_of(sign: str, text: str) -> str:
    """Whom a sign names, without parameters."""
    if sign != "uri":
        found = _USER.search(text)
        text = found[1] or found[2] or "" if found else ""
    return unquote(text).partition(";")[0].strip()


def plain_number(text: str) -> str | None:
    """Without the separators; None if it is a name."""
    plain = _SEPARATORS.sub("", text)
    return plain if _NUMBER.fullmatch(plain) else None


def shown_called(called: str) -> str:
    """The likeliest number of a call, or the name that was called instead, on one line; for people, logs and rows."""
    name = user_of("uri", called.partition("|")[0])
    return next(written_numbers(called), None) or "".join(filter(str.isprintable, name))
