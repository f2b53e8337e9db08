"""The shared inbox as two colleagues use it, with and without JavaScript, by mouse and by keyboard."""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import Direction, DocumentKind, Fax, FaxEntity, Status, Unread
from app.rules.receiving.receiving import mark_unread
from app.rules.sending.submit import next_fax_number
from app.services.documents.documents import store_document
from tenants.db import utc_now
from tests.browser.desk import ALICE, BOB, cancel, follow
from tests.browser.test_looks import check_looks
from tests.documents import pdf

pytestmark = [pytest.mark.browser]

#: A caller of the other company, as Alice reads it.
CALLER = "+493023125000"
COUNT = "#inbox-count"
SCRIPT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])

Arrive = Callable[[], str]


@pytest.fixture
def arrive(instance) -> Iterator[Arrive]:
    """Lets a fax come in at the front desk, as the import enters it; gives its id. In the end none of them waits."""
    ids: list[str] = []

    def enter() -> str:
        with instance.session() as session, tempfile.TemporaryDirectory() as folder:
            line = session.scalar(sa.select(FaxEntity).where(FaxEntity.number == "+390509655637"))
            path = Path(folder) / "fax.pdf"
            path.write_bytes(pdf(pages=1, text="It came in, page"))
            kept = {"tenant_id": line.tenant_id, "kind": DocumentKind.PDF, "file_type": "pdf", "name": "fax.pdf"}
            document = store_document(session, path, pages=1, **kept)
            session.flush()
            fax = Fax(tenant_id=line.tenant_id, entity_id=line.id, direction=Direction.RECEIVED, origin="line")
            fax.status, fax.pages, fax.pages_done, fax.pdf_id = Status.RECEIVED, 1, 1, document.id
            fax.remote_number, fax.finished_at = CALLER, utc_now()
            fax.number = next_fax_number(session, line.tenant_id)
            session.add(fax)
            session.flush()
            mark_unread(session, fax)
            session.commit()
            ids.append(fax.id)
            return fax.id

    yield enter
    with instance.session() as session:
        session.execute(sa.delete(Unread).where(Unread.fax_id.in_(ids)))
        session.execute(sa.update(Fax).where(Fax.id.in_(ids), Fax.done_at.is_(None)).values(done_at=utc_now()))
        session.commit()


def count(page: Page) -> int:
    return int(page.get_attribute(COUNT, "data-text") or 0)


def expect_count(page: Page, number: int) -> None:
    expect(page.locator(COUNT)).to_have_attribute("data-text", str(number) if number else "", timeout=60_000)
    expect(page).to_have_title(re.compile(rf"^\({number}\) " if number else r"^[^(]"))


def slip(page: Page, fax_id: str):
    return page.locator(f"#slip-{fax_id}")


def test_a_fax_is_taken_and_done_with_the_keyboard_and_the_title_follows(visit, arrive):
    fax_id = arrive()
    page = visit("/inbox", who=ALICE)
    before = count(page)
    expect_count(page, before)
    page.focus(f"#take-{fax_id}")
    page.keyboard.press("Enter")
    expect(slip(page, fax_id).locator(".holder")).to_contain_text("You")
    expect(page.locator(f"#done-{fax_id}")).to_be_focused()
    expect(page.locator("#announcement")).to_contain_text("You have fax")
    page.keyboard.press("Enter")
    expect(page.locator(f"#reopen-{fax_id}")).to_be_focused()
    expect_count(page, before - 1)
    page.keyboard.press("Enter")
    expect(page.locator(f"#done-{fax_id}")).to_be_focused()
    expect(slip(page, fax_id)).to_contain_text("nobody yet")


COLUMNS = "[...document.querySelectorAll('.inbox thead th')].map(cell => cell.getBoundingClientRect().x)"


def test_a_row_says_that_it_is_done_and_the_columns_stay(visit, arrive):
    fax_id = arrive()
    page = visit("/inbox", who=ALICE)
    columns = page.evaluate(COLUMNS)
    page.click(f"#done-{fax_id}")
    expect(slip(page, fax_id).locator(".turned")).to_have_text(re.compile(r"^\s*Done \d+:\d\d by you\s*$"))
    assert page.evaluate(COLUMNS) == pytest.approx(columns, abs=2)
    page.goto(f"{page.url}?tab=done")
    page.click(f"#reopen-{fax_id}")
    expect(slip(page, fax_id).locator(".turned")).to_have_text(re.compile(r"^\s*Open again nobody yet\s*$"))


