"""A SIP message as a carrier's support may see it: without what proves an account, keys, and content.

What is shown is listed; everything else is left out. Source: RFC 3261 (messages, compact names), RFC 8866 (SDP).
"""

import re
from dataclasses import dataclass

#: Compact names of headers.
_LONG_NAMES = {
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
#: A password in an address, and headers that an address brings along.
_PASSWORD = re.compile(r"(sips?:(?://)?[^\s:@<>\"]*):[^\s<>\"]*@", re.IGNORECASE)
_BROUGHT_ALONG = re.compile(r"(sips?:[^\s<>\"?]*)\?[^\s<>\"]*", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9!%*_+`'~.-]{1,64}")
_FOLDED = re.compile(r"\r?\n[ \t]+")
_UNSEEN = re.compile(r"[^\x20-\x7e\xa0-\uffff]")
_TAG = re.compile(r";\s*tag\s*=\s*([^\s;,>]+)", re.IGNORECASE)
_USER = re.compile(r"(?:sips?|tel):(?://)?([^\s@<>;:?\"]+)(?=[@;:>?]|$)", re.IGNORECASE)
_URI = re.compile(r"(sips?:[^\s<>;?\"]+)", re.IGNORECASE)
LONGEST_LINE = 400
MOST_LINES = 60


@dataclass(frozen=True)
class Message:
    """``first`` is the request or status line, ``lines`` what is shown below it. ``method`` is that of the
    request, also of a response to it."""

    first: str
    lines: tuple[str, ...]
    method: str
    call_id: str
    from_tag: str
    from_uri: str
    caller: str
    called: str

    @property
    def is_request(self) -> bool:
        return not self.first.startswith("SIP/2.0 ")


def read_message(raw: bytes) -> Message | None:
    """None for what is no SIP message, such as the empty lines that keep a connection open (RFC 5626)."""
    text = raw.decode("utf-8", "replace")
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = _FOLDED.sub(" ", head).splitlines()[: MOST_LINES * 2] or [""]
    if not (first.startswith("SIP/2.0 ") or first.endswith(" SIP/2.0")):
        return None
    headers = [read for line in lines if (read := _header(line))]
    known = {name.lower(): value for name, value in reversed(headers)}
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
    )


def _header(line: str) -> tuple[str, str] | None:
    name, colon, value = line.partition(":")
    name = name.strip()
    return (_LONG_NAMES.get(name.lower(), name), value.strip()) if colon and _NAME.fullmatch(name) else None


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
    without = _BROUGHT_ALONG.sub(r"\1?…", _PASSWORD.sub(r"\1:…@", text))
    return _UNSEEN.sub("�", without)[:LONGEST_LINE]


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return _UNSEEN.sub("", found[1])[:80] if found else ""
