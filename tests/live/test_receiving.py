"""Calls that come in: to lines of their own and to shared ones, with the portal there, gone, and through a crash.

The calls of each part run side by side: who called tells them apart. Nothing here is a fake; the far ends are in
:mod:`tests.live.lines`.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from PIL import Image

from app.adapters.telephony.ari import Ari, OutgoingCall
from app.errors import FaxroomError
from app.models import Direction, Fax, Status
from app.rules.sending.lifecycle import request_cancel
from tenants.models import Tenant
from tests.live.instance import Instance
from tests.live.lines import (
    FAR_ENDS,
    SILENT_BELL,
    TELEPHONE,
    CallFrom,
    call_of,
    light_pages,
    light_then_dense,
    pages_in,
    wait_until,
)

pytestmark = pytest.mark.live

DEDICATED, SHARED, RINGS_OUT, NO_TELEPHONE = "+390508880001", "+390508880002", "+390508880003", "+390508880004"
OF_DELTA, SHARED_OF_DELTA = "+390508880011", "+390508880012"
SLOW = "+390508880021"
#: New for each run, as are the callers: an instance may be tested more than once.
NOBODYS, CALLERS = f"+3905089{secrets.randbelow(10**5):05}", f"+39055{secrets.randbelow(10**5):05}"
LINES = f"""
tenants:
  - &company
    slug: gamma
    name: Gamma Srl
    serial: KPBX40277777
    region: IT
    timezone: Europe/Rome
    fax_channels: 9
    users:
      - {{email: gina@gamma.test, name: Gina, password: "faxroom-demo", role: admin}}
    templates:
      - {{name: default, header: "Gamma Srl", station_id: "+39 050 8880001"}}
      - {{name: slow, station_id: "+39 050 8880021", t38: false, ecm: false, max_rate: 4800}}
    entities:
      - {{name: dedicated, extension: "700", number: "{DEDICATED}", template: default, receive: [gina@gamma.test]}}
      - {{name: shared, extension: "701", number: "{SHARED}", template: default, receive: [gina@gamma.test],
         shared_with_voice: true, voice_destination: "{TELEPHONE}"}}
      - {{name: rings out, extension: "702", number: "{RINGS_OUT}", template: default,
         shared_with_voice: true, voice_destination: "{SILENT_BELL}"}}
      - {{name: no telephone, extension: "703", number: "{NO_TELEPHONE}", template: default, shared_with_voice: true}}
      - {{name: slow, extension: "721", number: "{SLOW}", template: slow}}
  - <<: *company
    slug: delta
    name: Delta Srl
    serial: KPBX40266666
    limits: {{inbound: 1, outbound: 0, total: 0}}
    users: []
    entities:
      - {{name: dedicated, extension: "700", number: "{OF_DELTA}", template: default}}
      - {{name: shared, extension: "701", number: "{SHARED_OF_DELTA}", template: default,
         shared_with_voice: true, voice_destination: "{TELEPHONE}"}}
