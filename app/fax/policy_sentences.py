"""What people read about the operator's dialing policy."""

from flask_babel import lazy_gettext as _l

POLICY_SENTENCES = {
    # why a number is dialled for nobody, at the door or later
    "policy_premium": _l(
        "This is a premium number: calls to it cost a fee. Your operator does not allow these calls. Use another "
        "number, or ask your operator."
    ),
    "policy_satellite": _l(
        "This is the number of a satellite network. Your operator does not allow these calls. Use another number, or "
        "ask your operator."
    ),
    "policy_country": _l(
        "Your operator does not allow calls to this country (%(country)s). Use another number, or ask your operator."
    ),
    "ceiling": _l("Your company has used up the calls of today that its operator allows."),
    "ceiling_today": _l(
        "Your company has used up the calls of today that its operator allows. Choose a time of tomorrow, or ask your "
        "operator for more."
    ),
    "voice_invalid": _l(
        "%(number)s is no valid telephone number. Check the digits: + or 00, the country code and the number."
    ),
    # what an operator enters
    "country_unknown": _l("“%(typed)s” is no country. Enter its name, or two letters like IT, one on each line."),
}
