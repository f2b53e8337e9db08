"""The process beside Asterisk: hears what happens on the line, enqueues what it means, reconciles after any gap."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from redis import RedisError
from sqlalchemy.orm import joinedload

from app.adapters.telephony.answers import Answers
from app.adapters.telephony.ari import Ari, Connected, Disconnected, Receiving
from app.application import settings
from app.errors import FaxroomError, TemporaryFailure
from app.jobs.pulse import Pulse
from app.jobs.receiving import unheard
from app.jobs.receiving.capturing import Capture
from app.jobs.receiving.silence import LOOK_SECONDS, SilenceWatch
from app.jobs.receiving.trunk_telling import TrunkTelling
from app.jobs.receiving.trunk_watch import TrunkWatch
from app.jobs.receiving.unheard import UnheardWatch
from app.jobs.running import application
from app.jobs.sending.dispatch import mark_of, spooled_path
from app.models import Attempt, Direction, Fax, FaxEntity
from app.queues import enqueue
from app.rules.ground.call_ends import code_of, with_headers
from app.rules.numbers.called import shown_called
from app.rules.numbers.habits import orders
from app.rules.numbers.policy import policy_of
from app.rules.numbers.routing import entity_then, find_line, line_by_dialled, voice_by_dialled
from app.rules.numbers.voice import Telephone, voice_of, whose_line
from app.rules.receiving.receiving import begin_receiving, channel_of, note_off_the_line, receiving_fax
from app.rules.receiving.strays import T38_ALONE, note_stray
from app.rules.receiving.telephone_calls import end_lost_calls, note_call, open_calls
from app.rules.sending.dispatch import Limits
from app.rules.sending.ladder import kept_rate
from app.rules.sending.results import (
    CallFacts,
    note_answered,
    note_progress,
    note_ringing,
    note_under_way,
    reconcile,
    take_back,
)
from app.services.documents.disk_room import disks
from app.services.documents.documents import is_stored_as
from app.services.receiving.line_events import (
    AllTold,
    Answered,
    Dials,
    Ended,
    FaxStatus,
    Incoming,
    LineEvent,
    Received,
    RegistrationsTold,
    Ringing,
    StillReceiving,
    StillSending,
    Telephoned,
    TrunkTold,
    TurnedAway,
    UnderWay,
    read_event,
    waiting_call,
)
from app.services.receiving.turned_away import REASONS, note_turned_away
from app.services.trunks.reading import is_asked
from app.services.upkeep.health import Unclaimed, beat, note_unclaimed
from tenants.connections import DATABASE_DOWN
from tenants.db import db, only_reading, utc_now

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 10.0
#: A round of which Asterisk has not told the end after so long is begun anew.
TELLING_SECONDS = 60.0
#: A mark without a live channel is looked at again after this: it may be of a call that has just begun.
AGAIN_SECONDS = 2.0
LINES_SECONDS = 30.0
#: What Asterisk knows of a line while it is being told.
UNSURE = "?"
#: Has somebody changed a trunk?
ASKED_SECONDS = 1.0
PROGRESS_SECONDS = 3.0
BEAT_SECONDS = 5.0
#: A result that was enqueued is enqueued again only when nobody has taken it over for so long.
PATIENCE_SECONDS = 30.0
UNALLOCATED, BUSY = 1, 17  # Q.850
#: A ring and its pause (asterisk/indications.conf).
RING_SECONDS = 5
MOST_RINGS = 19


@dataclass
class Telling:
    """A reconciliation under way: what was open and live before Asterisk was asked for its durable results.

    The order matters. A call that is not live any more has its result written already, so results come last. In the
    same way files and marks that were there before the live channels were listed are of a live call, or of one with a
    result, or of one that Asterisk did not live to end. That a call has no mark is looked at once more at the end.
    """

    word: str
    attempt_ids: list[int]
    receiving: list[str]  # channel ids of faxes that come in
    calls: list[str]  # channel ids of calls to telephones
    files: set[str]  # channel ids of the files that calls brought
    sending: set[str]  # channel ids of the calls of which pages may have left
    live: set[str]
    begun: float = field(default_factory=time.monotonic)
    received: set[str] = field(default_factory=set)
    marks: dict[str, StillReceiving] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)


class Every:
    """True once in each period."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last = float("-inf")

    def due(self) -> bool:
        now = time.monotonic()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


