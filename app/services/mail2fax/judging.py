"""Judges a mail to a Mail2Fax box: whether it becomes a fax, and every rule that was looked at on the way.

Whatever can be looked at is looked at, also after a rule has failed: the tester shows it all, and a sender is told all
that failed in one answer. What nobody can look at, because something above it failed, is no fault. Nothing is written.
"""

import hashlib
import re
import tempfile
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.message import Message
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.adapters.documents.documents import inspect
from app.adapters.mail.pgp_mail import Signature, open_message, public_key_of, verify
from app.errors import FaxroomError, PermanentFailure, Refused
from app.models import Authentication, FaxEntity, Mail2FaxBox, MailFate, MailMessage
from app.rules.ground.access import sendable_entities
from app.rules.mail2fax.door import Envelope
from app.rules.mail2fax.ledger import message_id
from app.rules.mail2fax.mail_text import (
    Wanted,
    holds_pin,
    names_address,
    pin_candidates,
    read_subject,
    same_name,
    same_wish,
    wishes_in,
    without_pins,
)
from app.rules.numbers.dialing import hold_rules
from app.rules.numbers.numbers import Addressee, read_mailed
from app.rules.numbers.policy import hold_policy
from app.services.mail2fax.mail_inline import OpenedMail, open_inline
from app.services.mail2fax.mail_parts import (
    ATTACHED_IN_TNEF,
    COMPANION,
    DAMAGED,
    DOCUMENT,
    EMAIL,
    GENERATED,
    UNKNOWN,
    Contents,
    as_utc,
    content_of,
    contents,
    decoded,
    is_crowded,
    is_urgent,
    leaves_of,
    parse,
    parts_of,
    proof_of,
    sender_of,
    twice,
    why_automatic,
)
from app.services.mail2fax.mail_programs import program_of
from tenants.models import EmailAddress, PgpPublicKey, Tenant, User
from tenants.scope import owned_by

MOST_DOCUMENTS = 10
#: How old a signature may be, for mails that waited; and how far a clock may be ahead.
OLDEST, AHEAD = timedelta(days=3), timedelta(minutes=15)
TEST_PASSED, SMIME = "mail_test_passed", "mail_smime"


@dataclass(frozen=True)
class Check:
    """One line of the tester. ``passed`` is None where it did not matter; a failed one has its ``reason`` in values."""

    code: str
    passed: bool | None
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MailDocument:
    name: str
    content: bytes


class Standing(StrEnum):
    """How sure it is that the mail is the user's whose address it bears."""

    PROVEN = "proven"  # the PIN or the signature is right
    VOUCHED = "vouched"  # the mail server, or the line, believes the address
    CLAIMED = "claimed"  # the address stands there, and nothing speaks against it
    NOBODYS = "nobodys"  # a stranger's, a program's, a forged one


@dataclass(frozen=True)
class Verdict:
    """``reason`` is the code of the first rule that failed (app.rules.words.sentences). ``answerable``: it is sure
    enough that the mail is the user's to repeat its words to them; ``standing`` says how sure. ``subject_shown`` is
    without secrets. ``guesses`` are what was put forward as the PIN and is not; ``automatic``: a program wrote it, and
    no answer goes back. ``program`` is the mail program of a person (mail_programs.py). ``urgent``: as its writer has
    marked it."""

    accepted: bool
    reason: str | None
    checks: tuple[Check, ...]
    entity_id: int | None
    user_id: int | None
    to: str | None
    documents: tuple[MailDocument, ...]
    answerable: bool
    message_id: str | None
    sender: str | None
    subject_shown: str
    signature_digest: str | None
    standing: Standing = Standing.NOBODYS
    guesses: tuple[str, ...] = field(default=(), repr=False)
    automatic: bool = False
    program: str | None = None
    urgent: bool = False


def judge(
    session: Session,
    box: Mail2FaxBox,
    raw: bytes,
    *,
    now: datetime,
    settings: object,
    dry: bool = False,
    envelope: Envelope | None = None,
) -> Verdict:
    """``dry``: for the tester, which judges a mail a second time and opens its documents as well. ``envelope``: of one
    that was handed in at the door.

    Raises:
        TemporaryFailure: gpg does not answer.
    """
    return _Judgement(session, box, raw, now, dry, envelope).verdict()


