"""The door: who may hand in, for whom, what is answered, and that each email is sent once."""

import hashlib
import smtplib
import socket
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from app.adapters.mail import door as listener
from app.config import DoorSettings, Peer
from app.jobs.mail2fax import door as desk
from app.models import DoorCredential, Fax, FaxEntity, Mail2FaxBox, MailFate, MailMessage, Notice
from app.rules.mail2fax.door import companies_unknown
from app.rules.mail2fax.ledger import message_digest
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tests.db.mails import NUMBER, PIN, PUBLIC, write_mail
from tests.doors import DOMAIN, credential, door_settings, hand_in, make_door_box, open_door, trusting
from tests.web.cast import Cast

TO = f"{PUBLIC}@{DOMAIN}"


@pytest.fixture
def box(app: Flask, cast: Cast) -> int:
    return make_door_box(app, cast.alpha, cast.frontdesk)


@pytest.fixture
def settings(tmp_path: Path) -> DoorSettings:
    return door_settings(tmp_path)


@pytest.fixture
def door(app: Flask, box: int, settings: DoorSettings) -> Iterator[DoorSettings]:
    """This machine is trusted."""
    with open_door(app, settings):
        yield settings


@pytest.fixture
def shut(app: Flask, box: int, settings: DoorSettings) -> Iterator[DoorSettings]:
    """Nobody is."""
    strict = replace(settings, peers=())
    with open_door(app, strict):
        yield strict


def faxes(app: Flask) -> list[Fax]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(Fax).order_by(Fax.number)))
        db.session.expunge_all()
        return found


def messages(app: Flask) -> list[MailMessage]:
    with app.app_context():
        found = list(db.session.scalars(sa.select(MailMessage).order_by(MailMessage.id)))
        db.session.expunge_all()
        return found


def change(app: Flask, model: type, row_id: int, **values: object) -> None:
    with app.app_context():
        db.session.execute(sa.update(model).where(model.id == row_id).values(**values))
        db.session.commit()


def letter(**values: object) -> bytes:
    values.setdefault("text", "Please send this.")
    return write_mail(subject=str(values.pop("subject", "The contract")), **values).as_bytes()


def refusal(settings: DoorSettings, content: bytes, *to: str, sender: str = "bob@alpha.test") -> tuple[int, str]:
    """Code and text of the only answer that is a no."""
    try:
        refused = hand_in(settings, content, *(to or (TO,)), sender=sender)
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return error.smtp_code, error.smtp_error.decode()
    (answer,) = refused.values()
    return answer[0], answer[1].decode()


# ---- What becomes a fax


def test_an_email_to_a_number_becomes_a_fax_of_the_only_line_that_its_sender_has(app: Flask, door: DoorSettings):
    hand_in(door, letter(), TO)
    (fax,), (message,) = faxes(app), messages(app)
    assert (fax.remote_number, fax.origin, message.fate, message.fax_id) == (PUBLIC, "mail", "accepted", fax.id)
    assert message.subject == "The contract"


def test_the_line_is_named_by_its_name_or_its_extension(app: Flask, cast: Cast, door: DoorSettings):
    for label in ("frontdesk", "501", "FrontDesk"):
        hand_in(door, letter(), f"{NUMBER}@{label}.{DOMAIN}")
    assert [fax.entity_id for fax in faxes(app)] == [cast.frontdesk] * 3


def test_a_company_has_a_domain_of_its_own_also_below_that_of_the_installation(
    app: Flask, cast: Cast, door: DoorSettings
):
    change(app, Tenant, cast.alpha, fax_domain=f"alpha.{DOMAIN}")
    hand_in(door, letter(), f"{NUMBER}@alpha.{DOMAIN}")
    hand_in(door, letter(), f"{NUMBER}@frontdesk.alpha.{DOMAIN}")
    assert [fax.remote_number for fax in faxes(app)] == [PUBLIC, PUBLIC]


