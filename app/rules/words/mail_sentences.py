"""Why a mail became no fax, as its sender and the administrator read it: what is not said by the rules of a fax."""

from flask_babel import lazy_gettext as _l

MAIL_SENTENCES = {
    "mail_unreadable": _l("This email cannot be read. Write a new one, with the document attached."),
    "mail_contended": _l("This email is already being processed. It will be tried again."),
    "pin_locked": _l(
        "Too many different wrong PINs came from your address. No PIN is accepted from it for an hour: wait, then send "
        "the email again with the right one. If you do not know it, ask your administrator."
    ),
    "sender_unknown": _l("Faxes are accepted only from the email address of a user who may send from this line."),
    # the rules of app.services.mail2fax.judging
    "mail_header_twice": _l(
        "The email contains the header %(header)s more than once, so it is unclear which one counts."
    ),
    "mail_from": _l("The email does not name exactly one sender. Send it from a single address."),
    "mail_automatic": _l("This email was sent by a program or a mailing list. Send one yourself."),
    "mail_proof_failed": _l(
        "The mail server found that this email does not come from the sender's domain. Send it through your "
        "company's own mail server."
    ),
    "mail_proof_missing": _l(
        "Your company requires the mail server to confirm the sender (SPF, DKIM, DMARC), and it did not. Send the "
        "email through your company's own mail server."
    ),
    "mail_subject": _l(
        "The subject must be the fax number and nothing else, such as 050 1234567, or 050 1234567@line to choose the "
        "line."
    ),
    "mail_subject_altered": _l(
        "The number in the subject differs from the one inside the signed or encrypted email. Send it again with the "
        "same number in both."
    ),
    "mail_entity_unknown": _l("There is no line %(name)s at this address. Check what follows the @ in the subject."),
    "mail_entity_several": _l(
        "Several lines use this address. Add the one you mean after the number: 050 1234567@line."
    ),
    "mail_entity_none": _l("No line uses this address at the moment. Ask your administrator."),
    "mail_not_encrypted": _l(
        "This line accepts only encrypted emails. Encrypt the email to the box's public key, which is in your profile."
    ),
    "mail_smime": _l(
        "This email is signed or encrypted with S/MIME, which Faxroom cannot read. Switch S/MIME off for this email, "
        "or use PGP."
    ),
    "mail_not_decrypted": _l(
        "This email cannot be decrypted, or was altered on the way. Encrypt it with PGP/MIME to the box's public "
        "key, which is in your profile."
    ),
    "mail_box_without_key": _l("This address has no key, so encrypted emails cannot be read. Ask your administrator."),
    "mail_pin_missing": _l(
        "There is no PIN in the message. Put it on a line of its own above your signature: PIN 1234. If you do not "
        "know it, ask your administrator."
    ),
    "pin_wrong": _l(
        "The PIN in the message is wrong, or several numbers could be one. Put it on a line of its own: PIN 1234. If "
        "you do not know it, ask your administrator."
    ),
    "mail_pin_unset": _l("This line requires a PIN but has none yet. Ask your administrator."),
    "mail_signature_missing": _l(
        "This email is not signed. Sign it with PGP/MIME, using the key shown in your profile."
    ),
    "mail_signature_partial": _l(
        "Only part of this email is signed. Sign the whole email with PGP/MIME, including number and document."
    ),
    "mail_signature_several": _l("This email has more than one signature. Sign it once, with your own key."),
    "mail_signature_bad": _l("The signature does not match the email: it was altered on the way. Send it again."),
    "mail_signature_expired": _l("The signing key has expired. Extend it and ask your administrator to add it again."),
    "mail_signature_revoked": _l("The signing key was revoked. Sign with another of your keys."),
    "mail_signature_unknown_key": _l(
        "The signature was made with a key that is not registered for you. Ask your administrator to add the public "
        "key."
    ),
    "mail_signature_weak": _l("The signature uses a digest that can be forged (SHA-1, MD5). Use SHA-256 or better."),
    "mail_signature_number": _l(
        "The fax number is not part of what is signed. Switch on protected headers, or put the number on a line of "
        "its own in the message as well."
    ),
    "mail_signature_elsewhere": _l(
        "Nothing in what you signed says that this email is meant for this address, so anyone who received it could "
        "have it faxed. Put the number with the line on a line of its own in the message, such as "
        "050 1234567@%(name)s, or switch on protected headers."
    ),
    "mail_signature_unbound": _l(
        "Text and documents are signed separately, so nothing proves that they belong together. Sign the whole email "
        "with PGP/MIME, or put the SHA-256 of each document into the signed text, in the order of the attachments."
    ),
    "mail_signature_old": _l(
        "The signature is more than %(days)s days old, or dated in the future. Check your clock and sign the email "
        "again."
    ),
    "mail_signature_used": _l("This signed email was already sent as a fax. Write and sign a new one."),
    "mail_attachment_type": _l(
        "%(name)s is not of a kind that can be faxed: %(kinds)s. Save it as PDF and attach that, or leave it out."
    ),
    "mail_attached_email": _l(
        "%(name)s is an email. Documents inside it are not faxed: attach the documents themselves to a new email."
    ),
    "mail_attachment_damaged": _l("%(name)s arrived damaged. Attach it to a new email."),
    "mail_crowded": _l("This email has too many parts. Attach the documents to a new one."),
    "mail_no_document": _l("No document is attached. Attach one: %(kinds)s."),
    "mail_winmail": _l(
        "Outlook packed the document into winmail.dat, which other programs cannot open. Write the email as plain "
        "text or HTML instead of Rich Text."
    ),
    "mail_many_documents": _l("More than %(limit)s documents are attached. Send several emails."),
    "mail_test_passed": _l(
        "This was a test and everything is right: the same email without the word “test” would be faxed to %(number)s."
    ),
    # why a received fax is not in the mail that tells of it
    "mail_key_missing": _l(
        "The fax is not attached: emails to you must be encrypted, and you have no PGP key. Give your public key "
        "to an administrator of your company."
    ),
    "mail_key_expired": _l(
        "The fax is not attached: emails to you must be encrypted, and your PGP key has expired. Extend it, and "
        "give the public key to an administrator of your company."
    ),
    "mail_key_unusable": _l(
        "The fax is not attached: emails to you must be encrypted, and your PGP key cannot be used for that. Give "
        "another public key to an administrator of your company."
    ),
}
