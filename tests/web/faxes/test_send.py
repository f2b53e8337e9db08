"""The send form."""

import io
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import Document, Fax, FaxEntity, Grant, Status
from app.rules.numbers.policy import Policy, set_policy
from app.services.documents import documents
from app.web.site.thread_limits import Turns
from tenants.db import db, read_only, utc_now
from tenants.models import Tenant
from tests.documents import TRACKED, docx_of
from tests.waiting import until
from tests.web.cast import Browser, Cast, make_fax, pdf_bytes

DRAFT = re.compile(r'name="draft" value="([^"]*)"')
SUBMISSION = re.compile(r'name="submission" value="([^"]+)"')


def upload(name: str = "letter.pdf", content: bytes | None = None) -> tuple[io.BytesIO, str]:
    return io.BytesIO(pdf_bytes(2) if content is None else content), name


def faxes(app: Flask) -> list[Fax]:
    with app.app_context():
        return list(db.session.query(Fax).order_by(Fax.id))


def test_the_contracts_fields_alone_send_a_fax(app: Flask, cast: Cast, bob: Browser) -> None:
    answer = bob.post("/faxes/send", entity=str(cast.frontdesk), to="050 1234567", send_at="", document=upload())
    assert answer.status_code == 303
    [fax] = faxes(app)
    assert answer.headers["Location"] == f"/faxes/{fax.id}"
    assert (fax.status, fax.remote_number, fax.entity_id, fax.user_id) == (
        "accepted",
        "+390501234567",
        cast.frontdesk,
        cast.bob,
    )
    assert fax.pages == 2


