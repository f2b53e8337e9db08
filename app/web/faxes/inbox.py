"""The shared inbox: what came in and is not done, and the acts of colleagues on a received fax."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, abort, flash, make_response, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import lazy_pgettext as pgettext
from flask_babel import ngettext
from flask_login import current_user
from htmx_flask import request
from markupsafe import Markup
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from app.errors import Refused
from app.models import Direction, Fax, InboxAct, InboxEvent
from app.rules.ground.access import is_fax_id, visible_faxes
from app.rules.inbox import inbox as rules
from app.rules.inbox.forward import hand_over_to
from app.rules.inbox.inbox import MOST_SHOWN, Item, read_item
from app.rules.inbox.waiting import late_at
from app.rules.numbers.numbers import shown_number
from app.rules.words.sentences import sentence
from app.web.faxes import inbox_marks
from app.web.faxes.presentation import rights
from app.web.site.guard import begin_reading, begin_writing, is_own_path
from app.whole_numbers import read_whole
from tenants.db import db, utc_now
from tenants.models import User
from tenants.scope import owned_by

blueprint = Blueprint("inbox", __name__)

NO_CONTENT = ("", 204)
MOST_INTEGER = 2**31 - 1
#: Tab → what it is called.
TABS = {"open": _l("To do"), "free": _l("Not taken"), "mine": _l("Mine"), "done": pgettext("faxes", "Done")}
#: Where nobody else works there is nothing to take.
TABS_ALONE = {"open": TABS["open"], "done": TABS["done"]}


ACTS = {
    InboxAct.TAKEN: _l("%(name)s took it"),
    InboxAct.HANDED_OVER: _l("%(name)s handed it to %(to)s"),
    InboxAct.RELEASED: _l("%(name)s put it back for everyone"),
    InboxAct.DONE: _l("%(name)s marked it done"),
    InboxAct.REOPENED: _l("%(name)s reopened it"),
    InboxAct.FORWARDED: _l("%(name)s forwarded it by email to %(to)s"),
}


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    name: str
    title: str
    items: list[Item]


def _me() -> User:
    return current_user._get_current_object()


# ---- The page


@blueprint.get("/inbox")
def inbox() -> Response | tuple[str, int]:
    """One tab; for htmx its list alone, or 204 if nothing has changed since ``seen``."""
    if not rights().receives:
        abort(404)
    values = _listed(request.args.get("tab", "open"))
    if request.htmx and request.htmx.target == "inbox-list":
        if request.args.get("seen") == values["seen"]:
            return NO_CONTENT
        return make_response(render_template("faxes/inbox/list.html", **values))
    return make_response(render_template("faxes/inbox/inbox.html", **values))


def _listed(tab: str) -> dict[str, object]:
    session, user = db.session, _me()
    alone = rules.works_alone(session, user)
    tabs = TABS_ALONE if alone else TABS
    tab = tab if tab in tabs else "open"
    read = {"mine": rules.own_items, "done": rules.done_items}.get(tab, rules.open_items)
    items = read(session, user)
    if tab == "free":
        items = [item for item in items if item.holder is None]
    groups = [group for group in _groups(tab, items) if group.items]
    return {"tab": tab, "tabs": tabs, "groups": groups, "alone": alone, **_told(items, alone)}


def _told(items: list[Item], alone: bool) -> dict[str, object]:
    now = utc_now()
    late = {item.fax.id for item in items if _is_late(item, alone)}
    return {"late": late, "full": len(items) >= MOST_SHOWN, "seen": _seen(items, late, now.date().isoformat())}


def _groups(tab: str, items: list[Item]) -> list[Group]:
    if tab in ("mine", "done"):
        return [Group(tab, "", items)]
    free = [item for item in items if item.holder is None]
    return [
        Group("new", _("Not opened by you"), [item for item in free if item.unread]),
        Group("read", _("Opened, not done"), [item for item in free if not item.unread]),
        Group("held", _("Taken"), [item for item in items if item.holder]),
    ]


def _is_late(item: Item, alone: bool) -> bool:
    """Nobody has looked at it for days, or everybody has and nobody takes it."""
    waits = item.unseen or (item.holder is None and not alone)
    zone = current_user.company.zone
    return item.fax.done_at is None and waits and late_at(item.waits_since, zone) <= utc_now()


def _seen(items: list[Item], late: set[str], day: str) -> str:
    """A short word for all that the list shows and that can change."""
    state = [(item.fax.id, item.unread, item.holder and item.holder.id, item.fax.done_at) for item in items]
    return hashlib.sha256(repr((day, sorted(late), state)).encode()).hexdigest()[:16]


@blueprint.get("/inbox/count")
def count() -> tuple[str, int] | str:
    """A fragment: how many wait for this person, for menu and title; 204 if the page shows that already."""
    if current_user.tenant_id is None:
        abort(404)
    if request.args.get("seen") == str(inbox_marks.count()):
        return NO_CONTENT
    return render_template("faxes/inbox/count.html")


# ---- Which list one came from

# A fax leads back to the list from which it was opened, search and tab included: the address of the list is what the
# browser names as the page before, and from the first act on what the fax's own forms carry.


def list_before() -> str | None:
    """The path of the inbox or of the list of faxes that this person was at before; nothing else is ever led to."""
    path = request.values.get("came_from") or _page_before()
    lists = (url_for("inbox.inbox"), url_for("faxes.faxes"))
    return path if is_own_path(path) and urlsplit(path).path in lists else None


def _page_before() -> str | None:
    parts = urlsplit(request.referrer or "")
    return parts._replace(scheme="", netloc="").geturl() if parts.netloc == request.host else None


def is_inbox(path: str | None) -> bool:
    return path is not None and urlsplit(path).path == url_for("inbox.inbox")


def list_title(path: str | None, direction: str) -> str:
    """What leads back to that list is called; without one, to the faxes of that direction."""
    if is_inbox(path):
        return _("Inbox")
    if path:
        direction = _named(path, "direction") or Direction.SENT
    return _("Received faxes") if direction == Direction.RECEIVED else _("Sent faxes")


def _named(path: str, name: str) -> str | None:
    return parse_qs(urlsplit(path).query).get(name, [None])[0]


def to_fax(fax_id: str) -> Response:
    return redirect(url_for("faxes.fax", fax_id=fax_id, came_from=list_before()), 303)


# ---- Opening


def note_opening(fax: Fax) -> None:
    """The signed-in person looks at this fax now. A browser that fetches ahead of them does not count."""
    if fax.direction != Direction.RECEIVED or request.method != "GET" or _is_prefetched():
        return
    item = read_item(db.session, _me(), fax.id)
    if item is None or not (item.unread or item.fax.seen_at is None):
        return
    begin_writing()
    rules.mark_read(db.session, db.session.get_one(Fax, fax.id), _me())
    begin_reading()


def _is_prefetched() -> bool:
    hints = (request.headers.get(name, "") for name in ("Sec-Purpose", "Purpose", "X-Moz", "X-Purpose"))
    return any(word in hint.lower() for hint in hints for word in ("prefetch", "prerender", "preview"))


# ---- What was done with it


@dataclass(frozen=True)
class Told:
    """One line of a fax's history: who did what when, with the note that went along."""

    at: datetime
    text: str
    note: str | None = None
    fax: Fax | None = None


