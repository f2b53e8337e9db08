"""File names of downloads and attachments, in the reference's pattern.

``F<caller>_T<called>_YYYY-MM-DD_HH_MM_SS_FAXID.pdf``: numbers as in :func:`app.rules.numbers.numbers.outside_form` for
the far end and national for our own, the time in the tenant's zone, FAXID the fax's number within its tenant.
"""

import re
from datetime import datetime

from app.models import Direction, Fax
from app.rules.numbers.numbers import national_form, outside_form

#: The far end's number is a stranger's text: nothing else of it gets into a name.
_NOT_IN_A_NAME = re.compile(r"[^0-9A-Za-z+._-]")


def document_name(fax: Fax, at: datetime | None = None) -> str:
    """``at`` where the row does not have its time yet."""
    own = national_form(fax.entity.number or fax.entity.extension, fax.tenant)
    remote = outside_form(fax.remote_number, fax.tenant) if fax.remote_number else "anonymous"
    caller, called = (own, remote) if fax.direction == Direction.SENT else (remote, own)
    at = (at or fax.created_at).astimezone(fax.tenant.zone)
    return _NOT_IN_A_NAME.sub("", f"F{caller}_T{called}_{at:%Y-%m-%d_%H_%M_%S}_{fax.number}.pdf")


def report_name(fax: Fax) -> str:
    return document_name(fax).removesuffix(".pdf") + "_report.pdf"