def test_a_number_is_read_as_people_and_programs_write_it_in_an_address(app: Flask, door: DoorSettings):
    for local in (NUMBER, PUBLIC, f"FAX={PUBLIC}", "0039.050.1234567", "050-1234567"):
        hand_in(door, letter(), f"{local}@{DOMAIN}")
    assert [fax.remote_number for fax in faxes(app)] == [PUBLIC] * 5


def test_the_address_of_the_box_takes_the_number_from_the_subject(app: Flask, door: DoorSettings):
    hand_in(door, letter(subject=NUMBER), f"door@{DOMAIN}")
    assert [fax.remote_number for fax in faxes(app)] == [PUBLIC]


def test_several_recipients_are_several_faxes_and_one_that_is_named_twice_is_one(app: Flask, door: DoorSettings):
    other = "+390507654321"
    assert hand_in(door, letter(), TO, f"{other}@{DOMAIN}", f"{NUMBER}@501.{DOMAIN}") == {}
    assert sorted(fax.remote_number for fax in faxes(app)) == sorted([PUBLIC, other])


def test_an_email_that_is_handed_in_again_is_answered_as_before_and_sent_once(app: Flask, door: DoorSettings):
    content = letter()
    for to in (TO, TO, f"{NUMBER}@frontdesk.{DOMAIN}"):
        hand_in(door, content, to)
    assert len(faxes(app)) == 1
    hand_in(door, letter(), TO)  # another email, to the same number
    assert len(faxes(app)) == 2


@pytest.mark.parametrize("number", [PUBLIC, "502"])
def test_an_email_of_before_wishes_were_known_is_sent_once_when_it_is_handed_in_again(
    app: Flask, cast: Cast, door: DoorSettings, number: str
):
    content = letter()
    hand_in(door, content, f"{number}@{DOMAIN}")
    (fax,), (message,) = faxes(app), messages(app)
    key = f"{cast.frontdesk} {fax.dial_string}"
    before = hashlib.sha256(f"door {message_digest(content)} {key}".encode()).hexdigest()
    change(app, MailMessage, message.id, digest=before)  # as it was entered then, under keys of then
    change(app, Fax, fax.id, submission_key=hashlib.sha256(f"mail {message.box_id} {before}".encode()).hexdigest())
    hand_in(door, content, f"{number}@{DOMAIN}")
    assert [fax.id for fax in faxes(app)] == [fax.id]
    assert [message.fate for message in messages(app)] == [MailFate.ACCEPTED, MailFate.REPEATED]


def test_one_wish_is_one_fax_however_it_is_written_and_asked_for(app: Flask, cast: Cast, door: DoorSettings):
    message = write_mail(subject=NUMBER, text="Please send this.")
    hand_in(door, message.as_bytes(), TO)
    message.set_boundary("another")
    message.replace_header("Date", "Tue, 1 Dec 2026 10:00:00 +0100")
    for to in (TO, f"0039.050.1234567@501.{DOMAIN}", f"FAX={NUMBER}@{DOMAIN}", f"door@{DOMAIN}"):
        hand_in(door, message.as_bytes(), to)
    make_door_box(app, cast.alpha, cast.frontdesk, name="second")  # the line has another box now
    hand_in(door, message.as_bytes(), TO)
    assert len(faxes(app)) == 1
    assert [row.fate for row in messages(app)] == ["accepted", "repeated", "repeated"]


def test_the_same_document_sent_once_more_is_another_fax(app: Flask, door: DoorSettings):
    message = write_mail(text="Please send this.")
    for n in range(2):
        message.replace_header("Message-ID", f"<{n}@alpha.test>")
        hand_in(door, message.as_bytes(), TO)
    del message["Message-ID"]
    for minute in (10, 11):
        message.replace_header("Date", f"Mon, 23 Nov 2026 10:{minute}:00 +0100")
        for _ in range(2):
            hand_in(door, message.as_bytes(), TO)
    assert len(faxes(app)) == 4


def test_a_refusal_is_answered_again_as_before_and_not_told_by_email_too(app: Flask, door: DoorSettings):
    content = letter(documents=())
    first, second = refusal(door, content), refusal(door, content)
    assert first == second
    assert first[0] == 550 and first[1].startswith("5.7.1 No document is attached")
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Notice)) == 0


