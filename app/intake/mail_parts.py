"""A mail taken apart: its one sender, its text, its documents, and what travels beside them. Strangers' bytes."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader, HeaderRegistry
from email.message import Message

from app.adapters.recognition import HEAD_BYTES, recognise
from app.fax.mail2fax import own_text, text_of_html
from app.intake.documents import clean_name
from app.kinds import KINDS

MOST_PARTS = 200
#: What no mail of a person has, and what reading it would take the collector's memory or minutes of its time: so many
#: lines, lines that could be boundaries, parts within parts (each is asked about every line), letters of a header.
MOST_LINES, MOST_EDGES, MOST_NESTED, MOST_ASKED, MOST_HEADER = 1_500_000, 5_000, 100, 40_000_000, 8_000
_PARAMETERS = re.compile(
    rb"(?:^|[\r\n])content-(?:type|disposition)[ \t]*:[^\r\n]*(?:(?:\r\n|\r|\n)[ \t][^\r\n]*)*", re.IGNORECASE
)
#: More than one of these and nobody can say which one counts.
ONCE = ("From", "Subject", "Date", "Message-ID", "Content-Type", "Content-Transfer-Encoding", "MIME-Version")
_MADE_BY_MACHINES = re.compile(r"^\s*(bulk|list|junk|auto_reply)\s*$", re.IGNORECASE)
_OUR_OWN = re.compile(r"@faxroom\.[a-z0-9-]+\.invalid>?\s*$", re.IGNORECASE)
_addresses = HeaderRegistry()
DOCUMENT, COMPANION, UNKNOWN = "document", "companion", "unknown"
COMPANIONS = {
    "application/pgp-signature": "signature",
    "application/pgp-keys": "key",
    "application/pkcs7-signature": "signature",
    "application/x-pkcs7-signature": "signature",
    "text/vcard": "vcard",
    "text/x-vcard": "vcard",
    "text/directory": "vcard",
    "text/calendar": "calendar",
    "application/ms-tnef": "winmail",
    "application/vnd.ms-tnef": "winmail",
}
PGP_COMPANIONS = {
    b"-----BEGIN PGP SIGNATURE-----": "signature",
    b"-----BEGIN PGP PUBLIC KEY BLOCK-----": "key",
}
#: What a document may be in: office documents (:mod:`app.adapters.recognition`), and a text without any form.
CONTAINERS = {"ole", "zip", "text"}


def parse(raw: bytes) -> Message:
    """With the older policy: its headers stay as they came, and no hostile one makes it raise.

    Raises:
        ValueError: nobody writes such a mail, and reading it would hold up all others.
    """
    if _is_unwieldy(raw):
        raise ValueError("not the mail of a person")
    return message_from_bytes(raw, policy=policy.compat32)


def _is_unwieldy(raw: bytes) -> bool:
    lines = raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")
    edges = raw.count(b"\n--") + raw.count(b"\r--")
    lowered = raw.lower()
    nested = lowered.count(b"multipart/") + lowered.count(b"message/")
    if lines > MOST_LINES or edges > MOST_EDGES or nested > MOST_NESTED or lines * nested > MOST_ASKED:
        return True
    return any(match.end() - match.start() > MOST_HEADER for match in _PARAMETERS.finditer(raw))


def twice(mail: Message) -> str | None:
    """The first header that is there more than once and must not be."""
    return next((name for name in ONCE if len(mail.get_all(name, [])) > 1), None)


def decoded(value: object) -> str:
    """A header's text (RFC 2047), in one line."""
    text = str(value or "")
    if len(text) > MOST_HEADER:
        return ""
    with contextlib.suppress(LookupError, ValueError, UnicodeError):
        text = str(make_header(decode_header(text)))
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def sender_of(mail: Message) -> str | None:
    """The address in the one From, exactly as written: no group, no second one, nothing that has to be guessed."""
    fields = mail.get_all("From", [])
    if len(fields) != 1:
        return None
    text = str(fields[0])
    if len(text) > MOST_HEADER // 4 or (not text.isascii() and not text.isprintable()):
        return None
    try:
        header = _addresses("From", " ".join(text.split()))
        if not isinstance(header, AddressHeader):
            return None
        groups = header.groups
        addresses = header.addresses
    except Exception:  # the library's parser knows many ways to fail on a stranger's header
        return None
    if header.defects or len(addresses) != 1 or len(groups) != 1 or groups[0].display_name is not None:
        return None
    address = addresses[0].addr_spec
    # what was read has to stand there as it is: neither quoted nor encoded
    plain = re.fullmatch(r"[^\s\"<>(),;:\\\[\]]+@[^\s\"<>(),;:\\\[\]]+", address)
    return address if plain and address in text and "\0" not in address and len(address) <= 320 else None


