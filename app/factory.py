"""create_app: the only place that wires everything."""

from flask import Flask
from flask_migrate import Migrate
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from werkzeug.middleware.proxy_fix import ProxyFix

from app import cli, models, web
from app.adapters.ari import Ari
from app.adapters.storage import storage_from_url
from app.config import DOCUMENT_BYTES, Settings
from app.models.sealed import sealing_key
from tenants.db import db

ROOT = __file__.rsplit("/", 2)[0]


def create_app(settings: Settings | None = None, **overrides: object) -> Flask:
    """The Flask application of one instance.

    ``settings`` default to the environment; ``overrides`` are Flask configuration, for tests.
    """
    settings = settings or Settings.from_environment()
    app = Flask("app", template_folder=f"{ROOT}/templates", static_folder="web/static")
    app.config.update(
        SETTINGS=settings,
        SECRET_KEY=settings.secret_key,
        SEALING_KEYS=[sealing_key(secret) for secret in settings.sealing_secrets],
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        MAX_CONTENT_LENGTH=DOCUMENT_BYTES + 1024 * 1024,
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.config.update(overrides)
    app.extensions["redis"] = Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=2,
        socket_timeout=2,  # one that takes connections and is silent must not hold up the line
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),  # a connection that was closed meanwhile is opened again, once
    )
    app.extensions["storage"] = storage_from_url(settings.storage_url)
    app.extensions["line"] = Ari(settings.ari_url, settings.ari_user, settings.ari_password)
    if count := settings.trusted_proxies:  # else anybody could name any address as their own
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    db.init_app(app)
    Migrate(app, db, directory=f"{ROOT}/migrations", render_as_batch=True)
    web.init_app(app)
    cli.init_app(app)
    return app


__all__ = ["create_app", "models"]
