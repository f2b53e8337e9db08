"""Which annotations of a page are printed (ISO 32000-1 12.5), and the form XObjects that show them."""

import pikepdf

from app.adapters.pdf import form_fields, markups
from app.adapters.pdf.layers import Layers
from app.adapters.pdf.lettering import Fonts
from app.adapters.pdf.pdf_values import (
    IDENTITY,
    Box,
    Matrix,
    bounds,
    box,
    entry,
    inherited,
    matrix_in,
    name,
    times,
    turn_of,
    whole,
)

INVISIBLE, HIDDEN, PRINT, NO_ROTATE = 1 << 0, 1 << 1, 1 << 2, 1 << 4
#: Icons for what paper cannot show: Acrobat prints them only when it is told to.
NEVER = frozenset({"/Popup", "/Text", "/FileAttachment", "/Sound", "/Movie"})
#: ISO 32000-1 table 169 and ISO 32000-2: Invisible is said of others alone.
KNOWN = frozenset(
    """/Link /FreeText /Line /Square /Circle /Polygon /PolyLine /Highlight /Underline /Squiggly /StrikeOut /Stamp
    /Caret /Ink /Screen /Widget /PrinterMark /TrapNet /Watermark /3D /Redact /RichMedia /Projection""".split()
)

#: A form, where it stands on the page, and whether it darkens what lies below instead of covering it.
Part = tuple[pikepdf.Object, Matrix, bool]


def printed(page: pikepdf.Object, forms: pikepdf.Object | None, layers: Layers, fonts: Fonts) -> list[Part] | None:
    """What the annotations of a page put on paper, from the lowest; None where all of them are links without a border.

    ``forms`` is the document's AcroForm.
    """
    listed = page.get("/Annots")
    if not isinstance(listed, pikepdf.Array):
        return None
    found = [item for item in listed if isinstance(item, pikepdf.Dictionary) and not _is_plain_link(item)]
    if not found:
        return None
    parts = []
    for annotation in found:
        if not is_printed(annotation) or layers.hides(annotation):
            continue
        try:
            part = _part(page, annotation, forms, fonts)
        except (pikepdf.PdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError):
            continue  # one that makes no sense costs no other
        if part is not None:
            parts.append(part)
    return parts


def is_printed(annotation: pikepdf.Object) -> bool:
    """12.5.3: NoView is said of the screen, and without the Print flag nothing is printed, be it a field."""
    kind, flags = name(annotation.get("/Subtype")), whole(annotation.get("/F") or 0)
    if kind in NEVER or not flags & PRINT or flags & HIDDEN:
        return False
    return kind in KNOWN or not flags & INVISIBLE


def _is_plain_link(annotation: pikepdf.Object) -> bool:
    """The usual one: a place to click, which leaves no ink."""
    if name(annotation.get("/Subtype")) != "/Link" or "/AP" in annotation:
        return False
    return not is_printed(annotation) or markups.border_width(annotation) == 0


def _part(page: pikepdf.Object, annotation: pikepdf.Object, forms: pikepdf.Object | None, fonts: Fonts) -> Part | None:
    kind, appearance = name(annotation.get("/Subtype")), given_appearance(annotation)
    if kind == "/Widget":
        if form_fields.is_to_be_drawn(annotation, appearance, forms):
            appearance = form_fields.drawn(fonts, annotation, forms)
    elif appearance is None or box(annotation.get("/Rect")) is None:
        made = markups.drawn(fonts, annotation, forms, turn_of(page))
        return None if made is None else (made, IDENTITY, kind == "/Highlight")
    if appearance is None:
        return None
    _complete(appearance, annotation, forms)
    multiplied = kind == "/Highlight" and not _blends(appearance)
    return appearance, _place(appearance, annotation, page), multiplied


def given_appearance(annotation: pikepdf.Object) -> pikepdf.Stream | None:
    """12.5.5: the normal appearance, in the state that the annotation is in."""
    normal = entry(annotation, "/AP", "/N")
    if isinstance(normal, pikepdf.Stream):
        return normal
    if not isinstance(normal, pikepdf.Dictionary):
        return None
    state = name(annotation.get("/AS")) or name(inherited(annotation, "/V"))
    chosen = normal.get(state if state and (state in normal or "/AS" in annotation) else "/Off")
    return chosen if isinstance(chosen, pikepdf.Stream) else None


def _blends(form: pikepdf.Stream, depth: int = 3) -> bool:
    """Whether a form, or one within it, mixes with its ground in a way of its own (11.3.5)."""
    resources = form.get("/Resources")
    states, inner = entry(resources, "/ExtGState"), entry(resources, "/XObject")
    modes = [entry(state, "/BM") for state in states.values()] if isinstance(states, pikepdf.Dictionary) else []
    if any(mode is not None and name(mode) != "/Normal" for mode in modes):
        return True
    forms = [item for item in inner.values() if isinstance(item, pikepdf.Stream)] if inner is not None and depth else []
    return any(_blends(item, depth - 1) for item in forms[:50])


def _complete(appearance: pikepdf.Stream, annotation: pikepdf.Object, forms: pikepdf.Object | None) -> None:
    """What an appearance may lack and a form XObject may not."""
    appearance["/Type"], appearance["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Form
    if box(appearance.get("/BBox")) is None:
        left, bottom, right, top = box(annotation.get("/Rect")) or (0, 0, 1, 1)
        appearance["/BBox"] = pikepdf.Array([0, 0, right - left, top - bottom])
    if "/Resources" not in appearance:
        shared = entry(forms, "/DR")
        appearance["/Resources"] = shared if shared is not None else pikepdf.Dictionary()


def _place(form: pikepdf.Stream, annotation: pikepdf.Object, page: pikepdf.Object) -> Matrix:
    """12.5.5, algorithm "appearance streams": the form's box, as its own matrix leaves it, is laid on the rectangle."""
    area = box(annotation.get("/Rect"))
    if area is None:
        raise ValueError("an annotation without a place")
    own = matrix_in(form.get("/Matrix"))
    left, bottom, right, top = bounds(own, box(form["/BBox"]) or area)
    if right - left <= 0 or top - bottom <= 0:
        raise ValueError("an appearance without an area")
    across, up = (area[2] - area[0]) / (right - left), (area[3] - area[1]) / (top - bottom)
    place: Matrix = (across, 0.0, 0.0, up, area[0] - left * across, area[1] - bottom * up)
    return times(place, _kept_upright(area, page)) if whole(annotation.get("/F") or 0) & NO_ROTATE else place


def _kept_upright(area: Box, page: pikepdf.Object) -> Matrix:
    """NoRotate: however the page is turned, the annotation hangs upright from its upper left corner."""
    cosine, sine = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[turn_of(page)]
    left, top = area[0], area[3]
    return times(times((1, 0, 0, 1, -left, -top), (cosine, sine, -sine, cosine, 0, 0)), (1, 0, 0, 1, left, top))
