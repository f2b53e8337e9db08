"""How fast a fax gets to the line, and how fast a hundred get through it, beside the line's own speed.

    FAXROOM_HOME=var .tools/venv/bin/python bench/line.py [--single 9] [--many 100]

Needs the demo of bin/up running with that home and nothing else to do. Faxes go in by the form, over HTTP, and out over
the loop. The same page is then sent as often by bench/raw_ari.py, a plain ARI script with an Asterisk of its own.
"""

import argparse
import io
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docx
import httpx
import sqlalchemy as sa
from reportlab.pdfgen.canvas import Canvas
from running import database_url, settings, unix_seconds

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.config import Settings  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.services.documents.documents import storage  # noqa: E402

HOME = Path(os.environ.get("FAXROOM_HOME", ROOT / "var")).absolute()
TO = "+493023125000"
LONGEST_SECONDS = 300
#: As many as are sent at once: a pool of connections that is smaller would be the queue.
AT_ONCE = 90
CONNECTIONS = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)


def light_pdf() -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=(595, 842))
    canvas.drawString(72, 740, "One light page.")
    canvas.save()
    return target.getvalue()


def light_docx() -> bytes:
    document, target = docx.Document(), io.BytesIO()
    document.add_paragraph("One light page.")
    document.save(target)
    return target.getvalue()


class Sender:
    """Somebody at a browser."""

    def __init__(self, base_url: str, email: str = "bob@alpha.test", *, to: str = TO) -> None:
        self.to = to
        self.http = httpx.Client(base_url=base_url, timeout=150, trust_env=False, limits=CONNECTIONS)
        signed_in = self.http.post(
            "/sign-in",
            data={"email": email, "password": "faxroom-demo", "csrf_token": self._token("/sign-in")},
        )
        if signed_in.status_code != httpx.codes.SEE_OTHER:
            sys.exit(f"{email} could not sign in: {signed_in.status_code}")
        self.form = self.http.get("/faxes/send").text
        self.csrf = self._token("/faxes/send")
        self.entity = re.search(r'name="entity"[^>]*value="(\d+)"|<option value="(\d+)"', self.form)

    def _token(self, path: str) -> str:
        return re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.http.get(path).text)[1]

    def send(self, name: str, content: bytes) -> tuple[str, float]:
        """Id of the fax, and the Unix time at which the request began. Who is asked to come again sends the same form:
        what the web had taken before is no second fax."""
        began = time.time()
        entity = next(filter(None, self.entity.groups()))
        form = {"entity": entity, "to": self.to, "send_at": "", "csrf_token": self.csrf}
        form["submission"] = secrets.token_urlsafe(18)
        answer = self.http.post("/faxes/send", data=form, files={"document": (name, content)})
        while "Retry-After" in answer.headers and time.time() - began < LONGEST_SECONDS:
            time.sleep(int(answer.headers["Retry-After"]))
            answer = self.http.post("/faxes/send", data=form, files={"document": (name, content)})
        if answer.status_code != httpx.codes.SEE_OTHER:
            told = re.findall(r"<li>(.*?)</li>", answer.text)
            sys.exit(f"The fax was not accepted: {answer.status_code} {told[:3]}")
        return answer.headers["Location"].rsplit("/", 1)[1], began