def test_of_several_recipients_the_refused_are_told_by_email_where_one_was_accepted(
    app: Flask, cast: Cast, door: DoorSettings
):
    change(app, FaxEntity, cast.frontdesk, authentication="pin", pin=PIN)
    box = make_door_box(app, cast.alpha, cast.archive, name="second")
    with app.app_context():
        assert db.session.get(FaxEntity, cast.archive).box_id == box
    hand_in(
        door,
        letter(sender="alice@alpha.test"),
        f"{NUMBER}@501.{DOMAIN}",
        f"{NUMBER}@502.{DOMAIN}",
        sender="alice@alpha.test",
    )
    assert [message.fate for message in messages(app)] == ["refused", "accepted"]
    with app.app_context():
        assert sorted(db.session.scalars(sa.select(Notice.kind))) == ["mail_accepted", "mail_refused"]


def test_each_of_the_refused_is_told_however_many_there_are_on_one_day(app: Flask, cast: Cast, door: DoorSettings):
    change(app, FaxEntity, cast.frontdesk, authentication="pin", pin=PIN)
    make_door_box(app, cast.alpha, cast.archive, name="second")
    to = [f"{number}@501.{DOMAIN}" for number in (PUBLIC, "+390507654321")] + [f"{NUMBER}@502.{DOMAIN}"]
    for _ in range(2):
        hand_in(door, letter(sender="alice@alpha.test"), *to, sender="alice@alpha.test")
    assert sorted(message.fate for message in messages(app)) == ["accepted"] * 2 + ["refused"] * 4
    with app.app_context():
        told = db.session.scalars(sa.select(Notice.mail_id).where(Notice.kind == "mail_refused")).all()
    assert len(told) == len(set(told)) == 4, "all that the mail server heard was 250"


def test_a_no_to_all_recipients_is_not_told_by_email_too(app: Flask, cast: Cast, door: DoorSettings):
    with pytest.raises(smtplib.SMTPDataError, match=r"letter-0\.pdf: This PDF has damaged data"):
        hand_in(door, letter(documents=(b"%PDF-1.4 broken",)), TO, f"+390507654321@{DOMAIN}")
    assert [message.fate for message in messages(app)] == ["refused"] * 2
    with app.app_context():
        assert db.session.scalars(sa.select(Notice.kind)).all() == []


def test_a_test_that_passed_is_told_by_email_for_its_sender_sees_no_yes(app: Flask, box: int, door: DoorSettings):
    with app.app_context():
        address = db.session.get_one(Mail2FaxBox, box).address.address
    hand_in(door, letter(subject=f"test {NUMBER}"), address)
    assert [message.fate for message in messages(app)] == ["tested"]
    with app.app_context():
        assert db.session.scalars(sa.select(Notice.kind)).all() == ["mail_tested"]


def test_a_line_that_asks_for_a_pin_asks_for_it_here_too(app: Flask, cast: Cast, door: DoorSettings):
    change(app, FaxEntity, cast.frontdesk, authentication="pin", pin=PIN)
    assert refusal(door, letter())[0] == 550
    hand_in(door, letter(text=f"PIN {PIN}"), TO)
    assert len(faxes(app)) == 1


# ---- Who and for whom


def test_a_person_hands_in_their_own_emails_only(app: Flask, door: DoorSettings):
    assert refusal(door, letter(sender="alice@alpha.test"))[1].startswith("5.7.1 The sender in the email (From)")
    assert refusal(door, letter(), sender="eve@alpha.test")[1].startswith("5.7.1 eve@alpha.test is not")
    assert refusal(door, letter(sender="ops@faxroom.test"), sender="ops@faxroom.test")[0] == 550
    assert faxes(app) == []


UNKNOWN = f"{NUMBER}@elsewhere.test {NUMBER}@nowhere.{DOMAIN} {NUMBER}@frontdesk.beta.test office@{DOMAIN}".split()
UNKNOWN += [f"{NUMBER}@{label}.{DOMAIN}" for label in ("xn--", "xn--a", "xn--99999999999", "xn--ls8h-", "xn---")]
UNKNOWN += f"050965564/5@{DOMAIN} 12@{DOMAIN} {NUMBER}@archive.{DOMAIN} 0501234567890123456789@{DOMAIN}".split()


