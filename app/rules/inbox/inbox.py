"""The shared inbox: who has looked at a received fax, who has it, and whether it is done with.

Every act is a compare-and-set on the fax's row: of two colleagues who take the same fax one changes it, the other is
told who has it. Who may see a received fax may act on it. A colleague who was closed out since holds nothing any more:
what they had taken is free again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased, joinedload

from app.models import Direction, Fax, InboxAct, InboxEvent, Status, Unread
from app.rules.ground.access import lines_open_to, people_who_may, receivers
from tenants.db import rows_changed, utc_now
from tenants.models import Role, Tenant, User
from tenants.scope import owned_by

#: Unread faxes are counted up to here; beyond it stands 99+.
MOST_COUNTED = 100
#: Rows of one page of the inbox. Who has more in it has other worries than the next page.
MOST_SHOWN = 200
#: What somebody has read and nobody needed for so long leaves the inbox by itself. It stays in the fax module.
SETTLES_AFTER = timedelta(days=30)
#: "Done" shows what was done of late.
DONE_SHOWN = 100
COMPLETE = (Status.RECEIVED, Status.INCOMPLETE)


@dataclass(frozen=True)
class Item:
    """A received fax as one person sees it: who has it, whether they themselves have still to read it (``unread``), and
    whether nobody has looked at it, or not the one who has it (``unseen``)."""

    fax: Fax
    holder: User | None
    unread: bool
    unseen: bool

    @property
    def waits_since(self) -> datetime:
        """Since it came, or since it was given to whoever has it."""
        return self.fax.taken_at if self.holder and self.fax.taken_at else self.fax.created_at


# ---- Who has what


def received_faxes(user: User) -> sa.Select[Fax]:
    """What came in, as far as the user may see it."""
    if user.tenant_id is None:
        return sa.select(Fax).where(sa.false())
    query = owned_by(Fax, user.tenant_id).where(Fax.direction == Direction.RECEIVED, Fax.status.in_(COMPLETE))
    return query if user.is_admin else query.where(Fax.entity_id.in_(lines_open_to(user, Direction.RECEIVED)))


def _may_see(person: type[User], tenant_id: Any, granted: sa.Select[int]) -> sa.ColumnElement[bool]:
    """Of a person: may see a received fax of the company, on a line at which ``granted`` may receive."""
    who = sa.or_(person.role == Role.ADMIN, person.id.in_(granted))
    return sa.and_(person.tenant_id == tenant_id, person.disabled_at.is_(None), who)


def colleagues(session: Session, fax: Fax) -> list[User]:
    """Everybody who may see a received fax, by name."""
    granted = people_who_may(Direction.RECEIVED, fax.entity_id)
    query = sa.select(User).where(_may_see(User, fax.tenant_id, granted))
    return list(session.scalars(query.order_by(User.name, User.id)))


def works_alone(session: Session, user: User) -> bool:
    """Nobody else in the company: nothing to take and nobody to hand anything to."""
    others = sa.select(User.id).where(User.tenant_id == user.tenant_id, User.disabled_at.is_(None), User.id != user.id)
    return session.scalar(others.limit(1)) is None


def _is_held() -> sa.ColumnElement[bool]:
    """Somebody has taken the fax and may still see it."""
    holder = aliased(User)
    granted = people_who_may(Direction.RECEIVED, Fax.entity_id).correlate(Fax)
    return sa.exists().where(holder.id == Fax.taken_by_id, _may_see(holder, Fax.tenant_id, granted)).correlate(Fax)


def is_held_now(session: Session, fax: Fax) -> bool:
    """Whether whoever has taken the fax may still see it."""
    return session.scalar(sa.select(Fax.id).where(Fax.id == fax.id, _is_held())) is not None


def _is_unread(user_id: Any) -> sa.ColumnElement[bool]:
    return sa.exists().where(Unread.fax_id == Fax.id, Unread.user_id == user_id).correlate(Fax)


def _is_unseen() -> sa.ColumnElement[bool]:
    """Nobody has opened it, or not the colleague who has it."""
    by_holder = sa.and_(_is_held(), _is_unread(Fax.taken_by_id))
    return sa.or_(by_holder, sa.and_(~_is_held(), Fax.seen_at.is_(None)))


def _items(session: Session, user: User, query: sa.Select[Fax]) -> list[Item]:
    people = (joinedload(Fax.entity), joinedload(Fax.taken_by), joinedload(Fax.done_by))
    whole = query.add_columns(_is_held(), _is_unread(user.id), _is_unseen()).options(*people)
    rows = session.execute(whole.execution_options(populate_existing=True))
    return [Item(fax, fax.taken_by if held else None, unread, unseen) for fax, held, unread, unseen in rows]


def read_item(session: Session, user: User, fax_id: str) -> Item | None:
    """As it is now; None for what the user may not see."""
    items = _items(session, user, received_faxes(user).where(Fax.id == fax_id))
    return items[0] if items else None


# ---- Lists and counts


def open_items(session: Session, user: User) -> list[Item]:
    """What is not done: first what nobody has, unread before read, then what colleagues have. Oldest first."""
    query = received_faxes(user).where(Fax.done_at.is_(None))
    order = (_is_held(), sa.desc(_is_unread(user.id)), Fax.created_at, Fax.id)
    return _items(session, user, query.order_by(*order).limit(MOST_SHOWN))


def own_items(session: Session, user: User) -> list[Item]:
    """What the user has taken or was handed."""
    query = received_faxes(user).where(Fax.done_at.is_(None), Fax.taken_by_id == user.id)
    return _items(session, user, query.order_by(Fax.created_at, Fax.id).limit(MOST_SHOWN))


def done_items(session: Session, user: User) -> list[Item]:
    """What somebody marked done, the last first."""
    query = received_faxes(user).where(Fax.done_at.is_not(None), Fax.done_by_id.is_not(None))
    return _items(session, user, query.order_by(Fax.done_at.desc(), Fax.id).limit(DONE_SHOWN))


def next_item(session: Session, user: User, *, after: Fax) -> Item | None:
    """What to look at next: the oldest that nobody else has."""
    query = received_faxes(user).where(Fax.done_at.is_(None), Fax.id != after.id, _is_open_to(user.id))
    order = (sa.desc(_is_unread(user.id)), Fax.created_at, Fax.id)
    items = _items(session, user, query.order_by(*order).limit(1))
    return items[0] if items else None


def unread_count(session: Session, user: User) -> int:
    """Unread faxes that wait for this user: not those that a colleague has. At most ``MOST_COUNTED``."""
    waiting = received_faxes(user).join(Unread, Unread.fax_id == Fax.id)
    mine = waiting.where(Unread.user_id == user.id, Fax.done_at.is_(None), _is_open_to(user.id))
    some = mine.with_only_columns(sa.literal(1)).limit(MOST_COUNTED).subquery()
    return session.scalar(sa.select(sa.func.count()).select_from(some)) or 0


def unread_among(session: Session, user: User, fax_ids: Sequence[str]) -> set[str]:
    """Which of these faxes the user has still to read."""
    mine = sa.select(Unread.fax_id).where(Unread.user_id == user.id, Unread.fax_id.in_(fax_ids))
    return set(session.scalars(mine)) if fax_ids else set()


def history(session: Session, fax: Fax) -> list[InboxEvent]:
    """What colleagues did with it, the last first."""
    events = owned_by(InboxEvent, fax.tenant_id).where(InboxEvent.fax_id == fax.id)
    people = (joinedload(InboxEvent.user), joinedload(InboxEvent.to_user))
    return list(session.scalars(events.options(*people).order_by(InboxEvent.id.desc())))


# ---- Reading


def mark_read(session: Session, fax: Fax, user: User) -> None:
    """The user has opened it. Commits."""
    session.execute(sa.delete(Unread).where(Unread.fax_id == fax.id, Unread.user_id == user.id))
    session.execute(sa.update(Fax).where(Fax.id == fax.id, Fax.seen_at.is_(None)).values(seen_at=utc_now()))
    session.commit()


def mark_unread(session: Session, fax: Fax, user: User) -> None:
    """As if the user had not opened it: whoever says so has not dealt with it, so it is reminded of again. Commits."""
    again = sa.update(Fax).where(Fax.id == fax.id, Fax.done_at.is_(None)).values(seen_at=None)
    if rows_changed(session, again):
        _add_unread(session, fax, [user.id])
    session.commit()


def _add_unread(session: Session, fax: Fax, user_ids: Iterable[int]) -> None:
    rows = [{"user_id": user_id, "fax_id": fax.id, "tenant_id": fax.tenant_id} for user_id in user_ids]
    if rows:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        session.execute(dialect.insert(Unread).on_conflict_do_nothing(), rows)


# ---- Acts. Each gives False, and changes nothing, if a colleague was faster. Each commits.


def take(session: Session, fax: Fax, user: User, *, instead_of: int | None = None) -> bool:
    """The fax is the user's. ``instead_of`` is who had it on the page on which the user decided."""
    now = utc_now()
    free = sa.or_(Fax.taken_by_id.is_(None), Fax.taken_by_id != user.id), _is_open_to(instead_of)
    changed = _change(session, fax, *free, taken_by_id=user.id, taken_at=now)
    return _conclude(session, changed, _event(fax, user, InboxAct.TAKEN)) or _has(session, fax, user)


