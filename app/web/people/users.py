"""Users and roles: whom the tenant's administrator lets in, as what, and with which keys."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from flask import Blueprint, abort, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from htmx_flask import request
from werkzeug.wrappers import Response

from app.adapters.mail.pgp import KEY_BYTES, read_public_key
from app.errors import Refused
from app.models import FaxEntity, Grant
from app.rules.ground.csv_text import MOST_READ, read_text
from app.rules.ground.quotas import hold_mails
from app.rules.outbox.outbox import last_refusal
from app.rules.people.account_notices import tell_change
from app.rules.people.accounts import (
    Details,
    change_user,
    close_account,
    invite,
    judge_details,
    mail_again,
    withdraw_invitation,
)
from app.rules.people.people_csv import COLUMNS, MOST_ROWS, Row, read_rows
from app.rules.people.people_list import list_people
from app.rules.people.user_keys import enter_key
from app.web.people.credentials import Errors, said, said_all
from app.web.site.administration import administrators_only, audit_act, own_tenant
from app.web.site.guard import SAFE_METHODS
from app.web.site.submissions import fresh_key, overtaken, stamp_of
from app.whole_numbers import read_whole
from tenants import second_factor
from tenants.db import db, utc_now
from tenants.languages import LANGUAGE_NAMES, LANGUAGES
from tenants.links import invited_until, made_by_form
from tenants.models import LinkPurpose, Role, User
from tenants.people import ACCOUNT_STATES, ROLES, enable, keep_email, state_of_account
from tenants.pgp_keys import get_key, keys_of, validity_now
from tenants.scope import get_owned, lock_tenant, owned_by
from tenants.sessions import end_sessions, sessions_of

blueprint = Blueprint("users", __name__, url_prefix="/users")
blueprint.before_request(administrators_only)

ROLE_NAMES = {Role.USER: _l("User"), Role.ADMIN: _l("Administrator")}
STATE_NAMES = {"active": _l("Active"), "invited": _l("Invited"), "closed": _l("Closed")}
STATE_TONES = {"active": "good", "invited": "wait", "closed": "off"}
CHOICES_OF_LANGUAGE = {"": _l("The company's"), **LANGUAGE_NAMES}
VALIDITY_NAMES = {
    "valid": _l("Valid"),
    "expired": _l("Expired"),
    "revoked": _l("Revoked"),
    "unusable": _l("Cannot be used"),
    None: _l("Not checked yet"),
}
VALIDITY_TONES = {"valid": "good", "expired": "bad", "revoked": "bad", "unusable": "bad", None: "wait"}


@blueprint.app_context_processor
def _names() -> dict[str, Any]:
    return {
        "ROLE_NAMES": ROLE_NAMES,
        "STATE_NAMES": STATE_NAMES,
        "STATE_TONES": STATE_TONES,
        "LANGUAGE_NAMES": CHOICES_OF_LANGUAGE,
        "VALIDITY_NAMES": VALIDITY_NAMES,
        "VALIDITY_TONES": VALIDITY_TONES,
    }


def _user(user_id: int) -> User:
    """Of the administrator's own company, or there is nobody."""
    return get_owned(db.session, User, user_id, current_user.company_id) or abort(404)


# ---- The list


@dataclass(frozen=True)
class Filters:
    q: str = ""
    role: str = ""
    status: str = ""
    page: int = 1

    @classmethod
    def read(cls) -> "Filters":
        page = request.args.get("page", "1")
        return cls(
            q=request.args.get("q", "").replace("\0", "").strip()[:100],
            role=_one_of(request.args.get("role", ""), ROLES),
            status=_one_of(request.args.get("status", ""), ACCOUNT_STATES),
            page=read_whole(page, least=1, most=99_999) or 1,
        )

    def address(self, **changed: Any) -> str:
        """Of the list with these filters."""
        return url_for(
            "users.users", **{name: value for name, value in asdict(replace(self, **changed)).items() if value}
        )


