"""How many faxes of four pages get through a network that loses packets, and on which call.

    .tools/venv/bin/python bench/lossy_calls.py [--faxes 10] [--calls 3] [--seed 1] [CASE ...]

Two Asterisks of its own, joined by bench/lossy_way.py. Each call goes as app/rules/sending/ladder.py says, or (case
"same") as the first, as it did before; what was confirmed is not sent again.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lossy_way import LossyWay  # noqa: E402

from app.adapters.fax_files.fax_tiff import write_pages  # noqa: E402
from app.adapters.fax_files.fitting import at_standard  # noqa: E402
from app.adapters.pages.rasterizer import take_pages  # noqa: E402
from app.rules.sending.ladder import Memory, Tried, Way, next_way  # noqa: E402
from tests.live.lines import Ear, Line, call_of, light_pages  # noqa: E402

PAGES = 4
NUMBER, LATE = "+390240000001", "+390240000002"
#: A machine whose T.38 is offered 11 s after the answer.
LATE_END = f"""
[faxroom-in](+)
exten => {LATE},1,Answer()
 same => n,Wait(9)
 same => n,ReceiveFAX(${{ASTSPOOLDIR}}/faxroom/incoming/${{CHANNEL(uniqueid)}}.tif,f)
"""


@dataclass(frozen=True)
class Case:
    loss: dict[str, float]
    t38: bool = True
    number: str = NUMBER
    shown: Memory | None = None
    is_same: bool = False


CASES = {
    "G.711, no loss": Case({}, t38=False),
    "G.711, 1 %": Case({"audio": 0.01}, t38=False),
    "G.711, 1 %, each call as the first": Case({"audio": 0.01}, t38=False, is_same=True),
    "G.711, 3 %": Case({"audio": 0.03}, t38=False),
    "T.38, 10 %": Case({"image": 0.1}),
    "T.38, all UDPTL lost": Case({"image": 1.0}),
    "T.38 offered after 11 s": Case({}, number=LATE),
}


@dataclass
class Sent:
    calls: int = 0
    done: int = 0
    error: str = ""
    seconds: float = 0
    ways: list[str] = field(default_factory=list)


def send(
    case: Case, number: int | str, most: int, line: Line, ear: Ear, document: Path, folder: Path, pages: int = PAGES
) -> Sent:
    """``number`` tells its channels from others'."""
    wish, sent, tried = Way(case.t38, 14400, ecm=True), Sent(), list[Tried]()
    while sent.done < pages and sent.calls < most:
        way = wish if case.is_same else next_way(wish, case.shown, tried)
        channel = f"fax-lossy{number}-{len(tried) + 1}"
        file = folder / f"{channel}.tif"
        rest = take_pages(document, sent.done + 1)
        rest = [at_standard(page) for page in rest] if way.standard else rest
        write_pages(file, rest, total=len(rest))
        known = {"t38": way.t38, "max_rate": way.rate, "ecm": way.ecm, "packet": way.packet}
        line.ari.originate(call_of(channel, file, case.number, **known))
        facts = ear.result(channel, 900).facts
        sent.calls, sent.done = sent.calls + 1, sent.done + facts.pages
        sent.error = facts.error or ""
        if facts.answered_at and facts.ended_at:
            sent.seconds += facts.ended_at - facts.answered_at
        tried.append(Tried(way, facts.outcome, facts.mode, facts.pages, facts.error or ""))
        sent.ways.append(f"{facts.mode} {way.rate}{' ecm' if way.ecm else ''}: {facts.outcome} {facts.pages}")
    return sent


def measure(name: str, case: Case, args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="faxroom-lossy-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        document = light_pages(folder / "document.tif", PAGES)
        far = Line(folder / "far", local={"extensions.conf": LATE_END})
        far.start()
        with LossyWay(far_port=far.sip_port, loss=case.loss, seed=args.seed) as way:
            near = Line(folder / "near", local={}, trunk=f"sip:localhost:{way.port}")
            near.start()
            with Ear(near.ari) as ear, Ear(far.ari), ThreadPoolExecutor(args.faxes) as pool:
                began = time.monotonic()
                given = (args.calls, near, ear, document, folder)
                faxes = list(pool.map(lambda number: send(case, number, *given), range(args.faxes)))
            near.stop()
            far.stop()
        whole = [fax for fax in faxes if fax.done == PAGES]
        by_calls = dict(sorted(Counter(fax.calls for fax in whole).items()))
        lost = way.lost / max(1, way.lost + way.passed)
        print(
            f"{name}: {len(whole)} of {len(faxes)} sent, by calls {by_calls}, {lost:.2%} of packets lost, "
            f"{time.monotonic() - began:.0f} s",
            flush=True,
        )
        for fax in faxes if args.verbose else ():
            print("   ", "; ".join(fax.ways), f"{fax.seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--faxes", type=int, default=10)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("cases", nargs="*", default=list(CASES))
    args = parser.parse_args()
    for name in args.cases:
        measure(name, CASES[name], args)


if __name__ == "__main__":
    main()
