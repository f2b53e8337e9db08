"""Boxes that sign in with tokens, at the real Dovecot, with a token server of our own."""

import gzip
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from app.adapters.mail import tokens
from app.adapters.mail.imap import Mailbox, Server, look_into, signed_in
from app.adapters.mail.tokens import REFUSALS, Bearer, TokenPlace, fetch_token
from app.errors import PermanentFailure, Refused, TemporaryFailure
from app.models import BoxSignIn, Mail2FaxBox, Notice, NoticeKind
from app.rules.mail2fax.box_sign_in import SignInDetails, judge_sign_in
from app.rules.mail2fax.boxes import BoxDetails, judge_box, put_box
from app.rules.mail2fax.ledger import TOKEN_REFUSALS
from app.rules.outbox.token_states import write_token_warnings
from app.services.mail2fax.box_access import access_to, note_failure
from app.services.outbox import tokens as keeper
from app.services.outbox.tokens import bearer_for
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.dovecot import Dovecot, running_dovecot
from tests.token_server import CLIENT, SECRET, TokenServer, running_token_server

FAX, HERE = "fax@alpha.test", ["127.0.0.1"]


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[tuple[TokenServer, Dovecot]]:
    home = tmp_path_factory.mktemp("dovecot")
    with running_token_server(FAX) as given, running_dovecot(home, introspection=given.introspection) as dovecot:
        yield given, dovecot


@pytest.fixture
def server(servers) -> TokenServer:
    known, fresh = servers[0], TokenServer(FAX)
    for name in ("answer", "encoding", "life", "rotates", "delay", "good", "refresh", "asked"):
        setattr(known, name, getattr(fresh, name))
    return known


@pytest.fixture
def session(app, cast) -> Iterator:
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], private_hosts=tuple(HERE))
    with app.app_context():
        yield db.session


def details(servers, **more: str) -> BoxDetails:
    known, dovecot = servers
    typed = {"token_url": known.url, "client_id": CLIENT, "client_secret": SECRET, "scope": "mail"} | more
    place = {"host": "127.0.0.1", "port": str(dovecot.port), "security": "none"}
    return BoxDetails(name="box", email=FAX, username=FAX, sign_in=SignInDetails("other", **typed), **place)


def enter(session, cast, servers, **more: str) -> Mail2FaxBox:
    typed = details(servers, **more)
    assert judge_box(typed, has_password=False, key_fault=lambda key: None) == {}
    box = put_box(session, session.get_one(Tenant, cast.alpha), None, typed)
    session.commit()
    return box


def look(box: Mail2FaxBox) -> int:
    server, place, username, secret = access_to(box)
    with signed_in(place, username, secret, allowed=HERE) as client:  # as collectors do: Dovecot makes who failed wait
        return len(Mailbox(client, server.folder).waiting())


def ask(server: TokenServer, **more: float) -> object:
    return fetch_token(TokenPlace(server.url, CLIENT, "", SECRET), allowed=HERE, **more)


@pytest.mark.parametrize("refresh_token", ["", "refresh-0"])
def test_a_box_opens_its_mailbox_with_a_token_and_uses_it_again(session, cast, servers, server, refresh_token):
    box = enter(session, cast, servers, refresh_token=refresh_token)
    assert [look(box), look(box)] == [0, 0]
    (asked,) = server.asked
    assert asked["grant_type"] == ("refresh_token" if refresh_token else "client_credentials")
    assert asked["scope"] == "mail"


@pytest.mark.parametrize("mechanism", ["plain xoauth2", "plain oauthbearer"])
def test_either_mechanism_is_spoken_and_what_the_server_says_is_told(server, tmp_path, mechanism):
    given = ask(server)
    with running_dovecot(tmp_path, introspection=server.introspection, mechanisms=mechanism) as dovecot:
        there = Server("127.0.0.1", dovecot.port, "none")
        look_into(there, FAX, Bearer(given.access_token), "INBOX", allowed=HERE)
        with pytest.raises(TemporaryFailure) as failure:
            look_into(there, FAX, Bearer("bad-token"), "INBOX", allowed=HERE)
    assert failure.value.code == "imap_token_refused"
    assert "bad-token" not in str(failure.value)
    assert failure.value.values["reason"]


def test_a_server_that_takes_no_tokens_is_told_as_such(tmp_path):
    with running_dovecot(tmp_path) as dovecot, pytest.raises(TemporaryFailure, match="imap_no_tokens"):
        look_into(Server("127.0.0.1", dovecot.port, "none"), FAX, Bearer("token"), "INBOX", allowed=HERE)


def test_a_token_that_is_about_to_end_is_not_used_again(session, cast, servers, server):
    server.life = 30
    box = enter(session, cast, servers)
    assert [look(box), look(box)] == [0, 0]
    assert len(server.asked) == 2


