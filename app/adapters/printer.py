"""HTML to PDF with WeasyPrint, which fetches nothing: pictures come inline as data URLs."""

from weasyprint import HTML
from weasyprint.urls import URLFetcher


def print_pdf(html: str) -> bytes:
    """The PDF of a whole HTML page. A reference to anything outside the page is left out."""
    return HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"])).write_pdf()