def why_automatic(mail: Message) -> str | None:
    """What says that no person wrote it (RFC 3834, RFC 2919, RFC 3464); None if nothing does."""
    if str(mail.get("Auto-Submitted", "no")).split(";")[0].strip().lower() not in ("no", ""):
        return "automatic"
    if any(name in mail for name in ("List-Id", "List-Post", "List-Unsubscribe", "X-Autoreply", "X-Autorespond")):
        return "list"
    if _MADE_BY_MACHINES.match(str(mail.get("Precedence", ""))):
        return "list"
    if str(mail.get("Return-Path", "x")).strip() == "<>" or mail.get_content_type() == "multipart/report":
        return "bounce"
    if _OUR_OWN.search(str(mail.get("Message-ID", ""))):
        return "own"
    return None


# ---- Text and attachments


@dataclass(frozen=True)
class Part:
    """``kind`` is document, companion (named in ``what``) or unknown."""

    name: str
    kind: str
    what: str
    content: bytes = b""


@dataclass(frozen=True)
class Contents:
    text: str
    parts: tuple[Part, ...]

    def of(self, kind: str) -> list[Part]:
        return [part for part in self.parts if part.kind == kind]


def contents(entity: Message) -> Contents:
    """The person's own words, and what is attached, in order. Nothing inside of an attached mail is looked at."""
    parts: list[Part] = []
    shown = html_of(entity)
    for leaf in leaves_of(entity):
        kind = leaf.get_content_type()
        if kind in ("text/plain", "text/html") and not is_attached(leaf):
            continue
        parts.append(_part(leaf, kind, shown))
    return Contents(own_text(body_of(entity)), tuple(parts))


def body_of(entity: Message) -> str:
    """The text that is not attached; of HTML where there is no other, or an empty one beside it."""
    texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    for leaf in leaves_of(entity):
        if leaf.get_content_type() in texts and not is_attached(leaf):
            texts[leaf.get_content_type()].append(_text(leaf))
    plain = "\n".join(texts["text/plain"])
    return plain if own_text(plain).strip() else text_of_html("\n".join(texts["text/html"]))


def html_of(entity: Message) -> str:
    """The text that may have pictures in it."""
    leaves = (leaf for leaf in leaves_of(entity) if leaf.get_content_type() == "text/html" and not is_attached(leaf))
    return "".join(map(_text, leaves))


def is_document(leaf: Message, shown: str) -> bool:
    """Whether an attachment would be faxed; ``shown`` as :func:`html_of` has it."""
    return _part(leaf, leaf.get_content_type(), shown).kind == DOCUMENT


def is_attached(leaf: Message) -> bool:
    return (leaf.get_content_disposition() or "") == "attachment" or leaf.get_filename() is not None


def parts_of(entity: Message) -> list[Message]:
    """Those of a multipart; of anything else none."""
    payload = entity.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def content_of(leaf: Message) -> bytes:
    """Out of its transfer encoding; nothing where it has parts."""
    payload = leaf.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def leaves_of(entity: Message) -> Iterator[Message]:
    waiting, seen = [entity], 0
    while waiting and seen < MOST_PARTS:
        part, seen = waiting.pop(0), seen + 1
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting[:0] = parts_of(part)
        else:
            yield part


def is_crowded(entity: Message) -> bool:
    return sum(1 for _leaf in leaves_of(entity)) >= MOST_PARTS // 2


