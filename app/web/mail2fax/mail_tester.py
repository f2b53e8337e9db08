"""The Mail2Fax tester: why a mail would become a fax or not, rule by rule; and how a user's mails have to be."""

from dataclasses import asdict, dataclass
from typing import Any

from cryptography.fernet import InvalidToken
from flask import abort, current_app, make_response, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from werkzeug.wrappers import Response

from app.errors import FaxroomError
from app.models import Authentication, FaxEntity, Mail2FaxBox
from app.rules.ground.access import sendable_entities
from app.rules.words.sentences import sentence
from app.services.mail2fax.judging import TEST_PASSED, box_public_key, judge
from app.web.mail2fax.boxes import blueprint
from app.web.people import profile
from app.web.site.guard import SAFE_METHODS, reads
from tenants.db import db, utc_now
from tenants.models import User
from tenants.scope import get_owned

#: What each rule asks, in the order in which they are looked at.
RULES = {
    "headers": _l("Each header appears once"),
    "sender": _l("Exactly one sender"),
    "person": _l("Sent by a person, not by a program or list"),
    "user": _l("The sender's address is exactly that of a user"),
    "company": _l("The company may send"),
    "form": _l("Not signed or encrypted with S/MIME"),
    "proof": _l("The mail server confirms the sender (SPF, DKIM, DMARC)"),
    "subject": _l("The subject is a number"),
    "entity": _l("The line belongs to this box"),
    "permission": _l("The sender may send from the line"),
    "number": _l("The number exists"),
    "dialing": _l("The line may dial the number"),
    "encryption": _l("Encrypted to the box's key"),
    "pin": _l("The PIN is in the message"),
    "signature": _l("Signed with one of the sender's keys"),
    "signed_number": _l("The number is part of what is signed"),
    "signed_place": _l("What is signed names this address or its line"),
    "signed_documents": _l("The documents are part of what is signed"),
    "signature_age": _l("The signature is recent"),
    "signature_used": _l("The signature has not been used before"),
    "documents": _l("A document is attached"),
    "beside": _l("Attached but not faxed"),
    "document": _l("The document can be read"),
    "test": _l("Test: nothing is dialled"),
}
_DETAILS = ("sender", "name", "entity", "number", "names")


@dataclass(frozen=True)
class Line:
    rule: str
    tone: str
    outcome: str
    told: str


def lines_of(checks: list[dict[str, Any]]) -> list[Line]:
    return [_line(check["code"], check.get("passed"), check.get("values") or {}) for check in checks]


def _line(code: str, passed: bool | None, values: dict[str, Any]) -> Line:
    rule = str(RULES.get(code, code))
    if values.get("reason") == TEST_PASSED:
        return Line(rule, "good", _("Passed"), sentence(TEST_PASSED, **values))
    if passed is False:
        return Line(rule, "bad", _("Failed"), sentence(values.get("reason", ""), **values))
    told = next((str(values[name]) for name in _DETAILS if values.get(name)), "")
    return Line(rule, "good" if passed else "skipped", _("Passed") if passed else _("Not required"), told)


@blueprint.route("/<int:box_id>/tester", methods=["GET", "POST"])
@reads
def tester(box_id: int) -> Response:
    """Drop in a mail; what was looked at when one of the log came stands on its own page."""
    box = get_owned(db.session, Mail2FaxBox, box_id, current_user.company_id) or abort(404)
    if request.method not in SAFE_METHODS:
        return _judged(box)
    return _page(box)


def _judged(box: Mail2FaxBox) -> Response:
    upload = request.files.get("mail")
    raw = upload.stream.read() if upload and upload.filename else b""
    if not raw.strip():
        return _page(box, error=_("Save an email as a file (.eml) in your email program, then choose it."))
    try:
        verdict = judge(db.session, box, raw, now=utc_now(), settings=current_app.config["SETTINGS"], dry=True)
    except InvalidToken:
        return _page(box, error=sentence("sealing_key_unknown"))
    except FaxroomError as failure:
        return _page(box, error=sentence(failure.code, **failure.values))
    except Exception:  # whatever a hostile mail makes of the libraries that read it
        current_app.logger.exception("a mail for the tester cannot be judged")
        return _page(box, error=sentence("mail_unreadable"))
    lines = lines_of([asdict(check) for check in verdict.checks])
    good = verdict.accepted or verdict.reason == TEST_PASSED
    failed = next((line.told for line in lines if line.tone == "bad"), "")
    result = {"accepted": good, "told": failed, "lines": lines, "sender": verdict.sender}
    return _page(box, result=result | {"subject": verdict.subject_shown, "answerable": verdict.answerable})


def _page(box: Mail2FaxBox, *, error: str = "", **values: Any) -> Response:
    page = {"box": box, "error": error, "result": None} | values
    return make_response(render_template("mail2fax/tester/tester.html", **page), 422 if error else 200)


# ---- What users read on their profile


@dataclass(frozen=True)
class Instructions:
    entity_id: int
    line: str
    address: str
    named: bool
    pin: bool
    signed: bool
    encrypted: bool
    has_key: bool


def instructions_for(user: User) -> list[Instructions]:
    """How to send by mail from each line that the user may send from and that has a box."""
    lines = sendable_entities(db.session, user)
    return [
        Instructions(
            entity_id=line.id,
            line=line.name,
            address=line.box.address.address,
            named=sum(other.box_id == line.box_id for other in lines) > 1,
            pin=line.authentication == Authentication.PIN,
            signed=line.authentication == Authentication.PGP,
            encrypted=line.encryption_required,
            has_key=_private_key(line) is not None,
        )
        for line in lines
        if line.box
    ]


def _private_key(line: FaxEntity) -> str | None:
    try:
        return line.box.private_key if line.box else None
    except InvalidToken:  # sealed with a key that is gone
        return None


@profile.blueprint.app_context_processor
def _texts() -> dict[str, Any]:
    return {"mail_instructions": instructions_for, "mail_checks": lines_of}


@profile.blueprint.get("/mail/<int:entity_id>/public-key.asc")
def mail_key(entity_id: int) -> Response:
    """The public half of the box's key, for those who may send from the line."""
    mine = [line for line in sendable_entities(db.session, current_user) if line.id == entity_id]
    private = _private_key(mine[0]) if mine else None
    public = box_public_key(private) if private else None
    if public is None:
        abort(404)
    response = make_response(public)
    response.headers["Content-Type"] = "application/pgp-keys"
    response.headers["Content-Disposition"] = 'attachment; filename="fax-box.asc"'
    return response
