"""Mail2Fax in the browser: a box's form, proof of the sender, the log of its mails, the tester, the profile."""

import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import Mail2FaxBox, MailFate, MailMessage, Notice, NoticeKind
from tenants.models import Tenant
from tests.browser.desk import ALICE, BETA, BOB, follow
from tests.browser.test_looks import check_looks
from tests.db.mails import tells_pin
from tests.documents import pdf
from tests.live.instance import Instance
from tests.live.test_mail2fax import hand_in, row_of

pytestmark = pytest.mark.browser

SCRIPTS = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])
SERVER = "mx.alpha.test"


@pytest.fixture(autouse=True)
def tidy(instance: Instance) -> Iterator[None]:
    """The demo's box knows no server, nobody was told today, and afterwards all is as it was."""
    _set_up(instance, None)
    yield
    _set_up(instance, "mail.faxroom.test")


def _set_up(instance: Instance, server: str | None) -> None:
    with instance.session() as session:
        session.execute(sa.update(Mail2FaxBox).values(authserv_id=server, poll_seconds=60))
        session.execute(sa.update(Tenant).values(mail_proof_required=False))
        session.execute(sa.update(Notice).where(Notice.kind == NoticeKind.MAIL_REFUSED).values(occasion=""))
        session.commit()


def box_page(visit, *, script: bool = True, **options: object) -> Page:
    page = visit("/mail2fax", who=ALICE, script=script, **options)
    page.get_by_role("link", name="faxbox", exact=True).click()
    return page


def save(page: Page) -> None:
    with page.expect_navigation():
        page.click("form.cover.settings-form button.primary")


def require_proof(page: Page, required: bool) -> None:
    page.get_by_label("Require proof of the sender's address").set_checked(required)
    with page.expect_navigation():
        page.locator("#proof button").click()


# ---- The box


@SCRIPTS
def test_the_servers_name_is_pasted_and_the_schedule_typed(visit, script):
    page = box_page(visit, script=script)
    expect(page.locator("#no-answers")).to_contain_text("If someone forgets the PIN they get one answer a day")
    page.fill("#poll_seconds", "soon")
    page.fill("#authserv_id", "spf=pass")
    save(page)
    expect(page.locator(".summary a")).to_have_count(2)
    expect(page.locator("#poll_seconds")).to_have_value("soon")
    page.fill("#poll_seconds", "120")
    page.fill("#authserv_id", f"Authentication-Results: {SERVER}; dkim=pass header.d=alpha.test")
    save(page)
    expect(page.locator("#authserv_id")).to_have_value(SERVER)
    expect(page.locator("#poll_seconds")).to_have_value("120")
    expect(page.locator("#no-answers")).to_have_count(0)


@SCRIPTS
def test_proof_is_required_only_with_the_servers_name_and_the_name_stays_while_it_is(visit, script):
    page = visit("/mail2fax", who=ALICE, script=script)
    require_proof(page, True)
    expect(page.locator(".summary")).to_contain_text("every email to them would be refused: faxbox")
    page.get_by_role("link", name="faxbox", exact=True).click()
    page.fill("#authserv_id", SERVER)
    save(page)
    page.locator(".back a").click()
    require_proof(page, True)
    expect(page.locator(".notice.info")).to_contain_text("only if the mail server confirms")
    expect(page.get_by_label("Require proof of the sender's address")).to_be_checked()
    page.get_by_role("link", name="faxbox", exact=True).click()
    page.fill("#authserv_id", "")
    save(page)
    expect(page.locator(".summary")).to_contain_text("Your company requires proof")
    page.goto(page.url.partition("/mail2fax")[0] + "/mail2fax")
    require_proof(page, False)
    expect(page.locator(".notice.info")).to_contain_text("Confirmation by the mail server is no longer required")


# ---- Log and tester


@SCRIPTS
def test_a_mail_is_found_in_the_log_with_every_rule_that_was_looked_at(visit, instance: Instance, script):
    tested = row_of(instance, hand_in(instance, text="PIN 4711", subject=f"test {BETA}"))
    forgotten = row_of(instance, hand_in(instance, text="Hello", subject="0501234567"))
    assert (tested.fate, forgotten.fate) == (MailFate.TESTED, MailFate.REFUSED)
    assert (tested.answered, forgotten.answered) == (True, True)
    page = box_page(visit, script=script)
    follow(page.get_by_role("link", name="What became of its emails"))
    rows = page.locator(".mail-log tbody tr")
    expect(rows.nth(0)).to_contain_text("There is no PIN in the message")
    expect(rows.nth(1)).to_contain_text("Test: nothing was dialled")
    rows.nth(1).get_by_role("link").first.click()
    expect(page.locator("h1")).to_have_text("Test: nothing was dialled")
    expect(page.locator("main")).to_contain_text("moved to the folder Fax done")
    checks = page.locator(".mail-checks tr")
    expect(checks.filter(has_text="The PIN is in the message")).to_contain_text("Passed")
    page.locator(".back a").click()
    rows.nth(0).get_by_role("link").first.click()
    expect(checks.filter(has_text="The PIN is in the message")).to_contain_text("Failed")
    page.get_by_role("link", name="Let the mail server confirm senders").click()
    expect(page.locator("#authserv_id")).to_be_visible()


