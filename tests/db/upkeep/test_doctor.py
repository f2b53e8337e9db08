"""What doctor finds beyond the parts."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from app.adapters.telephony.ari import Ari
from app.cli import CLOCKS_APART, _asterisk, _clocks, _media_ports
from app.errors import TemporaryFailure
from app.models import Trunk
from tenants.db import db, utc_now


class Clock:
    """An Asterisk whose clock is so many seconds ahead."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def clock(self):
        return utc_now() + timedelta(seconds=self.ahead)


@pytest.mark.parametrize(("ahead", "is_well"), [(0, True), (2, True), (-2, True), (90, False), (-3600, False)])
def test_clocks_that_differ_are_told(app: Flask, ahead: float, is_well: bool) -> None:
    app.extensions["asterisk"] = Clock(ahead)
    with app.app_context():
        name, ok, text = _clocks()
    assert (name, ok) == ("clocks", is_well)
    assert f"{abs(ahead)} s" in text and "NTP" in text and abs(CLOCKS_APART) < 10


def test_an_asterisk_that_does_not_answer_is_no_fault_of_its_clock(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(TemporaryFailure):
            app.extensions["asterisk"].clock()
        assert _clocks() == ("clocks", True, "")


def test_asterisks_clock_is_read_from_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        headers = {"date": "Sun, 29 Nov 2026 16:20:00 GMT"}

    ari = Ari("http://127.0.0.1:1", "a", "b")
    monkeypatch.setattr(ari, "_ask", lambda *_, **__: Answer())
    assert ari.clock().isoformat() == "2026-11-29T16:20:00+00:00"


class Versioned:
    def __init__(self, told: str) -> None:
        self.told = told

    def version(self) -> str:
        return self.told


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("22.10.1~dfsg+~cs6.17.60671434-1", "22.10.1, tried"),
        ("22.99.0~dfsg-1", "22.99.0, not tried"),
        ("GIT-master", "?, not tried"),
    ],
)
def test_it_is_told_whether_this_asterisk_was_tried(app: Flask, told: str, said: str) -> None:
    app.extensions["asterisk"] = Versioned(told)
    with app.app_context():
        assert _asterisk() == (f"asterisk's version ({said})", True, "")


class Roomy:
    """An Asterisk that may have so many files open."""

    def __init__(self, files: int | None) -> None:
        self.files = files

    def most_files(self) -> int | None:
        return self.files


@pytest.mark.parametrize(
    ("calls", "channels", "files", "is_well"),
    [
        (400, 0, 74240, True),
        (401, 0, None, True),
        (0, 0, 74240, False),
        (400, 600, 74240, True),
        (400, 600, 4096, False),
    ],
)
def test_a_limit_of_calls_beyond_the_ports_is_told(
    app: Flask,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    calls: int,
    channels: int,
    files: int | None,
    is_well: bool,
) -> None:
    spool = tmp_path / "spool/faxroom"
    settings = replace(app.config["SETTINGS"], line_limit=calls, spool=spool)
    monkeypatch.setitem(app.config, "SETTINGS", settings)
    with app.app_context():
        assert _media_ports() == ("ports for calls", True, ""), "an operator's own Asterisk"
        app.extensions["asterisk"] = Roomy(files)
        db.session.add(Trunk(name="main", host="sip.example.org", port=5060, channels=channels, enabled=True))
        db.session.flush()
        (tmp_path / "etc").mkdir()
        name, ok, text = _media_ports()
    assert (name, ok, "Calls beyond that fail" in text) == ("ports for calls", is_well, not is_well)
