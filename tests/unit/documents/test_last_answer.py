"""An office that has given its last answer takes nobody's document any more, in the moment until it ends."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from app.adapters.offices.office import serve
from app.adapters.offices.office_protocol import NOT_CONVERTED, receive, send


class Failing:
    """Of an office what ``serve`` asks of it."""

    own_disk, is_lowered = True, False

    def convert(self, body: bytes, head: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
        raise ValueError

    def fault(self, _error: Exception) -> dict[str, Any]:
        return {"fault": NOT_CONVERTED}

    def end(self) -> None:
        pass


def test_who_comes_after_the_last_answer_is_refused_before_the_document_is_sent(tmp_path: Path) -> None:
    path = str(tmp_path / "office.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        serving = threading.Thread(target=serve, args=(Failing(), listening), daemon=True)
        serving.start()
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(path)
            send(first, {"do": "convert", "kind": "docx"}, b"broken")
            assert receive(first, seconds=20)[0] == {"fault": NOT_CONVERTED}
        serving.join(20)
        with socket.socket(socket.AF_UNIX) as second, pytest.raises(ConnectionRefusedError):
            second.connect(path)  # the socket is still open: LibreOffice takes a moment to end
