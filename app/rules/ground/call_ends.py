"""What the end of a call means: every final response of SIP, every cause of Q.850, every word of spandsp.

:func:`judge` is the one place that says so. Its tables are complete by the standards' own rules: a response that is
not listed is as the first of its class (RFC 3261, 8.1.3.2), a cause that is not as the last of its class (Q.850).

Sources: RFC 3261, 21 and IANA's registry of SIP response codes; RFC 3398, 7.2.4 and 8.2.6 (SIP and ISUP); RFC 3326
(Reason); RFC 8197 (607) and 8688 (608); ATIS-1000099 ("Network Blocked"); ITU-T Q.850; ITU-T T.30; Asterisk 22's
chan_pjsip, res_fax and res_fax_spandsp; spandsp's t30_completion_code_to_str.
"""

import re
from dataclasses import dataclass

#: Nobody else's fault, and no attempt is counted (:data:`OUR_SIDE`): the carrier cannot be
#: reached or has no way for anybody; it takes no call of ours, whoever is called.
TRUNK_DOWN, TRUNK_REFUSED = "trunk_down", "trunk_refused"
TRUNK_SIDE = (TRUNK_DOWN, TRUNK_REFUSED)
#: The number is wrong: no such one, or not any more.
WRONG = "unallocated"
#: The network could not put the call through this time.
NETWORK = "congestion"
BUSY, NO_ANSWER = "busy", "no_answer"
#: The trunk has no channel free for one more call of ours (:mod:`app.rules.sending.trunks.room`).
FULL = "trunk_full"
#: Our own Asterisk could not be asked, could not dial, or ended before anything was sent; the call was ended before its
#: first page because our own disk was full.
LINE_DOWN, DISK_FULL = "line_down", "disk_full"
#: Asterisk has not read the trunk yet as the operator has set it (:mod:`app.services.trunks.reading`).
UNREAD = "trunk_unread"
#: A person cancelled before anything was heard of the call.
CALLED_OFF = "called_off"
#: What is our own fault costs a fax none of its attempts, and says nothing of the number.
OUR_SIDE = (LINE_DOWN, DISK_FULL, CALLED_OFF, FULL, *TRUNK_SIDE)
#: Why a fax is to be dialled that a trunk did not put through: another one takes it.
PASSED_ON = "next_trunk"
#: Q.850: unallocated number.
NO_SUCH_NUMBER = 1
#: Q.850's causes that say so: no circuit, congestion of the switch, the channel is not there.
NO_CHANNEL = (34, 42, 44)
#: By whoever is called; by somebody on the way who takes it for unwanted; by somebody who does not say why (403): a
#: carrier that takes none of our calls says the same, so that it is tried once more, when it is known of whom else.
REFUSED, BLOCKED, FORBIDDEN = "rejected", "blocked", "forbidden"
MOVED = "redirected"
#: What we offered to talk by, not whom we called.
MEDIA = "media_refused"
#: Somebody or something answered that is no fax machine.
NO_FAX = "far_end_no_fax"
#: A machine answered, and the transmission failed: before it was agreed on, or in a page.
FAILED, DROPPED = "protocol_error", "dropped"
SILENT, STALLED, CAPPED, FILE, OTHER = "silent", "stalled", "capped", "file_refused", "other"

