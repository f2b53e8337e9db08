"""Templates as an administrator sets them: saved, shown as a difference, applied."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import FaxEntity, FaxTemplate, PendingChange
from tenants.db import db, utc_now
from tests.web.cast import Browser, Cast, changes

FORM = {
    "name": "slow",
    "header": "Alpha Srl",
    "station_id": "+39 050 9655637",
    "resolution": "standard",
    "page_size": "Letter",
    "ecm": "yes",
    "max_rate": "9600",
    "max_attempts": "3",
    "ring_seconds": "45",
    "max_seconds": "600",
    "delay_busy": "120",
    "delay_no_answer": "300",
    "never_far_end_no_fax": "yes",
    "allowed_prefixes": "050\n+44",
    "forbidden_prefixes": "0586",
    "daily_cap": "20",
}
STAMP = re.compile(r'name="stamp" value="([^"]*)"')


@pytest.fixture
def frontdesk(app: Flask, cast: Cast) -> int:
    """The id of the front desk's template."""
    with app.app_context():
        return db.session.get_one(FaxEntity, cast.frontdesk).template_id


def one(app: Flask, template_id: int | None = None, **where: object) -> FaxTemplate | None:
    with app.app_context():
        query = sa.select(FaxTemplate).filter_by(**({"id": template_id} if template_id else where))
        found = db.session.scalar(query)
        db.session.expunge_all()
        return found


def change(browser: Browser, template_id: int, **values: object) -> object:
    """Send the form of a template back with some fields changed."""
    path = f"/templates/{template_id}"
    page = browser.get(path).text
    return browser.post(path, page=path, **({"stamp": STAMP.search(page)[1]} | FORM | values))


def apply(browser: Browser) -> object:
    ids = re.findall(r'name="ids" value="(\d+)"', browser.get("/changes").text)
    return browser.post("/changes/apply", page="/changes", ids=ids)


def acts(app: Flask) -> list[str]:
    with app.app_context():
        return [event.action for event in db.session.scalars(changes())]


def test_a_template_is_saved_shown_applied_and_audited(app: Flask, cast: Cast, alice: Browser):
    assert alice.post("/templates/new", **FORM).headers["Location"] == "/templates"
    assert one(app, name="slow") is None, "saved is not applied"
    assert "new, not active yet" in alice.get("/templates").text
    assert "+39050" in alice.get("/changes").text
    assert apply(alice).status_code == 303
    saved = one(app, name="slow", tenant_id=cast.alpha)
    assert (saved.header, saved.station_id, saved.resolution, saved.page_size) == (
        *("Alpha Srl", "+39 050 9655637"),
        *("standard", "Letter"),
    )
    assert (saved.ecm, saved.t38, saved.premium_allowed) == (True, False, False)
    assert (saved.max_rate, saved.max_attempts, saved.ring_seconds, saved.max_seconds) == (9600, 3, 45, 600)
    assert saved.retry_delays == {"busy": 120, "far_end_no_fax": None}, "what is as usual is not kept"
    assert (saved.allowed_prefixes, saved.forbidden_prefixes) == (["+39050", "+44"], ["+390586"])
    assert saved.daily_cap == 20
    assert acts(app) == ["template.added"]
    assert "not active yet" not in alice.get("/templates").text


def test_the_form_shows_what_is_kept_and_saving_it_again_changes_nothing(
    app: Flask, cast: Cast, alice: Browser, frontdesk: int
):
    change(alice, frontdesk)
    apply(alice)
    page = alice.get(f"/templates/{frontdesk}").text
    for text in (
        'value="slow"',
        "+39050\n+44</textarea>",
        'name="delay_busy" class="mono" inputmode="numeric" value="120"',
    ):
        assert text in page
    assert re.search(r'name="never_far_end_no_fax" value="yes" checked', page)
    assert not re.search(r'name="t38" value="yes" checked', page)
    answer = change(alice, frontdesk, allowed_prefixes="+39050\n+44", forbidden_prefixes="+390586", delay_no_answer="")
    assert answer.status_code == 303
    with app.app_context():
        assert db.session.scalar(sa.select(PendingChange.id)) is None


def test_what_was_saved_is_discarded_without_a_trace(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    change(alice, frontdesk)
    assert "changed, not active yet" in alice.get("/templates").text
    alice.post(f"/templates/{frontdesk}/discard", page="/templates/new")
    assert one(app, frontdesk).name == "for frontdesk"
    assert "not active yet" not in alice.get("/templates").text
    assert acts(app) == []


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("name", "", "Enter a name."),
        ("name", "x" * 101, "up to 100 characters"),
        ("name", "FOR Archive", "There is already a template with this name."),
        ("header", "x" * 51, "up to 50 characters"),
        ("station_id", "Alpha", "digits, spaces and +"),
        ("resolution", "superfine", "Choose one from the list."),
        ("page_size", "A3", "Choose one from the list."),
        ("max_rate", "33600", "Choose one from the list."),
        ("max_attempts", "0", "Enter a whole number from 1 to 50."),
        ("ring_seconds", "1e2", "Enter a whole number from 5 to 180."),
        ("max_seconds", "", "Enter a whole number from 60 to 14400."),
        ("daily_cap", "-1", "Enter a whole number from 0 to 100000."),
        ("delay_busy", "soon", "Enter seconds from 0 to 86400"),
        ("allowed_prefixes", "+39\nall", "“all” is not the start of a number."),
        ("forbidden_prefixes", "05", "+39050 is both allowed and forbidden."),
    ],
)
def test_what_is_wrong_is_told_at_its_field_and_nothing_is_saved(
    app: Flask, cast: Cast, alice: Browser, field: str, typed: str, told: str
):
    answer = alice.post("/templates/new", **(FORM | {field: typed}))
    assert answer.status_code == 422
    assert told in answer.text
    assert f'id="{field}-judgment"' in answer.text
    assert f'href="#{field}"' in answer.text
    with app.app_context():
        assert db.session.scalar(sa.select(PendingChange.id)) is None


