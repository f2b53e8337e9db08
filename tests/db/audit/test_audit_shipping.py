"""The audit log goes out to a collector: in order, each entry, whatever becomes of the collector."""

import json
import re
import socket
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

import app.jobs.running as running
import app.jobs.upkeep.audit as audit_job
from app.adapters.servers.audit_collector import check_collector, deliver, message
from app.errors import TemporaryFailure
from app.models import AuditChain, AuditLink
from app.rules.audit.audit_shipping import ship
from app.rules.audit.auditing import audit
from tenants.db import db
from tenants.models import User
from tests.web.cast import Cast

#: RFC 5424, 6: what a collector splits a message by.
RFC5424 = re.compile(
    r"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00) (\S+) faxroom - ([!-~]{1,32}) - (\{.*\})"
)


def enter(cast: Cast, *targets: str, action: str = "entity.changed") -> None:
    for target in targets:
        alice = db.session.get_one(User, cast.alice)
        values = {"remote_address": "192.0.2.1", "after": {"name": target}}
        audit(db.session, user=alice, tenant_id=cast.alpha, action=action, target=target, **values)
    db.session.commit()


def shipped(session) -> list[list[dict]]:
    batches = []
    ship(session, batches.append)
    return batches


def test_what_is_entered_goes_out_once_with_its_place_and_who_did_it(session, cast: Cast) -> None:
    enter(cast, "one", "two")
    (batch,) = shipped(session)
    assert [(entry["n"], entry["target"], entry["user"], entry["company"]) for entry in batch] == [
        (1, "one", "alice@alpha.test", "alpha"),
        (2, "two", "alice@alpha.test", "alpha"),
    ]
    assert batch[0]["digest"] == session.scalar(sa.select(AuditLink.digest).where(AuditLink.n == 1))
    assert shipped(session) == []
    enter(cast, "three")
    assert [entry["target"] for entry in shipped(session)[0]] == ["three"]


def test_a_collector_that_fails_gets_the_same_again(session, cast: Cast) -> None:
    enter(cast, "one")

    def fail(_entries: list) -> None:
        raise TemporaryFailure("audit_collector", reason="away")

    with pytest.raises(TemporaryFailure):
        ship(session, fail)
    assert session.get_one(AuditChain, cast.alpha).shipped == 0
    assert [entry["target"] for entry in shipped(session)[0]] == ["one"]


@pytest.fixture
def entries(session, cast: Cast) -> list[dict]:
    enter(cast, "è, a name with signs\n", "two", action="user.sign_in_failed")
    return shipped(session)[0]


def test_a_message_is_syslog_as_rfc_5424_says(entries: list[dict]) -> None:
    found = RFC5424.fullmatch(message(entries[0]).decode("ascii"))
    assert found, message(entries[0])
    assert int(found[1]) == 13 * 8 + 4, "log audit, a warning"
    assert found[4] == "user.sign_in_failed"
    assert json.loads(found[5]) == entries[0]
    assert message({**entries[0], "action": "fax.seen"}).startswith(b"<110>1 ")


def test_datagrams_hold_one_message_each(entries: list[dict], tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        deliver(f"syslog+udp://127.0.0.1:{server.getsockname()[1]}", entries)
        assert [server.recv(65_536) for _ in entries] == [message(entry) for entry in entries]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "log"))
        server.settimeout(60)
        deliver(f"syslog+unix:{tmp_path}/log", entries)
        assert [server.recv(65_536) for _ in entries] == [message(entry) for entry in entries]


def test_a_stream_counts_the_octets_of_each_message(entries: list[dict]) -> None:
    taken = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _address = server.accept()
            with connection:
                while piece := connection.recv(65_536):
                    taken.extend(piece)

        thread = threading.Thread(target=take)
        thread.start()
        deliver(f"syslog+tcp://127.0.0.1:{server.getsockname()[1]}", entries)
        thread.join(60)
    rest, messages = bytes(taken), []
    while rest:
        length, _blank, rest = rest.partition(b" ")
        messages.append(rest[: int(length)])
        rest = rest[int(length) :]
    assert messages == [message(entry) for entry in entries]


def test_a_file_gets_a_line_for_each_that_only_its_owner_reads(entries: list[dict], tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    deliver(f"file://{file}", entries[:1])
    deliver(f"file://{file}", entries[1:])
    assert [json.loads(line) for line in file.read_text().splitlines()] == entries
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", ["syslog+tcp://127.0.0.1:1", "syslog+unix:/nowhere/log", "file:///nowhere/log"])
def test_a_collector_that_is_away_fails_for_now(url: str) -> None:
    with pytest.raises(TemporaryFailure, match="audit_collector"):
        deliver(url, [{"action": "fax.seen", "at": None}])


@pytest.mark.parametrize("url", ["udp://host", "syslog+udp://", "/var/log/audit", "file:", "https://host/"])
def test_an_address_that_is_none_ends_the_start_with_a_sentence(url: str) -> None:
    with pytest.raises(ValueError, match="FAXROOM_AUDIT_LOG has to be"):
        check_collector(url)


def test_the_job_ships_to_the_collector_of_the_settings(
    app: Flask, session, cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "application", lambda: app)
    enter(cast, "one")
    audit_job.ship_audit()
    assert session.get_one(AuditChain, cast.alpha).shipped == 0, "without a collector nothing goes"
    session.rollback()
    object.__setattr__(app.config["SETTINGS"], "audit_log", f"file://{tmp_path}/out")
    audit_job.ship_audit()
    assert json.loads((tmp_path / "out").read_text())["target"] == "one"
