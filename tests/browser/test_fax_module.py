"""The fax module's list as an office uses it: finding, following what comes in, downloading several."""

import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import DocumentKind, Fax, FaxEntity, Status
from app.rules.log.search import search_text_of
from app.rules.sending.submit import next_fax_number
from app.services.documents.documents import store_document
from tenants.db import new_ulid, utc_now
from tenants.models import EmailAddress, User
from tests.browser.desk import ALICE, BOB
from tests.browser.test_looks import SIZES, check_looks
from tests.documents import pdf, written

pytestmark = [pytest.mark.browser]

SENT = "/faxes?direction=sent"
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
ROWS = "#bundle tbody tr"
#: By how many px the list is wider than the sheet that it stands on.
BEYOND = """() => {
  const list = document.querySelector("#bundle table");
  return list.getBoundingClientRect().right - list.parentElement.getBoundingClientRect().right;
}"""

Enter = Callable[..., str]


@pytest.fixture
def word() -> str:
    """A name that only this test's faxes have."""
    return f"zq{new_ulid()[-10:].lower()}"


@pytest.fixture
def enter(instance, folder) -> Iterator[Enter]:
    """Enters a fax that is over, as sent from the front desk; gives its id. In the end none of them is there."""
    ids: list[str] = []

    def put(
        name: str,
        *,
        status: Status = Status.SENT,
        cause: str | None = None,
        number: str = "+390586880011",
        days_ago: int = 0,
    ) -> str:
        with instance.session() as session:
            line = session.scalar(sa.select(FaxEntity).where(FaxEntity.number == "+390509655637"))
            path = written(folder, pdf(pages=1, text="A page of the list"), "list.pdf")
            kept = {"tenant_id": line.tenant_id, "kind": DocumentKind.PDF, "file_type": "pdf", "name": name}
            document = store_document(session, path, pages=1, **kept)
            session.flush()
            fax = Fax(tenant_id=line.tenant_id, entity_id=line.id, direction="sent", origin="web", status=status)
            fax.pages, fax.pages_done, fax.cause, fax.remote_number = 1, 1, cause, number
            fax.source_id = fax.pdf_id = document.id
            fax.number = next_fax_number(session, line.tenant_id)
            fax.finished_at = utc_now()
            fax.created_at = fax.finished_at - timedelta(days=days_ago)
            fax.user = session.scalar(sa.select(User).join(User.address).where(EmailAddress.folded == ALICE))
            session.add(fax)
            session.flush()
            fax.search_text = search_text_of(fax)
            session.commit()
            ids.append(fax.id)
            return fax.id

    yield put
    with instance.session() as session:
        session.execute(sa.delete(Fax).where(Fax.id.in_(ids)))
        session.commit()


def names(page: Page) -> list[str]:
    return page.locator(f"{ROWS} .document .clip").all_inner_texts()


@SCRIPT
def test_a_fax_is_found_by_a_part_of_its_name_and_the_words_of_its_status(visit, enter, word, script) -> None:
    enter(f"{word} one.pdf")
    enter(f"{word} two.pdf", status=Status.FAILED, cause="busy")
    page = visit(SENT, who=ALICE, script=script)
    page.fill("#q", f"{word[:8]} busy")
    page.press("#q", "Enter")
    expect(page.locator(ROWS)).to_have_count(1)
    assert names(page) == [f"{word} two.pdf"]
    expect(page.locator(".chips-said")).to_have_text("1 fax found")
    page.locator(".chip").click()
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator("#q")).to_have_value("")


def test_the_list_follows_what_is_typed_and_the_address_follows_the_list(visit, enter, word) -> None:
    enter(f"{word} one.pdf")
    enter(f"{word} two.pdf", status=Status.FAILED, cause="busy")
    page = visit(SENT, who=ALICE)
    page.evaluate("window.stayed = true")
    page.locator("#q").press_sequentially(word)
    expect(page.locator(ROWS)).to_have_count(2)
    page.select_option("#status", "failed")
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page).to_have_url(re.compile(rf"/faxes\?direction=sent&q={word}&status=failed$"))
    assert page.evaluate("window.stayed"), "nothing was loaded anew"
    expect(page.locator("#q")).to_have_value(word)
    assert "q=" + word in page.locator("#tabs a").first.get_attribute("href")
    page.reload()
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.locator("#status")).to_have_value("failed")


