"""What a number has shown stands on the page of a fax to it, and can be forgotten."""

from flask import Flask

from app.models import Destination, Fax, Trunk
from tenants.db import db
from tests.web.cast import Browser, Cast, make_fax


def remember(app: Flask, cast: Cast) -> str:
    """A fax to a number of which something is known."""
    fax_id = make_fax(app, cast)
    with app.app_context():
        fax = db.session.get_one(Fax, fax_id)
        fax.dial_string = "+390501234567"
        shown = {"t38": "in_vain", "rate": 9600, "standard_only": True, "station_id": "+39 050 77"}
        db.session.add(Destination(tenant_id=cast.alpha, number=fax.dial_string, **shown))
        db.session.commit()
    return fax_id


def test_it_is_shown_and_forgotten(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = remember(app, cast)
    page = bob.get(f"/faxes/{fax_id}").text
    for told in ("What this number has shown", "+39 050 77", "9,600 bit/s", "Standard only", "Not offered."):
        assert told in page
    answer = bob.post(f"/faxes/{fax_id}/forget")
    assert answer.status_code == 303
    assert "What this number has shown" not in bob.get(f"/faxes/{fax_id}").text


def test_an_administrator_sees_which_trunk_is_first_and_nobody_else(
    app: Flask, cast: Cast, alice: Browser, bob: Browser
) -> None:
    fax_id = remember(app, cast)
    with app.app_context():
        trunk = db.session.scalars(db.select(Trunk)).first()
        assert trunk is not None
        db.session.scalars(db.select(Destination)).one().trunk_id = trunk.id
        db.session.commit()
    assert "main first, because another one failed" in alice.get(f"/faxes/{fax_id}").text
    assert "because another one failed" not in bob.get(f"/faxes/{fax_id}").text


def test_another_company_cannot_have_it_forgotten(app: Flask, cast: Cast, bob: Browser, charlie: Browser) -> None:
    fax_id = remember(app, cast)
    assert charlie.post(f"/faxes/{fax_id}/forget").status_code == 404
    assert "What this number has shown" in bob.get(f"/faxes/{fax_id}").text
