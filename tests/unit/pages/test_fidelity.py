"""Which patches of a fax the bench of fidelity calls off."""

import io

import numpy as np
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from app.adapters.fax_files.fax_tiff import LENGTHS, WIDTH
from bench.documents.corpus import Page
from bench.fidelity import Known, patches_off


def grey(darkness: float) -> bytes:
    data = io.BytesIO()
    page = canvas.Canvas(data, pagesize=A4)
    page.setFillGray(1 - darkness)
    page.rect(0, 0, *A4, stroke=0, fill=1)
    page.save()
    return data.getvalue()


@pytest.mark.parametrize(
    ("sheet", "scan", "ink", "is_off"),
    [
        (0.6, 0.6, 1, True),
        (0.6, 0.75, 1, True),
        (0.6, 0.95, 1, False),  # the scanner has blackened it
        (0.1, 0.95, 1, False),
        (0.6, 0.95, 0, True),
        (0.6, 0.2, 0, False),  # the scanner has lost it
        (0.2, 0.6, 1, True),
    ],
)
def test_a_fax_answers_for_what_its_scan_has(sheet: float, scan: float, ink: int, is_off: bool) -> None:
    known = Known(Page("scans", 1, grey(scan), paper=grey(sheet)))
    off = patches_off(np.full((LENGTHS["A4"], WIDTH), bool(ink)), known)
    inside = [patch for patch in off if 200 < patch[0] < WIDTH - 200 and 200 < patch[1] < LENGTHS["A4"] - 200]
    assert bool(inside) is is_off
