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
