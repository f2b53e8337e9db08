"""A mail taken apart: its one sender, its text, its documents, and what travels beside them. Strangers' bytes."""

import codecs
import contextlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import InvalidBase64LengthDefect
from email.header import decode_header, make_header
from email.message import Message

from app.adapters.documents.recognition import HEAD_BYTES, recognise
from app.kinds import KINDS
from app.rules.mail2fax.mail_text import own_text, text_of_html
from app.services.documents.documents import clean_name

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
DOCUMENT, COMPANION, UNKNOWN = "document", "companion", "unknown"
#: What an unknown part is: another email, as one that is forwarded as an attachment; base64 of which something is gone,
#: parts of which nobody knows where one ends.
EMAIL, DAMAGED = "email", "damaged"
COMPANIONS = {
    "application/pgp-signature": "signature",
    "application/pgp-keys": "key",
    "application/pkcs7-signature": "signature",
    "application/x-pkcs7-signature": "signature",
    "text/vcard": "vcard",
    "text/x-vcard": "vcard",
    "text/directory": "vcard",
    "text/calendar": "calendar",
    "application/ics": "calendar",
    "text/rfc822-headers": "headers",
    "application/ms-tnef": "winmail",
    "application/vnd.ms-tnef": "winmail",
}
PGP_COMPANIONS = {
    b"-----BEGIN PGP SIGNATURE-----": "signature",
    b"-----BEGIN PGP PUBLIC KEY BLOCK-----": "key",
}
#: How Outlook's Rich Text begins, and level and name of the content of an attachment in it (MS-OXTNEF, 2.1.3).
TNEF, ATTACHED_IN_TNEF = b"\x78\x9f\x3e\x22", b"\x02\x0f\x80\x06\x00"
#: Other forms of a text that only some programs show (RFC 1896, AMP, watches).
OTHER_TEXTS = ("/enriched", "/richtext", "/rtf", "/x-amp-html", "/watch-html", "/markdown", "/x-markdown")
#: Encodings of Python that are no charsets; for some it takes hours where a text is long.
PYTHONS_OWN = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
PICTURES = {"png", "jpeg", "gif", "bmp", "webp"}
#: What a document may be in: office documents (:mod:`app.adapters.documents.recognition`), and a text without any form.
CONTAINERS = {"ole", "zip", "text"}


class _AsWritten(policy.Compat32):
    """The older policy: its headers stay as they came, and no hostile one makes it raise. One with bytes beyond ASCII
    (RFC 6532, or a program that does not know better) is read as UTF-8, else as Latin-1."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        content = value.encode("ascii", "surrogateescape") if isinstance(value, str) else b""
        if content.isascii():
            return value
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError:
            return content.decode("latin-1")


_AS_WRITTEN = _AsWritten()


def parse(raw: bytes) -> Message:
    """With what gateways break put right: a header's line without a blank before it, an encoding with words around it.

    Raises:
        ValueError: nobody writes such a mail, and reading it would hold up all others.
    """
    if _is_unwieldy(raw):
        raise ValueError("not the mail of a person")
    mail = message_from_bytes(_with_whole_headers(raw), policy=_AS_WRITTEN)
    for part in mail.walk():
        _name_encoding(part)
    return mail


_HEAD = re.compile(rb"\A(?:[^\r\n]+(?:\r\n|\r|\n))*")
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:|[ \t]")


def _with_whole_headers(raw: bytes) -> bytes:
    """Its header ends at the first empty line (RFC 5322, 2.1): a line of it that is no field goes on with the one
    before, and a field's name has no blank behind it."""
    head = _HEAD.match(raw)
    if head is None:
        return raw
    lines = head[0].splitlines(keepends=True)
    if not lines or (all(map(_FIELD.match, lines[1:])) and not any(map(_BLANK_BEFORE_COLON.match, lines))):
        return raw
    first, *rest = lines
    whole = [line if _FIELD.match(line) else b" " + line for line in rest]
    return b"".join(_BLANK_BEFORE_COLON.sub(rb"\1:", line) for line in (first, *whole)) + raw[head.end() :]


_BLANK_BEFORE_COLON = re.compile(rb"\A([!-9;-~]+)[ \t]+:")
_ENCODINGS = ("base64", "quoted-printable", "7bit", "8bit", "binary")


def _name_encoding(part: Message) -> None:
    """RFC 2045, 6.1 allows comments and blanks around it, which Python does not expect."""
    written = part.get_all("Content-Transfer-Encoding", [])
    plain = re.sub(r"\([^()]*\)", "", str(written[0])).strip(" \t\r\n\";'").lower() if len(written) == 1 else ""
    if plain in _ENCODINGS and plain != written[0]:
        part.replace_header("Content-Transfer-Encoding", plain)


