"""A SIP message that is passed on: read, changed in a few places, and written again (RFC 3261, 7 and 25).

What nobody changes stays as it came, sign by sign, names of headers and their order too.
"""

import re
from dataclasses import dataclass, replace
from typing import Self

from app.adapters.telephony.sip import LONG_NAMES, LONGEST_PART
from app.whole_numbers import read_whole

VERSION = "SIP/2.0"
_FIRST = re.compile(rf"{VERSION} [1-6][0-9]{{2}}( .*)?|[A-Z]+ \S+ {VERSION}")
_UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FOLDED = re.compile(r"\r?\n[ \t]+")
_SEQUENCE = re.compile(r"([0-9]{1,10})[ \t]+([A-Z]{1,16})")
_TAG = re.compile(r";[ \t]*tag[ \t]*=[ \t]*([^\s;,>]+)", re.IGNORECASE)
_VIA = re.compile(
    r"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*UDP[ \t]+(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:;,]+)"
    r"(?:[ \t]*:[ \t]*(?P<port>[0-9]{1,5}))?[ \t]*(?P<parameters>;.*)?",
    re.IGNORECASE,
)
_URI = re.compile(
    r"sip:(?:[^@>\s]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:;?>@]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE
)
_USUAL_PORT = 5060
#: Whoever reads another one of two knows another call (RFC 3261, 7.3.1).
_ONCE = ("From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length")
_LENGTH = re.compile(r"[0-9]{1,5}")
#: Of the head, and of ways that it came by (RFC 3261, 8.1.1.6): what strangers send must cost little.
MOST_LINES, MOST_WAYS = 120, 70


class NoMessage(ValueError):
    """What came is no SIP that can be passed on."""


@dataclass(frozen=True)
class Via:
    """One hop by UDP (RFC 3261, 18.2; RFC 3581)."""

    text: str

    def parameter(self, name: str) -> str | None:
        """Empty where it stands without a value, None where it does not."""
        found = re.search(_parameter(name), self.text, re.IGNORECASE)
        return (found[1] or "") if found else None

    @property
    def sender(self) -> tuple[str, int]:
        """As it calls itself."""
        found = _VIA.fullmatch(self.text.strip())
        if found is None:
            raise NoMessage(self.text)
        return found["host"].strip("[]"), _port(found["port"])

    @property
    def target(self) -> tuple[str, int]:
        """Where an answer goes."""
        host, port = self.sender
        rport = self.parameter("rport") or ""
        return self.parameter("received") or host, _port(rport) if rport else port

    def seen_from(self, where: tuple[str, int]) -> Self:
        """With the address that it came from. Always, so that an answer finds its way back through NAT."""
        text = re.sub(_parameter("(?:received|rport)"), "", self.text, flags=re.IGNORECASE)
        return replace(self, text=f"{text.strip()};received={where[0]};rport={where[1]}")


