"""How soon the first page of a fax is seen in the viewer, and what a picture of a page costs, beside plain decoding.

    .tools/venv/bin/python bench/viewer.py [--rounds 15]

Starts an instance with the demo and stops it. Chromium opens the viewer of a fax of one page and of one of fifty, in
turn, each time with an empty cache; the time is that at which it has painted the first page. Pictures are asked for
over HTTP from the same instance; beside them Pillow and pdfium make the same picture from the TIFF and from the PDF,
in one process, without asking who wants it.
"""

import argparse
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pikepdf
import pypdfium2 as pdfium
from PIL import Image
from playwright.sync_api import sync_playwright
from running import free_ports, instance

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.adapters.pages.rasterizer import rasterize  # noqa: E402
from app.services.documents.pictures import WIDTHS  # noqa: E402
from bench.documents.pages import TEXT_PAGES, office_page, photograph, photograph_page, text_page  # noqa: E402
from tests.browser.desk import ALICE, BETA, CHROMIUM, Desk, cancel, fax_id, fill, submit, wait_for_status  # noqa: E402

PASSWORD = "faxroom-demo"
LONG, PAGE = 50, 25
PAINTS = """
window.paints = [];
new PerformanceObserver(list => window.paints.push(...list.getEntries().map(it => [it.url, it.startTime])))
  .observe({type: "largest-contentful-paint", buffered: true});
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    web, sip, ari = free_ports(3)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        with instance(folder / "home", port=web, sip_port=sip, ari_port=ari):
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
            desk = Desk(browser, f"http://127.0.0.1:{web}", PASSWORD)
            with scheduled(desk, folder, 1) as short, scheduled(desk, folder, LONG) as long:
                first_pages(desk, short, long, rounds)
                pictures(desk, long, folder, rounds)
            browser.close()
    print(f"Load of this machine at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


@contextmanager
def scheduled(desk: Desk, folder: Path, pages: int) -> Iterator[str]:
    """A fax of so many mixed pages that is prepared and waits for the day after tomorrow."""
    page = desk.open("/faxes/send", who=ALICE)
    later = (datetime.now() + timedelta(days=2)).strftime("%Y-%m-%dT12:00")
    fill(page, to=BETA, line="frontdesk", at=later, document=mixed(folder / f"{pages}.pdf", pages))
    submit(page)
    wait_for_status(page, "scheduled")
    yield fax_id(page)
    cancel(page)


def mixed(path: Path, pages: int) -> Path:
    """A letter with a table, text, a photograph, and again."""
    kinds = [office_page(), text_page(TEXT_PAGES["black"])[0], photograph_page(photograph("portrait"))]
    sources = [pikepdf.open(io.BytesIO(kind)) for kind in kinds]
    with pikepdf.new() as document:
        for index in range(pages):
            document.pages.append(sources[index % len(sources)].pages[0])
        document.save(path)
    return path


# ---- The first page


def first_pages(desk: Desk, short: str, long: str, rounds: int) -> None:
    seen: dict[str, list[float]] = {short: [], long: []}
    asked: dict[str, int] = {}
    for _ in range(rounds):
        for fax in (short, long):
            milliseconds, asked[fax] = first_page(desk, fax)
            seen[fax].append(milliseconds)
    medians = {fax: statistics.median(times) for fax, times in seen.items()}
    print(f"The first page is painted, milliseconds from the click, median of {rounds} (slowest)")
    for fax, name in ((short, "1 page"), (long, f"{LONG} pages")):
        print(f"  {name:10} {medians[fax]:6.0f} ({max(seen[fax]):.0f})   pictures asked for: {asked[fax]}")
    print(f"  ratio      {medians[long] / medians[short]:6.2f}\n")


def first_page(desk: Desk, fax: str) -> tuple[float, int]:
    before = desk.opened
    page = desk.open("/faxes", who=ALICE)
    page.add_init_script(PAINTS)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/pages/" in request.url else None)
    page.goto(f"{desk.url}/faxes/{fax}/view", wait_until="networkidle")
    paints = [at for url, at in page.evaluate("window.paints") if "/pages/1.png" in url]
    desk.close(keep=before)
    return paints[0], len(asked)


# ---- One picture


def pictures(desk: Desk, fax: str, folder: Path, rounds: int) -> None:
    pdf, tiff = folder / f"{LONG}.pdf", folder / "long.tif"
    rasterize(pdf, tiff)
    page = desk.open(f"/faxes/{fax}/view", who=ALICE)
    cookies = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}
    with httpx.Client(base_url=desk.url, cookies=cookies, trust_env=False) as http:
        print(f"A picture of page {PAGE} of {LONG}, milliseconds, median of {rounds}")
        print(
            f"  {'pixels across':14} {'Faxroom, over HTTP':>20} {'Pillow, TIFF':>14} {'pdfium, PDF':>13} {'bytes':>9}"
        )
        for width in WIDTHS:
            path = f"/faxes/{fax}/pages/{PAGE}.png?width={width}"
            ways = [lambda path=path: fetched(http, path)]
            ways += [lambda width=width: by_pillow(tiff, width), lambda width=width: by_pdfium(pdf, width)]
            ours, pillow, pdfiums = (timed(way, rounds) for way in ways)
            print(f"  {width:<14} {ours:20.1f} {pillow:14.1f} {pdfiums:13.1f} {fetched(http, path):9}")
        views = timed(lambda: fetched(http, f"/faxes/{fax}/view"), rounds)
        print(f"  the viewer's page of {LONG} pages itself: {views:.1f} ms\n")


def fetched(http: httpx.Client, path: str) -> int:
    answer = http.get(path)
    answer.raise_for_status()
    return len(answer.content)


def by_pillow(tiff: Path, width: int) -> int:
    with Image.open(tiff) as image:
        image.seek(PAGE - 1)
        size = (width, round(image.height * width / image.width))
        drawn = image.convert("L").resize(size, Image.Resampling.BILINEAR) if width < image.width else image
        return as_png(drawn)


def by_pdfium(pdf: Path, width: int) -> int:
    with pdfium.PdfDocument(pdf) as document:
        page = document[PAGE - 1]
        return as_png(page.render(scale=width / page.get_width(), grayscale=True).to_pil())


def as_png(image: Image.Image) -> int:
    target = io.BytesIO()
    image.save(target, format="PNG")
    return len(target.getvalue())


def timed(way: Callable[[], object], rounds: int) -> float:
    way()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        way()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    main()
