"""What all tests share."""

import gc

from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from tenants import passwords

#: How long an example takes, and to make it, is the machine's affair: tests run beside others. The same examples each
#: time: what a new one finds must not be held against the change that is being tried.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

#: The same function with its smallest parameters: hundreds of tests sign in, and none is about how long that takes.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def pytest_collection_finish() -> None:
    """What is imported by now stays. Looking through all of it for garbage again and again took a tenth of the time of
    tests that ask for pages."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)
