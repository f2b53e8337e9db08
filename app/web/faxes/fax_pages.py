"""The fax module: the list of faxes, one fax that is followed live, its documents, cancel and resend."""

import hashlib
from typing import BinaryIO

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    send_file,
    url_for,
)
from flask_babel import gettext as _
from flask_login import current_user
from htmx_flask import request
from sqlalchemy.orm import load_only
from werkzeug.wrappers import Response as AnyResponse

from app.adapters.storage.sealed_storage import SealedStorage
from app.application import this_application
from app.errors import Refused
from app.models import Destination, Direction, Document, Fax
from app.models.faxes.moves import is_final
from app.rules.ground.access import get_visible_fax, is_fax_id, visible_faxes, visible_lines
from app.rules.inbox.forward import may_forward
from app.rules.inbox.inbox import colleagues, read_item
from app.rules.log.log import count_new, load_rows, read_page
from app.rules.numbers.naming import document_name, report_name
from app.rules.outbox.outbox import refused_of_fax
from app.rules.sending.called import MOST_SAID, place_of, said_lines, say_lines
from app.rules.sending.destinations import destination_of, forget_destination
from app.rules.sending.lifecycle import may_resend as is_resendable
from app.rules.sending.lifecycle import request_cancel
from app.rules.sending.looking import asks_first, may_release, release_fax
from app.rules.sending.submit import resend_fax
from app.rules.sending.trunks.trouble import is_outside
from app.rules.words.page_warnings import page_warnings
from app.rules.words.sentences import sentence
from app.services.documents.disk_room import hold_room
from app.services.sending.reports import ensure_report
from app.web.faxes import inbox_marks
from app.web.faxes.bundle import MOST as MOST_IN_BUNDLE
from app.web.faxes.bundle import stream_zip
from app.web.faxes.content_log import enter_download, note_view
from app.web.faxes.finder import STATUSES, read_finder, status_name
from app.web.faxes.inbox import list_before, list_title, note_opening, to_fax, told_history
from app.web.faxes.presentation import rights
from app.web.site.administration import audit_act
from app.web.site.errors import busy
from app.web.site.guard import is_own_path, writes
from app.web.site.thread_limits import downloads, streamed
from app.whole_numbers import read_whole
from tenants.db import db, utc_now

blueprint = Blueprint("faxes", __name__)
blueprint.add_app_template_global(status_name)
blueprint.add_app_template_global(STATUSES.get, "statuses")
blueprint.add_app_template_global(may_release)
blueprint.add_app_template_global(asks_first)
blueprint.add_app_template_global(page_warnings)

PAGE = 50
#: From so many on, the list says how many are new no more exactly.
MOST_NEW = 100
NO_CONTENT = ("", 204)


@blueprint.get("/")
def home() -> AnyResponse:
    """Where a person's work begins."""
    if current_user.is_operator:
        return redirect(url_for("operator.tenants"), 303)
    target = "send.send" if rights().sends else "faxes.faxes"
    return redirect(url_for(target), 303)


@blueprint.get("/faxes")
def faxes() -> str:
    """A page of the list; ``before`` and ``after`` are the ids of the faxes next to it. For htmx the list alone."""
    _companies_only()
    direction = Direction.RECEIVED if request.args.get("direction") == Direction.RECEIVED else Direction.SENT
    lines = visible_lines(db.session, current_user, direction)
    finder = read_finder(request.args, [line.entity for line in lines])
    turned = {name: request.args.get(name) for name in ("before", "after")}
    page = read_page(db.session, current_user, finder.filters, lines=lines, size=PAGE, **turned)
    newest = max([current_user.company.last_fax_number, *(fax.number for fax in page.faxes)])
    values = {"direction": direction, "finder": finder, "page": page, "faxes": page.faxes}
    inbox_marks.look_up(page.faxes)
    values |= _live(page.faxes, since=None if page.newer or finder.filters.narrow else newest)
    part_only = request.htmx and request.htmx.target == "list"
    return render_template("faxes/list/found.html" if part_only else "faxes/list.html", **values)


def _companies_only() -> None:
    if current_user.tenant_id is None:
        abort(404)


@blueprint.get("/faxes/live")
def live() -> tuple[str, int] | str:
    """A fragment: the statuses of the faxes ``ids`` that are under way, and how many came after the one with the number
    ``since``. 204 if the page shows all of that already."""
    _companies_only()
    ids = request.args.get("ids", "").split(",")[:PAGE]
    rows = load_rows(db.session, current_user, ids)
    direction, since = request.args.get("direction", ""), read_whole(request.args.get("since", ""))
    new = _count_new(direction, since)
    same = _seen(rows) == request.args.get("seen", _seen([]))
    if same and new == (read_whole(request.args.get("new", "")) or 0):
        return NO_CONTENT
    values = {"faxes": [] if same else rows, "direction": direction, "changed": True}
    inbox_marks.look_up(rows)
    return render_template("faxes/list/live.html", **values, **_live(rows, since=since, new=new))


