"""How many honest mails are refused? Mails as programs write them, put together by seed, judged like those of a box.

    .tools/venv/bin/python bench/mail_shapes.py [--seed N] [--mails N]

Each mail is one that a person means as a fax: right address, right PIN, one number, one document. How each of these is
written is chosen by chance from what programs, gateways and habits make of it. Beside them, from the same pieces, go
mails that must not become faxes: two senders, two numbers, a wrong PIN, no document. Prints how many of each kind were
accepted, and the shapes of the honest ones that were refused. Ends with 1 where more than one honest mail in 100 is
refused, or one of the others is not.
"""

import argparse
import base64
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.config import Settings
from app.factory import create_app
from app.models import Mail2FaxBox
from app.services.mail2fax.judging import Verdict, judge
from app.services.setup.provisioning import apply_provision_file
from tenants.db import db, utc_now
from tests.documents import pdf

PROVISION = """
tenants:
  - slug: alpha
    name: Alpha Srl
    serial: KPBX40299999
    region: IT
    timezone: Europe/Rome
    outside_prefix: "0"
    fax_channels: 2
    users: [{email: bob@alpha.test, name: Bob, password: "correct horse battery", role: user}]
    templates: [{name: default}]
    mail2fax_boxes:
      - {name: box, email: fax@alpha.test, imap: "imap://mail.alpha.test", username: fax, password: x}
    entities:
      - name: Buchhaltung Süd
        extension: "501"
        template: default
        send: [bob@alpha.test]
        mail2fax: {box: box, authentication: pin, pin: "4711"}
"""
ADDRESS, NUMBER, LINE, PIN = "bob@alpha.test", "+390509655640", "Buchhaltung Süd", "4711"
LETTER = base64.encodebytes(pdf(pages=1, text="A letter")).decode()
LOGO = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

NAMES = [
    "{}", "<{}>", "Bob <{}>", '"Bob" <{}>', "Dr. Bob Rossi <{}>", '"Rossi, Bob" <{}>', "Bob (Pisa) <{}>", "{} (Bob)",
    "=?utf-8?B?Qm9iIELDvHJsZQ==?= <{}>", "=?iso-8859-1?Q?B=FCrle, =20Bob?= <{}>", '"=?utf-8?Q?B=C3=BCrle=2C?=" <{}>',
    "{0} <{0}>", '"{0}" <{0}>', "[Sales] Bob <{}>", "Bob Bürle <{}>", "Bob | Alpha Srl <{}>", "Bob\n <{}>",
    "Bob & Co. <{}>", "Bob's phone <{}>", "'Bob' <{}>",
]  # fmt: skip
NUMBERS = [
    "0509655640", "050 9655640", "050/9655640", "050-965.56.40", "(050) 9655640", "+39 050 9655640", "+390509655640",
    "+39 (0)50 9655640", "0039 050 9655640", "050\u00a09655640", "\uff10\uff15\uff10 9655640", "00509655640",
    "\u202a+39 050 9655640\u202c",
]  # fmt: skip
PUT_BEFORE = ["", "", "", "Re: ", "R: ", "AW: ", "Fwd: ", "[EXTERNAL] ", "[EXT] Re: ", "Fax: ", "fax to: ", "FAX an: "]
LINES = ["", "", f"@{LINE}", "@buchhaltung süd", "@Buchhaltung Su\u0308d", f" @ {LINE}"]
PINS = [
    "PIN 4711", "PIN: 4711", "pin=4711", "PIN4711", "PIN-4711", "*PIN 4711*", "*4711*", "4711", "(4711)", "Pin 4711.",
    "My PIN is 4711.", "PIN\u00a04711", "PIN: *4711*", "PIN 4711, 1 page",
]  # fmt: skip
WORDS = ["", "Please send this.\n\n", "Hi,\n\nas agreed on 3 May 2026.\n\n", "Order 20261\n\n"]
AFTER = [
    "", "\n\nBob Rossi\nVia Roma 12\n56121 Pisa\nTel. +39 050 965564", "\n\n-- \nBob\n56121 Pisa", "\n\nSent by phone",
    "\n\nOn Mon, 23 Nov 2026, Alice <a@b.test> wrote:\n> PIN 1234", "\n\nBob\nP.IVA 01234567890",
]  # fmt: skip
ENCODINGS = ["base64", "BASE64 ", "Base64", "base64 (as ever)", '"base64"']


