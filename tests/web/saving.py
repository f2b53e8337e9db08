"""What the tests of saved changes do over and over: fill in a form of the page that is open, save it, apply it all."""

import re
from typing import Any

from flask import Flask
from werkzeug.datastructures import MultiDict
from werkzeug.test import TestResponse

from app.models import FaxEntity, FaxTemplate
from app.rules.numbers import pool
from tenants.db import db, utc_now
from tenants.models import Tenant
from tests.web.cast import Browser

STAMP = re.compile(r'name="stamp" value="([^"]*)"')
IDS = re.compile(r'name="ids" value="(\d+)"')


def post(browser: Browser, path: str, pairs: list[tuple[str, Any]] | dict[str, Any], **headers: str) -> TestResponse:
    """A form with fields of which there may be several."""
    data = MultiDict(pairs)
    data["csrf_token"] = browser.token("/changes")
    return browser.client.post(path, data=data, headers=headers)


def stamp_of(browser: Browser, path: str) -> str:
    return STAMP.search(browser.get(path).text)[1]


def form_of(app: Flask, entity_id: int, **changes: Any) -> dict[str, Any]:
    """What the form of an entity has in its fields, with what is typed over it."""
    with app.app_context():
        entity = db.session.get_one(FaxEntity, entity_id)
        texts = {name: getattr(entity, name) or "" for name in ("name", "extension", "number", "voice_destination")}
        texts |= {"template": entity.template_id, "limit_outbound": entity.limit_outbound, "box": entity.box_id or ""}
        return texts | {"authentication": entity.authentication} | changes


def save(app: Flask, browser: Browser, entity_id: int, **changes: Any) -> TestResponse:
    path = f"/entities/{entity_id}"
    return post(browser, path, form_of(app, entity_id, **changes) | {"stamp": stamp_of(browser, path)})


def template_of(app: Flask, tenant_id: int) -> int:
    with app.app_context():
        return db.session.query(FaxTemplate).filter_by(tenant_id=tenant_id).first().id


def add(app: Flask, browser: Browser, company: int, **values: Any) -> TestResponse:
    fresh = {"name": "sales", "extension": "505", "number": "", "template": template_of(app, company)}
    fresh |= {"limit_outbound": "0", "authentication": "none"}
    return post(browser, "/entities/new", fresh | values)


def give(app: Flask, company: int, *numbers: str) -> None:
    """As an operator does."""
    with app.app_context():
        pool.give(db.session, db.session.get_one(Tenant, company), numbers, utc_now())
        db.session.commit()


def save_users(browser: Browser, path: str, *, shown: list[int], sends: list[int] = [], receives: list[int] = []):  # noqa: B006
    pairs = [("act", "save"), ("stamp", stamp_of(browser, path)), ("shown", ",".join(map(str, shown)))]
    pairs += [("sends", user) for user in sends] + [("receives", user) for user in receives]
    return post(browser, path, pairs)


def apply(browser: Browser) -> TestResponse:
    """What the page of the changes shows, all of it."""
    return post(browser, "/changes/apply", [("ids", change) for change in IDS.findall(browser.get("/changes").text)])


def whole(app: Flask, entity_id: int) -> FaxEntity:
    with app.app_context():
        entity = db.session.get_one(FaxEntity, entity_id)
        db.session.expunge_all()
        return entity
