"""The pages. One blueprint per area; what every page shares is in the modules named below, wired here."""

from flask import Flask
from flask_wtf import CSRFProtect
from htmx_flask import Htmx

from app.web import (
    administration,
    alerts,
    asking,
    assets,
    audit,
    calls,
    changes,
    content_log,
    cookies,
    downloads,
    entities,
    errors,
    faxes,
    figures,
    forward,
    front,
    guard,
    headers,
    health,
    held,
    inbox,
    language,
    mail2fax,
    mail_log,
    mail_tester,
    marks,
    numbering,
    operator,
    operator_access,
    operator_dialing,
    operator_numbers,
    outbox,
    passkeys,
    preferences,
    preview,
    profile,
    security_contact,
    self_test,
    send,
    settings,
    sign_in,
    step_up,
    templates,
    users,
    viewer,
)
from app.web import presentation as shown

#: Their routes are of the blueprint of mail2fax.
OF_MAIL2FAX = (mail_log, mail_tester)
BLUEPRINTS = (
    sign_in,
    step_up,
    passkeys,
    security_contact,
    send,
    preview,
    faxes,
    inbox,
    forward,
    viewer,
    operator,
    operator_access,
    operator_dialing,
    operator_numbers,
    preferences,
    health,
    front,
    profile,
    users,
    audit,
    figures,
    alerts,
    calls,
    settings,
    mail2fax,
    downloads,
    entities,
    numbering,
    changes,
    self_test,
    templates,
    outbox,
    held,
)


def init_app(app: Flask) -> None:
    """Make the application answer browsers. The order of guard, CSRF and writing is that of each request."""
    app.config.setdefault("WTF_CSRF_TIME_LIMIT", None)  # a page stays open all day; the token lives as long as sign-in
    cookies.init_app(app)
    Htmx(app)
    language.init_app(app)
    assets.init_app(app)
    guard.init_app(app)
    content_log.init_app(app)
    app.before_request(errors.refuse_as_the_front_did)
    CSRFProtect(app)
    guard.begin_writing_after_csrf(app)
    step_up.init_app(app)
    asking.throttle.init_app(app)
    headers.init_app(app)
    errors.init_app(app)
    shown.init_app(app)
    administration.init_app(app)
    marks.init_app(app)
    for module in BLUEPRINTS:
        app.register_blueprint(module.blueprint)