def hand_over(
    session: Session, fax: Fax, user: User, to: User, *, instead_of: int | None = None, note: str | None = None
) -> InboxEvent | None:
    """The fax is a colleague's, who may see it (:func:`colleagues`), and unread for them. The caller writes the mail
    and commits; None if another colleague was faster."""
    if not _change(session, fax, _is_open_to(user.id, instead_of), taken_by_id=to.id, taken_at=utc_now()):
        session.rollback()
        return None
    _add_unread(session, fax, [to.id])
    event = _event(fax, user, InboxAct.HANDED_OVER, to_user_id=to.id, note=note)
    session.add(event)
    session.flush()
    return event


def release(session: Session, fax: Fax, user: User, *, holder_id: int | None = None) -> bool:
    """Nobody's again. An administrator may say so of a colleague's, whom the page named (``holder_id``)."""
    held = Fax.taken_by_id == (holder_id if user.is_admin and holder_id else user.id)
    changed = _change(session, fax, held, taken_by_id=None, taken_at=None)
    return _conclude(session, changed, _event(fax, user, InboxAct.RELEASED))


def done(session: Session, fax: Fax, user: User, *, instead_of: int | None = None) -> bool:
    """Nobody has to look at it any more."""
    changed = _change(session, fax, _is_open_to(user.id, instead_of), done_by_id=user.id, done_at=utc_now())
    if changed:
        session.execute(sa.delete(Unread).where(Unread.fax_id == fax.id))
    return _conclude(session, changed, _event(fax, user, InboxAct.DONE))


