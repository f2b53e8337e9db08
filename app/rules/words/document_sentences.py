"""What is said of documents: which kinds are taken, why one is not, what a person should know before it goes out."""

from collections.abc import Iterable
from typing import Any

from babel.lists import format_list
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.kinds import CALLED, KINDS, Family
from app.models import Fax

#: Why a document cannot be faxed, at the form or when it is prepared, each with what to do about it.
DOCUMENT_REFUSALS = {
    "document_missing": _l("Choose the document: %(kinds)s."),
    "wrong_type": _l("This file is not of a kind that can be faxed: %(kinds)s. Save it as PDF and choose that."),
    "encrypted": _l("%(this)s has a password. Save it without one and choose it again."),
    "rights_managed": _l(
        "This document is protected by rights management, so only certain people can open it. Ask its author for an "
        "unprotected copy and choose that."
    ),
    "portfolio": _l(
        "This PDF is a portfolio: a cover page with documents attached. Open it and send those documents as PDF files."
    ),
    "xfa_form": _l(
        "This is a dynamic form that only Adobe Acrobat Reader can display. Open it there, print it to PDF and "
        "choose that."
    ),
    "empty": _l("This file is empty. Choose another one."),
    "damaged": _l("%(this)s has damaged data and cannot be read. Open it, save it as PDF and choose that."),
    "too_many_pages": _l("%(this)s has more than %(limit)s pages. Split it and send the parts."),
    "sheet_too_wide": _l(
        "The sheet “%(sheet)s” is so wide that it needs more than %(limit)s pages side by side. Set a print area with "
        "the cells to send, save the file and choose it again."
    ),
    "too_large": _l("This file is larger than %(limit)s MB. Save it with smaller pictures, or split it."),
    "too_many_pixels": _l("%(this)s is too large to be drawn. Save it as PDF in A4 and choose that."),
    "unpacked_too_large": _l("This document is too large when unpacked. Save it as PDF and choose that."),
    "conversion_timed_out": _l("%(this)s took too long to convert. Save it as PDF and send that."),
    "office_unconfined": _l(
        "Only PDFs and pictures can be opened safely on this installation. Save the document as PDF and send that."
    ),
    "no_pages": _l("%(this)s has no page to send."),
    "many_sheet_pages": _l("This spreadsheet has %(pages)s pages, so nothing was sent."),
}

#: What a file was recognised as that is not taken → what it is and what to do.
WRONG_TYPES = {
    "html": _l("This is a web page. Print it to PDF and choose that."),
    "svg": _l("This is an SVG drawing. Export it as PDF and choose that."),
    "xml": _l("This is an XML file. Open it in its program, save it as PDF and choose that."),
    "email": _l("This is an email. Print it to PDF and choose that."),
    "pgp": _l("This is a PGP message, key or signature. Decrypt it and choose the document inside."),
    "text": _l(
        "This is a text file, although its name says otherwise. Choose the document itself, or rename the file to end"
        " in .txt."
    ),
    "program": _l("This is a program, not a document. Choose the document."),
    "zip": _l("This is a ZIP archive. Unpack it and choose a document in it."),
    "archive": _l("This is an archive. Unpack it and choose a document in it."),
    "iwork": _l("This is a document from Pages, Numbers or Keynote. Export it as PDF there and choose that."),
    "wordperfect": _l("This is a WordPerfect document. Save it as PDF and choose that."),
    "works": _l("This is a document from Microsoft Works. Save it as PDF and choose that."),
    "publisher": _l("This is a document from Microsoft Publisher. Save it as PDF and choose that."),
    "openoffice": _l("This is a document from OpenOffice 1. Save it as PDF and choose that."),
    "opendocument": _l("This kind of OpenDocument file cannot be faxed. Save it as PDF and choose that."),
    "drawing": _l("This is a drawing. Export it as PDF and choose that."),
    "formula": _l("This is a formula. Save it as PDF and choose that."),
    "chart": _l("This is a chart. Save it as PDF and choose that."),
    "database": _l("This is a database. Print what you want to send to PDF and choose that."),
    "add-in": _l("This is an add-in for an office program, not a document. Choose the document."),
    "ebook": _l("This is an e-book. Print the pages you want to send to PDF and choose that."),
    "xps": _l("This is an XPS document. Print it to PDF and choose that."),
    "postscript": _l("This is a PostScript file. Convert it to PDF and choose that."),
    "djvu": _l("This is a DjVu document. Print it to PDF and choose that."),
    "photoshop": _l("This is a Photoshop file. Export it as PDF or JPEG and choose that."),
    "avif": _l("This is an AVIF picture. Save it as JPEG or PNG and choose that."),
    "film": _l("This is a video or sound file, not a document. Choose the document."),
    "sound": _l("This is a video or sound file, not a document. Choose the document."),
    "help": _l("This is a help file. Print the pages you want to send to PDF and choose that."),
}

