"""A short drill of an instance of its own: processes are killed and neighbours break with faxes under way, and the
ledger outside finds nothing lost, doubled or silent. The long one is ``bench/drill.py`` by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SEED = 15
KILLS = ("kill line", "kill jobs-line", "kill web", "kill asterisk")
FAULTS = ("redis stopped", "ari torn", "smtp dying", "line hung", "left behind")


@pytest.fixture(scope="module")
def told() -> dict:
    # bin/test tells its own instance by these; the drill has another
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FAXROOM_")}
    count = [f"--faxes={len(KILLS + FAULTS)}", f"--kills={len(KILLS)}", f"--faults={len(FAULTS)}"]
    command = [
        "setpriv",
        "--pdeathsig",
        "TERM",
        "--",
        sys.executable,
        ROOT / "bench/drill.py",
        str(SEED),
        *count,
        "--hold=2.5",
        "--json",
    ]
    done = subprocess.run(
        [*command, "--only", *KILLS, *FAULTS], env=environment, capture_output=True, text=True, timeout=550, check=False
    )
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout) | {"code": done.returncode, "said": done.stderr}


def test_nothing_is_lost_doubled_or_silent_whatever_is_killed_or_breaks(told):
    assert told["broken"] == [], told["said"]
    assert told["code"] == 0
    assert told["done"] == len(KILLS + FAULTS)
    assert told["accepted"] == 2 * told["done"]
    assert (told["twice"] - told["twice_told"], told["mails"]) == (0, told["accepted"])
    assert told["sent"] + told["unknown"] == told["accepted"]
    assert told["sent"] <= told["arrived"]


def test_it_comes_back_by_itself_in_time(told):
    limits = {
        "kill asterisk": 270,
        "redis stopped": 180,
        "line hung": 270,
        "left behind": 270,
    }
    late = {
        name: seconds
        for name, times in told["recovery"].items()
        for seconds in times
        if seconds is None or seconds > limits.get(name, 90)
    }
    assert late == {}, told["said"]
