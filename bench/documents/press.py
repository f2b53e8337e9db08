"""What every generated page is drawn with: fonts and palettes to choose from, words to set, a page to draw on.

Lengths are points (72 to the inch) from the lower left corner, as PDF has them; colours are ``#rrggbb``. All choices
come from one ``random.Random``, so that a seed gives the same bytes again.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, LETTER
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.pdfgen.canvas import Canvas

FONT_FOLDER = Path("/usr/share/fonts")

#: Family → regular, bold, italic. Those of every PDF reader are not embedded, as office programs leave them.
STANDARD = {
    "Helvetica": ("Helvetica", "Helvetica-Bold", "Helvetica-Oblique"),
    "Times": ("Times-Roman", "Times-Bold", "Times-Italic"),
    "Courier": ("Courier", "Courier-Bold", "Courier-Oblique"),
}
TRUETYPE = {
    "DejaVu Sans": ("dejavu/DejaVuSans", "dejavu/DejaVuSans-Bold", "dejavu/DejaVuSans-Oblique"),
    "DejaVu Condensed": (
        "dejavu/DejaVuSansCondensed",
        "dejavu/DejaVuSansCondensed-Bold",
        "dejavu/DejaVuSansCondensed-Oblique",
    ),
    "DejaVu Serif": ("dejavu/DejaVuSerif", "dejavu/DejaVuSerif-Bold", "dejavu/DejaVuSerif-Italic"),
    "Liberation Sans": (
        "liberation/LiberationSans-Regular",
        "liberation/LiberationSans-Bold",
        "liberation/LiberationSans-Italic",
    ),
    "Liberation Serif": (
        "liberation/LiberationSerif-Regular",
        "liberation/LiberationSerif-Bold",
        "liberation/LiberationSerif-Italic",
    ),
    "Liberation Narrow": (
        "liberation/LiberationSansNarrow-Regular",
        "liberation/LiberationSansNarrow-Bold",
        "liberation/LiberationSansNarrow-Italic",
    ),
}
TYPE1 = {
    "Palladio": ("P052-Roman", "P052-Bold", "P052-Italic"),
    "Schoolbook": ("C059-Roman", "C059-Bold", "C059-Italic"),
    "Bookman": ("URWBookman-Light", "URWBookman-Demi", "URWBookman-LightItalic"),
    "Gothic": ("URWGothic-Book", "URWGothic-Demi", "URWGothic-BookOblique"),
}

#: The accents of Office (2007, 2013, 2023), of other office programs, of charting libraries, and some of no program.
PALETTES: dict[str, tuple[str, ...]] = {
    "office 2007": ("#4f81bd", "#c0504d", "#9bbb59", "#8064a2", "#4bacc6", "#f79646", "#1f497d", "#eeece1"),
    "office 2013": ("#4472c4", "#ed7d31", "#a5a5a5", "#ffc000", "#5b9bd5", "#70ad47", "#44546a", "#e7e6e6"),
    "office 2023": ("#156082", "#e97132", "#196b24", "#0f9ed5", "#a02b93", "#4ea72e", "#0e2841", "#e8e8e8"),
    "libre": ("#004586", "#ff420e", "#ffd320", "#579d1c", "#7e0021", "#83caff", "#314004", "#aecf00"),
    "web": ("#4285f4", "#db4437", "#f4b400", "#0f9d58", "#ab47bc", "#00acc1", "#ff7043", "#9e9d24"),
    "tableau": ("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#9c755f"),
    "python": ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"),
    "pastel": ("#aec7e8", "#ffbb78", "#98df8a", "#ff9896", "#c5b0d5", "#c49c94", "#f7b6d2", "#dbdb8d"),
    "greys": ("#1a1a1a", "#4d4d4d", "#737373", "#8c8c8c", "#a6a6a6", "#bfbfbf", "#d9d9d9", "#efefef"),
    "blues": ("#08306b", "#08519c", "#2171b5", "#4292c6", "#6baed6", "#9ecae1", "#c6dbef", "#deebf7"),
    "warm": ("#7f0000", "#b30000", "#d7301f", "#ef6548", "#fc8d59", "#fdbb84", "#fdd49e", "#fee8c8"),
    "clinic": ("#00857c", "#5bc2b5", "#b4dcd8", "#003b49", "#f2a900", "#d0d3d4", "#7a99ac", "#e8f4f2"),
}
#: A page in black and white, with a single colour in it at the most.
SOBER = ("#000000", "#333333", "#666666", "#999999", "#cccccc", "#e6e6e6", "#1f3864", "#8b0000")

WORDS = (
    "account address advance agency agenda agreement amount analysis annual answer appendix application approval "
    "archive article assembly attached audit average balance bank banner basic battery benefit bicycle board branch "
    "bridge budget building business calendar capital carrier castle catalogue category centre certificate change "
    "charge chemist choice circle claim clerk client climate clinic colour column comment committee company complete "
    "concert condition conference confirm contact content contract control copper corner council country course court "
    "customer damage daughter decision delivery demand department deposit design detail diagnosis dinner direct "
    "director discount discuss doctor document domestic drawing driver during economy edition education electric "
    "energy engine equipment estimate evening event evidence example exchange expense export express factory family "
    "father figure final finance flower follow foreign forest forward freight garden general glass government group "
    "growth hammer harbour health heating history holiday hospital hotel house hundred import income increase "
    "industry inform inside insurance interest invoice island issue journal journey judge kitchen laboratory language "
    "laptop leader learning leather letter library licence limited liquid local machine manager margin market master "
    "material measure medical meeting member message method middle million minister minute mobile model modern moment "
    "money month morning mother motor mountain museum music national nature network north notice number object office "
    "official operator orange order organ original owner packet palace paper parcel partner patient payment pension "
    "people percent period person picture plastic police policy position postal pressure price printer private problem "
    "product profit program project property protect public purchase quality quarter question railway reason receipt "
    "receive record region register regular remain report request research resident result return revenue river safety "
    "salary sample schedule school season secretary section security service shipping signature silver single society "
    "source south special standard station storage street student subject summary summer supplier support surface "
    "surgery system target teacher technical telephone theatre thousand ticket timber total tower traffic training "
    "transfer transport travel treatment turnover union urgent valley value vehicle village volume warehouse warning "
    "water weather welcome western window winter witness woman worker yellow"
).split()
NAMES = (
    "Anderson Baker Bennett Carter Coleman Fischer Foster Garcia Hansen Harrison Hoffmann Jensen Keller Lambert Larsen "
    "Martin Mercier Meyer Morgan Murray Novak Palmer Parker Richter Romano Schneider Sullivan Turner Walker Weber"
).split()
PLACES = (
    "Amsterdam Antwerp Barcelona Berlin Bristol Copenhagen Dresden Dublin Florence Geneva Hamburg Helsinki Leeds "
    "Lisbon London Lyon Madrid Milan Munich Oslo Paris Porto Prague Stuttgart Trieste Turin Utrecht Vienna Warsaw"
).split()
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

#: What else stands on pages: on forms, in letters, under pictures, in programs' windows.
PHRASES = (
    "draft copy confidential sample paid void urgent original internal approved received page figure quarter place "
    "date signature dear with kind regards your reference road street telephone ltd file edit view insert format tools "
    "window help inbox drafts sent archive junk deleted reports invoices main errors warnings cancel save info warn "
    "debug sudo grep cat without the and for kept self none return get sorted key len raise value error class base "
    "import timeout print sep terminal https www example jan feb mar apr may jun jul aug sep oct nov dec sum sqm"
).split()
#: All words of three letters or more that a page can bear.
VOCABULARY = frozenset(word.lower() for word in (*WORDS, *NAMES, *PLACES, *MONTHS, *PHRASES) if len(word) >= 3)


@dataclass(frozen=True)
class Family:
    regular: str
    bold: str
    italic: str


@cache
def families() -> dict[str, Family]:
    """Those that this machine has; the standard ones always."""
    found = {name: Family(*faces) for name, faces in STANDARD.items()}
    for name, faces in TRUETYPE.items():
        with suppress(TTFError):
            for face in faces:
                pdfmetrics.registerFont(TTFont(Path(face).name, str(FONT_FOLDER / "truetype" / f"{face}.ttf")))
            found[name] = Family(*(Path(face).name for face in faces))
    for name, faces in TYPE1.items():
        if all(_register_type1(face) for face in faces):
            found[name] = Family(*faces)
    return found


def _register_type1(face: str) -> bool:
    metrics, outlines = (FONT_FOLDER / "X11/Type1" / f"{face}{suffix}" for suffix in (".afm", ".pfb"))
    if not (metrics.exists() and outlines.exists()):
        return False
    pdfmetrics.registerTypeFace(pdfmetrics.EmbeddedType1Face(str(metrics), str(outlines)))
    pdfmetrics.registerFont(pdfmetrics.Font(face, face, "WinAnsiEncoding"))
    return True


def truetype_file(choose: Random, *, bold: bool | None = None) -> Path:
    """For who draws letters as pixels or as outlines."""
    faces = choose.choice(sorted(TRUETYPE.values()))
    face = faces[choose.random() < 0.4 if bold is None else bold]
    return FONT_FOLDER / "truetype" / f"{face}.ttf"


# ---- Words


def words(choose: Random, count: int) -> list[str]:
    return [choose.choice(WORDS) for _ in range(count)]


def phrase(choose: Random, least: int = 2, most: int = 5) -> str:
    return " ".join(words(choose, choose.randint(least, most))).capitalize()


def sentences(choose: Random, count: int) -> str:
    """About ``count`` words, in sentences."""
    made: list[str] = []
    while count > 0:
        length = min(count, choose.randint(6, 14))
        made.append(phrase(choose, length, length) + ".")
        count -= length
    return " ".join(made)


def amount(choose: Random) -> str:
    return f"{choose.randint(1, 99999):,}.{choose.randint(0, 99):02d}"


def date(choose: Random) -> str:
    return f"{choose.randint(1, 28)} {choose.choice(MONTHS)} {choose.randint(2019, 2027)}"


def reference(choose: Random) -> str:
    return f"{choose.choice('ABEKMRT')}{choose.randint(2019, 2027)}-{choose.randint(1000, 99999)}"


def person(choose: Random) -> str:
    return f"{choose.choice(('Mr', 'Mrs', 'Dr', 'Ms'))} {choose.choice(NAMES)}"


# ---- Colours


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def luminance(colour: str) -> float:
    """0 is black, 1 is white."""
    red, green, blue = rgb(colour)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def mixed(colour: str, other: str, share: float) -> str:
    """``share`` of the other colour."""
    pairs = zip(rgb(colour), rgb(other), strict=True)
    return "#" + "".join(f"{round(own + (their - own) * share):02x}" for own, their in pairs)


def lighter(colour: str, share: float) -> str:
    return mixed(colour, "#ffffff", share)


def darker(colour: str, share: float) -> str:
    return mixed(colour, "#000000", share)


def readable_on(ground: str, choose: Random | None = None) -> str:
    """White or a dark ink, as office programs choose: white up to a light middle tone."""
    limit = 0.62 if choose is None else choose.uniform(0.5, 0.72)
    return "#ffffff" if luminance(ground) < limit else "#000000"


# ---- A page


class Draft:
    """One page. ``written`` is what was set, so that a scan can carry it as a hidden layer."""

    def __init__(self, choose: Random, *, size: tuple[float, float] | None = None, landscape: bool = False) -> None:
        self.choose = choose
        across, down = size or choose.choice((A4, A4, A4, LETTER))
        self.width, self.height = (down, across) if landscape else (across, down)
        self.margin = choose.choice((36, 42, 50, 57, 71))
        self.left, self.right = self.margin, self.width - self.margin
        self.y = self.height - self.margin
        self.family = families()[choose.choice(sorted(families()))]
        self.palette = PALETTES[choose.choice(sorted(PALETTES))]
        self.ink = choose.choice(("#000000", "#000000", "#1a1a1a", "#262626", "#333333", "#404040"))
        self.buffer = io.BytesIO()
        self.canvas = Canvas(self.buffer, pagesize=(self.width, self.height), invariant=1, pageCompression=1)
        self.written: list[tuple[float, float, str, str, float]] = []
        self.opacity = 1.0

    @property
    def measure(self) -> float:
        """The width between the margins."""
        return self.right - self.left

    def finish(self) -> bytes:
        self.canvas.showPage()
        self.canvas.save()
        return self.buffer.getvalue()

    def fill(self, colour: str) -> None:
        """What is filled next, and words, have this colour and the page's present ``opacity``."""
        self.canvas.setFillColor(HexColor(colour))
        if self.opacity < 1:
            self.canvas.setFillAlpha(self.opacity)

    @contextmanager
    def see_through(self, opacity: float, mode: str = "Normal") -> Iterator[None]:
        self.canvas.saveState()
        self.canvas.setBlendMode(mode)
        self.opacity = opacity
        yield
        self.opacity = 1.0
        self.canvas.restoreState()

    def text_width(self, text: str, size: float, font: str | None = None) -> float:
        return pdfmetrics.stringWidth(text, font or self.family.regular, size)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 10,
        *,
        ink: str | None = None,
        font: str | None = None,
        align: str = "left",
    ) -> float:
        """Gives the x at which the text ends."""
        font = font or self.family.regular
        width = self.text_width(text, size, font)
        x -= {"left": 0.0, "centre": width / 2, "right": width}[align]
        self.fill(ink or self.ink)
        self.canvas.setFont(font, size)
        self.canvas.drawString(x, y, text)
        self.written.append((x, y, text, font, size))
        return x + width

    def wrapped(self, text: str, width: float, size: float, font: str | None = None) -> list[str]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and self.text_width(longer, size, font) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    def paragraph(
        self,
        text: str,
        size: float = 10,
        *,
        x: float | None = None,
        width: float | None = None,
        ink: str | None = None,
        font: str | None = None,
        leading: float = 1.3,
        after: float = 0.7,
    ) -> None:
        """From ``self.y`` down, which it lowers; stops at the lower margin."""
        x, width = self.left if x is None else x, self.measure if width is None else width
        for line in self.wrapped(text, width, size, font):
            if self.y - size * leading < self.margin * 0.7:
                break
            self.y -= size * leading
            self.write(x, self.y, line, size, ink=ink, font=font)
        self.y -= size * after

    def title(self, text: str | None = None, size: float | None = None, ink: str | None = None) -> None:
        choose = self.choose
        size = size or choose.choice((14, 16, 18, 20, 22, 24))
        ink = ink or choose.choice((self.ink, self.palette[0], darker(self.palette[0], 0.3), self.palette[6]))
        font = choose.choice((self.family.bold, self.family.bold, self.family.regular))
        self.paragraph(text or phrase(choose, 2, 4), size, ink=ink, font=font, leading=1.15, after=0.6)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str | None = None,
        stroke: str | None = None,
        line: float = 0.5,
        radius: float = 0,
    ) -> None:
        canvas = self.canvas
        if fill:
            self.fill(fill)
        if stroke:
            canvas.setStrokeColor(HexColor(stroke))
            canvas.setLineWidth(line)
        if radius:
            canvas.roundRect(x, y, width, height, radius, stroke=bool(stroke), fill=bool(fill))
        else:
            canvas.rect(x, y, width, height, stroke=bool(stroke), fill=bool(fill))

    def line(
        self, x1: float, y1: float, x2: float, y2: float, stroke: str, line: float = 0.5, dash: Sequence[float] = ()
    ) -> None:
        self.canvas.setStrokeColor(HexColor(stroke))
        self.canvas.setLineWidth(line)
        self.canvas.setDash(*([list(dash)] if dash else []))
        self.canvas.line(x1, y1, x2, y2)
        self.canvas.setDash()

    def polygon(
        self,
        points: Iterable[tuple[float, float]],
        fill: str | None = None,
        stroke: str | None = None,
        line: float = 1,
        closed: bool = True,
    ) -> None:
        path = self.canvas.beginPath()
        for index, (x, y) in enumerate(points):
            (path.lineTo if index else path.moveTo)(x, y)
        if closed:
            path.close()
        if fill:
            self.fill(fill)
        if stroke:
            self.canvas.setStrokeColor(HexColor(stroke))
            self.canvas.setLineWidth(line)
        self.canvas.drawPath(path, stroke=bool(stroke), fill=bool(fill))

    def image(self, data: bytes, x: float, y: float, width: float, height: float, *, alpha: bool = False) -> None:
        """The bytes of a JPEG or PNG file."""
        self.canvas.drawImage(
            ImageReader(io.BytesIO(data)),
            x,
            y,
            width,
            height,
            mask="auto" if alpha else None,
            preserveAspectRatio=False,
        )

    def footer(self) -> None:
        choose = self.choose
        if choose.random() < 0.6:
            ink = choose.choice(("#7f7f7f", "#999999", self.ink, "#595959"))
            size = choose.choice((7, 7.5, 8, 9))
            y = self.margin * 0.5
            self.write(self.left, y, f"{phrase(choose, 2, 3)} {date(choose)}", size, ink=ink)
            self.write(self.right, y, f"Page {choose.randint(1, 40)} of 40", size, ink=ink, align="right")
