"""Hosts that a tenant names: looked up here once, and connected to at the very addresses that were judged.

Whoever may enter a host could otherwise reach what only this machine and its network see: databases, Redis, a cloud's
metadata.
"""

import ipaddress
import socket
from collections.abc import Iterable

from app.errors import PermanentFailure, TemporaryFailure

#: IPv6 forms that carry an IPv4 address: NAT64 (RFC 6052) beside those that :mod:`ipaddress` knows.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses_of(host: str, port: int, *, allowed: Iterable[str] = ()) -> list[str]:
    """Where ``host`` is. ``allowed`` are hosts, addresses and networks inside that may be reached all the same, each
    at any port or at the one behind a colon (``127.0.0.1:1143``), or ``yes`` for any.

    Raises:
        PermanentFailure: ``host_inside``: an address of it is this machine's or its network's.
        TemporaryFailure: ``host_unknown``: the name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TemporaryFailure("host_unknown", host=host) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    permitted = [name for entry in allowed if (name := _at_port(entry, port))]
    if not any(name in ("yes", host) for name in permitted):
        for text in addresses:
            if is_inside(text) and not _is_permitted(text, permitted):
                raise PermanentFailure("host_inside", host=host)
    return addresses


def is_inside(text: str) -> bool:
    """Loopback, private, link-local, multicast, or anything else that is not the public Internet."""
    try:
        address = _unwrapped(ipaddress.ip_address(text.split("%")[0]))
    except ValueError:
        return True
    return not address.is_global or address.is_multicast


def _unwrapped(address: Address) -> Address:
    """The IPv4 address within an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _at_port(entry: str, port: int) -> str:
    """Without its port; empty if it is about another one."""
    name, colon, only = entry.rpartition(":")
    if not colon or ":" in name or not only.isdigit():  # an IPv6 address has more colons than one
        return entry
    return name if int(only) == port else ""


def _is_permitted(text: str, permitted: list[str]) -> bool:
    address = ipaddress.ip_address(text.split("%")[0])
    for name in permitted:
        try:
            if address in ipaddress.ip_network(name, strict=False):
                return True
        except ValueError:
            continue
    return False
