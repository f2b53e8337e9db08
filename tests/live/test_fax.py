"""Whole faxes: in through the one door, out over a real line, written down, mailed. Nothing here is a fake.

The faxes of this file are on the line side by side; the tests look at what became of them.
"""

import email
import email.policy
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path

import docx
import httpx
import pytest
import sqlalchemy as sa
from pypdf import PdfReader
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy.orm import Session

from app.adapters.pages.program_version import preparation_version
from app.models import Direction, Document, Fax, FaxEntity, FaxTemplate, Preview, Status
from app.models.faxes.moves import is_final
from app.rules.sending.lifecycle import request_cancel
from app.rules.sending.previews import Dots, ask_preview
from app.rules.sending.submit import submit_fax
from app.services.documents.documents import storage, take_upload
from tenants.addresses import user_by_address
from tenants.db import utc_now
from tenants.models import User
from tests.live.instance import Instance
from tests.live.lines import BUSY, FAR_ENDS, HANGS_UP, SILENT_BELL, UNALLOCATED
from tests.waiting import until

pytestmark = pytest.mark.live

URL = os.environ.get("FAXROOM_TEST_URL", "http://127.0.0.1:8000")

BETA = "+493023125000"
BOB, ALICE = "bob@alpha.test", "alice@alpha.test"
ACCENTS = "Perché così? ÀÈÌÒÙ àèéìòù ñ ß €"
MINUTES = 60.0
#: So soon after a call its result is written down, on a busy machine as well.
HEARD_WITHIN = 60.0


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    running = Instance(Path(os.environ["FAXROOM_TEST_HOME"]))
    running.add_far_ends(FAR_ENDS)
    with running.session() as session:  # nobody wants to wait a minute for nobody to answer
        for template in session.scalars(sa.select(FaxTemplate)):
            template.ring_seconds, template.retry_delays = 5, {"busy": 600, "dropped": 600, "no_answer": 600}
        session.commit()
    yield running
    with running.session() as session:
        for template in session.scalars(sa.select(FaxTemplate)):
            template.ring_seconds, template.retry_delays = 60, None
        session.commit()


def pdf(path: Path, pages: int, *, dense_from: int = 99) -> Path:
    canvas = Canvas(str(path), pagesize=(595, 842))
    for page in range(1, pages + 1):
        canvas.drawString(72, 740, f"Page {page} of {pages}.")
        if page >= dense_from:  # a screen of dots costs minutes of line
            for x in range(40, 560, 3):
                for y in range(40, 700, 3):
                    canvas.rect(x, y, 1, 1, fill=1, stroke=0)
        canvas.showPage()
    canvas.save()
    return path


