"""A called number as each trunk wants it."""

import random

import phonenumbers
import pytest

from app.models import NumberForm
from app.rules.sending.trunks.writing_out import wire_number

ITALY, GERMANY, AMERICA = "+390509655637", "+4930901820", "+12125551234"


@pytest.mark.parametrize(
    ("number", "form", "region", "written"),
    [
        (ITALY, NumberForm.PLUS, "IT", "+390509655637"),
        (ITALY, NumberForm.DIGITS, None, "390509655637"),
        (ITALY, NumberForm.NATIONAL, "IT", "0509655637"),
        (GERMANY, NumberForm.NATIONAL, "DE", "030901820"),
        ("+49390605", NumberForm.NATIONAL, "DE", "0049390605"),
        ("+3114020", NumberForm.NATIONAL, "NL", "14020"),
        (AMERICA, NumberForm.NATIONAL, "US", "2125551234"),
        ("+36201234567", NumberForm.NATIONAL, "HU", "06201234567"),
        (GERMANY, NumberForm.NATIONAL, "IT", "004930901820"),
        (ITALY, NumberForm.NATIONAL, "US", "011390509655637"),
        (ITALY, NumberForm.NATIONAL, None, "00390509655637"),
        (ITALY, NumberForm.INTERNATIONAL, "IT", "00390509655637"),
        (ITALY, NumberForm.INTERNATIONAL, "US", "011390509655637"),
        (ITALY, NumberForm.INTERNATIONAL, "AU", "0011390509655637"),
        (ITALY, NumberForm.INTERNATIONAL, "BR", "00390509655637"),
        ("+8835100123456", NumberForm.NATIONAL, "IT", "008835100123456"),
        ("+999123", NumberForm.NATIONAL, "IT", "00999123"),
    ],
)
def test_a_number_is_written_as_the_trunk_wants_it(number, form, region, written):
    assert wire_number(number, form, region) == written


#: What is written before each number within the country, unless it is written as from abroad.
PREFIXES = dict.fromkeys(("DE", "GB", "FR", "AT", "CH", "BE"), "0") | dict.fromkeys(("IT", "ES", "US", "PL"), "")
TRIES, SEED = 400, 20261201


def valid_numbers(region: str) -> set[str]:
    """The examples of the numbering plan, and valid numbers made at random."""
    plan, chance = phonenumbers.PhoneMetadata.metadata_for_region(region), random.Random(f"{SEED}{region}")
    kinds = range(phonenumbers.PhoneNumberType.UAN + 1)
    examples = [phonenumbers.example_number_for_type(region, kind) for kind in kinds]
    made = [phonenumbers.parse(f"+{plan.country_code}{_digits(chance, plan)}") for _ in range(TRIES)]
    valid = [one for one in (*examples, *made) if one and phonenumbers.is_valid_number_for_region(one, region)]
    return {phonenumbers.format_number(one, phonenumbers.PhoneNumberFormat.E164) for one in valid}


def _digits(chance: random.Random, plan: phonenumbers.PhoneMetadata) -> str:
    return "".join(chance.choices("0123456789", k=chance.choice(plan.general_desc.possible_length)))


@pytest.mark.parametrize("region", PREFIXES)
def test_what_is_written_in_the_national_form_is_read_back_as_the_same_number(region):
    numbers = valid_numbers(region)
    assert len(numbers) > 10
    for number in numbers:
        written = wire_number(number, NumberForm.NATIONAL, region)
        read = phonenumbers.format_number(phonenumbers.parse(written, region), phonenumbers.PhoneNumberFormat.E164)
        assert (read, written.startswith(PREFIXES[region])) == (number, True), written