"""
LATE_LINE = """
      - {name: late, extension: "704", number: "%s", template: default, shared_with_voice: true}
  - <<: *company""".replace("%s", NOBODYS)


@dataclass
class Exchange:
    """The instance under test and those who call it. A call is known by its caller's number."""

    instance: Instance
    folder: Path
    company: dict[str, int] = field(default_factory=dict)
    callers: dict[str, str] = field(default_factory=dict)
    placed: list[str] = field(default_factory=list)

    @property
    def ari(self) -> Ari:
        return self.instance.app.extensions["asterisk"]

    def provision(self, text: str) -> None:
        file = self.folder / "lines.yaml"
        file.write_text(text)
        done = self.instance.command("provision", str(file))
        assert done.returncode == 0, done.stderr
        with self.instance.session() as session:
            self.company = dict(session.execute(sa.select(Tenant.slug, Tenant.id)).all())

    def call(self, name: str, number: str, pages: Path, *, near_end: str = "", t38: bool = True) -> None:
        self.callers[name] = f"{CALLERS}{len(self.callers):02}"
        caller = self.callers[name]
        channel_id = f"fax-{caller.removeprefix('+')}-1"
        self.placed.append(channel_id)
        call: OutgoingCall = call_of(channel_id, pages, number, caller_number=caller, t38=t38)
        assert self.ari.originate(CallFrom.of(call, near_end) if near_end else call) == "placed"

    def find(self, name: str) -> Fax | None:
        """What became of a call, with its entity and attempts, to be looked at outside of a session."""
        with self.instance.session() as session:
            query = sa.select(Fax).where(Fax.direction == Direction.RECEIVED, Fax.remote_number == self.callers[name])
            whole = (sa.orm.joinedload(Fax.entity), sa.orm.selectinload(Fax.attempts))
            found = session.scalars(query.options(*whole)).all()
            session.expunge_all()
        assert len(found) <= 1, f"{name} came twice"
        return found[0] if found else None

    def end_of(self, name: str) -> Fax:
        return wait_until(100, f"the end of {name}, {self.find(name)}", lambda: self._ended(name))

    def _ended(self, name: str) -> Fax | None:
        fax = self.find(name)
        return fax if fax and fax.status != Status.RECEIVING else None

    def channels_of(self, name: str) -> list[dict[str, Any]]:
        """Live channels of a call, the telephone's included: each names the caller."""
        return [channel for channel in self.ari.channels() if channel["caller"]["number"] == self.callers[name]]

    def is_talking(self, name: str) -> bool:
        """Has the telephone been picked up?"""
        where = [(channel["dialplan"]["exten"], channel["state"]) for channel in self.channels_of(name)]
        return (TELEPHONE, "Up") in where

    def hang_up(self, name: str) -> None:
        for channel in self.channels_of(name):
            self.ari.hangup(channel["id"])

    def spooled(self) -> dict[str, int]:
        """Channel id → pages that came so far."""
        return {
            path.stem: pages_in(path) for path in (self.instance.home / "asterisk/spool/faxroom/incoming").iterdir()
        }

    def cancel_what_waits(self) -> None:
        """What was too much for delta would come in the middle of another test."""
        with self.instance.session() as session:
            waiting = sa.select(Fax).where(Fax.status == Status.RETRYING, Fax.dial_string == OF_DELTA)
            for fax in session.scalars(waiting).all():
                request_cancel(session, fax, fax.user)

    def results_on_disk(self) -> int:
        """Asterisk commits AstDB once a second; what is killed sooner has a mark and no result."""
        database = sqlite3.connect(f"file:{self.instance.home}/asterisk/lib/astdb.sqlite3?mode=ro", uri=True)
        with contextlib.closing(database):
            query = "SELECT count(*) FROM astdb WHERE key LIKE '/faxin/%' AND value LIKE 'ended|%'"
            return database.execute(query).fetchone()[0]

    def answers(self) -> bool:
        try:
            return bool(self.ari.ping())
        except FaxroomError:
            return False


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    instance = Instance(Path(os.environ["FAXROOM_TEST_HOME"]))
    instance.add_far_ends(FAR_ENDS)
    exchange = Exchange(instance, tmp_path_factory.mktemp("receiving"))
    exchange.provision(LINES)
    yield exchange
    instance.control("start", "line", "jobs")
    exchange.cancel_what_waits()
    exchange.ari.forget(exchange.placed)  # marks of senders that the kill of Asterisk left


@pytest.fixture(scope="module")
def one_page(exchange: Exchange) -> Path:
    return exchange.instance.laid("one.tif", lambda path: light_pages(path, 1))


@pytest.fixture(scope="module")
def attended(exchange: Exchange, one_page: Path) -> dict[str, str]:
    """All that happens while the portal is there, under way; the line process is killed in the middle of it."""
    for name, context in (("talks", "talks"), ("late", "begins-late")):
        exchange.call(name, SHARED, one_page, near_end=context)
    exchange.call("late, it rings", RINGS_OUT, one_page, near_end="begins-late")
    exchange.call("late, no telephone", NO_TELEPHONE, one_page, near_end="begins-late")
    exchange.call("of delta", f"{exchange.company['delta']}*700", one_page)
    wait_until(100, "the only place of delta is taken", lambda: exchange.find("of delta"))
    exchange.call("of gamma", f"{exchange.company['gamma']}*700", one_page)
    exchange.call("beyond the limit", SHARED_OF_DELTA, one_page)
    exchange.call("T.38", DEDICATED, one_page)
    exchange.call("G.711", DEDICATED, one_page, t38=False)
    exchange.call("shared, T.38", SHARED, one_page)
    exchange.call("shared, G.711", SHARED, one_page, t38=False)
    sent = {
        number: exchange.instance.send("bob@alpha.test", "frontdesk", number, _letter(exchange.folder))
        for number in (NOBODYS, OF_DELTA)
    }
    exchange.instance.until(sent[OF_DELTA], lambda fax: len(fax.attempts) > 0 and fax.attempts[0].ended_at, seconds=120)
    wait_until(100, "all shared ones are heard", lambda: all(map(exchange.find, ("shared, T.38", "shared, G.711"))))
    wait_until(100, "the telephone is picked up", lambda: exchange.is_talking("talks"))
    wait_until(100, "the late ones are heard", lambda: all(map(exchange.find, ("late", "late, it rings"))))
    assert exchange.instance.kill("worker.py line") == 1
    return sent


