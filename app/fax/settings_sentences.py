"""What an administrator reads who sets up archives, retention and Mail2Fax boxes: every refusal, every failed test."""

from flask_babel import lazy_gettext as _l

SETTINGS_SENTENCES = {
    "limit_unreadable": _l("Enter a number of calls from 0 to %(limit)s; 0 is no limit."),
    "place_kind": _l("Choose a folder or S3."),
    "place_keeps_nothing": _l("Choose at least one kind of file that is copied there."),
    "place_folder": _l(
        "Write folders with letters, digits, blanks, dots and hyphens, with / between them, such as faxes/2026."
    ),
    "place_endpoint": _l(
        "Write the server's address like https://s3.example.com, without a path, or leave it empty for Amazon's."
    ),
    "place_bucket": _l("A bucket's name has 3 to 63 small letters, digits, dots and hyphens."),
    "place_region": _l("Write the region like eu-south-1, or leave it empty."),
    "place_access_key": _l("Enter the access key."),
    "place_secret_key": _l("Enter the secret key."),
    "place_secret_again": _l("With another server or access key, enter the secret key again."),
    "place_name_taken": _l("There is a place of this name already. Choose another name."),
    "place_too_many": _l("There are %(limit)s places at most. Remove one first."),
    "retention_unreadable": _l("Enter a number of days from 1 to %(limit)s, or leave it empty to keep them for ever."),
    "document_removed": _l("This document was removed meanwhile. Choose the file again."),
    "report_removed": _l("This report was removed: the company keeps reports for a time only."),
    # what a place answered
    "archive_down": _l("The place does not answer. Check that it is there and has room. (%(reason)s)"),
    "archive_short": _l("The place kept fewer bytes than were sent. Try again; if it stays so, check its room."),
    "archive_changed": _l("The place gave back something else than was written. Do not use it."),
    "archive_refused": _l(
        "The server does not accept these keys, or they may not write there. Check both keys and their permissions."
    ),
    "archive_no_bucket": _l("The server has no bucket of this name. Create it, or check the name and the region."),
    "archive_clock": _l("The server's clock and ours differ by minutes. Tell your operator."),
    "archive_answered": _l("The server refused with “%(answer)s”. Check its address, bucket and region."),
    "archive_settings": _l("These settings do not make a server's address. (%(reason)s)"),
    "archive_outside": _l("This folder leads outside of what the operator allows. Choose another one."),
    "archive_no_original": _l("The file is missing in our own storage. Tell your operator."),
    "host_inside": _l(
        "%(host)s is inside the installation or its network. Only the operator can allow that "
        "(FAXROOM_ALLOW_PRIVATE_HOSTS)."
    ),
    "host_unknown": _l("There is no host %(host)s. Check the name."),
    "sealing_key_unknown": _l(
        "What was kept was encrypted with a key that is no longer there. Enter it again, or tell your operator."
    ),
    "not_sealed": _l("This is no encrypted file of Faxroom."),
    "sealed_file_damaged": _l("This file is damaged or was changed: what it held is not given out."),
    # Mail2Fax boxes
    "box_name_taken": _l("There is a box of this name already. Choose another name."),
    "box_host": _l("Enter the mail server's name, such as imap.example.org."),
    "box_port": _l("A port is a number from 1 to 65535."),
    "box_security": _l("Choose one of the list."),
    "box_folder": _l("Write the folder as the mail server calls it, such as INBOX."),
    "box_username": _l("Enter the user name of the mailbox."),
    "box_password": _l("Enter the password of the mailbox."),
    "box_password_again": _l("With another server or user name, enter the password again."),
    "box_key_public": _l("This is a public key. Mails to this box are opened with its private key: export that."),
    "box_key_unreadable": _l(
        "There is no PGP private key in this. Export it as text: it begins with “BEGIN PGP PRIVATE KEY BLOCK”."
    ),
    "box_poll": _l("Enter a number of seconds from %(least)s to %(most)s."),
    "box_authserv": _l("A server's name has letters, digits, dots and dashes, such as mx.example.org."),
    "box_authserv_needed": _l(
        "Your company demands proof of the sender's address, and this box would never have it. Enter the name under "
        "which the mail server notes it."
    ),
    "mail_proof_boxes": _l(
        "These boxes do not know their mail server's name, so every mail to them would be refused: %(names)s. Open "
        "each and enter the name in Authentication-Results first."
    ),
    "box_in_use": _l("Fax entities use this box: %(names)s. Give them another one first."),
    "imap_down": _l("The mail server does not answer there. Check name, port and security. (%(reason)s)"),
    "imap_certificate": _l(
        "The mail server's certificate is not valid for this name, so the password was not sent. (%(reason)s)"
    ),
    "imap_no_starttls": _l(
        "The mail server offers no STARTTLS, so the password was not sent. Choose TLS or another port."
    ),
    "imap_plain": _l(
        "Without security the password would travel readable through the Internet, so it was not sent. Choose TLS."
    ),
    "imap_refused": _l("The mail server does not accept this user name and password."),
    "imap_no_folder": _l("There is no folder %(folder)s in this mailbox. There are: %(folders)s."),
}
