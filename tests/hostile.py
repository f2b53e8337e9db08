"""Documents that try to show what is not theirs: every way in which LibreOffice and pdfium load something, each with
every place that would matter. What they would show is told by a word or by a colour that stands nowhere else."""

import io
import os
import re
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pypdfium2 as pdfium
from PIL import Image

from tests.documents import ODT_TYPE, docx_with, odt_with, zipped

WORD = "KANARIENVOGELWORT"
COLOUR = (237, 17, 143)
#: Dots of that colour that no smoothing of others makes.
FEWEST_DOTS = 30


@dataclass(frozen=True)
class Hostile:
    """``kind`` is a name of :mod:`app.kinds`; ``name`` tells loader and place."""

    name: str
    kind: str
    data: bytes


@dataclass
class Canaries:
    """``places``: name → URL of something that only the portal may see; ``asked``: what came to the local server."""

    places: dict[str, str]
    asked: list[str] = field(default_factory=list)

    def seen_in(self, pdf: bytes) -> bool:
        """The word or the colour is on a page."""
        document = pdfium.PdfDocument(pdf)
        for page in document:
            if WORD in page.get_textpage().get_text_range().replace("\r\n", ""):
                return True
            image = page.render(scale=0.6).to_pil().convert("RGB")
            near = sum(
                count
                for count, colour in image.getcolors(1 << 24)
                if all(abs(one - other) < 12 for one, other in zip(colour, COLOUR, strict=True))
            )
            if near >= FEWEST_DOTS:
                return True
        return False


@contextmanager
def canaries(folder: Path) -> Iterator[Canaries]:
    """Files, names, environments, other jobs' files and a server, until the end of the block."""
    picture = Image.new("RGB", (80, 80), COLOUR)
    for name in ("fax.png", "fax.jpg", "fax.tif", "fax.bmp"):
        picture.save(folder / name)
    picture.save(folder / "fax.pdf")
    colour = "#{:02x}{:02x}{:02x}".format(*COLOUR)
    shape = f'<rect id="a" width="80" height="80" fill="{colour}"/><text y="20">{WORD}</text>'
    (folder / "fax.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80">{shape}</svg>')
    (folder / "fax.txt").write_text(WORD)
    (folder / "fax.odt").write_bytes(odt_with(WORD))
    (folder / "fax.html").write_text(f"<p>{WORD}</p>")
    job = folder / "another-job"
    job.mkdir()
    picture.save(job / "page.png")
    (job / "page.txt").write_text(WORD)
    with (job / "page.png").open("rb") as held, _portal() as portal, _server(folder) as (address, asked):
        known = Canaries(
            {
                **{ending: (folder / f"fax.{ending}").as_uri() for ending in ("png", "svg", "pdf", "odt", "txt")},
                "job": (job / "page.png").as_uri(),
                "held": f"file:///proc/{os.getpid()}/fd/{held.fileno()}",
                "own-environment": "file:///proc/self/environ",
                "environment": f"file:///proc/{portal}/environ",
                "climbing": "../" * 12 + str(folder / "fax.png").lstrip("/"),
                "bare-path": str(folder / "fax.png"),
                "server": f"{address}/fax.png",
            },
            asked,
        )
        yield known


@contextmanager
def _portal() -> Iterator[int]:
    """A process with a secret in its environment."""
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    process = subprocess.Popen(wait, stdin=subprocess.PIPE, env={"SECRET_KEY": WORD})
    yield process.pid
    process.stdin.close()
    process.wait()


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write((folder / "fax.png").read_bytes())

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def corpus(known: Canaries) -> Iterator[Hostile]:
    """All of them."""
    for kind, loaders in LOADERS.items():
        for loader, make in loaders.items():
            for place, url in known.places.items():
                yield Hostile(f"{kind} {loader} {place}", kind, make(url))


def sample(known: Canaries, place: str) -> Iterator[Hostile]:
    """One for each loader."""
    return (document for document in corpus(known) if document.name.endswith(f" {place}"))


LINKS = re.compile(rb'(xlink:href=")(?!#)[^"]*(")')
RELATIONSHIPS = re.compile(
    rb'<Relationship [^>]*/(?:image|hyperlink|oleObject|attachedTemplate|externalLinkPath)"[^>]*>'
)
EMBEDS = re.compile(rb'r:(?:embed|pict)="')


def turned(data: bytes, known: Canaries) -> bytes | None:
    """A package whose pictures and links lead to the canaries, each to the next; None for what is none, or has none."""
    places, count = list(known.places.values()), 0

    def next_place() -> bytes:
        nonlocal count
        count += 1
        return escape(places[count % len(places)]).encode()

    def relationship(found: re.Match[bytes]) -> bytes:
        kept = re.sub(rb'\s(?:Target|TargetMode)="[^"]*"', b"", found[0]).removesuffix(b">").removesuffix(b"/")
        return kept + b' Target="' + next_place() + b'" TargetMode="External"/>'

    entries: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            for name in package.namelist():
                part = package.read(name)
                if name.endswith(".rels"):
                    part = RELATIONSHIPS.sub(relationship, part)
                elif name.endswith(".xml"):
                    part = LINKS.sub(lambda found: found[1] + next_place() + found[2], part)
                    part = EMBEDS.sub(b'r:link="', part)
                entries[name] = part
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, zlib.error):
        return None
    return zipped(entries) if count else None


