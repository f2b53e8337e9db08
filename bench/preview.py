"""How soon the first page of a document is seen in the send form, and whether looking at it delays the fax.

    FAXROOM_HOME=var .tools/venv/bin/python bench/preview.py [--rounds 11]

Needs the demo of bin/up running with that home and nothing else to do. Bob does over HTTP what his browser does: the
upload, then questions at the rhythm that the form is given, then the first thumbnail; the time is from the beginning of
the upload to the end of the thumbnail. Beside it the same page is drawn by the same program here, without upload,
database, queue and storage. Then faxes go out in turn with the pages looked at before and without: submit to ringing.
The next goes as soon as one rings: each is on the line for half a minute, with nobody waiting for it.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from html import unescape
from pathlib import Path

import httpx
from running import ROOT, database_url, settings, unix_seconds

sys.path.insert(0, str(ROOT))

from app.adapters.fax_files.page_pictures import fax_page_png
from app.adapters.pages.rasterizer import rasterize
from app.services.documents.pictures import THUMBNAIL
from bench.line import HOME, TO, Sender, Watch, light_docx, light_pdf

LONGEST_SECONDS = 60
ASKS = re.compile(r'id="preview-state" hx-get="([^"]+)" hx-trigger="every (\d+)(ms|s)"')
THUMB = re.compile(r'<img src="([^"]+pages/1\.png[^"]*)"')
DRAFT = re.compile(r'name="draft" value="([^"]+)"')
PREVIEW = re.compile(r'name="preview" value="([^"]+)"')


class Looker(Sender):
    """Bob, who looks before he sends."""

    @property
    def line(self) -> str:
        return next(filter(None, self.entity.groups()))

    def look(self, name: str, content: bytes) -> tuple[float, dict[str, str]]:
        """Seconds until the first thumbnail is there, and what the form holds when all pages are."""
        began, seen = time.monotonic(), 0.0
        answer = self.http.post(
            "/faxes/send/document",
            data={"entity": self.line, "draft": "", "csrf_token": self.csrf},
            files={"document": (name, content)},
            headers={"HX-Request": "true"},
        )
        draft, text = DRAFT.search(answer.text)[1], answer.text
        while time.monotonic() - began < LONGEST_SECONDS:
            if not seen and (thumb := THUMB.search(text)):
                assert self.http.get(unescape(thumb[1])).status_code == httpx.codes.OK
                seen = time.monotonic() - began
            asks = ASKS.search(text)
            if not asks:
                return seen, {"draft": draft, "preview": PREVIEW.search(text)[1]}
            text = self._more(*asks.groups()) or text
        sys.exit(f"{name} was not drawn: {text}")

    def _more(self, path: str, number: str, unit: str) -> str:
        time.sleep(int(number) / (1000 if unit == "ms" else 1))
        return self.http.get(f"{unescape(path)}&entity={self.line}", headers={"HX-Request": "true"}).text

    def send_looked_at(self, held: dict[str, str]) -> tuple[str, float]:
        began = time.time()
        data = {"entity": self.line, "to": TO, "send_at": "", "csrf_token": self.csrf, **held}
        answer = self.http.post("/faxes/send", data=data)
        if answer.status_code != httpx.codes.SEE_OTHER:
            sys.exit(f"The fax was not accepted: {answer.status_code}")
        return answer.headers["Location"].rsplit("/", 1)[1], began


def rings(watch: Watch, fax_id: str, began: float) -> float:
    (row,) = watch.until([fax_id], "ringing_at")
    return unix_seconds(row.ringing_at) - began


def drawn_here(content: bytes) -> float:
    """Seconds to draw a page and its thumbnail with nothing around it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "page.pdf").write_bytes(content)
        began = time.monotonic()
        rasterize(folder / "page.pdf", folder / "page.tif")
        fax_page_png(folder / "page.tif", 1, THUMBNAIL)
        return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    told = settings(HOME)
    base_url = told.get("FAXROOM_URL") or f"http://127.0.0.1:{told.get('FAXROOM_PORT', '8000')}"
    watch, bob = Watch(database_url(HOME)), Looker(base_url)
    documents = {"page.pdf": light_pdf(), "page.docx": light_docx()}
    drawn_here(documents["page.pdf"])  # the workshop opens
    bare = statistics.median(drawn_here(documents["page.pdf"]) for _ in range(rounds))
    for name, content in documents.items():
        bob.look(name, content)
        seen = [bob.look(name, content)[0] for _ in range(rounds)]
        median = statistics.median(seen)
        print(f"upload to first thumbnail, {name}: median {median:.2f} s of {rounds}, slowest {max(seen):.2f} s, "
              f"{median / bare:.1f} of drawing it here ({bare:.2f} s)", flush=True)  # fmt: skip
    for name, content in documents.items():
        looked, plain = [], []
        for _ in range(rounds):
            looked.append(rings(watch, *bob.send_looked_at(bob.look(name, content)[1])))
            plain.append(rings(watch, *bob.send(name, content)))
        with_it, without = statistics.median(looked), statistics.median(plain)
        print(f"submit to ringing, {name}, median of {rounds}: looked at {with_it:.2f} s, not {without:.2f} s, "
              f"ratio {with_it / without:.2f}", flush=True)  # fmt: skip
    print(f"Load of this machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
