"""A token server like Microsoft's: it gives tokens (RFC 6749) and says whether one is good (RFC 7662)."""

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

CLIENT, SECRET = "client-1", "s3cret~value"


@dataclass
class TokenServer:
    """``username`` is whose mailbox the tokens are for. ``answer``: status and body in place of its own, ``encoding``
    how they say to be packed. ``rotates``: each refresh token is good once. ``asked`` has what came, in order."""

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
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def introspection(self) -> str:
        return self.url.replace("/token", "/introspect")

    def give(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret."}
        given: dict[str, object] = {}
        if form.get("grant_type") == "refresh_token":
            if form["refresh_token"] not in self.refresh:
                return 400, {"error": "invalid_grant", "error_description": "AADSTS700082: The token has expired."}
            if self.rotates:
                self.refresh = {f"refresh-{secrets.token_hex(4)}"}
                given = {"refresh_token": next(iter(self.refresh))}
        token = secrets.token_urlsafe(24)
        self.good.add(token)
        return 200, given | {"access_token": token, "token_type": "Bearer", "expires_in": self.life}

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
