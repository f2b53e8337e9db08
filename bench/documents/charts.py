"""Charts as office programs and charting libraries draw them."""

import math
from dataclasses import dataclass
from random import Random

from bench.documents.press import (
    MONTHS,
    PLACES,
    Draft,
    darker,
    lighter,
    luminance,
    phrase,
    readable_on,
    sentences,
    words,
)

GRID = ("#d9d9d9", "#e6e6e6", "#bfbfbf", "#cccccc", "#808080")


@dataclass(frozen=True)
class Plot:
    """The area of a chart that is drawn on, and the value at its top."""

    x: float
    y: float
    width: float
    height: float
    top: float

    def at(self, value: float) -> float:
        return self.y + self.height * value / self.top


def bars(choose: Random) -> bytes:
    return _page(choose, (_columns, _columns, _stacked, _across))


def lines(choose: Random) -> bytes:
    return _page(choose, (_lines, _lines, _area, _points))


def pies(choose: Random) -> bytes:
    return _page(choose, (_pie, _pie, _doughnut, _small_pies))


def _page(choose: Random, charts: tuple) -> bytes:
    """A report with one to three charts, or a slide with one."""
    slide = choose.random() < 0.2
    draft = Draft(choose, landscape=slide)
    dark = slide and choose.random() < 0.3
    if dark:
        draft.box(0, 0, draft.width, draft.height, fill=choose.choice(("#1f2a44", "#262626", "#0e2841")))
        draft.ink = "#ffffff"
    elif slide:
        ground = choose.choice(("#ffffff", "#f2f2f2", "#fff8e7", "#eaf1fb"))
        draft.box(0, 0, draft.width, draft.height, fill=ground)
    draft.title(ink="#ffffff" if dark else None)
    count = 1 if slide else choose.choice((1, 2, 2, 3))
    room = (draft.y - draft.margin) / count
    for _ in range(count):
        bottom = draft.y - room
        if not slide and choose.random() < 0.6:
            draft.paragraph(sentences(choose, choose.randint(15, 50)), choose.choice((9, 10, 11)))
        height = min(draft.y - bottom - 14, choose.uniform(180, 330))
        if height > 110:
            width = draft.measure * choose.choice((1, 1, 0.8, 0.65))
            x = draft.left + (draft.measure - width) * choose.choice((0, 0.5, 1))
            choose.choice(charts)(draft, x, draft.y - height, width, height)
            draft.y -= height
        draft.y = min(draft.y, bottom) if not slide else draft.y
    if not slide:
        draft.footer()
    return draft.finish()


def _frame(draft: Draft, x: float, y: float, width: float, height: float, names: list[str]) -> Plot:
    """Ground, title, legend, grid and axis; gives what is left for the figures."""
    choose, size = draft.choose, draft.choose.choice((7, 8, 8, 9))
    style = choose.choice(("bare", "bare", "framed", "tinted", "card")) if draft.ink != "#ffffff" else "bare"
    if style in ("framed", "card"):
        draft.box(
            x,
            y,
            width,
            height,
            fill=lighter(draft.palette[7], 0.5) if style == "card" else None,
            stroke="#bfbfbf",
            line=0.75,
            radius=choose.choice((0, 0, 6)),
        )
        x, y, width, height = x + 8, y + 8, width - 16, height - 16
    if choose.random() < 0.75:
        heading = choose.choice((11, 12, 14))
        draft.write(
            x + width / 2,
            y + height - heading,
            phrase(choose, 2, 4),
            heading,
            align="centre",
            font=choose.choice((draft.family.bold, draft.family.regular)),
            ink=draft.ink if draft.ink == "#ffffff" else choose.choice((draft.ink, "#595959", "#44546a")),
        )
        height -= heading + 8
    place = choose.choice(("below", "right", "above", "none")) if len(names) > 1 else "none"
    if place == "right":
        room = max(draft.text_width(name, size) for name in names) + 22
        _legend_down(draft, x + width - room + 6, y + height * 0.7, names, size)
        width -= room
    elif place in ("below", "above"):
        at = y + 2 if place == "below" else y + height - size
        _legend_across(draft, x, at, width, names, size)
        height -= size + 10
        y += size + 10 if place == "below" else 0
    top = choose.choice((10, 50, 80, 100, 500, 1200, 5000))
    labels = max(draft.text_width(f"{top:,}", size) + 6, 18)
    plot = Plot(x + labels, y + size + 10, width - labels - 4, height - size - 16, top)
    if style == "tinted":
        draft.box(
            plot.x, plot.y, plot.width, plot.height, fill=choose.choice(("#f2f2f2", "#eaeaf2", "#ebebeb", "#c0c0c0"))
        )
    grid = "#ffffff" if style == "tinted" and choose.random() < 0.6 else choose.choice(GRID)
    steps = choose.choice((4, 5, 5, 8, 10))
    dash, gridded = choose.choice(((), (), (), (3, 2), (1, 1))), choose.random() < 0.85
    for step in range(steps + 1):
        level = plot.at(top * step / steps)
        if step == 0 or gridded:
            draft.line(
                plot.x, level, plot.x + plot.width, level, grid if step else "#808080", 0.5, dash if step else ()
            )
        draft.write(
            plot.x - 4,
            level - size / 3,
            f"{top * step / steps:,.0f}",
            size,
            align="right",
            ink=draft.ink if draft.ink == "#ffffff" else choose.choice(("#595959", draft.ink)),
        )
    if choose.random() < 0.4:
        draft.line(plot.x, plot.y, plot.x, plot.y + plot.height, "#808080", 0.75)
    return plot


