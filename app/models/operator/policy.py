"""What the operator has set for the whole installation: what may be dialled, and how its numbers are kept."""

from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Model

#: Calls to telephones at once, and the longest of them in minutes, where no operator has set anything.
VOICE_PER_LINE, VOICE_PER_COMPANY, VOICE_MINUTES = 10, 30, 120


class CallerForm(StrEnum):
    """How the trunk writes the caller's number where no + stands before it."""

    USUAL = "usual"  # as it is dialled within the country
    WHOLE = "whole"  # with the country code


class DialingPolicy(Model):
    """One row at most; without it the defaults hold. ``countries`` are ISO 3166 codes, none for all of them.

    ``redirects_followed``: what the other side redirects (SIP 302) is dialled (:mod:`app.rules.sending.redirects`).
    ``voice_…`` are of calls that go on to a telephone (:mod:`app.rules.numbers.voice`): so many at once from one line
    and of one company, and their longest duration in minutes. ``rest_days`` is how long a number rests that was taken
    back. The rest is how the trunk writes numbers (:mod:`app.rules.numbers.routing`): ``trunk_region`` the country by
    whose rules those without a country code are read, ``trunk_area`` the area code that it leaves out,
    ``trunk_company_id`` whose telephone system it is, ``called_order`` what names the called number, the first one
    first, empty for the usual order; ``caller_form`` how it writes the caller's."""

    __tablename__ = "dialing_policy"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    countries: Mapped[list[Any]] = mapped_column(sa.JSON, default=list, server_default="[]")
    premium_allowed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    satellite_allowed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    redirects_followed: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    voice_per_line: Mapped[int] = mapped_column(default=VOICE_PER_LINE, server_default=str(VOICE_PER_LINE))
    voice_per_company: Mapped[int] = mapped_column(default=VOICE_PER_COMPANY, server_default=str(VOICE_PER_COMPANY))
    voice_minutes: Mapped[int] = mapped_column(default=VOICE_MINUTES, server_default=str(VOICE_MINUTES))
    rest_days: Mapped[int] = mapped_column(default=30, server_default="30")
    trunk_region: Mapped[str | None] = mapped_column(sa.String(2))
    trunk_area: Mapped[str | None] = mapped_column(sa.String(8))
    trunk_company_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id", ondelete="SET NULL"))
    called_order: Mapped[list[str]] = mapped_column(sa.JSON, default=list, server_default="[]")
    caller_form: Mapped[CallerForm] = mapped_column(sa.String(8), default=CallerForm.USUAL, server_default="usual")