def told_history(session: Session, user: User, fax: Fax) -> list[Told]:
    """The acts of colleagues and the faxes that it was forwarded as, the last first. ``fax`` is one to go to."""
    events = [Told(event.at, _act_text(event), event.note) for event in rules.history(session, fax)]
    repeated = list(session.scalars(owned_by(Fax, fax.tenant_id).where(Fax.resend_of_id == fax.id)))
    seen = set(session.scalars(visible_faxes(user).where(Fax.resend_of_id == fax.id).with_only_columns(Fax.id)))
    faxes = [Told(one.created_at, _forward_text(one), fax=one if one.id in seen else None) for one in repeated]
    return sorted([*events, *faxes], key=lambda told: told.at, reverse=True)


def _act_text(event: InboxEvent) -> str:
    values = {"name": event.user.name, "to": event.to_user.name if event.to_user else "–"}
    return str(ACTS[InboxAct(event.act)]) % values


def _forward_text(fax: Fax) -> str:
    number = shown_number(fax.remote_number, fax.tenant)
    return _("%(name)s forwarded it by fax to %(number)s", name=fax.user.name if fax.user else "–", number=number)


# ---- Acts


def _item_or_404(fax_id: str) -> Item:
    """What this person may not see, what is missing and what was sent are all the same."""
    item = read_item(db.session, _me(), fax_id) if is_fax_id(fax_id) else None
    return item or abort(404)


def _instead_of() -> int | None:
    """Who had the fax on the page on which the person decided."""
    return _person_id("holder")


def _person_id(field: str) -> int | None:
    return read_whole(request.form.get(field, ""), least=1, most=MOST_INTEGER)


@blueprint.post("/faxes/<fax_id>/take")
def take(fax_id: str) -> Response:
    return _act(fax_id, rules.take)


@blueprint.post("/faxes/<fax_id>/done")
def done(fax_id: str) -> Response:
    """With ``next`` on to what waits longest."""
    if "next" not in request.form:
        return _act(fax_id, rules.done)
    item = _item_or_404(fax_id)
    if not rules.done(db.session, item.fax, _me(), instead_of=_instead_of()):
        return _answer(fax_id, _lost(_item_or_404(fax_id)))
    following = rules.next_item(db.session, _me(), after=item.fax)
    if following is None:
        flash(_("Done. Your inbox is empty."), "info")
        return redirect(url_for("inbox.inbox"), 303)
    flash(_("Fax %(number)s is done. This is the next one.", number=item.fax.number), "info")
    return to_fax(following.fax.id)


