"""The session's cookie: signed, and as old as it likes."""

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature


class Cookies(SecureCookieSessionInterface):
    """Whether a sign-in still holds is in the database (:mod:`tenants.sessions`). Flask would take a cookie that comes
    from the future for one that is too old: a clock that is set back would sign everybody out."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        signer = self.get_signing_serializer(app)
        if signer is None:
            return None
        try:
            return self.session_class(signer.loads(request.cookies.get(self.get_cookie_name(app), "")))
        except BadSignature:
            return self.session_class()


def init_app(app: Flask) -> None:
    app.session_interface = Cookies()
