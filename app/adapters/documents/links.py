"""What is taken out of a zipped document before LibreOffice sees it.

Links out of it: pictures, sections, objects and data that lie elsewhere. LibreOffice has switches against loading them,
and runs where there is nothing to load; this is the third wall. What people click on (hyperlinks) stays.

Comments, which make LibreOffice without a screen fail. Fields, of which only the result stays that the author saw:
LibreOffice would work them out anew, with today's date, its own file name, and an error for what it does not know. So
it is with formulas of today and of the file. What depends on the page, such as its number, stays a field.

A document without any of these is given on as it is, byte by byte; in one with them only the files that hold them are
written anew. What is no XML is left alone.
"""

import io
import re
import zipfile
from dataclasses import dataclass
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from app.adapters.documents.workbooks import settled_binary_sheet

#: Attributes, whatever their namespace, that name something to be loaded.
LOADING = {"href", "src", "dde-application", "dde-topic", "dde-item", "connection-resource", "id-href", "hrefmode"}
#: Elements whose link is followed by a click only (text:a, draw:a, svg:a, w:hyperlink).
CLICKED = {"a", "hyperlink", "hlinkClick", "hlinkHover"}
#: Fields of Word that load (ECMA-376 part 1, 17.16.5).
LOADING_FIELD = re.compile(r"^\s*(INCLUDE\w*|IMPORT|DDE\w*|LINK|DATABASE|RD|MERGE\w*)\b", re.IGNORECASE)
#: Kinds of relationships (ECMA-376 part 2, 9.3) that may lead outside, for they are clicked on, or that hold HTML.
HYPERLINK, FOREIGN_TEXT = "/hyperlink", "/aFChunk"
#: Headers and footers of a workbook (ECMA-376 part 1, 18.3.1.46).
SHEET_HEADERS = {"oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter"}
STYLE_LINK = re.compile(r"""@import\b[^;]*;?|url\(\s*['"]?\s*(?!['"]?\s*(?:#|data:))[^)]*\)""", re.IGNORECASE)
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
#: Without one of these words, or in an encoding of two bytes, nothing is parsed.
WORDS = (
    b"href",
    b"src",
    b"dde-",
    b"url(",
    b"@import",
    b"DOCTYPE",
    b"Relationship",
    b"connection-",
    b"formula",
    b"instr",
    b"commentR",
    b"office:annotation",
    b"text:",
    b"display",
    b":fld",
    *(b"TODAY(", b"NOW(", b"CELL(", b"INFO(", b"RAND"),
    b"&amp;Z",
)
DEEPEST = 3
#: Comments (ECMA-376 part 1, 17.13.4; OpenDocument 1.2, 14.1).
COMMENTS = {
    "w:commentReference",
    "w:commentRangeStart",
    "w:commentRangeEnd",
    "office:annotation",
    "office:annotation-end",
}
#: Fields of Word without which a page would show other than what it should, or nothing.
LIVE_FIELD = re.compile(
    r"^\s*(PAGE|NUMPAGES|SECTIONPAGES|SECTION|FORM\w+|HYPERLINK|SYMBOL|EQ|MACROBUTTON|GOTOBUTTON|AUTONUM\w*|LISTNUM)\b",
    re.IGNORECASE,
)
#: Formulas that are worked out anew whenever a workbook is opened, by the names that both kinds of package use.
VOLATILE = re.compile(r"\b(TODAY|NOW|CELL|INFO|RAND|RANDBETWEEN)\(")
#: What stands in the instruction of a field of Word and is not shown.
INSTRUCTION = {"instrText", "delInstrText", "t", "delText", "tab", "br", "cr", "sym", "drawing", "pict", "object"}
#: Fields of OpenDocument texts that are worked out anew when they are opened.
WORKED_OUT = {
    *("date", "time", "file-name", "author-name", "author-initials", "creator", "initial-creator", "creation-date"),
    *("creation-time", "modification-date", "modification-time", "print-date", "print-time", "printed-by", "title"),
    *("editing-cycles", "editing-duration", "subject", "keywords", "description", "user-defined", "template-name"),
    *("bookmark-ref", "reference-ref", "sequence-ref", "note-ref", "conditional-text", "variable-get"),
    *("user-field-get", "expression", "database-display", "database-name", "database-row-number", "sender-firstname"),
    *("sender-lastname", "sender-initials", "sender-title", "sender-position", "sender-email", "sender-phone-private"),
    *("sender-fax", "sender-company", "sender-phone-work", "sender-street", "sender-city", "sender-postal-code"),
    *("sender-country", "sender-state-or-province", "word-count", "character-count", "paragraph-count", "object-count"),
    *("table-count", "image-count", "dde-connection", "meta-field"),
}


def cut_package(data: bytes, *, freezes_fields: bool) -> bytes | None:
    """A zipped document without its links and comments, and with the results of its fields, unless it is a spreadsheet:
    of those only formulas have results that the author saw. None: nothing had to be cut.

    Raises:
        Exception: what zipfile makes of a broken one.
    """
    return _cut_package(data, 0, freezes_fields)


