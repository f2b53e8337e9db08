"""The pages of a call as they go over the line."""

from collections.abc import Iterable, Sequence

from app.adapters.fax_files.fax_tiff import FaxPage
from app.adapters.fax_files.fitting import at_standard
from app.adapters.fax_files.page_header import headed
from app.models import Attempt
from app.rules.sending.destinations import way_of


def laid(attempt: Attempt, pages: Sequence[FaxPage]) -> Iterable[FaxPage]:
    """``pages``, the first of them the attempt's first, in the resolution that it asked for, with its header."""
    fax = attempt.fax
    fitted = map(at_standard, pages) if way_of(attempt).standard else pages
    if not attempt.header_name:
        return fitted
    return headed(
        fitted,
        at=attempt.created_at.astimezone(fax.tenant.zone),
        name=attempt.header_name,
        station_id=attempt.header_station or "",
        first_page=attempt.first_page,
        total=fax.pages or len(pages),
    )
