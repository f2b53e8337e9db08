"""The outbox for those who look after it: what was refused, what waits, and sending it again."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session, joinedload

from app.models import Fax, Notice, NoticeKind
from app.queues import enqueue_after_commit
from app.rules.words.sentences import SENTENCES, sentence
from tenants.db import utc_now
from tenants.models import User

#: A page holds so many of each.
MOST_SHOWN = 100
#: So long a person is told that a mail did not reach them.
TOLD_DAYS = 30
#: Their links are gone with the refusal: a new one is made where the account is.
WITH_LINK = (NoticeKind.INVITATION, NoticeKind.PASSWORD_RESET, NoticeKind.NEW_ADDRESS)

KIND_NAMES = {
    NoticeKind.OUTCOME: _l("Sending report"),
    NoticeKind.HELD: _l("Question about a fax"),
    NoticeKind.RECEIVED: _l("Received fax"),
    NoticeKind.FORWARDED: _l("Forwarded fax"),
    NoticeKind.HANDED_OVER: _l("Fax handed over"),
    NoticeKind.REMINDER: _l("Reminder"),
    NoticeKind.INVITATION: _l("Invitation"),
    NoticeKind.PASSWORD_RESET: _l("New password"),
    NoticeKind.NEW_ADDRESS: _l("Confirmation of a new address"),
    NoticeKind.KEY_EXPIRES: _l("PGP key about to expire"),
    NoticeKind.SIGNED_IN: _l("Sign-in from somewhere new"),
    NoticeKind.ACCOUNT_CHANGED: _l("Change of an account"),
    NoticeKind.ALERT: _l("Warning"),
    NoticeKind.ALL_CLEAR: _l("All-clear"),
    NoticeKind.DISK_FILLING: _l("Warning"),
    NoticeKind.DISK_ROOM: _l("All-clear"),
    NoticeKind.TRUNK_AWAY: _l("Warning"),
    NoticeKind.TRUNK_BACK: _l("All-clear"),
    NoticeKind.MAIL_ACCEPTED: _l("Answer to a Mail2Fax email"),
    NoticeKind.MAIL_REFUSED: _l("Answer to a Mail2Fax email"),
    NoticeKind.MAIL_TESTED: _l("Answer to a Mail2Fax email"),
    NoticeKind.BOX_FAULT: _l("Mail2Fax box not collected"),
    NoticeKind.DIGEST: _l("Daily summary of sent faxes"),
    NoticeKind.TOKEN_ENDS: _l("Sign-in about to expire"),
}

_GIVEN_UP = Notice.given_up_at.is_not(None)


def _kept_by(user: User) -> sa.ColumnElement[bool]:
    """An administrator looks after their company's mails, an operator after all."""
    return sa.true() if user.is_operator else Notice.tenant_id == user.tenant_id


def refused_mails(session: Session, user: User) -> list[Notice]:
    """What will not leave by itself any more, newest first."""
    query = sa.select(Notice).where(_GIVEN_UP, _kept_by(user)).options(joinedload(Notice.fax))
    return list(session.scalars(query.order_by(Notice.given_up_at.desc(), Notice.id.desc()).limit(MOST_SHOWN)))


def count_refused(session: Session, user: User, now: datetime) -> int:
    """Of the last weeks: what somebody should look at."""
    recent = sa.select(sa.func.count()).select_from(Notice).where(_GIVEN_UP, _kept_by(user))
    return session.scalar(recent.where(Notice.given_up_at > now - timedelta(days=TOLD_DAYS))) or 0


def waiting_mails(session: Session, user: User, now: datetime) -> list[Notice]:
    """What has been tried and is tried again, or should have left long ago; oldest first."""
    late = sa.or_(Notice.error.is_not(None), Notice.due_at < now - timedelta(minutes=1))
    late = sa.and_(late, Notice.cause.is_distinct_from("fax_being_prepared"))  # about a fax that is not ready itself
    query = sa.select(Notice).where(Notice.sent_at.is_(None), Notice.due_at.is_not(None), late, _kept_by(user))
    return list(session.scalars(query.options(joinedload(Notice.fax)).order_by(Notice.id).limit(MOST_SHOWN)))


def refused_of_fax(session: Session, fax: Fax, user: User) -> list[Notice]:
    """Of a fax's mails those that were refused: to this person, sent by them, or all for an administrator."""
    query = sa.select(Notice).where(Notice.fax_id == fax.id, Notice.tenant_id == user.tenant_id, _GIVEN_UP)
    if not user.is_admin:
        query = query.where(sa.or_(Notice.recipient == user.email, Notice.from_user_id == user.id))
    return list(session.scalars(query.order_by(Notice.id)))


def last_refusal(session: Session, user: User, now: datetime) -> Notice | None:
    """The newest mail that this person's mail server would not take."""
    addresses = [user.email, *filter(None, [user.new_email])]
    mine = sa.select(Notice).where(Notice.recipient.in_(addresses), _GIVEN_UP, _same_company(user))
    recent = mine.where(Notice.given_up_at > now - timedelta(days=TOLD_DAYS))
    return session.scalar(recent.order_by(Notice.given_up_at.desc()).limit(1))


def _same_company(user: User) -> sa.ColumnElement[bool]:
    """An address may have belonged to somebody of another company before."""
    return Notice.tenant_id == user.tenant_id if user.tenant_id else Notice.tenant_id.is_(None)


def words_of(notice: Notice) -> str:
    """Why it has not left: the mail server's own words, or ours for a cause of ours."""
    if notice.cause and notice.cause in SENTENCES:
        return sentence(notice.cause)
    return notice.error or ""


def is_repeatable(notice: Notice) -> bool:
    return notice.kind not in WITH_LINK


def send_again(session: Session, user: User, *, notice_id: int | None = None) -> int:
    """Give refused mails, one or all that this person looks after, to the mail server once more; how many. Commits.

    They keep their Message-ID: whoever got one after all recognises it.
    """
    now = utc_now()
    chosen = sa.update(Notice).where(_GIVEN_UP, _kept_by(user), Notice.kind.not_in(WITH_LINK))
    if notice_id is not None:
        chosen = chosen.where(Notice.id == notice_id)
    again = chosen.values(due_at=now, given_up_at=None, tries=0).returning(Notice.id)
    ids = session.scalars(again.execution_options(synchronize_session=False)).all()
    for id_ in ids:
        enqueue_after_commit(session, "deliver", id_)
    session.commit()
    return len(ids)


def is_kept_by(session: Session, user: User, notice_id: int) -> bool:
    return session.scalar(sa.select(Notice.id).where(Notice.id == notice_id, _kept_by(user))) is not None
