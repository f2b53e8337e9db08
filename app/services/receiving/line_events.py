"""What Asterisk tells, made into our words. Pure: JSON in, dataclasses out.

The durable result is one line written by the hangup handler of ``asterisk/extensions.conf``:
``ended|ended|answered|Q.850 cause|capped|late`` (*late* is ``full`` where the disk was, ``ending`` where Asterisk was
about to end and cut the call: nobody knows what arrived, unless T.30 had not begun) and, for a call that sent,
``|status|pages|rate|ecm|mode|error|statusstr|station id|resolution``, the three before the last in base64; for a
call that nobody answered, ``|the number that a SIP 302 named``, in base64 too; then for both ``|response|state``: SIP's
last response in base64 and Asterisk's word for the state of the channel, or ``Progress`` where it did not ring, and the
far end said more than that it tries. Former versions kept less. Times are Unix
seconds. For what is received see :func:`read_received`. A call that waits for a decision stands in
``Stasis(faxroom,incoming|fax,<called number in base64>)``.
"""

import base64
import binascii
import logging
import re
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.models import CallEnd
from app.rules.ground.call_ends import DISK_FULL, GAVE_UP, LINE_DOWN, Unanswered, judge
from app.rules.ground.call_ends import Answered as How
from app.rules.sending.results import CallFacts
from app.whole_numbers import read_whole

log = logging.getLogger(__name__)

LONGEST_NUMBER = 40
#: spandsp of T.38, when nothing of a page has come for 15 s (t30_api.c: T30_ERR_RX_NOCARRIER).
CARRIER_LOST = "Carrier lost during fax receive"
PREFIX = "fax-"  # of the channel ids that are ours
#: Files are named after channels.
_PLAIN = re.compile(r"[\w+:;-][\w.+:;-]*", re.ASCII)


@dataclass(frozen=True)
class Dials:
    """Asterisk has handed the call to SIP."""

    channel_id: str


@dataclass(frozen=True)
class Ringing:
    channel_id: str


@dataclass(frozen=True)
class UnderWay:
    """The far end has said more than that it tries (SIP 183): perhaps the called telephone rings, and is heard to."""

    channel_id: str


@dataclass(frozen=True)
class Answered:
    """``log`` is how Asterisk names the call in its log, empty where it did not tell."""

    channel_id: str
    log: str = ""


@dataclass(frozen=True)
class Ended:
    """A durable result, heard at hang-up or told again on request; ``call_id`` is SIP's, told at hang-up only."""

    channel_id: str
    facts: CallFacts
    call_id: str = ""


@dataclass(frozen=True)
class Received:
    """The durable result of an incoming fax; ``called`` and ``caller`` as in :class:`Incoming`."""

    channel_id: str
    called: str
    caller: str
    facts: CallFacts


@dataclass(frozen=True)
class StillReceiving:
    """A durable mark without a result: pages come in, or Asterisk died while they did. Otherwise as in
    :class:`Received`."""

    channel_id: str
    called: str
    caller: str
    started_at: int | None


@dataclass(frozen=True)
class StillSending:
    """``sending|answered``, the mark of former versions: answered, and nothing is known of the end."""

    channel_id: str


@dataclass(frozen=True)
class AllTold:
    """Every durable result has been told; ``word`` is what :meth:`app.adapters.telephony.ari.Ari.ask_results` gave."""

    word: str


@dataclass(frozen=True)
class Incoming:
    """A call that waits for a decision. ``called`` and ``caller`` are as the network gave them: strangers' text.

    ``is_fax``: on a line shared with voice it has been answered, and a fax was heard.
    """

    channel_id: str
    called: str
    caller: str
    is_fax: bool = False


@dataclass(frozen=True)
class TurnedAway:
    """A call that found no place: ``why`` is ``caller``, ``called`` or ``incoming``, by whose limit."""

    why: str


