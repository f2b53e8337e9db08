"""The viewer at work: what is asked for, keys, turns, sizes; and the plain column without JavaScript."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.desk import ALICE, BETA, CHARLIE, SHIFTED, Desk, cancel, fax_id, fill, submit, wait_for_status
from tests.documents import pdf, written
from tests.waiting import until

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
#: A page is so wide on paper: 1,728 dots of 204 to the inch, in CSS pixels.
PAPER = 1728 / 204 * 96
#: Whether an element lies where a person sees it.
SEEN = "leaf => { const box = leaf.getBoundingClientRect(); return box.top < window.innerHeight && box.bottom > 150; }"


#: The pictures that this page has fetched, and what each of them took from the network.
FETCHED = """() => Object.fromEntries(performance.getEntriesByType("resource")
  .filter(it => it.name.includes("/pages/")).map(it => [it.name, it.transferSize]))"""


@pytest.fixture(scope="module")
def long_fax(desk: Desk, folder: Path, later: str) -> Iterator[str]:
    """Fifty pages that wait for the day after tomorrow."""
    page = desk.open("/faxes/send", who=ALICE)
    fill(page, to=BETA, line="frontdesk", at=later, document=written(folder, pdf(pages=50), "fifty.pdf"))
    submit(page)
    wait_for_status(page, "scheduled")
    yield fax_id(page)
    cancel(page)


@pytest.fixture
def viewer(visit, long_fax: str) -> Page:
    return visit(f"/faxes/{long_fax}/view", who=ALICE)


def leaf(page: Page, number: int) -> Locator:
    return page.locator(f"#page-{number}")


def size(element: Locator) -> tuple[float, float]:
    box = element.bounding_box()
    assert box
    return box["width"], box["height"]


def is_seen(page: Page, number: int) -> None:
    """Scrolling takes a frame or more."""
    until(lambda: leaf(page, number).evaluate(SEEN), f"page {number} is seen")


def is_at(page: Page, number: int) -> None:
    """Everything says that this is the page, and it is the one that is seen."""
    expect(page.locator("#page-number")).to_have_value(str(number))
    expect(page.locator("#page-said")).to_have_text(f"Page {number} of 50")
    expect(page.locator(".rail a[aria-current]")).to_have_attribute("href", f"#page-{number}")
    is_seen(page, number)


def loaded(page: Page, number: int) -> None:
    expect(leaf(page, number).locator("img")).to_have_js_property("complete", True)
    assert leaf(page, number).locator("img").evaluate("image => image.naturalWidth > 0")


def asked_for(page: Page) -> list[str]:
    """The pictures of pages that are asked for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/pages/" in request.url else None)
    return asked


def test_of_fifty_pages_only_those_are_asked_for_that_are_nearly_seen(visit, desk: Desk, long_fax):
    page = visit("/faxes", who=ALICE)
    asked = asked_for(page)
    page.goto(f"{desk.url}/faxes/{long_fax}/view", wait_until="networkidle")
    loaded(page, 1)
    assert page.locator(".leaf").count() == 50
    large = [url for url in asked if "width=160" not in url]
    assert "/pages/1.png" in asked[0], "the first page comes first"
    assert 1 <= len(large) <= 4, large
    assert len(asked) - len(large) <= 20
    height = page.locator(".leaves").evaluate("leaves => leaves.scrollHeight")
    leaf(page, 50).scroll_into_view_if_needed()
    loaded(page, 50)
    assert any("/pages/50.png" in url for url in asked)
    assert page.locator(".leaves").evaluate("leaves => leaves.scrollHeight") == height, "nothing moved"


def test_a_picture_that_was_seen_is_not_asked_for_again(viewer: Page):
    loaded(viewer, 1)
    viewer.wait_for_load_state("networkidle")
    seen = viewer.evaluate(FETCHED)
    viewer.reload(wait_until="networkidle")
    loaded(viewer, 1)
    again = {url: size for url, size in viewer.evaluate(FETCHED).items() if url in seen}
    assert again and set(again.values()) == {0}


