"""The second factor: time-based codes (RFC 6238) that count once, and recovery codes for a telephone that is gone.

Passkeys (:mod:`tenants.passkeys`) are a second factor too. Whoever has either has recovery codes.
"""

import hashlib
import secrets
import string
from datetime import datetime

import pyotp
import sqlalchemy as sa
from pyotp.utils import strings_equal
from sqlalchemy.orm import Session

from tenants.db import rows_changed, utc_now
from tenants.models import Passkey, RecoveryCode, SecondFactor, User

PERIOD = 30
#: Clocks differ, people are slow: the code before and the one after are right too.
STEPS = (0, -1, 1)
ISSUER = "Faxroom"

RECOVERY_CODES = 10
#: Crockford's digits: none is taken for another. 16 of them are 80 bits.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
READ_AS = str.maketrans("oil", "011")
LENGTH, GROUP = 16, 4


def begin(session: Session, user: User) -> SecondFactor:
    """A secret and recovery codes for the person to keep. They count from :func:`confirm` on; until then what was set
    up before goes on."""
    factor = session.get(SecondFactor, user.id) or SecondFactor(user_id=user.id)
    factor.pending_secret, factor.pending_at = pyotp.random_base32(), utc_now()
    factor.pending_codes = " ".join(_new_codes())
    session.add(factor)
    return factor


def confirm(session: Session, user: User, code: str, *, now: datetime | None = None) -> bool:
    """The person has typed what the telephone shows: from now on it is asked for. False if the code is wrong."""
    factor = session.get(SecondFactor, user.id)
    if factor is None or factor.pending_secret is None:
        return False
    counter = matching_counter(factor.pending_secret, code, now or utc_now())
    if counter is None:
        return False
    _put_codes(session, user, (factor.pending_codes or "").split())
    factor.secret, factor.last_counter = factor.pending_secret, counter
    factor.pending_secret = factor.pending_codes = factor.pending_at = None
    user.second_factor_at = utc_now()
    return True


def give_up(session: Session, user: User) -> None:
    """What was begun and not confirmed is forgotten."""
    pending = sa.update(SecondFactor).where(SecondFactor.user_id == user.id)
    session.execute(pending.values(pending_secret=None, pending_codes=None, pending_at=None))


def remove(session: Session, user: User) -> None:
    """Of every kind: only the password is asked for from now on."""
    session.execute(sa.delete(Passkey).where(Passkey.user_id == user.id))
    remove_app(session, user)


def remove_app(session: Session, user: User) -> None:
    """The telephone's codes count no more; passkeys go on."""
    session.execute(sa.delete(SecondFactor).where(SecondFactor.user_id == user.id))
    settle(session, user)


def settle(session: Session, user: User) -> None:
    """Where neither a telephone nor a passkey is left recovery codes are of no use, and nothing is asked for."""
    if has_app(session, user) or session.scalar(sa.select(Passkey.id).where(Passkey.user_id == user.id).limit(1)):
        return
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    user.second_factor_at = None


def has_app(session: Session, user: User) -> bool:
    """Whether a telephone shows codes for this account."""
    mine = sa.select(SecondFactor.user_id).where(SecondFactor.user_id == user.id, SecondFactor.secret.is_not(None))
    return session.scalar(mine) is not None


def take_code(session: Session, user: User, code: str, *, now: datetime | None = None) -> bool:
    """True if it is right and was never used: a code is worth one sign-in, also when two browsers send it at once."""
    return _take_totp(session, user, code, now or utc_now()) or _take_recovery(session, user, code)


def _take_totp(session: Session, user: User, code: str, now: datetime) -> bool:
    factor = session.get(SecondFactor, user.id)
    counter = matching_counter(factor.secret, code, now) if factor and factor.secret else None
    if counter is None:
        return False
    fresh = sa.or_(SecondFactor.last_counter.is_(None), SecondFactor.last_counter < counter)
    mine = sa.update(SecondFactor).where(SecondFactor.user_id == user.id, fresh)
    return rows_changed(session, mine.values(last_counter=counter)) == 1


def _take_recovery(session: Session, user: User, code: str) -> bool:
    mine = sa.update(RecoveryCode).where(
        RecoveryCode.user_id == user.id, RecoveryCode.digest == code_digest(code), RecoveryCode.used_at.is_(None)
    )
    return rows_changed(session, mine.values(used_at=utc_now())) == 1


def matching_counter(secret: str, code: str, now: datetime) -> int | None:
    """Which 30 seconds since 1970 the code is of; None if it is of none that count now."""
    digits = "".join(code.split())
    if len(digits) != 6 or not (digits.isascii() and digits.isdigit()):
        return None
    totp, current = pyotp.TOTP(secret, interval=PERIOD), int(now.timestamp()) // PERIOD
    right = [current + step for step in STEPS if strings_equal(totp.generate_otp(current + step), digits)]
    return right[0] if right else None


def provisioning_uri(user: User, secret: str) -> str:
    """What the QR code holds (the Key URI format that authenticator applications read)."""
    issuer = f"{ISSUER} {user.tenant.name}" if user.tenant else ISSUER
    issuer = " ".join(issuer.replace(":", " ").split())  # a colon would end it
    return pyotp.TOTP(secret, interval=PERIOD).provisioning_uri(name=user.email, issuer_name=issuer)


def renew_codes(session: Session, user: User) -> list[str]:
    """New recovery codes in place of all earlier ones; they are in the database as digests only."""
    codes = _new_codes()
    _put_codes(session, user, codes)
    return codes


def codes_left(session: Session, user: User) -> int:
    unused = sa.select(sa.func.count()).where(RecoveryCode.user_id == user.id, RecoveryCode.used_at.is_(None))
    return session.scalar(unused) or 0


def _new_codes() -> list[str]:
    return [_new_code() for _ in range(RECOVERY_CODES)]


def _new_code() -> str:
    text = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(text[start : start + GROUP] for start in range(0, LENGTH, GROUP))


def _put_codes(session: Session, user: User, codes: list[str]) -> None:
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
    session.add_all(RecoveryCode(user_id=user.id, digest=code_digest(code)) for code in codes)


def code_digest(code: str) -> str:
    """Of a recovery code in whatever spelling. So much chance needs no slow hash."""
    kept = [sign for sign in code.lower() if sign in string.ascii_lowercase + string.digits]
    return hashlib.sha256("".join(kept).translate(READ_AS).encode()).hexdigest()
