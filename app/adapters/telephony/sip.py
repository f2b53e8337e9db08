"""A SIP message as a carrier's support may see it: without credentials, keys and content.

A list says what is shown; everything else is left out. Source: RFC 3261 (messages, compact names), RFC 8866 (SDP).
"""

import re
from dataclasses import dataclass

#: Compact names of headers.
LONG_NAMES = {
    "f": "From",
    "t": "To",
    "i": "Call-ID",
    "v": "Via",
    "m": "Contact",
    "k": "Supported",
    "c": "Content-Type",
    "l": "Content-Length",
    "x": "Session-Expires",
}
#: Nothing in these proves who somebody is. Authorization, its answers and its challenges are not among them.
SHOWN = {
    name.lower(): name
    for name in (
        *("Via", "Record-Route", "Route", "From", "To", "Contact", "Call-ID", "CSeq", "Max-Forwards"),
        *("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "P-Called-Party-ID", "Privacy"),
        *("Diversion", "History-Info", "P-Charging-Vector", "P-Early-Media", "Reason", "Warning", "Retry-After"),
        *("Allow", "Supported", "Require", "Proxy-Require", "Unsupported", "Accept", "Expires", "Min-Expires"),
        *("Session-Expires", "Min-SE", "RSeq", "RAck", "Date", "Server", "User-Agent"),
        *("Content-Type", "Content-Length"),
    )
}
#: Lines of a session description. Keys are in k=, a=crypto, a=key-mgmt, a=ice-pwd: none of these.
_SHOWN_LINES = ("v=", "o=", "s=", "c=", "b=", "t=", "m=")
_SHOWN_ATTRIBUTES = re.compile(
    r"a=(rtpmap|fmtp|ptime|maxptime|sendrecv|sendonly|recvonly|inactive|rtcp|T38\w*)(:.*)?", re.IGNORECASE
)
#: What may hold an address: a run without blanks, brackets and quotes.
_RUN = re.compile(r"[^ \t<>\"]+")
_SCHEME = re.compile(r"sips?:", re.IGNORECASE)
#: Up to a password. It looks at no sign twice: each beginning holds a colon, at which the one before it ends.
_BEFORE_PASSWORD = re.compile(r"(sips?:(?://)?[^:@]*):", re.IGNORECASE)
#: By this domain Asterisk knows its calls to itself (bin/lib/asterisk.py): it is a password.
OWN_DOMAIN = re.compile(r"[0-9a-f]{32}\.invalid", re.IGNORECASE)
#: Media of an offer, with a port: those with 0 are not wanted (RFC 3264).
_IMAGE, _SOUND = re.compile(r"m=image [1-9]", re.IGNORECASE), re.compile(r"m=audio [1-9]", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9!%*_+`'~.-]{1,64}")
_FOLDED = re.compile(r"\r?\n[ \t]+")
_UNSEEN = re.compile(r"[^\x20-\x7e\xa0-\uffff]")
_TAG = re.compile(r";\s*tag\s*=\s*([^\s;,>]+)", re.IGNORECASE)
_USER = re.compile(r"(?:sips?|tel):(?://)?([^\s@<>;:?\"]+)(?=[@;:>?]|$)", re.IGNORECASE)
_URI = re.compile(r"(sips?:[^\s<>;?\"]+)", re.IGNORECASE)
_REFUSAL = re.compile(rb"SIP/2\.0 ([3-6][0-9]{2})\b")
#: One of several values of Reason; its parameters in any order.
_CAUSE = re.compile(
    r"\bQ\.850\b(?:\s*;\s*(?!cause\b)[\w-]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))?)*\s*;\s*cause\s*=\s*([0-9]{1,3})\b",
    re.IGNORECASE,
)
#: What a person reads, and the mark of an analysis (ATIS-1000099).
_REASON_TEXT = re.compile(r"\btext\s*=\s*\"([^\"]*)\"|\bv\s*=\s*(analytics[0-9]*)", re.IGNORECASE)
_RETRY_AFTER = re.compile(r"\s*([0-9]{1,9})\b")
LONGEST_LINE = 400
MOST_LINES = 60
#: Bytes of the headers, and of the content, that are looked at. Asterisk takes 65,535 from anybody.
LONGEST_PART = 8_192
_BLANK_LINE = b"\r\n\r\n"


@dataclass(frozen=True)
class Message:
    """``first`` is the request or status line, ``lines`` what is shown below it. ``method`` is that of the
    request, also of a response to it. ``is_own``: Asterisk calls itself, and its secret is in it."""

    first: str
    lines: tuple[str, ...]
    method: str
    call_id: str
    from_tag: str
    from_uri: str
    caller: str
    called: str
    is_own: bool = False

    @property
    def offers_t38_alone(self) -> bool:
        """As a call begins: in the middle of one that is no fault (RFC 3261, 12.2)."""
        begins = self.is_request and not any(line.startswith("To:") and _TAG.search(line) for line in self.lines)
        return begins and any(map(_IMAGE.match, self.lines)) and not any(map(_SOUND.match, self.lines))

    @property
    def meant(self) -> str:
        """Whom a request names in its own address."""
        return _first(_USER, self.first)

    @property
    def is_request(self) -> bool:
        return not self.first.startswith("SIP/2.0 ")


def read_message(raw: bytes) -> Message | None:
    """None for what is no SIP message, such as the empty lines that keep a connection open (RFC 5626)."""
    headers_part, _, content = raw.partition(_BLANK_LINE)
    head, body = _whole_lines(headers_part), _whole_lines(content)
    first, *lines = _FOLDED.sub(" ", head).replace("\r\n", "\n").split("\n")[: MOST_LINES * 2]
    if not (first.startswith("SIP/2.0 ") or first.endswith(" SIP/2.0")):
        return None
    headers = [read for line in lines if (read := _header(line))]
    known = {name.lower(): _cut(value) for name, value in reversed(headers)}
    sender, recipient = known.get("from", ""), known.get("to", "")
    shown = [f"{SHOWN[name.lower()]}: {_clean(value)}" for name, value in headers if name.lower() in SHOWN]
    return Message(
        first=_clean(first),
        lines=tuple(shown[:MOST_LINES] + _description(body, known.get("content-type", ""))),
        method=(known.get("cseq", "").split() or [""])[-1].upper()[:16],
        call_id=known.get("call-id", "")[:LONGEST_LINE],
        from_tag=_first(_TAG, sender),
        from_uri=_first(_URI, _clean(sender)),
        caller=_first(_USER, known.get("p-asserted-identity", "")) or _first(_USER, sender),
        called=_first(_USER, recipient),
        is_own=any(OWN_DOMAIN.search(_cut(value)) for name, value in headers if name.lower() in ("from", "to")),
    )


@dataclass(frozen=True)
class Refusal:
    """What a final refusal of an INVITE says: its code, a cause of Q.850 and a text in ``Reason`` (RFC 3326), and
    ``Retry-After`` in seconds (RFC 3261, 20.33)."""

    code: int
    cause: int | None = None
    text: str = ""
    retry_after: int | None = None


def read_refusal(raw: bytes) -> tuple[str, Refusal] | None:
    """With its Call-ID; None for any other message."""
    refusal = _REFUSAL.match(raw)
    if not refusal:
        return None
    _, *lines = _FOLDED.sub(" ", _whole_lines(raw.partition(_BLANK_LINE)[0])).replace("\r\n", "\n").split("\n")
    headers = [(read[0].lower(), _cut(read[1])) for line in lines[: MOST_LINES * 2] if (read := _header(line))]
    known = dict(reversed(headers))
    if known.get("cseq", "").upper().split()[-1:] != ["INVITE"]:
        return None
    reasons = ", ".join(value for name, value in headers if name == "reason")
    cause, later = _CAUSE.search(reasons), _RETRY_AFTER.match(known.get("retry-after", ""))
    text = _cut(" ".join(_UNSEEN.sub("", one or other) for one, other in _REASON_TEXT.findall(reasons)))
    said = Refusal(int(refusal[1]), int(cause[1]) if cause else None, text, int(later[1]) if later else None)
    return known.get("call-id", ""), said


def shortened(raw: bytes) -> bytes:
    """A message as far as it is ever looked at, and one byte that says that there was more."""
    head, blank, body = raw.partition(_BLANK_LINE)
    return head[: LONGEST_PART + 1] + blank + body[: LONGEST_PART + 1]


def is_cut(raw: bytes) -> bool:
    """Whether there are headers that nobody looks at."""
    return len(raw.partition(_BLANK_LINE)[0]) > LONGEST_PART


def _whole_lines(part: bytes) -> str:
    """Half a line may show half of a password."""
    text = part[:LONGEST_PART].decode("utf-8", "replace")
    return text.rpartition("\n")[0] if len(part) > LONGEST_PART else text


def _header(line: str) -> tuple[str, str] | None:
    name, colon, value = line.partition(":")
    name = name.strip()
    return (LONG_NAMES.get(name.lower(), name), value.strip()) if colon and _NAME.fullmatch(name) else None


def _description(body: str, kind: str) -> list[str]:
    """What is offered or agreed on, without keys; of anything else only that it is there."""
    if not body:
        return []
    if kind.partition(";")[0].strip().lower() != "application/sdp":
        return ["", "[content not shown]"]
    lines = body.splitlines()
    shown = [line for line in lines if line.startswith(_SHOWN_LINES) or _SHOWN_ATTRIBUTES.fullmatch(line)]
    left_out = len(lines) - len(shown[:MOST_LINES])
    note = [f"[{left_out} lines not shown]"] if left_out else []
    return ["", *(_clean(line) for line in shown[:MOST_LINES]), *note]


def _clean(text: str) -> str:
    """Nothing that proves an account, nothing that a terminal or a browser would obey."""
    without = _RUN.sub(lambda run: _without_secrets(run[0]), OWN_DOMAIN.sub("….invalid", _cut(text)))
    return _UNSEEN.sub("�", without)[:LONGEST_LINE]


def _cut(text: str) -> str:
    """Before a blank, a bracket or a quote, so that no address loses the sign that tells its password."""
    if len(text) <= LONGEST_LINE:
        return text
    kept = text[:LONGEST_LINE]
    end = max(kept.rfind(sign) for sign in ' \t<>"')
    return f"{kept[: end + 1]}…"


def _without_secrets(run: str) -> str:
    """Without a password in an address, and without the headers that an address brings along (RFC 3261, 19.1.1)."""
    end = run.rfind("@")
    if end >= 0 and (found := _BEFORE_PASSWORD.search(run, 0, end)):
        run = f"{run[: found.end()]}…{run[end:]}"
    scheme = _SCHEME.search(run)
    mark = run.find("?", scheme.end()) if scheme else -1
    return run if mark < 0 else f"{run[:mark]}?…"


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return _UNSEEN.sub("", found[1])[:80] if found else ""
