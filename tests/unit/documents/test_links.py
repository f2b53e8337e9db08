"""Links out of a document are cut, and nothing else of it."""

import io
import zipfile

import pytest

from app.adapters.documents.office_sources import settled
from tests.documents import docx_with, odt_with, zipped

X = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:t="urn:t" xmlns:draw="urn:d" xmlns:text="urn:x"'


def cut(xml: str | bytes, tmp_path, name: str = "content.xml") -> str:
    content = xml if isinstance(xml, bytes) else xml.encode()
    whole = settled(zipped({"mimetype": b"x", name: content}), "docx" if name.startswith("word/") else "odt", tmp_path)
    with zipfile.ZipFile(io.BytesIO(whole)) as package:
        assert package.namelist()[0] == "mimetype"
        return package.read(name).decode("utf-16" if b"\0" in package.read(name) else "utf-8")


@pytest.mark.parametrize(
    "link",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "&#102;ile:///etc/passwd",
        " file:///etc/passwd",
        "f\nile:///etc/passwd",
        "/proc/self/environ",
        "http://192.0.2.1/x.png",
        "smb://192.0.2.1/x",
        "../../proc/self/environ",
        "%2e%2e/x",
        "Pictures/../../x",
        "..\\x",
        "\\\\192.0.2.1\\x",
        "vnd.sun.star.script:x?language=Basic",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_would_be_loaded_from_elsewhere_is_cut(tmp_path, link: str, encoding: str) -> None:
    xml = f"<?xml version='1.0' encoding='{encoding}'?><t:x {X}><draw:image xlink:href='{link}' t:y='1'/></t:x>"
    came = cut(xml.encode(encoding), tmp_path)
    assert 'xlink:href=""' in came
    assert 't:y="1"' in came


@pytest.mark.parametrize("link", ["Pictures/1.png", "./Object 1", "#mark", "", "data:image/png;base64,AA", "a..b/c"])
def test_what_lies_in_the_document_stays(tmp_path, link: str) -> None:
    xml = f"<t:x {X}>\n<draw:image xlink:href='{link}'/></t:x>"
    assert cut(xml, tmp_path) == xml


@pytest.mark.parametrize("formula", ["TODAY()", "YEAR(NOW())", 'CELL("filename")', "IF(1,2,INFO(&quot;system&quot;))"])
def test_a_workbook_keeps_the_results_of_formulas_of_today_and_of_the_file(tmp_path, formula: str) -> None:
    cell, other = "<c><f>{}</f><v>{}</v></c>", "<c><f>1+KNOW(1)</f><v>2</v></c>"
    given = f"<s>{cell.format(formula, 36000)}{other}{cell.format(formula, '')}</s>"
    whole = settled(zipped({"xl/worksheets/sheet1.xml": given.encode()}), "xlsx", tmp_path)
    with zipfile.ZipFile(io.BytesIO(whole)) as package:
        [written] = [package.read(name).decode() for name in package.namelist()]
    assert written.count("<c><v>36000</v></c>") == 1
    assert other in written
    assert written.count("<f>") == 2, "and what has no result is worked out"
    ods = f"<t:x {X} xmlns:table='urn:t'><table:table-cell table:formula='of:={formula}'/></t:x>".replace('"file', '"f')
    assert 'table:formula=""' in cut(ods, tmp_path)


def test_a_slide_keeps_the_results_of_its_fields_but_for_its_number(tmp_path) -> None:
    field = '<a:fld id="1" type="{}"><a:t>{}</a:t></a:fld>'
    given = (
        f"<a:p>{field.format('slidenum', 1)}{field.format('file', 'a.pptx')}{field.format('datetime1', '1/2')}</a:p>"
    )
    whole = settled(zipped({"ppt/slides/slide1.xml": given.encode()}), "pptx", tmp_path)
    with zipfile.ZipFile(io.BytesIO(whole)) as package:
        written = package.read("ppt/slides/slide1.xml").decode()
    assert field.format("slidenum", 1) in written
    assert "<a:r><a:t>a.pptx</a:t></a:r><a:r><a:t>1/2</a:t></a:r>" in written


def test_a_field_of_the_file_that_does_not_say_how_shows_its_name_only(tmp_path) -> None:
    xml = f"<t:x {X}><text:file-name>x</text:file-name></t:x>"
    whole = settled(zipped({"mimetype": b"x", "content.xml": xml.encode()}), "ods", tmp_path)
    with zipfile.ZipFile(io.BytesIO(whole)) as package:
        assert 'text:display="name-and-extension"' in package.read("content.xml").decode()


def test_what_is_clicked_on_stays(tmp_path) -> None:
    xml = f"<t:x {X}><text:a xlink:href='https://example.org/'>see (there)</text:a></t:x>"
    assert cut(xml, tmp_path) == xml


@pytest.mark.parametrize(
    "xml",
    [
        "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
        "<!DOCTYPE x [<!ENTITY e 'file:///etc/passwd'>]><x href='&e;'/>",
        "<x><style>@import 'file:///etc/passwd'; b{fill:url(file:///etc/passwd)}</style></x>",
        "<x style='fill:url(\"file:///etc/passwd\")'/>",
        "<?xml-stylesheet href='file:///etc/passwd'?><x/>",
        "<x xmlns:o='urn:o' o:dde-application='soffice' o:dde-topic='/etc/passwd'/>",
        "<x xmlns:t='urn:t' t:formula=\"of:=['file:///etc/passwd'#$Sheet1.A1]\"/>",
        "<x xmlns:w='urn:w'><w:instrText> INCLUDETEXT /etc/passwd</w:instrText></x>",
        "<x xmlns:w='urn:w' w:instr='DDEAUTO soffice /etc/passwd'/>",
        "<x xmlns:v='urn:v'><v:imagedata src='file:///etc/passwd'/></x>",
    ],
)
def test_no_other_way_to_name_a_file_is_left(tmp_path, xml: str) -> None:
    assert "passwd" not in cut(xml, tmp_path)


def test_style_that_stays_within_the_document_stays(tmp_path) -> None:
    xml = "<x><style>a{fill:url(#g)}</style><r fill='url(#g)' w=\"translate(1 2)\"/></x>"
    assert cut(xml, tmp_path) == xml


def test_relationships_that_lead_out_go_and_hyperlinks_stay(tmp_path) -> None:
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    xml = (
        "<Relationships>"
        f"<Relationship Id='a' Type='{kind}/image' Target='file:///etc/passwd' TargetMode='External'/>"
        f"<Relationship Id='b' Type='{kind}/attachedTemplate' Target='http://192.0.2.1/t.dot' TargetMode='External'/>"
        f"<Relationship Id='c' Type='{kind}/aFChunk' Target='/word/x.html'/>"
        f"<Relationship Id='d' Type='{kind}/hyperlink' Target='https://example.org' TargetMode='External'/>"
        f"<Relationship Id='e' Type='{kind}/styles' Target='/word/styles.xml'/>"
        "</Relationships>"
    )
    came = cut(xml, tmp_path, "word/_rels/document.xml.rels")
    assert [name for name in "abcde" if f'Id="{name}"' in came] == ["d", "e"]


def test_a_document_within_the_document_is_cut_too(tmp_path) -> None:
    inner = zipped({"content.xml": f"<t:x {X} xlink:href='file:///etc/passwd'/>".encode()})
    whole = settled(zipped({"mimetype": b"x", "Object 1": inner}), "odt", tmp_path)
    with zipfile.ZipFile(io.BytesIO(whole)) as package, zipfile.ZipFile(io.BytesIO(package.read("Object 1"))) as within:
        assert b"passwd" not in within.read("content.xml")


@pytest.mark.parametrize("data", [docx_with("x"), odt_with("x"), b"no document", odt_with("x")[:200]])
def test_what_has_no_links_or_cannot_be_read_is_given_on_as_it_is(tmp_path, data: bytes) -> None:
    assert settled(data, "odt", tmp_path) == data
