"""Documents that are small, pass every limit and take minutes: what holds up whoever prepares them in order."""

import io
import zipfile
import zlib
from collections.abc import Callable

import docx


def _pdf(content: bytes, resources: bytes = b"", *objects: bytes) -> bytes:
    """One page of A4. ``objects`` are numbered from 5 on."""
    packed = zlib.compress(content, 9)
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<" + resources + b">>>>",
        b"<</Length %d/Filter/FlateDecode>>stream\n" % len(packed) + packed + b"\nendstream",
        *objects,
    ]
    out, offsets = io.BytesIO(b"%PDF-1.7\n"), []
    out.seek(0, io.SEEK_END)
    for number, part in enumerate(parts, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj" % number + part + b"endobj\n")
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(parts) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
    out.write(b"trailer<</Size %d/Root 1 0 R>>startxref\n%d\n%%%%EOF" % (len(parts) + 1, start))
    return out.getvalue()


def shadings(count: int = 20_000) -> bytes:
    """The whole page filled again and again with a radial shading."""
    function = b"<</FunctionType 2/Domain[0 1]/C0[1 0 0]/C1[0 0 1]/N 1>>"
    shading = b"<</ShadingType 3/ColorSpace/DeviceRGB/Coords[300 400 0 300 400 500]/Extend[true true]/Function 5 0 R>>"
    return _pdf(b"/S sh\n" * count, b"/Shading<</S 6 0 R>>", function, shading)


def paths(count: int = 6_000) -> bytes:
    """Outlines of five hundred curves each, across the whole page, filled by the even-odd rule."""
    steps = list(zip((7919, 104729, 31, 17, 13, 29), (595, 842) * 3, strict=True))
    curve = b"".join(b"%d %d %d %d %d %d c\n" % tuple(n * prime % side for prime, side in steps) for n in range(500))
    return _pdf((b"0 0 m\n" + curve + b"f*\n") * count)


def patterns(count: int = 4_000) -> bytes:
    """The whole page filled with tiles of half a point, again and again."""
    tile = b"0 0 .2 .2 re f"
    pattern = (
        b"<</Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 .5 .5]/XStep .5/YStep .5/Resources<<>>"
        b"/Length %d>>stream\n" % len(tile) + tile + b"\nendstream"
    )
    return _pdf(b"/Pattern cs/P scn 0 0 595 842 re f\n" * count, b"/Pattern<</P 5 0 R>>", pattern)


def tables(depth: int = 12, count: int = 300) -> bytes:
    """A docx of tables within tables, whose widths LibreOffice works out again and again."""
    head = "<w:tblPr><w:tblW w:w='0' w:type='auto'/></w:tblPr><w:tblGrid><w:gridCol/><w:gridCol/></w:tblGrid>"
    row = f"<w:tbl>{head}<w:tr>"
    cell, end = "<w:tc><w:p><w:r><w:t>words and more words</w:t></w:r></w:p>", "<w:p/></w:tc>"
    nested = "".join(row + cell for _ in range(depth)) + (end + cell + end + "</w:tr></w:tbl>") * depth
    document, target = docx.Document(), io.BytesIO()
    document.add_paragraph("PLACE")
    document.save(target)
    poisoned = io.BytesIO()
    with zipfile.ZipFile(target) as source, zipfile.ZipFile(poisoned, "w", zipfile.ZIP_DEFLATED) as out:
        for name in source.namelist():
            data = source.read(name)
            if name == "word/document.xml":
                data = data.replace(b"<w:sectPr", (nested * count).encode() + b"<w:sectPr", 1)
            out.writestr(name, data)
    return poisoned.getvalue()


POISON: dict[str, Callable[[], bytes]] = {
    "shadings.pdf": shadings,
    "paths.pdf": paths,
    "patterns.pdf": patterns,
    "tables.docx": tables,
}
