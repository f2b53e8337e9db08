"""Faxes to and from a machine that is not Asterisk: HylaFAX with iaxmodem, which speaks G.711 and refuses T.38.

The faxes of this file are on the line side by side; the tests look at what became of them. Sound is carried in real
time here: where the machine stands still for a fifth of a second a call is spoilt, and tried again as anywhere.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import Direction, Document, Fax, Status
from app.models.faxes.moves import is_final
from app.rules.sending.lifecycle import request_cancel
from app.services.documents.documents import storage
from tenants.models import User
from tests.live.hylafax import Call, HylaFax, Machine
from tests.live.instance import Instance
from tests.live.lines import wait_until
from tests.live.test_fax import pdf, whole

pytestmark = pytest.mark.live

#: A machine that takes all, one that is full after a page, one that takes from nobody, and two that call us.
DESK = Machine("desk", "+39050900011", "+39 06 9100011")
FULL = Machine("full", "+39050900012", "+39 06 9100012", "MaxRecvPages: 1\n")
CHOOSY = Machine("choosy", "+39050900013", "+39 06 9100013", "QualifyTSI: etc/welcome\n", (("welcome", "^Nobody$\n"),))
CALLER = Machine("caller", "+39050900014", "+39 06 9100014")
CALLER_OF_SHARED = Machine("caller-of-shared", "+39050900015", "+39 06 9100015")

ERICA = "erica@epsilon.test"
OWN_LINE, SHARED_LINE = "+390507770001", "+390507770002"
#: The shared line's telephone is a number that nobody has: a fax that is not heard would fail.
COMPANY = f"""
tenants:
  - slug: epsilon
    name: Epsilon Srl
    serial: KPBX40255555
    region: IT
    timezone: Europe/Rome
    language: en
    outside_prefix: "0"
    fax_channels: 4
    users:
      - {{email: {ERICA}, name: Erica, password: "faxroom-demo", role: admin}}
    templates:
      - {{name: t38, header: "Epsilon Srl", station_id: "+39 050 7770001", retry_delays: &soon
           {{protocol_error: 1, dropped: 1, incomplete: 1, far_end_no_fax: 1, other: 1}}}}
      - {{name: audio, header: "Epsilon Srl", station_id: "+39 050 7770003", t38: false, retry_delays: *soon}}
      - {{name: later, header: "Epsilon Srl", station_id: "+39 050 7770004", retry_delays:
           {{protocol_error: 900, dropped: 1, incomplete: 1, far_end_no_fax: 1, other: 1}}}}
    entities:
      - {{name: office, extension: "800", number: "{OWN_LINE}", template: t38, send: [{ERICA}], receive: [{ERICA}]}}
      - {{name: plain, extension: "801", number: "+390507770003", template: audio, send: [{ERICA}]}}
      - {{name: patient, extension: "803", number: "+390507770004", template: later, send: [{ERICA}]}}
      - {{name: shared, extension: "802", number: "{SHARED_LINE}", template: t38, receive: [{ERICA}],
         shared_with_voice: true, voice_destination: "+390507779999"}}
