"""One collector a box, one fax a mail, one answer, one mail about a box that does not work."""

from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.adapters.documents.preparation import Offices
from app.errors import TemporaryFailure
from app.models import BoxState, Document, Fax, FaxEntity, Grant, Mail2FaxBox, MailFate, MailMessage, Notice, NoticeKind
from app.rules.mail2fax.answers import MOST_TOLD, tell_of_fault
from app.rules.mail2fax.ledger import (
    FOLDERS,
    LEASE,
    PATIENCE,
    SENDER_GUESSES,
    Delivery,
    add_states,
    boxes_to_collect,
    claim_box,
    claimable,
    delay_after,
    filed_before,
    give_back,
    is_to_be_told,
    message_digest,
    message_id,
    note_fault,
    note_filed,
    note_fine,
    renew_leases,
)
from app.rules.words.sentences import sentence
from tenants.db import utc_now
from tenants.models import Role, Tenant, User
from tests.db.mails import NUMBER, PIN, make_box, tells_pin, write_mail
from tests.web.cast import Cast, make_user, pdf_bytes

Verdict = pytest.importorskip("app.services.mail2fax.judging").Verdict
collected = pytest.importorskip("app.jobs.mail2fax.messages")
deal_with = collected.deal_with


@pytest.fixture
def box_id(app: Flask, cast: Cast) -> int:
    return make_box(app, cast)


def delivery(cast: Cast, box_id: int, raw: bytes, *, uid: int = 1, uid_validity: int = 7) -> Delivery:
    return Delivery(cast.alpha, box_id, uid_validity, uid, message_id(raw), message_digest(raw), len(raw))


def take(session: Session, cast: Cast, box_id: int, raw: bytes, **where: int) -> MailMessage:
    dealt = deal_with(delivery(cast, box_id, raw, **where), raw)
    return session.get_one(MailMessage, dealt.row_id, populate_existing=True)


def count(session: Session, model: type) -> int:
    return session.scalar(sa.select(sa.func.count()).select_from(model))


# ---- Leases


def test_of_two_processes_one_gets_the_box(session: Session, box_id: int):
    add_states(session, boxes_to_collect(session))
    now = utc_now()
    assert claimable(session, [box_id], now) == box_id
    assert claim_box(session, box_id, "one", now)
    assert not claim_box(session, box_id, "two", now)
    assert renew_leases(session, "two", [box_id], now) == set()
    assert renew_leases(session, "one", [], now) == set()
    assert renew_leases(session, "one", [box_id], now) == {box_id}


def test_a_process_that_says_nothing_loses_its_box_for_good(session: Session, box_id: int):
    add_states(session, boxes_to_collect(session))
    now = utc_now()
    assert claim_box(session, box_id, "one", now)
    later = now + LEASE + timedelta(seconds=1)
    assert renew_leases(session, "one", [box_id], later) == set()
    assert claim_box(session, box_id, "two", later)
    give_back(session, box_id, "one", due_at=later)
    assert renew_leases(session, "two", [box_id], later) == {box_id}, "and gives back nothing that is another's"


def test_a_box_rests_until_it_is_due(session: Session, box_id: int):
    add_states(session, boxes_to_collect(session))
    now = utc_now()
    claim_box(session, box_id, "one", now)
    give_back(session, box_id, "one", due_at=now + timedelta(seconds=60))
    assert claimable(session, [box_id], now) is None
    assert not claim_box(session, box_id, "one", now)
    assert claimable(session, [box_id], now + timedelta(seconds=61)) == box_id


def test_a_box_that_no_entity_has_is_not_collected(session: Session, cast: Cast, box_id: int):
    assert [box.box_id for box in boxes_to_collect(session)] == [box_id]
    session.get_one(FaxEntity, cast.frontdesk).closed_at = utc_now()
    session.commit()
    assert boxes_to_collect(session) == []


def test_a_company_that_is_being_deleted_is_left_alone(session: Session, cast: Cast, box_id: int):
    session.get_one(Tenant, cast.alpha).deleting_at = utc_now()
    session.commit()
    assert boxes_to_collect(session) == []