def test_one_that_the_mail_server_does_not_take_is_got_anew(session, cast, servers, server):
    box = enter(session, cast, servers)
    look(box)
    server.good.clear()
    with pytest.raises(TemporaryFailure, match="imap_token_refused") as failure:
        look(box)
    note_failure(box.id, failure.value)
    assert look(box) == 0


def test_a_refresh_token_that_is_good_once_is_followed_by_the_next(session, cast, servers, server):
    server.rotates, server.life = True, 0
    box = enter(session, cast, servers, refresh_token="refresh-0")
    for _ in range(3):
        look(box)
    assert len({asked["refresh_token"] for asked in server.asked}) == 3
    session.expire_all()
    assert session.scalar(sa.select(BoxSignIn)).refresh_token in server.refresh


def test_what_was_asked_for_with_earlier_settings_takes_the_place_of_none(session, cast, servers, server, monkeypatch):
    box = enter(session, cast, servers, refresh_token="refresh-0")
    server.rotates = True

    def changed_meanwhile(place: TokenPlace, **more: object) -> object:
        later = {"refresh_token": "entered meanwhile", "changed_at": utc_now() + timedelta(seconds=1)}
        session.execute(sa.update(BoxSignIn).values(**later))
        session.commit()
        return fetch_token(place, **more)

    monkeypatch.setattr(keeper, "fetch_token", changed_meanwhile)
    look(box)
    session.expire_all()
    row = session.scalars(sa.select(BoxSignIn)).one()
    assert (row.refresh_token, row.access_token) == ("entered meanwhile", None)


def test_a_token_that_came_while_the_form_was_open_is_forgotten_with_the_settings_before(
    session, cast, servers, server
):
    box, tenant = enter(session, cast, servers), session.get_one(Tenant, cast.alpha)
    assert box.sign_in.access_token is None
    came = {"access_token": "of before", "access_until": utc_now() + timedelta(hours=1)}
    session.execute(sa.update(BoxSignIn).values(**came), execution_options={"synchronize_session": False})
    put_box(session, tenant, box, details(servers, scope="another"))
    session.commit()
    assert session.scalar(sa.select(BoxSignIn.access_token)) is None


@pytest.mark.parametrize(
    ("more", "code"),
    [({"client_secret": "wrong"}, "token_secret_wrong"), ({"refresh_token": "old"}, "token_grant_expired")],
)
def test_why_no_token_is_given_is_said_and_kept_without_a_secret(session, cast, servers, server, caplog, more, code):
    box = enter(session, cast, servers, **more)
    with caplog.at_level(logging.DEBUG), pytest.raises(TemporaryFailure) as failure:
        look(box)
    assert failure.value.code == code
    assert "AADSTS" in failure.value.values["reason"]
    assert session.scalar(sa.select(BoxSignIn.refused)) == code
    assert SECRET not in caplog.text + str(failure.value)


@pytest.mark.parametrize(
    "answer",
    [
        *((200, body) for body in (b"{}", b"[]", b"null", b'"token"', b"\xff\xfe", b"x" * 1_000_000)),
        *((200, b'{"access_token": "%s"}' % token) for token in (b"", b"a\\r\\nX: y", b"a b")),
        (200, b'{"access_token": "a", "expires_in": "soon"}'),
        (200, b'{"access_token": "a", "expires_in": Infinity}'),
        (200, b"[" * 200_000),
        (302, b""),
        (500, b"oops"),
        (503, b'{"access_token": "a"}'),
    ],
    ids=range(15),
)
def test_an_answer_that_is_none_is_a_fault_that_passes(server, answer):
    server.answer = answer
    with pytest.raises(TemporaryFailure, match="token_down"):
        ask(server)
    assert len(server.asked) == 1, "nobody is led elsewhere"


def test_an_answer_that_is_packed_is_not_unpacked(server):
    server.encoding, server.answer = "gzip", (200, gzip.compress(b'{"access_token": "a", "x": "%s"}' % (b"x" * 10**7)))
    with pytest.raises(TemporaryFailure, match="token_down"):
        ask(server)


def test_a_refresh_token_that_is_said_to_be_good_for_ever_is_kept_as_one_for_long(server):
    server.answer = (200, b'{"access_token": "a", "refresh_token": "b", "refresh_expires_in": 1%s}' % (b"0" * 30))
    given = fetch_token(TokenPlace(server.url, CLIENT, "", SECRET, "refresh-0"), allowed=HERE)
    assert given.refresh_seconds
    assert utc_now() + timedelta(seconds=given.refresh_seconds)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("invalid_client", "token_client_wrong"),
        ("invalid_grant", "token_grant_expired"),
        ("unauthorized_client", "token_unauthorized"),
        ("invalid_scope", "token_scope_wrong"),
        ("something_else", "token_refused"),
    ],
)
def test_each_error_of_the_standard_has_its_sentence(server, error, code):
    server.answer = (400, b'{"error": "%s"}' % error.encode())
    with pytest.raises(TemporaryFailure) as failure:
        ask(server)
    assert failure.value.code == code


