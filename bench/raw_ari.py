"""The line's own speed: N one-page faxes at once over the loop of an Asterisk of our own, by a plain ARI script.

    .tools/venv/bin/python bench/raw_ari.py --calls 100 [--tiff FILE] [--json]

No portal, no database, no queue: what Faxroom needs for the same faxes is compared with this. Wall seconds run from
the first request to the last hang-up. The Asterisk is private, freshly started and stopped at the end.
"""

import argparse
import asyncio
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image, ImageDraw
from websockets.asyncio.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bin/lib")]
import asterisk  # noqa: E402 - the set-up's own module
from app.adapters.fax_files.fax_tiff import encode, write_pages  # noqa: E402

ASTERISK_ROOT = ROOT / ".tools/asterisk"
USER, PASSWORD = "raw", "of-the-benchmark"
NUMBER = "+390509655637"
REQUESTS_AT_ONCE = 10
LONGEST_SECONDS = 600


def light_page(path: Path) -> Path:
    page = Image.new("1", (1728, 2292), 1)
    ImageDraw.Draw(page).text((200, 200), "One light page.", fill=0)
    packed = (~np.packbits(np.asarray(page), axis=1)).tobytes()
    write_pages(path, [encode(packed, rows=page.height, dots_down=196)], total=1)
    return path


def start_asterisk(
    home: Path, sip_port: int, ari_port: int, trunk: str = "loop", ahead: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    asterisk.install(ASTERISK_ROOT, print)
    account = {"ari_user": USER, "ari_password": PASSWORD}
    asterisk.render(ASTERISK_ROOT, home, sip_port=sip_port, ari_port=ari_port, trunk=trunk, **account)
    return subprocess.Popen(
        [*ahead, *asterisk.command(ASTERISK_ROOT, home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )


async def until_it_answers(http: httpx.AsyncClient) -> None:
    for _ in range(600):
        try:
            if (await http.get("/ari/asterisk/info")).is_success:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)
    sys.exit("Asterisk does not answer.")


def call_body(tiff: Path) -> dict[str, Any]:
    return {
        "endpoint": f"PJSIP/{NUMBER}@(main-t38",
        "context": "faxroom-send",
        "extension": "s",
        "priority": 1,
        "callerId": "+390501234567",
        "variables": {
            "CHANNEL(hangup_handler_push)": "faxroom-sent,s,1",
            "FAX_FILE": str(tiff),
            "FAX_HEADER": "Benchmark",
            "FAX_STATION": "+39 050 1234567",
            "FAX_ECM": "yes",
            "FAX_RATE": "14400",
            "FAX_MODEMS": "v17,v29,v27",
            "FAX_T38": "yes",
            "FAX_MAX_SECONDS": str(LONGEST_SECONDS),
            "FAX_NOT_AFTER": str(int(time.time()) + LONGEST_SECONDS),
        },
    }


async def place(http: httpx.AsyncClient, calls: int, tiff: Path, name: str = "raw") -> None:
    body, few = call_body(tiff), asyncio.Semaphore(REQUESTS_AT_ONCE)

    async def one(number: int) -> None:
        async with few:
            (await http.post(f"/ari/channels/{name}-{number}", json=body)).raise_for_status()

    await asyncio.gather(*(one(number) for number in range(calls)))


async def hear(events: ClientConnection, calls: int) -> tuple[Counter[str], float]:
    """The outcomes of all calls, and when the last of them came."""
    outcomes: dict[str, str] = {}
    async with asyncio.timeout(LONGEST_SECONDS):
        while len(outcomes) < calls:
            told = json.loads(await events.recv()).get("userevent", {})
            if told.get("eventname") == "FaxResult":
                fields = told["Result"].split("|")
                outcomes[told["Fax"]] = fields[6] if len(fields) > 6 else "not answered"
    return Counter(outcomes.values()), time.monotonic()


async def run(calls: int, tiff: Path, ari_port: int) -> dict[str, Any]:
    base = f"http://127.0.0.1:{ari_port}"
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    stream = f"ws://127.0.0.1:{ari_port}/ari/events?app=raw"
    async with httpx.AsyncClient(base_url=base, auth=(USER, PASSWORD), timeout=30, trust_env=False) as http:
        await until_it_answers(http)
        headers = {"Authorization": f"Basic {token}"}
        async with connect(stream, additional_headers=headers, max_size=None, proxy=None) as events:
            only = {"allowed": [{"type": "ChannelUserevent"}]}
            every = {"eventSource": "channel:"}
            (await http.post("/ari/applications/raw/subscription", params=every)).raise_for_status()
            (await http.put("/ari/applications/raw/eventFilter", json=only)).raise_for_status()
            hearing = asyncio.create_task(hear(events, calls))
            began = time.monotonic()
            await place(http, calls, tiff)
            placed = time.monotonic()
            outcomes, ended = await hearing
    return {
        "calls": calls,
        "outcomes": dict(outcomes),
        "seconds_to_place": round(placed - began, 2),
        "wall_seconds": round(ended - began, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--tiff", type=Path, help="the page to send; by default a light one")
    parser.add_argument("--sip-port", type=int, default=25068)
    parser.add_argument("--ari-port", type=int, default=28088)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    choice = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faxroom-raw-") as folder:
        tiff = choice.tiff.absolute() if choice.tiff else light_page(Path(folder) / "page.tif")
        process = start_asterisk(Path(folder) / "asterisk", choice.sip_port, choice.ari_port)
        try:
            figures = asyncio.run(run(choice.calls, tiff, choice.ari_port))
        finally:
            process.terminate()
            process.wait(30)
    if choice.json:
        print(json.dumps(figures))
    else:
        print(
            "{calls} calls: {outcomes}, placed in {seconds_to_place} s, all over after {wall_seconds} s".format(
                **figures
            )
        )


if __name__ == "__main__":
    main()
