"""What a file is, by its first bytes. Names and MIME types are hearsay.

The one detector: what a document is judged by (:mod:`app.adapters.documents.documents`) and what attachments of a mail
are told apart by. Of containers (``ole``, ``zip``) it takes a look inside, which is for a child.
"""

import re

#: First bytes → what it is: a name of :mod:`app.kinds`, or something that is not taken.
SIGNATURES = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"%!PS": "postscript",
    b"\xc5\xd0\xd3\xc6": "postscript",
    b"MZ": "program",
    b"\x7fELF": "program",
    b"\xffWPC": "wordperfect",
    b"Rar!": "archive",
    b"7z\xbc\xaf": "archive",
    b"\x1f\x8b": "archive",
    b"BZh": "archive",
    b"\xfd7zXZ": "archive",
    b"\x28\xb5\x2f\xfd": "archive",
    b"AT&TFORM": "djvu",
    b"8BPS": "photoshop",
    b"ITSF": "help",
    b"ID3": "sound",
    b"OggS": "sound",
}
#: Brands of the ISO base media file format (ISO/IEC 14496-12, 4.3) that hold a still picture coded as HEVC.
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body")
WEB_PIECE = (b"<meta", b"<script", b"<table", b"<iframe", b"<img", b"<style", b"<div", b"<p>", b"<p ", b"<br")
MIME = (b"mime-version:", b"content-type: multipart/related")
EMAIL = re.compile(rb"^(return-path|received|delivered-to|x-[a-z-]+|message-id|from|date|subject|to):[^\n]*\n[a-z-]+:")
#: What no text has, but for tabs, ends of lines and of pages, and escape.
CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r\f\x1b\x1a")) + b"\x7f"
HEAD_BYTES = 4096


def recognise(head: bytes) -> str:
    """``head`` are the first :data:`HEAD_BYTES` of the file: a kind that is taken, ``ole`` or ``zip``, ``text``, or
    what else it is; ``unknown``."""
    start = _plain(head)
    if start.startswith(b"{\\rtf"):
        return "rtf"
    for signature, what in SIGNATURES.items():
        if head.startswith(signature):
            return what
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "bmp"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return "heic" if head[8:12] in HEIC else "avif" if head[8:12] in (b"avif", b"avis") else "film"
    return _text_kind(head, start)


def _text_kind(head: bytes, start: bytes) -> str:
    if any(mark in start for mark in WEB_PAGE) or start.startswith((*WEB_PIECE, *MIME)):
        return "html"
    if start.startswith(b"<"):
        return "svg" if b"<svg" in start else "xml"
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if start.startswith(b"-----begin pgp "):
        return "pgp"
    if EMAIL.match(start.replace(b"\r\n", b"\n")):
        return "email"
    return "text" if is_text(head) else "unknown"


def is_text(data: bytes) -> bool:
    """Whether somebody could read it as it is."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.replace(b"\0", b"")
    return len(data.translate(None, CONTROLS)) == len(data)


def _plain(head: bytes) -> bytes:
    """The start of a text in lower case without byte order mark, in one byte a character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.replace(b"\0", b"")[2:]
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
