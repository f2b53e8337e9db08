"""Slides, flyers, diagrams, and pages on which somebody has left annotations."""

import io
import math
from random import Random

import pikepdf
from reportlab.graphics import renderPDF
from reportlab.graphics.barcode import code128, createBarcodeDrawing
from reportlab.lib.colors import HexColor

from bench.documents.press import (
    Draft,
    amount,
    darker,
    date,
    lighter,
    luminance,
    mixed,
    person,
    phrase,
    readable_on,
    reference,
    rgb,
    sentences,
    words,
)

WIDESCREEN, FOUR_TO_THREE = (540.0, 960.0), (540.0, 720.0)
GROUNDS = (
    "#ffffff #ffffff #ffffff #f2f2f2 #fff2cc #deebf7 #e2efda #1f3864 #262626 #000000 #44546a #4472c4 #808080".split()
)


# ---- Slides and flyers


def slides(choose: Random) -> bytes:
    """Large words on grounds of any colour, lying across; or a flyer, upright."""
    flyer = choose.random() < 0.3
    size = None if flyer else choose.choice((WIDESCREEN, WIDESCREEN, FOUR_TO_THREE))
    draft = Draft(choose, size=size, landscape=not flyer)
    ground = choose.choice((*GROUNDS, draft.palette[0], lighter(draft.palette[0], 0.5)))
    draft.box(0, 0, draft.width, draft.height, fill=ground)
    draft.ink = readable_on(ground)
    accent = draft.palette[1] if abs(luminance(draft.palette[1]) - luminance(ground)) > 0.25 else draft.ink
    style = choose.choice(("band", "side", "plain", "foot"))
    title_ink = accent
    if style == "band":
        draft.box(0, draft.height - 90, draft.width, 90, fill=draft.palette[2])
        title_ink = readable_on(draft.palette[2])
        draft.y = draft.height - 26
    elif style == "side":
        draft.box(0, 0, 40, draft.height, fill=draft.palette[2])
        draft.left = max(draft.left, 60)
    elif style == "foot":
        draft.box(0, 0, draft.width, 26, fill=draft.palette[2])
        draft.write(draft.left, 9, f"{phrase(choose, 2, 3)}, {date(choose)}", 9, ink=readable_on(draft.palette[2]))
    draft.title(phrase(choose, 2, 3), choose.choice((28, 32, 36, 40)), ink=title_ink)
    draft.y = min(draft.y, draft.height - 110)
    parts = [
        choose.choice((_bullets, _bullets, _columns, _columns)),
        choose.choice((_tiles, _tiles, _big_number, _bullets)),
    ]
    choose.shuffle(parts)
    for part in parts * (3 if flyer else 1):
        if draft.y > draft.margin + 140:
            part(draft, ground)
    return draft.finish()


def _bullets(draft: Draft, ground: str) -> None:
    choose, size = draft.choose, draft.choose.choice((14, 16, 18, 20, 24))
    for _ in range(choose.randint(3, 6)):
        if draft.y < draft.margin + size * 3:
            break
        small = choose.random() < 0.3
        own = size * 0.75 if small else size
        x = draft.left + (30 if small else 4)
        draft.box(x, draft.y - own * 1.0, own * 0.35, own * 0.35, fill=draft.ink)
        draft.paragraph(
            " ".join(words(choose, choose.randint(3, 9))).capitalize(),
            own,
            x=x + own,
            width=draft.right - x - own,
            after=0.4,
        )
    draft.y -= 10


def _columns(draft: Draft, ground: str) -> None:
    choose, top, lowest = draft.choose, draft.y, draft.y
    wide = (draft.measure - 20) / 2
    for index in range(2):
        draft.y = top
        x, ink = draft.left + index * (wide + 20), choose.choice((draft.ink, draft.ink, mixed(draft.ink, ground, 0.3)))
        draft.paragraph(phrase(choose, 1, 2), 18, x=x, width=wide, font=draft.family.bold)
        text, size = sentences(choose, choose.randint(20, 40)), choose.choice((12, 14, 16))
        draft.paragraph(text, size, x=x, width=wide, ink=ink)
        lowest = min(lowest, draft.y)
    draft.y = lowest - 10


