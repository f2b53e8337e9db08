"""The self-test of a fax line: a real fax from the line to itself, and its result.

An inner test goes through Asterisk's own loop. It dials ``<tenant>*<extension>*<code>``. The code is new for each
test and tells its call from every other to this line, so that nobody else's fax is taken for the test, and the test
for nobody else's.

An outer test goes over a trunk to the line's own public number, like any fax, and the carrier brings it back. There
is no room for a code in that number, so the test sends one as its fax ID (TSI, ITU-T T.30 5.3.6.2.6). It must come in
while it goes out: whoever learns the code can do nothing with it afterwards. Until its machine has sent its ID, it is
a fax like any other.

Either is one call with the settings of the line's template, without emails, unread marks and retries.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.dialled import CODE_DIGITS, Internal, read_internal
from app.errors import Refused
from app.models import Attempt, Direction, Document, Fax, FaxEntity, FaxTemplate, Origin, Status
from app.models.faxes.moves import is_final
from app.rules.ground.call_ends import FULL, TRUNK_SIDE
from app.rules.numbers.numbers import Addressee
from app.rules.sending.ladder import kept_rate
from app.rules.sending.retry import of_a_test
from app.rules.sending.submit import Order, accept_fax
from app.rules.sending.trunks.choosing import bound_to, is_bound
from app.rules.sending.trunks.trouble import is_outside
from app.rules.sending.trunks.used import in_use, is_loop
from tenants.db import utc_now
from tenants.models import Tenant, User
from tenants.scope import owned_by

#: What has been sent is entered as received a moment later. After this it is not coming any more.
PATIENCE = timedelta(minutes=2)
#: By so much the clocks of the portal and of Asterisk may differ.
CLOCKS = timedelta(seconds=5)
#: Tests of a line among which the one under way is looked for.
MOST_UNDER_WAY = 5
#: Signs of a fax ID (ITU-T T.30 5.3.6.2.4).
STATION_DIGITS = 20


def demand_testable(session: Session, tenant: Tenant, entity: FaxEntity, *, outer: bool = False) -> None:
    """
    Raises:
        Refused: ``tenant_suspended``, ``test_closed``, ``test_one_call``, ``test_no_way_out``, ``test_running``.
    """
    if tenant.suspended_at:
        raise Refused("tenant_suspended")
    if entity.closed_at:
        raise Refused("test_closed")
    if tenant.limit_total == 1:  # the call comes in while it goes out
        raise Refused("test_one_call")
    if outer and not goes_outside(session, entity):
        raise Refused("test_no_way_out")
    last = last_test(session, entity)
    if last and not is_final(last.status):
        raise Refused("test_running")


def goes_outside(session: Session, entity: FaxEntity) -> bool:
    """Whether there can be an outer test: the line has a public number, and whatever trunk is chosen leads to a
    carrier."""
    used = in_use(session)
    return entity.number is not None and bool(used) and not any(map(is_loop, used))


def is_outer(test: Fax) -> bool:
    return is_outside(test.dial_string)


def begin_test(
    session: Session, *, user: User, entity: FaxEntity, document: Document, submission_key: str, outer: bool = False
) -> Fax:
    """Send ``document`` from the line to itself. The same ``submission_key`` gives the same test. Commits.

    Raises:
        Refused: see :func:`demand_testable`, and what refuses any fax to the line's own number.
    """
    demand_testable(session, entity.tenant, entity, outer=outer)
    addressee = _its_number(entity) if outer else _its_extension(entity)
    order = Order(document.id, pages=document.pages, origin=Origin.TEST)
    return accept_fax(session, order, user=user, entity=entity, addressee=addressee, submission_key=submission_key)


def _its_number(entity: FaxEntity) -> Addressee:
    number = entity.number or ""
    return Addressee("national", number, number, number)


def _its_extension(entity: FaxEntity) -> Addressee:
    code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
    dial_string = str(Internal(entity.tenant_id, entity.extension, code))
    return Addressee("extension", entity.extension, dial_string, f"{entity.extension} ({entity.name})")


def announced_by(fax: Fax) -> str | None:
    """The fax ID by which an outer test calls itself, known to nobody before; None of every other fax."""
    if fax.origin != Origin.TEST or not is_outer(fax) or bound_to(fax) is not None:
        return None
    digest = hashlib.sha256(f"self-test {fax.id}".encode()).digest()
    return str(int.from_bytes(digest) % 10**STATION_DIGITS).zfill(STATION_DIGITS)


def test_announced(session: Session, fax: Fax, station: str, began: datetime) -> str | None:
    """The id of the outer test whose other end this received fax is: the machine has called itself by its fax ID
    during the test's own call."""
    if not re.fullmatch(rf"[0-9]{{{STATION_DIGITS}}}", station):
        return None
    recent = tests_of(session, fax.entity, most=MOST_UNDER_WAY)
    test = next((test for test in recent if announced_by(test) == station), None)
    if test is None or not _is_during(test, began) or other_end(session, test):
        return None
    return test.id


