"""A real Asterisk for the live tests, with far ends that behave badly, and a listener that remembers what it hears."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from app.adapters.fax_files.fax_tiff import encode, write_pages
from app.adapters.telephony.ari import Ari, Connected, Disconnected, OutgoingCall
from app.errors import FaxroomError
from app.rules.sending.trunks.ports import SLICES
from app.services.receiving.line_events import (
    AllTold,
    Answered,
    Ended,
    Incoming,
    LineEvent,
    Ringing,
    StillSending,
    read_event,
)

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bin/lib"))
import testing  # noqa: E402

import asterisk  # noqa: E402 - the set-up's own modules

NO_LIMIT = asterisk.Incoming()
ASTERISK_ROOT = ROOT / ".tools/asterisk"
USER, PASSWORD = "faxroom", "of-the-tests"
Heard = TypeVar("Heard", bound=Answered | Ended | Ringing | StillSending)

#: Called numbers of the loop and what the far end does. Any other number is a fax machine.
BUSY, SILENT_BELL, UNALLOCATED, REJECTING = "+39050900001", "+39050900002", "+39050900003", "+39050900004"
HANGS_UP, PERSON, FAX_MACHINE = "+39050900005", "+39050900006", "+390509655637"
#: The voice destination of a shared line: somebody picks up at once and stays.
TELEPHONE = "+39050900007"
#: Sends the call on (SIP 302) to the other, a line of ours.
REDIRECTING, REDIRECTED = "+39050900009", "+39050900010"
#: Seconds after which the machine of HANGS_UP hangs up. Page 1 of :func:`light_then_dense` is through by then, page 2
#: takes minutes.
HANGS_UP_AFTER = 27
#: Seconds after which a machine of CallFrom("begins-late") sends its calling tone: later than a shared line listens.
BEGINS_AFTER = 8
FAR_ENDS = f"""
[faxroom-in](+)
exten => {BUSY},1,Hangup(17)
exten => {SILENT_BELL},1,Ringing()
 same => n,Wait(120)
exten => {UNALLOCATED},1,Hangup(1)
exten => {REJECTING},1,Hangup(21)
exten => {HANGS_UP},1,Answer()
 same => n,Set(TIMEOUT(absolute)={HANGS_UP_AFTER})
 same => n,ReceiveFAX(${{ASTSPOOLDIR}}/tmp/${{CHANNEL(uniqueid)}}.tif,f)
exten => {PERSON},1,Answer()
 same => n,Wait(6)
 same => n,Hangup()
exten => {TELEPHONE},1,Answer()
 same => n,Wait(900)
exten => {REDIRECTING},1,Transfer(PJSIP/sip:{REDIRECTED}@127.0.0.1)
exten => T,1,Hangup()

[talks]
exten => s,1,Playtones(440)
 same => n,Wait(900)

[begins-late]
exten => s,1,Wait({BEGINS_AFTER})
 same => n,Goto(faxroom-send,s,1)
"""


def wait_until(seconds: float, what: str, true: Callable[[], Any]) -> Any:
    """What ``true`` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return answer


