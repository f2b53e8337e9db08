"""What the mails about accounts say."""

import json
from datetime import UTC, datetime

from flask_babel import format_date, format_datetime
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.application import settings
from app.models import Notice, NoticeKind
from app.rules.words.sentences import in_language
from app.services.outbox.rendering import render_for
from tenants.db import db
from tenants.links import open_link
from tenants.models import LinkPurpose, User

#: Kind → purpose of its link, and where the link leads.
LINKS = {
    NoticeKind.INVITATION: (LinkPurpose.INVITATION, "invitation"),
    NoticeKind.PASSWORD_RESET: (LinkPurpose.PASSWORD_RESET, "password"),
    NoticeKind.NEW_ADDRESS: (LinkPurpose.NEW_ADDRESS, "profile/address"),
}


#: What may have happened to an account.
CHANGES = {
    "password": _l("Your Faxroom password was changed."),
    "email": _l("The email address of your Faxroom account is now %(email)s."),
    "factor_set_up": _l("A second factor was set up for your Faxroom account."),
    "factor_removed": _l("The second factor of your Faxroom account was removed."),
    "factor_reset": _l("An administrator removed the second factor of your Faxroom account."),
    "app_removed": _l("Codes from a phone no longer open your Faxroom account; your passkeys still do."),
    "passkey_added": _l("The passkey “%(name)s” was added to your Faxroom account."),
    "passkey_removed": _l("The passkey “%(name)s” was removed from your Faxroom account."),
    "recovery_codes": _l("New recovery codes were made for your Faxroom account. The earlier ones no longer work."),
    "role": _l("An administrator changed your role in Faxroom."),
}


def account_mail(notice: Notice) -> tuple[str, str] | None:
    """Subject and text; None if it would say something that is no longer so."""
    user = notice.user
    if user is None or not user.is_active:
        return None
    with in_language(notice.language):
        return MAILS.get(NoticeKind(notice.kind), _link_mail)(notice, user)


def _link_mail(notice: Notice, user: User) -> tuple[str, str] | None:
    purpose, page = LINKS[NoticeKind(notice.kind)]
    link = open_link(db.session, notice.secret or "", purpose)
    if link is None:  # used, replaced or expired since it was written
        return None
    company = user.tenant.name if user.tenant else None
    values = {
        "user": user,
        "company": company,
        "sender": " ".join(notice.from_user.name.split()) if notice.from_user else None,
        "link": f"{_base_url()}/{page}/{notice.secret}",
        "days": max(1, round((link.expires_at - notice.created_at).total_seconds() / 86400)),
    }
    return _subject(purpose, company), render_for(notice.language, f"outbox/email/{notice.kind}.txt", **values)


def _subject(purpose: LinkPurpose, company: str | None) -> str:
    if purpose == LinkPurpose.NEW_ADDRESS:
        return _("Confirm your new address for Faxroom")
    if purpose == LinkPurpose.PASSWORD_RESET:
        return _("Choose a new password for Faxroom")
    if company:
        return _("Your access to %(company)s on Faxroom", company=" ".join(company.split()))
    return _("Your access to Faxroom")


def _key_mail(notice: Notice, user: User) -> tuple[str, str] | None:
    key = next((key for key in user.pgp_keys if key.fingerprint == notice.fingerprint), None)
    if key is None or key.expires_at is None:
        return None
    values = {"user": user, "key": key, "day": _day(key.expires_at, user), "link": f"{_base_url()}/profile"}
    subject = _("Your PGP key expires on %(day)s", day=values["day"])
    return subject, render_for(notice.language, "outbox/email/key_expires.txt", **values)


def _sign_in_mail(notice: Notice, user: User) -> tuple[str, str]:
    told = json.loads(notice.note or "{}")
    values = {"user": user, "browser": told["browser"], "address": told["address"], "at": _moment(told["at"], user)}
    text = render_for(notice.language, "outbox/email/signed_in.txt", link=f"{_base_url()}/password", **values)
    return _("New sign-in to your Faxroom account"), text


def _change_mail(notice: Notice, user: User) -> tuple[str, str]:
    told = json.loads(notice.note or "{}")
    values = {"user": user, "change": str(CHANGES[told["change"]]) % told, "at": _moment(told["at"], user)}
    text = render_for(notice.language, "outbox/email/account_changed.txt", link=f"{_base_url()}/password", **values)
    return _("Your Faxroom account was changed"), text


def _moment(text: str, user: User) -> str:
    """Where the company is; for operators in UTC."""
    zone = user.tenant.zone if user.tenant else UTC
    return format_datetime(datetime.fromisoformat(text).astimezone(zone), "medium", rebase=False)


def _day(when: datetime, user: User) -> str:
    zone = user.tenant.zone if user.tenant else None
    return format_date(when.astimezone(zone), "long", rebase=False)


def _base_url() -> str:
    return settings().base_url


MAILS = {
    NoticeKind.KEY_EXPIRES: _key_mail,
    NoticeKind.SIGNED_IN: _sign_in_mail,
    NoticeKind.ACCOUNT_CHANGED: _change_mail,
}
