"""Mail that is refused is told to whom it concerns, and sent again from the outbox."""

import sqlalchemy as sa

from app.models import Fax, Notice, NoticeKind
from tenants.db import db, utc_now
from tenants.models import User
from tests.web.cast import make_fax, refused_notice

WORDS = "550 5.1.1 no such user"
TOLD = "The email to bob@alpha.test was refused"


def add(app, *notices: Notice) -> list[int]:
    with app.app_context():
        db.session.add_all(notices)
        db.session.commit()
        return [notice.id for notice in notices]


def read(app, notice_id: int) -> tuple[object, object, int]:
    with app.app_context():
        notice = db.session.get_one(Notice, notice_id)
        return notice.given_up_at, notice.due_at, notice.tries


def test_the_person_reads_on_the_fax_and_on_the_profile_what_the_mail_server_said(app, cast, alice, bob, charlie):
    fax_id = make_fax(app, cast)
    add(app, refused_notice(cast.alpha, "bob@alpha.test", fax_id=fax_id))
    for page in (f"/faxes/{fax_id}", "/profile"):
        text = bob.client.get(page).get_data(as_text=True)
        assert TOLD in text and WORDS in text
        assert "Ask your administrator" in text
    assert TOLD in alice.client.get(f"/faxes/{fax_id}").get_data(as_text=True)
    assert TOLD in alice.client.get(f"/users/{cast.bob}").get_data(as_text=True)
    assert "was refused" not in alice.client.get("/profile").get_data(as_text=True)
    assert "was refused" not in charlie.client.get("/profile").get_data(as_text=True)


def test_a_colleague_who_may_see_the_fax_does_not_read_about_others_addresses(app, cast, alice, bob):
    fax_id = make_fax(app, cast)
    add(
        app,
        refused_notice(cast.alpha, "alice@alpha.test", fax_id=fax_id),
        refused_notice(cast.alpha, "dave@alpha.test", fax_id=fax_id, kind="forwarded", from_user_id=cast.bob),
    )
    text = bob.client.get(f"/faxes/{fax_id}").get_data(as_text=True)
    assert "alice@alpha.test was refused" not in text
    assert "The email to dave@alpha.test was refused" in text, "Bob had it sent"
    assert "alice@alpha.test was refused" in alice.client.get(f"/faxes/{fax_id}").get_data(as_text=True)


def test_an_administrator_sees_the_outbox_of_the_company_and_an_operator_all_without_a_fax(app, cast, alice, olga):
    fax_id = make_fax(app, cast)
    add(
        app,
        refused_notice(cast.alpha, "bob@alpha.test", fax_id=fax_id),
        refused_notice(cast.beta, "charlie@beta.test"),
        refused_notice(None, "ops@faxroom.test", kind=NoticeKind.ALERT),
    )
    company = alice.client.get("/outbox").get_data(as_text=True)
    assert WORDS in company and f"/faxes/{fax_id}" in company
    assert "charlie@beta.test" not in company and "ops@faxroom.test" not in company
    everything = olga.client.get("/outbox").get_data(as_text=True)
    assert all(address in everything for address in ("bob@alpha.test", "charlie@beta.test", "ops@faxroom.test"))
    assert f"/faxes/{fax_id}" not in everything


def test_administrators_and_operators_are_told_on_their_pages_that_there_is_something_to_look_at(
    app, cast, alice, olga
):
    pages = ((alice, "/users"), (olga, "/operator/tenants"))
    assert not any("was refused" in person.client.get(page).get_data(as_text=True) for person, page in pages)
    add(app, refused_notice(cast.alpha, "bob@alpha.test"), refused_notice(cast.beta, "charlie@beta.test"))
    told = [person.client.get(page).get_data(as_text=True) for person, page in pages]
    assert "1 email was refused." in told[0] and "2 emails were refused." in told[1]


def test_charlie_of_beta_neither_sees_nor_sends_what_is_of_alpha(app, cast, charlie):
    fax_id = make_fax(app, cast)
    (of_alpha,) = add(app, refused_notice(cast.alpha, "bob@alpha.test", fax_id=fax_id))
    assert charlie.client.get("/outbox").status_code == 404  # a user
    with app.app_context():
        db.session.get_one(User, cast.charlie).role = "admin"
        db.session.commit()
    page = charlie.client.get("/outbox").get_data(as_text=True)
    assert "No email was refused" in page and "alpha" not in page
    token = charlie.token("/outbox")
    assert charlie.client.post(f"/outbox/{of_alpha}/again", data={"csrf_token": token}).status_code == 404
    assert charlie.client.post("/outbox/again", data={"csrf_token": token}).status_code == 303
    assert read(app, of_alpha)[0] is not None


def test_an_address_that_was_of_another_company_is_no_trouble_of_who_has_it_now(app, cast, bob):
    add(app, refused_notice(cast.beta, "bob@alpha.test"))
    assert "was refused" not in bob.client.get("/profile").get_data(as_text=True)


def test_a_refused_mail_is_sent_again_and_is_gone_from_the_list(app, cast, alice):
    fax_id = make_fax(app, cast)
    first, second = add(
        app,
        refused_notice(cast.alpha, "bob@alpha.test", fax_id=fax_id, tries=3),
        refused_notice(cast.alpha, "dave@alpha.test", fax_id=fax_id, tries=3),
    )
    token = alice.token("/outbox")
    answer = alice.client.post(f"/outbox/{first}/again", data={"csrf_token": token}, follow_redirects=True)
    assert "1 email is being sent again." in answer.get_data(as_text=True)
    given_up_at, due_at, tries = read(app, first)
    assert (given_up_at, tries) == (None, 0)
    assert due_at <= utc_now()
    assert read(app, second)[0] is not None
    alice.client.post("/outbox/again", data={"csrf_token": token})
    assert read(app, second)[0] is None


def test_a_mail_whose_link_is_gone_is_not_offered_again(app, cast, alice):
    (invitation,) = add(app, refused_notice(cast.alpha, "new@alpha.test", kind=NoticeKind.INVITATION))
    page = alice.client.get("/outbox").get_data(as_text=True)
    assert "Its link has expired" in page and f"/outbox/{invitation}/again" not in page
    alice.client.post(f"/outbox/{invitation}/again", data={"csrf_token": alice.token("/outbox")})
    assert read(app, invitation)[0] is not None


def test_what_waits_for_the_mail_server_is_shown_with_its_words(app, cast, alice):
    waiting = {"cause": "mail_server_down", "error": "[Errno 111] Connection refused", "given_up_at": None}
    add(app, refused_notice(cast.alpha, "bob@alpha.test", due_at=utc_now(), **waiting))
    page = alice.client.get("/outbox").get_data(as_text=True)
    assert "Connection refused" in page and "No email was refused" in page


def test_a_mail_that_left_is_in_no_list(app, cast, alice):
    fax_id = make_fax(app, cast)
    (notice_id,) = add(app, refused_notice(cast.alpha, "bob@alpha.test", fax_id=fax_id))
    with app.app_context():
        left = {"sent_at": utc_now(), "given_up_at": None, "error": None, "cause": None}
        db.session.execute(sa.update(Notice).where(Notice.id == notice_id).values(**left))
        assert db.session.get(Fax, fax_id)
        db.session.commit()
    assert "bob@alpha.test" not in alice.client.get("/outbox").get_data(as_text=True)
    assert "was refused" not in alice.client.get(f"/faxes/{fax_id}").get_data(as_text=True)
