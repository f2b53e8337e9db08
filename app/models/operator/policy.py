"""What the operator has set for the whole installation: what may be dialled, and how its numbers are kept."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Model

#: Calls to telephones at once, and the longest of them in minutes, where no operator has set anything.
VOICE_PER_LINE, VOICE_PER_COMPANY, VOICE_MINUTES = 10, 30, 120


class DialingPolicy(Model):
    """One row at most; without it the defaults hold. ``countries`` are ISO 3166 codes, none for all of them.

    ``redirects_followed``: what the other side redirects (SIP 302) is dialled (:mod:`app.rules.sending.redirects`).
    ``voice_…`` are of calls that go on to a telephone (:mod:`app.rules.numbers.voice`): so many at once from one line
    and of one company, and their longest duration in minutes. ``rest_days`` is how long a number rests that was taken
    back."""

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
