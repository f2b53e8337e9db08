"""Both kinds of storage behave alike: a folder, and objects (here obstore's store in memory)."""

import errno
import io
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.storage import storage as storages
from app.adapters.storage.storage import FolderStorage, ObjectStorage, Storage, storage_from_url
from app.errors import PermanentFailure, TemporaryFailure
from tests.waiting import Silent, in_time

KEY = "3/2026/11/01J.pdf"


@pytest.fixture(params=["folder", "objects"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path / "kept") if request.param == "folder" else ObjectStorage("memory:///")


def test_what_was_written_is_read_back(storage):
    storage.write(KEY, io.BytesIO(b"%PDF-1.7 content"))
    with storage.open(KEY) as file:
        assert file.read() == b"%PDF-1.7 content"


def test_a_program_gets_a_path_with_the_content(storage):
    storage.write(KEY, io.BytesIO(b"content"))
    with storage.local_copy(KEY) as path:
        assert path.read_bytes() == b"content"
        assert path.suffix == ".pdf"


def test_what_is_not_there_is_told_as_such(storage):
    storage.write("3/2026/11/another.pdf", io.BytesIO(b"content"))
    with pytest.raises(PermanentFailure, match="document_missing_in_storage"):
        storage.open(KEY)
    with pytest.raises(PermanentFailure, match="document_missing_in_storage"), storage.local_copy(KEY):
        pass


def test_deleting_twice_is_deleting_once(storage):
    storage.write(KEY, io.BytesIO(b"content"))
    storage.delete(KEY)
    storage.delete(KEY)
    with pytest.raises(PermanentFailure):
        storage.open(KEY)


def test_a_storage_that_works_passes_its_check(storage):
    storage.check()


def test_nothing_is_left_of_a_file_that_could_not_be_written_whole(tmp_path):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("the upload broke off")

    storage = FolderStorage(tmp_path)
    with pytest.raises(TemporaryFailure, match="storage_down"):
        storage.write(KEY, Broken())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("key", ["../secret", "3/../../secret", "/etc/passwd"])
def test_no_key_leads_out_of_the_folder(tmp_path, key):
    (tmp_path / "secret").write_text("not ours")
    storage = FolderStorage(tmp_path / "kept")
    with pytest.raises(PermanentFailure, match="document_missing_in_storage"):
        storage.open(key)


def test_a_folder_that_cannot_be_written_is_a_temporary_failure(tmp_path):
    (tmp_path / "kept").write_text("a file where the folder should be")
    storage = FolderStorage(tmp_path / "kept")
    with pytest.raises(TemporaryFailure, match="storage_down"):
        storage.check()
    with pytest.raises(TemporaryFailure, match="storage_down"):
        storage.write(KEY, io.BytesIO(b"content"))


@pytest.mark.parametrize("root", ["absent", "empty", "a file"])
def test_nothing_is_missing_while_the_volume_is_not_mounted(tmp_path, root):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").write_text("where the folder should be")
    assert_down(FolderStorage(tmp_path / root))


def test_a_document_that_cannot_be_read_at_the_moment_is_not_missing(tmp_path, monkeypatch):
    storage = FolderStorage(tmp_path)
    storage.write(KEY, io.BytesIO(b"content"))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        assert_down(storage)
    with storage.open(KEY) as file:
        assert file.read() == b"content"


def assert_down(storage: Storage) -> None:
    with pytest.raises(TemporaryFailure, match="storage_down"):
        storage.open(KEY)
    with pytest.raises(TemporaryFailure, match="storage_down"), storage.local_copy(KEY):
        pass


def test_the_url_says_which_kind(tmp_path):
    assert isinstance(storage_from_url(f"file://{tmp_path}"), FolderStorage)
    assert isinstance(storage_from_url("memory:///"), ObjectStorage)


def test_it_names_what_it_holds_from_a_key_on(storage):
    names = [f"{tenant}/2026/{month}/{name}" for tenant in (3, 4) for month in (10, 11) for name in ("a.pdf", "b.tiff")]
    assert list(storage.keys(before=datetime.now(UTC))) == []
    for name in names:
        storage.write(name, io.BytesIO(b"content"))
    soon = datetime.now(UTC) + timedelta(minutes=1)
    assert sorted(storage.keys(before=soon)) == names
    everything = list(storage.keys(before=soon))
    for n, name in enumerate(everything):
        assert list(storage.keys(before=soon, after=name)) == everything[n + 1 :]
    assert list(storage.keys(before=datetime.now(UTC) - timedelta(hours=1))) == []


# ---- A server that is silent, or that fails for a moment


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ObjectStorage, socket.socket]]:
    """Objects on a server that takes connections, and the socket at which they come."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        for name, value in {
            "AWS_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(name, value)
        yield storage_from_url("s3://bucket/prefix"), server


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in a fifth of the time."""
    for name in ("SILENT_SECONDS", "WRITING_SECONDS", "TRYING_SECONDS"):
        monkeypatch.setattr(storages, name, getattr(storages, name) / 5)


def test_a_page_can_still_say_so_after_one_wait_for_a_silent_server():
    assert max(storages.SILENT_SECONDS, storages.WRITING_SECONDS) < 5


@pytest.mark.parametrize("act", ["check", "open", "delete", "keys", "write", "write much"])
def test_a_server_that_is_silent_is_given_up_after_one_wait(soon_given_up, bucket, act):
    silent, server = bucket
    acts = {
        "check": silent.check,
        "open": lambda: silent.open(KEY),
        "delete": lambda: silent.delete(KEY),
        "keys": lambda: list(silent.keys(before=datetime.now(UTC))),
        "write": lambda: silent.write(KEY, io.BytesIO(b"content")),
        "write much": lambda: silent.write(KEY, io.BytesIO(bytes(20_000_000))),
    }
    with in_time(), pytest.raises(TemporaryFailure, match="storage_down"):
        acts[act]()
    assert Silent(server).came() == 1


def test_a_server_that_falls_silent_in_the_middle_of_a_file_is_given_up_too(soon_given_up, bucket):
    silent, server = bucket

    def answer() -> None:
        connection, _address = server.accept()
        connection.recv(65536)
        head = ("HTTP/1.1 200 OK", "Content-Length: 9999", "ETag: x", "Last-Modified: Sun, 29 Nov 2026 10:00:00 GMT")
        connection.sendall("\r\n".join((*head, "", "the beginning")).encode())
        held.append(connection)

    held: list[socket.socket] = []
    threading.Thread(target=answer, daemon=True).start()
    with in_time(), pytest.raises(TemporaryFailure, match="storage_down"):
        silent.open(KEY)


def test_a_server_that_fails_for_a_moment_is_asked_again(bucket):
    storage, server = bucket

    def answer() -> None:
        for status in ("503 Slow Down", "500 Internal", "200 OK"):
            connection, _address = server.accept()
            connection.recv(65536)
            more = "Content-Length: 0\r\nETag: x\r\nConnection: close\r\n\r\n"
            connection.sendall(f"HTTP/1.1 {status}\r\n{more}".encode())
            connection.close()

    threading.Thread(target=answer, daemon=True).start()
    storage.write(KEY, io.BytesIO(b"content"))
