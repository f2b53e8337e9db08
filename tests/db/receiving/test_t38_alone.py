"""Calls that Asterisk refuses because they offer T.38 alone, as far as captured SIP tells of them."""

from app.adapters.telephony.sip import Message, read_message
from app.rules.receiving.strays import strays, strays_of
from tenants.models import Tenant
from tests.db.receiving.test_listening import FRONTDESK, jobs, listener, marks, told  # noqa: F401


def invite(number: str) -> Message:
    lines = (f"INVITE sip:{number}@us SIP/2.0", "From: <sip:+39050123456@carrier>;tag=a", "CSeq: 1 INVITE", "", "")
    message = read_message("\r\n".join(lines).encode())
    assert message is not None
    return message


def test_they_are_among_the_calls_that_reached_nobody_though_a_line_has_the_number(session, cast, listener):  # noqa: F811
    listener.listening = True
    listener.capture.calls.t38_alone = [invite(FRONTDESK), invite(FRONTDESK)]
    listener.take([])
    listener.take([])
    (stray,) = strays(session)
    assert (stray.called, stray.reason, stray.calls, stray.caller) == (FRONTDESK, "t38_only", 2, "+39050123456")
    assert strays_of(session, session.get_one(Tenant, cast.alpha)) == []
