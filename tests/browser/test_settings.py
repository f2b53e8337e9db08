"""Archives, retention, downloads, Mail2Fax boxes and the audit log, as an administrator uses them in the browser."""

import csv
import io
import re
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect

from app.models import ArchiveCopy, ArchivePlace, Fax, Mail2FaxBox, Notice, PendingChange, Retention
from tenants.db import utc_now
from tests.browser.desk import ALICE, BETA, BOB, follow
from tests.browser.test_looks import check_looks
from tests.live.instance import Instance
from tests.unit.mail.test_pgp import Ring
from tests.waiting import until

pytestmark = pytest.mark.browser

SCRIPTS = pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without JavaScript"])


def fresh(word: str) -> str:
    return f"{word} {time.time_ns() % 10**9}"


@pytest.fixture(autouse=True)
def tidy(instance: Instance) -> Iterator[None]:
    """Places, boxes and rules of a test are not there for the next one."""
    yield
    with instance.session() as session:
        for table in (ArchiveCopy, ArchivePlace, PendingChange, Retention):
            session.execute(sa.delete(table))
        for box in session.scalars(sa.select(Mail2FaxBox).where(Mail2FaxBox.name.like("post %"))):
            session.delete(box)
            session.delete(box.address)
        session.commit()


def save(page: Page) -> None:
    with page.expect_navigation():
        page.click("form.settings-form button.primary")


def press(page: Page, button: str) -> None:
    follow(page.get_by_role("button", name=button))


def add_folder(page: Page, name: str) -> None:
    page.get_by_role("link", name="Add a folder").first.click()
    page.fill("[name=name]", name)
    page.fill("[name=folder]", "faxes/all")
    save(page)
    expect(page.locator(".notice.info")).to_contain_text("Saved. Test this archive, then apply your changes.")


def apply(page: Page, path: str = "/settings") -> None:
    """What was saved holds, and back to a page."""
    base = page.url.partition("/settings")[0]
    page.goto(f"{base}/changes")
    press(page, "Apply changes")
    expect(page.locator(".notice.info").first).to_contain_text("applied")
    page.goto(f"{base}{path}")


def try_it(page: Page, button: str) -> None:
    page.get_by_role("button", name=button).click()
    expect(page.locator("#tried .notice")).to_be_visible(timeout=60_000)


# ---- Simultaneity


@SCRIPTS
def test_limits_are_typed_refused_and_saved(visit, script):
    page = visit("/settings", who=ALICE, script=script)
    form = page.locator("#limits form")
    page.fill("#outbound", "many")
    form.locator("button").click()
    expect(page.locator(".summary a")).to_have_attribute("href", "#outbound")
    expect(page.locator("#outbound")).to_have_value("many")
    for number, told in {"900": "Takes effect when you apply your changes", "0": "Nothing changed"}.items():
        page.fill("#outbound", number)
        form.locator("button").click()
        expect(page.locator(".notice.info").first).to_contain_text(told)
        expect(page.locator("#outbound")).to_have_value(number)


# ---- Archives


@SCRIPTS
def test_a_folder_is_added_tested_moved_and_removed(visit, script):
    page = visit("/settings", who=ALICE, script=script)
    first, second = fresh("shelf"), fresh("cellar")
    add_folder(page, first)
    try_it(page, "Test this archive")
    expect(page.locator("#tried")).to_contain_text(f"{first} works")
    page.click(".back a")
    add_folder(page, second)
    page.click(".back a")
    names = page.locator(".settings-places th a")
    expect(names).to_have_text([first, second])
    expect(page.locator(".settings-places .badge")).to_have_text(["new, not active yet"] * 2)
    apply(page)
    page.get_by_role("button", name=f"Move {second} up").click()
    expect(names).to_have_text([second, first])
    page.get_by_role("link", name=second).click()
    press(page, "Remove this archive")
    expect(page.locator("h1")).to_have_text(f"Remove {second}?")
    press(page, "Remove this archive")
    expect(page.locator(".notice.info")).to_contain_text(f"{second} will be removed when you apply your changes")
    expect(names).to_have_text([second, first])
    apply(page)
    expect(names).to_have_text([first])


def test_a_fax_that_is_over_is_copied_document_and_report(visit, instance: Instance, letter: Path):
    page = visit("/settings", who=ALICE)
    add_folder(page, fresh("shelf"))
    page.uncheck("#encrypted")
    save(page)
    apply(page)
    fax_id = instance.send(ALICE, "frontdesk", BETA, letter)
    instance.until(fax_id, lambda fax: fax.status == "sent")
    number = instance.read(fax_id, lambda fax: fax.number)
    folder = instance.home / "archives/alpha/faxes/all"
    wanted = {f"_{number}.pdf", f"_{number}_report.pdf"}

    def copied() -> set[str]:
        found = [path for path in folder.rglob("*.pdf") if path.read_bytes().startswith(b"%PDF")]
        return {ending for ending in wanted if any(path.name.endswith(ending) for path in found)}

    until(lambda: copied() == wanted, "both copies in the folder")

    def told() -> str:
        page.reload()
        return page.locator(".settings-places .badge").inner_text()

    # Between a copy's last byte and its row in the ledger somebody may look.
    until(lambda: told() == "Everything copied", "the copies are told of")