def _big_number(draft: Draft, ground: str) -> None:
    choose = draft.choose
    colours = [colour for colour in draft.palette if abs(luminance(colour) - luminance(ground)) > 0.3] or [draft.ink]
    size = choose.choice((54, 66, 80))
    draft.y -= size
    draft.write(
        draft.left, draft.y, f"{choose.randint(2, 98)}%", size, ink=choose.choice(colours), font=draft.family.bold
    )
    draft.y -= 6
    draft.paragraph(phrase(choose, 4, 8), 16)
    draft.y -= 10


def _tiles(draft: Draft, ground: str) -> None:
    choose, count = draft.choose, draft.choose.choice((2, 3, 4))
    wide, tall = (draft.measure - 12 * (count - 1)) / count, choose.uniform(80, 130)
    draft.y -= tall
    for index in range(count):
        fill, x = choose.choice(draft.palette), draft.left + index * (wide + 12)
        draft.box(x, draft.y, wide, tall, fill=fill, radius=choose.choice((0, 8)))
        ink = readable_on(fill)
        draft.write(x + 8, draft.y + tall - 24, words(choose, 1)[0].capitalize(), 14, ink=ink, font=draft.family.bold)
        at = draft.y + tall - 32
        for line in draft.wrapped(sentences(choose, choose.randint(6, 14)), wide - 16, 11):
            at -= 14
            if at < draft.y + 4:
                break
            draft.write(x + 8, at, line, 11, ink=ink)
    draft.y -= 16


# ---- Diagrams


def diagrams(choose: Random) -> bytes:
    draft = Draft(choose, landscape=choose.random() < 0.25)
    draft.title()
    parts = (_organisation, _flow, _gantt, _heat, _plan, _codes, _timeline)
    while draft.y > draft.margin + 190:
        if choose.random() < 0.6:
            draft.paragraph(sentences(choose, choose.randint(12, 40)), choose.choice((9, 10, 11)))
        choose.choice(parts)(draft)
        draft.y -= 16
    draft.footer()
    return draft.finish()


def _node(draft: Draft, x: float, y: float, wide: float, tall: float, text: str) -> None:
    choose, colour = draft.choose, draft.choose.choice(draft.palette[:7])
    fill = choose.choice((colour, colour, lighter(colour, 0.7), "#ffffff"))
    stroke = choose.choice((darker(colour, 0.3), "#000000", "#808080" if fill == "#ffffff" else None))
    draft.box(x, y, wide, tall, fill=fill, stroke=stroke, radius=choose.choice((0, 4)))
    size = min(10, (wide - 6) / draft.text_width(text, 1))
    draft.write(x + wide / 2, y + tall / 2 - size / 3, text, size, ink=readable_on(fill), align="centre")


def _organisation(draft: Draft) -> None:
    choose, top, count = draft.choose, draft.y, draft.choose.choice((3, 4, 5))
    wide = draft.measure / count - 12
    _node(draft, draft.left + draft.measure / 2 - 60, top - 30, 120, 28, person(choose))
    middle = draft.left + draft.measure / 2
    draft.line(middle, top - 30, middle, top - 48, "#404040", 0.75)
    first, last = draft.left + 6 + wide / 2, draft.left + (count - 1) * (wide + 12) + 6 + wide / 2
    draft.line(first, top - 48, last, top - 48, "#404040", 0.75)
    for index in range(count):
        x = draft.left + index * (wide + 12) + 6
        draft.line(x + wide / 2, top - 48, x + wide / 2, top - 62, "#404040", 0.75)
        _node(draft, x, top - 90, wide, 28, phrase(choose, 1, 1))
        for under in range(choose.randint(0, 3)):
            y = top - 128 - under * 34
            draft.line(x + 8, y + 50, x + 8, y + 12, "#808080", 0.5)
            draft.line(x + 8, y + 12, x + 16, y + 12, "#808080", 0.5)
            _node(draft, x + 16, y, wide - 18, 24, words(choose, 1)[0])
    draft.y -= 210


def _flow(draft: Draft) -> None:
    choose, count, x = draft.choose, draft.choose.choice((3, 4, 5)), draft.left
    wide = draft.measure / count
    draft.y -= 60
    for index in range(count):
        _node(draft, x, draft.y, wide - 26, 44, phrase(choose, 1, 2))
        if index < count - 1:
            draft.line(x + wide - 26, draft.y + 22, x + wide - 8, draft.y + 22, "#000000", 1)
            draft.polygon(
                [(x + wide - 8, draft.y + 26), (x + wide - 8, draft.y + 18), (x + wide, draft.y + 22)], fill="#000000"
            )
        x += wide


