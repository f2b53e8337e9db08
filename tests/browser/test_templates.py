"""Templates and a line's self-test, as an administrator uses them in the browser."""

import re
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import FaxTemplate, PendingChange
from tests.browser.desk import ALICE
from tests.browser.test_looks import check_looks
from tests.live.instance import Instance

pytestmark = pytest.mark.browser

SCRIPTS = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])


@pytest.fixture(autouse=True)
def tidy(instance: Instance) -> Iterator[None]:
    """Templates and saved changes of a test are not there for the next one."""
    yield
    with instance.session() as session:
        session.execute(sa.delete(PendingChange))
        session.execute(sa.delete(FaxTemplate).where(FaxTemplate.name.like("try %")))
        session.commit()


def save(page: Page) -> None:
    with page.expect_navigation():
        page.locator("#template-form").get_by_role("button", name="Save").click()


@SCRIPTS
def test_a_template_is_added_mended_applied_and_removed(visit, script):
    name = f"try {time.time_ns() % 10**9}"
    page = visit("/templates", who=ALICE, script=script)
    page.get_by_role("link", name="Add a template").click()
    page.fill("#name", name)
    page.fill("#delay_busy", "soon")
    page.fill("#forbidden_prefixes", "0586\nall")
    save(page)
    expect(page.locator(".summary a")).to_have_count(2)
    expect(page.locator("#delay_busy")).to_have_value("soon")
    page.locator(".summary a").first.click()
    page.fill("#delay_busy", "30")
    page.fill("#forbidden_prefixes", "0586")
    page.check("#premium_allowed")
    save(page)
    row = page.locator("table.rows tr", has_text=name)
    expect(row).to_contain_text("new, not active yet")
    page.goto(page.url.replace("/templates", "/changes"))
    expect(page.locator("main")).to_contain_text("+390586")
    page.get_by_role("button", name="Apply changes").click()
    page.get_by_role("link", name="Templates").first.click()
    row = page.locator("table.rows tr", has_text=name)
    expect(row).not_to_contain_text("not active yet")
    row.get_by_role("link").click()
    expect(page.locator("#delay_busy")).to_have_value("30")
    page.get_by_role("button", name="Remove this template").click()
    expect(page.locator("table.rows tr", has_text=name)).to_contain_text("removed, not active yet")


@pytest.mark.parametrize("path", ["/templates", "/templates/new", "/templates/1", "/entities/1/test"])
def test_every_page_is_open_to_everybody(visit, path):
    page = visit(path, who=ALICE, bypass_csp=True)
    expect(page.locator("h1")).to_be_visible()
    check_looks(page)


def test_a_line_is_tested_while_somebody_watches(visit):
    page = visit("/entities/1/test", who=ALICE, bypass_csp=True)
    page.get_by_role("button", name=re.compile("Test this line|Test again")).click()
    expect(page.locator("#test-result")).to_have_attribute("data-test", "running")
    expect(page.locator("#test-result")).to_have_attribute("data-test", "good", timeout=120_000)
    for text in ("T.38", "14,400 bit/s", "1 of 1 page", "arrived exactly"):
        expect(page.locator(".test-steps")).to_contain_text(text)
    expect(page.locator(".test-page img")).to_have_count(2)
    expect(page.get_by_role("button", name="Test again")).to_be_visible()
    check_looks(page)
