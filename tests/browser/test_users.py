"""Users and roles in the browser: an invitation from the form to the first page, with and without JavaScript."""

import email
import email.policy
import re
import time

import pyotp
import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import ALICE, Desk
from tests.browser.test_looks import check_looks
from tests.live.instance import Instance

pytestmark = pytest.mark.browser

PASSWORD = "four words are easy"
LINK = re.compile(r"(/(?:invitation|password)/\S+)")


def mailed_link(instance: Instance, recipient: str, *, seconds: float = 200) -> str:
    """The path of the link in the last mail to them."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in sorted((instance.home / "mail/new").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if message["To"] == recipient and (found := LINK.search(message.get_content())):
                return found[1]
        time.sleep(0.2)
    raise AssertionError(f"no mail with a link to {recipient}")


def invite(page: Page, address: str, name: str) -> None:
    page.click("text=Invite a user")
    page.fill("[name=email]", address)
    page.fill("[name=name]", name)
    page.click("text=Send the invitation")
    expect(page.locator(".notice.info")).to_contain_text("has been invited")


def choose_password(page: Page, password: str) -> None:
    page.fill("[name=password]", password)
    page.fill("[name=repeated]", password)
    with page.expect_navigation():
        page.press("[name=repeated]", "Enter")


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_invitation_leads_from_the_form_to_the_first_page(visit, desk: Desk, instance: Instance, script):
    address = f"new{time.time_ns()}@alpha.test"
    invite(visit("/users", who=ALICE, script=script), address, "Nina Nuova")
    page = visit(mailed_link(instance, address), script=script)
    expect(page.locator(".lead")).to_contain_text("Nina Nuova")
    choose_password(page, "short")
    expect(page.locator("#password-judgment")).to_contain_text("at least 12 characters")
    choose_password(page, PASSWORD)
    expect(page.locator(".person .name")).to_have_text("Nina Nuova")


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_an_invitation_is_withdrawn_and_its_link_is_dead(visit, instance: Instance, script):
    address = f"wrong{time.time_ns()}@alpha.test"
    page = visit("/users", who=ALICE, script=script)
    invite(page, address, "Wanda Wrong")
    link = mailed_link(instance, address)
    page.click("text=Withdraw the invitation")
    page.click("button:text-is('Withdraw')")
    expect(page.locator(".notice.info")).to_contain_text("The invitation for Wanda Wrong was withdrawn")
    page = visit(link, script=script)
    expect(page.locator("main")).not_to_contain_text("Wanda")
    invite(visit("/users", who=ALICE, script=script), address, "Wanda Right")


def test_the_page_of_an_invited_user_is_open_to_everybody(visit):
    page = visit("/users", who=ALICE, bypass_csp=True)
    invite(page, f"open{time.time_ns()}@alpha.test", "Olivia Open")
    page.reload()
    page.click("text=Withdraw the invitation")
    check_looks(page)


def test_a_second_factor_is_set_up_and_asked_for(visit, desk: Desk, instance: Instance):
    address = f"new{time.time_ns()}@alpha.test"
    invite(visit("/users", who=ALICE), address, "Otto Due")
    page = visit(mailed_link(instance, address), bypass_csp=True)
    choose_password(page, PASSWORD)
    page.click(".person .name")
    page.click("text=Set up a second factor")
    page.click("button:text-is('Set up')")
    page.fill("[name=current]", PASSWORD)
    page.press("[name=current]", "Enter")
    secret = page.locator(".factor-steps .hint .mono").inner_text().replace(" ", "")
    recovery = page.locator(".factor-codes li").first.inner_text()
    check_looks(page)
    page.fill("[name=code]", pyotp.TOTP(secret).now())
    page.press("[name=code]", "Enter")
    expect(page.locator("#second-factor")).to_contain_text("10 recovery codes left")
    other = visit("/sign-in", bypass_csp=True)
    desk.sign_in(other, address, PASSWORD)
    check_looks(other)
    other.fill("[name=code]", recovery)
    other.press("[name=code]", "Enter")
    expect(other.locator(".notice.info")).to_contain_text("9 recovery codes left")


def test_the_list_answers_while_one_types(visit):
    page = visit("/users", who=ALICE)
    page.fill("#q", "BOB@")
    expect(page.locator(".people-list .cover-row")).to_have_text(["Bob"])
    page.fill("#q", "")
    expect(page.locator(".people-list .cover-row").first).to_have_text("Alice")


def test_a_file_is_checked_before_anybody_is_invited(visit):
    page = visit("/users/import", who=ALICE)
    content = f"email;name\nnonsense;N\nfile{time.time_ns()}@alpha.test;File\n"
    choose(page, content)
    expect(page.locator(".people-problem")).to_have_text(
        ["This is not an email address. Write it like name@example.org."]
    )
    choose(page, content.replace("nonsense;N\n", ""))
    page.click("text=Invite 1 user")
    expect(page.locator(".notice.info")).to_contain_text("1 user was invited")


def choose(page: Page, content: str) -> None:
    page.set_input_files("[name=file]", {"name": "p.csv", "mimeType": "text/csv", "buffer": content.encode()})
    page.click("text=Check the file")


@pytest.mark.parametrize("path", ["/users", "/users/invite", "/users/import", "/users/{bob}", "/profile"])
def test_every_page_is_open_to_everybody(visit, instance: Instance, path):
    page = visit("/users?q=bob@alpha.test", who=ALICE, bypass_csp=True)
    bob = page.locator(".people-list .cover-row").get_attribute("href").rpartition("/")[2]
    page.goto(page.url.partition("/users")[0] + path.format(bob=bob))
    check_looks(page)


@pytest.mark.parametrize("path", ["/password", "/password/nothing", "/invitation/nothing"])
def test_every_page_before_sign_in_is_open_to_everybody(visit, path):
    check_looks(visit(path, bypass_csp=True))