def _one_of(text: str, known: tuple[str, ...]) -> str:
    return text if text in known else ""


@blueprint.get("")
def users() -> str:
    filters = Filters.read()
    people = list_people(
        db.session,
        current_user.company_id,
        text=filters.q,
        role=filters.role,
        state=filters.status,
        page=filters.page,
    )
    values = {"people": people, "filters": filters, "roles": ROLES, "states": ACCOUNT_STATES}
    if request.htmx and request.htmx.target == "people":
        return render_template("people/users/people.html", **values)
    return render_template("people/users/users.html", required=own_tenant().second_factor_required, **values)


@blueprint.post("/second-factor")
def require_second_factor() -> Response:
    """Whether the company demands a second factor of everybody."""
    lock_tenant(db.session, current_user.company_id)
    tenant, required = own_tenant(), request.form.get("required") == "yes"
    if tenant.second_factor_required != required:
        before, tenant.second_factor_required = tenant.second_factor_required, required
        after = {"second_factor_required": required}
        audit_act("users.second_factor_required", tenant.name, before={"second_factor_required": before}, after=after)
        db.session.commit()
        flash(
            _("A second factor is now required for everyone. Anyone without one will be asked to set it up.")
            if required
            else _("A second factor is now optional."),
            "info",
        )
    return redirect(url_for("users.users"), 303)


# ---- Somebody new


def _read_details() -> Details:
    values = {name: request.form.get(name, "").strip() for name in COLUMNS}
    return Details(**(values | {"role": values["role"] or Role.USER}))


def _shown(user: User) -> dict[str, Any]:
    """What the audit log keeps of a user."""
    return {"email": user.email, "name": user.name, "role": str(user.role), "language": user.language}


@blueprint.route("/invite", methods=["GET", "POST"])
def invite_user() -> Response:
    if request.method in SAFE_METHODS:
        return _invite_page(Details(), {})
    details, key = _read_details(), request.form.get("submission", "")[:64] or fresh_key()
    errors = said_all(judge_details(details))
    if not errors:
        try:
            return _invited(invite(db.session, own_tenant(), details, by=current_user, submission_key=key))
        except Refused as refusal:
            if earlier := made_by_form(db.session, current_user, key):
                return _to(earlier.user)
            errors[refusal.field or "form"] = said(refusal)
    db.session.rollback()
    return _invite_page(details, errors)


def _invited(user: User) -> Response:
    audit_act("user.invited", user.email, after=_shown(user))
    db.session.commit()
    flash(
        _(
            "%(name)s has been invited: an email with a link is on its way to %(email)s.",
            name=user.name,
            email=user.email,
        ),
        "info",
    )
    return _to(user)


def _to(user: User, anchor: str | None = None) -> Response:
    return redirect(url_for("users.user", user_id=user.id, _anchor=anchor), 303)


def _invite_page(details: Details, errors: Errors) -> Response:
    values = {"form": details, "errors": errors, "roles": ROLES, "languages": LANGUAGES, "submission": fresh_key()}
    return make_response(render_template("people/users/invite.html", **values), 422 if errors else 200)


# ---- Many at once


@blueprint.route("/import", methods=["GET", "POST"])
def import_users() -> Response:
    """First what the file would do, row by row; then, with the text of the same file in the form, it is done."""
    if request.method in SAFE_METHODS:
        return _import_page()
    try:
        text = _uploaded_text()
        rows = read_rows(db.session, text, current_user.company_id)
    except Refused as refusal:
        return _import_page(error=said(refusal))
    key = request.form.get("submission", "")[:40] or fresh_key()
    if made_by_form(db.session, current_user, _row_key(key, rows[0])):
        flash(_("This file was already imported."), "info")
        return redirect(url_for("users.users", status="invited"), 303)
    if request.form.get("really") == "yes" and not any(row.problems for row in rows):
        return _import(rows, text, key)
    return _import_page(rows=rows, text=text)


