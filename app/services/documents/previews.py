"""Previews and their files in the storage, thrown away together."""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.rules.sending.previews import discard_previews
from app.services.documents.documents import storage


def throw_away(session: Session, which: sa.ColumnElement[bool]) -> None:
    """Rows first, then files: a kill in between leaves files without a row, which go by themselves. Commits."""
    keys = discard_previews(session, which)
    session.commit()
    for key in keys:
        storage().delete(key)
