"""What the mails about accounts say."""

from flask import current_app
from flask_babel import format_date
from flask_babel import gettext as _

from app.fax.sentences import in_language
from app.models import Notice, NoticeKind
from app.rendering import render_for
from tenants.db import db
from tenants.links import open_link
from tenants.models import LinkPurpose, PgpPublicKey, User

#: Kind → purpose of its link, and where the link leads.
LINKS = {
    NoticeKind.INVITATION: (LinkPurpose.INVITATION, "invitation"),
    NoticeKind.PASSWORD_RESET: (LinkPurpose.PASSWORD_RESET, "password"),
}


def account_mail(notice: Notice) -> tuple[str, str] | None:
    """Subject and text; None if it would say something that is no longer so."""
    user = notice.user
    if user is None or not user.is_active:
        return None
    with in_language(notice.language):
        return _key_mail(notice, user) if notice.kind == NoticeKind.KEY_EXPIRES else _link_mail(notice, user)


def _link_mail(notice: Notice, user: User) -> tuple[str, str] | None:
    purpose, page = LINKS[NoticeKind(notice.kind)]
    link = open_link(db.session, notice.secret or "", purpose)
    if link is None:  # used, replaced or expired since it was written
        return None
    values = {
        "user": user,
        "company": user.tenant.name if user.tenant else None,
        "sender": " ".join(notice.from_user.name.split()) if notice.from_user else None,
        "link": f"{_base_url()}/{page}/{notice.secret}",
        "days": max(1, round((link.expires_at - notice.created_at).total_seconds() / 86400)),
    }
    return _subject(purpose, values["company"]), render_for(notice.language, f"email/{notice.kind}.txt", **values)


def _subject(purpose: LinkPurpose, company: str | None) -> str:
    if purpose == LinkPurpose.PASSWORD_RESET:
        return _("Choose a new password for Faxroom")
    if company:
        return _("Your access to %(company)s on Faxroom", company=" ".join(company.split()))
    return _("Your access to Faxroom")


def _key_mail(notice: Notice, user: User) -> tuple[str, str] | None:
    fingerprint = notice.occasion.split(" ")[0]
    key = next((key for key in user.pgp_keys if key.fingerprint == fingerprint), None)
    if key is None or key.expires_at is None:
        return None
    values = {"user": user, "key": key, "day": _day(key, user), "link": f"{_base_url()}/profile"}
    subject = _("Your PGP key expires on %(day)s", day=values["day"])
    return subject, render_for(notice.language, "email/key_expires.txt", **values)


def _day(key: PgpPublicKey, user: User) -> str:
    zone = user.tenant.zone if user.tenant else None
    return format_date(key.expires_at.astimezone(zone), "long", rebase=False)


def _base_url() -> str:
    return current_app.config["SETTINGS"].base_url
