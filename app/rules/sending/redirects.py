"""A call that the other side redirects (SIP 302) is followed only where the operator lets it be.

Asterisk never follows (``asterisk/pjsip.conf``). It tells whom the other side named, and what that is is judged here as
a number like any other: by the operator's policy, the line's own rules and the company's ceiling. Then it is dialled as
an attempt of ours, which the same judgements hold once more.
"""

import re

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Fax, Origin
from app.rules.numbers.dialing import DialingRules, judge_number
from app.rules.numbers.habits import first_region
from app.rules.numbers.numbers import public_form
from app.rules.numbers.policy import Policy, judge_dialled, policy_of
from app.rules.numbers.routing import entity_for
from app.rules.sending.retry import FOLLOWED

#: From one number to the next, before the fax's own number is dialled again.
MOST_IN_A_ROW = 3
_DIGITS = re.compile(r"\+?[0-9]{4,20}")


def target_of(session: Session, attempt: Attempt, said: str) -> str | None:
    """The number (E.164 with +) to dial next, where the other side said this; None: it is not followed.

    A self-test calls its own line and nobody else. Nobody is led into a line of this installation: whoever is called
    would choose whose fax it becomes.
    """
    fax, policy = attempt.fax, policy_of(session)
    dialled = _dialled_in_a_row(session, attempt)
    if fax.origin == Origin.TEST or not (fax.dial_string or "").startswith("+") or len(dialled) > MOST_IN_A_ROW:
        return None
    number = _read(session, said)
    if number is None or number in dialled or not may_follow(policy, DialingRules.of(fax.entity.template), number):
        return None
    return None if entity_for(session, number) else number


def may_follow(policy: Policy, rules: DialingRules, number: str) -> bool:
    return policy.redirects_followed and not (judge_dialled(policy, number) or judge_number(rules, number))


def forget_if_refused(session: Session, fax: Fax, policy: Policy, rules: DialingRules) -> None:
    """Before it is dialled: the policy or the rules may have changed since. Then the fax's own number is dialled."""
    if fax.redirected_to and not may_follow(policy, rules, fax.redirected_to):
        fax.redirected_to = None
        session.flush()


def _read(session: Session, said: str) -> str | None:
    """A whole number, or one that the trunk writes by the rules of its country. Nothing else is a number: names,
    extensions and channels of Asterisk lead nowhere."""
    if not _DIGITS.fullmatch(said):
        return None
    text, region = re.sub("^00", "+", said), first_region(session)
    return public_form(text, region or "ZZ") if text.startswith("+") or region else None


def _dialled_in_a_row(session: Session, attempt: Attempt) -> list[str]:
    """What this attempt dialled, and before it those that led here."""
    before = sa.select(Attempt).where(Attempt.fax_id == attempt.fax_id, Attempt.n < attempt.n)
    found = [attempt.dialled or attempt.fax.dial_string or ""]
    for earlier in session.scalars(before.order_by(Attempt.n.desc())):
        if earlier.outcome != FOLLOWED:
            break
        found.append(earlier.dialled or attempt.fax.dial_string or "")
    return found
