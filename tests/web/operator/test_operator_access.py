"""Operators see no contents unless the company lets them in, until a time that it sets."""

import io
import zipfile
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from flask import Flask

from tenants.db import db, utc_now
from tenants.models import SignInSession, Tenant
from tests.web.accounts import acts
from tests.web.cast import PASSWORD, Browser, Cast, make_fax


def export(olga: Browser, cast: Cast):
    return olga.post(f"/operator/tenants/{cast.alpha}/export", page="/operator/tenants")


def key_of(alice: Browser) -> str:
    page = alice.post("/operator-access/key", page="/operator-access").text
    return page.split('mono break" role="status">')[-1].split("<")[0]


def test_an_export_is_sealed_and_opens_with_the_companys_key_alone(
    app: Flask, cast: Cast, olga: Browser, alice: Browser, tmp_path: Path
) -> None:
    make_fax(app, cast)
    answer = export(olga, cast)
    assert answer.headers["Content-Disposition"].endswith(".zip.sealed")
    assert b"PK\x03\x04" not in answer.data
    sealed, key, opened = tmp_path / "a.zip.sealed", tmp_path / "key.txt", tmp_path / "a.zip"
    sealed.write_bytes(answer.data)
    key.write_text(key_of(alice) + "\n")
    command = app.test_cli_runner()
    told = command.invoke(args=["unseal", str(sealed), "--to", str(opened)])
    assert told.exit_code == 1, "not with the installation's own"
    told = command.invoke(args=["unseal", str(sealed), "--to", str(opened), "--key-file", str(key)])
    assert told.exit_code == 0, told.output
    with zipfile.ZipFile(opened) as archive:
        assert archive.testzip() is None
        assert "rows/fax.csv" in archive.namelist()


def test_a_company_lets_operators_in_for_a_time_and_ends_it(
    app: Flask, cast: Cast, olga: Browser, alice: Browser
) -> None:
    assert alice.post("/operator-access", page="/operator-access", term="hour").status_code == 303
    assert "The operator may see your faxes until" in alice.get("/operator-access").text
    with zipfile.ZipFile(io.BytesIO(export(olga, cast).data)) as archive:
        assert "rows/fax.csv" in archive.namelist()
    alice.post("/operator-access", page="/operator-access", term="")
    assert export(olga, cast).headers["Content-Disposition"].endswith(".sealed")
    told = [act for act, _target in acts(app)]
    assert told == ["tenant.operator_let_in", "tenant.exported", "tenant.operator_shut_out", "tenant.exported"]


def test_a_consent_ends_by_itself(app: Flask, cast: Cast, olga: Browser, alice: Browser) -> None:
    alice.post("/operator-access", page="/operator-access", term="day")
    with app.app_context():
        until = db.session.get_one(Tenant, cast.alpha).operator_until
        assert timedelta(hours=23) < until - utc_now() <= timedelta(days=1)
        db.session.execute(sa.update(Tenant).values(operator_until=utc_now() - timedelta(seconds=1)))
        db.session.commit()
    assert export(olga, cast).headers["Content-Disposition"].endswith(".sealed")
    assert "The operator cannot see your faxes" in alice.get("/operator-access").text


def test_the_key_is_shown_to_the_companys_administrators_after_a_fresh_proof(
    app: Flask, cast: Cast, olga: Browser, alice: Browser, bob: Browser
) -> None:
    for other in (olga, bob):
        assert other.post("/operator-access/key", page="/profile").status_code == 404
    with app.app_context():
        db.session.execute(sa.update(SignInSession).values(proved_at=None))
        db.session.commit()
    assert alice.post("/operator-access/key", page="/operator-access").status_code == 403
    shown = alice.post("/operator-access/key", page="/operator-access", step_up=PASSWORD).text
    with app.app_context():
        key = db.session.get_one(Tenant, cast.alpha).export_key
    assert key in shown
    assert key not in alice.get("/operator-access").text
    assert key not in olga.get(f"/operator/tenants/{cast.alpha}").text
