"""Mails that become faxes: who collects which box, which messages are done with, what is written with a fax.

The mailbox is touched only after the commit. A message that is still in the folder is told from one that is done with
by its row: a kill between any two steps leaves either no row, and the message is dealt with anew, or a row with all
that belongs to it, and the message is only filed.
"""

import hashlib
import hmac
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.errors import FaxroomError
from app.models import BoxSignIn, BoxSource, BoxState, FaxEntity, Mail2FaxBox, MailFate, MailMessage
from tenants.db import rows_changed
from tenants.models import Tenant

#: A process that says nothing for so long has lost its boxes.
LEASE = timedelta(seconds=30)
FIRST_DELAY, LONGEST_DELAY = timedelta(seconds=15), timedelta(minutes=15)
#: What another try will not mend: told after the second one. Anything else may be a server that is started again.
CERTAIN = frozenset(
    {"host_inside", "imap_plain", "imap_certificate", "imap_no_starttls", "imap_refused", "imap_no_folder"}
    | {"sealing_key_unknown", "box_host", "host_unknown", "imap_no_tokens", "imap_token_refused", "token_plain"}
)
#: What a token server says that nothing but a person mends: told at once.
TOKEN_REFUSALS = frozenset(
    {"token_client_unknown", "token_client_wrong", "token_consent_missing", "token_directory_unknown"}
    | {"token_grant_expired", "token_refused", "token_scope_wrong", "token_secret_expired", "token_secret_wrong"}
    | {"token_unauthorized", "token_key_refused", "token_delegation_missing"}
)
PATIENCE = timedelta(minutes=15)
#: Different wrong PINs that one sender may put forward within an hour. To repeat one finds nothing out.
GUESS_WINDOW = timedelta(hours=1)
SENDER_GUESSES = 5

#: Where a message goes, below the mailbox's own folders.
DONE, REFUSED = "Fax done", "Fax refused"
FOLDERS = {MailFate.ACCEPTED: DONE, MailFate.REPEATED: DONE, MailFate.TESTED: DONE, MailFate.REFUSED: REFUSED}

#: What the sender wrote. The rest was added on the way, and differs when a server delivers one mail twice.
WRITTEN = frozenset(
    b"message-id date from sender reply-to to cc subject mime-version content-type content-transfer-encoding "
    b"content-disposition in-reply-to references auto-submitted autocrypt".split()
)
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^<>\s]{1,250}>)", re.IGNORECASE | re.MULTILINE)


def message_digest(raw: bytes) -> str:
    """Of what the sender wrote (hex): the same for every delivery of one mail, and for no other mail."""
    head, body = _parts(raw)
    digest = hashlib.sha256()
    for line in _unfolded(head):
        name, colon, value = line.partition(b":")
        if colon and name.strip().lower() in WRITTEN:
            digest.update(name.strip().lower() + b":" + b" ".join(value.split()) + b"\n")
    digest.update(b"\n" + body.rstrip())
    return digest.hexdigest()


def message_id(raw: bytes) -> str:
    """As an answer may name it; empty where it has none that could be."""
    found = _MESSAGE_ID.search(b"\n".join(_unfolded(_parts(raw)[0])))
    text = found[1].decode("ascii", "replace") if found else ""
    return text if text.isascii() and text.isprintable() else ""


def _parts(raw: bytes) -> tuple[bytes, bytes]:
    head, _empty, body = raw.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
    return head, body


def _unfolded(head: bytes) -> Iterator[bytes]:
    return iter(re.sub(rb"\n[ \t]+", b" ", head).split(b"\n"))


# ---- Who collects which box


@dataclass(frozen=True)
class BoxFacts:
    """What a collector is told; ``version`` changes with any of the box's settings."""

    box_id: int
    tenant_id: int
    version: int


