"""How much a company, and one person in it, may have stored, uploaded and mailed: so much that nobody honest meets it.

A quota keeps new things out and takes nothing away. What is received is never refused for one: it is told. Between two
uploads at once a quota is no lock, and may be passed by a document.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Document, DocumentKind, Fax, Notice
from app.rules.ground.access import rights_of
from tenants.db import utc_now
from tenants.models import Tenant, User

MEGABYTE, GIGABYTE = 1024**2, 1024**3
DAY = timedelta(days=1)
#: One person may use up a half of what the company has.
SHARE = 2
#: Of one unit so many bytes or things.
UNITS = {"storage": GIGABYTE, "drafts": MEGABYTE, "uploads": 1, "mails": 1}


@dataclass(frozen=True)
class Quota:
    """``used`` in bytes or things, ``limit`` in the unit of :data:`UNITS`, 0 = none."""

    name: str
    used: int
    limit: int

    def is_met(self, more: int = 0) -> bool:
        return bool(self.limit) and self.used + more > self.limit * UNITS[self.name]

    @property
    def used_units(self) -> float:
        return self.used / UNITS[self.name]


def quotas_of(session: Session, tenant: Tenant) -> list[Quota]:
    """What the company uses of what it may, at this moment."""
    used = _used(session, tenant.id, [(name, None) for name in UNITS])
    return [Quota(name, used[name, None], getattr(tenant, f"quota_{name}")) for name in UNITS]


def hold_upload(session: Session, user: User, size: int) -> None:
    """Whether this person may have a document of ``size`` bytes stored.

    Raises:
        Refused: ``no_line_to_send_from``; ``quota_storage``, ``quota_drafts``, ``quota_uploads`` or one of these with
            ``_own``, with ``limit`` in its unit.
    """
    if not rights_of(session, user).sends:
        raise Refused("no_line_to_send_from", field="document")
    _hold(session, user, {"storage": size, "drafts": size, "uploads": 1}, field="document")


def hold_mails(session: Session, user: User, count: int) -> None:
    """Whether this person may have so many mails sent.

    Raises:
        Refused: ``quota_mails``, ``quota_mails_own``.
    """
    if user.tenant:
        _hold(session, user, {"mails": count}, field="form")


def _hold(session: Session, user: User, wanted: dict[str, int], *, field: str) -> None:
    limits = {name: limit for name in wanted if (limit := getattr(user.tenant, f"quota_{name}"))}
    used = _used(session, user.company_id, [(name, owner) for name in limits for owner in (user.id, None)])
    for name, limit in limits.items():
        own = Quota(name, used[name, user.id], max(1, limit // SHARE))
        if own.is_met(wanted[name]):
            raise Refused(f"quota_{name}_own", field=field, limit=own.limit)
        if Quota(name, used[name, None], limit).is_met(wanted[name]):
            raise Refused(f"quota_{name}", field=field, limit=limit)


def _used(session: Session, tenant_id: int, asked: list[tuple[str, int | None]]) -> dict[tuple[str, int | None], int]:
    """Of each quota by a person, or by the company (None), in one question: somebody waits for the answer. All ask for
    the same person."""
    if not asked:
        return {}
    person = next(filter(None, (owner for _name, owner in asked)), None)
    values = {"company": tenant_id, "person": person, "since": utc_now() - DAY}
    question = _question(tuple((name, owner is not None) for name, owner in asked))
    return {key: found or 0 for key, found in zip(asked, session.execute(question, values).one(), strict=True)}


_COMPANY, _PERSON = sa.bindparam("company", type_=sa.BigInteger), sa.bindparam("person", type_=sa.BigInteger)
_SINCE: sa.BindParameter[datetime] = sa.bindparam("since")


@cache
def _question(asked: tuple[tuple[str, bool], ...]) -> sa.Select[*tuple[int | None, ...]]:
    """Made once: to make it takes as long as to ask it."""
    return sa.select(*(_QUESTIONS[name](of_person).scalar_subquery() for name, of_person in asked))


def _stored(of_person: bool) -> sa.Select[int]:
    """All files of the company; of a person the documents that they gave."""
    mine = (Document.tenant_id == _COMPANY, *([Document.user_id == _PERSON] if of_person else []))
    return sa.select(sa.func.sum(Document.size)).where(*mine, Document.erased_at.is_(None))


def _sources(of_person: bool) -> list[sa.ColumnExpressionArgument[bool]]:
    """Given in the last 24 hours; the kind is written out, so that the database sees that the partial index serves."""
    mine = [Document.tenant_id == _COMPANY, Document.created_at > _SINCE]
    kind = sa.text(f"document.kind = '{DocumentKind.SOURCE}'")
    return [*mine, kind, *([Document.user_id == _PERSON] if of_person else [])]


def _drafts(of_person: bool) -> sa.Select[int]:
    """Documents without a fax. After a day they are swept away."""
    used = sa.exists().where(Fax.source_id == Document.id)
    return sa.select(sa.func.sum(Document.size)).where(*_sources(of_person), ~used)


def _uploads(of_person: bool) -> sa.Select[int]:
    return sa.select(sa.func.count()).select_from(Document).where(*_sources(of_person))


def _mails(of_person: bool) -> sa.Select[int]:
    """That people have had sent in the last 24 hours: forwards, hand-overs, invitations."""
    mine = (Notice.tenant_id == _COMPANY, Notice.created_at > _SINCE)
    by_people = Notice.from_user_id == _PERSON if of_person else Notice.from_user_id.is_not(None)
    return sa.select(sa.func.count()).select_from(Notice).where(*mine, by_people)


_QUESTIONS = {"storage": _stored, "drafts": _drafts, "uploads": _uploads, "mails": _mails}
