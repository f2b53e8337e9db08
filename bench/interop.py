"""Which machines a fax gets through to, and which get through to us: makes docs/interoperability.md.

    .tools/venv/bin/python bench/interop.py [--faxes 2] [--asterisk16 ROOT] [--seed 1]

One Asterisk of ours at the near end, as it is in an installation, calls and is called by each far end, through
bench/lossy_way.py. A fax of two pages goes as app/rules/sending/ladder.py says, three calls at most; what was confirmed
is not sent again. A far end that calls us calls three times at most. Pages are compared dot by dot.

ROOT is a Debian 11 with its Asterisk: ``debootstrap --variant=minbase bullseye ROOT``, then in it ``apt-get install
--no-install-recommends asterisk``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lossy_calls import Case, Sent, send  # noqa: E402
from lossy_way import LossyWay  # noqa: E402
from machine import RTN, RTP, V27TER, Habits, Machine, serve  # noqa: E402

from app.adapters.fax_files.fax_tiff import decode, encode, read_pages, write_pages  # noqa: E402
from app.adapters.fax_files.fitting import at_standard  # noqa: E402
from app.services.receiving.line_events import Received  # noqa: E402
from tests.live.hylafax import HylaFax  # noqa: E402
from tests.live.hylafax import Machine as Modem  # noqa: E402
from tests.live.lines import ASTERISK_ROOT, Ear, Line, asterisk, call_of, wait_until  # noqa: E402

TARGET = ROOT / "docs/interoperability.md"
PAGES, CALLS, LONGEST = 2, 3, 100
NO_FINE, NO_CALL = "standard resolution only", "no call came in"


@dataclass(frozen=True)
class Network:
    """``loss``: share of packets lost, of sound (RTP) and of T.38 (UDPTL); ``jitter`` in seconds."""

    name: str
    loss: tuple[float, float] = (0, 0)
    jitter: float = 0

    @property
    def is_good(self) -> bool:
        return not self.jitter and not any(self.loss)


NETWORKS = (
    Network("nothing lost"),
    Network("1 % of RTP, 10 % of UDPTL lost", loss=(0.01, 0.1)),
    Network("60 ms of jitter", jitter=0.06),
)
#: The machine with habits: what it is told, and what is to be expected where that is not "sent".
HABITS = {
    "none": Habits(),
    NO_FINE: Habits(fine=False),
    "no error correction": Habits(ecm=False),
    "V.27ter only": Habits(modems=V27TER),
    "V.27ter, no error correction, standard resolution only": Habits(modems=V27TER, ecm=False, fine=False),
    "answers RTP to page 1": Habits(ecm=False, says={1: RTP}),
    "answers RTN to page 1": Habits(ecm=False, says={1: RTN}),
    "answers RTP to the last page": Habits(ecm=False, says={2: RTP}),
    "answers RTN to the last page": Habits(ecm=False, says={2: RTN}),
    "its DIS begins 8 s after the answer": Habits(begins_after=8),
    "hangs up after page 1, each time": Habits(hangs_up_after=1),
    "no answering tone (CED)": Habits(ced=False),
    "MPS not heard the first time": Habits(says={1: None}),
    "EOP not heard the first time": Habits(says={2: None}),
    "holds a document to be polled, takes none": Habits(polled=True),
}


#: Those of the machine when it calls us.
CALLING = {
    "none": Habits(),
    "no error correction": Habits(ecm=False),
    "V.27ter only": Habits(modems=V27TER),
    "V.27ter, no error correction": Habits(modems=V27TER, ecm=False),
    "begins 8 s after the answer": Habits(begins_after=8),
    "hangs up after page 1, each time": Habits(hangs_up_after=1),
}


@dataclass
class Result:
    """Of one fax. ``equal``: every page that was sent is there dot by dot, in order."""

    sent: bool
    equal: bool
    calls: int
    seconds: float
    note: str = ""


@dataclass
class Row:
    far: str
    network: str
    mode: str
    direction: str
    results: list[Result] = field(default_factory=list)


# ---- Pages


def text_pages(path: Path) -> Path:
    """Two pages of text, fine."""
    font = ImageFont.load_default(28)
    pages = []
    for number in range(PAGES):
        page = Image.new("1", (1728, 2292), 1)
        for line in range(12):
            words = f"Page {number + 1}, line {line + 1}: the quick brown fox jumps over the lazy dog"
            ImageDraw.Draw(page).text((150, 200 + 160 * line), words, fill=0, font=font)
        pages.append(encode((~np.packbits(np.asarray(page), axis=1)).tobytes(), rows=2292, dots_down=196))
    write_pages(path, pages, total=PAGES)
    return path


def dots(file: Path) -> list[bytes]:
    found: list[bytes] = []
    with suppress(OSError), Image.open(file) as image:  # of a call that broke off there may be no page
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(np.asarray(image.convert("1")).tobytes())
    return found


def are_equal(document: Path, files: Iterable[Path], *, standard: bool = False) -> bool:
    """A page that came twice, because its confirmation was lost, is no harm."""
    pages = [at_standard(page) for page in read_pages(document)] if standard else read_pages(document)
    wanted = [np.asarray(decode(page).convert("1")).tobytes() for page in pages]
    came = [page for file in files for page in dots(file)]
    return [page for number, page in enumerate(came) if page not in came[:number]] == wanted


# ---- Far ends


@dataclass
class Place:
    """Where calls take place: ours, the way to the other one, and what they send."""

    near: Line
    ear: Ear
    document: Path
    folder: Path
    faxes: int

    def went(self, key: str, number: str, *, t38: bool) -> Sent:
        case = Case({}, t38=t38, number=number)
        return send(case, key, CALLS, self.near, self.ear, self.document, self.folder, pages=PAGES)

    def came(self, number: str, count: int) -> Received:
        """The end of the so many-th call to this number of ours."""

        def ends() -> list[Received]:
            heard = [said for said in self.ear.heard if isinstance(said, Received)]
            return [said for said in heard if number.removeprefix("+") in said.called]  # HylaFAX dials no +

        self.ear.wait(f"a fax to {number}", LONGEST, lambda: len(ends()) >= count)
        return ends()[count - 1]

    def called(self, number: str, call: Callable[[int], None]) -> Result:
        """Be called until all pages are here."""
        seconds, said = 0.0, None
        for count in range(1, CALLS + 1):
            call(count)
            try:
                said = self.came(number, count)
            except AssertionError:
                return Result(False, False, count, seconds, NO_CALL)
            seconds += (said.facts.ended_at or 0) - (said.facts.answered_at or 0)
            file = self.near.home / f"spool/faxroom/incoming/{said.channel_id}.tif"
            if said.facts.pages >= PAGES:
                return Result(True, are_equal(self.document, [file]), count, seconds)
        return Result(False, False, CALLS, seconds, said.facts.error or "" if said else "")


def went(sent: Sent, equal: bool) -> Result:
    return Result(sent.done >= PAGES, equal, sent.calls, sent.seconds, sent.error)


@contextmanager
def around(far: Line, network: Network, args: argparse.Namespace, document: Path) -> Iterator[tuple[Place, LossyWay]]:
    """Ours beside ``far``, which is not started yet, so that it learns the way to us."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="interop-near-")))
        folder.chmod(0o711)
        near = Line(folder / "near", local={})
        loss = dict(zip(("audio", "image"), network.loss, strict=True))
        way = LossyWay(far_port=far.sip_port, loss=loss, seed=args.seed, jitter=network.jitter, near_port=near.sip_port)
        near.trunk = far.trunk = f"sip:localhost:{stack.enter_context(way).port}"
        near.start()
        stack.callback(near.stop)
        ear = stack.enter_context(Ear(near.ari))
        yield Place(near, ear, document, folder, args.faxes), way