#: Kinds that are told by more than their name.
_THESE = {
    "pdf": _l("This PDF"),
    "odt": _l("This OpenDocument text"),
    "ods": _l("This OpenDocument spreadsheet"),
    "odp": _l("This OpenDocument presentation"),
    "rtf": _l("This RTF text"),
    "txt": _l("This text file"),
    "csv": _l("This CSV table"),
}
_THESE_OF = {
    Family.TEXT: _l("This Word document"),
    Family.SHEET: _l("This Excel workbook"),
    Family.SLIDES: _l("This PowerPoint presentation"),
}


class DocumentWords(dict[str, Any]):
    """The values of a sentence; ``kinds`` and ``this`` are worked out if it needs them."""

    def __missing__(self, name: str) -> str:
        if name == "kinds":
            return kinds_text()
        if name == "this":
            return this_text(self.get("kind"))
        raise KeyError(name)


def kinds_text() -> str:
    """What may be faxed, as people call it: PDF, Word, … or BMP."""
    return format_list(CALLED, "or", locale=get_locale() or "en_GB")


def this_text(name: str | None) -> str:
    """A document as the subject of a sentence, by the name of its kind."""
    if (kind := KINDS.get(name or "")) is None:
        return _("This document")
    if kind.family is Family.PICTURE:
        return _("This %(format)s picture", format=kind.called)
    return str(_THESE.get(kind.name) or _THESE_OF[kind.family])


#: Characters that are shown at the most; the rest are counted.
SHOWN = 12

#: The kind of a warning → its sentence. The values come with the warning (``Document.warnings``).
WARNINGS = {
    "tracked_changes": _l(
        "This document has tracked changes. The fax shows its final text: insertions are in it, deletions are not."
    ),
}


def warning_texts(warnings: Iterable[dict[str, Any]] | None) -> list[str]:
    """In words, each once, in the language of the reader. One of a kind that is not known here says nothing."""
    return list(dict.fromkeys(filter(None, map(_text, warnings or []))))


def _text(warning: dict[str, Any]) -> str:
    values = {name: value for name, value in warning.items() if name != "kind"}
    if warning.get("kind") == "missing_characters":
        return _missing(values["characters"])
    text = WARNINGS.get(warning.get("kind", ""))
    return str(text) % values if text else ""


def _missing(characters: str) -> str:
    shown, more = " ".join(characters[:SHOWN]), len(characters) - SHOWN
    if more > 0:
        return _(
            "No font here has these characters and %(more)s more, so the fax shows empty boxes in their place: "
            "%(shown)s. Save the document as PDF on your computer and send that.",
            shown=shown,
            more=more,
        )
    return _(
        "No font here has these characters, so the fax shows empty boxes in their place: %(shown)s. Save the document "
        "as PDF on your computer and send that.",
        shown=shown,
    )


def warnings_of(fax: Fax) -> list[str]:
    """Of all documents that the fax was made of, in words."""
    documents = [document for document in (fax.source, fax.pdf, fax.tiff) if document]
    return warning_texts(warning for document in documents for warning in document.warnings or [])
