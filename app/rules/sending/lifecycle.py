"""The one function that moves a fax from status to status, as :mod:`app.models.faxes.moves` allows.

A move is a compare-and-set on ``fax.status``: who comes second changes nothing and is told so.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Fax, Status
from app.models.faxes.moves import FINAL, ON_THE_LINE, WAITING, is_final, sources_of
from app.queues import enqueue_after_commit
from app.rules.archives.archive import owe_copies
from tenants.db import rows_changed, utc_now
from tenants.models import User

S = Status


def move(session: Session, fax_id: str, to: Status, *, only_from: tuple[Status, ...] = (), **values: Any) -> bool:
    """Move the fax if its present status allows it; False if it has moved on meanwhile.

    ``values`` are columns set in the same statement; ``only_from`` narrows the statuses of the table further. What ends
    here is owed to the archives from now on.
    """
    sources = [source for source in sources_of(to) if not only_from or source in only_from]
    if to in FINAL:
        values.setdefault("finished_at", utc_now())
        values.update(due_at=None, lease_until=None)
    values.setdefault("waits_for_number", None)
    statement = sa.update(Fax).where(Fax.id == fax_id, Fax.status.in_(sources)).values(status=to, **values)
    moved = rows_changed(session, statement) == 1
    if moved and to in FINAL:
        owe_copies(session, fax_id, to)
    return moved


def move_all(session: Session, fax_ids: list[str], to: Status, **values: Any) -> set[str]:
    """Move those whose present status allows it, in one statement; gives their ids. Not for a final status."""
    values.setdefault("waits_for_number", None)
    statement = sa.update(Fax).where(Fax.id.in_(fax_ids), Fax.status.in_(sources_of(to)))
    moved = statement.values(status=to, **values).returning(Fax.id).execution_options(synchronize_session=False)
    return set(session.scalars(moved))


def may_cancel(fax: Fax) -> bool:
    return fax.direction == "sent" and not is_final(fax.status) and fax.cancel_requested_at is None


def may_resend(fax: Fax) -> bool:
    return fax.direction == "sent" and is_final(fax.status) and fax.source_id is not None


def request_cancel(session: Session, fax: Fax, user: User) -> bool:
    """Cancel at once what is on no line; ask for a hang-up of what is. False if it is over already. Commits.

    A fax on the line becomes *cancelled* only when Asterisk's result is there: it may have got through meanwhile.
    """
    waiting = (S.ACCEPTED, S.PREPARING, *WAITING)
    done = move(session, fax.id, S.CANCELLED, only_from=waiting, cause="cancelled", cause_values={"by": user.name})
    if not done:
        running = sa.update(Fax).where(Fax.id == fax.id, Fax.status.in_(ON_THE_LINE))
        done = rows_changed(session, running.values(cancel_requested_at=utc_now())) == 1
        if done:
            enqueue_after_commit(session, "hang_up", fax.id)
    session.commit()
    return done
