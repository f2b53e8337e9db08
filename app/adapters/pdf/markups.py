"""Annotations that come without an appearance, drawn as their entries say (ISO 32000-1 12.5.6).

Everything is drawn in the space of the page, in a form XObject with a box that is large enough for it.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pikepdf

from app.adapters.pdf.form_fields import border_style, colour
from app.adapters.pdf.lettering import ASCENT, DESCENT, LEADING, SMALLEST, USUAL, Fonts, hand, lines, width, wrapped
from app.adapters.pdf.pdf_values import Box, box, entry, name, number, numbers, text, written

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]

#: Points of one outline or line; more are there to do harm.
POINTS = 100_000
CHARACTERS = 10_000
#: Words as in Acrobat's own stamps, where they differ from the name's.
STAMPS = {"/NotForPublicRelease": "NOT FOR PUBLIC RELEASE", "/ForPublicRelease": "FOR PUBLIC RELEASE"}
STAMP_FACE = "Helvetica-Bold"
BLACK, YELLOW = "0 G", "1 1 0 rg"


@dataclass
class _Drawing:
    """Operators, the fonts that they need, and the area that they cover on a page turned by ``turn`` degrees."""

    annotation: pikepdf.Object
    fonts: Fonts
    forms: Any
    area: Box
    turn: int
    operators: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def add(self, *operators: str) -> None:
        self.operators += [operator for operator in operators if operator]

    def letter(self, line: str, face: str, size: float, left: float, baseline: float) -> None:
        operators, used = self.fonts.line(line, face, size, left, baseline)
        self.operators.append(operators)
        self.used |= used

    def reach(self, points: Sequence[Point], margin: float) -> None:
        """The area covers these points as well."""
        left, bottom, right, top = self.area
        across, up = [point[0] for point in points] or [left], [point[1] for point in points] or [bottom]
        self.area = (
            min(left, *across) - margin,
            min(bottom, *up) - margin,
            max(right, *across) + margin,
            max(top, *up) + margin,
        )


def drawn(fonts: Fonts, annotation: pikepdf.Object, forms: Any, turn: int) -> pikepdf.Stream | None:
    """A form XObject in the space of the page, which is turned by so many degrees; None for a kind without a look."""
    draw = KINDS.get(name(annotation.get("/Subtype")))
    area = box(annotation.get("/Rect"))
    if draw is None:
        return None
    drawing = _Drawing(annotation, fonts, forms, area or (0.0, 0.0, 0.0, 0.0), turn)
    if area is None and (points := _all_points(annotation)):
        drawing.area = (*points[0], *points[0])
        drawing.reach(points, 0.0)
    elif area is None:
        return None
    draw(drawing)
    if not drawing.operators:
        return None
    return _form(drawing)


def _form(drawing: _Drawing) -> pikepdf.Stream:
    form = drawing.fonts.document.make_stream("\n".join(drawing.operators).encode())
    form["/Type"], form["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Form
    form["/BBox"] = pikepdf.Array([round(edge, 3) for edge in drawing.area])
    form["/Resources"] = drawing.fonts.resources(drawing.used)
    opacity = number(drawing.annotation.get("/CA"), 1.0)
    if 0 <= opacity < 1:
        form["/Resources"]["/ExtGState"] = pikepdf.Dictionary(
            {"/Seen": pikepdf.Dictionary(Type=pikepdf.Name.ExtGState, CA=opacity, ca=opacity)}
        )
        form.write(b"/Seen gs\n" + form.read_bytes())
    return form


# ---- What entries say


def border_width(annotation: pikepdf.Object) -> float:
    """In points; of BS, else of Border, else 1 (tables 164 and 166)."""
    if (said := entry(annotation, "/BS", "/W")) is not None:
        return max(0.0, number(said, 1.0))
    border = annotation.get("/Border")
    if isinstance(border, pikepdf.Array) and len(border) >= 3:
        return max(0.0, number(border[2], 1.0))
    return 1.0


def _dash(annotation: pikepdf.Object) -> str:
    border = annotation.get("/Border")
    pattern = entry(annotation, "/BS", "/D") if border_style(annotation) == "/D" else None
    if pattern is None and border_style(annotation) == "/D":
        return "[3] 0 d"
    if pattern is None and isinstance(border, pikepdf.Array) and len(border) >= 4 and "/BS" not in annotation:
        pattern = border[3]
    steps = [abs(step) for step in numbers(pattern)][:10]
    return f"[{written(*steps)}] 0 d" if steps and sum(steps) > 0 else ""


def _pen(drawing: _Drawing, otherwise: str = BLACK) -> str:
    """Colour, width and dashes of a line; nothing where the border has no width."""
    wide = border_width(drawing.annotation)
    if wide == 0:
        return ""
    line = colour(drawing.annotation.get("/C"), stroked=True) or otherwise
    return f"{line} {written(wide)} w {_dash(drawing.annotation)}" if line else ""


def _points(value: Any) -> list[Point]:
    found = numbers(value)[: 2 * POINTS]
    return list(zip(found[::2], found[1::2], strict=False))


def _all_points(annotation: pikepdf.Object) -> list[Point]:
    listed = annotation.get("/InkList")
    strokes = list(listed) if isinstance(listed, pikepdf.Array) else []
    return [point for key in ("/L", "/Vertices", "/QuadPoints") for point in _points(annotation.get(key))] + [
        point for stroke in strokes[:POINTS] for point in _points(stroke)
    ]


def _inner(drawing: _Drawing) -> Box:
    """The rectangle less its differences (RD, table 174 and 177)."""
    left, bottom, right, top = drawing.area
    less = numbers(drawing.annotation.get("/RD"))
    if len(less) != 4 or min(less) < 0 or less[0] + less[2] >= right - left or less[1] + less[3] >= top - bottom:
        return drawing.area
    return left + less[0], bottom + less[1], right - less[2], top - less[3]


def _painted(drawing: _Drawing, outline: str) -> None:
    """An outline with its interior (IC) and its border."""
    pen, filling = _pen(drawing), colour(drawing.annotation.get("/IC"), stroked=False)
    if pen or filling:
        paint = "B" if pen and filling else "S" if pen else "f"
        drawing.add("q", pen, filling, outline, paint, "Q")


# ---- Rectangles, ellipses, polygons, lines, ink


def _square(drawing: _Drawing) -> None:
    left, bottom, right, top = _inner(drawing)
    half = min(border_width(drawing.annotation), right - left, top - bottom) / 2
    _painted(drawing, f"{written(left + half, bottom + half, right - left - 2 * half, top - bottom - 2 * half)} re")


def _circle(drawing: _Drawing) -> None:
    left, bottom, right, top = _inner(drawing)
    half = min(border_width(drawing.annotation), right - left, top - bottom) / 2
    _painted(drawing, _ellipse(left + half, bottom + half, right - half, top - half))


def _ellipse(left: float, bottom: float, right: float, top: float) -> str:
    x, y, across, up = (left + right) / 2, (bottom + top) / 2, (right - left) / 2, (top - bottom) / 2
    k, m = across * 0.5523, up * 0.5523
    return (
        f"{written(x + across, y)} m {written(x + across, y + m, x + k, y + up, x, y + up)} c "
        f"{written(x - k, y + up, x - across, y + m, x - across, y)} c "
        f"{written(x - across, y - m, x - k, y - up, x, y - up)} c "
        f"{written(x + k, y - up, x + across, y - m, x + across, y)} c h"
    )


def _path(points: Sequence[Point], *, closed: bool = False) -> str:
    if not points:
        return ""
    steps = [f"{written(*points[0])} m", *(f"{written(*point)} l" for point in points[1:])]
    if len(points) == 1:
        steps.append(f"{written(*points[0])} l")
    return " ".join([*steps, "h"] if closed else steps)


def _polygon(drawing: _Drawing) -> None:
    points = _points(drawing.annotation.get("/Vertices"))
    drawing.reach(points, border_width(drawing.annotation))
    if points:
        _painted(drawing, _path(points, closed=True))


def _ink(drawing: _Drawing) -> None:
    listed, pen = drawing.annotation.get("/InkList"), _pen(drawing)
    strokes = [_points(stroke) for stroke in listed] if isinstance(listed, pikepdf.Array) else []
    drawing.reach([point for stroke in strokes for point in stroke], border_width(drawing.annotation))
    if pen and any(strokes):
        drawing.add("q 1 J 1 j", pen, *(f"{_path(stroke)} S" for stroke in strokes if stroke), "Q")


def _polyline(drawing: _Drawing) -> None:
    _open_line(drawing, _points(drawing.annotation.get("/Vertices")))


def _line(drawing: _Drawing) -> None:
    """With its leader lines (LL, LLE, LLO of table 175) and its caption, if it has one."""
    points = _points(drawing.annotation.get("/L"))
    if len(points) != 2:
        return
    (x, y), (to_x, to_y) = points
    length = math.hypot(to_x - x, to_y - y) or 1.0
    across, up = -(to_y - y) / length, (to_x - x) / length
    lead, beyond, off = (number(drawing.annotation.get(key)) for key in ("/LL", "/LLE", "/LLO"))
    if lead:
        side = math.copysign(1.0, lead)
        ends = [(x + across * lead, y + up * lead), (to_x + across * lead, to_y + up * lead)]
        first, last = side * off, lead + side * beyond
        leaders = [
            _path([(at + across * first, on + up * first), (at + across * last, on + up * last)]) for at, on in points
        ]
        drawing.reach(ends, abs(beyond) + abs(off))
        drawing.add(*(f"q {_pen(drawing)} {leader} S Q" for leader in leaders if _pen(drawing)))
        points = ends
    _open_line(drawing, points)
    if entry(drawing.annotation, "/Cap") is True:
        _caption(drawing, points)


def _caption(drawing: _Drawing, points: list[Point]) -> None:
    words = " ".join(lines(text(drawing.annotation.get("/Contents"))[:200])).strip()
    if words:
        size = 9.0
        x, y = (points[0][0] + points[1][0]) / 2, (points[0][1] + points[1][1]) / 2
        half = width(words) * size / 2
        above = number(entry(drawing.annotation, "/CO")) if name(drawing.annotation.get("/CP")) == "/Top" else 0.0
        place = written(x - half - 2, y - size / 2 + above, 2 * half + 4, size)
        drawing.reach([(x - half - 2, y - size), (x + half + 2, y + size)], 0.0)
        drawing.add(f"q 1 g {place} re f Q", "0 g")
        drawing.letter(words, "Helvetica", size, x - half, y - ASCENT * size / 2 + above)


def _open_line(drawing: _Drawing, points: list[Point]) -> None:
    """A line with what it has at its ends (LE)."""
    pen = _pen(drawing)
    if len(points) < 2 or not pen:
        return
    wide = border_width(drawing.annotation)
    drawing.reach(points, 10 * wide)
    drawing.add(f"q {pen} {_path(points)} S")
    filling = colour(drawing.annotation.get("/IC"), stroked=False)
    listed = drawing.annotation.get("/LE")
    styles = [name(item) for item in listed] if isinstance(listed, pikepdf.Array) else [name(listed), ""]
    for style, (end, before) in zip(styles, ((points[0], points[1]), (points[-1], points[-2])), strict=False):
        drawing.add(_ending(style, end, before, wide, filling))
    drawing.add("Q")


def _ending(style: str, end: Point, before: Point, wide: float, filling: str) -> str:
    """Table 176. As in Acrobat, an ending is nine times as long as a thin line is wide, less for a thick one."""
    size = min(9 * wide, 6 + 3 * wide)
    turn = math.atan2(before[1] - end[1], before[0] - end[0])

    def at(along: float, aside: float) -> Point:
        return (
            end[0] + along * math.cos(turn) - aside * math.sin(turn),
            end[1] + along * math.sin(turn) + aside * math.cos(turn),
        )

    half, back, paint = size / 2, size * math.cos(math.pi / 6), f"{filling} B" if filling else "S"
    arrow, reverse = [at(back, half), end, at(back, -half)], [at(-back, half), end, at(-back, -half)]
    square = [at(half, half), at(-half, half), at(-half, -half), at(half, -half)]
    diamond = [at(half, 0), at(0, half), at(-half, 0), at(0, -half)]
    shapes: dict[str, Callable[[], str]] = {
        "/OpenArrow": lambda: f"[] 0 d {_path(arrow)} S",
        "/ClosedArrow": lambda: f"[] 0 d {_path(arrow, closed=True)} {paint}",
        "/ROpenArrow": lambda: f"[] 0 d {_path(reverse)} S",
        "/RClosedArrow": lambda: f"[] 0 d {_path(reverse, closed=True)} {paint}",
        "/Butt": lambda: f"[] 0 d {_path([at(0, half), at(0, -half)])} S",
        "/Slash": lambda: f"[] 0 d {_path([at(-half * 0.58, half), at(half * 0.58, -half)])} S",
        "/Square": lambda: f"[] 0 d {_path(square, closed=True)} {paint}",
        "/Diamond": lambda: f"[] 0 d {_path(diamond, closed=True)} {paint}",
        "/Circle": lambda: f"[] 0 d {_ellipse(end[0] - half, end[1] - half, end[0] + half, end[1] + half)} {paint}",
    }
    return shapes[style]() if style in shapes else ""


# ---- Marks on text


def _quads(annotation: pikepdf.Object, turn: int = 0) -> list[Quad]:
    """Lower left, lower right, upper right, upper left of each, as the text runs.

    The points go around in the standard and in rows in what Acrobat and most others write, and some write columns.
    """
    points = _points(annotation.get("/QuadPoints"))
    area = box(annotation.get("/Rect"))
    if len(points) < 4 and area:
        left, bottom, right, top = area
        points = [(left, top), (right, top), (left, bottom), (right, bottom)]
    rows = [_in_rows(points[first : first + 4]) for first in range(0, len(points) - 3, 4)]
    if _are_columns(rows, turn):
        rows = [_in_rows([a, c, b, d]) for a, b, c, d in rows]
    return [(c, d, b, a) for a, b, c, d in rows]


def _in_rows(points: Sequence[Point]) -> Quad:
    """The upper and then the lower edge of the text, both as it runs."""
    a, b, c, d = points
    along = (b[0] - a[0], b[1] - a[1])
    if along[0] * (d[0] - c[0]) + along[1] * (d[1] - c[1]) < 0:
        c, d = d, c
    above = (c[0] - a[0]) * -along[1] + (c[1] - a[1]) * along[0]
    return (c, d, a, b) if above > 0 else (a, b, c, d)


def _are_columns(rows: list[Quad], turn: int) -> bool:
    """Whether text that seems to run up or down the page is nothing but single characters side by side."""
    steps = [(abs(b[0] - a[0]), abs(b[1] - a[1])) for a, b, _c, _d in rows]
    if not rows or any((across < up) if turn % 180 else (across > up) for across, up in steps):
        return False
    long, short = (sum(math.dist(row[0], row[at]) for row in rows) for at in (1, 2))
    return long < 2.5 * short


def _highlight(drawing: _Drawing) -> None:
    filling = colour(drawing.annotation.get("/C"), stroked=False) or YELLOW
    quads = _quads(drawing.annotation, drawing.turn)
    drawing.reach([point for quad in quads for point in quad], 1.0)
    drawing.add(f"q {filling}", *(f"{_path(quad, closed=True)} f" for quad in quads), "Q")


def _ruled(drawing: _Drawing, share: float, shape: Callable[[Point, Point, float], str] | None = None) -> None:
    """A line along each piece of text, at a share of its height."""
    pen = colour(drawing.annotation.get("/C"), stroked=True) or BLACK
    quads = _quads(drawing.annotation, drawing.turn)
    drawing.reach([point for quad in quads for point in quad], 2.0)
    drawing.add(f"q {pen}")
    for lower_left, lower_right, upper_right, upper_left in quads:
        height = math.hypot(upper_left[0] - lower_left[0], upper_left[1] - lower_left[1])
        start, stop = _between(lower_left, upper_left, share), _between(lower_right, upper_right, share)
        line = shape(start, stop, height) if shape else _path([start, stop])
        drawing.add(f"{written(max(0.5, height / 16))} w {line} S")
    drawing.add("Q")


def _between(first: Point, last: Point, share: float) -> Point:
    return first[0] + (last[0] - first[0]) * share, first[1] + (last[1] - first[1]) * share


def _wave(start: Point, stop: Point, height: float) -> str:
    length = math.hypot(stop[0] - start[0], stop[1] - start[1])
    step = max(1.0, height / 8)
    count = min(2_000, max(2, round(length / step)))
    across, up = -(stop[1] - start[1]) / (length or 1), (stop[0] - start[0]) / (length or 1)
    points = []
    for at in range(count + 1):
        x, y = _between(start, stop, at / count)
        aside = step / 2 if at % 2 else -step / 2
        points.append((x + across * aside, y + up * aside))
    return _path(points)


def _caret(drawing: _Drawing) -> None:
    """An arrowhead at the foot of the line, no larger than letters are, whatever room it has."""
    left, bottom, right, top = _inner(drawing)
    middle, half, up = (left + right) / 2, min(right - left, 12.0) / 2, min(top - bottom, 18.0)
    filling = colour(drawing.annotation.get("/C"), stroked=False) or "0 0 1 rg"
    drawing.add(f"q {filling} {_path([(middle - half, bottom), (middle, bottom + up), (middle + half, bottom)])} h f Q")


def _redaction(drawing: _Drawing) -> None:
    """Marked to be taken out, but not yet: an outline (12.5.6.23)."""
    pen = colour(drawing.annotation.get("/OC"), stroked=True) or "1 0 0 RG"
    drawing.add(
        f"q {pen} 1 w", *(f"{_path(quad, closed=True)} S" for quad in _quads(drawing.annotation, drawing.turn)), "Q"
    )


def _link(drawing: _Drawing) -> None:
    left, bottom, right, top = drawing.area
    half = border_width(drawing.annotation) / 2
    if border_style(drawing.annotation) == "/U":
        drawing.add(f"q {_pen(drawing)} {_path([(left, bottom + half), (right, bottom + half)])} S Q")
    elif pen := _pen(drawing):
        across, up = max(0.0, right - left - 2 * half), max(0.0, top - bottom - 2 * half)
        drawing.add(f"q {pen} {written(left + half, bottom + half, across, up)} re S Q")


# ---- Words


def _stamp(drawing: _Drawing) -> None:
    """The words of its name, as large as its frame allows; what else it says in small below."""
    left, bottom, right, top = drawing.area
    across, up = right - left, top - bottom
    edge = min(across * 0.06, up * 0.06, 6.0)
    frame = written(left + edge, bottom + edge, across - 2 * edge, up - 2 * edge)
    drawing.add(f"q {colour(drawing.annotation.get('/C'), stroked=True) or BLACK} {written(edge)} w 1 j {frame} re S Q")
    drawing.add(colour(drawing.annotation.get("/C"), stroked=False) or "0 g")
    words, below = _said_by(drawing.annotation)
    room, height = max(1.0, across - 6 * edge), max(1.0, up - 4 * edge)
    rows = _as_large_as_fits(words, room, height * (0.7 if below else 1.0))
    rows += _as_large_as_fits(below, room, height * 0.3) if below else []
    rest = (bottom + top) / 2 + sum(size for _, size in rows) * LEADING / 2
    for row, size in rows:
        rest -= size * LEADING
        start = (left + right - width(row, STAMP_FACE) * size) / 2
        drawing.letter(row, STAMP_FACE, size, start, rest + (LEADING - ASCENT) * size / 2)


def _said_by(stamp: pikepdf.Object) -> tuple[str, str]:
    """The words of a stamp, and those that stand below."""
    said = " ".join(lines(text(stamp.get("/Contents"))[:200])).strip()
    named = name(stamp.get("/Name"))
    words = _stamp_words(named)
    if said and (not words or named.startswith("/#")):
        return (said.upper() if len(said) < 30 else said), ""
    words = words or "DRAFT"  # the default of table 181
    return words, said if said.upper() != words else ""


def _as_large_as_fits(words: str, room: float, height: float) -> list[tuple[str, float]]:
    """Lines and their size."""
    size = height / LEADING
    while size > 1:
        rows = wrapped(words, STAMP_FACE, size, room)
        unbroken = " ".join(" ".join(rows).split()) == " ".join(words.split())
        if unbroken and len(rows) * size * LEADING <= height + 0.01:
            return [(row.strip(), size) for row in rows]
        size *= 0.94
    return [(words, max(0.1, min(size, room / max(width(words, STAMP_FACE), 0.01))))]


def _stamp_words(named: str) -> str:
    """/NotApproved and /SBNotApproved alike: NOT APPROVED."""
    if named in STAMPS:
        return STAMPS[named]
    bare = re.sub(r"^/(?:#|SB|SH|D?S(?=[A-Z]))?", "", named[:100])
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", bare)
    return re.sub(r"[^\w .,:/&-]", "", spaced).strip().upper()[:60]


def _free_text(drawing: _Drawing) -> None:
    """Text in a box, with the line that leads to what it is about (CL, table 174)."""
    annotation = drawing.annotation
    given = hand(annotation.get("/DA"), drawing.forms)
    left, bottom, right, top = _inner(drawing)
    wide = min(border_width(annotation), (right - left) / 4, (top - bottom) / 4)
    _free_text_box(drawing, (left, bottom, right, top), wide, given.colour)
    words = text(annotation.get("/Contents"))[:CHARACTERS]
    edge = wide + 2
    room, height = max(1.0, right - left - 2 * edge), max(1.0, top - bottom - 2 * edge)
    size = given.size or USUAL
    rows = wrapped(words, given.face, size, room)
    while size > SMALLEST and (len(rows) - 1) * size * LEADING + size * (ASCENT + DESCENT) > height + size * 0.3:
        size = max(SMALLEST, size * 0.92)
        rows = wrapped(words, given.face, size, room)
    drawing.add(f"q {written(left, bottom, right - left, top - bottom)} re W n {given.colour}")
    baseline = top - edge - ASCENT * size
    lean = {1: 0.5, 2: 1.0}.get(int(number(annotation.get("/Q"))), 0.0)
    for row in rows[: math.ceil(height / (size * LEADING)) + 1]:
        if row:
            spare = room - width(row, given.face) * size
            drawing.letter(row, given.face, size, left + edge + spare * lean, baseline)
        baseline -= size * LEADING
    drawing.add("Q")


def _free_text_box(drawing: _Drawing, area: Box, wide: float, ink: str) -> None:
    """C is the ground; the border has the colour of the text. What was typed on the page itself has none by default."""
    left, bottom, right, top = area
    annotation = drawing.annotation
    line = ink.replace("rg", "RG").replace("g", "G").replace("k", "K")
    pen = f"{line} {written(wide)} w {_dash(annotation)}"
    typed = name(annotation.get("/IT")) == "/FreeTextTypeWriter"
    bordered = wide > 0 and (not typed or "/BS" in annotation or "/Border" in annotation)
    if ground := colour(annotation.get("/C"), stroked=False):
        drawing.add(f"q {ground} {written(left, bottom, right - left, top - bottom)} re f Q")
    if bordered:
        sides = written(left + wide / 2, bottom + wide / 2, right - left - wide, top - bottom - wide)
        drawing.add(f"q {pen} {sides} re S Q")
    called = _points(annotation.get("/CL"))
    if len(called) >= 2 and wide > 0:
        drawing.reach(called, 10 * wide)
        ending = _ending(name(annotation.get("/LE")), called[0], called[1], wide, "")
        drawing.add(f"q {pen} {_path(called)} S", ending, "Q")


KINDS: dict[str, Callable[[_Drawing], None]] = {
    "/Line": _line,
    "/Square": _square,
    "/Circle": _circle,
    "/Polygon": _polygon,
    "/PolyLine": _polyline,
    "/Ink": _ink,
    "/Highlight": _highlight,
    "/Underline": lambda drawing: _ruled(drawing, 0.09),
    "/Squiggly": lambda drawing: _ruled(drawing, 0.07, _wave),
    "/StrikeOut": lambda drawing: _ruled(drawing, 0.43),
    "/Caret": _caret,
    "/Redact": _redaction,
    "/Link": _link,
    "/Stamp": _stamp,
    "/FreeText": _free_text,
}
