"""Faxes at any point of their life, without a line."""

import io
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.jobs.sending import prepare
from app.models import Attempt, CalledNumber, Document, DocumentKind, Fax, Status
from app.rules.sending.dispatch import Limits, claim_due, mark_placed
from app.rules.sending.submit import submit_fax
from app.services.documents.documents import take_upload
from tenants.db import new_ulid, utc_now
from tenants.models import User
from tests.web.cast import Cast, pdf_bytes

#: A machine with as many lines as anybody may want.
NUMBER, ITS_LINES = "+390501234567", 1000


def make_document(session: Session, tenant_id: int, user_id: int) -> Document:
    key = new_ulid()
    document = Document(tenant_id=tenant_id, user_id=user_id, kind=DocumentKind.SOURCE, type="pdf", name="letter.pdf")
    document.storage_key, document.sha256, document.size, document.pages = key, "0" * 64, 1000, 2
    session.add(document)
    session.flush()
    return document


def submit(session: Session, cast: Cast, **changes: object) -> Fax:
    bob = session.get_one(User, cast.bob)
    session.merge(CalledNumber(number=NUMBER, lines=ITS_LINES))
    request = {
        "user": bob,
        "entity_id": cast.frontdesk,
        "addressee_text": NUMBER,
        "send_at_text": "",
        "document": make_document(session, cast.alpha, cast.bob),
        "submission_key": new_ulid(),
    }
    return submit_fax(session, **{**request, **changes})


def submit_letter(session: Session, cast: Cast) -> str:
    """A letter of one page that Bob has uploaded, ready to be sent."""
    given = io.BytesIO(pdf_bytes())
    document = take_upload(session, stream=given, filename="a.pdf", tenant_id=cast.alpha, user_id=cast.bob)
    fax_id = submit(session, cast, document=document).id
    session.commit()
    prepare.prepare.__wrapped__()
    return fax_id


def make_ready(session: Session, fax: Fax, *, pages: int = 2) -> Fax:
    """As the preparation would leave it."""
    ready = {"status": Status.READY, "due_at": utc_now() - timedelta(seconds=1), "pages": pages}
    session.execute(sa.update(Fax).where(Fax.id == fax.id).values(**ready))
    session.commit()
    return session.get_one(Fax, fax.id, populate_existing=True)


def claim(session: Session, *, line: int = 0, outgoing: int = 0) -> list[Attempt]:
    return claim_due(session, now=utc_now(), limits=Limits(line=line, outgoing=outgoing), node="asterisk")


def dial(session: Session, cast: Cast, *, pages: int = 2) -> Attempt:
    """One fax on the line."""
    make_ready(session, submit(session, cast), pages=pages)
    (attempt,) = claim(session)
    mark_placed(session, [attempt.id], utc_now())
    return attempt


def reread(session: Session, fax_id: str) -> Fax:
    return session.get_one(Fax, fax_id, populate_existing=True)
