"""What to do about a fault of a mail, where that differs from one mail program to the next."""

from flask_babel import lazy_gettext as _l

OUTLOOK, APPLE, THUNDERBIRD, GMAIL = "outlook", "apple", "thunderbird", "gmail"
NAMES = {OUTLOOK: "Outlook", APPLE: "Apple Mail", THUNDERBIRD: "Thunderbird", GMAIL: "Gmail"}

_ATTACHED = {
    OUTLOOK: _l("Attach the file as a copy: when Outlook offers a OneDrive link, choose Attach as copy."),
    APPLE: _l(
        "Attach the file itself. If you are asked to upload a large file to iCloud, choose to send it in the email "
        "instead."
    ),
    THUNDERBIRD: _l("Attach the file with the paper clip. If Thunderbird offers to use Filelink, choose Ignore."),
    GMAIL: _l("Attach the file with the paper clip, not with Google Drive, which sends only a link."),
}
_SIGNED = {
    OUTLOOK: _l("With GpgOL (Gpg4win): open Secure in the ribbon of the new email and switch on Sign."),
    APPLE: _l("With GPG Suite: choose OpenPGP at the top right of the new email and switch on the seal with the tick."),
    THUNDERBIRD: _l("Open OpenPGP in the toolbar of the new email and tick Digitally Sign."),
    GMAIL: _l("Gmail cannot sign with PGP/MIME itself. Use Thunderbird, or Mailvelope with its Gmail integration."),
}
_ENCRYPTED = {
    OUTLOOK: _l("With GpgOL (Gpg4win): import the box's key in Kleopatra, then open Secure and switch on Encrypt."),
    APPLE: _l("With GPG Suite: import the box's key in GPG Keychain, then switch on the padlock of the new email."),
    THUNDERBIRD: _l(
        "Import the box's key in Tools, OpenPGP Key Manager, and accept it. Then press Encrypt in the new email."
    ),
    GMAIL: _l("Import the box's key into Mailvelope and write the email with Mailvelope, or use Thunderbird."),
}
_WITHOUT_SMIME = {
    OUTLOOK: _l("In the new email open Options and switch off Encrypt and Sign."),
    APPLE: _l("In the new email click the padlock and the tick beside the subject until both are off."),
    THUNDERBIRD: _l("In the new email open Security, choose OpenPGP instead of S/MIME, or switch both off."),
    GMAIL: _l("Next to the recipient click the padlock and choose the level without S/MIME."),
}
_PROTECTED = {
    THUNDERBIRD: _l("In Account Settings, End-To-End Encryption, tick Encrypt the subject of OpenPGP messages."),
    OUTLOOK: _l("GpgOL does not sign the subject. Put the line into the message as shown above."),
    APPLE: _l("GPG Suite does not sign every header. Put the line into the message as shown above."),
    GMAIL: _l("Mailvelope does not sign the subject. Put the line into the message as shown above."),
}
#: By the code of the sentence that says what is wrong (mail_sentences.py).
STEPS = {
    "mail_no_document": _ATTACHED,
    "mail_signature_missing": _SIGNED,
    "mail_signature_partial": _SIGNED,
    "mail_not_encrypted": _ENCRYPTED,
    "mail_not_decrypted": _ENCRYPTED,
    "mail_smime": _WITHOUT_SMIME,
    "mail_signature_number": _PROTECTED,
    "mail_signature_elsewhere": _PROTECTED,
    "mail_winmail": {
        OUTLOOK: _l("In the new email open Format Text and choose HTML, then attach the document again."),
    },
}


def steps_of(code: str, program: str | None) -> list[tuple[str, str]]:
    """(Name of the program, what to do there): of the one that wrote the mail, or of all where that is not known."""
    told = STEPS.get(code, {})
    return [(NAMES[name], str(text)) for name, text in told.items() if program in (None, name)]
