"""Previews and their files in the storage, thrown away together."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Preview
from app.rules.sending.previews import discard_previews
from app.services.documents.documents import storage
from tenants.db import only_reading


def throw_away(session: Session, which: sa.ColumnElement[bool]) -> None:
    """Rows first, then files: a kill in between leaves files without a row, which go by themselves. Commits."""
    with only_reading():
        session.rollback()
        is_there = session.scalar(sa.select(Preview.id).where(which).limit(1)) is not None
        session.rollback()
    if not is_there:
        return
    keys = discard_previews(session, which)
    session.commit()
    for key in keys:
        storage().delete(key)
