"""A passkey in Chromium, with a device that it plays itself (WebDriver's virtual authenticator)."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import CHARLIE, Desk, follow

pytestmark = pytest.mark.timeout(300)
FACTOR = "/profile/second-factor"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(desk: Desk) -> Iterator[Page]:
    """Charlie, just signed in at the name of this machine: browsers know no passkeys at an IP address."""
    here = Desk(desk.browser, desk.url.replace("127.0.0.1", "localhost"), desk.password)
    page = here.open("/sign-in")
    here.sign_in(page, CHARLIE)
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    desk.forget(CHARLIE)  # the first factor ends what else is signed in
    yield page
    here.close()
    assert here.problems == []


def button(page: Page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def by_password(page: Page, password: str) -> None:
    page.fill("[name=email]", CHARLIE)
    page.fill("[name=password]", password)
    follow(button(page, "Sign in"))


def test_a_passkey_is_added_asked_for_and_signs_in_by_itself(page, desk):
    page.goto(desk.url.replace("127.0.0.1", "localhost") + FACTOR)
    follow(button(page, "Add a passkey"))
    page.fill("[name=current]", desk.password)
    follow(button(page, "Confirm"))
    page.fill("[name=name]", "Desk key")
    follow(button(page, "Create the passkey"))
    expect(page.locator("h1")).to_have_text("Keep these recovery codes")
    expect(page.locator(".factor-codes li")).to_have_count(10)
    codes = page.locator(".factor-codes li").all_inner_texts()
    try:
        page.context.clear_cookies()
        page.goto(page.url.split("/profile")[0] + "/sign-in")
        by_password(page, desk.password)
        assert "/sign-in/code" in page.url
        follow(button(page, "Use a passkey"))
        assert "/sign-in" not in page.url

        page.context.clear_cookies()
        page.goto(page.url.split("/faxes")[0] + "/sign-in")
        follow(button(page, "Sign in with a passkey"))
        assert "/sign-in" not in page.url
    finally:
        _remove(page, desk, codes)


def _remove(page: Page, desk: Desk, codes: list[str]) -> None:
    """With a code on paper, so that whoever comes next signs in by the password alone."""
    here = desk.url.replace("127.0.0.1", "localhost")
    page.context.clear_cookies()
    page.goto(here + "/sign-in")
    by_password(page, desk.password)
    page.fill("[name=code]", codes[0])
    follow(button(page, "Continue"))
    page.goto(here + FACTOR)
    follow(page.get_by_role("button", name="Remove Desk key"))
    follow(button(page, "Use a passkey"))
    expect(page.get_by_text("Desk key")).to_have_count(0)
