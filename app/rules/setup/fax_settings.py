"""What an administrator may set: simultaneity, places for archives. Rules only; who may is asked elsewhere."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import ArchiveCopy, ArchivePlace, PlaceKind
from app.whole_numbers import read_whole
from tenants.models import Tenant
from tenants.scope import lock_tenant, owned_by

LIMITS = ("inbound", "outbound", "total")
MOST_CALLS = 1000
MOST_PLACES = 10
NAME_LENGTH = 100

#: Parts of a path that mean themselves on every system.
_PART = re.compile(r"[0-9A-Za-z][0-9A-Za-z ._-]{0,62}")
#: Amazon's rules for new buckets, which every other server takes too.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


# ---- Simultaneity


def limits_of(tenant: Tenant) -> dict[str, int]:
    return {name: getattr(tenant, f"limit_{name}") for name in LIMITS}


def judge_limits(texts: dict[str, str]) -> tuple[dict[str, int], dict[str, Refused]]:
    """Numbers of calls at the same time, 0 for no limit; and what is wrong, by field."""
    limits, faults = {}, {}
    for name in LIMITS:
        text = texts.get(name, "").strip() or "0"
        if (number := read_whole(text, most=MOST_CALLS)) is not None:
            limits[name] = number
        else:
            faults[name] = Refused("limit_unreadable", field=name, limit=MOST_CALLS)
    return limits, faults


def set_limits(tenant: Tenant, limits: dict[str, int]) -> None:
    """They hold from the next call on; calls under way are not touched."""
    for name in LIMITS:
        setattr(tenant, f"limit_{name}", limits[name])


# ---- Places


@dataclass(frozen=True)
class PlaceDetails:
    """As typed. An empty ``secret_key`` leaves the one that is kept."""

    name: str = ""
    kind: str = PlaceKind.FOLDER
    enabled: bool = True
    encrypted: bool = True
    keeps_sent: bool = True
    keeps_received: bool = True
    keeps_reports: bool = True
    folder: str = ""
    endpoint: str = ""
    region: str = ""
    bucket: str = ""
    access_key: str = ""
    secret_key: str = ""


#: What the audit log and the form show: all but the secret.
SHOWN = tuple(name for name in PlaceDetails.__dataclass_fields__ if name != "secret_key")


def shown(place: ArchivePlace) -> dict[str, Any]:
    return {name: getattr(place, name) for name in SHOWN}


def details_of(place: ArchivePlace) -> PlaceDetails:
    texts: dict[str, Any] = {name: "" if value is None else value for name, value in shown(place).items()}
    return PlaceDetails(**texts)


def judge_place(details: PlaceDetails, *, has_secret: bool) -> dict[str, Refused]:
    """What is wrong with it, by field."""
    faults = [_judge_name(details.name), _judge_folder(details.folder)]
    if details.kind == PlaceKind.S3:
        faults += [_judge_endpoint(details.endpoint), _judge_bucket(details), *_judge_keys(details, has_secret)]
    elif details.kind != PlaceKind.FOLDER:
        faults.append(Refused("place_kind", field="kind"))
    if not (details.keeps_sent or details.keeps_received or details.keeps_reports):
        faults.append(Refused("place_keeps_nothing", field="keeps"))
    return {fault.field or "form": fault for fault in faults if fault}


def _judge_name(name: str) -> Refused | None:
    if not name:
        return Refused("name_missing", field="name")
    if len(name) > NAME_LENGTH or not name.isprintable():
        return Refused("name_too_long", field="name", limit=NAME_LENGTH)
    return None


def _judge_folder(folder: str) -> Refused | None:
    parts = folder.split("/") if folder else []
    if len(folder) > 200 or not all(_PART.fullmatch(part) and ".." not in part for part in parts):
        return Refused("place_folder", field="folder")
    return None


def _judge_endpoint(endpoint: str) -> Refused | None:
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        whole = parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if (
        not whole
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
        or parts.username
        or len(endpoint) > 300
    ):
        return Refused("place_endpoint", field="endpoint")
    return (
        None
        if endpoint.isascii() and endpoint.isprintable() and " " not in endpoint
        else Refused("place_endpoint", field="endpoint")
    )


def _judge_bucket(details: PlaceDetails) -> Refused | None:
    if not _BUCKET.fullmatch(details.bucket) or ".." in details.bucket:
        return Refused("place_bucket", field="bucket")
    if details.region and not _REGION.fullmatch(details.region):
        return Refused("place_region", field="region")
    return None


def _judge_keys(details: PlaceDetails, has_secret: bool) -> list[Refused | None]:
    key = details.access_key
    bad_key = not key or len(key) > 200 or not key.isascii() or not key.isprintable()
    return [
        Refused("place_access_key", field="access_key") if bad_key else None,
        None if details.secret_key or has_secret else Refused("place_secret_key", field="secret_key"),
    ]


def put_place(session: Session, tenant: Tenant, place: ArchivePlace | None, details: PlaceDetails) -> ArchivePlace:
    """Enter a place, behind the others, or change one. The caller commits.

    Raises:
        Refused: ``place_name_taken``, ``place_too_many``, ``place_secret_again``.
    """
    lock_tenant(session, tenant.id)
    existing = list(session.scalars(owned_by(ArchivePlace, tenant.id)))
    others = [other for other in existing if other is not place]
    demand_fits(details, [other.name for other in others], kept=details_of(place) if place else None)
    if place is None:
        position = max((other.position for other in others), default=-1) + 1
        place = ArchivePlace(tenant_id=tenant.id, kind=details.kind, position=position)
        session.add(place)
    for name in SHOWN:
        if name != "kind":
            value = getattr(details, name)
            setattr(place, name, value if name == "folder" else (None if value == "" else value))
    if details.secret_key:
        place.secret_key = details.secret_key
    session.flush()
    return place


def demand_fits(details: PlaceDetails, others: list[str], *, kept: PlaceDetails | None) -> None:
    """Beside places with these names, and in the stead of ``kept``.

    Another server or access key needs the secret key again: else whoever may come here could have the one that is kept
    sent to a server of theirs.

    Raises:
        Refused: ``place_name_taken``, ``place_too_many``, ``place_secret_again``.
    """
    if any(name.casefold() == details.name.casefold() for name in others):
        raise Refused("place_name_taken", field="name")
    if kept is None and len(others) >= MOST_PLACES:
        raise Refused("place_too_many", limit=MOST_PLACES)
    if kept and kept.kind == PlaceKind.S3 and not details.secret_key and _leads_elsewhere(kept, details):
        raise Refused("place_secret_again", field="secret_key")


def _leads_elsewhere(kept: PlaceDetails, details: PlaceDetails) -> bool:
    return (kept.endpoint, kept.access_key) != (details.endpoint, details.access_key)


def remove_place(session: Session, place: ArchivePlace) -> int:
    """What lies there stays there; copies that it is still owed are not made. Gives how many those are."""
    owed = sa.select(sa.func.count()).where(ArchiveCopy.place_id == place.id, ArchiveCopy.done_at.is_(None))
    count = session.scalar(owed) or 0
    session.execute(sa.delete(ArchiveCopy).where(ArchiveCopy.place_id == place.id))
    session.delete(place)
    return count
