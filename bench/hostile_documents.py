"""Documents that try to show what is not theirs (``tests/hostile.py``), each through LibreOffice or pdfium.

    .tools/venv/bin/python bench/hostile_documents.py [--places png,held,server] [--loaders picture,bullet]
        [--columns room,fence] [--record FILE] [--files FOLDER]

Columns of hits in one run: LibreOffice with our profile and nothing else (``alone``), as it was until November 2026;
in its room, with all links in place (``room``); behind the fence that stands where there are no namespaces, likewise
(``fence``); as it is, with the links cut before (``shipped``); PDFs as they are drawn (``pdf``). A hit is a page with
the word or the colour of what only the portal may see, or a question to the server of this machine. Of each column
the three documents that took longest are told, and the most memory that a LibreOffice had at any of them, and a child
that read, judged or drew one (looked at every 5 ms).

With ``--record`` each document's outcome is a line of that file, and a run that was ended goes on where it was. With
``--files`` the documents are those of a folder (test files of office suites, say), each as it is and once with its
pictures and links turned towards what only the portal may see.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.adapters.documents.converter import convert_to_pdf, office_command, servers_that_answer  # noqa: E402
from app.adapters.documents.documents import inspect  # noqa: E402
from app.adapters.fax_files import fax_tiff  # noqa: E402
from app.adapters.offices.office_profile import write_profile  # noqa: E402
from app.adapters.offices.offices import UNREACHABLE, Fault, office_at  # noqa: E402
from app.adapters.pages.rasterizer import rasterize  # noqa: E402
from app.errors import FaxroomError  # noqa: E402
from app.kinds import OFFICE_KINDS  # noqa: E402
from bench.children import Peak  # noqa: E402
from tests.hostile import Canaries, Hostile, canaries, corpus, turned  # noqa: E402

ALONE = "alone"
BATCH = 24
SECONDS = 60
#: How often is looked at the children, in seconds.
LOOK_SECONDS = 0.005
#: A container without rights, whose user reads all that this one reads.
NO_NAMESPACES = (
    "bwrap",
    "--die-with-parent",
    "--unshare-user",
    "--disable-userns",
    "--cap-drop",
    "ALL",
    "--dev-bind",
    "/",
    "/",
    "--",
)
#: Of a page; none of the PDFs draws more by itself.
MOST_INK = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places")
    parser.add_argument("--loaders")
    parser.add_argument("--columns")
    parser.add_argument("--record", type=Path)
    parser.add_argument("--files", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as name, canaries(Path(name)) as known:
        folder = Path(name)
        documents = [item for item in corpus(known) if _wanted(item, given.places, given.loaders)]
        if given.files:
            documents = list(_files(given.files, known))
        print(f"{len(documents)} documents: {dict(Counter(item.kind for item in documents))}", flush=True)
        ways, came = _ways(folder, known, documents, given.record), {}
        for name in given.columns.split(",") if given.columns else ways:
            came[name] = ways[name]()
            _tell(name, came[name])
    return 1 if any(one.hits for name, one in came.items() if name != ALONE) else 0


def _ways(
    folder: Path, known: Canaries, documents: list[Hostile], record: Path | None
) -> dict[str, Callable[[], "Came"]]:
    """The columns, each made when it is called."""
    pdfs = [item for item in documents if item.kind == "pdf"]
    others = [item for item in documents if item.kind != "pdf"]

    def through(column: str, how: str, *without: str) -> Came:
        with _Office(folder, without=without) as office:
            return _each(others, known, getattr(office, how), office, Record(record, column))

    return {
        ALONE: lambda: _alone(others, known, folder),
        "room": lambda: through("room", "raw"),
        "fence": lambda: through("fence", "raw", *NO_NAMESPACES),
        "shipped": lambda: through("shipped", "shipped"),
        "pdf": lambda: _each(pdfs, known, lambda item: _draw(item, folder), None, Record(record, "pdf")),
    }


def _files(folder: Path, known: Canaries) -> Iterator[Hostile]:
    """What is taken of the files in it, as they are judged by their content; of each kind that names its pictures and
    links in XML also one that leads them to the canaries, each to the next. Always in the same order, which is one of
    chance, so that a part of them is a sample."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(16).shuffle(paths)
    for path in paths:
        with suppress(FaxroomError):
            kind, data = inspect(path, name=path.name).kind, path.read_bytes()
            if kind not in OFFICE_KINDS:
                continue
            name = str(path.relative_to(folder))
            yield Hostile(name, kind, data)
            if led := turned(data, known):
                yield Hostile(f"{name} turned", kind, led)


def _wanted(document: Hostile, places: str | None, loaders: str | None) -> bool:
    kind_and_loader, _, place = document.name.rpartition(" ")
    loader = kind_and_loader.partition(" ")[2]
    return (not places or place in places.split(",")) and (not loaders or loader in loaders.split(","))


@dataclass
class One:
    """What became of a document. ``office`` and ``child`` are kB at most."""

    name: str
    hit: bool
    pages: bool
    seconds: float
    reason: str = ""
    office: int = 0
    child: int = 0


class Came:
    def __init__(self) -> None:
        self.hits: list[str] = []
        self.converted, self.seconds = 0, Counter[str]()
        self.not_converted: list[str] = []
        self.peak: tuple[int, str] = (0, "")  # kB, and at which document: a LibreOffice
        self.child_peak: tuple[int, str] = (0, "")  # the same: a child

    def count(self, one: One) -> None:
        self.child_peak = max(self.child_peak, (one.child, one.name))
        self.peak = max(self.peak, (one.office, one.name))
        self.seconds[one.name] = one.seconds
        self.converted += one.pages
        if one.reason:
            self.not_converted.append(f"{one.name}: {one.reason}")
        if one.hit:
            self.hits.append(one.name)


