"""Who has looked at a fax and who has taken it away, for the company's audit log.

What is taken away is entered before the first byte leaves. What is looked at is entered beside the answer, once an hour
for each person and fax: a database that is busy at that moment keeps nobody from reading, and the process's log has it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from flask import Flask, g, request
from flask_login import current_user

from app.models import AuditEvent, Fax
from app.rules.audit.auditing import audit
from app.web.site.administration import audit_act
from app.web.site.guard import begin_reading, begin_writing
from tenants.connections import ASIDE, DATABASE_DOWN, waiting
from tenants.db import db, read_only, utc_now
from tenants.models import User

log = logging.getLogger(__name__)

SEEN = "fax.seen"
#: Whoever turns pages looks at one fax once.
AGAIN = timedelta(hours=1)


@dataclass(frozen=True)
class _View:
    user_id: int
    tenant_id: int
    target: str
    remote_address: str | None


def fax_target(fax: Fax) -> str:
    """As people call it: by its number in the company."""
    return f"#{fax.number}"


def note_view(fax: Fax) -> None:
    """The signed-in person sees pages of this fax, or its page."""
    view = _View(current_user.id, fax.tenant_id, fax_target(fax), request.remote_addr)
    if not _was_just_seen(view):
        g.setdefault("views", []).append(view)


def _was_just_seen(view: _View) -> bool:
    mine = sa.select(AuditEvent.id).where(
        AuditEvent.tenant_id == view.tenant_id,
        AuditEvent.user_id == view.user_id,
        AuditEvent.at > utc_now() - AGAIN,
        AuditEvent.action == SEEN,
        AuditEvent.target == view.target,
    )
    return db.session.scalar(mine.limit(1)) is not None


def enter_download(action: str, faxes: Sequence[Fax]) -> None:
    """The signed-in person takes these away. Commits; what was read before has to be read again."""
    numbers = [fax.number for fax in faxes]
    values = {"faxes": numbers} if len(numbers) > 1 else None
    begin_writing()
    audit_act(action, ", ".join(f"#{number}" for number in numbers), after=values)
    db.session.commit()
    begin_reading()


def _enter_views(_error: BaseException | None) -> None:
    for view in g.pop("views", ()):
        try:
            db.session.rollback()
            read_only.set(False)
            with waiting(ASIDE):
                _enter(view)
        except DATABASE_DOWN as error:
            log.warning("not in the audit log: user %s saw fax %s: %s", view.user_id, view.target, error)
            db.session.rollback()


def _enter(view: _View) -> None:
    user = db.session.get(User, view.user_id)
    audit(
        db.session,
        user=user,
        tenant_id=view.tenant_id,
        action=SEEN,
        target=view.target,
        remote_address=view.remote_address,
    )
    db.session.commit()


def init_app(app: Flask) -> None:
    app.teardown_request(_enter_views)
