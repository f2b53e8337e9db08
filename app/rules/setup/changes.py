"""Save and apply: edits are collected, shown as a difference and applied together, all or none of them.

What an administrator saves is a row of theirs (:class:`PendingChange`) and holds nowhere yet. A kind of thing takes
part by a :class:`ChangeHandler` that is registered once, when its module is imported. Fields and values are plain JSON,
as the form has them; a field that is a list of many (the permissions of a line) is one field for each entry, such as
``grant:17``, so that two edits of different entries do not overwrite each other.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import PendingChange
from app.rules.audit.auditing import audit
from tenants.db import rows_changed, utc_now
from tenants.models import Tenant, User
from tenants.scope import lock_tenant, owned_by

ADD, CHANGE, REMOVE = "add", "change", "remove"
Values = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One line of what is shown: a field by its code, or by a ``label`` of its own (a user's name)."""

    field: str
    before: Any
    after: Any
    label: str = ""


@dataclass(frozen=True)
class Applied:
    """What the audit log keeps: the thing as a person knows it, and what differs, never a secret."""

    target: str
    before: Values | None
    after: Values | None


class ChangeHandler(ABC):
    """How one kind of thing is changed. ``apply`` and ``current`` have to be written, the rest has defaults."""

    #: What the audit log says of one that was taken away: ``<kind>.removed``.
    removed = "removed"

    def order(self, act: str) -> int:
        """Lower comes first when several are applied; what goes makes room for what comes."""
        return {REMOVE: 40, CHANGE: 50, ADD: 60}[act]

    def title(self, session: Session, tenant: Tenant, change: PendingChange) -> str:
        """The thing as a person knows it."""
        current = self.current(session, tenant, change.target_id) if change.target_id else None
        return str((current or change.after or change.before).get("name", ""))

    @abstractmethod
    def current(self, session: Session, tenant: Tenant, target_id: int) -> Values | None:
        """Every field as it holds now; None if the tenant has no such thing any more."""

    def release(self, session: Session, tenant: Tenant, change: PendingChange) -> None:  # noqa: B027 - most need not
        """Give up what another change of the same lot may take (an extension): called for all before any is applied."""

    @abstractmethod
    def apply(self, session: Session, tenant: Tenant, change: PendingChange, *, by: User) -> Applied:
        """Do it; the tenant is locked, the caller commits. Secrets: :func:`secrets_of`.

        Raises:
            Refused: a rule does not allow it.
        """

    def judge(self, session: Session, tenant: Tenant, change: PendingChange) -> None:  # noqa: B027 - most need not
        """Called for each once all are applied: rules that look at the whole.

        Raises:
            Refused: see ``apply``.
        """

    def differences(self, session: Session, tenant: Tenant, change: PendingChange) -> list[Difference]:
        """Field by field, as people read it."""
        names = [*change.after, *(name for name in change.before if name not in change.after)]
        found = [Difference(name, change.before.get(name), change.after.get(name)) for name in names]
        return found + [Difference(name, None, "changed") for name in secrets_of(change)]


class ChangeRefused(Refused):
    """One of several cannot be applied, so none was. ``refusal`` says why, ``title`` of which thing."""

    def __init__(self, change_id: int, title: str, refusal: Refused) -> None:
        super().__init__(refusal.code, field=refusal.field, **refusal.values)
        self.change_id, self.title, self.refusal = change_id, title, refusal


_handlers: dict[str, ChangeHandler] = {}


def register(kind: str, handler: ChangeHandler) -> None:
    _handlers[kind] = handler


def handler_of(kind: str) -> ChangeHandler:
    return _handlers[kind]


def secrets_of(change: PendingChange) -> dict[str, str]:
    """In the clear: for ``apply`` only."""
    return json.loads(change.secrets) if change.secrets else {}


# ---- Saving


