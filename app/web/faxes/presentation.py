"""A fax as a picture of its journey: what the templates draw, worked out here, apart from any markup."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from flask import Flask, current_app, g, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from markupsafe import Markup

from app.models import Attempt, Fax, Status
from app.models.faxes.moves import is_final
from app.rules.ground.access import Rights, rights_of
from app.rules.numbers.naming import document_name as download_name
from app.rules.numbers.numbers import shown_number
from app.rules.sending.called import place_of
from app.rules.sending.lifecycle import may_cancel, may_resend
from app.rules.sending.looking import may_release
from app.rules.words.sentences import other_end, sentence, status_label, story
from app.web.site.submissions import fresh_key
from tenants.db import db

S = Status
#: Beyond this the pages are one bar: that many cells are still told apart on a phone.
CELLS = 24

STATIONS = (_l("Preparation"), _l("Call"), _l("Transmission"), _l("Confirmation"))
#: Status → how many stations are behind it, and how the next one is drawn (now, wait, todo, or an end).
JOURNEY: dict[Status, tuple[int, str]] = {
    S.ACCEPTED: (0, "now"),
    S.PREPARING: (0, "now"),
    S.READY: (1, "wait"),
    S.SCHEDULED: (1, "wait"),
    S.RETRYING: (1, "wait"),
    S.DIALING: (1, "now"),
    S.SENDING: (2, "now"),
    S.SENT: (4, "done"),
}
#: Status → the kind of shape and colour that it is shown with.
TONES: dict[Status, str] = {
    S.ACCEPTED: "now",
    S.PREPARING: "now",
    S.READY: "wait",
    S.SCHEDULED: "wait",
    S.RETRYING: "wait",
    S.DIALING: "now",
    S.SENDING: "now",
    S.SENT: "good",
    S.FAILED: "bad",
    S.CANCELLED: "off",
    S.UNKNOWN: "doubt",
    S.RECEIVING: "now",
    S.RECEIVED: "good",
    S.INCOMPLETE: "doubt",
}
#: How an attempt's mode is called (ITU-T T.38 over packets, or tones in a voice call: G.711).
MODES = {"T38": "T.38", "audio": "G.711"}


@dataclass(frozen=True)
class Station:
    """One stop of the journey; ``state`` is done, now, wait, todo, bad, off or doubt."""

    name: str
    state: str


def stations(fax: Fax) -> list[Station]:
    """The four stops with what has become of each; a fax that ended early stops where it got to."""
    passed, state = JOURNEY.get(Status(fax.status)) or (_reached(fax), TONES[Status(fax.status)])
    states = ["done"] * passed + [state] + ["todo"] * len(STATIONS)
    return [Station(str(name), state) for name, state in zip(STATIONS, states, strict=False)]


def _reached(fax: Fax) -> int:
    """How many stations a fax that failed or was cancelled has behind it."""
    if fax.tiff_id is None and not fax.attempts:
        return 0
    answered = any(attempt.answered_at for attempt in fax.attempts)
    return 2 if answered else 1


@dataclass(frozen=True)
class Pages:
    """The pages of a fax as cells, each ``done``, ``now`` or ``todo``; none if they are too many to draw."""

    done: int
    total: int
    cells: tuple[str, ...]


def pages(fax: Fax) -> Pages | None:
    """None before the number of pages is known."""
    if not fax.pages:
        return None
    done = min(fax.pages_done, fax.pages)
    current = ["now"] if fax.status == S.SENDING and done < fax.pages else []
    cells = ["done"] * done + current
    cells += ["todo"] * (fax.pages - len(cells))
    return Pages(done, fax.pages, tuple(cells) if fax.pages <= CELLS else ())


def attempt_result(attempt: Attempt) -> str:
    if attempt.ended_at is None:
        return _("On the line now.") if attempt.answered_at else _("Dialling.")
    return sentence(attempt.outcome or "unknown")


def attempt_dialled(attempt: Attempt) -> str:
    """Where it went, if not to the fax's own number: the other side had forwarded the call before."""
    number = shown_number(attempt.dialled, attempt.fax.tenant)
    return _("Forwarded to %(number)s.", number=number) if number else ""


def attempt_pages(attempt: Attempt) -> str:
    """Which pages of the document this attempt brought over: ``1–3``, or a dash."""
    if not attempt.pages_confirmed:
        return "–"
    last = attempt.first_page + attempt.pages_confirmed - 1
    return str(last) if last == attempt.first_page else f"{attempt.first_page}–{last}"


def attempt_duration(attempt: Attempt) -> str:
    """Time on the line as ``m:ss``; a dash if nobody answered."""
    if not attempt.answered_at or not attempt.ended_at:
        return "–"
    return minutes(attempt.ended_at - attempt.answered_at)


def minutes(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02}"


def document_name(fax: Fax) -> str:
    return fax.source.name if fax.source else f"fax-{fax.number}.pdf"


def remote(fax: Fax) -> str:
    return other_end(fax)


def brief(fax: Fax) -> str:
    """For a row of the list: nothing where the status says it all, the cause alone where the fax is over."""
    if fax.status in (S.SENT, S.RECEIVED, S.CANCELLED):
        return ""
    return sentence(fax.cause, **(fax.cause_values or {})) if is_final(fax.status) and fax.cause else story_now(fax)


def story_now(fax: Fax) -> str:
    """With the place that it has now among those that wait for the same number."""
    return story(fax, place_of(db.session, fax))


def tone(status: str) -> str:
    return TONES[Status(status)]


def status_badge(status: str) -> Markup:
    return _badge(Status(status), str(get_locale()))


@lru_cache(maxsize=100)  # a list shows fifty at once
def _badge(status: Status, locale: str) -> Markup:
    """As the reader of this locale, who is the one that asks, sees it."""
    return _icon_macro("badge")(status)


def _icon_macro(name: str) -> Callable[..., Markup]:
    macro: Callable[..., Markup] = getattr(current_app.jinja_env.get_template("site/icons.html").module, name)
    return macro


def state_label(fax: Fax) -> str:
    """As the status, but of one that waits for a person who it waits for."""
    return _("Waiting for you") if may_release(fax) else status_label(fax.status)


def state_badge(fax: Fax) -> Markup:
    if not may_release(fax):
        return status_badge(fax.status)
    icon = _icon_macro("icon")
    return Markup('<span class="badge tone-wait">{}<span>{}</span></span>').format(icon("wait"), state_label(fax))


def rights() -> Rights:
    """Of the signed-in person; asked once for each page."""
    if "rights" not in g:
        signed_in = current_user and current_user.is_authenticated
        g.rights = rights_of(db.session, current_user) if signed_in else Rights()
    found: Rights = g.rights
    return found


def fax_path(fax: Fax) -> str:
    """Of the fax's page. A list has hundreds of links: the address of the list is worked out once for all of them."""
    if "faxes_path" not in g:
        g.faxes_path = url_for("faxes.faxes")
    return f"{g.faxes_path}/{fax.id}"


def init_app(app: Flask) -> None:
    for function in (
        stations,
        pages,
        attempt_result,
        attempt_dialled,
        attempt_pages,
        attempt_duration,
        document_name,
        remote,
        brief,
        story_now,
        tone,
        state_label,
        state_badge,
        status_badge,
        fax_path,
        rights,
        may_cancel,
        may_resend,
        shown_number,
        fresh_key,
    ):
        app.add_template_global(function)
    app.add_template_global(download_name, "download_name")
    app.jinja_env.globals["MODES"] = MODES
