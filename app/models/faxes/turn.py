"""Whose turn it was when."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Model, TenantOwned


class LastTurn(TenantOwned, Model):
    """When a person's document or preview (``kind``: a lane) or a fax entity's fax (``kind``: the line) was last
    taken in hand.

    ``owner_id`` is the user or the entity. A company's last turn is the last one of these
    (:mod:`app.rules.ground.fair_turns`).
    """

    __tablename__ = "last_turn"

    kind: Mapped[str] = mapped_column(sa.String(12), primary_key=True)
    owner_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