def test_the_keyboard_stays_at_the_acts_of_a_fax_and_the_way_back_is_kept(visit, arrive):
    fax_id = arrive()
    page = visit("/inbox?tab=free", who=ALICE)
    slip(page, fax_id).locator("a.cover-row").click()
    for button, following in (("#take", "#done"), ("#done", "#reopen"), ("#reopen", "#take")):
        page.focus(button)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.locator(following)).to_be_focused()
    page.click(".back a")
    expect(page.locator(".tabs [aria-current]")).to_have_text("Not taken")


def test_an_act_works_from_the_moment_on_in_which_the_keyboard_is_at_it(visit, arrive):
    fax_id = arrive()
    page = visit("/inbox", who=ALICE)
    # A slow machine: what the page puts off for a moment comes three seconds later.
    page.evaluate(
        """() => {
          const real = window.setTimeout;
          window.setTimeout = (act, delay, ...rest) => real(act, delay > 0 && delay < 1000 ? 3000 : delay, ...rest);
        }"""
    )
    page.focus(f"#take-{fax_id}")
    page.keyboard.press("Enter")
    expect(page.locator(f"#done-{fax_id}")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(f"#reopen-{fax_id}")).to_be_focused()


def test_the_keyboard_goes_on_to_the_next_row_when_its_own_leaves_the_list(visit, arrive):
    earlier, later = arrive(), arrive()
    page = visit("/inbox", who=ALICE)
    page.focus(f"#done-{earlier}")
    page.keyboard.press("Enter")
    expect(page.locator(f"#reopen-{earlier}")).to_be_focused()
    expect(slip(page, earlier)).to_have_count(0, timeout=60_000)
    expect(slip(page, later).locator("a")).to_be_focused()


@SCRIPT
def test_of_two_colleagues_the_second_is_told_who_has_it(visit, arrive, script):
    fax_id = arrive()
    alice, bob = visit("/inbox", who=ALICE), visit("/inbox", who=BOB, script=script)
    alice.click(f"#take-{fax_id}")
    expect(slip(alice, fax_id).locator(".holder")).to_be_visible()
    bob.click(f"#take-{fax_id}")
    expect(bob.locator("main")).to_contain_text("Alice l'ha preso prima")
    expect(slip(bob, fax_id).locator(".holder")).to_contain_text("Alice")


def test_the_list_shows_by_itself_what_colleagues_do(visit, arrive):
    fax_id = arrive()
    alice, bob = visit("/inbox", who=ALICE), visit("/inbox", who=BOB)
    bob.click(f"#take-{fax_id}")
    expect(slip(alice, fax_id).locator(".holder")).to_contain_text("Bob", timeout=60_000)


def test_count_and_title_rise_by_themselves_on_any_page(visit, arrive):
    page = visit("/faxes/send", who=ALICE)
    page.fill("[name=to]", "050 123")
    before = count(page)
    arrive()
    expect_count(page, before + 1)
    assert page.input_value("[name=to]") == "050 123", "nobody is disturbed"


@SCRIPT
def test_a_fax_goes_from_hand_to_hand(visit, arrive, script):
    fax_id = arrive()
    page = visit("/inbox", who=ALICE, script=script)
    slip(page, fax_id).locator("a.cover-row").click()
    expect(page.locator(".desk-state")).to_contain_text("Nobody has taken it")
    page.click("#take")
    expect(page.locator(".desk-state")).to_contain_text("You have taken it")
    page.click("summary:has-text('Hand over')")
    page.select_option("#hand-to", label="Bob")
    page.fill("#hand-note", "Please answer today")
    page.click("button:has-text('Hand over')")
    expect(page.locator(".desk-state")).to_contain_text("Bob has it")
    expect(page.locator(".history")).to_contain_text("Alice handed it to Bob")

    bob = visit("/inbox?tab=mine", who=BOB, script=script)
    slip(bob, fax_id).locator("a.cover-row").click()
    expect(bob.locator(".desk-state")).to_contain_text("L'hai preso tu")
    expect(bob.locator(".history")).to_contain_text("Please answer today")
    bob.click("#done")
    expect(bob.locator(".desk-state")).to_contain_text("Lo hai segnato come fatto")
    bob.click("#reopen")
    expect(bob.locator(".desk-state")).to_contain_text("Nessuno lo ha preso in carico")