def _act(fax_id: str, act: Callable[..., bool]) -> Response:
    item = _item_or_404(fax_id)
    if act(db.session, item.fax, _me(), instead_of=_instead_of()):
        return _answer(fax_id)
    return _answer(fax_id, _lost(_item_or_404(fax_id)))


@blueprint.post("/faxes/<fax_id>/release")
def release(fax_id: str) -> Response:
    item = _item_or_404(fax_id)
    if rules.release(db.session, item.fax, _me(), holder_id=_instead_of()):
        return _answer(fax_id)
    return _answer(fax_id, _lost(_item_or_404(fax_id)))


@blueprint.post("/faxes/<fax_id>/reopen")
def reopen(fax_id: str) -> Response:
    item = _item_or_404(fax_id)
    rules.reopen(db.session, item.fax, _me())  # if it is open already, that was the wish
    return _answer(fax_id)


@blueprint.post("/faxes/<fax_id>/unread")
def unread(fax_id: str) -> Response:
    """Back to the inbox: on the fax's own page it would be read again at once."""
    item = _item_or_404(fax_id)
    rules.mark_unread(db.session, item.fax, _me())
    flash(_("Fax %(number)s is unread again.", number=item.fax.number), "info")
    return redirect(url_for("inbox.inbox"), 303)


@blueprint.post("/faxes/<fax_id>/hand-over")
def hand_over(fax_id: str) -> Response:
    item = _item_or_404(fax_id)
    to_id, note = _person_id("to"), request.form.get("note", "")
    try:
        if to_id is None:
            raise Refused("colleague_missing", field="to")
        won = hand_over_to(db.session, fax=item.fax, user=_me(), to_id=to_id, instead_of=_instead_of(), note=note)
    except Refused as refusal:
        db.session.rollback()
        return _answer(fax_id, sentence(refusal.code, **refusal.values))
    after = _item_or_404(fax_id)
    if not won:
        return _answer(fax_id, _lost(after))
    flash(_("Handed over to %(name)s, who gets an email.", name=after.holder.name if after.holder else "–"), "info")
    return _answer(fax_id)


@blueprint.post("/inbox/done")
def done_with_read() -> Response:
    """All that was listed as opened: ``ids``. What a colleague took meanwhile stays theirs."""
    if not rights().receives:
        abort(404)
    ids = list(filter(is_fax_id, request.form.getlist("ids")))[:MOST_SHOWN]
    number = rules.done_with_read(db.session, _me(), ids)
    told = ngettext("%(num)d fax is done.", "%(num)d faxes are done.", number)
    link = Markup('<a href="{}">{}</a>').format(url_for("inbox.inbox", tab="done"), _("Review or reopen them"))
    flash(Markup("{} {}").format(told, link) if number else told, "info")
    return redirect(url_for("inbox.inbox"), 303)


def _changed(item: Item) -> str:
    """What this person has just done to a row."""
    if item.fax.done_at:
        return _("Fax %(number)s is done.", number=item.fax.number)
    if item.holder:
        return _("You have fax %(number)s now.", number=item.fax.number)
    return _("Fax %(number)s is open again.", number=item.fax.number)


def _lost(item: Item) -> str:
    """What a colleague did a moment ago, so that nothing was changed."""
    fax = item.fax
    if fax.done_at:
        by = fax.done_by.name if fax.done_by else None
        return _("%(name)s has already marked it done.", name=by) if by else _("It is already done.")
    if item.holder and item.holder.id != current_user.id:
        return _("%(name)s took it first.", name=item.holder.name)
    return _("Someone has changed it in the meantime. Review it.")


def _answer(fax_id: str, problem: str | None = None) -> Response:
    """For htmx the row as it is now, else back to the page on which the button was."""
    back = request.form.get("back")
    back = back if is_own_path(back) else None
    if request.htmx:
        return _changed_row(_item_or_404(fax_id), back or url_for("inbox.inbox"), problem)
    if problem:
        flash(problem, "error")
    elif back:  # on the fax's own page it is there to see
        flash(_changed(_item_or_404(fax_id)), "info")
    return redirect(back, 303) if back else to_fax(fax_id)


def _changed_row(item: Item, here: str, problem: str | None) -> Response:
    alone = rules.works_alone(db.session, _me())
    late = {item.fax.id} if _is_late(item, alone) else set()
    values = {"item": item, "alone": alone, "late": late, "here": here, "tab": _named(here, "tab") or "open"}
    told = problem or _changed(item)
    return make_response(render_template("faxes/inbox/changed.html", problem=problem, told=told, **values))
