"""Whether the page that arrives is the page that was given: tone, words, seconds of line, time and memory.

    .tools/venv/bin/python bench/fidelity.py [--seed N] [--pages N] [--kinds a,b] [--words] [--peers]
                                             [--views N] [--clock N] [--cache DIR] [--worst DIR] [--files PDF ...]

The pages are those of bench/documents/corpus.py, or the first ones of ``--files``. Beside them, in the same run, go
``pdftoppm -mono`` and Ghostscript.

- *Tone*: a patch is off where the mean ink of 6 x 6 mm differs from the mean darkness of the grey page by more than a
  third of full black. The grey page is drawn by pdfium for print at the fax's dots. A sheet that was scanned or
  photographed is compared with the clean sheet in the same place, a millimetre of displacement granted; what lies
  around the sheet does not count, nor does tone that is not in the scan any more, nor black where the scan itself is
  nearly black. Of ``--files`` the grey page is the one that is printed (:mod:`app.adapters.pdf.print_view`): what is
  hidden, or meant for a screen alone, is not on paper.
- *Words* (``--words``): of those that tesseract reads on the grey page at 200 dots to the inch, how many does it read
  on the fax, brought to square pixels. It misses clean words by chance, each time others: what counts is whether one of
  six views shows the word, sharp or blurred by 0.8 or 1.2 pixels, taken apart in one of two ways, the same six for
  everyone (``--views 2`` takes the first two alone, in half the time). Beside it stands what those two gave, sharp or
  blurred by 1.2, whichever gave more. Figures count, and words that the corpus is made of: not the nonsense that is
  read in hatches and photographs, nor halves of words.
  ``grey`` is what is read on the grey page at the fax's own dots, which is about what can be expected.
- *Seconds* are those on the line at 14,400 bit/s with error correction.
- *Milliseconds* are those of a page in a document of ten, by the clock: of one page ten times, and of the corpus in
  documents of ten. Beside them, one after the other, ``pdftoppm -mono`` draws the same documents at the same dots: its
  time says how fast this machine is just now. *Memory* is the peak of the child that draws, as the kernel keeps it.
"""

import argparse
import hashlib
import io
import itertools
import json
import math
import multiprocessing
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.adapters.confined.isolation import workshop_pid
from app.adapters.fax_files.fax_tiff import DOTS_ACROSS, DOTS_DOWN, LENGTHS, WIDTH, decode, encode, read_pages
from app.adapters.pages.rasterizer import rasterize
from app.adapters.pages.sheets import usual_sheets
from app.adapters.pdf.print_view import as_printed
from app.errors import FaxroomError
from bench.children import Peak
from bench.documents.corpus import ALL_KINDS, Page, draw, plan
from bench.documents.press import VOCABULARY

ROOT = Path(__file__).resolve().parents[1]
Darkness = NDArray[np.float32]
Ink = NDArray[np.bool_]

ROWS = LENGTHS["A4"]
#: Bits to the second, and what error correction adds to the page: the office rate of a fax.
RATE, ECM_OVERHEAD = 14_400, 1.05
#: The most by which a small page is enlarged.
LARGEST_SCALE = 4.0
FINE = DOTS_DOWN["fine"]
PRINT = raw.FPDF_ANNOT | raw.FPDF_PRINTING

#: A patch in dots across and down, and from one patch to the next: 6 mm and 3 mm at 204 x 196 to the inch.
PATCH, STEP = (48, 46), (24, 23)
TOLERANCE = 1 / 3
#: From this mean darkness on a patch of a scan is nearly black: its scanner's doing, whatever the sheet is.
NEARLY_BLACK = 1 - TOLERANCE / 2
#: Dots by which a tilted sheet may be displaced against the clean one: a millimetre.
SLACK = 8

READING_DOTS = 200
#: Pixels by which views are blurred; of the first two alone the better one is told as well.
BLURS = (0, 1.2, 0.8)
#: How tesseract takes a page apart: 11 is words wherever they are, 6 a block of lines. Those are the ways by which it
#: reads most words and least nonsense on the grey pages; 3 leaves out what it takes for a picture.
SEGMENTATION, SEGMENTATION_OF_SHEETS = "11", "6"
WORD = re.compile(r"[a-z0-9]{3,}")

