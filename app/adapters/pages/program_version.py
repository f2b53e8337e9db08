"""What the dots of a page depend on beside the document and the template: this very program and its libraries."""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

ADAPTERS = Path(__file__).resolve().parents[3] / "app/adapters"
LIBRARIES = ("numpy", "opencv-python-headless", "pikepdf", "pillow", "pypdfium2")


@cache
def preparation_version() -> str:
    """Another one as soon as anything has changed that may draw a page otherwise."""
    digest = hashlib.sha256()
    for path in sorted(ADAPTERS.rglob("*.py")):
        digest.update(path.read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()[:12]
