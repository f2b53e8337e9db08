"""bin/test: install what the tests need, run all of them against the real thing, count."""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import installation
import postgres
import processes
from instance import HANDED_ON
from shell import SetupError, Words, tail
from steps import Progress, StepFailed, complain
from supervise import TETHER

from app.rules.sending.trunks.ports import SLICES

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".tools/venv/bin"
DEMO_PASSWORD = "faxroom-demo"
NEEDS_INSTANCE = ("tests/live", "tests/browser")
NEEDS_DATABASE = ("tests/web", "tests/db")
READY_SECONDS = 300
#: Below those that outgoing connections are given and those for media (:mod:`app.rules.sending.trunks.ports`).
PORTS = range(5200, 9900)
_taken_slices: set[int] = set()
_counting = threading.Lock()
CHECKS = (
    ("ruff check", ["ruff", "check", "."]),
    ("ruff format", ["ruff", "format", "--check", "."]),
    ("import rules", ["lint-imports"]),
    ("types", ["mypy"]),
    *((f"types of bin/{script}", ["mypy", f"bin/{script}"]) for script in ("sbom", "test", "up")),
    ("dead code", ["vulture"]),
)


def main() -> int:
    processes.take_charge()
    folder = Path(tempfile.mkdtemp(prefix="fx-"))  # short: Unix sockets lie below it
    folder.chmod(0o711)  # PostgreSQL, which does not run as root, passes through
    code = 1
    try:
        code = _run(sys.argv[1:], folder)
    except processes.Stopped as stop:
        complain(f"Stopped ({stop}).")
    except StepFailed as failure:
        complain(str(failure))
    finally:
        processes.ignore_stop_signals()
        processes.end_descendants(seconds=20)
        if code == 0 or not list(folder.glob("*/log")):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            complain(f"The state and the logs of what was under test are kept in {folder}")
    sys.stdout.flush()
    os._exit(code)


def _run(arguments: Sequence[str], folder: Path) -> int:
    progress = Progress()
    installation.install(ROOT, progress, for_tests=True)
    count: Counter[str] = Counter()
    if arguments:
        _run_some(_by_room(arguments), folder, count, progress)
    else:
        _run_all(folder, count, progress)
    return _conclude(count, progress)


def _run_some(arguments: Sequence[str], folder: Path, count: Counter[str], progress: Progress) -> None:
    environment = _environment()
    if _needs_instance(arguments):
        instance = _Instance(folder / "home", progress)
        instance.start()
        instance.wait()
        environment |= instance.told()
    _Pytest("tests", arguments, environment, progress, folder).conclude(count)


def _run_all(folder: Path, count: Counter[str], progress: Progress) -> None:
    """Those of the real thing side by side, for they wait for most of the time, each place with an instance of its
    own; beside them, at a lower priority, those that wait for a processor only."""
    instances = {place: _Instance(folder / Path(place).name, progress) for place in NEEDS_INSTANCE}
    for instance in instances.values():
        instance.start()
    for name, command in CHECKS:
        _check(name, command, count, progress)
    with _postgres(folder, progress) as url:
        postgresql = {**_environment(), "TEST_DATABASE_URL": url}
        beside = [
            _Pytest(
                "postgresql",
                [*NEEDS_DATABASE, "-m", "not any_database"],
                postgresql,
                progress,
                folder,
                quiet=True,
                last=True,
            ),
            _Pytest("sqlite", NEEDS_DATABASE, _environment(), progress, folder, quiet=True, last=True),
            _Pytest("unit", ["tests/unit"], _environment(), progress, folder, quiet=True, last=True),
        ]
        left = deque(files_without_instance())
        left_out = [f"--ignore={file}" for file in left]

        def run(place: str, instance: _Instance) -> None:
            instance.wait()
            told = _environment() | instance.told()
            _Pytest(place, [place, *left_out], told, progress, folder, quiet=place != NEEDS_INSTANCE[0]).conclude(count)
            instance.stop()
            for file in _taken(left):
                _Pytest(file, [file], _environment(), progress, folder, quiet=True).conclude(count)

        progress.together(*(partial(run, place, instance) for place, instance in instances.items()))
        for running in beside:
            running.conclude(count)


