"""What a digest says: a day's faxes, what went and what did not."""

from dataclasses import dataclass

from flask_babel import gettext as _

from app.application import settings
from app.models import Notice, Status
from app.rules.numbers.numbers import shown_number
from app.rules.outbox.digests import entries_of
from app.rules.words.sentences import in_language, pages_text, status_label, timestamp
from app.services.outbox.rendering import render_for
from tenants.db import db

#: Faxes that one digest names; the rest is in the fax log.
MOST_LISTED = 300


@dataclass(frozen=True)
class Digest:
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Row:
    at: str
    number: str
    document: str
    pages: str
    result: str
    is_sent: bool
    link: str


def digest(notice: Notice) -> Digest | None:
    """None if there is nobody to tell, or nothing."""
    user, entries = notice.user, entries_of(db.session, notice)
    if user is None or not user.is_active or not entries:
        return None
    tenant, base_url = user.company, settings().base_url
    sent = sum(entry.fax.status == Status.SENT for entry in entries)
    with in_language(notice.language):
        rows = [
            Row(
                timestamp(entry.fax, entry.created_at),
                shown_number(entry.fax.remote_number, tenant),
                " ".join(entry.fax.source.name.split()) if entry.fax.source else "–",
                pages_text(entry.fax.pages) if entry.fax.pages else "–",
                str(status_label(entry.fax.status)),
                entry.fax.status == Status.SENT,
                f"{base_url}/faxes/{entry.fax_id}",
            )
            for entry in entries[:MOST_LISTED]
        ]
        values = {"user": user, "tenant": tenant, "rows": rows, "more": len(entries) - len(rows), "sent": sent}
        values |= {"unsent": len(entries) - sent, "link": f"{base_url}/faxes?direction=sent"}
        values |= {"profile": f"{base_url}/profile"}
        subject = _(
            "[%(serial)s] Your faxes: %(sent)s sent, %(unsent)s not sent",
            serial=tenant.serial,
            sent=sent,
            unsent=len(entries) - sent,
        )
    text, html = (render_for(notice.language, f"outbox/email/digest.{kind}", **values) for kind in ("txt", "html"))
    return Digest(subject, text, html)
