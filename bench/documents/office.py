"""Tables, forms, letters, headings and marked words, in the colours that office programs offer for them."""

import io
from random import Random

from PIL import Image, ImageDraw, ImageFilter
from reportlab.lib.colors import HexColor

from bench.documents.press import (
    PALETTES,
    PLACES,
    SOBER,
    Draft,
    amount,
    darker,
    date,
    families,
    lighter,
    luminance,
    mixed,
    person,
    phrase,
    readable_on,
    reference,
    sentences,
    words,
)

#: The highlighters of a word processor, and softer ones of newer programs.
MARKERS = (
    "#ffff00 #00ff00 #00ffff #ff00ff #ff0000 #0000ff #000080 #008080 #008000 #800080 #800000 #808000 #808080 #c0c0c0 "
    "#000000 #fff2cc #ffe699 #c6e0b4 #bdd7ee #f8cbad #ffd966 #d9d9d9 #b4c7e7 #fce4d6 #e2efda"
).split()
#: Inks of a word processor's list, "automatic" and themes' ones.
INKS = "#000000 #c00000 #ff0000 #ffc000 #00b050 #00b0f0 #0070c0 #002060 #7030a0 #595959 #7f7f7f #2f5496 #1f3763".split()


# ---- Tables


def tables(choose: Random) -> bytes:
    draft = Draft(choose, landscape=choose.random() < 0.15)
    draft.title()
    while draft.y > draft.margin + 130:
        if choose.random() < 0.5:
            draft.paragraph(sentences(choose, choose.randint(10, 40)), choose.choice((9, 10, 11)))
        table(draft)
        draft.y -= choose.uniform(14, 30)
        if choose.random() < 0.25:
            break
    draft.footer()
    return draft.finish()


def table(draft: Draft, *, sober: bool = False, most: int = 24) -> None:
    """From ``draft.y`` down: a look, and rows of words and figures until the page or the look ends."""
    choose = draft.choose
    size = choose.choice((7.5, 8, 9, 9, 10, 11))
    tall, colour = size * choose.uniform(1.5, 2.3), choose.choice(draft.palette[:7])
    if sober:
        colour = choose.choice(("#000000", "#404040", "#808080", "#c0c0c0", "#ffffff"))
    look = choose.choice(("zebra", "zebra", "zebra", "grid", "hairlines", "tinted", "lines", "boxed", "dark", "bare"))
    head = choose.choice((colour, colour, darker(colour, 0.3), lighter(colour, 0.6), lighter(colour, 0.8), None))
    stripe = choose.choice((lighter(colour, 0.8), lighter(colour, 0.9), lighter(colour, 0.6), "#f2f2f2", "#d9d9d9"))
    rule = choose.choice(("#000000", "#bfbfbf", "#d9d9d9", colour, lighter(colour, 0.4)))
    line = choose.choice((0.1, 0.25, 0.5, 0.5, 0.75, 1))
    columns = _columns(draft, size)
    rows = min(choose.randint(5, most), int((draft.y - draft.margin) / tall) - 1)
    top, first_bold, total = draft.y, choose.random() < 0.3, choose.random() < 0.4
    by_cell, filled = choose.random() < 0.4, choose.random() < 0.4
    for row in range(rows + 1):
        bottom = top - tall * (row + 1)
        last = total and row == rows
        ground = _ground(row, look, head, stripe, colour, last)
        if ground and by_cell:
            for x, width, _ in columns:
                draft.box(x, bottom, width, tall, fill=ground)
        elif ground:
            draft.box(draft.left, bottom, draft.measure, tall, fill=ground)
        for index, (x, width, kind) in enumerate(columns):
            bold = row == 0 or last or (first_bold and index == 0)
            font = draft.family.bold if bold else draft.family.regular
            ink = readable_on(ground, choose) if ground and luminance(ground) < 0.75 else draft.ink
            text = phrase(choose, 1, 1) if row == 0 else _cell(choose, kind)
            while text and draft.text_width(text, size, font) > width - 6:
                text = text.rpartition(" ")[0]
            at = x + width - 4 if kind == "number" else x + 4
            draft.write(
                at,
                bottom + tall / 2 - size * 0.35,
                text,
                size,
                ink=ink,
                font=font,
                align="right" if kind == "number" else "left",
            )
        if look in ("grid", "hairlines", "lines", "tinted"):
            _rule(draft, draft.left, bottom, draft.measure, 0, rule, line, filled)
    bottom = top - tall * (rows + 1)
    if look in ("grid", "hairlines"):
        for x, _, _ in columns[1:]:
            _rule(draft, x, bottom, 0, top - bottom, rule, line, filled)
    if look in ("grid", "hairlines", "boxed"):
        draft.box(draft.left, bottom, draft.measure, top - bottom, stroke=rule, line=line * choose.choice((1, 2)))
    elif look == "bare":
        for y in (top, top - tall, bottom):
            draft.line(draft.left, y, draft.right, y, "#000000", 0.8)
    draft.y = bottom


