"""One collected message: judged, entered with all that belongs to it in one commit, answered through the outbox."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from flask import current_app
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from app.adapters.documents.documents import inspect
from app.adapters.documents.pdf_join import join_pdfs
from app.adapters.documents.preparation import Offices, pdf_of
from app.config import DOCUMENT_BYTES
from app.errors import FaxroomError, PermanentFailure, Refused, TemporaryFailure
from app.models import Authentication, Document, Fax, FaxEntity, Mail2FaxBox, MailFate, MailMessage, Origin
from app.rules.ground.quotas import UNITS
from app.rules.mail2fax.answers import answer_accepted, answer_refused, answer_tested, tell_of_program
from app.rules.mail2fax.door import Envelope
from app.rules.mail2fax.ledger import (
    Delivery,
    find_accepted,
    find_delivery,
    guess_digests,
    new_message,
    pin_is_locked,
    submission_key,
)
from app.rules.sending.submit import submit_fax
from app.services.documents.documents import storage, take_source
from app.services.mail2fax.judging import TEST_PASSED, Check, MailDocument, Standing, Verdict, judge
from tenants.db import db, only_reading, utc_now
from tenants.models import Tenant, User

log = logging.getLogger(__name__)

#: A document of the largest size in base64, with room for the text around it.
MOST_MAIL = DOCUMENT_BYTES * 3 // 2
#: Of a larger one so much is read: head and text, so that its sender is known and told.
BEGINNING = 256 * 1024
#: What can be said of a mail whose end was not read.
SAID_OF_BEGINNINGS = {"headers", "sender", "person", "user", "company", "proof", "subject", "entity", "permission"}
SAID_OF_BEGINNINGS |= {"number", "dialing"}
#: Other boxes wait for their turn meanwhile; the message is tried again.
QUEUE_SECONDS = 5
#: What a company has used up for today, or until it makes room: a mail server keeps the message and tries again.
TOO_MUCH = frozenset(f"quota_{name}{whose}" for name in UNITS for whose in ("", "_own"))
#: Others may enter the same content, or the same signature, at the same moment; not again and again.
MOST_TRIES = 3


@dataclass(frozen=True)
class Dealt:
    """The row of a message that is done with."""

    row_id: int
    fate: str


def deal_with(delivery: Delivery, raw: bytes, envelope: Envelope | None = None) -> Dealt:
    """Make a fax of a message, or refuse it; one that is done with already is not touched again. Commits.

    ``raw`` is its first ``BEGINNING`` bytes where the message is larger than ``MOST_MAIL``; ``envelope`` is of one that
    was handed in.

    Raises:
        TemporaryFailure: something that is needed does not answer. Nothing was entered; the message stays where it is.
    """
    for _try in range(MOST_TRIES):
        try:
            return _known(delivery) or _enter(delivery, _judged(delivery, raw, envelope), envelope)
        except IntegrityError as error:
            log.warning("message %s of box %s is entered elsewhere: %s", delivery.uid, delivery.box_id, error.orig)
            db.session.rollback()
    raise TemporaryFailure("mail_contended")


def _known(delivery: Delivery) -> Dealt | None:
    session = db.session
    with only_reading():
        known = find_delivery(session, delivery)
        dealt = Dealt(known.id, known.fate) if known else None
        earlier = None if known else find_accepted(session, delivery)
        names = ("fax_id", "sender", "subject", "user_id", "entity_id")
        values = {name: getattr(earlier, name) for name in names} if earlier else None
        session.rollback()
    if dealt or values is None:
        return dealt
    return _commit(new_message(delivery, MailFate.REPEATED, **values))


def _commit(message: MailMessage) -> Dealt:
    db.session.add(message)
    db.session.flush()
    dealt = Dealt(message.id, message.fate)
    db.session.commit()
    return dealt


# ---- Judging


@dataclass(frozen=True)
class Ruling:
    """The verdict, and what is made of it: accepted without a ``reason``. Without a verdict it could not be read. A
    test has a reason even if it passed."""

    verdict: Verdict | None
    reason: str | None
    values: dict[str, Any] = field(default_factory=dict)


def _judged(delivery: Delivery, raw: bytes, envelope: Envelope | None) -> Ruling:
    """What the rules say. Nothing is written, and no lock is held: gpg takes its time."""
    session, is_whole = db.session, delivery.size <= MOST_MAIL
    too_large = ("too_large", {"limit": DOCUMENT_BYTES // (1024 * 1024)})
    with only_reading():
        try:
            box = session.get_one(Mail2FaxBox, delivery.box_id)
            settings = current_app.config["SETTINGS"]
            verdict = judge(session, box, raw, now=utc_now(), settings=settings, envelope=envelope)
            ruling = _without_guessing(delivery, verdict)
            return ruling if is_whole or ruling.verdict is None else Ruling(_of_beginning(ruling.verdict), *too_large)
        except (FaxroomError, SQLAlchemyError):
            raise
        except Exception:  # whatever a hostile mail makes of the libraries that read it
            log.exception("message %s of box %s cannot be judged", delivery.uid, delivery.box_id)
            return Ruling(None, "mail_unreadable") if is_whole else Ruling(None, *too_large)
        finally:
            session.rollback()


def _without_guessing(delivery: Delivery, verdict: Verdict) -> Ruling:
    """After too many wrong PINs the right one is refused like them, so that guessing finds nothing out: neither from
    the answer nor from the log."""
    entity = db.session.get(FaxEntity, verdict.entity_id) if verdict.entity_id else None
    asked = entity is not None and entity.authentication == Authentication.PIN
    guessed = asked and any(check.code == "pin" and check.passed is not None for check in verdict.checks)
    proven = any(check.code == "proof" and check.passed for check in verdict.checks)
    if guessed and pin_is_locked(db.session, delivery.box_id, verdict.sender, utc_now(), proven=proven):
        return Ruling(_hidden(verdict, proven=proven), "pin_locked")
    if verdict.accepted:
        return Ruling(verdict, None)
    failed = next((check.values for check in verdict.checks if check.passed is False), {})
    return Ruling(verdict, verdict.reason or "mail_unreadable", dict(failed))


def _hidden(verdict: Verdict, *, proven: bool) -> Verdict:
    """Without saying whether the PIN was right, as a test that passed would, and a sender who is sure because of it."""
    rest = [check for check in verdict.checks if check.values.get("reason") != TEST_PASSED]
    checks = [Check(check.code, None) if check.code == "pin" else check for check in rest]
    known = Standing.VOUCHED if proven else Standing.CLAIMED
    standing = known if verdict.standing == Standing.PROVEN else verdict.standing
    return replace(verdict, checks=tuple(checks), standing=standing, guesses=())


def _of_beginning(verdict: Verdict) -> Verdict:
    """What is missing may stand in what was not read."""
    kept = [check for check in verdict.checks if check.code in SAID_OF_BEGINNINGS or _is_about_pin(check)]
    return replace(verdict, checks=tuple(kept))


def _is_about_pin(check: Check) -> bool:
    return check.code == "pin" and check.values.get("reason") != "mail_pin_missing"


# ---- Entering


def _enter(delivery: Delivery, ruling: Ruling, envelope: Envelope | None) -> Dealt:
    if ruling.verdict and ruling.reason is None:
        try:
            return _accept(delivery, ruling.verdict)
        except (Refused, PermanentFailure) as failure:
            db.session.rollback()
            if envelope and failure.code in TOO_MUCH:  # whoever hands in keeps it, and comes again
                raise TemporaryFailure(failure.code, **failure.values) from failure
            ruling = Ruling(ruling.verdict, failure.code, failure.values)
    return _refuse(delivery, ruling, envelope)


def _refuse(delivery: Delivery, ruling: Ruling, envelope: Envelope | None) -> Dealt:
    session = db.session
    values = {"reason": (ruling.reason or "")[:40], "reason_values": _plain(ruling.values)}
    verdict, passed = ruling.verdict, ruling.reason == TEST_PASSED
    facts = _facts(delivery, verdict) if verdict else {}
    message = new_message(delivery, MailFate.TESTED if passed else MailFate.REFUSED, **values, **facts)
    session.add(message)
    session.flush()
    user = session.get(User, message.user_id) if message.user_id else None
    # at the door a refusal is heard at once; of a yes its sender sees nothing
    if user and verdict and user.is_active and (passed or envelope is None):
        _answer(message, user, verdict, passed=passed, handed_in=envelope is not None)
    return _commit(message)


def tell_refused(delivery: Delivery, raw: bytes, envelope: Envelope) -> None:
    """By email, of one that was handed in and refused while the answer was a yes; once. Commits."""
    session, ruling = db.session, _judged(delivery, raw, envelope)
    message = find_delivery(session, delivery)
    user = session.get(User, message.user_id) if message and message.user_id else None
    if message and user and user.is_active and ruling.verdict and not message.answered:
        _answer(message, user, ruling.verdict, passed=False, handed_in=True)
        session.commit()


def _answer(message: MailMessage, user: User, verdict: Verdict, *, passed: bool, handed_in: bool) -> None:
    """A program is never answered (RFC 3834); but what it sends must not be lost unnoticed. Of an email that was handed
    in, all that its sender heard was a yes, for another recipient: there who is vouched for is told of each refusal."""
    session, standing = db.session, verdict.standing
    if verdict.automatic and any(check.code == "person" and check.passed for check in verdict.checks):
        tell_of_program(session, message, user)
    elif standing == Standing.NOBODYS:
        return
    elif passed:
        answer_tested(session, message, user)
    else:
        proven = standing == Standing.PROVEN or (handed_in and standing == Standing.VOUCHED)
        answer_refused(session, message, user, proven=proven)


def _accept(delivery: Delivery, verdict: Verdict) -> Dealt:
    """Documents first, which is what takes long; then fax, message and answer in one commit."""
    session = db.session
    entered: list[Dealt] = []
    with tempfile.TemporaryDirectory(prefix="faxroom-mail-") as folder:
        path, name, warnings = _one_document(verdict.documents, Path(folder), _written_as(delivery.tenant_id))
        with _naming(name):
            source = take_source(session, path, filename=name, tenant_id=delivery.tenant_id, user_id=verdict.user_id)
        source.warnings = [*(source.warnings or []), *warnings] or None
    key = source.storage_key

    def beside(fax: Fax) -> None:
        message = new_message(delivery, MailFate.ACCEPTED, fax_id=fax.id, **_facts(delivery, verdict))
        session.add(message)
        session.flush()
        if fax.user is None:
            raise LookupError(f"fax {fax.id} came by email from nobody")
        if not verdict.automatic:
            answer_accepted(session, fax, message, fax.user)
        entered.append(Dealt(message.id, message.fate))

    try:
        fax = _submit(delivery, verdict, source, beside)
    except (Refused, IntegrityError):  # it is certain that nothing was committed
        session.rollback()
        storage().delete(key)
        raise
    if entered:
        return entered[0]
    fax_id = fax.id  # of this very content: its box was entered anew, or it asks for the same in another way
    session.rollback()
    storage().delete(key)
    return _commit(new_message(delivery, MailFate.REPEATED, fax_id=fax_id, **_facts(delivery, verdict)))


def _submit(delivery: Delivery, verdict: Verdict, source: Document, beside: Callable[[Fax], None]) -> Fax:
    user = db.session.get(User, verdict.user_id)
    if user is None or not user.is_active:
        raise Refused("sender_unknown")
    return submit_fax(
        db.session,
        user=user,
        entity_id=verdict.entity_id,
        addressee_text=verdict.to or "",
        send_at_text=None,
        document=source,
        submission_key=submission_key(delivery, verdict.entity_id, verdict.to or ""),
        origin=Origin.MAIL,
        urgent=verdict.urgent,
        beside=beside,
    )


def _facts(delivery: Delivery, verdict: Verdict) -> dict[str, Any]:
    return {
        "guesses": _guesses(delivery, verdict.guesses),
        "program": verdict.program,
        "sender": _text(verdict.sender, 320),
        "subject": _text(verdict.subject_shown, 255),
        "checks": _plain([asdict(check) for check in verdict.checks]),
        "signature_digest": verdict.signature_digest,
        "user_id": verdict.user_id,
        "entity_id": verdict.entity_id,
    }


def _guesses(delivery: Delivery, guesses: Iterable[str]) -> str | None:
    return guess_digests(guesses, current_app.config["SETTINGS"].secret_key, delivery.box_id)


def _text(text: str | None, most: int) -> str | None:
    """A stranger's words, as a database and a page take them."""
    return "".join(c if c.isprintable() else " " for c in text)[:most] if text else None


