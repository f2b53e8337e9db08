"""What keeps a restored installation from speaking before somebody has looked."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from tenants.db import Model, utc_now


class Hold(Model):
    """While its one row is there nothing leaves the installation: no call, no mail, and no mailbox is collected.

    A restore writes it (``bin/lib/restore.py``), ``faxroom restored`` removes it. What was entered after ``since`` was
    entered here and cannot have gone out.
    """

    __tablename__ = "hold"
    __table_args__ = (sa.CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, default=1)
    since: Mapped[datetime] = mapped_column(default=utc_now)
