"""How a spreadsheet comes onto paper. Runs inside an office's room only."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

#: com.sun.star.sheet.CellFlags: numbers, dates, words, formulas.
CONTENTS = 1 | 2 | 4 | 16
#: Letters below it are not readable on a fax (points).
LEAST_LETTERS = 6.0


def fit(document: Any, *, is_csv: bool) -> None:
    """To the width of the page, or of as many beside each other as keep the letters readable; unless its author has set
    how it prints."""
    styles, wanted = document.StyleFamilies.getByName("PageStyles"), Counter()
    for number in range(document.Sheets.Count):
        sheet = document.Sheets.getByIndex(number)
        if is_csv:
            sheet.Columns.OptimalWidth = True
        style = styles.getByName(sheet.PageStyle)
        if not _is_set(style, sheet):
            wanted[sheet.PageStyle] = max(wanted[sheet.PageStyle], _pages_across(sheet, style))
    for name, across in wanted.items():
        style = styles.getByName(name)
        style.ScaleToPagesX, style.ScaleToPagesY = across, 0


def _is_set(style: Any, sheet: Any) -> bool:
    scaled = style.PageScale not in (0, 100) or style.ScaleToPages or style.ScaleToPagesX or style.ScaleToPagesY
    return scaled or bool(sheet.getPrintAreas()) or _has_breaks(sheet)


def _has_breaks(sheet: Any) -> bool:
    return any(found.ManualBreak for found in (*sheet.getColumnPageBreaks(), *sheet.getRowPageBreaks()))


def _pages_across(sheet: Any, style: Any) -> int:
    """With letters of the least size; LibreOffice makes them as large as that many pages allow, to their full size."""
    least = min(1.0, LEAST_LETTERS / _letters(sheet))
    room = (style.Width - style.LeftMargin - style.RightMargin) / least
    pages, filled = 1, 0.0
    for width in _widths(sheet):
        if filled and filled + width > room:
            pages, filled = pages + 1, 0.0
        filled += width
    return pages


def _widths(sheet: Any) -> Iterator[int]:
    """Of the columns that are printed (1/100 mm)."""
    cursor = sheet.createCursor()
    cursor.gotoEndOfUsedArea(False)
    columns = sheet.Columns
    for number in range(cursor.RangeAddress.EndColumn + 1):
        column = columns.getByIndex(number)
        if column.IsVisible:
            yield column.Width


def _letters(sheet: Any) -> float:
    """How large most of its cells are written (points)."""
    cells: Counter[float] = Counter()
    formats = sheet.getUniqueCellFormatRanges()
    for number in range(formats.Count):
        alike = formats.getByIndex(number)
        addresses = alike.queryContentCells(CONTENTS).RangeAddresses
        cells[alike.CharHeight] += sum(
            (at.EndColumn - at.StartColumn + 1) * (at.EndRow - at.StartRow + 1) for at in addresses
        )
    return max(cells.most_common(1)[0][0], LEAST_LETTERS) if cells else LEAST_LETTERS
