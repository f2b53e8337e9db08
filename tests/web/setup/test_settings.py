"""Fax settings: simultaneity, archives, retention, as an administrator sets them."""

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import ArchiveCopy, ArchivePlace, Fax, PendingChange, Retention
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.cast import Browser, Cast, changes, make_fax

FOLDER = {"kind": "folder", "name": "shelf", "folder": "faxes/all", "enabled": "yes", "keeps_sent": "yes"}
BUCKET = FOLDER | {
    "kind": "s3",
    "name": "cloud",
    "folder": "",
    "endpoint": "https://s3.example.com",
    "bucket": "faxes",
    "access_key": "AKFAXROOM",
    "secret_key": "hunter2-secret",
}


def places(app: Flask) -> list[ArchivePlace]:
    with app.app_context():
        rows = list(db.session.scalars(sa.select(ArchivePlace).order_by(ArchivePlace.position, ArchivePlace.id)))
        db.session.expunge_all()
        return rows


def apply(browser: Browser) -> None:
    ids = re.findall(r'name="ids" value="(\d+)"', browser.get("/changes").text)
    assert browser.post("/changes/apply", ids=ids).status_code == 303


def add(alice: Browser, **values: str) -> str:
    """A place that holds, as a page."""
    wanted = FOLDER | values
    assert alice.post("/settings/places/new", **wanted).status_code == 303
    apply(alice)
    by_name = {place.name: place.id for place in places(alice.client.application)}
    return f"/settings/places/{by_name[wanted['name']]}"


def audited(app: Flask) -> list[tuple[str, object, object]]:
    with app.app_context():
        rows = db.session.scalars(changes())
        return [(row.action, row.before, row.after) for row in rows]


def old_fax(app: Flask, cast: Cast) -> str:
    fax_id = make_fax(app, cast)
    with app.app_context():
        at = utc_now() - timedelta(days=100)
        db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(finished_at=at))
        db.session.commit()
    return fax_id


# ---- Simultaneity


def test_limits_hold_and_are_audited_once_they_are_applied(app: Flask, cast: Cast, alice: Browser):
    assert alice.post("/settings/limits", inbound="2", outbound="", total="4").status_code == 303
    assert limits_now(app, cast.alpha) == (0, 0, 0)
    assert 'value="4"' in alice.get("/settings").text, "the form shows what was saved"
    apply(alice)
    assert limits_now(app, cast.alpha) == (2, 0, 4)
    assert limits_now(app, cast.beta) == (0, 0, 0)
    assert audited(app) == [("settings.changed", {"inbound": 0, "total": 0}, {"inbound": 2, "total": 4})]
    alice.post("/settings/limits", inbound="2", outbound="0", total="4")
    assert "ids" not in alice.get("/changes").text, "what changes nothing is no change"


def limits_now(app: Flask, tenant_id: int) -> tuple[int, int, int]:
    with app.app_context():
        tenant = db.session.get_one(Tenant, tenant_id)
        return tenant.limit_inbound, tenant.limit_outbound, tenant.limit_total


@pytest.mark.parametrize("text", ["-1", "two", "1.5", "1001", "٣", "9" * 30])
def test_what_is_no_number_of_calls_is_refused_and_stays_in_the_field(app: Flask, alice: Browser, text: str):
    answer = alice.post("/settings/limits", inbound=text, outbound="3", total="0")
    assert answer.status_code == 422
    assert f'value="{text[:20]}"' in answer.text
    assert "Enter a number of calls" in answer.text
    assert audited(app) == []


# ---- Places