@pytest.fixture(scope="module")
def sent(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every fax of this module, submitted: what it is about → its id."""
    folder = tmp_path_factory.mktemp("documents")
    one = pdf(folder / "one.pdf", 1)
    letter = docx.Document()
    letter.add_paragraph(ACCENTS)
    letter.save(str(folder / "lettera è qui.docx"))
    return {
        "ten pages": instance.send(BOB, "frontdesk", BETA, pdf(folder / "ten.pdf", 10)),
        "dropped": instance.send(BOB, "frontdesk", HANGS_UP, pdf(folder / "two.pdf", 2, dense_from=2)),
        "cancelled": instance.send(BOB, "frontdesk", BETA, pdf(folder / "long.pdf", 2, dense_from=1)),
        "t38": instance.send(BOB, "frontdesk", BETA, one),
        "g711": instance.send(ALICE, "accounts", BETA, one),
        "docx": instance.send(BOB, "frontdesk", BETA, folder / "lettera è qui.docx"),
        "extension": instance.send(BOB, "frontdesk", "502", one),
        "busy": instance.send(BOB, "frontdesk", BUSY, one),
        "no answer": instance.send(BOB, "frontdesk", SILENT_BELL, one),
        "unallocated": instance.send(BOB, "frontdesk", UNALLOCATED, one),
    }


def end_of(instance: Instance, fax_id: str) -> Fax:
    instance.until(fax_id, lambda fax: is_final(fax.status))
    return whole(instance, fax_id)


def whole(instance: Instance, fax_id: str) -> Fax:
    """The fax with its attempts, to be looked at outside of a session."""
    with instance.session() as session:
        fax = session.get_one(Fax, fax_id, options=[sa.orm.selectinload(Fax.attempts)])
        session.expunge_all()
        return fax


def mail_to(instance: Instance, recipient: str, subject: str, *, seconds: float = 200) -> EmailMessage:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in (instance.home / "mail/new").iterdir():
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if (message["To"], message["Subject"]) == (recipient, subject):
                return message
        time.sleep(0.3)
    raise AssertionError(f"no email {subject!r} to {recipient}")


def report_text(message: EmailMessage) -> str:
    (report,) = message.iter_attachments()
    done = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=report.get_payload(decode=True), capture_output=True, check=True
    )
    return done.stdout.decode()


def test_pages_are_told_one_by_one_while_ten_are_sent(instance, sent):
    """The first of all tests, and the next one the second: these two faxes are still on the line."""
    instance.until(sent["ten pages"], lambda fax: fax.status == Status.SENDING and 0 < fax.pages_done < 10)


def test_a_fax_on_the_line_can_be_cancelled(instance, sent):
    instance.until(sent["cancelled"], lambda fax: fax.status == Status.SENDING)
    with instance.session() as session:
        bob = session.scalar(sa.select(User).where(User.name == "Bob"))
        assert request_cancel(session, session.get_one(Fax, sent["cancelled"]), bob)
    assert end_of(instance, sent["cancelled"]).status == Status.CANCELLED


def test_a_fax_goes_over_t38_and_its_sender_gets_the_report(instance, sent):
    fax = end_of(instance, sent["t38"])
    (attempt,) = fax.attempts
    assert (fax.status, fax.pages_done) == (Status.SENT, 1)
    assert (attempt.mode, attempt.rate, attempt.outcome) == ("T38", 14400, "success")
    assert fax.remote_station_id == "+49 30 23125000"
    message = mail_to(instance, BOB, "[KPBX40299999] FAX successfully sent to 000493023125000")
    text = report_text(message)
    assert "14400" in text
    assert "T.38" in text
    assert "+49 30 23125000" in text


def test_a_fax_goes_over_g711_where_the_template_has_t38_off(instance, sent):
    fax = end_of(instance, sent["g711"])
    (attempt,) = fax.attempts
    assert (fax.status, attempt.mode) == (Status.SENT, "audio")
    assert attempt.rate <= 9600


def test_a_docx_with_accents_arrives_with_its_accents(instance, sent):
    fax = end_of(instance, sent["docx"])
    assert fax.status == Status.SENT
    with instance.session() as session, storage().open(session.get_one(Fax, fax.id).pdf.storage_key) as file:
        assert ACCENTS in PdfReader(file).pages[0].extract_text()


def test_ten_pages_are_sent_by_one_call(instance, sent):
    fax = end_of(instance, sent["ten pages"])
    assert (fax.status, fax.pages_done, len(fax.attempts)) == (Status.SENT, 10, 1)


def test_an_extension_reaches_the_entity_of_the_own_company(instance, sent):
    fax = end_of(instance, sent["extension"])
    assert fax.status == Status.SENT
    assert fax.dial_string == "+390509655638"


def test_a_busy_line_is_tried_again_later(instance, sent):
    instance.until(sent["busy"], lambda fax: fax.status == Status.RETRYING)
    fax = whole(instance, sent["busy"])
    assert (fax.cause, fax.attempts[0].hangup_cause) == ("busy", 17)
    # Ten minutes, or up to a fifth more, from when the result was heard of: that is not the second that the call ended.
    waits = (fax.due_at - fax.attempts[0].ended_at).total_seconds()
    assert 10 * MINUTES <= waits <= 12 * MINUTES + HEARD_WITHIN


def test_nobody_answering_is_told_from_a_line_that_does_not_ring(instance, sent):
    instance.until(sent["no answer"], lambda fax: fax.status == Status.RETRYING)
    assert whole(instance, sent["no answer"]).cause == "no_answer"


def test_a_number_that_does_not_exist_fails_at_once_and_is_mailed(instance, sent):
    fax = end_of(instance, sent["unallocated"])
    assert (fax.status, fax.cause, len(fax.attempts)) == (Status.FAILED, "unallocated", 1)
    message = mail_to(instance, BOB, f"[KPBX40299999] FAX not sent to 0{UNALLOCATED.removeprefix('+39')}")
    assert "The number does not exist" in report_text(message) or "numero non esiste" in report_text(message)


def test_a_machine_that_hangs_up_in_page_two_has_page_one(instance, sent):
    instance.until(sent["dropped"], lambda fax: fax.status == Status.RETRYING)
    fax = whole(instance, sent["dropped"])
    assert (fax.cause, fax.pages_done, fax.pages) == ("dropped", 1, 2)


def test_every_fax_that_was_sent_arrived_exactly_once(instance, sent):
    to_beta = [name for name in ("t38", "g711", "docx", "ten pages") if end_of(instance, sent[name])]
    for name in to_beta:
        fax = whole(instance, sent[name])
        until(lambda fax=fax: arrivals(instance, fax), f"{name} has arrived: its sender may hear of it first")


def arrivals(instance: Instance, fax: Fax) -> list[Fax]:
    """What has come in with as many pages while this one was on the line."""
    dialled = (fax.attempts[0].placed_at.timestamp(), fax.attempts[0].ended_at.timestamp())
    with instance.session() as session:
        arrived = sa.select(Fax).where(Fax.direction == Direction.RECEIVED, Fax.pages == fax.pages)
        return [row for row in session.scalars(arrived) if dialled[0] - 2 <= row.created_at.timestamp() <= dialled[1]]


def test_a_kill_of_all_jobs_and_of_the_line_loses_nothing_and_dials_nothing_twice(instance, sent, tmp_path):
    """kill -9 before it is prepared, while it is on the line, and while nobody listens to how it ends."""
    end_of(instance, sent["ten pages"])
    document = pdf(tmp_path / "killed.pdf", 1)
    began = utc_now()
    assert instance.kill("worker.py jobs") >= 2
    early = instance.send(BOB, "frontdesk", BETA, document)
    instance.until(early, lambda fax: fax.status == Status.SENDING)
    assert instance.kill("worker.py jobs") >= 2
    assert instance.kill("worker.py line") == 1
    late = instance.send(BOB, "frontdesk", BETA, document)
    for fax_id in (early, late):
        fax = end_of(instance, fax_id)
        assert (fax.status, len(fax.attempts)) == (Status.SENT, 1)
    end = time.monotonic() + 200
    while received(instance, began) < 2 and time.monotonic() < end:
        time.sleep(0.5)
    assert received(instance, began) == 2


def test_a_kill_of_supervisord_cuts_no_call_and_people_are_told_meanwhile(instance, sent, tmp_path):
    """What it ran ends with it and is started again; the front and Asterisk stay."""
    kept = instance.processes("/usr/sbin/nginx") + instance.processes("sbin/asterisk")
    on_the_line = instance.send(BOB, "frontdesk", BETA, pdf(tmp_path / "kept.pdf", 1))
    instance.until(on_the_line, lambda fax: fax.status == Status.SENDING)
    assert instance.kill("bin/lib/overseer.py") == 1
    told = set()
    end = time.monotonic() + 200
    while told != {503, 200} and time.monotonic() < end:
        told.add(httpx.get(f"{URL}/sign-in", timeout=30).status_code)
        time.sleep(0.2)
    fax = end_of(instance, on_the_line)
    assert (told, fax.status, len(fax.attempts)) == ({503, 200}, Status.SENT, 1)
    assert instance.processes("/usr/sbin/nginx") + instance.processes("sbin/asterisk") == kept


def received(instance: Instance, since: datetime) -> int:
    """Faxes that beta has got whole by calls that have come since then: others are still being told of."""
    with instance.session() as session:
        query = sa.select(sa.func.count(Fax.id)).where(Fax.status == Status.RECEIVED, Fax.created_at >= since)
        return session.scalar(query)


def test_the_command_line_sends_lists_and_examines(instance, sent, tmp_path):
    listed = instance.command("faxes", "--tenant", "alpha", "--json")
    assert sent["t38"] in listed.stdout
    instance.until_well()
    refused = instance.command(
        "send", "--as", BOB, "--entity", "accounts", "--to", BETA, str(pdf(tmp_path / "x.pdf", 1))
    )
    assert refused.returncode != 0
    assert "line" in refused.stderr.lower() or "linea" in refused.stderr.lower()


def test_the_provision_file_is_applied_again_without_harm(instance):
    demo = Path(__file__).parents[2] / "demo/faxroom.yaml"
    assert instance.command("provision", str(demo)).returncode == 0


def test_a_provision_file_with_a_fault_changes_nothing(instance, tmp_path):
    demo = (Path(__file__).parents[2] / "demo/faxroom.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(demo.replace("Alpha Srl", "Changed Srl").replace("fax_channels: 2", "fax_channels: 0"))
    answer = instance.command("provision", str(broken))
    assert answer.returncode != 0
    assert "licence" in answer.stderr
    assert "Changed" not in instance.command("faxes", "--json").stdout


def test_workers_killed_while_they_draw_a_preview_cost_neither_the_preview_nor_a_second_fax(instance, tmp_path):
    with instance.session() as session:
        user = user_by_address(session, BOB)
        lines = sa.select(FaxEntity).where(FaxEntity.tenant_id == user.tenant_id, FaxEntity.name == "frontdesk")
        line = session.scalars(lines).one()
        dots, line_id, whose = Dots.of(line.template, preparation_version()), line.id, (user.tenant_id, user.id)
        looked_at, sent_on = (_draft(session, pdf(tmp_path / f"{pages}.pdf", pages), *whose) for pages in (40, 3))
        drafts = [session.get_one(Document, draft) for draft in (looked_at, sent_on)]
        preview_id, _ = [ask_preview(session, draft, dots).id for draft in drafts]
    instance.until(preview_id, lambda preview: preview.state == "drawing", of=Preview)
    assert instance.kill("worker.py jobs") > 1
    with instance.session() as session:
        what = {"entity_id": line_id, "addressee_text": BETA, "send_at_text": None, "submission_key": sent_on}
        document = session.get_one(Document, sent_on)
        fax_id = submit_fax(session, user=session.get_one(User, whose[1]), document=document, **what).id
    instance.until(preview_id, lambda preview: preview.state == "done", of=Preview)
    assert instance.read(preview_id, lambda preview: (preview.tries, preview.pages), of=Preview) == (2, 40)
    fax = end_of(instance, fax_id)
    assert (fax.status, fax.pages_done, len(fax.attempts)) == (Status.SENT, 3, 1)
    with instance.session() as session:
        assert session.scalar(sa.select(sa.func.count()).where(Fax.source_id == sent_on)) == 1


def _draft(session: Session, path: Path, tenant_id: int, user_id: int) -> str:
    with path.open("rb") as stream:
        return take_upload(session, stream=stream, filename=path.name, tenant_id=tenant_id, user_id=user_id).id