def test_new_settings_are_noticed(session: Session, box_id: int):
    (before,) = boxes_to_collect(session)
    assert boxes_to_collect(session) == [before]
    session.execute(sa.text("UPDATE mail2fax_box SET username = 'other'"))
    session.commit()
    (after,) = boxes_to_collect(session)
    assert after.version != before.version


# ---- Faults


def fail(session: Session, box_id: int, code: str, now) -> BoxState:
    state = note_fault(session, box_id, TemporaryFailure(code), now)
    if is_to_be_told(state, now):
        tell_of_fault(session, state, now)
    session.commit()
    return state


def test_a_fault_that_only_a_person_can_mend_is_told_once(session: Session, cast: Cast, box_id: int):
    add_states(session, boxes_to_collect(session))
    now = utc_now()
    fail(session, box_id, "imap_refused", now)
    assert count(session, Notice) == 0, "one failure may be an accident"
    for minutes in range(1, 60):
        fail(session, box_id, "imap_refused", now + timedelta(minutes=minutes))
    (notice,) = session.scalars(sa.select(Notice))
    assert (notice.kind, notice.recipient) == (NoticeKind.BOX_FAULT, "alice@alpha.test")


def test_a_server_that_is_started_again_is_no_news_but_one_that_stays_away_is(session: Session, box_id: int):
    add_states(session, boxes_to_collect(session))
    now = utc_now()
    for seconds in (0, 30, 120):
        fail(session, box_id, "imap_down", now + timedelta(seconds=seconds))
    assert count(session, Notice) == 0
    fail(session, box_id, "imap_down", now + PATIENCE)
    assert count(session, Notice) == 1
    note_fine(session, box_id, now + PATIENCE, idle=True)
    state = session.get_one(BoxState, box_id, populate_existing=True)
    assert (state.fault, state.told_at, state.failures) == (None, None, 0)
    for _ in range(2):
        fail(session, box_id, "imap_refused", now + 2 * PATIENCE)
    assert count(session, Notice) == 2, "a fault after it had worked is another one"


def test_the_wait_grows_with_each_failure():
    assert delay_after(1) < delay_after(2) < delay_after(4)


# ---- One mail, one fax


def test_a_mail_becomes_one_fax_with_its_document_and_one_answer(session: Session, cast: Cast, box_id: int):
    raw = write_mail().as_bytes()
    message = take(session, cast, box_id, raw)
    assert message.fate == MailFate.ACCEPTED, (message.reason, message.checks)
    fax = message.fax
    assert (fax.origin, fax.entity_id, fax.user_id) == ("mail", cast.frontdesk, cast.bob)
    assert fax.remote_number == "+390501234567"
    assert fax.source.name == "letter-0.pdf"
    (notice,) = session.scalars(sa.select(Notice))
    assert (notice.kind, notice.recipient, notice.fax_id) == (NoticeKind.MAIL_ACCEPTED, "bob@alpha.test", fax.id)
    assert message.answered


def test_the_same_message_is_dealt_with_once(session: Session, cast: Cast, box_id: int):
    raw = write_mail().as_bytes()
    first = take(session, cast, box_id, raw).id
    assert take(session, cast, box_id, raw).id == first
    assert (count(session, Fax), count(session, MailMessage), count(session, Notice)) == (1, 1, 1)


@pytest.mark.parametrize("where", [{"uid": 2}, {"uid_validity": 8}], ids=["delivered twice", "mailbox restored"])
def test_the_same_mail_elsewhere_is_named_as_repeated_and_sent_once(
    session: Session, cast: Cast, box_id: int, where: dict[str, int]
):
    raw = write_mail().as_bytes()
    first = take(session, cast, box_id, raw)
    again = take(session, cast, box_id, b"Received: by another server\n" + raw, **where)
    assert (again.fate, again.fax_id) == (MailFate.REPEATED, first.fax_id)
    assert (count(session, Fax), count(session, Notice)) == (1, 1)


def test_two_mails_about_the_same_are_two_faxes(session: Session, cast: Cast, box_id: int):
    for uid in (1, 2):
        take(session, cast, box_id, write_mail().as_bytes(), uid=uid)
    assert count(session, Fax) == 2


