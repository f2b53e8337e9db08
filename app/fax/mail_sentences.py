"""Why a mail became no fax, as its sender and the administrator read it: what is not said by the rules of a fax."""

from flask_babel import lazy_gettext as _l

MAIL_SENTENCES = {
    "mail_unreadable": _l("This mail cannot be read. Write a new one, with the document attached."),
    "mail_contended": _l("Somebody else is working on this mail. It is tried again."),
    "pin_locked": _l(
        "Too many wrong PINs came lately, so none is accepted for an hour. Wait, then send it again with the right one."
    ),
    "sender_unknown": _l("Faxes are accepted only from the address of a user who may send from this line."),
}