class Line:
    """One Asterisk with a home of its own; ``local`` maps names of files in etc/local to their text."""

    def __init__(
        self,
        home: Path,
        *,
        local: dict[str, str],
        trunk: str = "loop",
        incoming: asterisk.Incoming = NO_LIMIT,
        authorities: Path = asterisk.AUTHORITIES,
    ) -> None:
        self.home, self.trunk, self.incoming, self.authorities = home, trunk, incoming, authorities
        self.sip_port, self.ari_port = testing.free_ports(2)
        self.ari = Ari(f"http://127.0.0.1:{self.ari_port}", USER, PASSWORD, node="test")
        self._local = local
        self._process: subprocess.Popen[bytes] | None = None

    def keep_apart_from(self, other: "Line") -> None:
        """Before it starts: ports for media follow from that of SIP, and two must not have the same."""
        while self.sip_port % SLICES == other.sip_port % SLICES:
            (self.sip_port,) = testing.free_ports(1)

    def start(self) -> None:
        self.launch()
        self.wait()

    def wait(self) -> None:
        wait_until(100, "Asterisk answers", self._answers)

    def launch(self) -> None:
        """Start it and do not wait."""
        asterisk.render(
            ASTERISK_ROOT,
            self.home,
            sip_port=self.sip_port,
            ari_port=self.ari_port,
            ari_user=USER,
            ari_password=PASSWORD,
            trunk=self.trunk,
            incoming=self.incoming,
            authorities=self.authorities,
        )
        for name, text in self._local.items():
            (self.home / "etc/local" / name).write_text(text)
        command = asterisk.command(ASTERISK_ROOT, self.home)
        with (self.home / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (self.home / "output").read_text()
        try:
            return bool(self.ari.ping())
        except FaxroomError:  # 404 while res_ari is not loaded yet
            return False

    def kill(self) -> None:
        """As a crash or the kernel would: no handler runs."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """As if it had no current: its calls are there, and nothing comes of them."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> int:
        """Ask it to end, as a supervisor does; returns its exit status."""
        assert self._process
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(100)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def console(self, command: str) -> str:
        """What it says to a command of its console."""
        asked = [*asterisk.command(ASTERISK_ROOT, self.home)[:-1], "-rx", command]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout

    def marks(self) -> set[str]:
        """The calls of which it is on the disk that a page may have left."""
        return {path.name for path in (self.home / "spool/faxroom/answered").iterdir()}

    def received(self) -> list[Path]:
        return sorted((self.home / "spool/faxroom/incoming").glob("*.tif"))


def let_in(ari: Ari, call: Incoming) -> None:
    ari.receive(call.channel_id)


@dataclass
class Ear:
    """Listens to one Asterisk as the line process does: decides about incoming calls, remembers everything."""

    ari: Ari
    deciding: Callable[[Ari, Incoming], None] = let_in
    heard: list[LineEvent] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    connections: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _deaf: threading.Event = field(default_factory=threading.Event)

    def listen(self) -> "Ear":
        threading.Thread(target=self._run, daemon=True, name="ear").start()
        self.wait("a connection", 100, lambda: self.connections)
        return self

    def close(self) -> None:
        self._deaf.set()

    def __enter__(self) -> "Ear":
        return self.listen()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        for heard in self.ari.events():
            if self._deaf.is_set():
                return
            if isinstance(heard, Connected):
                with self._changed:
                    self.connections += 1
                    self._changed.notify_all()
            elif not isinstance(heard, Disconnected):
                for said in filter(None, map(read_event, heard)):
                    self._note(said)

    def _note(self, said: LineEvent) -> None:
        if isinstance(said, Incoming):
            with suppress(FaxroomError):  # a caller that has gone
                self.deciding(self.ari, said)
        with self._changed:
            (self.incoming if isinstance(said, Incoming) else self.heard).append(said)
            self._changed.notify_all()

    def wait(self, what: str, seconds: float, true: Callable[[], Any]) -> Any:
        with self._changed:
            answer = self._changed.wait_for(true, seconds)
        assert answer, f"not within {seconds} s: {what}"
        return answer

    def of(self, kind: type[Heard], channel_id: str) -> Heard | None:
        """What was heard of this kind about a call."""
        return next((event for event in self.heard if isinstance(event, kind) and event.channel_id == channel_id), None)

    def await_of(self, kind: type[Heard], channel_id: str, seconds: float = 200) -> Heard:
        return self.wait(f"{kind.__name__} of {channel_id}", seconds, lambda: self.of(kind, channel_id))

    def result(self, channel_id: str, seconds: float = 200) -> Ended:
        return self.await_of(Ended, channel_id, seconds)

    def result_by_sound(self, call: OutgoingCall, seconds: float = 200) -> Ended:
        """How a call ends that is under way and that nothing but this machine can spoil: sound is carried in real time
        here, and where the machine stands still for a fifth of a second a page is lost. It is placed again then, as the
        portal would, twice at the most; ``channel_id`` tells which one this is of.
        """
        ended = self.result(call.channel_id, seconds)
        for number in (2, 3):
            if ended.facts.outcome == "success":
                break
            call = replace(call, channel_id=f"{call.channel_id.rpartition('-')[0]}-{number}")
            self.ari.originate(call)
            ended = self.result(call.channel_id, seconds)
        return ended

    def asked_again(self) -> list[LineEvent]:
        """Whatever is durable, told on request."""
        begin = len(self.heard)
        word = self.ari.ask_results()
        self.wait("the end of the results", 100, lambda: AllTold(word) in self.heard[begin:])
        return self.heard[begin : self.heard.index(AllTold(word))]

    def durable(self) -> dict[str, LineEvent]:
        """Ask for the durable results and marks, as the line process does after any gap: channel id → event."""
        told = self.asked_again()
        return {event.channel_id: event for event in told if isinstance(event, Ended)}


def call_of(channel_id: str, file: Path, number: str = FAX_MACHINE, **other: Any) -> OutgoingCall:
    """A call as the portal places it."""
    call = OutgoingCall(
        channel_id=channel_id,
        number=number,
        file=str(file),
        station_id="+39 050 9655637",
        caller_number="+390501234567",
        ecm=True,
        max_rate=14400,
        t38=True,
        ring_seconds=30,
        max_seconds=600,
        not_after=int(time.time()) + 120,
    )
    return replace(call, **other)


@dataclass(frozen=True)
class CallElsewhere(OutgoingCall):
    """A call over another endpoint of PJSIP than the trunk."""

    endpoint: str = ""

    def body(self) -> dict[str, Any]:
        return super().body() | {"endpoint": f"PJSIP/{self.number}@{self.endpoint}"}

    @classmethod
    def of(cls, call: OutgoingCall, endpoint: str) -> "CallElsewhere":
        return cls(**vars(call), endpoint=endpoint)


@dataclass(frozen=True)
class CallFrom(OutgoingCall):
    """A call whose near end is not a fax machine that begins at once: ``talks`` or ``begins-late``."""

    context: str = ""

    def body(self) -> dict[str, Any]:
        return super().body() | {"context": self.context}

    @classmethod
    def of(cls, call: OutgoingCall, context: str) -> "CallFrom":
        return cls(**vars(call), context=context)


def pages_in(path: Path) -> int:
    """Its pages; 0 for one whose first page comes in, and for one that has just gone."""
    try:
        with Image.open(path) as image:
            return getattr(image, "n_frames", 1)
    except OSError:
        return 0


def light_pages(path: Path, count: int) -> Path:
    """A fax TIFF of pages with one line of text each."""
    return _write(path, [_page() for _ in range(count)])


def light_then_dense(path: Path) -> Path:
    """Two pages: a light one, and one of noise that stays on the line for minutes."""
    noise = Image.effect_noise((1728, 2292), 200).convert("1")
    return _write(path, [_page(), noise])


def slow_pages(path: Path) -> Path:
    """Four pages, one of which takes more than a minute at the lowest rates."""
    slow = _page()
    slow.paste(Image.effect_noise((1728, 110), 200).convert("1"), (0, 1000))
    return _write(path, [_page(), slow, _page(), _page()])


def _page() -> Image.Image:
    page = Image.new("1", (1728, 2292), 1)
    ImageDraw.Draw(page).text((200, 200), "Referto: nessuna anomalia.", fill=0)
    return page


def _write(path: Path, pages: list[Image.Image]) -> Path:
    encoded = [encode((~np.packbits(np.asarray(page), axis=1)).tobytes(), rows=2292, dots_down=196) for page in pages]
    write_pages(path, encoded, total=len(encoded))
    return path
