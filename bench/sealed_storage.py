"""What it costs that documents are sealed: the storage's work for 100 faxes at once, sealed and plain, in one run.

    .tools/venv/bin/python bench/sealed_storage.py [--faxes N] [--rounds N] [--folder DIR]

The work of one fax is what its jobs have the
storage do: keep the document, its PDF, its pages, the picture and the report, and read each of them as it is read on
the way (a path for who judges, draws and dials, a stream for who downloads and mails). Both kinds do it in turns, so
that a machine that is busy with other things is so for both; of the rounds the median counts. Then a stream of 50 MB,
written and read.

In the end, for comparison, how long the pages of one such fax take to draw, without which none leaves.
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

from app.adapters.rasterizer import page_picture, rasterize  # noqa: E402
from app.adapters.sealed_storage import SealedStorage  # noqa: E402
from app.adapters.storage import CHUNK, FolderStorage, Storage  # noqa: E402
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
        compare(f"the storage's work for {told.faxes} faxes", work, told.rounds)
        data = random.randbytes(STREAM)
        writes = {kind: partial(write, storage, data) for kind, storage in kinds.items()}
        compare("50 MB written", writes, told.rounds)
        compare("50 MB read", {kind: partial(read, storage) for kind, storage in kinds.items()}, told.rounds)
    tell_drawing(told.rounds)


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


def seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def compare(what: str, acts: dict[str, Callable[[], object]], rounds: int) -> None:
    taken: dict[str, list[float]] = {kind: [] for kind in acts}
    for turn in range(rounds + 1):
        for kind in sorted(acts, reverse=bool(turn % 2)):
            took = seconds(acts[kind])
            if turn:  # the first one makes folders and fills caches
                taken[kind].append(took)
    plain, sealed = (statistics.median(taken[kind]) for kind in ("plain", "sealed"))
    each = statistics.median(s / p for s, p in zip(taken["sealed"], taken["plain"], strict=True))
    print(
        f"{what}: plain {plain * 1000:.0f} ms, sealed {sealed * 1000:.0f} ms, "
        f"sealed/plain {sealed / plain:.3f} (of each round {each:.3f})"
    )


def tell_drawing(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, tiff = Path(folder) / "source.pdf", Path(folder) / "fax.tif"
        source.write_bytes(pdf(pages=2))

        def draw() -> None:
            rasterize(source, tiff)
            page_picture(tiff, 1, 720)

        draw()
        took = statistics.median(seconds(draw) for _ in range(rounds))
    print(f"drawing two pages and the picture of the first, for one fax: {took * 1000:.0f} ms")


if __name__ == "__main__":
    main()
