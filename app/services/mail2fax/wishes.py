"""What an email that was handed in says, however often a program writes it anew."""

import hashlib
from collections.abc import Iterator
from email.message import Message

from app.rules.mail2fax.ledger import message_digest, message_id
from app.services.mail2fax.mail_parts import content_of, decoded, leaves_of, parse

#: Of the head, what a fax follows from.
SAID = ("From", "Subject", "Auto-Submitted")


def wish_digest(raw: bytes) -> str:
    """Hex. One wish are emails with one Message-ID (RFC 5322, 3.6.4), or
    without any one with the same date, that say and bring the same. Other boundaries, transfer encodings, foldings and
    headers of the way make no second one. A document that is sent once more has an ID or a date of its own.
    """
    try:
        mail = parse(raw)
        digest = hashlib.sha256()
        for field in _fields_of(mail, raw):
            digest.update(b"%d " % len(field) + field)  # so that nothing runs into what is next
        return digest.hexdigest()
    except Exception:  # whatever a hostile mail makes of the libraries that read it
        return message_digest(raw)


def _fields_of(mail: Message, raw: bytes) -> Iterator[bytes]:
    which = message_id(raw) or "date " + " ".join(str(mail.get("Date", "")).split())
    for text in (which, *(decoded(mail.get(name)) for name in SAID)):
        yield text.encode("utf-8", "surrogatepass")
    for leaf in leaves_of(mail):
        part = leaf.message
        for text in (leaf.kind, leaf.disposition, decoded(part.get_filename() or "")):
            yield text.encode("utf-8", "surrogatepass")
        yield _content(part)


def _content(part: Message) -> bytes:
    """Without what servers change at the ends of a text's lines."""
    content = part.as_bytes() if part.is_multipart() else content_of(part)
    return content.replace(b"\r\n", b"\n").rstrip() if part.get_content_maintype() == "text" else content
