"""What is seen of a trunk, and what of it is told."""

from app.services.trunks.states import NO_ANSWER, REGISTRATION_LOST, TrunkState, seen_now


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