def test_a_token_server_that_is_slow_is_given_up(server):
    server.delay = 20
    with pytest.raises(TemporaryFailure, match="token_down"):
        ask(server, seconds=1)


def test_our_own_machines_are_no_token_servers_unless_the_operator_says_so(server):
    with pytest.raises(PermanentFailure, match="host_inside"):
        fetch_token(TokenPlace(server.url, CLIENT, "", SECRET))
    assert server.asked == []


def test_a_secret_never_travels_readable_through_the_internet(server, monkeypatch):
    monkeypatch.setattr(tokens, "is_inside", lambda address: False)
    with pytest.raises(PermanentFailure, match="token_plain"):
        ask(server)
    assert server.asked == []


def test_a_kept_secret_goes_to_no_other_server(session, cast, servers, server):
    box, tenant = enter(session, cast, servers), session.get_one(Tenant, cast.alpha)
    without = replace(details(servers).sign_in, client_secret="")
    with pytest.raises(Refused, match="token_secret_again"):
        put_box(session, tenant, box, replace(details(servers), port="993", sign_in=without))
    assert "client_secret" in judge_sign_in(replace(without, token_url="https://evil.example/token"), box.sign_in)


def test_a_persons_token_goes_to_no_other_mail_server_by_whatever_secret(session, cast, servers, server):
    """There are token servers that look at the refresh token alone."""
    box, tenant = enter(session, cast, servers, refresh_token="refresh-0"), session.get_one(Tenant, cast.alpha)
    with pytest.raises(Refused, match="token_refresh_token_missing"):
        put_box(session, tenant, box, replace(details(servers, client_secret="any"), host="imap.evil.example"))


def test_nothing_secret_lies_readable_in_the_database(session, cast, servers, server):
    look(enter(session, cast, servers, refresh_token="refresh-0"))
    raw = str(session.execute(sa.text("SELECT * FROM box_sign_in")).all())
    assert not [secret for secret in (SECRET, "refresh-0", *server.good) if secret in raw]


def test_back_to_a_password_it_has_to_be_entered_and_the_tokens_are_gone(session, cast, servers, server):
    box, tenant = enter(session, cast, servers), session.get_one(Tenant, cast.alpha)
    by_password = replace(details(servers), sign_in=SignInDetails())
    with pytest.raises(Refused, match="box_password"):
        put_box(session, tenant, box, by_password)
    put_box(session, tenant, box, replace(by_password, password="secret"))
    session.commit()
    assert session.scalar(sa.select(sa.func.count()).select_from(BoxSignIn)) == 0


def test_administrators_are_told_14_and_3_days_before_the_end_once_each(session, cast, servers, server):
    enter(session, cast, servers, secret_ends_on="2027-06-30")
    counts = [
        write_token_warnings(session, smtp_ends_on=None, now=utc_now().replace(year=2027, month=6, day=day))
        for day in (1, 17, 18, 28, 29)
    ]
    assert counts == [0, 1, 0, 1, 0]
    told = session.scalars(sa.select(Notice.recipient).where(Notice.kind == NoticeKind.TOKEN_ENDS)).all()
    assert set(told) == {"alice@alpha.test"}


def test_who_is_told_does_not_hang_on_a_secret_that_no_key_opens_any_more(session, cast, servers, server):
    box = enter(session, cast, servers, secret_ends_on="2027-06-30")
    row_id = box.sign_in.id
    session.execute(sa.text("UPDATE box_sign_in SET client_secret = 'sealed with a key that is gone'"))
    session.commit()
    session.expunge_all()
    assert write_token_warnings(session, smtp_ends_on=None, now=utc_now().replace(year=2027, month=6, day=20)) == 1
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        bearer_for(BoxSignIn, row_id, lambda row: TokenPlace(row.token_url, "", "", ""), seconds=1)


def test_operators_are_told_of_their_mail_server_s(session, cast):
    end, near = date(2027, 6, 30), utc_now().replace(year=2027, month=6, day=20)
    times = (near - timedelta(days=30), near, near)
    assert [write_token_warnings(session, smtp_ends_on=end, now=now) for now in times] == [0, 1, 0]
    assert session.scalar(sa.select(Notice.recipient)) == "ops@faxroom.test"


def test_what_a_token_server_refuses_is_told_at_once():
    assert TOKEN_REFUSALS == REFUSALS
