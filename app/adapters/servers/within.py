"""HTTP to servers elsewhere, within limits: a whole answer in so many seconds and bytes. httpx has a timeout for each
piece only, and goes on for as long as pieces come."""

import ssl
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import httpcore
import httpx


@cache
def context() -> ssl.SSLContext:
    """Reading the machine's certificates takes longer than a question does."""
    return ssl.create_default_context()


class _Within(httpcore.NetworkBackend):
    """Connections that are over in so many seconds, and on which so many bytes come. ``address_of`` says where a host
    is, so that nobody is asked but who was judged."""

    def __init__(self, seconds: float, most: int, address_of: Callable[[str, int], str] | None) -> None:
        self.inner, self.end, self.left = httpcore.SyncBackend(), time.monotonic() + seconds, most
        self.address_of = address_of

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        place = self.address_of(host, port) if self.address_of else host
        seconds = self.seconds(timeout)
        return _Stream(self.inner.connect_tcp(place, port, seconds, local_address, socket_options), self)

    def seconds(self, timeout: float | None) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it takes too long")
        return min(left, timeout or left)

    def count(self, data: bytes) -> bytes:
        self.left -= len(data)
        if self.left < 0:
            raise httpcore.ReadError("it says too much")
        return data


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, within: _Within) -> None:
        self.inner, self.within = inner, within

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.within.count(self.inner.read(max_bytes, self.within.seconds(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.inner.write(buffer, self.within.seconds(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self.inner.start_tls(ssl_context, server_hostname, self.within.seconds(timeout)), self.within)

    def get_extra_info(self, info: str) -> Any:
        return self.inner.get_extra_info(info)

    def close(self) -> None:
        self.inner.close()


def within(seconds: float, most: int, address_of: Callable[[str, int], str] | None = None) -> httpx.HTTPTransport:
    """For one question. ``most`` bytes may come in all, the greeting of TLS among them."""
    transport = httpx.HTTPTransport(verify=context(), trust_env=False)
    transport._pool = httpcore.ConnectionPool(ssl_context=context(), network_backend=_Within(seconds, most, address_of))
    return transport
