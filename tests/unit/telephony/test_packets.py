"""How large the packets of sound are to be, as an offer says it."""

import pytest

from app.adapters.telephony.packets import asking_for

HEAD = "v=0\r\no=gw 7 41 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
SOUND = "m=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\n"
IMAGE = "m=image 0 udptl t38\r\na=ptime:20\r\n"


@pytest.mark.parametrize(
    ("offer", "asked"),
    [
        (SOUND + "a=ptime:20\r\na=sendrecv\r\n", SOUND + "a=sendrecv\r\na=ptime:60\r\n"),
        (SOUND, SOUND + "a=ptime:60\r\n"),
        (SOUND.rstrip(), SOUND + "a=ptime:60\r\n"),
        (SOUND + "a=maxptime:60\r\na=ptime:20\r\n", SOUND + "a=maxptime:60\r\na=ptime:60\r\n"),
        (SOUND + "a=ptime:20\r\n" + IMAGE, SOUND + "a=ptime:60\r\n" + IMAGE),
        (IMAGE + SOUND + "a=ptime:20\r\n", IMAGE + SOUND + "a=ptime:60\r\n"),
    ],
)
def test_the_wish_is_that_of_the_sound(offer: str, asked: str) -> None:
    assert asking_for((HEAD + offer).encode(), 60).decode() == HEAD + asked


@pytest.mark.parametrize(
    "offer", [SOUND + "a=maxptime:40\r\na=ptime:20\r\n", SOUND.replace("4000", "0"), IMAGE, "", "no description"]
)
def test_who_takes_no_such_packets_is_not_asked(offer: str) -> None:
    assert asking_for((HEAD + offer).encode(), 60).decode() == HEAD + offer