def test_a_folder_is_added_tested_applied_and_changed(app: Flask, cast: Cast, alice: Browser):
    saved = alice.post("/settings/places/new", **(FOLDER | {"encrypted": "yes"})).headers["Location"]
    assert "works" in alice.post(f"{saved}/test", htmx=True).text, "what is saved can be tested before it holds"
    root = app.config["SETTINGS"].archives / "alpha/faxes/all"
    assert root.is_dir() and not list(root.iterdir())
    assert places(app) == []
    assert "new, not active yet" in alice.get("/settings").text
    apply(alice)
    (place,) = places(app)
    where = f"/settings/places/{place.id}"
    assert alice.post(where, **(FOLDER | {"name": "cellar", "folder": "other"})).status_code == 303
    assert "works" in alice.post(f"{where}/test", htmx=True).text
    assert (app.config["SETTINGS"].archives / "alpha/other").is_dir(), "tested is what was saved"
    assert "changed, not active yet" in alice.get("/settings").text
    assert places(app)[0].name == "shelf"
    apply(alice)
    (place,) = places(app)
    assert (place.name, place.encrypted, place.keeps_reports, place.tenant_id) == ("cellar", False, False, cast.alpha)
    assert [action for action, *_ in audited(app)] == ["archive_place.added", "archive_place.changed"]


def test_a_discarded_place_leaves_nothing_behind(app: Flask, alice: Browser):
    where = alice.post("/settings/places/new", **BUCKET).headers["Location"]
    alice.post("/changes/discard")
    assert alice.get(where).status_code == 404
    assert "cloud" not in alice.get("/settings").text
    with app.app_context():
        assert db.session.scalars(sa.select(PendingChange)).all() == []
    assert places(app) == [] and audited(app) == []


@pytest.mark.parametrize("folder", ["../beta", "a/../../beta", "a//b", ".hidden", "a\\b", "~root", "x" * 300, "a/\0b"])
def test_no_folder_leads_out(app: Flask, alice: Browser, folder: str):
    answer = alice.post("/settings/places/new", **(FOLDER | {"folder": folder}))
    assert answer.status_code == 422
    assert places(app) == []


def test_a_place_that_keeps_nothing_or_has_a_taken_name_is_refused(app: Flask, alice: Browser):
    add(alice)
    assert "Choose at least one kind" in alice.post("/settings/places/new", **(FOLDER | {"keeps_sent": ""})).text
    assert "already" in alice.post("/settings/places/new", **(FOLDER | {"name": "Shelf"})).text
    alice.post("/settings/places/new", **(FOLDER | {"name": "attic"}))
    assert "already" in alice.post("/settings/places/new", **(FOLDER | {"name": "Attic"})).text
    assert len(places(app)) == 1


def test_a_secret_key_is_sealed_and_never_shown(app: Flask, alice: Browser):
    where = alice.post("/settings/places/new", **BUCKET).headers["Location"]
    pages = [alice.get(where), alice.get("/settings"), alice.get("/changes")]
    with app.app_context():
        assert "hunter2" not in db.session.execute(sa.text("SELECT secrets FROM pending_change")).scalar_one()
    pages.append(alice.post(where, **(BUCKET | {"bucket": "NOT"})))
    assert pages[-1].status_code == 422
    apply(alice)
    pages.append(alice.get(f"/settings/places/{places(app)[0].id}"))
    assert not any("hunter2" in page.text for page in pages)
    assert "hunter2" not in str(audited(app))
    with app.app_context():
        assert "hunter2" not in db.session.execute(sa.text("SELECT secret_key FROM archive_place")).scalar_one()
    assert places(app)[0].secret_key == "hunter2-secret"


def test_an_empty_secret_key_keeps_the_one_that_is_there_but_not_for_another_server(app: Flask, alice: Browser):
    saved = alice.post("/settings/places/new", **BUCKET).headers["Location"]
    quiet = BUCKET | {"secret_key": ""}
    evil = quiet | {"endpoint": "https://evil.test"}
    assert alice.post(saved, **(quiet | {"folder": "new"})).status_code == 303
    assert "enter the secret key again" in alice.post(saved, **evil).text
    apply(alice)
    assert (places(app)[0].secret_key, places(app)[0].folder) == ("hunter2-secret", "new")
    where = f"/settings/places/{places(app)[0].id}"
    assert alice.post(where, **(quiet | {"folder": "newer"})).status_code == 303
    assert "enter the secret key again" in alice.post(where, **evil).text
    assert alice.post(where, **(evil | {"secret_key": "of evil"})).status_code == 303
    assert "enter the secret key again" in alice.post(where, **quiet).text, "what was typed was for the other one"
    alice.post("/changes/discard")
    assert alice.post(where, **(quiet | {"folder": "newest"})).status_code == 303
    apply(alice)
    assert (places(app)[0].endpoint, places(app)[0].secret_key) == ("https://s3.example.com", "hunter2-secret")


