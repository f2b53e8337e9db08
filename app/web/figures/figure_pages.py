"""The pages with numbers: of one company for its administrators, of all of them for the operator."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa
from babel.dates import format_date
from flask import Blueprint, render_template, request, url_for
from flask_babel import get_locale, pgettext
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from markupsafe import Markup

from app.models import CallEnd, Direction, FaxEntity, Status
from app.models.figures.figures import VOICE
from app.rules.figures.figures import Counted, by_day, by_entity, by_tenant, by_user
from app.rules.ground.days import day_of
from app.rules.words.sentences import OUTCOMES, sentence
from app.web.figures.plots import Plot, Series, line, lying, stacked
from app.web.site.administration import administrators_only
from app.whole_numbers import read_whole
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tenants.scope import get_owned, owned_by

blueprint = Blueprint("figures", __name__, url_prefix="/figures")
blueprint.before_request(administrators_only)

PERIODS = {"7": _l("7 days"), "30": _l("30 days"), "90": _l("90 days"), "12m": _l("12 months")}
STANDARD = "30"
#: Causes that have a colour of their own, the most frequent first; all others share one.
MOST_CAUSES = 4
#: Rows of a table before somebody asks for all.
MOST_ROWS = 20
FAILED = (Status.FAILED, Status.UNKNOWN)
SPOKEN = (CallEnd.ANSWERED, CallEnd.LONGEST)
CAME = (Status.RECEIVED, Status.INCOMPLETE)


# ---- The period


@dataclass(frozen=True)
class Period:
    """``starts`` are the first days of its parts: days, or months."""

    name: str
    starts: list[date]
    until: date

    @property
    def since(self) -> date:
        return self.starts[0]

    @property
    def by_month(self) -> bool:
        return self.name == "12m"

    def part_of(self, day: date) -> date:
        return day.replace(day=1) if self.by_month else day

    @property
    def labels(self) -> list[str]:
        pattern = "MMM y" if self.by_month else "d MMM"
        return [format_date(start, pattern, locale=get_locale()) for start in self.starts]


def read_period(name: str | None, today: date) -> Period:
    if name == "12m":
        months = [today.year * 12 + today.month - 1 - back for back in range(11, -1, -1)]
        return Period(name, [date(month // 12, month % 12 + 1, 1) for month in months], today)
    name = name if name in PERIODS else STANDARD
    return Period(name, [today - timedelta(days=back) for back in range(int(name) - 1, -1, -1)], today)


# ---- The numbers


@dataclass
class Sums:
    """Of a company, an entity, a user, or of a part of the period."""

    sent: int = 0
    failed: int = 0
    cancelled: int = 0
    received: int = 0
    pages_sent: int = 0
    pages_received: int = 0
    seconds: int = 0
    calls: int = 0
    calls_answered: int = 0
    call_seconds: int = 0

    def add(self, row: Counted) -> None:
        if row.direction == VOICE:
            self._add_calls(row)
            return
        self.seconds += row.seconds
        if row.direction == Direction.RECEIVED:
            self.received += row.faxes if row.status in CAME else 0
            self.pages_received += row.pages
            return
        self.pages_sent += row.pages
        if row.status == Status.SENT:
            self.sent += row.faxes
        elif row.status in FAILED:
            self.failed += row.faxes
        else:
            self.cancelled += row.faxes

    def _add_calls(self, row: Counted) -> None:
        """To telephones. One that was a fax after all is counted there."""
        if row.status != CallEnd.FAX:
            self.calls += row.faxes
            self.calls_answered += row.faxes if row.status in SPOKEN else 0
        self.call_seconds += row.seconds

    @property
    def calls_missed(self) -> int:
        return self.calls - self.calls_answered

    @property
    def call_minutes(self) -> int:
        return round(self.call_seconds / 60)

    @property
    def faxes(self) -> int:
        return self.sent + self.failed + self.received

    @property
    def pages(self) -> int:
        return self.pages_sent + self.pages_received

    @property
    def minutes(self) -> int:
        return round(self.seconds / 60)

    @property
    def success(self) -> float | None:
        """Percent of what was sent or should have been; None if there was nothing."""
        tried = self.sent + self.failed
        return round(100 * self.sent / tried, 1) if tried else None


def summed(rows: Iterable[Counted]) -> dict[Any, Sums]:
    sums: dict[Any, Sums] = {}
    for row in rows:
        sums.setdefault(row.key, Sums()).add(row)
    return sums


def in_parts(rows: Iterable[Counted], period: Period) -> list[Sums]:
    sums = {start: Sums() for start in period.starts}
    for row in rows:
        sums[period.part_of(row.key)].add(row)
    return list(sums.values())


def total(rows: Iterable[Counted]) -> Sums:
    sums = Sums()
    for row in rows:
        sums.add(row)
    return sums


# ---- The plots


def plots(rows: Sequence[Counted], period: Period) -> list[Plot]:
    parts, labels = in_parts(rows, period), period.labels

    def of(name: str, tone: str, attribute: str) -> Series:
        return Series(name, tone, [getattr(part, attribute) for part in parts])

    faxes = [of(*part) for part in _parts()]
    pages_sent, pages_received = pgettext("pages", "Sent"), pgettext("pages", "Received")
    pages = [of(pages_sent, "good", "pages_sent"), of(pages_received, "calm", "pages_received")]
    minutes = of(_("Minutes"), "calm", "minutes")
    share = of(_("Success rate"), "good", "success")
    return [
        stacked(_("Faxes"), labels, faxes),
        line(_("Success"), labels, share),
        stacked(_("Causes of failure"), labels, _causes(rows, period)),
        stacked(_("Pages"), labels, pages),
        stacked(_("Minutes on the line"), labels, [replace(minutes, exact_total=total(rows).minutes)]),
        *(
            [stacked(_("Calls to telephones"), labels, [of(*part) for part in _call_parts()])]
            if _has_calls(rows)
            else []
        ),
    ]


def _has_calls(rows: Iterable[Counted]) -> bool:
    return any(row.direction == VOICE for row in rows)


def _call_parts() -> list[tuple[str, str, str]]:
    answered, missed = pgettext("calls", "Answered"), pgettext("calls", "Not answered")
    return [(answered, "good", "calls_answered"), (missed, "faint", "calls_missed")]


def _parts() -> list[tuple[str, str, str]]:
    """Name, tone and attribute of Sums. Most languages tell several faxes, and pages, from the status of one fax."""
    return [
        (pgettext("faxes", "Sent"), "good", "sent"),
        (pgettext("faxes", "Received"), "calm", "received"),
        (pgettext("faxes", "Not sent"), "bad", "failed"),
    ]


def _causes(rows: Iterable[Counted], period: Period) -> list[Series]:
    failed = [row for row in rows if row.direction == Direction.SENT and row.status in FAILED]
    counts = Counter[str]()
    for row in failed:
        counts[row.cause or "other"] += row.faxes
    shown = [cause for cause, _count in counts.most_common(MOST_CAUSES)]
    by_part: Counter[tuple[str | None, date]] = Counter()
    for row in failed:
        cause = row.cause or "other"
        by_part[cause if cause in shown else None, period.part_of(row.key)] += row.faxes
    tones = ("bad", "doubt", "calm", "ink")
    series = [
        Series(_cause_name(cause), tone, [by_part[cause, start] for start in period.starts])
        for cause, tone in zip(shown, tones, strict=False)
    ]
    rest = [by_part[None, start] for start in period.starts]
    return [*series, Series(_("Others"), "faint", rest)] if any(rest) else series


def _cause_name(cause: str) -> str:
    return sentence(cause).rstrip(".") if cause in OUTCOMES else _("Another cause")


# ---- The tables


@dataclass(frozen=True)
class Line:
    """A row of a table, with a bar that is as long as the row has faxes beside the one with the most."""

    name: str
    url: str
    sums: Sums
    bar: Markup


def lines(rows: Sequence[tuple[str, str, Sums]]) -> list[Line]:
    most = max((sums.faxes for _name, _url, sums in rows), default=0)
    parts = _parts()
    return [
        Line(name, url, sums, lying([(part, tone, getattr(sums, of)) for part, tone, of in parts], most))
        for name, url, sums in rows
    ]


# ---- The pages


@dataclass(frozen=True)
class Chosen:
    """Of whom the plots are: a line, a person, or everybody."""

    name: str = ""
    entity_id: int | None = None
    user_id: int | None = None


def _chosen(tenant_id: int, entities: Sequence[Any]) -> Chosen:
    if entity := next((row for row in entities if str(row.id) == request.args.get("entity")), None):
        return Chosen(entity.name, entity_id=entity.id)
    person = get_owned(db.session, User, _number(request.args.get("user", "")), tenant_id)
    return Chosen(person.name, user_id=person.id) if person else Chosen()


@blueprint.get("")
def figures() -> str:
    tenant = current_user.company
    period = read_period(request.args.get("period"), day_of(utc_now(), tenant.zone))
    entities = db.session.execute(
        owned_by(FaxEntity, tenant.id)
        .with_only_columns(FaxEntity.id, FaxEntity.name, FaxEntity.shared_with_voice)
        .order_by(FaxEntity.name)
    ).all()
    chosen = _chosen(tenant.id, entities)
    since, until = period.since, period.until
    rows = by_day(
        db.session,
        tenant_id=tenant.id,
        since=since,
        until=until,
        entity_id=chosen.entity_id,
        user_id=chosen.user_id,
        by_month=period.by_month,
    )
    sums = summed(by_entity(db.session, tenant_id=tenant.id, since=since, until=until))
    url = _url("figures.figures", period)
    with_calls = [row for row in entities if row.id in sums and sums[row.id].calls]
    values = {
        "period": period,
        "periods": PERIODS,
        "entities": entities,
        "chosen": chosen,
        "total": total(rows),
        "plots": plots(rows, period),
        "by_entity": lines(
            [(row.name, f"{url()}&entity={row.id}", sums[row.id]) for row in entities if row.id in sums]
        ),
        "calls_by_entity": [
            (row.name, url_for("calls.calls", entity=row.id, since=period.since), sums[row.id]) for row in with_calls
        ],
        "has_shared": any(row.shared_with_voice for row in entities),
        "url": _url("figures.figures", period, entity=chosen.entity_id, user=chosen.user_id),
        "all_url": url(),
        "alert_text": _alert_text(tenant),
    }
    return render_template("figures/figures.html", **values, **_people(tenant.id, period, url))


def _alert_text(tenant: Tenant) -> str:
    percent, of, minutes = tenant.alert_failed_percent, tenant.alert_failed_of, tenant.alert_stuck_minutes
    if percent and minutes:
        text = _(
            "Administrators get an email when %(percent)s %% of the last %(of)s faxes failed, and when one has been "
            "stuck for %(minutes)s minutes.",
            percent=percent,
            of=of,
            minutes=minutes,
        )
    elif percent:
        text = _(
            "Administrators get an email when %(percent)s %% of the last %(of)s faxes failed.", percent=percent, of=of
        )
    elif minutes:
        text = _("Administrators get an email when a fax has been stuck for %(minutes)s minutes.", minutes=minutes)
    else:
        text = _("Nobody gets an email when faxes fail or are stuck.")
    return text


def _people(tenant_id: int, period: Period, url: Any) -> dict[str, Any]:
    """Who sent most, and whether there are more."""
    sums = summed(by_user(db.session, tenant_id=tenant_id, since=period.since, until=period.until))
    order = sorted(sums, key=lambda user_id: (-sums[user_id].faxes, user_id))
    shown = order if request.args.get("all") else order[:MOST_ROWS]
    names = dict(db.session.execute(sa.select(User.id, User.name).where(User.id.in_(shown))).all())
    address = url()  # worked out once: there may be hundreds
    people = [(names.get(user_id, "–"), f"{address}&user={user_id}", sums[user_id]) for user_id in shown]
    return {"by_user": lines(people), "more_users": len(order) - len(shown)}


def _url(endpoint: str, period: Period, **held: Any) -> Any:
    held = {name: value for name, value in held.items() if value}
    return lambda **changed: url_for(endpoint, **({"period": period.name} | held | changed))


def installation_figures() -> str:
    """Of all companies together and of each: the operator's page."""
    period = read_period(request.args.get("period"), utc_now().date())
    since, until = period.since, period.until
    chosen = db.session.get(Tenant, _number(request.args.get("tenant", "")))
    tenant_id = chosen.id if chosen else None
    rows = by_day(db.session, tenant_id=tenant_id, since=since, until=until, by_month=period.by_month)
    sums = summed(by_tenant(db.session, since=since, until=until))
    tenants = db.session.execute(sa.select(Tenant.id, Tenant.name).order_by(Tenant.name)).all()
    url = _url("operator.figures", period)
    values = {
        "period": period,
        "periods": PERIODS,
        "tenants": tenants,
        "chosen": chosen,
        "total": total(rows),
        "plots": plots(rows, period),
        "calls_by_tenant": [
            (row.name, f"{url()}&tenant={row.id}", sums[row.id])
            for row in tenants
            if row.id in sums and sums[row.id].calls
        ],
        "by_tenant": lines([(row.name, f"{url()}&tenant={row.id}", sums[row.id]) for row in tenants if row.id in sums]),
        "url": _url("operator.figures", period, tenant=chosen.id if chosen else None),
        "all_url": url(),
    }
    return render_template("operator/figures.html", **values)


def _number(text: str) -> int:
    """Of a tenant, as far as a database can hold it; 0 is nobody's."""
    return read_whole(text) or 0
