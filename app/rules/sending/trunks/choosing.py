"""Which trunk a call takes, and when its fax goes on to the next one.

First comes the trunk that got through to the number after another one had failed, then those that the fax line or the
number prefers, then the others in their order. The call takes the first one that is not set aside and has a free
channel. A trunk that is set aside is tried again by one fax at a time, whatever its place in that order: there is no
other way to learn that it works.

If a trunk did not put a fax through by its own fault, the fax goes on over the next one at once, at no cost. It returns
to a trunk that had it only after it has waited. A fax never goes on after a call that rang, was answered, or ended in a
way that nobody knows: that was the recipient, or may have been.

A test call is bound to its trunk: it takes that one, whatever is known of it, or none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Attempt, Fax, FaxEntity, Origin, Trunk, TrunkTrouble
from app.models.faxes.moves import WAITING
from app.rules.ground.call_ends import FULL, NETWORK, PASSED_ON, TRUNK_DOWN, TRUNK_SIDE, code_of, told_cause
from app.rules.ground.trunks import enabled
from app.rules.sending.destinations import best_trunk
from app.rules.sending.trunks.room import learned_channels
from app.rules.sending.trunks.table import is_read
from app.rules.sending.trunks.trouble import told_of, troubles
from app.rules.sending.trunks.used import without_loop
from tenants.models import Role, User

#: A fax that finds out has so long to end before the next one does.
PROBING = timedelta(minutes=3)
_BOUND = re.compile(r"trunk-([0-9]{1,18})-.*")
#: Where there is no trunk at all, it is looked again so much later.
NO_TRUNK = timedelta(minutes=1)


# ---- The order


def in_order(trunks: Iterable[Trunk], number: str, preferred_id: int | None, best_id: int | None = None) -> list[Trunk]:
    """Trunks in use, by their position, the one that is best for the number first, then those that are preferred: by
    the fax line, then by the longest prefix of the number."""
    used = (trunk for trunk in trunks if trunk.enabled)
    return sorted(
        used,
        key=lambda trunk: (
            trunk.id != best_id,
            trunk.id != preferred_id,
            -_preference(trunk, number),
            trunk.position,
            trunk.id,
        ),
    )


def _preference(trunk: Trunk, number: str) -> int:
    """The length of the prefix by which it is preferred, 0 for none."""
    return max((len(prefix) for prefix in trunk.prefers if number.startswith(prefix)), default=0)


# ---- Test calls


def bound_key(trunk_id: int, submission_key: str) -> str:
    """The submission key of a test call over this trunk: there it is written down for :func:`bound_to`."""
    return f"trunk-{trunk_id}-{submission_key}"[:64]


def bound_to(fax: Fax) -> int | None:
    """The id of the trunk that a test call tests; None of every other fax."""
    is_operators = fax.origin == Origin.TEST and fax.user is not None and fax.user.is_operator
    found = _BOUND.fullmatch(fax.submission_key or "") if is_operators else None
    return int(found[1]) if found else None


def is_bound() -> sa.ColumnElement[bool]:
    """As :func:`bound_to`, for queries."""
    key = Fax.submission_key.like("trunk-%")
    return sa.and_(Fax.origin == Origin.TEST, key, Fax.user.has(User.role == Role.OPERATOR))


# ---- After a call


def is_the_trunks_fault(outcome: str, response: str | None) -> bool:
    """Whether another trunk may put through what this one did not: no answer to the INVITE, 5xx, what its reason says
    to be of the network, no channel, or a refusal that is of us and not of the number. Of a call that did not ring, and
    that nobody answered."""
    if outcome in (*TRUNK_SIDE, FULL):
        return True
    code = code_of(response)
    is_told = told_cause(response, None) is not None  # by its Reason
    return outcome == NETWORK and (response == "" or is_told or (code is not None and 500 <= code < 600))


def another_takes_it(session: Session, attempt: Attempt, fax: Fax, now: datetime) -> bool:
    """Whether there is a trunk that this fax has not tried since it waited last, and that may be called over now."""
    if attempt.trunk_id is None:
        return False
    ways = Ways(session, now)
    others = filter(ways.is_open, _others(ways, attempt, fax))
    return any(attempt.outcome != FULL or ways.has_channel(trunk) for trunk in others)


def take_free(ways: "Ways", attempt: Attempt, fax: Fax) -> Trunk | None:
    """A trunk that this call, which is out, could take instead this very moment, as it is: works, has a channel free,
    which is taken, and does T.38 where this one's does."""
    if attempt.trunk is None:
        return None
    for trunk in _others(ways, attempt, fax):
        does_as_much = trunk.t38 or not attempt.trunk.t38
        if does_as_much and trunk.id not in ways.troubles and ways.has_channel(trunk):
            ways.take(trunk)
            return trunk
    return None


def _others(ways: "Ways", attempt: Attempt, fax: Fax) -> list[Trunk]:
    """In use, and not tried by this fax since it waited last. None for a test: one call is all that it makes."""
    if fax.origin == Origin.TEST:
        return []
    tried = {attempt.trunk_id, *tried_by(ways.session, fax, but=attempt)}
    return [trunk for trunk in ways.trunks if trunk.id not in tried]


