"""The pages with numbers: what was counted, as plots and as tables."""

import re
from datetime import date, datetime, timedelta

import pytest
import sqlalchemy as sa
from babel import Locale
from babel.numbers import format_decimal
from flask import Flask

from app.models import Status
from app.rules.figures.figures import count_days
from app.web.figures.figure_pages import read_period
from app.web.figures.plots import Series, line, nice_top, stacked
from app.web.site.language import number_text
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.cast import Browser, Cast, make_fax, receive_fax


def counted(app: Flask, cast: Cast) -> datetime:
    """Yesterday of alpha, in its zone: three sent, one by Alice from the archive; one failed; two received."""
    yesterday = utc_now() - timedelta(days=1)
    for _ in range(2):
        make_fax(app, cast, finished_at=yesterday)
    make_fax(app, cast, finished_at=yesterday, user_id=cast.alice, entity_id=cast.archive)
    make_fax(app, cast, status=Status.FAILED, cause="busy", finished_at=yesterday)
    for _ in range(2):
        receive_fax(app, cast)
    with app.app_context():
        count_days(db.session, utc_now())
        zone = db.session.get_one(Tenant, cast.alpha).zone
        db.session.remove()
    return yesterday.astimezone(zone)


def tile(page: str, name: str) -> str:
    return re.search(rf"<dt>{name}</dt><dd><strong>([^<]*)</strong>", page)[1]


def test_the_page_counts_what_was_sent_received_and_failed(app: Flask, cast: Cast, alice: Browser) -> None:
    counted(app, cast)
    page = alice.get("/figures").text
    assert {name: tile(page, name) for name in ("Sent", "Received", "Not sent", "Success", "Pages")} == {
        "Sent": "3",
        "Received": "2",
        "Not sent": "1",
        "Success": "75 %",
        "Pages": "10",
    }
    assert "The line was busy" in page


def row(table: str, name: str) -> str:
    return re.search(rf'<th scope="row"><a [^>]*>{name}</a></th>(.*?)</tr>', table, re.DOTALL)[1]


def test_lines_and_people_have_rows_of_their_own(app: Flask, cast: Cast, alice: Browser) -> None:
    counted(app, cast)
    page = alice.get("/figures").text
    entities, users = (page.split(f'id="{name}"')[1] for name in ("by-entity", "by-user"))
    archive = row(entities, "archive")
    assert re.findall(r">([\d–.% ]+)</td>", archive) == ["1", "0", "100 %", "0", "2", "0"]
    assert re.findall(r">([\d–.% ]+)</td>", row(users, "Bob")) == ["2", "1", "66.7 %", "4", "0"]


def test_the_numbers_of_one_line_are_chosen(app: Flask, cast: Cast, alice: Browser) -> None:
    counted(app, cast)
    assert tile(alice.get(f"/figures?entity={cast.archive}").text, "Sent") == "1"
    for foreign in (cast.beta_line, 987654, "x"):
        assert tile(alice.get(f"/figures?entity={foreign}").text, "Sent") == "3"


def test_the_numbers_of_one_person_are_chosen_with_what_failed_and_why(app: Flask, cast: Cast, alice: Browser) -> None:
    counted(app, cast)
    page = alice.get("/figures").text
    link = re.search(r'href="([^"]*)">Bob</a>', page)[1].replace("&amp;", "&")
    page = alice.get(link).text
    assert [tile(page, name) for name in ("Sent", "Received", "Not sent", "Pages")] == ["2", "0", "1", "4"]
    assert "The line was busy" in page
    assert '<span class="kicker">Bob</span>' in page
    assert f"user={cast.bob}" in re.search(r'href="([^"]*)"[^>]*>90 days', page)[1], (
        "another period is of the same person"
    )
    assert "The line was busy" not in alice.get(f"/figures?user={cast.alice}").text
    for foreign in (cast.charlie, cast.olga, 987654, "x", "9" * 40):
        assert tile(alice.get(f"/figures?user={foreign}").text, "Sent") == "3"


def test_a_row_has_a_bar_as_long_as_its_part_of_the_longest(app: Flask, cast: Cast, alice: Browser) -> None:
    counted(app, cast)
    entities = alice.get("/figures").text.split('id="by-entity"')[1]
    widths = {
        name: re.findall(r'class="plot-(\w+)"[^>]* width="([\d.]+)"', row(entities, name))
        for name in ("archive", "frontdesk")
    }
    assert widths == {
        "archive": [("good", "200.0")],
        "frontdesk": [("good", "400.0"), ("calm", "400.0"), ("bad", "200.0")],
    }


