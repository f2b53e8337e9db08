"""Text for what a PDF leaves to its viewer to letter: form fields, free text, stamps (ISO 32000-1 12.7.3.3)."""

import ctypes
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2.raw as raw
from PIL import ImageFont

from app.adapters.pdf.pdf_values import entry, name, number, text, written

#: Of the standard fonts, as shares of their size: from the baseline to the top of a capital and down to a descender.
ASCENT, DESCENT, LEADING = 0.72, 0.21, 1.16
#: The smallest and the largest size that a field may choose by itself (Acrobat takes 12 for several lines).
SMALLEST, USUAL = 4.0, 12.0
#: The longest default appearance that is read.
DEFAULT_CHARACTERS = 1_000

#: How the names of fonts tell of their kind.
FAMILIES = (
    (re.compile(r"zapf|zadb|dingbat", re.I), "ZapfDingbats"),
    (re.compile(r"cour|mono|consol|typewriter", re.I), "Courier"),
    (re.compile(r"tim|tiro|serif(?!.*sans)|roman|georgia|garamond|palatino|bookman|minion|cambria", re.I), "Times"),
)
STYLED = {
    "Helvetica": ("Helvetica", "Helvetica-Bold", "Helvetica-Oblique", "Helvetica-BoldOblique"),
    "Courier": ("Courier", "Courier-Bold", "Courier-Oblique", "Courier-BoldOblique"),
    "Times": ("Times-Roman", "Times-Bold", "Times-Italic", "Times-BoldItalic"),
    "ZapfDingbats": ("ZapfDingbats",) * 4,
}
#: For what the standard fonts lack (Greek, Cyrillic, ...): the first of these that is there.
WIDER_FONTS = (
    Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"),
    Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"),
)
COLOURS = {1: "g", 3: "rg", 4: "k"}


@dataclass(frozen=True)
class Hand:
    """A default appearance: one of the standard fonts, a size (0: as large as fits), the operators for its colour."""

    face: str = "Helvetica"
    size: float = 0.0
    colour: str = "0 g"


def hand(appearance: Any, forms: Any) -> Hand:
    """What a DA string says; its font is looked up in the form's resources."""
    said = text(appearance)[:DEFAULT_CHARACTERS]
    face, size, colour = "Helvetica", 0.0, "0 g"
    if chosen := re.findall(r"/(\S+)\s+(-?[\d.]+)\s+Tf", said):
        key, points = chosen[-1]
        size = abs(number(points))
        base = name(entry(forms, "/DR", "/Font", f"/{key}", "/BaseFont"))
        face = standard_face(base.lstrip("/")[:100] or key[:100])
    if chosen := re.findall(r"((?:-?[\d.]+\s+){1,4})(g|rg|k)(?=\s|$)", said):
        values = [number(value) for value in chosen[-1][0].split()]
        if COLOURS.get(len(values)) == chosen[-1][1]:
            colour = f"{written(*values)} {chosen[-1][1]}"
    return Hand(face, size, colour)


def standard_face(font: str) -> str:
    """The standard font that is most like the one with this name."""
    family = next((family for pattern, family in FAMILIES if pattern.search(font)), "Helvetica")
    bold = bool(re.search(r"bold|black|heavy|[,-]b|^hebo|^tibo|^cobo", font, re.I))
    slanted = bool(re.search(r"ital|obli|^heo|^heob|^tibi|^tiit|^coob", font, re.I))
    return STYLED[family][bold + 2 * slanted]