def _uploaded_text() -> str:
    upload = request.files.get("file")
    if upload and upload.filename:
        return read_text(upload.stream.read(MOST_READ))
    if text := request.form.get("text", ""):
        return read_text(text.replace("\r\n", "\n").encode())  # as it was before the browser made it longer
    raise Refused("csv_missing", field="file")


def _row_key(key: str, row: Row) -> str:
    return f"{key}:{row.line}"[:64]


def _import(rows: list[Row], text: str, key: str) -> Response:
    """All or nobody."""
    tenant = own_tenant()
    try:
        hold_mails(db.session, current_user, len(rows))
    except Refused as refusal:
        db.session.rollback()
        return _import_page(rows=rows, text=text, error=said(refusal))
    try:
        for row in rows:
            user = invite(db.session, tenant, row.details, by=current_user, submission_key=_row_key(key, row))
            audit_act("user.invited", user.email, after=_shown(user))
    except Refused:  # somebody was faster with an address of the file
        db.session.rollback()
        return _import_page(rows=read_rows(db.session, text, current_user.company_id), text=text)
    db.session.commit()
    flash(ngettext("%(num)d user was invited.", "%(num)d users were invited.", len(rows)), "info")
    return redirect(url_for("users.users", status="invited"), 303)


def _import_page(*, rows: list[Row] | None = None, text: str = "", error: str | None = None) -> Response:
    bad = [row for row in rows or [] if row.problems]
    values: dict[str, object] = {
        "rows": rows or [],
        "bad": bad,
        "text": text,
        "error": error,
        "said": said,
        "columns": COLUMNS,
    }
    values |= {"most_rows": MOST_ROWS, "submission": fresh_key()}
    return make_response(render_template("people/users/import.html", **values), 422 if error or bad else 200)


# ---- One user


@blueprint.route("/<int:user_id>", methods=["GET", "POST"])
def user(user_id: int) -> Response:
    if request.method in SAFE_METHODS:
        return _user_page(_user(user_id))
    lock_tenant(db.session, current_user.company_id)
    person, details = _user(user_id), _read_details()
    db.session.refresh(person)  # as it is now that nobody else changes it
    before, asked = _shown(person), person.new_email
    typed = replace(details, email=person.email) if details.email == asked else details
    errors = said_all(judge_details(details) | overtaken(asdict(Details.of(person)), asdict(typed)))
    if not errors:
        try:
            change_user(db.session, person, details, by=current_user)
        except Refused as refusal:
            errors[refusal.field or "form"] = said(refusal)
    if errors:
        db.session.rollback()
        return _user_page(_user(user_id), form=details, errors=errors)
    _audit_change(person, before)
    if person.new_email != asked:
        audit_act("user.address_asked", person.email, after={"new_email": person.new_email})
        flash(_asked_text(person), "info")
    db.session.commit()
    flash(_("Saved."), "info")
    return _to(person) if person.id != current_user.id or person.is_admin else redirect(url_for("faxes.home"), 303)


def _asked_text(person: User) -> str:
    return _("An email with a link is on its way to %(email)s.", email=person.new_email)


def _audit_change(person: User, before: dict[str, Any]) -> None:
    after = _shown(person)
    changed = [name for name in after if after[name] != before[name]]
    if changed:
        old, new = ({name: values[name] for name in changed} for values in (before, after))
        _tell_changes(person, changed, before["email"])
        audit_act("user.changed", before["email"], before=old, after=new)


def _tell_changes(person: User, changed: list[str], old_email: str) -> None:
    """What lets somebody in, or lets them do more, is told to its owner; a new address to the old one, too."""
    if person.is_invited:
        return
    if "email" in changed:
        for recipient in (old_email, person.email):
            tell_change(db.session, person, "email", recipient=recipient, email=person.email)
    if "role" in changed:
        tell_change(db.session, person, "role")


