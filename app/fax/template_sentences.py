"""What people read about templates, dialing rules and self-tests."""

from flask_babel import lazy_gettext as _l

TEMPLATE_SENTENCES = {
    # why a number is not dialled, at the door or later
    "number_forbidden": _l(
        "Numbers that begin with %(prefix)s may not be dialled from this line. Choose another line, or ask your "
        "administrator."
    ),
    "number_not_allowed": _l(
        "From this line only numbers that begin with %(prefixes)s may be dialled. Choose another line, or ask your "
        "administrator."
    ),
    "number_premium": _l(
        "This is a premium number: calls to it cost a fee. This line does not dial those. Ask your administrator."
    ),
    "daily_cap": _l(
        "This line sends %(limit)s faxes a day, and today's are used up. Choose a time of tomorrow, or another line."
    ),
    "daily_cap_on": _l(
        "This line sends %(limit)s faxes a day, and those of %(day)s are used up. Choose another day, or another line."
    ),
    # templates
    "template_missing": _l("There is no such template any more. Choose one of the list."),
    "template_name_taken": _l("There is a template of this name already. Choose another name."),
    "template_header": _l("The header has %(limit)s characters at most, on one line."),
    "template_station_id": _l("The station id has digits, blanks and + only, %(limit)s at most."),
    "template_choice": _l("Choose one of the list."),
    "template_number": _l("Enter a whole number from %(least)s to %(most)s."),
    "template_delay": _l("Enter seconds from %(least)s to %(most)s, or leave it empty for the usual delay."),
    "template_in_use": _l("Fax entities use this template: %(names)s. Give them another one first."),
    "template_too_many": _l("There are %(limit)s templates at most. Remove one first."),
    "template_changed": _l("Somebody else has changed this template meanwhile. Look at it again."),
    "prefix_unreadable": _l("“%(typed)s” is no beginning of a number. Write it like +39 899, one on each line."),
    "prefix_too_many": _l("There are %(limit)s beginnings of numbers at most."),
    "prefix_twice": _l("%(prefix)s is both allowed and forbidden. Remove one of the two."),
    # self-test
    "test_running": _l("A test of this line is running. Wait until it is over."),
    "test_one_call": _l(
        "A test needs two calls at the same time, one out and one in. Your company's limits allow one only."
    ),
    "test_closed": _l("This fax entity was closed."),
}
