"""What designers and their programs put on a page: logos, watermarks, gradients, patterns, blends, clips, odd fonts."""

import io
import math
from pathlib import Path
from random import Random

import pikepdf
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont as Outlines
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from reportlab.lib.colors import HexColor
from reportlab.pdfgen.pathobject import PDFPathObject

from bench.documents.office import table
from bench.documents.press import (
    Draft,
    darker,
    families,
    lighter,
    luminance,
    mixed,
    person,
    phrase,
    readable_on,
    rgb,
    sentences,
    truetype_file,
    words,
)

MARKS = ("DRAFT", "COPY", "CONFIDENTIAL", "SAMPLE", "PAID", "VOID", "URGENT", "ORIGINAL", "INTERNAL")


def _body(draft: Draft, least: int = 30, most: int = 70) -> None:
    draft.paragraph(sentences(draft.choose, draft.choose.randint(least, most)), draft.choose.choice((9, 10, 11, 12)))


# ---- Letters as outlines


class _Pen(BasePen):
    """Puts glyphs on a path of a page."""

    def __init__(self, glyphs: object, path: PDFPathObject, x: float, y: float, scale: float) -> None:
        super().__init__(glyphs)
        self.path, self.x, self.y, self.scale = path, x, y, scale

    def _on_page(self, point: tuple[float, float]) -> tuple[float, float]:
        return self.x + point[0] * self.scale, self.y + point[1] * self.scale

    def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self.path.moveTo(*self._on_page(pt))

    def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self.path.lineTo(*self._on_page(pt))

    def _curveToOne(self, pt1: tuple, pt2: tuple, pt3: tuple) -> None:  # noqa: N802
        self.path.curveTo(*self._on_page(pt1), *self._on_page(pt2), *self._on_page(pt3))

    def _closePath(self) -> None:  # noqa: N802
        self.path.close()


def outlined(draft: Draft, x: float, y: float, text: str, size: float, file: Path) -> tuple[PDFPathObject, float]:
    """The text as a path, and the x at which it ends."""
    font = Outlines(file)
    glyphs, names, scale = font.getGlyphSet(), font.getBestCmap(), size / font["head"].unitsPerEm
    path = draft.canvas.beginPath()
    for letter in text:
        glyph = glyphs[names[ord(letter)]]
        glyph.draw(_Pen(glyphs, path, x, y, scale))
        x += glyph.width * scale
    return path, x


# ---- Logos


def logos(choose: Random) -> bytes:
    """Signs of firms in all the ways in which they come: paths, letters as outlines, images with alpha."""
    draft = Draft(choose)
    makers = (_sign, _sign, _outlined_name, _outlined_name, _alpha_logo, _crest, _stored_logo, _stored_logo)
    while draft.y > draft.margin + 150:
        tall = choose.uniform(50, 130)
        count, draft.y = choose.choice((1, 2, 3)), draft.y - tall
        for index in range(count):
            wide = draft.measure / count
            choose.choice(makers)(draft, draft.left + index * wide, draft.y, wide - 14, tall)
        draft.y -= 14
        if choose.random() < 0.7:
            _body(draft, 15, 45)
    return draft.finish()


