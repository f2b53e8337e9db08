"""What an administrator reads who sets up archives, retention and Mail2Fax boxes: every refusal, every failed test."""

from flask_babel import lazy_gettext as _l

SETTINGS_SENTENCES = {
    "limit_unreadable": _l("Enter a number of calls from 0 to %(limit)s. 0 means no limit."),
    "place_kind": _l("Choose a folder or S3."),
    "place_keeps_nothing": _l("Choose at least one kind of file to copy."),
    "place_folder": _l(
        "Folder names contain letters, digits, spaces, dots and hyphens, separated by /, such as faxes/2026."
    ),
    "place_endpoint": _l(
        "Write the server's address like https://s3.example.com, without a path. Leave it empty to use Amazon."
    ),
    "place_bucket": _l("A bucket name has 3 to 63 lower-case letters, digits, dots and hyphens."),
    "place_region": _l("Write the region like eu-south-1, or leave it empty."),
    "place_access_key": _l("Enter the access key."),
    "place_secret_key": _l("Enter the secret key."),
    "place_secret_again": _l("You changed the server or the access key: enter the secret key again."),
    "place_name_taken": _l("There is already an archive with this name. Choose another name."),
    "place_too_many": _l("You can have up to %(limit)s archives. Remove one first."),
    "retention_unreadable": _l("Enter a number of days from 1 to %(limit)s, or leave it empty to keep files for ever."),
    "document_removed": _l("This document was deleted in the meantime. Choose the file again."),
    "report_removed": _l("This report was deleted: your company keeps reports for a limited time."),
    # what a place answered
    "archive_down": _l("The archive does not respond. Check that it exists and has space. (%(reason)s)"),
    "archive_short": _l(
        "The archive stored fewer bytes than were sent. Try again. If it happens again, check its free space."
    ),
    "archive_changed": _l("The archive returned something other than what was written. Do not use it."),
    "archive_refused": _l(
        "The server does not accept these keys, or they lack write permission. Check both keys and their permissions."
    ),
    "archive_no_bucket": _l("The server has no bucket with this name. Create it, or check the name and region."),
    "archive_clock": _l("The server's clock and ours differ by several minutes. Tell your operator."),
    "archive_answered": _l("The server refused with “%(answer)s”. Check its address, bucket and region."),
    "archive_settings": _l("These settings do not form a valid server address. (%(reason)s)"),
    "archive_outside": _l("This folder is outside what the operator allows. Choose another one."),
    "archive_no_original": _l("The file is missing from our own storage. Tell your operator."),
    "host_inside": _l(
        "%(host)s is inside the installation or its network. Only your operator can allow it "
        "(FAXROOM_ALLOW_PRIVATE_HOSTS)."
    ),
    "host_unknown": _l("The host %(host)s does not exist. Check the name."),
    "sealing_key_unknown": _l(
        "The stored value was encrypted with a key that no longer exists. Enter it again, or tell your operator."
    ),
    "not_sealed": _l("This is not an encrypted Faxroom file."),
    "sealed_file_damaged": _l("This file is damaged or was changed, so its content is not shown."),
    # Mail2Fax boxes
    "box_name_taken": _l("There is already a box with this name. Choose another name."),
    "box_host": _l("Enter the mail server's name, such as imap.example.org."),
    "box_port": _l("A port is a number from 1 to 65535."),
    "box_security": _l("Choose one from the list."),
    "box_folder": _l("Enter the folder as the mail server names it, such as INBOX."),
    "box_username": _l("Enter the mailbox's user name."),
    "box_password": _l("Enter the mailbox's password."),
    "box_password_again": _l("You changed the server or user name: enter the password again."),
    "box_key_public": _l(
        "This is a public key. Emails to this box are decrypted with its private key: export that one."
    ),
    "box_key_unreadable": _l(
        "This does not contain a PGP private key. Export it as text; it starts with “BEGIN PGP PRIVATE KEY BLOCK”."
    ),
    "box_key_passphrase": _l(
        "This key is protected by a passphrase, so Faxroom cannot open emails with it. Export it without one: Faxroom "
        "stores it encrypted."
    ),
    "box_key_expired": _l("This key has expired. Extend it in your PGP program, then export it again."),
    "box_key_no_encryption": _l(
        "Nothing can be encrypted to this key: it is for signatures only, or was revoked. Create one for encryption."
    ),
    "box_key_several": _l("This contains several private keys. Export one of them."),
    "box_key_version": _l(
        "This key is of a version that Faxroom cannot read (newer than 4). Create one that works with GnuPG 2.2."
    ),
    "box_poll": _l("Enter a number of seconds from %(least)s to %(most)s."),
    "box_program_address": _l("%(address)s is not an email address. Enter one address on each line."),
    "box_programs": _l("Enter at most %(limit)s addresses."),
    "box_program_unknown": _l(
        "No user of your company has the address %(address)s. Add one for the program first, and let them send from a "
        "line of this box. Upper and lower case must match."
    ),
    "box_authserv": _l("A server name contains letters, digits, dots and hyphens, such as mx.example.org."),
    "box_authserv_needed": _l(
        "Your company requires proof of the sender's address, which this box could never provide. Enter the name "
        "under which the mail server records it."
    ),
    "mail_proof_boxes": _l(
        "These boxes do not know their mail server's name, so every email to them would be refused: %(names)s. Open "
        "each one and enter the name in Authentication-Results first."
    ),
    "box_in_use": _l("These fax lines use this box: %(names)s. Give them another one first."),
    "imap_down": _l("The mail server does not respond. Check name, port and security. (%(reason)s)"),
    "imap_certificate": _l(
        "The mail server's certificate is not valid for this name, so the password was not sent. (%(reason)s)"
    ),
    "imap_no_starttls": _l(
        "The mail server does not offer STARTTLS, so the password was not sent. Choose TLS or another port."
    ),
    "imap_plain": _l("Without encryption anyone on the way could read the password, so it was not sent. Choose TLS."),
    "imap_refused": _l("The mail server does not accept this user name and password."),
    "imap_no_tokens": _l("The mail server does not accept tokens (OAuth). Choose a password, or another server."),
    "imap_token_refused": _l(
        "The mail server does not accept the token for this user name. Check that the application may read this "
        "mailbox and that IMAP is switched on for it. (%(reason)s)"
    ),
    "token_directory": _l("Enter the directory (tenant) ID from Microsoft Entra, or your domain."),
    "token_url": _l("Write the token server's address like https://login.example.org/token."),
    "token_client_id": _l("Enter the client ID."),
    "token_client_secret_missing": _l("Enter the client secret."),
    "token_refresh_token_missing": _l("Enter the refresh token of the mailbox's account."),
    "token_secret_unreadable": _l("This does not look like a secret. Copy it again, without spaces or line breaks."),
    "token_secret_again": _l("You changed the mail server or user name: enter the client secret again."),
    "token_scope": _l("A scope has up to 1,000 letters and signs, separated by spaces."),
    "token_day": _l("Enter a day, such as 2027-06-30, or leave it empty."),
    "token_authorize_url": _l(
        "Write the sign-in page's address like https://login.example.org/authorize, or leave it empty."
    ),
    "token_key_missing": _l("Paste the service account's key file."),
    "token_key_unreadable": _l(
        "This is not the key file of a service account. Paste the whole JSON file that Google gave you."
    ),
    "token_key_of_client": _l(
        "This is the file of an OAuth client, not of a service account. Create a key for the service account."
    ),
    "token_key_again": _l("You changed the mail server or user name: paste the key file again."),
    "token_key_refused": _l(
        "Google does not accept the key for this mailbox. Check that the key still exists, that the user name is the "
        "mailbox's address, and that this machine's clock is right. (%(reason)s)"
    ),
    "token_delegation_missing": _l(
        "The service account may not read this mailbox. In the Google Admin console, under Domain-wide delegation, add "
        "its client ID with the scope that the box's page names. (%(reason)s)"
    ),
    "token_sign_in_missing": _l("Nobody has signed in to the mailbox. Sign in on the box's page."),
    "token_sign_in_cancelled": _l(
        "The sign-in was cancelled, or Faxroom was not allowed to read the emails. Nothing was changed. (%(reason)s)"
    ),
    "token_sign_in_refused": _l("The provider did not let you in. Nothing was changed. (%(reason)s)"),
    "token_code_refused": _l(
        "The provider does not accept this sign-in any more. Nothing was changed. Sign in again. (%(reason)s)"
    ),
    "token_answer_foreign": _l(
        "The provider's answer does not belong to this sign-in. Nothing was changed. Sign in again."
    ),
    "token_no_refresh": _l(
        "The provider gave access for a short time only (no refresh token), so nothing was changed. Allow the "
        "application offline access, then sign in again."
    ),
    "token_settings_changed": _l(
        "Someone changed the box while you were signing in, so the sign-in was not kept. Sign in again."
    ),
    "token_plain": _l(
        "Without encryption anyone on the way could read the client secret, so it was not sent. Use https://."
    ),
    "token_down": _l("The token server does not respond as it should. Faxroom tries again later. (%(reason)s)"),
    "token_secret_wrong": _l(
        "The client secret is wrong. Copy the secret's value, not its ID, and enter it again. (%(reason)s)"
    ),
    "token_secret_expired": _l(
        "The client secret has expired. Create a new one with your provider and enter it. (%(reason)s)"
    ),
    "token_grant_expired": _l(
        "The refresh token has expired or was revoked, for example because the password was changed. Sign in to the "
        "mailbox again, or enter a new refresh token. (%(reason)s)"
    ),
    "token_client_unknown": _l(
        "The directory has no application with this client ID. Check the client ID and the directory. (%(reason)s)"
    ),
    "token_client_wrong": _l(
        "The token server does not accept the client ID and client secret. Check both, and whether the secret has "
        "expired. (%(reason)s)"
    ),
    "token_directory_unknown": _l("There is no directory with this ID. Check the directory (tenant) ID. (%(reason)s)"),
    "token_consent_missing": _l(
        "Nobody has consented to the application's permissions. Have an administrator grant consent. (%(reason)s)"
    ),
    "token_unauthorized": _l(
        "The application may not get tokens this way. Check its permissions with your provider. (%(reason)s)"
    ),
    "token_scope_wrong": _l("The token server does not accept this scope. Check it. (%(reason)s)"),
    "token_refused": _l("The token server refused: %(reason)s"),
    "imap_no_folder": _l("This mailbox has no folder %(folder)s. It has: %(folders)s."),
}
