"""Pages whose words are known, and photographs made of numbers: what a fax has to carry.

No picture here is anybody's: a photograph is imitated by what makes one hard to fax, tone at every scale, soft and
hard edges, texture and noise.
"""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

WORDS = (
    "patient report invoice hospital morning contract delivery signature payment address number received document "
    "balance treatment pressure council harbour engine garden window letter station market bridge winter summer "
    "doctor lawyer evidence witness account transfer village mountain river silver copper yellow orange purple "
    "forest circle square twelve seventeen hundred thousand million"
).split()

FONTS = ("Helvetica", "Times-Roman")


@dataclass(frozen=True)
class Paragraph:
    words: int
    size: float
    ink: str
    ground: str | None = None
    font: str = "Helvetica"


#: Name of a page → its paragraphs.
TEXT_PAGES: dict[str, list[Paragraph]] = {
    "black": [Paragraph(60, size, "#000000", font=font) for size in (9, 11, 12) for font in FONTS],
    "light grey": [
        Paragraph(40, 10, ink, font=font)
        for ink in ("#777777", "#999999", "#aaaaaa", "#bbbbbb", "#cccccc")
        for font in FONTS
    ],
    "coloured": [
        Paragraph(35, 10, ink)
        for ink in ("#ff0000", "#ff8800", "#00aa00", "#0066ff", "#66bbff", "#ff66cc", "#e0c000", "#00cccc", "#88cc44")
    ],
    "small print": [
        Paragraph(60, size, ink, font=font) for size in (5, 6, 7) for font in FONTS for ink in ("#000000", "#666666")
    ],
    "on a ground": [
        Paragraph(30, 10, ink, ground)
        for ink, ground in (
            ("#ffffff", "#333333"),
            ("#ffffff", "#2255aa"),
            ("#ffffff", "#cc3333"),
            ("#ff0000", "#008000"),
            ("#000000", "#cccccc"),
            ("#000000", "#ffee55"),
            ("#666666", "#dddddd"),
            ("#2244cc", "#aaddff"),
            ("#ffff66", "#4444aa"),
            ("#333333", "#888888"),
            ("#ffffff", "#999999"),
            ("#884400", "#ffcc88"),
        )
    ],
    "grey beside black": [Paragraph(25, 10, ink) for ink in ("#000000", "#999999") * 6] + [Paragraph(90, 8, "#b0b0b0")],
}


def text_page(paragraphs: list[Paragraph], *, seed: int = 7) -> tuple[bytes, list[str]]:
    """A one-page PDF and the words on it, in order."""
    choose, target, written = random.Random(seed), io.BytesIO(), []
    page = canvas.Canvas(target, pagesize=A4)
    y = 790.0
    for paragraph in paragraphs:
        words = [choose.choice(WORDS) for _ in range(paragraph.words)]
        y = _set(page, paragraph, words, y)
        written += words
    page.save()
    return target.getvalue(), written


def _set(page: canvas.Canvas, paragraph: Paragraph, words: list[str], y: float) -> float:
    lines, height = _lines(page, paragraph, words), paragraph.size * 1.35
    if paragraph.ground:
        page.setFillColor(HexColor(paragraph.ground))
        page.rect(42, y - len(lines) * height - 2, 516, len(lines) * height + paragraph.size + 4, stroke=0, fill=1)
    page.setFillColor(HexColor(paragraph.ink))
    page.setFont(paragraph.font, paragraph.size)
    for line in lines:
        page.drawString(50, y, line)
        y -= height
    return y - paragraph.size * 1.2


def _lines(page: canvas.Canvas, paragraph: Paragraph, words: list[str]) -> list[str]:
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if page.stringWidth(longer, paragraph.font, paragraph.size) > 500:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


# ---- Photographs

SHAPE = (1754, 1240)


def portrait(random_state: np.random.Generator) -> np.ndarray:
    """An oval lit from the left before a soft ground, with dark and bright details."""
    row, column = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -0.7 : 0.7 : SHAPE[1] * 1j]
    tone = 150 + 40 * row + 25 * _clouds(random_state, (3, 6))
    face = (row / 0.55) ** 2 + (column / 0.38) ** 2
    tone = np.where(face < 1, 175 - 120 * (column + 0.25) ** 2 - 50 * face, tone)
    for y, x in ((-0.12, -0.14), (-0.12, 0.14), (0.25, 0.0)):
        tone -= 110 * np.exp(-(((row - y) / 0.04) ** 2) - ((column - x) / (0.07 if y < 0 else 0.12)) ** 2)
    hair = (face > 0.8) & (face < 1.7) & (row < -0.1)
    tone = np.where(hair, 55 + 22 * _clouds(random_state, (200, 500)), tone)
    return tone + 6 * _clouds(random_state, (60, 240))


def landscape(random_state: np.random.Generator) -> np.ndarray:
    """A bright sky with clouds, hills one behind the other, grass in front."""
    row, column = np.mgrid[0 : 1 : SHAPE[0] * 1j, 0 : 1 : SHAPE[1] * 1j]
    tone = 215 - 60 * row + 25 * _clouds(random_state, (3, 7, 15))
    for distance, (height, grey) in enumerate(((0.42, 140), (0.52, 110), (0.62, 80))):
        ridge = height + 0.06 * np.sin(column * (5 + 3 * distance) + distance) + 0.02 * np.sin(column * 31)
        tone = np.where(row > ridge, grey + 14 * _clouds(random_state, (40, 120)), tone)
    return np.where(row > 0.75, 95 + 38 * _clouds(random_state, (150, 400)), tone)