def _gantt(draft: Draft) -> None:
    choose, rows, columns = draft.choose, draft.choose.randint(5, 9), draft.choose.choice((6, 8, 12))
    names, tall = 110, 17
    room, top = (draft.measure - names) / columns, draft.y
    shaded = choose.random() < 0.6
    for column in range(columns):
        x = draft.left + names + column * room
        if shaded and column % 2:
            draft.box(x, top - (rows + 1) * tall, room, (rows + 1) * tall, fill="#f2f2f2")
        draft.line(x, top, x, top - (rows + 1) * tall, "#d9d9d9", 0.5)
        draft.write(x + room / 2, top - 12, f"W{column + 1}", 8, align="centre")
    for row in range(rows):
        y = top - (row + 2) * tall
        draft.write(draft.left, y + 5, phrase(choose, 1, 2), 9)
        draft.line(draft.left, y, draft.right, y, "#d9d9d9", 0.5)
        start, length = choose.uniform(0, columns - 2), choose.uniform(1, columns / 2)
        length = min(length, columns - start)
        x, colour = draft.left + names + start * room, choose.choice(draft.palette[:7])
        draft.box(x, y + 3, length * room, tall - 6, fill=colour, radius=choose.choice((0, 3)))
        if length * room > 50:
            draft.write(x + 4, y + 6, words(choose, 1)[0][:8], 7.5, ink=readable_on(colour))
        draft.box(x, y + 3, length * room * choose.random(), 3, fill=darker(colour, 0.4))
    draft.y -= (rows + 1) * tall


def _heat(draft: Draft) -> None:
    """Cells of all shades of a colour, with figures in them."""
    choose, rows, columns = draft.choose, draft.choose.randint(4, 8), draft.choose.randint(5, 9)
    first, second = choose.choice(
        (
            ("#ffffff", "#08306b"),
            ("#63be7b", "#f8696b"),
            ("#ffffff", "#c00000"),
            ("#fff7bc", "#662506"),
            (draft.palette[0], draft.palette[1]),
        )
    )
    names, tall = 80, choose.choice((18, 22, 26))
    wide, white = (draft.measure - names) / columns, choose.random() < 0.5
    draft.y -= tall * rows
    for row in range(rows):
        y = draft.y + row * tall
        draft.write(draft.left, y + tall / 2 - 3, words(choose, 1)[0].capitalize(), 9)
        for column in range(columns):
            share = choose.random()
            fill = mixed(first, second, share)
            draft.box(
                draft.left + names + column * wide,
                y,
                wide,
                tall,
                fill=fill,
                stroke="#ffffff" if white else None,
                line=1,
            )
            draft.write(
                draft.left + names + (column + 0.5) * wide,
                y + tall / 2 - 3,
                f"{share * 1000:.0f}",
                9,
                ink=readable_on(fill, choose),
                align="centre",
            )


def _plan(draft: Draft) -> None:
    """A floor of thick and thin lines, measured and named."""
    choose, tall = draft.choose, draft.choose.uniform(110, 170)
    draft.y -= tall
    fine = choose.choice((0.1, 0.25, 0.35, 0.5))
    draft.box(draft.left, draft.y, draft.measure, tall, stroke="#000000", line=3)
    x, rooms = draft.left, choose.randint(3, 5)
    for index in range(rooms):
        wide = draft.measure / rooms
        if index:
            draft.line(x, draft.y, x, draft.y + tall * 0.6, "#000000", 2)
        draft.line(x, draft.y + tall * 0.6, x + wide * 0.7, draft.y + tall * 0.6, "#000000", 2)
        draft.canvas.setStrokeColor(HexColor("#000000"))
        draft.canvas.setLineWidth(fine)
        draft.canvas.arc(x + wide * 0.4, draft.y + tall * 0.3, x + wide, draft.y + tall * 0.9, 90, 90)
        for step in range(choose.randint(4, 14)):
            draft.line(
                x + 6 + step * 3,
                draft.y + 6,
                x + 6 + step * 3,
                draft.y + 24,
                choose.choice(("#000000", "#808080")),
                fine,
            )
        draft.write(x + wide / 2, draft.y + tall * 0.4, words(choose, 1)[0].capitalize(), 9, align="centre")
        draft.write(
            x + wide / 2,
            draft.y + tall * 0.4 - 11,
            f"{choose.randint(8, 40)}.{choose.randint(0, 9)} sqm",
            7,
            align="centre",
        )
        x += wide
    draft.line(draft.left, draft.y - 8, draft.right, draft.y - 8, "#000000", fine)
    draft.write(draft.left + draft.measure / 2, draft.y - 16, amount(choose), 7, align="centre")
    draft.y -= 22


