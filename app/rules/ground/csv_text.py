"""CSV files as spreadsheets of all countries write them: their bytes as text, and the text as rows of cells."""

import codecs
import csv
import io
import re
from collections.abc import Iterator

from app.errors import Refused

#: Of the text as UTF-8; of a file so much is read that a larger one is known by it.
MOST_BYTES = 200_000
MOST_READ = 2 * MOST_BYTES + 2
SEPARATORS = ";,\t"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
#: A line of its own that tells some spreadsheets what separates the cells.
_TOLD = re.compile(r'"?sep=([^"])"?', re.IGNORECASE)


def read_text(content: bytes) -> str:
    """UTF-8 with or without a byte order mark, or UTF-16 with one ("Unicode text").

    Raises:
        Refused: ``csv_too_large``, ``csv_not_utf8``, ``csv_empty``.
    """
    try:
        if content.startswith(_UTF16) and len(content) < MOST_READ:
            content = content.decode("utf-16").encode()
        if len(content) > MOST_BYTES:
            raise Refused("csv_too_large", field="file", limit=MOST_BYTES // 1000)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("csv_not_utf8", field="file") from error
    if "\0" in text:
        raise Refused("csv_not_utf8", field="file")
    if not text.strip():
        raise Refused("csv_empty", field="file")
    return text


def read_cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """Every row that is not empty, the header first, with the line on which a text editor finds its end.

    Raises:
        Refused: ``csv_unreadable``.
    """
    header = next((line for line in text.splitlines() if line.strip()), "")
    told = _TOLD.fullmatch(header.strip(" \r\n"))
    separator = told[1] if told else max(SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if told:
                told = None
            else:
                yield reader.line_num, [value.strip() for value in values]
    except csv.Error as error:
        raise Refused("csv_unreadable", field="file", line=reader.line_num) from error