def test_keys_lead_through_the_pages(viewer: Page):
    keys = {"j": 2, "ArrowRight": 3, "k": 2, "ArrowLeft": 1, "End": 50, "j+": 50, "Home": 1, "k+": 1}
    for key, number in keys.items():
        viewer.keyboard.press(key.rstrip("+"))
        expect(viewer.locator("#page-number")).to_have_value(str(number))
    viewer.keyboard.press("End")
    is_at(viewer, 50)
    expect(viewer.locator("#next")).to_be_disabled()
    viewer.keyboard.press("Home")
    is_at(viewer, 1)


def scrolled(page: Page) -> float:
    return page.locator("#leaves").evaluate("leaves => leaves.scrollTop")


def test_scrolling_says_which_page_it_is(viewer: Page):
    for key, times in (("PageDown", 4), ("ArrowDown", 5), (" ", 3)):
        before = scrolled(viewer)
        for _ in range(times):
            viewer.keyboard.press(key)
        until(lambda before=before: scrolled(viewer) > before, f"{key} scrolls")
    is_at(viewer, 4)
    viewer.mouse.move(700, 500)
    viewer.mouse.wheel(0, 100_000)
    is_at(viewer, 50)


def test_a_page_number_leads_there_and_is_kept_by_a_reload(viewer: Page):
    viewer.fill("#page-number", "30")
    viewer.press("#page-number", "Enter")
    is_at(viewer, 30)
    loaded(viewer, 30)
    assert viewer.url.endswith("#page-30")
    viewer.reload()
    expect(viewer.locator("#page-number")).to_have_value("30")
    is_seen(viewer, 30)
    viewer.fill("#page-number", "999")
    viewer.press("#page-number", "Enter")
    is_at(viewer, 50)


def test_small_pictures_lead_to_their_pages_and_are_one_stop_of_the_tab_key(viewer: Page):
    viewer.click(".rail a[href='#page-3']")
    is_at(viewer, 3)
    viewer.focus("#download-document")
    viewer.keyboard.press("Tab")
    expect(viewer.locator(".rail a[href='#page-3']")).to_be_focused()
    viewer.keyboard.press("ArrowDown")
    expect(viewer.locator(".rail a[href='#page-4']")).to_be_focused()
    viewer.keyboard.press("Enter")
    is_at(viewer, 4)
    viewer.keyboard.press("Tab")
    expect(viewer.locator("#leaves")).to_be_focused()


def test_a_page_is_turned_and_stays_so_in_this_session(viewer: Page):
    upright = size(leaf(viewer, 2))
    viewer.keyboard.press("j")
    viewer.keyboard.press("r")
    expect(leaf(viewer, 2)).to_have_class("leaf turned-1")
    across = size(leaf(viewer, 2))
    assert upright[0] / upright[1] == pytest.approx(across[1] / across[0], rel=0.01)
    picture = size(leaf(viewer, 2).locator("img"))
    assert picture == pytest.approx(across, abs=1), "the picture fills its sheet"
    expect(viewer.locator("#page-said")).to_have_text("Page 2 turned")
    assert size(leaf(viewer, 3)) == upright
    viewer.reload()
    expect(leaf(viewer, 2)).to_have_class("leaf turned-1")
    for _ in range(3):
        viewer.click("#turn")
    expect(leaf(viewer, 2)).to_have_class("leaf")
    viewer.keyboard.press("Shift+R")
    expect(viewer.locator(".leaf.turned-1")).to_have_count(50)