class _Judgement:
    def __init__(
        self, session: Session, box: Mail2FaxBox, raw: bytes, now: datetime, dry: bool, envelope: Envelope | None
    ) -> None:
        self.session, self.box, self.raw, self.now, self.dry = session, box, raw, now, dry
        self.envelope = envelope
        self.tenant = session.get_one(Tenant, box.tenant_id)
        self.mail = parse(raw)
        self.checks: list[Check] = []
        lines = owned_by(FaxEntity, box.tenant_id).where(FaxEntity.box_id == box.id, FaxEntity.closed_at.is_(None))
        self.lines = list(session.scalars(lines.order_by(FaxEntity.name)))
        self.pins = [line.pin for line in self.lines if line.pin]
        self.automatic = why_automatic(self.mail)
        self.guesses: tuple[str, ...] = ()
        self.sendable: set[int] | None = None

    def check(self, code: str, reason: str | None, /, **values: Any) -> bool:
        """Note a rule; ``reason`` None: it holds."""
        shown = {name: self.plain(value) for name, value in values.items()}
        self.checks.append(Check(code, reason is None, shown | ({"reason": reason} if reason else {})))
        return reason is None

    def skip(self, code: str, **values: Any) -> None:
        self.checks.append(Check(code, None, {name: self.plain(value) for name, value in values.items()}))

    def plain(self, value: Any) -> Any:
        return without_pins(value, self.pins) if isinstance(value, str) else value

    def verdict(self) -> Verdict:
        sender = self._sender()
        user = self._user(sender)
        proof = self._proof(sender)
        opened = self._open(user)
        if opened.fault:  # nothing that is inside is known: it is told before all else that is missing
            self.check("form" if opened.fault == SMIME else "encryption", opened.fault)
        found = contents(opened.entity)
        wanted, inside = self._wanted(opened, found)
        entity = self._entity(user, wanted)
        addressee = self._addressee(entity, wanted)
        self._encryption(entity, opened)
        pin = self._pin(user, entity, found, opened)
        digest = self._signature(entity, opened, wanted if inside else None)
        documents = self._documents(found, opened)
        test = wanted is not None and wanted.test
        standing = self._standing(user, entity, proof, pin, opened.signature)
        has_failed = any(check.passed is False for check in self.checks)
        if self.dry or test or (has_failed and standing != Standing.NOBODYS):  # one answer tells all that is wrong
            self._look_into(documents)
        failed = next((check for check in self.checks if check.passed is False), None)
        if failed is None and test:
            self.check("test", TEST_PASSED, number=addressee.shown if addressee else "")
            failed = self.checks[-1]
        return Verdict(
            accepted=failed is None,
            reason=failed.values["reason"] if failed else None,
            checks=tuple(self.checks),
            entity_id=entity.id if entity else None,
            user_id=user.id if user else None,
            to=addressee.remote_number if addressee else None,
            documents=documents if failed is None else (),
            answerable=standing in (Standing.PROVEN, Standing.VOUCHED),
            message_id=message_id(self.raw) or None,
            sender=sender,
            subject_shown=self.plain(decoded(self.mail.get("Subject")))[:255],
            signature_digest=digest,
            standing=standing,
            guesses=() if proof is False else self.guesses,
            automatic=self.automatic is not None,
            program=program_of(self.mail) if user else None,
            urgent=is_urgent(self.mail),
        )

    def _standing(
        self, user: User | None, entity: FaxEntity | None, proof: bool | None, pin: bool | None, signature: Signature
    ) -> Standing:
        """An address alone is believed only where the line believes it as well. Of what the mail server calls forged no
        PIN is told, because it counts as no guess, and a signed one may have been taken from elsewhere, often. A header
        may have been added to what the mail server believes."""
        if user is None or self.automatic:
            return Standing.NOBODYS
        if proof is False:
            return Standing.CLAIMED if signature.fault is None else Standing.NOBODYS
        if pin or signature.fault is None:
            return Standing.PROVEN
        if twice(self.mail):
            return Standing.NOBODYS if self.tenant.mail_proof_required and not proof else Standing.CLAIMED
        lines = [entity] if entity else self.lines
        address_is_enough = bool(lines) and all(line.authentication == Authentication.NONE for line in lines)
        if proof or (address_is_enough and not self.tenant.mail_proof_required):
            return Standing.VOUCHED
        return Standing.NOBODYS if self.tenant.mail_proof_required else Standing.CLAIMED

    # ---- Who

    def _sender(self) -> str | None:
        name = twice(self.mail)
        self.check("headers", "mail_header_twice" if name else None, **({"header": name} if name else {}))
        sender, fault = self._written_by()
        self.check("sender", fault, **({"sender": sender} if sender else {}))
        why, is_machine = self.automatic, self.envelope is not None and self.envelope.machine
        let_in = why == GENERATED and (is_machine or sender in self.box.programs.split())  # by an administrator
        self.check("person", "mail_automatic" if why and not let_in else None, **({"why": why} if why else {}))
        return sender

    def _written_by(self) -> tuple[str | None, str | None]:
        """Address and what is wrong with it. At the door the envelope's sender is the one who was let in: a person
        writes From as well, a machine may call itself what it likes."""
        written = sender_of(self.mail)
        if self.envelope and self.envelope.machine:
            return self.envelope.sender, None
        if self.envelope and written and written != self.envelope.sender:
            return written, "door_from"
        return written, None if written else "mail_from"

    def _user(self, sender: str | None) -> User | None:
        if sender is None:
            self.skip("user")
            return None
        query = sa.select(User).join(EmailAddress, User.address_id == EmailAddress.id)
        query = query.where(User.tenant_id == self.box.tenant_id, EmailAddress.address == sender)
        user = self.session.scalar(query)
        # a database may compare without regard to case; we do not
        known = user is not None and user.email == sender and user.is_active and not user.is_invited
        user = user if known else None
        if self.check("user", None if user else "sender_unknown", sender=sender):
            self.check("company", "tenant_suspended" if self.tenant.suspended_at else None)
        return user

    def _proof(self, sender: str | None) -> bool | None:
        proof = self._vouched(sender) if sender else None
        if proof is False:
            self.check("proof", "mail_proof_failed")
        elif proof is None and self.tenant.mail_proof_required:
            self.check("proof", "mail_proof_missing")
        elif proof is None:
            self.skip("proof")
        else:
            self.check("proof", None)
        return proof

    def _vouched(self, sender: str) -> bool | None:
        """At the door whoever hands in has made sure of it, unless the box is to look at what a server wrote."""
        if self.envelope and (self.envelope.machine or not self.box.authserv_id):
            return sender == self.envelope.sender
        return proof_of(self.mail, sender, self.box.authserv_id)

    # ---- Sealed and signed

    def _open(self, user: User | None) -> OpenedMail:
        """A stranger's mail is not worth a run of gpg."""
        mail, keys = self.mail, self._keys(user)
        if _is_smime(mail):
            return OpenedMail(Message(), True, SMIME)  # RFC 8551, 3.5.2: nothing of it is readable
        if sealed := _sealed(mail):
            if user is None:
                return OpenedMail(Message(), True, "mail_not_decrypted")
            return self._decrypted(sealed, keys)
        if mail.get_content_type() == "multipart/signed" and _is_pgp(mail):
            return _signed(self.raw, mail, keys, OpenedMail(mail)) if user else OpenedMail(mail)
        return self._inline(OpenedMail(mail), keys) if user else OpenedMail(mail)

    def _keys(self, user: User | None) -> list[str]:
        """Of this very user: no other key is there that could vouch."""
        if user is None:
            return []
        mine = owned_by(PgpPublicKey, self.box.tenant_id).where(PgpPublicKey.user_id == user.id)
        return [key.armored for key in self.session.scalars(mine.order_by(PgpPublicKey.id))]

    def _decrypted(self, sealed: list[Message], keys: list[str]) -> OpenedMail:
        nothing = OpenedMail(Message(), True, "mail_not_decrypted")
        if not self.box.private_key:
            return replace(nothing, fault="mail_box_without_key")
        if [part.get_content_type() for part in sealed][:1] != ["application/pgp-encrypted"] or len(sealed) != 2:
            return nothing
        try:
            opened = open_message(content_of(sealed[1]), keys, self.box.private_key)
        except PermanentFailure:  # whose, or what is wrong with it, is nobody's business
            return nothing
        entity = parse(opened.content)
        here = OpenedMail(entity, True, None, opened.signature, opened.content, covers_text=True)
        if entity.get_content_type() == "multipart/signed" and _is_pgp(entity):
            if opened.signature.fault != "missing":
                return replace(here, signature=Signature("several"))
            return _signed(opened.content, entity, keys, here)
        return self._inline(here, keys) if opened.signature.fault == "missing" else here

    def _inline(self, here: OpenedMail, keys: list[str]) -> OpenedMail:
        found = open_inline(here.entity, keys, self.box.private_key)
        if found is None:
            return here
        encrypted, covers_text = here.encrypted or found.encrypted, here.covers_text or found.covers_text
        return replace(found, encrypted=encrypted, covers_text=covers_text)

    # ---- What is wanted

    def _wanted(self, opened: OpenedMail, found: Contents) -> tuple[Wanted | None, bool]:
        """Number and entity, and whether they stand inside of what is signed (or sealed)."""
        outer, within = read_subject(decoded(self.mail.get("Subject"))), None
        if self.envelope and self.envelope.wanted:
            outer = self.envelope.wanted
        if opened.covers_text and opened.fault is None:
            subjects = opened.entity.get_all("Subject", [])
            if len(subjects) > 1:
                self.check("subject", "mail_subject_altered")
                return None, False
            if subjects:
                within = read_subject(decoded(subjects[0]))
                if within is None or (outer and not self._means(outer, within)):
                    self.check("subject", "mail_subject_altered" if within else "mail_subject")
                    return None, False
            else:
                written = [wish for wish in wishes_in(found.text) if wish.number not in self.pins]
                # the first one counts: else whoever alters the subject could choose among all that stand there
                if outer:
                    within = written[0] if written and self._is_meant(written[0], outer) else None
                    if within is None and written:
                        self.check("subject", "mail_subject_altered")
                        return None, False
                elif len(written) == 1:
                    within = written[0]
        wanted = within or outer
        if wanted is None and opened.fault:  # it may stand inside
            self.skip("subject")
            return None, False
        if wanted and outer and outer.test:  # whoever wrote it: to send nothing harms nobody
            wanted = replace(wanted, test=True)
        shown = {"number": wanted.number} if wanted else {}
        self.check("subject", None if wanted else "mail_subject", **shown)
        return wanted, within is not None

    def _is_meant(self, written: Wanted, outer: Wanted) -> bool:
        """The entity has to be signed too where there is one: else whoever alters the subject chooses the line. Only a
        test may stand in one of them."""
        return self._means(replace(outer, test=False), replace(written, test=False))

    def _means(self, outer: Wanted, within: Wanted) -> bool:
        """The same wish, in whatever spelling the number is. The line may stand within alone."""
        within = within if outer.entity else replace(within, entity=None)
        return same_wish(outer, within) or (
            same_wish(replace(outer, number=""), replace(within, number=""))
            and self._dialled(outer) is not None
            and self._dialled(outer) == self._dialled(within)
        )

    def _dialled(self, wanted: Wanted) -> str | None:
        try:
            return read_mailed(self.session, self.tenant, wanted.number).dial_string
        except Refused:
            return None

    def _entity(self, user: User | None, wanted: Wanted | None) -> FaxEntity | None:
        name = wanted.entity if wanted else None
        if name:
            named = [line for line in self.lines if same_name(line.name, name)]
            entity = named[0] if len(named) == 1 else None
            self.check("entity", None if entity else "mail_entity_unknown", name=name)
        else:
            entity = self._only_line(user)
        if entity is None or user is None:
            self.skip("permission")
            return entity
        self.check("permission", None if self._may_send(user, entity) else "sender_unknown", entity=entity.name)
        return entity

    def _may_send(self, user: User | None, entity: FaxEntity) -> bool:
        return user is not None and entity.id in self._lines_of(user)

    def _lines_of(self, user: User) -> set[int]:
        if self.sendable is None:
            self.sendable = {line.id for line in sendable_entities(self.session, user)}
        return self.sendable

    def _only_line(self, user: User | None) -> FaxEntity | None:
        lines = self.lines
        if len(lines) > 1 and user:
            lines = [line for line in lines if line.id in self._lines_of(user)] or lines
        if len(lines) == 1:
            self.check("entity", None, name=lines[0].name)
            return lines[0]
        self.check("entity", "mail_entity_several" if lines else "mail_entity_none")
        return None

    def _addressee(self, entity: FaxEntity | None, wanted: Wanted | None) -> Addressee | None:
        if wanted is None:
            self.skip("number")
            return None
        try:
            addressee = read_mailed(self.session, self.tenant, wanted.number)
        except Refused as refusal:
            self.check("number", refusal.code, **refusal.values)
            return None
        self.check("number", None, number=addressee.shown)
        if entity:
            try:
                hold_policy(self.session, self.tenant, addressee.dial_string, send_at=None, now=self.now)
                number = addressee.remote_number
                hold_rules(self.session, tenant=self.tenant, entity=entity, number=number, send_at=None, now=self.now)
                self.check("dialing", None)
            except Refused as refusal:
                self.check("dialing", refusal.code, **refusal.values)
        return addressee

    # ---- The line's method

    def _encryption(self, entity: FaxEntity | None, opened: OpenedMail) -> None:
        if opened.fault:
            return
        if opened.encrypted:
            self.check("encryption", None)
        elif entity and entity.encryption_required:
            self.check("encryption", "mail_not_encrypted")
        else:
            self.skip("encryption")

    def _pin(self, user: User | None, entity: FaxEntity | None, found: Contents, opened: OpenedMail) -> bool | None:
        if entity is None or entity.authentication != Authentication.PIN or not entity.pin or opened.fault:
            if entity and entity.authentication == Authentication.PIN and not entity.pin:
                self.check("pin", "mail_pin_unset")
            else:
                self.skip("pin")
            return None
        if not self.dry and not self._may_send(user, entity):  # is told nothing about the PIN
            self.skip("pin")
            return None
        right = holds_pin(found.text, entity.pin)
        self.check("pin", {True: None, False: "pin_wrong", None: "mail_pin_missing"}[right])
        if right is False:  # what is longer or shorter was never meant as this PIN
            tried = [text for text in pin_candidates(found.text) if len(text) == len(entity.pin)]
            self.guesses = tuple(tried)
        return right

    def _signature(self, entity: FaxEntity | None, opened: OpenedMail, signed: Wanted | None) -> str | None:
        """The digest that no second fax may have. ``signed``: what is wanted, where that is part of what is signed."""
        if entity is None or entity.authentication != Authentication.PGP or opened.fault:
            self.skip("signature")
            return None
        signature = opened.signature
        fault = signature.fault
        if fault == "missing" and _holds_signature(self.mail if not opened.encrypted else opened.entity):
            fault = "partial"
        if not self.check("signature", f"mail_signature_{fault}" if fault else None):
            return None
        if self.check("signed_number", None if signed else "mail_signature_number"):
            here = bool(signed and signed.entity) or self._names_us(opened)
            self.check("signed_place", None if here else "mail_signature_elsewhere", name=entity.name)
        self.check("signed_documents", None if opened.binds else "mail_signature_unbound")
        age = self.now - as_utc(signature.made_at)
        fresh = -AHEAD <= age <= OLDEST
        self.check("signature_age", None if fresh else "mail_signature_old", days=OLDEST.days)
        digest = _signature_digest(signature, opened.signed)
        used = sa.select(MailMessage.id).where(
            MailMessage.tenant_id == self.box.tenant_id,
            MailMessage.signature_digest == digest,
            MailMessage.fate == MailFate.ACCEPTED,
        )
        if self.dry:
            self.skip("signature_used")
        else:
            known = self.session.scalar(used.limit(1))
            self.check("signature_used", "mail_signature_used" if known else None)
        return digest

    def _names_us(self, opened: OpenedMail) -> bool:
        """Whether the signed headers say that the mail was written to this company: else whoever got something that a
        user had signed could have it faxed here."""
        boxes = owned_by(Mail2FaxBox, self.box.tenant_id)
        addresses = [box.address.address for box in self.session.scalars(boxes)]
        to = [decoded(value) for name in ("To", "Cc") for value in opened.entity.get_all(name, [])]
        return any(names_address(text, address) for text in to for address in addresses)

    # ---- The documents

    def _documents(self, found: Contents, opened: OpenedMail) -> tuple[MailDocument, ...]:
        if opened.fault:
            self.skip("documents")
            return ()
        documents = [MailDocument(self.plain(part.name), part.content) for part in found.of(DOCUMENT)]
        for part in found.of(COMPANION):
            self.skip("beside", name=part.name, what=part.what)
        foreign = found.of(UNKNOWN)
        winmail = [part for part in found.of(COMPANION) if part.what == "winmail"]
        if foreign:
            reasons = {EMAIL: "mail_attached_email", DAMAGED: "mail_attachment_damaged"}
            self.check("documents", reasons.get(foreign[0].what, "mail_attachment_type"), name=foreign[0].name)
        elif any(ATTACHED_IN_TNEF in part.content for part in winmail):  # none is left out in silence
            self.check("documents", "mail_winmail")
        elif is_crowded(opened.entity):
            self.check("documents", "mail_crowded")
        elif not documents:
            self.check("documents", "mail_winmail" if winmail else "mail_no_document")
        elif len(documents) > MOST_DOCUMENTS:
            self.check("documents", "mail_many_documents", limit=MOST_DOCUMENTS)
        else:
            self.check("documents", None, names=", ".join(document.name for document in documents))
        return tuple(documents)

    def _look_into(self, documents: tuple[MailDocument, ...]) -> None:
        """As it is done when they are taken."""
        for document in documents:
            with tempfile.NamedTemporaryFile(prefix="faxroom-mail-") as target:
                target.write(document.content)
                target.flush()
                try:
                    inspect(Path(target.name), name=document.name)
                    self.check("document", None, name=document.name)
                except FaxroomError as failure:
                    self.check("document", failure.code, **failure.values | {"name": document.name})


