"""What a company and a person may have stored, uploaded and mailed."""

import io
from datetime import timedelta

import pytest
import sqlalchemy as sa

from app.errors import Refused
from app.models import Document, DocumentKind, Fax, Grant, Notice, NoticeKind
from app.rules.ground.quotas import GIGABYTE, MEGABYTE, hold_mails, hold_upload, quotas_of
from app.services.documents.documents import take_upload
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from tenants.db import new_ulid, utc_now
from tenants.models import Tenant, User
from tests.db.faxes import make_document, submit
from tests.web.cast import pdf_bytes


def limit(session, cast, **quotas: int) -> None:
    session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(quotas))
    session.commit()


def stored(session, cast, size: int, *, user: int | None = None, fax: bool = False, **more: object) -> Document:
    document = make_document(session, cast.alpha, user or cast.bob)
    document.size = size
    for name, value in more.items():
        setattr(document, name, value)
    session.commit()
    if fax:
        submit(session, cast, document=document)
    return document


def refusal(session, user: int, size: int = MEGABYTE) -> tuple[str, object] | None:
    try:
        hold_upload(session, session.get_one(User, user, populate_existing=True), size)
    except Refused as refused:
        assert refused.field == "document"
        return refused.code, refused.values.get("limit")
    return None


def test_nobody_honest_meets_a_quota(session, cast):
    assert refusal(session, cast.bob, 30 * MEGABYTE) is None
    assert [quota.limit for quota in quotas_of(session, session.get_one(Tenant, cast.alpha))] == [
        500,
        10_000,
        20_000,
        20_000,
    ]


def test_one_person_may_use_half_and_the_company_all_of_its_storage(session, cast):
    limit(session, cast, quota_storage=2)
    stored(session, cast, GIGABYTE, fax=True)
    assert refusal(session, cast.bob) == ("quota_storage_own", 1)
    assert refusal(session, cast.alice) is None
    stored(session, cast, GIGABYTE, user=cast.alice, fax=True)
    assert refusal(session, cast.charlie) is None, "another company's storage is another's"
    limit(session, cast, quota_storage=0)
    assert refusal(session, cast.bob) is None, "0 means no limit"


def test_received_pages_count_for_the_company_and_what_was_erased_for_nobody(session, cast):
    limit(session, cast, quota_storage=1)
    pages = stored(session, cast, GIGABYTE, kind=DocumentKind.PDF, user_id=None)
    assert refusal(session, cast.bob) == ("quota_storage", 1)
    pages.removed_at = pages.erased_at = utc_now()
    session.commit()
    assert refusal(session, cast.bob) is None


def test_drafts_are_what_was_never_sent(session, cast):
    limit(session, cast, quota_drafts=4)
    stored(session, cast, 2 * MEGABYTE, fax=True)
    assert refusal(session, cast.bob) is None
    stored(session, cast, 2 * MEGABYTE)
    assert refusal(session, cast.bob) == ("quota_drafts_own", 2)
    stored(session, cast, 2 * MEGABYTE, user=cast.alice)
    assert refusal(session, cast.alice) == ("quota_drafts_own", 2)
    stored(session, cast, MEGABYTE, created_at=utc_now() - timedelta(days=2))
    assert [round(quota.used_units) for quota in quotas_of(session, session.get_one(Tenant, cast.alpha))][1] == 4


def test_uploads_are_counted_over_a_day(session, cast):
    limit(session, cast, quota_uploads=4)
    for _ in range(2):
        stored(session, cast, 1, fax=True)
    assert refusal(session, cast.bob) == ("quota_uploads_own", 2)
    for _ in range(2):
        stored(session, cast, 1, user=cast.alice)
    assert refusal(session, cast.alice) == ("quota_uploads_own", 2)
    session.execute(sa.update(Document).values(created_at=utc_now() - timedelta(hours=25)))
    session.commit()
    assert refusal(session, cast.bob) is None