def asterisk22(network: Network, args: argparse.Namespace, document: Path, folder: Path) -> list[Row]:
    far = Line(folder / "far", local={})
    with around(far, network, args, document) as (place, _):
        far.start()
        with Ear(far.ari) as ear:

            def out(number: str, mode: str) -> Result:
                sent = place.went(number[1:], number, t38=mode == "T.38")
                time.sleep(2)
                came = [said for said in ear.heard if isinstance(said, Received) and number in said.called]
                files = [far.home / f"spool/faxroom/incoming/{said.channel_id}.tif" for said in came]
                return went(sent, are_equal(document, files))

            def back(number: str, mode: str) -> Result:
                def call(count: int) -> None:
                    name = f"fax-back{number[1:]}-{count}"
                    far.ari.originate(call_of(name, document, number, t38=mode == "T.38"))

                return place.called(number, call)

            found = all_of("Asterisk 22", network, place, out, back)
        far.stop()
    return found


def all_of(
    far: str,
    network: Network,
    place: Place,
    out: Callable[[str, str], Result],
    back: Callable[[str, str], Result],
    modes: tuple[str, ...] = ("T.38", "G.711"),
) -> list[Row]:
    """All faxes of a far end in a network, side by side; each has a number of its own."""
    rows, jobs = [], []
    with ThreadPoolExecutor(16) as pool:
        for mode in modes:
            for direction, act in (("to it", out), ("from it", back)):
                rows.append(Row(far, network.name, mode, direction))
                for _ in range(place.faxes):
                    number = f"+39024{len(jobs):07d}"
                    jobs.append((rows[-1], pool.submit(act, number, mode)))
        for row, job in jobs:
            row.results.append(job.result())
    return rows