def _is_during(test: Fax, began: datetime) -> bool:
    ends = ((attempt.created_at, attempt.ended_at or utc_now()) for attempt in test.attempts)
    return any(first - CLOCKS <= began <= last + CLOCKS for first, last in ends)


def test_called(session: Session, entity: FaxEntity, called: str) -> str | None:
    """The id of the test whose call this is, if it has no other end yet. The test may be over by now: what came while
    the portal was down is entered afterwards."""
    line = read_internal(called)
    if line is None or not line.code:
        return None
    test = session.scalar(_tests(entity).where(Fax.dial_string == called))
    return test.id if test and other_end(session, test) is None else None


def last_test(session: Session, entity: FaxEntity) -> Fax | None:
    return next(iter(tests_of(session, entity, most=1)), None)


def tests_of(session: Session, entity: FaxEntity, *, most: int) -> list[Fax]:
    """The newest first."""
    return list(session.scalars(_tests(entity).order_by(Fax.created_at.desc(), Fax.id.desc()).limit(most)))


def _tests(entity: FaxEntity) -> sa.Select[Fax]:
    """Of the extension and the number that the line has now: by what they went to an index finds them. An operator's
    test call to that number is none of them."""
    own = [number for number in (entity.extension, entity.number) if number]
    to_itself = (Fax.direction == Direction.SENT, Fax.remote_number.in_(own))
    its_own = (Fax.entity_id == entity.id, Fax.origin == Origin.TEST, sa.not_(is_bound()))
    return owned_by(Fax, entity.tenant_id).where(*to_itself, *its_own)


def other_end(session: Session, test: Fax) -> Fax | None:
    """The fax that came in."""
    return session.scalar(owned_by(Fax, test.tenant_id).where(Fax.test_of_id == test.id))


# ---- What came of it


@dataclass(frozen=True)
class Damage:
    """``lines`` of the page as it was received, of which ``damaged`` differ from what was sent."""

    lines: int
    damaged: int


@dataclass(frozen=True)
class Finding:
    """One line of the result: ``good``, ``doubt`` (it works, not as the template has it), ``bad`` or ``todo``."""

    code: str
    state: str
    values: dict[str, Any] = field(default_factory=dict)


#: In the order in which a call comes to them.
STEPS = ("call", "mode", "rate", "ecm", "pages", "received", "picture", "duration")


def findings(test: Fax, received: Fax | None, damage: Damage | None, *, now: datetime) -> list[Finding]:
    """What each step of the test says, as far as it has come."""
    attempt, over = (test.attempts[-1] if test.attempts else None), is_final(test.status)
    if attempt is None or attempt.answered_at is None:
        bad = ("call", "received") if attempt and went_out(test) else ("call",)
        return [Finding(code, "bad" if over and code in bad else "todo") for code in STEPS]
    return [
        Finding("call", "good"),
        _mode(attempt, received, test.entity.template, over),
        *_settings(attempt, received, test.entity.template),
        _pages(test, over),
        _received(test, received, missing=is_missing(test, received, now=now)),
        _picture(damage),
        _duration(attempt),
    ]


