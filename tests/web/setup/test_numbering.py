"""The numbering plan: every number with its holder, what is free, what clashes, as a page and as a file."""

import csv
import io

from flask import Flask

from app.models import FaxEntity
from app.rules.setup.numbering import Gap, gaps
from tenants.db import db
from tests.web.cast import Browser, Cast
from tests.web.saving import add, give, save


def rows(browser: Browser) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(browser.get("/numbering/plan.csv").get_data().decode("utf-8-sig"))))


def test_gaps_are_what_lies_between_the_lowest_and_the_highest_of_a_block():
    assert gaps(["501", "502", "505", "510"]) == [Gap("503", "504", 2), Gap("506", "509", 4)]
    assert gaps(["008", "010"]) == [Gap("009", "009", 1)], "with the zeros in front"
    assert gaps(["501", "5010"]) == [], "of one length only"
    assert gaps(["+390509655637", "+390509655640", "+39061234567"]) == [Gap("+390509655638", "+390509655639", 2)]
    assert gaps(["5", "5"]) == []
    assert gaps([]) == []


def test_every_number_stands_there_with_its_holder(app: Flask, cast: Cast, alice: Browser):
    give(app, cast.alpha, "+390509655640")
    add(app, alice, cast.alpha, name="sales", extension="505", number="050 9655640")
    save(app, alice, cast.archive, shared_with_voice="yes", voice_destination="600")
    page = alice.get("/numbering").text
    for text in (
        "frontdesk",
        "501",
        "050 965 5637",
        "archive",
        "502",
        "→ 600",
        "sales",
        "505",
        "saved, not active yet: new",
    ):
        assert text in page
    assert "503 – 504" in page
    assert "050 965 5638 – 050 965 5639" in page
    assert "office" not in page
    assert "conflict" not in page


def test_the_file_has_the_same_and_no_cell_is_a_formula(app: Flask, cast: Cast, alice: Browser):
    with app.app_context():
        db.session.get_one(FaxEntity, cast.archive).name = "=HYPERLINK(1)"
        db.session.commit()
    add(app, alice, cast.alpha, name="sales", extension="505")
    first, second, third, gap = rows(alice)
    assert (first["Extension"], first["Public number"], first["Fax line"]) == ("501", "'+390509655637", "frontdesk")
    assert second["Fax line"] == "'=HYPERLINK(1)"
    assert third["Status"] == "saved, not active yet: new"
    assert (gap["Extension"], gap["Fax line"]) == ("503–504", "free")


def test_a_conflict_that_came_in_by_another_way_is_named_with_what_to_do(app: Flask, cast: Cast, alice: Browser):
    with app.app_context():
        archive = db.session.get_one(FaxEntity, cast.archive)
        archive.extension, archive.shared_with_voice, archive.voice_destination = "112", True, "501"
        db.session.commit()
    page = alice.get("/numbering").text
    assert "3 conflicts" in page
    assert "112 is an emergency number" in page
    assert "501 is itself a fax line" in page
    assert "Calls to archive that are not faxes are forwarded to 501" in page
    assert "emergency" in next(row for row in rows(alice) if row["Extension"] == "112")["Conflicts"]


def test_the_plan_is_for_administrators_alone(bob: Browser, charlie: Browser):
    for browser in (bob, charlie):
        assert browser.get("/numbering").status_code == 404
        assert browser.get("/numbering/plan.csv").status_code == 404
