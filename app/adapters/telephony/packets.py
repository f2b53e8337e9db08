"""How many milliseconds of sound a packet holds, as an offer says it (RFC 8866, 6.4)."""

import re

#: The description of the sound, up to the next medium.
_SOUND = re.compile(rb"^m=audio [1-9].*?(?=^m=|\Z)", re.MULTILINE | re.DOTALL)
_WISHED = re.compile(rb"^a=ptime:[^\n]*\n?", re.MULTILINE)
_MOST = re.compile(rb"^a=maxptime:[ \t]*([0-9]{1,4})", re.MULTILINE)


def asking_for(offer: bytes, packet: int) -> bytes:
    """An offer with another wish; as it is where it has no sound, or takes no packets of that size.

    >>> asking_for(b"m=audio 4000 RTP/AVP 8\\r\\na=ptime:20\\r\\n", 60)
    b'm=audio 4000 RTP/AVP 8\\r\\na=ptime:60\\r\\n'
    """
    found = _SOUND.search(offer)
    if found is None:
        return offer
    most = _MOST.search(found[0])
    if most and int(most[1]) < packet:
        return offer
    rest = _WISHED.sub(b"", found[0]).rstrip(b"\r\n")
    return b"%b%b\r\na=ptime:%d\r\n%b" % (offer[: found.start()], rest, packet, offer[found.end() :])
