"""How a spreadsheet comes onto paper. Runs inside an office's room only."""

from collections import Counter
from collections.abc import Iterator
from math import ceil
from typing import Any
from unicodedata import east_asian_width

#: com.sun.star.sheet.CellFlags: numbers, dates, words, formulas.
CONTENTS = 1 | 2 | 4 | 16
#: Letters below it are not readable on a fax (points).
LEAST_LETTERS = 6.0
#: More pages than a fax may have.
MOST_ACROSS = 200
#: Paper that a sheet has whose author has said nothing of it: A4 and Letter, upright (hundredths of a millimetre).
USUAL_PAPER, ABOUT = ((21_000, 29_700), (21_590, 27_940)), 100
#: What of a sheet is asked for words that run over; and how wide a letter is, as a share of its height.
MOST_CELLS, LETTER, WIDE_LETTER = 500_000, 0.5, 1.0
#: Hundredths of a millimetre.
POINT = 2540 / 72


class TooWide(Exception):
    """A sheet takes more than ``MOST_ACROSS`` pages beside each other."""


def fit(document: Any, *, is_csv: bool) -> None:
    """To the width of the page, or of as many beside each other as keep the letters readable; unless its author has set
    how it prints.

    Raises:
        TooWide
    """
    styles = document.StyleFamilies.getByName("PageStyles")
    wanted: Counter[str] = Counter()
    for number in range(document.Sheets.Count):
        sheet = document.Sheets.getByIndex(number)
        if is_csv:
            sheet.Columns.OptimalWidth = True
        style = styles.getByName(sheet.PageStyle)
        if sheet.IsVisible and not _is_set(style, sheet):
            wanted[sheet.PageStyle] = max(wanted[sheet.PageStyle], _pages_across(sheet, style))
    for name, across in wanted.items():
        style = styles.getByName(name)
        style.ScaleToPagesX, style.ScaleToPagesY = across, 0


def _is_set(style: Any, sheet: Any) -> bool:
    scaled = style.PageScale not in (0, 100) or style.ScaleToPages or style.ScaleToPagesX or style.ScaleToPagesY
    return bool(scaled or sheet.getPrintAreas()) or not _is_usual(style.Width, style.Height) or _has_breaks(sheet)


def _is_usual(width: int, height: int) -> bool:
    return any(abs(width - across) < ABOUT and abs(height - down) < ABOUT for across, down in USUAL_PAPER)


def _has_breaks(sheet: Any) -> bool:
    return any(found.ManualBreak for found in (*sheet.getColumnPageBreaks(), *sheet.getRowPageBreaks()))


def _pages_across(sheet: Any, style: Any) -> int:
    """With letters of the least size; LibreOffice makes them as large as that many pages allow, to their full size."""
    letters, last = _contents(sheet)
    drawn = max((shape.Position.X + shape.Size.Width for shape in _shapes(sheet)), default=0)
    drawn = max([drawn, *_words_running_over(sheet, last)])
    room = (style.Width - style.LeftMargin - style.RightMargin) / min(1.0, LEAST_LETTERS / letters)
    if MOST_ACROSS * room < sheet.getCellByPosition(last, 0).Position.X:
        raise TooWide(sheet.Name)
    pages, filled, right, columns = 1, 0.0, 0, sheet.Columns
    for number in range(last + 1):
        column = columns.getByIndex(number)
        if not column.IsVisible:
            continue
        if filled and filled + column.Width > room:
            pages, filled = pages + 1, 0.0
        filled, right = filled + column.Width, right + column.Width
    if pages > MOST_ACROSS:
        raise TooWide(sheet.Name)
    beyond = max(0.0, drawn - right - (room - filled))  # empty columns, which may be cut anywhere
    across: int = pages + ceil(beyond / room)
    return min(MOST_ACROSS, across)


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


def _words_running_over(sheet: Any, last: int) -> Iterator[float]:
    """Where they end, about: words are as wide as they are, over empty cells on their right. LibreOffice does not say,
    but makes room for them on the page."""
    cursor = sheet.createCursor()
    cursor.gotoEndOfUsedArea(False)
    rows = min(cursor.RangeAddress.EndRow, MOST_CELLS // (last + 1))
    longest = [0.0] * (last + 1)
    for row, cells in enumerate(sheet.getCellRangeByPosition(0, 0, last, rows).getDataArray()):
        column = next((column for column in range(last, -1, -1) if cells[column] != ""), 0)
        if not isinstance(cells[column], str):
            continue
        width = max(map(_width, cells[column].split("\n")))
        if width > longest[column] and _runs_over(cell := sheet.getCellByPosition(column, row)):
            longest[column] = width
            yield cell.Position.X + width * cell.CharHeight * POINT


def _width(words: str) -> float:
    """Of its height."""
    wide = sum(east_asian_width(sign) in "WF" for sign in words)
    return wide * WIDE_LETTER + (len(words) - wide) * LETTER


def _runs_over(cell: Any) -> bool:
    return not (cell.IsTextWrapped or cell.IsMerged) and cell.HoriJustify.value in ("STANDARD", "LEFT")


def _shapes(sheet: Any) -> Iterator[Any]:
    page = sheet.DrawPage
    for number in range(page.Count):
        yield page.getByIndex(number)