def _count_new(direction: str, since: int | None) -> int:
    """Usually answered by the company's row, which is there with the user."""
    if since is None or current_user.company.last_fax_number <= since:
        return 0
    return count_new(db.session, current_user, direction, since_number=since, at_most=MOST_NEW)


@blueprint.post("/faxes/download")
def download() -> AnyResponse:
    """The files of the faxes ``ids`` as one ZIP."""
    _companies_only()
    ids = list(dict.fromkeys(request.form.getlist("ids")))
    problem = _bundle_problem(ids)
    if problem:
        flash(problem, "error")
        back = request.form.get("back")
        return redirect(back if is_own_path(back) else url_for("faxes.faxes"), 303)
    chosen = visible_faxes(current_user).where(Fax.id.in_(filter(is_fax_id, ids))).options(load_only(Fax.number))
    faxes = db.session.scalars(chosen.order_by(Fax.number)).all()
    if len(faxes) < len(ids):
        abort(404)
    turn = downloads.take(current_user.tenant_id)
    if turn is None:
        return busy()
    try:
        enter_download("fax.zip_downloaded", faxes)
    except Exception:
        turn.end()
        raise
    name = f"faxes_{utc_now().astimezone(current_user.company.zone):%Y-%m-%d_%H_%M_%S}.zip"
    app, language = this_application(), current_user.preferred_language
    body = stream_zip(app, user_id=current_user.id, language=language, fax_ids=ids)
    headers = {"Content-Disposition": f"attachment; filename={name}"}
    return streamed(Response(body, mimetype="application/zip", headers=headers), turn)


def _bundle_problem(ids: list[str]) -> str | None:
    if not ids:
        return _("Select the faxes to download first: tick the boxes next to them.")
    if len(ids) > MOST_IN_BUNDLE:
        return _("A download can contain up to %(limit)s faxes. Select fewer.", limit=MOST_IN_BUNDLE)
    return None


def _live(rows: list[Fax], *, since: int | None, new: int = 0) -> dict[str, object]:
    """What the list asks about again: the faxes that can still change, and on its first page those to come."""
    moving = [fax for fax in rows if not is_final(fax.status)]
    return {"moving": [fax.id for fax in moving], "seen": _seen(moving), "since": since, "new": new}


def _seen(rows: list[Fax]) -> str:
    """A short word for everything of these faxes that a page shows and that can change."""
    state = [_changing(fax) for fax in sorted(rows, key=lambda fax: fax.id)]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def _changing(fax: Fax) -> list[object]:
    values: list[object] = [fax.id, fax.status, fax.pages, fax.pages_done, fax.line_seconds, fax.cause, fax.due_at]
    values += [fax.cancel_requested_at, fax.tiff_id, fax.pdf_id, fax.look_until, place_of(db.session, fax)]
    for attempt in fax.attempts:
        values += [attempt.n, attempt.ringing_at, attempt.answered_at, attempt.ended_at, attempt.pages_confirmed]
    return values


def _fax_or_404(fax_id: str) -> Fax:
    """The fax if this person may see it. A foreign one, a missing one and nonsense get the same answer."""
    return get_visible_fax(db.session, current_user, fax_id) or abort(404)


@blueprint.get("/faxes/<fax_id>")
def fax(fax_id: str) -> str:
    note_opening(_fax_or_404(fax_id))
    note_view(_fax_or_404(fax_id))
    return _page(_fax_or_404(fax_id))


def _page(fax: Fax, **typed: object) -> str:
    """``typed``: what was refused, and why."""
    values = {"known": _known(fax), **_lines(fax), **_shown(fax), **_origin(fax), **typed}
    return render_template("faxes/fax.html", list_title=list_title(list_before(), fax.direction), **values)


def _known(fax: Fax) -> Destination | None:
    """What its number has shown."""
    if fax.direction != Direction.SENT or fax.dial_string is None:
        return None
    return destination_of(db.session, fax.tenant_id, fax.dial_string, utc_now())


def _lines(fax: Fax) -> dict[str, object]:
    """How many calls at once its number takes, as its company says; for who may set it."""
    number = fax.dial_string if fax.direction == Direction.SENT and is_outside(fax.dial_string) else None
    if number is None or not current_user.is_admin:
        return {"lines_number": None}
    said = said_lines(db.session, fax.tenant_id, number)
    return {"lines_number": number, "lines": said, "most_lines": MOST_SAID}


def _origin(fax: Fax) -> dict[str, object]:
    """The fax that this one repeats or forwards, and whether this person may see it."""
    origin = db.session.get(Fax, fax.resend_of_id) if fax.resend_of_id else None
    seen = origin is not None and get_visible_fax(db.session, current_user, origin.id) is not None
    return {"origin": origin, "origin_seen": seen}


@blueprint.get("/faxes/<fax_id>/status")
def status(fax_id: str) -> tuple[str, int] | str:
    """A fragment: the part of the fax's page that changes, or 204 if nothing has since ``seen``."""
    values = _shown(_fax_or_404(fax_id))
    if values["seen"] == request.args.get("seen"):
        return NO_CONTENT
    return render_template("faxes/fax/status.html", changed=True, **values)