class Record:
    """Lines of a file, one for each document of a column, as soon as it is done."""

    def __init__(self, path: Path | None, column: str) -> None:
        self.path, self.column = path, column

    def done(self) -> dict[str, One]:
        lines = self.path.read_text().splitlines() if self.path and self.path.exists() else []
        found = (json.loads(line) for line in lines)
        return {one["name"]: One(**one) for told in found if (one := told[1]) and told[0] == self.column}

    def add(self, one: One) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(json.dumps([self.column, asdict(one)]) + "\n")


def _tell(what: str, came: Came) -> None:
    print(f"{what}: {len(came.hits)} hits; {came.converted} became pages")
    print("    longest:", ", ".join(f"{seconds:.1f} s {name}" for name, seconds in came.seconds.most_common(3)))
    for what, (peak, name) in {"a LibreOffice": came.peak, "a child": came.child_peak}.items():
        if peak:
            print(f"    most memory of {what}: {peak / 1024:.0f} MB {name}")
    for reason in came.not_converted:
        print(f"    no pages: {reason}")
    for name in came.hits:
        print(f"    {name}")
    sys.stdout.flush()


def _each(
    documents: list[Hostile],
    known: Canaries,
    convert: Callable[[Hostile], bytes | bool | None],
    office: "_Office | None",
    record: Record,
) -> Came:
    came, before = Came(), record.done()
    for document in documents:
        if (one := before.get(document.name)) is None:
            one = _one(document, known, convert, office)
            record.add(one)
        came.count(one)
    return came


def _one(
    document: Hostile,
    known: Canaries,
    convert: Callable[[Hostile], bytes | bool | None],
    office: "_Office | None",
) -> One:
    known.asked.clear()
    began = time.monotonic()
    with Peak(LOOK_SECONDS) as children:
        shown = convert(document)
    one = One(
        document.name,
        hit=False,
        pages=shown is not None,
        seconds=time.monotonic() - began,
        child=round(children.peak * 1024),
    )
    seen = shown is True or (isinstance(shown, bytes) and known.seen_in(shown))
    one.hit = seen or bool(known.asked)
    if one.hit:
        print(f"    hit: {document.name}", flush=True)  # a run that is ended early has told it
    if office:
        one.reason = "" if one.pages else office.reason
        one.office = office.memory()
    return one


def _alone(documents: list[Hostile], known: Canaries, folder: Path) -> Came:
    """As many at once as LibreOffice takes by itself."""
    came, profile = Came(), folder / "profile"
    write_profile(profile)
    for start in range(0, len(documents), BATCH):
        batch = {f"{start + n}.{item.kind}": item for n, item in enumerate(documents[start : start + BATCH])}
        target = folder / f"alone-{start}"
        target.mkdir()
        for name, item in batch.items():
            (target / name).write_bytes(item.data)
        known.asked.clear()
        command = ["soffice", f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to", "pdf"]
        with suppress(subprocess.SubprocessError):
            subprocess.run(
                [*command, "--outdir", target, *(target / name for name in batch)], capture_output=True, timeout=180
            )
        for name, item in batch.items():
            pdf = (target / name).with_suffix(".pdf")
            came.converted += pdf.exists()
            if pdf.exists() and known.seen_in(pdf.read_bytes()):
                came.hits.append(item.name)
        if known.asked:
            came.hits.append(f"{len(known.asked)} questions to the server")
    return came


def _draw(document: Hostile, folder: Path) -> bool | None:
    """True: more is on the fax than the document itself draws."""
    source, target = folder / "drawn.pdf", folder / "drawn.tif"
    source.write_bytes(document.data)
    with suppress(FaxroomError):
        rasterize(source, target)
        page = fax_tiff.decode(next(iter(fax_tiff.read_pages(target))))
        black = page.convert("L").histogram()[0]
        return black / (page.width * page.height) > MOST_INK
    return None


class _Office:
    def __init__(self, folder: Path, *, without: Sequence[str] = ()) -> None:
        path = folder / "run" / "office.sock"
        self.address = f"unix:{path}"
        self.command = [*without, *office_command(sys.executable, socket=path, deadline=SECONDS)]
        self.log = (folder / "office.log").open("ab")
        self.reason = ""

    def __enter__(self) -> "_Office":
        self._begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def _begin(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=self.log, stderr=self.log)

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while not servers_that_answer([self.address]) and time.monotonic() < end:
            if self.process.poll() is not None:
                self._begin()
            time.sleep(0.05)

    def raw(self, document: Hostile) -> bytes | None:
        """One try, with everything that is in the document."""
        self._wait()
        try:
            return office_at(self.address).convert(document.data, {"kind": document.kind}, SECONDS)[0]
        except (*UNREACHABLE, Fault) as error:
            self.reason = f"{type(error).__name__}: {error}"
            self.process.wait(10)
            return None

    def shipped(self, document: Hostile) -> bytes | None:
        self._wait()
        try:
            return convert_to_pdf(document.data, kind=document.kind, servers=[self.address], deadline_seconds=SECONDS)
        except FaxroomError as error:
            self.reason = str(error)
            return None

    def memory(self) -> int:
        """The most that its LibreOffice has had so far, in kB."""
        most = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError, IndexError, ValueError):  # it has just ended
                text = status.read_text()
                if "soffice.bin" in text and _is_below(int(status.parent.name), self.process.pid):
                    most = max(most, int(text.partition("VmHWM:")[2].split()[0]))
        return most


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor


if __name__ == "__main__":
    sys.exit(main())