@dataclass(frozen=True)
class Telephoned:
    """A call of a shared line that went on to a telephone: it runs, or (with ``ended_at``) how it ended. ``entity_id``
    is the line, ``caller`` a stranger's text, ``trunk`` the one that it came over, ``seconds`` how long they spoke,
    ``end`` a word of CallEnd."""

    channel_id: str
    entity_id: int
    caller: str
    dialled: str
    began_at: int
    ended_at: int | None = None
    seconds: int = 0
    end: str | None = None
    trunk: str = ""


@dataclass(frozen=True)
class FaxStatus:
    """What spandsp says of the fax with this session number, as it was asked; ``lost``: the far end has stopped in the
    middle of a page."""

    session: int
    lost: bool


@dataclass(frozen=True)
class TrunkTold:
    """Whether a trunk answered when it was asked last, as Asterisk names it: Reachable, Unreachable or something else
    where nobody knows. ``microseconds`` is how long it took."""

    name: str
    status: str
    microseconds: int | None


@dataclass(frozen=True)
class RegistrationsTold:
    """In how many seconds each registration ends that holds, by its name in pjsip.conf."""

    seconds: dict[str, int]


LineEvent = (
    FaxStatus
    | RegistrationsTold
    | TrunkTold
    | Telephoned
    | TurnedAway
    | Dials
    | Ringing
    | UnderWay
    | Answered
    | Ended
    | StillSending
    | StillReceiving
    | AllTold
    | Incoming
    | Received
)


def read_event(event: dict[str, Any]) -> LineEvent | None:
    """Our word for an ARI event; None for one that tells us nothing."""
    reader = _READERS.get(event.get("type", ""))
    return _with_plain_id(reader(event)) if reader else None


Said = TypeVar("Said", bound=LineEvent)


def _with_plain_id(said: Said | None) -> Said | None:
    """Whoever speaks for Asterisk, or has its password, chooses ids: one that leads out of the spool's folders is
    nobody's."""
    channel_id = getattr(said, "channel_id", None)
    if channel_id is None or _PLAIN.fullmatch(channel_id):
        return said
    log.error("a call with an id that no Asterisk gives is left aside: %r", channel_id[:100])
    return None


#: Asterisk's word for 180 and for 183 (chan_pjsip.c: chan_pjsip_incoming_response).
_DIAL_SAID: dict[str, type[Dials] | type[Ringing] | type[UnderWay]] = {
    "": Dials,
    "RINGING": Ringing,
    "PROGRESS": UnderWay,
}


def _dial(event: dict[str, Any]) -> LineEvent | None:
    """Asterisk 22, main/dial.c: begin_dial_channel tells the first of a call, without a status, once SIP has it."""
    channel_id = event.get("peer", {}).get("id", "")
    said = _DIAL_SAID.get(event.get("dialstatus", "?"))
    return said(channel_id) if said and channel_id.startswith(PREFIX) else None


def _stasis_start(event: dict[str, Any]) -> LineEvent | None:
    return _waiting(event["channel"], event.get("args", []))


def waiting_call(channel: dict[str, Any]) -> Incoming | None:
    """A live channel that still waits for the portal's decision, perhaps since before the portal was there."""
    dialplan = channel.get("dialplan", {})
    if dialplan.get("app_name") == "Stasis":
        return _with_plain_id(_waiting(channel, dialplan.get("app_data", "").split(",")[1:]))
    return None


def _waiting(channel: dict[str, Any], arguments: list[str]) -> Incoming | None:
    match arguments:
        case ["incoming" | "fax" as why, called]:
            return Incoming(channel["id"], _decoded(called), channel["caller"]["number"], is_fax=why == "fax")
    return None