def boxes_to_collect(session: Session) -> list[BoxFacts]:
    """The boxes that a fax entity has: a mail to another one would have no line to go out on."""
    used = sa.select(FaxEntity.box_id).where(FaxEntity.box_id.is_not(None), FaxEntity.closed_at.is_(None))
    sealed = sa.type_coerce(Mail2FaxBox.password, sa.Text)
    query = (
        sa.select(Mail2FaxBox.id, Mail2FaxBox.tenant_id, Mail2FaxBox.imap, Mail2FaxBox.username, sealed)
        .add_columns(Mail2FaxBox.poll_seconds, BoxSignIn.changed_at)
        .join(Tenant, Tenant.id == Mail2FaxBox.tenant_id)
        .join(BoxSignIn, BoxSignIn.box_id == Mail2FaxBox.id, isouter=True)
        .where(Mail2FaxBox.id.in_(used), Mail2FaxBox.source == BoxSource.IMAP, Tenant.deleting_at.is_(None))
        .order_by(Mail2FaxBox.id)
    )
    return [BoxFacts(row[0], row[1], hash(tuple(row[2:]))) for row in session.execute(query)]


def add_states(session: Session, boxes: Iterable[BoxFacts]) -> None:
    """A row for each box that has none yet. Commits."""
    known = set(session.scalars(sa.select(BoxState.box_id)))
    for box in boxes:
        if box.box_id not in known:
            try:
                session.add(BoxState(box_id=box.box_id, tenant_id=box.tenant_id))
                session.commit()
            except IntegrityError:  # another process has, or the box is gone
                session.rollback()


def claimable(session: Session, box_ids: Iterable[int], now: datetime) -> int | None:
    """The box that has waited longest for somebody to collect it."""
    free = sa.or_(BoxState.lease_until.is_(None), BoxState.lease_until < now)
    query = sa.select(BoxState.box_id).where(BoxState.box_id.in_(list(box_ids)), BoxState.due_at <= now, free)
    return session.scalar(query.order_by(BoxState.due_at).limit(1))


def claim_box(session: Session, box_id: int, holder: str, now: datetime) -> bool:
    """Take a box; False if somebody else was quicker. Commits."""
    free = sa.or_(BoxState.lease_until.is_(None), BoxState.lease_until < now)
    mine = sa.update(BoxState).where(BoxState.box_id == box_id, BoxState.due_at <= now, free)
    claimed = rows_changed(session, mine.values(holder=holder, lease_until=now + LEASE)) == 1
    session.commit()
    return claimed


def renew_leases(session: Session, holder: str, box_ids: Collection[int], now: datetime) -> set[int]:
    """Keep these of what this process has; gives which boxes that are. A lease that ran out is lost. Commits."""
    has = (BoxState.holder == holder, BoxState.lease_until >= now)
    mine = sa.update(BoxState).where(*has, BoxState.box_id.in_(box_ids))
    kept = session.scalars(mine.values(lease_until=now + LEASE).returning(BoxState.box_id)).all()
    session.commit()
    return set(kept)


def give_back(session: Session, box_id: int, holder: str, *, due_at: datetime) -> None:
    """Let anybody have the box from ``due_at`` on. Commits."""
    mine = sa.update(BoxState).where(BoxState.box_id == box_id, BoxState.holder == holder)
    session.execute(mine.values(holder=None, lease_until=None, due_at=due_at))
    session.commit()


def hurry(session: Session, box_id: int, now: datetime) -> None:
    """Its settings were changed: whatever was wrong may be mended. Commits."""
    session.execute(sa.update(BoxState).where(BoxState.box_id == box_id, BoxState.due_at > now).values(due_at=now))
    session.commit()


# ---- How a box is doing


def note_fine(session: Session, box_id: int, now: datetime, *, idle: bool) -> None:
    """The folder was read. Commits."""
    values = {"looked_at": now, "idle": idle, "failures": 0}
    values |= {"fault": None, "fault_values": None, "fault_since": None, "told_at": None}
    session.execute(sa.update(BoxState).where(BoxState.box_id == box_id).values(**values))
    session.commit()