def _rule(draft: Draft, x: float, y: float, wide: float, tall: float, colour: str, line: float, filled: bool) -> None:
    """As a line, or as the thin area that word processors make of it."""
    if filled:
        draft.box(x, y, wide or line, tall or line, fill=colour)
    else:
        draft.line(x, y, x + wide, y + tall, colour, line)


def _ground(row: int, look: str, head: str | None, stripe: str, colour: str, last: bool) -> str | None:
    if row == 0:
        return head if look not in ("bare", "hairlines") else None
    if last and look in ("zebra", "tinted", "dark"):
        return lighter(colour, 0.6)
    if look == "zebra":
        return stripe if row % 2 else None
    if look == "dark":
        return colour if row % 2 else lighter(colour, 0.25)
    return stripe if look == "tinted" else None


def _columns(draft: Draft, size: float) -> list[tuple[float, float, str]]:
    choose = draft.choose
    kinds = [
        "words",
        *(choose.choice(("number", "number", "word", "date", "reference")) for _ in range(choose.randint(2, 6))),
    ]
    wants = [{"words": 3.0, "word": 1.6, "date": 2.0, "number": 1.3, "reference": 1.5}[kind] for kind in kinds]
    least = size * 5
    while len(kinds) > 2 and draft.measure * min(wants) / sum(wants) < least:
        kinds.pop()
        wants.pop()
    x, made = draft.left, []
    for kind, want in zip(kinds, wants, strict=True):
        width = draft.measure * want / sum(wants)
        made.append((x, width, kind))
        x += width
    return made


def _cell(choose: Random, kind: str) -> str:
    return {
        "words": lambda: phrase(choose, 1, 3),
        "word": lambda: phrase(choose, 1, 1),
        "date": lambda: date(choose),
        "number": lambda: amount(choose),
        "reference": lambda: reference(choose),
    }[kind]()


# ---- Forms


def forms(choose: Random) -> bytes:
    draft = Draft(choose)
    accent = choose.choice(draft.palette[:7])
    if choose.random() < 0.4:
        tall = choose.uniform(34, 64)
        draft.box(0, draft.height - tall, draft.width, tall, fill=accent)
        draft.write(
            draft.left,
            draft.height - tall / 2 - 7,
            phrase(choose, 2, 4),
            20,
            ink=readable_on(accent),
            font=draft.family.bold,
        )
        draft.y = draft.height - tall - 14
    else:
        draft.title()
    form(draft, accent)
    draft.footer()
    return draft.finish()


def form(draft: Draft, accent: str) -> None:
    """Sections of fields, with marks set in boxes and a place for a signature, down to the margin."""
    choose = draft.choose
    look = choose.choice(("grey", "blue", "tinted", "boxed", "lined", "combs", "widgets"))
    fill = {
        "grey": choose.choice(("#f2f2f2", "#e6e6e6", "#d9d9d9", "#ececec", "#cccccc")),
        "blue": choose.choice(("#dde4ff", "#dce6f1", "#e8f0fe", "#c9daf8", "#eef3fa", "#b8cce4")),
        "tinted": lighter(accent, choose.choice((0.7, 0.8, 0.9))),
    }.get(look)
    size, label_above = choose.choice((9, 10, 11)), choose.random() < 0.5
    section = choose.choice(("bar", "tint", "line", "bold"))
    while draft.y > draft.margin + 110:
        _section(draft, section, accent)
        for _ in range(choose.randint(2, 5)):
            if draft.y < draft.margin + 90:
                break
            choose.choice((_fields, _fields, _fields, _checks))(draft, look, fill, size, label_above)
    _signature(draft)


