"""The fixed cast: Alice administers alpha, Bob works there, Charlie belongs to beta, Olga operates."""

import io
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from pypdf import PdfWriter
from werkzeug.test import TestResponse

from app.models import AuditEvent, Direction, Document, Fax, FaxEntity, FaxTemplate, Grant, Notice, NoticeKind, Status
from app.rules.receiving.receiving import mark_unread
from app.rules.sending.submit import next_fax_number
from tenants.addresses import claim_address
from tenants.db import db, new_ulid, utc_now
from tenants.models import Role, Tenant, User
from tenants.passwords import hash_password

PASSWORD = "correct horse battery"
PASSWORD_HASH = hash_password(PASSWORD)
#: What the audit log has of anybody who comes in and looks around.
PRESENCE = ("user.signed_in", "user.signed_off", "user.sign_in_failed", "user.step_up_failed")
PRESENCE += ("fax.seen", "audit.downloaded")
TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def pdf_bytes(pages: int = 1) -> bytes:
    writer, target = PdfWriter(), io.BytesIO()
    for _ in range(pages):
        writer.add_blank_page(width=595, height=842)
    writer.write(target)
    return target.getvalue()


def changes() -> sa.Select[tuple[AuditEvent]]:
    """What people did to things, in its order."""
    return sa.select(AuditEvent).where(AuditEvent.action.not_in(PRESENCE)).order_by(AuditEvent.id)


class Browser:
    """A browser as a person uses it: forms carry the token of the page that they stand on. Where it does not matter
    which one that is, it is the last one that was seen since the sign-in."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self._seen: tuple[str, str] | None = None

    def get(self, path: str, **options: object) -> TestResponse:
        return self.client.get(path, **options)

    def token(self, path: str = "/sign-in") -> str:
        token = TOKEN.search(self.client.get(path, follow_redirects=True).text)[1]
        with self.client.session_transaction() as session:
            self._seen = session["csrf_token"], token
        return token

    def post(self, path: str, *, page: str | None = None, **data: object) -> TestResponse:
        htmx = {"HX-Request": "true"} if data.pop("htmx", False) else {}
        token = self.token(page) if page else self._token_of_any_page()
        data = {name: value for name, value in data.items() if value is not None} | {"csrf_token": token}
        return self.client.post(path, data=data, headers=htmx)

    def _token_of_any_page(self) -> str:
        with self.client.session_transaction() as session:
            session.pop("_flashes", None)  # as any page that is seen takes them
            if self._seen and session.get("csrf_token") == self._seen[0]:
                return self._seen[1]
        return self.token("/faxes")

    def sign_in(self, email: str, password: str = PASSWORD, **more: object) -> TestResponse:
        return self.post("/sign-in", page="/sign-in", email=email, password=password, **more)


@dataclass(frozen=True)
class Cast:
    """The ids of everybody and of what is alpha's."""

    alpha: int
    beta: int
    frontdesk: int
    archive: int
    beta_line: int
    alice: int
    bob: int
    charlie: int
    olga: int


def make_tenant(slug: str, name: str, serial: str) -> Tenant:
    zone, channels = "Europe/Rome", 4
    tenant = Tenant(slug=slug, name=name, serial=serial, region="IT", timezone=zone, fax_channels=channels)
    db.session.add(tenant)
    db.session.flush()
    return tenant


def make_user(email: str, name: str, tenant: Tenant | None, role: Role) -> User:
    entry = claim_address(db.session, email)
    user = User(address=entry, name=name, role=role, tenant=tenant, password_hash=PASSWORD_HASH)
    db.session.add(user)
    db.session.flush()
    return user


def make_entity(tenant: Tenant, name: str, extension: str, number: str | None, *, senders: list[User]) -> FaxEntity:
    template = FaxTemplate(tenant_id=tenant.id, name=f"for {name}")
    db.session.add(template)
    db.session.flush()
    entity = FaxEntity(tenant_id=tenant.id, name=name, extension=extension, number=number, template_id=template.id)
    db.session.add(entity)
    db.session.flush()
    for user in senders:
        grant = Grant(
            tenant_id=tenant.id, entity_id=entity.id, user_id=user.id, may_send=True, may_receive=user.is_admin
        )
        db.session.add(grant)
    db.session.flush()
    return entity


def may_receive(user_id: int, entity_id: int, allowed: bool = True) -> None:
    """Whether somebody who may send from a line receives there as well."""
    grant = sa.update(Grant).where(Grant.user_id == user_id, Grant.entity_id == entity_id)
    db.session.execute(grant.values(may_receive=allowed))
    db.session.commit()


def make_document(app: Flask, tenant_id: int, name: str = "letter.pdf", content: bytes | None = None) -> Document:
    content = content or pdf_bytes(2)
    document = Document(tenant_id=tenant_id, kind="source", name=name, type="pdf", sha256="0" * 64, size=len(content))
    document.pages = 2
    document.storage_key = f"{tenant_id}/{os.urandom(8).hex()}.pdf"
    app.extensions["storage"].write(document.storage_key, io.BytesIO(content))
    db.session.add(document)
    db.session.flush()
    return document


def make_fax(
    app: Flask, cast: Cast, *, status: Status = Status.SENT, user_id: int | None = None, **more: object
) -> str:
    """The id of a fax of alpha, from the front desk, with its document in the storage."""
    with app.app_context():
        name = more.pop("name", "letter.pdf")
        document = make_document(app, cast.alpha, name)
        values = {"entity_id": cast.frontdesk, "user_id": user_id or cast.bob, "direction": Direction.SENT}
        values |= {"remote_number": "+390501234567", "dial_string": "+390501234567", "pages": 2, "origin": "web"}
        values |= {"pages_done": 2 if status == Status.SENT else 0, "source_id": document.id, "pdf_id": document.id}
        if status in (Status.SCHEDULED, Status.RETRYING):
            values["due_at"] = utc_now() + timedelta(hours=1)
        number = next_fax_number(db.session, cast.alpha)
        fax = Fax(tenant_id=cast.alpha, number=number, status=status, **(values | more))
        if status in ("sent", "failed", "cancelled", "unknown"):
            fax.finished_at = fax.finished_at or document.created_at
        db.session.add(fax)
        db.session.commit()
        return fax.id


def receive_fax(app: Flask, cast: Cast, *, unread: bool = True, **more: object) -> str:
    """The id of a fax that came in at alpha's front desk, unread for whoever may receive there."""
    fax_id = make_fax(app, cast, **({"direction": Direction.RECEIVED, "status": Status.RECEIVED} | more))
    with app.app_context():
        fax = db.session.get_one(Fax, fax_id)
        fax.user_id = fax.source_id = fax.dial_string = None
        fax.pages_done, fax.origin, fax.finished_at = fax.pages or 0, "line", fax.created_at
        if unread:
            mark_unread(db.session, fax)
        db.session.commit()
    return fax_id


def refused_notice(tenant_id: int | None, recipient: str, **more: Any) -> Notice:
    """A mail that the recipient's server would not take."""
    told = {"cause": "mail_refused", "error": "550 5.1.1 no such user", "due_at": None, "given_up_at": utc_now()}
    values = {"kind": NoticeKind.OUTCOME, "language": "en", "message_id": f"<{new_ulid()}@x.invalid>", **told, **more}
    return Notice(tenant_id=tenant_id, recipient=recipient, **values)