def test_a_bucket_inside_the_installation_is_refused_and_its_key_is_never_shown(visit):
    page = visit("/settings", who=ALICE)
    page.get_by_role("link", name="Add S3 storage").first.click()
    save(page)
    expect(page.locator(".summary li")).to_have_count(4)
    name = fresh("cloud")
    for field, value in {"name": name, "endpoint": "http://127.0.0.1:9", "bucket": "faxes", "access_key": "AK"}.items():
        page.fill(f"[name={field}]", value)
    page.fill("[name=secret_key]", "hunter2-secret")
    save(page)
    expect(page.locator("h1")).to_have_text(name)
    assert "hunter2" not in page.content()
    try_it(page, "Test this archive")
    expect(page.locator("#tried .notice.bad")).to_contain_text("inside the installation")


# ---- Retention


@pytest.fixture
def old(instance: Instance, letter: Path) -> str:
    """A fax that was over 400 days ago, and of which everybody was told: what a mail still carries is not removed."""
    fax_id = instance.send(ALICE, "frontdesk", BETA, letter)
    instance.until(fax_id, lambda fax: fax.status == "sent")
    until(lambda: not waiting_mails(instance, fax_id), "its mails have left")
    with instance.session() as session:
        ended = {"finished_at": utc_now() - timedelta(days=400)}
        session.execute(sa.update(Fax).where(Fax.id == fax_id).values(**ended))
        session.commit()
    return fax_id


def waiting_mails(instance: Instance, fax_id: str) -> int:
    with instance.session() as session:
        mine = sa.select(sa.func.count(Notice.id)).where(Notice.fax_id == fax_id, Notice.sent_at.is_(None))
        return session.scalar(mine)


@SCRIPTS
def test_what_a_retention_removes_is_shown_before_it_holds(visit, old, script):
    page = visit("/settings", who=ALICE, script=script)
    page.fill("#days_sent", "365")
    page.locator("#retention button").click()
    preview = page.locator(".settings-preview")
    expect(preview).to_contain_text(re.compile(r"files of \d+ fax(es)? older than 365 days"), timeout=60_000)
    page.get_by_role("link", name="Change nothing").first.click()
    expect(page.locator("#days_sent")).to_have_value("")
    page.fill("#days_sent", "365")
    page.locator("#retention button").click()
    page.locator("main form button.danger").click()
    expect(page.locator(".notice.info")).to_contain_text("Takes effect when you apply your changes")
    expect(page.locator("#days_sent")).to_have_value("365")
    page.get_by_role("link", name="Saved changes").first.click()
    expect(page.locator(".lines-differences")).to_contain_text("sent files deleted at once")
    press(page, "Discard all")
    expect(page.locator(".notice.info")).to_contain_text("discarded")


# ---- Downloads


def downloaded(page: Page, name: str) -> bytes:
    with page.expect_download() as download:
        page.locator("button, a").filter(has_text=name).click()
    return Path(download.value.path()).read_bytes()


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


@SCRIPTS
def test_the_log_is_downloaded_as_the_list_shows_it(visit, sent, instance: Instance, script):
    instance.until(sent.plain, lambda fax: fax.status == "sent")
    number = instance.read(sent.plain, lambda fax: fax.number)
    page = visit("/faxes?direction=sent&status=sent", who=ALICE, script=script)
    page.get_by_role("link", name="Download the whole list…").first.click()
    expect(page.locator(".chip-value")).to_have_text(["Sent"])
    listed = rows(downloaded(page, "List (CSV)"))
    assert str(number) in [row["No."] for row in listed]
    assert {row["Status"] for row in listed} == {"Sent"}
    page.fill("[name=from]", str(number))
    archive = zipfile.ZipFile(io.BytesIO(downloaded(page, "Documents and reports")))
    assert archive.testzip() is None
    assert [name[8:].endswith((f"_{number}.pdf", f"_{number}_report.pdf")) for name in archive.namelist()[:2]] == [
        True
    ] * 2
    assert archive.read(archive.namelist()[0]).startswith(b"%PDF")


def test_a_number_that_no_fax_has_is_told(visit):
    page = visit("/faxes/download?direction=sent&from=99999999", who=ALICE, bypass_csp=True)
    expect(page.locator("#from-judgment")).to_contain_text("This list has no fax with the number 99999999")
    check_looks(page)


def test_who_administers_nothing_is_offered_no_download(visit, sent):
    page = visit("/faxes?direction=sent", who=BOB)
    expect(page.get_by_text("Download the whole list…")).to_have_count(0)


# ---- Mail2Fax boxes


@cache
def box_key() -> bytes:
    """A private key that opens what is encrypted to it, armored."""
    with tempfile.TemporaryDirectory(prefix="ring-", dir="/tmp") as folder:
        ring = Ring(folder)
        ring.run("--quick-gen-key", "box@alpha.test", "rsa2048", "encrypt,sign", "2y")
        key = ring.secret("box@alpha.test")
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)
    return key