#: SIP's final responses (RFC 3261, 21, and those of IANA's registry that may answer an INVITE).
SIP: dict[int, str] = {
    **dict.fromkeys((300, 301, 302, 305, 380), MOVED),
    400: NETWORK,  # RFC 3398, 8.2.6.1: 41, temporary failure
    401: TRUNK_REFUSED,
    402: TRUNK_REFUSED,
    403: FORBIDDEN,  # 21; said of others too it is about us
    404: WRONG,  # 1; said of others too it is no proof
    405: TRUNK_REFUSED,  # it takes no INVITE
    406: MEDIA,
    407: TRUNK_REFUSED,
    408: NETWORK,
    409: NETWORK,
    410: WRONG,
    411: TRUNK_REFUSED,
    412: NETWORK,
    413: TRUNK_REFUSED,
    414: TRUNK_REFUSED,
    415: MEDIA,
    416: TRUNK_REFUSED,
    417: TRUNK_REFUSED,
    420: TRUNK_REFUSED,
    421: TRUNK_REFUSED,
    422: TRUNK_REFUSED,
    423: TRUNK_REFUSED,
    424: TRUNK_REFUSED,
    425: TRUNK_REFUSED,
    428: TRUNK_REFUSED,  # no identity (RFC 8224)
    429: TRUNK_REFUSED,
    430: NETWORK,
    433: REFUSED,  # takes no anonymous calls (RFC 5079)
    436: TRUNK_REFUSED,
    437: TRUNK_REFUSED,
    438: TRUNK_REFUSED,
    439: TRUNK_REFUSED,
    440: NETWORK,
    469: TRUNK_REFUSED,
    470: REFUSED,  # wants to be asked first (RFC 5360)
    480: NETWORK,
    481: NETWORK,
    482: NETWORK,
    483: NETWORK,
    484: WRONG,
    485: WRONG,
    486: BUSY,
    487: NO_ANSWER,  # we gave up
    488: MEDIA,
    489: TRUNK_REFUSED,
    491: NETWORK,
    493: TRUNK_REFUSED,
    494: TRUNK_REFUSED,
    500: NETWORK,
    501: TRUNK_REFUSED,
    502: NETWORK,
    503: NETWORK,
    504: NETWORK,
    505: TRUNK_REFUSED,
    513: TRUNK_REFUSED,
    555: TRUNK_REFUSED,
    580: NETWORK,
    600: BUSY,
    603: REFUSED,
    604: WRONG,
    606: MEDIA,
    607: REFUSED,
    608: BLOCKED,
}
#: Of a call that had been ringing these say that nobody came (RFC 3398, 8.2.6.1: 102, 18, 19).
AFTER_RINGING = {408, 480, 487}
#: "Decline" of somebody who says that the network did it (ATIS-1000099).
BLOCKING = re.compile(r"block|analytics|spam|unwanted", re.IGNORECASE)

#: Q.850's causes of a call that was not answered.
CAUSES: dict[int, str] = {
    1: WRONG,
    2: NETWORK,
    3: NETWORK,
    4: WRONG,  # a tone is to say so: for long
    5: WRONG,
    **dict.fromkeys((6, 7, 8, 9, 14), NETWORK),
    16: OTHER,
    17: BUSY,
    18: NO_ANSWER,
    19: NO_ANSWER,
    20: NETWORK,
    21: REFUSED,
    22: WRONG,
    23: MOVED,
    24: REFUSED,
    **dict.fromkeys((25, 26, 27), NETWORK),
    28: WRONG,
    29: TRUNK_REFUSED,
    30: NETWORK,
    31: NETWORK,
    **dict.fromkeys((34, 38, 39, 40, 41, 42, 43, 44, 46, 47), NETWORK),
    49: NETWORK,
    50: TRUNK_REFUSED,
    52: TRUNK_REFUSED,
    53: TRUNK_REFUSED,
    54: BLOCKED,
    55: BLOCKED,
    57: TRUNK_REFUSED,
    58: NETWORK,
    62: TRUNK_REFUSED,
    63: NETWORK,
    65: MEDIA,
    66: MEDIA,
    69: TRUNK_REFUSED,
    70: MEDIA,
    79: TRUNK_REFUSED,
    81: NETWORK,
    **dict.fromkeys((82, 83, 84, 85, 86), NETWORK),
    87: REFUSED,
    88: MEDIA,
    90: TRUNK_REFUSED,
    91: NETWORK,
    95: NETWORK,
    **dict.fromkeys((96, 97, 98, 99, 100, 101), NETWORK),
    102: NETWORK,
    103: NETWORK,
    110: NETWORK,
    111: NETWORK,
    127: NETWORK,
}
#: The last of each class of causes.
CLASSES = (31, 47, 63, 79, 95, 111, 127)
#: What Asterisk makes of a response where nobody has told a cause (chan_pjsip.c: hangup_sip2cause). Another cause
#: beside such a response is the network's own.
MADE_OF = {
    **dict.fromkeys((401, 403, 407, 603), 21),
    **dict.fromkeys((404, 604), 1),
    **dict.fromkeys((405, 411, 413, 414, 415, 420, 481, 482, 487, 505), 127),
    408: 18,
    409: 41,
    410: 22,
    480: 19,
    483: 19,
    484: 28,
    485: 1,
    **dict.fromkeys((486, 600), 17),
    **dict.fromkeys((488, 606), 58),
    500: 38,
    501: 29,
    502: 27,
    503: 34,
    504: 102,
}
#: What the network may say of a call that only a gateway of its own has answered: it put it through to nobody.
BEHIND_A_GATEWAY = (NETWORK, BUSY, NO_ANSWER)
#: What Asterisk itself makes of an answered call whose change to T.38 got no answer (408), or a refusal other than 488:
#: it ends the call with 500 (res_pjsip_session.c: session_inv_on_tsx_state_changed). Somebody may have picked up.
OF_A_CHANGE = {MADE_OF[408], MADE_OF[500]}
#: What is written behind a response (:func:`with_headers`).
_REASON, _RETRY_AFTER = re.compile(r"\(Q\.850 ([0-9]{1,3})[,)]"), re.compile(r"[( ]Retry-After ([0-9]{1,9})[,)]")
#: Nobody is made to wait for longer than so many seconds.
MOST_RETRY_AFTER = 2 * 3600
#: Causes that say no more than the response itself.
UNSPECIFIC = {0, 16, 31, 127}