def test_pages_are_made_larger_and_smaller(viewer: Page):
    pane = viewer.locator("#leaves").evaluate("leaves => [leaves.clientWidth, leaves.clientHeight]")
    viewer.keyboard.press("1")
    expect(viewer.locator("#percent-text")).to_have_text("100 %")
    assert size(leaf(viewer, 1))[0] == pytest.approx(PAPER, abs=1)
    viewer.keyboard.press("-")
    expect(viewer.locator("#percent-text")).to_have_text("75 %")
    for _ in range(4):
        viewer.keyboard.press("+")
    expect(viewer.locator("#percent-text")).to_have_text("200 %")
    picture = leaf(viewer, 1).locator("img")
    until(lambda: "width=1728" in picture.evaluate("image => image.currentSrc"), "a sharper picture is shown")
    expect(picture).to_have_js_property("complete", True)
    viewer.keyboard.press("w")
    expect(viewer.locator("#fit-width")).to_have_attribute("aria-pressed", "true")
    assert pane[0] - 80 < size(leaf(viewer, 1))[0] < pane[0]
    viewer.keyboard.press("p")
    expect(viewer.locator("#fit-page")).to_have_attribute("aria-pressed", "true")
    assert pane[1] - 80 < size(leaf(viewer, 1))[1] < pane[1]
    viewer.keyboard.press("PageDown")
    is_at(viewer, 2)
    viewer.reload()
    expect(viewer.locator("#fit-page")).to_have_attribute("aria-pressed", "true")


def test_what_is_read_stays_where_it_is_when_the_size_changes(viewer: Page):
    viewer.fill("#page-number", "20")
    viewer.press("#page-number", "Enter")
    is_at(viewer, 20)
    for button in ("#larger", "#larger", "#fit-page", "#smaller", "#turn"):
        viewer.click(button)
        is_seen(viewer, 20)
        expect(viewer.locator("#page-number")).to_have_value("20")


def test_the_browsers_own_zoom_is_left_alone(viewer: Page):
    untouched = """() => {
      const wheel = new WheelEvent("wheel", {ctrlKey: true, deltaY: 100, cancelable: true, bubbles: true});
      const plus = new KeyboardEvent("keydown", {ctrlKey: true, key: "+", cancelable: true, bubbles: true});
      const leaf = document.querySelector(".leaf");
      return leaf.dispatchEvent(wheel) && leaf.dispatchEvent(plus);
    }"""
    before = viewer.locator("#percent-text").inner_text()
    assert viewer.evaluate(untouched)
    expect(viewer.locator("#percent-text")).to_have_text(before)
    assert "user-scalable" not in (viewer.locator("meta[name=viewport]").get_attribute("content") or "")


def test_the_keys_are_told_of_and_letters_can_be_switched_off(viewer: Page):
    viewer.keyboard.press("?")
    expect(viewer.locator("#keys")).to_be_visible()
    viewer.uncheck("#keys-on")
    viewer.keyboard.press("Escape")
    expect(viewer.locator("#keys")).to_be_hidden()
    viewer.keyboard.press("j")
    viewer.keyboard.press("ArrowRight")
    is_at(viewer, 2)
    viewer.reload()
    viewer.keyboard.press("?")
    expect(viewer.locator("#keys")).to_be_hidden()


def test_a_key_acts_at_once_when_the_keys_were_put_away(viewer: Page):
    viewer.keyboard.press("?")
    viewer.focus("#keys-on")
    # For a frame or two after it was closed, Chromium leaves the keyboard at what was in it.
    viewer.evaluate(
        """() => {
          document.getElementById("keys").close();
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
        }"""
    )
    is_at(viewer, 2)


def test_what_is_typed_into_the_page_field_is_no_key(viewer: Page):
    viewer.focus("#page-number")
    viewer.keyboard.type("1r")
    expect(leaf(viewer, 1)).to_have_class("leaf")


def test_paper_is_white_on_the_dark_desk_unless_somebody_wants_it_black(visit, long_fax):
    page = visit(f"/faxes/{long_fax}/view", who=ALICE, color_scheme="dark")
    paper = page.locator("#page-1 .paper")
    expect(paper).to_have_css("background-color", "rgb(255, 255, 255)")
    page.keyboard.press("i")
    expect(paper).to_have_css("background-color", "rgb(0, 0, 0)")
    page.reload()
    expect(page.locator("#invert")).to_have_attribute("aria-pressed", "true")
    page.click("#invert")
    expect(paper).to_have_css("background-color", "rgb(255, 255, 255)")


