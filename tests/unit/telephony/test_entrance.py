"""The T.38 entrance: what it lets through, and how it counts. Calls on a real Asterisk: tests/live/test_entrance.py."""

import asyncio
from dataclasses import replace

import pytest

from app.adapters.telephony.entrance import Address, Entrance
from app.adapters.telephony.passing import NoMessage, Passed, Via

CARRIER, STRANGER, ASTERISK = ("192.0.2.9", 5060), ("198.51.100.7", 5060), ("127.0.0.1", 5080)
ANOTHER = ("192.0.2.10", 5060)
TRUNKS = {CARRIER[0]: "main", ANOTHER[0]: "second"}
IMAGE = "v=0\r\no=gw 7 41 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=image 4000 udptl t38\r\n"
SOUND = IMAGE.replace("m=image 4000 udptl t38", "m=audio 4000 RTP/AVP 8")
CHANGED = IMAGE.replace("gw 7 41", "- 1 2")
HEADER, VOUCHED = "X-Vouched", "secret.main"


class Tried(Entrance):
    """``sent`` is what would have gone out; ``packet`` what is asked of a call with sound, once that ``is_known``."""

    def __init__(self) -> None:
        self.sent: list[tuple[Passed, Address]] = []
        self.packet, self.is_known = None, asyncio.Event()
        self.is_known.set()
        super().__init__(
            port=0,
            sip_port=ASTERISK[1],
            secret="s",
            trunk_of=TRUNKS.get,
            header=HEADER,
            vouching=lambda trunk: f"secret.{trunk}",
            packet_for=self._judge,
            address="203.0.113.1",
        )

    async def _judge(self, invite: Passed, trunk: str) -> int | None:
        await self.is_known.wait()
        return self.packet

    def _send(self, raw: bytes, where: Address) -> None:
        self.sent.append((Passed.read(raw), where))

    def hear(self, message: Passed, where: Address) -> list[tuple[Passed, Address]]:
        """What is sent because of it."""
        return self.hear_bytes(message.write(), where)

    def hear_bytes(self, raw: bytes, where: Address) -> list[tuple[Passed, Address]]:
        before = len(self.sent)
        self.datagram_received(raw, where)
        self.go_on()
        return self.sent[before:]

    def go_on(self) -> None:
        """Whatever can be done is."""
        loop = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        for _ in range(5):
            loop.run_until_complete(asyncio.sleep(0))
        asyncio._set_running_loop(loop)