# ---- OpenDocument

SPACES = " ".join(
    f'xmlns:{prefix}="{uri}"'
    for prefix, uri in {
        **{
            prefix: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
            for prefix, name in {
                **{
                    name: name
                    for name in ("office", "text", "style", "table", "script", "form", "meta", "presentation")
                },
                **{"draw": "drawing", "svg": "svg-compatible", "fo": "xsl-fo-compatible"},
            }.items()
        },
        "xlink": "http://www.w3.org/1999/xlink",
        "dc": "http://purl.org/dc/elements/1.1/",
    }.items()
)
LINK = 'xlink:href="{url}" xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"'
FRAME = '<text:p><draw:frame text:anchor-type="as-char" svg:width="5cm" svg:height="5cm"{more}>{inner}</draw:frame></text:p>'
TYPES = {"ods": "spreadsheet", "odg": "graphics", "odt": "text"}


def _content(body: str, *, styles: str = "", before: str = "", kind: str = "text", head: str = "") -> bytes:
    inner = {"spreadsheet": "spreadsheet", "graphics": "drawing", "text": "text"}[kind]
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<office:document-content {SPACES} office:version="1.2">{before}'
        f"<office:automatic-styles>{styles}</office:automatic-styles><office:body><office:{inner}>{body}"
        f"</office:{inner}></office:body></office:document-content>"
    ).encode()


def _odt(content: bytes, **files: bytes) -> bytes:
    entries = {"mimetype": ODT_TYPE.encode(), "content.xml": content}
    entries |= {name.replace("__", "/").replace("_", "."): data for name, data in files.items()}
    listed = {"/": ODT_TYPE, **{name: _type_of(name) for name in entries if name != "mimetype"}}
    listed |= {f"{name}/": kind for name, kind in _objects(entries).items()}
    manifest = "".join(f'<m:file-entry m:full-path="{name}" m:media-type="{kind}"/>' for name, kind in listed.items())
    uri = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    entries["META-INF/manifest.xml"] = f'<m:manifest xmlns:m="{uri}" m:version="1.2">{manifest}</m:manifest>'.encode()
    return zipped(entries)


def _type_of(name: str) -> str:
    return {"svg": "image/svg+xml", "xml": "text/xml", "png": "image/png"}.get(name.rpartition(".")[2], "")


def _objects(entries: dict[str, bytes]) -> dict[str, str]:
    found = {name.partition("/")[0]: data for name, data in entries.items() if name.startswith("Object")}
    return {
        name: "application/vnd.oasis.opendocument." + next(kind for kind in TYPES.values() if kind.encode() in data)
        for name, data in found.items()
        if name != "ObjectReplacements"
    }


def _frame(inner: str, more: str = "") -> str:
    return FRAME.format(inner=inner, more=more)


def _linked(element: str, url: str, more: str = "") -> str:
    return f"<{element} {LINK.format(url=escape(url))} {more}/>"


def _odt_body(element: str, url: str) -> bytes:
    return _odt(_content(_frame(_linked(element, url))))


def _odt_background(url: str, *, family: str, properties: str, body: str) -> bytes:
    image = _linked("style:background-image", url, 'style:repeat="repeat"')
    style = f'<style:style style:name="S" style:family="{family}"><style:{properties}>{image}</style:{properties}></style:style>'
    return _odt(_content(body, styles=style))


def _odt_fill(url: str) -> bytes:
    fill = _linked("draw:fill-image", url, 'draw:name="F"')
    graphic = '<style:graphic-properties draw:fill="bitmap" draw:fill-image-name="F"/>'
    style = f'<style:style style:name="S" style:family="graphic">{graphic}</style:style>'
    shape = (
        '<text:p><draw:rect text:anchor-type="as-char" draw:style-name="S" svg:width="5cm" svg:height="5cm"/></text:p>'
    )
    styles = f"<office:document-styles {SPACES} office:version='1.2'><office:styles>{fill}</office:styles></office:document-styles>"
    return _odt(_content(shape, styles=style), styles_xml=styles.encode())


def _odt_page(url: str, *, part: str) -> bytes:
    image = _linked("style:background-image", url)
    page = f"<style:page-layout-properties>{image if part == 'page' else ''}</style:page-layout-properties>"
    head = f'<style:header-style><style:header-footer-properties fo:min-height="3cm">{image}</style:header-footer-properties></style:header-style>'
    layout = f'<style:page-layout style:name="P">{page}{head if part == "header" else ""}</style:page-layout>'
    inner = _frame(_linked("draw:image", url)) if part == "picture in the header" else "<text:p>head</text:p>"
    master = f'<style:master-page style:name="Standard" style:page-layout-name="P"><style:header>{inner}</style:header></style:master-page>'
    styles = (
        f"<office:document-styles {SPACES} office:version='1.2'><office:automatic-styles>{layout}</office:automatic-styles>"
        f"<office:master-styles>{master}</office:master-styles></office:document-styles>"
    )
    return _odt(_content("<text:p>text</text:p>"), styles_xml=styles.encode())


