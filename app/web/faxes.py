"""The fax module: the list of faxes, one fax that is followed live, its documents, cancel and resend."""

import hashlib
from typing import BinaryIO

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    send_file,
    url_for,
)
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response as AnyResponse

from app.adapters.storage import Storage
from app.errors import Refused
from app.fax.access import get_visible_fax, may_send, visible_faxes
from app.fax.lifecycle import is_final, request_cancel
from app.fax.lifecycle import may_resend as is_resendable
from app.fax.naming import document_name, report_name
from app.fax.sentences import sentence
from app.fax.submit import resend_fax
from app.models import Direction, Document, Fax
from app.reporting import ensure_report
from app.web.guard import writes
from tenants.db import db

blueprint = Blueprint("faxes", __name__)

PAGE = 50
NO_CONTENT = ("", 204)


@blueprint.get("/")
def home() -> AnyResponse:
    """Where a person's work begins."""
    if current_user.is_operator:
        return redirect(url_for("operator.tenants"), 303)
    target = "send.send" if may_send(db.session, current_user) else "faxes.faxes"
    return redirect(url_for(target), 303)


@blueprint.get("/faxes")
def faxes() -> str:
    """Newest first, ``PAGE`` at a time; ``before`` is the id of the last fax on the page before."""
    _companies_only()
    direction = Direction.RECEIVED if request.args.get("direction") == Direction.RECEIVED else Direction.SENT
    rows = _newest(direction, before=request.args.get("before"))
    values = {"direction": direction, "faxes": rows[:PAGE], "more": len(rows) > PAGE}
    return render_template("faxes/list.html", **values, **_live(rows[:PAGE]))


def _companies_only() -> None:
    if current_user.tenant_id is None:
        abort(404)


def _newest(direction: Direction, *, before: str | None) -> list[Fax]:
    query = visible_faxes(current_user).where(Fax.direction == direction)
    if before:
        query = query.where(Fax.id < before)
    return list(db.session.scalars(query.options(*_ROW).order_by(Fax.id.desc()).limit(PAGE + 1)))


_ROW = (joinedload(Fax.entity), joinedload(Fax.source), joinedload(Fax.user), selectinload(Fax.attempts))


@blueprint.get("/faxes/live")
def live() -> tuple[str, int] | str:
    """A fragment: the statuses of the faxes ``ids`` that are under way, or 204 if none of them has changed."""
    ids = request.args.get("ids", "").split(",")[:PAGE]
    rows = list(db.session.scalars(visible_faxes(current_user).where(Fax.id.in_(ids)).options(*_ROW)))
    if _seen(rows) == request.args.get("seen"):
        return NO_CONTENT
    return render_template("partials/faxes/live.html", faxes=rows, changed=True, **_live(rows))


def _live(rows: list[Fax]) -> dict[str, object]:
    """What the list asks about again: only the faxes that can still change."""
    moving = [fax for fax in rows if not is_final(fax.status)]
    return {"moving": [fax.id for fax in moving], "seen": _seen(moving)}


def _seen(rows: list[Fax]) -> str:
    """A short word for everything of these faxes that a page shows and that can change."""
    state = [_changing(fax) for fax in sorted(rows, key=lambda fax: fax.id)]
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def _changing(fax: Fax) -> list[object]:
    values = [fax.id, fax.status, fax.pages, fax.pages_done, fax.line_seconds, fax.cause, fax.due_at]
    values += [fax.cancel_requested_at, fax.picture_id, fax.pdf_id]
    for attempt in fax.attempts:
        values += [attempt.n, attempt.ringing_at, attempt.answered_at, attempt.ended_at, attempt.pages_confirmed]
    return values


def _fax_or_404(fax_id: str) -> Fax:
    """The fax if this person may see it. A foreign one, a missing one and nonsense get the same answer."""
    return get_visible_fax(db.session, current_user, fax_id) or abort(404)


@blueprint.get("/faxes/<fax_id>")
def fax(fax_id: str) -> str:
    return render_template("faxes/fax.html", **_shown(_fax_or_404(fax_id)))


@blueprint.get("/faxes/<fax_id>/status")
def status(fax_id: str) -> tuple[str, int] | str:
    """A fragment: the part of the fax's page that changes, or 204 if nothing has since ``seen``."""
    values = _shown(_fax_or_404(fax_id))
    if values["seen"] == request.args.get("seen"):
        return NO_CONTENT
    return render_template("partials/fax/status.html", changed=True, **values)


def _shown(fax: Fax) -> dict[str, object]:
    return {
        "fax": fax,
        "seen": _seen([fax]),
        "final": is_final(fax.status),
        "may_send": may_send(db.session, current_user),
    }


@blueprint.post("/faxes/<fax_id>/cancel")
def cancel(fax_id: str) -> AnyResponse:
    fax = _fax_or_404(fax_id)
    if fax.direction != Direction.SENT:
        abort(404)
    if not request_cancel(db.session, fax, current_user):
        flash(_("It could not be cancelled any more: it was over already."), "info")
    return redirect(url_for("faxes.fax", fax_id=fax_id), 303)


@blueprint.post("/faxes/<fax_id>/resend")
def resend(fax_id: str) -> AnyResponse:
    fax = _fax_or_404(fax_id)
    if not is_resendable(fax):
        abort(404)
    key = hashlib.sha256(f"{fax.id}\0{request.form.get('submission', '')}".encode()).hexdigest()
    try:
        again = resend_fax(db.session, user=current_user, fax=fax, submission_key=key)
    except Refused as refusal:
        db.session.rollback()
        flash(sentence(refusal.code, **refusal.values), "error")
        return redirect(url_for("faxes.fax", fax_id=fax_id), 303)
    return redirect(url_for("faxes.fax", fax_id=again.id), 303)


@blueprint.get("/faxes/<fax_id>/document.pdf")
def document(fax_id: str) -> AnyResponse:
    fax = _fax_or_404(fax_id)
    if fax.pdf is None:
        abort(404)
    return _download(fax.pdf, document_name(fax))


@blueprint.get("/faxes/<fax_id>/report.pdf")
@writes
def report(fax_id: str) -> AnyResponse:
    """Drawn when it is first asked for; there is none before the fax is finished."""
    fax = _fax_or_404(fax_id)
    if fax.direction != Direction.SENT or not is_final(fax.status):
        abort(404)
    return _download(ensure_report(db.session, fax), report_name(fax))


@blueprint.get("/faxes/<fax_id>/page-1.png")
def picture(fax_id: str) -> AnyResponse:
    """The first page as the line carries it."""
    fax = _fax_or_404(fax_id)
    if fax.picture is None:
        abort(404)
    response = make_response(send_file(_open(fax.picture), mimetype="image/png"))
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


def _open(stored: Document) -> BinaryIO:
    storage: Storage = current_app.extensions["storage"]
    return storage.open(stored.storage_key)


def _download(stored: Document, name: str) -> Response:
    """Always a download: a stranger's PDF is not opened inside our own site."""
    return send_file(_open(stored), mimetype="application/pdf", as_attachment=True, download_name=name)
