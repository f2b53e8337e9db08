import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from app.adapters.documents.documents import Limits, inspect
from app.errors import Refused
from app.kinds import KINDS, Family
from tests.documents import TRACKED, docx_of, docx_with, odt_with, pdf, written, zipped

DOCX_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/{part}" ContentType="application/{kind}"/></Types>'
)
FLAT_ODT = b'<?xml version="1.0"?><office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"/>'


def refusal_of(folder: Path, data: bytes, *, name: str = "letter.doc", limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        inspect(written(folder, data, name), name=name, limits=limits)
    return caught.value


def word_package(kind: str, part: str = "word/document.xml") -> bytes:
    types = DOCX_TYPES.format(kind=kind, part=part).encode()
    return zipped({"[Content_Types].xml": types, part: b"<document/>"})


def changed(folder: Path, change: Callable[[pikepdf.Pdf], None], **made: object) -> bytes:
    """A PDF of ours after ``change``."""
    with pikepdf.open(written(folder, pdf(**made), "before.pdf")) as document:
        change(document)
        document.save(folder / "after.pdf")
    return (folder / "after.pdf").read_bytes()


WAIT = "Please wait... If this message is not eventually replaced by the proper contents of the document, your PDF"
LETTER = "Dear Alice, the goods that you ordered will be with you on Tuesday between eight and twelve. " * 4


def test_a_pdf_is_recognised_under_any_name_and_its_pages_are_counted(tmp_path):
    facts = inspect(written(tmp_path, pdf(pages=3), "letter.docx"))
    assert (facts.kind, facts.pages) == ("pdf", 3)


def test_docx_and_odt_are_recognised_by_content(tmp_path):
    assert inspect(written(tmp_path, docx_with("Hello"), "a.pdf")).kind == "docx"
    assert inspect(written(tmp_path, odt_with("Hello"), "b.pdf")).kind == "odt"


def test_a_word_document_with_macros_is_taken_and_said_to_have_them(tmp_path):
    facts = inspect(written(tmp_path, word_package("vnd.ms-word.document.macroEnabled.main+xml")))
    assert (facts.kind, facts.macros) == ("docx", True)


def test_a_document_with_tracked_changes_says_so(tmp_path):
    changed = "</text:p><text:tracked-changes><text:changed-region/></text:tracked-changes><text:p>"
    for data in (docx_of(TRACKED), odt_with(changed)):
        assert inspect(written(tmp_path, data)).warnings == [{"kind": "tracked_changes"}]
    for data in (docx_with("x"), odt_with("x")):
        assert inspect(written(tmp_path, data)).warnings == []


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b" \r\n\t"])
def test_a_file_with_nothing_in_it_is_empty(tmp_path, data):
    assert refusal_of(tmp_path, data).code == "empty"


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (b"MZ" + b"\0" * 100, "program"),
        (b"\xffWPC" + b"\0" * 100, "wordperfect"),
        (b"\0\1\2\3 of some other kind", "unknown"),
        (b"From: a@b.test\r\nSubject: x\r\n\r\nHello", "email"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "svg"),
        (zipped({"a.txt": b"x"}), "zip"),
        (zipped({"Index/Document.iwa": b"x"}), "iwork"),
        (odt_with("x", kind="application/vnd.oasis.opendocument.graphics"), "drawing"),
        (zipped({"mimetype": b"application/epub+zip"}), "ebook"),
        (b"<html><img src='http://127.0.0.1/x'></html>", "html"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><p>", "html"),
        ("<html><body>".encode("utf-16"), "html"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n", "html"),
        (b"<html>%PDF-1.4 no it is not</html>", "html"),
        (b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', "html"),
        (FLAT_ODT, "xml"),
        (b"-----BEGIN PGP MESSAGE-----\n\nabc", "pgp"),
        (b'<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"/>', "xml"),
    ],
)
def test_what_is_not_taken_is_refused_with_what_it_is_whatever_its_name(tmp_path, data, looks_like):
    refused = refusal_of(tmp_path, data, name="letter.docx")
    assert (refused.code, refused.values["looks_like"]) == ("wrong_type", looks_like)


@pytest.mark.parametrize("name", ["words.pdf", "words.DOCX", "letter.pdf.pgp", "letter.jpg", "mail.p7m"])
def test_a_text_that_is_named_otherwise_is_no_document(tmp_path, name):
    assert refusal_of(tmp_path, b"\x85 only words", name=name).values["looks_like"] == "text"


@pytest.mark.parametrize(("name", "kind"), [("a.txt", "txt"), ("read.me", "txt"), ("words", "txt"), ("a.csv", "csv")])
def test_a_text_is_what_its_name_says(tmp_path, name, kind):
    assert inspect(written(tmp_path, b"a;b\n", name), name=name).kind == kind


def test_what_is_taken_is_taken_under_any_name(tmp_path):
    spreadsheet = word_package("vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml", "xl/workbook.xml")
    slides = word_package("vnd.openxmlformats-officedocument.presentationml.presentation.main+xml", "ppt/a.xml")
    template = word_package("vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml", "word/a.xml")
    macros = word_package("vnd.ms-excel.sheet.macroEnabled.main+xml", "xl/workbook.xml")
    given = {
        "rtf": b"{\\rtf1 hello}",
        "txt": b"just some words",
        "xlsx": spreadsheet,
        "pptx": slides,
        "docx": template,
        "ods": odt_with("x", kind="application/vnd.oasis.opendocument.spreadsheet"),
        "odp": odt_with("x", kind="application/vnd.oasis.opendocument.presentation-template"),
    }
    assert {kind: inspect(written(tmp_path, data, "letter.doc")).kind for kind, data in given.items()} == {
        kind: kind for kind in given
    }
    assert inspect(written(tmp_path, macros, "a.doc")).macros
    assert inspect(written(tmp_path, b"a;b\n1;2\n"), name="prices.CSV").kind == "csv"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "HEIF", "GIF", "BMP"])