def files_without_instance() -> list[str]:
    """Live tests that start themselves all that they need, the longest file first: whichever place is done with its
    own takes the next one."""
    texts = {file: file.read_text() for file in ROOT.glob("tests/live/test_*.py")}
    files = [file for file, text in texts.items() if "FAXROOM_TEST_" not in text]
    files.sort(key=lambda file: (longest(texts[file]), len(texts[file])), reverse=True)
    return [str(file.relative_to(ROOT)) for file in files]


def longest(text: str) -> int:
    """Seconds for which a test of this file may be on its way, where it has to ask for more than pytest gives to all.
    It has to keep that true itself: it fails when it asks for too little."""
    return max(map(int, re.findall(r"mark\.timeout\((\d+)\)", text)), default=0)


def _taken(left: deque[str]) -> Iterator[str]:
    """One after the other, by several at once."""
    with contextlib.suppress(IndexError):
        while True:
            yield left.popleft()


def _by_room(arguments: Sequence[str]) -> list[str]:
    """A room's name stands for its tests on every floor: ``bin/test mail2fax``. What belongs to an option is left."""
    found: list[str] = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        is_name = argument.isidentifier() and not before.startswith("-")
        places = sorted(ROOT.glob(f"tests/*/{argument}")) if is_name else []
        found += [str(place.relative_to(ROOT)) for place in places] or [argument]
    return found


def _needs_instance(arguments: Sequence[str]) -> bool:
    """All tests, or something that lies at or above the live ones."""
    paths = [argument.split("::")[0].rstrip("/") for argument in arguments if (ROOT / argument.split("::")[0]).exists()]
    return not paths or any(
        path.startswith(place) or place.startswith(path) for path in paths for place in NEEDS_INSTANCE
    )


def _environment() -> dict[str, str]:
    """Ours without anything that points at an installation: tests must not reach one."""
    names = {variant for name in HANDED_ON for variant in (name, f"{name}_FILE")}
    return {
        name: value for name, value in os.environ.items() if name not in names and not name.startswith("FAXROOM_")
    } | {"PYTHONDONTWRITEBYTECODE": "1"}


def _check(name: str, command: Sequence[str], count: Counter[str], progress: Progress) -> None:
    progress.say("check", name)
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, stdin=subprocess.DEVNULL, check=False)
    count["passed" if done.returncode == 0 else "failed"] += 1


