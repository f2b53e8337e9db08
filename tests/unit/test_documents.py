import struct
import zipfile
import zlib
from pathlib import Path

import pikepdf
import pytest

from app.adapters.documents import Limits, inspect
from app.errors import Refused
from tests.documents import docx_with, odt_with, pdf, written, zipped

DOCX_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Override PartName="/{part}" ContentType="application/{kind}"/></Types>'
)
FLAT_ODT = b'<?xml version="1.0"?><office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"/>'


def refusal_of(folder: Path, data: bytes, *, name: str = "letter.doc", limits: Limits | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        inspect(written(folder, data, name), limits=limits)
    return caught.value


def word_package(kind: str, part: str = "word/document.xml") -> bytes:
    types = DOCX_TYPES.format(kind=kind, part=part).encode()
    return zipped({"[Content_Types].xml": types, part: b"<document/>"})


def test_a_pdf_is_recognised_under_any_name_and_its_pages_are_counted(tmp_path):
    facts = inspect(written(tmp_path, pdf(pages=3), "letter.docx"))
    assert (facts.kind, facts.pages) == ("pdf", 3)


def test_docx_and_odt_are_recognised_by_content(tmp_path):
    assert inspect(written(tmp_path, docx_with("Hello"), "a.pdf")).kind == "docx"
    assert inspect(written(tmp_path, odt_with("Hello"), "b.pdf")).kind == "odt"


def test_a_word_document_with_macros_is_taken_and_said_to_have_them(tmp_path):
    facts = inspect(written(tmp_path, word_package("vnd.ms-word.document.macroEnabled.main+xml")))
    assert (facts.kind, facts.macros) == ("docx", True)


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b" \r\n\t"])
def test_a_file_with_nothing_in_it_is_empty(tmp_path, data):
    assert refusal_of(tmp_path, data).code == "empty"


@pytest.mark.parametrize(
    ("data", "looks_like"),
    [
        (b"{\\rtf1 hello}", "rtf"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "png"),
        (b"MZ" + b"\0" * 100, "program"),
        (b"just some words", "text"),
        (zipped({"a.txt": b"x"}), "zip"),
        (odt_with("x", kind="application/vnd.oasis.opendocument.spreadsheet"), "spreadsheet"),
        (word_package("vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml", "xl/workbook.xml"), "xlsx"),
        (
            word_package("vnd.openxmlformats-officedocument.presentationml.presentation.main+xml", "ppt/a.xml"),
            "pptx",
        ),
    ],
)
def test_another_type_is_refused_with_what_it_looks_like(tmp_path, data, looks_like):
    refused = refusal_of(tmp_path, data)
    assert (refused.code, refused.values["looks_like"]) == ("wrong_type", looks_like)


@pytest.mark.parametrize(
    "data",
    [
        b"<html><img src='http://127.0.0.1/x'></html>",
        b"\xef\xbb\xbf  <!DOCTYPE html><p>",
        "<html><body>".encode("utf-16"),
        b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n",
        b"<html>%PDF-1.4 no it is not</html>",
        b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>',
    ],
)
def test_a_web_page_under_a_word_name_is_refused(tmp_path, data):
    assert refusal_of(tmp_path, data).code == "html_as_document"


@pytest.mark.parametrize(
    "data", [FLAT_ODT, b'<w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"/>']
)
def test_flat_xml_under_an_office_name_is_refused(tmp_path, data):
    assert refusal_of(tmp_path, data, name="letter.odt").code == "flat_xml_as_document"


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