"""


@dataclass(frozen=True)
class Correspondence:
    """The instance, the machines and the faxes of both: from here what it is about → its id, from there who → the
    number that is called with ``letter``.
    """

    instance: Instance
    hylafax: HylaFax
    sent: dict[str, str]
    letter: Path
    called: dict[str, str]

    def end_of(self, name: str) -> Fax:
        self.instance.until(self.sent[name], lambda fax: is_final(fax.status), seconds=240)
        return whole(self.instance, self.sent[name])

    def end_of_letter(self) -> Fax:
        """The letter to the desk, sent in a call in which the desk's name was heard: like ours it is said in a frame
        that is not sent again where only that frame was spoilt.
        """
        for _ in range(4):
            fax = self.end_of("whole")
            if fax.status != Status.SENT or fax.remote_station_id:
                break
            self.sent["whole"] = self.instance.send(ERICA, "office", DESK.number, self.letter)
        return fax

    def read(self, fax_id: str, which: Callable[[Fax], Document]) -> bytes:
        """One of its documents."""
        with (
            self.instance.session() as session,
            storage().open(which(session.get_one(Fax, fax_id)).storage_key) as file,
        ):
            return file.read()

    def from_machine(self, machine: Machine) -> Fax:
        """The fax that this machine sent us in a call of which nothing was spoilt: it calls again until one is whole
        and each has heard the other's name.
        """
        for count in range(1, 5):
            calls = self.hylafax.calls(machine, "SEND", count)
            if not calls[-1].reason:
                sent = sum(not call.reason for call in calls)
                wait_until(100, f"the fax of {machine.name}", lambda sent=sent: len(self._whole_from(machine)) >= sent)
                fax = whole(self.instance, self._whole_from(machine)[-1].id)
                if fax.remote_station_id and calls[-1].station_id:
                    return fax
            self.hylafax.send(machine, self.called[machine.name], self.letter)
        raise AssertionError(f"{machine.name} did not get through: {self.hylafax.calls(machine, 'SEND')}")

    def _whole_from(self, machine: Machine) -> list[Fax]:
        return [fax for fax in self._ended_from(machine) if fax.status == Status.RECEIVED]

    def _ended_from(self, machine: Machine) -> list[Fax]:
        query = sa.select(Fax).where(Fax.direction == Direction.RECEIVED, Fax.remote_number == machine.number)
        with self.instance.session() as session:
            query = query.where(Fax.created_at >= self.hylafax.began).order_by(Fax.created_at)
            found = session.scalars(query).all()
            session.expunge_all()
        return [fax for fax in found if fax.status != Status.RECEIVING]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    running = Instance(Path(os.environ["FAXROOM_TEST_HOME"]))
    company = tmp_path_factory.mktemp("company") / "epsilon.yaml"
    company.write_text(COMPANY)
    done = running.command("provision", str(company))
    assert done.returncode == 0, done.stderr
    return running


@pytest.fixture(scope="module")
def faxes(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Correspondence]:
    """All faxes of this file, under way."""
    folder = tmp_path_factory.mktemp("documents")
    two = pdf(folder / "two.pdf", 2)
    with HylaFax(instance, [DESK, FULL, CHOOSY, CALLER, CALLER_OF_SHARED]) as hylafax:
        sent = {
            "cut short": instance.send(ERICA, "plain", FULL.number, pdf(folder / "three.pdf", 3)),
            "whole": instance.send(ERICA, "office", DESK.number, two),
            "unwelcome": instance.send(ERICA, "patient", CHOOSY.number, two),
        }
        hylafax.send(CALLER, OWN_LINE, two)
        hylafax.send(CALLER_OF_SHARED, SHARED_LINE, two)
        called = {CALLER.name: OWN_LINE, CALLER_OF_SHARED.name: SHARED_LINE}
        yield Correspondence(instance, hylafax, sent, letter=two, called=called)
    with instance.session() as session:  # nobody will be there for another try
        erica = session.scalar(sa.select(User).where(User.name == "Erica"))
        request_cancel(session, session.get_one(Fax, sent["unwelcome"]), erica)


def read_pages(path: Path) -> list[str]:
    """What tesseract reads on each page of a TIFF."""
    command = ["tesseract", path, "-", "--psm", "6", "-c", "page_separator=\f"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_THREAD_LIMIT": "1"}
    )
    return done.stdout.removesuffix("\f").split("\f")


def _talked(fax: Fax) -> int:
    """The calls in which a page was confirmed: of those the machine surely wrote something down."""
    return sum(attempt.pages_confirmed > 0 for attempt in fax.attempts)


def line_of(page: str) -> str:
    """The document's own line, not those that either machine put above it."""
    found = re.findall(r"^Page \d of \d", page, re.MULTILINE)
    return found[-1] if found else page


def test_a_fax_for_t38_falls_back_to_audio_and_arrives_whole(faxes):
    fax = faxes.end_of_letter()
    assert (fax.status, fax.pages_done, fax.remote_station_id) == (Status.SENT, 2, DESK.station_id)
    assert [attempt.mode for attempt in fax.attempts] == ["audio"] * len(fax.attempts)
    assert (fax.attempts[-1].outcome, fax.attempts[-1].ecm) == ("success", True)
    calls = faxes.hylafax.calls(DESK, "RECV", _talked(fax))
    assert calls[-1].reason == ""
    assert {call.caller for call in calls} == {OWN_LINE}
    assert {call.station_id for call in calls} - {""} == {"+39 050 7770001"}


