"""The administrator's command line, ``bin/faxroom``."""

import json
import math
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from flask import Flask, current_app
from flask.cli import AppGroup
from redis import RedisError

from app.adapters.confined import confinement, room
from app.adapters.documents.converter import guards_of, why_unconfined
from app.adapters.storage.disks import MEGABYTE
from app.adapters.storage.sealed_files import ENDING
from app.config import OWN_KEYS
from app.errors import FaxroomError, Refused, TemporaryFailure
from app.kinds import KINDS
from app.models import CompanyKey, Fax, Mail2FaxBox, Origin, Trunk
from app.models.faxes.moves import is_final
from app.rules.audit.audit_chain import differs, verify_chains
from app.rules.audit.audit_shipping import left_to_ship
from app.rules.audit.auditing import audit as audit_act
from app.rules.ground.access import sendable_entities
from app.rules.ground.holding import held_since
from app.rules.ground.trunks import trunk_by_name
from app.rules.ground.trunks import trunks as all_trunks
from app.rules.mail2fax.door import credentials_of, end_credential, make_credential
from app.rules.mail2fax.door import shown as shown_credential
from app.rules.sending.submit import submit_fax
from app.rules.sending.trunks import table
from app.rules.sending.trunks.ports import read_given, too_few
from app.rules.upkeep.keys import renew_key
from app.rules.upkeep.restored import give_up, in_doubt
from app.rules.words.sentences import in_language, sentence, story
from app.services.archives.archiving import unsealed
from app.services.documents.company_keys import keys_of
from app.services.documents.disk_room import disks
from app.services.documents.documents import take_upload
from app.services.documents.sealing import seal_documents
from app.services.outbox.tokens import check_operators_server
from app.services.sending.self_testing import send_trunk_test
from app.services.setup.provisioning import ProvisionError, apply_provision_file
from app.services.trunks import ladders
from app.services.upkeep.backup import BackupFailed, make_backup
from app.services.upkeep.health import check_health, unclaimed_files
from tenants.addresses import user_by_address
from tenants.db import db, only_reading, utc_now
from tenants.models import Tenant
from tenants.sealed import reseal_all

#: What bin/up takes as it is, and how a version's number stands in a name of Debian's.
TRIED, NUMBER = Path(__file__).resolve().parents[1] / "asterisk.lock", re.compile(r"\d+(\.\d+)+")
#: Seconds by which the clocks of portal and Asterisk may differ; one of them tells whole ones.
CLOCKS_APART = 5
#: Between two words of a command that takes long.
TELL_SECONDS = 10
#: So long the line process may take to capture SIP, and to write down the last of it.
LADDER_SECONDS = 3.0
#: Entries of the audit log that may be on their way to the collector.
MOST_UNSHIPPED = 500