class Listener:
    """Turns the event stream of one Asterisk into jobs."""

    def __init__(self, line: Ari) -> None:
        self.line = line
        self.listening = False
        self.telling: Telling | None = None
        self.enqueued: dict[str, float] = {}
        self.sending: dict[str, int] = {}  # channel id → pages told so far
        self.agreed: dict[str, bool] = {}  # channel id → whether the two machines have agreed on error correction
        self.ended: dict[str, CallFacts] = {}  # heard, and perhaps not taken over: the disk may be full
        self.off_line: list[str] = []  # channel ids of calls that came in and are over, to be noted together
        self.marked: set[str] = set()  # channel ids of the marks that the last reconciliation found
        self.decided: set[Incoming] = set()
        self.unclaimed: dict[str, Unclaimed] = {}
        self.turned_away: Counter[str] = Counter()
        self.lines: dict[str, Telephone | str | None] = {}  # as Asterisk knows them for calls without a portal
        self.ways: dict[str, tuple[str, Receiving] | None] = {}  # likewise
        self.voice_limits: dict[str, int] = {}  # as Asterisk knows them
        self.orders: dict[str, tuple[str, ...]] = {}  # by the trunk, as Asterisk knows it
        self.trunk_telling, self.trunks_asked = TrunkTelling(line), Every(ASKED_SECONDS)
        self.reconciling = Every(RECONCILE_SECONDS)
        self.telling_lines = Every(LINES_SECONDS)
        self.progress = Every(PROGRESS_SECONDS)
        self.silence, self.looking = SilenceWatch(line), Every(LOOK_SECONDS)
        self.unheard, self.asking = UnheardWatch(line), Every(unheard.LOOK_SECONDS)
        self.beating = Every(BEAT_SECONDS)
        self.capture = Capture(line)
        self.trunks = TrunkWatch(line, self.capture.answer_to)
        self.answers: Answers | None = None
        self.logged: dict[str, str] = {}  # channel id → how Asterisk's log names the call

    def take(self, heard: Connected | Disconnected | list[dict[str, Any]]) -> None:
        """What the stream brings. Who does not hear Asterisk is of no use beside it, and gives no sign of life."""
        match heard:
            case Connected():
                self._begin_anew()
            case Disconnected():
                self.listening = False
            case events:
                self.hear(events)
        if self.listening:
            with _forgiven():
                self.do_what_is_due()
            with _forgiven():
                self.trunks.step()
            with _forgiven():
                self.capture.step(for_registration=self.trunks.misses_registration)
            for invite in self.capture.t38_alone():
                with _forgiven():
                    found = find_line(db.session, f"{invite.meant}|||||")
                    note_stray(db.session, replace(found, reason=T38_ALONE), invite.caller, utc_now())

    def _begin_anew(self) -> None:
        """Whatever happened meanwhile was not heard."""
        self.listening = True
        self.telling = None
        self.lines, self.ways, self.voice_limits = {}, {}, {}
        self.orders = {}
        self.trunk_telling.begin_anew()
        self.reconciling.last = self.telling_lines.last = float("-inf")
        self.trunks.begin_anew()
        self.unheard.begin_anew()
        with _forgiven():
            self.capture.begin_anew()
        with _forgiven():
            self._hear_answers()

    def _hear_answers(self) -> None:
        """What the far ends say of pages, of an Asterisk on this machine: nobody else could read its pipe."""
        if not self.line.is_here or not settings().page_answers:
            return
        pipe = spooled_path("any").with_name("answers")
        if self.answers is None:
            heard = Answers()
            try:
                pipe.parent.mkdir(parents=True, exist_ok=True)
                heard.listen(pipe)
            except OSError as error:
                log.warning("what the far ends say of pages is not heard: %s", error)
                return
            self.answers = heard
        self.answers.forget()
        self.logged = {}
        self.line.tell_answers(pipe)

    def hear(self, events: list[dict[str, Any]]) -> None:
        """Somebody waits for the calls that come in; what else is told can be written down together."""
        said = [word for event in events if (word := read_event(event))]
        for call in said:
            if isinstance(call, Incoming):
                with _forgiven():
                    self._decide(call)
        with _forgiven():
            if rings := [word.channel_id for word in said if isinstance(word, Ringing)]:
                note_ringing(db.session, rings)
        with _forgiven():
            if under_way := [word.channel_id for word in said if isinstance(word, UnderWay)]:
                note_under_way(db.session, under_way)
        with _forgiven():
            self._answered([word.channel_id for word in said if isinstance(word, Answered)])
        self.logged |= {word.channel_id: word.log for word in said if isinstance(word, Answered)}
        for word in said:
            with _forgiven():
                self._take(word)
        with _forgiven():
            self._note_off_the_line()
        self.capture.hear(events)

    def _take(self, event: LineEvent) -> None:
        match event:
            case Dials(channel_id):
                self.unheard.dials(channel_id)
            case Ringing(channel_id) | Answered(channel_id):
                self.unheard.is_heard(channel_id)
            case Ended(channel_id, facts, call_id):
                self.unheard.is_heard(channel_id)
                self._ended(channel_id, facts, call_id)
            case TurnedAway(why) if why in REASONS:
                self.turned_away[why] += 1
            case StillSending(channel_id):
                self._still_sending(channel_id)
            case TrunkTold() | RegistrationsTold():
                self.trunks.hear(event)
            case FaxStatus(session, lost):
                self.silence.hear_status(session, lost=lost, now=time.monotonic())
            case Telephoned():
                self._telephoned(event)
            case AllTold(word):
                if self.telling and self.telling.word == word:
                    self._finish(self.telling)
            case Received(channel_id, called, caller, facts):
                if self.telling:
                    self.telling.received.add(channel_id)
                self._bring(channel_id, called, caller, facts)
            case StillReceiving(channel_id):
                if self.telling:
                    self.telling.marks[channel_id] = event

    def _answered(self, channel_ids: list[str]) -> None:
        if channel_ids:
            self.sending |= dict.fromkeys(channel_ids, 0)
            note_answered(db.session, channel_ids)

    def _still_sending(self, channel_id: str) -> None:
        if self.telling:
            self.telling.answered.add(channel_id)
        if channel_id not in self.sending:  # answered while nobody listened
            self._answered([channel_id])

    def _telephoned(self, call: Telephoned) -> None:
        note_call(
            db.session,
            node=self.line.node,
            channel_id=call.channel_id,
            entity_id=call.entity_id,
            caller=call.caller,
            trunk=call.trunk,
            dialled=call.dialled,
            began_at=call.began_at,
            ended_at=call.ended_at,
            seconds=call.seconds,
            end=call.end,
        )
        if call.ended_at is not None:
            self.line.forget([call.channel_id], family="voice")

    def _ended(self, channel_id: str, facts: CallFacts, call_id: str) -> None:
        self.sending.pop(channel_id, None)
        self.agreed.pop(channel_id, None)
        if self.answers and (call := self.logged.get(channel_id)):
            poor, refused = self.answers.poor(call, facts.pages), self.answers.refused(call, facts.pages)
            facts = replace(facts, poor_pages=poor, refused_pages=refused)
        code = code_of(facts.response) if facts.rang is not None else None  # nobody waits for what was not refused
        if facts.response and code and code >= 300 and (told := self.capture.refusal(call_id, code)):
            whole = with_headers(facts.response, told.cause, told.retry_after, told.text)
            facts = replace(facts, response=whole)
        elif known := self.ended.get(channel_id):  # told again, without what stood in headers
            facts = replace(facts, response=known.response)
        self.ended[channel_id] = facts
        self._enqueue("record", channel_id, facts.to_json())

    def _enqueue(self, job: str, channel_id: str, *more: object) -> None:
        if not self._is_enqueued(channel_id):
            self.enqueued[channel_id] = time.monotonic()
            enqueue(job, channel_id, *more)

    def _is_enqueued(self, channel_id: str) -> bool:
        return time.monotonic() - self.enqueued.get(channel_id, float("-inf")) <= PATIENCE_SECONDS

    def _decide(self, call: Incoming) -> None:
        """Once for each call: it may be heard as an event and found by a reconciliation, in any order."""
        if call not in self.decided:
            self._send_on(call)
            self.decided.add(call)

    def _send_on(self, call: Incoming) -> None:
        """A fax line is answered as a fax within the tenant's limits; a number that nobody has does not exist. Where a
        disk is full the line is busy, so that the caller tries again.

        On a line shared with voice the call comes back when a fax was heard. Only then it is one: a conversation
        counts against no limit of faxes, and has a row of its own (:mod:`app.rules.receiving.telephone_calls`).
        """
        with only_reading():  # nobody who writes waits for that
            found = find_line(db.session, call.called)
            told = _told_of(found.entity) if found.entity else None
            db.session.rollback()
        entity = found.entity
        if entity is None or told is None:
            log.warning("a call for %s goes to nobody: %s", found.called, found.reason)
            note_stray(db.session, found, call.caller, utc_now())
            self.line.refuse(call.channel_id, UNALLOCATED)
            return
        station_id, how = told
        if entity.shared_with_voice and not call.is_fax:
            voice, whose, seconds = voice_of(db.session, entity), whose_line(entity), _listen_seconds()
            rings = entity.fax_after
            db.session.rollback()
            asked = {"voice": voice, "whose": whose, "station_id": station_id}
            self.line.detect(call.channel_id, listen_seconds=seconds, rings=rings, **asked)
            return
        if full := disks().full():
            db.session.rollback()
            log.error("a fax for %s is refused, because a disk is full: %s", found.called, full)
            self.line.refuse(call.channel_id, BUSY)
            return
        known = {"node": self.line.node, "channel_id": call.channel_id, "caller": call.caller, "called": call.called}
        if begin_receiving(db.session, entity, limits=Limits(line=0), **known):
            self.line.receive(call.channel_id, station_id=station_id, how=how)
        else:
            self.turned_away["company"] += 1
            self.line.refuse(call.channel_id, BUSY)

    def _bring(self, channel_id: str, called: str, caller: str, facts: CallFacts) -> None:
        """Have it imported. What came for a number that nobody has waits in the spool until somebody has it."""
        if self._is_enqueued(channel_id):
            return
        with only_reading():
            is_entered = receiving_fax(db.session, node=self.line.node, channel_id=channel_id) is not None
            is_somebodys = is_entered or entity_then(db.session, called, facts.answered_at)
            db.session.rollback()
        if is_entered:
            self.off_line.append(channel_id)
        if is_somebodys:
            self._enqueue("import_received", channel_id, called, caller, facts.to_json())
        elif _file_of(channel_id).exists():
            self._leave(channel_id, called, caller)
        elif _file_of(channel_id).parent.is_dir():
            number = shown_called(called)
            log.warning("a call from %s for %s, which no fax entity has, brought no page", caller, number)
            self.line.forget([channel_id], family="faxin")

    def _note_off_the_line(self) -> None:
        over, self.off_line = self.off_line, []
        if over:
            note_off_the_line(db.session, node=self.line.node, channel_ids=over)

    def _leave(self, channel_id: str, called: str = "", caller: str = "") -> None:
        """Say once, and to ``faxroom doctor``, that there are pages that cannot be given to anybody."""
        file = _file_of(channel_id)
        if channel_id in self.unclaimed or not file.exists():
            return
        number = shown_called(called)
        self.unclaimed[channel_id] = Unclaimed(str(file), number, caller)
        if called:
            log.error("%s came from %s for %s, which no fax entity had then; it stays there", file, caller, number)
        else:
            log.error("nobody knows for whom %s came: Asterisk was killed; it stays there", file)

    # ---- What is due

    def do_what_is_due(self) -> None:
        if not self._is_telling() and self.reconciling.due():
            self._begin()
        if self.trunks_asked.due() and is_asked():
            self.telling_lines.last = float("-inf")
        if self.telling_lines.due():
            self._tell_lines()
            self.trunk_telling.tell()
        if self.sending and self.progress.due():
            self._tell_pages()
        if self.beating.due():
            beat("line")
            self._tell_turned_away()
        if self.asking.due():
            self.unheard.look(db.session, utc_now())
        if self.looking.due():
            self.silence.look(time.monotonic())

    def _is_telling(self) -> bool:
        """With thousands of results a round takes longer than the time to the next, which would never let it end."""
        return self.telling is not None and time.monotonic() - self.telling.begun < TELLING_SECONDS

    def _begin(self) -> None:
        self._forget_old()
        with only_reading():
            attempt_ids, unwanted, receiving, calls = self._open_ones()
            db.session.rollback()
        files = {path.stem for path in _file_of("*").parent.glob("*.tif")}
        sending = marked(attempt_ids)
        channels = self.line.channels()
        live = {channel["id"] for channel in channels}
        self.decided = {call for call in self.decided if call.channel_id in live}
        self.telling = Telling("", attempt_ids, receiving, calls, files, sending, live)
        self.telling.word = self.line.ask_results()
        self._answered([*sending & live - self.sending.keys()])  # while nobody listened
        for channel_id in unwanted & live:  # placed while it was being cancelled
            self.line.hangup(channel_id)
        for call in filter(None, map(waiting_call, channels)):
            self._decide(call)

    def _open_ones(self) -> tuple[list[int], set[str], list[str], list[str]]:
        """Ids of the attempts that are open, channels of those that are not wanted any more, and of what comes in:
        faxes, and calls to telephones."""
        here = sa.select(Attempt).join(Fax).where(Attempt.ended_at.is_(None), Attempt.node == self.line.node)
        sent = db.session.scalars(here.where(Fax.direction == Direction.SENT).options(joinedload(Attempt.fax))).all()
        self.ended = {a.channel_id: self.ended[a.channel_id] for a in sent if a.channel_id in self.ended}
        self.logged = {a.channel_id: self.logged[a.channel_id] for a in sent if a.channel_id in self.logged}
        unwanted = {attempt.channel_id for attempt in sent if attempt.fax.cancel_requested_at}
        coming_in = db.session.scalars(here.where(Fax.direction == Direction.RECEIVED))
        receiving = [channel_of(attempt, self.line.node) for attempt in coming_in]
        return [attempt.id for attempt in sent], unwanted, receiving, open_calls(db.session, self.line.node)

    def _finish(self, telling: Telling) -> None:
        """Everything is told: record what ended, give up what can no longer end."""
        self.telling = None
        self.sending = {channel_id: pages for channel_id, pages in self.sending.items() if channel_id in telling.live}
        with only_reading():
            attempts = db.session.scalars(sa.select(Attempt).where(Attempt.id.in_(telling.attempt_ids))).all()
            answered_meanwhile = marked(telling.attempt_ids) - telling.sending
            found = reconcile(
                [a for a in attempts if a.ended_at is None and a.channel_id not in answered_meanwhile],
                live=telling.live,
                results=self.ended,
                answered=telling.answered | telling.sending,
                now=utc_now(),
            )
            open_ones = set(db.session.scalars(sa.select(Attempt.channel_id).where(Attempt.ended_at.is_(None))))
            db.session.rollback()
        for channel_id in telling.sending - telling.live - open_ones:  # taken over, and the job killed after that
            mark_of(channel_id).unlink(missing_ok=True)
        for channel_id, facts in found.results.items():
            self._enqueue("record", channel_id, facts.to_json())
        for attempt_id in found.take_back:
            take_back(db.session, attempt_id)
        if lost := [channel_id for channel_id in telling.calls if channel_id not in telling.live]:
            end_lost_calls(db.session, self.line.node, lost)
            self.line.forget(lost, family="voice")
        self._bring_what_broke_off(telling)
        self._look_for_unclaimed(telling)

    def _bring_what_broke_off(self, telling: Telling) -> None:
        """The caller gave up before it began, or Asterisk died in the middle: what came lies in the spool.

        A call that began after the live channels were listed has a mark as well; one whose mark was there before is
        over. Of a call that the portal did not see, only the mark knows the numbers.
        """
        over = telling.live | telling.received
        for channel_id in (set(telling.receiving) | (telling.marks.keys() & self.marked)) - over:
            mark = telling.marks.get(channel_id, StillReceiving(channel_id, "", "", None))
            self._bring(channel_id, mark.called, mark.caller, CallFacts("dropped", answered_at=mark.started_at))
        if telling.marks.keys() - self.marked - over:
            self.reconciling.last = min(self.reconciling.last, time.monotonic() - RECONCILE_SECONDS + AGAIN_SECONDS)
        self.marked = set(telling.marks)

    def _look_for_unclaimed(self, telling: Telling) -> None:
        """Pages that no call, mark, result or fax knows, or for a number that nobody has: told, never removed."""
        known = telling.live | telling.received | telling.marks.keys() | set(telling.receiving)
        for channel_id in telling.files - known:
            file = _file_of(channel_id)
            with only_reading():
                fax = receiving_fax(db.session, node=self.line.node, channel_id=channel_id)
                is_entered = fax is not None and file.exists() and is_stored_as(fax.tiff or fax.source, file)
                db.session.rollback()
            if is_entered:  # the import was killed between its commit and its tidying up
                self._enqueue("import_received", channel_id, "", "", CallFacts("dropped").to_json())
            else:
                self._leave(channel_id)
        self.unclaimed = {name: left for name, left in self.unclaimed.items() if Path(left.file).exists()}
        note_unclaimed(list(self.unclaimed.values()))

    def _tell_lines(self) -> None:
        """What Asterisk has to know of shared lines when it is alone; only what has changed since it was told. While it
        is being told nobody knows what it knows: if that fails, it is told whatever holds then."""
        with only_reading():
            lines, policy = voice_by_dialled(db.session), policy_of(db.session)
            ways = {digits: _told_of(entity) for digits, entity in line_by_dialled(db.session).items()}
            told_orders = orders(db.session)
            db.session.rollback()
        most = {"per_line": policy.voice_per_line, "per_company": policy.voice_per_company}
        limits = {**most, "seconds": policy.voice_minutes * 60}
        gone = dict.fromkeys(self.lines.keys() - lines.keys())
        changed = {digits: voice for digits, voice in lines.items() if self.lines.get(digits, UNSURE) != voice}
        self.lines |= dict.fromkeys(gone | changed, UNSURE)
        self.line.tell_lines(gone | changed, listen_seconds=_listen_seconds())
        self.lines = dict(lines)
        changed_ways = {digits: way for digits, way in ways.items() if self.ways.get(digits) != way}
        if told := dict.fromkeys(self.ways.keys() - ways.keys()) | changed_ways:
            self.ways |= dict.fromkeys(told)
            self.line.tell_ways(told)
            self.ways = dict(ways)
        if limits != self.voice_limits:
            self.voice_limits = {}
            self.line.tell_voice_limits(**limits)
            self.voice_limits = limits
        for trunk, order in told_orders.items() - self.orders.items():
            self.orders.pop(trunk, None)
            self.line.tell_order(trunk, order)
        self.orders = told_orders

    def _tell_turned_away(self) -> None:
        if self.turned_away:
            note_turned_away(self.turned_away, utc_now())
            self.turned_away.clear()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - 2 * PATIENCE_SECONDS
        self.enqueued = {channel_id: at for channel_id, at in self.enqueued.items() if at > oldest}

    def _tell_pages(self) -> None:
        told = self.line.sent_so_far()
        pages = {
            channel_id: fax.pages for channel_id, fax in told.items() if fax.pages > self.sending.get(channel_id, 0)
        }
        ecm = {channel_id: fax.ecm for channel_id, fax in told.items() if fax.ecm is not None}
        agreed = {channel_id: ecm[channel_id] for channel_id in ecm if self.agreed.get(channel_id) != ecm[channel_id]}
        self.sending |= pages
        self.agreed |= agreed
        if pages or agreed:
            note_progress(db.session, pages, agreed)