def _shown(fax: Fax) -> dict[str, object]:
    return {
        "fax": fax,
        "seen": _seen([fax]),
        "final": is_final(fax.status),
        "may_send": rights().sends,
        "may_forward": may_forward(fax),
        "came_from": list_before(),
        "refused_mails": refused_of_fax(db.session, fax, current_user._get_current_object()),
        **_dealt_with(fax),
    }


def _dealt_with(fax: Fax) -> dict[str, object]:
    """Of a received fax who has it, to whom it can be handed, and what happened to it."""
    session, user = db.session, current_user._get_current_object()
    item = read_item(session, user, fax.id) if fax.direction == Direction.RECEIVED else None
    if item is None:
        return {"item": None}
    others = [other for other in colleagues(session, fax) if other.id != user.id]
    return {"item": item, "colleagues": others, "history": told_history(session, user, fax)}


@blueprint.post("/faxes/<fax_id>/cancel")
def cancel(fax_id: str) -> AnyResponse:
    fax = _fax_or_404(fax_id)
    if fax.direction != Direction.SENT:
        abort(404)
    if not request_cancel(db.session, fax, current_user):
        flash(_("Too late to cancel: this fax has already finished."), "info")
    return to_fax(fax_id)


@blueprint.post("/faxes/<fax_id>/send")
def send_looked_at(fax_id: str) -> AnyResponse:
    """Its pages were looked at: it may go."""
    fax = _fax_or_404(fax_id)
    if fax.direction != Direction.SENT:
        abort(404)
    try:
        if not release_fax(db.session, fax, current_user):
            flash(_("This fax is no longer waiting for you."), "info")
    except Refused as refusal:
        db.session.rollback()
        flash(sentence(refusal.code, **refusal.values), "error")
    return to_fax(fax_id)


@blueprint.post("/faxes/<fax_id>/resend")
def resend(fax_id: str) -> AnyResponse:
    fax = _fax_or_404(fax_id)
    if not is_resendable(fax):
        abort(404)
    key = hashlib.sha256(f"{fax.id}\0{request.form.get('submission', '')}".encode()).hexdigest()
    try:
        hold_room()
        again = resend_fax(db.session, user=current_user, fax=fax, submission_key=key)
    except Refused as refusal:
        db.session.rollback()
        flash(sentence(refusal.code, **refusal.values), "error")
        return to_fax(fax_id)
    return to_fax(again.id)


@blueprint.post("/faxes/<fax_id>/forget")
def forget_number(fax_id: str) -> AnyResponse:
    """What its number has shown: the next call tries all anew."""
    fax = _fax_or_404(fax_id)
    if fax.direction != Direction.SENT or not rights().sends:
        abort(404)
    if forget_destination(db.session, fax.tenant, fax.dial_string or ""):
        flash(_("Forgotten. The next fax to this number uses the line's settings."), "info")
    db.session.commit()
    return to_fax(fax_id)


@blueprint.post("/faxes/<fax_id>/lines")
def number_lines(fax_id: str) -> AnyResponse | tuple[str, int]:
    """How many calls at once its number takes, for the faxes of this company."""
    fax = _fax_or_404(fax_id)
    number = fax.dial_string if fax.direction == Direction.SENT and is_outside(fax.dial_string) else None
    if number is None or not current_user.is_admin:
        abort(404)
    typed = request.form.get("lines", "").strip()[:10]
    try:
        before, after = say_lines(db.session, fax.tenant_id, number, typed)
    except Refused as refusal:
        return _page(fax, lines=typed, lines_error=sentence(refusal.code, **refusal.values)), 422
    if before != after:
        audit_act("number.lines_set", target=number, before={"lines": before}, after={"lines": after})
    db.session.commit()
    flash(_("Saved. Applies from the next call on."), "info")
    return to_fax(fax_id)


@blueprint.get("/faxes/<fax_id>/document.pdf")
def document(fax_id: str) -> AnyResponse:
    fax = _fax_or_404(fax_id)
    if fax.pdf is None:
        abort(404)
    note_opening(fax)
    enter_download("fax.downloaded", [_fax_or_404(fax_id)])
    fax = _fax_or_404(fax_id)
    return _download(fax.pdf or abort(404), document_name(fax))


@blueprint.get("/faxes/<fax_id>/report.pdf")
@writes
def report(fax_id: str) -> AnyResponse:
    """Drawn when it is first asked for; there is none before the fax is finished."""
    fax = _fax_or_404(fax_id)
    if fax.direction != Direction.SENT or not is_final(fax.status) or fax.report_removed_at:
        abort(404)
    report = ensure_report(db.session, fax)
    enter_download("fax.report_downloaded", [fax])
    return _download(db.session.merge(report), report_name(_fax_or_404(fax_id)))


def _open(stored: Document) -> BinaryIO:
    storage: SealedStorage = current_app.extensions["storage"]
    return storage.open(stored.storage_key, whole=True)


def _download(stored: Document, name: str) -> Response:
    """Always a download: a stranger's PDF is not opened inside our own site."""
    return send_file(_open(stored), mimetype="application/pdf", as_attachment=True, download_name=name)
