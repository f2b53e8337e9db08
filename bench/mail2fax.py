"""How fast waiting mails become faxes, and how soon after a mail the telephone rings, beside a plain script.

    .tools/venv/bin/python bench/mail2fax.py [--messages 1000] [--boxes 10] [--workers 2] [--single 11] [--home DIR]

Starts all that it needs and stops it: an instance with boxes of its own in a real Dovecot (bin/up with
FAXROOM_IMAP_PORT). Mails ask for the PIN and carry a one-page PDF.

*Ringing*: a mail is handed in over SMTP, the collector waits with IDLE; seconds until the other end rings, from the
attempt's row. *Waiting*: preparation and dialing are stopped, the messages lie in the boxes, the workers
(``worker.py collect``) are started; seconds from their start, imports and all, until each message has its fax and lies
in the folder of those that are done. Each message must have become one fax.

The plain script has as many processes. Each fetches, parses, writes the PDF to a file with fsync and moves the message:
no rules, no database, no check of the document.
"""

import argparse
import imaplib
import io
import json
import mailbox
import os
import smtplib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formatdate
from multiprocessing import Process
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
import yaml
from reportlab.pdfgen.canvas import Canvas
from running import ROOT, database_url, free_ports, instance, settings, unix_seconds

PASSWORD, PIN, FAR_NUMBER = "faxroom-demo", "4711", "+493023125000"
LONGEST_SECONDS = 600


def letter(name: str) -> bytes:
    """One page of text."""
    target = io.BytesIO()
    canvas = Canvas(target)
    for line in range(40):
        canvas.drawString(72, 780 - 17 * line, f"{name}: line {line} of a letter as people send it by fax.")
    canvas.save()
    return target.getvalue()


def mail(box: str, n: int) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "bob@alpha.test", box, FAR_NUMBER
    message["Message-ID"], message["Date"] = f"<bench-{n}@alpha.test>", formatdate()
    message.set_content(f"PIN: {PIN}\n\nPlease send this.\n")
    message.add_attachment(letter(f"{box} {n}"), maintype="application", subtype="pdf", filename=f"letter-{n}.pdf")
    return message


def provision(home: Path, boxes: list[str], imap_port: int) -> Path:
    """One entity for each box, and a number of another company at which a fax machine answers."""
    bob = "bob@alpha.test"
    tenant = {"region": "IT", "timezone": "Europe/Rome", "fax_channels": len(boxes)}
    alpha = tenant | {"slug": "alpha", "name": "Alpha Srl", "serial": "KPBX40299999"}
    alpha |= {"users": [{"email": bob, "name": "Bob", "password": PASSWORD}], "templates": [{"name": "default"}]}
    alpha["mail2fax_boxes"] = [
        {"name": box, "email": box, "imap": f"imap://127.0.0.1:{imap_port}", "username": box, "password": PASSWORD}
        for box in boxes
    ]
    alpha["entities"] = [
        {"name": f"line {n}", "extension": str(500 + n), "template": "default", "send": [bob]}
        | {"mail2fax": {"box": box, "authentication": "pin", "pin": PIN}}
        for n, box in enumerate(boxes)
    ]
    beta = tenant | {"slug": "beta", "name": "Beta GmbH", "serial": "KPBX40288888", "region": "DE", "fax_channels": 1}
    beta |= {"templates": [{"name": "default"}]}
    beta["entities"] = [{"name": "reception", "extension": "601", "number": FAR_NUMBER, "template": "default"}]
    file = home / "bench.yaml"
    file.write_text(yaml.safe_dump({"tenants": [alpha, beta]}))
    return file


class Bench:
    def __init__(self, home: Path, imap_port: int) -> None:
        self.home, self.imap_port = home, imap_port
        self.engine = sa.create_engine(database_url(home))
        self.environment = os.environ | settings(home)

    def scalar(self, query: str, **values: object) -> object:
        with self.engine.connect() as connection:
            return connection.execute(sa.text(query), values).scalar()

    def until(self, query: str, count: int) -> float:
        """When the query first gives so many."""
        end = time.time() + LONGEST_SECONDS
        while (found := self.scalar(query)) < count:
            if time.time() > end:
                raise SystemExit(f"{found} of {count} after {LONGEST_SECONDS} s: {query}")
            time.sleep(0.05)
        return time.time()

    def supervisor(self, act: str, *programs: str) -> None:
        control = ROOT / ".tools/venv/bin/supervisorctl"
        subprocess.run([control, "-c", self.home / "supervisord.conf", act, *programs], check=True, capture_output=True)

    def put(self, box: str, message: EmailMessage) -> None:
        mailbox.Maildir(self.home / "mailboxes/boxes" / box, create=True).add(message.as_bytes())


# ---- Mail to ringing


