"""What an installation is made of, as CycloneDX (ECMA-424) in JSON: what the lock files pin, with their digests.

Of Python what requirements.lock has, of npm what package-lock.json has and is not for tests only, of Debian what
``bin/up`` installs, with the versions of this machine where it is installed here. Two runs on one state give the same,
but for the serial number and the time.
"""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packages import RUNTIME
from packageurl import PackageURL

#: ``name[extra]==version ; marker \`` and the digests below it.
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
DIGEST = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def bom_of(root: Path) -> str:
    """The whole document, for a person too: indented."""
    bom = Bom()
    bom.metadata.component = faxroom = Component(name="faxroom", type=ComponentType.APPLICATION, bom_ref="faxroom")
    parts = [*of_python(root / "requirements.lock"), *of_npm(root / "package-lock.json"), *of_debian()]
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(faxroom, parts)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def of_python(lock: Path) -> Iterator[Component]:
    """Each file that pip may take of a version has a digest of its own; all are named."""
    entries: list[tuple[str, str, list[str]]] = []
    for line in lock.read_text().splitlines():
        if found := PINNED.match(line):
            entries.append((found[1], found[2], []))
        if entries and (digest := DIGEST.search(line)):
            entries[-1][2].append(digest[1])
    for name, version, digests in entries:
        hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in digests]
        yield _component("pypi", name, version, hashes=hashes)


def of_npm(lock: Path) -> Iterator[Component]:
    for path, entry in json.loads(lock.read_text())["packages"].items():
        if not path or entry.get("dev"):
            continue
        algorithm, _dash, digest = entry["integrity"].partition("-")
        content = base64.b64decode(digest).hex()
        hashes = [HashType(alg=HashAlgorithm[algorithm.upper().replace("SHA", "SHA_")], content=content)]
        yield _component("npm", path.removeprefix("node_modules/"), entry["version"], hashes=hashes)


def of_debian() -> Iterator[Component]:
    """``a|b``: the first that is installed, else the first."""
    for either in RUNTIME:
        names = either.split("|")
        versions = {name: _installed(name) for name in names}
        name = next((name for name in names if versions[name]), names[0])
        yield _component("deb", name, versions[name], namespace="debian")


def _installed(name: str) -> str | None:
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", name]
    try:
        status, _blank, version = subprocess.run(command, capture_output=True, text=True).stdout.partition(" ")
    except FileNotFoundError:
        return None
    return version if status == "installed" else None


def _component(
    kind: str, name: str, version: str | None, *, namespace: str | None = None, hashes: list[HashType] | None = None
) -> Component:
    group, _slash, short = name.rpartition("/")
    purl = PackageURL(type=kind, namespace=namespace or group or None, name=short, version=version)
    return Component(
        type=ComponentType.LIBRARY,
        group=group or None,
        name=short,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        scope=ComponentScope.REQUIRED,
        hashes=hashes or [],
    )


def write(root: Path, file: str | None) -> None:
    text = bom_of(root) + "\n"
    if file:
        Path(file).write_text(text)
    else:
        print(text, end="")
