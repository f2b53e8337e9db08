"""Workbooks that Excel enciphers with a password of its own, and opens without asking: those that may not be changed.
For use in a child.

Sources: [MS-OFFCRYPTO] 2.3, [MS-XLS] 2.2.10; msoffcrypto does the work.
"""

import io
import logging
from types import SimpleNamespace

import msoffcrypto
from msoffcrypto.format import xls97

PASSWORD = "VelvetSweatshop"

#: A child may make no file of its own: what the package puts aside stays in memory.
vars(xls97)["tempfile"] = SimpleNamespace(TemporaryFile=io.BytesIO)
logging.getLogger("msoffcrypto").setLevel(logging.ERROR)


def opened(data: bytes) -> bytes | None:
    """The file in the clear, as Excel would have saved it without; None: it has another password, or is broken."""
    clear = io.BytesIO()
    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(data))
        file.load_key(password=PASSWORD, **({"verify_password": True} if file.format == "ooxml" else {}))
        file.decrypt(clear)
    except Exception:  # whatever it makes of a stranger's file
        return None
    return clear.getvalue()
