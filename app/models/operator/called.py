"""Numbers that are known to take several calls at once."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Model


class CalledNumber(Model):
    """``number`` (E.164 with +) has so many lines; one without a row has one (:mod:`app.rules.sending.called`)."""

    __tablename__ = "called_number"
    __table_args__ = (sa.CheckConstraint("lines >= 1", name="lines"),)

    number: Mapped[str] = mapped_column(sa.String(20), primary_key=True)
    lines: Mapped[int]