#: What nobody but the carrier itself says, so that it is true of every number.
BY_THE_CARRIER = {401, 402, 407}
#: What a response means that others have got too, one after the other, and nobody anything else.
FOR_ALL = {
    **dict.fromkeys((403, 406, 415, 488, 603, 606, 608), TRUNK_REFUSED),
    404: NETWORK,
    **dict.fromkeys((408, 500, 502, 503, 504), TRUNK_DOWN),
}

#: What res_fax and res_fax_spandsp say of an answered call (FAXOPT(error)).
FAX_ERRORS = {
    "INVALID_ARGUMENTS": FILE,
    "FILE_ERROR": FILE,
    "MEMORY_ERROR": OTHER,
    "INIT_ERROR": OTHER,
    "TIMEOUT": NO_FAX,
    "3RD_PARTY_HANGUP": DROPPED,
    "HANGUP": DROPPED,
    "AUDIO_ERROR": FAILED,
    "T38_NEG_ERROR": FAILED,
}
#: What spandsp says (t30_completion_code_to_str). Nothing but a machine says most of it.
FAX_WORDS = {
    "The CED tone exceeded 5s": FAILED,
    "Timed out waiting for initial communication": NO_FAX,
    "Timed out waiting for the first message": NO_FAX,
    "Timed out waiting for procedural interrupt": FAILED,
    "The HDLC carrier did not stop in a timely manner": FAILED,
    "Failed to train with any of the compatible modems": FAILED,
    "Operator intervention failed": FAILED,
    "Far end is not compatible": FAILED,
    "Far end is not able to receive": FAILED,
    "Far end is not able to transmit": FAILED,
    "Far end cannot receive at the resolution of the image": FAILED,
    "Far end cannot receive at the size of image": FAILED,
    "Unexpected message received": FAILED,
    "Received bad response to DCS or training": FAILED,
    "Received a DCN from remote after sending a page": FAILED,
    "Invalid ECM response received from receiver": FAILED,
    "Received a DCN while waiting for a DIS": FAILED,
    "Invalid response after sending a page": FAILED,
    "Received other than DIS while waiting for DIS": FAILED,
    "Received no response to DCS or TCF": FAILED,
    "No response after sending a page": FAILED,
    "Timed out waiting for receiver ready (ECM mode)": FAILED,
    "Invalid ECM response received from transmitter": FAILED,
    "DCS received while waiting for DTC": FAILED,
    "Unexpected command after page received": FAILED,
    "Carrier lost during fax receive": FAILED,
    "Timed out while waiting for EOL (end Of line)": FAILED,
    "Timed out while waiting for first line": FAILED,
    "Timer T2 expired while waiting for DCN": FAILED,
    "Timer T2 expired while waiting for phase D": FAILED,
    "Timer T2 expired while waiting for fax page": FAILED,
    "Timer T2 expired while waiting for next fax page": FAILED,
    "Timer T2 expired while waiting for RR command": FAILED,
    "Timer T2 expired while waiting for NSS, DCS or MCF": FAILED,
    "Unexpected DCN while waiting for DCS or DIS": FAILED,
    "Unexpected DCN while waiting for image data": FAILED,
    "Unexpected DCN while waiting for EOM, EOP or MPS": FAILED,
    "Unexpected DCN after EOM or MPS sequence": FAILED,
    "Unexpected DCN after RR/RNR sequence": FAILED,
    "Unexpected DCN after requested retransmission": FAILED,
    "TIFF/F file cannot be opened": FILE,
    "TIFF/F page not found": FILE,
    "TIFF/F format is not compatible": FILE,
    "TIFF/F page number tag missing": FILE,
    "Incorrect values for TIFF/F tags": FILE,
    "Bad TIFF/F header - incorrect values in fields": FILE,
    "Cannot allocate memory for more pages": OTHER,
    "Disconnected after permitted retries": FAILED,
    "The call dropped prematurely": DROPPED,
    "Poll not accepted": FAILED,
    "Ident not accepted": FAILED,
    "Sub-address not accepted": FAILED,
    "Selective polling address not accepted": FAILED,
    "Polled sub-address not accepted": FAILED,
    "Sender identification not accepted": FAILED,
    "Password not accepted": FAILED,
    "Transmitting subscriber internet address not accepted": FAILED,
    "Internet routing address not accepted": FAILED,
    "Calling subscriber internet address not accepted": FAILED,
    "Internet selective polling address not accepted": FAILED,
    "Called subscriber internet address not accepted": FAILED,
}
_FAX_WORDS = {words.casefold(): outcome for words, outcome in FAX_WORDS.items()}
#: Sentences of res_fax's own, by a part of each, and what other releases of spandsp say; the first that fits.
OTHER_WORDS = (
    ("dropped", DROPPED),
    ("tiff", FILE),
    ("file", FILE),
    ("negotiating t.38", FAILED),
    *((part, FAILED) for part in ("not acceptable", "timed out", "incompatible", "unexpected", "far end", "received")),
)