def test_nobodys_address_is_unknown(app: Flask, cast: Cast, door: DoorSettings):
    change(app, Tenant, cast.beta, fax_domain="beta.test")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        hand_in(door, letter(), *UNKNOWN)
    answers = {to: (code, text[:5]) for to, (code, text) in refused.value.recipients.items()}
    assert answers == dict.fromkeys(UNKNOWN, (550, b"5.1.1"))
    assert faxes(app) == []


def test_another_companys_line_is_not_told_from_one_that_is_not_there(app: Flask, cast: Cast, door: DoorSettings):
    make_door_box(app, cast.beta, cast.beta_line, name="theirs")
    change(app, Tenant, cast.beta, fax_domain="beta.test")
    theirs = refusal(door, letter(), f"{NUMBER}@office.{DOMAIN}")
    none = refusal(door, letter(), f"{NUMBER}@nobody.{DOMAIN}")
    assert theirs[1].replace("office", "") == none[1].replace("nobody", "")
    assert refusal(door, letter(), f"theirs@{DOMAIN}")[1].startswith("5.1.1")


def test_what_the_sender_may_not_dial_is_refused_before_the_email_is_taken(app: Flask, door: DoorSettings):
    forbidden = [f"{number}@{DOMAIN}" for number in ("112", "+881612345678")]
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        hand_in(door, letter(), *forbidden)
    assert {(code, text[:5]) for code, text in refused.value.recipients.values()} == {(550, b"5.7.1")}


def test_a_line_of_the_company_that_the_sender_may_not_use_is_refused(app: Flask, cast: Cast, door: DoorSettings):
    make_door_box(app, cast.alpha, cast.archive, name="second")
    assert refusal(door, letter(), f"{NUMBER}@archive.{DOMAIN}")[1].startswith("5.7.1")
    hand_in(door, letter(), TO)  # the front desk is still the only one that Bob has


def test_who_has_several_lines_has_to_name_one(app: Flask, cast: Cast, door: DoorSettings):
    make_door_box(app, cast.alpha, cast.archive, name="second")
    answer = refusal(door, letter(sender="alice@alpha.test"), TO, sender="alice@alpha.test")
    assert answer[1].startswith("5.1.1 You may send from several lines")


def test_a_mail_server_of_some_companies_speaks_for_no_other(app: Flask, cast: Cast, box: int, settings: DoorSettings):
    make_door_box(app, cast.beta, cast.beta_line, name="theirs")
    bound = replace(settings, peers=(Peer(ip_network("127.0.0.0/8"), frozenset({"alpha", "gone"})),))
    with open_door(app, bound):
        theirs = refusal(bound, letter(sender="charlie@beta.test"), sender="charlie@beta.test")
        nobodys = refusal(bound, letter(sender="nobody@beta.test"), sender="nobody@beta.test")
        assert theirs[1].replace("charlie", "nobody") == nobodys[1]
        hand_in(bound, letter(), TO)
    assert [fax.user_id for fax in faxes(app)] == [cast.bob]
    with app.app_context():
        assert companies_unknown(db.session, bound.companies) == ["gone"]


# ---- Strangers, copiers


def test_a_stranger_hands_in_nothing(app: Flask, shut: DoorSettings):
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        hand_in(shut, letter(), TO)
    assert refused.value.smtp_code == 530


def test_nobody_signs_in_without_tls(app: Flask, box: int, cast: Cast, shut: DoorSettings):
    username, secret = credential(app, box, cast.bob)
    with smtplib.SMTP("127.0.0.1", shut.port) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] == 538
        assert secret and username


def signed_in(settings: DoorSettings, username: str, secret: str) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", settings.port, timeout=100)
    client.starttls(context=trusting())
    client.login(username, secret)
    return client