@pytest.fixture
def entrance():
    loop = asyncio.new_event_loop()
    entrance = Tried()

    async def begin() -> None:
        await entrance.open("127.0.0.1")

    loop.run_until_complete(begin())
    asyncio._set_running_loop(loop)  # its clock alone: nothing here waits
    yield entrance
    asyncio._set_running_loop(None)
    entrance.close()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def invite(body: str = IMAGE, *headers: tuple[str, str]) -> Passed:
    return Passed(
        "INVITE sip:+390501@203.0.113.1 SIP/2.0",
        (
            ("v", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKone"),
            ("f", '"A, B" <sip:+391@c.example>;tag=far'),
            ("t", "<sip:+390501@203.0.113.1>"),
            ("i", "call-1"),
            ("CSeq", "5 INVITE"),
            ("m", "<sip:gw@192.0.2.9:5060>"),
            ("Supported", "100rel, timer"),
            ("Content-Type", "application/sdp"),
            *headers,
        ),
        body.encode(),
    )


def answer(request: Passed, status: str, body: str = "") -> Passed:
    headers = [(name, value) for name in ("Via", "Record-Route") for value in request.all(name)]
    headers += [(name, request.get(name)) for name in ("From", "Call-ID", "CSeq")]
    to = request.get("To") if request.to_tag else f"{request.get('To')};tag=ours"
    headers += [("To", to), ("Contact", "<sip:127.0.0.1:5080>"), ("Content-Type", "application/sdp")]
    return Passed(f"SIP/2.0 {status}", tuple(headers), body.encode())


def within(first: str, number: int, final: Passed, *, routes: list[str], branch: str) -> Passed:
    """A request of the far end in the call."""
    headers = [("Via", f"SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{branch}"), ("From", final.get("From"))]
    headers += [("To", final.get("To")), ("Call-ID", final.call_id), ("CSeq", f"{number} {first.split()[0]}")]
    return Passed(f"{first} sip:127.0.0.1:5080 SIP/2.0", (*headers, *(("Route", route) for route in routes)))


def set_up(entrance: Tried) -> Passed:
    """What the far end is answered."""
    ((sound, _),) = entrance.hear(invite(), CARRIER)
    (_, (change, _)) = entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    ((final, _),) = entrance.hear(answer(change, "200 OK", CHANGED), ASTERISK)
    return final


def test_who_had_the_call_before_us_is_told_to_asterisk_as_the_carrier_said_it(entrance: Tried) -> None:
    """Diversion (RFC 5806) and History-Info (RFC 7044), in their order: our number may stand there alone."""
    told = [
        ("Diversion", '"Desk, 1" <sip:+390502@c.example>;reason=unconditional;counter=2'),
        ("History-Info", "<sip:+390502@c.example?Reason=SIP%3Bcause%3D302>;index=1"),
        ("Diversion", "<tel:+390503>;reason=user-busy"),
        ("History-Info", "<sip:+390501@c.example>;index=1.1;mp=1, <sip:+390501@d.example>;index=1.1.1"),
    ]
    for call_id, body in (("image", IMAGE), ("sound", SOUND)):
        ((begun, where),) = entrance.hear(invite(body, *told).having("Call-ID", call_id), CARRIER)
        assert where == ASTERISK
        assert [header for header in begun.headers if header[0] in ("Diversion", "History-Info")] == told


def test_an_image_is_called_with_sound_and_changed_once_asterisk_has_answered(entrance: Tried) -> None:
    ((sound, where),) = entrance.hear(invite(IMAGE, (HEADER, "secret.other")), CARRIER)
    assert where == ASTERISK and sound.all(HEADER) == [VOUCHED]
    assert b"o=gw 7 40 IN" in sound.body and b"m=audio " in sound.body and b"m=image" not in sound.body
    assert (sound.sequence, sound.all("Supported"), sound.get("From")) == (
        5,
        ["timer"],
        '"A, B" <sip:+391@c.example>;tag=far',
    )

    ((rings, where),) = entrance.hear(answer(sound, "180 Ringing", SOUND), ASTERISK)
    assert (where, rings.body, len(rings.all("Via"))) == (CARRIER, b"", 1)

    (ack, _), (change, where) = entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    assert (ack.method, ack.sequence, change.sequence, where) == ("ACK", 5, 6, ASTERISK)
    assert change.body.decode() == IMAGE and change.to_tag == "ours"

    ((final, where),) = entrance.hear(answer(change, "200 OK", CHANGED), ASTERISK)
    assert (where, final.status, final.sequence, final.to_tag) == (CARRIER, 200, 5, "ours")
    assert final.body.decode() == CHANGED and len(final.all("Via")) == 1


def test_what_the_far_end_counts_is_counted_further_for_asterisk_and_back(entrance: Tried) -> None:
    final = set_up(entrance)
    bye = within("BYE", 6, final, routes=final.all("Record-Route")[::-1], branch="two")
    ((passed, where),) = entrance.hear(bye, STRANGER)
    assert (where, passed.sequence, passed.all("Route"), passed.get(HEADER)) == (ASTERISK, 7, [], VOUCHED)
    ((heard, where),) = entrance.hear(answer(passed, "200 OK"), ASTERISK)
    assert (where, heard.sequence) == (STRANGER, 6)


def test_another_entrance_goes_on_with_a_call(entrance: Tried) -> None:
    final = set_up(entrance)
    entrance._calls.clear()
    test = within("BYE", 6, final, routes=final.all("Record-Route")[::-1], branch="two")
    assert [(one.sequence, where) for one, where in entrance.hear(test, CARRIER)] == [(7, ASTERISK)]


@pytest.mark.parametrize("made_up", ["", "0.main." + "0" * 32, "2.main.{}", "1.other.{}"])
def test_a_made_up_route_leads_nowhere(entrance: Tried, made_up: str) -> None:
    final = set_up(entrance)
    sign = final.all("Record-Route")[0].split("faxroom=1.main.")[1][:32]
    routes = [f"<sip:127.0.0.1:{entrance.port};lr;faxroom={made_up.format(sign)}>"]
    for where in (CARRIER, STRANGER):
        sent = entrance.hear(within("BYE", 6, final, routes=routes, branch="two"), where)
        assert [(one.status, to) for one, to in sent] == [(481 if where == CARRIER else 403, where)]


def test_a_route_is_of_its_call_alone(entrance: Tried) -> None:
    final = set_up(entrance)
    other = within("BYE", 6, final, routes=final.all("Record-Route")[::-1], branch="two").having("Call-ID", "call-2")
    assert [one.status for one, _ in entrance.hear(other, STRANGER)] == [403]


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "MESSAGE", "REGISTER"])
def test_strangers_begin_nothing(entrance: Tried, method: str) -> None:
    asked = replace(invite().having("CSeq", f"5 {method}"), first=f"{method} sip:a@b SIP/2.0")
    assert [(one.status, where) for one, where in entrance.hear(asked, STRANGER)] == [(403, STRANGER)]
    assert entrance.take_refused() == "1 requests, the last from 198.51.100.7"
    assert entrance.take_refused() == ""


