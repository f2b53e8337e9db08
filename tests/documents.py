"""Documents made by code for the tests of preparation; none is anybody else's file."""

import io
import zipfile
from pathlib import Path

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

ODT_TYPE = "application/vnd.oasis.opendocument.text"
MANIFEST = (
    '<?xml version="1.0"?><manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" '
    'manifest:version="1.2"><manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml">{more}'
    "</manifest:file-entry></manifest:manifest>"
)
ENCRYPTION = '<manifest:encryption-data manifest:checksum-type="SHA1/1K" manifest:checksum="x"/>'
CONTENT = (
    '<?xml version="1.0"?><office:document-content office:version="1.2" '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink"><office:body><office:text>{body}</office:text></office:body>'
    "</office:document-content>"
)
WORD_PICTURE = (
    '<w:drawing xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
    'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture">'
    '<wp:inline><wp:extent cx="2000000" cy="2000000"/><wp:docPr id="1" name="p"/><a:graphic>'
    '<a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:pic>'
    '<pic:nvPicPr><pic:cNvPr id="0" name="p"/><pic:cNvPicPr/></pic:nvPicPr>'
    '<pic:blipFill><a:blip r:link="{rel}"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill>'
    '<pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="2000000" cy="2000000"/></a:xfrm>'
    '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr>'
    "</pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing>"
)


def pdf(*, pages: int = 1, size: tuple[float, float] = A4, text: str = "Page", password: str | None = None) -> bytes:
    target = io.BytesIO()
    page = canvas.Canvas(target, pagesize=size, encrypt=password)
    for number in range(1, pages + 1):
        page.drawString(50, size[1] - 60, f"{text} {number}")
        page.showPage()
    page.save()
    return target.getvalue()


def docx_with(*paragraphs: str, linked_picture: str | None = None) -> bytes:
    document = docx.Document()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    if linked_picture:
        link = document.part.relate_to(linked_picture, RELATIONSHIP_TYPE.IMAGE, is_external=True)
        document.add_paragraph().add_run()._r.append(parse_xml(WORD_PICTURE.format(rel=link)))
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def odt_with(
    *paragraphs: str, linked_picture: str | None = None, kind: str = ODT_TYPE, encrypted: bool = False
) -> bytes:
    body = "".join(f"<text:p>{paragraph}</text:p>" for paragraph in paragraphs)
    if linked_picture:
        body += (
            '<text:p><draw:frame text:anchor-type="as-char" svg:width="5cm" svg:height="5cm">'
            f'<draw:image xlink:href="{linked_picture}" xlink:type="simple" xlink:show="embed" '
            'xlink:actuate="onLoad"/></draw:frame></text:p>'
        )
    return zipped(
        {
            "mimetype": kind.encode(),
            "META-INF/manifest.xml": MANIFEST.format(kind=kind, more=ENCRYPTION if encrypted else "").encode(),
            "content.xml": CONTENT.format(body=body).encode(),
        }
    )


TRACKED = (
    '<w:p xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:r><w:t xml:space="preserve">The sum is </w:t></w:r>'
    '<w:del w:id="1" w:author="A" w:date="2026-01-01T00:00:00Z"><w:r><w:delText>DELETEDWORD</w:delText></w:r></w:del>'
    '<w:ins w:id="2" w:author="B" w:date="2026-01-01T00:00:00Z"><w:r><w:t>INSERTEDWORD</w:t></w:r></w:ins></w:p>'
)


WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
MARK = '<w:r><w:fldChar w:fldCharType="{0}"/></w:r>'


def word_field(instruction: str, result: str, *, whole: bool = True) -> str:
    """A field of Word with the result that it had when the document was saved; ``whole``: in a paragraph of its own."""
    does = f'<w:r><w:instrText xml:space="preserve">{instruction}</w:instrText></w:r>'
    shows = f"{MARK.format('separate')}<w:r><w:t>{result}</w:t></w:r>{MARK.format('end')}"
    field = f"{MARK.format('begin')}{does}{shows}"
    return f"<w:p {WORD}>{field}</w:p>" if whole else field


def docx_in(font: str) -> bytes:
    return docx_of(
        f'<w:p {WORD}><w:r><w:rPr><w:rFonts w:ascii="{font}" w:hAnsi="{font}"/></w:rPr><w:t>Offer 2041</w:t></w:r></w:p>'
    )


def docx_of(*body: str, comment: tuple[str, str] | None = None) -> bytes:
    """A DOCX with these paragraphs as they stand in its XML, and one with a comment on it: its text, and the comment."""
    document = docx.Document()
    for paragraph in body:
        document.element.body.insert(-1, parse_xml(paragraph))
    if comment:
        document.add_comment(document.add_paragraph(comment[0]).runs, comment[1], author="A")
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def odp_with(*slides: str) -> bytes:
    """One page for each, with its text in a frame."""
    frame = '<draw:frame svg:width="9cm" svg:height="3cm" svg:x="1cm" svg:y="1cm"><draw:text-box><text:p>{0}</text:p></draw:text-box></draw:frame>'
    pages = "".join(f'<draw:page draw:name="{text}">{frame.format(text)}</draw:page>' for text in slides)
    return _odf("presentation", pages)


def ods_with(
    columns: int,
    layout: str,
    *,
    value: str = "",
    last: str = "some words",
    paper: tuple[str, str] = ("21cm", "29.7cm"),
) -> bytes:
    """One row of so many wide cells, or of one number; ``layout`` are properties of its page, ``last`` are the words in
    the last cell."""
    cell = f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
    words = ["some words"] * (columns - 1) + [last]
    row = cell if value else "".join(f"<table:table-cell><text:p>{said}</text:p></table:table-cell>" for said in words)
    page = f'<style:page-layout style:name="P"><style:page-layout-properties fo:page-width="{paper[0]}" fo:page-height="{paper[1]}" {layout}/></style:page-layout>'
    styles = (
        f'<office:document-styles {ODF_SPACES} office:version="1.2"><office:automatic-styles>{page}</office:automatic-styles>'
        '<office:master-styles><style:master-page style:name="M" style:page-layout-name="P"/></office:master-styles>'
        "</office:document-styles>"
    )
    style = '<office:automatic-styles><style:style style:name="T" style:family="table" style:master-page-name="M"/></office:automatic-styles>'
    table = f'<table:table table:name="A" table:style-name="T"><table:table-row>{row}</table:table-row></table:table>'
    return _odf("spreadsheet", table, before=style, styles=styles)


ODF_SPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in {
        **{name: name for name in ("office", "text", "style", "table", "presentation")},
        **{"draw": "drawing", "svg": "svg-compatible", "fo": "xsl-fo-compatible"},
    }.items()
)


def _odf(kind: str, body: str, *, before: str = "", styles: str = "") -> bytes:
    content = (
        f'<?xml version="1.0"?><office:document-content {ODF_SPACES} office:version="1.2">{before}<office:body>'
        f"<office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    )
    whole = f"application/vnd.oasis.opendocument.{kind}"
    entries = {"mimetype": whole.encode(), "content.xml": content.encode()}
    listed = ""
    if styles:
        entries["styles.xml"] = styles.encode()
        listed = (
            '</manifest:file-entry><manifest:file-entry manifest:full-path="styles.xml" manifest:media-type="text/xml">'
        )
    entries["META-INF/manifest.xml"] = MANIFEST.format(kind=whole, more=listed).encode()
    return zipped(entries)


def zipped(entries: dict[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data, zipfile.ZIP_STORED if name == "mimetype" else compression)
    return target.getvalue()


def written(folder: Path, data: bytes, name: str = "document") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