def tried_by(session: Session, fax: Fax, but: Attempt | None = None) -> set[int]:
    """The trunks that passed this fax on since it waited last, this attempt left out."""
    if fax.cause != PASSED_ON:
        return set()
    ended = sa.select(Attempt.trunk_id, Attempt.passed_on).where(
        Attempt.fax_id == fax.id, Attempt.ended_at.is_not(None)
    )
    if but is not None:
        ended = ended.where(Attempt.id != but.id)
    rows = session.execute(ended.order_by(Attempt.n.desc())).all()
    return {row[0] for row in takewhile(lambda row: row[1], rows) if row[0] is not None}


# ---- Before a call


@dataclass(frozen=True)
class Way:
    """The trunks that are left to a fax in this round: in order, those that are not set aside; ``trunk`` is the first
    of them with a channel free. ``is_narrowed``: some had it before. ``is_unread``: Asterisk has not read that first
    one as it is, and the fax waits for that."""

    open: Sequence[Trunk]
    trunk: Trunk | None
    is_narrowed: bool = False
    is_unread: bool = False


class Ways:
    """The trunks in one round of dispatching. To be asked under the limits' lock; ``used`` are the calls that are open,
    by the trunk's id, ``read`` the versions of trunks that Asterisk has read; None: whoever asks dials nobody."""

    def __init__(self, session: Session, now: datetime, read: Mapping[str, str] | None = None) -> None:
        self.session, self.now, self.read = session, now, read
        self.enabled = enabled(session)
        self.trunks = without_loop(self.enabled)
        self.troubles = troubles(session)
        self.used = Counter(_open_calls(session))
        self.limits = {trunk.id: self._limit(trunk) for trunk in self.enabled}

    def _limit(self, trunk: Trunk) -> int:
        """0 = none."""
        known = (trunk.channels, learned_channels(self.session, trunk.id, self.now))
        return min((count for count in known if count), default=0)

    def is_open(self, trunk: Trunk) -> bool:
        trouble = self.troubles.get(trunk.id)
        return trouble is None or trouble.probe_at <= self.now

    def has_channel(self, trunk: Trunk) -> bool:
        limit = self.limits[trunk.id]
        return not limit or self.used[trunk.id] < limit

    def of(self, fax: Fax, entity: FaxEntity) -> Way:
        if bound := bound_to(fax):
            only = [trunk for trunk in self.enabled if trunk.id == bound]
            return self._way(only, is_narrowed=True)
        tried = tried_by(self.session, fax)
        best = best_trunk(self.session, fax, self.now) if len(self.trunks) > 1 else None
        ordered = in_order(self.trunks, fax.redirected_to or fax.dial_string or "", entity.trunk_id, best)
        left = [trunk for trunk in ordered if trunk.id not in tried and self.is_open(trunk)]
        left.sort(key=lambda trunk: trunk.id not in self.troubles)  # finds out
        return self._way(left, is_narrowed=bool(tried))

    def _way(self, left: Sequence[Trunk], *, is_narrowed: bool) -> Way:
        chosen = next(filter(self.has_channel, left), None)
        if chosen and self.read is not None and not is_read(chosen, self.read):
            return Way(left, None, is_narrowed, is_unread=True)
        return Way(left, chosen, is_narrowed)

    def take(self, trunk: Trunk) -> None:
        """A call goes over it."""
        self.used[trunk.id] += 1
        if trouble := self.troubles.get(trunk.id):
            trouble.probe_at = self.now + PROBING

    def wait(self, fax: Fax, entity: FaxEntity) -> None:
        """It says why, and is looked at again when the next try is due."""
        aside = self._aside(fax, entity)
        due_at = min((trouble.probe_at for trouble in aside), default=self.now + NO_TRUNK)
        waiting = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(WAITING))
        told = {"cause": _why(aside), "cause_values": told_of(aside[0] if aside else None)}
        self.session.execute(waiting.values(due_at=max(due_at, self.now), **told))

    def why_closed(self, fax: Fax, entity: FaxEntity) -> str:
        """What the first trunk in its order has said."""
        return _why(self._aside(fax, entity))

    def _aside(self, fax: Fax, entity: FaxEntity) -> list[TrunkTrouble]:
        ordered = in_order(self.trunks, fax.dial_string or "", entity.trunk_id)
        return [self.troubles[trunk.id] for trunk in ordered if trunk.id in self.troubles]


def _why(aside: Sequence[TrunkTrouble]) -> str:
    return aside[0].outcome if aside else TRUNK_DOWN


def _open_calls(session: Session) -> Mapping[int, int]:
    calls = sa.select(Attempt.trunk_id, sa.func.count()).where(Attempt.takes_a_place(), Attempt.trunk_id.is_not(None))
    return {row[0]: row[1] for row in session.execute(calls.group_by(Attempt.trunk_id)) if row[0] is not None}