def test_a_picture_is_taken_and_a_half_one_is_damaged(tmp_path, format):
    target = io.BytesIO()
    Image.effect_noise((300, 200), 90).convert("RGB").save(target, format=format)
    data = target.getvalue()
    facts = inspect(written(tmp_path, data, "picture.pdf"))
    assert (KINDS[facts.kind].family, facts.pages) == (Family.PICTURE, 1)
    half = refusal_of(tmp_path, data[: len(data) // 2])
    assert (half.code, half.values["kind"]) == ("damaged", facts.kind)
    small = Limits(pixels=1000)
    assert refusal_of(tmp_path, data, limits=small).code == "too_many_pixels"


def test_characters_that_no_font_draws_are_told_at_once(tmp_path):
    [warning] = inspect(written(tmp_path, docx_with("Cuneiform \U00012000 and Italian è"))).warnings
    assert warning == {"kind": "missing_characters", "characters": "\U00012000"}
    assert inspect(written(tmp_path, "中文 한국어 日本語 ไทย नमस्ते שלום سلام ₤ €".encode())).warnings == []


def test_what_needs_a_password_is_refused_as_encrypted(tmp_path):
    assert refusal_of(tmp_path, pdf(password="secret")).code == "encrypted"
    assert refusal_of(tmp_path, odt_with("x", encrypted=True)).code == "encrypted"
    locked = bytearray(odt_with("x"))
    for header, flags_at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = locked.find(header)
        while at >= 0:
            locked[at + flags_at] |= 1
            at = locked.find(header, at + 4)
    assert refusal_of(tmp_path, bytes(locked)).code == "encrypted"


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\nnothing of the kind",
        pdf()[:400],
        docx_with("x")[:2000],
        odt_with("x")[:300],
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600,
        zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<a><b></a>"}),
    ],
)
def test_a_broken_file_is_damaged(tmp_path, data):
    assert refusal_of(tmp_path, data).code == "damaged"


def test_entities_in_a_document_are_not_expanded_but_refused(tmp_path):
    bomb = b'<!DOCTYPE a [<!ENTITY b "cccccccccc"><!ENTITY d "&b;&b;&b;">]><a>&d;</a>'
    data = zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": bomb})
    assert refusal_of(tmp_path, data).code == "damaged"


def test_limits_on_bytes_pages_and_page_size_name_the_limit(tmp_path):
    too_large = refusal_of(tmp_path, b"%PDF-" + b"x" * 3_000_000, limits=Limits(bytes=2 * 1024 * 1024))
    assert (too_large.code, too_large.values["limit"]) == ("too_large", 2)
    too_many = refusal_of(tmp_path, pdf(pages=4), limits=Limits(pages=3))
    assert (too_many.code, too_many.values["limit"]) == ("too_many_pages", 3)
    assert refusal_of(tmp_path, pdf(size=(20_000, 300))).code == "too_many_pixels"