def _section(draft: Draft, style: str, accent: str) -> None:
    choose, text = draft.choose, f"{draft.choose.randint(1, 9)}. {phrase(draft.choose, 2, 3)}"
    draft.y -= 24
    if style in ("bar", "tint"):
        ground = accent if style == "bar" else lighter(accent, 0.75)
        draft.box(draft.left, draft.y - 4, draft.measure, 17, fill=ground)
        draft.write(draft.left + 5, draft.y + 0.5, text, 11, ink=readable_on(ground, choose), font=draft.family.bold)
    else:
        draft.write(
            draft.left, draft.y, text, 12, ink=accent if luminance(accent) < 0.5 else draft.ink, font=draft.family.bold
        )
        if style == "line":
            draft.line(draft.left, draft.y - 4, draft.right, draft.y - 4, accent, 1)
    draft.y -= 8


def _fields(draft: Draft, look: str, fill: str | None, size: float, label_above: bool) -> None:
    choose, count = draft.choose, draft.choose.choice((1, 2, 2, 3))
    wide, tall = (draft.measure - 12 * (count - 1)) / count, size * 1.75
    draft.y -= tall + (size + 3 if label_above else 6)
    for index in range(count):
        x, label = draft.left + index * (wide + 12), phrase(choose, 1, 2)
        small = size - 2 if label_above else size
        label_width = 0 if label_above else max(70, draft.text_width(label, small) + 8)
        if label_above:
            draft.write(x, draft.y + tall + 3, label, small, ink=choose.choice((draft.ink, "#595959", "#7f7f7f")))
        else:
            draft.write(x, draft.y + tall / 2 - size / 3, label, small)
        at, room = x + label_width, wide - label_width
        _field(draft, at, room, tall, look, fill)
        if choose.random() < 0.8:
            value = choose.choice((person, date, amount, reference))(choose)
            font = choose.choice((draft.family.regular, "Courier", "Helvetica"))
            if look == "combs":
                for place, letter in enumerate(value.upper()[: int(room // 14)]):
                    draft.write(
                        at + 14 * place + 7,
                        draft.y + tall / 2 - 3,
                        letter,
                        10,
                        font="Courier",
                        align="centre",
                        ink="#000000",
                    )
            elif draft.text_width(value, size, font) < room - 6:
                draft.write(
                    at + 4,
                    draft.y + tall / 2 - size / 3,
                    value,
                    size,
                    font=font,
                    ink=choose.choice(("#000000", "#000080")),
                )
    draft.y -= 4


def _field(draft: Draft, x: float, width: float, tall: float, look: str, fill: str | None) -> None:
    choose = draft.choose
    if fill:
        draft.box(x, draft.y, width, tall, fill=fill, stroke=choose.choice((None, "#bfbfbf")), line=0.5)
    elif look == "boxed":
        draft.box(x, draft.y, width, tall, stroke="#404040", line=0.75)
    elif look == "combs":
        for place in range(int(width // 14) + 1):
            draft.line(x + 14 * place, draft.y + 1, x + 14 * place, draft.y + 7, "#404040", 0.5)
        draft.line(x, draft.y + 1, x + 14 * (width // 14), draft.y + 1, "#404040", 0.5)
    elif look == "widgets" and width > 20:
        draft.canvas.acroForm.textfield(
            name=f"f{draft.y:.0f}.{x:.0f}",
            value=phrase(choose, 1, 2) if choose.random() < 0.5 else "",
            x=x,
            y=draft.y,
            width=width,
            height=tall,
            fontName="Helvetica",
            fontSize=9,
            borderWidth=0.5,
            borderColor=HexColor("#7f7f7f"),
            fillColor=HexColor(choose.choice(("#dde4ff", "#ffffff", "#f2f2f2"))),
            forceBorder=True,
        )
    else:
        draft.line(x, draft.y + 2, x + width, draft.y + 2, "#404040", 0.6)


def _checks(draft: Draft, look: str, fill: str | None, size: float, label_above: bool) -> None:
    choose, x = draft.choose, draft.left
    draft.y -= size * 1.9
    mark = choose.choice(("cross", "tick", "filled", "letter"))
    while x < draft.right - 90:
        side = size * choose.choice((0.95, 1.1))
        draft.box(x, draft.y - 1, side, side, fill=fill, stroke="#000000", line=choose.choice((0.5, 0.75, 1)))
        if choose.random() < 0.5:
            left, low, high = x + side * 0.15, draft.y - 1 + side * 0.15, draft.y - 1 + side * 0.85
            if mark == "cross":
                draft.line(left, low, x + side * 0.85, high, "#000000", 1.1)
                draft.line(left, high, x + side * 0.85, low, "#000000", 1.1)
            elif mark == "tick":
                draft.polygon(
                    [(left, low + side * 0.3), (x + side * 0.4, low), (x + side * 0.9, high)],
                    stroke="#000000",
                    line=1.4,
                    closed=False,
                )
            elif mark == "filled":
                draft.box(left, low, side * 0.7, side * 0.7, fill="#000000")
            else:
                draft.write(
                    x + side / 2,
                    draft.y + side * 0.1,
                    "X",
                    side * 0.9,
                    font="Helvetica-Bold",
                    align="centre",
                    ink="#000000",
                )
        x = draft.write(x + side + 4, draft.y, phrase(choose, 1, 2), size) + 18
    draft.y -= 6


def _signature(draft: Draft) -> None:
    choose, y = draft.choose, draft.margin + 40
    draft.line(draft.left, y, draft.left + 150, y, "#000000", 0.6)
    draft.line(draft.left + 200, y, draft.left + 420, y, "#000000", 0.6)
    draft.write(draft.left, y - 10, "Place, date", 8)
    draft.write(draft.left + 200, y - 10, "Signature", 8)
    draft.write(draft.left + 4, y + 4, f"{choose.choice(PLACES)}, {date(choose)}", 9)
    if choose.random() < 0.7:
        path, canvas = draft.canvas.beginPath(), draft.canvas
        x = draft.left + 210
        path.moveTo(x, y + 8)
        for _ in range(choose.randint(4, 8)):
            path.curveTo(
                x + 6, y + choose.uniform(10, 34), x + 14, y - choose.uniform(0, 12), x + 20, y + choose.uniform(0, 16)
            )
            x += 20
        canvas.setStrokeColor(HexColor(choose.choice(("#000000", "#1a2a80", "#0033aa"))))
        canvas.setLineWidth(choose.choice((0.8, 1.2, 1.6)))
        canvas.drawPath(path, stroke=1, fill=0)


# ---- Headings


def headings(choose: Random) -> bytes:
    """Large words in every colour that a theme offers, alone, on bars and among text."""
    draft = Draft(choose)
    shades = (
        [colour for name in sorted(PALETTES) for colour in PALETTES[name]]
        if choose.random() < 0.5
        else [*draft.palette, *INKS]
    )
    if choose.random() < 0.3:
        shades += [lighter(colour, 0.4) for colour in shades]
    family = draft.family
    while draft.y > draft.margin + 60:
        size = choose.choice((18, 20, 22, 24, 26, 28, 32, 36, 40, 48, 54, 60, 72))
        ink, font = choose.choice(shades), choose.choice((family.bold, family.regular, family.italic))
        text = phrase(choose, 1, 3)
        while draft.text_width(text, size, font) > draft.measure - 12 and " " in text:
            text = text.rpartition(" ")[0]
        if draft.text_width(text, size, font) > draft.measure - 12 or draft.y - size * 1.3 < draft.margin:
            draft.y -= 20
            continue
        draft.y -= size * 1.15
        style = choose.choice(("plain", "plain", "plain", "plain", "bar", "rule", "outline", "shadow"))
        _heading(draft, text, size, ink, font, style)
        draft.y -= size * 0.35
        if choose.random() < 0.55:
            draft.paragraph(sentences(choose, choose.randint(10, 45)), choose.choice((9, 10, 11, 12)))
        if choose.random() < 0.2:
            family = families()[choose.choice(sorted(families()))]
    return draft.finish()


def _heading(draft: Draft, text: str, size: float, ink: str, font: str, style: str) -> None:
    x = draft.left + (6 if style == "bar" else 0)
    if style == "bar":
        draft.box(draft.left, draft.y - size * 0.3, draft.measure, size * 1.25, fill=ink)
        draft.write(x, draft.y, text, size, ink=readable_on(ink, draft.choose), font=font)
        return
    if style == "shadow":
        draft.write(x + size * 0.04, draft.y - size * 0.04, text, size, ink="#c0c0c0", font=font)
    if style == "outline" and size >= 28:
        canvas = draft.canvas
        canvas.saveState()
        shape = canvas.beginText(x, draft.y)
        shape.setFont(font, size)
        shape.setTextRenderMode(draft.choose.choice((1, 2)))
        draft.fill(lighter(ink, 0.7))
        canvas.setStrokeColor(HexColor(ink))
        canvas.setLineWidth(draft.choose.choice((0.5, 1, 1.5)))
        shape.textOut(text)
        canvas.drawText(shape)
        canvas.restoreState()
        return
    draft.write(x, draft.y, text, size, ink=ink, font=font)
    if style == "rule":
        draft.line(
            draft.left, draft.y - size * 0.3, draft.right, draft.y - size * 0.3, ink, draft.choose.choice((0.5, 1, 2))
        )


# ---- Marked words


def marked(choose: Random) -> bytes:
    """Words on grounds of their own: highlighted in the line, in labels, in boxes."""
    draft = Draft(choose)
    draft.title()
    parts = (_highlighted, _highlighted, _call_out, _labels, _white_on_dark, _low_contrast)
    while draft.y > draft.margin + 80:
        choose.choice(parts)(draft)
    draft.footer()
    return draft.finish()


def _ground_and_ink(choose: Random, palette: tuple[str, ...]) -> tuple[str, str]:
    ground = choose.choice((*MARKERS, *palette))
    if choose.random() < 0.3:
        return ground, choose.choice(INKS) if luminance(ground) > 0.7 else "#ffffff"
    return ground, readable_on(ground, choose)


def _highlighted(draft: Draft) -> None:
    """A paragraph some of whose words are marked, word by word and line by line."""
    choose, size = draft.choose, draft.choose.choice((9, 10, 11, 12))
    markers = [_ground_and_ink(choose, draft.palette) for _ in range(choose.randint(1, 3))]
    share = choose.choice((0.1, 0.25, 0.5, 0.9))
    for line in draft.wrapped(sentences(choose, choose.randint(30, 80)), draft.measure, size):
        draft.y -= size * 1.35
        x, space = draft.left, draft.text_width(" ", size)
        for word in line.split():
            width = draft.text_width(word, size)
            if choose.random() < share:
                ground, ink = choose.choice(markers)
                draft.box(x - 0.3, draft.y - size * 0.25, width + space * 0.9, size * 1.2, fill=ground)
                draft.write(x, draft.y, word, size, ink=ink)
            else:
                draft.write(x, draft.y, word, size)
            x += width + space
    draft.y -= size


def _call_out(draft: Draft) -> None:
    choose, size = draft.choose, draft.choose.choice((9, 10, 11))
    ground, ink = _ground_and_ink(choose, draft.palette)
    lines = draft.wrapped(sentences(choose, choose.randint(15, 50)), draft.measure - 24, size)
    tall = len(lines) * size * 1.35 + 16
    draft.box(
        draft.left,
        draft.y - tall,
        draft.measure,
        tall,
        fill=ground,
        radius=choose.choice((0, 0, 5, 10)),
        stroke=choose.choice((None, darker(ground, 0.3))),
        line=choose.choice((0.5, 1, 2)),
    )
    at = draft.y - 8
    for line in lines:
        at -= size * 1.35
        draft.write(draft.left + 12, at + size * 0.3, line, size, ink=ink)
    draft.y -= tall + 12


def _labels(draft: Draft) -> None:
    """Round and square labels in a row, as a list of states has them."""
    choose, x = draft.choose, draft.left
    draft.y -= 24
    while x < draft.right - 110:
        ground, ink = _ground_and_ink(choose, draft.palette)
        text, size = phrase(choose, 1, 2), choose.choice((8, 9, 10, 12))
        width = draft.text_width(text, size, draft.family.bold) + 16
        draft.box(x, draft.y - 4, width, size + 7, fill=ground, radius=choose.choice((0, 3, (size + 7) / 2 - 0.1)))
        draft.write(x + 8, draft.y, text, size, ink=ink, font=draft.family.bold)
        x += width + 10
    draft.y -= 14


def _white_on_dark(draft: Draft) -> None:
    choose, size = draft.choose, draft.choose.choice((9, 10, 11, 14))
    ground = choose.choice(
        ("#000000", "#1f3864", "#404040", "#7f7f7f", "#2e75b6", "#548235", "#c00000", "#808080", "#4472c4", "#a5a5a5")
    )
    lines = draft.wrapped(sentences(choose, choose.randint(12, 40)), draft.measure - 20, size)
    tall = len(lines) * size * 1.4 + 14
    draft.box(draft.left, draft.y - tall, draft.measure, tall, fill=ground)
    at = draft.y - 6
    for line in lines:
        at -= size * 1.4
        draft.write(
            draft.left + 10, at + 3, line, size, ink=choose.choice(("#ffffff", "#ffffff", lighter(ground, 0.85)))
        )
    draft.y -= tall + 12


def _low_contrast(draft: Draft) -> None:
    """What a designer likes: an ink a third to a half away from its ground."""
    choose, size = draft.choose, draft.choose.choice((10, 11, 12, 14))
    ground = choose.choice((*draft.palette, *MARKERS))
    other = "#ffffff" if luminance(ground) < 0.5 else "#000000"
    ink = mixed(ground, other, choose.uniform(0.4, 0.6))
    lines = draft.wrapped(sentences(choose, choose.randint(10, 30)), draft.measure - 20, size)
    tall = len(lines) * size * 1.4 + 14
    draft.box(draft.left, draft.y - tall, draft.measure, tall, fill=ground)
    at = draft.y - 6
    for line in lines:
        at -= size * 1.4
        draft.write(draft.left + 10, at + 3, line, size, ink=ink)
    draft.y -= tall + 12


# ---- Light words


def light(choose: Random) -> bytes:
    """Grey and coloured words on white, from small print to large."""
    draft = Draft(choose)
    greys = ["#595959", "#7f7f7f", "#808080", "#999999", "#a6a6a6", "#aaaaaa", "#b0b0b0", "#bfbfbf", "#cccccc"]
    vivid = [
        "#ff0000",
        "#ed7d31",
        "#ffc000",
        "#00b050",
        "#00b0f0",
        "#92d050",
        "#f79646",
        "#4bacc6",
        "#66bbff",
        "#ff66cc",
        "#e0c000",
    ]
    inks = choose.choice((greys, [*greys, *vivid], vivid, [*draft.palette[:6]]))
    draft.title(ink=choose.choice(inks))
    while draft.y > draft.margin + 40:
        size = choose.choice((6, 7, 7, 8, 8, 9, 10, 10, 11, 12, 14))
        font = choose.choice((draft.family.regular, draft.family.regular, draft.family.bold, draft.family.italic))
        draft.paragraph(sentences(choose, choose.randint(12, 60)), size, ink=choose.choice(inks), font=font)
        if choose.random() < 0.25:
            draft.paragraph(sentences(choose, choose.randint(10, 30)), 10, ink="#000000")
    return draft.finish()


# ---- Letters


def letters(choose: Random) -> bytes:
    return letter(choose).finish()


def letter(choose: Random, *, sober: bool = False, size: tuple[float, float] | None = None) -> Draft:
    """A letter head, an address, text, and what letters carry: a table, a list, a box, a slip at the foot."""
    draft = Draft(choose, size=size)
    if sober:
        draft.palette = SOBER
        draft.ink = choose.choice(("#000000", "#000000", "#262626"))
    accent = choose.choice(draft.palette[:7])
    _head(draft, accent)
    body = choose.choice((9.5, 10, 10.5, 11, 12))
    draft.y -= 12
    for text in (
        f"{person(choose)}",
        phrase(choose, 2, 3),
        f"{choose.randint(1, 99)} {choose.choice(PLACES)} Street",
        choose.choice(PLACES),
    ):
        draft.paragraph(text, body, after=0)
    draft.y -= body
    draft.write(draft.right, draft.y, f"{choose.choice(PLACES)}, {date(choose)}", body, align="right")
    draft.y -= body * 1.5
    draft.paragraph(f"{phrase(choose, 3, 5)}, your reference {reference(choose)}", body + 1, font=draft.family.bold)
    draft.paragraph(f"Dear {person(choose)},", body)
    parts = [
        "text",
        choose.choice(("table", "list", "box", "text", "boxes", "contents")),
        "text",
        choose.choice(("table", "list", "text")),
    ]
    for part in parts:
        if draft.y < draft.margin + 150:
            break
        _part(draft, part, body, accent, sober)
    draft.paragraph("With kind regards", body)
    draft.y -= 26
    if choose.random() < 0.5:
        _scanned_signature(draft)
    draft.paragraph(f"{person(choose)}, {phrase(choose, 1, 2)}", body)
    draft.footer()
    return draft


def _scanned_signature(draft: Draft) -> None:
    """Cut out of a scan, with the grey of its paper around it."""
    choose = draft.choose
    picture = Image.new("L", (420, 130), choose.choice((255, 250, 240, 225, 205)))
    points = [(20 + step * 19, 65 + choose.uniform(-50, 50) * (1 - step / 30)) for step in range(20)]
    ImageDraw.Draw(picture).line(points, fill=choose.choice((20, 60)), width=choose.choice((3, 5)), joint="curve")
    data = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1)).save(data, "JPEG", quality=60)
    draft.image(data.getvalue(), draft.left, draft.y - 12, 126, 39)
    draft.y -= 12


def _head(draft: Draft, accent: str) -> None:
    choose, name = draft.choose, f"{draft.choose.choice(PLACES)} {' '.join(words(draft.choose, 1)).capitalize()} Ltd"
    style = choose.choice(("bar", "plain", "block", "rule", "right"))
    telephone = f"0{choose.randint(100, 999)} {choose.randint(100000, 999999)}"
    details = f"{choose.randint(1, 99)} {choose.choice(PLACES)} Road, Telephone {telephone}"
    if style == "bar":
        draft.box(0, draft.height - 58, draft.width, 58, fill=accent)
        draft.write(draft.left, draft.height - 36, name, 22, ink=readable_on(accent), font=draft.family.bold)
        draft.write(draft.left, draft.height - 50, details, 8, ink=readable_on(accent))
        draft.y = draft.height - 74
        return
    if style == "block":
        draft.box(draft.left, draft.y - 36, 36, 36, fill=accent)
        draft.write(
            draft.left + 18, draft.y - 26, name[0], 24, ink=readable_on(accent), font=draft.family.bold, align="centre"
        )
        draft.write(draft.left + 46, draft.y - 16, name, 16, font=draft.family.bold)
        draft.write(draft.left + 46, draft.y - 30, details, 8, ink="#7f7f7f")
    else:
        x, align = (draft.right, "right") if style == "right" else (draft.left, "left")
        draft.write(x, draft.y - 20, name, choose.choice((18, 22, 26)), font=draft.family.bold, align=align, ink=accent)
        draft.write(x, draft.y - 34, details, 8, align=align, ink=choose.choice(("#7f7f7f", "#999999", "#404040")))
        if style == "rule":
            draft.line(draft.left, draft.y - 42, draft.right, draft.y - 42, accent, choose.choice((0.5, 1, 2)))
    draft.y -= 48


def _part(draft: Draft, part: str, body: float, accent: str, sober: bool) -> None:
    choose = draft.choose
    if part == "table":
        table(draft, sober=sober, most=8)
        draft.y -= 10
    elif part == "list":
        for _ in range(choose.randint(2, 5)):
            at = draft.y - body * 1.3
            draft.write(draft.left + 8, at, "-", body)
            draft.paragraph(
                sentences(choose, choose.randint(5, 14)), body, x=draft.left + 20, width=draft.measure - 20, after=0.2
            )
        draft.y -= body * 0.5
    elif part == "contents":
        for _ in range(choose.randint(3, 7)):
            name, page = phrase(choose, 1, 4), str(choose.randint(1, 99))
            draft.y -= body * 1.4
            end = draft.write(draft.left, draft.y, name, body)
            dots = "." * int((draft.right - 26 - end) / draft.text_width(".", body))
            draft.write(end + 3, draft.y, dots, body)
            draft.write(draft.right, draft.y, page, body, align="right")
        draft.y -= body
    elif part == "box":
        _call_out(draft) if not sober else draft.paragraph(sentences(choose, 40), body)
    elif part == "boxes":
        _checks(draft, "boxed", None, body, False)
        draft.y -= 10
    else:
        for _ in range(choose.randint(1, 3)):
            draft.paragraph(sentences(choose, choose.randint(25, 70)), body)