#: The cause of a call that was answered and that we ended because nothing came: Asterisk's own, where no RTP does
#: (res_pjsip_sdp_rtp.c: rtp_check_timeout), and what the line process gives (app.jobs.receiving.listen).
GAVE_UP = 44
#: The cause of a call of ours that was taken back unheard (Q.850: recovery on timer expiry).
UNHEARD_CAUSE = 102


@dataclass(frozen=True)
class Unanswered:
    """The end of a call that nobody answered. ``response`` is the last one of SIP's (``SIP 503 Service Unavailable``),
    with what its headers said (:func:`with_headers`), empty where none came at all, None where it is not known;
    ``cause`` is of Q.850, as Asterisk has it; ``rang``: the far end said so."""

    response: str | None
    cause: int | None
    rang: bool = False


@dataclass(frozen=True)
class Answered:
    """The end of a call that was answered. ``status`` and ``error`` are FAXOPT's. ``is_machine``: T.38 was agreed on, a
    DIS was heard or a station id was given; many machines give none. ``gave_up``: we ended it, because nothing came any
    more; ``capped``: because its time was up; ``cause`` is of Q.850, as the far end's BYE had it."""

    status: str
    error: str
    pages: int
    is_machine: bool
    gave_up: bool = False
    capped: bool = False
    cause: int | None = None


def judge(end: Unanswered | Answered) -> str:
    """A word of :data:`app.rules.sending.retry.DELAYS` or :data:`OUR_SIDE`, or ``success``."""
    return _answered(end) if isinstance(end, Answered) else _unanswered(end)


def code_of(response: str | None) -> int | None:
    """Such as 503."""
    found = re.match(r"(?:SIP )?([1-6][0-9]{2})(?: |$)", response or "")
    return int(found[1]) if found else None


# ---- Nobody answered


def _unanswered(end: Unanswered) -> str:
    code = code_of(end.response)
    if code is None:
        return TRUNK_DOWN if end.response == "" and not end.rang else _by_cause(end)
    if code < 200:  # we gave up while it was on its way
        return NO_ANSWER if end.rang or code > 100 else NETWORK
    if code < 300:  # answered in the moment in which it was given up
        return OTHER
    if of_code(code) in (TRUNK_REFUSED, MOVED, MEDIA):  # whatever else is said
        return of_code(code)
    cause = told_cause(end.response, end.cause)
    meant = of_code(code) if cause is None else of_cause(cause)
    if meant == REFUSED and BLOCKING.search(end.response or ""):
        return BLOCKED
    if end.rang and code in AFTER_RINGING and (cause is None or meant == NETWORK):
        return NO_ANSWER
    if code == 404 and cause is None and (reason_of(end.response) or end.cause) in UNSPECIFIC - {0}:
        return NETWORK  # it knows the number, or would have said so
    return meant