def _is_unwieldy(raw: bytes) -> bool:
    lines = raw.count(b"\n") + raw.count(b"\r") - raw.count(b"\r\n")
    edges = raw.count(b"\n--") + raw.count(b"\r--")
    lowered = raw.lower()
    nested = lowered.count(b"multipart/") + lowered.count(b"message/")
    if lines > MOST_LINES or edges > MOST_EDGES or nested > MOST_NESTED or lines * nested > MOST_ASKED:
        return True
    return any(match.end() - match.start() > MOST_HEADER for match in _PARAMETERS.finditer(raw))


def twice(mail: Message) -> str | None:
    """The first header that is there more than once, says different things, and must not."""
    return next((name for name in ONCE if len(_said_by(mail, name)) > 1), None)


def _said_by(mail: Message, name: str) -> set[str]:
    return {" ".join(str(value).split()) for value in mail.get_all(name, [])}


def decoded(value: object) -> str:
    """A header's text (RFC 2047), in one line and without what nobody sees."""
    text = str(value or "")
    if len(text) > MOST_HEADER:
        return ""
    with contextlib.suppress(LookupError, ValueError, UnicodeError):
        text = str(make_header(decode_header(text)))
    text = text.encode("utf-8", "replace").decode()
    text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


#: A quoted string, an encoded word with whatever a careless program has put into it, an address in brackets.
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ENCODED = re.compile(r"=\?[^?\s]+\?[bq]\?[^?]*\?=", re.IGNORECASE)
_ANGLE = re.compile(r"<\s*([^<>]*?)\s*>$")
#: Neither quoted nor encoded, nothing that has to be guessed.
_ADDRESS = re.compile(r"[^\s\"<>(),;:\\\[\]\0]+@[^\s\"<>(),;:\\\[\]@\0]+")


def sender_of(mail: Message) -> str | None:
    """The address in From, exactly as written. The name before it may be written as badly as it likes, as long as there
    is one address only (RFC 5322, 3.6.2: no list and no group); nothing of it is guessed."""
    fields = _said_by(mail, "From")
    text = fields.pop() if len(fields) == 1 else ""
    if not text or len(text) > MOST_HEADER // 4 or not text.isprintable():
        return None
    bare = _without_comments(_ENCODED.sub("x", _QUOTED.sub("x", text))).strip()
    angle = _ANGLE.search(bare)
    name, address = (bare[: angle.start()], angle[1]) if angle else ("", bare)
    if not _ADDRESS.fullmatch(address) or len(address) > 320 or address not in text:
        return None
    spoiled = re.search(r"[<>,;:]", name) or ("@" in name and name.strip() != address)
    return None if spoiled else address


def _without_comments(text: str) -> str:
    """RFC 5322, 3.2.2, without those within: text that has one of these is left as it is, and is no address."""
    return re.sub(r"\([^()]*\)", " ", text)


#: Made by a program on its own account, not in answer to a mail (RFC 3834, 5): a scanner, an ERP system.
GENERATED = "generated"


def is_urgent(mail: Message) -> bool:
    """As its writer has marked it: ``Importance: high`` or ``Priority: urgent`` (RFC 2156, 5.3.6; RFC 4021), or
    ``X-Priority`` 1 or 2, as mail programs write it."""
    said = {name: str(mail.get(name, "")).strip().lower() for name in ("Importance", "Priority", "X-Priority")}
    return said["Importance"] == "high" or said["Priority"] == "urgent" or said["X-Priority"][:1] in ("1", "2")


def why_automatic(mail: Message) -> str | None:
    """What says that no person wrote it (RFC 3834, RFC 2919, RFC 3464); None if nothing does."""
    submitted = {
        _without_comments(str(value)).split(";")[0].strip().lower() for value in mail.get_all("Auto-Submitted", [])
    }
    submitted -= {"no", ""}
    if submitted - {"auto-generated"} or (submitted and _answers_us(mail)):
        return "automatic"
    if any(name in mail for name in ("List-Id", "List-Post", "List-Unsubscribe", "X-Autoreply", "X-Autorespond")):
        return "list"
    if _MADE_BY_MACHINES.match(str(mail.get("Precedence", ""))):
        return "list"
    if str(mail.get("Return-Path", "x")).strip() == "<>" or mail.get_content_type() == "multipart/report":
        return "bounce"
    if _OUR_OWN.search(str(mail.get("Message-ID", ""))):
        return "own"
    return GENERATED if submitted else None


def _answers_us(mail: Message) -> bool:
    named = " ".join(str(mail.get(name, "")) for name in ("In-Reply-To", "References"))
    return any(_OUR_OWN.search(name) for name in named.split())


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