#: What the issue asks for.
SECONDS_ALLOWED, RECALL_WANTED, MILLISECONDS_ALLOWED, MEGABYTES_ALLOWED = 95, 0.95, 60, 187

#: To be raised when a peer is called otherwise, or read otherwise: what was kept of it is then made anew.
KEPT_VERSION = 2
PEERS = ("pdftoppm", "ghostscript")


@dataclass(frozen=True)
class Place:
    """Where a page lies on the fax, in dots: as large as it fits, centred, at the top, upright."""

    left: int
    columns: int
    rows: int
    scale: float
    turned: bool


@dataclass
class Judged:
    """What one program made of one page. ``off`` are the patches that are off: left, top, ink, darkness. ``found`` are
    the words that are read in any view, ``at_once`` those in the better of two."""

    seconds: float
    off: list[tuple[int, int, float, float]] = field(default_factory=list)
    found: int = 0
    at_once: int = 0
    missed: list[str] = field(default_factory=list)


@dataclass
class Verdict:
    kind: str
    seed: int
    wanted: int
    by: dict[str, Judged]
    failure: str = ""


def main() -> None:
    choice = _choice()
    kinds = _kinds(choice.kinds)
    pages = list(_foreign(choice.files)) if choice.files else plan(choice.seed, choice.pages, kinds)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), choice.cache
        for each in (cache, choice.worst):
            if each:
                each.mkdir(parents=True, exist_ok=True)
        _sources()
        judge = partial(
            judged, views=choice.views if choice.words else 0, peers=choice.peers, cache=cache, folder=folder
        )
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            verdicts = list(_progress(pool.map(judge, pages), len(pages)))
        report(verdicts, words=choice.words)
        print(f"  judged in {time.perf_counter() - began:.0f} s")
        measured = speed(verdicts, folder, cache, each=choice.clock) if choice.clock >= 0 else None
        goals(verdicts, measured, words=choice.words)
        if choice.worst:
            show_worst(verdicts, choice.worst, cache, count=choice.show)


def _choice() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of the corpus; 1 unless told")
    parser.add_argument("--pages", type=int, default=312, help="312 unless told: 12 of each kind, 24 scans")
    parser.add_argument("--kinds", default="", help=f"some of: {', '.join(ALL_KINDS)}")
    parser.add_argument("--words", action="store_true", help="have words read: a second or two for each reading")
    parser.add_argument("--views", type=int, default=6, help="by which words are read; 6 unless told")
    parser.add_argument("--peers", action="store_true", help="have the peers draw as well, and be read")
    parser.add_argument("--clock", type=int, default=1, help="pages of each kind to be timed ten times; -1: no timing")
    parser.add_argument("--cache", type=Path, help="a folder for pages, readings and what peers made")
    parser.add_argument("--worst", type=Path, help="a folder for pictures of the worst pages: grey, ours, pdftoppm")
    parser.add_argument("--files", type=Path, nargs="+", default=[], help="PDFs of others, instead of the corpus")
    parser.add_argument("--show", type=int, default=12, help="how many of the worst")
    return parser.parse_args()


def _kinds(named: str) -> tuple[str, ...]:
    kinds = tuple(part.strip() for part in named.split(",") if part.strip())
    if unknown := set(kinds) - set(ALL_KINDS):
        sys.exit(f"No such kind: {', '.join(sorted(unknown))}. There are: {', '.join(ALL_KINDS)}")
    return kinds


def _progress(results: Iterable[Verdict], total: int) -> Iterable[Verdict]:
    for number, result in enumerate(results, 1):
        if sys.stderr.isatty():
            print(f"\r  {number} of {total}", end="", file=sys.stderr)
        yield result
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)


# ---- The corpus, kept


def page_of(kind: str, seed: int, cache: Path | None) -> Page:
    """Drawn, or as it was drawn by the same sources before; of a file, which is its own kind, as it is."""
    if kind not in ALL_KINDS:
        return _page_of_file(Path(kind))
    if cache is None:
        return draw(kind, seed)
    stem = hashlib.sha256(f"{_sources()} {kind} {seed}".encode()).hexdigest()[:24]
    folder = cache / "pages"
    parts = [folder / f"{stem}.{part}.pdf" for part in ("page", "paper", "sheet")]
    if not (folder / f"{stem}.done").exists():
        folder.mkdir(exist_ok=True)
        page = draw(kind, seed)
        for path, data in zip(parts, (page.pdf, page.paper, page.sheet), strict=True):
            if data is not None:
                path.write_bytes(data)
        (folder / f"{stem}.done").touch()
    pdf, paper, sheet = (path.read_bytes() if path.exists() else None for path in parts)
    return Page(kind, seed, pdf or b"", paper, sheet)


