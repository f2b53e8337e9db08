"""What a page of the set-up is about: a thing with what this person has saved of it, or one that is only saved yet."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, Self, TypeVar

from flask import abort, flash
from flask_babel import gettext as _
from flask_login import current_user

from app.models import ArchivePlace, FaxEntity, FaxTemplate, PendingChange
from app.rules.setup.changes import (
    ADD,
    CHANGE,
    REMOVE,
    Values,
    discard,
    get_pending,
    overlay,
    pending,
    save,
    saved_for,
)
from app.web.site.submissions import stamp_of
from tenants.db import db

Row = TypeVar("Row", ArchivePlace, FaxEntity, FaxTemplate)


@dataclass(frozen=True)
class SavedSubject(ABC, Generic[Row]):
    """``row`` is the thing, None where it is only saved yet; ``change`` what this person has saved of it, if anything.

    Alice has renamed the template "Standard" to "Fine" and not applied it yet: its ``name`` and ``live["name"]`` are
    "Standard", ``wanted["name"]`` is "Fine". Of one that she has only added ``row`` is None, ``live`` is empty and
    ``name`` is what she typed.
    """

    row: Row | None
    change: PendingChange | None

    #: The kind of its changes (:mod:`app.rules.setup.changes`).
    kind: ClassVar[str]

    @classmethod
    def known(cls, row: Row) -> Self:
        return cls(row, saved_for(db.session, current_user, cls.kind, row.id))

    @classmethod
    def only_saved(cls, change_id: int) -> Self:
        """One that this person has added and not applied; answers 404 if there is none."""
        change = get_pending(db.session, current_user, change_id, kind=cls.kind)
        return cls(None, change) if change and change.act == ADD else abort(404)

    @classmethod
    def each(cls, rows: Iterable[Row]) -> list[Self]:
        """Those, and behind them what this person has added."""
        mine = [change for change in pending(db.session, current_user) if change.kind == cls.kind]
        edits = {change.target_id: change for change in mine if change.act != ADD}
        known = [cls(row, edits.get(row.id)) for row in rows]
        return known + [cls(None, change) for change in mine if change.act == ADD]

    @property
    @abstractmethod
    def live(self) -> Values:
        """The fields of its form as they are now; none of one that is only saved."""

    @property
    def wanted(self) -> Values:
        """The fields as this person wants to have them."""
        return overlay(self.live, self.change)

    @property
    def name(self) -> str:
        return self.row.name if self.row else str(self.wanted["name"])

    @property
    def stamp(self) -> str:
        """What a page was made of: a form that comes back with another one is older than what holds now."""
        return stamp_of(self.wanted)

    @property
    def is_leaving(self) -> bool:
        return bool(self.change and self.change.act == REMOVE)

    def keep(self, before: Values, after: Values, secrets: dict[str, str] | None = None) -> PendingChange | None:
        """Save these fields of it (:func:`app.rules.setup.changes.save`)."""
        target, act = (self.row.id, CHANGE) if self.row else (None, ADD)
        return save(
            *(db.session, current_user, self.kind, target, act),
            before=before,
            after=after,
            secrets=secrets,
            added=self.change,
        )

    def keep_removal(self, before: Values) -> None:
        """Save that it goes. Commits."""
        if self.row:
            save(db.session, current_user, self.kind, self.row.id, REMOVE, before=before, after={})
            db.session.commit()

    def forget(self) -> None:
        """Drop what was saved of it, and say so. Commits."""
        if self.change:
            name = self.name
            discard(db.session, current_user, [self.change.id])
            db.session.commit()
            flash(_("Saved changes to %(name)s discarded.", name=name), "info")