def _legend_down(draft: Draft, x: float, y: float, names: list[str], size: float) -> None:
    for index, name in enumerate(names):
        draft.box(x, y - index * size * 1.8, size * 0.8, size * 0.8, fill=draft.palette[index])
        draft.write(x + size * 1.3, y - index * size * 1.8, name, size)


def _legend_across(draft: Draft, x: float, y: float, width: float, names: list[str], size: float) -> None:
    room = sum(draft.text_width(name, size) + size * 2.4 for name in names)
    at = x + max(0, (width - room) / 2)
    for index, name in enumerate(names):
        draft.box(at, y, size * 0.8, size * 0.8, fill=draft.palette[index])
        at = draft.write(at + size * 1.2, y, name, size) + size * 1.2


def _names(choose: Random, count: int) -> list[str]:
    kind = choose.choice(("years", "words", "quarters", "places"))
    if kind == "years":
        first = choose.randint(2008, 2022)
        return [str(first + index) for index in range(count)]
    if kind == "quarters" and count <= 4:
        return [f"Quarter {index + 1}" for index in range(count)]
    return choose.sample(PLACES, count) if kind == "places" else [word.capitalize() for word in words(choose, count)]


def _categories(draft: Draft, plot: Plot, count: int) -> None:
    """The names along the axis; shorter ones, or turned, where there is little room."""
    choose, room = draft.choose, plot.width / count
    names = [month[:3] for month in MONTHS[:count]] if count > 6 else _names(choose, count)
    size = choose.choice((7, 8, 9))
    turned = any(draft.text_width(name, size) > room * 0.95 for name in names)
    for index, name in enumerate(names):
        x = plot.x + room * (index + 0.5)
        if turned:
            draft.canvas.saveState()
            draft.canvas.translate(x, plot.y - size - 1)
            draft.canvas.rotate(20)
            draft.write(0, 0, name[:8], min(size, room / 4), align="right")
            draft.canvas.restoreState()
        else:
            draft.write(x, plot.y - size - 2, name, size, align="centre")


def _series(choose: Random, most: int = 4) -> list[str]:
    return _names(choose, choose.randint(1, most))


def _look(draft: Draft) -> dict:
    """How the filled parts are drawn: alone, with an outline of their own or of white."""
    choose = draft.choose
    outline = choose.choice((None, None, None, "white", "dark", "hair"))
    return {"outline": outline, "gap": choose.uniform(0.15, 0.6), "values": choose.choice(("none", "above", "inside"))}


def _bar(draft: Draft, x: float, y: float, width: float, height: float, colour: str, look: dict) -> None:
    stroke = {"white": "#ffffff", "dark": darker(colour, 0.4), "hair": "#000000"}.get(look["outline"])
    draft.box(x, y, width, height, fill=colour, stroke=stroke, line=0.4 if look["outline"] == "hair" else 1)