def test_nobody_calls_in_the_name_of_the_own_loop(entrance: Tried) -> None:
    own = invite().having("From", f"<sip:1*5@{'0' * 32}.invalid>;tag=far")
    assert [one.status for one, _ in entrance.hear(own, CARRIER)] == [403]


@pytest.mark.parametrize("name", ["From", "f", "P-Asserted-Identity"])
def test_nor_behind_much_else(entrance: Tried, name: str) -> None:
    own = replace(invite(), headers=tuple(pair for pair in invite().headers if pair[0] != "f"))
    much = [("X", str(number)) for number in range(100)]
    sender = [] if name != "P-Asserted-Identity" else [("From", "<sip:a@b>;tag=far")]
    told = (name, f'"{"a" * 500}" <sip:1*5@{"0" * 32}.invalid>;tag=far')
    own = replace(own, headers=(*own.headers, *much, *sender, told))
    assert [one.status for one, _ in entrance.hear(own, CARRIER)] == [403]


def test_an_answer_to_what_nobody_asked_goes_nowhere(entrance: Tried) -> None:
    made_up = answer(invite(), "200 OK").having(
        "Via", "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx;faxroom=0", "SIP/2.0/UDP 198.51.100.99;branch=z9hG4bKy"
    )
    assert entrance.hear(made_up, STRANGER) == []


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "MESSAGE"])
def test_the_route_of_a_call_begins_no_other(entrance: Tried, method: str) -> None:
    routes = set_up(entrance).all("Record-Route")[::-1]
    asked = replace(invite().having("CSeq", f"6 {method}"), first=f"{method} sip:+390502@203.0.113.1 SIP/2.0")
    sent = entrance.hear(asked.having("Route", *routes), STRANGER)
    assert [(one.status, where) for one, where in sent] == [(403, STRANGER)]


def test_a_call_that_asterisk_ends_before_it_is_taken_is_refused(entrance: Tried) -> None:
    ((sound, _),) = entrance.hear(invite(), CARRIER)
    entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    bye = Passed(
        "BYE sip:gw@192.0.2.9:5060 SIP/2.0",
        (
            ("Via", "SIP/2.0/UDP 127.0.0.1:5080;branch=z9hG4bKb"),
            *(("From", "<sip:b@c>;tag=ours"), ("To", "<sip:a@c>;tag=far"), ("Call-ID", "call-1")),
            *(("CSeq", "9 BYE"), ("Reason", "Q.850;cause=17")),
        ),
    )
    (heard, refused) = entrance.hear(bye, ASTERISK)
    assert (heard[0].status, heard[1]) == (200, ASTERISK)
    assert (refused[0].status, refused[0].get("Reason"), refused[1]) == (480, "Q.850;cause=17", CARRIER)