class _Pytest:
    """A run of pytest. A ``quiet`` one speaks at its end, one that goes ``last`` takes what the others leave of the
    processors."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        progress: Progress,
        folder: Path,
        *,
        quiet: bool = False,
        last: bool = False,
    ) -> None:
        progress.say("pytest", f"{name}: {' '.join(arguments)}")
        self.name, self.progress, self.begin = name, progress, time.monotonic()
        self.report, self.log = folder / f"{Path(name).name}.xml", folder / f"{Path(name).name}.log"
        command: Words = [
            *(["nice", "-n", "9"] if last else []),
            BIN / "python",
            "-m",
            "pytest",
            f"--junitxml={self.report}",
            *arguments,
        ]
        with self.log.open("wb") as log:
            said = log if quiet else None
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    def conclude(self, count: Counter[str]) -> None:
        """Wait for its end and add what it counted."""
        code = self.process.wait()
        sys.stdout.write(self.log.read_text(encoding="utf-8", errors="replace"))
        result = read_report(self.report)
        if code and not result["failed"]:
            result["failed"] = 1  # nothing collected, or it did not come to the end
        with _counting:
            count.update(result)
        self.progress.say("pytest", f"{self.name}: {time.monotonic() - self.begin:.1f} s")


def read_report(report: Path) -> Counter[str]:
    """Counts of a JUnit file: passed, failed (errors too), skipped."""
    if not report.exists():
        return Counter()
    total: Counter[str] = Counter()
    for suite in ET.parse(report).getroot().iter("testsuite"):
        tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
        failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        total.update(passed=max(tests - skipped - failed, 0), failed=failed, skipped=skipped)
    return total


def _conclude(count: Counter[str], progress: Progress) -> int:
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"\n{count['passed']} passed, {count['failed']} failed{skipped} ({progress.total():.0f} s)", flush=True)
    return 1 if count["failed"] or not count["passed"] else 0


# ---- The instance under test


class _Instance:
    """One bin/up with a home and ports of its own, loaded with the demo."""

    def __init__(self, home: Path, progress: Progress) -> None:
        self.home = home
        self.log = home.with_name(f"{home.name}-up.log")
        self.progress = progress
        self.port, self.ari_port, self.imap_port, self.door_port = free_ports(4)
        self.sip_port = _sip_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.progress.say("instance", f"starting one in {self.home}, port {self.port}")
        own = {"FAXROOM_HOME": self.home, "FAXROOM_PORT": self.port}
        own |= {"FAXROOM_SIP_PORT": self.sip_port, "FAXROOM_ARI_PORT": self.ari_port}
        own |= {"FAXROOM_IMAP_PORT": self.imap_port, "FAXROOM_DOOR_PORT": self.door_port}
        own |= {"FAXROOM_DOOR_DOMAIN": "fax.faxroom.test", "FAXROOM_DOOR_PEERS": "127.0.0.1=alpha"}
        environment = _environment() | {name: str(value) for name, value in own.items()}
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [*TETHER, ROOT / "bin/up"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self) -> None:
        """Until all of it answers."""
        self.progress.step("instance", lambda _say: self._wait())

    def stop(self) -> None:
        """What is still being tried without it has the processors to itself."""
        self.progress.step("instance", lambda _say: self._stop())

    def _wait(self) -> None:
        assert self.process
        deadline = time.monotonic() + READY_SECONDS
        while not (self.home / "run/ready").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"The instance to be tested did not start:\n{tail(self.log, 30)}")
            time.sleep(0.1)

    def _stop(self) -> None:
        assert self.process
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            raise SetupError(f"The instance did not stop:\n{tail(self.log, 30)}") from None

    def told(self) -> dict[str, str]:
        """What live and browser tests find in their environment."""
        return {
            "FAXROOM_TEST_URL": f"http://127.0.0.1:{self.port}",
            "FAXROOM_TEST_HOME": str(self.home),
            "FAXROOM_TEST_PASSWORD": DEMO_PASSWORD,
            "FAXROOM_TEST_SIP_PORT": str(self.sip_port),
            "FAXROOM_TEST_ARI_PORT": str(self.ari_port),
            "FAXROOM_TEST_DOOR_PORT": str(self.door_port),
        }


def _sip_port() -> int:
    """Free, with ranges of ports for media that no other instance of this run has."""
    while (port := free_ports(1)[0]) % SLICES in _taken_slices:
        pass
    _taken_slices.add(port % SLICES)
    return port


def free_ports(count: int) -> list[int]:
    """Each is free, as is the one behind it: SIP's is followed by that of TLS. Who starts something that takes a second
    to listen has it in that second too, unlike one of those that outgoing connections are given."""
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(PORTS)
        if not {port - 1, port, port + 1} & {*found} and is_free(port) and is_free(port + 1):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    """For TCP and UDP at this moment."""
    with contextlib.suppress(OSError), socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", port))
        udp.bind(("0.0.0.0", port))
        return True
    return False


# ---- PostgreSQL


@contextlib.contextmanager
def _postgres(folder: Path, progress: Progress, **more: str) -> Iterator[str]:
    """A cluster of its own with these settings besides, gone with the tests. Yields the URL of an empty database."""
    begin = time.monotonic()
    with postgres.cluster(folder / "pg", port=free_ports(1)[0], **more) as cluster:
        progress.say("postgresql", f"ready ({time.monotonic() - begin:.1f} s)")
        yield cluster.url
