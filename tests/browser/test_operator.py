"""The operator in the browser: a company from its opening to its end, with and without JavaScript; and the numbers."""

import json
import re
import time
import zipfile
from pathlib import Path
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import ALICE, BOB, OLGA, Desk
from tests.browser.test_looks import check_looks
from tests.browser.test_users import PASSWORD, choose_password, mailed_link
from tests.live.instance import Instance
from tests.waiting import until

pytestmark = pytest.mark.browser

NOTHING = re.compile("Page not found|Pagina non trovata")
BOTH = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])


def a_slug() -> str:
    return f"gamma-{time.time_ns()}"


def open_company(page: Page, slug: str, *, email: str = "") -> None:
    """By the form, from the list of companies to the page of the new one."""
    page.click("text=Add a company")
    page.fill("[name=slug]", slug)
    page.fill("[name=name]", f"Company {slug}")
    page.fill("[name=serial]", "KPBX-G")
    page.fill("[name=fax_channels]", "3")
    if email:
        page.fill("[name=admin_name]", "Gina Gamma")
        page.fill("[name=admin_email]", email)
    page.click(".people-form button.primary")
    expect(page.locator(".notice.info")).to_contain_text("is open.")


def press(page: Page, text: str) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name=text, exact=True).click()


@BOTH
def test_a_company_is_opened_and_its_first_administrator_comes_in(visit, instance: Instance, script: bool):
    slug = a_slug()
    address = f"gina@{slug}.test"
    page = visit("/operator/tenants", who=OLGA, script=script)
    page.click("text=Add a company")
    press(page, "Add the company")
    expect(page.locator("[name=slug]")).to_have_attribute("aria-invalid", "true")
    page.goto(page.url.replace("/new", ""))
    open_company(page, slug, email=address)
    expect(page.locator("#administrators")).to_contain_text("Gina Gamma")
    gina = visit(mailed_link(instance, address), script=script)
    choose_password(gina, PASSWORD)
    expect(gina.locator(".person .name")).to_have_text("Gina Gamma")
    gina.click("text=Administration")
    expect(gina.locator(".sections")).to_contain_text("Users and roles")


@BOTH
def test_a_suspended_company_reads_why_and_is_opened_again(visit, desk: Desk, instance: Instance, script: bool):
    slug = a_slug()
    address = f"gina@{slug}.test"
    page = visit("/operator/tenants", who=OLGA, script=script)
    open_company(page, slug, email=address)
    gina = visit(mailed_link(instance, address), script=script)
    choose_password(gina, PASSWORD)
    page.fill("[name=reason]", "The invoice of October is open.")
    press(page, "Suspend")
    gina.reload()
    expect(gina.locator("body")).to_contain_text("The invoice of October is open.")
    press(page, "Reopen")
    gina.reload()
    expect(gina.locator("body")).not_to_contain_text("The invoice of October is open.")


@BOTH
def test_a_company_takes_everything_away_and_is_deleted(visit, instance: Instance, tmp_path: Path, script: bool):
    slug = a_slug()
    address = f"gina@{slug}.test"
    page = visit("/operator/tenants", who=OLGA, script=script)
    open_company(page, slug, email=address)
    with page.expect_download() as taken:
        page.click("text=Export everything")
    assert taken.value.suggested_filename.endswith(".zip.sealed"), "only the company can open it"
    gina = visit(mailed_link(instance, address), script=script)
    choose_password(gina, PASSWORD)
    gina.goto(urljoin(gina.url, "/operator-access"))
    press(gina, "Let in")
    expect(gina.locator("main")).to_contain_text("The operator may see your faxes until")
    with page.expect_download() as taken:
        page.click("text=Export everything")
    taken.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read("rows/tenant.jsonl"))["slug"] == slug
    page.click("text=Delete the company …")
    expect(page.locator("main")).to_contain_text("Suspend the company first")
    page.click("text=Go to the company")
    press(page, "Suspend")
    page.click("text=Delete the company …")
    page.fill("[name=slug]", "something else")
    press(page, "Delete the company")
    expect(page.locator("#slug-judgment")).to_contain_text(f"Type {slug}")
    page.fill("[name=slug]", slug)
    press(page, "Delete the company")
    expect(page.locator(".notice.info")).to_contain_text("is being deleted")
    wait_until_gone(page, slug)
    page.click(".sections >> text=Log")
    expect(page.locator("table.audit")).to_contain_text(slug)


