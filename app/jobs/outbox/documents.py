"""Documents in mails: attached, encrypted to who reads the mail (PGP/MIME, RFC 3156), or left out behind a link.

What is to be encrypted never leaves otherwise: where it cannot be, the mail has a link and says why.
"""

from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP

from flask import current_app
from flask_babel import gettext as _

from app.adapters.mail.pgp_mail import encrypt_to
from app.errors import PermanentFailure
from app.models import Document, Notice, ReceivedMail
from app.rules.numbers.naming import document_name
from app.rules.outbox.mailing import keys_to_encrypt_to, way_of
from app.rules.words.sentences import in_language, sentence
from app.services.documents.documents import storage
from tenants.addresses import user_by_address
from tenants.db import db
from tenants.pgp_keys import keys_of


def attach(message: EmailMessage, document: Document, name: str) -> None:
    with storage().open(document.storage_key) as source:
        message.add_attachment(source.read(), maintype="application", subtype="pdf", filename=name)


def with_document(notice: Notice, whole: EmailMessage, without: Callable[[], EmailMessage]) -> EmailMessage:
    """``whole`` with the fax's document, as its reader and its line want it; else what ``without`` makes, with a link.

    Raises:
        TemporaryFailure: gpg does not work at the moment: the mail waits.
    """
    fax, user = notice.its_fax, user_by_address(db.session, notice.recipient)
    way = way_of(user, fax.entity) if user else ReceivedMail.NOTICE
    if fax.pdf is None:
        return whole
    if way == ReceivedMail.NOTICE or user is None:
        return _linked(notice, without(), "")
    if way == ReceivedMail.ATTACHED:
        attach(whole, fax.pdf, document_name(fax))
        return whole
    keys, fault = keys_to_encrypt_to(keys_of(db.session, user))
    if fault:
        return _linked(notice, without(), fault)
    attach(whole, fax.pdf, document_name(fax))
    try:
        return encrypted(whole, keys)
    except PermanentFailure as failure:
        return _linked(notice, without(), failure.code)


def _linked(notice: Notice, message: EmailMessage, fault: str) -> EmailMessage:
    """With the link at its end, unless it stands there already."""
    link = f"{current_app.config['SETTINGS'].base_url}/faxes/{notice.fax_id}"
    with in_language(notice.language):
        said = [sentence(fault)] if fault else []
        if link not in (text := str(message.get_content())):
            said += [_("Sign in to read the fax:"), link]
    text = "\n".join((text, *said, "")) if said else text
    message.set_content(text, cte="quoted-printable")
    return message


def encrypted(message: EmailMessage, keys: list[str]) -> EmailMessage:
    """The same mail, of which only the head can be read without one of the ``keys``."""
    inner, outer = EmailMessage(), EmailMessage()
    for name, value in message.items():
        (inner if name.lower().startswith("content-") else outer)[name] = value
    inner.set_payload(message.get_payload())
    outer["Content-Type"] = 'multipart/encrypted; protocol="application/pgp-encrypted"'
    version, content = EmailMessage(), EmailMessage()
    version.set_content(b"Version: 1\n", maintype="application", subtype="pgp-encrypted", cte="7bit")
    sealed = encrypt_to(inner.as_bytes(policy=SMTP), keys)
    content.set_content(sealed, maintype="application", subtype="octet-stream", cte="7bit", filename="encrypted.asc")
    content.replace_header("Content-Disposition", 'inline; filename="encrypted.asc"')
    for part in (version, content):
        del part["MIME-Version"]
        outer.attach(part)
    return outer
