"""A fax machine with habits: spandsp of the Asterisk root by ctypes, 20 ms of sound in and 20 ms out at a time.

:func:`serve` puts it behind Asterisk's AudioSocket, :func:`join` before another one with nothing between them but the
packets that are lost, as fast as the processor goes.
"""

import ctypes
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SPANDSP = ROOT / ".tools/asterisk/usr/lib/x86_64-linux-gnu/libspandsp.so.2"
#: Samples in 20 ms at 8,000 a second, and the bytes of a packet of them.
SAMPLES = 160
SILENCE = b"\0" * (2 * SAMPLES)
#: spandsp 0.0.6, spandsp/t30.h and t30_fcf.h: T30_SUPPORT_…, T30_…
V27TER, V29, V17 = 1, 2, 4
COMPRESSIONS = 2 | 4 | 8  # T.4 one- and two-dimensional, T.6
STANDARD, FINE, R8 = 1, 2, 0x20000
SIZES = 0x1 | 0x10000 | 0x20000 | 0x80000 | 0x100000  # 215 mm wide, of any length
MCF, RTP, RTN = 0x8C, 0xCC, 0x4C

_FRAME_SEEN = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_uint8), ctypes.c_int
)
_PAGE_ENDED = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
_CALL_ENDED = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)


@dataclass(frozen=True)
class Habits:
    """What this machine can do and does. ``modems``: V27TER, V29, V17, added up. ``begins_after``: seconds of silence
    after the answer. ``hangs_up_after`` so many pages. ``polled``: it holds
    a document to be fetched and takes none. ``says``: page → what it answers instead of MCF; None: nothing,
    the first time, as if the sender's MPS or EOP had not arrived."""

    modems: int = V27TER | V29 | V17
    ecm: bool = True
    fine: bool = True
    ced: bool = True
    begins_after: float = 0
    hangs_up_after: int = 0
    polled: bool = False
    says: dict[int, int | None] = field(default_factory=dict)
    station_id: str = "+39 06 0000001"


class _Statistics(ctypes.Structure):
    """t30_stats_t."""

    _fields_ = [
        (name, ctypes.c_int)
        for name in (
            *("bit_rate", "ecm", "pages_tx", "pages_rx", "pages_in_file", "x_resolution", "y_resolution", "width"),
            *("length", "image_size", "encoding", "bad_rows", "longest_bad_row_run", "ecm_retries", "status"),
        )
    ]


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(SPANDSP))
    for name in ("fax_init", "fax_get_t30_state", "t30_completion_code_to_str"):
        getattr(library, name).restype = ctypes.c_void_p
    return library


