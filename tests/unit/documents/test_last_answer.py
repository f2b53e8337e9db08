"""An office that has given its last answer takes nobody's document any more, in the moment until it ends; and which one
is the last."""

import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from app.adapters.offices import office
from app.adapters.offices.office import Office, serve
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
            assert receive(first, seconds=60)[0] == {"fault": NOT_CONVERTED}
        serving.join(60)
        with socket.socket(socket.AF_UNIX) as second, pytest.raises(ConnectionRefusedError):
            second.connect(path)  # the socket is still open: LibreOffice takes a moment to end


@pytest.mark.parametrize(
    ("program", "is_lowered"), [("while True: pass", True), ("import time; time.sleep(600)", False)]
)
def test_who_only_waits_for_the_processor_is_not_taken_for_one_that_is_long_at_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, is_lowered: bool
) -> None:
    monkeypatch.setattr(office, "LONG_SECONDS", 0.3)
    one, done = Office(tmp_path, deadline_seconds=60, own_disk=True), threading.Event()
    with subprocess.Popen([sys.executable, "-S", "-c", program], start_new_session=True) as one.process:
        looking = threading.Thread(target=one._lower_if_long, args=(done,), daemon=True)
        looking.start()
        looking.join(60 if is_lowered else 2)
        done.set()
        one.process.kill()
    assert one.is_lowered is is_lowered
