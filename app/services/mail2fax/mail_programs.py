"""Which mail program wrote a mail, so that its writer is told what to do there. Proves nothing and decides nothing."""

import re
from email.message import Message

from app.rules.words.mail_steps import APPLE, GMAIL, OUTLOOK, THUNDERBIRD

#: What a program writes of itself, header by header. Exchange takes the first away and leaves traces of its own.
_SAID = (
    ("X-Mailer", r"outlook", OUTLOOK),
    ("X-Mailer", r"apple mail|i(?:phone|pad) mail", APPLE),
    ("User-Agent", r"outlook", OUTLOOK),
    ("User-Agent", r"thunderbird|betterbird", THUNDERBIRD),
    ("Message-ID", r"@mail\.gmail\.com>?\s*$", GMAIL),
    ("X-MS-Has-Attach", r"", OUTLOOK),
    ("Thread-Index", r"", OUTLOOK),
)


def program_of(mail: Message) -> str | None:
    """One of app.rules.words.mail_steps, or None."""
    for header, words, program in _SAID:
        value = mail.get(header)
        if value is not None and re.search(words, str(value)[:500], re.IGNORECASE):
            return program
    return None
