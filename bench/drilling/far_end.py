"""Fax machines elsewhere: an Asterisk of the drill's own that takes every call and keeps what it brought."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from .codes import Code, read
from .ledger import Call

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bin/lib"))
from supervise import AHEAD, TETHER  # noqa: E402

import asterisk  # noqa: E402 - the set-up's own module

ASTERISK_ROOT = ROOT / ".tools/asterisk"
NUMBERS = tuple(f"+3905090000{n:02}" for n in range(1, 41))
#: A call that hears nothing more is given up by its machine after this.
LONGEST_CALL = 300
#: A page that came whole has more: A4 at 196 to the inch. One that broke off was never confirmed.
ROWS = 2200


class FarEnd:
    def __init__(self, home: Path, *, sip_port: int, ari_port: int) -> None:
        self.home, self.arrived = home, home / "arrived"
        self.arrived.mkdir(parents=True)
        asterisk.install(ASTERISK_ROOT, print)
        ports = {"sip_port": sip_port, "ari_port": ari_port}
        asterisk.render(ASTERISK_ROOT, home, ari_user="drill", ari_password="of-the-drill", **ports)
        (home / "etc/local/extensions.conf").write_text(self._dialplan())
        self.process = subprocess.Popen(
            [*TETHER, *AHEAD, *asterisk.command(ASTERISK_ROOT, home)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _dialplan(self) -> str:
        lines = ["[faxroom-in](+)"]
        for number in NUMBERS:
            file = f"{self.arrived}/{number}-${{UNIQUEID}}.tif"
            lines += [f"exten => {number},1,Ringing()", " same => n,Answer()"]
            lines += [f" same => n,Set(TIMEOUT(absolute)={LONGEST_CALL})"]
            lines += [f" same => n,ReceiveFAX({file},f)", " same => n,Hangup()"]
        return "\n".join((*lines, "exten => T,1,Hangup()", ""))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def calls(self) -> list[Call]:
        return [Call(path.name.partition("-")[0], _codes(path)) for path in sorted(self.arrived.glob("*.tif"))]


def _codes(path: Path) -> tuple[Code, ...]:
    """Of the pages that came whole; a call that broke off leaves half a page, or none."""
    found: list[Code | None] = []
    with suppress(UnidentifiedImageError, OSError, EOFError), Image.open(path) as tiff:
        for page in range(getattr(tiff, "n_frames", 1)):
            tiff.seek(page)
            found.append(read(tiff) if tiff.height > ROWS else None)
    return tuple(code for code in found if code)
