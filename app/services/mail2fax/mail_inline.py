"""Inline PGP (RFC 9580, sections 6 and 7): a clear-signed or sealed block in the text of a mail, and documents that are
sealed one by one.

Such a mail has no signature over the whole: whoever has two of them could pair the text of one with the document of the
other. So the signed text has to name the SHA-256 of every document, in their order, and nothing else binds: signatures
of the documents themselves do not count. Of the mail's text only what is inside of the block is looked at.
"""

import hashlib
import re
from dataclasses import dataclass, field
from email.message import Message
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

from app.adapters.mail.pgp_mail import MOST_OUTPUT, Opened, Signature, open_message
from app.errors import PermanentFailure
from app.rules.mail2fax.mail_text import own_text
from app.services.mail2fax.mail_parts import (
    Leaf,
    body_of,
    document_kind,
    is_crowded,
    is_document,
    leaves_of,
    raw_bytes,
)

#: Each costs a run of gpg.
MOST_SEALED = 10
_MARK = re.compile(rb"^-----((?:BEGIN|END) PGP (?:SIGNED MESSAGE|SIGNATURE|MESSAGE))-----[ \t]*\r?$", re.MULTILINE)
_CLEAR_SIGNED = [b"BEGIN PGP SIGNED MESSAGE", b"BEGIN PGP SIGNATURE", b"END PGP SIGNATURE"]
_MESSAGE = [b"BEGIN PGP MESSAGE", b"END PGP MESSAGE"]
_SHA256 = re.compile(r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{64}(?![0-9A-Fa-f])")
#: gpg leaves what is beyond 19,998 bytes of a line out of what it verifies.
LONGEST_LINE = 19_000
_HASH = re.compile(rb"Hash:[A-Za-z0-9, \t-]{1,100}")
#: Packets that a message begins with (RFC 9580, section 5): no document begins so. gpg 2.4 does not compress what is
#: compressed already, and a PDF is found behind them.
_OF_MESSAGES = {1, 3, 4, 8, 9, 18, 20}
_WRAPPED_NAME = re.compile(r"\.(?:pgp|gpg|asc)$", re.IGNORECASE)


@dataclass(frozen=True)
class OpenedMail:
    """What is to be believed of a mail: its entity after decrypting (of an inline one the text of the block, and what
    is attached, opened), and what its signature covers.

    ``covers_text``: the text is inside of what is signed or sealed; ``binds``: so are the documents, together with it.
    ``encrypted``: all that counts was.
    """

    entity: Message
    encrypted: bool = False
    fault: str | None = None
    signature: Signature = field(default_factory=lambda: Signature("missing"))
    signed: bytes = b""
    covers_text: bool = False
    binds: bool = True


def open_inline(entity: Message, keys: list[str], private_key: str | None) -> OpenedMail | None:
    """None if there is no inline PGP in it.

    Raises:
        TemporaryFailure: gpg does not answer.
    """
    leaves = list(leaves_of(entity))
    texts = [raw_bytes(leaf.message) for leaf in leaves if leaf.kind == "text/plain" and leaf.is_body]
    blocks = list(filter(_MARK.search, texts))
    sealed = [leaf.message for leaf in leaves if not leaf.is_body and _is_message(leaf.message)]
    if is_crowded(entity) or (not blocks and not sealed):
        return None
    if len(blocks) > 1 or len(sealed) > MOST_SEALED or (blocks and _marks(blocks[0]) not in (_CLEAR_SIGNED, _MESSAGE)):
        return OpenedMail(entity, signature=Signature("several"), binds=False)
    try:
        text = _open_block(blocks[0], keys, private_key) if blocks else None
        opened = _open_all(sealed, private_key)
    except PermanentFailure:  # whose, or what is wrong with it, is nobody's business
        fault = "mail_not_decrypted" if private_key else "mail_box_without_key"
        return OpenedMail(Message(), True, fault, binds=False)
    return _put_together(entity, leaves, text, opened)


@dataclass(frozen=True)
class _Block:
    content: bytes
    encrypted: bool
    signature: Signature


def _open(message: bytes, keys: list[str], private_key: str | None) -> _Block:
    """Sealed for the box, or only signed: without the box's key nothing that is sealed opens."""
    if private_key:
        try:
            return _block(open_message(message, keys, private_key), encrypted=True)
        except PermanentFailure:
            pass
    return _block(open_message(message, keys, None), encrypted=False)


def _open_all(sealed: list[Message], private_key: str | None) -> dict[int, _Block]:
    """All of a mail may be as much as one of its documents: it is held in memory."""
    opened: dict[int, _Block] = {}
    for leaf in sealed:
        opened[id(leaf)] = _open(raw_bytes(leaf), [], private_key)
        if sum(len(block.content) for block in opened.values()) > MOST_OUTPUT:
            raise PermanentFailure("mail_not_decrypted")
    return opened


def _block(opened: Opened, *, encrypted: bool) -> _Block:
    return _Block(opened.content, encrypted, opened.signature)


def _open_block(text: bytes, keys: list[str], private_key: str | None) -> _Block:
    """What stands around it is not looked at. A clear-signed text may have been sealed as a whole."""
    marks = list(_MARK.finditer(text))
    block = text[marks[0].start() : marks[-1].end()] + b"\n"
    if _marks(block) == _CLEAR_SIGNED:
        return _open_clear_signed(block, keys, encrypted=False)
    opened = _open(block, keys, private_key)
    within = opened.content.strip()
    if opened.encrypted and opened.signature.fault == "missing" and _marks(within) == _CLEAR_SIGNED:
        first, *_between, last = _MARK.finditer(within)
        if (first.start(), last.end()) == (0, len(within)):
            return _open_clear_signed(within + b"\n", keys, encrypted=True)
    return opened


def _open_clear_signed(block: bytes, keys: list[str], *, encrypted: bool) -> _Block:
    if not _is_well_formed(block):
        return _Block(b"", encrypted, Signature("bad"))
    try:
        return _block(open_message(block, keys, None), encrypted=encrypted)
    except PermanentFailure:
        return _Block(b"", encrypted, Signature("bad"))


def _is_well_formed(block: bytes) -> bool:
    """RFC 9580, section 7.1, to the letter: nothing that one program takes for signed and another one leaves out."""
    head, _empty, rest = block.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = rest.partition(b"\n-----BEGIN PGP SIGNATURE-----")[0].split(b"\n")
    escaped = all(line.startswith(b"- ") for line in lines if line.startswith(b"-"))
    short = all(len(line) <= LONGEST_LINE for line in lines)
    return b"\0" not in block and escaped and short and all(map(_HASH.fullmatch, head.split(b"\n")[1:]))


def _put_together(entity: Message, leaves: list[Leaf], text: _Block | None, opened: dict[int, _Block]) -> OpenedMail:
    words = _decode(text.content) if text else body_of(entity)
    whole = MIMEMultipart()
    whole.attach(MIMEText(words.encode("utf-8", "replace").decode(), "plain", "utf-8"))
    digests, all_sealed = [], not own_text(words).strip() if text is None else text.encrypted
    for leaf in leaves:
        if leaf.is_body:
            continue
        block, content = opened.get(id(leaf.message)), raw_bytes(leaf.message)
        if block:
            part = MIMEApplication(block.content)
            name = _WRAPPED_NAME.sub("", leaf.message.get_filename() or "")
            part.add_header("Content-Disposition", "attachment", filename=name or "document")
            whole.attach(part)
        else:
            whole.attach(leaf.message)
        inside = block.content if block else content
        if block or is_document(leaf, ""):
            digests.append({_sha256(content), _sha256(inside)})
            all_sealed = all_sealed and block is not None and block.encrypted
    some_sealed = bool(text and text.encrypted) or any(block.encrypted for block in opened.values())
    named = [found.lower() for found in _SHA256.findall(own_text(words))] if text else []
    return OpenedMail(
        entity=whole,
        encrypted=all_sealed and some_sealed,
        signature=text.signature if text else Signature("partial" if _is_signed(opened) else "missing"),
        signed=text.content if text else b"",
        covers_text=text is not None,
        binds=len(named) == len(digests) and all(name in digest for name, digest in zip(named, digests, strict=True)),
    )


def _marks(text: bytes) -> list[bytes]:
    return [mark[1] for mark in _MARK.finditer(text)]


def _is_message(leaf: Message) -> bool:
    """By content: armored, or named like one and beginning as a packet does (RFC 9580, section 4.2)."""
    content = raw_bytes(leaf)
    if content.lstrip().startswith(b"-----BEGIN PGP MESSAGE-----"):
        return True
    named = _WRAPPED_NAME.search(leaf.get_filename() or "")
    if not named or len(content) <= 2 or content[0] < 0x80:
        return False
    tag = content[0] & 0x3F if content[0] & 0x40 else (content[0] & 0x3F) >> 2
    return tag in _OF_MESSAGES or document_kind(content) in (None, "text")


def _is_signed(opened: dict[int, _Block]) -> bool:
    return any(block.signature.fault != "missing" for block in opened.values())


def _decode(content: bytes) -> str:
    """The charset that the mail names is not signed: whoever changes it must not change a digit."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