def test_a_change_that_somebody_overtook_is_not_applied(app: Flask, cast: Cast, alice: Browser):
    where = add(alice)
    alice.post(where, **(FOLDER | {"folder": "mine"}))
    with app.app_context():
        db.session.execute(sa.update(ArchivePlace).values(folder="theirs"))
        db.session.commit()
    ids = re.findall(r'name="ids" value="(\d+)"', alice.get("/changes").text)
    assert alice.post("/changes/apply", ids=ids).status_code == 422
    assert places(app)[0].folder == "theirs"


@pytest.mark.parametrize(
    "endpoint",
    [
        *("ftp://s3.test", "https://", "https://s3.test/path", "https://u:p@s3.test", "https://s3.test?x", "s3.test"),
        *("https://s3.test:99999", "https://s3.test:0", "https://[::1"),
    ],
)
def test_a_server_is_an_address_and_nothing_more(app: Flask, alice: Browser, endpoint: str):
    answer = alice.post("/settings/places/new", **(BUCKET | {"endpoint": endpoint}))
    assert answer.status_code == 422
    assert "https://s3.example.com" in answer.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "169.254.169.254", "10.1.2.3", "[::ffff:127.0.0.1]", "localhost"]
)
def test_a_server_inside_the_installation_is_refused(app: Flask, alice: Browser, host: str):
    where = alice.post("/settings/places/new", **(BUCKET | {"endpoint": f"http://{host}:9"})).headers["Location"]
    assert "inside the installation" in alice.post(f"{where}/test").text


def test_places_change_their_order(app: Flask, alice: Browser):
    add(alice, name="a")
    where = add(alice, name="b")
    alice.post(f"{where}/move", to="up")
    assert [place.name for place in places(app)] == ["a", "b"]
    page = alice.get("/settings").text
    assert page.index(">b</a>") < page.index(">a</a>"), "the list shows what was saved"
    alice.post(f"{where}/move", to="up")
    apply(alice)
    assert [place.name for place in places(app)] == ["b", "a"]
    assert audited(app)[-1] == ("archive_order.changed", {"order": ["a", "b"]}, {"order": ["b", "a"]})


def test_removing_a_place_is_asked_once_more_and_says_what_is_lost(app: Flask, cast: Cast, alice: Browser):
    where = add(alice)
    with app.app_context():
        fax_id = make_fax(app, cast)
        copy = ArchiveCopy(tenant_id=cast.alpha, fax_id=fax_id, place_id=places(app)[0].id, kind="sent")
        db.session.add(copy)
        db.session.commit()
    assert "1 waiting copy will not be made" in alice.post(f"{where}/remove").text
    assert len(places(app)) == 1
    assert alice.post(f"{where}/remove", really="yes").status_code == 303
    assert len(places(app)) == 1 and "removed, not active yet" in alice.get("/settings").text
    apply(alice)
    assert places(app) == []
    assert audited(app)[-1][0::2] == ("archive_place.removed", {"copies_not_made": 1})


def test_copies_that_fail_for_long_are_told_on_every_page_of_the_administration(app: Flask, cast: Cast, alice: Browser):
    add(alice)
    with app.app_context():
        copy = ArchiveCopy(tenant_id=cast.alpha, fax_id=make_fax(app, cast), place_id=places(app)[0].id, kind="sent")
        copy.error, copy.created_at = "archive_down", utc_now() - timedelta(hours=2)
        db.session.add(copy)
        db.session.commit()
    for path in ("/settings", "/users", "/mail2fax"):
        assert "have not reached the archive shelf" in alice.get(path).text
    assert "The archive does not respond" in alice.get("/settings").text


