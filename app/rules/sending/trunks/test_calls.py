"""A test call over a trunk: one page to a number that the operator chooses, as a fax line that they name.

It is a fax of that line's company, marked as a test, and goes the whole way of a fax, but over this trunk only
(:func:`app.rules.sending.trunks.choosing.bound_to`), once, and without emails."""

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Document, Fax, FaxEntity, Origin, Trunk
from app.rules.numbers.numbers import Addressee, read_addressee
from app.rules.sending.submit import Order, accept_fax
from app.rules.sending.trunks.choosing import bound_key
from tenants.models import Tenant, User


def lines_with_numbers(session: Session, *, most: int) -> list[tuple[FaxEntity, Tenant]]:
    """Whose number a test call may show, by company and name."""
    there = (Tenant.suspended_at.is_(None), Tenant.deleting_at.is_(None))
    query = sa.select(FaxEntity, Tenant).join(Tenant, Tenant.id == FaxEntity.tenant_id).where(*there)
    query = query.where(FaxEntity.closed_at.is_(None), FaxEntity.number.is_not(None))
    rows = session.execute(query.order_by(Tenant.name, FaxEntity.name).limit(most)).all()
    return [(line, tenant) for line, tenant in rows]


def judge_test(session: Session, *, trunk_id: int, number: str, to: str) -> tuple[FaxEntity, Addressee]:
    """The line that has ``number``, and whom ``to`` means to it.

    Raises:
        Refused: with the ``field``, ``line`` or ``to``; ``trunk_test_off``.
    """
    trunk = session.get(Trunk, trunk_id, populate_existing=True)
    if trunk is None or not trunk.enabled:
        raise Refused("trunk_test_off")
    wanted = "".join(character for character in number if character in "+0123456789")
    line = session.scalar(sa.select(FaxEntity).where(FaxEntity.number == wanted, FaxEntity.closed_at.is_(None)))
    if line is None:
        raise Refused("trunk_test_line", field="line")
    if line.tenant.suspended_at:
        raise Refused("trunk_test_suspended", field="line")
    try:
        addressee = read_addressee(session, line.tenant, to)
    except Refused as refusal:
        raise Refused(refusal.code, field="to", **refusal.values) from refusal
    if not addressee.dial_string.startswith("+"):
        raise Refused("trunk_test_inside", field="to")
    return line, addressee


def begin_trunk_test(
    session: Session,
    *,
    user: User,
    trunk_id: int,
    line: FaxEntity,
    addressee: Addressee,
    document: Document,
    submission_key: str,
    beside: Callable[[Fax], None],
) -> Fax:
    """Commits.

    Raises:
        Refused: by the operator's policy, or because the line was closed meanwhile.
    """
    order = Order(document.id, pages=document.pages, origin=Origin.TEST)
    key = bound_key(trunk_id, submission_key)
    return accept_fax(session, order, user=user, entity=line, addressee=addressee, submission_key=key, beside=beside)


def test_of_operator(session: Session, fax_id: str) -> Fax | None:
    """A test that an operator began; nothing else of a company's is theirs to see."""
    fax = session.get(Fax, fax_id)
    began = fax is not None and fax.origin == Origin.TEST and fax.user is not None and fax.user.is_operator
    return fax if began else None
