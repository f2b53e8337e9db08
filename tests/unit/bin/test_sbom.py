"""The bill of materials names what the lock files pin, and nothing that only tests need."""

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_it_names_each_pinned_package_with_its_version_and_digests(tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    subprocess.run([str(ROOT / "bin/sbom"), str(file)], check=True, timeout=60)
    bom = json.loads(file.read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    found = {component["purl"]: component for component in bom["components"]}
    pinned = [line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line]
    named = {component["name"] for purl, component in found.items() if purl.startswith("pkg:pypi/")}
    assert {name.split("[")[0] for name in pinned} == named
    flask = next(component for purl, component in found.items() if purl.startswith("pkg:pypi/flask@"))
    assert {entry["alg"] for entry in flask["hashes"]} == {"SHA-256"}
    assert all(len(entry["content"]) == 64 for entry in flask["hashes"])
    htmx = next(component for purl, component in found.items() if purl.startswith("pkg:npm/htmx.org@"))
    assert len(htmx["hashes"][0]["content"]) == 128, "SHA-512"
    assert any(purl.startswith("pkg:deb/debian/gnupg") for purl in found)
    assert not [purl for purl in found if "pytest" in purl or "axe-core" in purl]
