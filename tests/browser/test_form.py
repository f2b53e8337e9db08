"""The send form in a browser: what is judged when, and that nothing typed is ever lost."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import Document, Fax
from tenants.db import new_ulid
from tests.browser.desk import ALICE, BETA, BOB, cancel, fax_id, fill, submit
from tests.documents import pdf, written

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("sent")]  # those are on the line meanwhile

FORM = "/faxes/send"
WITH_AND_WITHOUT = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])


def judgment(page: Page, field: str) -> tuple[str | None, str]:
    place = page.locator(f"#{field}-judgment")
    return place.get_attribute("data-state"), place.inner_text().strip()


def test_a_wrong_number_is_told_while_it_is_typed_without_leaving_the_page(visit):
    page = visit(FORM, who=ALICE)
    page.evaluate("window.stayed = true")
    page.locator("[name=to]").press_sequentially("050 12")
    expect(page.locator("#to-judgment[data-state=bad]")).not_to_be_empty()
    expect(page.locator("[name=to]")).to_have_attribute("aria-invalid", "true")
    page.fill("[name=to]", BETA)
    page.press("[name=to]", "Tab")
    expect(page.locator("#to-judgment[data-state=good]")).to_contain_text("+49")
    expect(page.locator("[name=to]")).not_to_have_attribute("aria-invalid", "true")
    assert page.evaluate("window.stayed")


def test_what_nobody_may_dial_is_told_while_the_number_is_typed_whatever_the_line(visit):
    page = visit(FORM, who=ALICE)
    page.locator("[name=to]").press_sequentially("899 123456")
    expect(page.locator("#to-judgment[data-state=bad]")).to_contain_text("premium number")
    page.select_option("[name=entity]", index=1)
    expect(page.locator("#to-judgment[data-state=bad]")).to_contain_text("premium number")
    expect(page.locator("[name=to]")).to_have_attribute("aria-invalid", "true")
    page.fill("[name=to]", "050 9655699")
    expect(page.locator("#to-judgment[data-state=good]")).to_contain_text("National number:")
    expect(page.locator("[name=to]")).not_to_have_attribute("aria-invalid", "true")


@WITH_AND_WITHOUT
def test_what_the_chosen_line_may_not_dial_is_told_when_it_is_sent(visit, letter, script):
    page = visit(FORM, who=ALICE, script=script)
    fill(page, to="899 123456", line="accounts", document=letter)
    submit(page)
    expect(page.locator(".summary a[href='#to']")).to_contain_text("premium number")
    expect(page.locator("#to-judgment[data-state=bad]")).to_contain_text("premium number")
    expect(page.locator(".kept strong")).to_have_text("letter.pdf")


def test_a_file_is_judged_as_soon_as_it_is_chosen(visit, folder, letter):
    page = visit(FORM, who=ALICE)
    page.set_input_files("[name=document]", written(folder, b"Only some words.\n" * 40, "words.pdf"))
    expect(page.locator("#document-judgment[data-state=bad]")).to_contain_text("This is a text")
    assert page.input_value("[name=draft]") == ""
    page.set_input_files("[name=document]", letter)
    expect(page.locator(".kept strong")).to_have_text("letter.pdf")
    expect(page.locator(".kept")).to_contain_text("2 pages")
    assert judgment(page, "document")[0] != "bad"


def test_a_refused_file_leaves_the_document_that_was_there(visit, folder, letter):
    page = visit(FORM, who=ALICE)
    fill(page, document=letter)
    page.set_input_files("[name=document]", written(folder, b"Only some words.\n" * 40, "words.pdf"))
    expect(page.locator("#document-judgment[data-state=bad]")).to_be_visible()
    expect(page.locator(".kept strong")).to_have_text("letter.pdf")


@WITH_AND_WITHOUT
def test_an_error_in_one_field_keeps_the_document_and_everything_typed(visit, letter, later, script):
    page = visit(FORM, who=ALICE, script=script)
    fill(page, to="050 12", line="accounts", document=letter, at=later)
    chosen = page.input_value("[name=entity]")
    submit(page)
    assert judgment(page, "to")[0] == "bad"
    assert (page.input_value("[name=to]"), page.input_value("[name=entity]")) == ("050 12", chosen)
    assert page.input_value("[name=send_at]") == later
    expect(page.locator(".kept strong")).to_have_text("letter.pdf")
    fill(page, to=BETA)
    submit(page)
    expect(page.locator("dl.facts").first).to_contain_text("letter.pdf")
    cancel(page)


@WITH_AND_WITHOUT
def test_every_field_that_has_to_change_is_named_at_once(visit, script):
    page = visit(FORM, who=ALICE, script=script)
    submit(page)
    links = page.locator(".summary a")
    assert [link.get_attribute("href") for link in links.all()] == ["#to", "#entity", "#document"]
    for field in ("entity", "to", "document"):
        assert judgment(page, field)[0] == "bad"
        expect(page.locator(f"[name={field}]")).to_have_attribute("aria-invalid", "true")


@WITH_AND_WITHOUT
def test_a_double_click_sends_one_fax(visit, instance, folder, later, script):
    name = f"twice-{new_ulid()}.pdf"
    page = visit(FORM, who=ALICE, script=script)
    fill(page, to=BETA, line="frontdesk", document=written(folder, pdf(text=name), name), at=later)
    page.dblclick("form.cover button.primary")
    page.wait_for_selector("[data-fax-status]")
    page.wait_for_load_state("networkidle")
    assert made_of(instance, name) == [fax_id(page)]
    cancel(page)


def made_of(instance, name: str) -> list[str]:
    with instance.session() as session:
        query = sa.select(Fax.id).join(Document, Fax.source_id == Document.id).where(Document.name == name)
        return list(session.scalars(query))


def test_going_back_and_sending_again_makes_no_second_fax(visit, instance, folder, later):
    """The browser keeps nothing of the form (no-store), so that what comes back is a new, empty one."""
    name = f"back-{new_ulid()}.pdf"
    page = visit(FORM, who=ALICE, script=False)
    fill(page, to=BETA, line="frontdesk", document=written(folder, pdf(text=name), name), at=later)
    submit(page)
    first, address = fax_id(page), page.url
    page.go_back()
    submit(page)
    assert made_of(instance, name) == [first]
    page.goto(address)
    cancel(page)


def test_nothing_on_the_form_waits_for_a_script(visit):
    page = visit(FORM, who=ALICE, script=False)
    for button in page.locator("button:visible").all():
        assert button.evaluate("button => button.form && button.form.method === 'post' && !button.disabled")
    for link in page.locator("a:visible").all():
        assert (link.get_attribute("href") or "").startswith(("/", "#main"))
    assert page.locator("progress:visible, [disabled], [onclick]").count() == 0


def test_the_form_is_filled_and_sent_with_the_keyboard_alone(visit, letter):
    page = visit(FORM, who=ALICE)
    keys = page.keyboard
    expect(page.locator("#to")).to_be_focused()
    keys.type(BETA)
    keys.press("Tab")
    expect(page.locator("#entity")).to_be_focused()
    keys.type("front")
    keys.press("Tab")
    expect(page.locator("#document")).to_be_focused()
    page.locator(":focus").set_input_files(letter)  # what the system's own dialog does after a press of Space
    page.wait_for_selector(".kept strong")
    expect(page.locator("#document")).to_be_focused()
    keys.press("Tab")
    expect(page.locator("#send_at")).to_be_focused()  # has several parts, and stays empty: now
    while focused(page) == "send_at":
        keys.press("Tab")
    expect(page.locator("#urgent")).to_be_focused()
    keys.press("Tab")
    expect(page.locator("form.cover button.primary")).to_be_focused()
    with page.expect_navigation():
        keys.press("Enter")
    assert fax_id(page)
    cancel(page)


def focused(page: Page) -> str:
    return page.evaluate("document.activeElement.id")


@pytest.mark.parametrize("path", ["/faxes?direction=sent", "/faxes?direction=received", "/faxes/nothing"])
def test_the_first_tab_from_the_address_bar_reaches_the_skip_link(visit, path):
    page = visit(path, who=ALICE)
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    expect(skip).to_have_attribute("href", "#main")
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_file_dropped_anywhere_on_the_form_is_taken(visit, letter: Path):
    page = visit(FORM, who=ALICE)
    content = list(letter.read_bytes())
    page.evaluate(
        """content => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(content)], "dropped.pdf", {type: "application/pdf"}));
          for (const name of ["dragover", "drop"])
            document.querySelector("h1").dispatchEvent(new DragEvent(name, {dataTransfer: data, bubbles: true}));
        }""",
        content,
    )
    expect(page.locator(".kept strong")).to_have_text("dropped.pdf")


def sign_out(page: Page) -> None:
    """Once the form asks for nothing any more: what it asks for now leads to the sign-in."""
    expect(page.locator("#preview-state .look-facts").first).to_contain_text("bit/s", timeout=60_000)
    page.wait_for_load_state("networkidle")
    page.context.clear_cookies(name="session")


@pytest.mark.parametrize("who", [ALICE, BOB], ids=["the same person", "another person"])
def test_a_form_of_somebody_who_was_signed_out_waits_for_the_same_person(visit, desk, letter, later, who):
    page = visit(FORM, who=ALICE)
    fill(page, to=BETA, line="frontdesk", document=letter, at=later)
    page.check("#urgent")
    sign_out(page)
    submit(page)
    desk.sign_in(page, who)
    page.goto(page.url.split("/faxes")[0] + FORM) if FORM not in page.url else None
    if who != ALICE:
        expect(page.locator("#to")).to_have_value("")
        return
    expect(page.locator("#to")).to_have_value(BETA)
    expect(page.locator("#send_at")).to_have_value(later)
    expect(page.locator("#urgent")).to_be_checked()
    expect(page.locator("#entity option:checked")).to_contain_text("frontdesk")
    expect(page.locator(".kept strong")).to_have_text(letter.name)


def test_a_form_of_somebody_who_has_signed_in_anew_in_another_tab_is_not_lost(visit, desk, letter, later):
    page = visit(FORM, who=ALICE)
    fill(page, to=BETA, line="frontdesk", document=letter, at=later)
    sign_out(page)
    beside = page.context.new_page()
    beside.goto(page.url)
    desk.sign_in(beside, ALICE)
    page.bring_to_front()
    submit(page)
    page.click("text=Open the form again")
    expect(page.locator("#to")).to_have_value(BETA)
    expect(page.locator("#send_at")).to_have_value(later)
    expect(page.locator(".kept strong")).to_have_text(letter.name)
