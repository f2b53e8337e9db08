"""The real LibreOffice behind the real unoserver, with the profile that opens strangers' documents."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pikepdf
import pytest
import uno
from PIL import Image
from pypdf import PdfReader

from app.adapters.converter import convert_to_pdf, office_command, servers_that_answer
from app.adapters.documents import inspect
from app.errors import PermanentFailure, Refused, TemporaryFailure
from tests.documents import docx_with, odt_with, written

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
ACCENTS = "Perché è così: città, größer, œuvre, Łódź"
DEADLINE = 8.0


class Office:
    """One server, started again whenever it ends, as a supervisor does."""

    def __init__(self, folder: Path, *, deadline: float = DEADLINE) -> None:
        self.port, self.uno_port = _free_port(), _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.profile = folder / f"office-{self.port}"
        self.command = office_command(
            sys.executable, port=self.port, uno_port=self.uno_port, profile_dir=self.profile, deadline=deadline
        )
        self.wanted = True
        self.process = self._begin()
        threading.Thread(target=self._supervise, daemon=True).start()

    def _begin(self) -> subprocess.Popen[bytes]:
        with (self.profile.parent / f"{self.port}.log").open("ab") as log:
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
            assert time.monotonic() - began < 60, "LibreOffice does not come up"
            time.sleep(0.05)
        return time.monotonic() - began

    def await_another(self, than: int) -> None:
        """A server that gives up is still there for a moment."""
        end = time.monotonic() + 30
        while time.monotonic() < end and (_gone(than) is False or self._soffice() in (None, than)):
            time.sleep(0.05)
        self.await_up()

    def soffice(self) -> int:
        found = self._soffice()
        assert found, "no LibreOffice with this profile"
        return found

    def _soffice(self) -> int | None:
        for process in Path("/proc").glob("[0-9]*"):
            command = _command_line(process)
            if "soffice.bin" in command and f"{self.profile.as_uri()}\0" in command:
                return int(process.name)
        return None

    def stop(self) -> None:
        self.wanted = False
        self.process.terminate()
        self.process.wait(timeout=10)

    def store_locked(self, path: Path, export_filter: str) -> None:
        """A document that needs a password, made by LibreOffice itself."""
        context = uno.getComponentContext()
        resolver = context.ServiceManager.createInstance("com.sun.star.bridge.UnoUrlResolver")
        remote = resolver.resolve(f"uno:socket,host=127.0.0.1,port={self.uno_port};urp;StarOffice.ComponentContext")
        desktop = remote.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", remote)
        document = desktop.loadComponentFromURL("private:factory/swriter", "_blank", 0, (_property("Hidden", True),))
        document.Text.String = "secret"
        key = _property("Password", "4711")
        if "XML" in export_filter:  # for OOXML the password has to come under this name
            words = tuple(_named(*word) for word in (("CryptoType", "Standard"), ("OOXPassword", "4711")))
            key = _property("EncryptionData", uno.Any("[]com.sun.star.beans.NamedValue", words))
        document.storeToURL(path.as_uri(), (_property("FilterName", export_filter), key))
        document.close(True)


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
    server = f"http://127.0.0.1:{office.port}"
    proxy = xmlrpc.client.ServerProxy(server, allow_none=True, use_builtin_types=True)
    doc = written(tmp_path, proxy.convert(None, source.read_bytes(), None, "doc", "MS Word 97"), "letter.bin")
    assert inspect(doc).kind == "doc"
    assert ACCENTS in text_of(convert_to_pdf(doc, kind="doc", servers=[server], deadline_seconds=DEADLINE), tmp_path)


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


@pytest.mark.parametrize(("export_filter", "kind"), LOCKED)
def test_a_document_with_a_password_is_refused_before_and_by_libreoffice(office, tmp_path, export_filter, kind):
    locked = tmp_path / "locked.bin"
    office.store_locked(locked, export_filter)
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


def test_a_hung_libreoffice_is_killed_and_the_next_document_converts(tmp_path, tmp_path_factory):
    office = Office(tmp_path_factory.mktemp("hung"), deadline=2)
    office.await_up()
    try:
        convert(docx_with("warm"), "docx", office)
        stopped = office.soffice()
        os.kill(stopped, signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(PermanentFailure) as failure:
            convert(docx_with("x"), "docx", office, deadline=2)
        assert failure.value.code == "conversion_timed_out"
        assert time.monotonic() - began < 6
        office.await_another(stopped)
        assert "next" in text_of(convert(docx_with("next"), "docx", office), tmp_path)
        assert office.soffice() != stopped
        assert _gone(stopped)
    finally:
        office.stop()


def test_a_killed_server_leaves_no_libreoffice_behind(tmp_path_factory):
    office = Office(tmp_path_factory.mktemp("killed"))
    office.await_up()
    soffice = office.soffice()
    office.wanted = False
    office.process.kill()
    office.process.wait()
    end = time.monotonic() + 5
    while not _gone(soffice) and time.monotonic() < end:
        time.sleep(0.05)
    assert _gone(soffice)


def test_a_libreoffice_that_crashed_is_there_again_for_the_next_document(office, tmp_path):
    crashed = office.soffice()
    os.kill(crashed, signal.SIGSEGV)
    office.await_another(crashed)
    assert "again" in text_of(convert(docx_with("again"), "docx", office), tmp_path)


def test_two_documents_go_side_by_side_on_two_servers(offices):
    for office in offices:
        office.await_up()
    data, urls = docx_with(*["word " * 400] * 60), [office.url for office in offices]

    def one(_: int) -> float:
        convert_to_pdf(data, kind="docx", servers=urls, deadline_seconds=DEADLINE)
        return time.monotonic()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))
    for office in offices:
        log = (office.profile.parent / f"{office.port}.log").read_text()
        assert "Exporting" in log


def test_without_a_server_the_answer_comes_at_once_and_is_temporary():
    began = time.monotonic()
    with pytest.raises(TemporaryFailure) as failure:
        convert_to_pdf(docx_with("x"), kind="docx", servers=[f"http://127.0.0.1:{_free_port()}"], deadline_seconds=5)
    assert failure.value.code == "converter_down"
    assert time.monotonic() - began < 1


def test_the_server_that_is_down_is_passed_over(office, tmp_path):
    servers = [f"http://127.0.0.1:{_free_port()}", office.url]
    pdf = convert_to_pdf(docx_with("over"), kind="docx", servers=servers, deadline_seconds=DEADLINE)
    assert "over" in text_of(pdf, tmp_path)


def test_libreoffice_sees_nothing_of_our_environment(office):
    environment = Path(f"/proc/{office.soffice()}/environ").read_text()
    assert {entry.partition("=")[0] for entry in environment.split("\0") if entry} <= {
        *("PATH", "HOME", "TMPDIR", "LC_ALL"),
        *("LD_LIBRARY_PATH", "PYTHONPATH", "SAL_USE_VCLPLUGIN"),
    }
