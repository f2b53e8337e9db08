"""Mails about accounts and codes of telephones, as the tests of people need them."""

import re
from datetime import timedelta

import pyotp
import sqlalchemy as sa
from flask import Flask

from app.jobs.outbox import notify
from app.models import Notice
from tenants.db import db, utc_now
from tenants.models import SecondFactor, User
from tests.web.cast import PASSWORD, Browser, changes

LINK = re.compile(r"http://127\.0\.0\.1:8000(/(?:invitation|password|profile/address)/\S+)")


class Post:
    """Delivers what lies in the outbox and keeps it."""

    def __init__(self, app: Flask, monkeypatch) -> None:
        self.app, self.mails = app, []
        monkeypatch.setattr("app.jobs.running.application", lambda: app)
        monkeypatch.setattr(notify, "send_mail", lambda url, message: self.mails.append(message))

    def collect(self) -> list:
        """What has newly been sent."""
        before = len(self.mails)
        with self.app.app_context():
            waiting = db.session.scalars(sa.select(Notice.id).where(Notice.sent_at.is_(None)).order_by(Notice.id)).all()
        for notice_id in waiting:
            notify.deliver(notice_id)
        return self.mails[before:]

    def link(self) -> str:
        """That of the one mail with a link of its own that has newly been sent."""
        (found,) = filter(None, (LINK.search(mail.get_content()) for mail in self.collect()))
        return found[1]


def user(app: Flask, user_id: int) -> User:
    with app.app_context():
        row = db.session.get_one(User, user_id)
        db.session.expunge_all()
        return row


def acts(app: Flask) -> list[tuple[str, str]]:
    """What the audit log says: action and target."""
    with app.app_context():
        return [(event.action, event.target) for event in db.session.scalars(changes())]


def secret_of(app: Flask, user_id: int) -> str:
    with app.app_context():
        factor = db.session.get_one(SecondFactor, user_id)
        return factor.pending_secret or factor.secret


def code(secret: str, *, later: int = 0) -> str:
    """What the telephone shows, or will show ``later`` periods from now."""
    return pyotp.TOTP(secret).at(utc_now() + timedelta(seconds=30 * later))


def set_up_second_factor(app: Flask, browser: Browser, user_id: int) -> tuple[str, list[str]]:
    """The secret and the recovery codes. The code of now is used up."""
    browser.post("/profile/second-factor/begin", page="/profile/second-factor", current=PASSWORD)
    page = browser.get("/profile/second-factor").text
    codes = re.findall(r"<li>([0-9a-z]{4}(?:-[0-9a-z]{4}){3})</li>", page)
    secret = secret_of(app, user_id)
    answer = browser.post("/profile/second-factor", page="/profile/second-factor", code=code(secret))
    assert answer.status_code == 303, answer.text
    return secret, codes
