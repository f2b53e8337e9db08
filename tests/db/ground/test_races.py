"""Two who want the same thing at the same moment: one has it, the other is told, whichever comes first.

On PostgreSQL the moment is exact: the first has written and not committed, the second waits for it.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Barrier, Event
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import FaxEntity, FaxTemplate
from app.rules.mail2fax.boxes import BoxDetails, put_box
from app.rules.people.accounts import Details, invite
from app.rules.setup.licence import claim_channel, licence_of
from tenants.db import db
from tenants.links import make_link
from tenants.models import EmailAddress, LinkPurpose, Role, Tenant, User
from tests.web.cast import Browser, Cast, make_user
from tests.web.saving import IDS, add

ADDRESS = "wanted@shared.test"
BOX = BoxDetails(name="Box", email=ADDRESS, host="imap.shared.test", username="fax", password="secret")
TAKEN = "This address is already in use"

Act = Callable[[Session], Any]


@pytest.fixture
def on_postgres(app: Flask) -> None:
    with app.app_context():
        if db.engine.dialect.name != "postgresql":
            pytest.skip("SQLite lets the second one begin only after the first has ended")


def invites(tenant_id: int, by: int) -> Act:
    def act(session: Session) -> None:
        tenant, person = session.get_one(Tenant, tenant_id), session.get_one(User, by)
        invite(session, tenant, Details(ADDRESS, "Wanted"), by=person, submission_key="one")

    return act


def enters_box(tenant_id: int) -> Act:
    return lambda session: put_box(session, session.get_one(Tenant, tenant_id), None, BOX)


def adds_entity(tenant_id: int, extension: str) -> Act:
    def act(session: Session) -> None:
        claim_channel(session, tenant_id)
        template_id = session.scalar(sa.select(FaxTemplate.id).where(FaxTemplate.tenant_id == tenant_id))
        session.add(FaxEntity(tenant_id=tenant_id, name=extension, extension=extension, template_id=template_id))
        session.flush()

    return act


def one_behind_the_other(app: Flask, first: Act, second: Act, *, commit: bool = True) -> str | None:
    """The first writes and holds; when the second waits for it, the first commits or gives up. What the second is
    refused with, if it is."""
    holds, go = Event(), Event()

    def hold() -> None:
        with app.app_context():
            first(db.session)
            holds.set()
            assert go.wait(100)
            if commit:
                db.session.commit()

    def follow() -> str | None:
        with app.app_context():
            try:
                second(db.session)
            except Refused as refusal:
                return refusal.code
            db.session.commit()
            return None

    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(hold)
        assert holds.wait(100) or held.result()
        followed = pool.submit(follow)
        try:
            wait_until_it_waits(app, followed)
        finally:
            go.set()
        held.result(100)
        return followed.result(100)


def wait_until_it_waits(app: Flask, followed: Future[Any]) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND state = 'active'")
    deadline = time.monotonic() + 60
    with app.app_context(), db.engine.connect() as connection:
        while time.monotonic() < deadline and not followed.done():
            if connection.execute(waiting).scalar():
                return
            connection.rollback()  # the next look is a new snapshot
            time.sleep(0.01)
    pytest.fail("the second one did not wait for the first")


def owners(app: Flask) -> int:
    with app.app_context():
        return db.session.scalar(
            sa.select(sa.func.count()).select_from(EmailAddress).where(EmailAddress.folded == ADDRESS)
        )


# ---- Two companies for one address


@pytest.fixture
def beginnings(cast: Cast) -> dict[str, Act]:
    """Ways to want the address: as a user of alpha or of beta, for a box of alpha or of beta."""
    return {
        "a user of alpha": invites(cast.alpha, cast.alice),
        "a user of beta": invites(cast.beta, cast.charlie),
        "a box of alpha": enters_box(cast.alpha),
        "a box of beta": enters_box(cast.beta),
    }


@pytest.mark.usefixtures("on_postgres")
def test_of_two_companies_that_want_one_address_for_a_box_the_first_has_it(
    app: Flask, beginnings: dict[str, Act]
) -> None:
    assert one_behind_the_other(app, beginnings["a box of alpha"], beginnings["a box of beta"]) == "email_taken"
    assert owners(app) == 1


@pytest.mark.usefixtures("on_postgres")
def test_the_second_has_the_address_if_the_first_gives_up(app: Flask, beginnings: dict[str, Act]) -> None:
    first, second = beginnings["a box of alpha"], beginnings["a box of beta"]
    assert one_behind_the_other(app, first, second, commit=False) is None
    assert owners(app) == 1


@pytest.mark.parametrize(
    ("first", "second", "owned"),
    [
        ("a user of alpha", "a user of beta", 0),
        ("a user of alpha", "a box of beta", 1),
        ("a box of alpha", "a box of beta", None),
    ],
)
def test_an_invitation_keeps_no_address_from_anybody(
    app: Flask, beginnings: dict[str, Act], first: str, second: str, owned: int | None
) -> None:
    """Nobody has answered it yet. A box has its address at once."""
    with app.app_context():
        beginnings[first](db.session)
        db.session.commit()
    with app.app_context():
        if owned is None:
            with pytest.raises(Refused, match="email_taken"):
                beginnings[second](db.session)
        else:
            beginnings[second](db.session)
            db.session.commit()
    assert owners(app) == (1 if owned is None else owned)


@pytest.fixture
def carla(app: Flask, cast: Cast) -> Browser:
    """Administers beta."""
    with app.app_context():
        make_user("carla@beta.test", "Carla", db.session.get_one(Tenant, cast.beta), Role.ADMIN)
        db.session.commit()
    return signed_in(app, "carla@beta.test")


def signed_in(app: Flask, email: str) -> Browser:
    browser = Browser(app)
    assert browser.sign_in(email).status_code == 303
    return browser


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def at_once(pool: ThreadPoolExecutor, *acts: Callable[[], Any]) -> list[Any]:
    barrier = Barrier(len(acts))

    def run(act: Callable[[], Any]) -> Any:
        barrier.wait(100)
        return act()

    return [done.result(100) for done in [pool.submit(run, act) for act in acts]]


def test_whom_two_companies_invite_at_once_belongs_to_whose_invitation_is_answered_first(
    app: Flask, cast: Cast, carla: Browser, pool: ThreadPoolExecutor
) -> None:
    alice = signed_in(app, "alice@alpha.test")
    tokens = {browser: browser.token("/users/invite") for browser in (alice, carla)}
    for n in range(3):
        form = {"name": "Wanted", "email": f"w{n}@shared.test", "role": "user"}

        def send(browser: Browser, form: dict[str, str]) -> Any:
            return browser.client.post("/users/invite", data=form | {"csrf_token": tokens[browser]})

        answers = at_once(pool, partial(send, alice, form), partial(send, carla, form))
        assert [answer.status_code for answer in answers] == [303, 303], "neither learns of the other"
        answers = at_once(pool, *(partial(answer_invitation, app, link) for link in links_of(app, form["email"])))
        assert sorted(answer.status_code for answer in answers) == [303, 422]
        refused = next(answer.text for answer in answers if answer.status_code == 422)
        assert "has an account at another company" in refused
        assert not ("Alpha Srl" in refused and "Beta SpA" in refused), "whose it is, is told to nobody"
    with app.app_context():
        wanted = sa.select(User.id).join(EmailAddress).where(EmailAddress.folded.like("w_@shared.test"))
        assert len(db.session.scalars(wanted).all()) == 3


def links_of(app: Flask, email: str) -> list[str]:
    """A fresh link to each who is invited at this address."""
    with app.app_context():
        users = db.session.scalars(sa.select(User).join(EmailAddress).where(EmailAddress.address == email)).all()
        tokens = [make_link(db.session, user, LinkPurpose.INVITATION) for user in users]
        db.session.commit()
        return [f"/invitation/{token}" for token in tokens]


def answer_invitation(app: Flask, link: str) -> Any:
    chosen = "a whole new password"
    return Browser(app).post(link, page=link, password=chosen, repeated=chosen)


# ---- Two administrators for the last licence


@pytest.mark.usefixtures("on_postgres")
def test_of_two_administrators_who_want_the_last_channel_the_first_has_it(app: Flask, cast: Cast) -> None:
    limit(app, cast, 3)
    refused = one_behind_the_other(app, adds_entity(cast.alpha, "901"), adds_entity(cast.alpha, "902"))
    assert refused == "licence_used_up"
    assert used(app, cast) == 3


@pytest.mark.usefixtures("on_postgres")
def test_the_second_has_the_last_channel_if_the_first_gives_up(app: Flask, cast: Cast) -> None:
    limit(app, cast, 3)
    first, second = adds_entity(cast.alpha, "901"), adds_entity(cast.alpha, "902")
    assert one_behind_the_other(app, first, second, commit=False) is None
    assert used(app, cast) == 3


@pytest.mark.usefixtures("on_postgres")
def test_a_licence_that_is_lowered_at_the_moment_is_the_one_that_counts(app: Flask, cast: Cast) -> None:
    """The operator holds the tenant while an administrator adds a line."""

    def lowers(session: Session) -> None:
        session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(fax_channels=2))

    assert one_behind_the_other(app, lowers, adds_entity(cast.alpha, "901")) == "licence_used_up"
    assert used(app, cast) == 2


def test_two_administrators_who_apply_a_new_line_each_end_at_exactly_the_licence(
    app: Flask, cast: Cast, pool: ThreadPoolExecutor
) -> None:
    with app.app_context():
        make_user("ada@alpha.test", "Ada", db.session.get_one(Tenant, cast.alpha), Role.ADMIN)
        db.session.commit()
    browsers = [signed_in(app, email) for email in ("alice@alpha.test", "ada@alpha.test")]
    for n in range(4):
        limit(app, cast, 3 + n)
        for place, browser in enumerate(browsers):
            name, extension = f"line {n} {place}", str(7000 + 10 * n + place)
            assert add(app, browser, cast.alpha, name=name, extension=extension).status_code == 303
        forms = [(browser, what_waits(browser)) for browser in browsers]

        def send(browser: Browser, form: dict[str, Any]) -> Any:
            return browser.client.post("/changes/apply", data=form)

        answers = at_once(pool, *(partial(send, *form) for form in forms))
        assert sorted(answer.status_code for answer in answers) == [303, 422]
        assert used(app, cast) == 3 + n
        for browser in browsers:
            browser.post("/changes/discard", page="/changes")


def what_waits(browser: Browser) -> dict[str, Any]:
    """The form that applies it, as the page has it."""
    return {"ids": IDS.findall(browser.get("/changes").text), "csrf_token": browser.token("/changes")}


def limit(app: Flask, cast: Cast, channels: int) -> None:
    with app.app_context():
        db.session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(fax_channels=channels))
        db.session.commit()


def used(app: Flask, cast: Cast) -> int:
    with app.app_context():
        return licence_of(db.session, cast.alpha).used