SETTINGS16 = {
    "asterisk.conf": """[directories]
astetcdir => {home}/etc
astmoddir => /usr/lib/asterisk/modules
astvarlibdir => {home}/lib
astdbdir => {home}/lib
astdatadir => /usr/share/asterisk
astspooldir => {home}/spool
astrundir => {home}/run
astlogdir => {home}/log
""",
    "modules.conf": "[modules]\nautoload = yes\nnoload = chan_sip.so\nnoload = chan_iax2.so\nnoload = chan_skinny.so\n"
    "noload = chan_unistim.so\nnoload = chan_mgcp.so\nnoload = pbx_dundi.so\n",
    "rtp.conf": "[general]\nrtpstart = 62000\nrtpend = 63000\n",
    "udptl.conf": "[general]\nudptlstart = 63001\nudptlend = 64000\n",
    "res_fax.conf": "[general]\nmaxrate = 14400\nminrate = 2400\nmodems = v17,v27,v29\necm = yes\n",
    "pjsip.conf": """[transport]
type = transport
protocol = udp
bind = 127.0.0.1:{port}
[end](!)
type = endpoint
context = in
disallow = all
allow = alaw,ulaw
direct_media = no
aors = way
[T.38](end)
t38_udptl = yes
t38_udptl_ec = redundancy
t38_udptl_maxdatagram = 400
[G.711](end)
[way]
type = aor
contact = sip:127.0.0.1:{way}
[T.38]
type = identify
endpoint = T.38
match = 127.0.0.1
""",
    "extensions.conf": """[in]
exten => _+X.,1,Answer()
 same => n,ReceiveFAX({home}/spool/${{EXTEN:1}}-${{EPOCH}}.tif,f)
[out]
exten => _[a-z].,1,SendFAX({home}/document.tif,${{IF($["${{EXTEN:0:1}}" = "t"]?zf:F)}})
""",
}


