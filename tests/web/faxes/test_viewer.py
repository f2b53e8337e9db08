"""The viewer: the pages of a fax, and the picture of each."""

import io
import re
from pathlib import Path

import pytest
from flask import Flask
from PIL import Image

from app.adapters.fax_files.fax_tiff import WIDTH
from app.adapters.pages.rasterizer import rasterize
from app.models import Document, Fax, Status, Unread
from app.services.documents import pictures
from app.services.documents.pictures import FULL, SCREEN, THUMBNAIL
from tenants.db import db
from tests.documents import pdf, written
from tests.web.cast import Browser, Cast, make_fax, receive_fax

pytestmark = pytest.mark.any_database

PICTURE = re.compile(r'src="([^"]+\.png[^"]+)"')
ALLOWED = (THUMBNAIL, SCREEN, FULL)


def make_tiff(folder: Path, *, pages: int = 2, resolution: str = "fine", page_size: str = "A4") -> bytes:
    target = folder / "pages.tif"
    source = written(folder, pdf(pages=pages))
    rasterize(source, target, resolution=resolution, page_size=page_size)
    return target.read_bytes()


def add_pages(app: Flask, cast: Cast, fax_id: str, tiff: bytes, *, pages: int = 2, sha256: str = "a" * 64) -> None:
    with app.app_context():
        document = Document(tenant_id=cast.alpha, kind="tiff", name="letter.tif", type="tif", size=len(tiff))
        document.sha256, document.pages, document.storage_key = sha256, pages, f"{cast.alpha}/{fax_id}.tif"
        app.extensions["storage"].write(document.storage_key, io.BytesIO(tiff))
        db.session.add(document)
        db.session.flush()
        db.session.get(Fax, fax_id).tiff_id = document.id
        db.session.commit()


@pytest.fixture
def letter(app: Flask, cast: Cast, tmp_path: Path) -> str:
    """A sent fax of two pages."""
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, make_tiff(tmp_path))
    return fax_id


def image_of(browser: Browser, fax_id: str, number: int = 1, **query: object) -> Image.Image:
    answer = browser.client.get(f"/faxes/{fax_id}/pages/{number}.png", query_string=query)
    assert answer.status_code == 200
    assert answer.mimetype == "image/png"
    return Image.open(io.BytesIO(answer.data))


def addresses(page: str) -> list[str]:
    return [address.replace("&amp;", "&") for address in PICTURE.findall(page)]


# ---- Pictures of pages


@pytest.mark.parametrize("width", ALLOWED)
def test_a_page_comes_in_the_widths_of_the_viewer_and_as_high_as_on_paper(
    bob: Browser, letter: str, width: int
) -> None:
    image = image_of(bob, letter, width=width)
    assert image.width == width
    assert image.height / image.width == pytest.approx(2292 / 196 / (1728 / 204), abs=0.005)
    assert image.convert("L").getextrema() == (0, 255) if width == FULL else image.convert("L").getextrema()[1] == 255


@pytest.mark.parametrize("width", ["1", "0", "-160", "961", "100000"])
def test_no_other_width_is_drawn(bob: Browser, letter: str, width: str) -> None:
    assert bob.get(f"/faxes/{letter}/pages/1.png?width={width}").status_code == 404


def test_the_largest_picture_has_the_very_dots_of_the_line(
    app: Flask, cast: Cast, bob: Browser, tmp_path: Path
) -> None:
    tiff = make_tiff(tmp_path, resolution="standard")
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, tiff)
    image, sent = image_of(bob, fax_id, 2, width=FULL), Image.open(io.BytesIO(tiff))
    sent.seek(1)
    assert image.mode == "1"
    lines = [image.crop((0, row, WIDTH, row + 1)).tobytes() for row in range(image.height)]
    assert set(lines) == {sent.crop((0, row, WIDTH, row + 1)).tobytes() for row in range(sent.height)}


