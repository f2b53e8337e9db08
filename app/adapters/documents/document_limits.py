"""What a document may be at most, and what is found out of one."""

from dataclasses import dataclass, field

from app.config import DOCUMENT_BYTES

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """``pixels`` holds for each picture in a document, ``side_points`` for a page's sides (72 to the inch).

    A PDF says sides longer than those by a unit of its own; then they are ``enlarged_points`` at the most.
    """

    bytes: int = DOCUMENT_BYTES
    pages: int = 200
    pixels: int = 120_000_000
    side_points: int = 14_400
    enlarged_points: int = 28_800
    unpacked_bytes: int = 300 * MEGABYTE
    entries: int = 5_000


@dataclass(frozen=True)
class DocumentFacts:
    """``kind`` is a name of :mod:`app.kinds`. ``pages`` is known of a PDF and of a picture; of the others only after
    conversion. ``macros`` are there but never run. ``warnings`` are what the sender should know, each a ``kind`` with
    its values."""

    kind: str
    bytes: int
    pages: int | None = None
    macros: bool = False
    warnings: list[dict[str, object]] = field(default_factory=list)
