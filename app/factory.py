"""create_app: the only place that wires everything."""

import os

from flask import Flask
from flask_migrate import Migrate
from werkzeug.middleware.proxy_fix import ProxyFix

from app import cli, models, web
from app.adapters.offices.offices import office_at
from app.adapters.servers.audit_collector import check_collector
from app.adapters.storage.disks import Disks
from app.adapters.storage.sealed_storage import SealedStorage
from app.adapters.storage.storage import storage_from_url
from app.adapters.telephony.ari import Ari
from app.config import DOCUMENT_BYTES, Settings
from app.models.sealed import SealingKeys
from app.queues import connect
from app.services.documents.company_keys import CompanyKeys
from tenants.connections import POOL_SECONDS
from tenants.db import db

#: How long glibc looks a name up (resolv.conf(5)): it would ask each server twice, for 5 s.
LOOKUPS = "timeout:1 attempts:2"
ROOT = __file__.rsplit("/", 2)[0]


def create_app(settings: Settings | None = None, **overrides: object) -> Flask:
    """The Flask application of one instance.

    ``settings`` default to the environment; ``overrides`` are Flask configuration, for tests.

    Raises:
        ValueError: UNOSERVER_URL names a place to which documents would go in clear or to anybody, or
            FAXROOM_AUDIT_LOG none that is known.
    """
    settings = settings or Settings.from_environment()
    os.environ.setdefault("RES_OPTIONS", LOOKUPS)
    app = Flask("app", template_folder=f"{ROOT}/templates", static_folder="web/static")
    app.config.update(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        OPERATORS_NEED_FACTOR=settings.operators_need_factor,
        SEALING_KEYS=SealingKeys(settings.sealing_secrets, settings.sealing_file),
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS={"pool_timeout": POOL_SECONDS},
        MAX_CONTENT_LENGTH=DOCUMENT_BYTES + 1024 * 1024,
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_NAME="__Host-session" if settings.secure_cookies else "session",
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.config.update(overrides)
    if settings.audit_log:
        check_collector(settings.audit_log)
    for address in settings.unoserver_urls:
        office_at(address)
    app.extensions["redis"] = connect(settings.redis_url)
    app.extensions["disks"] = Disks.of(settings)
    app.extensions["storage"] = SealedStorage(storage_from_url(settings.storage_url), CompanyKeys())
    app.extensions["asterisk"] = Ari(settings.ari_url, settings.ari_user, settings.ari_password)
    _believe_proxies(app, settings)
    db.init_app(app)
    Migrate(app, db, directory=f"{ROOT}/migrations", render_as_batch=True)
    web.init_app(app)
    cli.init_app(app)
    return app


def _believe_proxies(app: Flask, settings: Settings) -> None:
    """Each adds the address of whom it heard at the end of X-Forwarded-For: what stands further left anybody may have
    written. Our own front adds one too, and hands on what the operator's proxies say of host and scheme."""
    count = settings.trusted_proxies
    if hops := count + bool(settings.front):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=count, x_host=count)  # type: ignore[method-assign]  # Flask's own way


__all__ = ["create_app", "models"]