def _user_page(
    person: User, *, form: Details | None = None, errors: Errors | None = None, typed_key: str = ""
) -> Response:
    refusal = last_refusal(db.session, person, utc_now())
    values = {
        "refused_mails": [refusal] if refusal else [],
        "person": person,
        "state": state_of_account(person),
        "form": form or Details.of(person),
        "stamp": stamp_of(asdict(Details.of(person))),
        "errors": errors or {},
        "roles": ROLES,
        "languages": LANGUAGES,
        "invited_until": invited_until(db.session, person),
        "browsers": len(sessions_of(db.session, person)),
        "grants": _grants(person),
        "keys": keys_of(db.session, person),
        "validity_now": validity_now,
        "key_kilobytes": KEY_BYTES // 1000,
        "typed_key": typed_key,
    }
    return make_response(render_template("people/users/user.html", **values), 422 if errors else 200)


def _grants(person: User) -> list[tuple[str, bool, bool]]:
    """Entity, may send, may receive."""
    granted = owned_by(Grant, current_user.company_id).join(FaxEntity, Grant.entity_id == FaxEntity.id)
    granted = granted.where(Grant.user_id == person.id, Grant.may_send | Grant.may_receive)
    granted = granted.where(FaxEntity.closed_at.is_(None))
    named = granted.with_only_columns(FaxEntity.name, Grant.may_send, Grant.may_receive).order_by(FaxEntity.name)
    return [(row.name, row.may_send, row.may_receive) for row in db.session.execute(named)]


def _act(user_id: int, action: str, act: Callable[[User], str | None]) -> Response:
    """One act on one user, audited if it did something: ``act`` gives the sentence, or None for nothing to do."""
    lock_tenant(db.session, current_user.company_id)
    person = _user(user_id)
    try:
        told = act(person)
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
        return _to(_user(user_id))
    if told:
        audit_act(action, person.email)
        db.session.commit()
        flash(told, "info")
    if person.id == current_user.id and person.disabled_at:
        return redirect(url_for("sign_in.sign_in"), 303)
    return _to(person)


@blueprint.post("/<int:user_id>/disable")
def disable_user(user_id: int) -> Response:
    def act(person: User) -> str | None:
        if person.disabled_at:
            return None
        close_account(db.session, person)
        return _("The account of %(name)s is closed and signed out of every browser.", name=person.name)

    return _act(user_id, "user.disabled", act)


@blueprint.post("/<int:user_id>/enable")
def enable_user(user_id: int) -> Response:
    def act(person: User) -> str | None:
        if person.disabled_at is None:
            return None
        enable(person)
        if person.is_invited:
            return _("The account of %(name)s is open again. Send the invitation again.", name=person.name)
        return _("The account of %(name)s is open again, with the same password as before.", name=person.name)

    return _act(user_id, "user.enabled", act)


@blueprint.post("/<int:user_id>/invitation")
def invite_again(user_id: int) -> Response:
    return _act(user_id, "user.invited_again", lambda person: _mail(person, LinkPurpose.INVITATION))


@blueprint.post("/<int:user_id>/withdrawal")
def withdraw(user_id: int) -> Response:
    lock_tenant(db.session, current_user.company_id)
    person = _user(user_id)
    name, email, before = person.name, person.email, _shown(person)
    if not person.is_invited:
        abort(404)
    try:
        withdraw_invitation(db.session, person)
    except Refused as refusal:
        db.session.rollback()
        flash(said(refusal), "error")
        return _to(_user(user_id))
    audit_act("user.invitation_withdrawn", email, before=before)
    db.session.commit()
    flash(_("The invitation for %(name)s was withdrawn, and the address is free again.", name=name), "info")
    return redirect(url_for("users.users"), 303)


@blueprint.post("/<int:user_id>/password")
def reset_password(user_id: int) -> Response:
    return _act(user_id, "user.password_reset_sent", lambda person: _mail(person, LinkPurpose.PASSWORD_RESET))


