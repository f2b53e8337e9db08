"""Boxes that a service account of Google reads (RFC 7523), at the real Dovecot, with a token server of our own."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from app.adapters.mail.imap import Mailbox, signed_in
from app.errors import Refused, TemporaryFailure
from app.models import BoxSignIn, Mail2FaxBox
from app.rules.mail2fax import box_sign_in
from app.rules.mail2fax.box_sign_in import GOOGLE_SERVICE, PROVIDERS, SignInDetails, judge_sign_in
from app.rules.mail2fax.boxes import BoxDetails, put_box
from app.services.mail2fax.box_access import access_to
from tenants.db import db
from tenants.models import Tenant
from tests.dovecot import Dovecot, running_dovecot
from tests.token_server import TokenServer, running_token_server

FAX, HERE = "fax@alpha.test", ["127.0.0.1"]
SERVICE = "faxroom@project-1.iam.gserviceaccount.com"
KEYS = [rsa.generate_private_key(65537, 2048) for _ in range(2)]


def file_of(key: object, **more: object) -> str:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    facts = {"type": "service_account", "client_email": SERVICE, "private_key": pem, "private_key_id": "1"}
    return json.dumps(facts | {"token_uri": "https://evil.example/token"} | more, indent=2)


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[tuple[TokenServer, Dovecot]]:
    home = tmp_path_factory.mktemp("dovecot")
    with running_token_server(FAX) as given, running_dovecot(home, introspection=given.introspection) as dovecot:
        given.service = SERVICE
        public = KEYS[0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        given.service_key = public.decode()
        yield given, dovecot


@pytest.fixture
def session(app, cast, servers, monkeypatch) -> Iterator:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], private_hosts=tuple(HERE))
    there = replace(PROVIDERS[GOOGLE_SERVICE], token_url=servers[0].url)
    monkeypatch.setitem(box_sign_in.PROVIDERS, GOOGLE_SERVICE, there)
    with app.app_context():
        yield db.session


def details(servers, file: str, *, username: str = FAX) -> BoxDetails:
    place = {"host": "127.0.0.1", "port": str(servers[1].port), "security": "none"}
    return BoxDetails(
        name="box", email=FAX, username=username, sign_in=SignInDetails(GOOGLE_SERVICE, service_key=file), **place
    )


def enter(session, cast, typed: BoxDetails) -> Mail2FaxBox:
    assert judge_sign_in(typed.sign_in, None) == {}
    box = put_box(session, session.get_one(Tenant, cast.alpha), None, typed)
    session.commit()
    return box


def test_a_key_file_opens_the_mailbox_and_its_own_token_server_is_not_asked(session, cast, servers):
    box = enter(session, cast, details(servers, file_of(KEYS[0])))
    server, place, username, secret = access_to(box)
    with signed_in(place, username, secret, allowed=HERE) as client:
        assert Mailbox(client, server.folder).waiting() == []
    assert servers[0].asked[-1].keys() == {"grant_type", "assertion"}


@pytest.mark.parametrize(
    ("key", "username", "code"),
    [(KEYS[1], FAX, "token_key_refused"), (KEYS[0], "boss@alpha.test", "token_delegation_missing")],
)
def test_a_key_that_is_gone_and_a_mailbox_that_is_not_open_to_it_are_told_apart(
    session, cast, servers, key, username, code
):
    box = enter(session, cast, details(servers, file_of(key), username=username))
    with pytest.raises(TemporaryFailure, match=code) as failure:
        access_to(box)
    assert session.scalar(sa.select(BoxSignIn.refused)) == code
    assert "PRIVATE" not in str(failure.value) + str(failure.value.values)


def test_the_key_is_sealed_and_the_rest_of_the_file_is_not_kept(session, cast, servers):
    enter(session, cast, details(servers, file_of(KEYS[0])))
    raw = str(session.execute(sa.text("SELECT * FROM box_sign_in")).all())
    assert SERVICE in raw
    assert not [text for text in ("PRIVATE", "MII", "evil") if text in raw]


EC_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("", "token_key_missing"),
        ("hello", "token_key_unreadable"),
        ("[]", "token_key_unreadable"),
        ("[" * 7000, "token_key_unreadable"),
        ("{}", "token_key_unreadable"),
        (file_of(KEYS[0], client_email="nobody"), "token_key_unreadable"),
        (file_of(KEYS[0], client_email=None), "token_key_unreadable"),
        (file_of(KEYS[0], private_key="-----BEGIN PRIVATE KEY-----"), "token_key_unreadable"),
        (file_of(KEYS[0], more="x" * 8000), "token_key_unreadable"),
        (file_of(EC_KEY), "token_key_unreadable"),
        ('{"web": {"client_id": "c", "client_secret": "s"}}', "token_key_of_client"),
        ('{"type": "authorized_user", "refresh_token": "r"}', "token_key_of_client"),
    ],
    ids=range(12),
)
def test_what_is_no_key_file_is_told_for_what_it_is(file, code):
    (refusal,) = judge_sign_in(SignInDetails(GOOGLE_SERVICE, service_key=file), None).values()
    assert (refusal.code, refusal.field) == (code, "service_key")


def test_the_kept_key_stays_when_nothing_is_pasted_but_opens_no_other_mailbox(session, cast, servers):
    typed = details(servers, file_of(KEYS[0]))
    box, tenant = enter(session, cast, typed), session.get_one(Tenant, cast.alpha)
    without = replace(typed, name="renamed", sign_in=SignInDetails(GOOGLE_SERVICE))
    assert judge_sign_in(without.sign_in, box.sign_in) == {}
    put_box(session, tenant, box, without)
    session.commit()
    assert box.sign_in.client_secret.startswith("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(Refused, match="token_key_again"):
        put_box(session, tenant, box, replace(without, username="boss@alpha.test"))


def test_a_kept_key_is_never_shown_as_the_secret_of_a_client(session, cast, servers):
    box = enter(session, cast, details(servers, file_of(KEYS[0])))
    as_client = SignInDetails("google", client_id=SERVICE)
    assert "client_secret" in judge_sign_in(as_client, box.sign_in)