def test_every_plot_has_its_table_with_the_same_numbers(app: Flask, cast: Cast, alice: Browser) -> None:
    yesterday = counted(app, cast)
    page = alice.get("/figures?period=7").text
    assert page.count('<figure class="plot"') == 5
    assert page.count("<svg viewBox") == page.count("As a table") == 4 + 1 * ("Minutes: " in page)
    label = f"{yesterday.day} {yesterday:%b}"
    assert f"<title>{label}, Sent: 3</title>" in page
    assert re.search(rf'<th scope="row">{label}</th><td class="number">3</td><td class="number">\d</td>', page)
    assert "style=" not in page


@pytest.mark.parametrize(("period", "parts"), [("7", 7), ("30", 30), ("90", 90), ("12m", 12), ("nonsense", 30)])
def test_a_period_is_chosen(app: Flask, cast: Cast, alice: Browser, period: str, parts: int) -> None:
    counted(app, cast)
    page = alice.get(f"/figures?period={period}").text
    assert len(re.findall(r'<tr><th scope="row">', page.split("As a table")[1].split("</table>")[0])) == parts


def test_twelve_months_begin_with_the_first_of_a_month_and_end_today() -> None:
    period = read_period("12m", date(2026, 2, 28))
    assert (period.since, period.until, len(period.starts)) == (date(2025, 3, 1), date(2026, 2, 28), 12)
    assert period.part_of(date(2026, 1, 31)) == date(2026, 1, 1)


def test_only_a_tenants_administrators_see_its_numbers(bob: Browser, olga: Browser) -> None:
    for browser in (bob, olga):
        assert browser.get("/figures").status_code == 404


def test_nothing_of_another_company_is_counted(app: Flask, cast: Cast, alice: Browser) -> None:
    counted(app, cast)
    with app.app_context():
        db.session.execute(sa.text("UPDATE fax_day SET tenant_id = :beta"), {"beta": cast.beta})
        db.session.commit()
    page = alice.get("/figures").text
    assert tile(page, "Sent") == "0"
    assert tile(page, "Success") == "–"
    assert page.count("Nothing in this period.") == 7


def test_the_operator_sees_all_companies_together_and_each(app: Flask, cast: Cast, olga: Browser) -> None:
    counted(app, cast)
    page = olga.get("/operator/figures").text
    assert tile(page, "Sent") == "3"
    assert row(page, "Alpha Srl")
    assert tile(olga.get(f"/operator/figures?tenant={cast.beta}").text, "Sent") == "0"
    assert olga.get("/operator/figures?tenant=" + "9" * 40).status_code == 200
    assert "Bob" not in page


# ---- The drawing


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0, 2), (1, 2), (3, 4), (5, 6), (7, 8), (10, 10), (11, 20), (99, 100), (450, 600), (1001, 2000)],
)
def test_the_scale_ends_at_a_round_number(highest: float, top: float) -> None:
    assert nice_top(highest) == top


def test_bars_stand_on_each_other_and_fill_the_height_at_the_top() -> None:
    plot = stacked("n", ["a", "b"], [Series("x", "good", [4, 0]), Series("y", "bad", [6, 5])])
    assert [(round(mark.x), mark.y, mark.height, mark.tone) for mark in plot.marks] == [
        (55, 600, 400, "good"),
        (55, 0, 600, "bad"),
        (555, 500, 500, "bad"),
    ]


def test_a_line_has_a_gap_where_there_is_no_value() -> None:
    plot = line("n", list("abcde"), Series("x", "good", [100, 50, None, 0, None]))
    assert plot.lines == ["100.0,0.0 300.0,500.0"]
    assert [(dot.x, dot.y) for dot in plot.dots] == [(100, 0), (300, 500), (700, 1000)]


@pytest.mark.parametrize("locale", ["en_GB", "it"])
def test_a_number_is_written_as_babel_writes_it(monkeypatch: pytest.MonkeyPatch, locale: str) -> None:
    monkeypatch.setattr("app.web.site.language.get_locale", lambda: Locale.parse(locale))
    for number in (0, 7, 999, 1000, 12_345, 1_234_567, -1, -1500, 0.5, 12.0, 99.9, 1234.5, 1e6, 33.333, 100.0):
        assert number_text(number) == format_decimal(number, locale=locale)
