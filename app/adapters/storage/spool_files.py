"""What a call left in the spool. Whoever has taken over Asterisk puts there what they like: a link to another's file
or a second name of it, to be shown it as a received fax; or a pipe, at which whoever opens it waits for ever. Looking
first and opening then is no help: they change it in between."""

import errno
import os
import shutil
import stat
from io import BufferedReader
from pathlib import Path

#: More than any fax.
MOST_BYTES = 1024**3


class NotLeft(Exception):
    """No file of Asterisk's own."""


def open_left(path: Path) -> BufferedReader:
    """Raises:
    NotLeft
    FileNotFoundError
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise NotLeft(path) from error
        raise
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or facts.st_size > MOST_BYTES:
        os.close(handle)
        raise NotLeft(path)
    return os.fdopen(handle, "rb")


def copy_left(path: Path, target: Path) -> None:
    """To a file of ours, with the time of its last page. Nothing where nothing is.

    Raises:
        NotLeft
    """
    try:
        source = open_left(path)
    except FileNotFoundError:
        return
    with source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
        facts = os.fstat(source.fileno())
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))