def test_markup_in_a_name_is_text(app: Flask, cast: Cast, alice: Browser):
    alice.post("/templates/new", **(FORM | {"name": "<b>fast</b>", "header": "<i>"}))
    for path in ("/templates", "/changes"):
        assert "&lt;b&gt;fast&lt;/b&gt;" in alice.get(path).text
        assert "<b>fast" not in alice.get(path).text


def test_an_old_page_overwrites_nothing(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    path = f"/templates/{frontdesk}"
    stamp = STAMP.search(alice.get(path).text)[1]
    change(alice, frontdesk, header="Newer")
    answer = alice.post(path, page=path, **(FORM | {"stamp": stamp, "header": "Older"}))
    assert answer.status_code == 422
    apply(alice)
    assert one(app, frontdesk).header == "Newer"


def test_a_template_that_a_line_has_is_not_removed(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    answer = alice.post(f"/templates/{frontdesk}/remove", page=f"/templates/{frontdesk}")
    assert answer.status_code == 422
    assert "These fax lines use this template: frontdesk." in answer.text


def test_a_template_without_a_line_is_removed_and_closed_lines_do_not_count(
    app: Flask, cast: Cast, alice: Browser, frontdesk: int
):
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).closed_at = utc_now()
        db.session.commit()
    assert alice.post(f"/templates/{frontdesk}/remove", page=f"/templates/{frontdesk}").status_code == 303
    assert "removed, not active yet" in alice.get("/templates").text
    assert one(app, frontdesk) is not None
    apply(alice)
    assert one(app, frontdesk) is None
    with app.app_context():
        assert db.session.get_one(FaxEntity, cast.frontdesk).template_id is None
    assert acts(app) == ["template.removed"]


def test_a_line_that_took_it_meanwhile_keeps_a_template_from_being_removed(
    app: Flask, cast: Cast, alice: Browser, frontdesk: int
):
    alice.post("/templates/new", **FORM)
    apply(alice)
    slow = one(app, name="slow")
    alice.post(f"/templates/{slow.id}/remove", page=f"/templates/{slow.id}")
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).template_id = slow.id
        db.session.commit()
    answer = apply(alice)
    assert answer.status_code == 422
    assert "These fax lines use this template: frontdesk." in answer.text
    assert one(app, slow.id) is not None


def test_two_templates_exchange_their_names(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    with app.app_context():
        archive = db.session.get_one(FaxEntity, cast.archive).template_id
    change(alice, archive, name="between")
    apply(alice)
    assert change(alice, archive, name="aside").status_code == 303
    assert change(alice, frontdesk, name="between").status_code == 303
    assert change(alice, archive, name="for frontdesk").status_code == 303
    assert apply(alice).status_code == 303
    assert (one(app, frontdesk).name, one(app, archive).name) == ("between", "for frontdesk")


def test_a_copy_begins_with_everything_but_the_name(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    change(alice, frontdesk)
    apply(alice)
    page = alice.get(f"/templates/new?like={frontdesk}").text
    assert 'name="name" value=""' in page
    assert "+39050\n+44</textarea>" in page


def test_another_companys_template_is_a_missing_one(app: Flask, cast: Cast, alice: Browser):
    with app.app_context():
        theirs = db.session.get_one(FaxEntity, cast.beta_line).template_id
    for path in (f"/templates/{theirs}", f"/templates/new?like={theirs}", "/templates/added/1", "/templates/987654"):
        assert alice.get(path).status_code == 404, path
    for path in (f"/templates/{theirs}", f"/templates/{theirs}/remove", f"/templates/{theirs}/discard"):
        assert alice.post(path, page="/templates/new", **FORM).status_code == 404, path


def test_who_does_not_administer_finds_no_templates(bob: Browser, charlie: Browser, olga: Browser):
    for browser in (bob, charlie, olga):
        assert browser.get("/templates").status_code == 404
        assert browser.get("/templates/new").status_code == 404


def test_what_a_colleague_has_saved_is_not_shown(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    change(alice, frontdesk, name="mine")
    with app.app_context():
        row = db.session.scalar(sa.select(PendingChange))
        row.user_id = cast.bob
        db.session.commit()
    assert "mine" not in alice.get("/templates").text
    assert alice.get(f"/templates/{frontdesk}").text.count("for frontdesk") >= 1


# ---- Simultaneous calls goes the same way


def test_simultaneity_is_saved_and_applied_with_the_rest(app: Flask, cast: Cast, alice: Browser, frontdesk: int):
    assert alice.post("/settings/limits", inbound="2", outbound="", total="4").status_code == 303
    change(alice, frontdesk, name="renamed")
    page = alice.get("/changes").text
    assert "Simultaneous calls" in page
    assert 'value="4"' in alice.get("/settings").text
    assert apply(alice).status_code == 303
    assert one(app, frontdesk).name == "renamed"
    assert sorted(acts(app)) == ["settings.changed", "template.changed"]
