"""Fields that no form has: whose a thing is, and what somebody may do, comes from who is signed in, never from there.

Each form is sent as a person fills it in, with forged fields beside its own, in the body and in the address.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import Fax, Mail2FaxBox, PendingChange, Status
from app.rules.operator.tenant_tables import belongs
from tenants.db import db, utc_now
from tenants.links import make_link
from tenants.models import LinkPurpose, Role, Tenant, User
from tenants.people import enter_user
from tests.web.cast import PASSWORD, Browser, Cast, make_document, make_fax, receive_fax
from tests.web.matrix import EMAILS

pytestmark = pytest.mark.any_database

FORM = {"name": "New name", "language": "it"}
PLACE = {"name": "Copies", "folder": "copies", "kind": "folder", "enabled": "yes", "keeps_sent": "yes"}
BOX = {
    "name": "Box",
    "email": "box@alpha.test",
    "host": "imap.alpha.test",
    "port": "",
    "security": "tls",
    "folder": "INBOX",
    "username": "fax",
    "password": "secret",
}
COMPANY = {
    "name": "Alpha New",
    "serial": "KPBX40299999",
    "region": "IT",
    "timezone": "Europe/Rome",
    "language": "en",
    "outside_prefix": "0",
    "fax_channels": "4",
    "limit_inbound": "0",
    "limit_outbound": "0",
    "limit_total": "0",
}


@dataclass(frozen=True)
class Forged:
    """A form that is sent: by whom, to which path, with what. ``made`` finds what it enters."""

    who: str
    path: str
    form: dict[str, str]
    made: Callable[[Cast], sa.Select[Any]] | None = None


def newest(model: Any) -> Callable[[Cast], sa.Select[Any]]:
    return lambda _cast: sa.select(model).order_by(model.id.desc()).limit(1)


FORMS = {
    "profile": Forged("bob", "/profile", FORM),
    "send": Forged(
        "bob", "/faxes/send", {"entity": "{frontdesk}", "to": "0501234567", "draft": "{draft}"}, newest(Fax)
    ),
    "resend": Forged("bob", "/faxes/{failed}/resend", {"submission": "again"}, newest(Fax)),
    "resend to another number": Forged(
        "bob", "/faxes/{failed}/resend-to", {"entity": "{frontdesk}", "to": "0501234568"}, newest(Fax)
    ),
    "cancel": Forged("bob", "/faxes/{scheduled}/cancel", {}),
    "take": Forged("alice", "/faxes/{received}/take", {"holder": ""}),
    "forward by fax": Forged(
        "alice", "/faxes/{received}/forward/fax", {"entity": "{frontdesk}", "to": "0501234568"}, newest(Fax)
    ),
    "invite": Forged(
        "alice", "/users/invite", {"name": "Nina", "email": "nina@alpha.test", "role": "user"}, newest(User)
    ),
    "import": Forged(
        "alice", "/users/import", {"text": "email;name\nfile@alpha.test;File\n", "really": "yes"}, newest(User)
    ),
    "change a user": Forged("alice", "/users/{bob}", {"name": "Bob B.", "email": "bob@alpha.test", "role": "user"}),
    "limits": Forged("alice", "/settings/limits", {"inbound": "1", "outbound": "2", "total": "3"}),
    "archive": Forged("alice", "/settings/places/new", PLACE, newest(PendingChange)),
    "box": Forged("alice", "/mail2fax/new", BOX, newest(Mail2FaxBox)),
    "second factor": Forged("alice", "/users/second-factor", {"required": "no"}),
    "a company": Forged("olga", "/operator/tenants/{alpha}", COMPANY),
    "an administrator": Forged(
        "olga",
        "/operator/tenants/{alpha}/administrators",
        {"admin_name": "Ada", "admin_email": "ada@alpha.test"},
        newest(User),
    ),
    "accept an invitation": Forged(
        "nobody", "/invitation/{token}", {"password": "four quiet words", "repeated": "four quiet words"}
    ),
}


def forged_fields(cast: Cast) -> dict[str, str]:
    """As somebody guesses who has read the table's columns."""
    ids = {name: str(cast.beta) for name in ("tenant_id", "tenant", "company")}
    ids |= {name: str(cast.charlie) for name in ("user_id", "user", "created_by_id", "taken_by_id", "owner")}
    rights = {"role": "operator", "is_admin": "1", "is_operator": "1", "may_receive": "1", "deleting_at": "2026-01-01"}
    secret = {"password_hash": "x", "second_factor_at": "2026-01-01", "disabled_at": "", "status": "sent"}
    company = {"slug": "mine", "suspended_at": "2026-01-01", "last_fax_number": "0", "second_factor_required": "1"}
    return {"id": str(cast.beta), "fax_channels": "999", "number": "7", **ids, **rights, **secret, **company}


