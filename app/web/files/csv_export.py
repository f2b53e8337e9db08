"""CSV for people's spreadsheets: UTF-8 with its mark, commas, and no cell that is run as a formula.

A spreadsheet takes a cell for a formula by its first sign, whether or not it is quoted. Names, numbers and station ids
are typed by strangers: such a cell gets an apostrophe in front, which makes it text (OWASP, "CSV Injection"). One that
splits at something else than our commas, as those of many countries do, begins cells in the middle of ours and knows
nothing of their quotes: whatever may be a beginning there is marked as well.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from werkzeug.wrappers import Response

#: ASCII signs and their full-width twins, which some spreadsheets read as the same.
FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
CONTROLS = ("\t", "\r", "\n")
_SIGN = f"[{re.escape(''.join(FORMULA_SIGNS))}]"
_BEGINNING = re.compile(rf"[\s\"]*{_SIGN}")
#: What some reader splits at, with what may stand before a sign all the same.
_SPLIT = re.compile(rf"([;,|\t\r\n][\s\"]*)(?={_SIGN})")
CHUNK = 1 << 16
MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"

Cell = str | int | float | datetime | None


def cell(value: Cell) -> str | int | float:
    """The value as it may stand in a file. A number that is one stays one; a time is ISO 8601 with its offset."""
    if type(value) is str and value.isalnum():
        return value  # by far the most cells
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, (int, float)):
        return value
    text = _SPLIT.sub(r"\1'", value.replace("\0", ""))
    return f"'{text}" if text.startswith(CONTROLS) or _BEGINNING.match(text) else text


def csv_chunks(header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Iterator[bytes]:
    """The file while it is made, in handy pieces: never whole in memory."""
    target = io.StringIO(newline="")
    target.write(MARK)
    writer = csv.writer(target)
    writer.writerow([cell(text) for text in header])
    for row in rows:
        writer.writerow([cell(value) for value in row])
        if target.tell() >= CHUNK:
            yield target.getvalue().encode()
            target.seek(0)
            target.truncate()
    yield target.getvalue().encode()


def csv_response(name: str, header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> Response:
    """A download. ``rows`` are asked for after the request is over: what they need is in their own hands
    (see ``stream_zip`` in :mod:`app.web.faxes.bundle`)."""
    response = Response(csv_chunks(header, rows), mimetype="text/csv")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