class Watch:
    """Reads the instance's database, where every moment of a fax is written down."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url)

    def rows(self, fax_ids: list[str]) -> list[sa.Row]:
        query = sa.text(
            "SELECT fax.id, fax.status, attempt.ringing_at, attempt.ended_at FROM fax "
            "LEFT JOIN attempt ON attempt.fax_id = fax.id WHERE fax.id IN :ids ORDER BY fax.id, attempt.n"
        ).bindparams(sa.bindparam("ids", expanding=True))
        with self.engine.connect() as connection:
            return list(connection.execute(query, {"ids": fax_ids}))

    def until(self, fax_ids: list[str], done: str) -> list[sa.Row]:
        end = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < end:
            rows = self.rows(fax_ids)
            if len(rows) >= len(fax_ids) and all(getattr(row, done) is not None for row in rows):
                return rows
            time.sleep(0.2)
        sys.exit(f"Not all were over after {LONGEST_SECONDS} s: {[row.status for row in self.rows(fax_ids)]}")


def submit_to_ringing(
    sender: Sender, watch: Watch, name: str, content: bytes, times: int, *, until: str = "ended_at"
) -> list[float]:
    """Seconds from the beginning of the form's request to the ringing at the other end, one fax after the other: the
    next one as soon as ``until`` is known of the one before."""
    taken = []
    for _ in range(times):
        fax_id, began = sender.send(name, content)
        (row,) = watch.until([fax_id], "ringing_at")
        taken.append(unix_seconds(row.ringing_at) - began)
        watch.until([fax_id], until)
    return taken


def many_at_once(
    sender: Sender, watch: Watch, content: bytes, count: int, *, at_once: int = 8
) -> tuple[float, float, int]:
    """Seconds until all were accepted, until the last hang-up, and how many were sent, ``at_once`` forms at a time."""
    began = time.time()
    with ThreadPoolExecutor(at_once) as pool:
        fax_ids = [fax_id for fax_id, _ in pool.map(lambda _: sender.send("page.pdf", content), range(count))]
    accepted = time.time() - began
    rows = watch.until(fax_ids, "ended_at")
    time.sleep(2)
    sent = sum(row.status == "sent" for row in watch.rows(fax_ids))
    return accepted, max(unix_seconds(row.ended_at) for row in rows) - began, sent


def raw(count: int, fax_page: Path) -> dict[str, object]:
    command = [sys.executable, str(ROOT / "bench/raw_ari.py"), "--calls", str(count), "--tiff", str(fax_page), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def prepared_page(watch: Watch, told: dict[str, str], target: Path) -> Path:
    """The page as it is dialled: in the storage it lies sealed."""
    with watch.engine.connect() as connection:
        key = connection.execute(
            sa.text("SELECT storage_key FROM document WHERE kind = 'tiff' ORDER BY id DESC")
        ).scalar()
    with create_app(Settings.from_environment(told)).app_context(), storage().open(key) as page:
        target.write_bytes(page.read())
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--single", type=int, default=5, help="faxes one after the other, of each kind")
    parser.add_argument("--many", type=int, default=100, help="faxes at once")
    parser.add_argument("--at-once", type=int, default=8, help=f"forms of them under way at a time, at most {AT_ONCE}")
    choice = parser.parse_args()
    told = settings(HOME)
    base_url = told.get("FAXROOM_URL") or f"http://127.0.0.1:{told.get('FAXROOM_PORT', '8000')}"
    watch, sender = Watch(database_url(HOME)), Sender(base_url)
    page = light_pdf()
    for name, content in (("page.pdf", page), ("page.docx", light_docx())):
        if choice.single:
            taken = submit_to_ringing(sender, watch, name, content, choice.single)
            print(f"submit to ringing, {name}: median {statistics.median(taken):.2f} s of {len(taken)}, "
                  f"slowest {max(taken):.2f} s", flush=True)  # fmt: skip
    if choice.many:
        accepted, wall, sent = many_at_once(sender, watch, page, choice.many, at_once=choice.at_once)
        print(
            f"{choice.many} at once by Faxroom: {sent} sent, accepted in {accepted:.1f} s, wall {wall:.1f} s",
            flush=True,
        )
        with tempfile.TemporaryDirectory() as folder:
            peer = raw(choice.many, prepared_page(watch, told, Path(folder) / "page.tif"))
        print(f"{choice.many} at once by the plain script: {peer['outcomes']}, wall {peer['wall_seconds']:.1f} s")
        print(f"ratio {wall / peer['wall_seconds']:.2f}")


if __name__ == "__main__":
    main()
