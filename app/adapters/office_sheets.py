"""How a spreadsheet comes onto paper. Runs inside an office's room only."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

#: com.sun.star.sheet.CellFlags: numbers, dates, words, formulas.
CONTENTS = 1 | 2 | 4 | 16
#: Letters below it are not readable on a fax (points).
LEAST_LETTERS = 6.0
#: More pages than a fax may have.
MOST_ACROSS = 200


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
    letters, last = _contents(sheet)
    drawn = max((shape.Position.X + shape.Size.Width for shape in _shapes(sheet)), default=0)
    room = (style.Width - style.LeftMargin - style.RightMargin) / min(1.0, LEAST_LETTERS / letters)
    pages, filled, right, columns = 1, 0.0, 0, sheet.Columns
    for number in range(columns.Count):
        if pages > MOST_ACROSS or (number > last and right >= drawn):
            break
        column = columns.getByIndex(number)
        if not column.IsVisible:
            continue
        if filled and filled + column.Width > room:
            pages, filled = pages + 1, 0.0
        filled, right = filled + column.Width, right + column.Width
    return pages


def _contents(sheet: Any) -> tuple[float, int]:
    """How large most of its cells are written (points), and the last column of them."""
    cells: Counter[float] = Counter()
    formats, last = sheet.getUniqueCellFormatRanges(), 0
    for number in range(formats.Count):
        alike = formats.getByIndex(number)
        for at in alike.queryContentCells(CONTENTS).RangeAddresses:
            cells[alike.CharHeight] += (at.EndColumn - at.StartColumn + 1) * (at.EndRow - at.StartRow + 1)
            last = max(last, at.EndColumn)
    return max(cells.most_common(1)[0][0], LEAST_LETTERS) if cells else LEAST_LETTERS, last


def _shapes(sheet: Any) -> Iterator[Any]:
    page = sheet.DrawPage
    for number in range(page.Count):
        yield page.getByIndex(number)