@blueprint.post("/<int:user_id>/address")
def ask_address_again(user_id: int) -> Response:
    return _act(user_id, "user.address_asked", lambda person: _mail(person, LinkPurpose.NEW_ADDRESS))


@blueprint.post("/<int:user_id>/address/withdraw")
def keep_address(user_id: int) -> Response:
    def act(person: User) -> str | None:
        if person.new_email is None:
            return None
        keep_email(db.session, person)
        return _("%(name)s keeps the address %(email)s.", name=person.name, email=person.email)

    return _act(user_id, "user.address_kept", act)


def _mail(person: User, purpose: LinkPurpose) -> str | None:
    """An invitation is for who has no password yet, a reset for who has one, and none for a closed account. An address
    is asked where there is a new one."""
    if person.disabled_at or person.is_invited != (purpose == LinkPurpose.INVITATION):
        abort(404)
    if purpose == LinkPurpose.NEW_ADDRESS and not person.new_email:
        abort(404)
    if not mail_again(db.session, person, purpose, by=current_user):
        flash(_("An email with a link was already sent within the last minute."), "info")
        return None
    if purpose == LinkPurpose.NEW_ADDRESS:
        return _asked_text(person)
    return _("An email with a link is on its way to %(email)s.", email=person.email)


@blueprint.post("/<int:user_id>/second-factor")
def reset_second_factor(user_id: int) -> Response:
    def act(person: User) -> str | None:
        if person.second_factor_at is None:
            return None
        second_factor.remove(db.session, person)
        tell_change(db.session, person, "factor_reset")
        end_sessions(db.session, person)
        return _(
            "The second factor of %(name)s was removed. The next sign-in needs only the password.", name=person.name
        )

    return _act(user_id, "user.second_factor_reset", act)


@blueprint.post("/<int:user_id>/sessions")
def sign_out_everywhere(user_id: int) -> Response:
    def act(person: User) -> str | None:
        if not end_sessions(db.session, person):
            return None
        return _("%(name)s has been signed out of every browser.", name=person.name)

    return _act(user_id, "user.signed_out", act)


# ---- Keys


@blueprint.post("/<int:user_id>/keys")
def add_key(user_id: int) -> Response:
    """gpg is asked while no transaction is open."""
    person = _user(user_id)
    try:
        content = _uploaded_key()
        db.session.rollback()
        facts = asdict(read_public_key(content))
        lock_tenant(db.session, current_user.company_id)
        person = _user(user_id)
        key = enter_key(db.session, person, facts)
    except Refused as refusal:
        db.session.rollback()
        return _user_page(_user(user_id), errors={"key": said(refusal)}, typed_key=_pasted_key(refusal))
    audit_act("user.key_added", person.email, after={"fingerprint": key.fingerprint})
    db.session.commit()
    flash(_("The key was added."), "info")
    return _to(person, "keys")


def _uploaded_key() -> bytes:
    upload = request.files.get("key_file")
    content = upload.stream.read(KEY_BYTES + 1) if upload and upload.filename else b""
    content = content or request.form.get("key", "").strip().encode()
    if not content:
        raise Refused("key_missing", field="key")
    return content


def _pasted_key(refusal: Refused) -> str:
    """As it was refused. A secret one does not come back: it would stand in the page."""
    typed = request.form.get("key", "")
    return "" if refusal.code == "key_secret" or "PRIVATE KEY" in typed else typed


@blueprint.post("/<int:user_id>/keys/<int:key_id>/remove")
def remove_key(user_id: int, key_id: int) -> Response:
    person = _user(user_id)
    key = get_key(db.session, person, key_id) or abort(404)
    audit_act("user.key_removed", person.email, before={"fingerprint": key.fingerprint})
    db.session.delete(key)
    db.session.commit()
    flash(_("The key was removed: emails signed with it are refused."), "info")
    return _to(person, "keys")
