"""What is asked of the fax module's list: read from the address, told as words, written back into addresses.

A filter that cannot be read is told and left out; the others hold.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from flask import url_for
from flask_babel import format_date
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.models import Direction, FaxEntity, Status
from app.rules.log.log import OPEN, Filters
from app.rules.log.search import LONGEST
from app.rules.words.sentences import status_label
from app.web.site.urls import url_with

S = Status
#: As they are offered, what people look for first.
STATUSES: dict[Direction, tuple[str, ...]] = {
    Direction.SENT: (
        *(OPEN, S.SENT, S.FAILED, S.UNKNOWN, S.CANCELLED, S.SCHEDULED, S.RETRYING),
        *(S.ACCEPTED, S.PREPARING, S.READY, S.DIALING, S.SENDING),
    ),
    Direction.RECEIVED: (S.RECEIVED, S.INCOMPLETE, S.RECEIVING),
}
FIELDS = ("q", "entity", "status", "since", "until")
NAMES = {
    "q": _l("Text"),
    "entity": _l("Line"),
    "status": _l("Status"),
    "since": _l("From day"),
    "until": _l("To day"),
}
_DAY_FIRST = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})")
YEARS = range(1980, 2200)


@dataclass(frozen=True)
class Chip:
    """One filter that holds, as words, and the address of the list without it."""

    field: str
    name: str
    value: str
    without: str


@dataclass
class Finder:
    """``typed`` is what stands in the fields, ``problems`` what is wrong with it, by field."""

    direction: Direction
    entities: list[FaxEntity]
    typed: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    entity: FaxEntity | None = None
    status: str | None = None
    since: date | None = None
    until: date | None = None

    @property
    def filters(self) -> Filters:
        entity_id = self.entity.id if self.entity else None
        return Filters(self.direction, self.typed["q"], entity_id, self.status, self.since, self.until)

    @property
    def held(self) -> dict[str, str]:
        """The fields that were understood, as they stand in an address."""
        return {name: text for name, text in self.typed.items() if text and name not in self.problems}

    def url(self, **more: str) -> str:
        return url_with("faxes.faxes", {"direction": self.direction}, self.held, more)

    def url_of(self, direction: Direction) -> str:
        """The same of the other direction, which has other statuses; a line may not be open to this person there."""
        kept = {name: text for name, text in self.held.items() if name != "status"}
        return url_with("faxes.faxes", {"direction": direction}, kept)

    @property
    def plain_url(self) -> str:
        return url_for("faxes.faxes", direction=self.direction)

    @property
    def chips(self) -> list[Chip]:
        return [Chip(name, str(NAMES[name]), self._words(name), self._without(name)) for name in self.held]

    def _without(self, name: str) -> str:
        rest = {other: text for other, text in self.held.items() if other != name}
        return url_with("faxes.faxes", {"direction": self.direction}, rest)

    def _words(self, name: str) -> str:
        if name == "entity" and self.entity:
            return self.entity.name
        if name == "status" and self.status:
            return status_name(self.status)
        if name in ("since", "until"):
            return format_date(getattr(self, name), "medium")
        return self.typed[name]


def read_finder(arguments: Mapping[str, str], entities: list[FaxEntity]) -> Finder:
    """``entities`` are those whose faxes the person may see; any other one is a missing one."""
    direction = Direction.RECEIVED if arguments.get("direction") == Direction.RECEIVED else Direction.SENT
    typed = {name: arguments.get(name, "").strip()[:LONGEST] for name in FIELDS}
    finder = Finder(direction, entities, typed)
    _read_choices(finder)
    _read_days(finder)
    return finder


def _read_choices(finder: Finder) -> None:
    if wanted := finder.typed["entity"]:
        finder.entity = next((entity for entity in finder.entities if str(entity.id) == wanted), None)
        if finder.entity is None:
            finder.problems["entity"] = _("No such line. Showing all. Choose one from the list.")
    if wanted := finder.typed["status"]:
        finder.status = wanted if wanted in STATUSES[finder.direction] else None
        if finder.status is None:
            finder.problems["status"] = _("No such status. Showing all. Choose one from the list.")


def _read_days(finder: Finder) -> None:
    for name in ("since", "until"):
        text = finder.typed[name]
        day = read_day(text)
        if text and day is None:
            finder.problems[name] = _(
                "“%(typed)s” is not a date and was ignored. Write it like 2026-11-30.", typed=text
            )
        setattr(finder, name, day)
    if finder.since and finder.until and finder.since > finder.until:
        finder.until = None
        finder.problems["until"] = _("The last day is before the first one and was ignored. Choose a later one.")


def read_day(text: str) -> date | None:
    """A day as a browser's field writes it, or as people here do: day, month, year."""
    try:
        if match := _DAY_FIRST.fullmatch(text):
            day = date(int(match[3]), int(match[2]), int(match[1]))
        else:
            day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.year in YEARS else None


def status_name(status: str) -> str:
    return _("In progress") if status == OPEN else status_label(status)