def _page_of_file(path: Path) -> Page:
    with tempfile.TemporaryDirectory() as folder:
        printed = as_printed(path, Path(folder) / "printed.pdf").read_bytes()
    return Page(str(path), 0, path.read_bytes(), printed=printed)


def _foreign(paths: list[Path]) -> Iterator[tuple[str, int]]:
    """Kind and seed as of a page of the corpus, for each file whose first page becomes one sheet."""
    for path in paths:
        try:
            size = pdfium.PdfDocument(_page_of_file(path).shown).get_page_size(0)
        except pdfium.PdfiumError as error:
            print(f"  {path} is left out: {error}")
            continue
        if usual_sheets(*size):
            yield str(path), 0
        else:
            print(f"  {path} is left out: its first page is not one sheet")


@lru_cache
def _sources() -> str:
    """Stands for all that decides what a page looks like; as it was when this program began."""
    sources = sorted((ROOT / "bench/documents").glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


class Kept:
    """Answers by name in a folder; asked for anew each time without one."""

    def __init__(self, cache: Path | None) -> None:
        self.folder = cache / "answers" if cache else None
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)

    def get(self, name: str, make: Callable[[], Any]) -> Any:
        if self.folder is None:
            return make()
        path = self.folder / f"{hashlib.sha256(f'{KEPT_VERSION} {name}'.encode()).hexdigest()[:32]}.json"
        if path.exists():
            return json.loads(path.read_text())
        answer = make()
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_text(json.dumps(answer))
        unfinished.replace(path)
        return answer


# ---- One page, judged


def judged(one: tuple[str, int], *, views: int, peers: bool, cache: Path | None, folder: Path) -> Verdict:
    page, kept = page_of(*one, cache), Kept(cache)
    pdf = folder / f"{os.getpid()}.pdf"
    pdf.write_bytes(page.pdf)
    name = hashlib.sha256(page.pdf).hexdigest()
    place, known = place_of(page.shown), Known(page)
    way = SEGMENTATION_OF_SHEETS if page.is_paper else SEGMENTATION
    wanted: Counter[str] = Counter()
    if views:
        read = kept.get(f"{name} wanted {way}", lambda: read_words(upright(page.shown), READING_DOTS, way))
        wanted = Counter(word for word in read if word in VOCABULARY or word.isdigit())

    def of(ink: Ink) -> Judged:
        own = Judged(seconds=seconds_of(ink), off=patches_off(ink, known))
        if views:
            own.found, own.at_once, own.missed = recalled(squared(ink, place), wanted, way, kept, views)
        return own

    verdict = Verdict(page.kind, page.seed, sum(wanted.values()), {})
    try:
        verdict.by["ours"] = of(ours(pdf, folder))
    except FaxroomError as error:
        verdict.failure = error.code
        verdict.by["ours"] = of(np.zeros((ROWS, WIDTH), dtype=bool))
    if not peers:
        return verdict
    vocabulary = hashlib.sha256(" ".join(sorted(VOCABULARY)).encode()).hexdigest()[:8]
    for peer, make in (("pdftoppm", pdftoppms), ("ghostscript", ghostscripts)):
        answer = kept.get(
            f"{name} {known.name} {peer} {f'{way} {vocabulary} {BLURS} {views}' if views else 'no words'}",
            lambda make=make: asdict(of(make(pdf, place, folder))),
        )
        verdict.by[peer] = Judged(**answer)
    if views:
        shown = squared(grey(page.shown, place), place)
        verdict.by["grey"] = Judged(0, [], *recalled(shown, wanted, way, kept, views))
    return verdict