@click.command(short_help="Set up companies, people, fax lines and boxes from a file.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def provision(file: Path) -> None:
    """Set up companies, people, fax lines and boxes as FILE (YAML) says. You can run it again at any time."""
    try:
        done = apply_provision_file(db.session, file)
    except ProvisionError as error:
        raise click.ClickException(
            "Nothing was changed. Correct the file and run this again:\n"
            + "\n".join(f"- {fault}" for fault in error.faults)
        ) from error
    for text in done.told:
        click.echo(f"Kept as it is, although the pages would refuse it: {text}", err=True)
    click.echo(f"Applied: {', '.join(tenant.slug for tenant in done.content.tenants) or 'no tenants'}.")


@click.command(short_help="Send a file as a fax.", help=f"Send FILE ({', '.join(KINDS)}) as a fax.")
@click.option("--as", "email", required=True, metavar="EMAIL", help="The person who sends.")
@click.option("--entity", "entity_name", required=True, metavar="NAME", help="The fax line to send from.")
@click.option("--to", required=True, metavar="NUMBER", help="The recipient: a number, or an extension of the company.")
@click.option(
    "--at",
    "send_at",
    metavar="TIME",
    help="When to send, such as 2026-11-23T14:35 in the company's time zone. Default: now.",
)
@click.option("--wait", is_flag=True, help="Wait for the outcome. The exit code is 0 if the fax was sent.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def send(email: str, entity_name: str, to: str, send_at: str | None, wait: bool, file: Path) -> None:
    user = user_by_address(db.session, email)
    if user is None or user.tenant_id is None:
        raise click.ClickException(f"There is no user {email}.")
    with in_language(user.preferred_language):
        try:
            entity = next((line for line in sendable_entities(db.session, user) if line.name == entity_name), None)
            if entity is None:
                raise Refused("entity_not_allowed", field="entity")
            entity_id, tenant_id, user_id = entity.id, user.tenant_id, user.id
            with file.open("rb") as stream:
                document = take_upload(
                    db.session, stream=stream, filename=file.name, tenant_id=tenant_id, user_id=user_id
                )
            fax = submit_fax(
                db.session,
                user=user,
                entity_id=entity_id,
                addressee_text=to,
                send_at_text=send_at,
                document=document,
                submission_key=str(uuid.uuid4()),
                origin=Origin.COMMAND,
            )
        except FaxroomError as error:
            raise click.ClickException(sentence(error.code, **error.values)) from error
        click.echo(f"{fax.id} accepted")
        if wait:
            sys.exit(0 if _follow(fax.id) == "sent" else 1)


def _follow(fax_id: str) -> str:
    """Print each change until the fax has ended; returns its last status."""
    told = None
    while True:
        fax = db.session.get_one(Fax, fax_id, populate_existing=True)
        if (fax.status, line := story(fax)) != told:
            told = (fax.status, line)
            click.echo(f"{fax.id} {fax.status}: {line}")
        if is_final(fax.status):
            return fax.status
        db.session.rollback()
        time.sleep(0.5)


@click.command()
@click.option("--tenant", "slug", metavar="SLUG", help="Only faxes of this company.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def faxes(slug: str | None, as_json: bool) -> None:
    """List faxes, newest first."""
    query = sa.select(Fax).order_by(Fax.id.desc())
    if slug:
        if not db.session.scalar(sa.select(Tenant).where(Tenant.slug == slug)):
            raise click.ClickException(f"There is no company {slug}.")
        query = query.join(Tenant).where(Tenant.slug == slug)
    for fax in db.session.scalars(query.execution_options(yield_per=500)):
        click.echo(json.dumps(_row(fax)) if as_json else _line(fax))


def _row(fax: Fax) -> dict[str, object]:
    return {
        "id": fax.id,
        "number": fax.number,
        "tenant": fax.tenant.slug,
        "direction": fax.direction,
        "status": fax.status,
        "entity": fax.entity.name,
        "remote_number": fax.remote_number,
        "user": fax.user.email if fax.user else None,
        "pages": fax.pages,
        "pages_done": fax.pages_done,
        "attempts": len(fax.attempts),
        "cause": fax.cause,
        "created_at": fax.created_at.isoformat(),
        "finished_at": fax.finished_at.isoformat() if fax.finished_at else None,
    }


def _line(fax: Fax) -> str:
    at = fax.created_at.astimezone(fax.tenant.zone).strftime("%Y-%m-%d %H:%M:%S")
    pages = f"{fax.pages_done}/{fax.pages or '?'}"
    return (
        f"{fax.id}  {at}  {fax.tenant.slug:12} {fax.direction:8} {fax.status:10} {pages:>7}  {fax.remote_number or ''}"
    )


@click.command(short_help="Decrypt a file from an encrypted archive or a sealed export.")
@click.option(
    "--to", "target", type=click.Path(dir_okay=False, path_type=Path), help="Where to write it. Default: next to FILE."
)
@click.option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key for a company's exports. Default: the installation's own key.",
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def unseal(file: Path, target: Path | None, key_file: Path | None) -> None:
    """Decrypt FILE, from an encrypted archive or a sealed export."""
    key = key_file.read_text().strip() if key_file else None
    plain = file.name.removesuffix(ENDING)
    target = target or file.with_name(plain if plain != file.name else f"{plain}.opened")
    if target.exists():
        raise click.ClickException(f"{target} already exists. Choose another file with --to")
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        with file.open("rb") as source, unfinished.open("wb") as copy:
            for piece in unsealed(source, key):
                copy.write(piece)
        unfinished.rename(target)
    except FaxroomError as error:
        with in_language("en"):
            raise click.ClickException(sentence(error.code, **error.values)) from error
    finally:
        unfinished.unlink(missing_ok=True)
    click.echo(target)


@click.command(short_help="Back up everything to a new folder, while Faxroom runs.")
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Back up everything to the new folder FOLDER, while Faxroom runs. bin/faxroom restore reads it."""
    begin = time.monotonic()
    try:
        summary = make_backup(folder.absolute())
    except BackupFailed as error:
        raise click.ClickException(str(error)) from error
    size = f"{summary.size / 1e6:.1f} MB"
    click.echo(
        f"{folder}: {summary.documents} documents, {summary.files} files in all, {size}, "
        f"in {time.monotonic() - begin:.1f} s. It holds the keys to all secrets: keep it where nobody else can read it."
    )
    for what, keys in (("not in the storage", summary.missing), ("not what was stored", summary.changed)):
        for key in keys[:20]:
            click.echo(f"WARNING: a document is {what}: {key}", err=True)
        if len(keys) > 20:
            click.echo(f"WARNING: {len(keys) - 20} more are {what}; manifest.json names all", err=True)


@click.command(short_help="After a restore: settle what is in doubt, then start sending.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def restored(yes: bool) -> None:
    """After a restore: settle the faxes that may have been sent since the backup, then start sending again.

    These faxes would otherwise go out twice. They end as "outcome unknown", and an email asks each sender to check
    with the recipient. Faxes scheduled for later stay. If you restored the database in another way, run this before
    you start Faxroom.
    """
    held = held_since(db.session)
    doubtful = in_doubt(db.session, now=utc_now())
    for fax in doubtful:
        click.echo(_line(fax))
    stopped = "" if held else "Is Faxroom stopped, and "
    question = f"{stopped}should these {len(doubtful)} faxes end as outcome unknown?".capitalize()
    if doubtful and not yes and not click.confirm(question):
        raise click.Abort
    give_up(db.session, doubtful)
    done = "Done." if doubtful else "No fax was under way."
    click.echo(f"{done} {'Faxes and emails go out again.' if held else 'The emails go out when you start Faxroom.'}")


@click.command(short_help="Encrypt all secrets with the first of FAXROOM_SEALING_KEYS.")
def reseal() -> None:
    """Encrypt all secrets in the database again with the first of FAXROOM_SEALING_KEYS."""
    _reseal()


def _reseal() -> None:
    counted = reseal_all(db.session, db.metadata)
    for column, count in counted.anew.items():
        click.echo(f"{count:6} {column}")
    if counted.unreadable:
        lost = "\n".join(f"- {column}: {count}" for column, count in counted.unreadable.items())
        raise click.ClickException(f"These secrets need a key that is not in FAXROOM_SEALING_KEYS:\n{lost}")
    click.echo(
        "All secrets now use the first key. Keep the older keys as long as an archive has files encrypted with them."
    )


audit = AppGroup("audit", help="Check the audit log.")


@audit.command()
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with these lines of JSON, as sent to FAXROOM_AUDIT_LOG.",
)
def verify(against: Path | None) -> None:
    """Check that no entry was changed or removed. Names the first one that was; the exit code is then 1."""
    faults, verdicts = 0, list(verify_chains(db.session))
    if not verdicts:
        click.echo("The audit log has no entries yet.")
    for verdict in verdicts:
        name = verdict.slug or "the installation"
        told = f"FAULT {verdict.fault}" if verdict.fault else f"ok    {verdict.length} entries, {verdict.digest}"
        click.echo(f"{name:20} {told}")
        faults += verdict.fault is not None
    faults += sum(_tell_difference(line) for line in _json_lines(against)) if against else 0
    if faults:
        raise click.ClickException("The audit log was changed.")


def _tell_difference(line: dict[str, Any]) -> bool:
    fault = differs(db.session, line)
    if fault:
        click.echo(f"{line.get('company') or 'the installation':20} FAULT {fault}")
    return fault is not None


def _json_lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
                yield {name: line[name] for name in ("chain", "n", "digest", "company")}
            except (ValueError, KeyError, TypeError) as error:
                raise click.ClickException(f"{file}, line {number} is not an entry of the audit log.") from error


@click.command(short_help="Encrypt documents that have no key yet, or an older one.")
def seal() -> None:
    """Encrypt all documents that are not encrypted yet, or use an older key. You can stop it and run it again.

    After an upgrade this also happens automatically, little by little.
    """
    _seal()


def _seal() -> None:
    told_at = time.monotonic()

    def tell(count: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at > TELL_SECONDS:
            told_at = time.monotonic()
            click.echo(f"{count} encrypted so far")

    try:
        sealed = seal_documents(math.inf, told=tell)
    except TemporaryFailure as failure:
        raise click.ClickException(
            f"The storage does not answer: {failure}. Run this again: bin/faxroom seal"
        ) from failure
    click.echo(f"{sealed.count} documents were encrypted.")
    if sealed.left:
        lost = "\n".join(f"- {key}" for key in sealed.left[:20])
        raise click.ClickException(f"{len(sealed.left)} documents are missing or damaged:\n{lost}")


@click.group(short_help="Renew the encryption keys.")
def keys() -> None:
    """The encryption keys: each company's, and the installation's, which protects them."""


@keys.command("rotate")
@click.option("--tenant", "slug", metavar="SLUG", help="Renew this company's key. Default: the installation's.")
def rotate(slug: str | None) -> None:
    """Make a new key and encrypt everything with it, while Faxroom runs. You can stop it and run it again."""
    if slug:
        _rotate_company(slug)
    else:
        _rotate_installation()


def _rotate_company(slug: str) -> None:
    tenant = db.session.scalar(sa.select(Tenant).where(Tenant.slug == slug, Tenant.deleting_at.is_(None)))
    if tenant is None:
        raise click.ClickException(f"There is no company {slug}.")
    renew_key(db.session, tenant)
    click.echo(f"{slug} has a new key, in use within a minute. If you stop this, continue with: bin/faxroom seal")
    _seal()


def _rotate_installation() -> None:
    ring, home = current_app.config["SEALING_KEYS"], current_app.config["SETTINGS"].home
    if ring.file is None:
        raise click.ClickException(
            "FAXROOM_SEALING_KEYS is set directly. Put a new key in front of the others wherever Faxroom runs, "
            "restart it, then run: bin/faxroom reseal"
        )
    if ring.file.resolve() != (home / OWN_KEYS).resolve():
        raise click.ClickException(
            f"Faxroom does not change {ring.file} (FAXROOM_SEALING_KEYS_FILE). Put a new key in front of the others "
            "wherever Faxroom runs, then run: bin/faxroom reseal"
        )
    try:
        ring.put_in_front()
    except OSError as error:
        raise click.ClickException(f"{ring.file} cannot be written: {error.strerror}. Nothing has changed.") from error
    click.echo(f"{ring.file} has a new first key. If you stop this, continue with: bin/faxroom reseal")
    _reseal()
    click.echo(
        "If Faxroom runs on other machines too, give them this file as FAXROOM_SEALING_KEYS_FILE. Then make a backup."
    )


@click.group(short_help="Passwords of copiers and programs that use direct email.")
def door() -> None:
    """What copiers and programs sign in with for direct email (FAXROOM_DOOR_PORT)."""


def _door_box(slug: str, name: str) -> Mail2FaxBox:
    query = sa.select(Mail2FaxBox).join(Tenant, Tenant.id == Mail2FaxBox.tenant_id)
    box = db.session.scalar(query.where(Tenant.slug == slug, Tenant.deleting_at.is_(None), Mail2FaxBox.name == name))
    if box is None or not box.is_door:
        raise click.ClickException(f"{slug} has no box {name} without a mailbox.")
    return box


@door.command("list", short_help="List the user names that can sign in.")
@click.option("--tenant", "slug", required=True, metavar="SLUG", help="The company.")
@click.option("--box", "name", required=True, metavar="NAME", help="Its box without a mailbox.")
def list_credentials(slug: str, name: str) -> None:
    """List the user names that can sign in."""
    for one in credentials_of(db.session, _door_box(slug, name)):
        person = one.user.email if one.user else "the sender"
        click.echo(f"{one.username}  {one.name}, sends as {person}, last used: {one.used_at or 'never'}")


@door.command("make", short_help="Make a user name and a password.")
@click.option("--tenant", "slug", required=True, metavar="SLUG", help="The company.")
@click.option("--box", "name", required=True, metavar="NAME", help="Its box without a mailbox.")
@click.option("--as", "email", metavar="EMAIL", help="As whom it sends. Default: as the sender of each email.")
@click.argument("what")
def make_a_credential(slug: str, name: str, email: str | None, what: str) -> None:
    """Make a user name and a password for WHAT, such as "Copier 2nd floor". The password is not shown again."""
    box = _door_box(slug, name)
    user = user_by_address(db.session, email) if email else None
    if email and (user is None or user.tenant_id != box.tenant_id):
        raise click.ClickException(f"There is no user {email} in {slug}.")
    try:
        made, secret = make_credential(db.session, box, name=what, user_id=user.id if user else None)
    except Refused as refusal:
        raise click.ClickException(sentence(refusal.code, **refusal.values)) from refusal
    _audit_door("door.credential_made", box, made.name, after=shown_credential(made))
    db.session.commit()
    click.echo(f"{made.username} {secret}")


@door.command("end", short_help="Let a user name sign in no longer.")
@click.option("--tenant", "slug", required=True, metavar="SLUG", help="The company.")
@click.option("--box", "name", required=True, metavar="NAME", help="Its box without a mailbox.")
@click.argument("username")
def end_a_credential(slug: str, name: str, username: str) -> None:
    """Let USERNAME sign in no longer."""
    box = _door_box(slug, name)
    known = next((one for one in credentials_of(db.session, box) if one.username == username), None)
    ended = end_credential(db.session, box, known.id, utc_now()) if known else None
    if ended is None:
        raise click.ClickException(f"{name} has no user name {username}.")
    _audit_door("door.credential_ended", box, ended.name, before=shown_credential(ended))
    db.session.commit()
    click.echo(f"{username} can no longer sign in.")


def _audit_door(action: str, box: Mail2FaxBox, name: str, **values: Any) -> None:
    audit_act(db.session, user=None, tenant_id=box.tenant_id, action=action, target=f"{box.name}: {name}", **values)


@click.command(short_help="Check everything and say what to do about each fault.")
def doctor() -> None:
    """Check everything that Faxroom depends on, and say what to do about each fault."""
    faults = 0
    for name, ok, text in (*_parts(), *_surroundings()):
        faults += not ok
        click.echo(f"{'ok   ' if ok else 'FAULT'} {name}{'' if ok else ': ' + text}")
    if faults:
        raise click.ClickException(f"{faults} checks found a fault.")
    click.echo("Every part answers.")


def _parts() -> list[tuple[str, bool, str]]:
    answers = check_health().items()
    return [(name, answer["ok"], f"{answer.get('error')}. {answer.get('advice')}") for name, answer in answers]


def _surroundings() -> list[tuple[str, bool, str]]:
    return [
        _mail_server(),
        _host_name(),
        _office_room(),
        _landlock(),
        _accounts(),
        _program("gpg", "Install gnupg: apt-get install gnupg"),
        _spool(),
        _disks(),
        _clocks(),
        _asterisk(),
        _media_ports(),
        _unclaimed(),
        _company_keys(),
        _held(),
        _audit_log(),
        _security_contact(),
    ]


def _office_room() -> tuple[str, bool, str]:
    """LibreOffice opens strangers' documents only where it sees nothing else."""
    servers = list(current_app.config["SETTINGS"].unoserver_urls)
    reason, guards = why_unconfined(servers), guards_of(servers)
    named = f" ({', '.join(guards)})" if guards else ""
    return f"office's room{named}", reason is None, room.ADVICE.format(reason=reason)


def _landlock() -> tuple[str, bool, str]:
    advice = "This kernel has no Landlock (Linux 5.13, lsm=landlock). A hostile PDF could read other files."
    return "landlock", confinement.can_confine(), advice


def _accounts() -> tuple[str, bool, str]:
    """Nothing that strangers reach runs as root where that can be helped; bin/up says what kept it from that."""
    file = current_app.config["SETTINGS"].home / "front/run"
    as_root = file.exists() and file.stat().st_uid == 0
    return f"accounts{' (all runs as root: bin/up says why)' if as_root else ''}", True, ""


def _held() -> tuple[str, bool, str]:
    """A restored installation waits for a person."""
    held = held_since(db.session)
    db.session.rollback()
    advice = "Restored from a backup. Nothing is dialled, emailed or collected until you run: bin/faxroom restored"
    return "hold", held is None, advice


def _company_keys() -> tuple[str, bool, str]:
    """Without them no document can be read, however whole it is."""
    with only_reading(), db.engine.connect() as connection:
        companies = connection.scalars(sa.select(CompanyKey.tenant_id).distinct()).all()
        try:
            strange = [company for company in companies if not keys_of(connection, company)]
        except TemporaryFailure as failure:
            advice = "Restore it from a backup: without it no document can be read."
            return "keys of companies", False, f"{failure.values['reason']}. {advice}"
    return "keys of companies", not strange, f"The keys of companies {strange} belong to others. Restore the database."


def _audit_log() -> tuple[str, bool, str]:
    """What goes out to a collector goes within seconds."""
    url = current_app.config["SETTINGS"].audit_log
    left = left_to_ship(db.session) if url else 0
    db.session.rollback()
    advice = f"{left} entries wait to be sent. Check FAXROOM_AUDIT_LOG and its server. Nothing is lost."
    return "audit log", left < MOST_UNSHIPPED, advice


def _security_contact() -> tuple[str, bool, str]:
    expires = current_app.config["SETTINGS"].security_expires
    advice = "security.txt has expired. Check its contact and set a new FAXROOM_SECURITY_EXPIRES."
    return "security contact", expires is None or expires > utc_now(), advice


def _mail_server() -> tuple[str, bool, str]:
    try:
        check_operators_server()
    except TemporaryFailure as failure:
        return "mail server", False, f"{failure.values.get('reason')}. Check SMTP_URL. Emails wait in the outbox."
    return "mail server", True, ""


def _host_name() -> tuple[str, bool, str]:
    """Asterisk looks its own name up for each T.38 call and stalls where there is no answer."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return "host name", False, f"{name} does not resolve. Add to /etc/hosts: 127.0.0.1 {name}"
    return "host name", True, ""


def _program(name: str, advice: str) -> tuple[str, bool, str]:
    try:
        subprocess.run([name, "--version"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return name, False, advice
    return name, True, ""


def _spool() -> tuple[str, bool, str]:
    path = current_app.config["SETTINGS"].spool
    advice = f"{path} cannot be written. It must be a folder that Asterisk and the jobs share (FAXROOM_SPOOL)."
    return "spool", path.is_dir() and os.access(path, os.W_OK), advice


def _disks() -> tuple[str, bool, str]:
    filling = [f"{place.path} ({place.name}) has {place.megabytes} MB free" for place in disks().filling()]
    least = disks().floor // MEGABYTE
    advice = f"Free some space: below {least} MB no fax is sent or received (FAXROOM_MIN_FREE)."
    return "disks", not filling, f"{', '.join(filling)}. {advice}"


def _clocks() -> tuple[str, bool, str]:
    """A call that is answered later than the portal expects sends nothing: each compares with a clock of its own."""
    try:
        apart = abs((current_app.extensions["asterisk"].clock() - utc_now()).total_seconds())
    except (FaxroomError, KeyError, ValueError):
        return "clocks", True, ""  # that Asterisk does not answer stands among the parts
    advice = "Synchronise both clocks (NTP). Otherwise answered calls may send nothing."
    return "clocks", apart <= CLOCKS_APART, f"Asterisk's clock and the portal's differ by {apart:.0f} s. {advice}"


def _asterisk() -> tuple[str, bool, str]:
    """No fault: Debian's updates are newer than what was tried, and an operator may have an Asterisk of their own."""
    try:
        number = NUMBER.search(current_app.extensions["asterisk"].version())
    except (FaxroomError, KeyError, ValueError):
        return "asterisk's version", True, ""
    tried = {NUMBER.search(line.split()[1]) for line in TRIED.read_text().splitlines() if line.startswith("asterisk ")}
    was_tried = number and number[0] in {known[0] for known in tried if known}
    return f"asterisk's version ({number[0] if number else '?'}, {'tried' if was_tried else 'not tried'})", True, ""


def _media_ports() -> tuple[str, bool, str]:
    """Of the Asterisk that bin/up has set up: its UDP ports and open files."""
    settings = current_app.config["SETTINGS"]
    if not settings.own_asterisk:
        return "ports for calls", True, ""
    try:
        files = current_app.extensions["asterisk"].most_files()
    except (FaxroomError, KeyError, ValueError):
        files = None  # that Asterisk does not answer stands among the parts
    few = too_few(settings.line_limit, table.channels(db.session), given=read_given(settings.media_ports), files=files)
    return "ports for calls", not few, few


def _unclaimed() -> tuple[str, bool, str]:
    """Pages that came for a number that nobody has, or of which not even that is known."""
    try:
        files = unclaimed_files()
    except RedisError as error:
        return (
            "received pages",
            False,
            f"{type(error).__name__}. Cannot tell whether any received pages are unassigned.",
        )
    advice = (
        "Give the number to a fax line, and they are imported within a minute. If the number is unknown, or was "
        "another company's then, look at the file and move it away."
    )
    told = [
        f"{file.file} for {file.called or 'an unknown number'}, from {file.caller or 'an unknown number'}"
        for file in files
    ]
    return "received pages", not files, f"{'; '.join(told)}. {advice}"


@click.group()
def trunks() -> None:
    """Trunks to carriers: list, add, set, remove, order."""


#: What may be set, as it is written here and on the operator's page.
_SETTINGS = "host port transport=udp|tcp|tls media=plain|srtp username registers=yes|no channels t38=yes|no "
_SETTINGS += "number_form=plus|digits|international|national caller_in=usual|from|both|rpid "
_SETTINGS += (
    "prefers fax_lines enabled=yes|no trunk_region trunk_area trunk_company called_first caller_form=usual|whole"
)


@trunks.command("list", short_help="List the trunks in the order of their use.")
def list_trunks() -> None:
    """List the trunks in the order of their use."""
    for row in all_trunks(db.session):
        notes = ["registers"] * row.registers + ["off"] * (not row.enabled)
        notes += ["set in FAXROOM_TRUNK"] * row.from_environment
        click.echo("  ".join([row.name, f"{row.transport}:{row.host}:{row.port}", *notes]))


@trunks.command("add", short_help="Add a trunk.", epilog=f"Settings: {_SETTINGS}")
@click.option("--password", "ask", is_flag=True, help="Ask for the account's password, or read it from a pipe.")
@click.argument("name")
@click.argument("settings", nargs=-1, required=True)
def add_trunk(name: str, settings: tuple[str, ...], ask: bool) -> None:
    """Add the trunk NAME, such as: faxroom trunks add backup host=sip.example.org transport=tls"""
    _put_trunk(None, name, settings, ask)


@trunks.command("set", short_help="Change a trunk.", epilog=f"Settings: {_SETTINGS}")
@click.option("--password", "ask", is_flag=True, help="Ask for the account's password, or read it from a pipe.")
@click.argument("name")
@click.argument("settings", nargs=-1)
def set_trunk(name: str, settings: tuple[str, ...], ask: bool) -> None:
    """Change the trunk NAME. Current calls continue."""
    _put_trunk(_trunk(name), name, settings, ask)


@trunks.command("remove", short_help="Remove a trunk.")
@click.confirmation_option(prompt="It will take no more calls, in or out. Remove it?")
@click.argument("name")
def remove_trunk(name: str) -> None:
    """Remove the trunk NAME. Current calls continue."""
    row = _trunk(name)
    if fault := table.judge_removal(db.session, row):
        raise click.ClickException(sentence(fault.code, **fault.values))
    db.session.delete(row)
    _audit_trunk("trunk.removed", name)


@trunks.command("test", short_help="Make a test call over a trunk.")
@click.option("--as", "email", required=True, metavar="EMAIL", help="The operator who tests.")
@click.option("--line", required=True, metavar="NUMBER", help="Number of the fax line to call as.")
@click.option("--to", required=True, metavar="NUMBER", help="The number to call.")
@click.argument("name")
def test_trunk(email: str, line: str, to: str, name: str) -> None:
    """Send one page over the trunk NAME and print what was said. The exit code is 0 if the page was sent."""
    user, trunk, key = user_by_address(db.session, email), _trunk(name), str(uuid.uuid4())
    if user is None or not user.is_operator:
        raise click.ClickException(f"There is no operator {email}.")
    try:
        fax = send_trunk_test(db.session, user=user, trunk=trunk, number=line, to=to, submission_key=key)
    except FaxroomError as error:
        raise click.ClickException(sentence(error.code, **error.values)) from error
    status = _follow(fax.id)
    try:
        _tell_ladders(fax)
    except RedisError as error:
        raise click.ClickException(f"Redis does not respond: {error}") from error
    sys.exit(0 if status == "sent" else 1)


def _tell_ladders(fax: Fax) -> None:
    """The last of a call's SIP comes after its end."""
    time.sleep(LADDER_SECONDS)
    found = ladders.ladders_of_fax(fax.id)
    for ladder in found:
        click.echo(f"\n{ladders.as_text(ladder)}")
    sound_of = {ladder.name: ladder.sound for ladder in found}
    for attempt in fax.attempts:
        if said := ladders.said_of_sound(sound_of.get(attempt.channel_id), attempt.mode):
            click.echo(sentence(said[0], **said[1]))


@trunks.command("order", short_help="Set the order of use.")
@click.argument("names", nargs=-1, required=True)
def order_trunks(names: tuple[str, ...]) -> None:
    """Use NAMES first, in this order, and the others after them."""
    for name in names:
        _trunk(name)
    table.put_in_order(db.session, names)
    _audit_trunk("trunk.first", ", ".join(names))


def _trunk(name: str) -> Trunk:
    row = trunk_by_name(db.session, name)
    if row is None:
        raise click.ClickException(f"There is no trunk {name}.")
    return row


def _put_trunk(row: Trunk | None, name: str, settings: tuple[str, ...], ask: bool) -> None:
    standing = table.form_of(db.session, row)
    typed = standing | {"name": name} | dict(_setting(text, row) for text in settings)
    if ask:
        hidden = sys.stdin.isatty()
        typed["password"] = click.prompt("Password", hide_input=True) if hidden else sys.stdin.readline().rstrip("\n")
    if faults := table.judge_trunk(db.session, typed, row):
        lines = (f"{field}: {sentence(fault.code, **fault.values)}" for field, fault in faults.items())
        raise click.ClickException("\n".join(lines))
    before, after = table.changes(standing, typed)
    table.put_trunk(db.session, typed, row)
    _audit_trunk("trunk.changed" if row else "trunk.added", name, before=before if row else None, after=after)


def _setting(text: str, row: Trunk | None) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals or field not in table.FIELDS or field in ("name", "password"):
        raise click.ClickException(f"There is no setting {field}. Settings: {_SETTINGS}")
    if row and row.from_environment and field in table.ADDRESS:
        raise click.ClickException(f"{field} of {row.name} is set in FAXROOM_TRUNK. Change it there.")
    if field in table.SWITCHES and value not in ("yes", "no"):
        raise click.ClickException(f"{field} must be yes or no.")
    return field, "" if field in table.SWITCHES and value == "no" else value


def _audit_trunk(action: str, target: str, **values: Any) -> None:
    audit_act(db.session, user=None, tenant_id=None, action=action, target=target, **values)
    db.session.commit()


COMMANDS = (provision, send, faxes, door, trunks, doctor, backup, restored, unseal, reseal, seal, keys, audit)


def init_app(app: Flask) -> None:
    for command in COMMANDS:
        app.cli.add_command(command)