def test_who_forgets_the_pin_is_told_where_the_mail_server_vouches(visit, instance: Instance):
    page = box_page(visit)
    page.fill("#authserv_id", SERVER)
    save(page)
    vouched = {"Authentication-Results": f"{SERVER}; dkim=pass header.d=alpha.test"}
    row = row_of(instance, hand_in(instance, text="I forgot it", headers=vouched))
    assert (row.fate, row.reason, row.answered) == (MailFate.REFUSED, "mail_pin_missing", True)


def a_mail(folder: Path, *, text: str) -> Path:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = ALICE, "fax@alpha.test", BETA
    mail["Message-ID"] = f"<{time.time_ns()}@alpha.test>"
    mail.set_content(text)
    mail.add_attachment(pdf(), maintype="application", subtype="pdf", filename="contract.pdf")
    path = folder / f"{time.time_ns()}.eml"
    path.write_bytes(mail.as_bytes())
    return path


@SCRIPTS
def test_a_mail_is_tested_from_a_file_and_leaves_nothing(visit, instance: Instance, folder: Path, script):
    def known() -> int | None:
        with instance.session() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(MailMessage))

    before = known()
    page = box_page(visit, script=script)
    page.get_by_role("link", name="Test an email, rule by rule").click()
    for text, told in {"PIN 4711": "This email would become a fax", "PIN 1111": "The PIN in the message"}.items():
        page.set_input_files("#mail", a_mail(folder, text=text))
        with page.expect_navigation():
            page.get_by_role("button", name="Test this email").click()
        expect(page.locator("#verdict")).to_contain_text(told)
        expect(page.locator(".mail-checks tbody tr").first).to_contain_text("Passed")
    assert not tells_pin(page.content())
    assert known() == before


def test_no_file_is_told(visit):
    page = box_page(visit)
    page.get_by_role("link", name="Test an email, rule by rule").click()
    page.get_by_role("button", name="Test this email").click()
    expect(page.get_by_role("alert")).to_contain_text("choose it")


# ---- Users


@SCRIPTS
def test_a_user_reads_how_their_mails_have_to_be(visit, script):
    page = visit("/profile", who=BOB, script=script)
    part = page.locator("#by-mail")
    for told in (BOB, "fax@alpha.test", "PIN 1234", "test 050 1234567"):
        expect(part).to_contain_text(told)


# ---- Looks


def list_of_boxes(visit, instance: Instance) -> Page:
    return visit("/mail2fax", who=ALICE, bypass_csp=True)


def refused_proof(visit, instance: Instance) -> Page:
    page = list_of_boxes(visit, instance)
    require_proof(page, True)
    return page


def new_box(visit, instance: Instance) -> Page:
    return visit("/mail2fax/new", who=ALICE, bypass_csp=True)


def one_box(visit, instance: Instance) -> Page:
    return box_page(visit, bypass_csp=True)


def wrong_box(visit, instance: Instance) -> Page:
    page = one_box(visit, instance)
    page.fill("#authserv_id", "spf=pass")
    save(page)
    return page


def log(visit, instance: Instance) -> Page:
    row_of(instance, hand_in(instance, text="Hello"))
    page = one_box(visit, instance)
    follow(page.get_by_role("link", name="What became of its emails"))
    return page


def message(visit, instance: Instance) -> Page:
    page = log(visit, instance)
    follow(page.locator(".mail-log tbody tr a").first)
    return page


def page_of_tester(visit, instance: Instance, folder: Path) -> Page:
    page = one_box(visit, instance)
    page.get_by_role("link", name="Test an email, rule by rule").click()
    page.set_input_files("#mail", a_mail(folder, text="PIN 1111"))
    with page.expect_navigation():
        page.get_by_role("button", name="Test this email").click()
    return page


@pytest.mark.parametrize("where", [list_of_boxes, refused_proof, new_box, one_box, wrong_box, log, message])
def test_every_page_is_open_to_everybody(visit, instance: Instance, where):
    page = where(visit, instance)
    expect(page.locator("h1")).to_be_visible()
    check_looks(page)


def test_the_tester_is_open_to_everybody(visit, instance: Instance, folder: Path):
    check_looks(page_of_tester(visit, instance, folder))


def test_the_instructions_are_open_to_everybody(visit):
    page = visit("/profile", who=BOB, bypass_csp=True)
    expect(page.locator("#by-mail")).to_be_visible()
    check_looks(page)