def test_a_picture_of_absurd_size_is_refused_before_it_is_unpacked(tmp_path):
    size = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + size + struct.pack(">I", zlib.crc32(size))
    header += struct.pack(">I", 100) + b"IDAT" + b"\0" * 104
    entries = {"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b"<a/>", "Pictures/a.png": header}
    assert refusal_of(tmp_path, zipped(entries)).code == "too_many_pixels"


def test_a_pdf_with_a_picture_of_absurd_size_is_refused(tmp_path):
    with pikepdf.open(written(tmp_path, pdf(), "a.pdf")) as document:
        picture = pikepdf.Stream(document, b"\0")
        picture.update({"/Type": pikepdf.Name.XObject, "/Subtype": pikepdf.Name.Image, "/Width": 90_000})
        picture["/Height"] = 90_000
        document.pages[0].Resources.XObject = pikepdf.Dictionary(Im=document.make_indirect(picture))
        document.save(tmp_path / "b.pdf")
    assert refusal_of(tmp_path, (tmp_path / "b.pdf").read_bytes()).code == "too_many_pixels"


def test_a_zip_bomb_is_refused_by_what_it_claims(tmp_path):
    data = zipped({"[Content_Types].xml": b"x", "word/document.xml": b"\0" * 20_000_000})
    assert refusal_of(tmp_path, data, limits=Limits(unpacked_bytes=10_000_000)).code == "unpacked_too_large"
    many = zipped({f"{number}": b"" for number in range(60)})
    assert refusal_of(tmp_path, many, limits=Limits(entries=50)).code == "unpacked_too_large"


def test_a_zip_that_lies_about_its_size_does_not_get_past(tmp_path):
    data = bytearray(zipped({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b" " * 20_000_000}))
    directory = data.rfind(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 10)
    refused = refusal_of(tmp_path, bytes(data), limits=Limits(unpacked_bytes=10_000_000))
    assert refused.code in ("unpacked_too_large", "damaged")


def test_a_doc_without_a_word_document_stream_is_not_one(tmp_path):
    assert zipfile.is_zipfile(written(tmp_path, docx_with("x")))
    assert refusal_of(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1").code == "damaged"


# ---- PDFs whose pages only stand for something else


def made_a_form(*, fields: bool = False, rendered_anew: bool = False) -> Callable[[pikepdf.Pdf], None]:
    def change(document: pikepdf.Pdf) -> None:
        xfa = document.make_stream(b"<xdp:xdp xmlns:xdp='http://ns.adobe.com/xdp/'/>")
        document.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array(), XFA=xfa)
        if rendered_anew:
            document.Root.NeedsRendering = True
        if fields:
            rect = pikepdf.Array([50, 50, 200, 70])
            field = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, Rect=rect)
            field.FT, field.T = pikepdf.Name.Tx, "name"
            document.pages[0].Annots = document.Root.AcroForm.Fields = pikepdf.Array([document.make_indirect(field)])

    return change


def with_attachments(
    *names: str, collection: dict[str, object] | None = None, relationship: str | None = None
) -> Callable[[pikepdf.Pdf], None]:
    def change(document: pikepdf.Pdf) -> None:
        for name in names:
            document.attachments[name] = pikepdf.AttachedFileSpec(document, b"%PDF-1.4", filename=name)
            if relationship:
                document.attachments[name].obj["/AFRelationship"] = pikepdf.Name(relationship)
        if collection is not None:
            document.Root.Collection = pikepdf.Dictionary(collection)

    return change


@pytest.mark.parametrize("rendered_anew", [True, False])
def test_a_form_that_only_says_please_wait_is_refused(tmp_path, rendered_anew):
    data = changed(tmp_path, made_a_form(rendered_anew=rendered_anew), text=WAIT)
    assert refusal_of(tmp_path, data).code == "xfa_form"


@pytest.mark.parametrize("rendered_anew", [True, False])
def test_a_form_with_fields_on_real_pages_is_taken(tmp_path, rendered_anew):
    data = changed(tmp_path, made_a_form(fields=True, rendered_anew=rendered_anew), text=LETTER)
    assert inspect(written(tmp_path, data)).pages == 1


def test_a_form_that_was_made_plain_pages_is_taken_though_its_xfa_was_left_in(tmp_path):
    assert inspect(written(tmp_path, changed(tmp_path, made_a_form(), text=LETTER))).pages == 1
    assert inspect(written(tmp_path, changed(tmp_path, made_a_form(), text="Page", pages=2))).pages == 2


def test_a_portfolio_is_refused_for_its_cover(tmp_path):
    data = changed(tmp_path, with_attachments("offer.pdf", collection={}), text="For the best experience, open this")
    assert refusal_of(tmp_path, data).code == "portfolio"


@pytest.mark.parametrize("collection", [None, {"/View": pikepdf.Name.H}, {}])
def test_a_letter_with_attachments_is_taken(tmp_path, collection):
    data = changed(tmp_path, with_attachments("offer.pdf", collection=collection), text=LETTER)
    assert inspect(written(tmp_path, data)).kind == "pdf"


@pytest.mark.parametrize(
    ("name", "relationship"),
    [("payload.pdf", "/EncryptedPayload"), ("MicrosoftIRMServices Protected PDF.pdf", None)],
)
def test_the_wrapper_of_a_protected_document_is_refused(tmp_path, name, relationship):
    wrapped = with_attachments(name, collection={"/View": pikepdf.Name.H}, relationship=relationship)
    assert refusal_of(tmp_path, changed(tmp_path, wrapped, text=LETTER)).code == "rights_managed"


@pytest.mark.parametrize("handler", ["Adobe.APS", "MicrosoftIRMServices", "FOPN_foweb", "Adobe.PubSec"])
def test_a_document_that_no_password_opens_is_refused_for_its_rights(tmp_path, handler):
    data = pdf(password="secret").replace(b"/Filter /Standard", f"/Filter /{handler}".encode())
    assert refusal_of(tmp_path, data).code == "rights_managed"


def test_a_page_may_be_long_by_its_user_unit_but_not_without_end(tmp_path):
    def enlarge(unit: float) -> Callable[[pikepdf.Pdf], None]:
        def change(document: pikepdf.Pdf) -> None:
            document.pages[0].obj["/UserUnit"] = unit

        return change

    assert inspect(written(tmp_path, changed(tmp_path, enlarge(10), size=(59.5, 84.2)))).pages == 1
    assert refusal_of(tmp_path, changed(tmp_path, enlarge(10), size=(300, 14_000))).code == "too_many_pixels"