def raw_bytes(leaf: Message) -> bytes:
    if leaf.get_content_maintype() == "message":
        return b""
    payload = leaf.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _text(leaf: Message) -> str:
    content = raw_bytes(leaf)
    try:
        return content.decode(str(leaf.get_content_charset() or "utf-8"), "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _part(leaf: Message, kind: str, shown: str) -> Part:
    """``shown`` is the text of the mail, which may have pictures in it."""
    name = clean_name(decoded(leaf.get_filename() or ""))[:120]
    content = raw_bytes(leaf)
    if companion := _companion(leaf, kind, name, content, shown):
        return Part(name or kind, COMPANION, companion)
    if what := document_kind(content):
        return Part(name or f"document.{what}", DOCUMENT, what, content)
    return Part(name or kind, UNKNOWN, kind, content)


def _companion(leaf: Message, kind: str, name: str, content: bytes, shown: str) -> str | None:
    """What travels with mails and is no document: pictures of a signature, cards, keys."""
    if leaf.get_content_maintype() == "image":
        inside = str(leaf.get("Content-ID", "")).strip().strip("<>")
        in_text = leaf.get_content_disposition() == "inline" or (inside and f"cid:{inside}" in shown)
        return "picture" if in_text else None
    if document_kind(content) not in (None, "text"):
        return None
    if companion := COMPANIONS.get(kind) or ("winmail" if name.lower() == "winmail.dat" else None):
        return companion
    begin = content[:200].lstrip()
    if companion := next((what for mark, what in PGP_COMPANIONS.items() if begin.startswith(mark)), None):
        return companion
    if name.lower().endswith((".vcf", ".p7s", ".ics", ".sig")):
        return {"vcf": "vcard", "p7s": "signature", "ics": "calendar", "sig": "signature"}[name[-3:].lower()]
    if not content.strip() and leaf.get_content_maintype() == "text":
        return "nothing"
    return None


def document_kind(content: bytes) -> str | None:
    """What the first bytes look like, of what may be a document; whether it is a sound one of a kind that is taken is
    judged in a child when it is taken (app.adapters.documents). None: it is none."""
    if not content.strip(b"\0\t\r\n "):
        return None
    what = recognise(content[:HEAD_BYTES])
    return what if what in KINDS or what in CONTAINERS else None


# ---- What the mailbox's own server found out


def proof_of(mail: Message, sender: str, authserv_id: str | None) -> bool | None:
    """Authentication-Results (RFC 8601) of the mailbox's own server: True if it vouches for the domain of ``sender``,
    False if it says that the mail is forged, None if it says neither. Another server's are not looked at, and good
    news only where the server wrote last: below that they may have come with the mail, in the server's name."""
    if not authserv_id:
        return None
    hops = _hops_of(mail, authserv_id.lower())
    methods = hops[0] if hops else []
    domain = sender.rpartition("@")[2].lower()
    dmarc = {result for method, result, _about in methods if method == "dmarc"}
    if any(method == "dmarc" and result == "fail" for hop in hops for method, result, _about in hop):
        return False
    if "pass" in dmarc and any(m == "dmarc" and r == "pass" and about in ("", domain) for m, r, about in methods):
        return True
    if any(m in ("spf", "dkim") and r == "pass" and about and _aligned(about, domain) for m, r, about in methods):
        return True
    failed = {m for m, r, _about in methods if m in ("spf", "dkim") and r in ("fail", "permerror")}
    return False if "spf" in failed or "dkim" in failed else None


def _hops_of(mail: Message, server: str) -> list[list[tuple[str, str, str]]]:
    """What the server wrote, newest first; whoever handed a mail on has put a Received on top of all that was there."""
    hops: list[list[tuple[str, str, str]]] = [[]]
    for header, value in mail.items():
        if header.lower() == "received":
            hops.append([])
        elif header.lower() == "authentication-results":
            name, found = _results(str(value))
            hops[-1] += [*found, ("written", "", "")] if name == server else []
    return [hop for hop in hops if hop]


def _aligned(about: str, domain: str) -> bool:
    return about == domain or (domain.endswith("." + about) and "." in about)


def _results(value: str) -> tuple[str, list[tuple[str, str, str]]]:
    """(server, [(method, result, domain that it is about)])."""
    plain, whole = _said(" ".join(value.split()))
    head, *found = plain.split(";")
    name = head.split()[0].lower() if head.split() else ""
    items = []
    for text in found:
        match = re.match(r"\s*([a-z0-9-]+)(?:/\d+)?\s*=\s*([a-z]+)(.*)", text, re.IGNORECASE)
        if match:
            about = re.search(r"(?:header\.from|header\.d|header\.i|smtp\.mailfrom)\s*=\s*(\S+)", match[3], re.I)
            domain = about[1].rpartition("@")[2].lower() if about else ""
            items.append((match[1].lower(), match[2].lower(), domain))
    # whoever writes what is never closed wants something of it to be misread
    return name, items if whole else [("dmarc", "fail", "")]


def _said(value: str) -> tuple[str, bool]:
    """Without quoted strings and comments, which repeat what the sender chose (RFC 8601, RFC 5322, section 3.2), and
    whether each of these is closed."""
    kept, depth, quoted, escaped = [], 0, False, False
    for sign in value:
        if escaped:
            escaped = False
        elif sign == "\\" and (quoted or depth):
            escaped = True
        elif sign == '"' and not depth:
            quoted = not quoted
        elif sign in "()" and not quoted:
            depth = max(0, depth + (1 if sign == "(" else -1))
            kept.append(" ")
        elif not quoted and not depth:
            kept.append(sign)
    return "".join(kept), not (depth or quoted or escaped)


def as_utc(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
