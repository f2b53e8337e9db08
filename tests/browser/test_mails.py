"""What is emailed as a page is read on a telephone, by day and by night."""

from types import SimpleNamespace

import pytest

from app.services.outbox.rendering import render_for
from tests.browser.conftest import Visit
from tests.browser.desk import SHIFTED
from tests.live.instance import Instance

pytestmark = pytest.mark.browser

ROW = {
    "is_sent": False,
    "link": "/faxes/1",
    "number": "+49 30 23125000",
    "pages": "12 pagine",
    "at": "2 dic 2026, 11:44",
}
ROW |= {"result": "Non inviato: il numero non esiste", "document": "scansione_20261202_114455_ufficio_tecnico.pdf"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_email_of_a_day_fits_a_telephone(visit: Visit, instance: Instance, scheme: str):
    values = {"user": SimpleNamespace(name="Bob"), "sent": 0, "unsent": 1, "rows": [SimpleNamespace(**ROW)], "more": 0}
    with instance.app.test_request_context():
        content = render_for("it", "outbox/email/digest.html", **values, link="/faxes", profile="/profile")
    page = visit("/sign-in", color_scheme=scheme)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("about:blank")  # an email has none of our pages' rules about styles
    page.set_content(content)
    assert not page.evaluate(SHIFTED)
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink == ("rgb(255, 255, 255)" if scheme == "dark" else "rgb(0, 0, 0)")
