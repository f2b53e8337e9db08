"""Nothing is begun that there may be no room for."""

from flask import current_app

from app.adapters.storage.disks import Disks
from app.errors import Refused


def disks() -> Disks:
    watched: Disks = current_app.extensions["disks"]
    return watched


def hold_room() -> None:
    """For whoever brings something new.

    Raises:
        Refused: ``no_room``.
    """
    if disks().full():
        raise Refused("no_room")
