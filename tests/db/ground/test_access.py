"""Which pages are there for a person."""

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import FaxEntity, Grant
from app.rules.ground.access import Rights, rights_of
from tenants.db import utc_now
from tenants.models import User
from tests.web.cast import Cast


def rights(session: Session, user_id: int) -> Rights:
    return rights_of(session, session.get_one(User, user_id))


@pytest.mark.parametrize(
    ("sends", "receives", "closed", "expected"),
    [
        (True, False, False, Rights(sends=True, sees_faxes=True)),
        (False, True, False, Rights(receives=True, sees_faxes=True)),
        (True, True, False, Rights(sends=True, receives=True, sees_faxes=True)),
        (True, False, True, Rights(sees_faxes=True)),
        (False, False, False, Rights()),
    ],
)
def test_a_users_pages_follow_from_the_permissions_for_lines(
    session: Session, cast: Cast, sends: bool, receives: bool, closed: bool, expected: Rights
) -> None:
    bobs = sa.update(Grant).where(Grant.user_id == cast.bob)
    session.execute(bobs.values(may_send=sends, may_receive=receives))
    lines = sa.update(FaxEntity).where(FaxEntity.tenant_id == cast.alpha)
    session.execute(lines.values(closed_at=utc_now() if closed else None))
    assert rights(session, cast.bob) == expected


def test_one_line_is_enough(session: Session, cast: Cast) -> None:
    assert rights(session, cast.bob) == Rights(sends=True, sees_faxes=True)
    more = Grant(tenant_id=cast.alpha, entity_id=cast.archive, user_id=cast.bob, may_receive=True)
    session.add(more)
    assert rights(session, cast.bob) == Rights(sends=True, receives=True, sees_faxes=True)


def test_an_administrator_sees_all_without_any_permission_but_sends_from_nowhere(session: Session, cast: Cast) -> None:
    session.execute(sa.delete(Grant).where(Grant.user_id == cast.alice))
    assert rights(session, cast.alice) == Rights(receives=True, sees_faxes=True)


def test_an_operator_has_no_fax_pages(session: Session, cast: Cast) -> None:
    assert rights(session, cast.olga) == Rights()