def test_the_company_may_be_at_its_limit_before_a_person_is(session, cast):
    limit(session, cast, quota_uploads=3)
    for user in (cast.alice, cast.charlie, cast.olga):
        stored(session, cast, 1, user=user)
    assert refusal(session, cast.bob) == ("quota_uploads", 3)


def test_mails_are_those_that_people_had_sent(session, cast):
    limit(session, cast, quota_mails=4)
    fax = submit(session, cast)
    for n in range(4):
        session.add(
            Notice(
                tenant_id=cast.alpha,
                fax_id=fax.id,
                kind=NoticeKind.FORWARDED if n < 2 else NoticeKind.OUTCOME,
                recipient=f"{n}@alpha.test",
                language="en",
                message_id=f"<{new_ulid()}@x>",
                from_user_id=cast.bob if n < 2 else None,
            )
        )
    session.commit()
    with pytest.raises(Refused, match="quota_mails_own"):
        hold_mails(session, session.get_one(User, cast.bob), 1)
    hold_mails(session, session.get_one(User, cast.alice), 2)
    with pytest.raises(Refused, match="quota_mails"):
        hold_mails(session, session.get_one(User, cast.alice), 3)
    hold_mails(session, session.get_one(User, cast.olga), 1000)


def test_who_may_not_send_from_any_line_has_nothing_stored(app, session, cast):
    session.execute(sa.update(Grant).where(Grant.user_id == cast.bob).values(may_send=False))
    session.commit()
    with pytest.raises(Refused) as refused:
        take_upload(session, stream=io.BytesIO(pdf_bytes()), filename="a.pdf", tenant_id=cast.alpha, user_id=cast.bob)
    assert (refused.value.code, refused.value.field) == ("no_line_to_send_from", "document")
    assert session.scalar(sa.select(sa.func.count()).select_from(Document)) == 0
    home = app.config["SETTINGS"].home
    assert not [path for path in (home / "storage").rglob("*") if path.is_file()]


def test_who_has_used_up_a_quota_has_nothing_stored_either(app, session, cast):
    limit(session, cast, quota_uploads=1)
    given = {"filename": "a.pdf", "tenant_id": cast.alpha, "user_id": cast.bob}
    take_upload(session, stream=io.BytesIO(pdf_bytes()), **given)
    with pytest.raises(Refused, match="quota_uploads_own"):
        take_upload(session, stream=io.BytesIO(pdf_bytes()), **given)
    assert session.scalar(sa.select(sa.func.count()).select_from(Document)) == 1
    assert session.scalar(sa.select(sa.func.count()).select_from(Fax)) == 0


def test_the_provision_file_sets_what_it_names(session, cast, tmp_path):
    file = tmp_path / "faxroom.yaml"
    company = "{slug: alpha, name: A, serial: S, region: IT, timezone: Europe/Rome, fax_channels: 4"
    file.write_text(f"tenants: [{company}, quotas: {{storage: 7, mails: 0}}}}]")
    apply_provision_file(session, file)
    alpha = session.get_one(Tenant, cast.alpha, populate_existing=True)
    assert (alpha.quota_storage, alpha.quota_drafts, alpha.quota_mails) == (7, 10_000, 0)
    file.write_text(f"tenants: [{company}}}]")
    apply_provision_file(session, file)
    assert session.get_one(Tenant, cast.alpha, populate_existing=True).quota_storage == 7
    file.write_text(f"tenants: [{company}, quotas: {{storage: -1}}}}]")
    with pytest.raises(ProvisionError, match=r"quotas\.storage"):
        apply_provision_file(session, file)


def test_an_upload_asks_the_database_once_for_all_quotas(session, cast):
    limit(session, cast, quota_storage=1, quota_drafts=1, quota_uploads=1)
    asked: list[str] = []
    sa.event.listen(session.get_bind(), "before_cursor_execute", lambda *told: asked.append(told[2]))
    hold_upload(session, session.get_one(User, cast.bob), 1)
    assert len([question for question in asked if "FROM document" in question]) == 1