def _odt_bullet(url: str) -> bytes:
    level = '<style:list-level-properties fo:width="2cm" fo:height="2cm" text:space-before="1cm" text:min-label-width="2cm"/>'
    image = f'<text:list-level-style-image text:level="1" {LINK.format(url=escape(url))}>{level}</text:list-level-style-image>'
    body = '<text:list text:style-name="L"><text:list-item><text:p>point</text:p></text:list-item></text:list>'
    return _odt(_content(body, styles=f'<text:list-style style:name="L">{image}</text:list-style>'))


def _odt_section(url: str, *, dde: bool = False) -> bytes:
    source = _linked("text:section-source", url)
    if dde:
        names = f'office:dde-application="soffice" office:dde-topic="{escape(url)}" office:dde-item="x"'
        source = f'<office:dde-source {names} office:automatic-update="true"/>'
    return _odt(_content(f'<text:section text:name="s">{source}<text:p>old</text:p></text:section>'))


def _odt_dde_field(url: str) -> bytes:
    names = f'office:dde-application="soffice" office:dde-topic="{escape(url)}" office:dde-item="x"'
    declared = f'<text:dde-connection-decls><text:dde-connection-decl office:name="d" {names} office:automatic-update="true"/></text:dde-connection-decls>'
    field = '<text:p><text:dde-connection text:connection-name="d">x</text:dde-connection></text:p>'
    return _odt(_content(declared + field))


def _svg(inner: str, head: str = "") -> bytes:
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<?xml version="1.0"?>{head}<svg {spaces} width="200" height="200">{inner}</svg>'.encode()


SVGS: dict[str, Callable[[str], bytes]] = {
    "svg image": lambda url: _svg(f'<image xlink:href="{url}" width="150" height="150"/>'),
    "svg image without a prefix": lambda url: _svg(f'<image href="{url}" width="150" height="150"/>'),
    "svg use": lambda url: _svg(f'<use xlink:href="{url}#a" width="150" height="150"/>'),
    "svg feImage": lambda url: _svg(
        f'<filter id="f"><feImage xlink:href="{url}"/></filter><rect width="150" height="150" filter="url(#f)"/>'
    ),
    "svg pattern": lambda url: _svg(
        f'<pattern id="p" width="99" height="99" patternUnits="userSpaceOnUse"><image xlink:href="{url}" width="99" height="99"/>'
        '</pattern><rect width="150" height="150" fill="url(#p)"/>'
    ),
    "svg style": lambda url: _svg(
        f'<style>@import url("{url}"); rect{{fill:url({url}#a)}}</style><rect width="150" height="150"/>'
    ),
    "svg entity": lambda url: _svg('<text y="20">&e;</text>', f'<!DOCTYPE svg [<!ENTITY e SYSTEM "{url}">]>'),
    "svg stylesheet": lambda url: _svg('<rect width="9" height="9"/>', f'<?xml-stylesheet href="{url}"?>'),
}


def _odt_svg(url: str, *, make: Callable[[str], bytes]) -> bytes:
    return _odt(_content(_frame(_linked("draw:image", "Pictures/1.svg"))), Pictures__1_svg=make(url))


def _odt_object(url: str, *, inner: bytes | Callable[[str], bytes], replacement: bool = False) -> bytes:
    body = _linked("draw:object", "./Object1") + _linked("draw:image", "./ObjectReplacements/1.svg")
    files = {"Object1__content_xml": inner(url) if callable(inner) else inner}
    if replacement:
        files["ObjectReplacements__1_svg"] = SVGS["svg image"](url)
    return _odt(_content(_frame(body)), **files)


def _sheet(url: str, *, source: str) -> bytes:
    cell = {
        "formula": f"<table:table-cell table:formula=\"of:=['{escape(url)}'#$Sheet1.A1]\"/>",
        "picture": f'<table:table-cell><draw:frame svg:width="3cm" svg:height="3cm">{_linked("draw:image", url)}</draw:frame></table:table-cell>',
    }.get(source, "<table:table-cell/>")
    linked = _linked("table:table-source", url) if source == "sheet" else ""
    body = f'<table:table table:name="Sheet1">{linked}<table:table-row>{cell}</table:table-row></table:table>'
    return _content(body, kind="spreadsheet")


def _drawing(url: str) -> bytes:
    picture = f'<draw:frame svg:width="4cm" svg:height="4cm">{_linked("draw:image", url)}</draw:frame>'
    return _content(f'<draw:page draw:name="p" draw:master-page-name="">{picture}</draw:page>', kind="graphics")


def _odt_macro(url: str) -> bytes:
    event = f'<script:event-listener script:language="ooo:script" script:event-name="dom:load" xlink:href="{escape(url)}" xlink:type="simple"/>'
    return _odt(
        _content(
            "<text:p>x</text:p>",
            before=f"<office:scripts><office:event-listeners>{event}</office:event-listeners></office:scripts>",
        )
    )


