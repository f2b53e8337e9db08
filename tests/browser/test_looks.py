"""Every page for everybody: axe, light and dark, an office's screen and a phone's."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import ALICE, BOB, CHARLIE, OLGA, SHIFTED, Desk, submit, wait_for_status

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("sent")]

AXE = Path(__file__).parents[2] / ".tools/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
#: Decoration without text on it, which keeps axe from telling what is behind the text of the whole sheet.
PLAIN = "main.sheet::before, main.sheet::after, .cover-row::after, .stop::before { display: none !important }"
SIZES = {"office": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


def with_errors(page: Page) -> None:
    page.fill("[name=to]", "050 12")
    page.fill("[name=send_at]", "2020-01-01T10:00")
    submit(page)


def wrong_password(page: Page) -> None:
    page.fill("[name=email]", "nobody@alpha.test")
    page.fill("[name=password]", "wrong")
    with page.expect_navigation():
        page.press("[name=password]", "Enter")


def turn_and_invert(page: Page) -> None:
    page.click("#turn")
    page.click("#invert")


#: Name → who looks, at what, and what they do there. ``{…}`` is one of the shared faxes.
PAGES: dict[str, tuple[str | None, str, Callable[[Page], None] | None]] = {
    "sign-in": (None, "/sign-in", None),
    "sign-in refused": (None, "/sign-in", wrong_password),
    "send": (ALICE, "/faxes/send", None),
    "send with errors": (ALICE, "/faxes/send", with_errors),
    "send in Italian": (BOB, "/faxes/send", with_errors),
    "sent list": (ALICE, "/faxes?direction=sent", None),
    "received list": (CHARLIE, "/faxes?direction=received", None),
    "nothing received": (ALICE, "/faxes?direction=received", None),
    "a fax sent": (ALICE, "/faxes/{scripted}", lambda page: wait_for_status(page, "sent")),
    "a fax that failed": (ALICE, "/faxes/{failing}", lambda page: wait_for_status(page, "failed")),
    "a fax in Italian": (BOB, "/faxes/{scripted}", lambda page: wait_for_status(page, "sent")),
    "viewer": (ALICE, "/faxes/{scripted}/view", None),
    "viewer, a page turned, white on black": (BOB, "/faxes/{scripted}/view", turn_and_invert),
    "keys of the viewer": (ALICE, "/faxes/{scripted}/view", lambda page: page.keyboard.press("?")),
    "operator": (OLGA, "/operator/tenants", None),
    "error": (ALICE, "/faxes/nothing", None),
}


def open_page(visit, name: str, sent) -> Page:
    who, path, act = PAGES[name]
    page = visit(path.format(**vars(sent)), who=who, bypass_csp=True)
    if act:
        act(page)
    return page


def violations(page: Page) -> list[str]:
    """What breaks a rule, and text whose contrast axe could not measure: unmeasured is not passed."""
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)
    unmeasured = [result for result in found["incomplete"] if result["id"] == "color-contrast"]
    return [
        f"{result['id']}: {node['target']} {node['failureSummary']}"
        for result in found["violations"] + unmeasured
        for node in result["nodes"]
    ]


def check_looks(page: Page) -> None:
    """axe and no sideways scrolling, on every screen, light and dark. The page is the one that was meant: whoever
    leads there waits for it (:func:`tests.browser.desk.follow`)."""
    page.wait_for_load_state()
    page.evaluate(AXE.read_text())
    page.add_style_tag(content=PLAIN)
    for size in SIZES:
        page.set_viewport_size(SIZES[size])
        assert not page.evaluate(SHIFTED), f"scrolls sideways: {size}"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert violations(page) == [], (size, scheme)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_open_to_everybody_and_fits_every_screen(visit, sent, name):
    page = open_page(visit, name, sent)
    check_looks(page)


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_appearance_is_kept_from_page_to_page(visit, desk: Desk, script):
    page = visit("/sign-in", script=script)
    page.click("[name=theme][value=dark]")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("[name=theme][value=dark]")).to_have_attribute("aria-pressed", "true")
    desk.sign_in(page, ALICE)
    page.goto(f"{desk.url}/faxes?direction=sent")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("[name=theme][value=auto]")).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize(("who", "path"), [(BOB, "/profile"), (ALICE, "/figures")], ids=["in Italian", "periods"])
def test_no_word_of_what_is_chosen_from_is_cut_on_the_narrowest_screen(visit, who, path):
    page = visit(path, who=who)
    page.set_viewport_size({"width": 320, "height": 700})
    cut = "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).map(box => box.textContent.trim())"
    assert page.eval_on_selector_all(".machine nav, .tabs, .tti span", cut) == []