class Fonts:
    """The fonts of one document that it did not bring itself, each made once."""

    def __init__(self, document: pikepdf.Pdf) -> None:
        self.document = document
        self.made: dict[str, pikepdf.Object] = {}
        self.wider: list[str] = []

    def line(self, words: str, face: str, size: float, left: float, baseline: float) -> tuple[str, set[str]]:
        """Operators that show a line of text, and the names of the fonts that they need."""
        shown, used = [f"BT 1 0 0 1 {written(left, baseline)} Tm"], set()
        for font, codes in self._coded(words, face):
            used.add(font)
            shown.append(f"/{font} {written(size)} Tf <{codes.hex()}> Tj")
        return " ".join([*shown, "ET"]), used

    def resources(self, used: set[str]) -> pikepdf.Dictionary:
        return pikepdf.Dictionary(Font=pikepdf.Dictionary({f"/{font}": self._font(font) for font in sorted(used)}))

    def _coded(self, words: str, face: str) -> list[tuple[str, bytes]]:
        if (codes := _in_standard(words, face)) is not None:
            return [(face, codes)]
        pieces: list[tuple[str, bytes]] = []
        for character in words:
            font, code = self._code(character, face)
            if pieces and pieces[-1][0] == font:
                pieces[-1] = (font, pieces[-1][1] + code)
            else:
                pieces.append((font, code))
        return pieces

    def _code(self, character: str, face: str) -> tuple[str, bytes]:
        if (code := _in_standard(character, face)) is not None:
            return face, code
        if ord(character) > 0xFFFF or _wider_font() is None:
            return face, b"?"
        if character not in self.wider:
            self.wider.append(character)
        volume, place = divmod(self.wider.index(character), 255)
        return f"Wider{volume}", bytes([place + 1])

    def _font(self, font: str) -> pikepdf.Object:
        """Those with wider characters are made anew each time: they may have got more of them."""
        if font.startswith("Wider"):
            return self._wider_volume(int(font.removeprefix("Wider")))
        if font not in self.made:
            made = pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name(f"/{font}")
            )
            if font != "ZapfDingbats":
                made["/Encoding"] = pikepdf.Name.WinAnsiEncoding
            self.made[font] = self.document.make_indirect(made)
        return self.made[font]

    def _wider_volume(self, volume: int) -> pikepdf.Object:
        characters = self.wider[255 * volume : 255 * (volume + 1)]
        glyphs = [pikepdf.Name(f"/uni{ord(character):04X}") for character in characters]
        key = f"Wider{volume}"
        if key not in self.made:
            font_file = self.made.get("file")
            if font_file is None:
                path = _wider_font()
                assert path is not None  # or _code would have given no volume
                data = path.read_bytes()
                font_file = self.made["file"] = self.document.make_stream(data, Length1=len(data))
            descriptor = pikepdf.Dictionary(
                Type=pikepdf.Name.FontDescriptor,
                FontName=pikepdf.Name.FaxWider,
                Flags=32,
                FontBBox=pikepdf.Array([-1000, -300, 2000, 1000]),
                ItalicAngle=0,
                Ascent=900,
                Descent=-250,
                CapHeight=720,
                StemV=80,
                FontFile2=font_file,
            )
            font = pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.TrueType, BaseFont=pikepdf.Name.FaxWider, FirstChar=1
            )
            font["/FontDescriptor"] = self.document.make_indirect(descriptor)
            self.made[key] = self.document.make_indirect(font)
        made = self.made[key]
        made["/LastChar"] = len(characters)
        made["/Widths"] = pikepdf.Array([round(width(character) * 1000) for character in characters])
        made["/Encoding"] = pikepdf.Dictionary(
            Type=pikepdf.Name.Encoding,
            BaseEncoding=pikepdf.Name.WinAnsiEncoding,
            Differences=pikepdf.Array([1, *glyphs]),
        )
        return made


def _in_standard(words: str, face: str) -> bytes | None:
    """The codes that a standard font has for them, if it has all."""
    try:
        return words.encode("latin-1" if face == "ZapfDingbats" else "cp1252")
    except UnicodeEncodeError:
        return None


@cache
def _wider_font() -> Path | None:
    return next((path for path in WIDER_FONTS if path.is_file()), None)


# ---- Measures


def width(words: str, face: str = "Helvetica") -> float:
    """Of a line, at a size of one."""
    widths = _widths(face)
    if (codes := _in_standard(words, face)) is not None:
        return sum(map(widths.__getitem__, codes))
    return sum(widths[code[0]] if (code := _in_standard(sign, face)) else _wider_width(sign) for sign in words)


@cache
def _widths(face: str) -> list[float]:
    """Of the 256 codes of a standard font, asked of who will draw them."""
    document = raw.FPDF_CreateNewDocument()
    try:
        font, found, widths = raw.FPDFText_LoadStandardFont(document, face.encode()), ctypes.c_float(), []
        for code in range(256):
            sign = bytes([code]).decode("cp1252", "replace") if face != "ZapfDingbats" else chr(code)
            known = raw.FPDFFont_GetGlyphWidth(font, ord(sign), 1000.0, ctypes.byref(found))
            widths.append(found.value / 1000 if known else 0.6)
        raw.FPDFFont_Close(font)
        return widths
    finally:
        raw.FPDF_CloseDocument(document)


@cache
def _wider_width(character: str) -> float:
    path = _wider_font()
    return ImageFont.truetype(str(path), 100).getlength(character) / 100 if path else 0.6


def lines(words: str) -> list[str]:
    """As its author broke them."""
    return [
        "".join(sign for sign in line.expandtabs(4) if sign.isprintable() or sign == " ")
        for line in re.split(r"\r\n|\r|\n|\u2028|\u2029", words)
    ]


def wrapped(words: str, face: str, size: float, room: float) -> list[str]:
    """In lines of ``room`` points, broken between words, or within one that is longer than a line."""
    found, room = [], room / size
    for paragraph in _measured(words, face):
        line, taken = "", 0.0
        for word, needed in paragraph:
            if taken + needed <= room:
                line, taken = line + word, taken + needed
                continue
            if line:
                found.append(line)
            line, taken = word.lstrip(), width(word.lstrip(), face)
            while taken > room and (fitting := _fitting(line, face, room)) < len(line):
                found.append(line[:fitting])
                line = line[fitting:]
                taken = width(line, face)
        found.append(line)
    return found


@lru_cache(maxsize=4)
def _measured(words: str, face: str) -> list[list[tuple[str, float]]]:
    """The words of each paragraph, with the space before them, and their widths."""
    return [
        [(word, width(word, face)) for word in re.findall(r"\s*\S+", paragraph.rstrip())] for paragraph in lines(words)
    ]


def _fitting(line: str, face: str, room: float) -> int:
    """How many characters of it go into ``room``, in sizes; one at least."""
    taken = 0.0
    for count, sign in enumerate(line):
        taken += width(sign, face)
        if taken > room:
            return max(1, count)
    return len(line)
