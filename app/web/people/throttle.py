"""Guessing passwords and codes is slow: by account and by address, counted in Redis for all web processes together."""

import logging
import math
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TypeVar

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter, RateLimiter
from redis import RedisError

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

#: Wrong passwords until it has to rest: for an account from one address, or from one browser of its owner; from one
#: address in all, where a whole office may sit. What comes from elsewhere keeps nobody out.
BY_ACCOUNT = RateLimitItemPerMinute(10, 15, namespace="sign-in-account")
BY_ADDRESS = RateLimitItemPerMinute(50, 15, namespace="sign-in-address")
#: Mails with which a password is reset. More for one account go nowhere, and nobody is told so.
RESETS_BY_ACCOUNT = RateLimitItemPerHour(3, namespace="reset-account")
RESETS_BY_ADDRESS = RateLimitItemPerMinute(20, 15, namespace="reset-address")


def from_address(account: str, address: str) -> str:
    """The account as it is tried from there. Whoever has one address of IPv6 has 2^64 of them (RFC 6177)."""
    try:
        there = ip_address(address)
    except ValueError:
        return f"{account} from {address}"
    return f"{account} from {ip_network((there, 64), strict=False) if there.version == 6 else there}"


def _of(account: str, browser: str) -> str:
    return f"{account} in {browser}"


class Throttle:
    """Flask-Limiter's storage with our own counting: right passwords cost nothing.

    Without Redis each process counts for itself: sign-in goes on, guessing is still slow.
    """

    def __init__(self) -> None:
        self._limiter = Limiter(get_remote_address)
        self._alone: RateLimiter = FixedWindowRateLimiter(MemoryStorage())

    def init_app(self, app: Flask) -> None:
        app.config.setdefault("RATELIMIT_STORAGE_URI", app.config["SETTINGS"].redis_url)
        shared = {"connection_pool": app.extensions["redis"].connection_pool}  # with its patience, and what it knows
        app.config.setdefault("RATELIMIT_STORAGE_OPTIONS", shared)
        self._limiter.init_app(app)

    def take_try(self, *, account: str, address: str, browser: str | None = None) -> int | None:
        """Count one try before the password is looked at; the minutes to wait if there have been too many. ``browser``
        is one that the account's owner has signed in from: what its neighbours do does not touch it."""
        if browser:
            return self._wait(BY_ACCOUNT, _of(account, browser), count=True)
        return self._wait(BY_ADDRESS, address, count=False) or self._wait(BY_ACCOUNT, account, count=True)

    def note_failure(self, *, address: str) -> None:
        self._ask(lambda counter: counter.hit(BY_ADDRESS, address))

    def forget(self, *, account: str, browser: str | None = None) -> None:
        """The password was right: earlier slips no longer count."""
        key = _of(account, browser) if browser else account
        self._ask(lambda counter: counter.clear(BY_ACCOUNT, key))

    def take_reset(self, *, address: str) -> int | None:
        """Count one request for a mail; the minutes to wait if this address has made too many."""
        return self._wait(RESETS_BY_ADDRESS, address, count=True)

    def may_reset(self, *, account: str) -> bool:
        """Count one mail to this account, whether it exists or not; False if there have been too many."""
        return self._ask(lambda counter: counter.hit(RESETS_BY_ACCOUNT, account))

    def _wait(self, item: RateLimitItem, key: str, *, count: bool) -> int | None:
        if self._ask(lambda counter: counter.hit(item, key) if count else counter.test(item, key)):
            return None
        reset = self._ask(lambda counter: counter.get_window_stats(item, key)).reset_time
        return max(1, math.ceil((reset - time.time()) / 60))

    def _ask(self, question: Callable[[RateLimiter], Answer]) -> Answer:
        try:
            return question(self._limiter.limiter)
        except RedisError as error:
            log.warning("counting sign-in tries in this process only: %s", error)
            return question(self._alone)