def add_box(page: Page, name: str, *, host: str = "127.0.0.1") -> None:
    page.get_by_role("link", name="Add a box").first.click()
    values = {"name": name, "email": f"{name.replace(' ', '-')}@alpha.test", "host": host, "username": "fax"}
    for field, value in values.items():
        page.fill(f"[name={field}]", value)
    page.fill("[name=password]", "hunter2-secret")
    page.set_input_files("[name=private_key_file]", {"name": "k.asc", "mimeType": "", "buffer": box_key()})
    save(page)
    expect(page.locator(".notice.info")).to_contain_text("Now test the mailbox")


@SCRIPTS
def test_a_box_is_entered_tested_and_removed_and_shows_no_secret(visit, script):
    page = visit("/mail2fax", who=ALICE, script=script)
    name = fresh("post")
    add_box(page, name)
    assert "hunter2" not in page.content() and box_key().decode().splitlines()[3] not in page.content()
    expect(page.locator("#private_key-judgment")).to_contain_text("Stored encrypted and never shown. Leave this empty")
    try_it(page, "Test the mailbox")
    expect(page.locator("#tried .notice.bad")).to_contain_text("inside the installation")
    press(page, "Remove the private key")
    expect(page.locator("#private_key-judgment")).to_contain_text("Only for encrypted emails")
    page.fill("[name=host]", "imap.elsewhere.test")
    save(page)
    expect(page.locator("#password-judgment")).to_contain_text("enter the password again")
    for _asked_twice in range(2):
        press(page, "Remove this box")
    expect(page.locator(".notice.info")).to_contain_text(f"{name} was removed")


# ---- Audit log


@SCRIPTS
def test_the_audit_log_answers_filters_and_is_a_file(visit, script):
    page = visit("/settings", who=ALICE, script=script)
    name = fresh("shelf")
    add_folder(page, name)
    apply(page)
    page.get_by_role("link", name="Audit log").first.click()
    page.select_option("#action", "archive_place.")
    if not script:
        page.click("form.finder button")
    first = page.locator(".audit tbody tr").first
    expect(first).to_contain_text("Archive location: added")
    expect(first).to_contain_text(name)
    file = page.get_by_role("link", name="Download as CSV")
    expect(file).to_have_attribute("href", re.compile("action=archive_place"))
    listed = rows(downloaded(page, "Download as CSV"))
    assert {row["Action"].partition(".")[0] for row in listed} == {"archive_place"}
    assert listed[0]["Item"] == name


# ---- Looks


def with_errors(page: Page) -> None:
    save(page)
    expect(page.locator(".summary")).to_be_visible()


def a_folder(page: Page) -> None:
    add_folder(page, fresh("shelf"))
    try_it(page, "Test this archive")


def no_folder(page: Page) -> None:
    a_folder(page)
    press(page, "Remove this archive")


def two_folders(page: Page) -> None:
    for word in ("shelf", "cellar"):
        add_folder(page, fresh(word))
        follow(page.locator(".back a"))


def a_box(page: Page) -> None:
    add_box(page, fresh("post"))
    try_it(page, "Test the mailbox")


def no_box(page: Page) -> None:
    a_box(page)
    press(page, "Remove this box")


def a_list_of_boxes(page: Page) -> None:
    add_box(page, fresh("post"))
    follow(page.locator(".back a"))


def wrong_limits(page: Page) -> None:
    page.fill("#inbound", "x")
    follow(page.locator("#limits button"))


#: Name → where, and what is done there first.
PAGES: dict[str, tuple[str, Callable[[Page], None] | None]] = {
    "settings": ("/settings", two_folders),
    "settings with errors": ("/settings", wrong_limits),
    "a new folder": ("/settings/places/new?kind=folder", with_errors),
    "a new bucket": ("/settings/places/new?kind=s3", with_errors),
    "a folder": ("/settings", a_folder),
    "a folder to be removed": ("/settings", no_folder),
    "boxes": ("/mail2fax", a_list_of_boxes),
    "a new box": ("/mail2fax/new", with_errors),
    "a box": ("/mail2fax", a_box),
    "a box to be removed": ("/mail2fax", no_box),
    "downloads": ("/faxes/download?direction=received&status=received&q=050", None),
    "audit log": ("/audit", None),
    "audit log, nothing found": ("/audit?since=2020-01-01&until=2020-01-02", None),
    "audit log, not understood": ("/audit?since=yesterday&person=x", None),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_open_to_everybody_and_fits_every_screen(visit, name):
    path, act = PAGES[name]
    page = visit(path, who=ALICE, bypass_csp=True)
    if act:
        act(page)
    check_looks(page)


def test_the_preview_of_a_retention_is_open_to_everybody(visit, old):
    page = visit("/settings", who=ALICE, bypass_csp=True)
    page.fill("#days_sent", "365")
    page.fill("#days_received", "1")
    page.locator("#retention button").click()
    expect(page.locator("h1")).to_have_text("Remove files?")
    check_looks(page)