@dataclass(frozen=True)
class Passed:
    """``headers`` are names as they were written, and values."""

    first: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """
        Raises:
            NoMessage: it is none, or lacks what every message has (RFC 3261, 8.1.1).
        """
        head, blank, body = raw.partition(b"\r\n\r\n")
        if len(head) > LONGEST_PART or len(body) > LONGEST_PART:
            raise NoMessage("too long")
        first, *lines = _FOLDED.sub(" ", head.decode("latin-1")).replace("\r\n", "\n").split("\n")
        if len(lines) > MOST_LINES:
            raise NoMessage("too many lines")
        if any(_UNSEEN.search(line) for line in (first, *lines)):
            raise NoMessage("signs that others may read as the end of a line")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name.strip():
                raise NoMessage(line)
            headers.append((name.strip(), value.strip()))
        message = cls(first, tuple(headers), body)
        if not blank or not _FIRST.fullmatch(first) or not _SEQUENCE.fullmatch(message.get("CSeq")):
            raise NoMessage(first)
        if not (message.get("Call-ID") and message.from_tag and message.get("To")):
            raise NoMessage(first)
        if not 0 < len(message.all("Via")) <= MOST_WAYS:
            raise NoMessage(first)
        if any(sum(_is(one, name) for one, _ in headers) > 1 for name in _ONCE):
            raise NoMessage("twice what stands once")
        if message.status is None and first.split(" ")[0] != message.method:
            raise NoMessage(first)
        if _LENGTH.fullmatch(message.get("Content-Length")):
            message = replace(message, body=body[: int(message.get("Content-Length"))])
        return message

    def write(self) -> bytes:
        lines = [self.first, *(f"{name}: {value}" for name, value in self.without("Content-Length").headers)]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    # ---- What stands in it

    @property
    def status(self) -> int | None:
        """None of a request."""
        return int(self.first.split(" ")[1]) if self.first.startswith(f"{VERSION} ") else None

    @property
    def method(self) -> str:
        """Of an answer that of its request."""
        return self.get("CSeq").split()[1]

    @property
    def sequence(self) -> int:
        return int(self.get("CSeq").split()[0])

    @property
    def call_id(self) -> str:
        return self.get("Call-ID")

    @property
    def from_tag(self) -> str:
        return _tag(self.get("From"))

    @property
    def to_tag(self) -> str:
        return _tag(self.get("To"))

    def get(self, name: str) -> str:
        """The first of this name; empty where there is none."""
        return next((value for one, value in self.headers if _is(one, name)), "")

    def all(self, name: str) -> list[str]:
        """Of a header that is a list all that is in it, in order (RFC 3261, 7.3.1)."""
        return [part for one, value in self.headers if _is(one, name) for part in _parts(value)]

    @property
    def via(self) -> Via:
        return Via(self.all("Via")[0])

    # ---- With something else in it

    def without(self, *names: str) -> Self:
        kept = (pair for pair in self.headers if not any(_is(pair[0], name) for name in names))
        return replace(self, headers=tuple(kept))

    def having(self, name: str, *values: str) -> Self:
        """With these and no others of the name, each in a line of its own: where the first stood, or in front."""
        at = next((at for at, (one, _) in enumerate(self.headers) if _is(one, name)), 0)
        before, behind = replace(self, headers=self.headers[:at]), replace(self, headers=self.headers[at:])
        new = tuple((name, value) for value in values)
        return replace(self, headers=(*before.headers, *new, *behind.without(name).headers))

    def numbered(self, sequence: int) -> Self:
        return self.having("CSeq", f"{sequence} {self.method}")

    def of_body(self, body: bytes) -> Self:
        """Without one what tells of it goes too."""
        return replace(self if body else self.without("Content-Type", "Content-Disposition"), body=body)


def address_of(value: str) -> tuple[str, int]:
    """Of a URI, or of what holds one.

    Raises:
        NoMessage: it is none that is reached by SIP over UDP.
    """
    found = _URI.search(value)
    if found is None:
        raise NoMessage(value)
    return found["host"].strip("[]"), _port(found["port"])


def uri_of(value: str) -> str:
    """Out of Contact, Route and their like (RFC 3261, 20.10)."""
    found = re.search(r"<([^<>]*)>", value)
    return found[1] if found else value.partition(";")[0].strip()


def _parameter(name: str) -> str:
    """No sign of what comes is looked at over and over."""
    return rf";[ \t]*{name}[ \t]*(?:=[ \t]*([^\s;,]+)[ \t]*)?(?=;|$)"


def _port(text: str | None) -> int:
    """The usual one where none is named."""
    port = read_whole(text, least=1, most=2**16 - 1) if text else _USUAL_PORT
    if port is None:
        raise NoMessage(str(text))
    return port


def _is(written: str, name: str) -> bool:
    return LONG_NAMES.get(written.lower(), written).lower() == name.lower()


def _tag(value: str) -> str:
    found = _TAG.search(value[value.rfind(">") + 1 :])
    return found[1] if found else ""


def _parts(value: str) -> list[str]:
    """Between the commas that are in no quotes and no brackets."""
    parts, quoted, bracketed, begin = list[str](), False, False, 0
    for at, sign in enumerate(value):
        if sign == '"' and value[at - 1 : at] != "\\":
            quoted = not quoted
        elif not quoted and sign in "<>":
            bracketed = sign == "<"
        elif sign == "," and not quoted and not bracketed:
            parts.append(value[begin:at].strip())
            begin = at + 1
    return [*parts, value[begin:].strip()]
