"""Numbers, subjects and file names, to the letter of the contract."""

from datetime import UTC, datetime

import pytest

from app.models import Direction, Fax, FaxEntity, Status
from app.rules.numbers.naming import document_name, report_name
from app.rules.numbers.numbers import national_form, outside_form, shown_number
from app.rules.outbox.notices import subject_of
from tenants.models import Tenant
from tests.db.faxes import submit


@pytest.fixture
def alpha(session, cast) -> Tenant:
    return session.get_one(Tenant, cast.alpha)


@pytest.mark.parametrize(
    ("number", "national", "outside"),
    [
        ("+390501234567", "0501234567", "00501234567"),
        ("+493023125000", "00493023125000", "000493023125000"),
        ("+390509655637", "0509655637", "00509655637"),
        ("502", "502", "502"),
    ],
)
def test_numbers_have_the_references_forms(alpha, number, national, outside):
    assert (national_form(number, alpha), outside_form(number, alpha)) == (national, outside)


def test_numbers_are_shown_as_people_read_them(alpha):
    assert shown_number("+390501234567", alpha) == "050 123 4567"
    assert shown_number("+493023125000", alpha) == "+49 30 23125000"
    assert shown_number("502", alpha) == "502"


@pytest.mark.parametrize(
    ("status", "subject"),
    [
        (Status.SENT, "[KPBX40299999] FAX successfully sent to 00501234567"),
        (Status.FAILED, "[KPBX40299999] FAX not sent to 00501234567"),
    ],
)
def test_the_subject_of_the_outcome_is_the_contracts(session, cast, status, subject):
    fax = submit(session, cast)
    fax.status = status
    assert subject_of(fax) == subject


def test_a_received_fax_is_named_as_in_the_references_example(session, cast):
    """F00501234567_T0509655637_2020-03-12_11_51_38_211.pdf, in the tenant's zone."""
    fax = Fax(direction=Direction.RECEIVED, remote_number="+390501234567", number=211)
    fax.created_at = datetime(2020, 3, 12, 10, 51, 38, tzinfo=UTC)
    fax.tenant, fax.entity = session.get_one(Tenant, cast.alpha), session.get_one(FaxEntity, cast.frontdesk)
    with session.no_autoflush:
        assert document_name(fax) == "F00501234567_T0509655637_2020-03-12_11_51_38_211.pdf"
        fax.remote_number = None
        assert document_name(fax).startswith("Fanonymous_T0509655637_")
    session.expunge_all()


def test_a_sent_fax_is_named_from_our_number_to_theirs(session, cast):
    fax = submit(session, cast)
    assert document_name(fax).startswith("F0509655637_T00501234567_")
    assert report_name(fax).endswith("_1_report.pdf")
