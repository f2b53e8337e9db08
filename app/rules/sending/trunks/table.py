"""The trunks as operators set them. The page, the command line and the provision file share one form, one judgement and
one writer. The trunks of FAXROOM_TRUNK are entered here too."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count

import sqlalchemy as sa
from flask import current_app
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import Attempt, CallerIn, FaxEntity, NumberForm, Trunk
from app.rules.ground.trunks import trunk_by_name, trunks
from app.rules.sending.trunks.fields import MEDIA, TRANSPORTS, Fault, TrunkFields, faults_of, is_same_host, version_of
from app.rules.sending.trunks.used import is_loop
from app.rules.sending.trunks.writing import FIELDS as HABITS
from app.rules.sending.trunks.writing import judge_writing, set_writing, writing_of
from app.whole_numbers import read_whole
from tenants.models import Tenant

#: What stands in FAXROOM_TRUNK for a trunk that is there.
ADDRESS = ("name", "host", "port", "transport", "media", "username", "password", "registers")
SWITCHES = ("registers", "t38", "enabled")
FIELDS = (*ADDRESS, "channels", "t38", "number_form", "caller_in", "prefers", "fax_lines", "enabled", *HABITS)
CHOICES: dict[str, tuple[str, ...]] = {
    "transport": tuple(TRANSPORTS),
    "media": MEDIA,
    "number_form": tuple(NumberForm),
    "caller_in": tuple(CallerIn),
}
YES = "yes"
MOST_TRUNKS = 50


def fields_of(trunk: Trunk) -> TrunkFields:
    """As Asterisk is told."""
    return TrunkFields(
        trunk.host,
        trunk.port,
        username=trunk.username,
        password=trunk.password,
        transport=trunk.transport,
        media=trunk.media,
        name=trunk.name,
        registers=trunk.registers,
        t38=trunk.t38,
        caller_in=trunk.caller_in,
        channels=trunk.channels,
        prefers=tuple(trunk.prefers),
    )


def is_read(trunk: Trunk, read: Mapping[str, str]) -> bool:
    """Whether Asterisk has read it as it is: ``read`` are the versions that it has, by name."""
    return read.get(trunk.name) == version_of(fields_of(trunk), current_app.config["SETTINGS"].secret_key)


def form_of(session: Session, trunk: Trunk | None = None) -> dict[str, str]:
    """As a form has it, of a new one without ``trunk``. The password is never shown."""
    row = trunk or Trunk(
        **{"name": "", "host": "", "transport": "udp", "media": "plain", "registers": False, "channels": 0},
        **{"t38": True, "number_form": "plus", "caller_in": "usual", "prefers": []},
        **{"enabled": True, "called_order": [], "caller_form": "usual"},
    )
    apart = (*HABITS, *SWITCHES, "fax_lines")
    plain = {name: str(getattr(row, name) or "") for name in FIELDS if name not in apart}
    switches = {name: YES if getattr(row, name) else "" for name in SWITCHES}
    lists = {"password": "", "prefers": " ".join(row.prefers), "channels": str(row.channels)}
    lists["fax_lines"] = " ".join(name for name, line in _lines(session).items() if trunk and line.trunk_id == trunk.id)
    return plain | switches | lists | writing_of(session, row)


def judge_trunk(
    session: Session, typed: Mapping[str, str], trunk: Trunk | None = None, *, changing: Collection[str] = ()
) -> dict[str, Refused]:
    """What is wrong, by field; ``trunk`` is the one that it changes. Those named in ``changing`` are judged after it:
    what they are now does not count."""
    faults = {name: _refused(name, fault) for name, fault in faults_of(_read(typed, trunk)).items()}
    faults |= {name: Refused("choice_unknown") for name, known in CHOICES.items() if typed[name] not in known}
    if _port(typed) is None:
        faults["port"] = Refused("trunk_port", port=typed["port"][:20])
    if read_whole(typed["channels"] or "0") is None:
        faults["channels"] = _refused("channels", faults_of(TrunkFields("h", 1, channels=-1))["channels"])
    same = trunk_by_name(session, typed["name"])
    if same is not None and same is not trunk:
        faults["name"] = Refused("trunk_name_taken", name=typed["name"])
    if trunk is None and len(trunks(session)) >= MOST_TRUNKS:
        faults["name"] = Refused("trunk_too_many", limit=MOST_TRUNKS)
    known = _lines(session)
    if unknown := [name for name in typed["fax_lines"].split() if name not in known]:
        faults["fax_lines"] = Refused("trunk_line_unknown", name=unknown[0])
    return faults | _judge_beside(session, typed, trunk, changing) | judge_writing(session, typed)


def _judge_beside(
    session: Session, typed: Mapping[str, str], trunk: Trunk | None, changing: Collection[str]
) -> dict[str, Refused]:
    """Whose calls come from one address and by no registration cannot be told apart: they have to be read alike."""
    if typed["enabled"] != YES:
        return {}
    mine = _read(typed, trunk)
    for other in trunks(session):
        is_apart = other.registers and mine.registers
        if (
            other is trunk
            or other.name in changing
            or not other.enabled
            or is_apart
            or not is_same_host(other.host, mine.host)
        ):
            continue
        standing = writing_of(session, other)
        if differing := [name for name in HABITS if typed[name] != standing[name]]:
            return {differing[0]: Refused("trunk_beside", host=mine.host, name=other.name)}
    return {}


def _lines(session: Session) -> dict[str, FaxEntity]:
    """Fax lines by their number, or company*extension of one that has none."""
    rows = sa.select(FaxEntity, Tenant.slug).join(Tenant, Tenant.id == FaxEntity.tenant_id)
    rows = rows.where(FaxEntity.closed_at.is_(None), Tenant.deleting_at.is_(None))
    found = session.execute(rows.order_by(Tenant.slug, FaxEntity.extension))
    return {line.number or f"{slug}*{line.extension}": line for line, slug in found}


def _refused(field: str, fault: Fault) -> Refused:
    return Refused(fault.code, field=field, **fault.values)


def _port(typed: Mapping[str, str]) -> int | None:
    return read_whole(typed["port"]) if typed["port"] else TRANSPORTS.get(typed["transport"], 5060)


def _read(typed: Mapping[str, str], trunk: Trunk | None) -> TrunkFields:
    """An empty password stays as it is, as long as there is a user."""
    kept = trunk.password if trunk and typed["username"] else None
    return TrunkFields(
        typed["host"].strip("[]"),
        _port(typed) or 0,
        username=typed["username"] or None,
        password=typed["password"] or kept,
        transport=typed["transport"],
        media=typed["media"],
        name=typed["name"],
        registers=typed["registers"] == YES,
        t38=typed["t38"] == YES,
        caller_in=typed["caller_in"],
        channels=read_whole(typed["channels"] or "0") or 0,
        prefers=tuple(typed["prefers"].split()),
    )


def put_trunk(session: Session, typed: Mapping[str, str], trunk: Trunk | None = None) -> Trunk:
    """What was judged; a new one is the last in order. The caller commits."""
    fields = _read(typed, trunk)
    row = trunk or Trunk(position=max((one.position for one in trunks(session)), default=0) + 1)
    if not row.from_environment:
        _set_address(row, fields)
    row.t38, row.channels, row.prefers = fields.t38, fields.channels, list(fields.prefers)
    row.caller_in, row.number_form = CallerIn(typed["caller_in"]), NumberForm(typed["number_form"])
    row.enabled = typed["enabled"] == YES
    session.add(row)
    set_writing(session, typed, row)
    session.flush()
    _put_lines(session, row, set(typed["fax_lines"].split()))
    return row


def _put_lines(session: Session, trunk: Trunk, names: set[str]) -> None:
    """These prefer it from now on, whatever they preferred before, and no others."""
    for name, line in _lines(session).items():
        if name in names:
            line.trunk_id = trunk.id
        elif line.trunk_id == trunk.id:
            line.trunk_id = None
    session.flush()


def _set_address(row: Trunk, fields: TrunkFields) -> None:
    for name in ADDRESS:
        setattr(row, name, getattr(fields, name))


def changes(before: Mapping[str, str], typed: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """For the audit log: what differs, before and after. Of a password only that it was changed."""
    names = [name for name in FIELDS if typed[name] != before[name]]
    hidden = {"password": "•••"} if "password" in names else {}
    return {name: before[name] for name in names} | hidden, {name: typed[name] for name in names} | hidden


def put_in_order(session: Session, names: Sequence[str]) -> None:
    """Those first, in this order; the others follow as they were. The caller commits."""
    rank = {name: n for n, name in enumerate(names)}
    for position, trunk in enumerate(sorted(trunks(session), key=lambda one: rank.get(one.name, len(rank)))):
        trunk.position = position


def judge_removal(session: Session, trunk: Trunk) -> Refused | None:
    if trunk.from_environment:
        return Refused("trunk_from_environment", name=trunk.name)
    return Refused("trunk_last") if len(trunks(session)) == 1 else None


def put_from_environment(session: Session, wanted: Sequence[TrunkFields]) -> list[tuple[str, bool]]:
    """What FAXROOM_TRUNK has now, in its order. An address that is known keeps its trunk, name and all that was set for
    it; a new one gets the first of main, main-2, … that is free. The caller commits.

    Returns:
        The trunks whose addresses are not there any more, and of each whether it is kept: switched off, and the
        operator's from now on, as calls or fax lines name it. Of the others nothing is left.
    """
    before = trunks(session)
    mine = [row for row in before if row.from_environment]
    rows = _known(mine, wanted)
    gone = [(row, _let_go(session, row)) for row in mine if row not in rows]
    session.flush()  # their names are free
    for n, fields in enumerate(wanted):
        row = rows[n] or Trunk(from_environment=True, position=len(before) + n)
        name = row.name or _free_name({one.name for one in trunks(session)})
        _set_address(row, replace(fields, name=name))
        session.add(row)
        session.flush()
        rows[n] = row
    _put_in_places(before, [row for row in rows if row], [row for row, _ in gone])
    session.flush()
    return [(row.name, is_kept) for row, is_kept in gone]


def _known(mine: Sequence[Trunk], wanted: Sequence[TrunkFields]) -> list[Trunk | None]:
    """Of each address its trunk. A lone one that moves stays the same trunk, and so does the loop that gives way."""
    left, found = list(mine), list[Trunk | None]()
    for fields in wanted:
        row = next((one for one in left if _is_at(one, fields)), None)
        found.append(row)
        if row:
            left.remove(row)
    if len(mine) == len(left) == 1 and (len(wanted) == 1 or is_loop(left[0])):
        found[0] = left[0]
    return found


def _is_at(trunk: Trunk, fields: TrunkFields) -> bool:
    same_account = (trunk.port, trunk.username) == (fields.port, fields.username)
    return same_account and is_same_host(trunk.host, fields.host)


def _let_go(session: Session, trunk: Trunk) -> bool:
    """Whether it is kept, switched off."""
    named = (Attempt.trunk_id == trunk.id, FaxEntity.trunk_id == trunk.id)
    if not any(session.scalar(sa.select(sa.exists().where(one))) for one in named):
        session.delete(trunk)
        return False
    trunk.enabled = trunk.from_environment = False
    return True


def _free_name(taken: set[str]) -> str:
    return next(name for n in count(1) if (name := "main" if n == 1 else f"main-{n}") not in taken)


def _put_in_places(before: Sequence[Trunk], rows: Sequence[Trunk], gone: Sequence[Trunk]) -> None:
    """In the variable's order, where its trunks were among the operator's own; what has gone is the last."""
    waiting = iter(rows)
    ordered = [next(waiting) if one in rows else one for one in before if one not in gone]
    for position, trunk in enumerate([*ordered, *waiting, *gone]):
        trunk.position = position


def channels(session: Session) -> list[int]:
    """Of the trunks that are on."""
    return [trunk.channels for trunk in trunks(session) if trunk.enabled]


def told(session: Session) -> list[TrunkFields] | None:
    """Those that Asterisk has to know: none where all are switched off. None where there are no trunks yet, and what
    Asterisk was told at its start stays."""
    known = trunks(session)
    return [fields_of(trunk) for trunk in known if trunk.enabled] if known else None