def test_a_day_before_the_first_one_is_marked_until_it_is_mended(visit, enter, word) -> None:
    enter(f"{word} one.pdf")
    page = visit(f"{SENT}&q={word}&since=2026-11-20", who=ALICE)
    page.fill("#until", "2026-11-01")
    page.press("#until", "Tab")
    expect(page.locator("#finder-problems")).to_contain_text("The last day is before the first one")
    expect(page.locator("#until")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#since")).not_to_have_attribute("aria-invalid", "true")
    page.fill("#until", "2199-11-30")
    page.press("#until", "Tab")
    expect(page.locator("#finder-problems")).to_have_count(0)
    expect(page.locator("#until")).not_to_have_attribute("aria-invalid", "true")


def test_a_filter_is_cleared_by_the_keyboard_which_goes_on_in_the_search(visit, enter, word) -> None:
    enter(f"{word} one.pdf")
    page = visit(f"{SENT}&q={word}&status=sent&since=2020-01-01", who=ALICE)
    page.evaluate("window.stayed = true")
    page.press("#clear-status", "Enter")
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#status")).to_have_value("")
    page.press("#clear-all", "Enter")
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#since")).to_have_value("")
    expect(page).to_have_url(re.compile(r"/faxes\?direction=sent$"))
    assert page.evaluate("window.stayed"), "nothing was loaded anew"


def test_nothing_found_is_told_and_leads_back(visit, word) -> None:
    page = visit(f"{SENT}&q={word}&since=2020-01-01", who=ALICE)
    expect(page.locator("#list h2")).to_have_text("No matching faxes")
    page.click(".chips-all")
    expect(page).to_have_url(re.compile(r"/faxes\?direction=sent$"))


def test_a_new_fax_appears_by_itself_where_nobody_is_reading(visit, enter, word) -> None:
    enter(f"{word} old.pdf")
    page = visit(SENT, who=ALICE)
    page.mouse.move(5, 5)
    enter(f"{word} new.pdf")
    expect(page.locator(f"{ROWS} .clip").first).to_have_text(f"{word} new.pdf", timeout=60_000)


def test_a_new_fax_moves_nothing_for_who_has_selected_some(visit, enter, word) -> None:
    old = enter(f"{word} old.pdf")
    page = visit(SENT, who=ALICE)
    box = page.locator(f"[name=ids][value='{old}']")
    box.check()
    top = box.bounding_box()["y"]
    enter(f"{word} new.pdf")
    expect(page.locator("#news a")).to_have_text("1 new fax", timeout=60_000)
    assert names(page)[0] == f"{word} old.pdf"
    assert box.bounding_box()["y"] == top
    page.click("#news a")
    expect(page.locator(f"{ROWS} .clip").first).to_have_text(f"{word} new.pdf")
    expect(box).to_be_checked()
    expect(page.locator("[data-count]")).to_have_text("1")


@SCRIPT
def test_several_are_downloaded_as_one_file(visit, enter, word, script) -> None:
    for n in range(3):
        enter(f"{word} {n}.pdf")
    page = visit(f"{SENT}&q={word}", who=ALICE, script=script)
    page.click(".bundle-all")
    expect(page.locator("[name=ids]:checked")).to_have_count(3)
    page.locator("[name=ids]").nth(1).uncheck()
    with page.expect_download() as coming:
        page.click("#bundle button")
    with zipfile.ZipFile(coming.value.path()) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 4, "two documents, two reports"


def test_a_stretch_is_selected_with_the_shift_key_and_a_box_does_not_open_the_fax(visit, enter, word) -> None:
    for n in range(4):
        enter(f"{word} {n}.pdf")
    page = visit(f"{SENT}&q={word}", who=ALICE)
    boxes = page.locator("[name=ids]")
    boxes.nth(0).click()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.locator("[name=ids]:checked")).to_have_count(3)
    expect(page.locator("[data-count]")).to_have_text("3")
    assert "/faxes?" in page.url


@SCRIPT
def test_filters_are_there_on_a_desk_and_fold_away_on_a_phone(visit, enter, word, script) -> None:
    enter(f"{word}.pdf")
    page = visit(SENT, who=ALICE, script=script)
    expect(page.locator("#status")).to_be_visible()
    page.set_viewport_size(SIZES["phone"])
    expect(page.locator("#status")).not_to_be_visible()
    page.click(".filters summary")
    page.select_option("#status", "sent")
    if not script:
        page.click("#finder button")
    expect(page.locator(".chip")).to_have_count(1)
    expect(page.locator("#status")).to_be_visible()


def test_a_list_of_long_names_fits_every_desk(visit, enter, word) -> None:
    name = f"{word} A_very_long_name_of_a_document_that_somebody_gave.pdf"
    enter(name, status=Status.FAILED, cause="far_end_no_fax", number="+493023125000123", days_ago=500)
    page = visit(f"{SENT}&q={word}", who=ALICE)
    expect(page.locator(ROWS)).to_have_count(1)
    page.evaluate("document.querySelectorAll('.line-name').forEach(e => e.textContent = 'Secretariat of the surgery')")
    for width in (930, 960, 1024, 1100, 1160, 1200, 1265, 1280, 1366, 1380, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(BEYOND) <= 0.5, f"beyond the sheet at {width}"


@pytest.mark.parametrize("who", [ALICE, BOB], ids=["English", "Italian"])
@pytest.mark.parametrize("state", ["found", "nothing", "mistaken", "selected", "new"])
def test_every_state_of_the_list_is_open_to_everybody_and_fits_every_screen(visit, enter, word, who, state) -> None:
    enter(f"{word} one.pdf")
    enter(f"{word} two.pdf", status=Status.FAILED, cause="busy")
    query = {"nothing": f"&q={word}x&status=sent", "mistaken": f"&q={word}&since=31/31/2026&entity=0", "new": ""}
    page = visit(SENT + query.get(state, f"&q={word}"), who=who, bypass_csp=True)
    if state in ("selected", "new"):
        page.locator("[name=ids]").first.check()
    if state == "new":
        enter(f"{word} three.pdf")
        page.wait_for_selector("#news a", timeout=60_000)
    check_looks(page)
