"""How many faxes of four pages come in through the T.38 entrance and a network that loses packets, from callers who
send packets of 20 ms each time, and from the same callers if they are asked for large ones after a failure.

    .tools/venv/bin/python bench/lossy_callers.py [--faxes 8] [--calls 3] [--loss 0.01] [--seed 1] [--verbose]

Two Asterisks of its own, joined by bench/lossy_way.py. Each call of a fax is as the first; what was confirmed is not
sent again.
"""

import argparse
import asyncio
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lossy_calls import PAGES, Case, Sent, send  # noqa: E402
from lossy_way import LossyWay  # noqa: E402

from app.adapters.telephony.entrance import Entrance  # noqa: E402
from app.adapters.telephony.passing import Passed  # noqa: E402
from app.adapters.telephony.sip import read_message  # noqa: E402
from app.rules.receiving.packets import next_packet  # noqa: E402
from app.rules.sending.ladder import Tried  # noqa: E402
from app.rules.sending.results import CallFacts  # noqa: E402
from app.rules.sending.trunks.fields import ENTRANCE_HEADER, FILE, TrunkFields, file_text, vouching  # noqa: E402
from app.services.receiving.line_events import Received  # noqa: E402
from tests.live.lines import Ear, Line, light_pages  # noqa: E402

SECRET = "of-the-bench"


async def asked(ear: Ear, invite: Passed, calls: dict[str, int]) -> int:
    """By what came of this number's earlier calls, as the database would know it once all of them are over."""
    said = read_message(invite.write())
    number = said.meant if said else ""

    def earlier() -> list[CallFacts]:
        return [one.facts for one in ear.heard if isinstance(one, Received) and one.called.startswith(number)]

    while len(earlier()) < calls[number]:
        await asyncio.sleep(0.1)
    calls[number] += 1
    return next_packet([Tried(None, facts.outcome, facts.mode, facts.pages) for facts in earlier()])


@contextmanager
def entrance_to(line: Line, ear: Ear, *, asks: bool) -> Iterator[int]:
    """Its port."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="entrance").start()

    calls = defaultdict[str, int](int)

    async def packet_for(invite: Passed, _trunk: str) -> int | None:
        return await asked(ear, invite, calls) if asks else None

    async def begin() -> Entrance:
        entrance = Entrance(
            port=0,
            sip_port=line.sip_port,
            secret=SECRET,
            trunk_of=lambda address: "main",
            header=ENTRANCE_HEADER,
            vouching=lambda trunk: vouching(SECRET, trunk),
            packet_for=packet_for,
        )
        await entrance.open("127.0.0.1")
        return entrance

    entrance = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    yield entrance.port
    loop.call_soon_threadsafe(entrance.close)
    loop.call_soon_threadsafe(loop.stop)


def measure(args: argparse.Namespace, *, asks: bool) -> None:
    with tempfile.TemporaryDirectory(prefix="faxroom-lossy-callers-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o711)
        document = light_pages(folder / "document.tif", PAGES)
        called = Line(folder / "called", local={}, trunk="sip:192.0.2.9")
        told = called.home / "spool/faxroom" / FILE
        told.parent.mkdir(parents=True)
        told.write_text(file_text([TrunkFields("192.0.2.9", 5060)], sip_port=called.sip_port, entrance=SECRET))
        called.start()
        with (
            Ear(called.ari) as ear_of_called,
            entrance_to(called, ear_of_called, asks=asks) as port,
            LossyWay(far_port=port, loss={"audio": args.loss}, seed=args.seed) as way,
        ):
            caller = Line(folder / "caller", local={}, trunk=f"sip:localhost:{way.port}")
            caller.keep_apart_from(called)
            caller.start()

            def one(number: int) -> Sent:
                case = Case({}, t38=False, number=f"+3902400{number:05}", is_same=True)
                return send(case, number, args.calls, caller, ear_of_caller, document, folder)

            with Ear(caller.ari) as ear_of_caller, ThreadPoolExecutor(args.faxes) as pool:
                began = time.monotonic()
                faxes = list(pool.map(one, range(args.faxes)))
            caller.stop()
            called.stop()
    whole = [fax for fax in faxes if fax.done == PAGES]
    by_calls = dict(sorted(Counter(fax.calls for fax in whole).items()))
    name = "asked after a failure" if asks else "never asked"
    print(
        f"{name}: {len(whole)} of {len(faxes)} whole, by calls {by_calls}, "
        f"{sum(fax.done for fax in faxes)} of {PAGES * len(faxes)} pages, "
        f"{way.lost / max(1, way.lost + way.passed):.2%} of packets lost, {time.monotonic() - began:.0f} s",
        flush=True,
    )
    for fax in faxes if args.verbose else ():
        print("   ", "; ".join(fax.ways), f"{fax.seconds:.0f} s", flush=True)
    for received in (one for one in ear_of_called.heard if args.verbose and isinstance(one, Received)):
        facts = received.facts
        print("   ", received.called[:13], facts.mode, facts.outcome, facts.pages, facts.error or "", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--faxes", type=int, default=8)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    for asks in (False, True):
        measure(args, asks=asks)


if __name__ == "__main__":
    main()
