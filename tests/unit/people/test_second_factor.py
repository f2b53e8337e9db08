"""Codes of the second factor, without a database."""

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from tenants.models import EmailAddress, Tenant, User
from tenants.second_factor import _new_code, code_digest, matching_counter, provisioning_uri

#: RFC 6238, appendix B, with the last six digits of its SHA-1 codes.
SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
VECTORS = {59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 20000000000: "353130"}


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


@pytest.mark.parametrize("second", VECTORS)
def test_the_codes_of_the_standard_are_right_at_their_time(second):
    assert matching_counter(SECRET, VECTORS[second], at(second)) == second // 30


@pytest.mark.parametrize(("late", "right"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
def test_a_code_counts_half_a_minute_before_and_after_its_time(late, right):
    second = 1234567890
    found = matching_counter(SECRET, VECTORS[second], at(second) + timedelta(seconds=late))
    assert found == (second // 30 if right else None)


@pytest.mark.parametrize("typed", ["005924", "005 924", " 005924 "])
def test_blanks_in_a_code_do_not_matter(typed):
    assert matching_counter(SECRET, typed, at(1234567890))


@pytest.mark.parametrize("typed", ["", "5924", "0059240", "٠٠٥٩٢٤", "00592a", "²²²²²²"])
def test_what_is_not_six_digits_is_no_code(typed):
    assert matching_counter(SECRET, typed, at(1234567890)) is None


def test_a_recovery_code_is_read_in_every_spelling_that_a_person_gives_it():
    code = "0a1b-c2d3-e4f5-g6h7"
    for typed in (code.upper(), "oalb c2d3 e4f5 g6h7", "0a1bc2d3e4f5g6h7", " OAIB-c2d3-e4f5-g6h7"):
        assert code_digest(typed) == code_digest(code)
    assert code_digest("0a1b-c2d3-e4f5-g6h8") != code_digest(code)


def test_recovery_codes_are_long_and_hold_nothing_that_looks_like_something_else():
    codes = {_new_code() for _ in range(200)}
    assert len(codes) == 200
    assert {len(code.replace("-", "")) for code in codes} == {16}
    assert not set("".join(codes)) & set("oilu")


def test_the_picture_names_company_and_person():
    user = User(address=EmailAddress(address="bob@alpha.test"), tenant=Tenant(name="Alpha: Srl"), name="Bob")
    found = pyotp.parse_uri(provisioning_uri(user, SECRET))
    assert (found.issuer, found.name, found.secret) == ("Faxroom Alpha Srl", "bob@alpha.test", SECRET)
