"""PDF → fax TIFF beside Ghostscript, in the same run: what can be read, what it costs on the line, how long it takes.

    .tools/venv/bin/python bench/preparation.py [--only TABLE] [FOLDER OF OWN PHOTOGRAPHS ...]

Reading is done by tesseract on the dots that would go over the line; a photograph is judged by the ratio of signal to
noise after a blur of the eye (sigma 4 dots, about 0.5 mm), each against what the same program draws in grey. A fax
at the office rate of 14,400 bit/s with error correction carries T.6; without it spandsp falls back to T.4, whose cost
is printed beside it.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pikepdf
import pypdfium2 as pdfium
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.adapters.confined.isolation import workshop_pid
from app.adapters.fax_files.fax_tiff import decode, read_pages
from app.adapters.pages.rasterizer import _Paper, open_pdf, rasterize
from app.adapters.pages.sheets import sheets_of
from bench.documents.pages import (
    PHOTOGRAPHS,
    TEXT_PAGES,
    office_page,
    photograph,
    photograph_page,
    scanned,
    text_page,
)

RATE = 14_400
EYE = 4
#: Dots by which words are blurred: screens of dots confuse tesseract otherwise.
SEEN = 1.2
GHOSTSCRIPT = ["gs", "-q", "-dSAFER", "-dNOPAUSE", "-dBATCH", "-r204x196", "-g1728x2292"]


@dataclass(frozen=True)
class Result:
    """``seconds`` on the line with error correction, ``without_ecm`` as T.4 in two dimensions."""

    page: Image.Image
    seconds: float
    without_ecm: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", nargs="*", type=Path, help="folders of own photographs")
    parser.add_argument("--only", choices=("words", "photographs", "speed"), help="one of the three tables")
    choice = parser.parse_args()
    tables = {"words": words, "photographs": lambda folder: photographs(folder, choice.photographs), "speed": speed}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table in [tables[choice.only]] if choice.only else tables.values():
            table(folder)


# ---- The two ways


def ours(pdf: Path, folder: Path) -> Result:
    target = folder / "ours.tif"
    rasterize(pdf, target)
    page = next(read_pages(target))
    return _result(decode(page), len(page.strip))


def ghostscripts(pdf: Path, folder: Path) -> Result:
    target = folder / "gs.tif"
    ghostscripts_file(pdf, target)
    with Image.open(target) as image:
        return _result(image.convert("1"), sum(image.tag_v2[279]))


def _result(page: Image.Image, size: int) -> Result:
    target = io.BytesIO()
    page.save(target, format="TIFF", compression="group3", tiffinfo={292: 1}, strip_size=1 << 26)
    return Result(page, size * 8 / RATE, len(target.getvalue()) * 8 / RATE)


# ---- Words


def words(folder: Path) -> None:
    print(f"Words read by tesseract            Faxroom   Ghostscript    seconds of line {'':10}")
    pages = {name: text_page(paragraphs) for name, paragraphs in TEXT_PAGES.items()}
    for name in ("black", "light grey", "coloured", "small print"):
        pdf, written = pages[name]
        pages[f"{name}, scanned"] = scanned(_seen(pdf), paper=0.92, grain=8, tilt=1.2), written
    made: dict[str, tuple[Result, Result]] = {}
    for name, (pdf, _) in pages.items():
        path = folder / "page.pdf"
        path.write_bytes(pdf)
        made[name] = ours(path, folder), ghostscripts(path, folder)
    jobs = [(result.page, pages[name][1]) for name, pair in made.items() for result in pair]
    with ThreadPoolExecutor(2) as pool:
        recalls = list(pool.map(lambda job: recall(*job), jobs))
    for index, (name, pair) in enumerate(made.items()):
        mine, theirs = recalls[2 * index : 2 * index + 2]
        print(f"  {name:30} {mine:9.1%} {theirs:13.1%} {pair[0].seconds:12.0f} {pair[1].seconds:6.0f}")
    mine, theirs = (statistics.mean(recalls[start::2]) for start in (0, 1))
    print(f"  {'all':30} {mine:9.1%} {theirs:13.1%}\n")


def _seen(pdf: bytes) -> Image.Image:
    """At 200 dots to the inch."""
    return pdfium.PdfDocument(pdf)[0].render(scale=200 / 72).to_pil()


def recall(page: Image.Image, written: list[str]) -> float:
    """The share of the words written that were read, each as often as it stands there: on square dots, as they are or
    blurred as an eye does, whichever gives more."""
    page = page.convert("L").resize((page.width, round(page.height * 204 / 196)))
    return max(_read(seen, written) for seen in (page, page.filter(ImageFilter.GaussianBlur(SEEN))))


def _read(page: Image.Image, written: list[str]) -> float:
    data = io.BytesIO()
    page.save(data, "PNG", compress_level=1)
    command = ["tesseract", "-", "-", "--psm", "6", "--dpi", "204"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    answer = subprocess.run(command, input=data.getvalue(), capture_output=True, check=True, env=environment)
    read = Counter(word.strip(".,;:'").lower() for word in answer.stdout.decode().split())
    return sum((Counter(written) & read).values()) / len(written)


# ---- Photographs


def photographs(folder: Path, folders: list[Path]) -> None:
    print("A page of photograph     seconds of line (without ECM)      noise after the eye's blur, dB")
    print(f"  {'':22} {'Faxroom':>14} {'Ghostscript':>16} {'Faxroom':>10} {'Ghostscript':>12}")
    for name, pdf in _photographs(folders):
        path = folder / "page.pdf"
        path.write_bytes(pdf)
        mine, theirs = ours(path, folder), ghostscripts(path, folder)
        noise = noise_of(mine.page, our_grey(path)), noise_of(theirs.page, ghostscripts_grey(path, folder))
        costs = [f"{result.seconds:.0f} ({result.without_ecm:.0f})" for result in (mine, theirs)]
        print(f"  {name:22} {costs[0]:>14} {costs[1]:>16} {noise[0]:10.1f} {noise[1]:12.1f}")
    print()


def _photographs(folders: list[Path]) -> Iterator[tuple[str, bytes]]:
    for name in PHOTOGRAPHS:
        yield name, photograph_page(photograph(name))
    for folder in folders:
        for path in sorted(folder.iterdir()):
            with Image.open(path) as picture:
                yield path.stem, photograph_page(picture)


def our_grey(pdf: Path) -> np.ndarray:
    with open_pdf(pdf) as document:
        (sheet,) = sheets_of(document[0])
        return _Paper("fine", "A4", {}).views(document[0], sheet).full.astype(float)


def ghostscripts_grey(pdf: Path, folder: Path) -> np.ndarray:
    target = folder / "grey.tif"
    subprocess.run([*GHOSTSCRIPT, "-sDEVICE=tiffgray", f"-sOutputFile={target}", str(pdf)], check=True)
    with Image.open(target) as image:
        return np.asarray(image.convert("L"), dtype=float)


def noise_of(page: Image.Image, grey: np.ndarray) -> float:
    difference = _blurred(np.asarray(page.convert("L"), dtype=float)) - _blurred(grey)
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


def _blurred(plane: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(plane.astype(np.uint8)).filter(ImageFilter.GaussianBlur(EYE)), dtype=float)


# ---- Speed


def speed(folder: Path) -> None:
    print("Milliseconds a page (10 pages)     Faxroom   of it processor   Ghostscript")
    text, _ = text_page(TEXT_PAGES["black"])
    coloured, _ = text_page(TEXT_PAGES["on a ground"])
    kinds = {
        "text": text,
        "letter with table, picture": office_page(),
        "text on coloured grounds": coloured,
        "scanned text": scanned(_seen(text), paper=0.92, grain=8, tilt=1.2),
        "photograph": photograph_page(photograph("portrait")),
    }
    for name, pdf in kinds.items():
        path = folder / "ten.pdf"
        ten_times(pdf, path)
        runs = [timed(rasterize, path, folder / "ours.tif") for _ in range(5)]
        theirs = [timed(ghostscripts_file, path, folder / "gs.tif") for _ in range(3)]
        wall, processor = (statistics.median(run[part] for run in runs) for part in (0, 1))
        print(f"  {name:30} {wall:9.0f} {processor:17.0f} {statistics.median(run[0] for run in theirs):13.0f}")
    print(f"  load of this machine meanwhile: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def ten_times(pdf: bytes, path: Path) -> None:
    with pikepdf.new() as document, pikepdf.open(io.BytesIO(pdf)) as one:
        for _ in range(10):
            document.pages.append(one.pages[0])
        document.save(path)


def ghostscripts_file(pdf: Path, target: Path) -> None:
    subprocess.run([*GHOSTSCRIPT, "-sDEVICE=tiffg4", f"-sOutputFile={target}", str(pdf)], check=True)


def timed(act: Callable[[Path, Path], object], pdf: Path, target: Path) -> tuple[float, float]:
    """Milliseconds of each of ten pages: by the clock, and of the processor time of the workshop's children."""
    began, used = time.perf_counter(), processor_seconds_of_children(workshop_pid())
    act(pdf, target)
    spent = processor_seconds_of_children(workshop_pid()) - used
    return (time.perf_counter() - began) * 100, spent * 100


def processor_seconds_of_children(pid: int) -> float:
    """User and system time of the children that were waited for; proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