def done_with_read(session: Session, user: User, fax_ids: Sequence[str]) -> int:
    """Those of the faxes that the user has read and no colleague has are done; gives how many."""
    mine = received_faxes(user).where(Fax.id.in_(fax_ids)).with_only_columns(Fax.id)
    conditions = (Fax.id.in_(mine), Fax.done_at.is_(None), _is_open_to(user.id), ~_is_unread(user.id))
    now = utc_now()
    statement = sa.update(Fax).where(*conditions).values(done_by_id=user.id, done_at=now).returning(Fax.id)
    ids = list(session.scalars(statement.execution_options(synchronize_session=False)))
    session.execute(sa.delete(Unread).where(Unread.fax_id.in_(ids)))
    common = {"tenant_id": user.tenant_id, "user_id": user.id, "act": InboxAct.DONE, "at": now}
    session.add_all(InboxEvent(fax_id=fax_id, **common) for fax_id in ids)
    session.commit()
    return len(ids)


def reopen(session: Session, fax: Fax, user: User) -> bool:
    """Not done after all: nobody's, and unread for the colleagues."""
    values = {"done_by_id": None, "done_at": None, "taken_by_id": None, "taken_at": None}
    statement = sa.update(Fax).where(Fax.id == fax.id, Fax.done_at.is_not(None)).values(**values)
    changed = rows_changed(session, statement) == 1
    if changed:
        _add_unread(session, fax, [other.id for other in receivers(session, fax) if other.id != user.id])
    return _conclude(session, changed, _event(fax, user, InboxAct.REOPENED))


