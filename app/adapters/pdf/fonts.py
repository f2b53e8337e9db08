"""Which characters the fonts of this machine can draw (libfontconfig). For use in a child: everything reads the same
fonts, LibreOffice in its room and pdfium.
"""

import ctypes
import unicodedata
from collections.abc import Iterable
from functools import cache

FC_CHARSET = b"charset"
#: Categories of characters that nobody sees: controls, formats, private ones, spaces.
UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp", "Mn"}
#: Characters looked at in one document, and told of it.
MOST_LOOKED_AT, MOST_TOLD = 20_000, 60


@cache
def _covered() -> tuple[ctypes.CDLL, ctypes.c_void_p] | None:
    """The library and the characters of all fonts; None where there is no fontconfig."""
    try:
        library = ctypes.CDLL("libfontconfig.so.1")
    except OSError:
        return None
    for name in ("FcPatternCreate", "FcObjectSetBuild", "FcFontList", "FcCharSetCreate", "FcCharSetUnion"):
        getattr(library, name).restype = ctypes.c_void_p
    library.FcCharSetMerge.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.FcCharSetHasChar.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.FcPatternGetCharSet.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    pattern = ctypes.c_void_p(library.FcPatternCreate())
    wanted = ctypes.c_void_p(library.FcObjectSetBuild(FC_CHARSET, None))
    listed = library.FcFontList(None, pattern, wanted)
    found = ctypes.cast(listed, ctypes.POINTER(_FontSet)).contents
    union = ctypes.c_void_p(library.FcCharSetCreate())
    for index in range(found.count):
        characters = ctypes.c_void_p()
        if library.FcPatternGetCharSet(found.fonts[index], FC_CHARSET, 0, ctypes.byref(characters)) == 0:
            library.FcCharSetMerge(union, characters, None)
    return library, union


class _FontSet(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int), ("room", ctypes.c_int), ("fonts", ctypes.POINTER(ctypes.c_void_p))]


def load() -> None:
    """Find out once what every child then knows."""
    _covered()


def without_font(text: Iterable[str]) -> str:
    """The characters of ``text`` that no font here has, each once, in their order."""
    if (covered := _covered()) is None:
        return ""
    library, union = covered
    seen: dict[str, None] = {}
    for piece in text:
        if not piece.isascii():
            seen.update(dict.fromkeys(piece))
        if len(seen) > MOST_LOOKED_AT:
            break
    unknown = (sign for sign in seen if unicodedata.category(sign) not in UNSEEN)
    missing = [sign for sign in unknown if not library.FcCharSetHasChar(union, ord(sign))]
    return "".join(missing[:MOST_TOLD])


def missing_in(text: Iterable[str]) -> list[dict[str, object]]:
    """The warning of it, if there is one."""
    characters = without_font(text)
    return [{"kind": "missing_characters", "characters": characters}] if characters else []