def _codes(draft: Draft) -> None:
    """A label with a barcode, a square code and figures."""
    choose = draft.choose
    draft.y -= 84
    draft.box(draft.left, draft.y, draft.measure, 84, stroke="#000000", line=1)
    text = f"{choose.randint(10**9, 10**10 - 1)}"
    draft.fill("#000000")
    bars = code128.Code128(text, barHeight=40, barWidth=choose.choice((0.7, 0.9, 1.1)))
    bars.drawOn(draft.canvas, draft.left + 8, draft.y + 32)
    draft.write(draft.left + 30, draft.y + 18, text, 10, font="Courier")
    square = createBarcodeDrawing("QR", value=f"{text} {phrase(choose, 3, 6)}", width=74, height=74)
    renderPDF.draw(square, draft.canvas, draft.right - 80, draft.y + 5)
    draft.write(draft.left + draft.measure * 0.5, draft.y + 60, person(choose), 11, font=draft.family.bold)
    draft.write(draft.left + draft.measure * 0.5, draft.y + 44, reference(choose), 10)
    draft.write(draft.left + draft.measure * 0.5, draft.y + 28, date(choose), 10)


def _timeline(draft: Draft) -> None:
    choose, count = draft.choose, draft.choose.choice((4, 5, 6))
    draft.y -= 80
    middle, wide = draft.y + 40, draft.measure / count
    for index in range(count):
        colour, x = draft.palette[index % 7], draft.left + index * wide
        draft.polygon(
            [
                (x, middle - 12),
                (x + wide - 10, middle - 12),
                (x + wide, middle),
                (x + wide - 10, middle + 12),
                (x, middle + 12),
                (x + 8, middle),
            ],
            fill=colour,
        )
        draft.write(
            x + wide / 2,
            middle - 3.5,
            str(choose.randint(1990, 2030)),
            10,
            ink=readable_on(colour),
            align="centre",
            font=draft.family.bold,
        )
        y = middle + 22 if index % 2 else middle - 30
        draft.write(x + wide / 2, y, words(choose, 1)[0].capitalize(), 9, align="centre")


# ---- Annotations


def annotated(choose: Random) -> bytes:
    """A text with markers, stamps, boxes and strokes upon it, each an annotation with an appearance of its own."""
    draft = Draft(choose)
    draft.title()
    lines: list[tuple[float, float, float]] = []
    size = choose.choice((10, 11, 12))
    while draft.y > draft.margin + 60:
        for line in draft.wrapped(sentences(choose, choose.randint(25, 70)), draft.measure, size):
            if draft.y < draft.margin + 20:
                break
            draft.y -= size * 1.35
            lines.append((draft.left, draft.y, draft.write(draft.left, draft.y, line, size)))
        draft.y -= size
        if choose.random() < 0.15:
            draft.y -= 50
    with pikepdf.open(io.BytesIO(draft.finish())) as document:
        font = document.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name("/Helvetica-Bold")
            )
        )
        made = [
            _highlight(document, choose, line, size)
            for line in choose.sample(lines, min(len(lines), choose.randint(2, 6)))
        ]
        for _ in range(choose.randint(1, 3)):
            x, y = choose.uniform(draft.left, draft.right - 190), choose.uniform(80, draft.height - 160)
            made.append(choose.choice((_stamp, _stamp, _note, _circled))(document, choose, font, x, y))
        page = document.pages[0]
        page.Annots = document.make_indirect(pikepdf.Array([document.make_indirect(one) for one in made]))
        target = io.BytesIO()
        document.save(target, deterministic_id=True)
        return target.getvalue()