def test_a_form_reads_who_sends_it_twice_and_nothing_that_the_door_asks_alone(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    """Once for a look at what was typed, and once at the door: of a hundred forms at once the last one waits for all
    that the others ask."""
    asked: list[str] = []
    form = {"entity": str(cast.frontdesk), "to": "050 1234567", "csrf_token": bob.token("/faxes/send")}
    with app.app_context():
        engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    assert bob.client.post("/faxes/send", data=form | {"document": upload()}).status_code == 303
    tables = Counter(re.search(r'(?:FROM|INTO|UPDATE) "?(\w+)', statement)[1] for statement in asked)
    assert tables["sign_in_session"] == tables["user"] == 1
    assert "preview" not in tables, "nobody has looked at what comes with the form"
    assert len(asked) <= 20


def test_who_is_suspended_while_the_document_is_judged_sends_nothing(
    app: Flask, cast: Cast, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = documents.inspect

    def suspended_meanwhile(*how: object, **more: object) -> object:
        with db.engine.begin() as connection:
            connection.execute(sa.update(Tenant).values(suspended_at=utc_now()))
        return judge(*how, **more)

    monkeypatch.setattr(documents, "inspect", suspended_meanwhile)
    answer = bob.post("/faxes/send", entity=str(cast.frontdesk), to="050 1234567", document=upload())
    assert answer.status_code == 422
    assert faxes(app) == []


def test_the_form_offers_only_lines_that_this_user_may_send_from(bob: Browser, alice: Browser) -> None:
    assert "archive" not in bob.get("/faxes/send").text
    assert "frontdesk" in bob.get("/faxes/send").text
    assert "archive" in alice.get("/faxes/send").text


@pytest.mark.parametrize("line", ["archive", "beta_line"])
def test_no_other_line_can_be_sent_from_however_it_is_asked(app: Flask, cast: Cast, bob: Browser, line: str) -> None:
    answer = bob.post("/faxes/send", entity=str(getattr(cast, line)), to="050 1234567", document=upload())
    assert answer.status_code == 422
    assert "You do not have permission to send from this line" in answer.text
    assert faxes(app) == []


def test_the_form_and_the_fax_say_what_the_document_warns_of(app: Flask, cast: Cast, bob: Browser) -> None:
    changed = (io.BytesIO(docx_of(TRACKED)), "contract.docx")
    field = bob.post("/faxes/send/document", document=changed).text
    assert "This document has tracked changes. The fax shows its final text" in field
    draft = DRAFT.search(field)[1]
    bob.post("/faxes/send", entity=str(cast.frontdesk), to="050 1234567", draft=draft)
    [fax] = faxes(app)
    assert "This document has tracked changes. The fax shows its final text" in bob.get(f"/faxes/{fax.id}").text


def test_every_fault_is_named_at_once_and_nothing_typed_is_lost(app: Flask, cast: Cast, bob: Browser) -> None:
    answer = bob.post("/faxes/send", entity="", to="12 34 nonsense", send_at="2001-01-01T10:00", document=upload())
    assert answer.status_code == 422
    for text in ("Choose the origin line", "A fax number contains only digits", "This time is in the past"):
        assert text in answer.text
    assert re.findall(r'<a href="#(\w+)">', answer.text) == ["to", "entity", "send_at"]
    for kept in ('value="12 34 nonsense"', 'value="2001-01-01T10:00"', "letter.pdf", "2 pages"):
        assert kept in answer.text
    draft = DRAFT.search(answer.text)[1]
    answer = bob.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567", send_at="", draft=draft)
    assert answer.status_code == 303, "the document was kept"
    assert faxes(app)[0].source_id == draft


def test_a_full_disk_refuses_with_a_sentence_and_nothing_typed_is_lost(app: Flask, cast: Cast, bob: Browser) -> None:
    draft = DRAFT.search(bob.post("/faxes/send/document", document=upload(), htmx=True).text)[1]
    disks = app.extensions["disks"]
    least, disks.floor = disks.floor, 2**60
    typed = {"entity": str(cast.frontdesk), "to": "050 1234567", "send_at": "", "draft": draft}
    answer = bob.post("/faxes/send", **typed)
    assert answer.status_code == 422
    for kept in ("disk is almost full", 'value="050 1234567"', "letter.pdf"):
        assert kept in answer.text
    assert "disk is almost full" in bob.post("/faxes/send/document", document=upload(), htmx=True).text
    assert faxes(app) == []
    disks.floor = least
    assert bob.post("/faxes/send", **typed).status_code == 303


def test_a_document_that_is_refused_leaves_the_earlier_one_in_place(cast: Cast, bob: Browser) -> None:
    draft = DRAFT.search(bob.post("/faxes/send/document", document=upload(), htmx=True).text)[1]
    answer = bob.post(
        "/faxes/send", entity=str(cast.frontdesk), to="0501234567", draft=draft, document=upload("x.pdf", b"MZ program")
    )
    assert answer.status_code == 422
    assert "This is a program, not a document" in answer.text
    assert DRAFT.search(answer.text)[1] == draft


def test_the_file_is_judged_while_the_form_is_filled(app: Flask, cast: Cast, bob: Browser) -> None:
    fragment = bob.post("/faxes/send/document", document=upload("Perizia è pronta.pdf"), htmx=True).text
    assert not fragment.lstrip().startswith("<!doctype")
    assert "Perizia è pronta.pdf" in fragment
    assert "2 pages" in fragment
    refused = bob.post("/faxes/send/document", document=upload("empty.pdf", b""), htmx=True).text
    assert "This file is empty" in refused
    with app.app_context():
        assert db.session.query(Document).count() == 1


def test_a_file_that_is_too_large_is_refused_in_the_form(app: Flask, bob: Browser) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = bob.client.post(
        "/faxes/send/document", data={"document": upload(content=b"x" * 2000)}, headers={"HX-Request": "true"}
    )
    assert "This file is larger than 30 MB" in answer.text
    assert 'id="document-field"' in answer.text


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("050 1234567", "National number:"),
        ("+49 30 901820", "International number:"),
        ("501", "Internal extension:"),
        ("112", "This is an emergency number"),
        ("05O1234567", "A fax number contains only digits"),
        ("+", "This number is too short"),
        (" + ( ) ", "This number is too short"),
        ("0" * 60, "This number is too long"),
        ("+39 " + "0" * 50, "This number is too long"),
        ("++39", "A fax number contains only digits"),
        ("", "A national number, an international number"),
    ],
)
def test_the_number_is_judged_while_the_form_is_filled(bob: Browser, typed: str, said: str) -> None:
    fragment = bob.post("/faxes/send/number", to=typed, htmx=True).text
    assert said in fragment
    assert fragment.count("<p ") == 1


