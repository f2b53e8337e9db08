"""A caller's number is never invented: what networks write, and what is made of it."""

import pytest

from app.models import CallerForm
from app.rules.numbers.callers import is_verified, read_caller

#: caller, the country, as what it is kept
USUAL = [
    ("+390501234567", "IT", "+390501234567"),
    ("00390501234567", "IT", "+390501234567"),
    ("0501234567", "IT", "+390501234567"),
    ("050 1234567", "IT", "+390501234567"),
    ("(050) 123-4567", "IT", "+390501234567"),
    ("050.1234567", "IT", "+390501234567"),
    ("3331234567", "IT", "+393331234567"),
    ("800123456", "IT", "+39800123456"),
    ("+493023125000", "IT", "+493023125000"),
    ("00493023125000", "IT", "+493023125000"),
    ("+12125551234", "IT", "+12125551234"),
    ("+442079460000", "IT", "+442079460000"),
    ("+88300123456", "IT", "+88300123456"),
    ("+390560123456", "IT", "+390560123456"),  # of no area that phonenumbers knows
    ("03023125000", "DE", "+493023125000"),
    ("030/23125000", "DE", None),
    ("2125551234", "US", "+12125551234"),
    ("12125551234", "US", "+12125551234"),
    ("0207 946 0000", "GB", "+442079460000"),
    # numbers of an account, of another country without its +, and of no country
    ("4930901820", "IT", "4930901820"),
    ("12125551234", "IT", "12125551234"),
    ("390501234567", "IT", "+390501234567"),
    ("12345678", "IT", "12345678"),
    ("000000", "IT", "000000"),
    ("999999999", "IT", "999999999"),
    ("3905012345", "IT", "3905012345"),
    ("+0501234567", "IT", "0501234567"),
    ("+99", "IT", "99"),
    ("+999999999999", "IT", "999999999999"),
    ("12345678901234567890", "IT", "12345678901234567890"),
    ("0501234567", "ZZ", "0501234567"),
    # extensions
    ("501", "IT", "501"),
    ("7", "IT", "7"),
    ("60123", "DE", "60123"),
    ("112", "IT", "112"),
    # no numbers
    ("user12345678", "IT", None),
    ("trunk4711", "IT", None),
    ("anonymous", "IT", None),
    ("Anonymous", "IT", None),
    ("unavailable", "IT", None),
    ("restricted", "IT", None),
    ("asterisk", "IT", None),
    ("", "IT", None),
    (" ", "IT", None),
    ("+", "IT", None),
    ("++39", "IT", None),
    ("39+0501234567", "IT", None),
    ("0501234567x12", "IT", None),
    ("0501234567;phone-context=+39", "IT", None),
    ("0501234567@host", "IT", None),
    ("<script>1</script>", "IT", None),
    ("٠٥٠١٢٣٤٥٦٧", "IT", None),
    ("０５０１２３４５６７", "IT", None),
    ("123456789012345678901", "IT", None),
]
WHOLE = [
    ("390501234567", "IT", "+390501234567"),
    ("4930901820", "IT", "+4930901820"),
    ("12125551234", "IT", "+12125551234"),
    ("+390501234567", "IT", "+390501234567"),
    ("0501234567", "IT", "0501234567"),
    ("3905012345", "IT", "+3905012345"),
    ("501", "IT", "501"),
    ("999999999", "IT", "999999999"),
]


@pytest.mark.parametrize(("caller", "region", "kept"), USUAL)
def test_a_number_is_whole_only_where_it_surely_is(caller, region, kept):
    assert read_caller(caller, region) == kept


@pytest.mark.parametrize(("caller", "region", "kept"), WHOLE)
def test_a_trunk_that_writes_the_country_code_without_a_plus(caller, region, kept):
    assert read_caller(caller, region, CallerForm.WHOLE) == kept


def test_what_was_made_whole_and_extensions_are_sure_and_nothing_else():
    assert is_verified("+390501234567", from_outside=True) and is_verified("501", from_outside=False)
    assert not is_verified("390501234567", from_outside=True) and not is_verified("123456", from_outside=False)
    assert not is_verified("501", from_outside=True)