# ---- RFC 8551


def _is_smime(mail: Message) -> bool:
    """Sealed, or signed so that nothing can be read. Gateways change its type, or put a text of their own below it."""
    if mail.get_content_type() in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        return True
    return any(str(leaf.message.get_filename() or "").lower() == "smime.p7m" for leaf in leaves_of(mail))


# ---- RFC 3156


def _sealed(mail: Message) -> list[Message] | None:
    """The parts of an encrypted mail; None where it is none. Exchange makes a multipart/mixed of it, with an empty text
    before, and leaves the two as they were."""
    if mail.get_content_type() == "multipart/encrypted":
        return parts_of(mail)
    if mail.get_content_type() != "multipart/mixed":
        return None
    parts = [leaf.message for leaf in leaves_of(mail) if not (leaf.is_body and not content_of(leaf.message).strip())]
    kinds = [part.get_content_type() for part in parts]
    return parts if kinds == ["application/pgp-encrypted", "application/octet-stream"] else None


def _is_pgp(mail: Message) -> bool:
    return str(mail.get_param("protocol", "")).lower() == "application/pgp-signature"


def _holds_signature(mail: Message) -> bool:
    kinds = {part.get_content_type() for part in mail.walk()}
    return bool(kinds & {"multipart/signed", "application/pgp-signature"})


