"""What the shared inbox says of a fax on any page: unread or not, who has it since when, the count of the menu."""

from collections.abc import Iterable
from datetime import datetime

from flask import Flask, g
from flask_babel import gettext as _
from flask_login import current_user
from markupsafe import Markup

from app.models import Direction, Fax
from app.rules.inbox.inbox import MOST_COUNTED, is_held_now, unread_among, unread_count
from app.rules.inbox.waiting import since_text
from app.web.site.language import time_element, zone
from tenants.db import db, utc_now
from tenants.models import User


def count() -> int:
    """Unread faxes that wait for the signed-in person; counted once for each page."""
    if "inbox_count" not in g:
        g.inbox_count = unread_count(db.session, current_user)
    return int(g.inbox_count)


def count_text(number: int) -> str:
    return f"{MOST_COUNTED - 1}+" if number >= MOST_COUNTED else str(number)


def look_up(faxes: Iterable[Fax]) -> None:
    """Ask once which of a page's faxes the signed-in person has still to read: a list of 50 costs one question."""
    ids = [fax.id for fax in faxes]
    unread = unread_among(db.session, current_user, ids)
    g.setdefault("inbox_unread", {}).update({fax_id: fax_id in unread for fax_id in ids})


def is_unread(fax: Fax) -> bool:
    """Whether the signed-in person has still to read it. Of many on one page: first :func:`look_up`."""
    if fax.id not in g.setdefault("inbox_unread", {}):
        look_up([fax])
    return bool(g.inbox_unread[fax.id])


def holder_of(fax: Fax) -> User | None:
    """Who has it and may still see it."""
    if fax.direction != Direction.RECEIVED or fax.taken_by_id is None:
        return None
    known: dict[tuple[int, int], bool] = g.setdefault("inbox_holders", {})
    key = (fax.taken_by_id, fax.entity_id)
    if key not in known:
        known[key] = is_held_now(db.session, fax)
    return fax.taken_by if known[key] else None


def person(user: User) -> str:
    return _("You") if user.id == current_user.id else user.name


def since_when(when: datetime) -> Markup:
    """``since Monday, 3 days`` with the exact time behind it."""
    element = time_element(when, "long")
    opening = element[: element.index(">") + 1]
    return Markup("{}{}</time>").format(Markup(opening), since_text(when, utc_now(), zone()))


def init_app(app: Flask) -> None:
    for function in (is_unread, holder_of, person, since_when, count_text):
        app.add_template_global(function)
    app.add_template_global(count, "inbox_count")
