"""An administrator signs in to a box's mailbox at its provider and comes back. The sign-in begins here and is
recognised only by what this browser's session holds."""

import logging
import time
from dataclasses import astuple, dataclass
from datetime import datetime
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit

from flask import abort, current_app, flash, make_response, redirect, render_template, session, url_for
from flask_babel import gettext as _
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.adapters.mail.mailbox_sign_in import Errand, new_errand
from app.adapters.mail.tokens import TRYING_SECONDS, said
from app.errors import FaxroomError
from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax.box_sign_in import forget_sign_in
from app.rules.words.sentences import sentence
from app.services.mail2fax.signing_in import finish_sign_in, url_for_sign_in
from app.web.mail2fax.boxes import blueprint
from app.web.site.administration import audit_act
from app.web.site.guard import reads, writes
from tenants.db import db
from tenants.scope import get_owned

log = logging.getLogger(__name__)

#: Under which the session holds what was begun, and for how many seconds that may be finished.
BEGUN, LONGEST = "mailbox_sign_in", 900
#: Of what a provider puts into the address that it sends the browser to.
MOST_GIVEN = 8000


@dataclass(frozen=True)
class _Begun:
    """As the session holds it. ``changed_at`` is of the box's settings, ``at`` in seconds."""

    state: str
    verifier: str
    nonce: str
    box_id: int
    user_id: int
    changed_at: str
    at: int

    def errand(self) -> Errand:
        return Errand(self.state, self.verifier, self.nonce)


def redirect_uri() -> str:
    """Where a provider sends the browser back to; to the letter what is entered there."""
    return str(current_app.config["SETTINGS"].base_url) + url_for("mail2fax.signed_in")


@blueprint.app_context_processor
def _names() -> dict[str, Any]:
    return {"mailbox_redirect_uri": redirect_uri}


def _box(box_id: int) -> tuple[Mail2FaxBox, BoxSignIn]:
    """Of the administrator's own company, with a provider at which somebody can sign in; or there is none."""
    known = get_owned(db.session, Mail2FaxBox, box_id, current_user.company_id) or abort(404)
    if known.sign_in is None:
        abort(404)
    return known, known.sign_in


@blueprint.post("/<int:box_id>/sign-in")
@reads
def begin_sign_in(box_id: int) -> Response:
    """A page that leads there: as which account one has to sign in is easily got wrong."""
    known, row = _box(box_id)
    if not row.authorize_url:
        abort(404)
    errand = new_errand()
    words = (errand.state, errand.verifier, errand.nonce)
    session[BEGUN] = astuple(_Begun(*words, known.id, current_user.id, row.changed_at.isoformat(), int(time.time())))
    target = url_for_sign_in(known, row, errand, redirect_uri())
    values = {"box": known, "target": target, "server": urlsplit(target).hostname}
    return make_response(render_template("mail2fax/sign_in.html", **values))


@blueprint.get("/signed-in")
@writes
def signed_in() -> Response:
    """The browser comes back. Whatever it brings is good once, and only for what this session began."""
    begun = _begun()
    if begun is None:
        flash(
            _("This sign-in was not started in this browser, or it took too long. Nothing was changed. Start again."),
            "error",
        )
        return redirect(url_for("mail2fax.boxes"), 303)
    known, row = _box(begun.box_id)
    where = redirect(url_for("mail2fax.box", box_id=known.id), 303)
    if refusal := request.args.get("error"):
        words = f"{refusal}: {request.args.get('error_description', '')}".rstrip(": ")
        code = "token_sign_in_cancelled" if refusal == "access_denied" else "token_sign_in_refused"
        flash(sentence(code, reason=said(words)), "error")
        return where
    try:
        who = _finish(known, row, begun, request.args.get("code", ""))
    except FaxroomError as failure:
        db.session.rollback()
        log.warning("mailbox %s: sign-in: %s", begun.box_id, failure)
        flash(sentence(failure.code, **{"reason": "–", **failure.values}), "error")
        return where
    told = _("Signed in as %(name)s. Now test the mailbox.", name=who) if who else _("Signed in. Now test the mailbox.")
    flash(told, "info")
    return where


def _begun() -> _Begun | None:
    """What this session began and comes back now. It is gone from the session whatever comes."""
    try:
        begun = _Begun(*session.pop(BEGUN, ()))
    except TypeError:
        return None
    state = request.args.get("state", "")
    is_same = compare_digest(state.encode(), begun.state.encode()) and begun.user_id == current_user.id
    is_young = 0 <= time.time() - begun.at <= LONGEST
    return begun if is_same and is_young and len(request.query_string) <= MOST_GIVEN else None


def _finish(known: Mail2FaxBox, row: BoxSignIn, begun: _Begun, code: str) -> str:
    box_id = known.id
    who = finish_sign_in(
        db.session,
        row,
        begun.errand(),
        began_with=datetime.fromisoformat(begun.changed_at),
        code=code,
        redirect_uri=redirect_uri(),
        allowed=current_app.config["SETTINGS"].private_hosts,
        seconds=2 * TRYING_SECONDS,
    )
    known = get_owned(db.session, Mail2FaxBox, box_id, current_user.company_id) or abort(404)
    audit_act("box.changed", known.name, after={"refresh_token": "changed", "signed_in_as": who})
    db.session.commit()
    if who and who.casefold() != known.username.casefold():
        flash(
            _(
                "You signed in as %(who)s, but the user name of this box is %(name)s. That works only if %(who)s may "
                "read that mailbox.",
                who=who,
                name=known.username,
            ),
            "info",
        )
    return who


@blueprint.post("/<int:box_id>/forget-sign-in")
def forget_signed_in(box_id: int) -> Response:
    known, row = _box(box_id)
    before = {"signed_in_as": row.signed_in_as}
    forget_sign_in(row)
    audit_act("box.changed", known.name, before=before, after={"refresh_token": "removed"})
    db.session.commit()
    flash(_("The sign-in was forgotten here. Also remove Faxroom from the account's apps at the provider."), "info")
    return redirect(url_for("mail2fax.box", box_id=box_id), 303)
