"""The send form. Number and file are judged while it is filled; without JavaScript it is the same form."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response

from app.config import DOCUMENT_BYTES
from app.errors import Refused
from app.models import Document, Fax, FaxEntity, Preview
from app.rules.ground.access import get_visible_fax, sendable_entities
from app.rules.ground.send_times import read_send_time
from app.rules.numbers.dialing import DialingRules, hold_rules
from app.rules.numbers.dialing import judge_number as fault_of_number
from app.rules.numbers.numbers import Addressee, read_addressee, shown_number
from app.rules.numbers.policy import hold_policy, judge_dialled, policy_of
from app.rules.sending.looking import MOST_SHEET_PAGES
from app.rules.sending.submit import submit_fax, submitted_before
from app.rules.words.sentences import sentence
from app.services.documents.disk_room import hold_room
from app.services.documents.documents import expect_upload, get_draft, take_upload
from app.services.documents.previews import throw_away
from app.web.faxes.preview import Look, begin_look, counted, fault_of_pages
from app.web.site.errors import OWN_WORDS
from app.web.site.guard import SAFE_METHODS, begin_reading, begin_writing, reads
from app.web.site.thread_limits import INSPECTION_SECONDS, inspections
from app.whole_numbers import read_whole
from tenants.db import db, end_reading, id_of, rows_kept, utc_now, writing

blueprint = Blueprint("send", __name__, url_prefix="/faxes/send")

Errors = dict[str, str]
#: When there will be a turn for a document that found none.
RETRY_SECONDS = 2
MEGABYTES = DOCUMENT_BYTES // (1024 * 1024)
#: As they stand on the page, one below the other.
FIELDS = ("to", "entity", "document", "all_pages", "send_at")


@dataclass(frozen=True)
class SendForm:
    """What stands in the fields, as typed. ``draft`` is the id of a document that was taken already, ``preview`` the
    one of it that was shown, ``all_pages`` how many pages of a long spreadsheet are wanted all the same."""

    entity: str = ""
    to: str = ""
    send_at: str = ""
    draft: str = ""
    submission: str = ""
    preview: str = ""
    look_first: str = ""
    urgent: str = ""
    all_pages: str = ""

    @classmethod
    def read(cls) -> "SendForm":
        return cls(**{name: request.form.get(name, "").strip() for name in cls.__dataclass_fields__})

    @property
    def entity_id(self) -> int | None:
        return read_whole(self.entity)

    @property
    def agreed_pages(self) -> int | None:
        return read_whole(self.all_pages, most=99_999)

    def key(self, document: Document | None) -> str:
        """The same for a double click, another one as soon as anything in the form is changed (Back, then edit)."""
        content = self.draft or (document.sha256 if document else "")
        return click_key(self.submission, self.entity, self.to, self.send_at, content)


def click_key(submission: str, *content: str) -> str:
    """Of one form as it was drawn, and what was in it when it was sent."""
    parts = (submission or secrets.token_hex(16), *content)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@blueprint.before_request
def _companies_only() -> None:
    """An operator belongs to no company and has no line."""
    if current_user.tenant_id is None:
        abort(404)


@blueprint.route("", methods=["GET", "POST"])
@reads
def send() -> Response:
    return _open_form() if request.method in SAFE_METHODS else _submit()


def _open_form() -> Response:
    """Empty, or with what an earlier fax (``?again=ID``) had, so that a wrong number is typed only once more."""
    expect_upload()
    form = SendForm(submission=secrets.token_urlsafe(18))
    earlier = get_visible_fax(db.session, current_user, request.args.get("again", ""))
    if earlier:
        number = shown_number(earlier.remote_number, earlier.tenant)
        form = replace(form, entity=str(earlier.entity_id), to=number, draft=earlier.source_id or "")
    return _page(form, get_draft(db.session, form.draft, current_user), {}, earlier=earlier)


def _submit() -> Response:
    form = SendForm.read()
    errors: Errors = {}
    document = _document(form, errors)
    faults = judge(form)  # the door asks again, for as short a time as others have to wait for it
    key = form.key(document)
    if earlier := submitted_before(db.session, current_user, key):
        flash(_("This form was already submitted: this is the fax it created."), "info")
        return _to(earlier)
    errors |= faults
    look = counted(document, form.entity, waits=not errors) if document else None
    if document is None:
        errors.setdefault("document", sentence("document_missing"))
    elif document.id == form.draft and (fault := fault_of_pages(form.preview, document, _line(form))):
        errors.setdefault("document", fault)
    elif look and look.asks and look.is_moving:
        errors.setdefault("document", sentence("still_counted", limit=MOST_SHEET_PAGES))
    elif look and look.asks and form.agreed_pages != look.preview.pages:
        errors["all_pages"] = look.question
    if not errors:
        try:
            return _to(_accept(form, document, key))
        except Refused as refusal:
            errors[refusal.field or "form"] = said(refusal)
    db.session.rollback()
    begin_reading()
    return _page(form, document, errors, asked=look)


def _accept(form: SendForm, document: Document | None, key: str) -> Fax:
    hold_room()
    begin_writing()
    fax = submit_fax(
        db.session,
        user=current_user,
        entity_id=form.entity_id,
        addressee_text=form.to,
        send_at_text=form.send_at,
        document=document,
        submission_key=key,
        look_first=bool(form.look_first),
        urgent=bool(form.urgent),
        pages=form.agreed_pages,
    )
    begin_reading()
    return fax


def _to(fax: Fax) -> Response:
    return redirect(url_for("faxes.fax", fax_id=id_of(fax)), 303)


def _document(form: SendForm, errors: Errors) -> Document | None:
    """The file that came with this request, else the draft from before. A refused file leaves the draft in place."""
    draft = get_draft(db.session, form.draft, current_user) if form.draft else None
    if form.draft and draft is None:
        errors["document"] = _("The document is no longer here: drafts are kept for a day. Choose it again.")
    draft_id = draft.id if draft else None
    upload = request.files.get("document")
    if upload is None or not upload.filename:
        return draft
    try:
        taken = _take(upload)
    except Refused as refusal:
        errors["document"] = said(refusal)
        return draft
    errors.pop("document", None)
    if draft_id:
        begin_writing()
        throw_away(db.session, Preview.source_id == draft_id)
        begin_reading()
    return taken


def _take(upload: FileStorage) -> Document:
    """Store and judge the upload. The ids are fetched first: judging may take a while and must hold no lock.

    Raises:
        Refused: as :func:`take_upload`, and ``uploads_busy``.
    """
    tenant_id, user_id = current_user.company_id, current_user.id
    with rows_kept():
        end_reading(db.session)
    name = upload.filename or ""
    turn = inspections.wait(tenant_id, INSPECTION_SECONDS)
    if turn is None:
        raise Refused("uploads_busy", field="document")
    try:
        with rows_kept(), writing():
            return take_upload(
                db.session,
                stream=upload.stream,
                filename=name,
                tenant_id=tenant_id,
                user_id=user_id,
                judged=turn.end,  # what is being stored keeps no other from being judged
            )
    finally:
        turn.end()


def judge(form: SendForm) -> Errors:
    """Every field that has to change, not only the first."""
    errors: Errors = {}
    tenant = current_user.company
    checks: dict[str, Callable[[], object]] = {
        "to": lambda: _dialable(form),
        "send_at": lambda: read_send_time(form.send_at, tenant.zone, utc_now()),
    }
    if form.entity_id is None:
        errors["entity"] = sentence("entity_missing")
    for field, check in checks.items():
        try:
            check()
        except Refused as refusal:
            errors[field] = said(refusal)
    return errors


def _dialable(form: SendForm) -> Addressee:
    """The addressee, if the chosen line may dial it. What a line has left of its day is not asked here but at the door,
    where one who clicked twice is known: the first click may have used up the day. Raises Refused."""
    addressee, line = read_addressee(db.session, current_user.company, form.to), _line(form)
    if fault := judge_dialled(policy_of(db.session), addressee.dial_string):
        raise fault
    if line and (fault := fault_of_number(DialingRules.of(line.template), addressee.remote_number)):
        raise fault
    return addressee


def _sendable(form: SendForm) -> Addressee:
    """The addressee, if the chosen line may send to it at that time: what the door would say now. Raises Refused."""
    tenant, line = current_user.company, _line(form)
    addressee = read_addressee(db.session, tenant, form.to)
    send_at, now = _send_at(form), utc_now()
    hold_policy(db.session, tenant, addressee.dial_string, send_at=send_at, now=now)
    if line:
        number = addressee.remote_number
        hold_rules(db.session, tenant=tenant, entity=line, number=number, send_at=send_at, now=now)
    return addressee


def _line(form: SendForm) -> FaxEntity | None:
    lines = sendable_entities(db.session, current_user)
    return next((line for line in lines if line.id == form.entity_id), None)


def _send_at(form: SendForm) -> datetime | None:
    """What is wrong with the time is said beside it."""
    try:
        return read_send_time(form.send_at, current_user.company.zone, utc_now())
    except Refused:
        return None


def said(refusal: Refused) -> str:
    return sentence(refusal.code, **refusal.values)


def _page(
    form: SendForm,
    document: Document | None,
    errors: Errors,
    *,
    earlier: Fax | None = None,
    asked: Look | None = None,
) -> Response:
    """``asked``: what is known of a spreadsheet's pages, for who has no script that asks for them."""
    ordered = {name: errors[name] for name in (*FIELDS, "form") if name in errors}
    kept = replace(form, draft=document.id if document else "")
    entities = sendable_entities(db.session, current_user)
    only = str(entities[0].id) if len(entities) == 1 else ""
    kept = replace(kept, entity=kept.entity or only, submission=kept.submission or secrets.token_urlsafe(18))
    values: dict[str, object] = {"form": kept, "document": document, "errors": ordered, "entities": entities}
    values |= number_values(kept, errors) | {"limits": _limits(), "asked": asked, "agreed": form.all_pages}
    if earlier:
        values |= _number_to_change(earlier, values)
    answer = make_response(render_template("faxes/send/send.html", **values), 422 if errors else 200)
    if errors.get("document") == sentence("uploads_busy"):
        answer.status_code = 503
        answer.headers["Retry-After"] = str(RETRY_SECONDS)  # for a program that sends many (RFC 9110, 10.2.3)
    return answer