def save(
    session: Session,
    user: User,
    kind: str,
    target_id: int | None,
    act: str,
    *,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    secrets: Mapping[str, str] | None = None,
    added: PendingChange | None = None,
) -> PendingChange | None:
    """Keep an edit until it is applied; the caller commits. Gives the row, or None if nothing differs any more.

    ``before`` is how the fields of the form are now, ``after`` how they are wanted. Another edit of the same thing by
    the same person goes into the same row: fields that are not named stay as they were saved. ``added`` is the row of a
    thing that is itself only saved yet.

    A line is called "Front" and has extension 501. Alice saves ``before={"name": "Front", "extension": "501"}``,
    ``after={"name": "Desk", "extension": "501"}``: the row keeps what differs, ``before={"name": "Front"}``,
    ``after={"name": "Desk"}``. On another page she saves ``after={"number": "+3905"}``: the row has both. She types
    "Front" again: the name leaves the row, and with the last field the row goes.
    """
    lock_tenant(session, user.company_id)
    row = added if target_id is None else saved_for(session, user, kind, target_id)
    was, wanted = _plain(before), _plain(after)
    if row is None:
        row = PendingChange(tenant_id=user.tenant_id, user_id=user.id, kind=kind, target_id=target_id)
        row.before, row.after = {}, {}
    elif row.act == REMOVE or act == REMOVE:
        row.before, row.after, row.secrets = {}, {}, None
    row.act = act
    if act == REMOVE:
        row.before = was
    else:
        _note_fields(row, was, wanted)
    row.secrets = json.dumps(secrets_of(row) | dict(secrets)) if secrets else row.secrets
    row.changed_at = utc_now()
    if act == CHANGE and not row.after and not row.secrets:
        if row.id:
            session.delete(row)
        return None
    session.add(row)
    session.flush()
    return row


def _note_fields(row: PendingChange, was: Values, wanted: Values) -> None:
    """Each field of the form that differs enters the row, each that does not leaves it; a new thing keeps them all."""
    before, after = dict(row.before), dict(row.after)
    for name, value in wanted.items():
        before.pop(name, None)
        after.pop(name, None)
        if row.act == ADD or not _same(was.get(name), value):
            after[name] = value
            if row.act == CHANGE:
                before[name] = was.get(name)
    row.before, row.after = before, after


def forget_secret(change: PendingChange, name: str) -> None:
    """A secret that was typed earlier is not wanted any more."""
    left = {other: value for other, value in secrets_of(change).items() if other != name}
    change.secrets = json.dumps(left) if left else None


def _plain(values: Mapping[str, Any]) -> Values:
    """As the database will give it back: no enumerations, no tuples."""
    plain: Values = json.loads(json.dumps(dict(values)))
    return plain


def _same(one: Any, other: Any) -> bool:
    """Empty is empty, in whatever form."""
    return (one or None) == (other or None)


# ---- Looking


def pending(session: Session, user: User) -> list[PendingChange]:
    """What this person has saved and not applied, oldest first."""
    if user.tenant_id is None:
        return []
    return list(session.scalars(_mine(user).order_by(PendingChange.changed_at, PendingChange.id)))


def pending_count(session: Session, user: User) -> int:
    if user.tenant_id is None:
        return 0
    return session.scalar(_mine(user).with_only_columns(sa.func.count())) or 0


def _mine(user: User) -> sa.Select[PendingChange]:
    return owned_by(PendingChange, user.company_id).where(PendingChange.user_id == user.id)


def saved_for(session: Session, user: User, kind: str, target_id: int) -> PendingChange | None:
    """This person's saved edit of this thing."""
    return session.scalar(_mine(user).where(PendingChange.kind == kind, PendingChange.target_id == target_id))


def get_pending(session: Session, user: User, change_id: int, *, kind: str | None = None) -> PendingChange | None:
    """This person's row; that of another person and one that is missing are both None."""
    row = session.scalar(_mine(user).where(PendingChange.id == change_id))
    return row if row and kind in (None, row.kind) else None


