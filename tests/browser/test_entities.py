"""Fax entities, the numbering plan and saved changes, as an administrator uses them in the browser."""

import re
import time
from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import FaxEntity, Grant, PendingChange
from tenants.addresses import claim_address
from tenants.models import EmailAddress, Role, Tenant, User
from tests.browser.desk import ALICE, BOB, follow
from tests.browser.test_looks import check_looks
from tests.live.instance import Instance

pytestmark = pytest.mark.browser

SCRIPTS = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
NAME = "line of a test"


@pytest.fixture(autouse=True)
def tidy(instance: Instance) -> Iterator[None]:
    """Room for one more line; what a test saved or added is not there for the next one."""
    with instance.session() as session:
        session.execute(sa.delete(PendingChange))
        session.execute(sa.update(Tenant).where(Tenant.slug == "alpha").values(fax_channels=20))
        session.commit()
    yield
    with instance.session() as session:
        session.execute(sa.delete(PendingChange))
        added = sa.select(FaxEntity.id).where(FaxEntity.name.like(f"{NAME}%"))
        session.execute(sa.delete(Grant).where(Grant.entity_id.in_(added)))
        session.execute(sa.delete(FaxEntity).where(FaxEntity.name.like(f"{NAME}%")))
        session.commit()


@pytest.fixture(scope="module")
def crowd(instance: Instance) -> Iterator[int]:
    """Five hundred users of Alice's company."""
    with instance.session() as session:
        alpha = session.scalars(sa.select(Tenant).where(Tenant.slug == "alpha")).one()
        for n in range(500):
            entry = claim_address(session, f"crowd{n:03}@alpha.test")
            session.add(User(address=entry, name=f"Crowd {n:03}", role=Role.USER, tenant=alpha))
        session.commit()
    yield 500
    with instance.session() as session:
        addresses = sa.select(EmailAddress.id).where(EmailAddress.folded.like("crowd___@alpha.test"))
        users = sa.select(User.id).where(User.address_id.in_(addresses))
        session.execute(sa.delete(Grant).where(Grant.user_id.in_(users)))
        ids = list(session.scalars(addresses))
        session.execute(sa.delete(User).where(User.address_id.in_(ids)))
        session.execute(sa.delete(EmailAddress).where(EmailAddress.id.in_(ids)))
        session.commit()


def fresh() -> tuple[str, str]:
    number = time.time_ns() // 1000 % 9_999  # 39999 is the telephone
    return f"{NAME} {number}", f"3{number:04}"


def save(page: Page) -> None:
    with page.expect_navigation():
        page.click("form.settings-form button.primary")


def add(page: Page) -> tuple[str, str]:
    """A new line with Bob as its user, saved and not applied."""
    name, extension = fresh()
    page.get_by_role("link", name="Add a fax line").first.click()
    page.fill("#name", name)
    page.fill("#extension", extension)
    page.select_option("#template", label="default")
    save(page)
    expect(page.locator("h1")).to_have_text(f"Users of {name}")
    page.get_by_role("row", name="bob@alpha.test").get_by_label("Send").check()
    with page.expect_navigation():
        page.click(".lines-save button")
    expect(page.locator(".notice.info")).to_contain_text("Takes effect when you apply your changes")
    return name, extension


def apply(page: Page) -> None:
    page.get_by_role("link", name="Review and apply").click()
    with page.expect_navigation():
        page.get_by_role("button", name="Apply changes").click()
    expect(page.locator(".notice.info")).to_contain_text("now")


def entity(page: Page, name: str) -> None:
    page.get_by_role("link", name="Fax lines").first.click()
    page.get_by_role("rowheader", name=name).get_by_role("link").first.click()
    expect(page.locator("h1")).to_have_text(name)


@SCRIPTS
def test_a_line_is_added_used_changed_and_closed(visit, script):
    page = visit("/entities", who=ALICE, script=script)
    name, extension = add(page)
    row = page.get_by_role("row", name=name)
    expect(row).to_contain_text("new, not active yet")
    expect(row).to_contain_text("sends: 1, receives: 0")
    apply(page)
    bobs = visit("/faxes/send", who=BOB, script=script)
    assert any(name in text for text in bobs.locator("[name=entity] option").all_inner_texts())

    entity(page, name)
    page.check("[name=shared_with_voice][value=yes]")
    page.fill("#voice_destination", extension)
    save(page)
    expect(page.locator("#voice_destination-judgment")).to_contain_text("is itself a fax line")
    page.fill("#voice_destination", "39999")
    save(page)
    apply(page)
    page.goto(page.url.partition("/changes")[0] + "/numbering")
    expect(page.get_by_role("row", name=name)).to_contain_text("39999")

    entity(page, name)
    for _asked_twice in range(2):
        with page.expect_navigation():
            page.get_by_role("button", name="Close this line").click()
    expect(page.get_by_role("row", name=name)).to_contain_text("closing, not active yet")
    apply(page)
    page.goto(page.url.partition("/changes")[0] + "/entities")
    expect(page.get_by_role("row", name=name)).to_have_count(0)