def _plain(values: Any) -> Any:
    return json.loads(json.dumps(values, default=str).replace("\\u0000", " ")) if values else None


# ---- Several documents are one fax


def _written_as(tenant_id: int) -> str:
    """How the company writes numbers and dates. No transaction stays open for it."""
    locale = db.session.get_one(Tenant, tenant_id).written_as
    db.session.rollback()
    return locale


def _one_document(
    documents: Sequence[MailDocument], folder: Path, locale: str
) -> tuple[Path, str, list[dict[str, Any]]]:
    """Where it lies, its name, and what its sender should know of those that it was made of.

    Raises:
        Refused, PermanentFailure: one of them cannot be sent.
        TemporaryFailure: the converter does not answer.
    """
    if not documents:
        raise Refused("document_missing")
    paths = [folder / f"{n}" for n in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_bytes(document.content)
    if len(documents) == 1:
        return paths[0], documents[0].name, []
    joined, offices = folder / "joined.pdf", list(current_app.config["SETTINGS"].unoserver_urls)
    made = [
        _as_pdf(path, document.name, Offices(offices, locale, queue_seconds=QUEUE_SECONDS))
        for path, document in zip(paths, documents, strict=True)
    ]
    join_pdfs([pdf for pdf, _warnings in made], joined)
    name = f"{Path(documents[0].name).stem or 'document'} + {len(documents) - 1}.pdf"
    return joined, name, [warning for _pdf, warnings in made for warning in warnings]


def _as_pdf(path: Path, name: str, offices: Offices) -> tuple[Path, list[dict[str, Any]]]:
    with _naming(name):
        facts = inspect(path, name=name)
        pdf, warnings = pdf_of(path, facts.kind, path.parent, name=name, offices=offices)
        return pdf, [*facts.warnings, *warnings]


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Whatever is wrong with a document is told with its name: there may be others beside it."""
    try:
        yield
    except (Refused, PermanentFailure) as failure:
        failure.values["name"] = name
        raise