def place_of(pdf: bytes) -> Place:
    """As the fax places it; a page that lies across is turned."""
    document = pdfium.PdfDocument(pdf)
    width, height = document[0].get_size()
    turned = width > height
    if turned:
        width, height = height, width
    scale = min(WIDTH / DOTS_ACROSS * 72 / width, ROWS / FINE * 72 / height, LARGEST_SCALE)
    columns, rows = round(width * scale * DOTS_ACROSS / 72), round(height * scale * FINE / 72)
    columns, rows = min(WIDTH, columns), min(ROWS, rows)
    return Place((WIDTH - columns) // 2, columns, rows, scale, turned)


def grey(pdf: bytes, place: Place) -> NDArray[np.uint8]:
    """What a printer would be given, at the fax's dots; 255 is white. Mixed in colour, then turned to grey."""
    document = pdfium.PdfDocument(pdf)
    if document.get_formtype():
        document.init_forms()
    page = document[0]
    bitmap = pdfium.PdfBitmap.new_native(WIDTH, ROWS, raw.FPDFBitmap_BGRx)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, WIDTH, ROWS)
    where = (place.left, 0, place.columns, place.rows, 1 if place.turned else 0)
    raw.FPDF_RenderPageBitmap(bitmap, page, *where, PRINT)
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, bitmap, page, *where, PRINT)
    return np.asarray(Image.frombuffer("RGB", (WIDTH, ROWS), bitmap.to_numpy(), "raw", "BGRX", 0, 1).convert("L"))


class Known:
    """The truth about a page's tone: darkness (1 is black), and where it is known."""

    def __init__(self, page: Page) -> None:
        place = place_of(page.shown)
        plane = grey(page.paper or page.shown, place)
        dark = 1 - plane.astype(np.float32) / 255
        sums = _sums(dark)
        self.slack = SLACK if page.paper else 0
        shifts = (-self.slack, 0, self.slack) if self.slack else (0,)
        around = [_window_means(sums, across, down) for across in shifts for down in shifts]
        self.low, self.high = np.minimum.reduce(around), np.maximum.reduce(around)
        if page.paper:  # what the scanner has not kept is on no fax, and what it has made black is black on all
            given = _window_means(_sums(1 - grey(page.pdf, place).astype(np.float32) / 255))
            self.low = np.minimum(self.low, given)
            self.high = np.where(given >= NEARLY_BLACK, np.maximum(self.high, given), self.high)
        self.counts = np.ones(self.low.shape, dtype=bool)
        if page.sheet:
            beside = _sums((grey(page.sheet, place) < 250).astype(np.float32))
            for across in shifts:
                for down in shifts:
                    self.counts &= _window_means(beside, across, down) == 0
        parts = page.paper or page.printed, page.sheet, page.paper and page.pdf
        self.name = hashlib.sha256(b"".join(part or b"" for part in parts)).hexdigest()[:16]


