"""A line's fax to itself over the real Asterisk of the instance."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import Fax, FaxEntity, Notice, Status
from app.models.faxes.moves import is_final
from app.rules.sending.self_test import findings, is_running, last_test, other_end, verdict
from app.services.sending.self_testing import damage_of, send_test
from tenants.db import new_ulid, utc_now
from tenants.models import EmailAddress, User
from tests.live.instance import Instance
from tests.live.lines import wait_until

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    yield Instance(Path(os.environ["FAXROOM_TEST_HOME"]))


def begin(instance: Instance, name: str) -> str:
    with instance.session() as session:
        alice = session.scalar(sa.select(User).join(EmailAddress).where(EmailAddress.address == "alice@alpha.test"))
        line = sa.select(FaxEntity).where(FaxEntity.tenant_id == alice.tenant_id, FaxEntity.name == name)
        return send_test(session, user=alice, entity=session.scalar(line), submission_key=new_ulid()).id


def is_over(instance: Instance, fax_id: str) -> bool:
    with instance.session() as session:
        test = session.get_one(Fax, fax_id)
        return not is_running(test, other_end(session, test), now=utc_now())


def is_free(instance: Instance, name: str) -> bool:
    """A run that was broken off may have left one."""
    with instance.session() as session:
        last = last_test(session, session.scalar(sa.select(FaxEntity).where(FaxEntity.name == name)))
        return last is None or is_final(last.status)


@pytest.mark.parametrize(("name", "mode"), [("frontdesk", "T38"), ("accounts", "audio")])
def test_a_line_tests_itself_by_t38_and_by_tones(instance: Instance, name: str, mode: str):
    wait_until(150, "the line has no test under way", lambda: is_free(instance, name))
    fax_id = begin(instance, name)
    wait_until(150, "both ends of the test", lambda: is_over(instance, fax_id))
    with instance.session() as session:
        test = session.get_one(Fax, fax_id)
        received = other_end(session, test)
        found = findings(test, received, damage_of(test, received), now=utc_now())
        values = {finding.code: finding.values for finding in found}
        assert (test.status, received.status) == (Status.SENT, Status.RECEIVED)
        assert values["mode"]["mode"] == mode
        assert values["picture"]["damaged"] == 0
        assert values["picture"]["lines"] > 1000
        assert verdict(test, found) == "good"
        about = sa.select(sa.func.count(Notice.id)).where(Notice.fax_id.in_((test.id, received.id)))
        assert session.scalar(about) == 0
