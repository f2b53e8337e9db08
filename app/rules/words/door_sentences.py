"""What the door says of an email that is handed in, and the administrator's page of what hands in."""

from flask_babel import lazy_gettext as _l

DOOR_SENTENCES = {
    "door_sender": _l("%(address)s is not the address of a person who may send faxes here."),
    "door_from": _l(
        "The sender in the email (From) is not the address that delivered it. Send it from your own address only."
    ),
    "door_domain": _l("%(domain)s is not one of your company's fax domains. Check what follows the @."),
    "door_line": _l("Your company has no fax line %(name)s that takes emails here. Check what follows the @."),
    "door_line_needed": _l("You may send from several lines: name one after the @, such as number@line.domain."),
    "door_no_line": _l("You have no fax line to send from by email here. Ask your administrator."),
    "door_number": _l("%(typed)s is not a fax number. Write it before the @ in digits, such as +390501234567."),
    "door_person": _l("Choose a person from the list."),
    "door_credentials_many": _l("This box already has %(limit)s passwords. End one of them first."),
    "door_email": _l("The address must end with %(domain)s and contain a letter before the @."),
    "door_closed": _l("Faxroom does not take emails directly here. Ask whoever runs it to switch this on."),
    "fax_domain_unreadable": _l("Enter a domain such as fax.example.org, or leave this empty."),
    "fax_domain_taken": _l(
        "This domain, or one right above or below it, belongs to another company. Enter a different one."
    ),
}