def _sign(draft: Draft, x: float, y: float, wide: float, tall: float) -> None:
    """A figure in two or three colours and a name beside it."""
    choose, side = draft.choose, min(tall, wide * 0.4)
    first, second = choose.sample(draft.palette[:7], 2)
    figure = choose.choice(("rings", "arcs", "triangles", "blocks", "leaf"))
    canvas = draft.canvas
    if figure == "rings":
        for index, colour in enumerate((first, "#ffffff", second, lighter(first, 0.6))):
            canvas.setFillColor(HexColor(colour))
            canvas.circle(x + side / 2, y + side / 2, side / 2 * (1 - index * 0.24), stroke=0, fill=1)
    elif figure == "arcs":
        for index in range(5):
            canvas.setStrokeColor(HexColor(first if index % 2 else second))
            canvas.setLineWidth(side / 14)
            reach = side * (0.1 + 0.09 * index)
            canvas.arc(x + side / 2 - reach, y + side / 2 - reach, x + side / 2 + reach, y + side / 2 + reach, 30, 250)
    elif figure == "triangles":
        draft.polygon([(x, y), (x + side, y), (x + side / 2, y + side)], fill=first)
        draft.polygon([(x + side * 0.3, y), (x + side, y), (x + side * 0.65, y + side * 0.7)], fill=second)
    elif figure == "blocks":
        for index in range(9):
            shade = mixed(first, second, index / 8)
            draft.box(x + index % 3 * side / 3, y + index // 3 * side / 3, side / 3 - 2, side / 3 - 2, fill=shade)
    else:
        path = canvas.beginPath()
        path.moveTo(x, y)
        path.curveTo(x, y + side, x + side * 0.4, y + side, x + side, y + side)
        path.curveTo(x + side, y + side * 0.4, x + side, y, x, y)
        canvas.setFillColor(HexColor(first))
        canvas.drawPath(path, stroke=0, fill=1)
        draft.line(x, y, x + side * 0.8, y + side * 0.8, "#ffffff", side / 20)
    text, size = phrase(choose, 1, 1), side * 0.42
    while draft.text_width(text, size, draft.family.bold) > wide - side - 8 and size > 8:
        size *= 0.9
    draft.write(
        x + side + 8,
        y + side / 2 - size / 3,
        text,
        size,
        font=draft.family.bold,
        ink=choose.choice((first, second, "#404040")),
    )


def _outlined_name(draft: Draft, x: float, y: float, wide: float, tall: float) -> None:
    """On white, or cut out of a block (even-odd: one path with the block around it)."""
    choose, size, text = draft.choose, min(tall * 0.6, 48), phrase(draft.choose, 1, 2)
    file = truetype_file(choose, bold=True)
    path, end = outlined(draft, x + 8, y + tall * 0.3, text, size, file)
    if end - x > wide - 16:
        size *= (wide - 24) / (end - x)
        path, end = outlined(draft, x + 8, y + tall * 0.3, text, size, file)
    colour, cut_out = choose.choice(draft.palette[:7]), choose.random() < 0.3
    draft.canvas.setFillColor(HexColor(colour))
    if cut_out:
        path.rect(x, y + tall * 0.3 - size * 0.4, end - x + 8, size * 1.5)
        draft.canvas.drawPath(path, stroke=0, fill=1, fillMode=0)
        return
    if choose.random() < 0.4:
        draft.box(x, y + tall * 0.3 - size * 0.4, end - x + 8, size * 1.5, fill=colour)
        draft.canvas.setFillColor(HexColor(readable_on(colour, choose)))
    draft.canvas.drawPath(path, stroke=0, fill=1, fillMode=1)


def _alpha_logo(draft: Draft, x: float, y: float, wide: float, tall: float) -> None:
    """A picture with soft edges, its ground transparent; over a tint now and then."""
    choose = draft.choose
    across, down = int(wide * 3), int(tall * 3)
    picture = Image.new("RGBA", (across, down), (255, 255, 255, 0))
    drawing, colour = ImageDraw.Draw(picture), choose.choice(draft.palette[:7])
    radius = down * 0.42
    drawing.ellipse((10, down / 2 - radius, 10 + 2 * radius, down / 2 + radius), fill=colour)
    drawing.ellipse(
        (10 + radius * 0.6, down / 2 - radius * 0.4, 10 + radius * 1.4, down / 2 + radius * 0.4), fill="#ffffff"
    )
    size, text = down * 0.3, phrase(choose, 1, 1)
    font = ImageFont.truetype(str(truetype_file(choose, bold=True)), round(size))
    while drawing.textlength(text, font) > across - 2 * radius - 30 and size > 20:
        size *= 0.9
        font = ImageFont.truetype(font.path, round(size))
    drawing.text((2 * radius + 24, down / 2), text, fill=darker(colour, 0.2), font=font, anchor="lm")
    if choose.random() < 0.4:
        shadow = picture.getchannel("A").filter(ImageFilter.GaussianBlur(8)).point(lambda value: value // 2)
        under = Image.new("RGBA", picture.size, (0, 0, 0, 0))
        under.putalpha(shadow)
        picture = Image.alpha_composite(under, picture)
    if choose.random() < 0.35:
        draft.box(x, y, wide, tall, fill=lighter(choose.choice(draft.palette), 0.7))
    data = io.BytesIO()
    picture.save(data, "PNG")
    draft.image(data.getvalue(), x, y, wide, tall, alpha=True)


def _crest(draft: Draft, x: float, y: float, wide: float, tall: float) -> None:
    """Many fine lines, as a seal or a coat of arms has."""
    choose, radius = draft.choose, min(tall, wide) / 2
    cx, cy, colour = x + radius, y + radius, choose.choice((*draft.palette[:7], "#000000"))
    for index in range(choose.randint(24, 60)):
        angle = index * 2 * math.pi / 48
        draft.line(
            cx + radius * 0.6 * math.cos(angle),
            cy + radius * 0.6 * math.sin(angle),
            cx + radius * 0.95 * math.cos(angle),
            cy + radius * 0.95 * math.sin(angle),
            colour,
            choose.choice((0.3, 0.5, 0.8)),
        )
    draft.canvas.setStrokeColor(HexColor(colour))
    for share in (0.97, 0.62, 0.56):
        draft.canvas.setLineWidth(0.8)
        draft.canvas.circle(cx, cy, radius * share, stroke=1, fill=0)
    draft.write(
        cx,
        cy - radius * 0.2,
        choose.choice("ABCDEFGHKLMNPRSTW"),
        radius * 0.6,
        ink=colour,
        font="Times-Bold",
        align="centre",
    )


def _stored_logo(draft: Draft, x: float, y: float, wide: float, tall: float) -> None:
    """A sign as a picture, stored in one of the ways that programs have: a palette, one bit, CMYK, a coarse JPEG."""
    choose, (first, second) = draft.choose, draft.choose.sample(draft.palette[:7], 2)
    dots = choose.choice((1, 2, 3, 4))
    across, down = max(int(wide * dots), 24), max(int(tall * dots), 24)
    ground = choose.choice(("#ffffff", "#ffffff", lighter(first, 0.8), first))
    ink = second if abs(luminance(ground) - luminance(second)) > 0.2 else readable_on(ground)
    picture = Image.new("RGB", (across, down), ground)
    pen = ImageDraw.Draw(picture)
    pen.polygon([(down * 0.1, down * 0.9), (down * 0.5, down * 0.1), (down * 0.9, down * 0.9)], fill=ink)
    pen.ellipse((down * 0.35, down * 0.45, down * 0.65, down * 0.75), fill=ground)
    text, size, file = phrase(choose, 1, 1), down * 0.4, str(truetype_file(choose, bold=True))
    while size > 8 and ImageFont.truetype(file, round(size)).getlength(text) > across - down * 1.1:
        size *= 0.9
    pen.text((down, down / 2), text, fill=ink, font=ImageFont.truetype(file, round(size)), anchor="lm")
    way, data = choose.choice(("palette", "bit", "cmyk", "jpeg", "grey")), io.BytesIO()
    if way == "palette":
        picture.quantize(16).save(data, "PNG")
    elif way == "bit":
        picture.convert("1", dither=choose.choice((Image.Dither.NONE, Image.Dither.FLOYDSTEINBERG))).save(data, "PNG")
    elif way == "cmyk":
        picture.convert("CMYK").save(data, "JPEG", quality=85)
    else:
        picture.convert("L" if way == "grey" else "RGB").save(data, "JPEG", quality=choose.choice((30, 60, 85)))
    draft.image(data.getvalue(), x, y, wide, tall)


# ---- Watermarks


def watermarks(choose: Random) -> bytes:
    draft = Draft(choose)
    behind, kind = (
        choose.random() < 0.65,
        choose.choice(("diagonal", "diagonal", "transparent", "repeated", "horizontal", "image", "outlined")),
    )
    if behind:
        _watermark(draft, kind)
    draft.title()
    while draft.y > draft.margin + 60:
        _body(draft)
        if choose.random() < 0.2 and draft.y > draft.margin + 150:
            table(draft, most=7)
            draft.y -= 12
    if not behind:
        _watermark(draft, choose.choice(("transparent", "transparent", "image", "outlined")))
    return draft.finish()


def _watermark(draft: Draft, kind: str) -> None:
    choose, canvas, text = draft.choose, draft.canvas, draft.choose.choice(MARKS)
    font = choose.choice(("Helvetica-Bold", "Times-Bold", "Helvetica", draft.family.bold))
    grey = choose.choice(("#c0c0c0", "#d9d9d9", "#e6e6e6", "#cccccc", "#bfbfbf", "#f2dcdb", "#c6d9f0", "#a6a6a6"))
    strong = choose.choice(("#000000", "#c00000", "#808080", "#1f497d", "#ff0000"))
    size = min(140, 0.95 * math.hypot(draft.width, draft.height) * 0.75 / draft.text_width(text, 1, font))
    if kind == "repeated":
        _repeated(draft, text, lighter(grey, 0.3), font)
        return
    if kind == "image":
        _mark_as_image(draft, text, strong)
        return
    if kind == "horizontal":
        size = min(size, draft.measure / draft.text_width(text, 1, font))
    seen = {"transparent": choose.uniform(0.12, 0.35), "outlined": choose.uniform(0.1, 0.3)}.get(kind, 1.0)
    with draft.see_through(seen):
        canvas.translate(draft.width / 2, draft.height / 2)
        canvas.rotate(0 if kind == "horizontal" else choose.choice((45, 52, 30, -45)))
        if kind == "outlined":
            path, end = outlined(draft, 0, 0, text, size * 0.8, truetype_file(choose, bold=True))
            canvas.translate(-end / 2, -size / 3)
            draft.fill(strong)
            canvas.drawPath(path, stroke=0, fill=1, fillMode=1)
        else:
            draft.write(0, -size / 3, text, size, ink=grey if seen == 1 else strong, font=font, align="centre")


def _repeated(draft: Draft, text: str, ink: str, font: str) -> None:
    for row in range(9):
        for column in range(4):
            draft.canvas.saveState()
            draft.canvas.translate(column * 170 + row % 2 * 60, row * 100 + 30)
            draft.canvas.rotate(30)
            draft.write(0, 0, text.capitalize(), 22, ink=ink, font=font)
            draft.canvas.restoreState()


def _mark_as_image(draft: Draft, text: str, strong: str) -> None:
    choose = draft.choose
    picture = Image.new("L", (1200, 1200), 0)
    font = ImageFont.truetype(str(truetype_file(choose, bold=True)), round(1250 / len(text)) + 40)
    ImageDraw.Draw(picture).text((600, 600), text, fill=round(255 * choose.uniform(0.15, 0.4)), font=font, anchor="mm")
    colour = Image.new("RGBA", picture.size, strong)
    colour.putalpha(picture.rotate(choose.choice((45, 35, 0))))
    data = io.BytesIO()
    colour.save(data, "PNG")
    side = draft.width * 0.9
    draft.image(data.getvalue(), (draft.width - side) / 2, (draft.height - side) / 2, side, side, alpha=True)


# ---- Gradients


def gradients(choose: Random) -> bytes:
    """Shadings as slides and flyers have them, with words upon them."""
    draft = Draft(choose, landscape=choose.random() < 0.2)
    if choose.random() < 0.25:
        _shade(draft, 0, 0, draft.width, draft.height, faint=True)
    else:
        tall = choose.uniform(60, 150)
        ground = _shade(draft, 0, draft.height - tall, draft.width, tall)
        draft.write(
            draft.left,
            draft.height - tall / 2 - 8,
            phrase(choose, 2, 3),
            choose.choice((20, 24, 30)),
            ink=readable_on(ground),
            font=draft.family.bold,
        )
        draft.y = draft.height - tall - 12
    while draft.y > draft.margin + 110:
        _body(draft, 15, 45)
        choose.choice((_shaded_boxes, _shaded_boxes, _shaded_buttons, _ball))(draft)
    return draft.finish()


def _shade(
    draft: Draft, x: float, y: float, wide: float, tall: float, *, faint: bool = False, radius: float = 0
) -> str:
    """Gives the colour in the middle, for who writes there."""
    choose, canvas = draft.choose, draft.canvas
    first = choose.choice(draft.palette[:7])
    second = choose.choice(
        (lighter(first, 0.7), darker(first, 0.5), choose.choice(draft.palette), "#ffffff", lighter(first, 0.4))
    )
    if faint:
        first, second = lighter(first, 0.75), lighter(second, 0.9)
    canvas.saveState()
    path = canvas.beginPath()
    path.roundRect(x, y, wide, tall, radius) if radius else path.rect(x, y, wide, tall)
    canvas.clipPath(path, stroke=0, fill=0)
    colours = [HexColor(first), HexColor(second)] + ([HexColor(first)] if choose.random() < 0.2 else [])
    if choose.random() < 0.7:
        ends = choose.choice(((x, y, x + wide, y), (x, y + tall, x, y), (x, y, x + wide, y + tall)))
        canvas.linearGradient(*ends, colours, extend=True)
    else:
        canvas.radialGradient(x + wide / 2, y + tall / 2, max(wide, tall) * 0.6, colours, extend=True)
    canvas.restoreState()
    return mixed(first, second, 0.5)


def _shaded_boxes(draft: Draft) -> None:
    choose, count = draft.choose, draft.choose.choice((1, 2, 3))
    wide, tall = (draft.measure - 12 * (count - 1)) / count, choose.uniform(50, 110)
    draft.y -= tall
    for index in range(count):
        x = draft.left + index * (wide + 12)
        ground, size = (
            _shade(draft, x, draft.y, wide, tall, radius=choose.choice((0, 0, 8))),
            choose.choice((9, 10, 12, 14)),
        )
        ink, at = readable_on(ground), draft.y + tall - 8
        for line in draft.wrapped(sentences(choose, choose.randint(6, 25)), wide - 16, size):
            at -= size * 1.3
            if at < draft.y + 4:
                break
            draft.write(x + 8, at, line, size, ink=ink)
    draft.y -= 12


def _shaded_buttons(draft: Draft) -> None:
    choose, x = draft.choose, draft.left
    draft.y -= 34
    while x < draft.right - 120:
        text, size = phrase(choose, 1, 2), choose.choice((10, 11, 12))
        wide = draft.text_width(text, size, draft.family.bold) + 28
        ground = _shade(draft, x, draft.y, wide, 24, radius=6)
        draft.write(x + 14, draft.y + 8, text, size, ink=readable_on(ground), font=draft.family.bold)
        x += wide + 12
    draft.y -= 14


def _ball(draft: Draft) -> None:
    """Round things with a light upon them, as clip art has."""
    choose, radius = draft.choose, draft.choose.uniform(28, 50)
    draft.y -= 2 * radius
    for index in range(choose.randint(2, 4)):
        colour, cx, cy = choose.choice(draft.palette[:7]), draft.left + radius + index * radius * 2.4, draft.y + radius
        draft.canvas.saveState()
        path = draft.canvas.beginPath()
        path.circle(cx, cy, radius)
        draft.canvas.clipPath(path, stroke=0, fill=0)
        draft.canvas.radialGradient(
            cx - radius / 3,
            cy + radius / 3,
            radius * 1.5,
            [HexColor(lighter(colour, 0.7)), HexColor(colour), HexColor(darker(colour, 0.5))],
        )
        draft.canvas.restoreState()
        if choose.random() < 0.6:
            draft.write(
                cx, cy - 4, words(choose, 1)[0], 10, ink=readable_on(colour), font=draft.family.bold, align="centre"
            )
    draft.y -= 12


# ---- Patterns


def patterns(choose: Random) -> bytes:
    """Hatches: as lines drawn one by one under a clip, and as the tiling patterns that PDF has for them."""
    draft, tiles = Draft(choose), []
    draft.title()
    while draft.y > draft.margin + 130:
        _body(draft, 12, 35)
        choose.choice((_hatched_bars, _hatched_boxes))(draft, tiles)
    draft.footer()
    return _with_patterns(draft.finish(), tiles)


def _hatched(draft: Draft, tiles: list[bytes], x: float, y: float, wide: float, tall: float) -> None:
    choose, colour = draft.choose, draft.choose.choice((*draft.palette[:7], "#000000", "#000000", "#808080"))
    if choose.random() < 0.5:
        draft.box(x, y, wide, tall, fill="#ffffff", stroke="#000000")
        _clipped_lines(draft, x, y, wide, tall, colour)
    else:
        ground = choose.choice((None, lighter(colour, 0.7)))
        if ground:
            draft.box(x, y, wide, tall, fill=ground)
        tiles.append(_tile(choose, colour))
        draft.canvas._code.append(f"q /Pattern cs /T{len(tiles)} scn {x:.2f} {y:.2f} {wide:.2f} {tall:.2f} re f Q")
    draft.box(x, y, wide, tall, stroke=colour, line=0.75)


def _clipped_lines(draft: Draft, x: float, y: float, wide: float, tall: float, colour: str) -> None:
    choose = draft.choose
    step, line = choose.choice((2, 3, 4, 6, 8)), choose.choice((0.25, 0.5, 1, 1.5))
    slopes = choose.choice(((1,), (-1,), (1, -1), (0,), (2,)))
    draft.canvas.saveState()
    path = draft.canvas.beginPath()
    path.rect(x, y, wide, tall)
    draft.canvas.clipPath(path, stroke=0, fill=0)
    for slope in slopes:
        reach = tall * abs(slope)
        for index in range(int((wide + 2 * reach) / step) + 1):
            at = x - reach + index * step
            if slope:
                draft.line(at, y, at + tall / slope, y + tall, colour, line)
            elif index * step < tall:
                draft.line(x, y + index * step, x + wide, y + index * step, colour, line)
    draft.canvas.restoreState()


def _tile(choose: Random, colour: str) -> bytes:
    """The operators of one tile of 8 by 8 points."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    ink = f"{red:.3f} {green:.3f} {blue:.3f}"
    paint = f"{ink} rg {ink} RG {choose.choice((0.4, 0.7, 1, 1.6))} w "
    shapes = (
        "0 0 m 8 8 l S -1 7 m 1 9 l S 7 -1 m 9 1 l S",
        "0 8 m 8 0 l S -1 1 m 1 -1 l S 7 9 m 9 7 l S",
        "0 0 m 8 8 l S 0 8 m 8 0 l S",
        "0 4 m 8 4 l S 4 0 m 4 8 l S",
        "1 1 2 2 re f 5 5 2 2 re f",
        "0 0 4 4 re f 4 4 4 4 re f",
        "0 0 8 3 re f",
        "0 0 1 1 re f 4 4 1 1 re f",
        "0 0 m 4 4 l 8 0 l S 0 4 m 4 8 l 8 4 l S",
    )
    return (paint + choose.choice(shapes)).encode()


def _with_patterns(pdf: bytes, tiles: list[bytes]) -> bytes:
    if not tiles:
        return pdf
    with pikepdf.open(io.BytesIO(pdf)) as document:
        made = pikepdf.Dictionary()
        for index, operators in enumerate(tiles, 1):
            tile = document.make_stream(operators)
            tile.Type, tile.PatternType, tile.PaintType, tile.TilingType = pikepdf.Name.Pattern, 1, 1, 1
            tile.BBox, tile.XStep, tile.YStep, tile.Resources = [0, 0, 8, 8], 8, 8, pikepdf.Dictionary()
            made[f"/T{index}"] = tile
        page = document.pages[0]
        page.Resources.Pattern = made
        target = io.BytesIO()
        document.save(target, deterministic_id=True)
        return target.getvalue()


def _hatched_bars(draft: Draft, tiles: list[bytes]) -> None:
    choose, tall, count = draft.choose, draft.choose.uniform(80, 150), draft.choose.randint(3, 7)
    draft.y -= tall
    draft.line(draft.left, draft.y, draft.right, draft.y, "#000000", 0.75)
    wide = draft.measure / count
    for index in range(count):
        _hatched(draft, tiles, draft.left + index * wide + 6, draft.y, wide * 0.6, tall * choose.uniform(0.2, 0.9))
        draft.write(draft.left + index * wide + 6, draft.y - 10, words(choose, 1)[0], 8)
    draft.y -= 22


def _hatched_boxes(draft: Draft, tiles: list[bytes]) -> None:
    """With a legend beside them, or words upon a plate of white in the middle."""
    choose, count = draft.choose, draft.choose.choice((2, 3, 4))
    tall, wide = choose.uniform(40, 80), (draft.measure - 12 * count) / count
    draft.y -= tall
    for index in range(count):
        x, text = draft.left + index * (wide + 12), phrase(choose, 1, 2)
        _hatched(draft, tiles, x, draft.y, wide, tall)
        room = draft.text_width(text, 9) + 10
        if room < wide and choose.random() < 0.7:
            draft.box(x + 8, draft.y + tall / 2 - 7, room, 14, fill="#ffffff")
            draft.write(x + 13, draft.y + tall / 2 - 3, text, 9)
    draft.y -= 14


# ---- Blends and transparency


def blends(choose: Random) -> bytes:
    """Multiplied, darkened, screened and transparent areas over words, areas and pictures."""
    draft = Draft(choose)
    draft.title()
    while draft.y > draft.margin + 120:
        choose.choice((_marker_over, _marker_over, _circles, _veiled, _shadowed, _fading))(draft)
        draft.y -= 12
    return _with_fade(draft.finish())


def _marker_over(draft: Draft) -> None:
    """Words first, the marker over them, as annotation programs do it."""
    choose, top, size = draft.choose, draft.y, draft.choose.choice((10, 11, 12))
    lines = draft.wrapped(sentences(choose, choose.randint(25, 60)), draft.measure, size)
    for line in lines:
        draft.y -= size * 1.35
        draft.write(draft.left, draft.y, line, size)
    mode = choose.choice(("Multiply", "Multiply", "Darken", "Normal"))
    colour = choose.choice(("#ffff00", "#80ff80", "#80ffff", "#ffb0d0", "#ffc000", "#c0c0ff"))
    with draft.see_through(choose.uniform(0.3, 0.5) if mode == "Normal" else 1, mode):
        for index in range(len(lines)):
            if choose.random() < 0.5:
                y = top - size * 1.35 * (index + 1) - size * 0.25
                x = draft.left + choose.uniform(0, draft.measure * 0.5)
                draft.box(x, y, min(choose.uniform(60, 250), draft.right - x), size * 1.2, fill=colour)


def _circles(draft: Draft) -> None:
    choose, radius = draft.choose, draft.choose.uniform(35, 60)
    draft.y -= 2 * radius
    mode = choose.choice(("Normal", "Multiply", "Screen", "Overlay", "Darken"))
    with draft.see_through(choose.uniform(0.4, 0.8), mode):
        for index in range(choose.randint(2, 4)):
            draft.fill(choose.choice(draft.palette[:7]))
            draft.canvas.circle(draft.left + radius + index * radius * 1.3, draft.y + radius, radius, stroke=0, fill=1)
    for index in range(2):
        draft.write(
            draft.left + radius * (0.7 + 2.1 * index),
            draft.y + radius - 4,
            words(choose, 1)[0],
            10,
            align="centre",
            ink="#000000",
        )


def _veiled(draft: Draft) -> None:
    """An area or a table with a transparent white over it, and words upon that."""
    choose, tall = draft.choose, draft.choose.uniform(50, 100)
    colour = choose.choice(draft.palette[:7])
    draft.y -= tall
    draft.box(draft.left, draft.y, draft.measure, tall, fill=colour)
    veil, over = choose.uniform(0.4, 0.9), choose.choice(("#ffffff", "#ffffff", "#000000"))
    with draft.see_through(veil):
        draft.box(draft.left + 14, draft.y + 10, draft.measure - 28, tall - 20, fill=over)
    at, ink = draft.y + tall - 14, readable_on(mixed(colour, over, veil))
    for line in draft.wrapped(sentences(choose, choose.randint(8, 30)), draft.measure - 48, 11):
        at -= 14
        if at < draft.y + 12:
            break
        draft.write(draft.left + 24, at, line, 11, ink=ink)


def _shadowed(draft: Draft) -> None:
    """A card on a soft shadow that is a picture with alpha."""
    choose, tall, wide = draft.choose, draft.choose.uniform(50, 90), draft.measure * draft.choose.uniform(0.5, 0.95)
    draft.y -= tall + 8
    picture = Image.new("L", (int(wide) + 40, int(tall) + 40), 0)
    ImageDraw.Draw(picture).rectangle((20, 20, int(wide) + 20, int(tall) + 20), fill=choose.choice((90, 130, 180)))
    shadow = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    shadow.putalpha(picture.filter(ImageFilter.GaussianBlur(7)))
    data = io.BytesIO()
    shadow.save(data, "PNG")
    draft.image(data.getvalue(), draft.left - 17, draft.y - 23, wide + 40, tall + 40, alpha=True)
    draft.box(draft.left, draft.y, wide, tall, fill="#ffffff", radius=choose.choice((0, 4)))
    at = draft.y + tall - 8
    for line in draft.wrapped(sentences(choose, choose.randint(8, 30)), wide - 24, 10):
        at -= 13
        if at < draft.y + 4:
            break
        draft.write(draft.left + 12, at, line, 10)


def _fading(draft: Draft) -> None:
    """An area that fades out to one side by a soft mask, and words that do not."""
    choose, tall = draft.choose, draft.choose.uniform(40, 80)
    draft.y -= tall
    red, green, blue = (part / 255 for part in rgb(choose.choice(draft.palette[:7])))
    box = f"{draft.left:.1f} {draft.y:.1f} {draft.measure:.1f} {tall:.1f} re f"
    draft.canvas._code.append(f"q /Fade gs {red:.3f} {green:.3f} {blue:.3f} rg {box} Q")
    draft.write(
        draft.left + 10, draft.y + tall / 2 - 4, phrase(choose, 3, 6), 12, ink="#000000", font=draft.family.bold
    )


def _with_fade(pdf: bytes) -> bytes:
    """Adds the state that fades from the left of the page, nothing hidden, to its right, all hidden."""
    if b"/Fade" not in _contents(pdf):
        return pdf
    with pikepdf.open(io.BytesIO(pdf)) as document:
        page, name = document.pages[0], pikepdf.Name
        wide, tall = (float(edge) for edge in page.MediaBox[2:])
        ramp = pikepdf.Dictionary(FunctionType=2, Domain=[0, 1], C0=[1], C1=[0], N=1)
        shading = pikepdf.Dictionary(ShadingType=2, ColorSpace=name.DeviceGray, Coords=[0, 0, wide, 0], Function=ramp)
        mask = document.make_stream(b"/S sh")
        mask.Type, mask.Subtype, mask.BBox = name.XObject, name.Form, [0, 0, wide, tall]
        mask.Group = pikepdf.Dictionary(S=name.Transparency, CS=name.DeviceGray)
        mask.Resources = pikepdf.Dictionary(Shading=pikepdf.Dictionary(S=shading))
        state = pikepdf.Dictionary(SMask=pikepdf.Dictionary(S=name.Luminosity, G=mask))
        if "/ExtGState" not in page.Resources:
            page.Resources.ExtGState = pikepdf.Dictionary()
        page.Resources.ExtGState.Fade = state
        target = io.BytesIO()
        document.save(target, deterministic_id=True)
        return target.getvalue()


def _contents(pdf: bytes) -> bytes:
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return document.pages[0].Contents.read_bytes()


# ---- Clips


def clips(choose: Random) -> bytes:
    """Words cut by a box, words as a window on to a colour or a shading, areas cut to shapes."""
    draft = Draft(choose)
    draft.title()
    while draft.y > draft.margin + 120:
        choose.choice((_cut_paragraph, _letters_as_window, _cut_shape, _hidden))(draft)
        draft.y -= 14
    return draft.finish()


def _cut_paragraph(draft: Draft) -> None:
    """A narrow column whose box is smaller than its words, as spreadsheets print them."""
    choose, count, tall = draft.choose, draft.choose.randint(2, 4), draft.choose.uniform(50, 100)
    wide, top = draft.measure / count - 10, draft.y
    for index in range(count):
        x, at = draft.left + index * (wide + 10), top
        draft.canvas.saveState()
        path = draft.canvas.beginPath()
        path.rect(x, top - tall, wide, tall)
        draft.canvas.clipPath(path, stroke=0, fill=0)
        if choose.random() < 0.4:
            draft.box(
                x - 20, top - tall - 20, wide + 60, tall + 60, fill=lighter(choose.choice(draft.palette[:7]), 0.6)
            )
        while at > top - tall - 4:
            at -= 13
            draft.write(x + 4, at, " ".join(words(choose, 9)), 10, ink=draft.ink)
        draft.canvas.restoreState()
        draft.box(x, top - tall, wide, tall, stroke="#808080", line=0.5)
    draft.y -= tall


def _letters_as_window(draft: Draft) -> None:
    choose, size, canvas = draft.choose, draft.choose.choice((30, 40, 54, 66)), draft.canvas
    text, first = phrase(choose, 1, 2), choose.choice(draft.palette[:7])
    draft.y -= size
    canvas.saveState()
    shape = canvas.beginText(draft.left, draft.y)
    shape.setFont(draft.family.bold, size)
    shape.setTextRenderMode(7)
    shape.textOut(text)
    canvas.drawText(shape)
    ends = (draft.left, draft.y, draft.left + draft.text_width(text, size, draft.family.bold), draft.y)
    if choose.random() < 0.6:
        canvas.linearGradient(*ends, [HexColor(darker(first, 0.4)), HexColor(lighter(first, 0.3))], extend=True)
    else:
        draft.box(draft.left, draft.y - size, draft.measure, size * 2.2, fill=first)
        for index in range(12):
            draft.box(
                draft.left, draft.y - size * 0.4 + index * size / 8, draft.measure, size / 20, fill=lighter(first, 0.5)
            )
    canvas.restoreState()
    draft.y -= size * 0.3


def _cut_shape(draft: Draft) -> None:
    choose, radius, canvas = draft.choose, draft.choose.uniform(35, 60), draft.canvas
    draft.y -= 2 * radius
    for index in range(choose.randint(2, 4)):
        cx, cy = draft.left + radius + index * radius * 2.3, draft.y + radius
        canvas.saveState()
        path = canvas.beginPath()
        if choose.random() < 0.5:
            path.circle(cx, cy, radius)
        else:
            path.roundRect(cx - radius, cy - radius * 0.7, 2 * radius, 1.4 * radius, radius * 0.3)
        canvas.clipPath(path, stroke=0, fill=0)
        for stripe in range(5):
            draft.box(
                cx - radius + stripe * radius * 0.4,
                cy - radius,
                radius * 0.4,
                2 * radius,
                fill=choose.choice(draft.palette),
            )
        canvas.restoreState()


def _hidden(draft: Draft) -> None:
    """Words that lie wholly outside their clip, or under an area drawn later: nobody sees them."""
    choose = draft.choose
    draft.y -= 34
    draft.canvas.saveState()
    path = draft.canvas.beginPath()
    path.rect(draft.left, draft.y, 10, 10)
    draft.canvas.clipPath(path, stroke=0, fill=0)
    draft.write(draft.left + 60, draft.y + 12, sentences(choose, 8), 12)
    draft.canvas.restoreState()
    draft.write(draft.left, draft.y + 8, person(choose), 14, font=draft.family.bold)
    cover = choose.choice(("#ffffff", "#d9d9d9", "#000000", lighter(draft.palette[0], 0.6)))
    draft.box(draft.left - 4, draft.y, draft.measure * 0.6, 26, fill=cover)
    if choose.random() < 0.6:
        draft.write(draft.left + 6, draft.y + 8, phrase(choose, 2, 4), 12, ink=readable_on(cover))


# ---- Form XObjects


def nested(choose: Random) -> bytes:
    """Everything inside forms inside forms, moved, scaled, turned and drawn more than once."""
    draft, names = Draft(choose), []
    canvas = draft.canvas
    for number in range(choose.randint(2, 4)):
        name = f"part{number}"
        canvas.beginForm(name, 0, 0, 260, 150)
        within = bool(names) and choose.random() < 0.5
        _card(draft, 240, 130, narrow=within)
        if within:
            canvas.saveState()
            canvas.translate(150, 4)
            canvas.scale(0.35, 0.35)
            canvas.doForm(names[-1])
            canvas.restoreState()
        canvas.endForm()
        names.append(name)
    draft.title()
    while draft.y > draft.margin + 180:
        _body(draft, 15, 45)
        scale = choose.choice((0.8, 1, 1, 1.2))
        draft.y -= 145 * scale
        for index in range(2):
            canvas.saveState()
            canvas.translate(draft.left + index * draft.measure / 2, draft.y)
            canvas.scale(min(scale, draft.measure / 520), scale)
            if choose.random() < 0.06:
                canvas.translate(240, 130)
                canvas.rotate(180)
            canvas.doForm(choose.choice(names))
            canvas.restoreState()
        draft.y -= 12
    return draft.finish()


def _card(draft: Draft, wide: float, tall: float, *, narrow: bool) -> None:
    choose, colour = draft.choose, draft.choose.choice(draft.palette[:7])
    draft.box(0, 0, wide, tall, fill=choose.choice(("#ffffff", lighter(colour, 0.85), "#f2f2f2")), stroke="#bfbfbf")
    draft.box(0, tall - 24, wide, 24, fill=colour)
    draft.write(8, tall - 16, phrase(choose, 2, 2), 11, ink=readable_on(colour), font=draft.family.bold)
    at = tall - 30
    for line in draft.wrapped(sentences(choose, choose.randint(12, 30)), wide * (0.6 if narrow else 1) - 16, 9.5):
        at -= 13
        if at < 6:
            break
        draft.write(8, at, line, 9.5)


# ---- Rotated words


def rotated(choose: Random) -> bytes:
    """Words upwards, downwards, aslant and on their heads, and pages that a viewer turns."""
    turn = choose.choice((0, 0, 0, 90, 180, 270))
    draft = Draft(choose, landscape=turn in (90, 270))
    canvas = draft.canvas
    draft.title()
    for _ in range(choose.randint(1, 2)):
        _body(draft)
    for _ in range(choose.randint(2, 4)):
        if draft.y < draft.margin + 170:
            break
        _turned_group(draft)
        _body(draft, 10, 30)
    canvas.saveState()
    canvas.translate(draft.margin * 0.55, draft.height * 0.3)
    canvas.rotate(90)
    draft.write(
        0, 0, f"{phrase(choose, 3, 5)} {choose.randint(1000, 9999)}", 7.5, ink=choose.choice(("#808080", "#000000"))
    )
    canvas.restoreState()
    pdf = draft.finish()
    return _turned(pdf, turn) if turn else pdf


def _turned_group(draft: Draft) -> None:
    """The turned heads of a table, or words at angles."""
    choose, canvas = draft.choose, draft.canvas
    draft.y -= 130
    if choose.random() < 0.5:
        for index in range(choose.randint(4, 9)):
            x, colour = draft.left + 12 + index * 42, choose.choice(draft.palette[:7])
            draft.box(
                x - 14, draft.y, 30, 112, fill=choose.choice((colour, lighter(colour, 0.7), None)), stroke="#808080"
            )
            canvas.saveState()
            canvas.translate(x + 4, draft.y + 6)
            canvas.rotate(90)
            draft.write(0, 0, phrase(choose, 1, 2)[:17], 10, ink="#000000")
            canvas.restoreState()
    else:
        for index in range(choose.randint(2, 4)):
            text, size = phrase(choose, 1, 2), choose.choice((10, 12, 16, 20))
            size = min(size, 100 / draft.text_width(text, 1))
            canvas.saveState()
            canvas.translate(draft.left + 55 + index * 125, draft.y + 58)
            canvas.rotate(choose.choice((15, 30, 45, 60, -20, 90, 180, 270)))
            draft.write(0, -size / 3, text, size, ink=choose.choice((draft.ink, *draft.palette[:3])), align="centre")
            canvas.restoreState()


def _turned(pdf: bytes, turn: int) -> bytes:
    """Drawn the other way around, so that ``/Rotate`` sets it upright."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        page = document.pages[0]
        _, _, width, height = (float(edge) for edge in page.MediaBox)
        matrix, box = {
            90: ((0, 1, -1, 0, height, 0), (height, width)),
            180: ((-1, 0, 0, -1, width, height), (width, height)),
            270: ((0, -1, 1, 0, 0, width), (height, width)),
        }[turn]
        page.contents_add(
            document.make_stream(f"q {' '.join(f'{part:g}' for part in matrix)} cm".encode()), prepend=True
        )
        page.contents_add(document.make_stream(b"Q"))
        page.MediaBox, page.Rotate = [0, 0, *box], turn
        target = io.BytesIO()
        document.save(target, deterministic_id=True)
        return target.getvalue()


# ---- Type 3 fonts


def type3(choose: Random) -> bytes:
    """Fonts whose letters are drawings: outlines as plotting programs embed them, dots as TeX once did."""
    family = str(truetype_file(choose, bold=False))
    draft = Draft(choose)
    draft.title(phrase(choose, 2, 3))
    lines: list[tuple[float, float, float, str, str]] = []
    while draft.y > draft.margin + 40:
        size, ink = (
            choose.choice((9, 10, 11, 12, 12, 16, 24)),
            choose.choice(("#000000", "#000000", draft.ink, draft.palette[0], "#808080")),
        )
        text = sentences(choose, choose.randint(20, 60)) if size < 14 else phrase(choose, 2, 3)
        font = families()["Helvetica"].regular
        for line in draft.wrapped(text, draft.measure * 0.8, size, font):
            draft.y -= size * 1.35
            if draft.y > draft.margin:
                lines.append((draft.left, draft.y, size, ink, line))
        draft.y -= size
        if choose.random() < 0.3 and draft.y > draft.margin + 60:
            draft.y -= 30
            draft.box(draft.left, draft.y, draft.measure, 28, fill=lighter(choose.choice(draft.palette[:7]), 0.5))
            lines.append((draft.left + 8, draft.y + 9, 12, "#000000", phrase(choose, 3, 6)))
            draft.y -= 8
    return _set_in_type3(draft.finish(), family, lines, dots=choose.choice((0, 0, 300, 600)))


def _set_in_type3(pdf: bytes, file: str, lines: list[tuple[float, float, float, str, str]], *, dots: int) -> bytes:
    """``dots`` to the inch for letters as bitmaps (made for 12 points), 0 for outlines."""
    letters = sorted({letter for *_, text in lines for letter in text})
    with pikepdf.open(io.BytesIO(pdf)) as document:
        drawings, widths = pikepdf.Dictionary(), []
        for letter in letters:
            operators, width = _bitmap_letter(file, letter, dots) if dots else _outline_letter(file, letter)
            drawings[f"/g{ord(letter)}"] = document.make_stream(operators)
            widths.append(width)
        encoding = pikepdf.Dictionary(
            Type=pikepdf.Name.Encoding, Differences=[33, *(pikepdf.Name(f"/g{ord(letter)}") for letter in letters)]
        )
        font = pikepdf.Dictionary(
            Type=pikepdf.Name.Font,
            Subtype=pikepdf.Name.Type3,
            FontBBox=[-200, -300, 1500, 1200],
            FontMatrix=[0.001, 0, 0, 0.001, 0, 0],
            CharProcs=drawings,
            Encoding=encoding,
            FirstChar=33,
            LastChar=32 + len(letters),
            Widths=widths,
            Resources=pikepdf.Dictionary(),
        )
        codes = {letter: 33 + index for index, letter in enumerate(letters)}
        operators = ["q BT"]
        for x, y, size, ink, text in lines:
            red, green, blue = (int(ink[at : at + 2], 16) / 255 for at in (1, 3, 5))
            shown = "".join(f"{codes[letter]:02x}" for letter in text)
            operators.append(
                f"{red:.3f} {green:.3f} {blue:.3f} rg /Drawn {size:g} Tf 1 0 0 1 {x:.2f} {y:.2f} Tm <{shown}> Tj"
            )
        page = document.pages[0]
        page.Resources.Font["/Drawn"] = document.make_indirect(font)
        page.contents_add(document.make_stream("\n".join([*operators, "ET Q"]).encode()))
        target = io.BytesIO()
        document.save(target, deterministic_id=True)
        return target.getvalue()


class _Operators(BasePen):
    """A glyph as the operators of a content stream, in thousandths of the size."""

    def __init__(self, glyphs: object, scale: float) -> None:
        super().__init__(glyphs)
        self.scale, self.made = scale, []

    def _add(self, operator: str, *points: tuple[float, float]) -> None:
        self.made.append(" ".join(f"{part * self.scale:.0f}" for point in points for part in point) + f" {operator}")

    def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self._add("m", pt)

    def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self._add("l", pt)

    def _curveToOne(self, pt1: tuple, pt2: tuple, pt3: tuple) -> None:  # noqa: N802
        self._add("c", pt1, pt2, pt3)

    def _closePath(self) -> None:  # noqa: N802
        self.made.append("h")


def _outline_letter(file: str, letter: str) -> tuple[bytes, int]:
    font = Outlines(file)
    glyphs, scale = font.getGlyphSet(), 1000 / font["head"].unitsPerEm
    glyph = glyphs[font.getBestCmap()[ord(letter)]]
    pen = _Operators(glyphs, scale)
    glyph.draw(pen)
    width = round(glyph.width * scale)
    return f"{width} 0 -200 -300 1500 1200 d1 {' '.join(pen.made)} f".encode(), width


def _bitmap_letter(file: str, letter: str, dots: int) -> tuple[bytes, int]:
    pixels = round(12 * dots / 72)
    font = ImageFont.truetype(file, pixels)
    width = round(font.getlength(letter) * 1000 / pixels)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(letter, anchor="ls"))
    across, down = right - left, bottom - top
    if across <= 0 or down <= 0:
        return f"{width} 0 0 0 0 0 d1".encode(), width
    picture = Image.new("1", (across, down), 1)
    ImageDraw.Draw(picture).text((-left, -top), letter, fill=0, font=font, anchor="ls")
    em = 1000 / pixels
    place = f"{across * em:.1f} 0 0 {down * em:.1f} {left * em:.1f} {-bottom * em:.1f}"
    head = f"{width} 0 -200 -300 1500 1200 d1 q {place} cm "
    image = f"BI /W {across} /H {down} /IM true /BPC 1 /F /AHx ID {picture.tobytes().hex()}> EI Q"
    return (head + image).encode(), width
