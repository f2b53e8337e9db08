"""The operator's page of numbers."""

import io

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, PoolNumber
from app.rules.numbers import pool
from app.rules.numbers.routing import Found
from app.rules.receiving.strays import note_stray
from tenants.db import db, utc_now
from tests.web.cast import Browser, Cast

PAGE = "/operator/numbers"


def holder(app: Flask, number: str) -> int | None:
    with app.app_context():
        return db.session.scalar(sa.select(PoolNumber.tenant_id).where(PoolNumber.number == number))


def send_file(olga: Browser, content: str) -> object:
    data = {"csrf_token": olga.token(PAGE), "file": (io.BytesIO(content.encode()), "numbers.csv")}
    return olga.client.post(f"{PAGE}/import", data=data)


def test_what_has_no_column_in_a_file_is_told_and_not_dropped(app: Flask, cast: Cast, olga: Browser) -> None:
    told = send_file(olga, "number,company\n+39 0586 100000,alpha,+39 0586 100001\n")
    assert told.status_code == 422
    assert "more cells than there are columns" in told.text
    assert send_file(olga, "number,company,number\n+390586100000,alpha,+390586100001\n").status_code == 422
    assert holder(app, "+390586100000") is None
    assert send_file(olga, "number,company\r+390586100000,alpha\r").status_code == 303
    assert holder(app, "+390586100000") == cast.alpha


def test_an_operator_gives_a_range_takes_it_back_and_its_company_s_log_says_so(
    app: Flask, cast: Cast, olga: Browser
) -> None:
    given = olga.post(f"{PAGE}/give", page=PAGE, numbers="+390586100000-09", to="alpha")
    assert given.status_code == 303
    page = olga.get(PAGE, query_string={"q": "0586"}).text
    assert "+39 0586 100000 – +39 0586 100009" in page
    taken = {"first": "+390586100000", "last": "+390586100009", "company": "alpha"}
    olga.post(f"{PAGE}/take-back", page=PAGE, **taken)
    assert holder(app, "+390586100004") is None
    page = olga.get(PAGE, query_string={"q": "0586"}).text
    assert "Resting" in page
    again = olga.post(f"{PAGE}/give", page=PAGE, numbers="+390586100004", to="beta")
    assert again.status_code == 422
    assert "reserved until" in again.text
    with app.app_context():
        events = sa.select(AuditEvent.action).where(AuditEvent.tenant_id == cast.alpha).order_by(AuditEvent.id)
        assert db.session.scalars(events).all() == ["number.given", "number.taken_back"]


def test_what_is_wrong_with_a_number_is_said_and_what_was_typed_stays(app: Flask, cast: Cast, olga: Browser) -> None:
    answer = olga.post(f"{PAGE}/give", page=PAGE, numbers="+390586100000\nabc", to="alpha")
    assert answer.status_code == 422
    assert "“abc” is not a public number." in answer.text
    assert "+390586100000\nabc</textarea>" in answer.text
    assert holder(app, "+390586100000") is None


def test_numbers_in_use_are_approved(app: Flask, cast: Cast, olga: Browser) -> None:
    assert "numbers are in use and were not given by an operator" in olga.get(PAGE).text
    number = "+390509655637"
    olga.post(f"{PAGE}/approve", page=PAGE, first=number, last=number, company="alpha")
    with app.app_context():
        assert not db.session.scalar(sa.select(PoolNumber.to_approve).where(PoolNumber.number == number))


def test_a_file_is_imported_whole_or_not_at_all(app: Flask, cast: Cast, olga: Browser) -> None:
    bad = send_file(olga, "number;company\n+390586100000-09;alpha\n12;beta\n+390586100020;nowhere\n")
    assert bad.status_code == 422
    for text in ("2 rows need correcting", "“12” is not a public number", "There is no company “nowhere”"):
        assert text in bad.text
    assert holder(app, "+390586100000") is None
    assert send_file(olga, "number;company\n+390586100000-09;alpha\n0586 100020;beta\n").status_code == 303
    assert holder(app, "+390586100009") == cast.alpha
    assert holder(app, "+390586100020") == cast.beta


def test_how_numbers_are_kept_is_set_here(app: Flask, cast: Cast, olga: Browser) -> None:
    answer = olga.post(f"{PAGE}/rules", page=PAGE, rest_days="soon")
    assert answer.status_code == 422
    assert "Enter a whole number of days" in answer.text
    assert olga.post(f"{PAGE}/rules", page=PAGE, rest_days="90").status_code == 303
    with app.app_context():
        assert pool.rest_days(db.session) == 90


def test_calls_that_reached_nobody_are_listed(app: Flask, cast: Cast, olga: Browser) -> None:
    with app.app_context():
        note_stray(db.session, Found("<script>alert(1)", reason="several"), "trunk<b>", utc_now())
    page = olga.get(PAGE).text
    assert "&lt;script&gt;alert(1)" in page
    assert "The call could be for several companies." in page


@pytest.mark.parametrize(
    "page", ["/operator", "/operator/numbers", "/operator/dialing", "/operator/door", "/operator/log"]
)
def test_each_page_of_the_operator_leads_to_the_others(olga: Browser, page: str) -> None:
    text = olga.get(page).text
    assert all(f'href="{other}"' in text for other in ("/operator/numbers", "/operator/dialing", "/operator/door"))
