"""The mail about a received fax, to the byte; and what strangers on the line put into it: nothing."""

import email
import email.policy
import re
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.errors import PermanentFailure
from app.jobs.outbox import notify
from app.models import Attempt, Direction, Fax, FaxEntity, Grant, Notice, Status
from app.rules.numbers.callers import read_caller
from app.rules.numbers.naming import document_name
from app.rules.outbox.notices import received_text, subject_of
from tenants.addresses import change_address
from tenants.db import db, utc_now
from tenants.models import Tenant, User
from tests.db.receptions import came, told
from tests.web.cast import Cast

SUBJECT = "[KPBX40299999] FAX successfully received from 00501234567"
FILE = "F00501234567_T0509655637_2020-03-12_11_51_38_1.pdf"
#: As in the reference's example, with its no-break space before the colon and its blank behind the 1.
BODY = """\
FAX received from 0501234567

Date and time: 12/03/2020 11:51:38
Transmission time\u00a0: 34 seconds
Number of pages: 1\u0020
"""


def deliver_all() -> None:
    db.session.rollback()
    notice_ids = list(db.session.scalars(sa.select(Notice.id).order_by(Notice.id)))
    db.session.rollback()
    for notice_id in notice_ids:
        notify.deliver(notice_id)


@pytest.fixture
def mails(app, phone, spool, server) -> Callable[..., list[EmailMessage]]:
    """The mails that a call leads to."""

    def received(outcome: str = "success", *, pages: int = 1, **call: object) -> list[EmailMessage]:
        if pages:
            came(spool, pages=pages)
        told(outcome, pages=pages, **call)
        deliver_all()
        return server

    with app.app_context():
        yield received


def text_of(message: EmailMessage) -> str:
    return message.get_body().get_content()


def attachment_of(message: EmailMessage) -> EmailMessage:
    (attachment,) = message.iter_attachments()
    return attachment


def test_the_mail_is_the_references_to_the_byte(mails):
    alices, bobs = mails()
    assert [mail["To"] for mail in (alices, bobs)] == ["alice@alpha.test", "bob@alpha.test"]
    for message in (alices, bobs):
        assert message["Subject"] == SUBJECT
        assert message.get_body().get_payload(decode=True) == BODY.encode()
        assert attachment_of(message).get_filename() == FILE
        assert attachment_of(message).get_content_type() == "application/pdf"
        assert attachment_of(message).get_payload(decode=True).startswith(b"%PDF-")


def test_the_blank_at_the_end_of_a_line_survives_every_server_on_the_way(mails):
    message = mails()[0]
    raw = message.get_body().as_bytes()
    assert b"Number of pages: 1=20\n" in raw
    assert raw.isascii()


def test_each_has_a_mail_of_their_own_that_names_nobody_else(mails):
    alices, bobs = mails()
    assert alices["Message-ID"] != bobs["Message-ID"]
    assert b"bob@alpha.test" not in alices.as_bytes()
    assert not {"Cc", "Bcc"} & set(alices.keys())


def test_lines_for_programs_are_the_same_in_every_language(mails, app, cast):
    db.session.get_one(User, cast.bob).language = "it"
    db.session.commit()
    alices, bobs = mails()
    assert text_of(alices) == text_of(bobs) == BODY


@pytest.mark.parametrize(
    ("caller", "in_subject", "in_body"),
    [
        ("+390501234567", "00501234567", "0501234567"),
        ("+493023125000", "000493023125000", "00493023125000"),
        ("anonymous", "anonymous", "anonymous"),
        ("", "anonymous", "anonymous"),
        ("502", "502", "502"),
        ("+39 333 1234567", "03331234567", "3331234567"),
    ],
)
def test_a_caller_has_the_contracts_forms(mails, caller, in_subject, in_body):
    message = mails(caller=caller)[0]
    assert message["Subject"] == f"[KPBX40299999] FAX successfully received from {in_subject}"
    assert text_of(message).splitlines()[0] == f"FAX received from {in_body}"
    assert attachment_of(message).get_filename().startswith(f"F{in_subject}_T0509655637_")


def test_the_companys_own_prefix_and_zone_are_used(mails, app, cast):
    alpha = db.session.get_one(Tenant, cast.alpha)
    alpha.outside_prefix, alpha.timezone = "", "America/New_York"
    db.session.commit()
    message = mails()[0]
    assert message["Subject"].endswith("received from 0501234567")
    assert "Date and time: 12/03/2020 06:51:38\n" in text_of(message)
    assert attachment_of(message).get_filename() == "F0501234567_T0509655637_2020-03-12_06_51_38_1.pdf"


def test_one_second_and_many_pages_keep_the_references_words(mails):
    message = mails(pages=3, facts={"ended_at": 1584010299.0})[0]
    assert text_of(message).splitlines()[3:] == ["Transmission time\u00a0: 1 seconds", "Number of pages: 3 "]


def test_an_incomplete_fax_is_called_so_and_says_what_to_do_in_the_readers_language(mails, app, cast):
    db.session.get_one(User, cast.bob).language = "it"
    db.session.commit()
    alices, bobs = mails("dropped", pages=1)
    for message in (alices, bobs):
        assert message["Subject"] == "[KPBX40299999] FAX incompletely received from 00501234567"
        assert text_of(message).startswith(BODY)
        assert attachment_of(message).get_filename() == FILE
    said = "The call ended early: only 1 page arrived. Ask the sender to send it again."
    assert text_of(alices).removeprefix(BODY) == f"\n{said}\n"
    assert "1 pagina" in text_of(bobs)
    assert "Ask the sender" not in text_of(bobs)


