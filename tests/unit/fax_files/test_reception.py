"""What a TIFF that Asterisk received says of the call: error correction as agreed on, lines that came in wrong."""

from pathlib import Path

import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import ASCII, LONG

from app.adapters.fax_files.fax_tiff import Reception, reception_of
from app.errors import PermanentFailure

#: The DCS of a call of two Asterisks, as it was written, with error correction and without (ITU-T T.30, table 2).
WITH_ECM, WITHOUT = "00 46 1F 22", "00 46 1F 02"


def came(path: Path, *pages: dict[int, object]) -> Path:
    """Pages with these tags, as libtiff writes them."""
    sheets = [Image.new("1", (1728, 300), 1) for _ in pages]
    for sheet, tags in zip(sheets, pages, strict=True):
        sheet.encoderinfo = {"tiffinfo": _tags(tags)}
    sheets[0].save(
        path, "TIFF", save_all=True, append_images=sheets[1:], compression="group4", tiffinfo=_tags(pages[0])
    )
    return path


def _tags(values: dict[int, object]) -> ImageFileDirectory_v2:
    tags = ImageFileDirectory_v2()
    for tag, value in values.items():
        tags.tagtype[tag] = LONG if isinstance(value, int) else ASCII
        tags[tag] = value
    return tags


@pytest.mark.parametrize(
    ("dcs", "ecm"),
    [(WITH_ECM, True), (WITHOUT, False), ("00 46 1E", False), ("", None), ("00 46", None), ("?? ?? ?? ??", None)],
)
def test_error_correction_is_what_the_sender_s_command_said(tmp_path, dcs, ecm):
    tags = {34911: dcs} if dcs else {}
    assert reception_of(came(tmp_path / "fax.tif", tags)) == Reception(ecm, 0)


def test_damaged_lines_are_counted_over_all_pages_and_no_page_has_more_than_it_has_lines(tmp_path):
    path = came(tmp_path / "fax.tif", {326: 12}, {326: 5}, {326: 4_000_000_000}, {})
    assert reception_of(path).damaged_lines == 12 + 5 + 300


def test_what_is_no_tiff_is_damaged(tmp_path):
    path = tmp_path / "fax.tif"
    path.write_bytes(b"%PDF-1.7 " * 9)
    with pytest.raises(PermanentFailure):
        reception_of(path)
