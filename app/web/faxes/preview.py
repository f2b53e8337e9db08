"""The preview in the send form: the pages of a draft as they will go out, shown as they are ready."""

import logging
import time
from dataclasses import dataclass, replace

from flask import Blueprint, abort, render_template, url_for
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.adapters.fax_files.fax_tiff import DOTS_ACROSS, DOTS_DOWN, LENGTHS
from app.adapters.pages.program_version import preparation_version
from app.adapters.pages.rasterizer import USUAL_RATE, call_seconds
from app.errors import FaxroomError
from app.kinds import KINDS, Family
from app.models import Document, FaxEntity, FaxTemplate, Preview, PreviewState
from app.rules.ground.access import sendable_entities
from app.rules.sending.looking import asks_first
from app.rules.sending.previews import Dots, ask_preview, failure_of, find_preview, get_preview
from app.rules.words.document_sentences import warning_texts
from app.rules.words.page_warnings import page_warnings
from app.rules.words.sentences import line_time_text, sentence
from app.services.documents.documents import get_draft
from app.services.documents.pictures import FULL, SCREEN, WIDTHS, draw_page
from app.web.faxes.viewer import KEEP_FOR_LONG
from app.web.site.guard import begin_reading, begin_writing, reads
from app.web.site.thread_limits import countings
from tenants.db import db, utc_now

log = logging.getLogger(__name__)

blueprint = Blueprint("preview", __name__, url_prefix="/faxes/send/preview")

#: Age of a preview in seconds → how often the form asks for more of its pages.
RHYTHM = ((4, "150ms"), (20, "500ms"), (120, "2s"))
SELDOM = "5s"
#: What htmx takes as the end of its questions: somebody sent these pages, or threw them away.
STOP_POLLING = 286
#: So long a form that is sent waits for the number of its spreadsheet's pages, and how often it looks.
COUNTING_SECONDS, LOOK_SECONDS = 4.0, 0.05


@blueprint.before_request
def _companies_only() -> None:
    if current_user.tenant_id is None:
        abort(404)


@dataclass(frozen=True)
class Look:
    """What the form shows of a draft. ``is_chosen``: the line is, or all lines would send the same dots."""

    preview: Preview
    template: FaxTemplate
    is_chosen: bool

    @property
    def is_moving(self) -> bool:
        return self.preview.state in (PreviewState.WAITING, PreviewState.DRAWING)

    @property
    def asks(self) -> bool:
        """It has more pages than go out unasked; while it is moving at least so many."""
        return self.fault is None and asks_first(self.preview.source.type, self.preview.pages)

    @property
    def question(self) -> str:
        values = {"pages": self.preview.pages, "time": line_time_text(self.seconds)}
        return sentence("many_sheet_pages_asked", **values)

    @property
    def rhythm(self) -> str:
        age = (utc_now() - self.preview.created_at).total_seconds()
        return next((often for limit, often in RHYTHM if age < limit), SELDOM)

    @property
    def height(self) -> int:
        """Of a page that is ``FULL`` wide."""
        return round(LENGTHS[self.preview.page_size] * DOTS_ACROSS / DOTS_DOWN["fine"])

    @property
    def rate(self) -> int:
        """bit/s: what most machines reach, unless the line is held below that."""
        return min(self.template.max_rate, USUAL_RATE)

    @property
    def seconds(self) -> int:
        return round(call_seconds(self.preview.page_bytes, self.rate, ecm=self.template.ecm))

    @property
    def warnings(self) -> list[str]:
        """What is not said of the document itself already."""
        pdf, said = self.preview.pdf, self.preview.source.warnings or []
        found = [warning for warning in (pdf and pdf.warnings) or [] if warning not in said]
        return [*warning_texts(found), *page_warnings(self.preview.notes)]

    @property
    def fault(self) -> str | None:
        if self.preview.state != PreviewState.FAILED:
            return None
        code, values = failure_of(self.preview)
        return sentence(code, **values)

    def picture(self, number: int, width: int) -> str:
        """Whoever begins anew to draw the pages gives them other addresses."""
        preview = self.preview
        return url_for("preview.page", preview_id=preview.id, number=number, width=width, v=preview.tries)


def begin_look(document: Document, entity: str) -> Look | None:
    """Have the pages of a draft drawn as the chosen line would send them, else the first one. Commits. None without a
    line to send from."""
    found = _template(entity)
    if found is None:
        return None
    template, is_chosen = found
    dots = Dots.of(template, preparation_version())
    preview = find_preview(db.session, document.id, dots)
    if preview is None:
        begin_writing()
        preview = ask_preview(db.session, document, dots)
        db.session.rollback()  # somebody else may have been faster
        begin_reading()
    return Look(preview, template, is_chosen)