def wait_until_gone(page: Page, slug: str) -> None:
    """It goes on by itself; the list says until when."""

    def is_gone() -> bool:
        page.reload()
        return page.locator(f"table.rows:has-text('{slug}')").count() == 0

    until(is_gone, "it has gone")


def test_the_overview_asks_the_parts_and_keeps_its_counts_fresh(visit):
    page = visit("/operator", who=OLGA)
    expect(page.locator("#parts")).to_contain_text("Asterisk")
    expect(page.locator("#parts .tone-bad")).to_have_count(0)
    expect(page.locator("#parts")).to_contain_text("Asterisk running since")
    with page.expect_response(lambda answer: answer.url.endswith("/operator"), timeout=60_000):
        pass
    expect(page.locator("#now")).to_contain_text("Alpha")


@BOTH
def test_numbers_are_chosen_by_period_line_and_person(visit, sent, instance: Instance, script: bool):
    page = visit("/figures", who=ALICE, script=script)
    wait_for_figures(page)
    page.click(".figures-bar >> text=7 days")
    expect(page.locator(".figures-bar [aria-current=true]")).to_have_text("7 days")
    page.click("[aria-labelledby=by-user] .cover-row >> nth=0")
    expect(page.locator("h1 .kicker")).not_to_be_empty()
    assert "period=7" in page.url
    page.click("text=Show the whole company")
    expect(page.locator("h1 .kicker")).to_have_count(0)
    page.select_option("#entity", label="frontdesk")
    page.click(".figures-bar button")
    expect(page.locator("h1 .kicker")).to_have_text("frontdesk")
    page.click("text=As a table >> nth=0")
    expect(page.locator(".plot-table[open] tbody tr")).to_have_count(7)


def wait_for_figures(page: Page) -> None:
    """Counted within a minute or two after the first fax was over."""

    def are_there() -> bool:
        page.reload()
        return page.locator("[aria-labelledby=by-user] .cover-row").count() > 0

    until(are_there, "something was counted", seconds=250)


def test_who_operates_not_finds_no_operator(visit):
    for who in (ALICE, BOB):
        expect(visit("/operator", who=who).locator("h1")).to_have_text(NOTHING)


@pytest.mark.parametrize(
    "path",
    [
        *("/operator", "/operator/parts", "/operator/tenants", "/operator/tenants/new", "{alpha}", "{alpha}/delete"),
        *("/operator/figures", "/operator/log", "/operator/figures?period=12m"),
    ],
)
def test_every_page_of_the_operator_is_open_to_everybody(visit, sent, path: str):
    page = visit("/operator/tenants", who=OLGA, bypass_csp=True)
    alpha = page.locator("a.cover-row", has_text=re.compile("^Alpha")).get_attribute("href")
    page.goto(page.url.partition("/operator")[0] + path.format(alpha=alpha))
    page.wait_for_load_state("networkidle")
    check_looks(page)


@pytest.mark.parametrize(
    "path", ["/figures", "/figures?period=12m", "/figures?period=7&entity=nothing", "/figures/alerts"]
)
def test_the_numbers_are_open_to_everybody(visit, sent, path: str):
    page = visit(path, who=ALICE, bypass_csp=True)
    check_looks(page)


def test_the_tables_beside_the_plots_are_open_to_everybody(visit, sent):
    """Short enough not to scroll: what lies below an edge cannot be measured."""
    page = visit("/figures?period=7", who=ALICE, bypass_csp=True)
    for details in page.locator(".plot-table summary").all():
        details.click()
    check_looks(page)
