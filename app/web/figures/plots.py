"""Numbers as pictures: stacked bars and a line, worked out here, drawn as inline SVG by the templates.

Everything is in thousandths of the width and height of the plot; words and numbers stand beside it as text, so that
they keep their size on a phone. The table below each plot has the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SIZE = 1000
#: Part of a bar's place that the bar takes.
FILLED = 0.78
NICE = (1, 2, 4, 6, 8, 10)


@dataclass(frozen=True)
class Series:
    """One colour of a plot: ``tone`` names it in the style sheet; None is a value that there is not."""

    name: str
    tone: str
    values: Sequence[float | None]
    #: Where the values are rounded each.
    exact_total: float | None = None

    @property
    def total(self) -> float:
        return sum(value or 0 for value in self.values) if self.exact_total is None else self.exact_total


@dataclass(frozen=True)
class Mark:
    """A rectangle, with what a pointer reads on it."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    text: str


@dataclass(frozen=True)
class Plot:
    """``labels`` are those of the places from left to right, ``top`` the number at the upper edge."""

    name: str
    unit: str
    labels: Sequence[str]
    series: Sequence[Series]
    top: float
    marks: Sequence[Mark] = ()
    lines: Sequence[str] = ()
    dots: Sequence[Mark] = ()

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)

    @property
    def ends(self) -> list[str]:
        """The labels that there is room for: first, middle, last."""
        if len(self.labels) < 3:
            return list(self.labels)
        return [self.labels[0], self.labels[len(self.labels) // 2], self.labels[-1]]


def nice_top(highest: float) -> float:
    """A round number at or above ``highest`` that is halved without a rest."""
    power = 1.0
    while power * 10 < highest:
        power *= 10
    return next((step * power for step in NICE if step * power >= highest), power * 10) if highest > 2 else 2


def stacked(name: str, labels: Sequence[str], series: Sequence[Series], *, unit: str = "") -> Plot:
    sums = [sum(one.values[n] or 0 for one in series) for n in range(len(labels))]
    top = nice_top(max(sums, default=0))
    return Plot(name, unit, labels, series, top, marks=_bars(labels, series, top))


def _bars(labels: Sequence[str], series: Sequence[Series], top: float) -> list[Mark]:
    place, marks = SIZE / max(1, len(labels)), []
    for n, label in enumerate(labels):
        below = 0.0
        for one in series:
            if value := one.values[n]:
                height = SIZE * value / top
                x, y = place * (n + (1 - FILLED) / 2), SIZE - below - height
                marks.append(Mark(x, y, place * FILLED, height, one.tone, f"{label}, {one.name}: {value:g}"))
                below += height
    return marks


def lying(parts: Sequence[tuple[str, str, int]], longest: int) -> Markup:
    """One bar from left to right of (name, tone, value), as SVG; ``longest`` takes the whole width. Written here, not
    in a template: a table may have hundreds."""
    drawn, x = "", 0.0
    for name, tone, value in parts:
        if value:
            width = SIZE * value / longest
            place = f'x="{x:.1f}" y="0" width="{width:.1f}" height="{SIZE}"'
            drawn += f'<rect class="plot-{tone}" {place}><title>{escape(name)}: {value}</title></rect>'
            x += width
    return Markup(drawn)


def line(name: str, labels: Sequence[str], series: Series, *, top: float = 100, unit: str = "%") -> Plot:
    """A gap where there is no value; a point that stands alone is a dot all the same."""
    place = SIZE / max(1, len(labels))
    lines: list[list[str]] = []
    run: list[str] = []
    dots: list[Mark] = []
    for n, value in enumerate(series.values):
        if value is None:
            lines, run = [*lines, run], []
            continue
        x, y = place * (n + 0.5), SIZE - SIZE * value / top
        run.append(f"{x:.1f},{y:.1f}")
        dots.append(Mark(x, y, 0, 0, series.tone, f"{labels[n]}: {value:g} {unit}"))
    drawn = [" ".join(part) for part in [*lines, run] if len(part) > 1]
    return Plot(name, unit, labels, [series], top, lines=drawn, dots=dots)
