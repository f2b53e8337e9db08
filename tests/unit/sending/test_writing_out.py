"""A called number as each trunk wants it."""

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
