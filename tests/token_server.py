"""A token server like Microsoft's and Google's: people sign in (RFC 6749, 4.1; PKCE, RFC 7636), service accounts show
what they have signed (RFC 7523), it gives tokens and says whether one is good (RFC 7662)."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

CLIENT, SECRET = "client-1", "s3cret~value"


@dataclass
class TokenServer:
    """``username`` is whose mailbox the tokens are for. ``answer``: status and body in place of its own, ``encoding``
    how they say to be packed. ``rotates``: each refresh token is good once. ``asked`` has what came, in order.
    ``claims`` are put into the id token in place of its own; ``offline``: codes give a refresh token. ``service_key``
    is the public key (PEM) of the service account ``service``, which may read the mailbox."""

    username: str
    url: str = ""
    answer: tuple[int, bytes] | None = None
    encoding: str = ""
    life: int = 3600
    rotates: bool = False
    delay: float = 0.0
    good: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=lambda: {"refresh-0"})
    asked: list[dict[str, str]] = field(default_factory=list)
    redirect_uri: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    offline: bool = True
    service: str = ""
    service_key: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def introspection(self) -> str:
        return self.url.replace("/token", "/introspect")

    @property
    def authorize_url(self) -> str:
        return self.url.replace("/token", "/authorize")

    def sign_in(self, query: str) -> str | None:
        """Somebody has signed in and agreed: where the browser goes. None: there is no such client here."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        fits = (asked.get("client_id"), asked.get("redirect_uri")) == (CLIENT, self.redirect_uri)
        if not fits or asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return None
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{self.redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}"

    def _redeem(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not asked or asked["code_challenge"] != challenge or asked["redirect_uri"] != form.get("redirect_uri"):
            return 400, {"error": "invalid_grant", "error_description": "AADSTS70008: The code is not good."}
        facts: dict[str, Any] = {"iss": self.url, "aud": CLIENT, "exp": time.time() + 60, "nonce": asked["nonce"]}
        facts |= {"email": self.username} | self.claims
        body = base64.urlsafe_b64encode(json.dumps(facts).encode()).rstrip(b"=").decode()
        given: dict[str, object] = {"id_token": f"e30.{body}.x"}
        if self.offline:
            self.refresh = {f"refresh-{secrets.token_hex(4)}"}
            given |= {"refresh_token": next(iter(self.refresh)), "refresh_token_expires_in": 7 * 86_400}
        return self._token(given)

    def _of_service(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        try:
            said = jwt.decode(form["assertion"], RSAKey.import_key(self.service_key), algorithms=["RS256"]).claims
        except JoseError:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if said["sub"] != self.username:
            return 401, {"error": "unauthorized_client", "error_description": "Client is unauthorized."}
        fits = (said["iss"], said["aud"]) == (self.service, self.url) and 0 < said["exp"] - time.time() <= 3600
        return self._token({}) if fits and said["scope"] else (400, {"error": "invalid_grant"})

    def _token(self, given: dict[str, object]) -> tuple[int, dict[str, object]]:
        token = secrets.token_urlsafe(24)
        self.good.add(token)
        return 200, given | {"access_token": token, "token_type": "Bearer", "expires_in": self.life}

    def give(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        if form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._of_service(form)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}
        given: dict[str, object] = {}
        if form.get("grant_type") == "authorization_code":
            return self._redeem(form)
        if form.get("grant_type") == "refresh_token":
            if form["refresh_token"] not in self.refresh:
                return 400, {"error": "invalid_grant", "error_description": "AADSTS700082: The token has expired."}
            if self.rotates:
                self.refresh = {f"refresh-{secrets.token_hex(4)}"}
                given = {"refresh_token": next(iter(self.refresh))}
        return self._token(given)

    def answer_to(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if path.startswith("/introspect"):
            is_good = form.get("token") in self.good
            return 200, json.dumps({"active": is_good, "username": self.username}).encode()
        self.asked.append(form)
        self.done.wait(self.delay)
        if self.answer:
            return self.answer
        status, body = self.give(form)
        return status, json.dumps(body).encode()


@contextmanager
def running_token_server(username: str) -> Iterator[TokenServer]:
    server = TokenServer(username)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            form = {name: values[0] for name, values in parse_qs(content.decode()).items()}
            status, text = server.answer_to(self.path, form)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if server.encoding:
                self.send_header("Content-Encoding", server.encoding)
            if status == 302:
                self.send_header("Location", "/token")
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            target = server.sign_in(urlsplit(self.path).query)
            self.send_response(302 if target else 400)
            if target:
                self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/token"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.done.set()
        http.shutdown()
        http.server_close()
