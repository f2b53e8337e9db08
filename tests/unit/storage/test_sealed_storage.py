"""Documents lie sealed in a folder and in a bucket alike; whoever changes anything there gets nothing opened."""

import hashlib
import io
import os
from pathlib import Path

import pytest

from app.adapters.storage.sealed_files import HEAD, MAGIC, PIECE, STORED, TAG, seal, sealed_size
from app.adapters.storage.sealed_storage import SealedStorage
from app.adapters.storage.storage import FolderStorage, ObjectStorage, Storage
from app.errors import PermanentFailure, TemporaryFailure

KEY, OTHER, FOREIGN = "3/2026/11/01J.pdf", "3/2026/11/01K.pdf", "4/2026/11/01J.pdf"
#: Sizes around the edges of pieces.
SIZES = (0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 17)


class Ring:
    """Keys of companies, as the database would have them."""

    def __init__(self) -> None:
        self.keys = {"3": [os.urandom(32)], "4": [os.urandom(32)]}
        self.sealed: dict[str, str] = {}
        self.known = {owner: list(keys) for owner, keys in self.keys.items()}

    def of(self, owner: str, *, anew: bool = False) -> list[bytes]:
        if anew:
            self.known = {owner: list(keys) for owner, keys in self.keys.items()}
        if not self.known.get(owner):
            raise PermanentFailure("sealing_key_unknown")
        return self.known[owner]

    def digest_if_sealed(self, key: str) -> str | None:
        return self.sealed.get(key)


