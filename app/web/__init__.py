"""The pages. One blueprint per area; what every page shares is in the modules named below, wired here."""

from flask import Flask
from flask_wtf import CSRFProtect
from htmx_flask import Htmx

from app.web.audit import audit_pages
from app.web.faxes import content_log, fax_pages, forward, inbox, inbox_marks, preview, send, viewer
from app.web.faxes import presentation as shown
from app.web.figures import alerts, call_pages, figure_pages
from app.web.files import downloads
from app.web.mail2fax import boxes, door, mail_log, mail_tester, mailbox_sign_in
from app.web.operator import (
    companies,
    operator_access,
    operator_dialing,
    operator_door,
    operator_numbers,
    operator_trunks,
    outbox,
    trunk_pages,
)
from app.web.people import credentials, held, passkeys, profile, sign_in, step_up, users
from app.web.setup import changes, entities, numbering, self_test, settings, templates
from app.web.site import (
    administration,
    assets,
    cookies,
    errors,
    front,
    guard,
    headers,
    health,
    language,
    preferences,
    security_contact,
)

#: Their routes are of the blueprint of mail2fax.
OF_MAIL2FAX = (mail_log, mail_tester, mailbox_sign_in)
BLUEPRINTS = (
    sign_in,
    step_up,
    passkeys,
    security_contact,
    send,
    preview,
    fax_pages,
    inbox,
    forward,
    viewer,
    companies,
    operator_access,
    operator_dialing,
    operator_numbers,
    operator_trunks,
    operator_door,
    trunk_pages,
    preferences,
    health,
    front,
    profile,
    users,
    audit_pages,
    figure_pages,
    alerts,
    call_pages,
    settings,
    boxes,
    door,
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
    credentials.throttle.init_app(app)
    headers.init_app(app)
    errors.init_app(app)
    shown.init_app(app)
    administration.init_app(app)
    inbox_marks.init_app(app)
    for module in BLUEPRINTS:
        app.register_blueprint(module.blueprint)