def _letter(folder: Path) -> Path:
    letter = folder / "letter.pdf"
    Image.new("L", (600, 800), 255).save(letter)
    return letter


def test_a_call_without_a_tone_goes_on_to_the_telephone_and_is_no_fax(exchange, attended):
    assert exchange.is_talking("talks")
    exchange.hang_up("talks")
    wait_until(100, "both have hung up", lambda: not exchange.channels_of("talks"))
    assert exchange.find("talks") is None


@pytest.mark.parametrize(("name", "mode"), [("T.38", "T38"), ("G.711", "audio")])
def test_a_fax_comes_in_on_a_line_of_its_own(exchange, attended, name, mode):
    fax = exchange.end_of(name)
    assert (fax.status, fax.pages, fax.entity.name) == (Status.RECEIVED, 1, "dedicated")
    assert [(attempt.mode, attempt.outcome) for attempt in fax.attempts] == [(mode, "success")]
    assert fax.remote_station_id == "+39 050 9655637"


@pytest.mark.parametrize(("name", "mode"), [("shared, T.38", "T38"), ("shared, G.711", "audio")])
def test_a_calling_tone_is_heard_on_a_shared_line(exchange, attended, name, mode):
    fax = exchange.end_of(name)
    assert (fax.status, fax.pages, fax.entity.name) == (Status.RECEIVED, 1, "shared")
    assert [attempt.mode for attempt in fax.attempts] == [mode]


@pytest.mark.parametrize("name", ["late", "late, it rings"])
def test_a_tone_that_comes_when_the_telephone_rings_or_somebody_talks_is_a_fax_after_all(exchange, attended, name):
    assert exchange.end_of(name).status == Status.RECEIVED
    assert not exchange.is_talking(name)


def test_a_shared_line_without_a_telephone_is_a_fax_machine_in_the_end(exchange, attended):
    assert exchange.end_of("late, no telephone").status == Status.RECEIVED


def test_the_same_extension_of_two_companies_is_two_lines(exchange, attended):
    for name in ("gamma", "delta"):
        fax = exchange.end_of(f"of {name}")
        assert (fax.status, fax.tenant_id) == (Status.RECEIVED, exchange.company[name])


def test_a_call_beyond_the_limit_hears_busy(exchange, attended):
    def outcome(fax: Fax) -> tuple[str, str, int]:
        return (fax.status, fax.cause, fax.attempts[0].hangup_cause)

    assert exchange.instance.read(attended[OF_DELTA], outcome) == (Status.RETRYING, "busy", 17)


def test_a_fax_beyond_the_limit_on_a_shared_line_is_not_taken(exchange, attended):
    wait_until(100, "it is hung up", lambda: not exchange.channels_of("beyond the limit"))
    assert exchange.find("beyond the limit") is None


def test_a_number_that_nobody_has_is_refused_before_it_is_answered(exchange, attended):
    exchange.instance.until(attended[NOBODYS], lambda fax: fax.status == Status.FAILED)

    def outcome(fax: Fax) -> tuple[str, int, object]:
        return (fax.cause, fax.attempts[0].hangup_cause, fax.attempts[0].answered_at)

    assert exchange.instance.read(attended[NOBODYS], outcome) == ("unallocated", 1, None)


def test_asterisk_was_allowed_to_keep_every_result(exchange, attended):
    """A channel whose variables ARI has set may not write to AstDB any more, and only its log says so."""
    assert "blocked" not in (exchange.instance.home / "asterisk/log/full.log").read_text()


