"""Values of a PDF as a stranger wrote them: any may be missing, of another type, reversed, huge or no number at all."""

import math
from collections.abc import Iterator
from typing import Any

import pikepdf

#: Beyond this no coordinate is meant (ISO 32000-1 Annex C: a page's sides have 14,400 units at the most).
HUGE = 1e6
#: A field, a page or an outline deeper than this in its tree is there to do harm.
DEPTH = 50

#: Left, bottom, right, top.
Box = tuple[float, float, float, float]
#: ``a b c d e f`` of ISO 32000-1 8.3.3.
Matrix = tuple[float, float, float, float, float, float]

IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def number(value: Any, default: float = 0.0) -> float:
    """A finite number within reason, else ``default``."""
    if isinstance(value, bool):
        return default
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return found if math.isfinite(found) and abs(found) <= HUGE else default


def whole(value: Any, default: int = 0) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return default


def numbers(value: Any) -> list[float]:
    """Of an array; what is none of numbers has none."""
    if not isinstance(value, pikepdf.Array):
        return []
    found = [number(item, math.nan) for item in value]
    return [] if any(math.isnan(item) for item in found) else found


def box(value: Any) -> Box | None:
    """A rectangle with an area (ISO 32000-1 7.9.5: any two opposite corners), else None."""
    corners = numbers(value)
    if len(corners) != 4:
        return None
    left, right = sorted(corners[::2])
    bottom, top = sorted(corners[1::2])
    return (left, bottom, right, top) if right - left > 1e-3 and top - bottom > 1e-3 else None


def text(value: Any) -> str:
    """A text string; of a stream (long values are allowed to be one) its contents."""
    if isinstance(value, pikepdf.Stream):
        value = pikepdf.String(value.read_bytes()[:100_000])
    if isinstance(value, pikepdf.Name):
        return str(value)[1:]
    return str(value) if isinstance(value, pikepdf.String) else ""


def name(value: Any, default: str = "") -> str:
    """With its slash."""
    return str(value) if isinstance(value, pikepdf.Name) else default


def matrix_in(value: Any) -> Matrix:
    """Of six numbers; of anything else the one that changes nothing."""
    given = numbers(value)
    a, b, c, d, e, f = given if len(given) == 6 else IDENTITY
    return a, b, c, d, e, f


def dictionary(value: Any) -> pikepdf.Object | None:
    return value if isinstance(value, pikepdf.Dictionary) else None


def entry(value: Any, *keys: str) -> Any:
    """What stands under the keys, one dictionary in the other; None where one of them is missing."""
    for key in keys:
        if not isinstance(value, (pikepdf.Dictionary, pikepdf.Stream)):
            return None
        value = value.get(key)
    return value


def drop(holder: Any, *keys: str) -> None:
    for key in keys:
        if key in holder:
            del holder[key]


def lineage(item: Any) -> Iterator[Any]:
    """A page or field and its parents, as far as that makes sense."""
    for _ in range(DEPTH):
        if not isinstance(item, pikepdf.Dictionary):
            return
        yield item
        item = item.get("/Parent")


def inherited(item: Any, key: str) -> Any:
    """What a page or field says or its parents say for it."""
    return next((value for holder in lineage(item) if (value := holder.get(key)) is not None), None)


def turn_of(page: Any) -> int:
    """Degrees, clockwise. Only multiples of 90 are allowed; the nearest is meant."""
    return round(number(inherited(page, "/Rotate")) / 90) % 4 * 90


def times(first: Matrix, second: Matrix) -> Matrix:
    """``first`` and then ``second``."""
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return (a * g + b * i, a * h + b * j, c * g + d * i, c * h + d * j, e * g + f * i + k, e * h + f * j + m)


def mapped(matrix: Matrix, across: float, up: float) -> tuple[float, float]:
    a, b, c, d, e, f = matrix
    return a * across + c * up + e, b * across + d * up + f


def bounds(matrix: Matrix, area: Box) -> Box:
    """The upright rectangle around ``area`` after ``matrix``."""
    left, bottom, right, top = area
    corners = [mapped(matrix, x, y) for x in (left, right) for y in (bottom, top)]
    across, up = zip(*corners, strict=True)
    return min(across), min(up), max(across), max(up)


def written(*values: float) -> str:
    """Numbers as a content stream has them."""
    return " ".join(f"{value:.4f}".rstrip("0").rstrip(".") or "0" for value in values)