def overlay(current: Mapping[str, Any], change: PendingChange | None) -> Values:
    """The fields as the person who saved ``change`` wants to have them."""
    return dict(current) | (change.after if change and change.act != REMOVE else {})


def others_pending(session: Session, user: User) -> list[tuple[str, int]]:
    """Colleagues of the same tenant who have saved something: name and how many."""
    query = (
        sa.select(User.name, sa.func.count())
        .join(PendingChange, PendingChange.user_id == User.id)
        .where(PendingChange.tenant_id == user.tenant_id, PendingChange.user_id != user.id)
        .group_by(User.id, User.name)
        .order_by(User.name)
    )
    return [(name, count) for name, count in session.execute(query)]


# ---- Applying


def apply_all(session: Session, user: User, *, remote_address: str | None, ids: Collection[int] | None = None) -> int:
    """Everything that this person has saved, or nothing of it; gives how many changes that were. Commits.

    ``ids`` are those that the person was shown: if others have come since, or some have gone, nothing is applied.

    Raises:
        ChangeRefused: the first one that cannot be, with why.
        Refused: ``changes_differ``.
    """
    lock_tenant(session, user.company_id)
    tenant = session.get_one(Tenant, user.tenant_id, populate_existing=True)
    rows = sorted(pending(session, user), key=lambda row: (handler_of(row.kind).order(row.act), row.id))
    if ids is not None and {row.id for row in rows} != set(ids):
        raise Refused("changes_differ")
    named = [(row, row.id, handler_of(row.kind).title(session, tenant, row)) for row in rows]
    act = partial(_apply, by=user, remote_address=remote_address)
    for step in (_demand_as_it_was, _release, act, _judge):
        for row, row_id, title in named:
            try:
                step(session, tenant, row)
                session.flush()
            except Refused as refusal:
                session.rollback()
                raise ChangeRefused(row_id, title, refusal) from refusal
            except IntegrityError as error:  # somebody was faster with what there is only one of
                session.rollback()
                raise ChangeRefused(row_id, title, Refused("change_clashes")) from error
    for row in rows:
        session.delete(row)
    session.commit()
    return len(rows)


def _release(session: Session, tenant: Tenant, row: PendingChange) -> None:
    handler_of(row.kind).release(session, tenant, row)


def _judge(session: Session, tenant: Tenant, row: PendingChange) -> None:
    handler_of(row.kind).judge(session, tenant, row)


def _demand_as_it_was(session: Session, tenant: Tenant, row: PendingChange) -> None:
    """Somebody else may have applied a change of the same field since this one was saved."""
    if row.act == ADD:
        return
    current = None if row.target_id is None else handler_of(row.kind).current(session, tenant, row.target_id)
    if current is None:
        raise Refused("change_gone")
    now = _plain(current)
    if row.act == CHANGE and any(not _same(now.get(name), value) for name, value in row.before.items()):
        raise Refused("change_overtaken")


def _apply(session: Session, tenant: Tenant, row: PendingChange, *, by: User, remote_address: str | None) -> None:
    handler = handler_of(row.kind)
    done = handler.apply(session, tenant, row, by=by)
    verb = {ADD: "added", CHANGE: "changed", REMOVE: handler.removed}[row.act]
    audit(
        session,
        user=by,
        tenant_id=tenant.id,
        action=f"{row.kind}.{verb}",
        target=done.target,
        before=done.before,
        after=done.after,
        remote_address=remote_address,
    )


def discard(session: Session, user: User, ids: Collection[int] | None = None) -> int:
    """Forget what was saved, all of it or those; gives how many rows that were. The caller commits."""
    mine = [PendingChange.tenant_id == user.tenant_id, PendingChange.user_id == user.id]
    if ids is not None:
        mine.append(PendingChange.id.in_(ids))
    return rows_changed(session, sa.delete(PendingChange).where(*mine))