def note_fault(session: Session, box_id: int, failure: FaxroomError, now: datetime) -> BoxState | None:
    """It does not work, since when and how often; None if the box is gone. The caller commits."""
    state = session.get(BoxState, box_id, with_for_update=True, populate_existing=True)
    if state is None:
        return None
    state.failures += 1
    state.fault, state.fault_values = failure.code, {name: str(value) for name, value in failure.values.items()}
    state.fault_since = state.fault_since or now
    return state


def is_to_be_told(state: BoxState, now: datetime) -> bool:
    if state.told_at or state.fault is None or state.fault_since is None:
        return False
    if state.fault in TOKEN_REFUSALS:  # nothing but a person mends that
        return True
    if state.failures < 2:
        return False
    return state.fault in CERTAIN or state.fault_since <= now - PATIENCE


def delay_after(failures: int) -> timedelta:
    doubled: int = 2 ** min(max(failures - 1, 0), 10)
    return min(LONGEST_DELAY, FIRST_DELAY * doubled)


# ---- Messages


@dataclass(frozen=True)
class Delivery:
    """Where a message lies, and what it is. What was handed in lies nowhere: its UIDs are 0; ``wish`` is what it says,
    however often it is written anew; ``digest_before`` is what it was known by until December 2026."""

    tenant_id: int
    box_id: int
    uid_validity: int
    uid: int
    message_id: str
    digest: str
    size: int
    wish: str = ""
    digest_before: str = ""


def find_delivery(session: Session, delivery: Delivery) -> MailMessage | None:
    """The row of this very message, if it is done with."""
    return session.scalar(
        sa.select(MailMessage).where(
            MailMessage.box_id == delivery.box_id,
            MailMessage.uid_validity == delivery.uid_validity,
            MailMessage.uid == delivery.uid,
            MailMessage.message_id == delivery.message_id,
            MailMessage.digest == delivery.digest,
        )
    )


def find_accepted(session: Session, delivery: Delivery) -> MailMessage | None:
    """The message of the same content that became a fax: an earlier delivery, or one that lay elsewhere before."""
    digests = [digest for digest in (delivery.digest, delivery.digest_before) if digest]
    same = sa.select(MailMessage).where(MailMessage.box_id == delivery.box_id, MailMessage.digest.in_(digests))
    return session.scalar(same.where(MailMessage.fate == MailFate.ACCEPTED))


def filed_before(session: Session, box_id: int, uid_validity: int) -> set[tuple[int, int]]:
    """(uid, size) of what is done with and was left in the folder: it need not be read again."""
    query = sa.select(MailMessage.uid, MailMessage.size).where(
        MailMessage.box_id == box_id,
        MailMessage.uid_validity == uid_validity,
        MailMessage.filed_at.is_not(None),
        MailMessage.filed_in.is_(None),
    )
    return {(row.uid, row.size) for row in session.execute(query)}


def new_message(delivery: Delivery, fate: MailFate, **values: Any) -> MailMessage:
    """The row; one that cannot be entered was entered by somebody else (IntegrityError)."""
    return MailMessage(
        tenant_id=delivery.tenant_id,
        box_id=delivery.box_id,
        uid_validity=delivery.uid_validity,
        uid=delivery.uid,
        message_id=delivery.message_id,
        digest=delivery.digest,
        size=delivery.size,
        fate=fate,
        **values,
    )


def note_filed(session: Session, message_row_id: int, folder: str | None, now: datetime) -> None:
    """Commits."""
    mine = sa.update(MailMessage).where(MailMessage.id == message_row_id)
    session.execute(mine.values(filed_at=now, filed_in=folder[:255] if folder else None))
    session.commit()