class Writer:
    """Puts one mail together. ``shape`` says of what."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.shape: list[str] = []

    def pick(self, what: str, choices: list[str]) -> str:
        chosen = self.chance.choice(choices)
        self.shape.append(f"{what} {chosen[:40]!r}")
        return chosen

    def mail(
        self, *, pin: str | None = None, number: str | None = None, sender: str | None = None, letter: bool = True
    ) -> bytes:
        subject = number or self.pick("before", PUT_BEFORE) + self.pick("number", NUMBERS) + self.pick("line", LINES)
        head = f"From: {sender or self.pick('name', NAMES).format(ADDRESS)}\nTo: fax@alpha.test\nSubject: {subject}\n"
        head += "Message-ID: <1@alpha.test>\n"
        head += self.pick("head", ["", "MIME-Version: 1.0\n", "X-Scan: a long\nbroken line;\n", "X-Odd : 1\n"])
        text = self.pick("words", WORDS) + (pin or self.pick("pin", PINS)) + self.pick("after", AFTER)
        body = getattr(self, self.pick("body", ["plain", "page", "both", "named", "pictured"]))(text)
        parts = [body, *([self.letter()] if letter else []), *self.beside()]
        if self.pick("order", ["body first", "letter first"]) == "letter first" and letter:
            parts[0], parts[1] = parts[1], parts[0]
        return (head + "MIME-Version: 1.0\n" + _joined("mixed", *parts)).encode()

    def plain(self, text: str) -> str:
        return f"Content-Type: text/plain; charset=utf-8\n\n{text}\n"

    def page(self, text: str) -> str:
        around = self.pick("page", ["<p>{}</p>", "<html><head><title>x</title><body>{}", "<div><b>{}</b></div>"])
        plain = text.replace("<", "&lt;").replace("\n", "<br>\n")
        return f"Content-Type: text/html; charset=utf-8\n\n{around.format(plain)}\n"

    def both(self, text: str) -> str:
        others = ["text/enriched", "text/x-amp-html", "text/calendar; method=REQUEST", "text/markdown"]
        more = [f"Content-Type: {self.pick('other', others)}\n\nx\n"] if self.chance.random() < 0.3 else []
        return _joined("alternative", self.plain(text), self.page(text), *more)

    def named(self, text: str) -> str:
        return self.plain(text).replace("charset=utf-8", 'charset=utf-8; name="text.txt"')

    def pictured(self, text: str) -> str:
        kind = self.pick("logo", ["image/png", "application/octet-stream"])
        where = self.pick("shown", ["Content-ID: <logo>", "Content-ID: <logo>\nContent-Disposition: inline"])
        logo = f'Content-Type: {kind}; name="logo.png"\n{where}\nContent-Transfer-Encoding: base64\n\n{LOGO}\n'
        return _joined("related", self.page(text) + '<img src="cid:logo">\n', logo)

    def letter(self) -> str:
        kind = self.pick("type", ["application/pdf", "application/octet-stream", "application/x-pdf"])
        place = self.pick("disposition", ["attachment", "attachment", "inline"])
        encoding = self.pick("encoding", ENCODINGS)
        letter = f'Content-Type: {kind}; name="letter.pdf"\nContent-Transfer-Encoding: {encoding}\n'
        letter += f'Content-Disposition: {place}; filename="letter.pdf"\n\n{LETTER}\n'
        if self.chance.random() < 0.15:
            self.shape.append("appledouble")
            fork = 'Content-Type: application/applefile; name="%letter.pdf"\n\nAAUWBw==\n'
            return _joined("appledouble", fork, letter)
        return letter

    def beside(self) -> list[str]:
        kinds = {
            "nothing": "",
            "card": 'Content-Type: text/vcard; name="bob.vcf"\nContent-Disposition: attachment\n\nBEGIN:VCARD\n',
            "rest": 'Content-Type: text/html; name="ATT00001.htm"\nContent-Disposition: attachment\n\n<br>\n',
            "footer": "Content-Type: text/plain\nContent-Disposition: inline\n\n____\nThis mail is confidential.\n",
            "smime": 'Content-Type: application/pkcs7-signature; name="smime.p7s"\n\nx\n',
            "invitation": "Content-Type: text/calendar\n\nBEGIN:VCALENDAR\n",
        }
        found = kinds[self.pick("beside", [*kinds])]
        return [found] if found else []


def _joined(kind: str, *parts: str) -> str:
    edge = f"edge-{kind}"
    body = "".join(f"--{edge}\n{part}" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{edge}"\n\n{body}--{edge}--\n'


def _forbidden(writer: Writer) -> tuple[str, bytes]:
    """A mail that must not become a fax, and why."""
    wrong = {
        "two senders": {
            "sender": writer.chance.choice([f"{ADDRESS}, a@b.test", f"Us: {ADDRESS};", f"a@b.test <{ADDRESS}>"])
        },
        "two numbers": {
            "number": writer.chance.choice(["050 965564/5", "050 965564 / 965565", "0509655640, 0509655641"])
        },
        "words": {"number": writer.chance.choice(["Fax for 0509655640", "0509655640 please", "Re: your fax"])},
        "a wrong PIN": {"pin": writer.chance.choice(["PIN 4712", "4712", "PIN 47110", "56121 Pisa"])},
        "no document": {"letter": False},
    }
    why = writer.chance.choice([*wrong])
    return why, writer.mail(**wrong[why])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mails", type=int, default=2000)
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    chance = random.Random(asked.seed)
    refused: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    accepted, wrongly = 0, []
    with tempfile.TemporaryDirectory() as folder:
        judged = _judge_in(Path(folder))
        for _ in range(asked.mails):
            writer = Writer(chance)
            verdict = judged(writer.mail())
            if verdict.accepted and verdict.to == NUMBER and len(verdict.documents) == 1:
                accepted += 1
                continue
            reason = verdict.reason or f"{len(verdict.documents)} documents to {verdict.to}"
            refused[reason] += 1
            examples.setdefault(reason, writer.shape)
        for _ in range(asked.mails // 4):
            why, raw = _forbidden(Writer(chance))
            wrongly += [why] if judged(raw).accepted else []
    share = 100 * (asked.mails - accepted) / asked.mails
    print(f"{asked.mails} honest mails, seed {asked.seed}: {accepted} accepted, {share:.2f} in 100 refused")
    for reason, count in refused.most_common():
        print(f"  {count:5} {reason}: such as {'; '.join(examples[reason])}")
    print(f"{asked.mails // 4} that must not become faxes: {len(wrongly)} did {dict(Counter(wrongly)) or ''}")
    return int(share > 1 or bool(wrongly))


def _judge_in(folder: Path) -> Callable[[bytes], Verdict]:
    """Judges for the one box of a company that is alone in a database."""
    provision = folder / "provision.yaml"
    provision.write_text(PROVISION, encoding="utf-8")
    told = {"SECRET_KEY": "k" * 40, "FAXROOM_HOME": str(folder), "FAXROOM_SPOOL": str(folder)}
    told |= {"DATABASE_URL": f"sqlite:///{folder}/f.sqlite3", "STORAGE_URL": f"file://{folder}/documents"}
    settings = Settings.from_environment(told)
    create_app(settings, RATELIMIT_STORAGE_URI="memory://").app_context().push()
    db.create_all()
    apply_provision_file(db.session, provision)
    db.session.commit()
    box = db.session.scalars(sa.select(Mail2FaxBox)).one()

    def judged(raw: bytes) -> Verdict:
        return judge(db.session, box, raw, now=utc_now(), settings=settings)

    return judged


if __name__ == "__main__":
    sys.exit(main())