def test_a_copier_signs_in_and_sends_as_its_person_whatever_it_calls_itself(
    app: Flask, box: int, cast: Cast, shut: DoorSettings
):
    username, secret = credential(app, box, cast.bob)
    message = write_mail(sender="copier@alpha.test", subject="Scan from 2nd floor", text="")
    message["Auto-Submitted"] = "auto-generated"
    with signed_in(shut, username, secret) as client:
        client.sendmail("scan@copier.local", [TO], message.as_bytes())
    assert [fax.user_id for fax in faxes(app)] == [cast.bob]
    with app.app_context():
        assert db.session.scalars(sa.select(DoorCredential.used_at)).one() is not None


def test_a_program_that_sends_for_all_of_a_company_names_the_person_and_no_other_companys(
    app: Flask, box: int, cast: Cast, shut: DoorSettings
):
    with signed_in(shut, *credential(app, box)) as client:
        client.sendmail("bob@alpha.test", [TO], letter())
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("charlie@beta.test", [TO], letter(sender="charlie@beta.test"))
    assert [fax.user_id for fax in faxes(app)] == [cast.bob]


def test_what_was_ended_lets_nobody_in_not_even_who_is_there(app: Flask, box: int, cast: Cast, shut: DoorSettings):
    username, secret = credential(app, box, cast.bob)
    with signed_in(shut, username, secret) as client:
        with app.app_context():
            db.session.execute(sa.update(DoorCredential).values(ended_at=utc_now()))
            db.session.commit()
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("bob@alpha.test", [TO], letter())
        assert refused.value.smtp_code == 535
    with pytest.raises(smtplib.SMTPAuthenticationError):
        signed_in(shut, username, secret)


def test_a_person_who_left_sends_by_no_copier(app: Flask, box: int, cast: Cast, shut: DoorSettings):
    username, secret = credential(app, box, cast.bob)
    change(app, User, cast.bob, disabled_at=utc_now())
    with signed_in(shut, username, secret) as client, pytest.raises(smtplib.SMTPSenderRefused):
        client.sendmail("bob@alpha.test", [TO], letter())


def test_guessing_ends_after_some_wrong_passwords(app: Flask, box: int, cast: Cast, shut: DoorSettings):
    username, secret = credential(app, box, cast.bob)
    codes = []
    for _ in range(listener.MOST_GUESSES + 1):
        try:
            signed_in(shut, username, "wrong").close()
        except smtplib.SMTPAuthenticationError as error:
            codes.append(error.smtp_code)
    assert codes[0] == 535 and codes[-1] == 454
    with pytest.raises(smtplib.SMTPAuthenticationError):
        signed_in(shut, username, secret)


def test_a_copier_with_a_withdrawn_password_shuts_out_no_other_behind_its_address(
    app: Flask, box: int, cast: Cast, shut: DoorSettings
):
    old, new = credential(app, box, cast.bob), credential(app, box, cast.bob, name="Second copier")
    for _ in range(listener.MOST_GUESSES + 1):
        with pytest.raises(smtplib.SMTPAuthenticationError):
            signed_in(shut, old[0], "withdrawn")
    with signed_in(shut, *new) as client:
        client.sendmail("bob@alpha.test", [TO], letter())
    assert len(faxes(app)) == 1


def test_who_tries_many_names_is_looked_at_no_longer():
    guard = listener.Guard()
    for n in range(listener.MOST_GUESSES_OF_ALL):
        assert not guard.has_guessed("192.0.2.1", "another")
        guard.guessed("192.0.2.1", f"name-{n}")
    assert guard.has_guessed("192.0.2.1", "another")
    assert not guard.has_guessed("192.0.2.2", "another")


def test_a_program_of_the_mail_server_is_let_in_where_the_box_names_it(app: Flask, box: int, door: DoorSettings):
    message = write_mail(text="")
    message["Auto-Submitted"] = "auto-generated"
    assert refusal(door, message.as_bytes())[1].startswith("5.7.1")
    change(app, Mail2FaxBox, box, programs="bob@alpha.test")
    message.replace_header("Message-ID", "<another@alpha.test>")
    hand_in(door, message.as_bytes(), TO)
    assert len(faxes(app)) == 1


# ---- What cannot be taken now