def test_a_page_of_standard_resolution_is_as_high_as_one_of_fine(
    app: Flask, cast: Cast, bob: Browser, tmp_path: Path
) -> None:
    sizes = []
    for resolution in ("fine", "standard"):
        fax_id = make_fax(app, cast)
        add_pages(app, cast, fax_id, make_tiff(tmp_path, resolution=resolution))
        sizes.append({image_of(bob, fax_id, width=width).size for width in ALLOWED})
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("number", ["0", "3", "999", "1000000000000", "-1", "x", "1.5"])
def test_a_page_that_the_fax_has_not_is_missing(bob: Browser, letter: str, number: str) -> None:
    assert bob.get(f"/faxes/{letter}/pages/{number}.png").status_code == 404


def test_a_browser_keeps_a_picture_for_itself_and_does_not_ask_again(bob: Browser, letter: str) -> None:
    address = addresses(bob.get(f"/faxes/{letter}/view").text)[0]
    answer = bob.get(address)
    assert answer.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert "Cookie" in answer.headers["Vary"], "nor does the next person at this browser see it"
    for other in (address.partition("?")[0], re.sub("v=[a-f0-9]+", "v=0", address)):
        assert bob.get(other).headers["Cache-Control"] == "no-store"


def test_the_addresses_change_with_the_pages(app: Flask, cast: Cast, bob: Browser, tmp_path: Path) -> None:
    tiff = make_tiff(tmp_path)
    seen = set()
    for digest in ("a", "b"):
        fax_id = make_fax(app, cast)
        add_pages(app, cast, fax_id, tiff, sha256=digest * 64)
        seen.add(re.search(r"v=(\w+)", addresses(bob.get(f"/faxes/{fax_id}/view").text)[0])[1])
    assert len(seen) == 2


DAMAGED = {
    "not a TIFF": lambda tiff: b"%PDF-1.4" + tiff[8:],
    "broken off in the first page": lambda tiff: tiff[:300],
    "nothing": lambda tiff: b"",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_pages_that_cannot_be_read_are_told_of_and_break_nothing(
    app: Flask, cast: Cast, bob: Browser, tmp_path: Path, damage: str
) -> None:
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, DAMAGED[damage](make_tiff(tmp_path)))
    page = bob.get(f"/faxes/{fax_id}/view")
    assert page.status_code == 200
    assert "These pages cannot be shown" in page.text
    assert f"/faxes/{fax_id}/document.pdf" in page.text
    assert bob.get(f"/faxes/{fax_id}/pages/1.png").status_code == 404


def test_of_a_file_that_breaks_off_the_whole_pages_are_shown(
    app: Flask, cast: Cast, bob: Browser, tmp_path: Path
) -> None:
    tiff = make_tiff(tmp_path, pages=3)
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, tiff[: len(tiff) * 3 // 4], pages=3)
    shown = re.findall(r'id="page-(\d+)"', bob.get(f"/faxes/{fax_id}/view").text)
    assert shown == ["1", "2"]
    assert image_of(bob, fax_id, 2).width == SCREEN


def test_a_sheet_without_end_is_not_drawn(app: Flask, cast: Cast, bob: Browser) -> None:
    target = io.BytesIO()
    Image.new("1", (WIDTH, 70_000), 1).save(target, format="TIFF", compression="group4", dpi=(204, 196))
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, target.getvalue(), pages=1)
    assert len(target.getvalue()) < 100_000, "a small file of many dots"
    assert bob.get(f"/faxes/{fax_id}/pages/1.png").status_code == 404


@pytest.mark.parametrize("dpi", [(0, 0), (1, 1_000_000), (204, 3)])
def test_a_resolution_that_no_fax_has_is_not_believed(app: Flask, cast: Cast, bob: Browser, dpi: tuple) -> None:
    target = io.BytesIO()
    Image.new("1", (WIDTH, 1146), 1).save(target, format="TIFF", compression="group4", dpi=dpi)
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, target.getvalue(), pages=1)
    assert image_of(bob, fax_id, width=FULL).size == (WIDTH, round(1146 * 204 / 196))


