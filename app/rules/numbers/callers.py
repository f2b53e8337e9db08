"""Who called: the number that a network gives, which is a stranger's word and may be anything."""

from collections.abc import Callable

import phonenumbers
from phonenumbers import PhoneNumberFormat
from sqlalchemy.orm import Session

from app.models import CallerForm
from app.rules.numbers.called import plain_number
from app.rules.numbers.habits import trunk_called

#: Digits of the shortest caller that is looked upon as a public number; a shorter one is an extension of our own.
SHORTEST_PUBLIC = 6


def caller_of(session: Session, caller: str, usual_region: str, trunk_name: str = "") -> str | None:
    """:func:`read_caller` by the rules of the trunk of that name, or else of the first one; of ``usual_region`` where
    the operator has set no country for it."""
    trunk = trunk_called(session, trunk_name)
    if trunk is None:
        return read_caller(caller, usual_region)
    return read_caller(caller, trunk.region or usual_region, trunk.caller_form)


def read_caller(caller: str, region: str, form: CallerForm | None = None) -> str | None:
    """E.164 with + where the network surely gave this number, else the bare digits as they came; None where it gave no
    number: withheld, or a name.

    Sure is what came with + or 00, or is valid as the trunk writes numbers and could not be another one read otherwise:
    an account's number or one of another country without its + is not made into one of ours.
    """
    number = plain_number(caller)
    if number is None:
        return None
    digits = number.removeprefix("+")
    if number.startswith(("+", "00")):  # whole, and perhaps newer than what phonenumbers knows
        return _read(f"+{digits.removeprefix('00')}", region, phonenumbers.is_possible_number) or digits
    if len(digits) < SHORTEST_PUBLIC:
        return digits
    usual, whole = (_read(text, region, phonenumbers.is_valid_number) for text in (digits, f"+{digits}"))
    if form == CallerForm.WHOLE:
        return whole or digits
    return usual if usual and whole in (None, usual) else digits


def is_verified(number: str, *, from_outside: bool) -> bool:
    """Whether the number, as :func:`read_caller` wrote it, is surely the caller's, or an extension: which nobody
    outside has, whatever a caller may send."""
    return number.startswith("+") or (not from_outside and len(number) < SHORTEST_PUBLIC)


def _read(number: str, region: str, is_one: Callable[[phonenumbers.PhoneNumber], bool]) -> str | None:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164) if is_one(parsed) else None