def test_a_page_that_does_not_come_is_asked_for_again_and_then_told_of(visit, desk: Desk, long_fax):
    page = visit("/faxes", who=ALICE)
    tries: list[str] = []

    def fail(route) -> None:
        tries.append(route.request.url)
        route.abort()

    page.route("**/pages/1.png?width=960*", fail)
    page.goto(f"{desk.url}/faxes/{long_fax}/view")
    expect(leaf(page, 1)).to_have_class("leaf broken")
    assert len(tries) == 2
    loaded(page, 2)


def test_on_a_phone_the_page_itself_scrolls_and_nothing_is_loaded_that_is_not_shown(visit, desk: Desk, long_fax):
    page = visit("/faxes", who=ALICE, has_touch=True, is_mobile=True)
    page.set_viewport_size(PHONE)
    asked = asked_for(page)
    page.goto(f"{desk.url}/faxes/{long_fax}/view", wait_until="networkidle")
    assert not page.evaluate(SHIFTED)
    assert not [url for url in asked if "width=160" in url]
    assert len(asked) <= 8
    page.fill("#page-number", "12")
    page.press("#page-number", "Enter")
    expect(page.locator("#page-said")).to_have_text("Page 12 of 50")
    is_seen(page, 12)
    page.tap("#turn")
    expect(leaf(page, 12)).to_have_class("leaf turned-1")
    assert not page.evaluate(SHIFTED)
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.locator(".rail")).to_be_visible()
    is_seen(page, 12)  # on a tablet that is turned


def test_without_javascript_the_pages_are_a_column_with_links(visit, desk: Desk, long_fax):
    page = visit("/faxes", who=ALICE, script=False)
    asked = asked_for(page)
    page.goto(f"{desk.url}/faxes/{long_fax}/view")
    loaded(page, 1)
    assert "/pages/1.png" in asked[0]
    assert not [url for url in asked if "width=160" in url], "without a script nothing is lazy: one picture a page"
    for tools in (".bar-zoom", ".bar-turn", "#next"):
        expect(page.locator(tools)).to_be_hidden()
    page.click(".rail a[href='#page-2']")
    is_seen(page, 2)
    page.fill("#page-number", "40")
    with page.expect_navigation():
        page.click("#go button.plain")
    assert page.url.endswith("/view#page-40")
    is_seen(page, 40)
    loaded(page, 40)


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_the_faxs_own_page_leads_into_the_viewer(visit, desk: Desk, long_fax, script):
    page = visit(f"/faxes/{long_fax}", who=ALICE, script=script)
    expect(page.locator(".strip li")).to_have_count(12)
    page.click(".strip li:nth-child(5) a")
    page.wait_for_url("**/view#page-5")
    is_seen(page, 5)
    page.goto(f"{desk.url}/faxes/{long_fax}")
    page.click("#view-pages")
    loaded(page, 1)
    page.click(".bar-name a")
    page.wait_for_url(f"**/faxes/{long_fax}")


def test_printed_are_the_pages_and_nothing_else(viewer: Page):
    viewer.emulate_media(media="print")
    for left_out in (".machine", ".bar", ".rail", "footer"):
        expect(viewer.locator(left_out)).to_be_hidden()
    expect(leaf(viewer, 50)).to_have_css("break-after", "auto")
    expect(leaf(viewer, 1)).to_have_css("break-after", "page")
    assert not viewer.evaluate(SHIFTED)


def test_the_other_company_is_told_that_there_is_nothing(visit, desk: Desk, long_fax):
    page = visit("/faxes/01ZZZZZZZZZZZZZZZZZZZZZZZZ/view", who=CHARLIE)
    missing = page.locator("main .blank").inner_html()
    for path in ("view", "pages/1.png?width=160"):
        answer = page.goto(f"{desk.url}/faxes/{long_fax}/{path}")
        assert answer and answer.status == 404
        assert page.locator("main .blank").inner_html() == missing