def _sums(plane: Darkness) -> NDArray[np.float64]:
    """What stands above and to the left of each dot, added up."""
    sums = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
    np.cumsum(np.cumsum(plane, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    return sums


def _window_means(sums: NDArray[np.float64], across: int = 0, down: int = 0) -> NDArray[np.float64]:
    """Of every patch, displaced by so many dots and cut at the edge of the page."""
    height, width = sums.shape[0] - 1, sums.shape[1] - 1
    top, left = np.arange(0, height - PATCH[1] + 1, STEP[1]), np.arange(0, width - PATCH[0] + 1, STEP[0])
    above, below = (np.clip(top + edge + down, 0, height)[:, None] for edge in (0, PATCH[1]))
    before, behind = (np.clip(left + edge + across, 0, width)[None] for edge in (0, PATCH[0]))
    total = sums[below, behind] - sums[above, behind] - sums[below, before] + sums[above, before]
    means = total / ((below - above) * (behind - before))
    return np.where(means < 1e-9, 0, means)


def patches_off(ink: Ink, known: Known) -> list[tuple[int, int, float, float]]:
    means = _window_means(_sums(ink.astype(np.float32)))
    off = known.counts & ((means > known.high + TOLERANCE) | (means < known.low - TOLERANCE))
    return [
        (int(column) * STEP[0], int(row) * STEP[1], float(means[row, column]), float(known.high[row, column]))
        for row, column in np.argwhere(off)
    ]


def seconds_of(ink: Ink) -> float:
    strip = encode(np.packbits(ink, axis=1).tobytes(), rows=len(ink), dots_down=FINE).strip
    return len(strip) * 8 * ECM_OVERHEAD / RATE


# ---- The ways to a fax


def ours(pdf: Path, folder: Path) -> Ink:
    target = folder / f"{os.getpid()}.tif"
    rasterize(pdf, target)
    return _on_page(~np.asarray(decode(next(read_pages(target)))))


def _on_page(ink: Ink, left: int = 0) -> Ink:
    """Cut or filled up to the size of the fax."""
    page = np.zeros((ROWS, WIDTH), dtype=bool)
    rows, columns = min(ROWS, ink.shape[0]), min(WIDTH - left, ink.shape[1])
    page[:rows, left : left + columns] = ink[:rows, :columns]
    return page


def _dots(place: Place) -> tuple[float, float]:
    """To the inch across and down of the page as it lies in the PDF."""
    dots = DOTS_ACROSS * place.scale, FINE * place.scale
    return dots[::-1] if place.turned else dots


def _turned(image: Image.Image, place: Place) -> Ink:
    ink = np.asarray(image.convert("L")) < 128
    return _on_page(np.rot90(ink, -1) if place.turned else ink, place.left)


def pdftoppms(pdf: Path, place: Place, folder: Path) -> Ink:
    across, down = _dots(place)
    target = folder / f"{os.getpid()}.mono"
    command = ["pdftoppm", "-mono", "-rx", f"{across:.4f}", "-ry", f"{down:.4f}", "-singlefile", str(pdf), str(target)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    with Image.open(target.with_name(target.name + ".pbm")) as image:
        return _turned(image, place)


def ghostscripts(pdf: Path, place: Place, folder: Path) -> Ink:
    across, down = _dots(place)
    target = folder / f"{os.getpid()}.gs.tif"
    command = ["gs", "-q", "-dSAFER", "-dNOPAUSE", "-dBATCH", "-sDEVICE=tiffg4", "-dAdjustWidth=0"]
    command += [f"-r{across:.4f}x{down:.4f}", f"-sOutputFile={target}", str(pdf)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Image.open(target) as image:
        return _turned(image, place)


# ---- Words


def upright(pdf: bytes) -> Image.Image:
    """The grey page in square pixels, as a reader holds it."""
    document = pdfium.PdfDocument(pdf)
    if document.get_formtype():
        document.init_forms()
    page = document[0]
    width, height = (math.ceil(edge * READING_DOTS / 72) for edge in page.get_size())
    bitmap = pdfium.PdfBitmap.new_native(width, height, raw.FPDFBitmap_BGRx)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    raw.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, PRINT)
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, bitmap, page, 0, 0, width, height, 0, PRINT)
    return bitmap.to_pil().convert("L")


def squared(plane: NDArray, place: Place) -> Image.Image:
    """A fax, or a grey page at its dots, with as many dots down as across, turned back as a reader holds it."""
    pixels = np.where(plane, 0, 255).astype(np.uint8) if plane.dtype == bool else plane
    pixels = pixels[: place.rows, place.left : place.left + place.columns]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image = image.resize((image.width, round(image.height * DOTS_ACROSS / FINE)), Image.Resampling.BICUBIC)
    return image.transpose(Image.Transpose.ROTATE_90) if place.turned else image


def recalled(image: Image.Image, wanted: Counter[str], way: str, kept: Kept, views: int) -> tuple[int, int, list[str]]:
    """How many of the words were read in any view, how many in the better of two, and those that never were."""
    read: Counter[str] = Counter()
    at_once = 0
    other = SEGMENTATION if way == SEGMENTATION_OF_SHEETS else SEGMENTATION_OF_SHEETS
    for number, (segmented, blur) in enumerate(itertools.islice(itertools.product((way, other), BLURS), views)):
        if read == wanted:
            break  # better cannot be
        seen = image.filter(ImageFilter.GaussianBlur(blur)) if blur else image
        name = f"{hashlib.sha256(seen.tobytes()).hexdigest()} {seen.size} {segmented}"
        words = kept.get(name, lambda seen=seen, segmented=segmented: read_words(seen, DOTS_ACROSS, segmented))
        found = wanted & Counter(words)
        read |= found
        if number < 2:
            at_once = max(at_once, found.total())
    return read.total(), at_once, sorted((wanted - read).elements())


def read_words(image: Image.Image, dots: int, way: str) -> list[str]:
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=1)
    answer = subprocess.run(
        ["tesseract", "-", "-", "--psm", way, "--dpi", str(dots)],
        input=data.getvalue(),
        capture_output=True,
        check=True,
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
    )
    return WORD.findall(answer.stdout.decode().lower())


# ---- Time and memory

#: Milliseconds a page, ours and pdftoppm's: by the clock and of the processor.
Times = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Measured:
    """Medians in milliseconds a page, by the clock; the peak in megabytes of 2^20 bytes. ``peer`` is what pdftoppm
    takes for a page of the corpus; ``ratios`` the medians of how many times that we take, document by document, by the
    clock and of the processor."""

    alone: float
    joined: float
    peak: float
    peer: float
    ratios: tuple[float, float]


def speed(verdicts: list[Verdict], folder: Path, cache: Path | None, *, each: int) -> Measured:
    """``each`` pages of each kind ten times, and the whole corpus ten by ten."""
    drawn = [verdict for verdict in verdicts if not verdict.failure]
    pages = [page_of(verdict.kind, verdict.seed, cache).pdf for verdict in drawn]
    target, path = folder / "speed.tif", folder / "speed.pdf"
    rasterize(_joined(pages[:1], path), target)  # the workshop opens
    alone: dict[str, list[Times]] = {}
    for verdict, pdf in zip(drawn, pages, strict=True):
        times = alone.setdefault(verdict.kind, [])
        if len(times) < each:
            times.append(_milliseconds(_joined([pdf] * 10, path), target, 10, times=2))
    joined, peak = [], 0.0
    for start in range(0, len(pages), 10):
        some = pages[start : start + 10]
        with Peak(0.001) as watch:
            rasterize(_joined(some, path), target)
        peak = max(peak, watch.peak)
        joined.append(_milliseconds(path, target, len(some), times=1))
    print(
        "\nMilliseconds a page, medians (pages ten times, then the corpus ten by ten)"
        f"\n{'':22}{'by the clock':>26}{'of the processor':>26}\n{'':22}"
        + f"{'ours':>8} {'pdftoppm':>8} {'times':>8}"
        * 2
    )
    alone["median"] = [one for times in alone.values() for one in times]
    for name, times in (*alone.items(), ("corpus", joined)):
        if times:
            cells = []
            for part, ratio in enumerate(_ratios(times)):
                own, peer = (statistics.median(one[whose][part] for one in times) for whose in (0, 1))
                cells.append(f"{own:8.0f} {peer:8.0f} {ratio:8.2f}")
            print(f"  {name:20}{''.join(cells)}")
    print(f"  a child's peak {peak:14.0f} MB")
    print(f"  load of this machine meanwhile: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    median = statistics.median(own[0] for own, _peer in alone["median"]) if alone["median"] else 0.0
    wall, peer = (statistics.median(one[whose][0] for one in joined) for whose in (0, 1))
    return Measured(median, wall, peak, peer, _ratios([*alone["median"], *joined]))


def _ratios(times: list[Times]) -> tuple[float, float]:
    """By the clock and of the processor."""
    clock, processor = (statistics.median(own[part] / peer[part] for own, peer in times) for part in (0, 1))
    return clock, processor


def _joined(pages: list[bytes], path: Path) -> Path:
    with pikepdf.new() as document:
        opened = {pdf: pikepdf.open(io.BytesIO(pdf)) for pdf in pages}
        for pdf in pages:
            document.pages.append(opened[pdf].pages[0])
        document.save(path)
    return path


def _milliseconds(pdf: Path, target: Path, pages: int, *, times: int) -> Times:
    """Of a page; the best times, as other work only ever adds to them."""
    runs, peers = [], []
    for _ in range(times):
        began, used = time.perf_counter(), _seconds_of_children(workshop_pid())
        rasterize(pdf, target)
        spent = _seconds_of_children(workshop_pid()) - used
        runs.append(((time.perf_counter() - began) * 1000 / pages, spent * 1000 / pages))
        peers.append(tuple(seconds * 1000 / pages for seconds in _seconds_of_pdftoppm(pdf, target.with_suffix(""))))
    return min(runs), min(peers)


def _seconds_of_pdftoppm(pdf: Path, target: Path) -> tuple[float, float]:
    command = ["pdftoppm", "-mono", "-rx", str(DOTS_ACROSS), "-ry", str(FINE), str(pdf), str(target)]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    spent, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent, used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime


def _seconds_of_children(pid: int) -> float:
    """User and system time of the children that were waited for; proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


# ---- What is said of it


def report(verdicts: list[Verdict], *, words: bool) -> None:
    names = [name for name in ("ours", *PEERS) if name in verdicts[0].by]
    head = f"{'':20} pages" + "".join(f"{name:>12}" for name in names)
    print("Patches of 6 mm that are off (on so many pages)")
    print(head)
    for kind, some in _by_kind(verdicts):
        cells = []
        for name in names:
            counts = [len(verdict.by[name].off) for verdict in some]
            cells.append(f"{sum(counts)} ({sum(count > 0 for count in counts)})" if any(counts) else "0")
        print(f"  {kind:18} {len(some):5}" + "".join(f"{cell:>12}" for cell in cells))
    print("\nSeconds of line, median and worst")
    print(head)
    for kind, some in _by_kind(verdicts):
        cells = []
        for name in names:
            spent = [verdict.by[name].seconds for verdict in some]
            cells.append(f"{statistics.median(spent):.0f} {max(spent):5.0f}")
        print(f"  {kind:18} {len(some):5}" + "".join(f"{cell:>12}" for cell in cells))
    if words:
        print("\nWords read in any view (in the better of the first two)")
        all_names = [*names, *(["grey"] if "grey" in verdicts[0].by else [])]
        print(f"{'':20} pages" + "".join(f"{name:>16}" for name in all_names))
        for kind, some in _by_kind(verdicts):
            shares = [(recall(some, name), recall(some, name, at_once=True)) for name in all_names]
            cells = "".join(f"{f'{in_any:.3f} ({at_once:.3f})':>16}" for in_any, at_once in shares)
            print(f"  {kind:18} {len(some):5}{cells}   of {sum(verdict.wanted for verdict in some)}")
    for verdict in verdicts:
        if verdict.failure:
            print(f"  FAILED: {verdict.kind} {verdict.seed}: {verdict.failure}")


def recall(verdicts: list[Verdict], name: str, *, at_once: bool = False) -> float:
    """Of all the words wanted on these pages."""
    wanted = sum(verdict.wanted for verdict in verdicts)
    judged_by = [verdict.by[name] for verdict in verdicts]
    return sum(own.at_once if at_once else own.found for own in judged_by) / wanted if wanted else 1.0


def _by_kind(verdicts: list[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Kind by kind, and all of them together at last."""
    rows = [(kind, [verdict for verdict in verdicts if verdict.kind == kind]) for kind in ALL_KINDS]
    rows.append(("files", [verdict for verdict in verdicts if verdict.kind not in ALL_KINDS]))
    return [(kind, some) for kind, some in rows if some] + [("all", verdicts)]


def goals(verdicts: list[Verdict], measured: Measured | None, *, words: bool) -> None:
    print("\nWhat was to be reached")
    off = sum(len(verdict.by["ours"].off) for verdict in verdicts)
    long = [verdict for verdict in verdicts if verdict.by["ours"].seconds > SECONDS_ALLOWED]
    worst = max(verdict.by["ours"].seconds for verdict in verdicts)
    failed = sum(bool(verdict.failure) for verdict in verdicts)
    said = [(failed == 0, f"every page drawn: {failed} failed"), (off == 0, f"no patch off: {off}")]
    said.append((not long, f"at most {SECONDS_ALLOWED} s a page: {worst:.0f} s, {len(long)} pages above"))
    if words:
        own = recall(verdicts, "ours", at_once=True)
        said.append((own >= RECALL_WANTED, f"words over all at least {RECALL_WANTED}: {own:.3f}"))
    if words and "pdftoppm" in verdicts[0].by:
        names = ("ours", "pdftoppm")
        by_kind = [(kind, *(recall(some, name, at_once=True) for name in names)) for kind, some in _by_kind(verdicts)]
        behind = [f"{kind} {own:.3f} < {theirs:.3f}" for kind, own, theirs in by_kind if own < theirs]
        said.append((not behind, f"words of each kind at least as pdftoppm: {'; '.join(behind) or 'all'}"))
    if measured:
        slower = max(measured.joined, measured.alone)
        clock, processor = measured.ratios
        beside = f"{clock:.2f} times, and {processor:.2f} times the processor, of pdftoppm -mono's {measured.peer:.0f}"
        told = f"at most {MILLISECONDS_ALLOWED} ms a page: {slower:.0f} ({beside})"
        said.append((slower <= MILLISECONDS_ALLOWED, told))
        said.append((measured.peak <= MEGABYTES_ALLOWED, f"at most {MEGABYTES_ALLOWED} MB: {measured.peak:.1f}"))
    for holds, what in said:
        print(f"  {'holds ' if holds else 'FAILS '} {what}")


# ---- The worst, to be looked at


def show_worst(verdicts: list[Verdict], folder: Path, cache: Path | None, *, count: int) -> None:
    """Pictures of the worst pages, their PDFs, the words that were missed, and a table of all pages."""
    lines = ["kind\tseed\tpatches\tseconds\twanted\tfound\tby pdftoppm\tfailure"]
    for verdict in verdicts:
        own, peer = verdict.by["ours"], verdict.by.get("pdftoppm", Judged(0))
        cells = (verdict.kind, verdict.seed, len(own.off), f"{own.seconds:.1f}", verdict.wanted, own.found, peer.found)
        lines.append("\t".join(map(str, (*cells, verdict.failure))))
    (folder / "pages.tsv").write_text("\n".join(lines) + "\n")
    for verdict in sorted(verdicts, key=_badness, reverse=True)[:count]:
        if _badness(verdict) > (0, 0):
            _show(verdict, page_of(verdict.kind, verdict.seed, cache), folder)


def _badness(verdict: Verdict) -> tuple[float, float]:
    own = verdict.by["ours"]
    lost = max((own.missed and len(own.missed) / max(verdict.wanted, 1)) or 0, 0)
    above = max(0.0, own.seconds - SECONDS_ALLOWED) / SECONDS_ALLOWED
    return min(1, len(own.off) / 20) + lost + above, len(own.off)


def _show(verdict: Verdict, page: Page, folder: Path) -> None:
    """Grey, ours and pdftoppm beside each other, patches that are off framed: red too dark, blue too light."""
    name = folder / f"{Path(verdict.kind).stem.replace(' ', '-')}-{verdict.seed}"
    pdf, place = name.with_suffix(".pdf"), place_of(page.shown)
    pdf.write_bytes(page.pdf)
    planes: list[tuple[NDArray, list]] = [(grey(page.paper or page.shown, place), [])]
    with tempfile.TemporaryDirectory() as own:
        with suppress(FaxroomError):
            planes.append((ours(pdf, Path(own)), verdict.by["ours"].off))
        theirs = pdftoppms(pdf, place, Path(own))
    planes.append((theirs, patches_off(theirs, Known(page))))
    sheet = Image.new("RGB", (len(planes) * (WIDTH + 20), ROWS), "#c0c0ff")
    for index, (plane, off) in enumerate(planes):
        pixels = np.where(plane, 0, 255).astype(np.uint8) if plane.dtype == bool else plane
        image = Image.fromarray(pixels).convert("RGB")
        pen = ImageDraw.Draw(image)
        for left, top, ink, dark in off:
            colour = "#ff0000" if ink > dark else "#0000ff"
            pen.rectangle((left, top, left + PATCH[0], top + PATCH[1]), outline=colour, width=3)
        sheet.paste(image, (index * (WIDTH + 20), 0))
    sheet.save(name.with_suffix(".png"))
    own = verdict.by["ours"]
    said = [f"{verdict.kind} {verdict.seed}: {len(own.off)} patches off, {own.seconds:.1f} s of line"]
    if verdict.wanted:
        said.append(f"{own.found} of {verdict.wanted} words; missed: {' '.join(own.missed)}")
        for peer in (*PEERS, "grey"):
            if peer in verdict.by:
                said.append(f"{peer}: {verdict.by[peer].found}; missed: {' '.join(verdict.by[peer].missed)}")
    name.with_suffix(".txt").write_text("\n".join(said) + "\n")


if __name__ == "__main__":
    main()
