"""The SMTP side of :mod:`mailboxes`: a mail is kept as before, and lands in the mailbox of each recipient.

    PYTHONPATH=bin/lib python -m aiosmtpd -n -l HOST:PORT -c mail_catcher.Mailboxes MAILDIR BOXES

Byte for byte as it came: a signature covers every blank of it.
"""

import mailbox
import re
from argparse import ArgumentParser
from email.utils import formatdate
from pathlib import Path
from typing import Any

from aiosmtpd.handlers import Mailbox
from mailboxes import mailbox_of

#: What it calls itself in Authentication-Results (RFC 8601); the demo's boxes know it by this name.
NAME = "mail.faxroom.test"


_TEST_DOMAIN = re.compile(r"[a-z0-9.-]+\.test")


class Mailboxes(Mailbox):
    def __init__(self, kept: Path, boxes: Path) -> None:
        super().__init__(kept)
        self.boxes = boxes

    @classmethod
    def from_cli(cls, parser: ArgumentParser, *arguments: str) -> "Mailboxes":
        if len(arguments) != 2:
            parser.error("give the maildir of all mails and the folder of the mailboxes")
        kept, boxes = arguments
        return cls(Path(kept), Path(boxes))

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.original_content or envelope.content
        for address in envelope.rcpt_tos:
            if path := mailbox_of(self.boxes, address):
                mailbox.Maildir(path, create=True).add(_traced(content, envelope.mail_from, address))
        return await super().handle_DATA(server, session, envelope)


def _traced(content: bytes, sender: str | None, recipient: str) -> bytes:
    """With the lines that a server adds (RFC 5321, 4.4). Only this machine can hand anything in here, and domains of
    ``test`` (RFC 6761) are nobody else's: it may send for them."""
    trace = f"Return-Path: <{sender or ''}>\r\nDelivered-To: {recipient}\r\n"
    domain = (sender or "").rpartition("@")[2].lower()
    found = f"spf=pass smtp.mailfrom={domain}" if _TEST_DOMAIN.fullmatch(domain) else "none"
    trace += f"Authentication-Results: {NAME}; {found}\r\n"
    trace += f"Received: by faxroom.invalid with SMTP; {formatdate()}\r\n"
    return trace.encode("utf-8", "replace") + content
