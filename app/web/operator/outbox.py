"""The outbox: mails that were refused or wait, for administrators of a company and for operators."""

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user
from werkzeug.wrappers import Response

from app.rules.ground.holding import held_since
from app.rules.outbox import outbox as mails
from tenants.db import db, utc_now

blueprint = Blueprint("outbox", __name__, url_prefix="/outbox")
blueprint.add_app_template_global(mails.words_of, "mail_words")
blueprint.add_app_template_global(mails.is_repeatable, "is_repeatable")


@blueprint.app_template_global()
def refused_mail_count() -> int:
    """For the pages of an administration, which say so."""
    return mails.count_refused(db.session, current_user._get_current_object(), utc_now())


@blueprint.before_request
def _keepers_only() -> None:
    """For everybody else it does not exist."""
    if not current_user.is_operator and not (current_user.tenant_id and current_user.is_admin):
        abort(404)


@blueprint.get("")
def outbox() -> str:
    user, now = current_user._get_current_object(), utc_now()
    values = {"refused": mails.refused_mails(db.session, user), "waiting": mails.waiting_mails(db.session, user, now)}
    held = user.is_operator and held_since(db.session) is not None
    return render_template("operator/outbox.html", held=held, kinds=mails.KIND_NAMES, most=mails.MOST_SHOWN, **values)


@blueprint.post("/<int:notice_id>/again")
def send_again(notice_id: int) -> Response:
    user = current_user._get_current_object()
    if not mails.is_kept_by(db.session, user, notice_id):
        abort(404)
    return _told(mails.send_again(db.session, user, notice_id=notice_id))


@blueprint.post("/again")
def send_all_again() -> Response:
    return _told(mails.send_again(db.session, current_user._get_current_object()))


def _told(count: int) -> Response:
    if count:
        flash(ngettext("%(num)d email is being sent again.", "%(num)d emails are being sent again.", count), "info")
    else:
        flash(_("Nothing to send again."), "info")
    return redirect(url_for("outbox.outbox"), 303)