def _appearance(
    document: pikepdf.Pdf, operators: str, wide: float, tall: float, font: object = None, mode: str = ""
) -> pikepdf.Stream:
    stream = document.make_stream(operators.encode())
    stream.Type, stream.Subtype, stream.BBox = pikepdf.Name.XObject, pikepdf.Name.Form, [0, 0, wide, tall]
    stream.Resources = pikepdf.Dictionary()
    if font is not None:
        stream.Resources.Font = pikepdf.Dictionary(F=font)
    if mode:
        stream.Resources.ExtGState = pikepdf.Dictionary(G=pikepdf.Dictionary(BM=pikepdf.Name(f"/{mode}")))
        stream.Group = pikepdf.Dictionary(S=pikepdf.Name.Transparency)
    return stream


def _annotation(kind: str, x: float, y: float, wide: float, tall: float, look: pikepdf.Stream) -> pikepdf.Dictionary:
    return pikepdf.Dictionary(
        Type=pikepdf.Name.Annot,
        Subtype=pikepdf.Name(f"/{kind}"),
        Rect=[x, y, x + wide, y + tall],
        F=4,
        AP=pikepdf.Dictionary(N=look),
    )


def _paint(colour: str) -> str:
    return " ".join(f"{part / 255:.3f}" for part in rgb(colour))


def _highlight(
    document: pikepdf.Pdf, choose: Random, line: tuple[float, float, float], size: float
) -> pikepdf.Dictionary:
    start, y, end = line
    x = start + choose.uniform(0, (end - start) * 0.5)
    wide = min(choose.uniform(40, 260), end - x)
    colour = choose.choice(("#ffff00", "#ffd100", "#a0ff60", "#80e0ff", "#ff9ec0"))
    look = f"/G gs {_paint(colour)} rg 0 0 {wide:.1f} {size * 1.2:.1f} re f"
    made = _annotation(
        "Highlight",
        x,
        y - size * 0.25,
        wide,
        size * 1.2,
        _appearance(document, look, wide, size * 1.2, mode="Multiply"),
    )
    made.QuadPoints = [x, y + size, x + wide, y + size, x, y, x + wide, y]
    return made


def _stamp(document: pikepdf.Pdf, choose: Random, font: object, x: float, y: float) -> pikepdf.Dictionary:
    text, colour = (
        choose.choice(("APPROVED", "RECEIVED", "PAID", "URGENT", "COPY")),
        choose.choice(("#c00000", "#1f4e9e", "#00803c")),
    )
    fill = f"{_paint(lighter(colour, 0.8))} rg 2 2 176 56 re f " if choose.random() < 0.5 else ""
    look = (
        f"{fill}{_paint(colour)} RG {_paint(colour)} rg 3 w 2 2 176 56 re S BT /F 26 Tf 14 26 Td ({text}) Tj "
        f"/F 9 Tf 0 -14 Td ({date(choose)}) Tj ET"
    )
    return _annotation("Stamp", x, y, 180, 60, _appearance(document, look, 180, 60, font))


def _note(document: pikepdf.Pdf, choose: Random, font: object, x: float, y: float) -> pikepdf.Dictionary:
    fill = choose.choice(("#ffff99", "#ffffff", "#fff2cc", "#d0e8ff"))
    shown = [f"BT /F 10 Tf 6 {44 - 13 * index} Td ({' '.join(words(choose, 3))}) Tj ET" for index in range(3)]
    look = f"{_paint(fill)} rg 0 0 170 60 re f 0 0 0 RG 0.5 0.5 169 59 re S 0.6 0 0 rg {' '.join(shown)}"
    made = _annotation("FreeText", x, y, 170, 60, _appearance(document, look, 170, 60, font))
    made.DA = pikepdf.String("/Helv 10 Tf 0 g")
    return made


def _circled(document: pikepdf.Pdf, choose: Random, font: object, x: float, y: float) -> pikepdf.Dictionary:
    """A stroke of a pen around a word or two."""
    points = [
        (60 + 55 * math.cos(step / 3), 22 + 19 * math.sin(step / 3) + choose.uniform(-1.5, 1.5)) for step in range(20)
    ]
    path = " ".join(f"{px:.1f} {py:.1f} {'l' if index else 'm'}" for index, (px, py) in enumerate(points))
    colour = choose.choice(("#ff0000", "#0000ff", "#000000"))
    look = f"{_paint(colour)} RG {choose.choice((1, 1.5, 2.5))} w 1 J 1 j {path} S"
    return _annotation("Ink", x, y, 120, 44, _appearance(document, look, 120, 44))
