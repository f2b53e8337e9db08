"""One document → PDF, by the LibreOffice beside us. Runs inside an office's room only.

The package unoserver converts. What it has LibreOffice open passes through us: LibreOffice is told by name how to open,
so that it guesses no type of its own, and what would show other than the author's document is settled before it is
written: tracked changes become the final text, a spreadsheet is put on pages
(:mod:`app.adapters.offices.office_sheets`).
"""

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uno
from com.sun.star.beans import PropertyValue
from com.sun.star.document.MacroExecMode import NEVER_EXECUTE
from com.sun.star.document.UpdateDocMode import NO_UPDATE
from com.sun.star.text.FilenameDisplayFormat import NAME_AND_EXT
from unoserver.converter import UnoConverter

from app.adapters.offices.office_sheets import fit
from app.kinds import KINDS, WRITTEN_BY, Family, Kind

EXPORT = [
    "UseTaggedPDF=false",
    "ExportBookmarks=false",
    "ExportNotes=false",
    "ExportNotesInMargin=false",
    "ExportNotesPages=false",
    "ExportHiddenSlides=false",
    "ExportFormFields=false",
    "ReduceImageResolution=true",
    "MaxImageResolution=300",
]
#: Columns of a CSV that are taken as they are written, not as numbers or dates.
MOST_COLUMNS = 1024
FILE_NAME = "com.sun.star.text.textfield.FileName"


class Converter(UnoConverter):
    """unoserver's, over a pipe instead of TCP.

    Raises:
        Exception: nobody listens on it yet.
    """

    def __init__(self, pipe: str) -> None:
        self.local_context = uno.getComponentContext()
        create = self.local_context.ServiceManager.createInstanceWithContext
        self.resolver = create("com.sun.star.bridge.UnoUrlResolver", self.local_context)
        self.context = self.resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
        self.service = self.context.ServiceManager
        self.desktop = self.offered = self._create("com.sun.star.frame.Desktop")
        self.filter_service = self._create("com.sun.star.document.FilterFactory")
        self.type_service = self._create("com.sun.star.document.TypeDetection")
        self.temp_dir = self._export_filters = self._import_filters = None

    def print_document(self, data: bytes, folder: Path, wanted: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        """``wanted``: ``kind``, and where known the ``name`` of the document and the ``locale`` of its sender. Told of
        it is whether it is ``tracked``.

        Raises:
            Exception: whatever LibreOffice or unoserver make of it.
        """
        kind, told, locale = KINDS[wanted["kind"]], {}, str(wanted.get("locale", ""))
        self._write_as(locale)
        source, target = folder / _file_name(str(wanted.get("name", "")), kind.name), folder / "printed.pdf"
        source.write_bytes(data)

        def opened(*_asked: Any) -> Any:
            document = self._opened(source, kind, _import_options(kind.name, data, locale))
            try:
                told.update(self._settled(document, kind.family, kind.name))
            except BaseException:
                document.close(True)
                raise
            return document

        self.desktop = SimpleNamespace(loadComponentFromURL=opened)
        how = {"filtername": WRITTEN_BY[kind.family], "filter_options": EXPORT, "update_index": False}
        UnoConverter.convert(self, inpath=str(source), outpath=str(target), **how)
        return target.read_bytes(), told

    def _opened(self, path: Path, kind: Kind, options: str) -> Any:
        how = {"Hidden": True, "MacroExecutionMode": NEVER_EXECUTE, "UpdateDocMode": NO_UPDATE}
        how |= {"FilterOptions": options} if options else {}
        for opened_by in (kind.opened_by, *kind.else_by):
            given = _values(how | {"FilterName": opened_by})
            if document := self.offered.loadComponentFromURL(path.as_uri(), "_default", 0, given):
                return document
        raise ValueError(f"not opened as {kind.name}")

    def _settled(self, document: Any, family: Family, kind: str) -> dict[str, Any]:
        if family is Family.TEXT:
            return {"tracked": self._made_final(document)}
        if family is Family.SHEET:
            fit(document, is_csv=kind == "csv")
        return {}

    def _made_final(self, document: Any) -> bool:
        """Whether there were tracked changes: all are accepted, and what cannot be is hidden. Names of files are shown
        without their folders."""
        tracked: bool = document.getRedlines().createEnumeration().hasMoreElements()
        if tracked:
            with suppress(Exception):
                document.RedlineProtectionKey = uno.ByteSequence(b"")
            dispatcher = self._create("com.sun.star.frame.DispatchHelper")
            frame = document.getCurrentController().getFrame()
            dispatcher.executeDispatch(frame, ".uno:AcceptAllTrackedChanges", "", 0, ())
            document.ShowChanges = False
        fields = document.getTextFields().createEnumeration()
        while fields.hasMoreElements():
            field = fields.nextElement()
            if field.supportsService(FILE_NAME):
                field.FileFormat = NAME_AND_EXT
        return tracked

    def _write_as(self, locale: str) -> None:
        """Numbers and dates as they are written where the sender is, where the document says nothing else."""
        provider = self._create("com.sun.star.configuration.ConfigurationProvider")
        writable = "com.sun.star.configuration.ConfigurationUpdateAccess"
        settings = provider.createInstanceWithArguments(writable, _values({"nodepath": "/org.openoffice.Setup/L10N"}))
        if settings.getByName("ooSetupSystemLocale") != locale:
            settings.replaceByName("ooSetupSystemLocale", locale)
            settings.commitChanges()

    def _create(self, service: str) -> Any:
        return self.service.createInstanceWithContext(service, self.context)


def _import_options(kind: str, data: bytes, locale: str) -> str:
    """For what does not say itself how it is to be read: both are UTF-8 by now."""
    if kind == "txt":
        return f"UTF8,LF,Liberation Mono,{locale},"
    if kind == "csv":
        columns = "/".join(f"{number}/2" for number in range(1, MOST_COLUMNS + 1))
        return f"{ord(separator_of(data))},34,76,1,{columns},,true,false"
    return ""


def separator_of(data: bytes) -> str:
    """What stands most evenly between the cells of the first lines."""
    lines = [line for line in data[:65_536].decode("utf-8", "replace").splitlines()[:20] if line.strip()]

    def evenness(sign: str) -> tuple[int, int]:
        counts = [line.count(sign) for line in lines]
        return min(counts, default=0), sum(counts)

    return max(";,\t|", key=evenness)


def _file_name(name: str, kind: str) -> str:
    """For documents that show the name of their file."""
    plain = "".join(sign for sign in Path(name).name if sign.isprintable() and sign not in '\\/:*?"<>|').lstrip(".")
    return plain.encode()[:200].decode("utf-8", "ignore") or f"document.{kind}"


def _values(pairs: dict[str, Any]) -> tuple[PropertyValue, ...]:
    return tuple(PropertyValue(Name=name, Value=value) for name, value in pairs.items())
