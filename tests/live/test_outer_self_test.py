"""A line's fax to itself through a carrier: another Asterisk, which brings the call back to the line's own number."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.models import Fax, FaxEntity, Status
from app.models.faxes.moves import is_final
from app.rules.sending.self_test import findings, is_outer, is_running, last_test, other_end, verdict
from app.services.sending.self_testing import damage_of, send_test
from tenants.addresses import user_by_address
from tenants.db import new_ulid, utc_now
from tests.live.instance import Instance
from tests.live.lines import Line, wait_until

pytestmark = pytest.mark.live

#: On no address that another trunk of the instance has: by it Asterisk tells whose a call is.
HOST, TRUNK = "127.0.0.2", "around"
LINE = "accounts"
#: Whatever it is called for goes back to where it came from, as a carrier does with a number of its own.
BACK = """[faxroom-in](+)
exten => _+X.,1,Dial(PJSIP/${EXTEN}@main-voice+,60)
exten => _+X.,2,Hangup()
"""


@pytest.fixture(scope="module")
def instance() -> Instance:
    """With its own port, by which its loop is known."""
    instance = Instance(Path(os.environ["FAXROOM_TEST_HOME"]))
    settings, sip_port = instance.app.config["SETTINGS"], int(os.environ["FAXROOM_TEST_SIP_PORT"])
    instance.app.config["SETTINGS"] = replace(settings, sip_port=sip_port)
    return instance


@pytest.fixture(scope="module")
def carrier(instance: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """The only trunk of the instance that leads elsewhere, for as long as these tests take."""
    sip_port = instance.app.config["SETTINGS"].sip_port
    carrier = Line(tmp_path_factory.mktemp("carrier"), local={}, trunk=f"sip:127.0.0.1:{sip_port}")
    carrier._local |= {
        "extensions-back.conf": BACK,
        "pjsip.conf": f"[transport](+)\nbind = {HOST}:{carrier.sip_port}\n",
    }
    carrier.start()
    try:
        added = instance.command("trunks", "add", TRUNK, f"host={HOST}", f"port={carrier.sip_port}")
        assert added.returncode == 0, added.stderr
        wait_until(100, "Asterisk knows the trunk", lambda: _knows(instance))
        yield carrier
    finally:
        removed = instance.command("trunks", "remove", TRUNK, "--yes")
        carrier.stop()
        assert removed.returncode == 0, removed.stderr


def _knows(instance: Instance) -> bool:
    asked = instance.app.extensions["asterisk"]._ask("GET", "/endpoints/PJSIP").json()
    return any(one["resource"] == f"({TRUNK}-audio" for one in asked)


def outcome(instance: Instance, *, outer: bool) -> dict[str, object]:
    """What a test of the line comes to."""
    wait_until(150, "the line has no test under way", lambda: _is_free(instance))
    with instance.session() as session:
        line = session.scalar(sa.select(FaxEntity).where(FaxEntity.name == LINE))
        alice = user_by_address(session, "alice@alpha.test")
        test_id = send_test(session, user=alice, entity=line, submission_key=new_ulid(), outer=outer).id
    wait_until(200, "both ends of the test", lambda: _is_over(instance, test_id))
    with instance.session() as session:
        test = session.get_one(Fax, test_id)
        received = other_end(session, test)
        found = findings(test, received, damage_of(test, received), now=utc_now())
        return {
            "outer": is_outer(test),
            "sent": test.status,
            "cause": test.cause,
            "received": received and received.status,
            "trunks": [attempt.trunk.name if attempt.trunk else None for attempt in test.attempts],
            "states": {finding.code: finding.state for finding in found},
            "verdict": verdict(test, found),
        }


def _is_free(instance: Instance) -> bool:
    with instance.session() as session:
        last = last_test(session, session.scalar(sa.select(FaxEntity).where(FaxEntity.name == LINE)))
        return last is None or is_final(last.status)


def _is_over(instance: Instance, test_id: str) -> bool:
    with instance.session() as session:
        test = session.get_one(Fax, test_id)
        return not is_running(test, other_end(session, test), now=utc_now())


def test_the_call_goes_out_over_the_trunk_and_comes_back_to_the_line(instance: Instance, carrier: Line) -> None:
    found = outcome(instance, outer=True)
    assert (found["outer"], found["sent"], found["received"]) == (True, Status.SENT, Status.RECEIVED)
    assert (found["trunks"], found["verdict"]) == ([TRUNK], "good")
    states = found["states"]
    assert isinstance(states, dict)
    assert (states["received"], states["picture"]) == ("good", "good")


def test_with_the_carrier_gone_the_outer_way_fails_and_the_inner_one_works(instance: Instance, carrier: Line) -> None:
    carrier.stop()
    outer, inner = outcome(instance, outer=True), outcome(instance, outer=False)
    assert (outer["outer"], outer["sent"], outer["received"]) == (True, Status.FAILED, None)
    assert (outer["trunks"], outer["verdict"], outer["cause"]) == ([TRUNK], "bad", "test_trunk_down")
    assert (inner["outer"], inner["sent"], inner["received"]) == (False, Status.SENT, Status.RECEIVED)
    assert (inner["trunks"], inner["verdict"]) == ([None], "good")