@dataclass(frozen=True)
class Leaf:
    """A part without parts. ``above``: the kinds of the multiparts around it, the innermost last, and which one that
    is, for those that are alternatives of each other; ``first``: no text stands before it."""

    message: Message
    above: tuple[tuple[str, int], ...] = ()
    first: bool = False

    @property
    def kind(self) -> str:
        return self.message.get_content_type()

    @property
    def disposition(self) -> str:
        return self.message.get_content_disposition() or ""

    @property
    def is_alternative(self) -> bool:
        return bool(self.above) and self.above[-1][0] == "multipart/alternative"

    @property
    def alternative(self) -> tuple[int, int]:
        """The outermost alternatives that it is in, and in which one of these; zeros if it is in none."""
        inside = [*(which for _kind, which in self.above), id(self.message)]
        kinds = [kind for kind, _which in self.above]
        at = kinds.index("multipart/alternative") if "multipart/alternative" in kinds else None
        return (0, 0) if at is None else (inside[at], inside[at + 1])

    @property
    def is_related(self) -> bool:
        """Not the root of what it is related to (RFC 2387), but what that root shows."""
        inside = bool(self.above) and self.above[-1][0] == "multipart/related"
        return inside and bool(self.message.get("Content-ID") or self.message.get("Content-Location"))

    @property
    def is_body(self) -> bool:
        """Text that its writer typed, whatever a program has named it; Exchange makes files of what stands below an
        attachment."""
        name = self.message.get_filename()
        if self.kind not in TEXTS or (self.disposition == "attachment" and not _EXCHANGE_TEXT.fullmatch(name or "")):
            return False
        named_body = self.is_alternative or (self.first and not self.disposition)
        return name is None or named_body or bool(_EXCHANGE_TEXT.fullmatch(name))


TEXTS = ("text/plain", "text/html")
_EXCHANGE_TEXT = re.compile(r"ATT\d{3,}\.(?:txt|html?)", re.IGNORECASE)


def contents(entity: Message) -> Contents:
    """The person's own words, and what is attached, in order. Nothing inside of an attached mail is looked at."""
    shown = html_of(entity)
    parts = tuple(_part(leaf, shown) for leaf in _each_once(leaves_of(entity)) if not leaf.is_body)
    return Contents(body_of(entity), parts)


def _each_once(leaves: Iterable[Leaf]) -> Iterator[Leaf]:
    """A reader sees one of several alternatives: what is attached to each of them is there once."""
    first_in: dict[tuple[int, bytes], int] = {}
    for leaf in leaves:
        alternatives, branch = leaf.alternative
        content = b"" if leaf.is_body else raw_bytes(leaf.message)
        if not alternatives or not content or first_in.setdefault((alternatives, content), branch) == branch:
            yield leaf


def body_of(entity: Message) -> str:
    """The person's own words. Of alternatives the plain one counts, or the page where that is empty."""
    groups: dict[int, list[Leaf]] = {}
    for leaf in leaves_of(entity):
        if leaf.is_body:
            alternatives = [which for kind, which in leaf.above if kind == "multipart/alternative"]
            groups.setdefault(alternatives[0] if alternatives else id(leaf.message), []).append(leaf)
    return "\n".join(_own_words(group) for group in groups.values())


def _own_words(alternatives: list[Leaf]) -> str:
    plain, page = ("\n".join(_text(leaf.message) for leaf in alternatives if leaf.kind == kind) for kind in TEXTS)
    return own_text(plain) if own_text(plain).strip() else own_text(text_of_html(page))


def html_of(entity: Message) -> str:
    """The text that may have pictures in it."""
    return "".join(_text(leaf.message) for leaf in leaves_of(entity) if leaf.is_body and leaf.kind == "text/html")


def is_document(leaf: Leaf, shown: str) -> bool:
    """Whether an attachment would be faxed; ``shown`` as :func:`html_of` has it."""
    return _part(leaf, shown).kind == DOCUMENT


def parts_of(entity: Message) -> list[Message]:
    """Those of a multipart, or the email that is attached; of anything else none."""
    payload = entity.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def content_of(leaf: Message) -> bytes:
    """Out of its transfer encoding; nothing where it has parts."""
    payload = leaf.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def leaves_of(entity: Message) -> Iterator[Leaf]:
    waiting: list[tuple[Message, tuple[tuple[str, int], ...]]] = [(entity, ())]
    seen, first = 0, True
    while waiting and seen < MOST_PARTS:
        (part, above), seen = waiting.pop(0), seen + 1
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            around = (*above, (part.get_content_type(), id(part)))
            waiting[:0] = [(inner, around) for inner in parts_of(part)]
        else:
            yield Leaf(part, above, first)
            first = first and part.get_content_type() not in TEXTS


def is_crowded(entity: Message) -> bool:
    return sum(1 for _leaf in leaves_of(entity)) >= MOST_PARTS // 2


def raw_bytes(leaf: Message) -> bytes:
    return b"" if leaf.get_content_maintype() == "message" else content_of(leaf)