def counted(document: Document, entity: str, *, waits: bool) -> Look | None:
    """Of a spreadsheet, whose pages nobody knows before they are drawn. What is not known yet is waited for, for a
    moment; commits."""
    look = begin_look(document, entity) if KINDS[document.type].family is Family.SHEET else None
    turn = countings.take(current_user.tenant_id) if look and waits else None
    if look is None or turn is None:
        return look
    preview_id, until = look.preview.id, time.monotonic() + COUNTING_SECONDS
    try:
        while look.is_moving and not look.asks and time.monotonic() < until:
            db.session.rollback()
            time.sleep(LOOK_SECONDS)
            if (preview := get_preview(db.session, preview_id, current_user)) is None:
                return None
            look = replace(look, preview=preview)
    finally:
        turn.end()
    return look


def _template(entity: str) -> tuple[FaxTemplate, bool] | None:
    lines = sendable_entities(db.session, current_user)
    chosen = [line for line in lines if str(line.id) == entity]
    if not lines:
        return None
    alike = len({(line.template.resolution, line.template.page_size) for line in lines}) == 1
    return (chosen or lines)[0].template, bool(chosen) or alike


def fault_of_pages(preview_id: str, document: Document, line: FaxEntity | None) -> str | None:
    """Why this may not be sent as it is: the pages cannot be drawn, or are drawn otherwise than they were shown."""
    if line is None:
        return None
    dots = Dots.of(line.template, preparation_version())
    shown = get_preview(db.session, preview_id, current_user) if preview_id else None
    if shown and shown.source_id == document.id and not dots.of_preview(shown):
        return sentence("looked_otherwise")
    there = find_preview(db.session, document.id, dots)
    if there and there.state == PreviewState.FAILED:
        code, values = failure_of(there)
        return sentence(code, **values)
    return None


@blueprint.post("")
@reads
def ask() -> str:
    """A fragment: the whole preview, for the line that is chosen now."""
    draft = get_draft(db.session, request.form.get("draft", ""), current_user)
    look = begin_look(draft, request.form.get("entity", "")) if draft else None
    agreed = request.form.get("all_pages", "")
    return render_template("faxes/send/preview.html", look=look, document=draft, agreed=agreed)


@blueprint.get("/<preview_id>")
def more(preview_id: str) -> Response | str | tuple[str, int]:
    """A fragment: what has come since ``seen`` pages were there, or 204. All of it anew if somebody else draws it now,
    or it is gone."""
    preview = get_preview(db.session, preview_id, current_user)
    found = _template(request.args.get("entity", ""))
    if preview is None or found is None:
        return ("", STOP_POLLING) if request.htmx else abort(404)
    look = Look(preview, *found)
    seen = request.args.get("seen", 0, type=int)
    if request.args.get("v", type=int) != preview.tries and seen:
        whole = render_template("faxes/send/preview.html", look=look, document=preview.source)
        return Response(whole, headers={"HX-Retarget": "#preview", "HX-Reswap": "outerHTML"})
    if look.is_moving and preview.pages == seen and request.args.get("often") == look.rhythm:
        return "", 204
    return render_template("faxes/send/preview_more.html", look=look, seen=seen)


@blueprint.get("/<preview_id>/pages/<int:number>.png")
def page(preview_id: str, number: int) -> Response:
    """One page as the line will carry it, ``width`` pixels wide."""
    preview = get_preview(db.session, preview_id, current_user) or abort(404)
    width = request.args.get("width", SCREEN, type=int)
    if width not in WIDTHS:
        abort(404)
    try:
        picture, tries = _drawn(preview, number, width)
    except (FaxroomError, OSError, LookupError):  # the parts have just become one file
        db.session.rollback()
        preview = get_preview(db.session, preview_id, current_user) or abort(404)
        try:
            picture, tries = _drawn(preview, number, width)
        except LookupError:
            abort(404)
    response = Response(picture, mimetype="image/png")
    if request.args.get("v", type=int) == tries:
        response.headers["Cache-Control"] = KEEP_FOR_LONG
    return response


def _drawn(preview: Preview, number: int, width: int) -> tuple[bytes, int]:
    key, at, tries = *_place(preview, number), preview.tries
    db.session.rollback()  # drawing waits for its turn: hold no connection meanwhile
    return draw_page(key, at, width), tries


def _place(preview: Preview, number: int) -> tuple[str, int]:
    """The file in the storage that a page is in, and its number there.

    Raises:
        LookupError: it is in none.
    """
    if preview.tiff and 1 <= number <= preview.pages:
        return preview.tiff.storage_key, number
    for first, pages, document_id in preview.parts:
        if first <= number < first + pages and (part := db.session.get(Document, document_id)):
            return part.storage_key, number - first + 1
    raise LookupError(number)


@blueprint.app_context_processor
def _sizes() -> dict[str, int]:
    return {"FULL": FULL, "SCREEN": SCREEN}