def asterisk16(network: Network, args: argparse.Namespace, document: Path, folder: Path) -> list[Row]:
    root = Path(args.asterisk16)
    with tempfile.TemporaryDirectory(prefix="interop-", dir=root / "tmp") as temporary:
        home = Path(temporary)
        inside = Path("/") / home.relative_to(root)
        far = Line(folder / "unused", local={})
        for name in ("etc", "lib", "spool", "run", "log"):
            (home / name).mkdir()
        (home / "document.tif").write_bytes(document.read_bytes())
        with around(far, network, args, document) as (place, way):
            for name, text in SETTINGS16.items():
                (home / "etc" / name).write_text(text.format(home=inside, port=far.sip_port, way=way.port))
            program = ["chroot", str(root), "asterisk", "-C", f"{inside}/etc/asterisk.conf"]
            with (home / "output").open("w") as output:
                process = subprocess.Popen([*program, "-f"], stdout=output, stderr=subprocess.STDOUT)

            def tell(words: str) -> str:
                return subprocess.run([*program, "-rx", words], capture_output=True, text=True, check=False).stdout

            try:
                wait_until(60, "Asterisk 16 answers", lambda: "Fully" in tell("core waitfullybooted").title())

                def out(number: str, mode: str) -> Result:
                    sent = place.went(number[1:], number, t38=mode == "T.38")
                    time.sleep(2)
                    return went(sent, are_equal(document, sorted((home / "spool").glob(f"{number[1:]}-*.tif"))))

                def back(number: str, mode: str) -> Result:
                    extension = "t" if mode == "T.38" else "g"
                    return place.called(
                        number,
                        lambda count: cast(
                            None, tell(f"channel originate PJSIP/{number}@{mode} extension {extension}x@out")
                        ),
                    )

                return all_of("Asterisk 16", network, place, out, back)
            finally:
                process.terminate()
                process.wait(20)


def hylafax(network: Network, args: argparse.Namespace, document: Path, folder: Path) -> list[Row]:
    """One modem for each number, so that none is busy."""
    far = Line(folder / "asterisk", local={})
    (folder / "log").mkdir()
    modems = {}
    for index in range(2 * args.faxes):
        number = f"+39024{index:07d}"
        modems[number] = Modem(f"m{index}", number, f"+39 06 910{index:04d}", 'TagLineFormat: ""\n')
    with around(far, network, args, document) as (place, _):
        far.start()
        with HylaFax(cast(Any, SimpleNamespace(home=folder)), list(modems.values())) as machines:

            def out(number: str, _mode: str) -> Result:
                sent = place.went(number[1:], number, t38=False)
                with suppress(AssertionError):
                    machines.calls(modems[number], "RECV", 1)
                return went(sent, are_equal(document, machines.received(modems[number])))

            def back(number: str, _mode: str) -> Result:
                modem = modems[number]

                def call(count: int) -> None:
                    if count > 1:
                        machines.calls(modem, "SEND", count - 1, seconds=60)
                    machines.send(modem, number, document)

                return place.called(number, call)

            found = all_of("HylaFAX+ with iaxmodem", network, place, out, back, ("G.711",))
        far.stop()
    return found


