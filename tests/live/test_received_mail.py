"""A real fax comes in, and each who may receive finds it in the mail, once and to the byte.

The calls of this file run side by side: the first test that needs one places them all.
"""

import email
import email.policy
import io
import os
import secrets
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from pypdf import PdfReader

from app.models import Direction, Fax, Notice, NoticeKind, Status
from tests.live.caller import Caller
from tests.live.instance import Instance
from tests.live.lines import call_of, light_pages, wait_until

pytestmark = pytest.mark.live

FRONTDESK, RECIPIENTS = "+390509655637", ("alice@alpha.test", "bob@alpha.test")
#: New for each run: an instance may be tested more than once.
NATIONAL, FOREIGN = f"055{secrets.randbelow(10**7):07}", f"4930{secrets.randbelow(10**7):07}"


@pytest.fixture(scope="module")
def instance() -> Instance:
    return Instance(Path(os.environ["FAXROOM_TEST_HOME"]))


@pytest.fixture(scope="module")
def called(instance: Instance) -> None:
    pages = instance.laid("two.tif", lambda path: light_pages(path, 2))
    for caller, t38 in ((f"+39{NATIONAL}", True), (f"+{FOREIGN}", False)):
        call = call_of(f"fax-{caller[1:]}-1", pages, FRONTDESK, caller_number=caller, t38=t38)
        assert instance.app.extensions["asterisk"].originate(call) == "placed"


def fax_from(instance: Instance, number: str | None, *statuses: Status, after: str = "") -> Fax | None:
    with instance.session() as session:
        query = sa.select(Fax).where(Fax.direction == Direction.RECEIVED, Fax.remote_number == number, Fax.id > after)
        fax = session.scalar(query.where(Fax.status.in_(statuses)).options(sa.orm.selectinload(Fax.attempts)))
        session.expunge_all()
        return fax


def mails(instance: Instance) -> Iterator[EmailMessage]:
    for path in (instance.home / "mail/new").iterdir():
        yield email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def mails_about(instance: Instance, fax: Fax, count: int, *, seconds: float = 200) -> list[EmailMessage]:
    """All that there are when the outbox has nothing more about this fax."""

    def all_sent() -> bool:
        with instance.session() as session:
            notices = session.scalars(sa.select(Notice).where(Notice.fax_id == fax.id)).all()
            return len(notices) == count and all(notice.sent_at for notice in notices)

    wait_until(seconds, f"{count} mails about {fax.id}", all_sent)
    with instance.session() as session:
        ids = set(session.scalars(sa.select(Notice.message_id).where(Notice.fax_id == fax.id)))
    return sorted((mail for mail in mails(instance) if mail["Message-ID"] in ids), key=lambda mail: mail["To"])


@pytest.mark.parametrize(
    ("number", "in_subject", "in_body", "mode"),
    [
        (f"+39{NATIONAL}", f"0{NATIONAL}", NATIONAL, "T38"),
        (f"+{FOREIGN}", f"000{FOREIGN}", f"00{FOREIGN}", "audio"),
    ],
    ids=["national, T.38", "foreign, G.711"],
)
def test_each_who_may_receive_gets_the_references_mail_once(instance, called, number, in_subject, in_body, mode):
    ended = (Status.RECEIVED, Status.INCOMPLETE)
    fax = wait_until(100, f"the fax of {number}", lambda: fax_from(instance, number, *ended))
    assert (fax.status, fax.pages, fax.attempts[0].mode) == (Status.RECEIVED, 2, mode)
    with instance.session() as session:
        here = fax.created_at.astimezone(session.get_one(Fax, fax.id).tenant.zone)
    seconds = round((fax.attempts[0].ended_at - fax.attempts[0].answered_at).total_seconds())
    assert seconds > 10
    found = mails_about(instance, fax, len(RECIPIENTS))
    assert tuple(mail["To"] for mail in found) == RECIPIENTS
    for mail in found:
        assert mail["Subject"] == f"[KPBX40299999] FAX successfully received from {in_subject}"
        assert mail.get_body().get_content() == (
            f"FAX received from {in_body}\n\nDate and time: {here:%d/%m/%Y %H:%M:%S}\n"
            f"Transmission time\u00a0: {seconds} seconds\nNumber of pages: 2 \n"
        )
        (attachment,) = mail.iter_attachments()
        name = f"F{in_subject}_T0509655637_{here:%Y-%m-%d_%H_%M_%S}_{fax.number}.pdf"
        assert attachment.get_filename() == name
        assert len(PdfReader(io.BytesIO(attachment.get_payload(decode=True))).pages) == 2


def test_a_kill_of_all_jobs_at_the_hang_up_mails_each_once_all_the_same(instance):
    caller = f"+39056{secrets.randbelow(10**7):07}"
    line, channel_id = instance.app.extensions["asterisk"], f"fax-{caller[1:]}-1"
    call = call_of(
        channel_id, instance.laid("one.tif", lambda path: light_pages(path, 1)), FRONTDESK, caller_number=caller
    )
    assert line.originate(call) == "placed"
    wait_until(100, "the call", lambda: fax_from(instance, caller, Status.RECEIVING))
    wait_until(100, "the hang-up", lambda: channel_id not in line.live_channels())
    assert instance.kill("worker.py jobs") >= 2
    fax = wait_until(100, f"the fax of {caller}", lambda: fax_from(instance, caller, Status.RECEIVED))
    found = mails_about(instance, fax, len(RECIPIENTS))
    assert {mail["To"] for mail in found} == set(RECIPIENTS)
    assert len({mail["Message-ID"] for mail in found}) == len(RECIPIENTS)


def newest(instance: Instance) -> str:
    with instance.session() as session:
        return session.scalar(sa.select(sa.func.max(Fax.id)).where(Fax.direction == Direction.RECEIVED)) or ""


@pytest.mark.parametrize(
    ("user", "headers", "known_as"),
    [
        ("anonymous", (), None),
        ("0551234567", ("P-Asserted-Identity: <sip:0551234567@127.0.0.1>", "Privacy: id"), None),
        ("055%0D%0ABcc:%20x%40beta.test%00%E2%80%AE", (), None),
        ("..%2F..%2F055", (), None),
        ("055", (), "055"),
    ],
    ids=["anonymous", "number withheld by the network", "lines of a header", "a path", "an extension"],
)
def test_a_caller_is_a_number_or_nobody_and_a_call_without_a_page_is_not_mailed(instance, user, headers, known_as):
    before = newest(instance)
    sip_port = int(os.environ["FAXROOM_TEST_SIP_PORT"])
    with Caller(sip_port, FRONTDESK, user=user, headers=headers) as caller:
        caller.until_answered()
    fax = wait_until(100, "the call", lambda: fax_from(instance, known_as, Status.INCOMPLETE, after=before))
    assert fax.pages == 0
    with instance.session() as session:
        received = sa.select(Notice).where(Notice.fax_id == fax.id, Notice.kind == NoticeKind.RECEIVED)
        assert session.scalars(received).all() == []