def test_when_too_many_pictures_are_drawn_already_one_waits_and_is_told_to_come_again(
    bob: Browser, letter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PATIENCE_SECONDS", 0.01)
    for _ in range(pictures.DRAWINGS):
        pictures._turns.acquire()
    try:
        assert bob.get(f"/faxes/{letter}/pages/1.png").status_code == 503
    finally:
        for _ in range(pictures.DRAWINGS):
            pictures._turns.release()
    assert bob.get(f"/faxes/{letter}/pages/1.png").status_code == 200


# ---- The page


def test_the_viewer_has_a_place_for_every_page_before_any_is_loaded(bob: Browser, letter: str) -> None:
    page = bob.get(f"/faxes/{letter}/view").text
    assert re.findall(r'id="page-(\d+)"', page) == ["1", "2"]
    leaves = re.findall(r'<img alt="Page (\d) of 2" width="1728" height="(\d+)" ([^>]*)>', page)
    assert [(number, height) for number, height, _ in leaves] == [("1", "2386"), ("2", "2386")]
    assert ['loading="lazy"' in rest for _, _, rest in leaves] == [False, True]
    assert "<title>Pages · 050 123 4567 · Faxroom</title>" in page


def test_a_page_number_in_the_address_leads_to_the_page(bob: Browser, letter: str) -> None:
    for asked, page in {"2": 2, "1": 1, "99": 2, "0": 1, "-3": 1, "two": 1, "9" * 40: 1, "²": 1}.items():
        answer = bob.get(f"/faxes/{letter}/view", query_string={"page": asked})
        assert answer.headers["Location"] == f"/faxes/{letter}/view#page-{page}", asked


WAITING = {
    Status.ACCEPTED: "The pages are being prepared",
    Status.PREPARING: "The pages are being prepared",
    Status.RECEIVING: "This fax is still arriving",
}


@pytest.mark.parametrize("status", WAITING)
def test_a_fax_whose_pages_are_not_there_yet_says_what_to_wait_for_and_goes_on_by_itself(
    app: Flask, cast: Cast, alice: Browser, tmp_path: Path, status: Status
) -> None:
    direction = "received" if status == Status.RECEIVING else "sent"
    fax_id = make_fax(app, cast, status=status, direction=direction)
    page = alice.get(f"/faxes/{fax_id}/view")
    assert page.status_code == 200
    assert WAITING[status] in page.text
    assert f'hx-get="/faxes/{fax_id}/view"' in page.text
    asked = {"headers": {"HX-Request": "true"}}
    assert alice.get(f"/faxes/{fax_id}/view", **asked).status_code == 204
    assert "HX-Refresh" not in alice.get(f"/faxes/{fax_id}/view", **asked).headers
    add_pages(app, cast, fax_id, make_tiff(tmp_path))
    assert alice.get(f"/faxes/{fax_id}/view", **asked).headers["HX-Refresh"] == "true"
    assert WAITING[status] not in alice.get(f"/faxes/{fax_id}/view").text


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.INCOMPLETE])
def test_a_fax_that_ended_without_pages_says_so_and_does_not_ask_again(
    app: Flask, cast: Cast, alice: Browser, status: Status
) -> None:
    fax_id = make_fax(app, cast, status=status, direction="received" if status == Status.INCOMPLETE else "sent")
    page = alice.get(f"/faxes/{fax_id}/view").text
    assert "This fax has no pages" in page
    assert f'hx-get="/faxes/{fax_id}/view"' not in page
    assert alice.get(f"/faxes/{fax_id}/pages/1.png").status_code == 404


def test_the_faxs_own_page_leads_to_its_pages(app: Flask, cast: Cast, bob: Browser, letter: str) -> None:
    page = bob.get(f"/faxes/{letter}").text
    assert f'id="view-pages" href="/faxes/{letter}/view"' in page
    assert f'href="/faxes/{letter}/view#page-2"' in page
    assert "view-pages" not in bob.get(f"/faxes/{make_fax(app, cast, status=Status.PREPARING)}").text