def machines(network: Network, args: argparse.Namespace, document: Path, folder: Path) -> list[Row]:
    """Behind the AudioSocket of an Asterisk 22. By G.711 it takes faxes and sends them."""
    kept: dict[str, tuple[Habits, Path | None]] = {}
    calls: list[Path] = []

    def machine(call: str) -> Machine:
        habits, sends = kept[call]
        receives = None if sends or habits.polled else folder / f"{call}-{len(calls)}.tif"
        calls.append(receives or folder)
        return Machine(habits, sends=sends or (document if habits.polled else None), receives=receives)

    with serve(machine) as port:
        names = list(HABITS) if network.is_good else ["none", "no error correction"]
        extensions, keys = ["[faxroom-in](+)"], {}
        for index, name in enumerate(names):
            for count in range(args.faxes):
                key = keys[f"+39024{index:03d}{count:04d}"] = uuid.uuid4()
                kept[key.hex] = (HABITS[name], None)
                extensions += [f"exten => +39024{index:03d}{count:04d},1,Answer()"]
                extensions += [f" same => n,AudioSocket({key},127.0.0.1:{port})", " same => n,Hangup()"]
        far = Line(folder / "far", local={"extensions-machines.conf": "\n".join(extensions) + "\n"})
        with around(far, network, args, document) as (place, _):
            far.start()
            tell = partial(_tell, far)
            for module in ("res_audiosocket.so", "app_audiosocket.so", "res_clioriginate.so"):
                tell(f"module load {module}")

            def out(number: str, name: str) -> Result:
                sent = place.went(number[1:], number, t38=False)
                files = sorted(folder.glob(f"{keys[number].hex}-*.tif"), key=lambda file: int(file.stem.split("-")[1]))
                return went(sent, are_equal(document, files, standard=not HABITS[name].fine))

            def back(number: str, name: str) -> Result:
                def call(_count: int) -> None:
                    key = uuid.uuid4()
                    kept[key.hex] = (CALLING[name], document)
                    tell(f"channel originate PJSIP/{number}@(main-audio application AudioSocket {key},127.0.0.1:{port}")

                return place.called(number, call)

            rows, jobs = [], []
            with ThreadPoolExecutor(8) as pool:
                for index, name in enumerate(names):
                    rows.append(Row(f"machine: {name}", network.name, "G.711", "to it"))
                    jobs += [
                        (rows[-1], pool.submit(out, f"+39024{index:03d}{count:04d}", name))
                        for count in range(args.faxes)
                    ]
                for index, name in enumerate(list(CALLING) if network.is_good else ["none", "no error correction"]):
                    rows.append(Row(f"machine: {name}", network.name, "G.711", "from it"))
                    jobs += [
                        (rows[-1], pool.submit(back, f"+39025{index:03d}{count:04d}", name))
                        for count in range(args.faxes)
                    ]
                for row, job in jobs:
                    row.results.append(job.result())
            far.stop()
    return rows


