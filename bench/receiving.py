"""How soon a received fax is in the mail, and whether a hundred at once all are, once each, beside a plain script.

    .tools/venv/bin/python bench/receiving.py [--single 7] [--many 100]

Starts all that it needs and stops it: a mail server, an instance with the demo (bin/up), and a fax machine elsewhere,
which is an Asterisk of its own that dials the instance. Two people may receive at the number, so each fax means two
mails. Seconds run from the hang-up, as the receiving Asterisk tells it, to the end of the last mail's data at the
server.

The plain script has an Asterisk of its own that receives without a portal. At each hang-up it runs tiff2pdf and hands
the file to smtplib, twice: no database, no archive, no outbox.
"""

import argparse
import asyncio
import json
import smtplib
import statistics
import subprocess
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import httpx
import raw_ari
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from running import database_url, free_ports, instance, settings
from websockets.asyncio.client import ClientConnection, connect

RECIPIENTS = ("alice@alpha.test", "bob@alpha.test")
LONGEST_SECONDS = 300
WEB, SIP, ARI, FAR_SIP, FAR_ARI, RAW_SIP, RAW_ARI, MAIL_PORT = free_ports(8)
PORTS = {"port": WEB, "sip_port": SIP, "ari_port": ARI}


@dataclass
class Letterbox:
    """A mail server that takes everything and remembers when."""

    mails: list[tuple[float, str, str]] = field(default_factory=list)  # Unix time, recipient, file
    message_ids: Counter[str] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        now, message = time.time(), message_from_bytes(envelope.content)
        file = next((part.get_filename() for part in message.walk() if part.get_filename()), "")
        with self.changed:
            self.mails += [(now, recipient, file) for recipient in envelope.rcpt_tos]
            self.message_ids[message["Message-ID"]] += 1
            self.changed.notify_all()
        return "250 OK"

    def until(self, count: int) -> float:
        """When the mail number ``count`` was here."""
        with self.changed:
            if not self.changed.wait_for(lambda: len(self.mails) >= count, LONGEST_SECONDS):
                raise SystemExit(f"{len(self.mails)} of {count} mails after {LONGEST_SECONDS} s")
            return self.mails[count - 1][0]

    def empty(self) -> None:
        with self.changed:
            self.mails.clear()
            self.message_ids.clear()


@dataclass
class Ear:
    """Listens to an Asterisk that receives: channel id → Unix time of its hang-up."""

    on_received: Callable[[str], None] = lambda channel_id: None
    asked: dict[str, float] = field(default_factory=dict)
    hung_up: dict[str, float] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def listen(self, events: ClientConnection) -> None:
        async for text in events:
            event = json.loads(text)
            at = datetime.fromisoformat(event["timestamp"]).timestamp()
            if event["type"] == "ChannelHangupRequest":
                self.asked.setdefault(event["channel"]["id"], at)
            elif (told := event.get("userevent", {})).get("eventname") == "FaxReceived" and told[
                "Fax"
            ] not in self.hung_up:
                fields = told["Result"].split("|")
                if fields[0] == "ended":
                    self.hung_up[told["Fax"]] = min(at, self.asked.get(told["Fax"], at))
                    self.outcomes[fields[5]] += 1
                    self.on_received(told["Fax"])

    async def until(self, count: int) -> None:
        async with asyncio.timeout(LONGEST_SECONDS):
            while len(self.hung_up) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def hearing(port: int, user: str, password: str, ear: Ear) -> AsyncIterator[Ear]:
    token = b64encode(f"{user}:{password}".encode()).decode()
    url = f"ws://127.0.0.1:{port}/ari/events?app=bench"
    headers = {"Authorization": f"Basic {token}"}
    async with connect(url, additional_headers=headers, max_size=None, proxy=None) as events:
        only = {"allowed": [{"type": "ChannelUserevent"}, {"type": "ChannelHangupRequest"}]}
        async with httpx.AsyncClient(auth=(user, password), trust_env=False) as http:
            bench = f"http://127.0.0.1:{port}/ari/applications/bench"
            (await http.post(f"{bench}/subscription", params={"eventSource": "channel:"})).raise_for_status()
            (await http.put(f"{bench}/eventFilter", json=only)).raise_for_status()
        listening = asyncio.create_task(ear.listen(events))
        yield ear
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


@asynccontextmanager
async def machine(home: Path, sip_port: int, ari_port: int, trunk: str = "loop") -> AsyncIterator[httpx.AsyncClient]:
    """An Asterisk without a portal."""
    process = raw_ari.start_asterisk(home, sip_port, ari_port, trunk)
    try:
        auth, base = (raw_ari.USER, raw_ari.PASSWORD), f"http://127.0.0.1:{ari_port}"
        async with httpx.AsyncClient(base_url=base, auth=auth, timeout=30, trust_env=False) as http:
            await raw_ari.until_it_answers(http)
            yield http
    finally:
        process.terminate()
        process.wait(30)