def test_a_number_is_judged_while_it_is_typed(visit):
    page = visit("/entities/new", who=ALICE)
    page.locator("#extension").press_sequentially("501")
    expect(page.locator("#extension-judgment")).to_contain_text("501 is in use by frontdesk")
    page.locator("#number").press_sequentially("0509655639")
    expect(page.locator("#number-judgment")).to_contain_text("is free")


@SCRIPTS
def test_what_is_discarded_leaves_nothing_behind(visit, instance: Instance, script):
    page = visit("/entities", who=ALICE, script=script)
    name, _extension = add(page)
    entity(page, "frontdesk")
    page.fill("#name", f"{NAME}, renamed")
    save(page)
    page.get_by_role("link", name="Review and apply").click()
    expect(page.locator(".lines-change")).to_have_count(2)
    page.get_by_role("button", name=f"Discard: {name}").click()
    expect(page.locator(".lines-change")).to_have_count(1)
    page.get_by_role("button", name="Discard all").click()
    expect(page.locator("h2")).to_have_text("No saved changes")
    with instance.session() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(PendingChange)) == 0
        assert session.scalar(sa.select(sa.func.count()).where(FaxEntity.name.like(f"{NAME}%"))) == 0


@SCRIPTS
def test_five_hundred_users_are_searched_and_chosen_at_once(visit, crowd, script):
    page = visit("/entities", who=ALICE, script=script)
    follow(page.get_by_role("link", name=re.compile("Users of frontdesk")))
    page.get_by_role("row", name="crowd000@alpha.test").get_by_label("Send").check()
    page.fill("#q", "crowd49")
    if not script:
        page.get_by_role("button", name="Search").click()
    expect(page.locator(".chips-said")).to_have_text("10 users")
    page.get_by_role("group", name="Receive").get_by_role("button", name="all 10 found").click()
    expect(page.locator("input[name=receives]:checked")).to_have_count(10)
    page.fill("#q", "")
    if not script:
        page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("row", name="crowd000@alpha.test").get_by_label("Send")).to_be_checked()
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".people-pager")).to_contain_text("Page 2 of")
    with page.expect_navigation():
        page.click(".lines-save button")
    page.get_by_role("link", name="Review and apply").click()
    expect(page.locator(".lines-differences tbody tr")).to_have_count(11)
    page.get_by_role("button", name="Discard all").click()


def test_one_that_cannot_be_applied_is_named_and_nothing_is(visit, instance: Instance):
    page = visit("/entities", who=ALICE)
    name, extension = add(page)
    with instance.session() as session:
        alpha = session.scalars(sa.select(Tenant).where(Tenant.slug == "alpha")).one()
        template = session.scalars(sa.select(FaxEntity.template_id).where(FaxEntity.tenant_id == alpha.id)).first()
        other = FaxEntity(tenant_id=alpha.id, name=f"{NAME}, faster", extension=extension, template_id=template)
        session.add(other)
        session.commit()
    page.get_by_role("link", name="Review and apply").click()
    page.get_by_role("button", name="Apply changes").click()
    refused = page.locator("[role=alert][autofocus]")
    expect(refused).to_contain_text(f"Nothing was applied, because of {name}")
    expect(refused).to_contain_text(f"{extension} is in use by {NAME}, faster")
    expect(page.locator(".lines-refused h2")).to_contain_text(name)


# ---- Looks


def with_errors(page: Page) -> None:
    save(page)
    expect(page.locator(".summary")).to_be_visible()


def first_entity(page: Page) -> None:
    follow(page.locator(".lines-list tbody th a").first)


def its_users(page: Page) -> None:
    follow(page.get_by_role("link", name=re.compile("Users of frontdesk")))


def to_be_closed(page: Page) -> None:
    first_entity(page)
    follow(page.get_by_role("button", name="Close this line"))


def added(page: Page) -> None:
    add(page)
    first_entity(page)
    page.fill("#name", f"{NAME}, renamed")
    save(page)


def added_one(page: Page) -> None:
    name, _extension = add(page)
    entity(page, name)


def waiting(page: Page) -> None:
    added(page)
    follow(page.get_by_role("link", name="Review and apply"))


PAGES: dict[str, tuple[str, Callable[[Page], None] | None]] = {
    "entities": ("/entities", added),
    "a new entity": ("/entities/new", None),
    "a new entity with errors": ("/entities/new", with_errors),
    "an entity": ("/entities", first_entity),
    "an entity that is only saved": ("/entities", added_one),
    "an entity to be closed": ("/entities", to_be_closed),
    "users": ("/entities", its_users),
    "changes": ("/entities", waiting),
    "no changes": ("/changes", None),
    "numbering plan": ("/numbering", None),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_open_to_everybody_and_fits_every_screen(visit, name):
    path, act = PAGES[name]
    page = visit(path, who=ALICE, bypass_csp=True)
    if act:
        act(page)
    check_looks(page)


def test_the_grid_of_five_hundred_is_open_to_everybody(visit, crowd):
    page = visit("/entities", who=ALICE, bypass_csp=True)
    its_users(page)
    page.set_viewport_size({"width": 390, "height": 844})
    check_looks(page)
