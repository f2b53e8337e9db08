"""Keeps programs that change their user, which a parent's death signal does not survive (prctl(2), PR_SET_PDEATHSIG).

Runs as root. Reads one line of JSON (a :class:`Plan`) and starts what it says; ends all of it, whatever else it has
started since, and removes the folder, when its standard input ends: nobody is left who wanted it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "bin/lib"))
import processes

#: The only folder that iaxmodem looks in. Ours are elsewhere, named relative to it, so it must exist.
IAXMODEM_FOLDER = Path("/etc/iaxmodem")
#: iaxmodem sends and hears 50 packets of sound a second; a machine busy with other things must not delay them.
URGENT = -15


@dataclass(frozen=True)
class Plan:
    """``modems`` and ``servers`` are commands; the servers start when all ``devices`` of the modems are there.

    ``home`` becomes the property of ``owner``; output goes to ``home/output``.
    """

    home: str
    owner: str
    environment: dict[str, str]
    modems: list[list[str]]
    devices: list[str]
    servers: list[list[str]]


def main() -> None:
    processes.take_charge()
    plan = Plan(**json.loads(sys.stdin.readline()))
    try:
        _start(plan)
        sys.stdout.write("started\n")
        sys.stdout.flush()
        sys.stdin.read()
    except processes.Stopped:
        pass
    finally:
        processes.ignore_stop_signals()
        processes.end_descendants(seconds=5)
        shutil.rmtree(plan.home, ignore_errors=True)


def _start(plan: Plan) -> None:
    home = Path(plan.home)
    for path in (home, *home.rglob("*")):
        shutil.chown(path, plan.owner, plan.owner)
    with contextlib.suppress(PermissionError):
        os.nice(URGENT)
    made = not IAXMODEM_FOLDER.exists()
    IAXMODEM_FOLDER.mkdir(exist_ok=True)
    for command in plan.modems:
        _launch(command, plan)
    _wait_for([Path(device) for device in plan.devices])
    if made:
        with contextlib.suppress(OSError):
            IAXMODEM_FOLDER.rmdir()
    for command in plan.servers:
        _launch(command, plan)


def _launch(command: list[str], plan: Plan) -> None:
    with Path(plan.home, "output").open("ab") as output:
        environment = {**os.environ, **plan.environment}
        subprocess.Popen(
            command, cwd=plan.home, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def _wait_for(devices: list[Path]) -> None:
    deadline = time.monotonic() + 100
    while not all(device.exists() for device in devices):
        if time.monotonic() > deadline:
            raise SystemExit("iaxmodem made no device")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