def test_the_kill_of_the_line_in_the_middle_of_it_lost_nothing_and_brought_nothing_twice(exchange, attended):
    names = [name for name in exchange.callers if name not in ("talks", "beyond the limit")]
    assert {name: exchange.end_of(name).status for name in names} == dict.fromkeys(names, Status.RECEIVED)


@pytest.fixture(scope="module")
def unattended(exchange: Exchange, one_page: Path, attended: dict[str, str]) -> str:
    """The portal goes away, calls come in, Asterisk is killed, all come back. The channel of what is nobody's."""
    test_the_kill_of_the_line_in_the_middle_of_it_lost_nothing_and_brought_nothing_twice(exchange, attended)
    dense = exchange.instance.laid("dense.tif", light_then_dense)
    exchange.call("broken, seen", DEDICATED, dense)
    wait_until(100, "the portal has seen it begin", lambda: exchange.find("broken, seen"))
    exchange.instance.control("stop", "line", "jobs")
    exchange.call("broken, unseen", DEDICATED, dense)
    exchange.call("unseen", DEDICATED, one_page)
    exchange.call("unseen, shared", SHARED, one_page)
    exchange.call("unseen, slow", SLOW, one_page)
    exchange.call("unseen, talks", SHARED, one_page, near_end="talks")
    exchange.call("unseen, nobody's", NOBODYS, one_page)
    wait_until(100, "the telephone is picked up", lambda: exchange.is_talking("unseen, talks"))
    exchange.hang_up("unseen, talks")
    wait_until(100, "a page of each", lambda: sorted(exchange.spooled().values()) == [1] * 6)
    whole = ("unseen", "unseen, shared", "unseen, slow", "unseen, nobody's")
    wait_until(100, "the whole ones are through", lambda: exchange.results_on_disk() == len(whole))
    assert exchange.instance.kill("sbin/asterisk") == 1
    wait_until(100, "Asterisk is back", exchange.answers)
    exchange.instance.control("start", "line", "jobs")
    return "unseen, nobody's"


@pytest.mark.parametrize(("name", "line"), [("unseen", "dedicated"), ("unseen, shared", "shared")])
def test_a_fax_that_came_without_the_portal_is_imported_when_it_is_back(exchange, unattended, name, line):
    fax = exchange.end_of(name)
    assert (fax.status, fax.pages, fax.entity.name) == (Status.RECEIVED, 1, line)


def test_without_the_portal_a_line_takes_faxes_as_its_template_says(exchange, unattended):
    (attempt,) = exchange.end_of("unseen, slow").attempts
    assert (attempt.mode, attempt.rate, attempt.ecm) == ("audio", 4800, False)


@pytest.mark.parametrize("name", ["broken, seen", "broken, unseen"])
def test_the_pages_that_came_before_asterisk_was_killed_are_there_and_labelled(exchange, unattended, name):
    fax = exchange.end_of(name)
    assert (fax.status, fax.cause, fax.pages, fax.entity.name) == (Status.INCOMPLETE, "dropped", 1, "dedicated")
    assert fax.pdf_id and fax.tiff_id


def test_a_talk_without_the_portal_reached_the_telephone_and_left_nothing(exchange, unattended):
    assert exchange.find("unseen, talks") is None


def test_what_came_for_a_number_that_nobody_has_is_told_by_doctor_and_imported_when_somebody_has_it(
    exchange, unattended
):
    (left,) = wait_until(100, "all others are imported", _only_one(exchange.spooled))
    answer = wait_until(100, "the line process has seen it", lambda: _told_by_doctor(exchange.instance, left))
    assert f"for {NOBODYS}, from {exchange.callers[unattended]}" in answer
    assert exchange.find(unattended) is None
    exchange.provision(LINES.replace("\n  - <<: *company", LATE_LINE))
    fax = exchange.end_of(unattended)
    assert (fax.status, fax.entity.name) == (Status.RECEIVED, "late")
    wait_until(100, "nothing is left", lambda: not exchange.spooled())


def _only_one(spooled: Callable[[], dict[str, int]]) -> Callable[[], list[str]]:
    return lambda: list(found) if len(found := spooled()) == 1 else []


def _told_by_doctor(instance: Instance, channel_id: str) -> str:
    told = instance.command("doctor").stdout
    return told if f"{channel_id}.tif" in told else ""
