"""What came of the mails of a Mail2Fax box, and whether it is collected, for the company's administrators."""

from typing import Any

from flask import abort, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.models import BoxState, Mail2FaxBox, MailFate, MailMessage
from app.rules.mail2fax.boxes import entities_of
from app.rules.mail2fax.ledger import box_state_of, is_sure, log_of, message_of
from app.rules.words.sentences import sentence
from app.web.mail2fax.boxes import blueprint
from tenants.db import db
from tenants.scope import get_owned

PAGE = 50

#: What became of a message, and the icon beside it.
FATES = {
    MailFate.ACCEPTED: (_l("Became a fax"), "good"),
    MailFate.REPEATED: (_l("Duplicate; nothing was sent"), "doubt"),
    MailFate.REFUSED: (_l("Refused"), "bad"),
    MailFate.TESTED: (_l("Test: nothing was dialled"), "good"),
}


def _box(box_id: int) -> Mail2FaxBox:
    return get_owned(db.session, Mail2FaxBox, box_id, current_user.company_id) or abort(404)


@blueprint.app_context_processor
def _texts() -> dict[str, Any]:
    return {"mail_fate": lambda message: FATES[MailFate(message.fate)], "mail_reason": mail_reason}


def mail_reason(message: MailMessage) -> str:
    """Why no fax was made of it, as its sender reads it."""
    return sentence(message.reason, **(message.reason_values or {})) if message.reason else ""


@blueprint.get("/<int:box_id>/log")
def messages(box_id: int) -> str:
    known = _box(box_id)
    before = request.args.get("before", type=int)
    found = log_of(db.session, known, before=before, most=PAGE + 1)
    older = found[PAGE - 1].id if len(found) > PAGE else None
    state = box_state_of(db.session, known)
    used = bool(entities_of(db.session, known))
    page = {"messages": found[:PAGE], "older": older, "is_first": before is None}
    return render_template(
        "mail2fax/log.html", box=known, state=state, used=used, fault=_fault(state) if used else None, **page
    )


@blueprint.get("/<int:box_id>/log/<int:message_id>")
def message(box_id: int, message_id: int) -> str:
    known = _box(box_id)
    found = message_of(db.session, known, message_id) or abort(404)
    return render_template("mail2fax/log_message.html", box=known, message=found, unproven=_is_unproven(known, found))


def _is_unproven(box: Mail2FaxBox, message: MailMessage) -> bool:
    """Refused in the name of a user, who was told little and once a day, because it might be anybody."""
    refused = message.fate == MailFate.REFUSED and not is_sure(message.checks)
    return refused and message.user_id is not None and not box.authserv_id


def _fault(state: BoxState | None) -> str | None:
    """What is wrong with the box, and what to do about it."""
    if state is None or state.fault is None:
        return None
    if state.fault == "collector_failed":
        return _("Something went wrong here, not on the mail server. Tell your operator.")
    return sentence(state.fault, **{"reason": "–", **(state.fault_values or {})})