def test_what_does_not_work_now_is_asked_for_again(app: Flask, door: DoorSettings, monkeypatch: pytest.MonkeyPatch):
    def broken(*_given: object) -> None:
        raise OSError("the storage is away")

    content = letter()
    with monkeypatch.context() as patch:
        patch.setattr(desk, "deal_with", broken)
        assert refusal(door, content)[0] == 451
    hand_in(door, content, TO)
    assert len(faxes(app)) == 1


def test_a_quota_that_is_met_has_the_mail_server_try_again(app: Flask, cast: Cast, door: DoorSettings):
    change(app, Tenant, cast.alpha, quota_uploads=2)
    hand_in(door, letter(), TO)
    content = letter()
    assert refusal(door, content)[0] == 452
    change(app, Tenant, cast.alpha, quota_uploads=0)
    hand_in(door, content, TO)
    assert [message.fate for message in messages(app)] == [MailFate.ACCEPTED] * 2


def test_an_email_that_could_not_be_known_again_is_refused(app: Flask, door: DoorSettings):
    message = write_mail(text="")
    del message["Message-ID"]
    hand_in(door, message.as_bytes(), TO)  # its date tells it from another
    del message["Date"]
    assert refusal(door, message.as_bytes())[1].startswith("5.6.0")
    assert len(faxes(app)) == 1


def test_too_many_connections_of_one_address_hear_to_come_later(shut: DoorSettings):
    there = [socket.create_connection(("127.0.0.1", shut.port)) for _ in range(listener.MOST_BY_ADDRESS)]
    try:
        assert all(connection.recv(3) == b"220" for connection in there)
        with socket.create_connection(("127.0.0.1", shut.port)) as another:
            assert another.recv(3) == b"421"
    finally:
        for connection in there:
            connection.close()


def test_who_says_nothing_is_left(shut: DoorSettings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(listener, "SILENT", 0.3)
    with socket.create_connection(("127.0.0.1", shut.port), timeout=30) as silent:
        assert silent.recv(3) == b"220"
        while silent.recv(1000):
            pass


def test_a_message_that_is_too_large_is_refused_before_and_after_it_came(
    app: Flask, door: DoorSettings, monkeypatch: pytest.MonkeyPatch
):
    with smtplib.SMTP("127.0.0.1", door.port) as client:
        client.ehlo()
        most = int(client.esmtp_features["size"])
        assert client.docmd("MAIL", f"FROM:<bob@alpha.test> SIZE={most + 1}")[0] == 552


# ---- LMTP


def test_lmtp_answers_for_each_recipient(app: Flask, cast: Cast, door: DoorSettings):
    change(app, FaxEntity, cast.frontdesk, authentication="pin", pin=PIN)
    make_door_box(app, cast.alpha, cast.archive, name="second")
    with smtplib.LMTP("127.0.0.1", door.lmtp_port) as client:
        client.ehlo()
        assert client.has_extn("pipelining") and client.has_extn("8bitmime") and client.has_extn("smtputf8")
        client.mail("alice@alpha.test")
        assert client.rcpt(f"{NUMBER}@501.{DOMAIN}")[0] == client.rcpt(f"{NUMBER}@502.{DOMAIN}")[0] == 250
        assert client.rcpt(f"{NUMBER}@503.{DOMAIN}")[0] == 550
        first = client.data(letter(sender="alice@alpha.test"))
        second = client.getreply()
        assert (first[0], second[0]) == (550, 250)
        assert client.noop()[0] == 250
    assert [fax.entity_id for fax in faxes(app)] == [cast.archive]


def test_lmtp_says_of_each_recipient_that_a_message_was_too_large(app: Flask, door: DoorSettings):
    with smtplib.LMTP("127.0.0.1", door.lmtp_port) as client:
        client.ehlo()
        client.mail("bob@alpha.test")
        client.rcpt(TO)
        client.rcpt(f"+390507654321@{DOMAIN}")
        line = b"x" * 60_000 + b"\r\n"
        first = client.data(b"Subject: large\r\n\r\n" + line * 800)
        assert (first[0], client.getreply()[0]) == (552, 552)
        assert client.noop()[0] == 250
