"""How the called number of a call that goes out is written for its trunk."""

import re

import phonenumbers
from phonenumbers import PhoneNumberFormat

from app.models import NumberForm

#: What stands before the country code where a trunk names no country of its own (ITU-T E.123).
USUAL_INTERNATIONAL = "00"


def wire_number(number: str, form: str, region: str | None) -> str:
    """A number in E.164 with + as the trunk wants it, of + and digits only. ``region`` (ISO 3166) is the trunk's own
    country: a number of another one, or of none that is known, has its international prefix before it where the form
    is not E.164."""
    digits = number.removeprefix("+")
    if form == NumberForm.PLUS:
        return number
    if form == NumberForm.DIGITS:
        return digits
    if form == NumberForm.NATIONAL and region and (within := _national(number, region)):
        return within
    return f"{_international_prefix(region)}{digits}"


def _national(number: str, region: str) -> str | None:
    """As it is dialled within the country: with the 0 of Germany, or the one that is part of Italy's numbers. None of
    a number that the numbering plan has no way of writing for: it would be left without its 0, a local subscriber's."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None or parsed.country_code != metadata.country_code:
        return None
    written = phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL)
    if metadata.national_prefix and written == phonenumbers.national_significant_number(parsed):
        return None
    return re.sub(r"\D", "", written)


def _international_prefix(region: str | None) -> str:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region) if region else None
    prefix = (metadata.preferred_international_prefix or metadata.international_prefix or "") if metadata else ""
    return prefix if prefix.isascii() and prefix.isdigit() else USUAL_INTERNATIONAL
