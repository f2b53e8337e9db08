"""Signed and encrypted mails, whole and tampered with, by the real gpg."""

import hashlib
import subprocess
from collections.abc import Callable
from email import policy
from email.message import EmailMessage, MIMEPart
from pathlib import Path

from sqlalchemy.orm import Session

from app.adapters.mail.pgp import read_public_key
from app.services.mail2fax.judging import Verdict
from tenants.models import PgpPublicKey
from tests.db.mails import NUMBER, write_mail
from tests.unit.mail.test_pgp import Ring
from tests.web.cast import pdf_bytes

Judge = Callable[..., Verdict]
PGP = {"authentication": "pgp"}
SEALED = {"encryption_required": True}


def inner(
    *,
    number: str | None = NUMBER,
    protected: bool = True,
    to: str | None = "fax@alpha.test",
    text: str = "Hello",
    documents: int = 1,
) -> bytes:
    """What is signed: text and document, subject and recipient as protected headers."""
    part = MIMEPart(policy.SMTP)
    part.set_content(text)
    for n in range(documents):
        part.add_attachment(pdf_bytes(), maintype="application", subtype="pdf", filename=f"letter-{n}.pdf")
    if not documents:
        part.make_mixed()
    if protected:
        part.set_param("protected-headers", "v1")
        if number:
            part["Subject"] = number
        if to:
            part["To"] = to
    return part.as_bytes(policy=policy.SMTP)


def sign(ring: Ring, who: str, content: bytes, *more: str) -> bytes:
    return ring.run("--armor", "--digest-algo", "SHA256", *more, "--local-user", who, "--detach-sign", given=content)


def signed_part(content: bytes, signature: bytes, boundary: str = "signed-boundary") -> bytes:
    edge = boundary.encode()
    return (
        b'Content-Type: multipart/signed; micalg="pgp-sha256"; protocol="application/pgp-signature"; boundary="'
        + edge
        + b'"\r\n\r\n--'
        + edge
        + b"\r\n"
        + content
        + b"\r\n--"
        + edge
        + b'\r\nContent-Type: application/pgp-signature; name="signature.asc"\r\n\r\n'
        + signature.replace(b"\n", b"\r\n")
        + b"\r\n--"
        + edge
        + b"--\r\n"
    )


def heads(subject: str = NUMBER, sender: str = "bob@alpha.test") -> bytes:
    mail = write_mail(subject=subject, sender=sender)
    kept = [f"{name}: {mail[name]}" for name in ("From", "To", "Subject", "Date", "Message-ID")]
    return "\r\n".join([*kept, "MIME-Version: 1.0", ""]).encode()


def signed_mail(ring: Ring, who: str, *, subject: str = NUMBER, more: tuple[str, ...] = (), **values: object) -> bytes:
    content = inner(**values)
    return heads(subject) + signed_part(content, sign(ring, who, content, *more))


def sealed_part(sealed: bytes) -> bytes:
    return (
        b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="sealed"\r\n\r\n'
        b"--sealed\r\nContent-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n\r\n"
        b"--sealed\r\nContent-Type: application/octet-stream\r\n\r\n" + sealed + b"\r\n--sealed--\r\n"
    )


def wrapped(raw: bytes) -> bytes:
    """The whole signed mail as one part of another one, with an unsigned document beside it."""
    head, _empty, body = raw.partition(b"Content-Type: multipart/signed")
    mail = EmailMessage()
    mail.set_content("see below")
    mail.add_attachment(pdf_bytes(3), maintype="application", subtype="pdf", filename="other.pdf")
    edge = mail.get_boundary() or "outer"
    mail.set_boundary(edge)
    outer = mail.as_bytes(policy=policy.SMTP).replace(b"MIME-Version: 1.0\r\n", b"")
    marker = b"--" + edge.encode() + b"--"
    inside = b"--" + edge.encode() + b"\r\nContent-Type: multipart/signed" + body + b"\r\n" + marker
    return head + outer.replace(marker, inside)


def revoke(ring: Ring, fingerprint: str) -> None:
    text = Path(ring.folder, "openpgp-revocs.d", f"{fingerprint}.rev").read_text()
    ring.run("--import", given=text.replace(":-----BEGIN", "-----BEGIN").encode())


def kill_agent(folder: str) -> None:
    subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)


def register(session: Session, tenant_id: int, user_id: int, content: bytes) -> None:
    found = read_public_key(content)
    session.add(PgpPublicKey(tenant_id=tenant_id, user_id=user_id, armored=found.armored))
    session.commit()


def seal(ring: Ring, content: bytes, *more: str, to: str = "=Box <fax@alpha.test>") -> bytes:
    return ring.run("--armor", "--trust-model", "always", "--recipient", to, *more, "--encrypt", given=content)


def refused(verdict: Verdict, reason: str) -> bool:
    """Nothing may be left of a mail that was refused."""
    assert (verdict.accepted, verdict.reason) == (False, reason), verdict.checks
    assert verdict.documents == ()
    return True


# ---- Inline


def clear_sign(ring: Ring, who: str, text: str, *more: str) -> bytes:
    return ring.run("--digest-algo", "SHA256", *more, "--local-user", who, "--clear-sign", given=text.encode())


def inline_mail(
    text: bytes, *documents: bytes | tuple[str, bytes], subject: str = NUMBER, cte: str = "8bit", html: str = ""
) -> bytes:
    """A mail with this text; a document without a name is ``letter-N.pdf``."""
    mail = write_mail(subject=subject, text="", documents=())
    mail.set_content(text.decode(), cte=cte)
    if html:
        mail.add_alternative(html, subtype="html")
    for n, document in enumerate(documents):
        name, content = document if isinstance(document, tuple) else (f"letter-{n}.pdf", document)
        kind = "pdf" if name.endswith(".pdf") else "octet-stream"
        mail.add_attachment(content, maintype="application", subtype=kind, filename=name)
    return mail.as_bytes()


def named(*documents: bytes) -> str:
    """As sha256sum prints it."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  letter-{n}.pdf\n" for n, content in enumerate(documents))