def things(random_state: np.random.Generator) -> np.ndarray:
    """Balls, shadows and a striped cloth: hard edges beside soft ones."""
    row, column = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    tone = 120 + 60 * (column / SHAPE[1]) + 30 * np.sin(row / 23) * (row > 1150) + 8 * _clouds(random_state, (90, 300))
    for y, x, radius, grey in ((420, 380, 260, 190), (760, 850, 320, 90), (1250, 420, 200, 230)):
        tone -= 60 * np.exp(-(((row - y - radius) / 90) ** 2) - ((column - x - 60) / radius) ** 2)
        distance = ((row - y) ** 2 + (column - x) ** 2) / radius**2
        light = ((row - y + radius / 3) ** 2 + (column - x + radius / 3) ** 2) / radius**2
        tone = np.where(distance < 1, grey + 50 * np.exp(-6 * light) - 70 * light / 2, tone)
    return tone


def _clouds(random_state: np.random.Generator, sizes: tuple[int, ...]) -> np.ndarray:
    """Noise of the given coarsenesses, about within ±1.5."""
    total = np.zeros(SHAPE)
    for size in sizes:
        layer = Image.fromarray(random_state.normal(0, 1, (size, size)).astype(np.float32))
        total += np.asarray(layer.resize(SHAPE[::-1], Image.Resampling.BICUBIC))
    return total / len(sizes) ** 0.5


PHOTOGRAPHS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "portrait": portrait,
    "landscape": landscape,
    "things": things,
}


def photograph(name: str, *, seed: int = 5) -> Image.Image:
    """With the grain of a sensor, softened as a lens does, in a faint colour."""
    state = np.random.default_rng(seed)
    tone = PHOTOGRAPHS[name](state)
    soft = Image.fromarray(np.clip(tone, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    grain = np.asarray(soft) + state.normal(0, 3, SHAPE)
    plane = np.clip(grain, 0, 255).astype(np.uint8)
    return Image.merge(
        "RGB", [Image.fromarray(p) for p in (plane, plane, np.clip(plane * 0.93, 0, 255).astype(np.uint8))]
    )


def photograph_page(picture: Image.Image) -> bytes:
    """The whole of an A4 page, as JPEG, cut to its shape."""
    width = round(picture.height * A4[0] / A4[1])
    if width < picture.width:
        left = (picture.width - width) // 2
        picture = picture.crop((left, 0, left + width, picture.height))
    if picture.height < 1200:
        picture = picture.resize(SHAPE[::-1], Image.Resampling.LANCZOS)
    data, target = io.BytesIO(), io.BytesIO()
    picture.convert("RGB").save(data, "JPEG", quality=88)
    page = canvas.Canvas(target, pagesize=A4)
    page.drawImage(ImageReader(data), 0, 0, *A4)
    page.save()
    return target.getvalue()


def office_page(*, seed: int = 11) -> bytes:
    """A letter: heading, text, a table with a tinted head, a small photograph."""
    choose, target = random.Random(seed), io.BytesIO()
    page = canvas.Canvas(target, pagesize=A4)
    page.setFillColor(HexColor("#1d4f91"))
    page.setFont("Helvetica-Bold", 22)
    page.drawString(50, 780, "Alpha Srl")
    y = _set(page, Paragraph(0, 10, "#888888"), ["Via", "Roma", "12,", "56100", "Pisa"], 760)
    y = _set(page, Paragraph(0, 11, "#000000"), [choose.choice(WORDS) for _ in range(150)], y - 10)
    data = io.BytesIO()
    photograph("portrait", seed=seed).resize((310, 438)).save(data, "JPEG", quality=85)
    page.drawImage(ImageReader(data), 400, y - 210, 150, 212)
    for line in range(10):
        page.setFillColor(HexColor("#d6e4f5" if line == 0 else "#ffffff"))
        page.rect(50, y - 20 * (line + 1), 330, 20, stroke=1, fill=1)
        page.setFillColor(HexColor("#000000"))
        page.setFont("Helvetica", 10)
        page.drawString(56, y - 20 * line - 14, " ".join(choose.choice(WORDS) for _ in range(5)))
    page.save()
    return target.getvalue()


def scanned(picture: Image.Image, *, paper: float, grain: float, tilt: float, seed: int = 1) -> bytes:
    """A drawn page as a phone or an old scanner gives it: grey paper, darker to one side, grain, tilted, as JPEG."""
    tilted = picture.convert("RGB").rotate(tilt, fillcolor="white", resample=Image.Resampling.BICUBIC)
    dots = np.asarray(tilted.filter(ImageFilter.GaussianBlur(0.7)), dtype=float) * paper
    dots *= 1 - 0.12 * np.linspace(0, 1, dots.shape[1])[None, :, None]
    dots += np.random.default_rng(seed).normal(0, grain, dots.shape)
    data, target = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.clip(dots, 0, 255).astype(np.uint8)).save(data, "JPEG", quality=60)
    page = canvas.Canvas(target, pagesize=A4)
    page.drawImage(ImageReader(data), 0, 0, *A4)
    page.save()
    return target.getvalue()