def _user_event(event: dict[str, Any]) -> LineEvent | None:
    told = event.get("userevent", {})
    name = told.get("eventname")
    if name == "FaxAnswered":
        return Answered(event["channel"]["id"], told.get("Log", "").strip("[]"))
    if name == "FaxRefused":
        return TurnedAway(told.get("Why", ""))
    if name == "FaxResultsEnd":
        return AllTold(told.get("Asked", ""))
    if name == "FaxResult" and told.get("Fax", "").startswith(PREFIX):
        result = read_result(told["Fax"], told.get("Result", ""))
        return replace(result, call_id=told.get("Call", "")) if isinstance(result, Ended) else result
    if name == "FaxReceived":
        return read_received(told.get("Fax", ""), told.get("Result", ""))
    if name == "FaxStatus" and (session := read_whole(told.get("Session", ""))) is not None:
        return FaxStatus(session, told.get("Status", "") == CARRIER_LOST)
    if name == "FaxTrunk":
        return TrunkTold(told.get("Trunk", ""), told.get("Status", ""), read_whole(told.get("Rtt", "")))
    if name == "FaxRegistrations":
        told_of = (one.partition("=") for one in told.get("Told", "").split())
        seconds = {name: read_whole(left) for name, _, left in told_of}
        return RegistrationsTold({name: left for name, left in seconds.items() if left is not None})
    if name == "VoiceCall":
        return read_telephoned(told.get("Fax", ""), told.get("Result", ""))
    return None


_READERS = {"Dial": _dial, "StasisStart": _stasis_start, "ChannelUserevent": _user_event}


def read_result(channel_id: str, line: str) -> Ended | StillSending:
    """Read a durable result. One that cannot be read is *unknown*: it may have been anything."""
    fields = line.split("|")
    if fields[0] == "sending":
        return StillSending(channel_id)
    if fields[0] != "ended" or len(fields) not in (6, 7, 9, 14, 17):
        return Ended(channel_id, CallFacts("unknown", error=f"unreadable result: {line[:100]}"))
    ended, answered, cause, capped, late = (read_whole(field) for field in fields[1:6])
    response, state = _last_response(fields)
    rang = state == RANG
    if len(fields) < 14:
        facts = CallFacts("other", hangup_cause=cause, response=response, ended_at=ended, answered_at=answered)
        if redirected_to := _printable(_decoded("".join(fields[6:7])))[:LONGEST_NUMBER]:
            return Ended(channel_id, replace(facts, outcome="redirected", redirected_to=redirected_to))
        if late is not None or fields[5]:
            return Ended(channel_id, replace(facts, outcome=_WITHOUT_A_PAGE.get(fields[5], "other")))
        facts = replace(facts, rang=rang, under_way=state == PROGRESS)
        return Ended(channel_id, replace(facts, outcome=judge(Unanswered(response, cause, rang))))
    status, pages, rate, _asked_ecm, mode, error, text, station = fields[6:14]
    error_word = _decoded(error)
    heard = len(fields) > 14 and fields[14] not in NOTHING_HEARD
    if fields[5] == "ending" and status != "SUCCESS":
        outcome = LINE_DOWN if error_word == BEFORE_T30 else "unknown"
    else:
        is_machine = bool(station) or heard or mode == "T38"
        why = {"gave_up": cause == GAVE_UP, "capped": bool(capped)}
        outcome = judge(How(status, error_word, read_whole(pages) or 0, is_machine, **why, cause=cause))
    return Ended(
        channel_id,
        CallFacts(
            outcome=outcome,
            pages=read_whole(pages) or 0,
            mode=mode or None,
            rate=read_whole(rate),
            remote_station_id=_printable(_decoded(station)) or None,
            hangup_cause=cause,
            response=response,
            error=_printable(f"{error_word} {_decoded(text)}") if status != "SUCCESS" else None,
            answered_at=answered,
            ended_at=ended,
        ),
    )


#: Why no page left a call that was answered, or may have been → outcome.
_WITHOUT_A_PAGE = {"full": DISK_FULL, "ending": LINE_DOWN}
#: FAXOPT(resolution) of a call in which no DIS came, so that nobody knows what a page will be.
NOTHING_HEARD = ("", "0x0")


#: Words for the state of a channel that nobody answered.
RANG, PROGRESS = "Ringing", "Progress"


