"""What it costs that documents are sealed: the storage's work for 100 faxes at once, sealed and plain, in one run.

    .tools/venv/bin/python bench/sealed_storage.py [--faxes N] [--rounds N] [--folder DIR]

The work of one fax is what its jobs have the
storage do: keep the document, its PDF, its pages, the picture and the report, and read each of them as it is read on
the way (a path for who judges, draws and dials, a stream for who downloads and mails). Both kinds do it in turns, so
that a machine that is busy with other things is so for both; of the rounds the median counts. Then a stream of 50 MB,
written and read.

In the end what sealing takes more of the processor is set against drawing the pages of one such fax, without which none
leaves: a part of what 100 faxes at once take.
"""

import argparse
import io
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.adapters.pages.rasterizer import draw_all, picture_of  # noqa: E402
from app.adapters.storage.sealed_storage import SealedStorage  # noqa: E402
from app.adapters.storage.storage import CHUNK, FolderStorage, Storage  # noqa: E402
from tests.documents import pdf  # noqa: E402

#: Bytes of a fax of two pages: what was given, its PDF, its TIFF, its first page's picture, the report.
FILES = {"source.pdf": 60_000, "fax.pdf": 60_000, "fax.tif": 45_000, "page.png": 25_000, "report.pdf": 40_000}
#: How often each is read under a path (to draw, dial and picture) and as a stream (for the report, the mail, the
#: archive and a download).
PATHS, STREAMS = {"source.pdf": 1, "fax.tif": 2}, {"fax.pdf": 2, "page.png": 1, "report.pdf": 2}
STREAM = 50_000_000
#: What do it at one time: the workers that draw and those beside them.
WORKERS = 4


class Ring:
    """One company's key, without a database."""

    def __init__(self) -> None:
        self.keys = [os.urandom(32)]

    def of(self, owner: str, *, anew: bool = False) -> list[bytes]:
        return self.keys

    def digest_if_sealed(self, key: str) -> str | None:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faxes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the storages lie; beside this file by default")
    told = parser.parse_args()
    home = told.folder or ROOT / "var"
    home.mkdir(parents=True, exist_ok=True)
    contents = {name: random.randbytes(size) for name, size in FILES.items()}
    with tempfile.TemporaryDirectory(dir=home, prefix="bench-storage-") as folder:
        kinds = {"plain": FolderStorage(Path(folder) / "plain")}
        kinds["sealed"] = SealedStorage(FolderStorage(Path(folder) / "sealed"), Ring())
        work = {kind: partial(faxes, storage, contents, told.faxes) for kind, storage in kinds.items()}
        more = compare(f"the storage's work for {told.faxes} faxes", work, told.rounds) / told.faxes
        data = random.randbytes(STREAM)
        writes = {kind: partial(write, storage, data) for kind, storage in kinds.items()}
        compare("50 MB written", writes, told.rounds)
        compare("50 MB read", {kind: partial(read, storage) for kind, storage in kinds.items()}, told.rounds)
    drawn = drawing(told.rounds)
    print(
        f"of the processor, for one fax: sealing {more * 1000:.1f} ms more, drawing {drawn * 1000:.0f} ms: "
        f"sealing is {more / drawn:.1%} of that"
    )


def faxes(storage: Storage, contents: dict[str, bytes], count: int) -> None:
    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(one_fax, storage, contents, n) for n in range(count)]:
            done.result()


def one_fax(storage: Storage, contents: dict[str, bytes], number: int) -> None:
    keys = {name: f"1/2026/11/{number}-{name}" for name in contents}
    for name, content in contents.items():
        storage.write(keys[name], io.BytesIO(content))
    for name, times in PATHS.items():
        for _ in range(times):
            with storage.local_copy(keys[name]) as path:
                assert path.stat().st_size == FILES[name]
                path.read_bytes()
    for name, times in STREAMS.items():
        for _ in range(times):
            with storage.open(keys[name]) as file:
                assert file.read() == contents[name]


def write(storage: Storage, data: bytes) -> None:
    storage.write("1/stream", io.BytesIO(data))


def read(storage: Storage) -> None:
    with storage.open("1/stream") as file:
        while file.read(CHUNK):
            pass


def taken(act: Callable[[], object]) -> tuple[float, float]:
    """Seconds that went by, and of the processor."""
    begin, worked = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - begin, time.process_time() - worked


def compare(what: str, acts: dict[str, Callable[[], object]], rounds: int) -> float:
    """Gives by how many seconds of the processor sealing takes more."""
    times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in acts}
    for turn in range(rounds + 1):
        for kind in sorted(acts, reverse=bool(turn % 2)):
            took = taken(acts[kind])
            if turn:  # the first one makes folders and fills caches
                times[kind].append(took)
    plain, sealed = ([statistics.median(some) for some in zip(*times[kind], strict=True)] for kind in acts)
    print(
        f"{what}: plain {plain[0] * 1000:.0f} ms, sealed {sealed[0] * 1000:.0f} ms, "
        f"sealed/plain {sealed[0] / plain[0]:.3f}; of the processor {plain[1] * 1000:.0f} and {sealed[1] * 1000:.0f} ms"
    )
    return sealed[1] - plain[1]


def drawing(rounds: int) -> float:
    """Seconds of the processor for the pages of one fax and the picture of the first, drawn in this very process."""
    with tempfile.TemporaryDirectory() as folder:
        source, printed, tiff = (Path(folder) / name for name in ("source.pdf", "printed.pdf", "fax.tif"))
        source.write_bytes(pdf(pages=2))

        def draw() -> None:
            draw_all(lambda _number: None, str(source), str(printed), str(tiff), "fine", "A4", 200)
            printed.unlink(missing_ok=True)
            picture_of(lambda _number: None, str(tiff), 1, 720)

        draw()
        return statistics.median(taken(draw)[1] for _ in range(rounds))


if __name__ == "__main__":
    main()
