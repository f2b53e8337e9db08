"""A fax goes on: a received one to colleagues or to another number, a sent one to another number."""

import secrets
from collections.abc import Iterable
from dataclasses import replace

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import Direction, Fax, FaxEntity
from app.rules.ground.access import get_visible_fax, sendable_entities
from app.rules.inbox.forward import LONGEST_NOTE, document_to_repeat, forward_by_mail, may_forward, send_on
from app.rules.inbox.inbox import colleagues
from app.rules.sending.submit import submitted_before
from app.rules.words.sentences import sentence
from app.services.documents.disk_room import hold_room
from app.services.documents.documents import expect_upload
from app.web.faxes.inbox import note_opening
from app.web.faxes.send import Errors, SendForm, click_key, judge, number_values, said
from app.web.site.guard import SAFE_METHODS
from app.whole_numbers import read_whole
from tenants.db import db

blueprint = Blueprint("forward", __name__)

MOST_CHOSEN = 200


@blueprint.get("/faxes/<fax_id>/forward")
def forward(fax_id: str) -> Response:
    """Both ways on one page: by mail to colleagues, by fax to a number."""
    fax = _received_or_404(fax_id)
    note_opening(fax)
    return _forward_page(_received_or_404(fax_id), _empty_form(fax), {})


@blueprint.post("/faxes/<fax_id>/forward/mail")
def mail(fax_id: str) -> Response:
    fax = _received_or_404(fax_id)
    errors: Errors = {}
    form, chosen, note = _form(fax), _chosen(), request.form.get("note", "")
    try:
        recipients = forward_by_mail(
            db.session,
            fax=fax,
            user=current_user._get_current_object(),
            to_ids=chosen,
            note=note,
            submission_key=_mail_key(form, chosen, note),
        )
    except Refused as refusal:
        db.session.rollback()
        errors[refusal.field or "form"] = said(refusal)
        return _forward_page(_received_or_404(fax_id), form, errors, chosen=chosen)
    names = ", ".join(user.name for user in recipients)
    flash(_("The email to %(names)s is on its way.", names=names), "info")
    return redirect(url_for("faxes.fax", fax_id=fax_id), 303)


@blueprint.post("/faxes/<fax_id>/forward/fax")
def by_fax(fax_id: str) -> Response:
    fax = _received_or_404(fax_id)
    errors: Errors = {}
    form = _form(fax)
    return _send_on(fax, form, errors) or _forward_page(fax, form, errors, chosen=_chosen())


@blueprint.route("/faxes/<fax_id>/resend-to", methods=["GET", "POST"])
def resend_to(fax_id: str) -> Response:
    """The document of a sent fax to another number."""
    fax = get_visible_fax(db.session, current_user, fax_id)
    if fax is None or fax.direction != Direction.SENT or document_to_repeat(fax) is None or not _lines():
        abort(404)
    if request.method in SAFE_METHODS:
        return _resend_page(fax, _empty_form(fax), {})
    form = _form(fax)
    errors: Errors = {}
    return _send_on(fax, form, errors) or _resend_page(fax, form, errors)


# ---- Forms


def _received_or_404(fax_id: str) -> Fax:
    """One whose document was removed meanwhile leads back to its own page, which says so."""
    fax = get_visible_fax(db.session, current_user, fax_id)
    if fax and fax.direction == Direction.RECEIVED and fax.files_removed_at:
        flash(sentence("forwarded_too_late"), "error")
        abort(_to(fax))
    return fax if fax and may_forward(fax) else abort(404)


def _lines() -> list[FaxEntity]:
    return sendable_entities(db.session, current_user)


def _empty_form(fax: Fax) -> SendForm:
    """The line that the fax has. The number is left to the person: one press must not send it there once more."""
    expect_upload()
    form = SendForm(submission=secrets.token_urlsafe(18), draft=fax.id)
    lines = [str(line.id) for line in _lines()]
    same = str(fax.entity_id)
    return replace(form, entity=same if same in lines else lines[0] if len(lines) == 1 else "")


def _form(fax: Fax) -> SendForm:
    """What was typed. Instead of a draft it names the fax, so that its key is that of this fax alone."""
    return replace(SendForm.read(), draft=fax.id)


def _chosen() -> list[int]:
    """The ticked colleagues; what is too long for an id is nobody's."""
    ticked = request.form.getlist("colleagues")[:MOST_CHOSEN]
    return [number for one in ticked if (number := read_whole(one)) is not None]


def _mail_key(form: SendForm, chosen: Iterable[int], note: str) -> str:
    """As :meth:`SendForm.key`, of what the mail is made of: the number beside it is another matter."""
    return click_key(form.submission, form.draft, note, *map(str, sorted(chosen)))


def _send_on(fax: Fax, form: SendForm, errors: Errors) -> Response | None:
    """To the fax that was made of this one; None if something in the form has to change, with ``errors``."""
    key = form.key(None)
    if earlier := submitted_before(db.session, current_user, key):
        flash(_("This form was already submitted: this is the fax it created."), "info")
        return _to(earlier)
    errors |= judge(form)
    if errors:
        return None
    try:
        return _to(_accept(fax, form, key))
    except Refused as refusal:
        db.session.rollback()
        errors[refusal.field or "form"] = said(refusal)
        return None


def _accept(fax: Fax, form: SendForm, key: str) -> Fax:
    hold_room()
    return send_on(
        db.session,
        fax=fax,
        user=current_user._get_current_object(),
        entity_id=form.entity_id,
        addressee_text=form.to,
        send_at_text=form.send_at,
        submission_key=key,
    )


def _to(fax: Fax) -> Response:
    return redirect(url_for("faxes.fax", fax_id=fax.id), 303)


# ---- Pages


def _values(fax: Fax, form: SendForm, errors: Errors) -> dict[str, object]:
    return {
        "fax": fax,
        "form": replace(form, submission=form.submission or secrets.token_urlsafe(18)),
        "errors": errors,
        "entities": _lines(),
        "document": document_to_repeat(fax),
        **number_values(form, errors),
    }


def _forward_page(fax: Fax, form: SendForm, errors: Errors, *, chosen: list[int] | None = None) -> Response:
    others = [other for other in colleagues(db.session, fax) if other.id != current_user.id]
    values = _values(fax, form, errors)
    values |= {"colleagues": others, "chosen": chosen or [], "note": request.form.get("note", "")}
    page = render_template("faxes/inbox/forward.html", longest_note=LONGEST_NOTE, **values)
    return make_response(page, 422 if errors else 200)


def _resend_page(fax: Fax, form: SendForm, errors: Errors) -> Response:
    page = render_template("faxes/inbox/resend_to.html", **_values(fax, form, errors))
    return make_response(page, 422 if errors else 200)
