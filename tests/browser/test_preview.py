"""The preview in a browser: pages appear while the form is filled, and are enlarged by click, keys and touch."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.desk import ALICE, BETA, cancel, fill, follow, submit, wait_for_status
from tests.browser.test_looks import check_looks
from tests.documents import pdf, written

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("sent")]  # those are on the line meanwhile

MANY = 50


@pytest.fixture(scope="module")
def many(folder):
    return written(folder, pdf(pages=MANY, text="One of many pages"), "many.pdf")


def looked(visit, document, **options) -> Page:
    page = visit("/faxes/send", who=ALICE, **options)
    fill(page, line="frontdesk", document=document)
    expect(page.locator("#preview-pages li").first).to_be_visible(timeout=60_000)
    return page


def whole(page: Page, pages: int) -> None:
    expect(page.locator("#preview-pages li")).to_have_count(pages, timeout=60_000)
    expect(page.locator("#preview-state .look-facts").first).to_contain_text("bit/s", timeout=60_000)


def test_pages_appear_while_the_form_is_filled_and_only_those_in_sight_are_loaded(visit, many):
    page = visit("/faxes/send", who=ALICE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/pages/" in request.url else None)
    fill(page, line="frontdesk", document=many)
    page.locator("[name=to]").press_sequentially(BETA)
    whole(page, MANY)
    assert page.input_value("[name=to]") == BETA
    page.wait_for_load_state("networkidle")
    assert 0 < len({url for url in asked if "width=160" in url}) < MANY


def test_a_page_is_enlarged_turned_over_by_keys_and_closed_where_it_was_opened(visit, many):
    page = looked(visit, many, bypass_csp=True)
    whole(page, MANY)
    page.click("[data-look='2']")
    number = page.locator("#look-number")
    expect(number).to_have_text(f"Page 2 of {MANY}")
    page.wait_for_function("document.querySelector('#look img').naturalWidth >= 960")
    page.keyboard.press("ArrowRight")
    expect(number).to_have_text(f"Page 3 of {MANY}")
    page.keyboard.press("End")
    expect(number).to_have_text(f"Page {MANY} of {MANY}")
    page.click("[data-step='-1']")
    expect(number).to_have_text(f"Page {MANY - 1} of {MANY}")
    page.click("[data-dots-size]")
    assert page.locator("#look img").bounding_box()["width"] == 1728
    page.wait_for_function("document.querySelector('#look img').currentSrc.includes('width=1728')")
    expect(page.locator(".look-header")).to_contain_text("[date and time of sending]")
    page.keyboard.press("Escape")
    expect(page.locator("#look")).to_be_hidden()
    expect(page.locator(f"[data-look='{MANY - 1}']")).to_be_focused()


def test_a_long_spreadsheet_asks_in_the_form_and_keeps_what_was_typed(visit, folder, later):
    rows = "".join(f"{number};Article {number}\n" for number in range(1300))
    page = visit("/faxes/send", who=ALICE, bypass_csp=True)
    fill(page, to=BETA, line="frontdesk", document=written(folder, rows.encode(), "prices.csv"), at=later)
    asked = page.locator("#all_pages")
    expect(asked).to_be_visible(timeout=60_000)
    page.locator("#preview-pages").evaluate("strip => strip.remove()")  # axe cannot judge what is scrolled out of it
    check_looks(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    submit(page)
    expect(page.locator(".summary a")).to_contain_text("Send all of them?")
    assert (page.input_value("[name=to]"), page.input_value("[name=send_at]")) == (BETA, later)
    page.locator("#preview-pages li").first.wait_for()
    page.click(".summary a")
    expect(asked).to_be_focused()
    page.keyboard.press("Space")
    submit(page)
    cancel(page)


def test_without_javascript_a_fax_is_shown_first_and_goes_when_its_sender_says_so(visit, letter):
    page = visit("/faxes/send", who=ALICE, script=False)
    fill(page, to=BETA, line="frontdesk", document=letter)
    page.check("[name=look_first]")
    submit(page)
    release = page.locator("#release")
    expect(release).to_be_visible(timeout=60_000)  # the page loads itself again until then
    expect(page.locator("#fax-state")).to_have_text("Waiting for you")
    shown = page.locator("img[src*='/pages/']")
    expect(shown).to_have_count(3)  # the first one on top, and each of them
    for image in shown.all():
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth > 0")
    follow(release)
    wait_for_status(page, "dialing", "sending", "sent")
    cancel(page)


def test_a_swipe_turns_over(visit, letter):
    page = looked(visit, letter, has_touch=True)
    whole(page, 2)
    page.tap("[data-look='1']")
    expect(page.locator("#look-number")).to_have_text("Page 1 of 2")
    page.evaluate(
        """() => {
          const sheet = document.querySelector(".look-sheet");
          const touch = (x) => new Touch({ identifier: 1, target: sheet, clientX: x, clientY: 300 });
          sheet.dispatchEvent(new TouchEvent("touchstart", { touches: [touch(300)], changedTouches: [touch(300)] }));
          sheet.dispatchEvent(new TouchEvent("touchend", { touches: [], changedTouches: [touch(100)] }));
        }"""
    )
    expect(page.locator("#look-number")).to_have_text("Page 2 of 2")


def test_the_preview_is_open_to_everybody_and_fits_every_screen(visit, letter):
    page = looked(visit, letter, bypass_csp=True)
    whole(page, 2)
    check_looks(page)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.click("[data-look='1']")
    check_looks(page)
