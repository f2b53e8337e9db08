"""Why a mail became no fax, as its sender and the administrator read it: what is not said by the rules of a fax."""

from flask_babel import lazy_gettext as _l

MAIL_SENTENCES = {
    "mail_unreadable": _l("This mail cannot be read. Write a new one, with the document attached."),
    "mail_contended": _l("Somebody else is working on this mail. It is tried again."),
    "pin_locked": _l(
        "Too many wrong PINs came lately, so none is accepted for an hour. Wait, then send it again with the right one."
    ),
    "sender_unknown": _l("Faxes are accepted only from the address of a user who may send from this line."),
    # the rules of app.intake.mail2fax
    "mail_header_twice": _l("The mail has the header %(header)s more than once, so nobody can say which one counts."),
    "mail_from": _l("The mail does not name exactly one sender. Send it from one address, written as it is."),
    "mail_automatic": _l("This mail was written by a machine or came over a list. Send one of your own."),
    "mail_proof_failed": _l(
        "The mail server found that this mail does not come from the sender's domain. Send it by your company's own "
        "mail server."
    ),
    "mail_proof_missing": _l(
        "Your company demands that the mail server vouches for the sender (SPF, DKIM, DMARC), and it did not. Send it "
        "by your company's own mail server."
    ),
    "mail_subject": _l(
        "The subject has to be the fax number and nothing else, such as 050 1234567, or 050 1234567@line to choose the "
        "line."
    ),
    "mail_subject_altered": _l(
        "The number in the subject is not the one that stands inside the signed or encrypted mail. Send it again with "
        "the same number in both."
    ),
    "mail_entity_unknown": _l(
        "There is no line %(name)s at this address. Check what stands behind the @ in the subject."
    ),
    "mail_entity_several": _l(
        "Several lines have this address. Write the one that you mean behind the number: 050 1234567@line."
    ),
    "mail_entity_none": _l("No line has this address at the moment. Ask your administrator."),
    "mail_not_encrypted": _l(
        "This line takes encrypted mails only. Encrypt the mail to the public key of the box: your profile has it."
    ),
    "mail_not_decrypted": _l(
        "This mail cannot be decrypted, or was altered on its way. Encrypt it to the public key of the box, which your "
        "profile has, with PGP/MIME."
    ),
    "mail_box_without_key": _l("This address has no key, so encrypted mails cannot be read. Ask your administrator."),
    "mail_pin_missing": _l("There is no PIN in the text of the mail. Write it on a line of its own: PIN 1234."),
    "pin_wrong": _l("The PIN in the text of the mail is wrong, or there are too many numbers that could be one."),
    "mail_pin_unset": _l("This line asks for a PIN and has none yet. Ask your administrator."),
    "mail_signature_missing": _l(
        "This mail is not signed. Sign it with PGP/MIME, with the key that your profile names."
    ),
    "mail_signature_partial": _l(
        "Only a part of this mail is signed. Sign the whole mail with PGP/MIME, number and document included."
    ),
    "mail_signature_several": _l("This mail has more than one signature. Sign it once, with your own key."),
    "mail_signature_bad": _l("The signature does not fit the mail: it was altered on its way. Send it again."),
    "mail_signature_expired": _l(
        "The key of the signature has expired. Prolong it and ask your administrator to enter it again."
    ),
    "mail_signature_revoked": _l("The key of the signature was revoked. Sign with another one of your keys."),
    "mail_signature_unknown_key": _l(
        "The signature is by a key that is not among yours. Ask your administrator to enter the public key."
    ),
    "mail_signature_weak": _l("The signature uses a digest that can be forged (SHA-1, MD5). Use SHA-256 or better."),
    "mail_signature_number": _l(
        "The fax number is not inside of what is signed. Switch on protected headers, or write the number on a line of "
        "its own in the text as well."
    ),
    "mail_signature_unbound": _l(
        "Text and documents are signed one by one, so nobody can say that they belong together. Sign the whole mail "
        "with PGP/MIME, or write the SHA-256 of each document into the signed text, in the order in which they are "
        "attached."
    ),
    "mail_signature_old": _l(
        "The signature is older than %(days)s days, or of the future. Check your clock, and sign the mail anew."
    ),
    "mail_signature_used": _l("This signed mail was sent as a fax already. Write and sign a new one."),
    "mail_attachment_type": _l(
        "%(name)s is not of a kind that can be faxed: %(kinds)s. Save it as PDF and attach that, or leave it out."
    ),
    "mail_crowded": _l("This mail has too many parts. Attach the documents to a new one."),
    "mail_no_document": _l("No document is attached. Attach one: %(kinds)s."),
    "mail_winmail": _l(
        "Outlook has packed the document into winmail.dat, which nobody else can open. Write the mail as plain text or "
        "HTML instead of Rich Text."
    ),
    "mail_many_documents": _l("More than %(limit)s documents are attached. Send several mails."),
    "mail_test_passed": _l(
        "This was a test, and everything is right: a mail like it without the word “test” would be faxed to %(number)s."
    ),
}
