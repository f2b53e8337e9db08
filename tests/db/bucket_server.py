"""A server of buckets as far as copies and documents need one: it checks the signature, and fails on demand."""

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlsplit

#: When everything was written.
CHANGED, CHANGED_ISO = "Wed, 01 Jan 2025 00:00:00 GMT", "2025-01-01T00:00:00.000Z"
ACCESS_KEY, SECRET_KEY, REGION = "AKFAXROOM", "a very secret key", "us-east-1"


class BucketServer(ThreadingHTTPServer):
    """``answers`` with a status and a word of S3's instead of doing what is asked, if it is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.fails: tuple[int, str] | None = None
        self.redirects_to: str | None = None
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


def _signature(method: str, path: str, query: dict[str, str], host: str) -> str:
    """Signature Version 4 of a signed address, after Amazon's description, apart from the code under test."""
    kept = {name: value for name, value in query.items() if name != "X-Amz-Signature"}
    request = "\n".join((method, path, _asked(kept), f"host:{host}\n", "host", "UNSIGNED-PAYLOAD"))
    return _signed(request, query["X-Amz-Date"])


def _header_signature(method: str, path: str, query: dict[str, str], headers: Mapping[str, str]) -> str:
    """The same where it is in the header Authorization."""
    (names,) = re.findall(r"SignedHeaders=([^,]+)", headers["Authorization"])
    told = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names.split(";"))
    request = "\n".join((method, path, _asked(query), told, names, headers["x-amz-content-sha256"]))
    return _signed(request, headers["x-amz-date"])


def _asked(query: dict[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))


def _signed(request: str, date: str) -> str:
    day = date[:8]
    scope = f"{day}/{REGION}/s3/aws4_request"
    told = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{SECRET_KEY}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, told.encode(), "sha256").hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: BucketServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content-Length" not in {name.replace("_", "-") for name in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.server.requests.append(f"{self.command} {parts.path}")
        if self.server.redirects_to:
            return self._answer(307, Location=self.server.redirects_to)
        if not self._is_signed(parts.path, query):
            return self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        if self.server.fails:
            status, word = self.server.fails
            return self._answer(status, f"<Error><Code>{word}</Code></Error>".encode())
        if "list-type" in query:
            return self._list(f"{parts.path.rstrip('/')}/", query)
        return self._act(unquote(parts.path), body)

    def _is_signed(self, path: str, query: dict[str, str]) -> bool:
        if "Authorization" in self.headers:
            right = _header_signature(self.command, path, query, self.headers)
            return self.headers["Authorization"].endswith(f"Signature={right}")
        return query.get("X-Amz-Signature") == _signature(self.command, path, query, self.headers["Host"])

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        """All at once, as ListObjectsV2 has it."""
        found = sorted(path.removeprefix(bucket) for path in self.server.objects if path.startswith(bucket))
        told = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{CHANGED_ISO}</LastModified><ETag>x</ETag>"
            f"<Size>{len(self.server.objects[bucket + key])}</Size></Contents>"
            for key in found
            if key.startswith(query.get("prefix", "")) and key > query.get("start-after", "")
        )
        self._answer(200, f"<ListBucketResult>{told}<IsTruncated>false</IsTruncated></ListBucketResult>".encode())

    def _act(self, path: str, body: bytes) -> None:
        objects = self.server.objects
        if self.command == "PUT":
            objects[path] = body
            return self._answer(200, ETag="x")
        if path not in objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if self.command == "DELETE":
            del objects[path]
            return self._answer(204)
        return self._answer(200, objects[path], ETag="x", Last_Modified=CHANGED)

    do_PUT = do_GET = do_HEAD = do_DELETE = _do  # noqa: N815 - the library's names
