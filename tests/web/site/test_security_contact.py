"""Whom to tell of a hole (RFC 9116), and operators who need a second factor."""

from pathlib import Path

import pytest
from flask import Flask

from app.config import Settings
from app.factory import create_app
from tests.web.accounts import set_up_second_factor
from tests.web.cast import Browser, Cast

GIVEN = {"FAXROOM_SECURITY_CONTACT": "mailto:security@example.test", "FAXROOM_SECURITY_EXPIRES": "2027-06-30"}


def settings(tmp_path: Path, **more: str) -> Settings:
    return Settings.from_environment({"FAXROOM_HOME": str(tmp_path), "SECRET_KEY": "a test", **more})


def test_anybody_reads_whom_to_tell_and_until_when_that_holds(tmp_path: Path) -> None:
    answer = create_app(settings(tmp_path, **GIVEN)).test_client().get("/.well-known/security.txt")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8", "RFC 9116, 3"
    lines = answer.text.splitlines()
    assert "Contact: mailto:security@example.test" in lines
    assert "Expires: 2027-06-30T23:59:59+00:00" in lines
    assert "Canonical: http://127.0.0.1:8000/.well-known/security.txt" in lines


def test_without_a_contact_there_is_none(nobody: Browser) -> None:
    assert nobody.get("/.well-known/security.txt").status_code == 404


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"FAXROOM_SECURITY_EXPIRES": ""}, "has to be a date"),
        ({"FAXROOM_SECURITY_EXPIRES": "soon"}, "has to be a date"),
        ({"FAXROOM_SECURITY_CONTACT": "security@example.test"}, "has to begin with mailto:"),
    ],
)
def test_a_contact_that_is_none_ends_the_start_with_a_sentence(tmp_path: Path, more: dict, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        settings(tmp_path, **GIVEN | more)


def test_a_second_factor_may_be_demanded_of_operators(app: Flask, cast: Cast, olga: Browser, alice: Browser) -> None:
    assert olga.get("/operator/tenants").status_code == 200
    app.config["OPERATORS_NEED_FACTOR"] = True
    for path in ("/operator/tenants", "/operator", "/profile"):
        assert olga.get(path).headers["Location"] == "/profile/second-factor"
    assert "Operators need a second factor here" in olga.get("/profile/second-factor").text
    assert alice.get("/users").status_code == 200, "companies decide for themselves"
    _secret, codes = set_up_second_factor(app, olga, cast.olga)
    assert olga.get("/operator/tenants").status_code == 200
    left = olga.post(
        "/profile/second-factor/remove", page="/operator/tenants", current="correct horse battery", proof=codes[0]
    )
    assert left.status_code == 404, "nobody leaves it while it is demanded"