def test_a_long_fax_shows_a_dozen_small_pictures_and_says_where_all_are(
    app: Flask, cast: Cast, bob: Browser, tmp_path: Path
) -> None:
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, make_tiff(tmp_path, pages=50), pages=50)
    page = bob.get(f"/faxes/{fax_id}").text
    assert len(re.findall(rf"pages/\d+\.png\?width={THUMBNAIL}&", page)) == 12
    assert page.count('loading="lazy"') == 12
    assert "All 50 pages" in page
    assert len(re.findall(r'class="leaf"', bob.get(f"/faxes/{fax_id}/view").text)) == 50


def test_a_fax_of_one_page_has_no_row_of_pictures(app: Flask, cast: Cast, bob: Browser, tmp_path: Path) -> None:
    fax_id = make_fax(app, cast)
    add_pages(app, cast, fax_id, make_tiff(tmp_path, pages=1), pages=1)
    assert re.findall(r"pages/\d+\.png\?width=(\d+)", bob.get(f"/faxes/{fax_id}").text) == [str(SCREEN)]


def test_who_opens_the_viewer_has_read_the_fax(app: Flask, cast: Cast, alice: Browser, tmp_path: Path) -> None:
    fax_id = receive_fax(app, cast)

    def unread() -> bool:
        with app.app_context():
            return db.session.get(Unread, (cast.alice, fax_id)) is not None

    assert unread()
    alice.get(f"/faxes/{fax_id}/view")
    assert unread(), "there was nothing to see"
    add_pages(app, cast, fax_id, make_tiff(tmp_path))
    for path in (f"/faxes/{fax_id}/pages/1.png", f"/faxes/{fax_id}/view?page=2"):
        alice.get(path)
    alice.get(f"/faxes/{fax_id}/view", headers={"HX-Request": "true"})
    assert unread(), "nobody has looked"
    assert 'id="page-1"' in alice.get(f"/faxes/{fax_id}/view").text
    assert not unread()


# ---- Who may


def paths(fax_id: str) -> list[str]:
    return [
        f"/faxes/{fax_id}/{rest}" for rest in ("view", "view?page=2", "pages/1.png", "pages/1.png?width=160&v=aaaa")
    ]


def test_to_an_outsider_the_pages_are_those_of_a_missing_fax(
    charlie: Browser, alice: Browser, olga: Browser, letter: str
) -> None:
    missing = "01ZZZZZZZZZZZZZZZZZZZZZZZZ"
    for theirs, none in zip(paths(letter), paths(missing), strict=True):
        for outsider in (charlie, olga):
            answer = outsider.get(theirs)
            assert answer.status_code == 404, theirs
            assert answer.headers.get("Cache-Control") == "no-store"
            nothing = outsider.get(none)
            assert (answer.status_code, len(answer.data)) == (nothing.status_code, len(nothing.data))
        assert alice.get(theirs).status_code in (200, 303)


def test_nobody_sees_a_page_without_signing_in(nobody: Browser, letter: str) -> None:
    for path in paths(letter):
        assert nobody.get(path).headers["Location"].startswith("/sign-in")


def test_what_was_received_at_a_line_is_seen_by_who_may_receive_there(
    app: Flask, cast: Cast, alice: Browser, bob: Browser, tmp_path: Path
) -> None:
    fax_id = make_fax(app, cast, status=Status.RECEIVED, direction="received")
    with app.app_context():
        db.session.get(Fax, fax_id).user_id = None
        db.session.commit()
    add_pages(app, cast, fax_id, make_tiff(tmp_path))
    for path in paths(fax_id):
        assert bob.get(path).status_code == 404
    assert "Fax from" in alice.get(f"/faxes/{fax_id}/view").text
    assert image_of(alice, fax_id, 2).width == SCREEN
