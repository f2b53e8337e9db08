"""HTML to PDF with WeasyPrint, which fetches nothing: pictures come inline as data URLs. In a child, for names and
pictures are strangers'."""

import tempfile
from pathlib import Path

from app.adapters.confined.isolation import Report, run_isolated
from app.errors import PermanentFailure, TemporaryFailure

SECONDS = 60


def print_pdf(html: str) -> bytes:
    """The PDF of a whole HTML page. A reference to anything outside the page is left out.

    Raises:
        TemporaryFailure: ``file_unreadable``: it could not be printed now. What is printed is ours, so nothing is wrong
            with it.
    """
    with tempfile.TemporaryDirectory(prefix="faxroom-") as folder:
        source, target = Path(folder) / "page.html", Path(folder) / "page.pdf"
        source.write_text(html, encoding="utf-8")
        try:
            run_isolated(draw, str(source), str(target), reads=[source], writes=[target], deadline_seconds=SECONDS)
        except PermanentFailure as failure:
            raise TemporaryFailure("file_unreadable", reason=str(failure)) from failure
        return target.read_bytes()


def draw(_report: Report, source: str, target: str) -> None:
    """In a child."""
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    html = Path(source).read_text(encoding="utf-8")
    pdf = HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"])).write_pdf()
    Path(target).write_bytes(pdf)


def load() -> None:
    """In the workshop, before the first child that prints: to load it takes a second, and to find the fonts a tenth."""
    from weasyprint import HTML

    HTML(string="<p style='font-family: DejaVu Sans'>x").write_pdf()