def _text(leaf: Message) -> str:
    content = raw_bytes(leaf)
    try:
        return content.decode(_charset(leaf) or "utf-8", "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")


def _charset(leaf: Message) -> str | None:
    """The one that the email names, if there is such a one. What is called Latin-1 is read as all programs read it
    (WHATWG Encoding, 4.2): on Windows it has a sign for the euro."""
    with contextlib.suppress(LookupError, ValueError):
        name = codecs.lookup(str(leaf.get_content_charset() or "")).name
        return None if name in PYTHONS_OWN else "cp1252" if name == "iso8859-1" else name
    return None


def _part(leaf: Leaf, shown: str) -> Part:
    """``shown`` is the text of the mail, which may have pictures in it."""
    name = clean_name(decoded(leaf.message.get_filename() or ""))[:120]
    content = raw_bytes(leaf.message)
    if companion := _companion(leaf, name, content, shown):
        return Part(name or leaf.kind, COMPANION, companion, content if companion == "winmail" else b"")
    scattered = bool(content.strip()) and leaf.message.get_content_maintype() == "multipart"
    if scattered or any(isinstance(defect, InvalidBase64LengthDefect) for defect in leaf.message.defects):
        return Part(name or leaf.kind, UNKNOWN, DAMAGED)
    content = _in_utf8(leaf.message, content)
    if what := document_kind(content):
        return Part(name or f"document.{what}", DOCUMENT, what, content)
    if leaf.message.get_content_maintype() == "message" or recognise(content[:HEAD_BYTES]) == EMAIL:
        return Part(name or _subject_within(leaf.message) or leaf.kind, UNKNOWN, EMAIL, content)
    return Part(name or leaf.kind, UNKNOWN, leaf.kind, content)


def _in_utf8(leaf: Message, content: bytes) -> bytes:
    """A text in the charset that the email names: it stands nowhere else. What is UTF-8 all the same is left as it
    is, and so is whatever is no text."""
    charset = _charset(leaf)
    if leaf.get_content_maintype() != "text" or not charset or document_kind(content) not in (None, "text"):
        return content
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        charset = "utf-16"  # says so by itself
    for name in ("utf-8-sig", charset) if not content.isascii() else (charset,):
        with contextlib.suppress(LookupError, ValueError):
            return content.decode(name).encode()
    return content


def _subject_within(attached: Message) -> str:
    """Of an email that is attached: what people know it by."""
    return next((decoded(inner.get("Subject"))[:120] for inner in parts_of(attached)), "")


def _companion(leaf: Leaf, name: str, content: bytes, shown: str) -> str | None:
    """What travels with mails and is no document: pictures of a signature, cards, keys, other forms of the text."""
    what = document_kind(content)
    if leaf.message.get_content_maintype() == "image" or what in PICTURES or _is_office_picture(leaf, name):
        return "picture" if _is_in_text(leaf, shown) else None
    if leaf.is_alternative and leaf.disposition != "attachment" and leaf.kind.endswith(OTHER_TEXTS):
        return "alternative"
    if leaf.kind == "application/applefile" or name.startswith("._"):
        return "resource"
    if content.startswith(TNEF):
        return "winmail"
    if what not in (None, "text"):
        return None
    if companion := COMPANIONS.get(leaf.kind) or ("winmail" if name.lower() == "winmail.dat" else None):
        return companion
    begin = content[:200].lstrip()
    if companion := next((what for mark, what in PGP_COMPANIONS.items() if begin.startswith(mark)), None):
        return companion
    if name.lower().endswith((".vcf", ".p7s", ".ics", ".sig")):
        return {"vcf": "vcard", "p7s": "signature", "ics": "calendar", "sig": "signature"}[name[-3:].lower()]
    if not content.strip() and leaf.message.get_content_maintype() == "text":
        return "nothing"
    return None


def _is_in_text(leaf: Leaf, shown: str) -> bool:
    inside = str(leaf.message.get("Content-ID", "")).strip().strip("<>")
    place = str(leaf.message.get("Content-Location", "")).strip()
    named = (inside and f"cid:{inside}" in shown) or (place and place in shown)
    # many programs call whatever they attach inline; what a page showed once keeps its mark
    return bool(named) or leaf.is_related or bool(leaf.disposition == "inline" and (inside or place))


def _is_office_picture(leaf: Leaf, name: str) -> bool:
    """What Word puts beside the text that it writes: drawings, a theme, a list of these."""
    return leaf.is_related and name.lower().endswith((".wmz", ".emz", ".mso", ".thmx", ".xml"))


def document_kind(content: bytes) -> str | None:
    """What the first bytes look like, of what may be a document; whether it is a sound one of a kind that is taken is
    judged in a child when it is taken (app.adapters.documents.documents). None: it is none."""
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
