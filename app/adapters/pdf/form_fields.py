"""Form fields that come without an appearance, drawn as their values say (ISO 32000-1 12.7.3.3, 12.7.4)."""

import math
import re
from dataclasses import dataclass
from typing import Any

import pikepdf

from app.adapters.pdf.lettering import (
    ASCENT,
    DESCENT,
    LEADING,
    SMALLEST,
    USUAL,
    Fonts,
    Hand,
    hand,
    lines,
    width,
    wrapped,
)
from app.adapters.pdf.pdf_values import box, entry, inherited, name, number, numbers, text, whole, written

MULTILINE, PASSWORD, COMB = 1 << 12, 1 << 13, 1 << 24
RADIO, PUSH_BUTTON, COMBO = 1 << 15, 1 << 16, 1 << 17
#: What a stream says that shows nothing: marks, and states saved and restored.
NOTHING = re.compile(rb"(?:\s|/Tx|BMC|EMC|\bq\b|\bQ\b|\bBT\b|\bET\b)*")
#: The longest value that is lettered.
CHARACTERS = 10_000
#: Acrobat's ground for the chosen entries of a list.
CHOSEN = "0.6 0.75686 0.8549 rg"
MARKS = {"check": "4", "circle": "l", "cross": "8", "diamond": "u", "square": "n", "star": "H"}


@dataclass(frozen=True)
class _Field:
    """A widget with its field, ``across`` by ``up`` points as it is read, ``turn`` degrees counterclockwise."""

    widget: pikepdf.Object
    hand: Hand
    across: float
    up: float
    turn: int
    border: float
    flags: int

    @property
    def edge(self) -> float:
        """From the edge of the field to where text may stand; the bevelled kinds take twice the border."""
        return self.border * (2 if border_style(self.widget) in ("/B", "/I") else 1)


def is_to_be_drawn(widget: pikepdf.Object, appearance: pikepdf.Stream | None, forms: Any) -> bool:
    """Whether there is no appearance, or one that does not show the value."""
    kind = name(inherited(widget, "/FT"))
    if appearance is None:
        return kind in ("/Tx", "/Ch") or (kind == "/Btn" and "/AP" not in widget)
    if kind not in ("/Tx", "/Ch"):
        return False
    content = appearance.read_bytes()
    if NOTHING.fullmatch(content):
        return bool(_value(widget))
    formatted = entry(widget, "/AA", "/F") is not None or inherited(widget, "/RV") is not None
    return entry(forms, "/NeedAppearances") is True and not (formatted and re.search(rb"T[jJ]\b", content))