def rows_of(tenant_id: int) -> dict[str, list[str]]:
    """Everything that a company has."""
    found = {}
    for table in db.metadata.sorted_tables:
        mine = table.c.id == tenant_id if table.name == "tenant" else belongs(table, tenant_id)
        if mine is not None:
            columns = [column for column in table.c if column.name != "last_seen_at"]
            rows = db.session.execute(sa.select(*columns).where(mine).order_by(*table.primary_key.columns))
            found[table.name] = [repr(tuple(row)) for row in rows]
    return found


def rights() -> list[tuple[Any, ...]]:
    """Who everybody is and what the companies may, but for what the forms above set on purpose."""
    columns = (User.id, User.tenant_id, User.address_id, User.role, User.disabled_at, User.second_factor_at)
    people = db.session.execute(sa.select(*columns).order_by(User.id)).all()
    of_company = (Tenant.slug, Tenant.fax_channels, Tenant.suspended_at, Tenant.deleting_at)
    companies = sa.select(Tenant.id, *of_company, Tenant.second_factor_required).order_by(Tenant.id)
    return [tuple(row) for row in [*people, *db.session.execute(companies).all()]]


@pytest.fixture
def names(app: Flask, cast: Cast) -> dict[str, str]:
    """What the paths and forms name."""
    with app.app_context():
        draft = make_document(app, cast.alpha)
        draft.user_id = cast.bob
        db.session.commit()
        draft_id = draft.id
    values = {name: str(getattr(cast, name)) for name in ("alpha", "bob", "frontdesk")} | {"draft": draft_id}
    values["failed"] = make_fax(app, cast, status=Status.FAILED, cause="busy")
    values["scheduled"] = make_fax(app, cast, status=Status.SCHEDULED)
    values["received"] = receive_fax(app, cast)
    with app.app_context():
        ines = enter_user(
            db.session, db.session.get_one(Tenant, cast.alpha), email="ines@alpha.test", name="Ines", role=Role.USER
        )
        values["token"] = make_link(db.session, ines, LinkPurpose.INVITATION)
        db.session.commit()
    return values


@pytest.mark.parametrize("name", FORMS)
def test_forged_fields_are_ignored(app: Flask, cast: Cast, names: dict[str, str], name: str) -> None:
    forged, fields = FORMS[name], forged_fields(cast)
    browser = Browser(app)
    if forged.who != "nobody":
        assert browser.sign_in(EMAILS[forged.who]).status_code == 303
    token = browser.token("/profile" if forged.who != "nobody" else "/sign-in")
    form = {field: value.format(**names) for field, value in forged.form.items()}
    with app.app_context():
        beta, before = rows_of(cast.beta), rights()
        db.session.rollback()
    path = f"{forged.path.format(**names)}?{urlencode({k: v for k, v in fields.items() if k not in form})}"
    answer = browser.client.post(path, data=fields | form | {"csrf_token": token})
    assert answer.status_code == 303, answer.text
    with app.app_context():
        assert rows_of(cast.beta) == beta
        assert [row for row in rights() if row[0] in {row[0] for row in before}] == before
        judge_new(cast, forged)


def judge_new(cast: Cast, forged: Forged) -> None:
    """What was entered is alpha's, and was entered by who is signed in."""
    if forged.made is None:
        return
    made = db.session.scalar(forged.made(cast))
    assert made.tenant_id == cast.alpha
    if isinstance(made, Fax):
        assert made.user_id == getattr(cast, forged.who)
        assert made.status in (Status.ACCEPTED, Status.READY)
    if isinstance(made, User):
        assert made.role == (Role.ADMIN if forged.who == "olga" else Role.USER)
        assert (made.password_hash, made.disabled_at) == (None, None)
        assert made.created_at <= utc_now()


@pytest.mark.parametrize("role", ["operator", "OPERATOR", "root"])
def test_an_administrator_makes_nobody_an_operator(app: Flask, cast: Cast, alice: Browser, role: str) -> None:
    form = {"name": "Bob", "email": "bob@alpha.test", "role": role}
    text = f"email;name;role\nfile@alpha.test;File;{role}\n"
    answers = [
        alice.post(f"/users/{cast.bob}", **form),
        alice.post("/users/invite", **form | {"email": "nina@alpha.test"}),
        alice.post("/users/import", text=text, really="yes"),
    ]
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    with app.app_context():
        assert db.session.get(User, cast.bob).role == Role.USER
        assert db.session.scalar(sa.select(sa.func.count()).select_from(User)) == 4


def test_a_user_who_types_the_password_of_another_is_still_themselves(app: Flask, cast: Cast, bob: Browser) -> None:
    """The form names no account: what is changed is that of the session."""
    form = {"current": PASSWORD, "password": "quite another one", "repeated": "quite another one"}
    assert bob.post("/profile/password", **form, user_id=cast.alice, email="alice@alpha.test").status_code == 303
    assert Browser(app).sign_in("alice@alpha.test").status_code == 303
    assert Browser(app).sign_in("bob@alpha.test").status_code == 422