def _odt_basic(url: str) -> bytes:
    code = f'Sub Main\nx = createUnoService("com.sun.star.ucb.SimpleFileAccess").openFileRead("{url}")\nThisComponent.Text.String = "{WORD}"\nEnd Sub'
    module = f'<script:module xmlns:script="http://openoffice.org/2000/script" script:name="M" script:language="StarBasic">{escape(code)}</script:module>'
    event = '<script:event-listener script:language="ooo:script" script:event-name="dom:load" xlink:href="vnd.sun.star.script:Standard.M.Main?language=Basic&amp;location=document" xlink:type="simple"/>'
    library = '<library:library xmlns:library="http://openoffice.org/2000/library" library:name="Standard" library:readonly="false"><library:element library:name="M"/></library:library>'
    libraries = '<library:libraries xmlns:library="http://openoffice.org/2000/library"><library:library library:name="Standard" library:link="false"/></library:libraries>'
    scripts = f"<office:scripts><office:event-listeners>{event}</office:event-listeners></office:scripts>"
    return _odt(
        _content("<text:p>x</text:p>", before=scripts),
        Basic__Standard__M_xml=module.encode(),
        **{"Basic__script-lc_xml": libraries.encode(), "Basic__Standard__script-lb_xml": library.encode()},
    )


def _odt_entity(url: str) -> bytes:
    return _odt(_content("<text:p>&e;</text:p>", head=f'<!DOCTYPE x [<!ENTITY e SYSTEM "{url}">]>'))


def _odt_database(url: str) -> bytes:
    resource = f'<form:connection-resource xlink:href="{escape(url)}"/>'
    display = f'<text:p><text:database-display text:table-name="t" text:table-type="table" text:column-name="c">{resource}x</text:database-display></text:p>'
    return _odt(_content(display))


def _odt_font(url: str) -> bytes:
    source = (
        f'<svg:font-face-src><svg:font-face-uri xlink:href="{escape(url)}" xlink:type="simple"/></svg:font-face-src>'
    )
    face = f'<office:font-face-decls><style:font-face style:name="F" svg:font-family="F">{source}</style:font-face></office:font-face-decls>'
    return _odt(_content("<text:p>x</text:p>", before=face))


def _odt_template(url: str) -> bytes:
    meta = f'<meta:template xlink:href="{escape(url)}" xlink:type="simple"/><meta:auto-reload xlink:href="{escape(url)}" meta:delay="PT0S"/>'
    whole = (
        f"<office:document-meta {SPACES} office:version='1.2'><office:meta>{meta}</office:meta></office:document-meta>"
    )
    return _odt(_content("<text:p>x</text:p>"), meta_xml=whole.encode())


PARAGRAPH = '<text:p text:style-name="S">paragraph</text:p>'
BOX = _frame("<draw:text-box><text:p>box</text:p></draw:text-box>", ' draw:style-name="S"')
TABLE = "<table:table><table:table-column/><table:table-row><table:table-cell {cell}><text:p>cell</text:p></table:table-cell></table:table-row></table:table>"

ODT: dict[str, Callable[[str], bytes]] = {
    "picture": partial(_odt_body, "draw:image"),
    "object": partial(_odt_body, "draw:object"),
    "ole object": partial(_odt_body, "draw:object-ole"),
    "plug-in": partial(_odt_body, "draw:plugin"),
    "floating frame": partial(_odt_body, "draw:floating-frame"),
    "paragraph background": partial(
        _odt_background, family="paragraph", properties="paragraph-properties", body=PARAGRAPH
    ),
    "frame background": partial(_odt_background, family="graphic", properties="graphic-properties", body=BOX),
    "cell background": partial(
        _odt_background,
        family="table-cell",
        properties="table-cell-properties",
        body=TABLE.format(cell='table:style-name="S"'),
    ),
    "fill picture": _odt_fill,
    "page background": partial(_odt_page, part="page"),
    "header background": partial(_odt_page, part="header"),
    "header picture": partial(_odt_page, part="picture in the header"),
    "bullet": _odt_bullet,
    "section": _odt_section,
    "dde section": partial(_odt_section, dde=True),
    "dde field": _odt_dde_field,
    **{name: partial(_odt_svg, make=make) for name, make in SVGS.items()},
    "spreadsheet picture": partial(_odt_object, inner=partial(_sheet, source="picture")),
    "spreadsheet formula": partial(_odt_object, inner=partial(_sheet, source="formula")),
    "spreadsheet sheet": partial(_odt_object, inner=partial(_sheet, source="sheet")),
    "drawing picture": partial(_odt_object, inner=_drawing),
    "object's picture": partial(_odt_object, inner=_content("<text:p>x</text:p>"), replacement=True),
    "event": _odt_macro,
    "macro": _odt_basic,
    "entity": _odt_entity,
    "database": _odt_database,
    "font": _odt_font,
    "template": _odt_template,
}


# ---- Word

RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD_SPACES = (
    f'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="{RELATIONS}" '
    'xmlns:v="urn:schemas-microsoft-com:vml" xmlns:o="urn:schemas-microsoft-com:office:office"'
)


def _docx(url: str, *, body: str, relation: str = "image", **files: bytes) -> bytes:
    """A plain document with ``body`` in it, and a relationship X that leads to the place."""
    with zipfile.ZipFile(io.BytesIO(docx_with("before"))) as package:
        entries = {name: package.read(name) for name in package.namelist()}
    external = f'<Relationship Id="X" Type="{RELATIONS}/{relation}" Target="{escape(url)}" TargetMode="External"/>'
    for name, data in files.items():
        place = name.replace("__", "/").replace("_", ".")
        entries[f"word/{place}"] = data
        external += f'<Relationship Id="F" Type="{RELATIONS}/{relation}" Target="{place}"/>'
    relations = "word/_rels/document.xml.rels"
    entries[relations] = entries[relations].replace(b"</Relationships>", external.encode() + b"</Relationships>")
    kinds = b'<Default Extension="svg" ContentType="image/svg+xml"/><Default Extension="html" ContentType="text/html"/>'
    entries["[Content_Types].xml"] = entries["[Content_Types].xml"].replace(b"<Default ", kinds + b"<Default ", 1)
    text = entries["word/document.xml"].decode().replace("<w:sectPr", f"{body}<w:sectPr", 1)
    entries["word/document.xml"] = text.replace("<w:document ", f"<w:document {_missing(text)} ", 1).encode()
    return zipped(entries)


def _missing(text: str) -> str:
    head = text[: text.index("<w:body")]
    return " ".join(space for space in WORD_SPACES.split() if space.partition("=")[0] not in head)


def _run(inner: str) -> str:
    return f"<w:p><w:r>{inner}</w:r></w:p>"


def _word_field(instruction: str) -> Callable[[str], bytes]:
    def make(url: str) -> bytes:
        words = escape(instruction.format(url=url))
        parts = ('<w:fldChar w:fldCharType="begin" w:dirty="true"/>', f"<w:instrText>{words}</w:instrText>")
        parts += ('<w:fldChar w:fldCharType="separate"/>', "<w:t>old</w:t>", '<w:fldChar w:fldCharType="end"/>')
        return _docx(url, body="<w:p>" + "".join(f"<w:r>{part}</w:r>" for part in parts) + "</w:p>")

    return make


SHAPE = '<w:pict><v:shape style="width:150pt;height:150pt"><v:imagedata {attribute}/></v:shape></w:pict>'


def _word_settings(element: str, relation: str) -> Callable[[str], bytes]:
    def make(url: str) -> bytes:
        with zipfile.ZipFile(io.BytesIO(docx_with("x"))) as package:
            entries = {name: package.read(name) for name in package.namelist()}
        link = f'<Relationship Id="X" Type="{RELATIONS}/{relation}" Target="{escape(url)}" TargetMode="External"/>'
        space = "http://schemas.openxmlformats.org/package/2006/relationships"
        entries["word/_rels/settings.xml.rels"] = f'<Relationships xmlns="{space}">{link}</Relationships>'.encode()
        settings = entries["word/settings.xml"].decode()
        head = settings.index(">", settings.index("<w:settings")) + 1
        inner = f'<w:{element} xmlns:r="{RELATIONS}" r:id="X"/>'
        if element == "mailMerge":
            inner = f'<w:mailMerge><w:dataSource xmlns:r="{RELATIONS}" r:id="X"/></w:mailMerge>'
        entries["word/settings.xml"] = (settings[:head] + inner + settings[head:]).encode()
        return zipped(entries)

    return make


def _word_svg(make: Callable[[str], bytes]) -> Callable[[str], bytes]:
    shape = _run(SHAPE.format(attribute='r:id="F"'))
    return lambda url: _docx(url, body=shape, media__1_svg=make(url))


def _word_html(url: str) -> bytes:
    page = f'<html><body><img src="{escape(url)}" width="150"><iframe src="{escape(url)}"></iframe></body></html>'
    return _docx(url, body='<w:altChunk r:id="F"/>', relation="aFChunk", chunk_html=page.encode())


def _word_entity(url: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(docx_with("VALUE"))) as package:
        entries = {name: package.read(name) for name in package.namelist()}
    text = entries["word/document.xml"].decode().replace("VALUE", "&e;")
    begin = text.index("<w:document")
    entries["word/document.xml"] = (text[:begin] + f'<!DOCTYPE x [<!ENTITY e SYSTEM "{url}">]>' + text[begin:]).encode()
    return zipped(entries)


