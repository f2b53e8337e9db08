"""From the far end's answer to our first T.30 signal: what does it cost that the mark of a call is on the disk first?

    .tools/venv/bin/python bench/first_signal.py [--calls 40] [--at-once 1] [--home DIR]

An Asterisk of its own with our dialplan calls a far end made here (SIP and RTP), which notes when it said 200 and when
it first heard the calling tone (CNG, 1,100 Hz). Every other group of calls runs the same dialplan without the line that
writes the mark. DIR is on the disk that matters; a file system in memory costs nothing. Ends with 1 if the median is
more than 50 ms later than without.
"""

import argparse
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx
from drilling.far_end import AHEAD
from raw_ari import PASSWORD, USER, call_body, light_page, start_asterisk
from running import free_ports

MOST_MS = 50
LONGEST_SECONDS = 30
#: CNG (ITU-T T.30) changes its sign so often in 20 ms of sound; in silence the sign does not change at all.
CNG = range(41, 48)
BARE, FIRST = "bare", 1000


class FarEnd:
    """Answers every call at once and listens. ``taken`` is number called → seconds from 200 to the first signal."""

    def __init__(self, port: int) -> None:
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind(("127.0.0.1", port))
        self.port, self.taken, self.calls = port, {}, set()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            request, back = self.sip.recvfrom(8192)
            text = request.decode(errors="replace")
            method = text.split(" ", 1)[0]
            if method == "INVITE":
                call = re.search(r"(?im)^Call-ID: *(\S+)", text)[1]
                if call not in self.calls:
                    self.calls.add(call)
                    threading.Thread(target=self._answer, args=(text, back), daemon=True).start()
            elif method not in ("ACK", "SIP/2.0"):
                self.sip.sendto(_response(text), back)

    def _answer(self, invite: str, back: tuple[str, int]) -> None:
        number = re.match(r"INVITE sip:([^@]+)@", invite)[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
            rtp.bind(("127.0.0.1", 0))
            rtp.settimeout(LONGEST_SECONDS)
            media = f"m=audio {rtp.getsockname()[1]} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
            session = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n{media}"
            self.sip.sendto(_response(invite, session, self.port), back)
            answered = time.perf_counter()
            try:
                while not _is_calling_tone(rtp.recv(2048)[12:]):
                    pass
                self.taken[number] = time.perf_counter() - answered
            except TimeoutError:
                return


def _response(request: str, session: str = "", port: int = 0) -> bytes:
    headers = re.findall(r"(?im)^((?:Via|From|To|Call-ID|CSeq): .*)$", request.replace("\r", ""))
    told = [f"{line};tag=far" if line.lower().startswith("to:") and "tag=" not in line else line for line in headers]
    if session:
        told += [f"Contact: <sip:far@127.0.0.1:{port}>", "Content-Type: application/sdp"]
    return "\r\n".join(("SIP/2.0 200 OK", *told, f"Content-Length: {len(session)}", "", session)).encode()


def _is_calling_tone(sound: bytes) -> bool:
    """G.711 µ-law has the sign in its highest bit."""
    return sum((one ^ next_one) >> 7 for one, next_one in pairwise(sound)) in CNG


def without_mark(home: Path) -> None:
    """The dialplan once more, in a context of its own, without the line that waits for the disk."""
    dialplan = (home / "etc/extensions.conf").read_text()
    sends = re.search(r"(?s)\[faxroom-send\]\n(.*?)\n\n", dialplan)[1]
    bare, left_out = re.subn(r"(?m)^ same => n,GotoIf\(.*dd if=/dev/zero.*\n", "", sends)
    if left_out != 1:
        sys.exit("The line that writes the mark was not found.")
    (home / "etc/local/extensions.conf").write_text(f"[{BARE}]\n{bare}\n")


def measure(calls: int, at_once: int, folder: Path) -> dict[str, list[float]]:
    """Seconds, by whether there is a mark."""
    home, (sip, ari, far_port) = folder / "asterisk", free_ports(3)
    far, page = FarEnd(far_port), light_page(folder / "page.tif")
    for start in range(2):  # the second finds the dialplan that was added
        asterisk = start_asterisk(home, sip, ari, f"sip:127.0.0.1:{far_port}", ahead=AHEAD)  # as bin/up does
        try:
            if start == 0:
                without_mark(home)
                continue
            with httpx.Client(base_url=f"http://127.0.0.1:{ari}", auth=(USER, PASSWORD), timeout=30) as http:
                _until_ready(http)
                _call_all(http, far, page, calls, at_once)
        finally:
            asterisk.terminate()
            asterisk.wait(30)
    found: dict[str, list[float]] = {"with": [], "without": []}
    for number, seconds in far.taken.items():
        found["without" if _is_bare(int(number) - FIRST, at_once) else "with"].append(seconds)
    return found


def _until_ready(http: httpx.Client) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if http.get("/ari/channels").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    sys.exit("Asterisk does not answer.")


def _call_all(http: httpx.Client, far: FarEnd, page: Path, calls: int, at_once: int) -> None:
    """In groups of ``at_once``, with and without a mark in turn; a group ends when all have signalled."""
    with ThreadPoolExecutor(at_once) as pool:
        for first in range(0, calls, at_once):
            numbers = range(first, min(calls, first + at_once))
            bare = _is_bare(first, at_once)
            list(pool.map(lambda number: _place(http, number, page, bare=bare), numbers))  # noqa: B023 - ends here
            end = time.monotonic() + LONGEST_SECONDS
            while len(far.taken) < first + len(numbers) and time.monotonic() < end:
                time.sleep(0.02)
            for number in numbers:
                http.delete(f"/ari/channels/first-{number}")


def _is_bare(number: int, at_once: int) -> bool:
    return number // at_once % 2 == 0


def _place(http: httpx.Client, number: int, page: Path, *, bare: bool) -> None:
    body = call_body(page) | {"endpoint": f"PJSIP/{FIRST + number}@(main-audio"}
    body["variables"]["FAX_T38"] = "no"
    if bare:
        body["context"] = BARE
    http.post(f"/ari/channels/first-{number}", json=body).raise_for_status()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--home", type=Path, help="a folder to be made")
    choice = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fx-", dir=choice.home, ignore_cleanup_errors=True) as folder:
        found = measure(choice.calls, choice.at_once, Path(folder))
    if not all(found.values()):
        sys.exit(f"Not every kind of call was heard: {found}")
    for kind, seconds in found.items():
        times = sorted(1000 * value for value in seconds)
        print(
            f"{kind + ' mark':12} {len(times)} calls: median {statistics.median(times):.1f} ms, worst {times[-1]:.1f}"
        )
    later = 1000 * (statistics.median(found["with"]) - statistics.median(found["without"]))
    print(f"later by {later:.1f} ms (median)")
    return 0 if later <= MOST_MS else 1


if __name__ == "__main__":
    sys.exit(main())
