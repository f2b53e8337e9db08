"""What all tests share."""

from argon2 import PasswordHasher

from tenants import passwords

#: The same function with its smallest parameters: hundreds of tests sign in, and none is about how long that takes.
passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
