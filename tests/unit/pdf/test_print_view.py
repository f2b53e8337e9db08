"""What is printed of a PDF: annotations, fields, layers and boxes. The pages are drawn and looked at."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pypdfium2.raw as raw
import pytest
from pikepdf import Array, Dictionary, Name, String

from app.adapters.pdf.print_view import as_printed
from tests.documents import pdf, written

pytestmark = pytest.mark.filterwarnings("ignore:This document has")

HIDDEN, PRINT, NO_ROTATE, NO_VIEW, TOGGLE = 2, 4, 16, 32, 256
#: Where annotations stand if nothing else is said, and in shares of the page from its upper left corner.
RECT = [100, 600, 300, 640]
PLACE = (100 / 600, 160 / 800, 300 / 600, 200 / 800)


def fonts() -> Dictionary:
    helvetica = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
    return Dictionary(Font=Dictionary(F=helvetica))


def document(
    content: str = "BT /F 12 Tf 50 740 Td (Ordinary words) Tj ET",
    annotations: Iterable[Dictionary] = (),
    *,
    box: list[float] | None = None,
    **entries: Any,
) -> pikepdf.Pdf:
    """One page of 600 by 800 points."""
    made = pikepdf.new()
    page = made.add_blank_page(page_size=(600, 800))
    page.obj["/Contents"], page.obj["/Resources"] = made.make_stream(content.encode()), fonts()
    if box is not None:
        page.obj["/MediaBox"] = Array(box)
    for key, value in entries.items():
        page.obj[f"/{key}"] = value
    listed = [made.make_indirect(annotation) for annotation in annotations]
    if listed:
        page.obj["/Annots"] = Array(listed)
    return made


def annotation(kind: str, rect: list[float] = RECT, *, flags: int = PRINT, **entries: Any) -> Dictionary:
    made = Dictionary(Type=Name.Annot, Subtype=Name(f"/{kind}"), Rect=Array(rect), F=flags)
    for key, value in entries.items():
        made[f"/{key}"] = value
    return made


def field(kind: str = "Tx", rect: list[float] = RECT, *, flags: int = PRINT, **entries: Any) -> Dictionary:
    given = {"T": String("field"), "DA": String("/Helv 12 Tf 0 g"), **entries}
    return annotation("Widget", rect, flags=flags, FT=Name(f"/{kind}"), **given)


def appearance(made: pikepdf.Pdf, content: str, box: list[float] | None = None, **entries: Any) -> Dictionary:
    """An AP with one normal appearance of 200 by 40."""
    return Dictionary(N=form(made, content, box, **entries))


def form(made: pikepdf.Pdf, content: str, box: list[float] | None = None, **entries: Any) -> pikepdf.Stream:
    stream = made.make_stream(content.encode())
    stream["/Type"], stream["/Subtype"] = Name.XObject, Name.Form
    stream["/BBox"], stream["/Resources"] = Array(box or [0, 0, 200, 40]), fonts()
    for key, value in entries.items():
        stream[f"/{key}"] = value
    return stream


WORD = "BT /F 20 Tf 5 12 Td (APPEARANCE) Tj ET"
FILLED = "0 g 0 0 200 40 re f"


def with_appearance(kind: str = "Stamp", content: str = FILLED, *, flags: int = PRINT, **entries: Any) -> pikepdf.Pdf:
    made = document()
    shown = annotation(kind, flags=flags, AP=appearance(made, content), **entries)
    made.pages[0].obj["/Annots"] = Array([made.make_indirect(shown)])
    return made


def with_form(made: pikepdf.Pdf, **entries: Any) -> pikepdf.Pdf:
    """Of all widgets on the first page."""
    fields = Array(list(made.pages[0].obj["/Annots"]))
    made.Root["/AcroForm"] = Dictionary({"/Fields": fields, **{f"/{key}": value for key, value in entries.items()}})
    return made


class Printed:
    """The print view of a document, as pdfium draws it."""

    def __init__(self, made: pikepdf.Pdf | Path, folder: Path) -> None:
        self.source = made if isinstance(made, Path) else folder / "given.pdf"
        if isinstance(made, pikepdf.Pdf):
            made.save(self.source)
        self.path = as_printed(self.source, folder / "printed.pdf")
        self.pages = pdfium.PdfDocument(self.path)
        self.drawn: dict[int, np.ndarray] = {}

    @property
    def is_the_source(self) -> bool:
        return self.path == self.source

    def words(self, page: int = 0) -> str:
        return " ".join(self.pages[page].get_textpage().get_text_range().split())

    def grey(self, page: int = 0) -> np.ndarray:
        """A pixel to the point."""
        if page not in self.drawn:
            width, height = (max(1, round(side)) for side in self.pages[page].get_size())
            bitmap = pdfium.PdfBitmap.new_native(width, height, raw.FPDFBitmap_Gray)
            pixels = bitmap.to_numpy()
            pixels[:] = 255
            flags = raw.FPDF_ANNOT | raw.FPDF_PRINTING | raw.FPDF_GRAYSCALE
            raw.FPDF_RenderPageBitmap(bitmap, self.pages[page], 0, 0, width, height, 0, flags)
            self.drawn[page] = pixels.reshape(height, width).astype(float)
        return self.drawn[page]

    def ink(self, place: tuple[float, float, float, float] = (0, 0, 1, 1), page: int = 0) -> float:
        """Share of black in a part of the page: left, top, right, bottom as shares from the upper left corner."""
        grey = self.grey(page)
        left, top, right, bottom = (
            round(share * side) for share, side in zip(place, grey.shape[::-1] * 2, strict=True)
        )
        return 1 - float(grey[top:bottom, left:right].mean()) / 255


@pytest.fixture
def printed(tmp_path: Path):
    return lambda made: Printed(made, tmp_path)


# ---- What has nothing to change


def test_an_ordinary_document_is_given_back_as_it_is(printed, tmp_path):
    assert printed(written(tmp_path, pdf(pages=3))).is_the_source


@pytest.mark.parametrize("border", [{"Border": Array([0, 0, 0])}, {"BS": Dictionary(W=0)}])
def test_links_without_a_border_cost_nothing(printed, border):
    assert printed(document(annotations=[annotation("Link", **border)])).is_the_source


def test_a_file_that_cannot_be_read_is_given_back(printed, tmp_path):
    assert as_printed(written(tmp_path, b"%PDF-1.4 broken"), tmp_path / "printed.pdf") == tmp_path / "document"
    assert not (tmp_path / "printed.pdf").exists()


# ---- Annotation flags


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (PRINT, True),
        (0, False),
        (PRINT | HIDDEN, False),
        (PRINT | NO_VIEW, True),
        (NO_VIEW, False),
        (PRINT | NO_VIEW | TOGGLE, True),
        (HIDDEN, False),
    ],
)
@pytest.mark.parametrize("kind", ["Stamp", "Widget", "FreeText"])
def test_an_annotation_is_printed_by_its_flags_whatever_the_screen_shows(printed, kind, flags, shown):
    page = printed(with_appearance(kind, flags=flags))
    assert (page.ink(PLACE) > 0.9) == shown


@pytest.mark.parametrize("kind", ["Popup", "Text", "FileAttachment", "Sound"])
def test_icons_of_notes_and_attachments_are_not_printed(printed, kind):
    assert printed(with_appearance(kind)).ink(PLACE) == 0


def test_what_no_viewer_knows_is_printed_by_its_appearance_unless_it_is_invisible(printed):
    assert printed(with_appearance("Sparkle")).ink(PLACE) > 0.9
    assert printed(with_appearance("Sparkle", flags=PRINT | 1)).ink(PLACE) == 0


def test_words_of_annotations_and_fields_become_words_of_the_page(printed):
    assert printed(with_appearance("Widget", WORD)).words() == "Ordinary words APPEARANCE"
    assert printed(with_form(with_appearance("Widget", WORD))).words() == "Ordinary words APPEARANCE"


# ---- Where appearances stand


def test_an_appearance_is_laid_on_its_rectangle_whatever_its_box_and_matrix(printed):
    made = document()
    stretched = appearance(made, "0 g 10 10 5 5 re f", [10, 10, 15, 15])
    turned = appearance(made, "0 g 0 0 40 100 re f", [0, 0, 40, 200], Matrix=Array([0, 1, -1, 0, 7, 9]))
    made.pages[0].obj["/Annots"] = Array(
        [annotation("Stamp", AP=stretched), annotation("Stamp", [100, 100, 300, 140], AP=turned)]
    )
    page = printed(made)
    assert page.ink(PLACE) > 0.98
    assert page.ink((100 / 600, 660 / 800, 200 / 600, 700 / 800)) < 0.02  # turned to the left: the filled half is right
    assert page.ink((200 / 600, 660 / 800, 300 / 600, 700 / 800)) > 0.98
    assert abs(page.ink() - (200 * 40 + 100 * 40) / 480_000) < 0.005


@pytest.mark.parametrize("content", ["q q 0.5 0 0 0.5 50 90 cm", "2 0 0 2 0 0 cm", "q 0 0 10 10 re W n", "Q Q Q", "BT"])
def test_what_the_page_leaves_behind_does_not_move_or_hide_annotations(printed, content):
    made = with_appearance()
    made.pages[0].obj["/Contents"] = made.make_stream(content.encode())
    assert printed(made).ink(PLACE) > 0.98


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_annotations_turn_with_the_page(printed, turn):
    made = with_appearance()
    made.pages[0].obj["/Rotate"] = turn
    left, top, right, bottom = PLACE
    for _ in range(turn // 90):
        left, top, right, bottom = 1 - bottom, left, 1 - top, right
    assert printed(made).ink((left, top, right, bottom)) > 0.97


def test_one_that_does_not_turn_hangs_upright_from_its_corner(printed):
    made = with_appearance(flags=PRINT | NO_ROTATE)
    made.pages[0].obj["/Rotate"] = 90
    page = printed(made)  # the corner (100, 640) is at 640 from the left and 100 from the top of 800 by 600
    assert page.ink((640 / 800, 100 / 600, 1, 140 / 600)) > 0.97
    assert page.ink((0, 0, 630 / 800, 1)) < 0.02


def test_a_button_shows_the_state_that_it_is_in(printed):
    made = document()
    states = Dictionary(Yes=form(made, FILLED), Off=form(made, ""))
    for count, entries in enumerate([{"AS": Name.Yes}, {"AS": Name.Off}, {"V": Name.Yes}, {}, {"AS": Name.Other}]):
        rect = [100, 600 - 100 * count, 300, 640 - 100 * count]
        button = field("Btn", rect, AP=Dictionary(N=states), **entries)
        made.pages[0].obj["/Annots"] = Array([*made.pages[0].obj.get("/Annots", []), button])
    page = printed(made)
    shown = [page.ink((1 / 6, (160 + 100 * count) / 800, 1 / 2, (200 + 100 * count) / 800)) > 0.9 for count in range(5)]
    assert shown == [True, False, True, False, False]


def test_a_highlight_darkens_its_words_and_does_not_cover_them(printed):
    made = document("BT /F 30 Tf 105 608 Td (Highlighted) Tj ET")
    before = printed(made).ink(PLACE)
    made.pages[0].obj["/Annots"] = Array([annotation("Highlight", AP=appearance(made, "1 1 0 rg 0 0 200 40 re f"))])
    page = printed(made)
    assert page.ink(PLACE) > before + 0.05
    assert page.grey().min() < 40


# ---- Annotations without an appearance

LINE = [100, 620, 300, 620]
SQUARE = [100, 600, 300, 600, 300, 640, 100, 640]
WITHOUT_APPEARANCE = [
    lambda: annotation("Line", L=Array(LINE), BS=Dictionary(W=3)),
    lambda: annotation("Line", [0, 0, 0, 0], L=Array(LINE), BS=Dictionary(W=3)),
    lambda: annotation("Square", BS=Dictionary(W=2)),
    lambda: annotation("Circle", IC=Array([0]), Border=Array([0, 0, 2])),
    lambda: annotation("Polygon", Vertices=Array(SQUARE), IC=Array([1, 0, 0])),
    lambda: annotation("PolyLine", Vertices=Array(SQUARE)),
    lambda: annotation("Ink", InkList=Array([Array([110, 610, 150, 630, 200, 610]), Array([210, 610])])),
    lambda: annotation("Highlight", C=Array([1, 1, 0])),
    lambda: annotation("Underline", QuadPoints=Array([100, 640, 300, 640, 100, 600, 300, 600])),
    lambda: annotation("Squiggly", QuadPoints=Array([100, 640, 300, 640, 100, 600, 300, 600])),
    lambda: annotation("StrikeOut", QuadPoints=Array([100, 600, 300, 600, 300, 640, 100, 640])),
    lambda: annotation("Caret"),
    lambda: annotation("Stamp"),
    lambda: annotation("Link", Border=Array([0, 0, 1])),
    lambda: annotation("Redact", QuadPoints=Array([100, 640, 300, 640, 100, 600, 300, 600])),
]


@pytest.mark.parametrize("given", WITHOUT_APPEARANCE, ids=lambda given: str(given().Subtype)[1:])
def test_an_annotation_without_an_appearance_is_drawn_by_its_entries(printed, given):
    page = printed(document("", [given()]))
    inside = page.ink(PLACE) * 200 * 40
    assert inside > 40
    assert page.ink() * 480_000 < inside * 2 + 50  # half of a line on the edge is beyond it


def test_a_line_without_width_or_in_white_leaves_no_ink(printed):
    for given in (annotation("Ink", InkList=Array([LINE]), BS=Dictionary(W=0)), annotation("Square", C=Array([1]))):
        assert printed(document("", [given])).ink() == 0


@pytest.mark.parametrize(
    "ending", ["OpenArrow", "ClosedArrow", "Circle", "Square", "Diamond", "Butt", "Slash", "RClosedArrow"]
)
def test_a_line_has_its_endings(printed, ending):
    plain = printed(document("", [annotation("Line", L=Array(LINE), BS=Dictionary(W=2))])).ink()
    ended = annotation("Line", L=Array(LINE), BS=Dictionary(W=2), LE=Array([Name.None_, Name(f"/{ending}")]))
    ended["/LE"][0] = Name("/None")
    page = printed(document("", [ended]))
    assert page.ink() > plain * 1.03
    assert page.ink((280 / 600, 165 / 800, 320 / 600, 176 / 800)) > 0  # above the line, at its second end


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"Name": Name.Approved}, "APPROVED"),
        ({"Name": Name.NotApproved, "Contents": String("not approved")}, "NOT APPROVED"),
        ({"Name": Name.SBConfidential}, "CONFIDENTIAL"),
        ({"Contents": String("Paid on Monday")}, "PAID ON MONDAY"),
        ({"Name": Name("/#8fa"), "Contents": String("Ricevuto")}, "RICEVUTO"),
        ({}, "DRAFT"),
    ],
)
def test_a_stamp_says_its_name_or_what_it_was_given(printed, entries, words):
    assert printed(document("", [annotation("Stamp", **entries)])).words() == words


def test_free_text_is_lettered_in_its_box_however_long_it_is(printed):
    short = annotation("FreeText", Contents=String("Agreed, à bientôt"), DA=String("/Helv 14 Tf 1 0 0 rg"))
    assert printed(document("", [short])).words() == "Agreed, à bientôt"
    sentence = "We have looked at the offer and agree with it in every point but one. "
    long = annotation("FreeText", Contents=String(sentence * 3), DA=String("/Helv 12 Tf 0 g"), Q=1)
    page = printed(document("", [long]))
    assert page.words() == " ".join((sentence * 3).split())
    assert page.ink((0, 0, 1, PLACE[1])) == page.ink((0, PLACE[3] + 0.002, 1, 1)) == 0


def test_free_text_points_to_what_it_is_about(printed):
    call = Array([400, 400, 350, 500, 300, 620])
    page = printed(document("", [annotation("FreeText", Contents=String("Here"), CL=call, LE=Name.OpenArrow)]))
    assert page.ink((380 / 600, 380 / 800, 420 / 600, 405 / 800)) > 0


def test_letters_that_the_standard_fonts_lack_are_there_too(printed):
    page = printed(document("", [annotation("FreeText", Contents=String("Łódź, Привет, Ελλάδα"))]))
    assert page.words() == "Łódź, Привет, Ελλάδα"
    plain = printed(document("", [annotation("FreeText", Contents=String("Łódź"))]))
    assert page.ink() > plain.ink() * 1.2


def test_marks_written_in_columns_are_ruled_along_the_text(printed):
    quads = [edge for left in range(100, 200, 8) for edge in (left, 600, left, 612, left + 8, 600, left + 8, 612)]
    page = printed(document("", [annotation("StrikeOut", [100, 600, 204, 612], QuadPoints=Array(quads))]))
    grey = page.grey()
    assert (grey[188:200, 100:204] < 200).any(axis=1).sum() <= 2


# ---- Form fields


def test_a_field_on_a_page_without_a_form_is_printed(printed):
    assert "Neri Luca" in printed(document(annotations=[field(V=String("Neri Luca"))])).words()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"V": String("Neri Luca")}, "Neri Luca"),
        ({"V": String("Città è già")}, "Città è già"),
        ({"V": String("secret"), "Ff": 1 << 13}, "******"),
        ({"V": String("IT60X05"), "Ff": 1 << 24, "MaxLen": 10}, "I T 6 0 X 0 5"),
        ({"V": String("first\rsecond"), "Ff": 1 << 12}, "first second"),
        ({"V": String("a word " * 30), "Ff": 1 << 12, "DA": String("/Helv 0 Tf 0 g")}, ("a word " * 30).strip()),
        ({"V": String("a value that is longer than its field of two hundred points")}, None),
        ({"DV": String("not the value")}, ""),
    ],
)
def test_a_text_field_without_an_appearance_shows_its_value(printed, entries, words):
    page = printed(with_form(document("", [field(**entries)])))
    wanted = words if words is not None else str(entries["V"])
    assert page.words() == wanted
    assert page.ink((0, 0, 1, PLACE[1])) == page.ink((0, PLACE[3], 1, 1)) == 0


@pytest.mark.parametrize(("lean", "side"), [(0, 0), (1, 1), (2, 2)])
def test_a_value_leans_as_its_field_says(printed, lean, side):
    page = printed(document("", [field(V=String("III"), Q=lean)]))
    thirds = [page.ink(((100 + 67 * at) / 600, PLACE[1], (167 + 67 * at) / 600, PLACE[3])) for at in range(3)]
    assert max(range(3), key=thirds.__getitem__) == side


def test_a_choice_shows_the_words_for_its_value(printed):
    options = Array([Array([String("it"), String("Italy")]), Array([String("fr"), String("France")])])
    assert printed(document("", [field("Ch", V=String("it"), Opt=options, Ff=1 << 17)])).words() == "Italy"
    box = printed(document("", [field("Ch", V=String("it"), Opt=options)]))
    assert box.words() == "Italy France"


def test_values_are_found_in_the_field_that_a_widget_belongs_to(printed):
    made = document("", [annotation("Widget")])
    above = made.make_indirect(
        Dictionary(FT=Name.Tx, T=String("a"), V=String("From above"), DA=String("/Helv 9 Tf 0 g"))
    )
    made.pages[0].obj["/Annots"][0]["/Parent"] = above
    above["/Parent"] = above  # and a circle does no harm
    assert printed(made).words() == "From above"


def test_an_appearance_that_is_out_of_date_gives_way_to_the_value(printed):
    made = document("", [])
    made.pages[0].obj["/Annots"] = Array([made.make_indirect(field(V=String("New"), AP=appearance(made, WORD)))])
    assert printed(with_form(made, NeedAppearances=True)).words() == "New"
    assert printed(with_form(made, NeedAppearances=False)).words() == "APPEARANCE"


def test_an_empty_appearance_does_not_hide_a_value(printed):
    made = document("", [])
    empty = appearance(made, "/Tx BMC q Q EMC")
    made.pages[0].obj["/Annots"] = Array([made.make_indirect(field(V=String("Filled in"), AP=empty))])
    assert printed(with_form(made)).words() == "Filled in"


@pytest.mark.parametrize(("state", "shown"), [(Name.Yes, True), (Name.Off, False)])
@pytest.mark.parametrize("flags", [0, 1 << 15])
def test_a_box_without_an_appearance_is_ticked_when_it_is_on(printed, state, shown, flags):
    look = Dictionary(BC=Array([0]), CA=String("4"))
    page = printed(document("", [field("Btn", [100, 600, 120, 620], AS=state, MK=look, Ff=flags)]))
    inner = page.ink((104 / 600, 184 / 800, 116 / 600, 196 / 800))
    assert (inner > 0.1) == shown
    assert page.ink() > 0


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_turned_field_is_lettered_in_its_direction(printed, turn):
    rect = [100, 600, 140, 800] if turn % 180 else RECT
    page = printed(document("", [field(rect=rect, V=String("IIIIIIIIIIII"), MK=Dictionary(R=turn))]))
    inked = np.argwhere(page.grey() < 128)
    height, width = inked.max(axis=0) - inked.min(axis=0)
    assert (width > 2 * height) == (turn % 180 == 0)
    assert page.ink() * 480_000 > 20


# ---- Layers


def layered(**configuration: Any) -> tuple[pikepdf.Pdf, Dictionary]:
    """A page with a black layer in the middle, and the layer."""
    made = document("/OC /L BDC 0 g 100 600 200 40 re f EMC")
    layer = made.make_indirect(Dictionary(Type=Name.OCG, Name=String("Layer")))
    made.pages[0].obj["/Resources"] = Dictionary(Properties=Dictionary(L=layer))
    states = {f"/{key}": Array([layer]) if value is ... else value for key, value in configuration.items()}
    made.Root["/OCProperties"] = Dictionary(OCGs=Array([layer]), D=Dictionary(states))
    return made, layer


def usage(**states: str) -> Dictionary:
    return Dictionary({f"/{key}": Dictionary({f"/{key}State": Name(f"/{state}")}) for key, state in states.items()})


def asked(layer: Dictionary, event: str, *categories: str) -> Array:
    return Array(
        [
            Dictionary(
                Event=Name(f"/{event}"), OCGs=Array([layer]), Category=Array([Name(f"/{name}") for name in categories])
            )
        ]
    )


@pytest.mark.parametrize(
    ("configuration", "shown"),
    [
        ({}, True),
        ({"OFF": ...}, False),
        ({"BaseState": Name.OFF}, False),
        ({"BaseState": Name.OFF, "ON": ...}, True),
        ({"OFF": ..., "Intent": Name.Design}, True),
    ],
)
def test_a_layer_is_printed_when_it_is_on(printed, configuration, shown):
    made, _ = layered(**configuration)
    assert (printed(made).ink(PLACE) > 0.9) == shown


@pytest.mark.parametrize(
    ("states", "event", "off", "shown"),
    [
        ({"Print": "OFF"}, "Print", False, False),
        ({"Print": "ON"}, "Print", True, True),
        ({"Print": "OFF", "View": "ON"}, "View", False, True),
        ({"Print": "ON", "View": "OFF"}, "Print", False, True),
        ({"View": "OFF"}, "Print", False, True),
        ({"View": "OFF"}, "View", False, True),
        ({"Print": "OFF"}, None, False, False),
        ({"Print": "ON"}, None, True, False),
    ],
)
def test_a_layer_is_printed_by_its_usage_where_the_configuration_asks_for_it(printed, states, event, off, shown):
    made, layer = layered(**({"OFF": ...} if off else {}))
    layer["/Usage"] = usage(**states)
    if event:
        made.Root["/OCProperties"]["/D"]["/AS"] = asked(layer, event, "Print" if event == "Print" else "View")
    assert (printed(made).ink(PLACE) > 0.9) == shown


@pytest.mark.parametrize(
    ("membership", "shown"),
    [
        ({"P": "AllOn", "OCGs": "on off"}, False),
        ({"P": "AnyOn", "OCGs": "on off"}, True),
        ({"P": "AnyOff", "OCGs": "on off"}, True),
        ({"P": "AllOff", "OCGs": "on off"}, False),
        ({"P": "AllOff", "OCGs": "off"}, True),
        ({"OCGs": "off"}, False),
        ({"OCGs": ""}, True),
        ({"VE": ["Not", "off"]}, True),
        ({"VE": ["And", "on", ["Not", "on"]]}, False),
        ({"VE": ["Or", "off", ["Not", "off"]], "OCGs": "off"}, True),
    ],
)
@pytest.mark.parametrize("direct", [True, False])
def test_a_membership_is_printed_by_its_policy_or_expression(printed, membership, shown, direct):
    made, on = layered()
    off = made.make_indirect(Dictionary(Type=Name.OCG, Name=String("off")))
    made.Root["/OCProperties"]["/OCGs"] = Array([on, off])
    made.Root["/OCProperties"]["/D"]["/OFF"] = Array([off])
    groups = {"on": on, "off": off}

    def term(value: Any) -> Any:
        return groups[value] if isinstance(value, str) else Array([Name(f"/{value[0]}"), *map(term, value[1:])])

    member = Dictionary(Type=Name.OCMD)
    if "P" in membership:
        member["/P"] = Name(f"/{membership['P']}")
    if "OCGs" in membership:
        member["/OCGs"] = Array([groups[name] for name in membership["OCGs"].split()])
    if "VE" in membership:
        member["/VE"] = term(membership["VE"])
    made.pages[0].obj["/Resources"]["/Properties"]["/L"] = member if direct else made.make_indirect(member)
    assert (printed(made).ink(PLACE) > 0.9) == shown


@pytest.mark.parametrize("off", [True, False])
@pytest.mark.parametrize("kind", ["form", "picture", "annotation", "field"])
def test_forms_pictures_and_annotations_belong_to_layers_too(printed, kind, off):
    made, layer = layered(**({"OFF": ...} if off else {}))
    page = made.pages[0].obj
    page["/Contents"] = made.make_stream(
        b"q 1 0 0 1 100 600 cm /X Do Q" if kind == "form" else b"q 200 0 0 40 100 600 cm /X Do Q"
    )
    page["/Resources"] = Dictionary()
    if kind in ("annotation", "field"):
        shown = annotation("Stamp" if kind == "annotation" else "Widget", OC=layer, AP=appearance(made, FILLED))
        page["/Annots"] = Array([made.make_indirect(shown)])
    else:
        item = form(made, FILLED) if kind == "form" else made.make_stream(b"\0")
        if kind == "picture":
            item["/Subtype"], item["/Width"], item["/Height"] = Name.Image, 1, 1
            item["/ColorSpace"], item["/BitsPerComponent"] = Name.DeviceGray, 8
        item["/OC"] = layer
        page["/Resources"]["/XObject"] = Dictionary(X=item)
    assert (printed(made).ink(PLACE) > 0.9) == (not off)


# ---- Boxes, turns and units


@pytest.mark.parametrize(
    ("entries", "size"),
    [
        ({"CropBox": Array([1000, 1000, 1600, 1800])}, (600, 800)),
        ({"CropBox": Array([600, 800, 0, 0])}, (600, 800)),
        ({"CropBox": Array([100, 100, 100, 500])}, (600, 800)),
        ({"CropBox": Array([50, 500, 350, 800])}, (300, 300)),
        ({"CropBox": Array([Name.a, 0, 0, 0])}, (600, 800)),
        ({"CropBox": Array([50, 500])}, (600, 800)),
        ({"MediaBox": Array([600, 800, 0, 0])}, (600, 800)),
        ({"MediaBox": Array([0, 0, 0, 0]), "CropBox": Array([0, 0, 600, 800])}, (600, 800)),
        ({"MediaBox": Array([0, 0, 0, 0])}, (612, 792)),
        ({"MediaBox": String("nonsense")}, (612, 792)),
        ({"Rotate": 90}, (800, 600)),
        ({"Rotate": -90}, (800, 600)),
        ({"Rotate": 450}, (800, 600)),
        ({"Rotate": 92}, (800, 600)),
        ({"Rotate": 20}, (600, 800)),
        ({"Rotate": pikepdf.Object.parse(b"90.0")}, (800, 600)),
    ],
)
def test_a_page_has_the_size_that_is_meant(printed, entries, size):
    page = printed(document(**entries))
    assert page.pages[0].get_size() == pytest.approx(size)
    assert page.words() == "Ordinary words"
    assert page.ink() > 0


def test_boxes_are_inherited_and_turned_pages_turn_the_right_way(printed):
    made = document("0 g 0 700 100 100 re f", Rotate=-90)
    pages = made.Root["/Pages"]
    pages["/MediaBox"] = made.pages[0].obj["/MediaBox"]
    del made.pages[0].obj["/MediaBox"]
    page = printed(made)
    assert page.pages[0].get_size() == (800, 600)
    assert page.ink((0, 5 / 6, 1 / 8, 1)) > 0.95  # the upper left corner is now the lower left one


def test_a_page_in_a_unit_of_its_own_has_its_true_size(printed):
    content = "BT /F 1.2 Tf 5 74 Td (Ordinary words) Tj ET /Pattern cs /P scn 10 60 20 4 re f"
    made = document(content, [annotation("Stamp", [40, 10, 50, 20])], box=[0, 0, 60, 80], UserUnit=10)
    tile = made.make_stream(b"0 g 0 0 1 2 re f")
    entries = {"Type": Name.Pattern, "PatternType": 1, "PaintType": 1, "TilingType": 1, "XStep": 2, "YStep": 2}
    for key, value in {**entries, "BBox": Array([0, 0, 2, 2]), "Resources": Dictionary()}.items():
        tile[f"/{key}"] = value
    made.pages[0].obj["/Annots"][0]["/AP"] = appearance(made, FILLED)
    made.pages[0].obj["/Resources"] = Dictionary(Font=fonts().Font, Pattern=Dictionary(P=tile))
    page = printed(made)
    assert page.pages[0].get_size() == (600, 800)
    assert page.ink((400 / 600, 600 / 800, 500 / 600, 700 / 800)) > 0.97
    row = page.grey()[180, 100:300]
    assert np.count_nonzero(np.diff(row < 128)) == pytest.approx(19, abs=2)  # ten bars of 10 points


@pytest.mark.parametrize("unit", [0, -3, Name.x])
def test_a_unit_that_makes_no_sense_is_one_point(printed, unit):
    assert printed(document(UserUnit=unit)).pages[0].get_size() == (600, 800)


# ---- What was made to do harm


def test_many_annotations_are_done_in_no_time(printed):
    made = document()
    look = appearance(made, FILLED)
    many = [annotation("Stamp", AP=look) for _ in range(2_000)] + [field(V=String("x")) for _ in range(1_000)]
    made.pages[0].obj["/Annots"] = Array(many)
    assert printed(made).words().startswith("Ordinary words x")


def test_nonsense_in_one_annotation_costs_no_other(printed):
    made = with_appearance()
    nonsense = [
        Dictionary(),
        annotation("Square", [1, 2]),
        annotation("Line", L=Array([Name.a, 1, 2, 3])),
        annotation("Ink", InkList=Array([7, Array([String("x")])])),
        annotation("FreeText", DA=Name.x, Contents=7, CL=Array([1])),
        annotation("Stamp", AP=Dictionary(N=Dictionary(Off=3))),
        annotation("Polygon", Vertices=Array([10**12, 1, 2, 3])),
        field(V=Dictionary(), MaxLen=Name.x, MK=3),
        field("Ch", Opt=Array([Array([]), 3]), V=Array([4])),
    ]
    made.pages[0].obj["/Annots"] = Array([7, String("x"), *nonsense, *made.pages[0].obj["/Annots"]])
    assert printed(made).ink(PLACE) > 0.9


def test_circles_in_the_tree_of_pages_or_in_expressions_end(printed, tmp_path):
    made, layer = layered()
    circle = made.make_indirect(Array([Name.And]))
    circle.append(circle)
    circle.append(circle)
    made.pages[0].obj["/Resources"]["/Properties"]["/L"] = Dictionary(Type=Name.OCMD, OCGs=layer, VE=circle)
    printed(made)
    pages = document()
    pages.Root["/Pages"]["/Parent"] = pages.Root["/Pages"]
    del pages.pages[0].obj["/MediaBox"]
    printed(pages)
