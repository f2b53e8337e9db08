"""How often one call brings two pages over a wire that loses packets, with no Asterisk, no load and no clock at all:
what of a failure under loss is the loss's own.

    .tools/venv/bin/python bench/lossy_wire.py [--calls 12] [--loss 0.01] [--seed 0]

Two machines of bench/machine.py, and between them packets of 20 or 60 ms. Another modem at the receiving end, or a gap
that is filled with silence, is compared with what is usual in the same run.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from interop import PAGES, text_pages  # noqa: E402
from machine import V27TER, V29, Habits, Machine, Wire, join  # noqa: E402

CASES: dict[str, tuple[Habits, int, bool]] = {
    "V.17, 20 ms": (Habits(), 1, False),
    "V.17, 20 ms, silence in the gaps": (Habits(), 1, True),
    "V.29, 20 ms": (Habits(modems=V29 | V27TER), 1, False),
    "V.27ter, 20 ms": (Habits(modems=V27TER), 1, False),
    "V.17, 60 ms": (Habits(), 3, False),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=12)
    parser.add_argument("--loss", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lossy-wire-") as temporary:
        document = text_pages(Path(temporary, "document.tif"))
        for name, (habits, packet, keeps_time) in CASES.items():
            whole = 0
            for seed in range(args.seed, args.seed + args.calls):
                sender = Machine(Habits(), sends=document)
                receiver = Machine(habits, receives=Path(temporary, f"{seed}.tif"))
                wire = Wire(args.loss, packet=packet, keeps_time=keeps_time)
                join(sender, receiver, wire, random.Random(seed), longest=400)
                whole += receiver.statistics.pages_rx >= PAGES
                sender.close()
                receiver.close()
            print(f"{name}: {whole} of {args.calls} calls brought all pages", flush=True)


if __name__ == "__main__":
    main()