DOCX: dict[str, Callable[[str], bytes]] = {
    "linked picture": lambda url: docx_with("before", linked_picture=url),
    "vml picture": lambda url: _docx(url, body=_run(SHAPE.format(attribute='r:id="X"'))),
    "vml linked picture": lambda url: _docx(url, body=_run(SHAPE.format(attribute='r:href="X"'))),
    "vml source": lambda url: _docx(url, body=_run(SHAPE.format(attribute=f'src="{escape(url)}"'))),
    "vml fill": lambda url: _docx(
        url,
        body=_run(
            f'<w:pict><v:rect style="width:99pt;height:99pt"><v:fill type="frame" r:id="X" src="{escape(url)}"/></v:rect></w:pict>'
        ),
    ),
    "ole link": lambda url: _docx(
        url,
        body=_run(
            '<w:object><o:OLEObject Type="Link" ProgID="Word.Document" ShapeID="s" DrawAspect="Content" r:id="X" UpdateMode="Always"/></w:object>'
        ),
        relation="oleObject",
    ),
    "sub-document": lambda url: _docx(url, body='<w:subDoc r:id="X"/>', relation="subDocument"),
    "html chunk": _word_html,
    "template": _word_settings("attachedTemplate", "attachedTemplate"),
    "mail merge": _word_settings("mailMerge", "mailMergeSource"),
    "picture field": _word_field('INCLUDEPICTURE "{url}" \\* MERGEFORMAT \\d'),
    "text field": _word_field('INCLUDETEXT "{url}"'),
    "dde field": _word_field('DDEAUTO soffice "{url}" x'),
    "link field": _word_field('LINK Word.Document "{url}" x'),
    "entity": _word_entity,
    "svg image": _word_svg(SVGS["svg image"]),
    "svg entity": _word_svg(SVGS["svg entity"]),
}


# ---- Spreadsheets, slides and texts


def _odf(url_content: bytes, kind: str) -> bytes:
    """An OpenDocument file of another kind than a text."""
    whole = "application/vnd.oasis.opendocument." + kind
    uri = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
    listed = {"/": whole, "content.xml": "text/xml"}
    manifest = "".join(f'<m:file-entry m:full-path="{name}" m:media-type="{what}"/>' for name, what in listed.items())
    return zipped(
        {
            "mimetype": whole.encode(),
            "content.xml": url_content,
            "META-INF/manifest.xml": f'<m:manifest xmlns:m="{uri}" m:version="1.2">{manifest}</m:manifest>'.encode(),
        }
    )


def _sheet(body: str) -> bytes:
    cells = f'<table:table table:name="T"><table:table-row>{body}</table:table-row></table:table>'
    return _odf(_content(cells, kind="spreadsheet"), "spreadsheet")


def _formula(formula: str, url: str) -> str:
    return f'<table:table-cell table:formula="{escape(formula.format(url=url))}"><text:p>x</text:p></table:table-cell>'


def _sheet_picture(url: str) -> bytes:
    image = _linked("draw:image", url)
    return _sheet(
        f'<table:table-cell><draw:frame svg:width="5cm" svg:height="5cm">{image}</draw:frame><text:p>x</text:p></table:table-cell>'
    )


def _sheet_source(url: str) -> bytes:
    source = f'<table:table-source {LINK.format(url=escape(url))} table:table-name="T" table:filter-name="Text - txt - csv (StarCalc)"/>'
    cells = f'<table:table table:name="T">{source}<table:table-row><table:table-cell><text:p>x</text:p></table:table-cell></table:table-row></table:table>'
    return _odf(_content(cells, kind="spreadsheet"), "spreadsheet")


def _slide(body: str) -> bytes:
    inner = f'<draw:page draw:name="P">{body}</draw:page>'
    content = (
        f'<?xml version="1.0"?><office:document-content {SPACES} office:version="1.2"><office:body>'
        f"<office:presentation>{inner}</office:presentation></office:body></office:document-content>"
    )
    return _odf(content.encode(), "presentation")


OOXML_TYPES = {
    "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet.main", "xl/worksheets/sheet1.xml", "spreadsheetml.worksheet"),
    "pptx": (
        "ppt/presentation.xml",
        "presentationml.presentation.main",
        "ppt/slides/slide1.xml",
        "presentationml.slide",
    ),
}
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
DRAWN = "http://schemas.openxmlformats.org/drawingml/2006/main"