def _columns(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    choose, names = draft.choose, _series(draft.choose)
    plot, look, count = _frame(draft, x, y, width, height, names), _look(draft), choose.choice((3, 4, 5, 6, 8, 12))
    room = plot.width / count
    for category in range(count):
        for index in range(len(names)):
            wide = room * (1 - look["gap"]) / len(names)
            value = plot.top * choose.uniform(0.03, 0.97)
            left = plot.x + room * category + room * look["gap"] / 2 + wide * index
            tall = plot.at(value) - plot.y
            _bar(draft, left, plot.y, wide, tall, draft.palette[index], look)
            if look["values"] != "none" and wide > 16:
                inside = look["values"] == "inside" and tall > 16
                draft.write(
                    left + wide / 2,
                    plot.y + (tall / 2 - 3 if inside else tall + 3),
                    f"{value:,.0f}",
                    7,
                    align="centre",
                    ink=readable_on(draft.palette[index]) if inside else draft.ink,
                )
    _categories(draft, plot, count)


def _stacked(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    choose, names = draft.choose, _names(draft.choose, draft.choose.randint(2, 5))
    plot, look, count = _frame(draft, x, y, width, height, names), _look(draft), choose.choice((3, 4, 5, 6, 8, 12))
    room = plot.width / count
    for category in range(count):
        shares = [choose.uniform(0.2, 1) for _ in names]
        whole = plot.height * choose.uniform(0.5, 1) / sum(shares)
        level = plot.y
        for index, share in enumerate(shares):
            left, wide = plot.x + room * (category + look["gap"] / 2), room * (1 - look["gap"])
            _bar(draft, left, level, wide, whole * share, draft.palette[index], look)
            if look["values"] != "none" and wide > 20 and whole * share > 11:
                draft.write(
                    left + wide / 2,
                    level + whole * share / 2 - 3,
                    f"{share * 80:.0f}%",
                    7.5,
                    align="centre",
                    ink=readable_on(draft.palette[index]),
                )
            level += whole * share
    _categories(draft, plot, count)


def _across(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    """Horizontal bars, named at the left or on the bars."""
    choose = draft.choose
    count, size = choose.randint(4, 10), choose.choice((8, 9, 10))
    names = [phrase(choose, 1, 2) for _ in range(count)]
    on_bars = choose.random() < 0.3
    room = 4 if on_bars else max(draft.text_width(name, size) for name in names) + 8
    tall, gap = height / count, choose.uniform(0.15, 0.5)
    for index, name in enumerate(names):
        colour = draft.palette[index % 6] if choose.random() < 0.5 else draft.palette[0]
        bottom = y + height - tall * (index + 1) + tall * gap / 2
        long = (width - room - 40) * choose.uniform(0.45 if on_bars else 0.05, 1)
        if choose.random() < 0.3:
            draft.box(x + room, bottom, width - room - 40, tall * (1 - gap), fill="#ececec")
        draft.box(x + room, bottom, long, tall * (1 - gap), fill=colour)
        middle = bottom + tall * (1 - gap) / 2 - size / 3
        if on_bars:
            draft.write(x + room + 6, middle, name, size, ink=readable_on(colour))
        else:
            draft.write(x + room - 6, middle, name, size, align="right")
        draft.write(x + room + long + 4, middle, f"{choose.randint(1, 999)}", size)


def _curve(choose: Random, count: int) -> list[float]:
    """Shares of the height, wandering."""
    value, made = choose.uniform(0.2, 0.8), []
    for _ in range(count):
        value = min(0.97, max(0.03, value + choose.gauss(0, 0.9 / count**0.5)))
        made.append(value)
    return made


def _lines(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    choose, names = draft.choose, _names(draft.choose, draft.choose.randint(1, 5))
    plot, count = _frame(draft, x, y, width, height, names), choose.choice((6, 8, 12, 40, 120))
    thick, mark = choose.choice((0.75, 1, 1.5, 2.25, 3)), choose.choice(("none", "none", "round", "square"))
    for index in range(len(names)):
        points = [
            (plot.x + plot.width * (place + 0.5) / count, plot.y + plot.height * value)
            for place, value in enumerate(_curve(choose, count))
        ]
        draft.canvas.setDash(*([choose.choice(([4, 2], [1, 2], [6, 2, 1, 2]))] if choose.random() < 0.25 else []))
        draft.polygon(points, stroke=draft.palette[index], line=thick, closed=False)
        draft.canvas.setDash()
        for px, py in points if mark != "none" and count < 20 else []:
            if mark == "round":
                draft.canvas.setFillColor(draft.palette[index])
                draft.canvas.circle(px, py, 2.5, stroke=0, fill=1)
            else:
                draft.box(px - 2.2, py - 2.2, 4.4, 4.4, fill="#ffffff", stroke=draft.palette[index], line=1)
    _categories(draft, plot, min(count, 12))


def _area(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    """Areas one upon the other, or through one another."""
    choose, names = draft.choose, _names(draft.choose, draft.choose.randint(2, 4))
    plot, count = _frame(draft, x, y, width, height, names), choose.choice((6, 12, 30))
    through, floor = choose.random() < 0.4, [0.0] * count
    for index in range(len(names)):
        curve = [value / (1 if through else len(names)) for value in _curve(choose, count)]
        upper = curve if through else [low + own for low, own in zip(floor, curve, strict=True)]
        across = [plot.x + plot.width * place / (count - 1) for place in range(count)]
        above = [(px, plot.y + plot.height * value) for px, value in zip(across, upper, strict=True)]
        below = [(px, plot.y + plot.height * (0 if through else low)) for px, low in zip(across, floor, strict=True)]
        with draft.see_through(choose.uniform(0.4, 0.7) if through else 1):
            draft.polygon(above + below[::-1], fill=draft.palette[index])
        if choose.random() < 0.5:
            draft.polygon(above, stroke=darker(draft.palette[index], 0.25), line=1.25, closed=False)
        floor = upper
    _categories(draft, plot, min(count, 12))


def _points(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    """A scatter of dots or bubbles."""
    choose, names = draft.choose, _names(draft.choose, draft.choose.randint(1, 3))
    plot, bubbles = _frame(draft, x, y, width, height, names), draft.choose.random() < 0.4
    for index in range(len(names)):
        with draft.see_through(0.6 if bubbles else 1):
            draft.fill(draft.palette[index])
            for _ in range(choose.randint(5, 9) if bubbles else choose.randint(20, 60)):
                radius = choose.uniform(4, 20) if bubbles else choose.choice((1.5, 2, 2.5))
                across, up = choose.uniform(0.05, 0.95), choose.uniform(0.06, 0.94)
                draft.canvas.circle(plot.x + plot.width * across, plot.y + plot.height * up, radius, stroke=0, fill=1)
    _categories(draft, plot, 6)


def _slices(
    draft: Draft, x: float, y: float, radius: float, hole: float, start: float
) -> tuple[list[str], list[float]]:
    """The pieces of one pie, clockwise; gives their names and shares."""
    choose = draft.choose
    names = _names(choose, choose.randint(3, 7))
    parts = [choose.uniform(0.15, 1) for _ in names]
    shares = [part / sum(parts) for part in parts]
    outline = choose.choice((None, "#ffffff", "#ffffff", "#000000"))
    apart, labels = choose.choice((0, 0, 0, 0.06)) * radius, choose.random() < 0.7
    angle = start
    for index, share in enumerate(shares):
        extent, colour = -360 * share, draft.palette[index]
        middle = math.radians(angle + extent / 2)
        cx, cy = x + apart * math.cos(middle), y + apart * math.sin(middle)
        draft.canvas.setFillColor(colour)
        draft.canvas.setStrokeColor(outline or colour)
        draft.canvas.setLineWidth(1)
        draft.canvas.wedge(
            cx - radius, cy - radius, cx + radius, cy + radius, angle, extent, stroke=bool(outline), fill=1
        )
        if labels and share > 0.06 and radius > 50:
            reach = radius * (0.65 if not hole else (1 + hole) / 2)
            draft.write(
                cx + reach * math.cos(middle),
                cy + reach * math.sin(middle) - 3,
                f"{share:.0%}",
                choose.choice((8, 9, 10)),
                align="centre",
                ink=readable_on(colour),
                font=draft.family.bold,
            )
        angle += extent
    if hole:
        draft.canvas.setFillColor("#ffffff")
        draft.canvas.circle(x, y, radius * hole, stroke=0, fill=1)
    return names, shares


def _pie(draft: Draft, x: float, y: float, width: float, height: float, hole: float = 0) -> None:
    choose = draft.choose
    if choose.random() < 0.7:
        draft.write(x + width / 2, y + height - 12, phrase(choose, 2, 4), 12, align="centre", font=draft.family.bold)
        height -= 20
    radius = min(height / 2 - 4, width * 0.28)
    cx, cy = x + width * choose.choice((0.32, 0.4)), y + height / 2
    names, shares = _slices(draft, cx, cy, radius, hole, choose.choice((90, 90, 30, 0)))
    size = choose.choice((8, 9, 10))
    for index, (name, share) in enumerate(zip(names, shares, strict=True)):
        at = cy + radius * 0.8 - index * size * 2
        draft.box(cx + radius + 24, at, size * 0.8, size * 0.8, fill=draft.palette[index])
        draft.write(cx + radius + 24 + size * 1.4, at, f"{name}  {share:.0%}", size)


def _doughnut(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    _pie(draft, x, y, width, height, hole=draft.choose.uniform(0.45, 0.65))


def _small_pies(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    """Three in a row, as a dashboard has them."""
    choose, radius = draft.choose, min(width / 3, height) * 0.36
    for index in range(3):
        cx = x + width * (index + 0.5) / 3
        _slices(draft, cx, y + height / 2 + 8, radius, choose.choice((0, 0.6)), 90)
        draft.write(
            cx,
            y + height / 2 - radius - 8,
            phrase(choose, 1, 2),
            9,
            align="centre",
            ink=draft.ink if luminance(draft.ink) > 0.5 else "#404040",
        )