@SCRIPT
def test_opening_reads_and_mark_unread_takes_it_back(visit, arrive, script):
    fax_id = arrive()
    page = visit("/inbox", who=ALICE, script=script)
    expect(slip(page, fax_id).locator(".unread-dot")).to_be_visible()
    slip(page, fax_id).locator("a.cover-row").click()
    page.click("nav >> text=Inbox")
    expect(slip(page, fax_id)).to_be_visible()
    expect(slip(page, fax_id).locator(".unread-dot")).to_have_count(0)
    slip(page, fax_id).locator("a.cover-row").click()
    page.click("#unread")
    expect(slip(page, fax_id).locator(".unread-dot")).to_be_visible()


def test_done_and_next_goes_through_the_pile(visit, arrive):
    first, second = arrive(), arrive()
    page = visit(f"/faxes/{first}", who=ALICE)
    seen = {first}
    for _ in range(30):
        follow(page.locator("#done-next"))
        here = page.url.rsplit("/", 1)[-1]
        assert here not in seen
        seen.add(here)
        if here == "inbox" or second in seen:
            break
    assert second in seen


@SCRIPT
def test_a_fax_is_forwarded_by_mail_and_nothing_typed_is_lost(visit, arrive, script):
    fax_id = arrive()
    page = visit(f"/faxes/{fax_id}", who=ALICE, script=script)
    page.click("#forward")
    page.fill("#note", "For you")
    page.click("button:has-text('Send email')")
    expect(page.locator(".summary")).to_contain_text("Choose at least one colleague.")
    expect(page.locator("#note")).to_have_value("For you")
    page.check(".people label:has-text('Bob') input")
    page.click("button:has-text('Send email')")
    expect(page.locator(".history")).to_contain_text("Alice forwarded it by email to Bob")
    expect(page.locator(".history")).to_contain_text("For you")


@SCRIPT
def test_a_fax_is_forwarded_by_fax_and_its_number_is_judged(visit, arrive, later, script):
    fax_id = arrive()
    page = visit(f"/faxes/{fax_id}/forward", who=ALICE, script=script)
    if script:
        page.fill("#to", "112")
        expect(page.locator("#to-judgment")).to_contain_text("emergency number")
    page.fill("#to", CALLER)
    page.fill("#send_at", "2020-01-01T10:00")
    page.click("button:has-text('Send fax')")
    expect(page.locator("#send_at-judgment")).to_contain_text("This time is in the past")
    expect(page.locator("#to")).to_have_value(CALLER)
    page.fill("#send_at", later)
    page.click("button:has-text('Send fax')")
    expect(page.locator(".facts").first).to_contain_text("Forwards")
    cancel(page)


# ---- Looks


def as_it_came(_page: Page) -> None:
    pass


def taken(page: Page) -> None:
    follow(page.locator("#take"))
    page.click("summary:has-text('Hand over')")


def done(page: Page) -> None:
    page.click("#done")
    expect(page.locator("#reopen")).to_be_visible()


def refused(page: Page) -> None:
    page.click("button:has-text('Send email')")
    expect(page.locator(".summary")).to_be_visible()


PAGES = {
    "inbox": ("/inbox", as_it_came, ALICE),
    "nothing of mine": ("/inbox?tab=mine", as_it_came, ALICE),
    "done": ("/inbox?tab=done", as_it_came, ALICE),
    "a fax in the inbox": ("/faxes/{fax}", as_it_came, ALICE),
    "a fax that is mine": ("/faxes/{fax}", taken, ALICE),
    "a fax that is done": ("/faxes/{fax}", done, ALICE),
    "forward": ("/faxes/{fax}/forward", as_it_came, ALICE),
    "forward refused": ("/faxes/{fax}/forward", refused, ALICE),
    "inbox in Italian": ("/inbox", as_it_came, BOB),
    "a fax in Italian": ("/faxes/{fax}", as_it_came, BOB),
    "forward in Italian": ("/faxes/{fax}/forward", as_it_came, BOB),
    "received list": ("/faxes?direction=received", as_it_came, ALICE),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_inbox_is_open_to_everybody_and_fits_every_screen(visit, arrive, name):
    path, act, who = PAGES[name]
    page = visit(path.format(fax=arrive()), who=who, bypass_csp=True)
    act(page)
    check_looks(page)