def _told_of(entity: FaxEntity) -> tuple[str, Receiving]:
    """Station id, and how a fax may come in."""
    template = entity.template
    return template.station_id, Receiving(template.ecm, kept_rate(template.max_rate), template.t38)


def _listen_seconds() -> int:
    """Whole rings, so that the telephone's ringing goes on where the listening's ends. Two digits at most go with the
    call (:meth:`Ari.detect`)."""
    rings = round(settings().listen_seconds / RING_SECONDS)
    return RING_SECONDS * min(max(rings, 1), MOST_RINGS)


def marked(attempt_ids: list[int]) -> set[str]:
    """The calls of which a page may have left, these attempts' among them. Whoever lays pages in the spool makes the
    folder before, so that there may be none as long as there is no attempt.

    Raises:
        TemporaryFailure: ``spool_down``: it is not to be seen, which must not be taken for *none*.
    """
    folder = mark_of("any").parent
    try:
        return {path.name for path in folder.iterdir()}
    except OSError as error:
        if not attempt_ids:
            return set()
        raise TemporaryFailure("spool_down", folder=folder) from error


def _file_of(channel_id: str) -> Path:
    """The pages that a call brought, as Asterisk leaves them."""
    return settings().spool / "incoming" / f"{channel_id}.tif"


@contextmanager
def _forgiven() -> Iterator[None]:
    """A fault in one event costs that event: the next reconciliation finds what it meant. One that nobody foresaw does
    too: what is told again at each start would end this process each time, for every company."""
    try:
        yield
    except (FaxroomError, *DATABASE_DOWN, RedisError) as error:
        db.session.rollback()
        log.warning("left to the next reconciliation: %s", error)
    except Exception:
        db.session.rollback()
        log.exception("left to the next reconciliation")


def run() -> None:
    """Listen for ever."""
    app = application()
    listener, pulse = Listener(app.extensions["asterisk"]), Pulse()
    for heard in listener.line.events():
        pulse.step()
        with app.app_context():
            listener.take(heard)