def went_out(test: Fax) -> bool:
    """Of an outer one: a trunk took its call."""
    not_out = [of_a_test(cause) for cause in (FULL, *TRUNK_SIDE)]
    return is_outer(test) and bool(test.attempts) and (test.cause or "") not in not_out


def _mode(attempt: Attempt, received: Fax | None, template: FaxTemplate, over: bool) -> Finding:
    """Known when the call is over, and only if the machines agreed on settings. A carrier may change it on the way."""
    if attempt.ended_at is None or attempt.mode is None:
        return Finding("mode", "bad" if over else "todo")
    wanted = "T38" if template.t38 and (attempt.trunk is None or attempt.trunk.t38) else "audio"
    back = next((end.mode for end in _ends(attempt, received)[1:] if end.mode), attempt.mode)
    state = "good" if attempt.mode == back == wanted else "doubt"
    return Finding("mode", state, {"mode": attempt.mode, "back": back, "wanted": wanted})


def _settings(attempt: Attempt, received: Fax | None, template: FaxTemplate) -> list[Finding]:
    """Rate and error correction, as the two machines have agreed on them. It is the same call: what came in says it
    where nothing is known of what went out."""
    if attempt.ended_at is None or attempt.mode is None:
        return [Finding("rate", "todo"), Finding("ecm", "todo")]
    ends = _ends(attempt, received)
    rate = next((end.rate for end in ends if end.rate), None)
    ecm = next((end.ecm for end in ends if end.ecm is not None), None)
    return [_rate(rate, most=kept_rate(template.max_rate)), _error_correction(ecm, wanted=template.ecm)]


def _ends(attempt: Attempt, received: Fax | None) -> list[Attempt]:
    return [attempt, *(received.attempts if received else ())]


def _rate(rate: int | None, *, most: int) -> Finding:
    if rate is None:
        return Finding("rate", "todo")
    return Finding("rate", "good" if rate == most else "doubt", {"rate": rate, "most": most})


def _error_correction(ecm: bool | None, *, wanted: bool) -> Finding:
    if ecm is None:
        return Finding("ecm", "todo")
    return Finding("ecm", "good" if ecm == wanted else "doubt", {"ecm": ecm})


def _pages(test: Fax, over: bool) -> Finding:
    values = {"done": test.pages_done, "pages": test.pages or 0}
    if not over:
        return Finding("pages", "todo", values)
    return Finding("pages", "good" if test.status == Status.SENT else "bad", values)


def is_missing(test: Fax, received: Fax | None, *, now: datetime) -> bool:
    """The test is over, and nothing that it sent will come in any more."""
    if not is_final(test.status) or (received and not is_final(received.status)):
        return False
    return received is None and (test.status != Status.SENT or now - (test.finished_at or now) > PATIENCE)


def _received(test: Fax, received: Fax | None, *, missing: bool) -> Finding:
    if received is None or not is_final(received.status):
        return Finding("received", "bad" if missing else "todo")
    whole = received.status == Status.RECEIVED and received.pages == test.pages
    return Finding("received", "good" if whole else "bad", {"pages": received.pages or 0})


def _picture(damage: Damage | None) -> Finding:
    if damage is None:
        return Finding("picture", "todo")
    values = {"lines": damage.lines, "damaged": damage.damaged}
    return Finding("picture", "doubt" if damage.damaged else "good", values)


def _duration(attempt: Attempt) -> Finding:
    if attempt.answered_at is None or attempt.ended_at is None:
        return Finding("duration", "todo")
    seconds = round((attempt.ended_at - attempt.answered_at).total_seconds())
    return Finding("duration", "good", {"seconds": max(0, seconds)})


def is_running(test: Fax, received: Fax | None, *, now: datetime) -> bool:
    """Until both ends are known."""
    if not is_final(test.status):
        return True
    return not (received and is_final(received.status)) and not is_missing(test, received, now=now)


def verdict(test: Fax, found: list[Finding]) -> str:
    """Of a test that is over: ``good``, ``doubt`` or ``bad``."""
    states = {finding.state for finding in found}
    if "bad" in states or test.status != Status.SENT:
        return "bad"
    return "doubt" if "doubt" in states else "good"