def test_a_uid_that_a_server_uses_again_hides_no_mail(session: Session, cast: Cast, box_id: int):
    for _ in range(2):
        assert take(session, cast, box_id, write_mail().as_bytes()).fate == MailFate.ACCEPTED
    assert count(session, Fax) == 2


def test_a_refused_mail_that_is_moved_back_is_judged_again(session: Session, cast: Cast, box_id: int):
    raw = write_mail(text="PIN 1234").as_bytes()
    assert take(session, cast, box_id, raw).fate == MailFate.REFUSED
    session.get_one(FaxEntity, cast.frontdesk).pin = "1234"
    session.commit()
    assert take(session, cast, box_id, raw, uid=2).fate == MailFate.ACCEPTED


def test_who_enters_the_same_mail_at_the_same_moment_makes_no_second_fax(
    app: Flask, session: Session, cast: Cast, box_id: int, monkeypatch: pytest.MonkeyPatch
):
    """The other one commits between our look and our commit."""
    raw, judge, others = write_mail().as_bytes(), collected.judge, []

    def slow(*arguments: object, **more: object) -> Verdict:
        verdict = judge(*arguments, **more)
        monkeypatch.setattr(collected, "judge", judge)
        with app.app_context():
            others.append(deal_with(delivery(cast, box_id, raw, uid=9), raw).fate)
        return verdict

    monkeypatch.setattr(collected, "judge", slow)
    mine = take(session, cast, box_id, raw)
    assert others == [MailFate.ACCEPTED]
    assert mine.fate == MailFate.REPEATED
    assert (count(session, Fax), count(session, Notice), count(session, Document)) == (1, 1, 1)