class Machine:
    """One machine in one call: it sends ``sends``, or receives into ``receives``. ``end`` is spandsp's word for how it
    ended, None until then."""

    def __init__(self, habits: Habits, *, sends: Path | None = None, receives: Path | None = None) -> None:
        self.habits, self.seconds, self.pages, self.end = habits, 0.0, 0, None
        self.heard: list[int] = []
        self._mute_until = 0.0
        self._is_gone = False
        self._library = _library()
        self._fax = ctypes.c_void_p(self._library.fax_init(None, int(sends is not None and not habits.polled)))
        self._t30 = ctypes.c_void_p(self._library.fax_get_t30_state(self._fax))
        self._handlers = (_FRAME_SEEN(self._frame), _PAGE_ENDED(self._page), _CALL_ENDED(self._ended))
        self._library.fax_set_transmit_on_idle(self._fax, 1)
        set_up = {
            "set_tx_ident": habits.station_id.encode(),
            "set_ecm_capability": int(habits.ecm),
            "set_supported_modems": habits.modems,
            "set_supported_compressions": COMPRESSIONS,
            "set_supported_resolutions": STANDARD | R8 | (FINE if habits.fine else 0),
            "set_supported_image_sizes": SIZES,
        }
        for name, value in set_up.items():
            getattr(self._library, f"t30_{name}")(self._t30, value)
        for name, handler in zip(("real_time_frame", "phase_d", "phase_e"), self._handlers, strict=True):
            getattr(self._library, f"t30_set_{name}_handler")(self._t30, handler, None)
        if sends:
            self._library.t30_set_tx_file(self._t30, str(sends).encode(), -1, -1)
        if receives:
            self._library.t30_set_rx_file(self._t30, str(receives).encode(), -1)

    @property
    def is_over(self) -> bool:
        return self._is_gone

    @property
    def statistics(self) -> _Statistics:
        found = _Statistics()
        self._library.t30_get_transfer_statistics(self._t30, ctypes.byref(found))
        return found

    def close(self) -> None:
        self._library.fax_release(self._fax)
        self._library.fax_free(self._fax)

    def hear(self, sound: bytes) -> None:
        """16-bit samples, as many as there are."""
        if self.seconds >= self.habits.begins_after:
            self._library.fax_rx(self._fax, ctypes.create_string_buffer(sound, len(sound)), len(sound) // 2)

    def speak(self) -> bytes:
        """The next 20 ms."""
        self.seconds += SAMPLES / 8000
        if self.seconds < self.habits.begins_after:
            return SILENCE
        sound = ctypes.create_string_buffer(SILENCE, len(SILENCE))
        count = self._library.fax_tx(self._fax, sound, SAMPLES)
        is_silent = count <= 0 or self.seconds < self._mute_until or not (self.habits.ced or self.heard)
        return SILENCE if is_silent else sound.raw

    # ---- What spandsp tells

    def _frame(self, _state: int, _given: int, is_incoming: int, frame: Any, length: int) -> None:
        """An answer of ours may still be changed here (t30.c: send_frame)."""
        if length < 3:
            return
        if is_incoming:
            self.heard.append(frame[2])
        elif not self.heard:
            self.heard.append(0)  # its DIS begins: CED is over
        elif frame[2] & 0xFE == MCF and self.pages in self.habits.says:
            said = self.habits.says[self.pages]
            if said is not None:
                frame[2] = said
            elif not self._mute_until:
                self._mute_until = self.seconds + 2.5

    def _page(self, _state: int, _given: int, _result: int) -> int:
        self.pages += 1
        self._is_gone = self._is_gone or self.pages == self.habits.hangs_up_after
        return 0

    def _ended(self, _state: int, _given: int, code: int) -> None:
        self.end = ctypes.string_at(self._library.t30_completion_code_to_str(code)).decode()
        self._is_gone = True


# ---- Two of them, and nothing between


@dataclass(frozen=True)
class Wire:
    """``loss``: share of packets lost, each way; ``packet``: how many times 20 ms one packet holds. ``keeps_time``:
    what was lost is heard as silence, as behind a jitter buffer that fills in; else as nothing, as in SendFAX
    and ReceiveFAX of Asterisk."""

    loss: float = 0
    packet: int = 1
    keeps_time: bool = False


def join(sender: Machine, receiver: Machine, wire: Wire, luck: random.Random, *, longest: float = 900) -> None:
    """Until one is over; what was on the wire is still heard."""
    lost = {sender: False, receiver: False}
    for step in range(int(longest * 50)):
        if step % wire.packet == 0:
            lost = {machine: luck.random() < wire.loss for machine in lost}
        said = {machine: machine.speak() for machine in lost}
        for machine, other in ((sender, receiver), (receiver, sender)):
            if not lost[other]:
                machine.hear(said[other])
            elif wire.keeps_time:
                machine.hear(SILENCE)
        if sender.is_over:
            return


# ---- Behind Asterisk


@contextmanager
def serve(machine: Callable[[str], Machine]) -> Iterator[int]:
    """Answer Asterisk's AudioSocket (https://docs.asterisk.org, AudioSocket protocol): a packet is a kind, its length
    in two bytes, and so many bytes; 1 is the call's UUID, 16 sound of 16 bits, 0 its end. ``machine``: UUID → who takes
    it. Gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    call, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_converse, args=(call, machine), daemon=True).start()

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def _converse(call: socket.socket, machine: Callable[[str], Machine]) -> None:
    with call, call.makefile("rb") as heard:
        kind, first = _packet(heard)
        if kind != 1:
            return
        mine = machine(first.hex())
        try:
            while not mine.is_over:
                kind, sound = _packet(heard)
                if kind == 0:
                    return
                if kind == 16:
                    mine.hear(sound)
                    call.sendall(bytes((16,)) + len(SILENCE).to_bytes(2, "big") + mine.speak())
            if mine.end:
                _let_it_be_heard(call, heard)
            call.sendall(b"\0\0\0")
        except OSError:
            return
        finally:
            mine.close()


def _let_it_be_heard(call: socket.socket, heard: Any) -> None:
    """The last sound is under way for a while."""
    for _ in range(25):
        if _packet(heard)[0] == 0:
            return
        call.sendall(bytes((16,)) + len(SILENCE).to_bytes(2, "big") + SILENCE)


def _packet(heard: Any) -> tuple[int, bytes]:
    head = heard.read(3)
    return (head[0], heard.read(int.from_bytes(head[1:], "big"))) if len(head) == 3 else (0, b"")