@pytest.mark.parametrize(
    ("cause", "told"),
    [("unallocated", "The number does not exist."), ("busy", "A national number, an international number")],
)
def test_the_number_of_an_earlier_fax_is_not_called_good(
    app: Flask, cast: Cast, bob: Browser, cause: str, told: str
) -> None:
    fax_id = make_fax(app, cast, status=Status.FAILED, cause=cause)
    page = bob.get(f"/faxes/send?again={fax_id}").text
    assert 'value="050 123 4567"' in page
    judgment = page.split('id="to-judgment"')[1].split("</p>")[0]
    assert told in judgment
    assert 'data-state="good"' not in judgment


def test_a_double_click_sends_one_fax(app: Flask, cast: Cast, bob: Browser) -> None:
    page = bob.get("/faxes/send").text
    data = {"entity": str(cast.frontdesk), "to": "0501234567", "submission": SUBMISSION.search(page)[1]}
    first = bob.post("/faxes/send", **data, document=upload())
    second = bob.post("/faxes/send", **data, document=upload())
    assert first.headers["Location"] == second.headers["Location"]
    assert len(faxes(app)) == 1
    assert "This form was already submitted" in bob.get(second.headers["Location"]).text


def test_two_clicks_at_the_very_same_time_send_one_fax(app: Flask, cast: Cast, bob: Browser) -> None:
    draft = DRAFT.search(bob.post("/faxes/send/document", document=upload(), htmx=True).text)[1]
    data = {"entity": str(cast.frontdesk), "to": "0501234567", "draft": draft, "submission": "one form"}
    data["csrf_token"] = bob.token("/faxes")
    with bob.client.session_transaction() as session:
        signed_in = dict(session)
    places: list[str | None] = []

    def click() -> None:
        browser = Browser(app)
        with browser.client.session_transaction() as session:
            session.update(signed_in)
        places.append(browser.client.post("/faxes/send", data=data).headers.get("Location"))

    clicks = [threading.Thread(target=click) for _ in range(4)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()
    assert len(faxes(app)) == 1
    assert set(places) == {f"/faxes/{faxes(app)[0].id}"}


@pytest.fixture
def rules(app: Flask, cast: Cast, midday: None) -> Callable[..., None]:
    """Sets the dialing rules of the line that Bob sends from."""

    def put(**values: object) -> None:
        with app.app_context():
            template = db.session.get_one(FaxEntity, cast.frontdesk).template
            for name, value in values.items():
                setattr(template, name, value)
            db.session.commit()

    return put


@pytest.mark.parametrize(
    ("values", "typed", "said"),
    [
        ({"forbidden_prefixes": ["+39050"]}, "050 1234567", "Numbers starting with +39050 cannot be dialled"),
        ({"forbidden_prefixes": ["+39050"]}, "+49 30 901820", "International number:"),
        ({"allowed_prefixes": ["+39"]}, "+49 30 901820", "Only numbers starting with +39 can be dialled"),
        ({}, "899 123456", "This is a premium number"),
        ({"premium_allowed": True}, "899 123456", "Your operator does not allow these calls."),
        ({"allowed_prefixes": ["+44"]}, "501", "Internal extension:"),
    ],
)
def test_the_rules_of_the_chosen_line_are_told_while_the_number_is_typed(
    cast: Cast, bob: Browser, rules: Callable[..., None], values: dict, typed: str, said: str
) -> None:
    rules(**values)
    fragment = bob.post("/faxes/send/number", to=typed, entity=str(cast.frontdesk), htmx=True).text
    assert said in fragment
    assert said in bob.post("/faxes/send", to=typed, entity=str(cast.frontdesk)).text, "and with the form, as a page"


def test_a_premium_number_is_dialled_where_operator_and_line_allow_it(
    app: Flask, cast: Cast, bob: Browser, rules: Callable[..., None]
) -> None:
    with app.app_context():
        set_policy(db.session, Policy(premium_allowed=True))
        db.session.commit()
    asked = {"to": "899 123456", "entity": str(cast.frontdesk)}
    assert "This line does not dial them" in bob.post("/faxes/send/number", **asked, htmx=True).text
    rules(premium_allowed=True)
    assert "National number:" in bob.post("/faxes/send/number", **asked, htmx=True).text


def test_that_the_line_has_sent_its_faxes_of_the_day_is_told_while_the_number_is_typed(
    app: Flask, cast: Cast, bob: Browser, rules: Callable[..., None]
) -> None:
    rules(daily_cap=1)
    asked = {"to": "050 1234567", "entity": str(cast.frontdesk)}
    assert "National number:" in bob.post("/faxes/send/number", **asked, htmx=True).text
    make_fax(app, cast)
    assert "This line has a limit of 1 faxes a day" in bob.post("/faxes/send/number", **asked, htmx=True).text
    in_two_days = (utc_now() + timedelta(days=2)).strftime("%Y-%m-%dT12:00")  # there is no 02:30 when clocks change
    later = bob.post("/faxes/send/number", **asked, send_at=in_two_days, htmx=True).text
    assert "National number:" in later, "the day on which it goes out counts"


def test_who_clicked_twice_at_the_last_fax_of_the_day_is_led_to_the_fax(
    cast: Cast, bob: Browser, rules: Callable[..., None]
) -> None:
    rules(daily_cap=1)
    form = {"entity": str(cast.frontdesk), "to": "050 1234567", "submission": "one form"}
    first, second = (bob.post("/faxes/send", **form, document=upload()) for _click in range(2))
    assert first.headers["Location"] == second.headers["Location"]


def test_the_rules_of_a_line_that_somebody_may_not_use_are_told_to_nobody(
    app: Flask, cast: Cast, charlie: Browser, rules: Callable[..., None]
) -> None:
    rules(forbidden_prefixes=["+39050"])
    fragment = charlie.post("/faxes/send/number", to="050 1234567", entity=str(cast.frontdesk), htmx=True).text
    assert "National number:" in fragment


def test_the_same_form_with_another_number_is_another_fax(app: Flask, cast: Cast, bob: Browser) -> None:
    """Who goes back and corrects the number must not be shown the first fax as if the second had gone."""
    data = {"entity": str(cast.frontdesk), "submission": "one form"}
    bob.post("/faxes/send", **data, to="0501234567", document=upload())
    bob.post("/faxes/send", **data, to="0501234568", document=upload())
    assert [fax.remote_number for fax in faxes(app)] == ["+390501234567", "+390501234568"]


def test_a_strangers_file_name_and_number_stay_text(bob: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>.pdf"
    page = bob.post("/faxes/send", entity="", to='"><script>alert(1)</script>', document=upload(evil)).text
    assert "<img src=x" not in page
    assert "<script>alert" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;.pdf" in page


def test_the_time_is_the_companys(app: Flask, cast: Cast, bob: Browser) -> None:
    page = bob.get("/faxes/send").text
    assert "Times are in the Rome time zone" in page


def test_who_may_not_send_is_told_how_to_get_it(app: Flask, cast: Cast, bob: Browser) -> None:
    with app.app_context():
        db.session.query(Grant).filter_by(user_id=cast.bob).delete()
        db.session.commit()
    page = bob.get("/faxes/send").text
    assert "You do not have permission to send from any line yet" in page
    assert 'name="document"' not in page


@pytest.mark.parametrize("path", ["/faxes/send/document", "/faxes/send"])
def test_who_may_not_send_has_nothing_stored(app: Flask, cast: Cast, bob: Browser, path: str) -> None:
    with app.app_context():
        db.session.query(Grant).filter_by(user_id=cast.bob).update({"may_send": False})
        db.session.commit()
    form = {"entity": str(cast.frontdesk), "to": "0501234567", "send_at": ""}
    answer = bob.post(path, document=upload(), htmx=path.endswith("document"), **form)
    if path.endswith("document"):
        assert "You may not send from any line, so nothing was uploaded" in answer.text
    with app.app_context():
        assert db.session.query(Document).count() == db.session.query(Fax).count() == 0
    assert not [file for file in (app.config["SETTINGS"].home / "storage").rglob("*") if file.is_file()]


def test_a_quota_is_told_with_what_to_do_and_nothing_typed_is_lost(app: Flask, cast: Cast, bob: Browser) -> None:
    draft = DRAFT.search(bob.post("/faxes/send/document", document=upload(), htmx=True).text)[1]
    with app.app_context():
        db.session.query(Tenant).filter_by(id=cast.alpha).update({"quota_uploads": 2})
        db.session.commit()
    typed = {"entity": str(cast.frontdesk), "to": "050 1234567", "send_at": "", "draft": draft}
    answer = bob.post("/faxes/send", document=upload(), **typed)
    assert answer.status_code == 422
    for kept in ("You have uploaded 1 documents in 24 hours", 'value="050 1234567"', "letter.pdf", draft):
        assert kept in answer.text
    assert bob.post("/faxes/send", **typed).status_code == 303, "what was uploaded before is sent"


def test_documents_of_one_company_that_take_long_hold_up_no_other(
    app: Flask, cast: Cast, bob: Browser, charlie: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Turns(most=4, most_of_one=2)
    monkeypatch.setattr("app.web.faxes.send.inspections", places)
    monkeypatch.setattr("app.web.faxes.send.INSPECTION_SECONDS", 0.1)
    poisoned = [places.take(cast.alpha) for _ in range(2)]
    answer = bob.post("/faxes/send/document", document=upload(), htmx=True)
    assert "Other documents of your company are still being checked" in answer.text
    assert "letter.pdf" in charlie.post("/faxes/send/document", document=upload(), htmx=True).text
    poisoned[0].end()
    assert DRAFT.search(bob.post("/faxes/send/document", document=upload(), htmx=True).text)
    assert places.running[cast.alpha] == 1, "it gave its turn back"


def test_a_program_that_finds_no_turn_is_told_when_to_come_again_and_nothing_typed_is_lost(
    app: Flask, cast: Cast, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Turns(most=4, most_of_one=2)
    monkeypatch.setattr("app.web.faxes.send.inspections", places)
    monkeypatch.setattr("app.web.faxes.send.INSPECTION_SECONDS", 0.1)
    taken = [places.take(cast.alpha) for _ in range(2)]
    typed = {"entity": str(cast.frontdesk), "to": "050 1234567", "send_at": ""}
    answer = bob.post("/faxes/send", document=upload(), **typed)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    assert 'value="050 1234567"' in answer.text
    for turn in taken:
        turn.end()
    assert bob.post("/faxes/send", document=upload(), **typed).status_code == 303


def test_no_more_wait_for_a_turn_than_may_have_one() -> None:
    places = Turns(most=4, most_of_one=2)
    turns = [places.take("alpha") for _ in range(2)]
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(places.wait, "alpha", 200) for _ in range(6)]
        until(lambda: sum(one.done() for one in waiting) == 4)
        time.sleep(0.5)
        assert sum(one.done() for one in waiting) == 4, "these are told at once"
        for turn in turns:
            turn.end()
        got = [one.result() for one in waiting]
    assert sum(turn is not None for turn in got) == 2


def test_a_draft_that_is_gone_is_asked_for_again(cast: Cast, bob: Browser) -> None:
    answer = bob.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567", draft="01J00000000000000000000000")
    assert answer.status_code == 422
    assert "The document is no longer here" in answer.text


def test_judging_a_document_holds_no_write_lock(
    app: Flask, cast: Cast, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refuse(session: object, **_: object) -> None:
        seen.append((db.session.registry().in_transaction(), read_only.get()))
        raise RuntimeError

    monkeypatch.setattr("app.web.faxes.send.take_upload", refuse)
    app.config["TESTING"] = False
    bob.post("/faxes/send/document", document=upload(), htmx=True)
    assert seen == [(False, False)]