def _limits() -> dict[str, int]:
    return {"bytes": DOCUMENT_BYTES, "megabytes": MEGABYTES}


def number_values(form: SendForm, errors: Errors) -> dict[str, object]:
    """What stands below the number when the page is opened; an error of the whole form is said on top."""
    if not form.to or "to" in errors:
        return {}
    addressee, error = _judged(form, _dialable if errors else _sendable)
    return {"addressee": addressee, "number_error": error}


def _number_to_change(earlier: Fax, values: dict[str, object]) -> dict[str, object]:
    """The number of an earlier fax is never called good before the person has looked at it."""
    failed = sentence(earlier.cause) if earlier.cause == "unallocated" else None
    return {"addressee": None, "number_error": values.get("number_error") or failed}


@blueprint.post("/number")
@reads
def judge_number() -> str:
    """A fragment: what the number means, or why it cannot be sent to: no such number, or a rule of the chosen line.
    Nothing yet for an empty field."""
    form = SendForm.read()
    addressee, error = _judged(form, _sendable) if form.to else (None, None)
    return render_template("faxes/send/number.html", addressee=addressee, error=error)


def _judged(form: SendForm, judge: Callable[[SendForm], Addressee]) -> tuple[Addressee | None, str | None]:
    """What the number means, or what is wrong with it."""
    try:
        return judge(form), None
    except Refused as refusal:
        return None, said(refusal)


@blueprint.post("/document")
@reads
def take_document() -> str:
    """A fragment: the document field, with the file taken as a draft or with what is wrong with it."""
    form = SendForm.read()
    errors: Errors = {}
    document = _document(form, errors)
    if document is None and not errors:
        errors["document"] = sentence("document_missing")
    look = begin_look(document, form.entity) if document else None
    return _document_field(document, errors, look=look)


def too_large() -> str:
    """The same fragment for a request whose body was not even read."""
    return _document_field(None, {"document": sentence("too_large", limit=MEGABYTES)})


def no_room() -> str:
    """The same for one whose body found no room."""
    return _document_field(None, {"document": sentence("no_room")})


OWN_WORDS["send.take_document"] = (too_large, no_room)


def _document_field(document: Document | None, errors: Errors, **more: object) -> str:
    values = {"document": document, "errors": errors, "limits": _limits(), **more}
    return render_template("faxes/send/document.html", **values)
