"""Pages that are longer than any paper: a machine that feeds from a roll sends them, or one whose sheet is stuck."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.adapters.fax_files.fax_tiff import MOST_PIXELS
from app.adapters.fax_files.page_pictures import PAGE_PIXELS, heights_of, png_of

THREE_METRES = round(3000 / 25.4 * 196)
NOBODY: Any = None


def sheet(folder: Path, rows: int) -> str:
    """At fine resolution, black in its lower half."""
    page = Image.new("1", (1728, rows), 1)
    page.paste(0, (0, rows // 2, 1728, rows))
    page.save(folder / "long.tif", compression="group4", dpi=(204, 196))
    return str(folder / "long.tif")


@pytest.mark.parametrize("rows", [THREE_METRES, MOST_PIXELS])
@pytest.mark.parametrize("width", [160, 1728])
def test_a_page_of_any_length_is_shown_whole_and_in_its_proportions(tmp_path: Path, rows: int, width: int) -> None:
    name = sheet(tmp_path, rows)
    picture = Image.open(io.BytesIO(base64.b64decode(png_of(NOBODY, name, 1, width))))
    assert picture.width * picture.height <= PAGE_PIXELS
    (height,) = heights_of(NOBODY, name)
    assert picture.height / picture.width == pytest.approx(height / 1728, rel=0.01)
    middle = picture.width // 2
    grey = picture.convert("L")
    assert (grey.getpixel((middle, picture.height // 4)), grey.getpixel((middle, picture.height * 3 // 4))) == (255, 0)