def _by_cause(end: Unanswered) -> str:
    if not end.cause:
        return NO_ANSWER if end.rang else OTHER
    outcome = of_cause(end.cause)
    if outcome == NO_ANSWER and not end.rang:  # it did not even ring
        return NETWORK
    return NO_ANSWER if end.rang and end.cause == 102 else outcome


def told_cause(response: str | None, cause: int | None) -> int | None:
    """What somebody has told beside a final response: its own ``Reason``, else a cause that is not what Asterisk makes
    of the response; and not what says nothing."""
    code, reason = code_of(response) or 0, reason_of(response)
    known = MADE_OF.get(code, 127 if code < 500 or code >= 600 else 34)
    told = reason or (cause if cause != known else None)
    return told if told and told not in UNSPECIFIC else None


def with_headers(response: str, reason: int | None, retry_after: int | None, text: str) -> str:
    """A response with what else its headers say: the cause of Q.850 and the text of ``Reason``, and ``Retry-After`` in
    seconds."""
    said = [f"Q.850 {reason}"] if reason else []
    said += [f"Retry-After {retry_after}"] if retry_after else []
    said += [text[:40]] if text else []
    return f"{response[:43].strip()} ({', '.join(said)})" if said else response


def without_text(response: str) -> str:
    """For who has no part in the call: what a ``Reason`` says in words may be about it."""
    return with_headers(response.partition(" (")[0], reason_of(response), retry_after_of(response), "")


def reason_of(response: str | None) -> int | None:
    """The cause that the response's own ``Reason`` names."""
    found = _REASON.search(response or "")
    return int(found[1]) if found and 0 < int(found[1]) < 128 else None


def retry_after_of(response: str | None) -> int:
    """Seconds for which whoever answered wants no other call; 0 where nothing was said."""
    found = _RETRY_AFTER.search(response or "")
    return min(int(found[1]), MOST_RETRY_AFTER) if found else 0


def lacks_channel(response: str | None, cause: int | None) -> bool:
    """Whether a call was refused because there is no channel for it: by what is told, else by 503 (RFC 3398, 8.2.6.1:
    that is 34 to 47)."""
    code = code_of(response)
    if code is None:
        return response is None and cause in NO_CHANNEL
    told = told_cause(response, cause)
    return told in NO_CHANNEL if told else code == 503


def of_code(code: int) -> str:
    """Of a final response from 300 on."""
    return SIP[code] if code in SIP else SIP[code // 100 * 100]


def of_cause(cause: int) -> str:
    """Of a cause from 1 to 127."""
    return CAUSES[cause] if cause in CAUSES else CAUSES[next((last for last in CLASSES if cause <= last), 127)]


# ---- Somebody answered


def _answered(end: Answered) -> str:
    """Only the word SUCCESS is a success; FAILED is what the code says where the documentation says FAILURE."""
    if end.status == "SUCCESS":
        return "success"
    if end.capped:
        return CAPPED
    is_machine = end.is_machine or end.pages > 0
    if end.gave_up:
        return STALLED if is_machine else SILENT
    if end.pages:
        return DROPPED
    outcome = FAX_ERRORS.get(end.error) or _FAX_WORDS.get(end.error.casefold()) or _by_part(end.error)
    if is_machine:
        return FAILED if outcome == NO_FAX else outcome
    if end.cause and end.cause not in UNSPECIFIC | OF_A_CHANGE and of_cause(end.cause) in BEHIND_A_GATEWAY:
        return of_cause(end.cause)
    is_nobody = outcome == DROPPED or end.error == "T38_NEG_ERROR"
    return NO_FAX if is_nobody else outcome


def _by_part(error: str) -> str:
    lowered = error.lower()
    return next((outcome for part, outcome in OTHER_WORDS if part in lowered), OTHER)