def _is_open_to(*user_ids: int | None) -> sa.ColumnElement[bool]:
    """Nobody has it, or one of these."""
    known = [user_id for user_id in user_ids if user_id is not None]
    return sa.or_(Fax.taken_by_id.is_(None), Fax.taken_by_id.in_(known), ~_is_held())


def _change(session: Session, fax: Fax, *conditions: sa.ColumnElement[bool], **values: Any) -> bool:
    statement = sa.update(Fax).where(Fax.id == fax.id, Fax.done_at.is_(None), *conditions).values(**values)
    return rows_changed(session, statement.execution_options(synchronize_session=False)) == 1


def _event(fax: Fax, user: User, act: InboxAct, **more: Any) -> InboxEvent:
    return InboxEvent(tenant_id=fax.tenant_id, fax_id=fax.id, user_id=user.id, act=act, **more)


def _conclude(session: Session, changed: bool, event: InboxEvent) -> bool:
    if changed:
        session.add(event)
        session.commit()
    else:
        session.rollback()
    return changed


def _has(session: Session, fax: Fax, user: User) -> bool:
    """Who clicks twice has it all the same."""
    mine = sa.select(Fax.id).where(Fax.id == fax.id, Fax.taken_by_id == user.id, Fax.done_at.is_(None))
    return session.scalar(mine) is not None


# ---- What nobody looks at, and what nobody needs any more


def lying(session: Session, tenant: Tenant, *, before: datetime) -> list[Item]:
    """Faxes that nobody has opened, or not the colleague who has them, waiting since before that time; oldest first."""
    query = owned_by(Fax, tenant.id).where(Fax.direction == Direction.RECEIVED, Fax.status.in_(COMPLETE))
    query = query.where(Fax.done_at.is_(None), Fax.created_at < before)
    query = query.where(_is_unseen(), sa.or_(~_is_held(), Fax.taken_at < before))
    whole = query.add_columns(_is_held()).options(joinedload(Fax.entity), joinedload(Fax.taken_by))
    rows = session.execute(whole.order_by(Fax.created_at, Fax.id).limit(1000))
    return [Item(fax, fax.taken_by if held else None, unread=True, unseen=True) for fax, held in rows]


def settle(session: Session, now: datetime) -> int:
    """What was read, is nobody's and lay untouched for a month leaves the inbox by itself. Commits."""
    past = now - SETTLES_AFTER
    touched = sa.exists().where(InboxEvent.fax_id == Fax.id, InboxEvent.at > past).correlate(Fax)
    old = sa.select(Fax.id).where(
        Fax.direction == Direction.RECEIVED, Fax.done_at.is_(None), Fax.created_at < past, Fax.seen_at < past
    )
    ids = list(session.scalars(old.where(~_is_held(), ~touched).limit(500)))
    conditions = (Fax.id.in_(ids), Fax.done_at.is_(None), ~_is_held(), Fax.seen_at < past)
    settled = sa.update(Fax).where(*conditions).values(done_at=now).returning(Fax.id)
    settled_ids = list(session.scalars(settled.execution_options(synchronize_session=False))) if ids else []
    session.execute(sa.delete(Unread).where(Unread.fax_id.in_(settled_ids)))
    session.commit()
    return len(settled_ids)
