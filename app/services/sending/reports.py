"""The sending report: every attempt of a fax and what came of it, as a PDF that proves it."""

import base64
import tempfile
from pathlib import Path

from sqlalchemy.orm import Session

from app.adapters.pdf.printer import print_pdf
from app.errors import PermanentFailure
from app.models import Document, DocumentKind, Fax
from app.rules.numbers.naming import report_name
from app.rules.numbers.numbers import shown_number
from app.rules.words.sentences import sentence, status_label, story, timestamp
from app.services.documents.documents import storage, store_document
from app.services.documents.pictures import ensure_picture, keep_if_first
from app.services.outbox.rendering import render_for


def ensure_report(session: Session, fax: Fax) -> Document:
    """The report of a fax that has ended; drawn when it is first asked for, then kept. Commits.

    Raises:
        PermanentFailure: ``report_removed``: its time was up, and it is not drawn anew.
    """
    if fax.report_removed_at:
        raise PermanentFailure("report_removed")
    if fax.report is None:
        ensure_picture(session, fax)
        fax_id, name, tenant_id, html = fax.id, report_name(fax), fax.tenant_id, report_html(fax)
        session.rollback()  # drawing takes a while: hold no lock
        _store(session, fax_id, tenant_id, name, print_pdf(html))
        session.refresh(fax)
    if fax.report is None:
        raise LookupError(f"the report of fax {fax.id} was drawn and is not there")
    return fax.report


def report_html(fax: Fax) -> str:
    """The page that is printed, in the sender's language."""
    language = fax.user.preferred_language if fax.user else fax.tenant.language
    return render_for(
        language,
        "sending/report.html",
        fax=fax,
        picture=_picture(fax),
        timestamp=timestamp,
        sentence=sentence,
        status_label=status_label,
        story=story,
        shown_number=shown_number,
    )


def _picture(fax: Fax) -> str | None:
    if fax.picture is None:
        return None
    with storage().open(fax.picture.storage_key) as source:
        return "data:image/png;base64," + base64.b64encode(source.read()).decode()


def _store(session: Session, fax_id: str, tenant_id: int, name: str, pdf: bytes) -> None:
    with tempfile.NamedTemporaryFile(prefix="faxroom-", suffix=".pdf") as target:
        target.write(pdf)
        target.flush()
        report = store_document(
            session, Path(target.name), tenant_id=tenant_id, kind=DocumentKind.REPORT, file_type="pdf", name=name
        )
    keep_if_first(session, fax_id, Fax.report_id, report)