def test_an_invite_that_is_said_again_is_one_call(entrance: Tried) -> None:
    ((sound, _),) = entrance.hear(invite(), CARRIER)
    assert entrance.hear(invite(), CARRIER) == [(sound, ASTERISK)], "Asterisk may not have heard it"
    (_, (change, _)) = entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    assert entrance.hear(invite(), CARRIER) == [], "Asterisk would take it for another call"
    ((final, _),) = entrance.hear(answer(change, "200 OK", CHANGED), ASTERISK)
    assert entrance.hear(invite(), CARRIER) == [(final, CARRIER)]


def test_a_call_of_one_trunk_is_not_anothers_to_end_or_to_begin_again(entrance: Tried) -> None:
    ((sound, _),) = entrance.hear(invite(), CARRIER)
    entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    cancel = replace(invite().having("CSeq", "5 CANCEL"), first="CANCEL sip:+390501@203.0.113.1 SIP/2.0")
    assert [where for _, where in entrance.hear(cancel, ANOTHER)] == [ASTERISK], "which knows no such call"
    assert [(said.status, where) for said, where in entrance.hear(invite(), ANOTHER)] == [(482, ANOTHER)]
    assert [said.status for said, _ in entrance.hear(cancel, CARRIER)[:2]] == [200, 487]


def test_the_calls_of_one_trunk_leave_room_for_anothers(entrance: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.adapters.telephony.entrance.MOST_CALLS", 1)
    entrance.hear(invite(), CARRIER)
    second = invite().having("Call-ID", "call-2")
    assert [said.status for said, _ in entrance.hear(second, CARRIER)] == [503]
    assert [said.method for said, _ in entrance.hear(second, ANOTHER)] == ["INVITE"]


def test_an_offer_in_the_way_is_tried_again(entrance: Tried) -> None:
    ((sound, _),) = entrance.hear(invite(), CARRIER)
    (_, (change, _)) = entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    assert [one.method for one, _ in entrance.hear(answer(change, "491 Request Pending"), ASTERISK)] == ["ACK"]
    (call,) = entrance._calls.values()
    entrance._change(call)
    again, _ = entrance.sent[-1]
    ((final, _),) = entrance.hear(answer(again, "200 OK", CHANGED), ASTERISK)
    assert (again.sequence, final.sequence) == (7, 5) and "faxroom=2.main." in final.get("Record-Route")


@pytest.mark.parametrize(("body", "status"), [(SOUND, 481), (IMAGE, 488)])
def test_who_refuses_to_go_back_to_sound_has_no_call_any_more(entrance: Tried, body: str, status: int) -> None:
    final = set_up(entrance)
    asked = within("INVITE", 9, final, routes=final.all("Record-Route"), branch="back").of_body(body.encode())
    asked = replace(asked, first="INVITE sip:gw@192.0.2.9:5060 SIP/2.0")
    ((passed, where),) = entrance.hear(asked, ASTERISK)
    assert where == CARRIER
    ((heard, where),) = entrance.hear(answer(passed, "488 Not Acceptable Here"), CARRIER)
    assert (heard.status, where) == (status, ASTERISK)


@pytest.mark.parametrize(("status", "told"), [("488 Not Acceptable Here", 488), ("200 OK", 488)])
def test_where_asterisk_takes_no_image_its_call_ends_and_the_far_end_is_refused(
    entrance: Tried, status: str, told: int
) -> None:
    ((sound, _),) = entrance.hear(invite(), CARRIER)
    (_, (change, _)) = entrance.hear(answer(sound, "200 OK", SOUND), ASTERISK)
    sent = entrance.hear(answer(change, status, CHANGED.replace("image 4000", "image 0")), ASTERISK)
    assert [(one.status or one.method, where) for one, where in sent] == [
        ("ACK", ASTERISK),
        (told, CARRIER),
        ("BYE", ASTERISK),
    ]


# ---- The packets of a call with sound


@pytest.mark.parametrize(("packet", "told"), [(None, "a=ptime:20"), (60, "a=ptime:60")])
def test_a_call_with_sound_asks_for_the_packets_that_are_wanted(entrance: Tried, packet: int | None, told: str) -> None:
    entrance.packet = packet
    ((passed, where),) = entrance.hear(invite(f"{SOUND}a=ptime:20\r\n"), CARRIER)
    assert (passed.body.decode(), where) == (f"{SOUND}{told}\r\n", ASTERISK)
    assert Passed.read(passed.write()).body == passed.body


def test_what_is_no_description_is_left_alone(entrance: Tried) -> None:
    entrance.packet = 60
    body = f"{SOUND}a=ptime:20\r\n"
    ((passed, _),) = entrance.hear(invite(body).having("Content-Type", "multipart/mixed;boundary=x"), CARRIER)
    assert passed.body.decode() == body


def test_a_call_with_sound_is_passed_on_once_while_its_packets_are_judged(entrance: Tried) -> None:
    """What was not heard meanwhile is said again."""
    entrance.is_known.clear()
    cancel = replace(invite(SOUND).having("CSeq", "5 CANCEL"), first="CANCEL sip:+390501@203.0.113.1 SIP/2.0")
    for message in (invite(SOUND), invite(SOUND), cancel):
        assert entrance.hear(message, CARRIER) == []
    entrance.is_known.set()
    entrance.go_on()
    assert [message.method for message, _ in entrance.sent] == ["INVITE"]
    assert [message.method for message, _ in entrance.hear(invite(SOUND), CARRIER)] == ["INVITE"]
    ((passed, where),) = entrance.hear(cancel.of_body(b""), CARRIER)
    assert (passed.method, where) == ("CANCEL", ASTERISK)


# ---- Messages


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"hello\r\n\r\n", b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", b"\xff" * 40),
        invite().write().replace(b"CSeq: 5", b"CSeq: five"),
        invite().write().replace(b"Supported: ", b"Supported: x\rX-Vouched: y"),
        invite().write().replace(b"INVITE sip:+390501@203.0.113.1 SIP/2.0", b"SIP/2.0 abc"),
        invite().write().replace(b"CSeq: 5 INVITE", b"CSeq: 5 ACK"),
        *(invite("", pair).write() for pair in (("Call-ID", "2"), ("To", "<sip:a>;tag=b"), ("CSeq", "5 INVITE"))),
        *(invite("", ("X", "a" * 9_000)).write(), invite("a" * 9_000).write()),
        *(invite("", *[("X", "a")] * 200).write(), invite("", ("Via", ",SIP/2.0/UDP a" * 100)).write()),
    ],
)
def test_what_is_no_message_is_told(raw: bytes) -> None:
    with pytest.raises(NoMessage):
        Passed.read(raw)


