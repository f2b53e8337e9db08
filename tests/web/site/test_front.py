"""The front before the real web: whose large body it takes."""

import threading
from pathlib import Path

import httpx
import pytest
from flask import Flask
from werkzeug.serving import make_server

from tests.unit.bin.test_front_waits import front, running_front
from tests.web.cast import Browser, Cast

pytestmark = pytest.mark.skipif(not Path(front.NGINX).exists(), reason="nginx is not installed")


def test_a_large_file_of_nobody_goes_to_the_sign_in_and_that_of_a_person_to_its_page(
    app: Flask, cast: Cast, bob: Browser, tmp_path: Path
) -> None:
    server = make_server(f"unix://{tmp_path / 'web.sock'}", 0, app, threaded=True)
    (tmp_path / "web.sock").chmod(0o777)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    large = {"document": ("large.pdf", b"0" * 300_000)}
    try:
        with running_front(tmp_path) as address:
            answer = httpx.post(f"{address}/faxes/send/document", files=large, timeout=60)
            assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (303, "/sign-in")
            assert httpx.post(f"{address}/sign-in", files=large, timeout=60).status_code == 413
            data = {"csrf_token": bob.token("/faxes/send")}
            cookies = {"session": bob.client.get_cookie("session").value}
            answer = httpx.post(f"{address}/faxes/send/document", files=large, data=data, cookies=cookies, timeout=60)
            assert answer.status_code == 200
    finally:
        server.shutdown()
