"""The real LibreOffice in its room, with the profile that opens strangers' documents."""

import ctypes
import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2 as pdfium
import pypdfium2.raw as raw
import pytest
import uno
from PIL import Image
from pypdf import PdfReader

from app.adapters.confined.confinement import FENCE
from app.adapters.confined.room import NOBODY, PYTHON
from app.adapters.confined.yielding import GaveWay, sliced
from app.adapters.documents.converter import (
    RESTART_SECONDS,
    convert_to_pdf,
    office_command,
    servers_that_answer,
    why_unconfined,
)
from app.adapters.documents.documents import inspect
from app.adapters.offices.office_profile import write_profile
from app.adapters.offices.offices import UNREACHABLE, Fault, office_at
from app.errors import PermanentFailure, Refused, TemporaryFailure
from bench.documents.poison import POISON
from tests.documents import TRACKED, docx_in, docx_of, docx_with, odp_with, ods_with, odt_with, word_field, written
from tests.hostile import LOADERS, Canaries, canaries
from tests.waiting import in_time, until

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
ACCENTS = "Perché è così: città, größer, œuvre, Łódź"
DEADLINE = 8.0


class Office:
    """One server, started again whenever it ends, as a supervisor does."""

    def __init__(self, folder: Path, *, deadline: float = DEADLINE, within: Sequence[str] = ()) -> None:
        folder.chmod(0o700)
        self.socket = folder / f"{uuid.uuid4().hex[:8]}.sock"
        self.url = f"unix:{self.socket}"
        self.log = self.socket.with_suffix(".log")
        self.command = [*within, *office_command(sys.executable, socket=self.socket, deadline=deadline)]
        self.wanted = True
        self.process = self._begin()
        threading.Thread(target=self._supervise, daemon=True).start()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self.command, cwd=ROOT, stdout=log, stderr=log)

    def _supervise(self) -> None:
        while True:
            self.process.wait()
            if not self.wanted:
                return
            self.process = self._begin()

    def await_up(self) -> float:
        began = time.monotonic()
        while not servers_that_answer([self.url]):
            assert time.monotonic() - began < 200, "LibreOffice does not come up"
            time.sleep(0.05)
        return time.monotonic() - began

    def await_another(self, than: int) -> None:
        """A server that gives up is still there for a moment."""
        end = time.monotonic() + 100
        while time.monotonic() < end and (_gone(than) is False or self._soffice() in (None, than)):
            time.sleep(0.05)
        self.await_up()

    def soffice(self) -> int:
        found = self._soffice()
        assert found, "this server has no LibreOffice"
        return found

    def _soffice(self) -> int | None:
        return self.inside("soffice.bin")

    def inside(self, program: str) -> int | None:
        """The process in the room that runs ``program``."""
        for process in _descendants(self.process.pid):
            if program in _command_line(Path(f"/proc/{process}")) and not _gone(process):
                return process
        return None

    def speakers(self) -> list[int]:
        """Who speaks for the LibreOffice in the room, and the process that watches it."""
        command = [PYTHON, "-s", "-m", "app.adapters.offices.office"]
        return [
            process
            for process in _descendants(self.process.pid)
            if _command_line(Path(f"/proc/{process}")).split("\0")[:4] == command and not _gone(process)
        ]

    def stop(self) -> None:
        self.wanted = False
        self.process.terminate()
        self.process.wait(timeout=60)


def store_locked(path: Path, export_filter: str, folder: Path, *, password: str = "4711", formula: str = "") -> None:
    """A document that needs a password, made by LibreOffice itself: a text, or a workbook with one formula."""
    with _libreoffice(folder) as desktop:
        what = "private:factory/scalc" if formula else "private:factory/swriter"
        document = desktop.loadComponentFromURL(what, "_blank", 0, (_property("Hidden", True),))
        if formula:
            document.Sheets.getByIndex(0).getCellByPosition(0, 0).Formula = formula
        else:
            document.Text.String = "secret"
        key = _property("Password", password)
        if "XML" in export_filter:  # for OOXML the password has to come under this name
            words = tuple(_named(*word) for word in (("CryptoType", "Standard"), ("OOXPassword", password)))
            key = _property("EncryptionData", uno.Any("[]com.sun.star.beans.NamedValue", words))
        document.storeToURL(path.as_uri(), (_property("FilterName", export_filter), key))
        document.close(True)