def test_a_fax_that_cannot_be_read_is_mailed_without_a_document(mails, spool):
    (spool / "1795383441.9.tif").write_bytes(b"\0" * 100)
    message = mails(pages=0)[0]
    assert message["Subject"] == "[KPBX40299999] FAX incompletely received from 00501234567"
    assert "damaged" in text_of(message)
    assert list(message.iter_attachments()) == []


def test_a_recipient_who_is_refused_costs_the_others_nothing(mails, monkeypatch):
    handed = []

    def refuse_alice(url: str | None, message: EmailMessage) -> None:
        if message["To"] == "alice@alpha.test":
            raise PermanentFailure("mail_refused", reason="550 no such user")
        handed.append(message["To"])

    monkeypatch.setattr(notify, "send_mail", refuse_alice)
    mails()
    assert handed == ["bob@alpha.test"]
    ended = {notice.recipient: notice.error for notice in db.session.scalars(sa.select(Notice))}
    assert "550" in ended["alice@alpha.test"]
    assert ended["bob@alpha.test"] is None


# ---- Rights that are withdrawn while a mail waits


def disable(cast: Cast) -> None:
    db.session.get_one(User, cast.alice).disabled_at = utc_now()


def withdraw(cast: Cast) -> None:
    grants = sa.update(Grant).where(Grant.user_id == cast.bob, Grant.entity_id == cast.frontdesk)
    db.session.execute(grants.values(may_receive=False))


def give_address_up(cast: Cast) -> None:
    change_address(db.session, db.session.get_one(User, cast.bob).address, "robert@alpha.test")


def give_address_to_another_company(cast: Cast) -> None:
    give_address_up(cast)
    change_address(db.session, db.session.get_one(User, cast.charlie).address, "bob@alpha.test")


@pytest.mark.parametrize(
    ("happens", "left"),
    [
        (disable, "bob@alpha.test"),
        (withdraw, "alice@alpha.test"),
        (give_address_up, "alice@alpha.test"),
        (give_address_to_another_company, "alice@alpha.test"),
    ],
)
def test_who_may_not_see_the_fax_any_more_when_the_mail_leaves_gets_none_and_the_others_do(
    app, cast, phone, spool, server, caplog, happens, left
):
    with app.app_context():
        came(spool)
        told()
        happens(cast)
        db.session.commit()
        with caplog.at_level("INFO", notify.__name__):
            deliver_all()
        assert [mail["To"] for mail in server] == [left]
        assert all(notice.sent_at for notice in db.session.scalars(sa.select(Notice))), "nothing waits any more"
    (said,) = [record.getMessage() for record in caplog.records if "is not sent" in record.getMessage()]
    assert "@" not in said


# ---- What strangers on the line write

#: Line ends that would begin another header, controls that turn text round, NUL, what a shell or a path would heed.
NASTY = "\r\n\0\x1b\u2028\u202e\u2066\ufeff٣é/\\..;&`$<>\"'%,:@*#+ 0123456789abcBcc"
strangers_text = st.text(st.sampled_from(NASTY) | st.characters(), max_size=60)


@pytest.fixture(scope="module")
def entity() -> FaxEntity:
    zone = "Europe/Rome"
    tenant = Tenant(slug="alpha", serial="KPBX40299999", region="IT", timezone=zone, outside_prefix="0")
    entity = FaxEntity(name="frontdesk", extension="501", number="+390509655637")
    entity.tenant = tenant
    return entity


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(caller=strangers_text)
@example(caller="0501234567\r\nBcc: everybody@beta.test")
@example(caller="+390501234567\u202e_fdp.exe\0")
@example(caller="../../../../etc/passwd")
@example(caller="+" + "9" * 300)
@example(caller="+999")
@example(caller="++39+050")
@example(caller="٠٥٠١٢٣٤٥٦٧")
def test_a_caller_id_leaves_nothing_but_a_number(entity, caller):
    moment = datetime(2020, 3, 12, 11, 51, 38, tzinfo=ZoneInfo("Europe/Rome"))
    fax = Fax(direction=Direction.RECEIVED, status=Status.RECEIVED, number=211, pages=1, created_at=moment)
    fax.entity, fax.tenant, fax.remote_number = entity, entity.tenant, read_caller(caller, "IT")
    fax.attempts = [Attempt(answered_at=moment, ended_at=moment)]
    message = EmailMessage()
    message["Subject"] = subject_of(fax)
    written = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert list(written.keys()) == ["Subject"]
    assert re.fullmatch(r"\[KPBX40299999\] FAX successfully received from ([0-9]{1,40}|anonymous)", written["Subject"])
    assert re.fullmatch(r"FAX received from ([0-9]{1,40}|anonymous)", received_text(fax).splitlines()[0])
    assert len(received_text(fax).splitlines()) == 5
    assert re.fullmatch(r"F([0-9]{1,40}|anonymous)_T0509655637_2020-03-12_11_51_38_211\.pdf", document_name(fax))
    assert fax.remote_number is None or len(fax.remote_number) <= 32


@pytest.mark.parametrize("station", ['"><script>alert(1)</script>', "A" * 500, "\u202eHello", "Studio Rossi"])
def test_a_station_id_gets_into_no_mail(mails, station):
    message = mails(facts={"remote_station_id": station})[0]
    assert text_of(message) == BODY
    (fax,) = db.session.scalars(sa.select(Fax))
    assert fax.remote_station_id == station[:64]