def _signed(raw: bytes, mail: Message, keys: list[str], here: OpenedMail) -> OpenedMail:
    """Verified over the very bytes between the boundaries; only these are looked at from here on."""
    halves = _halves(raw, mail)
    if halves is None:
        return replace(here, signature=Signature("bad"))
    signed, second = halves
    signature = parse(second)
    if signature.get_content_type() != "application/pgp-signature" or signature.is_multipart():
        return replace(here, signature=Signature("bad"))
    content = content_of(signature)
    if content.count(b"-----BEGIN PGP SIGNATURE-----") != 1:
        return replace(here, signature=Signature("several" if b"-----BEGIN" in content else "bad"))
    found = verify(signed, content, keys) if keys else Signature("unknown_key")
    return replace(here, entity=parse(signed), signature=found, signed=signed, covers_text=True)


def _halves(raw: bytes, mail: Message) -> tuple[bytes, bytes] | None:
    """Signed part, with the line ends that it was signed with, and the part of the signature; None unless there are
    exactly these two."""
    boundary = mail.get_boundary()
    if not boundary or not boundary.isascii() or len(boundary) > 200:
        return None
    _head, _empty, body = raw.replace(b"\r\n", b"\n").lstrip(b"\n").partition(b"\n\n")
    line = re.compile(rb"(?:^|\n)--" + re.escape(boundary.encode()) + rb"(--)?[ \t]*(?=\n|\Z)")
    marks = list(line.finditer(body))
    if len(marks) != 3 or [bool(mark[1]) for mark in marks] != [False, False, True]:
        return None
    first = body[marks[0].end() + 1 : marks[1].start()]
    second = body[marks[1].end() + 1 : marks[2].start()]
    return first.replace(b"\n", b"\r\n"), second


def _signature_digest(signature: Signature, signed: bytes) -> str:
    """Over what a signature says, not over its bytes: those can be written in more than one way. Blanks at the ends of
    lines count for some signatures and not for others."""
    lines = b"\n".join(line.rstrip() for line in signed.replace(b"\r\n", b"\n").split(b"\n")).rstrip()
    said = f"{signature.key} {signature.made_at} {hashlib.sha256(lines).hexdigest()}"
    return hashlib.sha256(said.encode()).hexdigest()


def box_public_key(private_key: str) -> str | None:
    """What users encrypt their mails to, armored."""
    return public_key_of(private_key)