@dataclass(frozen=True)
class Figures:
    after_hang_up: list[float]  # one fax after the other: seconds to the last of its mails
    many_wall: float  # from the first request to the last mail
    many_after: float  # from the last hang-up to the last mail
    outcomes: Counter[str]
    mails: int
    twice: int


async def measure(dial: httpx.AsyncClient, ear: Ear, box: Letterbox, tiff: Path, *, single: int, many: int) -> Figures:
    taken = []
    for number in range(single):
        box.empty()
        heard = len(ear.hung_up)
        await raw_ari.place(dial, 1, tiff, f"single{number}")
        await ear.until(heard + 1)
        arrived = await asyncio.to_thread(box.until, len(RECIPIENTS))
        taken.append(arrived - max(ear.hung_up.values()))
    box.empty()
    ear.hung_up.clear()
    ear.outcomes.clear()
    began, last = time.time(), 0.0
    if many:
        await raw_ari.place(dial, many, tiff, "many")
        await ear.until(many)
        last = await asyncio.to_thread(box.until, many * len(RECIPIENTS))
        await asyncio.sleep(3)  # for what would come twice
    return Figures(
        after_hang_up=taken,
        many_wall=last - began,
        many_after=last - max(ear.hung_up.values(), default=0.0),
        outcomes=ear.outcomes,
        mails=len(box.mails),
        twice=len(box.mails) - len({mail[1:] for mail in box.mails}),
    )


async def by_faxroom(home: Path, box: Letterbox, tiff: Path, single: int, many: int) -> tuple[Figures, list[sa.Row]]:
    told = settings(home)
    trunk = f"sip:127.0.0.1:{SIP}"
    async with (
        machine(home.parent / "far", FAR_SIP, FAR_ARI, trunk) as dial,
        hearing(
            ARI,
            told.get("ARI_USER", "faxroom"),
            Path(told["ARI_PASSWORD_FILE"]).read_text().strip(),
            Ear(),
        ) as ear,
    ):
        figures = await measure(dial, ear, box, tiff, single=single, many=many)
    with sa.create_engine(database_url(home)).connect() as connection:
        query = "SELECT status, count(*) FROM fax WHERE direction = 'received' GROUP BY status"
        return figures, list(connection.execute(sa.text(query)))


async def by_script(home: Path, box: Letterbox, tiff: Path, single: int, many: int) -> Figures:
    incoming = home / "spool/faxroom/incoming"

    def mail(channel_id: str) -> None:
        pdf = incoming / f"{channel_id}.pdf"
        subprocess.run(["tiff2pdf", "-o", pdf, incoming / f"{channel_id}.tif"], check=True)
        for recipient in RECIPIENTS:
            message = EmailMessage()
            message["Subject"], message["From"], message["To"] = "FAX", "fax@localhost", recipient
            message.set_content("FAX received\n")
            message.add_attachment(pdf.read_bytes(), maintype="application", subtype="pdf", filename=pdf.name)
            with smtplib.SMTP("127.0.0.1", MAIL_PORT) as server:
                server.send_message(message)

    with ThreadPoolExecutor(2) as pool:
        ear = Ear(on_received=lambda channel_id: pool.submit(mail, channel_id))
        async with (
            machine(home, RAW_SIP, RAW_ARI) as dial,
            hearing(RAW_ARI, raw_ari.USER, raw_ari.PASSWORD, ear),
        ):
            return await measure(dial, ear, box, tiff, single=single, many=many)


def report(name: str, figures: Figures) -> None:
    if figures.after_hang_up:
        median, worst = statistics.median(figures.after_hang_up), max(figures.after_hang_up)
        count = len(figures.after_hang_up)
        print(f"{name}: hang-up to mail, median {median:.2f} s of {count}, slowest {worst:.2f} s")
    if figures.outcomes:
        print(
            f"{name}: at once {dict(figures.outcomes)}, {figures.mails} mails, {figures.twice} of them twice; "
            f"all {figures.many_wall:.1f} s after the first request, {figures.many_after:.2f} s after the last hang-up",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--single", type=int, default=7, help="faxes one after the other")
    parser.add_argument("--many", type=int, default=100, help="faxes at once")
    choice = parser.parse_args()
    box = Letterbox()
    postman = Controller(box, hostname="127.0.0.1", port=MAIL_PORT)
    postman.start()
    try:
        with tempfile.TemporaryDirectory(prefix="fx-") as name:
            folder = Path(name)
            tiff, counts = raw_ari.light_page(folder / "page.tif"), {"single": choice.single, "many": choice.many}
            with instance(folder / "home", SMTP_URL=f"smtp://127.0.0.1:{MAIL_PORT}", **PORTS):
                ours, rows = asyncio.run(by_faxroom(folder / "home", box, tiff, **counts))
            report("Faxroom", ours)
            print(f"Faxroom: in the fax module {dict(tuple(row) for row in rows)}", flush=True)
            report("Plain script", asyncio.run(by_script(folder / "raw", box, tiff, **counts)))
    finally:
        postman.stop()


if __name__ == "__main__":
    main()
