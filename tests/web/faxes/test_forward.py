"""A fax goes on: to colleagues by mail, to another number by fax."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from app.errors import Refused
from app.models import Fax, FaxEntity, InboxEvent, Notice, NoticeKind, Status
from app.rules.inbox.forward import forward_by_mail
from app.rules.words.sentences import sentence
from tenants.db import db, utc_now
from tenants.models import Role, User
from tests.web.cast import Browser, Cast, make_fax, make_user, may_receive, receive_fax

SUBMISSION = re.compile(r'name="submission" value="([^"]+)"')


@pytest.fixture(autouse=True)
def receives(app: Flask, cast: Cast) -> None:
    with app.app_context():
        may_receive(cast.bob, cast.frontdesk)


def mails(app: Flask) -> list[tuple[str, str | None]]:
    with app.app_context():
        notices = sa.select(Notice).where(Notice.kind == NoticeKind.FORWARDED).order_by(Notice.id)
        return [(notice.recipient, notice.note) for notice in db.session.scalars(notices)]


def sent(app: Flask) -> list[Fax]:
    with app.app_context():
        faxes = list(db.session.scalars(sa.select(Fax).where(Fax.direction == "sent").order_by(Fax.number)))
        db.session.expunge_all()
        return faxes


def submission(browser: Browser, path: str) -> str:
    return SUBMISSION.search(browser.get(path).text)[1]


# ---- By mail


def test_a_fax_is_mailed_once_to_each_chosen_colleague_however_often_it_is_clicked(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    fax_id = receive_fax(app, cast)
    key = submission(bob, f"/faxes/{fax_id}/forward")
    for _ in range(2):
        answer = bob.post(
            f"/faxes/{fax_id}/forward/mail", colleagues=str(cast.alice), note="Please answer", submission=key
        )
        assert answer.headers["Location"] == f"/faxes/{fax_id}"
    assert mails(app) == [("alice@alpha.test", "Please answer")]
    page = bob.get(f"/faxes/{fax_id}").text
    assert "The email to Alice is on its way." in page
    assert "Bob forwarded it by email to Alice" in page
    assert "Please answer" in page


def test_a_fax_may_be_mailed_to_the_same_colleague_another_time(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    for _ in range(2):
        key = submission(bob, f"/faxes/{fax_id}/forward")
        bob.post(f"/faxes/{fax_id}/forward/mail", colleagues=str(cast.alice), submission=key)
    assert len(mails(app)) == 2


def test_who_forwards_what_was_removed_meanwhile_is_told(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    key = submission(bob, f"/faxes/{fax_id}/forward")
    with app.app_context():
        fax = db.session.get_one(Fax, fax_id)
        fax.pdf_id, fax.files_removed_at, fax.files_kept_days = None, utc_now(), 30
        db.session.commit()
    for way, values in (("mail", {"colleagues": str(cast.alice)}), ("fax", {"to": "+49 30 23125000"})):
        answer = bob.post(f"/faxes/{fax_id}/forward/{way}", submission=key, **values)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/faxes/{fax_id}")
        assert sentence("forwarded_too_late") in bob.get(f"/faxes/{fax_id}").text
    assert mails(app) == sent(app) == []


def test_nobody_is_mailed_a_fax_that_they_may_not_see(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        carol = make_user("carol@alpha.test", "Carol", db.session.get(User, cast.bob).tenant, Role.USER).id
        db.session.commit()
    assert "Carol" not in bob.get(f"/faxes/{fax_id}/forward").text
    for stranger in (carol, cast.charlie, cast.olga, cast.bob, 4711):
        answer = bob.client.post(
            f"/faxes/{fax_id}/forward/mail",
            data={"colleagues": [str(cast.alice), str(stranger)], "submission": "x", "csrf_token": bob.token("/faxes")},
        )
        assert answer.status_code == 422
        assert "may no longer see this fax" in answer.text
        assert re.search(rf'value="{cast.alice}" checked', answer.text), "what was chosen is still chosen"
    assert mails(app) == []
    with app.app_context():
        assert db.session.query(InboxEvent).count() == 0


def test_a_mail_to_nobody_or_with_a_novel_loses_nothing(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    answer = bob.post(f"/faxes/{fax_id}/forward/mail", note="My <note>")
    assert answer.status_code == 422
    assert "Choose at least one colleague." in answer.text
    assert "My &lt;note&gt;</textarea>" in answer.text
    answer = bob.post(f"/faxes/{fax_id}/forward/mail", colleagues=str(cast.alice), note="x" * 1001)
    assert "longer than 1000 characters" in answer.text
    assert mails(app) == []


def test_a_fax_whose_document_was_removed_while_the_form_was_open_is_mailed_to_nobody(app: Flask, cast: Cast) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        fax, user = db.session.get_one(Fax, fax_id), db.session.get_one(User, cast.bob)
        key = {"submission_key": "k", "note": ""}
        forward_by_mail(db.session, fax=fax, user=user, to_ids=[cast.alice], **key)
        assert fax.pdf_id
        gone = sa.update(Fax).where(Fax.id == fax_id).values(pdf_id=None)
        db.session.execute(gone.execution_options(synchronize_session=False))  # as another process does it
        with pytest.raises(Refused) as refusal:
            forward_by_mail(db.session, fax=fax, user=user, to_ids=[cast.alice], note="", submission_key="another")
        assert "was deleted in the meantime" in sentence(refusal.value.code)
        assert forward_by_mail(db.session, fax=fax, user=user, to_ids=[cast.alice], **key), "a second click, not a mail"
    assert mails(app) == [("alice@alpha.test", None)]


def test_a_note_loses_what_no_database_takes(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    for note in ("Ple\0ase\r\nanswer\0", "\0 \0"):
        key = submission(bob, f"/faxes/{fax_id}/forward")
        path = f"/faxes/{fax_id}/forward/mail"
        assert bob.post(path, colleagues=str(cast.alice), note=note, submission=key).status_code == 303
    assert mails(app) == [("alice@alpha.test", "Please\nanswer"), ("alice@alpha.test", None)]


def test_what_is_typed_for_one_way_is_kept_when_the_other_is_refused(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    page = bob.get(f"/faxes/{fax_id}/forward").text
    (form,) = re.findall(r"<form[^>]+/forward/fax.+?</form>", page, re.DOTALL)
    for field in ("colleagues", "note", "to", "entity", "send_at", "submission", "csrf_token"):
        assert f'name="{field}"' in form
    assert f'formaction="/faxes/{fax_id}/forward/mail"' in form
    typed = {"note": "For you", "to": "055 290111", "entity": str(cast.frontdesk), "send_at": "2020-01-01T10:00"}
    for way, more in (("mail", {}), ("fax", {"colleagues": str(cast.alice)})):
        answer = bob.post(f"/faxes/{fax_id}/forward/{way}", **typed, **more)
        assert answer.status_code == 422
        assert "For you</textarea>" in answer.text
        for kept in ('value="055 290111"', 'value="2020-01-01T10:00"', f'value="{cast.frontdesk}" selected'):
            assert kept in answer.text
        assert (f'value="{cast.alice}" checked' in answer.text) == bool(more)
    assert mails(app) == []
    assert sent(app) == []


def test_a_changed_mail_of_the_same_form_goes_out_and_a_changed_number_sends_none(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    fax_id = receive_fax(app, cast)
    key = submission(bob, f"/faxes/{fax_id}/forward")
    for note, number in (("First", ""), ("First", "055 290111"), ("Second", "")):
        form = {"colleagues": str(cast.alice), "note": note, "to": number, "submission": key}
        assert bob.post(f"/faxes/{fax_id}/forward/mail", **form).status_code == 303
    assert mails(app) == [("alice@alpha.test", "First"), ("alice@alpha.test", "Second")]


@pytest.mark.parametrize("ids", ["9" * 5000, "9" * 19, "-1", "½"])
def test_what_is_no_id_of_a_colleague_is_nobody(app: Flask, cast: Cast, bob: Browser, ids: str) -> None:
    fax_id = receive_fax(app, cast)
    for way in ("mail", "fax"):
        assert bob.post(f"/faxes/{fax_id}/forward/{way}", colleagues=ids).status_code == 422
    assert mails(app) == []


# ---- By fax


def test_a_received_fax_goes_on_to_a_number_once_and_says_what_it_forwards(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    fax_id = receive_fax(app, cast)
    form = {"to": "055 290111", "entity": str(cast.frontdesk)}
    form["submission"] = submission(bob, f"/faxes/{fax_id}/forward")
    places = {bob.post(f"/faxes/{fax_id}/forward/fax", **form).headers["Location"] for _ in range(2)}
    (fax,) = sent(app)
    assert places == {f"/faxes/{fax.id}"}
    assert (fax.status, fax.remote_number, fax.resend_of_id) == (Status.ACCEPTED, "+39055290111", fax_id)
    with app.app_context():
        assert fax.source_id == db.session.get(Fax, fax_id).pdf_id
    page = bob.get(f"/faxes/{fax.id}").text
    assert "Forwards" in page
    assert f'href="/faxes/{fax_id}">Fax 1<' in page
    history = alice.get(f"/faxes/{fax_id}").text
    assert "Bob forwarded it by fax to 055 290111" in history
    assert f'href="/faxes/{fax.id}"' in history


def test_what_is_wrong_with_the_number_is_said_and_nothing_is_lost(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    answer = bob.post(f"/faxes/{fax_id}/forward/fax", to="112", entity=str(cast.frontdesk), send_at="2020-01-01T10:00")
    assert answer.status_code == 422
    assert "emergency number" in answer.text
    assert "This time is in the past" in answer.text
    assert 'value="112"' in answer.text
    assert 'value="2020-01-01T10:00"' in answer.text
    for entity in (str(cast.archive), str(cast.beta_line), "", "x"):
        answer = bob.post(f"/faxes/{fax_id}/forward/fax", to="055 290111", entity=entity)
        assert answer.status_code == 422
        assert "line" in answer.text.split('role="alert"')[-1]
    assert sent(app) == []


def test_who_may_not_see_the_received_fax_is_not_told_its_number(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    received = receive_fax(app, cast, entity_id=cast.archive)
    alice.post(f"/faxes/{received}/forward/fax", to="055 290111", entity=str(cast.frontdesk), submission="k")
    (fax,) = sent(app)
    page = bob.get(f"/faxes/{fax.id}").text
    assert "a received fax" in page
    assert received not in page


def test_what_has_no_pages_or_was_sent_cannot_be_forwarded(app: Flask, cast: Cast, bob: Browser) -> None:
    without = receive_fax(app, cast, status=Status.INCOMPLETE, pages=0, pdf_id=None)
    for fax_id in (without, make_fax(app, cast)):
        assert "/forward" not in bob.get(f"/faxes/{fax_id}").text
        assert bob.get(f"/faxes/{fax_id}/forward").status_code == 404
        for way in ("mail", "fax"):
            assert bob.post(f"/faxes/{fax_id}/forward/{way}", to="055 290111").status_code == 404


# ---- Sent again to another number


def test_a_sent_fax_goes_to_another_number_with_its_document(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast, name="Referto.pdf")
    assert f"/faxes/{fax_id}/resend-to" in bob.get(f"/faxes/{fax_id}").text
    page = bob.get(f"/faxes/{fax_id}/resend-to").text
    assert "This fax was addressed to 050 123 4567." in page
    field = re.search(r'<input id="to"[^>]+>', page)[0]
    assert 'value=""' in field and "autofocus" in field, "one press must not send it there once more"
    assert 'data-state="empty"' in page.split('id="to-judgment"')[1][:60]
    assert "Referto.pdf" in page
    form = {"to": "055 290111", "entity": str(cast.frontdesk), "submission": SUBMISSION.search(page)[1]}
    places = {bob.post(f"/faxes/{fax_id}/resend-to", **form).headers["Location"] for _ in range(2)}
    first, second = sent(app)
    assert places == {f"/faxes/{second.id}"}
    assert (second.source_id, second.resend_of_id, second.remote_number) == (first.source_id, fax_id, "+39055290111")
    assert "Repeats" in bob.get(f"/faxes/{second.id}").text


@pytest.mark.parametrize("status", [Status.SENDING, Status.SCHEDULED])
def test_a_fax_under_way_goes_nowhere_else(app: Flask, cast: Cast, bob: Browser, status: Status) -> None:
    fax_id = make_fax(app, cast, status=status)
    assert bob.get(f"/faxes/{fax_id}/resend-to").status_code == 404
    assert bob.post(f"/faxes/{fax_id}/resend-to", to="055 290111").status_code == 404


def test_charlie_forwards_nothing_of_another_company(app: Flask, cast: Cast, charlie: Browser) -> None:
    received, fax = receive_fax(app, cast), make_fax(app, cast)
    form = {"to": "055 290111", "entity": str(cast.beta_line), "colleagues": str(cast.charlie), "submission": "k"}
    assert charlie.get(f"/faxes/{received}/forward").status_code == 404
    assert charlie.get(f"/faxes/{fax}/resend-to").status_code == 404
    for path in (f"{received}/forward/mail", f"{received}/forward/fax", f"{received}/resend-to", f"{fax}/resend-to"):
        assert charlie.post(f"/faxes/{path}", **form).status_code == 404
    assert mails(app) == []
    assert [one.id for one in sent(app)] == [fax]


def test_a_number_that_the_line_may_not_dial_any_more_is_told_when_the_form_is_opened(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    fax_id = make_fax(app, cast)
    assert "not be dialled" not in bob.get(f"/faxes/send?again={fax_id}").text
    with app.app_context():
        db.session.get_one(FaxEntity, cast.frontdesk).template.forbidden_prefixes = ["+39050"]
        db.session.commit()
    assert "Numbers starting with +39050 cannot be dialled" in bob.get(f"/faxes/send?again={fax_id}").text
