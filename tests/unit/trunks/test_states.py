"""What is seen of a trunk, and what of it is told."""

from datetime import UTC, datetime

import pytest

from app.adapters.telephony.ari import Ari, Registration
from app.jobs.receiving.trunk_watch import TrunkWatch
from app.rules.sending.trunks.fields import TrunkFields, read_trunks
from app.services.trunks import states
from app.services.trunks.states import NO_ANSWER, REGISTERED, REGISTRATION_LOST, RESTART, TrunkState, seen_now, unseen


def run(*seen: TrunkState) -> TrunkState:
    state = None
    for one in seen:
        state = seen_now(state, one)
    assert state is not None
    return state


def at(second: float, **facts: object) -> TrunkState:
    return TrunkState("main", 1_000_000.0 + second, **facts)  # type: ignore[arg-type]


def test_a_lost_registration_is_told_when_it_lasts_and_not_at_the_start() -> None:
    start = at(0, registration="Unregistered"), at(10, registration="Unregistered")
    assert run(*start).fault == ""
    assert run(*start, at(20, registration="Rejected")).fault == REGISTRATION_LOST
    assert run(*start, at(20, registration="Registered")).fault == ""


def test_who_has_never_answered_is_not_missed() -> None:
    assert run(at(0, answers=False), at(30, answers=False), at(60, answers=False)).fault == ""


def test_who_no_longer_answers_is_told_within_a_minute() -> None:
    """Asked every 20 s, 4 s long; looked at every 10 s."""
    silent = [at(second, answers=False) for second in (34, 44, 54)]
    assert run(at(0, answers=True), *silent).fault == NO_ANSWER


def test_one_that_is_to_register_and_of_whose_registration_nothing_is_known_has_lost_it() -> None:
    watch = TrunkWatch(Ari.__new__(Ari), lambda _account: "")

    def state(second: float, registration: Registration | None, *, registers: bool) -> TrunkState:
        return watch._state(TrunkFields("h", 5060, registers=registers), 1_000_000.0 + second, registration)

    missing = [state(second, None, registers=True) for second in (0, 10, 20)]
    assert run(*missing).fault == REGISTRATION_LOST
    assert run(*(state(second, None, registers=False) for second in (0, 10, 20))).fault == ""
    there = Registration("main", "sip:joe@example.org", REGISTERED)
    assert run(*missing, state(30, there, registers=True)).fault == ""


@pytest.mark.parametrize(
    ("address", "listens_on", "fault"),
    [
        ("sip:carrier.example.org", "127.0.0.1", RESTART),
        ("sip:carrier.example.org", "0.0.0.0", ""),
        ("sip:carrier.example.org", "", ""),  # an Asterisk that is not ours
        ("sip:127.0.0.1:5099", "127.0.0.1", ""),
        ("sip:carrier.example.org;transport=tcp", "127.0.0.1", ""),
        ("sip:[2001:db8::1]", "127.0.0.1", ""),
    ],
)
def test_an_asterisk_that_listens_on_this_machine_alone_is_told_at_once(address, listens_on, fault) -> None:
    watch = TrunkWatch(Ari.__new__(Ari), lambda _account: "")
    watch._listens_on = listens_on
    (trunk,) = read_trunks(address, 5060)
    assert run(watch._state(trunk, 1_000_000.0, None)).fault == fault


def test_of_what_was_seen_long_ago_or_never_nobody_knows_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "states", lambda: {"main": at(0), "second": at(30)})
    now = datetime.fromtimestamp(1_000_070.0, UTC)
    assert unseen(["main", "second", "third"], now) == ["main", "third"]