def drawn(fonts: Fonts, widget: pikepdf.Object, forms: Any) -> pikepdf.Stream | None:
    """A form XObject with the field's ground, border and value; None where there is nothing to show."""
    field = _field(widget, forms)
    if field is None:
        return None
    kind, used = name(inherited(widget, "/FT")), set()
    parts = [_ground(field)]
    if kind == "/Btn":
        shown = _button(field, fonts)
    elif kind == "/Ch" and not field.flags & COMBO:
        shown = _list(field, fonts)
    else:
        shown = _text(field, fonts, _value(widget))
    for operators, font in shown:
        parts.append(operators)
        used |= font
    content = "\n".join(part for part in parts if part)
    if not content:
        return None
    form = fonts.document.make_stream(content.encode())
    form["/Type"], form["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Form
    form["/BBox"] = pikepdf.Array([0, 0, field.across, field.up])
    form["/Matrix"] = pikepdf.Array(_turned(field))
    form["/Resources"] = fonts.resources(used)
    return form


def border_style(annotation: pikepdf.Object) -> str:
    return name(entry(annotation, "/BS", "/S"), "/S")


def colour(value: Any, *, stroked: bool) -> str:
    """Operators for the colour of an array (12.5.2, C); none for one without numbers: it is transparent."""
    values = [min(1.0, max(0.0, item)) for item in numbers(value)]
    operator = {1: "g", 3: "rg", 4: "k"}.get(len(values))
    return f"{written(*values)} {operator.upper() if stroked else operator}" if operator else ""


def _field(widget: pikepdf.Object, forms: Any) -> _Field | None:
    area = box(widget.get("/Rect"))
    if area is None:
        return None
    across, up = area[2] - area[0], area[3] - area[1]
    turn = round(number(entry(widget, "/MK", "/R")) / 90) % 4 * 90
    if turn % 180:
        across, up = up, across
    said = inherited(widget, "/DA")
    width_given = number(entry(widget, "/BS", "/W"), 1.0)
    border = min(max(width_given, 0.0), across / 4, up / 4) if entry(widget, "/MK", "/BC") is not None else 0.0
    default = said if said is not None else entry(forms, "/DA")
    return _Field(widget, hand(default, forms), across, up, turn, border, whole(inherited(widget, "/Ff") or 0))


def _turned(field: _Field) -> list[float]:
    """The matrix that turns the field's box and leaves it with its corner at the origin."""
    across, up = field.across, field.up
    turned: dict[int, list[float]] = {
        0: [1, 0, 0, 1, 0, 0],
        90: [0, 1, -1, 0, up, 0],
        180: [-1, 0, 0, -1, across, up],
        270: [0, -1, 1, 0, 0, across],
    }
    return turned[field.turn]


def _ground(field: _Field) -> str:
    """Background and border as MK has them (table 189)."""
    look, parts = field.widget.get("/MK"), []
    rounded = name(inherited(field.widget, "/FT")) == "/Btn" and field.flags & RADIO
    half = field.border / 2
    outline = (
        _circle(field.across / 2, field.up / 2, min(field.across, field.up) / 2 - half)
        if rounded
        else f"{written(half, half, field.across - field.border, field.up - field.border)} re"
    )
    if ground := colour(entry(look, "/BG"), stroked=False):
        parts.append(f"q {ground} {outline} f Q")
    line = colour(entry(look, "/BC"), stroked=True)
    if line and field.border:
        dash = "[3] 0 d " if border_style(field.widget) == "/D" else ""
        if border_style(field.widget) == "/U":
            outline = f"0 {written(half)} m {written(field.across, half)} l"
        parts.append(f"q {line} {written(field.border)} w {dash}{outline} S Q")
    return "\n".join(parts)


def _circle(x: float, y: float, radius: float) -> str:
    """Four curves (the usual approximation)."""
    k = radius * 0.5523
    return (
        f"{written(x + radius, y)} m {written(x + radius, y + k, x + k, y + radius, x, y + radius)} c "
        f"{written(x - k, y + radius, x - radius, y + k, x - radius, y)} c "
        f"{written(x - radius, y - k, x - k, y - radius, x, y - radius)} c "
        f"{written(x + k, y - radius, x + radius, y - k, x + radius, y)} c h"
    )


# ---- Values


def _value(widget: pikepdf.Object) -> str:
    """What the field shows: of a choice the words that go with its value (12.7.4.4)."""
    value = inherited(widget, "/V")
    if name(inherited(widget, "/FT")) != "/Ch":
        return text(value)[:CHARACTERS]
    chosen = [text(item) for item in value] if isinstance(value, pikepdf.Array) else [text(value)]
    shown = dict(_options(widget))
    return ", ".join(shown.get(item, item) for item in chosen)[:CHARACTERS]


def _options(widget: pikepdf.Object) -> list[tuple[str, str]]:
    """Values and the words for them."""
    options = inherited(widget, "/Opt")
    found = []
    for option in options if isinstance(options, pikepdf.Array) else []:
        pair = list(option) if isinstance(option, pikepdf.Array) else [option]
        if pair:
            found.append((text(pair[0]), text(pair[-1])))
    return found


Shown = list[tuple[str, set[str]]]


def _text(field: _Field, fonts: Fonts, value: str) -> Shown:
    if not value.strip():
        return []
    if field.flags & PASSWORD:
        value = "*" * len(value)
    length = whole(inherited(field.widget, "/MaxLen") or 0)
    if field.flags & COMB and 0 < length <= 1000 and not field.flags & (MULTILINE | PASSWORD):
        return _clipped(field, _comb(field, fonts, value[:length], length))
    multiline = bool(field.flags & MULTILINE) and name(inherited(field.widget, "/FT")) == "/Tx"
    return _clipped(field, _block(field, fonts, value) if multiline else _single(field, fonts, value))


def _clipped(field: _Field, shown: Shown) -> Shown:
    edge = field.border
    area = written(edge, edge, max(1.0, field.across - 2 * edge), max(1.0, field.up - 2 * edge))
    return [(f"q {area} re W n {field.hand.colour}", set()), *shown, ("Q", set())]


def _single(field: _Field, fonts: Fonts, value: str) -> Shown:
    """One line in the middle; a value longer than the field is lettered smaller rather than cut off."""
    line = " ".join(lines(value))
    edge = field.edge + 1
    room = max(1.0, field.across - 2 * edge - 2)
    tallest = max(SMALLEST, (field.up - 2 * field.edge) / (ASCENT + DESCENT + 0.25))
    size = field.hand.size or tallest
    size = max(min(SMALLEST, size), min(size, room / max(width(line, field.hand.face), 0.01)))
    baseline = (field.up - (ASCENT + DESCENT) * size) / 2 + DESCENT * size
    return [fonts.line(line, field.hand.face, size, _start(field, line, size, edge + 1, room), baseline)]


def _start(field: _Field, line: str, size: float, left: float, room: float) -> float:
    """Where a line begins, by the field's alignment (Q)."""
    spare = room - width(line, field.hand.face) * size
    return left + spare * {1: 0.5, 2: 1.0}.get(whole(inherited(field.widget, "/Q") or 0), 0.0)


def _block(field: _Field, fonts: Fonts, value: str) -> Shown:
    """Lines from the top, as large as the field says and as it holds."""
    edge = field.edge + 2
    room, height = max(1.0, field.across - 2 * edge), max(1.0, field.up - 2 * edge)
    size = field.hand.size or USUAL
    found = wrapped(value, field.hand.face, size, room)
    while size > SMALLEST and len(found) * size * LEADING > height + size * (LEADING - ASCENT):
        size = max(SMALLEST, size * 0.92)
        found = wrapped(value, field.hand.face, size, room)
    found = found[: math.ceil(height / (size * LEADING)) + 1]
    top = field.up - edge - ASCENT * size
    return [
        fonts.line(line, field.hand.face, size, _start(field, line, size, edge, room), top - index * size * LEADING)
        for index, line in enumerate(found)
        if line
    ]


def _comb(field: _Field, fonts: Fonts, value: str, cells: int) -> Shown:
    """Each character in the middle of its cell (table 228)."""
    cell = field.across / cells
    size = field.hand.size or min((field.up - 2 * field.edge) * 0.75, cell * 1.3, USUAL * 1.5)
    baseline = (field.up - (ASCENT + DESCENT) * size) / 2 + DESCENT * size
    first = {1: (cells - len(value)) // 2, 2: cells - len(value)}.get(whole(inherited(field.widget, "/Q") or 0), 0)
    face = field.hand.face
    return [
        fonts.line(sign, face, size, (first + at + 0.5) * cell - width(sign, face) * size / 2, baseline)
        for at, sign in enumerate(value)
        if sign.strip()
    ]


def _list(field: _Field, fonts: Fonts) -> Shown:
    """The entries that fit, from the first that is shown, the chosen ones on a ground."""
    value, options = inherited(field.widget, "/V"), _options(field.widget)
    chosen = {text(item) for item in value} if isinstance(value, pikepdf.Array) else {text(value)}
    top_index = max(0, whole(inherited(field.widget, "/TI") or 0))
    size, edge = field.hand.size or USUAL, field.edge + 1
    step, top = size * LEADING, field.up - field.edge
    shown: Shown = []
    for kept, words in options[top_index:]:
        if top < field.edge + 1:
            break
        if kept in chosen:
            shown.append((f"q {CHOSEN} {written(edge, top - step, field.across - 2 * edge, step)} re f Q", set()))
        line = " ".join(lines(words))[:500]
        shown.append(fonts.line(line, field.hand.face, size, edge + 1, top - step + (step - ASCENT * size) / 2))
        top -= step
    return _clipped(field, shown) if shown else []


def _button(field: _Field, fonts: Fonts) -> Shown:
    caption = text(entry(field.widget, "/MK", "/CA"))
    if field.flags & PUSH_BUTTON:
        return _clipped(field, _centred(field, fonts, caption, field.hand.face)) if caption.strip() else []
    state = name(field.widget.get("/AS")) or name(inherited(field.widget, "/V"))
    if state in ("", "/Off"):
        return []
    mark = caption if caption in MARKS.values() else MARKS["circle" if field.flags & RADIO else "check"]
    return _clipped(field, _centred(field, fonts, mark, "ZapfDingbats"))


def _centred(field: _Field, fonts: Fonts, words: str, face: str) -> Shown:
    line = " ".join(lines(words))[:200]
    size = field.hand.size or max(SMALLEST, min(field.up, field.across) * (0.8 if face == "ZapfDingbats" else 0.6))
    size = min(size, max(1.0, field.across - 2 * field.edge) / max(width(line, face), 0.01))
    baseline = (field.up - ASCENT * size) / 2
    return [fonts.line(line, face, size, (field.across - width(line, face) * size) / 2, baseline)]
