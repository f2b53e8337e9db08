"""Numbers as people type them, as Asterisk dials them (:mod:`app.dialled`) and as the reference shows them."""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberFormat, shortnumberinfo
from sqlalchemy.orm import Session

from app.dialled import DIAL_STRING, Internal
from app.errors import Refused
from app.models import FaxEntity
from app.rules.numbers.policy import bare, reaches_emergency
from tenants.models import Tenant
from tenants.scope import owned_by

_TYPED = re.compile(r"\+?[0-9]+")
#: What may stand between two numbers, if figures follow: 050 1234567;rm is no list.
_BETWEEN = re.compile(r"[/,;\t\r\n](?=[\s/,;]*[+(]?[0-9])")
_LONGEST = 20


@dataclass(frozen=True)
class Addressee:
    """Where a fax goes. ``remote_number`` is stored, ``dial_string`` dialled, ``shown`` displayed."""

    kind: str  # national, international, extension
    remote_number: str
    dial_string: str
    shown: str


def read_addressee(session: Session, tenant: Tenant, text: str) -> Addressee:
    """The addressee that a person meant: an extension of the own numbering plan, or a public number.

    Raises:
        Refused: ``number_missing``, ``number_too_short``, ``number_too_long``, ``number_unreadable``,
            ``number_several``, ``number_emergency``, ``number_invalid``.
    """
    if _is_a_list(session, tenant, text):
        raise Refused("number_several", field="to")
    digits = bare(text.strip())
    if not digits:
        raise Refused("number_missing", field="to")
    if digits == "+":
        raise Refused("number_too_short", field="to")
    if not _TYPED.fullmatch(digits):
        raise Refused("number_unreadable", field="to")
    if len(digits.removeprefix("+")) > _LONGEST:
        raise Refused("number_too_long", field="to")
    if shortnumberinfo.is_emergency_number(digits, tenant.region):
        raise Refused("number_emergency", field="to")
    if entity := _line_with_extension(session, tenant, digits):
        return _extension(entity)
    if reaches_emergency(digits, tenant):
        raise Refused("number_emergency", field="to")
    return _public(digits, tenant)


def read_mailed(session: Session, tenant: Tenant, text: str) -> Addressee:
    """The same for the subject of an email, which may have been copied from one of ours: there the outside prefix
    stands before a number (:func:`outside_form`).

    Raises:
        Refused: as :func:`read_addressee`; ``number_ambiguous`` where both readings are numbers.
    """
    digits, prefix = bare(text.strip()), tenant.outside_prefix
    typed, refusal = _or_refusal(session, tenant, text)
    unread = typed.kind != "extension" if typed else refusal is not None and refusal.code == "number_invalid"
    behind = None
    if unread and prefix and digits.startswith(prefix):
        behind, _ = _or_refusal(session, tenant, digits.removeprefix(prefix))
    if behind and behind.kind == "extension":
        behind = None
    if typed and behind and behind.dial_string != typed.dial_string:
        raise Refused("number_ambiguous", field="to", one=typed.remote_number, other=behind.remote_number)
    if found := typed or behind:
        return found
    raise refusal or Refused("number_invalid", field="to")


def _or_refusal(session: Session, tenant: Tenant, text: str) -> tuple[Addressee | None, Refused | None]:
    try:
        return read_addressee(session, tenant, text), None
    except Refused as refusal:
        return None, refusal


def _is_a_list(session: Session, tenant: Tenant, text: str) -> bool:
    """A slash is a part of one number after an area code. What is a number before it already goes on with a second one:
    050 965564/5, 030 23125 / 23126. So do a comma, a semicolon, and the tab or the new line between two cells."""
    befores = (bare(text[: match.start()]) for match in _BETWEEN.finditer(text.strip()))
    return any(
        public_form(before, tenant.region) or _line_with_extension(session, tenant, before) for before in befores
    )


def _line_with_extension(session: Session, tenant: Tenant, digits: str) -> FaxEntity | None:
    lines = owned_by(FaxEntity, tenant.id).where(FaxEntity.closed_at.is_(None))
    return session.scalar(lines.where(FaxEntity.extension == digits))


def _extension(entity: FaxEntity) -> Addressee:
    dial_string = entity.number or str(Internal(entity.tenant_id, entity.extension))
    return Addressee("extension", entity.extension, dial_string, f"{entity.extension} ({entity.name})")


def _public(digits: str, tenant: Tenant) -> Addressee:
    try:
        number = phonenumbers.parse(digits, tenant.region)
    except phonenumbers.NumberParseException as error:
        raise Refused("number_invalid", field="to") from error
    if not phonenumbers.is_valid_number(number):
        raise Refused("number_invalid", field="to")
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    if not DIAL_STRING.fullmatch(e164):
        raise Refused("number_invalid", field="to")
    kind = "national" if _is_domestic(number, tenant) else "international"
    return Addressee(kind, e164, e164, shown_number(e164, tenant))


def _is_domestic(number: phonenumbers.PhoneNumber, tenant: Tenant) -> bool:
    return number.country_code == phonenumbers.country_code_for_region(tenant.region)


def shown_number(number: str | None, tenant: Tenant) -> str:
    """A stored number in the form in which it is read most easily; an extension or an unreadable one as it is."""
    if not number or not number.startswith("+"):
        return number or ""
    return _shown(number, tenant.region)


@lru_cache(maxsize=10_000)  # a list shows fifty at once, and mostly the same ones
def _shown(number: str, region: str) -> str:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    domestic = parsed.country_code == phonenumbers.country_code_for_region(region)
    return phonenumbers.format_number(
        parsed, PhoneNumberFormat.NATIONAL if domestic else PhoneNumberFormat.INTERNATIONAL
    )


def public_form(text: str, region: str) -> str | None:
    """A public number as it is kept (E.164 with +), from whatever form people write it in; None if there is no such."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def national_form(number: str, tenant: Tenant) -> str:
    """Digits only: the national form, or 00, country code and number for a foreign one; an extension as it is."""
    if not number.startswith("+"):
        return number
    parsed = phonenumbers.parse(number)
    if not _is_domestic(parsed, tenant):
        return "00" + number[1:]
    return re.sub(r"\D", "", phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))


def outside_form(number: str, tenant: Tenant) -> str:
    """As in subjects and file names: behind the prefix of the outside line, which an extension does not need."""
    prefix = tenant.outside_prefix if number.startswith("+") else ""
    return prefix + national_form(number, tenant)
