"""Workbooks that Excel enciphers with a password of its own, and opens without asking: those that may not be changed.
For use in a child.

Sources: [MS-OFFCRYPTO] 2.3.4 (packages) and 2.3.5, 2.3.6 (streams); [MS-XLS] 2.2.10 (what stays readable in a stream).
"""

import base64
import hashlib
import struct
from collections.abc import Callable
from xml.parsers import expat

import olefile
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PASSWORD = "VelvetSweatshop".encode("utf-16-le")
SPINS = 50_000
#: More than a program would ask for.
MOST_SPINS = 1_000_000
SEGMENT, BLOCK = 4096, 1024
#: What the key of a package is made for (2.3.4.13).
FOR_INPUT, FOR_HASH, FOR_KEY = (
    bytes.fromhex(purpose) for purpose in ("fea7d2763b4b9e79", "d7aa0f6d3061344e", "146e0be7abacd0d6")
)
FILEPASS, BOUNDSHEET, UNKNOWN = 0x002F, 0x0085, 0x0EEE
#: Records that are not enciphered: BOF, FilePass, UsrExcl, FileLock, InterfaceHdr, RRDInfo, RRDHead.
READABLE = {0x0809, FILEPASS, 0x0194, 0x0195, 0x00E1, 0x0196, 0x0138}
#: What is made of them that is not as it should be.
BROKEN = (struct.error, ValueError, LookupError, TypeError, expat.ExpatError)


def opened_package(container: olefile.OleFileIO) -> bytes | None:
    """The package in an enciphered container, or None: it has another password.

    Raises:
        OSError: the container is broken.
    """
    info, data = (container.openstream(name).read() for name in ("EncryptionInfo", "EncryptedPackage"))
    try:
        size, content = struct.unpack_from("<Q", data)[0], data[8:]
        opened = _opened_agile if struct.unpack_from("<HH", info) == (4, 4) else _opened_standard
        package = opened(info, content)
    except BROKEN:
        return None
    return package[:size] if package is not None else None


def _opened_standard(info: bytes, content: bytes) -> bytes | None:
    header = struct.unpack_from("<I", info, 8)[0]
    key_bits, at = struct.unpack_from("<I", info, 12 + 16)[0], 12 + header
    salt, verifier, (length,), proof = (
        info[at + 4 : at + 20],
        info[at + 20 : at + 36],
        struct.unpack_from("<I", info, at + 36),
        info[at + 40 : at + 72],
    )
    digest = _hashed(_spun("sha1", salt, SPINS), _number(0))
    wide = [_hashed(bytes(byte ^ pad for byte in digest.ljust(64, b"\0"))) for pad in (0x36, 0x5C)]
    key = b"".join(wide)[: key_bits // 8]
    if _hashed(_aes(key, verifier)) != _aes(key, proof)[:length]:
        return None
    return _aes(key, content[: len(content) // 16 * 16])


def _opened_agile(info: bytes, content: bytes) -> bytes | None:
    named: dict[str, dict[str, str]] = {}
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, attributes: named.setdefault(name.rpartition(":")[2], attributes)
    parser.Parse(info[8:], True)
    data, locked = named["keyData"], named["encryptedKey"]
    if (spins := int(locked["spinCount"])) > MOST_SPINS:
        return None
    salt, name = base64.b64decode(locked["saltValue"]), _hash_of(locked)
    digest = _spun(name, salt, spins)

    def unlocked(value: str, purpose: bytes) -> bytes:
        key = _hashed(digest, purpose, name=name).ljust(64, b"\x36")[: int(locked["keyBits"]) // 8]
        return _aes(key, base64.b64decode(locked[value]), salt[:16])

    proof = _hashed(unlocked("encryptedVerifierHashInput", FOR_INPUT)[: len(salt)], name=name)
    if unlocked("encryptedVerifierHashValue", FOR_HASH)[: len(proof)] != proof:
        return None
    key = unlocked("encryptedKeyValue", FOR_KEY)[: int(data["keyBits"]) // 8]
    salt, name, pieces = base64.b64decode(data["saltValue"]), _hash_of(data), []
    for number, at in enumerate(range(0, len(content), SEGMENT)):
        piece = content[at : at + SEGMENT]
        start = _hashed(salt, _number(number), name=name)[:16]
        pieces.append(_aes(key, piece[: len(piece) // 16 * 16], start))
    return b"".join(pieces)


def opened_workbook(stream: bytes) -> bytes | None:
    """The stream ``Workbook`` of [MS-XLS] in the clear, as long as before; None: it has another password, or is
    obscured in an older way."""
    records, at = [], 0
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        records.append((kind, at, min(length, len(stream) - at - 4)))
        at += 4 + length
    try:
        _kind, at, length = next(record for record in records if record[0] == FILEPASS)
        keys = _keys_of(stream[at + 4 : at + 4 + length])
    except (StopIteration, *BROKEN):
        return None
    if keys is None:
        return None
    blocks = -(-len(stream) // BLOCK)
    hidden = b"".join(_rc4(keys(number), bytes(BLOCK)) for number in range(blocks))[: len(stream)]
    clear = bytearray((int.from_bytes(stream, "big") ^ int.from_bytes(hidden, "big")).to_bytes(len(stream), "big"))
    for kind, at, length in records:
        readable = 4 + (length if kind in READABLE else 4 if kind == BOUNDSHEET else 0)
        clear[at : at + readable] = stream[at : at + readable]
        if kind == FILEPASS:
            struct.pack_into("<H", clear, at, UNKNOWN)
    return bytes(clear)


def _keys_of(lock: bytes) -> Callable[[int], bytes] | None:
    """Number of a block → its key; None for another password."""
    how, major, minor = struct.unpack_from("<HHH", lock)
    if how != 1:
        return None
    if (major, minor) == (1, 1):
        salt, verifier, proof, name = lock[6:22], lock[22:38], lock[38:54], "md5"
        first = _hashed((_hashed(PASSWORD, name=name)[:5] + salt) * 16, name=name)[:5]
        length = 16
    else:
        header = struct.unpack_from("<I", lock, 10)[0]
        bits, at = struct.unpack_from("<I", lock, 14 + 16)[0] or 40, 14 + header
        salt, verifier, name = lock[at + 4 : at + 20], lock[at + 20 : at + 36], "sha1"
        proof, first = lock[at + 40 : at + 60], _hashed(salt, PASSWORD)
        length = bits // 8

    def keys(number: int) -> bytes:
        return _hashed(first, _number(number), name=name)[:length].ljust(16, b"\0")

    opened = _rc4(keys(0), verifier + proof)
    return keys if _hashed(opened[:16], name=name) == opened[16:] else None


def _hash_of(attributes: dict[str, str]) -> str:
    return attributes["hashAlgorithm"].replace("-", "").lower()


def _spun(name: str, salt: bytes, spins: int) -> bytes:
    digest, begin = _hashed(salt, PASSWORD, name=name), hashlib.new(name)
    for number in range(spins):
        spin = begin.copy()
        spin.update(_number(number))
        spin.update(digest)
        digest = spin.digest()
    return digest


def _hashed(*parts: bytes, name: str = "sha1") -> bytes:
    return hashlib.new(name, b"".join(parts)).digest()


def _number(number: int) -> bytes:
    return struct.pack("<I", number)


def _aes(key: bytes, data: bytes, start: bytes | None = None) -> bytes:
    mode = modes.CBC(start) if start else modes.ECB()
    return Cipher(algorithms.AES(key), mode).decryptor().update(data)


def _rc4(key: bytes, data: bytes) -> bytes:
    return Cipher(ARC4(key), None).decryptor().update(data)
