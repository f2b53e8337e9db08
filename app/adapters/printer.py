"""HTML to PDF with WeasyPrint, which fetches nothing: pictures come inline as data URLs."""


def print_pdf(html: str) -> bytes:
    """The PDF of a whole HTML page. A reference to anything outside the page is left out."""
    # Imported when first used: it takes half a second, of which most processes never have anything.
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    return HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=["data"])).write_pdf()
