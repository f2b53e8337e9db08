"""The one door."""

import re
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.errors import Refused
from app.models import Fax, Status
from app.rules.sending.submit import resend_fax
from tenants.db import utc_now
from tenants.models import Tenant, User
from tests.db.faxes import reread, submit


def test_a_fax_is_accepted_with_the_next_number_of_its_tenant(session, cast):
    first, second = submit(session, cast), submit(session, cast)
    assert (first.status, first.number, second.number) == (Status.ACCEPTED, 1, 2)


def test_the_same_submission_twice_is_one_fax(session, cast):
    first, second = submit(session, cast, submission_key="k"), submit(session, cast, submission_key="k")
    assert first.id == second.id
    assert session.scalar(sa.select(sa.func.count(Fax.id))) == 1


def test_two_users_may_have_the_same_submission_key(session, cast):
    alice = session.get_one(User, cast.alice)
    assert submit(session, cast, submission_key="k").id != submit(session, cast, user=alice, submission_key="k").id


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "number_missing"),
        ("050x123", "number_unreadable"),
        ("112", "number_emergency"),
        ("+39050", "number_invalid"),
        ("0501234567;rm", "number_unreadable"),
        ("0501234567@trunk", "number_unreadable"),
        ("0501234567&PJSIP/1", "number_unreadable"),
        ("+999123456789", "number_invalid"),
        ("050 1234567, 050 7654321", "number_several"),
        ("050 1234567; +39 050 7654321", "number_several"),
        ("050 1234567\t050 7654321", "number_several"),
        ("501\n502", "number_several"),
        ("\u202e7654321050\u202c", "number_unreadable"),  # seen the other way round
    ],
)
def test_a_number_that_cannot_be_dialled_is_refused_by_name(session, cast, typed, code):
    with pytest.raises(Refused) as refusal:
        submit(session, cast, addressee_text=typed)
    assert (refusal.value.code, refusal.value.field) == (code, "to")


@pytest.mark.parametrize(
    "typed",
    [
        "050 1234567",
        "+39 050/123.45.67",
        "0039 050 1234567",
        "(050) 123-4567",
        "\u202a+390501234567\u202c",  # copied from an address book or a chat
        "\u202d+39 050 1234567\u202c",
        "\u2068050 1234567\u2069",
        "050\u200b1234567\ufeff",
        "050 1234567\t\n",  # copied with the end of its cell
    ],
)
def test_numbers_are_read_as_people_type_them(session, cast, typed):
    assert submit(session, cast, addressee_text=typed).dial_string == "+390501234567"


def test_an_extension_is_of_the_own_numbering_plan_only(session, cast):
    archive = submit(session, cast, addressee_text="502")
    assert archive.dial_string == f"{cast.alpha}*502"  # it has no public number
    assert submit(session, cast, addressee_text="501").dial_string == "+390509655637"  # of alpha, though beta has one


def test_a_line_of_another_company_is_refused_like_one_that_does_not_exist(session, cast):
    codes = []
    for entity_id in (cast.beta_line, 999999):
        with pytest.raises(Refused) as refusal:
            submit(session, cast, entity_id=entity_id)
        codes.append((refusal.value.code, refusal.value.field))
    assert codes[0] == codes[1] == ("entity_not_allowed", "entity")


def test_a_line_without_the_permission_to_send_is_refused(session, cast):
    with pytest.raises(Refused, match="entity_not_allowed"):
        submit(session, cast, entity_id=cast.archive)


def test_a_suspended_company_sends_nothing(session, cast):
    session.get_one(Tenant, cast.alpha).suspended_at = utc_now()
    with pytest.raises(Refused, match="tenant_suspended"):
        submit(session, cast)


def test_a_resent_fax_is_a_new_one_with_the_same_document(session, cast):
    fax = submit(session, cast)
    again = resend_fax(session, user=session.get_one(User, cast.bob), fax=fax, submission_key="again")
    assert again.id != fax.id
    assert (again.source_id, again.remote_number, again.resend_of_id) == (fax.source_id, fax.remote_number, fax.id)
    assert reread(session, again.id).status == Status.ACCEPTED


def test_a_document_is_needed(session, cast):
    with pytest.raises(Refused, match="document_missing"):
        submit(session, cast, document=None)


def test_a_fax_is_made_in_two_places_one_for_each_direction():
    folder = Path(__file__).parents[3] / "app"
    made = [file.name for file in folder.glob("**/*.py") if re.search(r"(?<![A-Za-z_.])Fax\(", file.read_text())]
    assert sorted(made) == ["fax.py", "receiving.py", "submit.py"], "and the class itself"