def submission_key(delivery: Delivery, line_id: int | None, number: str) -> str:
    """What becomes one fax. Of what was handed in it is the line and the number (E.164, or an extension) that count: by
    whichever address it asked for them, and whatever box the line has by now."""
    told = f"door {line_id} {number} {delivery.wish}" if delivery.wish else f"mail {delivery.box_id} {delivery.digest}"
    return hashlib.sha256(told.encode()).hexdigest()


def pin_is_locked(session: Session, box_id: int, sender: str | None, now: datetime, *, proven: bool) -> bool:
    """Whether so many different wrong PINs came from this sender within the hour that not even the right one is looked
    at. For whom the mail server vouches (``proven``), what came in their name only does not count; and nobody is shut
    out by what came in the name of others."""
    if not sender:
        return False
    tried = sa.select(MailMessage.guesses, MailMessage.checks).where(
        MailMessage.box_id == box_id, MailMessage.sender == sender, MailMessage.created_at > now - GUESS_WINDOW
    )
    found = session.execute(tried.where(MailMessage.guesses.is_not(None))).all()
    counted = [guesses for guesses, checks in found if not proven or is_vouched(checks)]
    return len({guess for guesses in counted for guess in guesses.split()}) >= SENDER_GUESSES


def is_vouched(checks: list[Any] | None) -> bool:
    """Whether the mail server confirmed the sender, by what was looked at."""
    return _has_passed(checks, "proof")


def is_sure(checks: list[Any] | None) -> bool:
    """Whether the mail is surely its sender's: the PIN or the signature says so, or the mail server of one to which no
    header was added."""
    is_whole = _has_passed(checks, "headers") or not any(check["code"] == "headers" for check in checks or [])
    return any(_has_passed(checks, code) for code in ("pin", "signature")) or (is_whole and is_vouched(checks))


def _has_passed(checks: list[Any] | None, code: str) -> bool:
    return any(check["code"] == code and check["passed"] for check in checks or [])


def guess_digests(guesses: Iterable[str], key: str, box_id: int) -> str | None:
    """For the column ``guesses``: nothing of it can be found out without ``key``."""
    secret = key.encode()
    digests = {hmac.new(secret, f"guess {box_id} {guess}".encode(), "sha256").hexdigest()[:32] for guess in guesses}
    return " ".join(sorted(digests)) or None


def note_gone(session: Session, box_id: int, uid_validity: int, present: set[int], now: datetime) -> None:
    """What is dealt with and no longer in the folder was filed by somebody who did not live to write it down. Commits
    if there is any."""
    unfiled = sa.select(MailMessage).where(
        MailMessage.box_id == box_id,
        MailMessage.uid_validity == uid_validity,
        MailMessage.filed_in.is_(None),
        MailMessage.filed_at.is_(None),
    )
    gone = [message for message in session.scalars(unfiled) if message.uid not in present]
    for message in gone:
        message.filed_at, message.filed_in = now, FOLDERS[MailFate(message.fate)]
    if gone:
        session.commit()
    else:
        session.rollback()


# ---- The log


def log_of(session: Session, box: Mail2FaxBox, *, before: int | None, most: int) -> list[MailMessage]:
    """A page of the box's messages, newest first."""
    query = sa.select(MailMessage).where(MailMessage.tenant_id == box.tenant_id, MailMessage.box_id == box.id)
    if before:
        query = query.where(MailMessage.id < before)
    return list(session.scalars(query.order_by(MailMessage.id.desc()).limit(most)))


def box_state_of(session: Session, box: Mail2FaxBox) -> BoxState | None:
    mine = sa.select(BoxState).where(BoxState.tenant_id == box.tenant_id, BoxState.box_id == box.id)
    return session.scalar(mine)


def message_of(session: Session, box: Mail2FaxBox, row_id: int) -> MailMessage | None:
    mine = sa.select(MailMessage).where(MailMessage.tenant_id == box.tenant_id, MailMessage.box_id == box.id)
    return session.scalar(mine.where(MailMessage.id == row_id))
