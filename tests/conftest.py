"""What all tests share."""

from argon2 import PasswordHasher
from hypothesis import settings

from tenants import passwords

#: How long an example takes is the machine's affair: tests run beside others.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

#: The same function with its smallest parameters: hundreds of tests sign in, and none is about how long that takes.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
