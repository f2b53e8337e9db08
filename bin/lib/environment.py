"""The project's virtual environment, exactly as the lock files say."""

import hashlib
import json
import os
from pathlib import Path

from shell import Say, run

PYTHON = "/usr/bin/python3"  # Debian's own: LibreOffice's "uno" is made for it
TOOLS_LOCK = "requirements-tools.lock"
STAMP = "faxroom-stamp.json"


def is_ready(root: Path, lock: str) -> bool:
    """Does the environment hold what ``lock`` says, for the Python of this machine?"""
    return _stamp(root).get(lock) == _state(root, lock)


def install(root: Path, say: Say, *, lock: str = "requirements.lock", log: Path) -> None:
    """Make ``.tools/venv`` hold at least what ``lock`` says. Every file is checked against its hash."""
    if is_ready(root, lock):
        return
    venv, uv = root / ".tools/venv", root / ".tools/uv"
    if not _is_of_this_python(venv):
        say("making the virtual environment")
        run([PYTHON, "-m", "venv", "--clear", "--system-site-packages", venv], log=log)
    say(f"installing {lock}")
    if _stamp(root).get(TOOLS_LOCK) != _state(root, TOOLS_LOCK) or not (uv / "bin/uv").exists():
        python = str(venv / "bin/python")
        pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--upgrade"]
        run([*pip, "--require-hashes", "--target", uv, "-r", root / TOOLS_LOCK], log=log)
        _write_stamp(root, TOOLS_LOCK)
    # Bytecode now: the first start and every command after it are quicker by seconds.
    command = [str(uv / "bin/uv"), "pip", "install", "-q", "--python", str(venv / "bin/python"), "--require-hashes"]
    run([*command, "--compile-bytecode", "-r", root / lock], log=log, env={**os.environ, "UV_LINK_MODE": "copy"})
    _write_stamp(root, lock)


def _is_of_this_python(venv: Path) -> bool:
    """A new Debian brings a new Python; an environment of the old one is of no use."""
    return (venv / "bin/python").exists() and (venv / "lib" / Path(PYTHON).resolve().name).is_dir()


def _stamp(root: Path) -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads((root / ".tools/venv" / STAMP).read_text())
        return stamp
    except (FileNotFoundError, ValueError):
        return {}


def _write_stamp(root: Path, lock: str) -> None:
    stamp = {**_stamp(root), lock: _state(root, lock)}
    (root / ".tools/venv" / STAMP).write_text(json.dumps(stamp, indent=1))


def _state(root: Path, lock: str) -> str:
    return f"{Path(PYTHON).resolve().name} {hashlib.sha256((root / lock).read_bytes()).hexdigest()}"
