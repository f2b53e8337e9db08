"""What Asterisk's word about a call means for the attempt and the fax. Everything here may be told twice."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Fax, FaxTemplate, Origin, Status, TrunkTrouble
from app.models.faxes.moves import ON_THE_LINE
from app.queues import enqueue_after_commit
from app.rules.ground.call_ends import (
    BUSY,
    CALLED_OFF,
    LINE_DOWN,
    MEDIA,
    NETWORK,
    OUR_SIDE,
    PASSED_ON,
    TRUNK_DOWN,
    TRUNK_SIDE,
    UNREAD,
    Unanswered,
    judge,
    retry_after_of,
)
from app.rules.log.search import with_name
from app.rules.outbox.notices import write_outcome_notice
from app.rules.sending.called import SOON, is_busy_by_us, is_taken_by_us
from app.rules.sending.destinations import learn
from app.rules.sending.ladder import LARGE_PACKET, is_standard_only
from app.rules.sending.lifecycle import move
from app.rules.sending.redirects import target_of
from app.rules.sending.retry import (
    DIALS,
    FOLLOWED,
    LINE_DOWN_DELAY,
    PERHAPS_A_PERSON,
    Dials,
    by_day,
    decide,
    only_one_call,
    spread,
)
from app.rules.sending.trunks.choosing import another_takes_it, is_the_trunks_fault
from app.rules.sending.trunks.room import want_of_channels
from app.rules.sending.trunks.trouble import among_others, note_end, note_found_nothing, note_heard, set_aside, told_of
from tenants.db import rows_changed, utc_now

#: A call that was placed and of which Asterisk knows nothing is given up only after it could no longer be answered:
#: the time to ring, and the time that the ARI request itself may have been under way.
REQUEST_GRACE = timedelta(seconds=45)
#: RFC 3261, 21.1.5: with sound of the network's, which may be that of a telephone that rings.
UNDER_WAY = "SIP 183 Session Progress"


@dataclass(frozen=True)
class CallFacts:
    """The end of one call, as the hangup handler wrote it down.

    ``outcome`` is a word of :data:`app.rules.sending.retry.DELAYS`, ``success`` or ``unknown``; ``pages`` those that
    the far end confirmed (T.30 MCF); ``hangup_cause`` is of Q.850; times are Unix seconds. ``response`` is the last one
    of SIP's, with what its headers said of the cause, empty where none came, None where it was not kept; ``rang``
    whether Asterisk has seen it ring, of a call that nobody answered and that ended by the network's word;
    ``under_way`` whether the far end said more to it than that it tries, such as SIP 183.
    ``redirected_to`` is whom the far end named in a SIP 302, as it wrote it. ``ecm`` is what the two machines agreed
    on, None where this does not tell; ``damaged_lines`` are lines of what came in; ``poor_pages`` those of this call,
    from 1, that the far end confirmed and called poor (T.30 RTP), ``refused_pages`` those that it had sent again (RTN).
    """

    outcome: str
    pages: int = 0
    mode: str | None = None
    rate: int | None = None
    ecm: bool | None = None
    remote_station_id: str | None = None
    hangup_cause: int | None = None
    response: str | None = None
    rang: bool | None = None
    under_way: bool = False
    error: str | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    redirected_to: str | None = None
    damaged_lines: int | None = None
    poor_pages: Sequence[int] = ()
    refused_pages: Sequence[int] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "CallFacts":
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def record_result(session: Session, channel_id: str, facts: CallFacts) -> bool:
    """Close the attempt and move its fax; False if that has been done before. Commits."""
    attempt = session.scalar(sa.select(Attempt).where(Attempt.channel_id == channel_id))
    now = utc_now()
    may_have_rung = attempt is not None and _may_have_rung(attempt, facts)
    if attempt:
        facts = replace(facts, outcome=_judged(session, attempt, facts, now))
    target = target_of(session, attempt, facts.redirected_to) if attempt and facts.redirected_to else None
    if target:
        facts = replace(facts, outcome=FOLLOWED)
    if attempt is None or not close_attempt(session, attempt.id, facts):
        session.rollback()
        return False
    session.refresh(attempt)
    fax = session.get_one(Fax, attempt.fax_id, populate_existing=True)
    note_end(session, attempt, now)
    attempt.passed_on = not may_have_rung and _is_passed_on(session, attempt, fax, facts, now)
    session.flush()
    learn(session, attempt, fax, now)
    pages_total = fax.pages or 0
    pages_done = min(pages_total, attempt.first_page - 1 + max(0, facts.pages))
    template = fax.entity.template
    max_attempts = 1 if fax.origin == Origin.TEST else template.max_attempts
    decision = decide(
        outcome=facts.outcome,
        pages_total=pages_total,
        pages_done=pages_done,
        pages_confirmed=facts.pages,
        attempts=_tries(session, fax.id, only_one=max_attempts == 1),
        dials=_dials(session, fax, template, now),
        same_before=_ended_alike(session, attempt),
        max_attempts=max_attempts,
        cancel_requested=fax.cancel_requested_at is not None,
        goes_on=attempt.passed_on,
        delays=template.retry_delays,
    )
    if fax.origin == Origin.TEST:
        decision = only_one_call(decision)
    values: dict[str, Any] = {"cause": decision.cause, "cause_values": None, "pages_done": pages_done}
    if decision.cause in TRUNK_SIDE and attempt.trunk_id is not None:
        values["cause_values"] = told_of(session.get(TrunkTrouble, attempt.trunk_id, populate_existing=True))
    values["redirected_to"] = target if decision.cause == FOLLOWED else None
    if decision.delay is not None:
        if facts.outcome == BUSY and is_taken_by_us(session, attempt):
            decision = replace(decision, delay=min(decision.delay, SOON))
        elif decision.cause == facts.outcome:
            decision = replace(decision, delay=max(decision.delay or 0, retry_after_of(facts.response)))
        at = now + timedelta(seconds=spread(decision.delay or 0, random.random()))
        rings = decision.cause in (*PERHAPS_A_PERSON, *DIALS)
        values["due_at"] = by_day_for_a_person(session, fax, at, pages_done) if rings else at
    if facts.remote_station_id:
        values["remote_station_id"] = facts.remote_station_id[:64]
        values["search_text"] = with_name(fax.search_text, facts.remote_station_id[:64])
    told = (Status.SENT, Status.FAILED, Status.UNKNOWN)
    if move(session, fax.id, decision.status, only_from=ON_THE_LINE, **values) and decision.status in told:
        write_outcome_notice(session, fax)
    if is_standard_only(facts.error) and decision.status == Status.RETRYING:
        enqueue_after_commit(session, "redraw", fax.id)
    enqueue_after_commit(session, "dispatch")  # a line is free
    session.commit()
    return True


def _judged(session: Session, attempt: Attempt, facts: CallFacts, now: datetime) -> str:
    """With what Asterisk could not know: that we have heard it ring, and what becomes of other calls."""
    outcome = facts.outcome
    if facts.rang is not None:
        rang = facts.rang or attempt.ringing_at is not None
        if facts.response == "" and not rang and attempt.fax.cancel_requested_at:
            return CALLED_OFF
        outcome = judge(Unanswered(facts.response, facts.hangup_cause, rang))
        if outcome == NETWORK and not _may_have_rung(attempt, facts):
            full = want_of_channels(session, attempt, facts.response, facts.hangup_cause, now)
            if full:
                return full
    return among_others(session, attempt, outcome, facts.response, now)


def _may_have_rung(attempt: Attempt, facts: CallFacts) -> bool:
    """Of a call that is still open: by all that has been heard of it so far."""
    return bool(facts.rang) or attempt.ringing_at is not None or facts.under_way or attempt.under_way


def _is_passed_on(session: Session, attempt: Attempt, fax: Fax, facts: CallFacts, now: datetime) -> bool:
    """To another trunk, at once, of a call that did not ring: by the network's own word alone. Whoever knows less
    dials nobody anew."""
    if facts.rang is None or attempt.answered_at is not None:
        return False
    if not is_the_trunks_fault(facts.outcome, facts.response):
        return False
    return another_takes_it(session, attempt, fax, now)


def _ended_alike(session: Session, attempt: Attempt) -> int:
    """Who refuses large packets has not refused the media: usual ones are tried, once. A person who hangs up now and
    listens then is the same person."""
    outcomes = PERHAPS_A_PERSON if attempt.outcome in PERHAPS_A_PERSON else (attempt.outcome,)
    alike = [Attempt.fax_id == attempt.fax_id, Attempt.outcome.in_(outcomes), Attempt.id != attempt.id]
    if attempt.outcome == MEDIA:
        if attempt.asked_packet == LARGE_PACKET:
            return 0
        alike.append(Attempt.asked_packet.is_distinct_from(LARGE_PACKET))
    return session.scalar(sa.select(sa.func.count()).select_from(Attempt).where(*alike)) or 0


def by_day_for_a_person(session: Session, fax: Fax, at: datetime, pages_done: int) -> datetime:
    """That time, or the morning where it is at night and somebody has answered a call of this fax without a machine.
    Their telephone rings by day only, also where it is busy or nobody answers the next time, unless the line's template
    says when."""
    morning = by_day(at, fax.tenant.zone)
    if morning == at or pages_done:
        return at
    unless_told = [outcome for outcome in PERHAPS_A_PERSON if outcome not in (fax.entity.template.retry_delays or {})]
    answered = sa.select(Attempt.id).where(Attempt.fax_id == fax.id, Attempt.outcome.in_(unless_told))
    return at if session.scalar(answered.limit(1)) is None else morning


def _tries(session: Session, fax_id: str, *, only_one: bool) -> int:
    """Attempts that count against the template's limit: those that a machine took and that brought no page. What ended
    on our own side is nobody else's fault, and a call that was redirected goes on. With ``only_one`` pages make no
    difference: who wants one attempt wants no other call, whatever came of it."""
    others = Attempt.outcome.is_(None) | Attempt.outcome.not_in((*OUR_SIDE, *DIALS, FOLLOWED))
    mine = sa.select(sa.func.count()).select_from(Attempt).where(Attempt.fax_id == fax_id, others)
    return session.scalar(mine if only_one else mine.where(Attempt.pages_confirmed == 0)) or 0


def _dials(session: Session, fax: Fax, template: FaxTemplate, now: datetime) -> Dials:
    """Calls that reached no machine. Who wants one attempt wants no other call, whatever came of it."""
    mine = sa.select(Attempt.created_at).where(Attempt.fax_id == fax.id, Attempt.outcome.in_(DIALS))
    mine = mine.where(~Attempt.passed_on, ~is_busy_by_us())
    at = session.scalars(mine.order_by(Attempt.n)).all()
    since = (now - at[0]).total_seconds() if at else 0
    most = 1 if fax.origin == Origin.TEST or template.max_attempts == 1 else template.max_dials
    return Dials(len(at), since, most, template.dial_hours * 3600)


def close_attempt(session: Session, attempt_id: int, facts: CallFacts) -> bool:
    """Write down how a call ended; False if that has been done before."""
    values = {
        "ended_at": _time(facts.ended_at) or utc_now(),
        "outcome": facts.outcome,
        "pages_confirmed": max(0, facts.pages),
        "mode": facts.mode,
        "rate": facts.rate,
        "damaged_lines": facts.damaged_lines,
        "poor_pages": [page for page in facts.poor_pages if page <= facts.pages] or None,
        "refused_pages": [page for page in facts.refused_pages if page <= facts.pages + 1] or None,
        "remote_station_id": (facts.remote_station_id or "")[:64] or None,
        "hangup_cause": facts.hangup_cause,
        "response": (facts.response or "")[:120] or None,
        "error": (facts.error or "")[:255] or None,
    }
    if facts.ecm is not None:
        values["ecm"] = facts.ecm
    if facts.under_way:
        values["under_way"] = True
    if facts.answered_at:
        values["answered_at"] = _time(facts.answered_at)
    still_open = sa.update(Attempt).where(Attempt.id == attempt_id, Attempt.ended_at.is_(None))
    return rows_changed(session, still_open.values(**values)) == 1


def _time(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds else None


def note_ringing(session: Session, channel_ids: Collection[str]) -> None:
    """It rings at the far ends. Commits."""
    rings = sa.update(Attempt).where(Attempt.channel_id.in_(channel_ids), Attempt.ringing_at.is_(None))
    session.execute(rings.values(ringing_at=utc_now()))
    note_heard(session, channel_ids, utc_now())
    session.commit()


def note_under_way(session: Session, channel_ids: Collection[str]) -> None:
    """The far ends have said more than that they try; it stands as SIP's last response until the end has another.
    Commits."""
    open_calls = sa.update(Attempt).where(Attempt.channel_id.in_(channel_ids), Attempt.ended_at.is_(None))
    session.execute(open_calls.values(response=UNDER_WAY, under_way=True))
    session.commit()


def note_answered(session: Session, channel_ids: Collection[str]) -> None:
    """The far ends picked up: dialing → sending. Commits."""
    picked_up = sa.select(Attempt).where(Attempt.channel_id.in_(channel_ids), Attempt.ended_at.is_(None))
    for attempt in session.scalars(picked_up).all():
        attempt.answered_at = attempt.answered_at or utc_now()
        move(session, attempt.fax_id, Status.SENDING)
    note_heard(session, channel_ids, utc_now())
    session.commit()


def note_progress(session: Session, pages: Mapping[str, int], agreed: Mapping[str, bool]) -> None:
    """Of running calls, by channel: pages that the far end has confirmed so far, and whether the two machines have
    agreed on error correction. Commits."""
    running = sa.select(Attempt).where(Attempt.channel_id.in_({*pages, *agreed}), Attempt.ended_at.is_(None))
    for attempt in session.scalars(running).all():
        attempt.ecm = agreed.get(attempt.channel_id, attempt.ecm)
        confirmed = pages.get(attempt.channel_id, 0)
        if confirmed > attempt.pages_confirmed:
            attempt.pages_confirmed = confirmed
            on_the_way = sa.update(Fax).where(Fax.id == attempt.fax_id, Fax.status == Status.SENDING)
            session.execute(on_the_way.values(pages_done=attempt.first_page - 1 + confirmed))
    session.commit()


def take_back(session: Session, attempt_id: int, cause: str = LINE_DOWN, *, by_trunk: bool = False) -> bool:
    """Undo a claim of which it is certain that Asterisk never dialled. No attempt is counted. Commits.

    ``by_trunk``: perhaps Asterisk knows no such trunk. If another one takes the fax at once, that one is set aside.

    The row goes: who still wanted to place it finds nothing to place (see
    :func:`app.rules.sending.dispatch.mark_placed`).
    """
    attempt = session.get(Attempt, attempt_id)
    if attempt is None:
        session.rollback()
        return False
    fax_id, trunk_id, now = attempt.fax_id, attempt.trunk_id, utc_now()
    goes_on = by_trunk and another_takes_it(session, attempt, attempt.fax, now)
    never_heard = sa.delete(Attempt).where(Attempt.id == attempt_id, Attempt.ended_at.is_(None))
    if rows_changed(session, never_heard.where(Attempt.answered_at.is_(None))) != 1:
        session.rollback()
        return False
    note_found_nothing(session, trunk_id, now)
    fax = session.get_one(Fax, fax_id, populate_existing=True)
    if fax.cancel_requested_at:
        move(session, fax_id, Status.CANCELLED, cause="cancelled")
    elif goes_on and trunk_id is not None:
        set_aside(
            session, trunk_id, session.get(TrunkTrouble, trunk_id), {"outcome": TRUNK_DOWN, "response": None}, now
        )
        move(session, fax_id, Status.RETRYING, cause=PASSED_ON, cause_values=None, due_at=now)
        enqueue_after_commit(session, "dispatch")
    elif cause == UNREAD:  # in a moment, and not over those that have passed it on
        cause = PASSED_ON if fax.cause == PASSED_ON else cause
        move(session, fax_id, Status.RETRYING, cause=cause, cause_values=None, due_at=now)
    else:
        due_at = now + timedelta(seconds=LINE_DOWN_DELAY)
        move(session, fax_id, Status.RETRYING, cause=cause, cause_values=None, due_at=due_at)
    session.commit()
    return True


@dataclass(frozen=True)
class Reconciled:
    """What the reconciliation found: results to record, claims to take back."""

    results: dict[str, CallFacts]
    take_back: list[int]


def reconcile(
    open_attempts: Iterable[Attempt],
    *,
    live: set[str],
    results: Mapping[str, CallFacts],
    answered: set[str],
    now: datetime,
) -> Reconciled:
    """Hold the open attempts of one node against what its Asterisk knows.

    ``live`` are its channels, ``results`` the durable results, ``answered`` the calls with a durable mark that pages
    may leave. A marked call whose channel is gone without a result is *unknown*, with the pages that were heard to be
    confirmed. Of one without a mark no page went out, for none leaves before the mark is on the disk; it is given up
    when it can no longer be answered. That Asterisk has started anew meanwhile proves nothing: whoever places the call
    may have been held up, and ask it only now.
    """
    found: dict[str, CallFacts] = {}
    never_heard: list[int] = []
    for attempt in open_attempts:
        channel_id = attempt.channel_id
        if channel_id in results:
            found[channel_id] = results[channel_id]
        elif channel_id in live:
            continue
        elif channel_id in answered:
            found[channel_id] = CallFacts("unknown", pages=attempt.pages_confirmed)
        elif attempt.placed_at is None:
            if now - attempt.created_at > REQUEST_GRACE:
                never_heard.append(attempt.id)
        elif _cannot_be_answered(attempt, now=now):
            found[channel_id] = CallFacts(_of_a_lost_call(attempt), pages=attempt.pages_confirmed)
    return Reconciled(found, never_heard)


def _of_a_lost_call(attempt: Attempt) -> str:
    """Asterisk never heard of it, or ended before it had written anything down: our side. One that rang counts all the
    same, for nobody's telephone should ring for ever."""
    if attempt.answered_at:
        return "unknown"
    return "other" if attempt.ringing_at or attempt.under_way else LINE_DOWN


def _cannot_be_answered(attempt: Attempt, *, now: datetime) -> bool:
    """The dialplan sends nothing after that (``OutgoingCall.not_after``)."""
    ring = timedelta(seconds=attempt.fax.entity.template.ring_seconds)
    return attempt.placed_at is not None and now - attempt.placed_at > ring + REQUEST_GRACE