def test_another_companys_place_is_a_missing_one(app: Flask, cast: Cast, alice: Browser, bob: Browser):
    mine = add(alice)
    with app.app_context():
        place = ArchivePlace(tenant_id=cast.beta, name="beta's", kind="folder")
        db.session.add(place)
        db.session.commit()
        theirs = f"/settings/places/{place.id}"
    for path in ("", "/test", "/move", "/remove"):
        assert alice.post(theirs + path, really="yes", **FOLDER).status_code == 404
        assert bob.post(mine + path, really="yes", **FOLDER).status_code == 404
    assert alice.get(theirs).status_code == bob.get(mine).status_code == bob.get("/settings").status_code == 404
    assert "beta's" not in alice.get("/settings").text


# ---- Retention


def test_a_retention_that_removes_something_is_shown_first(app: Flask, cast: Cast, alice: Browser):
    old_fax(app, cast)
    answer = alice.post("/settings/retention", days_sent="90")
    assert "files of 1 fax older than 90 days" in " ".join(answer.text.split())
    assert "ids" not in alice.get("/changes").text
    assert alice.post("/settings/retention", days_sent="90", really="yes").status_code == 303
    with app.app_context():
        assert db.session.scalars(sa.select(Retention)).all() == []
    assert "of 1 fax<" in alice.get("/changes").text, "what goes at once is told once more"
    apply(alice)
    with app.app_context():
        (rule,) = db.session.scalars(sa.select(Retention))
        assert (rule.tenant_id, rule.kind, rule.days) == (cast.alpha, "sent", 90)
    assert audited(app) == [("retention.changed", {"sent": "for ever"}, {"sent": 90})]


def test_a_retention_that_removes_nothing_is_saved_without_asking(app: Flask, cast: Cast, alice: Browser):
    old_fax(app, cast)
    assert alice.post("/settings/retention", days_sent="365", days_received="30").status_code == 303
    page = alice.get("/settings").text
    assert 'value="365"' in page and 'value="30"' in page
    apply(alice)
    with app.app_context():
        assert {rule.kind: rule.days for rule in db.session.scalars(sa.select(Retention))} == {
            "sent": 365,
            "received": 30,
        }
    alice.post("/settings/retention")
    apply(alice)
    with app.app_context():
        assert db.session.scalars(sa.select(Retention)).all() == [], "empty is for ever"


@pytest.mark.parametrize("text", ["0", "-1", "ten", "36501", "1.5"])
def test_what_is_no_number_of_days_is_refused(app: Flask, alice: Browser, text: str):
    answer = alice.post("/settings/retention", days_sent=text, days_reports="5")
    assert answer.status_code == 422
    assert f'value="{text}"' in answer.text and 'value="5"' in answer.text
    assert audited(app) == []


def test_a_fax_whose_files_were_removed_says_so_instead_of_leading_nowhere(app: Flask, cast: Cast, alice: Browser):
    fax_id = make_fax(app, cast)
    with app.app_context():
        gone = {"source_id": None, "pdf_id": None, "files_removed_at": utc_now(), "files_kept_days": 90}
        gone |= {"report_removed_at": utc_now(), "report_kept_days": 1}
        db.session.execute(sa.update(Fax).where(Fax.id == fax_id).values(**gone))
        db.session.commit()
    page = alice.get(f"/faxes/{fax_id}").text
    assert "The document was deleted after 90 days" in page
    assert "The report was deleted after 1 day," in page
    assert "document.pdf" not in page and "report.pdf" not in page and "Send again" not in page
    assert "report.pdf" not in alice.get("/faxes?direction=sent").text
    for path in ("document.pdf", "report.pdf"):
        assert alice.get(f"/faxes/{fax_id}/{path}").status_code == 404
    assert "The pages of this fax were deleted" in alice.get(f"/faxes/{fax_id}/view").text