@contextmanager
def _libreoffice(folder: Path) -> Iterator[Any]:
    """The desktop of a LibreOffice that is not confined, for documents of our own."""
    name = uuid.uuid4().hex
    profile, accept = f"-env:UserInstallation={folder.as_uri()}/alone", f"--accept=pipe,name={name};urp;"
    process = subprocess.Popen(["soffice", profile, "--headless", "--norestore", "--nodefault", accept])
    context = uno.getComponentContext()
    resolver = context.ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
    end = time.monotonic() + 200
    while True:
        try:
            remote = resolver.resolve(f"uno:pipe,name={name};urp;StarOffice.ComponentContext")
            break
        except Exception:  # uno.RuntimeException: nobody listens yet
            assert time.monotonic() < end, "LibreOffice does not come up"
            time.sleep(0.1)
    desktop = remote.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", remote)
    try:
        yield desktop
    finally:
        with suppress(Exception):  # the connection ends with it
            desktop.terminate()
        process.wait(timeout=30)


def _descendants(pid: int) -> list[int]:
    found = [pid]
    for known in found:
        with suppress(OSError):
            for task in Path(f"/proc/{known}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _property(name: str, value: object) -> object:
    made = uno.createUnoStruct("com.sun.star.beans.PropertyValue")
    made.Name, made.Value = name, value
    return made


def _named(name: str, value: object) -> object:
    made = uno.createUnoStruct("com.sun.star.beans.NamedValue")
    made.Name, made.Value = name, value
    return made


def _gone(process: int) -> bool:
    """Not there, or dead and waiting for somebody to look at it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except OSError:
        return ""


def _free_port() -> int:
    """Beside what the system gives to those who ask for any port."""
    for port in range(22_100 + os.getpid() % 400, 22_999):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("no free port")


_given: set[int] = set()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    with canaries(tmp_path_factory.mktemp("canaries")) as known:
        yield known


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Office]]:
    folder = tmp_path_factory.mktemp("offices")
    pair = [Office(folder), Office(folder)]
    for office in pair:
        office.await_up()
    yield pair
    for office in pair:
        office.stop()


@pytest.fixture
def office(offices: list[Office]) -> Office:
    offices[0].await_up()
    return offices[0]


@pytest.fixture
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One that a test may break, for itself."""
    office = Office(tmp_path_factory.mktemp("lone"))
    office.await_up()
    yield office
    office.stop()


@contextmanager
def picture_server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", _free_port()), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/picture.png", asked
        server.shutdown()


def text_of(pdf: bytes, folder: Path) -> str:
    return " ".join(page.extract_text() for page in PdfReader(written(folder, pdf, "out.pdf")).pages)


def pictures_in(pdf: bytes, folder: Path) -> int:
    with pikepdf.open(written(folder, pdf, "out.pdf")) as document:
        return sum(
            1 for item in document.objects if isinstance(item, pikepdf.Stream) and item.get("/Subtype") == "/Image"
        )


def convert(data: bytes, kind: str, office: Office, *, deadline: float = DEADLINE) -> bytes:
    return convert_to_pdf(data, kind=kind, servers=[office.url], deadline_seconds=deadline)


@pytest.mark.parametrize(("make", "kind"), [(docx_with, "docx"), (odt_with, "odt")])
def test_a_document_with_accents_keeps_them(office, tmp_path, make, kind):
    assert ACCENTS in text_of(convert(make(ACCENTS), kind, office), tmp_path)


def test_a_word_97_document_is_recognised_and_converted(office, tmp_path):
    source = written(tmp_path, docx_with(ACCENTS), "letter.docx")
    profile = f"-env:UserInstallation={tmp_path.as_uri()}/alone"
    command = ["soffice", profile, "--headless", "--convert-to", "doc:MS Word 97", "--outdir", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    doc = tmp_path / "letter.doc"
    assert inspect(doc).kind == "doc"
    assert ACCENTS in text_of(convert(doc.read_bytes(), "doc", office), tmp_path)


@pytest.mark.parametrize(("make", "kind"), [(docx_with, "docx"), (odt_with, "odt")])
def test_a_linked_picture_is_not_fetched(office, tmp_path, make, kind):
    with picture_server() as (address, asked):
        pdf = convert(make("before", linked_picture=address), kind, office)
        time.sleep(0.3)
    assert asked == []
    assert "before" in text_of(pdf, tmp_path)


@pytest.mark.parametrize(("make", "kind"), [(docx_with, "docx"), (odt_with, "odt")])
def test_a_picture_on_our_disk_is_not_embedded(office, tmp_path, make, kind):
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(secret)
    pdf = convert(make("before", linked_picture=secret.as_uri()), kind, office)
    assert pictures_in(pdf, tmp_path) == 0


LOADERS_OF_OFFICES = [(kind, loader) for kind in LOADERS if kind != "pdf" for loader in LOADERS[kind]]


@pytest.mark.parametrize(("kind", "loader"), LOADERS_OF_OFFICES)
def test_a_document_shows_no_page_that_somebody_else_has_open(office, known, kind, loader):
    """The room alone, with every link in place. ``bench/hostile_documents.py`` has all that can be named."""
    data, soffice = LOADERS[kind][loader](known.places["held"]), office.soffice()
    try:
        pdf, _ = office_at(office.url).convert(data, {"kind": kind}, DEADLINE)
    except (Fault, *UNREACHABLE):  # some are no good documents: the office starts afresh
        office.await_another(soffice)
    else:
        assert not known.seen_in(pdf)


@pytest.mark.parametrize("place", ["png", "own-environment", "environment", "job", "server"])
def test_a_document_shows_nothing_of_this_machine(office, known, place):
    """Where the profile alone let it in: a picture within a picture."""
    for loader in ("svg image", "paragraph background", "bullet"):
        pdf = convert(LOADERS["odt"][loader](known.places[place]), "odt", office)
        assert not known.seen_in(pdf)
    assert known.asked == []


def test_with_our_profile_alone_a_held_page_would_have_been_shown(known, tmp_path):
    """Otherwise the tests above would prove nothing."""
    write_profile(tmp_path / "profile")
    source = written(tmp_path, LOADERS["odt"]["svg image"](known.places["held"]), "letter.odt")
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", tmp_path, source]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert known.seen_in((tmp_path / "letter.pdf").read_bytes())


@pytest.mark.parametrize(("make", "kind"), [(docx_with, "docx"), (odt_with, "odt")])
def test_without_our_profile_both_would_have_happened(tmp_path, make, kind):
    """Otherwise the two tests above would prove nothing."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), "red").save(secret)
    with picture_server() as (address, asked):
        for picture in (address, secret.as_uri()):
            source = written(tmp_path, make("before", linked_picture=picture), f"letter.{kind}")
            profile = f"-env:UserInstallation={(tmp_path / 'default').as_uri()}"
            command = ["soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", tmp_path, source]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert asked
    assert pictures_in((tmp_path / "letter.pdf").read_bytes(), tmp_path) == 1


LOCKED = [("writer8", "odt"), ("MS Word 2007 XML", "docx"), ("MS Word 97", "doc")]


@pytest.mark.parametrize(("export_filter", "kind"), [("Calc MS Excel 2007 XML", "xlsx"), ("MS Excel 97", "xls")])
def test_a_workbook_that_excel_opens_without_asking_is_opened_and_shows_what_its_author_saw(
    office, tmp_path, export_filter, kind
):
    locked = tmp_path / f"locked.{kind}"
    formula = '=IF(ISERROR(FIND("job";CELL("filename")));"as the author saw it";CELL("filename"))'
    store_locked(locked, export_filter, tmp_path, password="VelvetSweatshop", formula=formula)
    assert inspect(locked).kind == kind
    assert "as the author saw it" in text_of(convert(locked.read_bytes(), kind, office), tmp_path)


@pytest.mark.parametrize(("export_filter", "kind"), LOCKED)
def test_a_document_with_a_password_is_refused_before_and_by_libreoffice(office, tmp_path, export_filter, kind):
    locked = tmp_path / "locked.bin"
    store_locked(locked, export_filter, tmp_path)
    with pytest.raises(Refused) as refused:
        inspect(locked)
    assert refused.value.code == "encrypted"
    with pytest.raises(PermanentFailure) as failure:
        convert(locked.read_bytes(), kind, office)
    assert failure.value.code == "encrypted"
    assert "still" in text_of(convert(docx_with("still"), "docx", office), tmp_path)


def test_a_damaged_document_is_said_to_be(office):
    with pytest.raises(PermanentFailure) as damaged:
        convert(docx_with("x")[:3000], "docx", office)
    assert damaged.value.code == "damaged"


def test_a_hung_libreoffice_gets_no_document_and_is_started_again_for_the_one_that_waits(lone, tmp_path):
    convert(docx_with("warm"), "docx", lone)
    stopped = lone.soffice()
    os.kill(stopped, signal.SIGSTOP)
    assert "waits" in text_of(until_converted(docx_with("waits"), lone), tmp_path)
    assert lone.soffice() != stopped
    assert _gone(stopped)


def test_a_server_that_is_stopped_itself_is_killed_and_started_again(lone, tmp_path):
    (stopped, _watcher), soffice = lone.speakers(), lone.soffice()
    os.kill(stopped, signal.SIGSTOP)
    lone.await_another(soffice)
    assert stopped not in lone.speakers()
    assert "again" in text_of(until_converted(docx_with("again"), lone), tmp_path)


def test_a_server_that_nobody_watches_is_started_again(lone):
    (server, watcher), soffice = lone.speakers(), lone.soffice()
    os.kill(watcher, signal.SIGKILL)
    lone.await_another(soffice)
    assert server not in lone.speakers()


def test_a_document_that_nobody_waits_for_any_more_is_not_gone_on_with(tmp_path, tmp_path_factory):
    office = Office(tmp_path_factory.mktemp("left"))
    office.await_up()
    try:
        convert(docx_with("warm"), "docx", office)
        soffice = office.soffice()
        with sliced(0.5, lambda: True), pytest.raises(GaveWay):
            convert(POISON["tables.docx"](), "docx", office)
        office.await_another(soffice)
        assert "next" in text_of(until_converted(docx_with("next"), office), tmp_path)
    finally:
        office.stop()


def until_converted(data: bytes, office: Office) -> bytes:
    """As the queue does it: what is not the document's fault is tried again."""
    end = time.monotonic() + 250
    while True:
        try:
            return convert(data, "docx", office)
        except TemporaryFailure:
            assert time.monotonic() < end
            time.sleep(0.5)


def test_a_libreoffice_that_is_killed_again_and_again_makes_no_document_damaged(office, tmp_path):
    """Under a long document, whatever it is killed with but its own crash."""
    data, done = docx_with(*["word " * 400] * 150), threading.Event()

    def kill() -> None:
        for _ in range(3):
            if done.wait(0.8):
                return
            if soffice := office._soffice():
                with suppress(ProcessLookupError):
                    os.kill(soffice, signal.SIGKILL)
            office.await_up()

    killer = threading.Thread(target=kill)
    killer.start()
    pdf = until_converted(data, office)
    done.set()
    killer.join()
    assert "word" in text_of(pdf, tmp_path)


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that can hold processes and threads, of either version."""
    for hierarchy in ("pids", ""):
        group = Path("/sys/fs/cgroup", hierarchy, f"faxroom-test-{os.getpid()}")
        with suppress(OSError):
            group.mkdir()
            if (group / "pids.max").exists():
                yield group
                end = time.monotonic() + 60
                while group.exists() and time.monotonic() < end:
                    with suppress(OSError):
                        group.rmdir()
                    time.sleep(0.1)
                return
            group.rmdir()
    pytest.skip("this machine has no control group for us")


@pytest.mark.parametrize("left", [2, 3])
def test_a_document_is_not_damaged_for_want_of_processes(group, left, tmp_path, tmp_path_factory):
    """LibreOffice aborts then, or does not open the document, in one fresh office after the other."""
    enter = ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "--")
    office = Office(tmp_path_factory.mktemp("scarce"), within=enter)
    try:
        office.await_up()
        (group / "pids.max").write_text(f"{int((group / 'pids.current').read_text()) + left}")
        with pytest.raises(TemporaryFailure):
            convert(docx_with("x"), "docx", office)
        (group / "pids.max").write_text("max")
        assert "enough" in text_of(until_converted(docx_with("enough"), office), tmp_path)
    finally:
        office.stop()


def test_a_killed_server_leaves_no_libreoffice_behind(lone):
    soffice = lone.soffice()
    lone.wanted = False
    lone.process.kill()
    lone.process.wait()
    until(lambda: _gone(soffice))


def test_a_libreoffice_that_crashed_is_there_again_for_the_next_document(office, tmp_path):
    crashed = office.soffice()
    os.kill(crashed, signal.SIGSEGV)
    office.await_another(crashed)
    assert "again" in text_of(convert(docx_with("again"), "docx", office), tmp_path)


def test_two_documents_go_side_by_side_on_two_servers(offices):
    for office in offices:
        office.await_up()
    data, urls = docx_with(*["word " * 400] * 60), [office.url for office in offices]

    def one(_: int) -> None:
        convert_to_pdf(data, kind="docx", servers=urls, deadline_seconds=DEADLINE)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))
    for office in offices:
        assert "Exporting" in office.log.read_text()


def test_without_a_server_the_answer_is_temporary(tmp_path):
    with in_time(RESTART_SECONDS), pytest.raises(TemporaryFailure) as failure:
        nowhere = f"unix:{tmp_path}/nobody.sock"
        convert_to_pdf(docx_with("x"), kind="docx", servers=[nowhere], deadline_seconds=200, queue_seconds=0)
    assert failure.value.code == "converter_down"


def test_the_server_that_is_down_is_passed_over(office, tmp_path):
    servers = [f"unix:{tmp_path}/nobody.sock", office.url]
    pdf = convert_to_pdf(docx_with("over"), kind="docx", servers=servers, deadline_seconds=DEADLINE)
    assert "over" in text_of(pdf, tmp_path)


def test_nothing_in_the_room_knows_our_environment(office, monkeypatch):
    for process in _descendants(office.process.pid):
        environment = Path(f"/proc/{process}/environ").read_text()
        assert {entry.partition("=")[0] for entry in environment.split("\0") if entry} <= {
            *("PATH", "HOME", "TMPDIR", "LC_ALL", "PYTHONPATH", "PWD"),
            *("LD_LIBRARY_PATH", "SAL_USE_VCLPLUGIN", "FONTCONFIG_FILE"),
        }


def seen_by(office: Office, folder: str) -> set[str]:
    return {entry.name for entry in Path(f"/proc/{office.soffice()}/root{folder}").iterdir()}


def test_the_room_holds_the_system_and_nothing_of_this_machine(office):
    system = {"bin", "dev", "etc", "lib", "lib64", "opt", "proc", "tmp", "usr", "var"}
    assert seen_by(office, "/") <= {*system, "faxroom"}
    assert seen_by(office, "/usr") <= {"bin", "lib", "lib64", "share", "local"}
    assert seen_by(office, "/etc") <= {"fonts", "ld.so.cache", "libreoffice", "localtime", "mime.types"}
    assert seen_by(office, "/faxroom/app/adapters") == {"__init__.py", "confined", "offices"}
    assert seen_by(office, "/faxroom/app/adapters/confined") == {"__init__.py", "confinement.py"}
    assert seen_by(office, "/faxroom/app/adapters/offices") == {
        *("__init__.py", "office.py", "office_converter.py", "office_profile.py"),
        *("office_protocol.py", "office_sheets.py"),
    }


@pytest.mark.parametrize("namespace", ["mnt", "pid", "net", "ipc", "uts", "user"])
def test_libreoffice_has_namespaces_of_its_own(office, namespace):
    assert Path(f"/proc/{office.soffice()}/ns/{namespace}").readlink() != Path(f"/proc/self/ns/{namespace}").readlink()


def test_libreoffice_has_no_right_that_it_could_use(office):
    status = dict(line.split(":\t") for line in Path(f"/proc/{office.soffice()}/status").read_text().splitlines())
    assert {status[name].strip("0") for name in ("CapEff", "CapPrm", "CapBnd")} == {""}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    if os.geteuid() == 0:
        assert set(status["Uid"].split()) == {"65534"}


def test_nothing_on_this_machine_listens_for_an_office_but_its_socket(office):
    """The port of unoserver let every account run programs as us."""
    inodes = set()
    for process in _descendants(office.process.pid):
        for handle in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                inodes.add(str(handle.readlink()).removeprefix("socket:[").removesuffix("]"))
    for table in ("tcp", "tcp6", "udp", "udp6"):
        lines = Path(f"/proc/{office.soffice()}/net/{table}").read_text().splitlines()[1:]
        assert not [line for line in lines if line.split()[9] in inodes]
    assert office.socket.stat().st_mode & 0o777 == 0o600
    assert office.socket.parent.stat().st_mode & 0o777 == 0o700


# ---- Behind a fence

#: What a machine is without: its root could still become nobody.
WITHOUT = """
import os, sys
from app.adapters.confined import confinement
confinement._libc.prctl(confinement.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
confinement.apply_filter(confinement.call_filter(tuple(sys.argv[1].split(","))))
os.umask(0o077)  # as under bin/up
os.execv(sys.argv[2], sys.argv[2:])
"""
NO_NAMESPACES = [sys.executable, "-c", WITHOUT, "unshare"]
NEITHER = [sys.executable, "-c", WITHOUT, "unshare,landlock_create_ruleset"]
#: Without rights, and with one user.
CONTAINER = ["bwrap", "--die-with-parent", "--unshare-user", "--disable-userns", "--cap-drop", "ALL"]


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("fenced"), within=[*CONTAINER, "--dev-bind", "/", "/", "--"])
    office.await_up()
    yield office
    office.stop()


def folder_of(office: Office) -> Path:
    """Where a fenced office may write."""
    words = _command_line(Path(f"/proc/{office.speakers()[0]}")).split("\0")
    return Path(words[words.index("--fenced") + 1])


def test_where_there_are_no_namespaces_documents_are_opened_behind_a_fence(fenced, tmp_path):
    assert office_at(fenced.url).state().guard == FENCE
    assert why_unconfined([fenced.url]) is None
    fenced_folder = folder_of(fenced)
    for _ in range(2):
        assert text_of(convert(docx_with("hello"), "docx", fenced), tmp_path) == "hello"
    assert text_of(convert(odt_with("hello"), "odt", fenced), tmp_path) == "hello"
    assert convert(b"a;b\n1;2\n", "csv", fenced).startswith(b"%PDF-")
    assert list((fenced_folder / "job").glob("*")) == []


@pytest.mark.parametrize(
    ("kind", "loader"), [(kind, name) for kind in LOADERS if kind != "pdf" for name in LOADERS[kind]]
)
def test_a_document_behind_the_fence_shows_no_file_of_this_machine(fenced, known, kind, loader):
    """Which its user may read: here Landlock alone stands before it."""
    fenced.await_up()
    with suppress(*UNREACHABLE, Fault):  # the next one finds a fresh office
        pdf, _ = office_at(fenced.url).convert(LOADERS[kind][loader](known.places["png"]), {"kind": kind}, DEADLINE)
        assert not known.seen_in(pdf)


@pytest.mark.parametrize("place", ["held", "own-environment", "environment", "job", "server"])
def test_a_document_behind_the_fence_shows_nothing_of_this_machine(fenced, known, place):
    fenced.await_up()
    pdf, _ = office_at(fenced.url).convert(LOADERS["odt"]["picture"](known.places[place]), {"kind": "odt"}, DEADLINE)
    assert not known.seen_in(pdf) and known.asked == []


def test_behind_the_fence_a_killed_libreoffice_is_there_again_and_leaves_nothing(fenced, tmp_path):
    fenced.await_up()
    folder, first = folder_of(fenced), fenced.soffice()
    (folder / "left behind").write_text("of another's document")
    os.kill(first, signal.SIGKILL)
    fenced.await_another(first)
    assert text_of(convert(docx_with("again"), "docx", fenced), tmp_path) == "again"
    assert folder_of(fenced) == folder and not (folder / "left behind").exists()


def test_an_office_behind_the_fence_that_fills_the_disk_is_ended(fenced):
    fenced.await_up()
    folder, first = folder_of(fenced), fenced.soffice()
    with (folder / "job" / "large").open("wb") as large:
        large.truncate(1024**3 + 1)
    fenced.await_another(first)
    assert not (folder / "job" / "large").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has no other account to give")
def test_behind_the_fence_of_root_is_nobody(tmp_path, tmp_path_factory):
    office = Office(tmp_path_factory.mktemp("of-root"), within=NO_NAMESPACES)
    try:
        office.await_up()
        assert office_at(office.url).state().guard == FENCE
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in (office.soffice(), *office.speakers())} == {NOBODY}
        assert text_of(convert(docx_with("hello"), "docx", office), tmp_path) == "hello"
    finally:
        office.stop()


def test_where_there_is_neither_no_document_is_opened_and_it_is_said_why(tmp_path):
    office = Office(tmp_path, within=NEITHER)
    try:
        office.await_up()
        with pytest.raises(PermanentFailure, match="office_unconfined"):
            convert(docx_with("x"), "docx", office)
        reason = why_unconfined([office.url])
        assert "namespace" in reason and "Landlock" in reason
        assert office._soffice() is None
    finally:
        office.stop()


def test_a_document_leaves_nothing_in_the_room(office):
    for text in ("first", "second"):
        convert(docx_with(text), "docx", office)
        assert seen_by(office, "/tmp/job") == set()


# ---- What the author saw


def told_of(data: bytes, kind: str, office: Office, **given: str) -> tuple[bytes, list[dict[str, Any]]]:
    """The PDF, and what its sender should know."""
    warnings: list[dict[str, Any]] = []
    servers = {"servers": [office.url], "deadline_seconds": DEADLINE}
    return convert_to_pdf(data, kind=kind, **servers, **given, on_warning=warnings.append), warnings


def fonts_in(pdf: bytes, folder: Path) -> set[str]:
    with pikepdf.open(written(folder, pdf, "fonts.pdf")) as document:
        named = (item.get("/BaseFont") for item in document.objects if isinstance(item, pikepdf.Dictionary))
        return {str(name).rpartition("+")[2].strip("/") for name in named if name}


def test_comments_neither_break_a_document_nor_are_shown(office, tmp_path):
    odt = odt_with("BEFORE<office:annotation><text:p>A COMMENT</text:p></office:annotation> AFTER")
    for data, kind in ((docx_of(comment=("BEFORE AFTER", "A COMMENT")), "docx"), (odt, "odt")):
        shown = text_of(convert(data, kind, office), tmp_path)
        assert "BEFORE AFTER" in shown
        assert "COMMENT" not in shown


def test_tracked_changes_are_shown_as_the_final_text_and_the_sender_is_told(office, tmp_path):
    pdf, warnings = told_of(docx_of(TRACKED), "docx", office)
    assert "The sum is INSERTEDWORD" in text_of(pdf, tmp_path)
    assert "DELETEDWORD" not in text_of(pdf, tmp_path)
    assert warnings == [{"kind": "tracked_changes"}]
    assert told_of(docx_with("x"), "docx", office)[1] == []


FIELDS = {
    " DATE ": "25.11.2008",
    ' DATE \\@ "d MMMM yyyy" ': "25 novembre 2008",
    " REF chapter \\h ": "see chapter 3",
    " PAGEREF chapter ": "on page 41",
    ' IF 1 = 1 "yes" "no" ': "Dear Mr Rossi",
    " FILENAME \\p ": "C:\\Letters\\offer.docx",
    " AUTHOR ": "M. Bianchi",
    ' INCLUDETEXT "x.docx" ': "included",
}


def test_fields_keep_the_result_that_the_author_saw(office, tmp_path):
    data = docx_of(*(word_field(instruction, result) for instruction, result in FIELDS.items()))
    shown = text_of(convert(data, "docx", office), tmp_path)
    assert [result for result in FIELDS.values() if result not in shown] == []
    assert "Error" not in shown


def test_a_field_whose_instruction_is_in_pieces_or_holds_a_field_keeps_its_result(office, tmp_path):
    inner = word_field(" MERGEFIELD Title ", "INNER", whole=False)
    pieces = docx_of(word_field(" D</w:instrText></w:r><w:r><w:instrText>ATE ", "1 May 1999"))
    nested = docx_of(word_field(f" IF </w:instrText></w:r>{inner}<w:r><w:instrText> = 1 ", "OUTER"))
    assert "1 May 1999" in text_of(convert(pieces, "docx", office), tmp_path)
    shown = text_of(convert(nested, "docx", office), tmp_path)
    assert "OUTER" in shown
    assert "INNER" not in shown


def test_page_numbers_are_those_of_the_pages(office, tmp_path):
    page = word_field(" PAGE ", "77")
    assert "77" not in text_of(convert(docx_of(page), "docx", office), tmp_path)
    odt = odt_with("<text:date>9 May 2001</text:date> <text:file-name>a.odt</text:file-name>")
    assert "9 May 2001 a.odt" in text_of(convert(odt, "odt", office), tmp_path)


def made_by_libreoffice(folder: Path, source: Path, *filters: str) -> Iterator[bytes]:
    """``source`` in other formats: ``ending:filter``."""
    for filter_name in filters:
        profile = f"-env:UserInstallation={(folder / 'alone').as_uri()}"
        command = ["soffice", profile, "--headless", "--convert-to", filter_name, "--outdir", folder, source]
        subprocess.run(command, check=True, capture_output=True, timeout=90)
        yield source.with_suffix(f".{filter_name.partition(':')[0]}").read_bytes()


def test_a_word_97_document_keeps_the_results_of_its_fields_and_shows_no_comment(office, tmp_path):
    source = written(
        tmp_path, docx_of(word_field(" DATE ", "25.11.2008"), comment=("BEFORE AFTER", "A COMMENT")), "letter.docx"
    )
    [doc] = made_by_libreoffice(tmp_path, source, "doc:MS Word 97")
    today = re.compile(rb"\d{1,2}/\d{1,2}/\d\d|(?:\d\0){1,2}/\0(?:\d\0){1,2}/\0(?:\d\0){2}")
    old = today.sub(lambda found: re.sub(rb"\d", b"9", found[0]), doc)  # LibreOffice has just worked it out
    shown = text_of(convert(old, "doc", office), tmp_path)
    assert "BEFORE AFTER" in shown
    assert re.search("9{1,2}/9{1,2}/99", shown)
    assert "COMMENT" not in shown


def test_spreadsheets_and_slides_of_every_kind_are_converted(office, tmp_path):
    table = written(tmp_path, b"Menge;Preis\n125;1.234,50\n", "table.csv")
    filters = ("xlsx:Calc MS Excel 2007 XML", "xls:MS Excel 97", "ods:calc8")
    for kind, data in zip(("xlsx", "xls", "ods"), made_by_libreoffice(tmp_path, table, *filters), strict=True):
        assert inspect(written(tmp_path, data)).kind == kind
        assert "125" in text_of(convert(data, kind, office), tmp_path)
    show = written(tmp_path, odp_with("FIRST", "SECOND"), "show.odp")
    filters = ("pptx:Impress MS PowerPoint 2007 XML", "ppt:MS PowerPoint 97")
    shows = {"odp": show.read_bytes()}
    shows |= dict(zip(("pptx", "ppt"), made_by_libreoffice(tmp_path, show, *filters), strict=True))
    for kind, data in shows.items():
        assert inspect(written(tmp_path, data)).kind == kind
        pdf = convert(data, kind, office)
        assert "SECOND" in text_of(pdf, tmp_path)
        assert len(PdfReader(written(tmp_path, pdf, "show.pdf")).pages) == 2


def test_a_table_shows_its_cells_as_they_are_written(office, tmp_path):
    rows = "number;day;text\n007;1/2;=1+1\n1234567890123456789;03-04-05;x\n"
    shown = text_of(convert(rows.encode(), "csv", office), tmp_path)
    for cell in ("007", "1/2", "=1+1", "1234567890123456789", "03-04-05"):
        assert cell in shown


def test_a_wide_spreadsheet_is_fitted_to_the_page_unless_its_author_has_set_how_it_prints(office, tmp_path):
    wide = ";".join(f"column {number}" for number in range(14)) + "\n"
    assert len(PdfReader(written(tmp_path, convert(wide.encode(), "csv", office), "wide.pdf")).pages) == 1
    set_by_author = ods_with(12, 'style:scale-to="95%"')
    free = ods_with(12, "")
    assert len(PdfReader(written(tmp_path, convert(free, "ods", office), "free.pdf")).pages) == 1
    assert len(PdfReader(written(tmp_path, convert(set_by_author, "ods", office), "set.pdf")).pages) > 1


def test_a_spreadsheet_too_wide_to_be_read_on_one_page_goes_on_beside_it(office, tmp_path):
    table = ";".join(f"column {number}" for number in range(60)) + "\n"
    made = convert(table.encode(), "csv", office), convert(ods_with(40, ""), "ods", office)
    for pdf, most_pages in zip(made, (6, 5), strict=True):
        letters, pages = letters_in(pdf)
        assert min(letters) >= 6.0
        assert 1 < pages <= most_pages, "no smaller than it has to be, no more pages than it needs"
    letters, _pages = letters_in(convert(ods_with(40, 'style:scale-to="30%"'), "ods", office))
    assert max(letters) < 6.0, "its author has set that"


@pytest.mark.parametrize("paper", [("29.7cm", "21cm"), ("29.7cm", "42cm")])
def test_who_turns_the_paper_or_takes_another_one_has_set_how_a_spreadsheet_prints(office, paper):
    letters, pages = letters_in(convert(ods_with(30, "", paper=paper), "ods", office))
    assert pages > 1
    assert min(letters) == 10.0


@pytest.mark.parametrize(("words", "most_pages"), [("These words run over. " * 30, 7), ("=" * 30_000, 80)])
def test_words_that_run_over_the_last_column_do_not_make_a_sheet_small(office, words, most_pages):
    letters, pages = letters_in(convert(ods_with(3, "", last=words), "ods", office, deadline=40))
    assert min(letters) >= 6.0
    assert 1 < pages <= most_pages


def test_a_sheet_that_could_not_be_read_on_as_many_pages_as_a_fax_has_is_told(office):
    table = ";".join(f"column {number}" for number in range(8_000)) + "\n"
    with pytest.raises(PermanentFailure) as refused:
        convert(table.encode(), "csv", office, deadline=40)
    assert refused.value.code == "sheet_too_wide"
    assert refused.value.values["limit"] == 200
    assert b"%PDF" in convert(b"a;b\n", "csv", office)[:8], "the office goes on"


def letters_in(pdf: bytes) -> tuple[list[float], int]:
    """The sizes of all words in points of paper, and the number of pages."""
    with pdfium.PdfDocument(pdf) as document:
        sizes = [_size(item) for page in document for item in page.get_objects(filter=[raw.FPDF_PAGEOBJ_TEXT])]
        return sizes, len(document)


def _size(words: pdfium.PdfObject) -> float:
    size = ctypes.c_float()
    raw.FPDFTextObj_GetFontSize(words, size)
    return round(size.value * abs(words.get_matrix().d), 1)


def test_texts_of_every_encoding_and_rtf_are_shown(office, tmp_path):
    for encoding in ("utf-8", "utf-16", "cp1252"):
        assert "Perizia è pronta" in text_of(convert("Perizia è pronta".encode(encoding), "txt", office), tmp_path)
    rtf = rb"{\rtf1\ansi BEFORE {\field{\*\fldinst DATE}{\fldrslt 25.11.2008}} {\*\annotation A COMMENT}AFTER\par}"
    shown = text_of(convert(rtf, "rtf", office), tmp_path)
    assert "BEFORE 25.11.2008 AFTER" in shown


def test_fonts_of_word_are_replaced_by_ones_as_wide(office, tmp_path):
    twins = {"Calibri": "Carlito", "Cambria": "Caladea", "Aptos": "Carlito"}
    for font, twin in twins.items():
        assert any(name.startswith(twin) for name in fonts_in(convert(docx_in(font), "docx", office), tmp_path))


def test_other_scripts_are_drawn_and_what_no_font_has_is_told(office, tmp_path):
    scripts = "中文 日本語 한국어 ไทย नमस्ते שלום سلام"
    _, warnings = told_of(docx_with(scripts), "docx", office)
    assert warnings == []
    _, warnings = told_of(docx_with("Cuneiform \U00012000"), "docx", office)
    assert warnings == [{"kind": "missing_characters", "characters": "\U00012000"}]


def test_numbers_are_written_as_where_the_sender_is(office, tmp_path):
    data = ods_with(1, "", value="1234.5")
    assert "1234,5" in text_of(told_of(data, "ods", office, locale="it-IT")[0], tmp_path)
    assert "1234.5" in text_of(told_of(data, "ods", office, locale="en-GB")[0], tmp_path)