def _tell(line: Line, words: str) -> str:
    command = [part for part in asterisk.command(ASTERISK_ROOT, line.home) if part != "-f"]
    done = subprocess.run([*command, "-rx", words], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout


NAMES = ("Asterisk 22", "Asterisk 16", "HylaFAX+ with iaxmodem", "machine: none")
FARS = {"22": asterisk22, "16": asterisk16, "hylafax": hylafax, "machine": machines}


def measure(args: argparse.Namespace, task: tuple[str, Network]) -> tuple[list[Row], list[str]]:
    """What was found, and what could not be measured."""
    far, network = task
    with tempfile.TemporaryDirectory(prefix="interop-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        try:
            return FARS[far](network, args, text_pages(folder / "document.tif"), folder), []
        except (AssertionError, OSError) as error:
            return [], [f"{far}, {network.name}: not measured ({str(error)[:200]})."]


# ---- The document

HEAD = """# Interoperability

Written by `bench/interop.py` on {day}, on {cores} cores at a load of {load}. Each row is {faxes} of two pages of
text. It shows how many arrived whole, how many of these arrived dot by dot as they were sent, and on average how many
calls (three at most) and seconds on the line a fax took.

After a failed call, the next one goes another way, as in an installation ([Design](design.md)), and sends only the
pages that were not confirmed. A machine that calls us sends all of them again. Packets are lost and delayed at random
in both directions; jitter does not change their order.

So few faxes show what works and what does not, but no rates. Rates under loss are in [Measured](measured.md), from
`bench/lossy_calls.py`.

"""
TABLE = "| far end | network | carried by | way | arrived | dot by dot | calls | seconds | last word where it failed |"
NOTES = """
## What a machine says of a page

A machine without error correction may confirm a page but call it poor (RTP), or refuse it (RTN). A page answered with
RTP counts as sent. The fax's page, the email and the report name it and advise you to ask whether it can be read. A
page answered with RTN does not count: it is sent again, in the same call or the next. They name it too, because the
recipient may also have the poor copy. Asterisk reports both only in spandsp's log, which the line process reads
([Design](design.md)).

If a machine takes standard resolution only, the first call is refused. The second brings the pages at 98 lines to the
inch, and these are compared. A machine that only has a document to be polled takes no fax, so the failure is correct.
The machine that hangs up after page 1 does so each time before it confirms the page, so nothing is ever confirmed. A
sender that hangs up after page 1 sends half a fax each time; the log shows it as incompletely received.

iaxmodem needs its packets on time: at a load above 30, they come late even if nothing is lost.

Most of what fails with 1 % of sound lost fails because of the loss: two spandsp machines with only a wire between
them, no Asterisk and no load (`bench/lossy_wire.py`), brought both pages in none of 12 single calls at V.17, in three
at V.29 and in none at V.27ter. Silence in place of what was lost does not help. In packets of 60 ms, nine of 12
arrived.
"""


def row_text(row: Row) -> str:
    count = len(row.results)
    whole = [result for result in row.results if result.sent]
    calls, seconds = (sum(getattr(result, name) for result in row.results) / count for name in ("calls", "seconds"))
    words = next((result.note for result in row.results if not result.sent and result.note), "")
    equal = sum(result.equal for result in whole)
    cells = (row.far, row.network, row.mode, row.direction, f"{len(whole)} of {count}", f"{equal} of {len(whole)}")
    return f"| {' | '.join(cells)} | {calls:.1f} | {seconds:.0f} | {words.replace('|', ' ')} |"


def write(lines: list[str], args: argparse.Namespace) -> None:
    """``lines`` as they were printed: rows of the table, and words about what could not be measured."""
    found = [line for line in dict.fromkeys(lines) if line.startswith("| ")]
    rows = sorted((line for line in found if NO_CALL not in line), key=lambda line: line.split("|")[1:3])
    words = [line for line in dict.fromkeys(lines) if "not measured" in line]
    words += [
        f"{', '.join(cell.strip() for cell in line.split('|')[1:5])}: not measured, {NO_CALL}."
        for line in found
        if NO_CALL in line
    ]
    tables = [(far, network.name) for far in NAMES for network in NETWORKS]
    words += [
        f"{', '.join(pair)}: not measured." for pair in tables if not any(" | ".join(pair) in row for row in rows)
    ]
    head = HEAD.format(
        day=time.strftime("%-d %B %Y", time.gmtime()),
        cores=os.cpu_count(),
        load=f"{os.getloadavg()[2]:.0f}",
        faxes="one fax" if args.faxes == 1 else f"{args.faxes} faxes",
    )
    TARGET.write_text("\n".join([f"{head}{TABLE}", "|" + "---|" * 9, *rows, *(f"\n{word}" for word in words), NOTES]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--faxes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asterisk16", default="")
    parser.add_argument("--only", default="", help="far ends, separated by commas; then nothing is written")
    parser.add_argument("printed", nargs="*", help="what earlier runs have printed: the document is made of it")
    parser.add_argument("--at-once", type=int, default=2, help="far ends that are measured side by side")
    args = parser.parse_args()
    lines = [line for file in args.printed for line in Path(file).read_text().splitlines()]
    if args.printed:
        write(lines, args)
        return
    chosen = args.only.split(",") if args.only else list(FARS)
    if not args.asterisk16 and "16" in chosen:
        lines.append("Asterisk 16 of Debian 11 was not measured: its root was not there.")
    tasks = [(far, network) for network in NETWORKS for far in chosen if far != "16" or args.asterisk16]
    with ProcessPoolExecutor(args.at_once) as pool:
        for found, missing in pool.map(partial(measure, args), tasks):
            lines += [*map(row_text, found), *missing]
            print(*map(row_text, found), *missing, sep="\n", flush=True)
    if not args.only:
        write(lines, args)


if __name__ == "__main__":
    main()
