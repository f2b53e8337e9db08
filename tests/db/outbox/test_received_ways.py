"""How a received fax is mailed: attached, encrypted to the reader's key, or left out behind a link."""

import email
import email.policy
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import timedelta
from email.message import EmailMessage

import pytest
import sqlalchemy as sa

from app.adapters.mail.pgp import read_public_key
from app.errors import TemporaryFailure
from app.jobs.outbox import documents, notify
from app.models import Fax, FaxEntity, Notice, NoticeKind
from app.rules.outbox.notices import write_colleague_notices
from tenants.db import db, utc_now
from tenants.models import User
from tenants.pgp_keys import put_key
from tests.db.receptions import came, told
from tests.unit.mail.test_pgp import Ring

SUBJECT = "[KPBX40299999] FAX successfully received from 00501234567"


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    with tempfile.TemporaryDirectory(prefix="ring-", dir="/tmp") as folder:
        ring = Ring(folder)
        ring.run("--quick-gen-key", "bob@alpha.test", "rsa2048", "encrypt", "2y")
        ring.run("--quick-gen-key", "old@alpha.test", "rsa2048", "encrypt", "2y")
        ring.make("signs@alpha.test")
        yield ring
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)


@pytest.fixture
def bobs_mail(app, phone, spool, server, cast) -> Iterator[Callable[[], EmailMessage]]:
    def received() -> EmailMessage:
        db.session.commit()
        came(spool)
        told()
        return deliver(server)

    with app.app_context():
        yield received


def deliver(server: list[EmailMessage]) -> EmailMessage:
    ids = list(db.session.scalars(sa.select(Notice.id).where(Notice.sent_at.is_(None))))
    db.session.rollback()
    for notice_id in ids:
        notify.deliver(notice_id)
    return next(mail for mail in reversed(server) if mail["To"] == "bob@alpha.test")


def bob(cast) -> User:
    return db.session.get_one(User, cast.bob)


def give_key(cast, ring: Ring, name: str = "bob@alpha.test") -> None:
    put_key(db.session, bob(cast), **asdict(read_public_key(ring.public(name))))


def says_why(message: EmailMessage) -> str:
    """Nothing of the fax is in it but what the first lines say."""
    assert not message.is_multipart(), "no attachment"
    assert b"%PDF" not in message.as_bytes()
    assert message["Subject"] == SUBJECT
    text = message.get_content()
    assert text.startswith("FAX received from 0501234567\n")
    assert "Sign in to read the fax:\nhttp://" in text
    return text


def test_a_line_without_attachments_mails_a_link_to_everybody(bobs_mail, cast):
    db.session.get_one(FaxEntity, cast.frontdesk).received_mail = "notice"
    text = says_why(bobs_mail())
    assert f"/faxes/{db.session.scalar(sa.select(Fax.id))}" in text
    assert "PGP" not in text


def test_a_person_who_wants_no_attachment_gets_none_and_the_others_get_it(bobs_mail, cast, server):
    bob(cast).received_mail = "notice"
    says_why(bobs_mail())
    (alices,) = [mail for mail in server if mail["To"] == "alice@alpha.test"]
    assert [part.get_content_type() for part in alices.iter_attachments()] == ["application/pdf"]


def test_an_encrypted_mail_is_pgp_mime_that_only_its_reader_opens(bobs_mail, cast, ring):
    bob(cast).received_mail = "encrypted"
    give_key(cast, ring)
    message = bobs_mail()
    assert message["Subject"] == SUBJECT
    assert message.get_content_type() == "multipart/encrypted"
    assert message.get_param("protocol") == "application/pgp-encrypted"
    version, content = message.iter_parts()
    assert (version.get_content_type(), version.get_content()) == ("application/pgp-encrypted", b"Version: 1\n")
    assert content.get_content_type() == "application/octet-stream"
    assert b"FAX received from" not in message.as_bytes()
    assert b"%PDF" not in message.as_bytes()
    opened = email.message_from_bytes(ring.run("--decrypt", given=content.get_content()), policy=email.policy.default)
    assert opened.get_body().get_content().replace("\r\n", "\n").startswith("FAX received from 0501234567\n")
    (document,) = opened.iter_attachments()
    assert document.get_filename().startswith("F00501234567_T0509655637_")
    assert document.get_content().startswith(b"%PDF-")


@pytest.mark.parametrize("fault", ["missing", "expired", "signs only"])
def test_without_a_key_to_encrypt_to_there_is_a_link_and_the_reason_and_no_document(bobs_mail, cast, ring, fault):
    bob(cast).received_mail = "encrypted"
    if fault == "signs only":
        give_key(cast, ring, "signs@alpha.test")
    if fault == "expired":
        give_key(cast, ring)
        bob(cast).pgp_keys[0].expires_at = utc_now() - timedelta(seconds=1)
    said = {"missing": "you have no PGP key", "expired": "has expired", "signs only": "cannot be used for that"}
    assert said[fault] in says_why(bobs_mail())


def test_of_several_keys_those_that_count_open_the_mail(bobs_mail, cast, ring):
    bob(cast).received_mail = "encrypted"
    give_key(cast, ring)
    give_key(cast, ring, "signs@alpha.test")
    assert bobs_mail().get_content_type() == "multipart/encrypted"


@pytest.mark.parametrize(
    ("line", "person", "way"),
    [("notice", "encrypted", "text/plain"), ("encrypted", None, "text/plain"), ("encrypted", "notice", "text/plain")],
)
def test_neither_the_line_nor_the_person_undoes_what_the_other_asks_for(bobs_mail, cast, line, person, way):
    db.session.get_one(FaxEntity, cast.frontdesk).received_mail = line
    bob(cast).received_mail = person
    assert bobs_mail().get_content_type() == way


def test_while_gpg_does_not_work_the_mail_waits_and_nothing_leaves(bobs_mail, cast, ring, monkeypatch, server):
    bob(cast).received_mail = "encrypted"
    give_key(cast, ring)

    def broken(content: bytes, keys: list[str]) -> bytes:
        raise TemporaryFailure("gpg_slow")

    monkeypatch.setattr(documents, "encrypt_to", broken)
    with pytest.raises(StopIteration):
        bobs_mail()
    waiting = db.session.scalar(sa.select(Notice).where(Notice.recipient == "bob@alpha.test"))
    assert (waiting.sent_at, waiting.cause) == (None, "gpg_slow")


def test_what_a_colleague_forwards_is_mailed_as_its_reader_wants_it(bobs_mail, cast, server):
    bob(cast).received_mail = "notice"
    bobs_mail()
    fax, alice = db.session.scalar(sa.select(Fax)), db.session.get_one(User, cast.alice)
    write_colleague_notices(
        db.session, fax, NoticeKind.FORWARDED, [bob(cast)], occasion="1", sender=alice, note="Please call back."
    )
    db.session.commit()
    message = deliver(server)
    assert not message.is_multipart()
    assert "Please call back." in message.get_content()
    assert "attached" not in message.get_content()
    assert message.get_content().count("/faxes/") == 1
