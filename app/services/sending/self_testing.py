"""The self-test's page: drawn, sent, and held against what came back."""

import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from redis import RedisError
from sqlalchemy.orm import Session

from app.adapters.fax_files.page_compare import damaged_lines
from app.adapters.pdf.printer import print_pdf
from app.errors import FaxroomError, Refused
from app.models import Document, DocumentKind, Fax, FaxEntity, Trunk
from app.rules.audit.auditing import audit
from app.rules.sending.self_test import Damage, begin_test, demand_testable
from app.rules.sending.submit import submitted_before
from app.rules.sending.trunks.choosing import bound_key
from app.rules.sending.trunks.test_calls import begin_trunk_test, judge_test
from app.services.documents.disk_room import hold_room
from app.services.documents.documents import storage, store_document
from app.services.outbox.rendering import render_for
from app.services.trunks import ladders
from tenants.db import utc_now
from tenants.models import User
from tenants.scope import get_owned

#: The line process looks once a second whether somebody wants to see the SIP.
WARM_UP_SECONDS = 3.0


def send_test(session: Session, *, user: User, entity: FaxEntity, submission_key: str, outer: bool = False) -> Fax:
    """Draw a test page for the line and send it to itself, ``outer`` through the carrier. Commits.

    Raises:
        Refused: ``no_room``, or see :func:`app.rules.sending.self_test.begin_test`; nothing was begun.
    """
    if earlier := submitted_before(session, user, submission_key):
        return earlier
    hold_room()
    demand_testable(session, entity.tenant, entity, outer=outer)
    user_id, entity_id, tenant_id = user.id, entity.id, entity.tenant_id
    html = test_page(entity, user.preferred_language)
    name = f"self-test-{entity.extension}.pdf"
    session.rollback()  # drawing takes a while: hold no lock
    document = _store(session, print_pdf(html), tenant_id=tenant_id, name=name)
    key = document.storage_key
    try:
        line = get_owned(session, FaxEntity, entity_id, tenant_id)
        if line is None:
            raise Refused("entity_not_allowed", field="entity")
        user = session.get_one(User, user_id)
        return begin_test(
            session, user=user, entity=line, document=document, submission_key=submission_key, outer=outer
        )
    except FaxroomError:
        session.rollback()
        storage().delete(key)
        raise


def send_trunk_test(
    session: Session,
    *,
    user: User,
    trunk: Trunk,
    number: str,
    to: str,
    submission_key: str,
    remote_address: str | None = None,
) -> Fax:
    """Draw the test page and send it to ``to`` over this trunk, as the fax line that has ``number``. Its SIP is
    captured as far as Redis is there. Commits.

    Raises:
        Refused: ``no_room``, or see :mod:`app.rules.sending.trunks.test_calls`; nothing was begun.
    """
    trunk_id, name = trunk.id, trunk.name
    if earlier := submitted_before(session, user, bound_key(trunk_id, submission_key)):
        return earlier
    hold_room()
    line, addressee = judge_test(session, trunk_id=trunk_id, number=number, to=to)
    user_id, tenant_id = user.id, line.tenant_id
    html = test_page(line, user.preferred_language, to=addressee.remote_number)
    session.rollback()  # drawing takes a while, and the line process has to get ready: hold no lock
    with suppress(RedisError):
        ladders.warm_up(submission_key, utc_now(), seconds=WARM_UP_SECONDS)
    document = _store(session, print_pdf(html), tenant_id=tenant_id, name="trunk-test.pdf")
    key = document.storage_key
    try:
        line, addressee = judge_test(session, trunk_id=trunk_id, number=number, to=to)
        if line.tenant_id != tenant_id:
            raise Refused("trunk_test_line", field="line")
        tester = session.get_one(User, user_id)

        def beside(fax: Fax) -> None:
            with suppress(RedisError):
                ladders.capture_test(fax.id, utc_now())
                ladders.note_test(trunk_id, fax.id)
            audit(
                session,
                user=tester,
                tenant_id=fax.tenant_id,
                action="trunk.tested",
                target=name,
                after={"number": fax.remote_number},
                remote_address=remote_address,
            )

        return begin_trunk_test(
            session,
            user=tester,
            trunk_id=trunk_id,
            line=line,
            addressee=addressee,
            document=document,
            submission_key=submission_key,
            beside=beside,
        )
    except FaxroomError:
        session.rollback()
        storage().delete(key)
        raise


def test_page(entity: FaxEntity, language: str, *, to: str = "") -> str:
    """``to`` is the number that a test of a trunk calls."""
    at = utc_now().astimezone(entity.tenant.zone)
    return render_for(language, "setup/self_test/page.html", entity=entity, to=to, at=f"{at:%Y-%m-%d %H:%M:%S}")


def _store(session: Session, pdf: bytes, *, tenant_id: int, name: str) -> Document:
    with tempfile.NamedTemporaryFile(prefix="faxroom-", suffix=".pdf") as target:
        target.write(pdf)
        target.flush()
        path = Path(target.name)
        document = store_document(
            session, path, tenant_id=tenant_id, kind=DocumentKind.SOURCE, file_type="pdf", name=name, pages=1
        )
        session.flush()
        return document


def damage_of(test: Fax, received: Fax | None) -> Damage | None:
    """What the line has done to the page; None while there is nothing to compare, or nothing that can be."""
    if test.tiff is None or received is None or received.tiff is None:
        return None
    try:
        return _damage(test.tiff.storage_key, received.tiff.storage_key)
    except FaxroomError:
        return None


@lru_cache(maxsize=64)  # what a key of the storage leads to never changes
def _damage(sent_key: str, received_key: str) -> Damage:
    with storage().local_copy(sent_key) as sent, storage().local_copy(received_key) as received:
        return Damage(*damaged_lines(sent, received))
