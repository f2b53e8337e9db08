"""Quotas as the pages say them."""

from typing import Any

from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

QUOTA_NAMES = {
    "storage": _l("Storage"),
    "drafts": _l("Documents not sent yet"),
    "uploads": _l("Documents uploaded in 24 hours"),
    "mails": _l("Emails sent by people in 24 hours"),
}


def quota_amount(name: str, units: float) -> str:
    """So many gigabytes, megabytes or things."""
    if name == "storage":
        return _("%(size)s GB", size=format_decimal(round(units, 1)))
    number = format_decimal(round(units))
    return _("%(size)s MB", size=number) if name == "drafts" else number


def quota_words() -> dict[str, Any]:
    return {"QUOTA_NAMES": QUOTA_NAMES, "quota_amount": quota_amount}