def _relations(*kinds: tuple[str, str, str]) -> bytes:
    """Id, kind and target of each; what lies elsewhere is external."""
    listed = "".join(
        f'<Relationship Id="{name}" Type="{RELATED}/{kind}" Target="{escape(target)}"{"" if ":" not in target and not target.startswith("..") else chr(32) + "TargetMode=" + chr(34) + "External" + chr(34)}/>'
        for name, kind, target in kinds
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{listed}</Relationships>'.encode()


def _ooxml(kind: str, main: str, part: str, relations: bytes, more: dict[str, bytes] | None = None) -> bytes:
    main_name, main_type, part_name, part_type = OOXML_TYPES[kind]
    whole = "application/vnd.openxmlformats-officedocument."
    parts = {main_name: main_type, part_name: part_type}
    overrides = "".join(f'<Override PartName="/{n}" ContentType="{whole}{t}+xml"/>' for n, t in parts.items())
    types = f'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    folder, _, name = part_name.rpartition("/")
    main_folder, _, main_file = main_name.rpartition("/")
    inner = part_name.removeprefix(f"{main_folder}/")
    return zipped(
        {
            "[Content_Types].xml": types.encode(),
            "_rels/.rels": _relations(("r1", "officeDocument", main_name)),
            main_name: main.encode(),
            f"{main_folder}/_rels/{main_file}.rels": _relations(
                ("r1", "worksheet" if kind == "xlsx" else "slide", inner)
            ),
            part_name: part.encode(),
            f"{folder}/_rels/{name}.rels": relations,
            **(more or {}),
        }
    )


def _workbook(
    cells: str, relations: bytes = b"<Relationships/>", after: str = "", more: dict[str, bytes] | None = None
) -> bytes:
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    main = f'<workbook xmlns="{space}" xmlns:r="{RELATED}"><sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>'
    part = f'<worksheet xmlns="{space}" xmlns:r="{RELATED}"><sheetData><row r="1">{cells}</row></sheetData>{after}</worksheet>'
    return _ooxml("xlsx", main, part, relations, more)


def _workbook_picture(url: str) -> bytes:
    space = "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing"
    place = "<x:{0}><x:col>{1}</x:col><x:colOff>0</x:colOff><x:row>{1}</x:row><x:rowOff>0</x:rowOff></x:{0}>"
    drawing = (
        f'<x:wsDr xmlns:x="{space}" xmlns:a="{DRAWN}" xmlns:r="{RELATED}"><x:twoCellAnchor>{place.format("from", 1)}{place.format("to", 9)}'
        '<x:pic><x:nvPicPr><x:cNvPr id="2" name="p"/><x:cNvPicPr/></x:nvPicPr><x:blipFill><a:blip r:link="r1"/><a:stretch/></x:blipFill>'
        '<x:spPr><a:prstGeom prst="rect"/></x:spPr></x:pic><x:clientData/></x:twoCellAnchor></x:wsDr>'
    )
    more = {
        "xl/drawings/drawing1.xml": drawing.encode(),
        "xl/drawings/_rels/drawing1.xml.rels": _relations(("r1", "image", url)),
    }
    link = _relations(("r1", "drawing", "/xl/drawings/drawing1.xml"))
    return _workbook("<c r='A1'><v>1</v></c>", link, '<drawing r:id="r1"/>', more)


def _show(body: str, url: str) -> bytes:
    space = "http://schemas.openxmlformats.org/presentationml/2006/main"
    spaces = f'xmlns:p="{space}" xmlns:a="{DRAWN}" xmlns:r="{RELATED}"'
    main = f'<p:presentation {spaces}><p:sldIdLst><p:sldId id="256" r:id="r1"/></p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/></p:presentation>'
    part = f'<p:sld {spaces}><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{body}</p:spTree></p:cSld></p:sld>'
    return _ooxml("pptx", main, part, _relations(("r1", "image", url)))


SHOWN = '<p:spPr><a:xfrm><a:off x="500000" y="500000"/><a:ext cx="5000000" cy="5000000"/></a:xfrm><a:prstGeom prst="rect"/>{fill}</p:spPr>'
SHOW_PICTURE = (
    '<p:pic><p:nvPicPr><p:cNvPr id="2" name="p"/><p:cNvPicPr/><p:nvPr/></p:nvPicPr><p:blipFill><a:blip r:link="r1"/>'
    "<a:stretch/></p:blipFill>" + SHOWN.format(fill="") + "</p:pic>"
)
SHOW_FILL = (
    '<p:sp><p:nvSpPr><p:cNvPr id="2" name="s"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr>'
    + SHOWN.format(fill='<a:blipFill><a:blip r:link="r1"/><a:stretch/></a:blipFill>')
    + "</p:sp>"
)
ODS: dict[str, Callable[[str], bytes]] = {
    "linked picture": _sheet_picture,
    "sheet of a file": _sheet_source,
    "reference": lambda url: _sheet(_formula("of:=['{url}'#$Sheet1.A1]", url)),
    "web service": lambda url: _sheet(_formula('of:=WEBSERVICE("{url}")', url)),
    "dde": lambda url: _sheet(_formula('of:=DDE("soffice";"{url}";"A1")', url)),
}
ODP: dict[str, Callable[[str], bytes]] = {
    "linked picture": lambda url: _slide(
        f'<draw:frame svg:width="9cm" svg:height="9cm" svg:x="1cm" svg:y="1cm">{_linked("draw:image", url)}</draw:frame>'
    ),
    "linked object": lambda url: _slide(
        f'<draw:frame svg:width="9cm" svg:height="9cm" svg:x="1cm" svg:y="1cm">{_linked("draw:object-ole", url)}</draw:frame>'
    ),
    "frame": lambda url: _slide(
        f'<draw:frame svg:width="9cm" svg:height="9cm" svg:x="1cm" svg:y="1cm">{_linked("draw:floating-frame", url)}</draw:frame>'
    ),
    "film": lambda url: _slide(
        f'<draw:frame svg:width="9cm" svg:height="9cm" svg:x="1cm" svg:y="1cm">{_linked("draw:plugin", url)}</draw:frame>'
    ),
}
XLSX: dict[str, Callable[[str], bytes]] = {
    "linked picture": _workbook_picture,
    "web service": lambda url: _workbook(f'<c r="A1" t="str"><f>_xlfn.WEBSERVICE("{escape(url)}")</f></c>'),
    "reference": lambda url: _workbook(f"<c r='A1' t='str'><f>'[{escape(url)}]Sheet1'!A1</f></c>"),
    "hyperlinked picture": lambda url: _workbook(f'<c r="A1" t="str"><f>_xlfn.IMAGE("{escape(url)}")</f></c>'),
}
PPTX: dict[str, Callable[[str], bytes]] = {
    "linked picture": lambda url: _show(SHOW_PICTURE, url),
    "linked fill": lambda url: _show(SHOW_FILL, url),
}


def _rtf(inside: str) -> Callable[[str], bytes]:
    return lambda url: ("{\\rtf1\\ansi before " + inside.replace("URL", url) + " after\\par}").encode()


RTF: dict[str, Callable[[str], bytes]] = {
    "picture field": _rtf('{\\field{\\*\\fldinst INCLUDEPICTURE "URL" \\\\d}{\\fldrslt x}}'),
    "text field": _rtf('{\\field{\\*\\fldinst INCLUDETEXT "URL"}{\\fldrslt x}}'),
    "dde field": _rtf('{\\field{\\*\\fldinst DDEAUTO soffice "URL" x}{\\fldrslt x}}'),
    "template": _rtf("{\\*\\template URL}"),
    "linked object": _rtf("{\\object\\objautlink{\\*\\objclass Word.Document}{\\*\\linkself URL}{\\result x}}"),
    "sub-document": _rtf("{\\subdocument1 URL}"),
}
CSV: dict[str, Callable[[str], bytes]] = {
    "web service": lambda url: f'a;=WEBSERVICE("{url}")\n'.encode(),
    "reference": lambda url: f"a;='{url}'#$Sheet1.A1\n".encode(),
    "dde": lambda url: f'a;=DDE("soffice";"{url}";"A1")\n'.encode(),
}
TXT: dict[str, Callable[[str], bytes]] = {
    "address": lambda url: f"See {url} and <img src='{url}'>\n".encode(),
}


# ---- PDF


def _pdf(objects: list[str]) -> bytes:
    """Without a table of contents: readers mend it."""
    whole = "%PDF-1.7\n" + "".join(f"{number} 0 obj {text} endobj\n" for number, text in enumerate(objects, 1))
    return (whole + "trailer <</Root 1 0 R>>\n%%EOF\n").encode()


def _pdf_with(*, catalog: str = "", page: str = "", resources: str = "", content: str = "", more: str = "") -> bytes:
    pages = ["<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    pages += [f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<{resources}>>{page}>>"]
    stream = f"<</Length {len(content)}>>stream\n{content}\nendstream"
    return _pdf([f"<</Type/Catalog/Pages 2 0 R{catalog}>>", *pages, stream, more or "null"])


def _path(url: str) -> str:
    return url.removeprefix("file://").replace("(", "\\(").replace(")", "\\)")


PDF: dict[str, Callable[[str], bytes]] = {
    "picture in a file": lambda url: _pdf_with(
        resources="/XObject<</I 5 0 R>>",
        content="400 0 0 400 90 200 cm /I Do",
        more=f"<</Type/XObject/Subtype/Image/Width 80/Height 80/BitsPerComponent 8/ColorSpace/DeviceRGB/F({_path(url)})/FFilter/DCTDecode/Length 0>>stream\n\nendstream",
    ),
    "page of another file": lambda url: _pdf_with(
        resources="/XObject<</I 5 0 R>>",
        content="/I Do",
        more=f"<</Type/XObject/Subtype/Form/BBox[0 0 500 500]/Ref<</F<</Type/Filespec/F({_path(url)})>>/Page 0>>/Length 0>>stream\n\nendstream",
    ),
    "action": lambda url: _pdf_with(
        catalog=f"/OpenAction<</S/Launch/F({_path(url)})>>",
        page=f"/AA<</O<</S/URI/URI({url})>>>>",
        content="0 0 9 9 re f",
    ),
    "script": lambda url: _pdf_with(
        catalog=f'/OpenAction<</S/JavaScript/JS(this.importIcon\\("x","{_path(url)}"\\);app.launchURL\\("{url}"\\))>>',
        content="0 0 9 9 re f",
    ),
    "font in a file": lambda url: _pdf_with(
        resources="/Font<</F <</Type/Font/Subtype/TrueType/BaseFont/X/FontDescriptor<</Type/FontDescriptor/FontName/X/FontFile2 5 0 R>>>>>>",
        content="BT /F 20 Tf 90 700 Td (words) Tj ET",
        more=f"<</F({_path(url)})/Length 0>>stream\n\nendstream",
    ),
}

OTHERS = {"ods": ODS, "odp": ODP, "xlsx": XLSX, "pptx": PPTX, "rtf": RTF, "csv": CSV, "txt": TXT}
LOADERS = {"odt": ODT, "docx": DOCX, **OTHERS, "pdf": PDF}