@pytest.fixture(params=["folder", "objects"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return FolderStorage(tmp_path / "kept") if request.param == "folder" else ObjectStorage("memory:///")


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.fixture
def storage(inner: Storage, ring: Ring) -> SealedStorage:
    return SealedStorage(inner, ring)


def lying(storage: SealedStorage, key: str = KEY) -> bytes:
    with storage.as_it_lies(key) as file:
        return file.read()


def lay(storage: SealedStorage, content: bytes, key: str = KEY) -> None:
    storage.inner.write(key, io.BytesIO(content))


def opened(storage: SealedStorage, key: str = KEY) -> bytes:
    with storage.open(key) as file:
        return file.read()


def why_not(storage: SealedStorage, key: str = KEY) -> str:
    with pytest.raises(PermanentFailure) as caught:
        opened(storage, key)
    return caught.value.code


@pytest.mark.parametrize("size", SIZES)
def test_what_was_stored_is_read_back_and_cannot_be_read_where_it_lies(storage, size):
    content = os.urandom(size)
    storage.write(KEY, io.BytesIO(content))
    assert opened(storage) == content
    sealed = lying(storage)
    assert len(sealed) == sealed_size(size)
    assert size < 16 or content[:16] not in sealed
    with storage.local_copy(KEY) as path:
        assert (path.read_bytes(), path.suffix) == (content, ".pdf")
    assert not path.exists(), "a program's copy lies plain for as long as it works"


@pytest.mark.parametrize("size", SIZES)
def test_any_part_is_read_without_the_rest(storage, size):
    content = os.urandom(size)
    storage.write(KEY, io.BytesIO(content))
    with storage.open(KEY) as file:
        assert file.seek(0, os.SEEK_END) == size
        for begin in (size - 1, 0, PIECE - 2, PIECE, 2 * PIECE + 5, size + 10):
            begin = max(0, begin)
            file.seek(begin)
            assert file.read(9) == content[begin : begin + 9]


def test_two_files_of_one_content_share_no_piece(storage):
    for key in (KEY, OTHER):
        storage.write(key, io.BytesIO(bytes(2 * PIECE)))
    ours, others = lying(storage)[HEAD:], lying(storage, OTHER)[HEAD:]
    assert ours[:PIECE] != others[:PIECE] and ours[:PIECE] != ours[PIECE + TAG : 2 * PIECE + TAG]


@pytest.mark.parametrize("place", [0, len(STORED), HEAD - 1, HEAD, HEAD + PIECE, HEAD + PIECE + TAG + 5, -1])
def test_one_bit_that_differs_anywhere_gives_nothing_of_its_piece_out(storage, ring, place):
    content = os.urandom(2 * PIECE)
    storage.write(KEY, io.BytesIO(content))
    ring.sealed[KEY] = hashlib.sha256(content).hexdigest()
    sealed = bytearray(lying(storage))
    sealed[place] ^= 1
    lay(storage, bytes(sealed))
    assert why_not(storage) in ("sealed_file_damaged", "sealing_key_unknown")


def test_what_is_asked_for_whole_is_refused_before_its_first_byte_for_a_fault_in_the_middle(storage):
    content = os.urandom(3 * PIECE)
    storage.write(KEY, io.BytesIO(content))
    with storage.open(KEY, whole=True) as file:
        assert file.read() == content
    sealed = bytearray(lying(storage))
    sealed[HEAD + PIECE + TAG + 5] ^= 1
    lay(storage, bytes(sealed))
    with storage.open(KEY) as file:
        assert file.read(PIECE) == content[:PIECE], "what is whole of it can be read"
    with pytest.raises(PermanentFailure, match="sealed_file_damaged"):
        storage.open(KEY, whole=True)


@pytest.mark.parametrize("cut", [1, TAG, PIECE, PIECE + TAG, 2 * (PIECE + TAG), 3 * (PIECE + TAG)])
def test_a_file_that_lacks_its_end_is_not_given_out_at_all(storage, cut):
    storage.write(KEY, io.BytesIO(os.urandom(3 * PIECE)))
    lay(storage, lying(storage)[:-cut])
    with pytest.raises(PermanentFailure, match="sealed_file_damaged"):
        storage.open(KEY)


def test_pieces_that_changed_places_or_stand_twice_are_noticed(storage):
    storage.write(KEY, io.BytesIO(os.urandom(3 * PIECE)))
    sealed, length = lying(storage), PIECE + TAG
    head, pieces = sealed[:HEAD], [sealed[HEAD + n * length : HEAD + (n + 1) * length] for n in range(3)]
    for order in ((1, 0, 2), (0, 0, 2), (0, 2), (0, 1, 2, 2), (0, 1, 1, 2)):
        lay(storage, head + b"".join(pieces[n] for n in order))
        assert why_not(storage) == "sealed_file_damaged"


def test_a_document_laid_under_another_name_or_into_another_company_is_noticed(storage, ring):
    storage.write(KEY, io.BytesIO(b"a letter of company 3"))
    for place in (OTHER, FOREIGN):
        lay(storage, lying(storage), place)
    assert why_not(storage, OTHER) == "sealed_file_damaged"
    assert why_not(storage, FOREIGN) == "sealing_key_unknown"
    ring.keys["4"].append(ring.keys["3"][0])
    assert why_not(storage, FOREIGN) == "sealed_file_damaged", "even with the key of the other company"


def test_a_file_that_was_sealed_for_an_archive_is_no_document(storage, ring):
    lay(storage, b"".join(seal(io.BytesIO(b"a letter"), ring.keys["3"][0])))
    assert opened(storage).startswith(MAGIC), "it is taken as what it is, a file of before"


def test_what_lies_plain_from_before_is_read_as_it_is(storage):
    lay(storage, b"%PDF from before")
    assert opened(storage) == b"%PDF from before"
    with storage.local_copy(KEY) as path:
        assert path.read_bytes() == b"%PDF from before"


def test_a_plain_file_in_place_of_a_sealed_one_is_read_only_if_it_is_the_same_document(storage, ring):
    storage.write(KEY, io.BytesIO(b"the letter"))
    ring.sealed[KEY] = hashlib.sha256(b"the letter").hexdigest()
    lay(storage, b"another letter")
    assert why_not(storage) == "sealed_file_damaged"
    lay(storage, b"the letter")
    assert opened(storage) == b"the letter"


def test_without_a_key_nothing_is_stored_and_nothing_read(storage, ring):
    storage.write(KEY, io.BytesIO(b"the letter"))
    ring.keys["3"], ring.known["3"] = [], []
    assert why_not(storage) == "sealing_key_unknown"
    with pytest.raises(PermanentFailure, match="sealing_key_unknown"):
        storage.write(OTHER, io.BytesIO(b"a letter"))
    assert list(storage.inner.open(KEY).read()) != [], "what is there stays"


def test_a_key_that_another_process_has_made_is_asked_for(storage, ring):
    ring.keys["3"].insert(0, os.urandom(32))
    SealedStorage(storage.inner, type("Other", (), {"of": lambda _, owner, **more: ring.keys[owner]})()).write(
        KEY, io.BytesIO(b"sealed by the other")
    )
    assert opened(storage) == b"sealed by the other"


def test_sealing_again_takes_the_newest_key_and_leaves_readers_alone(storage, ring):
    content = os.urandom(3 * PIECE)
    lay(storage, content)
    digest = hashlib.sha256(content).hexdigest()
    names = []
    for _ in range(3):
        with storage.open(KEY) as reader:
            begun = reader.read(PIECE)
            names.append(storage.seal_again(KEY, sha256=digest))
            assert begun + reader.read() == content
        assert (opened(storage), storage.seal_again(KEY, sha256=digest)) == (content, names[-1])
        ring.keys["3"].insert(0, os.urandom(32))
    assert len(set(names)) == 3
    ring.keys["3"] = ring.keys["3"][1:2]
    ring.of("3", anew=True)
    assert opened(storage) == content, "the key before the last is needed no more"


def test_what_is_not_what_was_stored_is_not_sealed(storage):
    lay(storage, b"something else")
    with pytest.raises(PermanentFailure, match="sealed_file_damaged"):
        storage.seal_again(KEY, sha256=hashlib.sha256(b"the letter").hexdigest())
    assert lying(storage) == b"something else"


def test_a_storage_that_fails_while_sealing_again_keeps_what_was_there(storage, monkeypatch):
    lay(storage, b"the letter")

    def fail(_key: str, _source: object) -> None:
        raise TemporaryFailure("storage_down")

    with monkeypatch.context() as broken:
        broken.setattr(storage.inner, "write", fail)
        with pytest.raises(TemporaryFailure):
            storage.seal_again(KEY, sha256=hashlib.sha256(b"the letter").hexdigest())
    assert opened(storage) == b"the letter"
