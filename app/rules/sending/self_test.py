"""The self-test of a fax entity: a real fax from the line to itself through Asterisk's own loop, and what came of it.

What is dialled is ``<tenant>*<extension>*<code>``: the code, new for each test, tells the call that comes in from every
other one to this line, so that no fax of a stranger is ever taken for the test, nor the test for theirs. The call goes
the whole way of a fax, with the settings of the line's template; only mails, unread marks and retries are left out.
"""

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
from app.rules.numbers.numbers import Addressee
from app.rules.sending.ladder import kept_rate
from app.rules.sending.submit import Order, accept_fax
from tenants.models import Tenant, User
from tenants.scope import owned_by

#: What has been sent is entered as received a moment later. After this it is not coming any more.
PATIENCE = timedelta(minutes=2)


def demand_testable(session: Session, tenant: Tenant, entity: FaxEntity) -> None:
    """
    Raises:
        Refused: ``tenant_suspended``, ``test_closed``, ``test_one_call``, ``test_running``.
    """
    if tenant.suspended_at:
        raise Refused("tenant_suspended")
    if entity.closed_at:
        raise Refused("test_closed")
    if tenant.limit_total == 1:  # the call comes in while it goes out
        raise Refused("test_one_call")
    last = last_test(session, entity)
    if last and not is_final(last.status):
        raise Refused("test_running")


def begin_test(
    session: Session, *, user: User, entity: FaxEntity, document: Document, submission_key: str, code: str | None = None
) -> Fax:
    """Send ``document`` from the line to itself. The same ``submission_key`` gives the same test. Commits.

    Raises:
        Refused: see :func:`demand_testable`.
    """
    demand_testable(session, entity.tenant, entity)
    code = code or "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
    dial_string = str(Internal(entity.tenant_id, entity.extension, code))
    addressee = Addressee("extension", entity.extension, dial_string, f"{entity.extension} ({entity.name})")
    order = Order(document.id, pages=document.pages, origin=Origin.TEST)
    return accept_fax(session, order, user=user, entity=entity, addressee=addressee, submission_key=submission_key)


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
    """Of the extension that the line has now: by the number that they went to an index finds them."""
    to_itself = (Fax.direction == Direction.SENT, Fax.remote_number == entity.extension)
    return owned_by(Fax, entity.tenant_id).where(*to_itself, Fax.entity_id == entity.id, Fax.origin == Origin.TEST)


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
        return [Finding(code, "bad" if over and code == "call" else "todo") for code in STEPS]
    return [
        Finding("call", "good"),
        *_transmission(attempt, received, test.entity.template, over),
        _pages(test, over),
        _received(test, received, missing=is_missing(test, received, now=now)),
        _picture(damage),
        _duration(attempt),
    ]


def _transmission(attempt: Attempt, received: Fax | None, template: FaxTemplate, over: bool) -> list[Finding]:
    """Mode, rate and error correction: known when the call is over, and only if the machines agreed on them."""
    if attempt.ended_at is None or attempt.mode is None:
        return [Finding(code, "bad" if over and code == "mode" else "todo") for code in ("mode", "rate", "ecm")]
    wanted = "T38" if template.t38 else "audio"
    rate, most = attempt.rate or 0, kept_rate(template.max_rate)
    return [
        Finding("mode", "good" if attempt.mode == wanted else "doubt", {"mode": attempt.mode, "wanted": wanted}),
        Finding("rate", "good" if rate == most else "doubt", {"rate": rate, "most": most}),
        _error_correction(_agreed(attempt, received), wanted=template.ecm),
    ]


def _agreed(attempt: Attempt, received: Fax | None) -> bool | None:
    """On error correction. It is the same call: what came in says it where nobody looked while it went out."""
    ends = (attempt, *(received.attempts if received else ()))
    return next((end.ecm for end in ends if end.ecm is not None), None)


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
