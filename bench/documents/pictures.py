"""Pages that are pictures or carry some: screenshots, photographs, scans, sheets photographed on a desk."""

import io
import math
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pikepdf
import pypdfium2 as pdfium
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from bench.documents.office import form, letter, table
from bench.documents.pages import PHOTOGRAPHS, photograph
from bench.documents.press import (
    MONTHS,
    PALETTES,
    SOBER,
    Draft,
    amount,
    date,
    mixed,
    person,
    phrase,
    readable_on,
    reference,
    rgb,
    sentences,
    truetype_file,
    words,
)


def as_file(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


# ---- Screenshots


@dataclass(frozen=True)
class Skin:
    """The colours of a program's window; sizes are those of the screen."""

    ground: str
    panel: str
    bar: str
    ink: str
    faint: str
    accent: str
    rule: str


SKINS = (
    Skin("#ffffff", "#f3f3f3", "#e1e1e1", "#000000", "#6e6e6e", "#0067c0", "#d0d0d0"),
    Skin("#ffffff", "#f6f8fa", "#ffffff", "#1f2328", "#656d76", "#0969da", "#d0d7de"),
    Skin("#fafafa", "#ececec", "#d6d6d6", "#262626", "#808080", "#007aff", "#c8c8c8"),
    Skin("#ffffff", "#eff3f6", "#217346", "#222222", "#666666", "#217346", "#d4d4d4"),
    Skin("#c0c0c0", "#c0c0c0", "#000080", "#000000", "#404040", "#000080", "#808080"),
    Skin("#1e1e1e", "#252526", "#3c3c3c", "#d4d4d4", "#858585", "#569cd6", "#3c3c3c"),
    Skin("#0d1117", "#161b22", "#010409", "#e6edf3", "#7d8590", "#2f81f7", "#30363d"),
    Skin("#282c34", "#21252b", "#21252b", "#abb2bf", "#5c6370", "#61afef", "#3e4451"),
    Skin("#202124", "#292a2d", "#35363a", "#e8eaed", "#9aa0a6", "#8ab4f8", "#3c4043"),
)


class Screen:
    """A window being painted; ``scale`` is pixels to one unit of the desktop (1, 1.5, 2, or 3 for subpixels)."""

    def __init__(self, choose: Random, width: int, height: int, scale: float, skin: Skin) -> None:
        self.choose, self.width, self.height, self.scale, self.skin = choose, width, height, scale, skin
        self.picture = Image.new("RGB", (round(width * scale), round(height * scale)), skin.ground)
        self.drawing = ImageDraw.Draw(self.picture)
        self.face, self.bold = truetype_file(choose, bold=False), truetype_file(choose, bold=True)
        self.mono = self.face.parent.parent / "dejavu/DejaVuSansMono.ttf"

    def box(
        self, x: float, y: float, wide: float, tall: float, fill: str | None = None, rule: str | None = None
    ) -> None:
        scale = self.scale
        edges = (round(x * scale), round(y * scale), round((x + wide) * scale) - 1, round((y + tall) * scale) - 1)
        if edges[2] >= edges[0] and edges[3] >= edges[1]:
            self.drawing.rectangle(edges, fill=fill, outline=rule, width=max(1, round(scale)))

    def text(
        self, x: float, y: float, text: str, size: float = 13, ink: str | None = None, face: Path | None = None
    ) -> float:
        """``y`` is the middle of the line; gives the x at which the text ends."""
        font = _face(str(face or self.face), round(size * self.scale))
        self.drawing.text((x * self.scale, y * self.scale), text, fill=ink or self.skin.ink, font=font, anchor="lm")
        return x + font.getlength(text) / self.scale

    def frame(self) -> float:
        """Title and menu; gives the y below them."""
        choose, skin = self.choose, self.skin
        self.box(0, 0, self.width, 30, fill=skin.bar)
        self.text(12, 15, f"{phrase(choose, 2, 3)} - {phrase(choose, 1, 2)}", 12, ink=readable_on(skin.bar))
        for index, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
            self.box(self.width - 24 - 20 * index, 9, 12, 12, fill=colour if choose.random() < 0.5 else skin.faint)
        self.box(0, 30, self.width, 24, fill=skin.panel)
        x = 10.0
        for name in ("File", "Edit", "View", "Insert", "Format", "Tools", "Window", "Help")[: choose.randint(4, 8)]:
            x = self.text(x, 42, name, 12) + 16
        return 54


@cache
def _face(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


def screenshot(choose: Random) -> Image.Image:
    program = choose.choice((_spreadsheet, _mails, _editor, _terminal, _web, _chat, _dialog, _dashboard))
    dark = program in (_editor, _terminal) and choose.random() < 0.7
    skin = choose.choice(SKINS[5:] if dark else SKINS)
    if program is _dialog:
        width, height = choose.randint(420, 560), choose.randint(260, 380)
    else:
        width, height = choose.choice(((760, 520), (900, 600), (1024, 640), (820, 700), (680, 800)))
    subpixels = choose.random() < 0.25
    screen = Screen(choose, width, height, 3 if subpixels else choose.choice((1, 1, 1.25, 1.5, 2)), skin)
    program(screen)
    screen.box(0, 0, width, height, rule=skin.rule)
    return _to_subpixels(screen.picture) if subpixels else screen.picture


def _to_subpixels(picture: Image.Image) -> Image.Image:
    """A third of the size; red is taken a third of a pixel to the left, blue to the right, as on a flat screen."""
    dots = np.asarray(picture, dtype=np.float32)
    dots = dots[: dots.shape[0] // 3 * 3].reshape(dots.shape[0] // 3, 3, dots.shape[1], 3).mean(axis=1)
    channels = []
    for channel, shift in ((0, 1), (1, 0), (2, -1)):
        plane = np.roll(dots[..., channel], shift, axis=1)
        plane = plane[:, : plane.shape[1] // 3 * 3].reshape(len(plane), -1, 3).mean(axis=2)
        channels.append(plane)
    return Image.fromarray(np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8))


def _spreadsheet(screen: Screen) -> None:
    choose, skin, top = screen.choose, screen.skin, screen.frame()
    screen.box(0, top, screen.width, 26, fill=skin.panel)
    screen.text(50, top + 13, f"=SUM(B2:B{choose.randint(9, 40)})", 12)
    top += 26
    wide, tall = choose.choice((84, 96, 110)), choose.choice((20, 22))
    for column in range(int(screen.width / wide) + 1):
        screen.box(36 + column * wide, top, wide, tall, fill=skin.panel, rule=skin.rule)
        screen.text(36 + column * wide + wide / 2 - 4, top + tall / 2, chr(65 + column), 12)
    marked, banded = choose.randint(1, 4), choose.random() < 0.5
    for row in range(1, int((screen.height - top - 24) / tall)):
        y = top + row * tall
        screen.box(0, y, 36, tall, fill=skin.panel, rule=skin.rule)
        screen.text(10, y + tall / 2, str(row), 12, ink=skin.faint)
        for column in range(int((screen.width - 36) / wide)):
            fill = skin.accent if row == 1 else mixed(skin.ground, skin.accent, 0.15) if banded and row % 2 else None
            if column == marked and row > 1 and choose.random() < 0.2:
                fill = choose.choice(("#ffeb9c", "#ffc7ce", "#c6efce"))
            screen.box(36 + column * wide, y, wide + 1, tall + 1, fill=fill, rule=skin.rule)
            text = words(choose, 1)[0].capitalize() if row == 1 or column == 0 else amount(choose)
            ink = readable_on(fill) if fill and fill[1:3] not in ("1e", "20", "28", "0d") else None
            screen.text(36 + column * wide + 5, y + tall / 2, text, 12, ink=ink, face=screen.bold if row == 1 else None)


def _mails(screen: Screen) -> None:
    choose, skin, top = screen.choose, screen.skin, screen.frame()
    screen.box(0, top, 150, screen.height - top, fill=skin.panel)
    for index, name in enumerate(("Inbox", "Drafts", "Sent", "Archive", "Junk", "Deleted", "Reports", "Invoices")):
        if index == 0:
            screen.box(0, top + 12, 150, 26, fill=skin.accent)
        screen.text(16, top + 25 + index * 28, name, 13, ink=readable_on(skin.accent) if index == 0 else None)
    for index in range(int((screen.height - top) / 58)):
        y = top + index * 58
        if index == 1:
            screen.box(151, y, 260, 58, fill=mixed(skin.ground, skin.accent, 0.2))
        screen.text(162, y + 15, person(choose), 13, face=screen.bold if choose.random() < 0.5 else None)
        screen.text(162, y + 31, phrase(choose, 2, 3), 12, ink=skin.accent if choose.random() < 0.3 else None)
        screen.text(162, y + 46, " ".join(words(choose, 4))[:36], 11, ink=skin.faint)
        screen.box(151, y + 57, 260, 1, fill=skin.rule)
    screen.box(411, top, 1, screen.height - top, fill=skin.rule)
    screen.text(428, top + 24, phrase(choose, 2, 3), 18, face=screen.bold)
    screen.text(428, top + 50, f"{person(choose)}, {date(choose)}", 12, ink=skin.faint)
    _running(screen, 428, top + 80, screen.width - 440, screen.height - 20, 13)


def _running(screen: Screen, x: float, y: float, wide: float, bottom: float, size: float) -> None:
    """Lines of text down to ``bottom``."""
    choose, count = screen.choose, 0
    font = _face(str(screen.face), round(size * screen.scale))
    while y < bottom:
        line, more = words(choose, 1)[0], True
        while more:
            longer = f"{line} {words(choose, 1)[0]}"
            more = font.getlength(longer) / screen.scale < wide
            line = longer if more else line
        screen.text(x, y, line.capitalize() if count % 5 == 0 else line, size)
        count += 1
        y += size * (2.4 if count % 5 == 0 else 1.45)


CODE = (
    "def {a}_{b}(self, {c}: int) -> str:",
    "    if {a} is None or not {b}:",
    "        return self.{c}.get({a}, {b})",
    "    for {a} in sorted({b}, key=len):",
    '        raise ValueError("{a} without {b}")',
    "# The {a} of the {b} is kept by the {c}",
    "class {A}{B}(Base):",
    "import {a}.{b} as {c}",
    "    {a} = {b}.{c}(timeout=30)",
    '    print("{a} {b}", {c}, sep=",")',
    "",
)


def _editor(screen: Screen) -> None:
    choose, skin, top = screen.choose, screen.skin, screen.frame()
    size, inks = choose.choice((12, 13, 14)), ["#569cd6", "#ce9178", "#4ec9b0", "#c586c0", "#dcdcaa"]
    if Image.new("RGB", (1, 1), skin.ground).convert("L").getpixel((0, 0)) > 128:
        inks = ["#0000ff", "#a31515", "#267f99", "#af00db", "#795e26"]
    screen.box(0, top, 170, screen.height - top, fill=skin.panel)
    for index in range(14):
        screen.text(18 + index % 3 * 12, top + 20 + index * 22, f"{words(choose, 1)[0]}.py", 12, ink=skin.faint)
    for number in range(int((screen.height - top - 30) / (size * 1.5))):
        y = top + 16 + number * size * 1.5
        screen.text(178, y, f"{number + 1:3}", size, ink=skin.faint, face=screen.mono)
        a, b, c = words(choose, 3)
        line = choose.choice(CODE).format(a=a, b=b, c=c, A=a.capitalize(), B=b.capitalize())
        x = 222.0 + (len(line) - len(line.lstrip())) * size * 0.6
        for part in line.split():
            ink = choose.choice(inks) if choose.random() < 0.45 else skin.ink
            x = screen.text(x, y, part, size, ink=skin.faint if line[:1] == "#" else ink, face=screen.mono) + size * 0.6
    screen.box(0, screen.height - 22, screen.width, 22, fill=skin.accent)
    screen.text(12, screen.height - 11, "main  0 errors  2 warnings", 11, ink=readable_on(skin.accent))


def _terminal(screen: Screen) -> None:
    choose, skin = screen.choose, screen.skin
    size, inks = choose.choice((12, 13, 14)), ("#4e9a06", "#c4a000", "#3465a4", "#75507b", "#cc0000", "#06989a")
    screen.box(0, 0, screen.width, 28, fill=skin.bar)
    screen.text(12, 14, f"{words(choose, 1)[0]}: terminal", 12, ink=readable_on(skin.bar))
    for number in range(int((screen.height - 40) / (size * 1.4))):
        y, kind = 42 + number * size * 1.4, choose.choice(("prompt", "list", "list", "log", "log"))
        a, b, c = words(choose, 3)
        if kind == "prompt":
            x = screen.text(8, y, f"{a}@{b}", size, ink=inks[0], face=screen.mono)
            screen.text(x + 4, y, f"$ {choose.choice(('ls', 'cat', 'grep', 'sudo'))} {c}", size, face=screen.mono)
        elif kind == "list":
            x = screen.text(
                8, y, f"-rw-r--r--  {choose.randint(100, 99999):6}  {date(choose)[:6]}", size, face=screen.mono
            )
            screen.text(
                x + 14, y, f"{a}-{b}.txt", size, ink=choose.choice((skin.ink, skin.ink, *inks)), face=screen.mono
            )
        else:
            screen.text(
                8,
                y,
                f"{choose.choice(('INFO', 'WARN', 'DEBUG'))}  {a} {b} {c} {choose.randint(10, 999)}",
                size,
                face=screen.mono,
            )


def _web(screen: Screen) -> None:
    choose, skin = screen.choose, screen.skin
    screen.box(0, 0, screen.width, 36, fill=skin.bar)
    screen.box(70, 6, screen.width - 140, 24, fill=skin.ground, rule=skin.rule)
    screen.text(80, 18, f"https://www.{words(choose, 1)[0]}.example/{words(choose, 1)[0]}", 12)
    hero = choose.choice(PALETTES[choose.choice(sorted(PALETTES))][:7])
    screen.box(0, 36, screen.width, 110, fill=hero)
    screen.text(40, 78, phrase(choose, 2, 4), 28, ink=readable_on(hero), face=screen.bold)
    screen.text(40, 114, " ".join(words(choose, 6)).capitalize(), 14, ink=readable_on(hero))
    wide = (screen.width - 100) / 3
    for index in range(3):
        x = 40 + index * (wide + 10)
        screen.box(x, 164, wide, 110, fill=choose.choice((skin.panel, mixed(skin.ground, hero, 0.25), hero)))
        screen.picture.paste(
            _photo(choose).resize((round((wide - 20) * screen.scale), round(60 * screen.scale))),
            (round((x + 10) * screen.scale), round(174 * screen.scale)),
        ) if choose.random() < 0.6 else None
        screen.text(x + 10, 255, phrase(choose, 1, 2), 13, face=screen.bold)
    _running(screen, 40, 300, screen.width - 90, screen.height - 30, 13)


def _chat(screen: Screen) -> None:
    choose, skin, y = screen.choose, screen.skin, 50.0
    screen.box(0, 0, screen.width, 36, fill=skin.accent)
    screen.text(16, 18, person(choose), 15, ink=readable_on(skin.accent), face=screen.bold)
    while y < screen.height - 60:
        mine, size = choose.random() < 0.45, 14
        lines = [" ".join(words(choose, choose.randint(3, 6))) for _ in range(choose.randint(1, 3))]
        wide = (
            max(_face(str(screen.face), round(size * screen.scale)).getlength(line) for line in lines) / screen.scale
            + 24
        )
        fill = skin.accent if mine else skin.panel
        x = screen.width - wide - 20 if mine else 20
        screen.box(x, y, wide, len(lines) * 20 + 14, fill=fill)
        for index, line in enumerate(lines):
            screen.text(x + 12, y + 17 + index * 20, line, size, ink=readable_on(fill))
        y += len(lines) * 20 + 26


def _dialog(screen: Screen) -> None:
    choose, skin = screen.choose, screen.skin
    screen.box(0, 0, screen.width, 30, fill=skin.accent)
    screen.text(12, 15, phrase(choose, 2, 3), 13, ink=readable_on(skin.accent), face=screen.bold)
    screen.box(0, 30, screen.width, screen.height - 30, fill=skin.panel)
    for index in range(int((screen.height - 90) / 34)):
        y = 54 + index * 34
        screen.text(20, y, phrase(choose, 1, 2), 13)
        screen.box(190, y - 12, screen.width - 220, 24, fill=skin.ground, rule=skin.rule)
        screen.text(198, y, choose.choice((reference, date, person))(choose), 13)
    for index, name in enumerate(("Cancel", "Save")):
        fill = skin.accent if index else skin.ground
        screen.box(screen.width - 190 + index * 90, screen.height - 36, 80, 26, fill=fill, rule=skin.rule)
        screen.text(screen.width - 172 + index * 90, screen.height - 23, name, 13, ink=readable_on(fill))


def _dashboard(screen: Screen) -> None:
    choose, skin, top = screen.choose, screen.skin, screen.frame()
    palette, wide = PALETTES[choose.choice(sorted(PALETTES))], screen.width / 3
    for index in range(3):
        screen.box(index * wide + 8, top + 10, wide - 16, 76, fill=skin.panel, rule=skin.rule)
        screen.text(index * wide + 20, top + 28, phrase(choose, 1, 2), 12, ink=skin.faint)
        screen.text(
            index * wide + 20,
            top + 60,
            amount(choose),
            24,
            ink=choose.choice((skin.ink, skin.accent)),
            face=screen.bold,
        )
    floor, count = screen.height - 50, choose.randint(6, 12)
    for index in range(count):
        tall = choose.uniform(0.1, 1) * (floor - top - 120)
        x = 40 + index * (screen.width - 80) / count
        screen.box(
            x,
            floor - tall,
            (screen.width - 80) / count * 0.6,
            tall,
            fill=palette[0] if choose.random() < 0.6 else palette[1],
        )
        screen.text(x, floor + 14, MONTHS[index][:3], 12)
    screen.box(30, floor, screen.width - 60, 1, fill=skin.faint)


def screenshots(choose: Random) -> bytes:
    """One or two in a text with captions, or one on the whole of a page."""
    draft = Draft(choose)
    draft.title()
    for number in range(choose.choice((1, 2, 2))):
        draft.paragraph(sentences(choose, choose.randint(12, 40)), choose.choice((9, 10, 11)))
        picture = screenshot(choose)
        width = draft.measure * choose.choice((1, 1, 0.9, 0.75))
        height = width * picture.height / picture.width
        if height > draft.y - draft.margin - 20:
            height = draft.y - draft.margin - 20
            width = height * picture.width / picture.height
        if width < 180:
            break
        draft.y -= height
        photographed = choose.random() < 0.15
        data = as_file(picture, "JPEG", quality=choose.choice((60, 75, 90))) if photographed else as_file(picture)
        draft.image(data, draft.left + (draft.measure - width) / 2, draft.y, width, height)
        draft.y -= 4
        draft.paragraph(f"Figure {number + 1}: {phrase(choose, 3, 6)}", choose.choice((8, 9)), font=draft.family.italic)
    draft.footer()
    return draft.finish()


# ---- Photographs


@cache
def _original(name: str, seed: int) -> Image.Image:
    return photograph(name, seed=seed)


def _photo(choose: Random) -> Image.Image:
    """A cut of one of a few, in another light and colour."""
    picture = _original(choose.choice(sorted(PHOTOGRAPHS)), choose.randint(1, 3))
    share = choose.uniform(0.5, 1)
    wide, tall = round(picture.width * share), round(picture.height * share * choose.choice((1, 0.75, 0.5)))
    left, top = choose.randint(0, picture.width - wide), choose.randint(0, picture.height - tall)
    picture = picture.crop((left, top, left + wide, top + tall))
    if choose.random() < 0.5:
        picture = ImageOps.mirror(picture)
    picture = ImageEnhance.Brightness(picture).enhance(choose.uniform(0.65, 1.3))
    picture = ImageEnhance.Contrast(picture).enhance(choose.uniform(0.7, 1.4))
    tint = Image.new("RGB", picture.size, choose.choice(("#406080", "#805020", "#306030", "#808080", "#a03030")))
    return Image.blend(picture, tint, choose.uniform(0, 0.3))


def photographs(choose: Random) -> bytes:
    style = choose.choice(("report", "report", "report", "grid", "titled", "titled", "badge"))
    draft = Draft(choose, landscape=style == "titled" and choose.random() < 0.2)
    if style == "titled":
        _titled_photo(draft)
    elif style == "grid":
        _photo_grid(draft)
    else:
        draft.title()
        while draft.y > draft.margin + 170:
            _captioned(draft, small=style == "badge")
    return draft.finish()


def _place(draft: Draft, x: float, y: float, width: float, height: float) -> None:
    """A photograph cut to that shape."""
    choose, picture = draft.choose, _photo(draft.choose)
    dots = choose.choice((96, 150, 200, 300))
    picture = ImageOps.fit(picture, (max(8, round(width * dots / 72)), max(8, round(height * dots / 72))))
    if choose.random() < 0.2:
        picture = picture.convert("L")
    draft.image(as_file(picture, "JPEG", quality=choose.choice((60, 75, 85, 92))), x, y, width, height)


def _captioned(draft: Draft, *, small: bool) -> None:
    """A photograph across the page or beside text."""
    choose = draft.choose
    if small or choose.random() < 0.5:
        wide, tall = (110, 140) if small else (draft.measure * 0.42, choose.uniform(120, 190))
        top = draft.y
        _place(draft, draft.left, top - tall, wide, tall)
        draft.paragraph(
            sentences(choose, choose.randint(30, 60)), 10, x=draft.left + wide + 14, width=draft.measure - wide - 14
        )
        draft.y = min(draft.y, top - tall) - 4
    else:
        tall = min(choose.uniform(140, 300), draft.y - draft.margin - 30)
        draft.y -= tall
        _place(draft, draft.left, draft.y, draft.measure, tall)
        if choose.random() < 0.4:
            _words_on_photo(draft, draft.left, draft.y, draft.measure, tall)
    draft.paragraph(
        f"Figure {choose.randint(1, 30)}: {phrase(choose, 4, 8)}", choose.choice((8, 9, 10)), font=draft.family.italic
    )
    draft.paragraph(sentences(choose, choose.randint(15, 45)), 10)


def _words_on_photo(draft: Draft, x: float, y: float, wide: float, tall: float) -> None:
    """A caption upon the picture: on a veil, on a band, or bare."""
    choose, size, text = draft.choose, draft.choose.choice((12, 14, 18, 24)), phrase(draft.choose, 2, 4)
    style = choose.choice(("veil", "band", "bare"))
    ink = "#ffffff"
    if style == "veil":
        with draft.see_through(choose.uniform(0.45, 0.7)):
            draft.box(x, y, wide, size * 2.2, fill="#000000")
    elif style == "band":
        ground = choose.choice((*draft.palette[:7], "#ffffff"))
        draft.box(x, y + size, wide * 0.8, size * 2, fill=ground)
        ink, y = readable_on(ground), y + size
    draft.write(x + 12, y + size * 0.75, text, size, ink=ink, font=draft.family.bold)


def _photo_grid(draft: Draft) -> None:
    choose, across = draft.choose, draft.choose.choice((2, 2, 3))
    draft.title()
    wide = (draft.measure - 12 * (across - 1)) / across
    tall = wide * choose.uniform(0.6, 0.9)
    while draft.y - tall - 30 > draft.margin:
        draft.y -= tall
        for index in range(across):
            x = draft.left + index * (wide + 12)
            _place(draft, x, draft.y, wide, tall)
            draft.write(x, draft.y - 11, f"{chr(97 + index)}) {phrase(choose, 1, 2)}", 9)
        draft.y -= 26
        if choose.random() < 0.25:
            break
    draft.paragraph(sentences(choose, choose.randint(15, 60)), 10)


def _titled_photo(draft: Draft) -> None:
    """A cover: a photograph to the edges, with a title upon it."""
    choose = draft.choose
    share = choose.choice((1, 0.6, 0.45))
    _place(draft, 0, draft.height * (1 - share), draft.width, draft.height * share)
    _words_on_photo(draft, 0, draft.height * (1 - share) + choose.uniform(20, 120), draft.width, draft.height)
    if share < 1:
        draft.y = draft.height * (1 - share) - 20
        draft.title()
        while draft.y > draft.margin + 40:
            draft.paragraph(sentences(choose, choose.randint(30, 60)), choose.choice((10, 11)))


# ---- Scans


@dataclass(frozen=True)
class Scanned:
    """``paper`` is the clean sheet in the same place; ``sheet`` is white where it lies, None where it is the page."""

    pdf: bytes
    paper: bytes | None = None
    sheet: bytes | None = None


@dataclass(frozen=True)
class Quality:
    """``paper`` is the light that the sheet throws back (1 is white), ``shade`` how much of it is lost at one side,
    ``grain`` and ``blur`` are in grey levels and dots, ``tilt`` in degrees, ``jpeg`` 0 for one bit a dot."""

    dots: int
    jpeg: int
    paper: tuple[float, float]
    grain: float
    blur: float = 0.5
    shade: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.3)
    colour: bool = False
    gutter: bool = False
    through: float = 0.0


QUALITIES: dict[str, Quality] = {
    "300 dpi, grey": Quality(300, 85, (0.95, 1.0), 3),
    "200 dpi, colour": Quality(200, 70, (0.93, 0.99), 4, colour=True, tilt=(0.0, 0.6)),
    "150 dpi, shaded": Quality(150, 60, (0.85, 0.95), 7, shade=0.25, tilt=(0.2, 1.0)),
    "100 dpi": Quality(100, 60, (0.95, 1.0), 3, blur=0.3),
    "200 dpi, grey paper": Quality(200, 60, (0.72, 0.85), 7, blur=0.7, shade=0.1, tilt=(0.8, 2.2)),
    "one bit": Quality(300, 0, (0.95, 1.0), 10, tilt=(0.0, 0.8)),
    "200 dpi, from a book": Quality(200, 65, (0.85, 0.95), 8, blur=0.8, shade=0.1, gutter=True, through=0.12),
}


def scans(choose: Random, quality: str) -> Scanned:
    how, draft = QUALITIES[quality], _original_sheet(choose)
    dots = choose.choice((200, 300)) if not how.jpeg else how.dots
    how = replace(how, dots=dots)
    size = (draft.width, draft.height)
    written, clean = draft.written, _drawn(draft.finish(), how.dots)
    tilt = choose.choice((-1, 1)) * choose.uniform(*how.tilt)
    clean = clean.rotate(tilt, fillcolor="white", resample=Image.Resampling.BICUBIC)
    left = choose.random() < 0.5
    dirty = _through_scanner(choose, clean, how, left)
    if not how.jpeg:
        return Scanned(_bilevel_page(dirty, size, mask=choose.random() < 0.5))
    page = _ScanPage(choose, size)
    if how.colour and choose.random() < 0.4:
        page.place_in_layers(dirty, how.jpeg)
    else:
        page.place(dirty if how.colour else dirty.convert("L"), how.jpeg)
    if abs(tilt) < 0.3 and choose.random() < 0.5:
        page.hide(written)
    added = page.stamp() if choose.random() < 0.25 else None
    beside = Image.new("L", clean.size, 255)
    for edges in ([added] if added else []) + ([_gutter(size, left)] if how.gutter else []):
        ImageDraw.Draw(beside).rectangle([round(edge * how.dots / 72) for edge in edges], fill=0)
    return Scanned(
        page.finish(),
        _picture_page(as_file(clean.convert("L")), size),
        _picture_page(as_file(beside), size) if added or how.gutter else None,
    )


def _gutter(size: tuple[float, float], left: bool) -> tuple[float, float, float, float]:
    """Where the shadow of the fold lies, from the upper left corner: not paper, whatever one makes of it."""
    wide = size[0] * 0.07
    return (0, 0, wide, size[1]) if left else (size[0] - wide, 0, size[0], size[1])


class _ScanPage:
    """A scan as scanners store it: one picture or strips of it, with what programs put upon it."""

    def __init__(self, choose: Random, size: tuple[float, float]) -> None:
        self.choose, self.size, self.buffer = choose, size, io.BytesIO()
        self.canvas = Canvas(self.buffer, pagesize=size, invariant=1, pageCompression=1)

    def place(self, picture: Image.Image, quality: int) -> None:
        strips = self.choose.choice((1, 1, 1, 8, 20))
        tall = math.ceil(picture.height / strips / 8) * 8
        for top in range(0, picture.height, tall):
            part = picture.crop((0, top, picture.width, min(picture.height, top + tall)))
            high = self.size[1] * part.height / picture.height
            y = self.size[1] * (1 - top / picture.height) - high
            data = ImageReader(io.BytesIO(as_file(part, "JPEG", quality=quality)))
            self.canvas.drawImage(data, 0, y, self.size[0], high)

    def place_in_layers(self, picture: Image.Image, quality: int) -> None:
        """What is dark as a stencil of one bit in black, the rest coarse behind it: as scanners make small files."""
        dark = picture.convert("L").point(lambda level: 255 if level < 110 else 0)
        behind = Image.composite(
            Image.new("RGB", picture.size, "#f4f2ec"), picture, dark.filter(ImageFilter.MaxFilter(5))
        )
        behind = behind.resize((picture.width // 3, picture.height // 3), Image.Resampling.BOX)
        self.canvas.drawImage(ImageReader(io.BytesIO(as_file(behind, "JPEG", quality=quality))), 0, 0, *self.size)
        stencil = Image.new("RGBA", picture.size, (20, 20, 20, 0))
        stencil.putalpha(dark)
        self.canvas.drawImage(ImageReader(io.BytesIO(as_file(stencil))), 0, 0, *self.size, mask="auto")

    def hide(self, written: list[tuple[float, float, str, str, float]]) -> None:
        """Over the picture, unseen, the words that were recognised in it."""
        self.canvas.saveState()
        for x, y, text, font, points in written:
            shape = self.canvas.beginText(x, y)
            shape.setFont(font, points)
            shape.setTextRenderMode(3)
            shape.textOut(text)
            self.canvas.drawText(shape)
        self.canvas.restoreState()

    def stamp(self) -> tuple[float, float, float, float]:
        """A number or a note that an archive's program adds; gives its place from the upper left corner."""
        choose, text = self.choose, f"{reference(self.choose)} {phrase(self.choose, 1, 2)} {date(self.choose)}"
        x, y = choose.uniform(40, 200), choose.choice((14, self.size[1] - 22))
        self.canvas.saveState()
        if choose.random() < 0.5:
            self.canvas.setFillColor("#ffffff")
            self.canvas.rect(x - 4, y - 4, 260, 15, stroke=0, fill=1)
        self.canvas.setFillColor(choose.choice(("#000000", "#c00000", "#0000c0")))
        self.canvas.setFont("Helvetica", 9)
        self.canvas.drawString(x, y, text)
        self.canvas.restoreState()
        return x - 4, self.size[1] - y - 11, x + 256, self.size[1] - y + 4

    def finish(self) -> bytes:
        self.canvas.showPage()
        self.canvas.save()
        return self.buffer.getvalue()


def _original_sheet(choose: Random) -> Draft:
    """A letter, a form or a report, mostly in black."""
    size = choose.choice((A4, A4, A4, LETTER))
    kind = choose.choice(("letter", "letter", "form", "report", "photo"))
    if kind == "letter":
        return letter(choose, sober=True, size=size)
    draft = Draft(choose, size=size)
    draft.palette, draft.ink = SOBER, "#000000"
    draft.title()
    if kind == "form":
        form(draft, choose.choice(SOBER))
        return draft
    if kind == "photo":
        _captioned(draft, small=False)
    for _ in range(choose.randint(2, 4)):
        draft.paragraph(sentences(choose, choose.randint(40, 90)), choose.choice((9, 10, 11, 12)))
    if draft.y > draft.margin + 160:
        table(draft, sober=True, most=12)
        draft.y -= 12
    while draft.y > draft.margin + 60 and choose.random() < 0.8:
        draft.paragraph(sentences(choose, choose.randint(40, 90)), choose.choice((9, 10, 11, 12)))
    return draft


def _drawn(pdf: bytes, dots: int) -> Image.Image:
    document = pdfium.PdfDocument(pdf)
    return document[0].render(scale=dots / 72).to_pil().convert("RGB")


def _through_scanner(choose: Random, clean: Image.Image, how: Quality, left: bool) -> Image.Image:
    state = np.random.default_rng(choose.getrandbits(32))
    soft = clean.filter(ImageFilter.GaussianBlur(how.blur))
    dots = np.asarray(soft if how.colour else soft.convert("L"), dtype=np.float32)
    black = choose.uniform(8, 40)
    dots = black + dots * (255 - black) / 255
    if how.through:
        back = np.asarray(ImageOps.mirror(clean.convert("L")).filter(ImageFilter.GaussianBlur(2.5)), dtype=np.float32)
        dots = dots * (1 - how.through * (255 - back) / 255)
    tall, wide = dots.shape[:2]
    light = choose.uniform(*how.paper) * (1 - how.shade * _slope(choose, tall, wide))
    if how.gutter:
        away = np.linspace(0, 1, wide, dtype=np.float32)[None, :: 1 if left else -1]
        light = light * (1 - 0.55 * np.exp(-away / 0.035))
    if how.colour:
        cream = np.array(
            choose.choice(((1, 0.98, 0.92), (1, 1, 1), (0.96, 1, 0.97), (1, 0.95, 0.95))), dtype=np.float32
        )
        dots = dots * light[..., None] * cream
    else:
        dots = dots * light
    grain = state.standard_normal((tall, wide), dtype=np.float32) * how.grain
    dots += grain[..., None] if how.colour else grain
    return Image.fromarray(np.clip(dots, 0, 255).astype(np.uint8))


def _slope(choose: Random, tall: int, wide: int) -> np.ndarray:
    """From 0 at one side to 1 at the other, in any direction."""
    angle = choose.uniform(0, 2 * math.pi)
    row, column = np.linspace(-1, 1, tall, dtype=np.float32)[:, None], np.linspace(-1, 1, wide, dtype=np.float32)[None]
    field = row * math.sin(angle) + column * math.cos(angle)
    return (field - field.min()) / (field.max() - field.min())


def _picture_page(file: bytes, size: tuple[float, float]) -> bytes:
    """The picture on the whole page."""
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=size, invariant=1, pageCompression=1)
    canvas.drawImage(ImageReader(io.BytesIO(file)), 0, 0, *size)
    canvas.showPage()
    canvas.save()
    return target.getvalue()


def _bilevel_page(dirty: Image.Image, size: tuple[float, float], *, mask: bool) -> bytes:
    """One bit a dot, G4: as an image, or as a stencil through which black is painted."""
    bits = dirty.convert("L").point(lambda level: 255 if level > 140 else 0).convert("1", dither=Image.Dither.NONE)
    target = io.BytesIO()
    ImageChops.invert(bits).save(target, "TIFF", compression="group4", strip_size=1 << 26)
    with Image.open(io.BytesIO(target.getvalue())) as tiff:
        at, length = tiff.tag_v2[273][0], tiff.tag_v2[279][0]
    with pikepdf.new() as document:
        stream = pikepdf.Stream(document, target.getvalue()[at : at + length])
        stream.Type, stream.Subtype = pikepdf.Name.XObject, pikepdf.Name.Image
        stream.Width, stream.Height, stream.BitsPerComponent = bits.width, bits.height, 1
        stream.Filter = pikepdf.Name.CCITTFaxDecode
        stream.DecodeParms = pikepdf.Dictionary(K=-1, Columns=bits.width, Rows=bits.height)
        if mask:
            stream.ImageMask = True
        else:
            stream.ColorSpace = pikepdf.Name.DeviceGray
        page = document.add_blank_page(page_size=size)
        page.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(Im=stream))
        page.contents_add(document.make_stream(f"q 0 g {size[0]:g} 0 0 {size[1]:g} 0 0 cm /Im Do Q".encode()))
        target = io.BytesIO()
        document.save(target, deterministic_id=True)
        return target.getvalue()


# ---- Sheets photographed on a desk

DESKS = (
    "#0a0a0a",
    "#1c1410",
    "#3b2416",
    "#5a3a22",
    "#2b2f33",
    "#1d2b44",
    "#7a5c3e",
    "#8f8f8f",
    "#b9a58a",
    "#d8d2c8",
    "#e8e6e2",
)


def sheets(choose: Random) -> Scanned:
    """A sheet on a dark or a light desk, from a little aside, in the light of a window or a lamp."""
    draft = _original_sheet(choose)
    aspect = draft.height / draft.width
    clean = _drawn(draft.finish(), 200)
    tall = choose.choice((1600, 2000, 2400, 2800))
    shape = choose.choice(("page", "page", "camera"))
    wide = round(tall / (math.sqrt(2) if shape == "page" else 4 / 3))
    corners = _corners(choose, wide, tall, aspect)
    matrix = _perspective(corners, clean.size)
    warped = clean.transform(
        (wide, tall), Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BICUBIC, fillcolor="white"
    )
    place = Image.new("L", clean.size, 255).transform(
        (wide, tall), Image.Transform.PERSPECTIVE, matrix, Image.Resampling.BILINEAR
    )
    seen = _on_desk(choose, warped, place)
    size = A4 if shape == "page" else (A4[0], A4[0] * 4 / 3)
    file = as_file(seen, "JPEG", quality=choose.choice((60, 75, 85)))
    return Scanned(
        _picture_page(file, size),
        _picture_page(as_file(warped.convert("L")), size),
        _picture_page(as_file(place), size),
    )


def _corners(choose: Random, wide: int, tall: int, aspect: float) -> list[tuple[float, float]]:
    """Of the sheet in the picture: upper left, upper right, lower right, lower left."""
    share, turn = choose.uniform(0.72, 0.93), math.radians(choose.uniform(-4, 4))
    height = min(tall * share, wide * share * aspect)
    width = height / aspect
    middle = wide / 2 + choose.uniform(-0.02, 0.02) * wide, tall / 2 + choose.uniform(-0.02, 0.02) * tall
    lean, made = choose.uniform(0, 0.05) * width, []
    narrow = choose.choice(("top", "left", "right", "none"))
    for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        px, py = x * width / 2, y * height / 2
        if narrow == "top" and y < 0:
            px -= x * lean
        elif narrow in ("left", "right") and x == (-1 if narrow == "left" else 1):
            py -= y * lean
        px += choose.uniform(-0.006, 0.006) * width
        made.append(
            (
                middle[0] + px * math.cos(turn) - py * math.sin(turn),
                middle[1] + px * math.sin(turn) + py * math.cos(turn),
            )
        )
    return made


def _perspective(corners: list[tuple[float, float]], size: tuple[int, int]) -> list[float]:
    """The eight numbers by which Pillow finds for each dot of the picture where on the sheet it lies."""
    sheet = [(0, 0), (size[0], 0), size, (0, size[1])]
    rows, wanted = [], []
    for (x, y), (u, v) in zip(corners, sheet, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(number) for number in np.linalg.solve(np.array(rows, dtype=float), np.array(wanted, dtype=float))]


def _on_desk(choose: Random, warped: Image.Image, place: Image.Image) -> Image.Image:
    state = np.random.default_rng(choose.getrandbits(32))
    wide, tall = warped.size
    desk = np.array(rgb(choose.choice(DESKS)), dtype=np.float32)
    grains = Image.fromarray(
        state.standard_normal((tall // 3, max(2, wide // choose.choice((3, 40)))), dtype=np.float32)
    )
    texture = np.asarray(grains.resize((wide, tall), Image.Resampling.BICUBIC)) * choose.choice((0.02, 0.06, 0.12))
    ground = desk[None, None] * (1 + texture[..., None])
    where = np.asarray(place.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float32)[..., None] / 255
    shadow = np.asarray(ImageChops.offset(place, 6, 8).filter(ImageFilter.GaussianBlur(9)), dtype=np.float32)[..., None]
    ground = ground * (1 - 0.4 * shadow / 255)
    paper = np.asarray(warped.filter(ImageFilter.GaussianBlur(choose.uniform(0.5, 0.9))), dtype=np.float32) * 0.88 + 22
    light = 1 - choose.uniform(0.05, 0.4) * _slope(choose, tall, wide)
    if choose.random() < 0.4:
        light = light * _cast_shadow(choose, tall, wide)
    light *= choose.uniform(0.65, 0.95) / np.median(light)  # as the camera exposes it
    warm = np.array(choose.choice(((1, 1, 1), (1, 0.97, 0.88), (0.93, 0.97, 1))), dtype=np.float32)
    dots = (ground * (1 - where) + paper * where) * light[..., None] * warm
    dots += state.standard_normal((tall, wide, 1), dtype=np.float32) * choose.uniform(2, 6)
    return Image.fromarray(np.clip(dots, 0, 255).astype(np.uint8))


def _cast_shadow(choose: Random, tall: int, wide: int) -> np.ndarray:
    """Of the hand or the telephone: a soft edge somewhere across the sheet."""
    edge, soft = choose.uniform(0.3, 0.8), choose.uniform(0.02, 0.1)
    return 1 - choose.uniform(0.15, 0.35) / (1 + np.exp(-(_slope(choose, tall, wide) - edge) / soft))