def _cut_package(data: bytes, depth: int, freezes: bool) -> bytes | None:
    changed: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        for entry in package.infolist():
            if (cut := _cut_entry(entry.filename, package.read(entry), depth, freezes)) is not None:
                changed[entry.filename] = cut
        if not changed:
            return None
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as written:
            for entry in package.infolist():
                content = changed[entry.filename] if entry.filename in changed else package.read(entry)
                written.writestr(entry.filename, content, entry.compress_type)
    return target.getvalue()


def _cut_entry(name: str, content: bytes, depth: int, freezes: bool) -> bytes | None:
    if content.startswith(b"PK\3\4"):
        try:
            return _cut_package(content, depth + 1, freezes) if depth < DEEPEST else b""
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
            return None
    if name.endswith(".bin"):
        return settled_binary_sheet(content)
    start = content[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith((b"<", b"\xff\xfe", b"\xfe\xff", b"\0<")):
        return None
    if b"\0" not in content[:200] and not any(word in content for word in WORDS):
        return None
    try:
        fields = _frozen_fields(content) if freezes else []
        return _Cutter(fields, is_relationships=name.endswith(".rels"), freezes=freezes).cut(content)
    except (expat.ExpatError, ValueError, LookupError):
        return None


@dataclass
class _Field:
    """A field of Word: what it does, whether its result has begun, and whether only that stays."""

    frozen: bool = False
    instruction: str = ""
    has_result: bool = False


@dataclass
class _Cell:
    """Of a workbook, open: where its formula is written, and what stands in formula and result."""

    begin: int = 0
    end: int = 0
    formula: str = ""
    result: str = ""
    inside: str = ""


class _Cutter:
    """One XML file, written anew as it is read."""

    def __init__(self, frozen: list[bool], *, is_relationships: bool, freezes: bool) -> None:
        """``frozen``: of each field of Word, in the order in which they begin, whether only its result stays."""
        self.is_relationships, self.freezes = is_relationships, freezes
        self.fields = iter(frozen)
        self.open_fields: list[_Field] = []
        self.names: list[str | None] = []  # of each element that is open; None: its own tags are left out
        self.written: list[str] = ['<?xml version="1.0" encoding="UTF-8"?>\n']
        self.cell: _Cell | None = None
        self.changes, self.depth_of_style, self.field, self.skipped, self.in_header = 0, 0, 0, 0, 0

    def cut(self, content: bytes) -> bytes | None:
        parser = expat.ParserCreate()
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = self._text, self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.ExternalEntityRefHandler = lambda *_: 1
        parser.Parse(content, True)
        return "".join(self.written).encode() if self.changes else None

    def _doctype(self, *_: object) -> None:
        self.changes += 1  # gone: it is not written

    def _instruction(self, target: str, data: str) -> None:
        if target == "xml-stylesheet":
            self.changes += 1
        else:
            self.written.append(f"<?{target} {data}?>")

    def _start(self, name: str, attributes: list[str]) -> None:
        local, pairs = _local(name), list(zip(attributes[::2], attributes[1::2], strict=True))
        if self.skipped or self._goes(name, local, dict(pairs)):
            self.skipped += 1
            self.changes += 1
            return
        kept_as = self._kept_as(name, local, dict(pairs))
        self.names.append(kept_as)
        if kept_as != name:
            self.changes += 1
            if kept_as is None:
                return
            name, pairs = kept_as, []
        self.depth_of_style += local == "style"
        self.field += local == "instrText"
        self.in_header += local in SHEET_HEADERS
        self._begin_in_cell(name)
        if name == "text:file-name" and "text:display" not in dict(pairs):
            pairs.append(("text:display", "full"))  # what it means without a word
        self.written.append(f"<{name}")
        for key, value in pairs:
            kept = self._kept(local, _local(key), value) if not key.startswith("xmlns") else value
            self.changes += kept != value
            self.written.append(f" {key}={quoteattr(kept, _WHITE)}")
        self.written.append(">")

    def _begin_in_cell(self, name: str) -> None:
        """Elements of a workbook have no prefix (ECMA-376 part 1, 18.3.1)."""
        if name == "c":
            self.cell = _Cell()
        elif self.cell and name in ("f", "v"):
            self.cell.inside = name
            if name == "f":
                self.cell.begin = len(self.written)

    def _end_in_cell(self, name: str) -> None:
        cell = self.cell
        if cell is None:
            return
        if name == "f":
            cell.end = len(self.written)
        elif name == "c":
            self.cell = None
            if cell.result and VOLATILE.search(cell.formula):
                del self.written[cell.begin : cell.end]
                self.changes += 1
        cell.inside = ""

    def _end(self, _name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        if (name := self.names.pop()) is None:
            return
        self.depth_of_style -= _local(name) == "style"
        self.field -= _local(name) == "instrText"
        self.in_header -= _local(name) in SHEET_HEADERS
        self.written.append(f"</{name}>")
        self._end_in_cell(name)

    def _goes(self, name: str, local: str, attributes: dict[str, str]) -> bool:
        """Whether an element is left out, with all that is in it."""
        if self.is_relationships:
            return local == "Relationship" and _leads_out(attributes)
        if name in COMMENTS:
            return True
        if local == "fldChar":
            return self.freezes and self._is_mark_left_out(_valued(attributes, "fldCharType"))
        return local in INSTRUCTION and self._is_in_instruction()

    def _is_mark_left_out(self, what: str) -> bool:
        """Of a field of Word: its begin, its end, or what separates the instruction from the result."""
        if what == "begin":
            inside, frozen = self._is_in_instruction(), next(self.fields, False)
            self.open_fields.append(_Field(frozen))
            return inside or frozen
        if not self.open_fields:
            return False
        field = self.open_fields[-1]
        if what == "separate":
            field.has_result = True
        else:
            self.open_fields.pop()
        return field.frozen or self._is_in_instruction()

    def _is_in_instruction(self) -> bool:
        return any(field.frozen and not field.has_result for field in self.open_fields)

    def _kept_as(self, name: str, local: str, attributes: dict[str, str]) -> str | None:
        """The name that an element is written with; None: of a field only what is in it."""
        if local == "fld" and not _valued(attributes, "type").startswith("slidenum"):  # of a slide
            return f"{name.rpartition(':')[0]}:r"
        if not self.freezes:
            return name
        if local == "fldSimple":
            return name if LIVE_FIELD.match(_valued(attributes, "instr")) else None
        return None if name == f"text:{local}" and local in WORKED_OUT else name

    def _text(self, text: str) -> None:
        if self.skipped:
            return
        kept = text
        if self.depth_of_style:
            kept = STYLE_LINK.sub("", text)
        elif self.field and LOADING_FIELD.match(text):
            kept = ""
        elif self.in_header:
            kept = text.replace("&Z", "")  # of a workbook: the folder of the file
        if self.cell and self.cell.inside == "f":
            self.cell.formula += text
        elif self.cell and self.cell.inside == "v":
            self.cell.result += text
        self.changes += kept != text
        self.written.append(escape(kept, {"\r": "&#13;"}))

    def _kept(self, element: str, attribute: str, value: str) -> str:
        if attribute == "instr" and LOADING_FIELD.match(value):
            return ""
        if element == "file-name" and attribute == "display" and value in ("full", "path"):
            return "name-and-extension"
        if attribute == "formula" and ("://" in value or "file:" in value.lower() or VOLATILE.search(value)):
            return ""
        if attribute.startswith("dde-"):
            return ""
        if attribute in LOADING and element not in CLICKED and _is_outside(value):
            return ""
        return STYLE_LINK.sub("none", value) if "(" in value and element not in CLICKED else value


def _valued(attributes: dict[str, str], local: str) -> str:
    return next((value for name, value in attributes.items() if _local(name) == local), "")


def _frozen_fields(content: bytes) -> list[bool]:
    """Of each field of Word in a file, in the order in which they begin: whether only its result stays. What it does
    may stand in several pieces."""
    fields: list[_Field] = []
    open_fields: list[_Field] = []
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += _local(name) in ("instrText", "delInstrText")
        if _local(name) != "fldChar":
            return
        what = _valued(attributes, "fldCharType")
        if what == "begin":
            fields.append(_Field())
            open_fields.append(fields[-1])
        elif open_fields and what == "separate":
            open_fields[-1].has_result = True
        elif open_fields:
            field = open_fields.pop()
            field.frozen = not LIVE_FIELD.match(field.instruction)

    def end(name: str) -> None:
        nonlocal depth
        depth -= _local(name) in ("instrText", "delInstrText")

    def text(data: str) -> None:
        if depth and open_fields and not open_fields[-1].has_result:
            open_fields[-1].instruction += data

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.Parse(content, True)
    return [field.frozen for field in fields]


_WHITE = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _is_outside(link: str) -> bool:
    """Of a package: a place in it is relative and does not climb."""
    plain = re.sub(r"[\x00-\x20]", "", link.replace("\\", "/"))
    plain = re.sub(r"%([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), plain, flags=re.IGNORECASE)
    if plain.lower().startswith("data:"):
        return False
    return bool(SCHEME.match(plain)) or plain.startswith("/") or ".." in plain.split("#")[0].split("/")


def _leads_out(relationship: dict[str, str]) -> bool:
    kind, target = relationship.get("Type", ""), relationship.get("Target", "")
    if kind.endswith(FOREIGN_TEXT):
        return True
    outside = relationship.get("TargetMode", "").lower() == "external" or bool(SCHEME.match(target.strip()))
    return outside and not kind.endswith(HYPERLINK)