def test_what_is_not_there_for_now_enters_nothing(
    session: Session, cast: Cast, box_id: int, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> Verdict:
        raise TemporaryFailure("storage_down")

    raw = write_mail().as_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(collected, "take_source", fail)
        with pytest.raises(TemporaryFailure):
            take(session, cast, box_id, raw)
    session.rollback()
    assert (count(session, MailMessage), count(session, Fax)) == (0, 0)
    assert take(session, cast, box_id, raw).fate == MailFate.ACCEPTED


def test_a_mail_that_breaks_the_rules_themselves_is_refused_and_holds_up_nothing(
    session: Session, cast: Cast, box_id: int, monkeypatch: pytest.MonkeyPatch
):
    def crash(*_: object, **__: object) -> Verdict:
        raise RecursionError

    monkeypatch.setattr(collected, "judge", crash)
    message = take(session, cast, box_id, write_mail().as_bytes())
    assert (message.fate, message.reason, message.answered) == (MailFate.REFUSED, "mail_unreadable", False)


def test_several_documents_become_one_fax_in_order(session: Session, cast: Cast, box_id: int):
    message = take(session, cast, box_id, write_mail(documents=(pdf_bytes(2), pdf_bytes(3))).as_bytes())
    assert message.fate == MailFate.ACCEPTED, (message.reason, message.checks)
    assert message.fax.source.pages == 5
    assert message.fax.source.name == "letter-0 + 1.pdf"


def test_several_documents_keep_what_is_to_be_said_of_each_and_are_written_as_the_company_writes(
    session: Session, cast: Cast, box_id: int, monkeypatch: pytest.MonkeyPatch
):
    told = iter(([{"kind": "tracked_changes"}], [], [{"kind": "missing_characters", "characters": "\u13a0"}]))
    locales, as_pdf = [], collected.pdf_of

    def converted(*arguments: object, offices: Offices, **options: object) -> tuple[object, list[dict[str, str]]]:
        locales.append(offices.locale)
        return as_pdf(*arguments, offices=offices, **options)[0], next(told)

    monkeypatch.setattr(collected, "pdf_of", converted)
    message = take(session, cast, box_id, write_mail(documents=(pdf_bytes(), pdf_bytes(), pdf_bytes())).as_bytes())
    assert [warning["kind"] for warning in message.fax.source.warnings] == ["tracked_changes", "missing_characters"]
    assert locales == ["it-IT"] * 3


# ---- Refusals


def test_a_refusal_by_the_faxs_own_door_is_answered_and_leaves_no_document(session: Session, cast: Cast, box_id: int):
    session.get_one(Tenant, cast.alpha).suspended_at = utc_now()
    session.commit()
    message = take(session, cast, box_id, write_mail().as_bytes())
    assert (message.fate, message.reason) == (MailFate.REFUSED, "tenant_suspended")
    assert (count(session, Fax), count(session, Document)) == (0, 0)


@pytest.mark.parametrize("documents", [(b"%PDF-1.4 broken",), (pdf_bytes(), b"%PDF-1.4 broken", pdf_bytes())])
def test_which_of_the_documents_cannot_be_read_is_told(
    session: Session, cast: Cast, box_id: int, documents: tuple[bytes, ...]
):
    message = take(session, cast, box_id, write_mail(documents=documents).as_bytes())
    assert (message.fate, message.reason) == (MailFate.REFUSED, "damaged")
    name = f"letter-{documents.index(b'%PDF-1.4 broken')}.pdf"
    assert sentence(message.reason, **message.reason_values) == f"{name}: {sentence('damaged', kind='pdf')}"


def test_a_stranger_gets_no_answer(session: Session, cast: Cast, box_id: int):
    message = take(session, cast, box_id, write_mail(sender="mallory@evil.test").as_bytes())
    assert message.fate == MailFate.REFUSED
    assert not message.answered
    assert count(session, Notice) == 0


def test_whose_address_alone_speaks_for_them_is_told_once_a_day(session: Session, cast: Cast, box_id: int):
    session.get_one(FaxEntity, cast.frontdesk).authentication = "none"
    session.commit()
    told = [take(session, cast, box_id, write_mail(subject="no number").as_bytes(), uid=uid).answered for uid in (1, 2)]
    assert told == [True, False]
    (notice,) = session.scalars(sa.select(Notice))
    notice.occasion = "2026-01-01"  # as if it had been another day
    session.commit()
    assert take(session, cast, box_id, write_mail(subject="no number").as_bytes(), uid=3).answered


def test_who_forgets_the_pin_is_told_once_a_day_although_nobody_vouches(session: Session, cast: Cast, box_id: int):
    told = [take(session, cast, box_id, write_mail(text="Hello").as_bytes(), uid=uid).answered for uid in (1, 2)]
    assert told == [True, False]
    assert count(session, Notice) == 1


def test_a_mail_that_the_server_calls_forged_is_answered_to_nobody(session: Session, cast: Cast, box_id: int):
    session.get_one(Mail2FaxBox, box_id).authserv_id = "mx.alpha.test"
    session.commit()
    forged = b"Authentication-Results: mx.alpha.test; dmarc=fail header.from=alpha.test\n"
    message = take(session, cast, box_id, forged + write_mail(text="PIN 1111").as_bytes())
    assert (message.answered, message.guesses) == (False, None)


def test_who_knows_the_pin_is_told_of_every_mail(session: Session, cast: Cast, box_id: int):
    raws = [write_mail(subject="no number").as_bytes() for _ in range(MOST_TOLD + 2)]
    assert all(take(session, cast, box_id, raw, uid=uid).answered for uid, raw in enumerate(raws, 1))
    assert count(session, Notice) == MOST_TOLD + 2


def large(raw: bytes) -> tuple[bytes, int]:
    """What is read of it, and how large it is."""
    return raw[: collected.BEGINNING], collected.MOST_MAIL + 1


def test_a_mail_that_is_too_large_is_answered_by_what_stands_at_its_beginning(
    session: Session, cast: Cast, box_id: int
):
    for uid, text in enumerate((f"PIN {PIN}", "Hello"), 1):
        raw, size = large(write_mail(text=text, documents=(b"%PDF-1.4" + bytes(600_000),)).as_bytes())
        where = replace(delivery(cast, box_id, raw, uid=uid), size=size)
        message = session.get_one(MailMessage, deal_with(where, raw).row_id)
        assert (message.reason, message.answered) == ("too_large", True)
        failed = [check["values"]["reason"] for check in message.checks if check["passed"] is False]
        assert failed == [], "what was not read is no fault"
    assert [bool(notice.occasion) for notice in session.scalars(sa.select(Notice).order_by(Notice.id))] == [False, True]


def test_after_too_many_wrong_pins_the_right_one_is_refused_as_well(session: Session, cast: Cast, box_id: int):
    for uid in range(SENDER_GUESSES):
        wrong = take(session, cast, box_id, write_mail(text=f"PIN 100{uid}").as_bytes(), uid=uid)
        assert wrong.reason == "pin_wrong"
    right = take(session, cast, box_id, write_mail().as_bytes(), uid=100)
    wrong = take(session, cast, box_id, write_mail(text="PIN 1111").as_bytes(), uid=101)
    assert (right.fate, right.reason) == (wrong.fate, wrong.reason) == (MailFate.REFUSED, "pin_locked")
    assert [check["passed"] for check in right.checks if check["code"].startswith("pin")] == [
        check["passed"] for check in wrong.checks if check["code"].startswith("pin")
    ]
    session.execute(sa.update(MailMessage).values(created_at=utc_now() - timedelta(hours=2)))
    session.commit()
    assert take(session, cast, box_id, write_mail().as_bytes(), uid=102).fate == MailFate.ACCEPTED


def test_the_same_wrong_pin_again_and_again_is_one_guess(session: Session, cast: Cast, box_id: int):
    for uid in range(2 * SENDER_GUESSES):
        take(session, cast, box_id, write_mail(text="PIN 1234").as_bytes(), uid=uid)
    assert take(session, cast, box_id, write_mail().as_bytes(), uid=100).fate == MailFate.ACCEPTED


@pytest.mark.parametrize(
    "text", ["Hello", "Bob\n56121 Pisa", "Tel. +39 050 965564{n}", "01234567{n}90", "PIN 12345{n}"]
)
def test_what_cannot_be_the_pin_is_no_guess(session: Session, cast: Cast, box_id: int, text: str):
    for uid in range(2 * SENDER_GUESSES):
        take(session, cast, box_id, write_mail(text=text.format(n=uid)).as_bytes(), uid=uid)
    assert take(session, cast, box_id, write_mail().as_bytes(), uid=100).fate == MailFate.ACCEPTED


def test_a_guess_counts_whatever_else_is_wrong_with_the_mail(session: Session, cast: Cast, box_id: int):
    """Else whoever reads a user's mailbox could try PINs with mails that are refused for another reason."""
    for uid in range(SENDER_GUESSES):
        take(session, cast, box_id, write_mail(subject="x", text=f"PIN 100{uid}").as_bytes(), uid=uid)
    right = take(session, cast, box_id, write_mail(subject="x").as_bytes(), uid=100)
    assert right.reason == "pin_locked"
    assert not any(check["code"] == "pin" and check["passed"] is not None for check in right.checks)


def vouched_for(mail: EmailMessage) -> bytes:
    return b"Authentication-Results: mx.alpha.test; dmarc=pass header.from=alpha.test\n" + mail.as_bytes()


def test_wrong_pins_shut_out_their_sender_and_nobody_else(session: Session, cast: Cast, box_id: int):
    """Whoever writes the addresses of a company's people cannot shut the company out, nor anybody for whom the mail
    server vouches."""
    session.get_one(Mail2FaxBox, box_id).authserv_id = "mx.alpha.test"
    people = [f"person{n}@alpha.test" for n in range(6)]
    for address in people:
        user = make_user(address, address, session.get_one(Tenant, cast.alpha), Role.USER)
        session.flush()
        session.add(Grant(tenant_id=cast.alpha, entity_id=cast.frontdesk, user_id=user.id, may_send=True))
    session.commit()
    *forged, genuine = people
    for uid in range(SENDER_GUESSES * len(forged)):
        raw = write_mail(sender=forged[uid % len(forged)], text=f"PIN 10{uid:02}").as_bytes()
        assert take(session, cast, box_id, raw, uid=uid).reason == "pin_wrong"
    assert take(session, cast, box_id, write_mail(sender=genuine).as_bytes(), uid=200).fate == MailFate.ACCEPTED
    assert take(session, cast, box_id, write_mail(sender=forged[0]).as_bytes(), uid=201).reason == "pin_locked"
    known = take(session, cast, box_id, vouched_for(write_mail(sender=forged[0])), uid=202)
    assert known.fate == MailFate.ACCEPTED
    for uid in range(SENDER_GUESSES):
        take(session, cast, box_id, vouched_for(write_mail(sender=genuine, text=f"PIN 20{uid:02}")), uid=300 + uid)
    assert take(session, cast, box_id, vouched_for(write_mail(sender=genuine)), uid=400).reason == "pin_locked"


def test_a_colleague_who_may_not_send_finds_nothing_out_about_the_pin(session: Session, cast: Cast, box_id: int):
    dave = make_user("dave@alpha.test", "Dave", session.get_one(Tenant, cast.alpha), Role.USER)
    session.commit()
    for uid, text in enumerate(("PIN 1111", f"PIN {PIN}"), 1):
        message = take(session, cast, box_id, write_mail(sender=dave.email, text=text).as_bytes(), uid=uid)
        assert (message.reason, message.guesses) == ("sender_unknown", None)
        assert [check["passed"] for check in message.checks if check["code"] == "pin"] == [None]


# ---- Programs


def scanned(**values: object) -> bytes:
    return b"Auto-Submitted: auto-generated\n" + write_mail(**values).as_bytes()


@pytest.fixture
def scanner(session: Session, box_id: int) -> str:
    session.get_one(Mail2FaxBox, box_id).programs = "other@alpha.test bob@alpha.test"
    session.commit()
    return "bob@alpha.test"


def test_a_program_that_the_box_names_faxes_and_is_never_answered(session: Session, cast: Cast, box_id: int, scanner):
    message = take(session, cast, box_id, scanned(sender=scanner))
    assert (message.fate, message.answered) == (MailFate.ACCEPTED, False)
    assert count(session, Notice) == 0


def test_a_program_needs_the_pin_like_anybody_and_administrators_hear_of_the_first_and_of_how_many(
    session: Session, cast: Cast, box_id: int, scanner
):
    for uid in (1, 2, 3):
        message = take(session, cast, box_id, scanned(sender=scanner, text="no PIN"), uid=uid)
        assert (message.fate, message.reason, message.answered) == (MailFate.REFUSED, "mail_pin_missing", False)
    first, last = session.scalars(sa.select(Notice).order_by(Notice.id))
    assert first.recipient == last.recipient == "alice@alpha.test"
    assert first.due_at <= utc_now() < last.due_at <= utc_now() + timedelta(days=1)


def test_each_program_of_a_day_is_told_of(session: Session, cast: Cast, box_id: int, scanner):
    session.get_one(Mail2FaxBox, box_id).programs = "alice@alpha.test bob@alpha.test"
    make_user("boss@alpha.test", "Boss", session.get_one(Tenant, cast.alpha), Role.ADMIN)
    session.commit()
    for uid, sender in enumerate(("alice@alpha.test", "bob@alpha.test", "alice@alpha.test"), start=1):
        take(session, cast, box_id, scanned(sender=sender, text="no PIN"), uid=uid)
    told = session.scalars(sa.select(Notice.occasion).where(Notice.recipient == "boss@alpha.test")).all()
    assert len(told) == 3 and sum(occasion.endswith("all") for occasion in told) == 1


@pytest.mark.parametrize(
    "head",
    [
        b"Auto-Submitted: auto-replied",
        b"Auto-Submitted: auto-generated\nAuto-Submitted: auto-replied",
        b"Auto-Submitted: auto-generated\nList-Id: <a.alpha.test>",
        b"Auto-Submitted: auto-generated\nReturn-Path: <>",
        b"Auto-Submitted: auto-generated\nIn-Reply-To: <1@faxroom.alpha.invalid>",
    ],
)
def test_no_answer_bounce_or_list_is_let_in_with_it(session: Session, cast: Cast, box_id: int, scanner, head: bytes):
    message = take(session, cast, box_id, head + b"\n" + write_mail(sender=scanner).as_bytes())
    assert (message.fate, message.reason, message.answered) == (MailFate.REFUSED, "mail_automatic", False)
    assert count(session, Notice) == 0


def test_a_program_that_the_box_does_not_name_stays_out(session: Session, cast: Cast, box_id: int, scanner):
    session.get_one(Mail2FaxBox, box_id).programs = "BOB@alpha.test"
    session.commit()
    assert take(session, cast, box_id, scanned(sender=scanner)).reason == "mail_automatic"
    assert count(session, Notice) == 0


def test_a_test_is_filed_with_what_is_done_and_answered_as_what_it_is(session: Session, cast: Cast, box_id: int):
    message = take(session, cast, box_id, write_mail(subject=f"test {NUMBER}").as_bytes())
    assert (message.fate, message.fax_id, message.answered) == (MailFate.TESTED, None, True)
    assert FOLDERS[message.fate] == FOLDERS[MailFate.ACCEPTED]
    assert [notice.kind for notice in session.scalars(sa.select(Notice))] == [NoticeKind.MAIL_TESTED]
    assert count(session, Fax) == count(session, Document) == 0
    assert take(session, cast, box_id, write_mail().as_bytes(), uid=2).fate == MailFate.ACCEPTED


def test_a_test_that_fails_is_refused_like_any_mail(session: Session, cast: Cast, box_id: int):
    message = take(session, cast, box_id, write_mail(subject=f"test {NUMBER}", documents=()).as_bytes())
    assert (message.fate, message.reason) == (MailFate.REFUSED, "mail_no_document")


def test_tests_fill_nobodys_mailbox(session: Session, cast: Cast, box_id: int):
    for uid in range(MOST_TOLD + 2):
        take(session, cast, box_id, write_mail(subject=f"test {NUMBER}").as_bytes(), uid=uid)
    assert count(session, MailMessage) == MOST_TOLD + 2
    assert count(session, Notice) == MOST_TOLD


def test_a_test_does_not_tell_the_right_pin_after_too_many_wrong_ones(session: Session, cast: Cast, box_id: int):
    for uid in range(SENDER_GUESSES):
        take(session, cast, box_id, write_mail(text=f"PIN 100{uid}").as_bytes(), uid=uid)
    subject = f"test {NUMBER}"
    right = take(session, cast, box_id, write_mail(subject=subject).as_bytes(), uid=100)
    wrong = take(session, cast, box_id, write_mail(subject=subject, text="PIN 1111").as_bytes(), uid=101)
    assert (right.fate, right.reason) == (wrong.fate, wrong.reason) == (MailFate.REFUSED, "pin_locked")
    assert [check["code"] for check in right.checks] == [check["code"] for check in wrong.checks]
    assert not any(check["values"].get("reason") == "mail_test_passed" for check in right.checks)


def test_no_pin_stands_in_any_row(session: Session, cast: Cast, box_id: int):
    take(session, cast, box_id, write_mail(subject="0501234567 4711").as_bytes())
    take(session, cast, box_id, write_mail().as_bytes(), uid=2)
    for row in session.execute(sa.text("SELECT * FROM mail_message")):
        assert not tells_pin(str(row))


# ---- What stays in the folder


def test_what_could_not_be_moved_is_not_read_again(session: Session, cast: Cast, box_id: int):
    message = take(session, cast, box_id, write_mail().as_bytes())
    assert filed_before(session, box_id, 7) == set()
    note_filed(session, message.id, None, utc_now())
    assert filed_before(session, box_id, 7) == {(1, message.size)}
    assert filed_before(session, box_id, 8) == set()


def test_a_box_may_go_and_its_mails_stay_known(session: Session, cast: Cast, box_id: int):
    message = take(session, cast, box_id, write_mail().as_bytes()).id
    session.execute(sa.update(FaxEntity).values(box_id=None))
    session.execute(sa.text("DELETE FROM mail2fax_box"))
    session.commit()
    assert session.get_one(MailMessage, message, populate_existing=True).box_id is None


def test_a_user_who_was_disabled_meanwhile_gets_nothing(session: Session, cast: Cast, box_id: int):
    session.get_one(User, cast.bob).disabled_at = utc_now()
    session.commit()
    message = take(session, cast, box_id, write_mail().as_bytes())
    assert message.fate == MailFate.REFUSED
    assert count(session, Notice) == 0