@pytest.mark.parametrize("name", ["Content-Length", "Max-Forwards"])
def test_a_number_that_is_none_counts_nothing(entrance: Tried, name: str) -> None:
    raw = invite(SOUND).having("Max-Forwards", "9").write()
    number = Passed.read(raw).get(name) or str(len(SOUND))
    raw = raw.replace(f"{name}: {number}".encode(), f"{name}: {'9' * 5000}".encode())
    ((passed, _),) = entrance.hear_bytes(raw, CARRIER)
    assert passed.body == SOUND.encode() and passed.get("Max-Forwards") == ("8" if name == "Content-Length" else "69")


def test_a_long_via_is_read_in_no_time() -> None:
    """Where each blank is a beginning anew, this takes years."""
    via = Via(f"SIP/2.0/UDP a;rport{' ' * 1_000_000}x")
    assert via.parameter("rport") is None
    assert via.seen_from(CARRIER).target == CARRIER


def test_a_message_is_written_as_it_came() -> None:
    raw = invite().having("Route", "<sip:a;lr>, <sip:b,c;lr>").write()
    assert Passed.read(raw).write() == raw
    assert Passed.read(raw).all("Route") == ["<sip:a;lr>", "<sip:b,c;lr>"]


@pytest.mark.parametrize(
    "via", ["SIP/2.0/UDP a:99999;branch=x", "SIP/2.0/UDP a:0;branch=x", "SIP/2.0/TCP a;branch=x", ""]
)
def test_an_answer_goes_nowhere_else(via: str) -> None:
    with pytest.raises(NoMessage):
        Via(via).target  # noqa: B018


def test_where_an_answer_goes() -> None:
    via = Via("SIP/2.0/UDP gw.example:5062 ;rport;branch=z9hG4bKa")
    assert via.target == ("gw.example", 5062)
    assert via.seen_from(CARRIER).target == CARRIER and via.seen_from(CARRIER).parameter("branch") == "z9hG4bKa"