def ringing(bench: Bench, box: str, count: int) -> list[float]:
    server = urlsplit(bench.environment["SMTP_URL"])
    bench.until("SELECT count(*) FROM box_state WHERE idle", 1)
    seconds = []
    for n in range(count):
        with smtplib.SMTP(server.hostname, server.port) as smtp:
            smtp.send_message(mail(box, 1_000_000 + n))
            handed_in = time.time()
        bench.until("SELECT count(*) FROM attempt WHERE ringing_at IS NOT NULL", n + 1)
        rang = bench.scalar("SELECT max(ringing_at) FROM attempt")
        seconds.append(unix_seconds(rang) - handed_in)
        bench.until("SELECT count(*) FROM fax WHERE direction = 'sent' AND finished_at IS NOT NULL", n + 1)
    return seconds


# ---- Messages that wait


@contextmanager
def workers(bench: Bench, count: int) -> Iterator[None]:
    command = [ROOT / ".tools/venv/bin/python", ROOT / "worker.py", "collect"]
    with (bench.home / "bench-collect.log").open("wb") as log:
        started = [subprocess.Popen(command, env=bench.environment, stdout=log, stderr=log) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def waiting(bench: Bench, boxes: list[str], count: int, worker_count: int) -> dict[str, object]:
    for n in range(count):
        bench.put(boxes[n % len(boxes)], mail(boxes[n % len(boxes)], n))
    before = bench.scalar("SELECT count(*) FROM mail_message")
    faxes = bench.scalar("SELECT count(*) FROM fax")
    began = time.time()
    with workers(bench, worker_count):
        took = bench.until("SELECT count(*) FROM mail_message WHERE filed_at IS NOT NULL", before + count) - began
        time.sleep(3)  # for a second fax of something to show
    made = bench.scalar("SELECT count(*) FROM fax") - faxes
    accepted = bench.scalar("SELECT count(*) FROM mail_message WHERE fate = 'accepted'")
    left = sum(1 for box in boxes for _ in (bench.home / "mailboxes/boxes" / box / "cur").iterdir())
    return {
        "seconds": round(took, 1),
        "a_second": round(count / took, 1),
        "faxes": made,
        "none_twice": made == count == accepted - before,
        "left_in_inbox": left,
    }


# ---- The plain script


def plain_worker(port: int, boxes: list[str], folder: str) -> None:
    for box in boxes:
        client = imaplib.IMAP4("127.0.0.1", port)
        client.login(box, PASSWORD)
        client.create("Plain")
        client.select("INBOX")
        for uid in client.uid("SEARCH", "ALL")[1][0].split():
            raw = client.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]
            message = message_from_bytes(raw, policy=policy.default)
            for part in message.iter_attachments():
                with (Path(folder) / f"{box}-{uid.decode()}.pdf").open("wb") as file:
                    file.write(part.get_content())
                    file.flush()
                    os.fsync(file.fileno())
            client.uid("MOVE", uid, "Plain")
        client.logout()


def plain(bench: Bench, boxes: list[str], count: int, worker_count: int) -> dict[str, object]:
    for n in range(count):
        bench.put(boxes[n % len(boxes)], mail(boxes[n % len(boxes)], 2_000_000 + n))
    with tempfile.TemporaryDirectory() as folder:
        began = time.time()
        shares = [boxes[n::worker_count] for n in range(worker_count)]
        processes = [Process(target=plain_worker, args=(bench.imap_port, share, folder)) for share in shares]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        took = time.time() - began
        files = len(list(Path(folder).iterdir()))
    return {"seconds": round(took, 1), "a_second": round(count / took, 1), "files": files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--boxes", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--single", type=int, default=11)
    parser.add_argument("--home", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fx-bench-") as folder:
        home = options.home or Path(folder) / "home"
        home.mkdir(parents=True, exist_ok=True)
        boxes = [f"box{n}@alpha.test" for n in range(options.boxes)]
        port, sip_port, ari_port, imap_port = free_ports(4)
        more = {"FAXROOM_IMAP_PORT": str(imap_port), "FAXROOM_PROVISION": str(provision(home, boxes, imap_port))}
        with instance(home, port=port, sip_port=sip_port, ari_port=ari_port, **more):
            bench = Bench(home, imap_port)
            result: dict[str, object] = {}
            if options.single:
                seconds = ringing(bench, boxes[0], options.single)
                median = round(statistics.median(seconds), 2)
                result["mail_to_ringing"] = {"median_seconds": median, "all": [round(s, 2) for s in sorted(seconds)]}
            if options.messages:
                bench.supervisor("stop", "collect", "clock", "jobs")
                result["waiting"] = waiting(bench, boxes, options.messages, options.workers)
                result["plain_script"] = plain(bench, boxes, options.messages, options.workers)
    print(json.dumps(result, indent=1))
    sys.exit(0)


if __name__ == "__main__":
    main()