def test_hylafax_holds_both_pages_and_they_can_be_read(faxes):
    fax = faxes.end_of_letter()
    faxes.hylafax.calls(DESK, "RECV", _talked(fax))
    pages = [line_of(page) for file in faxes.hylafax.received(DESK) for page in read_pages(file)]
    assert set(pages) == {"Page 1 of 2", "Page 2 of 2"}


def test_the_report_says_audio_and_whose_machine_it_was(faxes, tmp_path):
    faxes.end_of_letter()
    faxes.instance.until(faxes.sent["whole"], lambda fax: fax.report is not None, seconds=120)
    report = tmp_path / "report.pdf"
    report.write_bytes(faxes.read(faxes.sent["whole"], lambda fax: fax.report))
    text = subprocess.run(["pdftotext", "-layout", report, "-"], capture_output=True, text=True, check=True).stdout
    assert DESK.station_id in text
    assert "G.711" in text
    assert "T.38" not in text


@pytest.mark.parametrize(("machine", "line"), [(CALLER, "office"), (CALLER_OF_SHARED, "shared")])
def test_a_fax_of_hylafax_is_received_also_on_a_line_that_listens_for_its_tone(faxes, machine, line, tmp_path):
    fax = faxes.from_machine(machine)
    (attempt,) = fax.attempts
    assert (fax.pages, fax.remote_station_id) == (2, machine.station_id)
    assert (attempt.outcome, attempt.mode, attempt.ecm) == ("success", "audio", True)
    assert faxes.instance.read(fax.id, lambda fax: fax.entity.name) == line
    received = tmp_path / "received.tif"
    received.write_bytes(faxes.read(fax.id, lambda fax: fax.tiff))
    assert [line_of(page) for page in read_pages(received)] == ["Page 1 of 2", "Page 2 of 2"]


def test_hylafax_counts_as_sent_what_was_received(faxes):
    faxes.from_machine(CALLER)
    *_, call = faxes.hylafax.calls(CALLER, "SEND")
    assert (call.pages, call.reason, call.station_id) == (2, "", "+39 050 7770001")


def test_a_machine_that_hangs_up_in_the_middle_gets_the_unconfirmed_pages_in_a_second_call(faxes):
    """It stores page 2 and hangs up without confirming it. Nobody here can know, so page 2 goes out once more."""
    fax = faxes.end_of("cut short")
    assert (fax.status, fax.pages, fax.pages_done) == (Status.SENT, 3, 3)
    assert len(fax.attempts) >= 2
    confirmed = 0
    for attempt in fax.attempts:
        assert (attempt.mode, attempt.first_page) == ("audio", confirmed + 1)
        confirmed += attempt.pages_confirmed
    assert confirmed == 3
    calls = faxes.hylafax.calls(FULL, "RECV", _talked(fax))
    assert "Maximum receive page count exceeded, call terminated" in [call.reason for call in calls]
    *_, rest = faxes.hylafax.received(FULL)
    begin = fax.attempts[-1].first_page
    assert begin > 1
    assert [line_of(page) for page in read_pages(rest)] == [f"Page {page} of 3" for page in range(begin, 4)]


def test_a_machine_that_takes_nothing_from_us_is_tried_again_later(faxes):
    """A call that was spoilt before the refusal was heard is made again at once."""
    refused = (Status.RETRYING, "protocol_error")
    faxes.instance.until(faxes.sent["unwelcome"], lambda fax: (fax.status, fax.cause) == refused)
    fax = whole(faxes.instance, faxes.sent["unwelcome"])
    assert (fax.pages_done, fax.due_at > fax.attempts[-1].ended_at + timedelta(minutes=14)) == (0, True)

    def calls() -> list[Call]:
        return faxes.hylafax.calls(CHOOSY, "RECV")

    wait_until(100, "its refusal", lambda: any(call.reason.startswith("Permission denied") for call in calls()))
    assert {call.pages for call in calls()} == {0}
    assert len(calls()) <= len(fax.attempts)