def _last_response(fields: list[str]) -> tuple[str | None, str]:
    """SIP's, empty where none came and None where it was not kept; and the channel's state."""
    if len(fields) not in (9, 17):
        return None, ""
    return _printable(_decoded(fields[-2])), fields[-1]


def read_received(channel_id: str, line: str) -> Received | StillReceiving | None:
    """``receiving|started|called|caller`` while it comes in, then
    ``ended|started|called|caller|ended|status|pages|rate|ecm|mode|error|station id|Q.850 cause``."""
    fields = line.split("|")
    if fields[0] == "receiving" and len(fields) == 4:
        called, caller = (_printable(_decoded(field)) for field in fields[2:])
        return StillReceiving(channel_id, called, caller, read_whole(fields[1]))
    if fields[0] != "ended" or len(fields) not in (12, 13):  # former versions kept no cause
        return None
    _, started, called, caller, ended, status, pages, rate, _asked_ecm, mode, error, station, *cause = fields
    confirmed, error_word = read_whole(pages) or 0, _decoded(error)
    gave_up = read_whole("".join(cause)) == GAVE_UP
    facts = CallFacts(
        outcome=judge(How(status, error_word, confirmed, bool(station), gave_up=gave_up)),
        pages=confirmed,
        mode=mode or None,
        rate=read_whole(rate),
        remote_station_id=_printable(_decoded(station)) or None,
        error=_printable(error_word) if status != "SUCCESS" else None,
        answered_at=read_whole(started),
        ended_at=read_whole(ended),
    )
    return Received(channel_id, _printable(_decoded(called)), _printable(_decoded(caller)), facts)


#: DIALSTATUS of Dial() → how a call to a telephone ended. What is not here was never told.
DIAL_STATUS = {
    "ANSWER": CallEnd.ANSWERED,
    "NOANSWER": CallEnd.NO_ANSWER,
    "BUSY": CallEnd.BUSY,
    "CANCEL": CallEnd.GAVE_UP,
    "CONGESTION": CallEnd.UNREACHABLE,
    "CHANUNAVAIL": CallEnd.UNREACHABLE,
    "INVALIDARGS": CallEnd.UNREACHABLE,
}
OUR_ENDS = (CallEnd.FAX, CallEnd.LIMIT, CallEnd.LONGEST)


def read_telephoned(channel_id: str, line: str) -> Telephoned | None:
    """``calling|company-line|caller|dialled|began`` while it runs, then
    ``ended|company-line|caller|dialled|began|ended|DIALSTATUS|seconds|fax, limit, longest or nothing``."""
    fields = line.split("|")
    if (fields[0], len(fields)) not in (("calling", 5), ("ended", 9)):
        return None
    entity_id, began = read_whole(fields[1].partition("-")[2]), read_whole(fields[4])
    if entity_id is None or began is None:
        return None
    caller, _, trunk = _printable(_decoded(fields[2])).partition("|")
    runs = Telephoned(channel_id, entity_id, caller, _printable(fields[3]), began, trunk=trunk)
    if fields[0] == "calling":
        return runs
    ended, seconds = read_whole(fields[5]), read_whole(fields[7])
    end = fields[8] if fields[8] in OUR_ENDS else DIAL_STATUS.get(fields[6], CallEnd.UNKNOWN)
    return replace(runs, ended_at=ended or began, seconds=seconds or 0, end=end)


def _decoded(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:  # as machines write their names: ITU-T T.30 knows digits only, and no alphabet
        return raw.decode("latin-1")


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()


#: FAXOPT(error) of a call that ended while SendFAX still waited for the far end to offer T.38. T.30 had not begun, so
#: surely no page has left: SendFAX writes this word only where it gives up before its session begins, which empties the
#: field; what fills it afterwards are other words (Asterisk 22, res/res_fax.c: sendfax_exec, generic_fax_exec;
#: res_fax_spandsp.c: t30_phase_e_handler). INIT_ERROR is no such proof: a session goes on after it.
BEFORE_T30 = "T38_NEG_ERROR"
