"""What people read about templates, dialing rules and self-tests."""

from flask_babel import lazy_gettext as _l

TEMPLATE_SENTENCES = {
    # why a number is not dialled, at the door or later
    "number_forbidden": _l(
        "Numbers starting with %(prefix)s cannot be dialled from this line. Choose another line, or ask your "
        "administrator."
    ),
    "number_not_allowed": _l(
        "Only numbers starting with %(prefixes)s can be dialled from this line. Choose another line, or ask your "
        "administrator."
    ),
    "number_premium": _l(
        "This is a premium number, and calls to it cost extra. This line does not dial them. Ask your administrator."
    ),
    "daily_cap": _l(
        "This line has a limit of %(limit)s faxes a day, and today's is used up. Choose a time tomorrow, or another "
        "line."
    ),
    "daily_cap_on": _l(
        "This line has a limit of %(limit)s faxes a day, and that of %(day)s is used up. Choose another day, or "
        "another line."
    ),
    # templates
    "template_missing": _l("This template no longer exists. Choose one from the list."),
    "template_name_taken": _l("There is already a template with this name. Choose another name."),
    "template_header": _l("The header has up to %(limit)s characters, on one line."),
    "template_station_id": _l("A fax ID contains digits, spaces and +, up to %(limit)s."),
    "template_choice": _l("Choose one from the list."),
    "template_number": _l("Enter a whole number from %(least)s to %(most)s."),
    "template_delay": _l("Enter seconds from %(least)s to %(most)s, or leave it empty for the usual delay."),
    "template_in_use": _l("These fax lines use this template: %(names)s. Give them another one first."),
    "template_too_many": _l("You can have up to %(limit)s templates. Remove one first."),
    "template_changed": _l("Someone else has changed this template in the meantime. Review it."),
    "prefix_unreadable": _l("“%(typed)s” is not the start of a number. Write it like +39 899, one per line."),
    "prefix_too_many": _l("You can enter up to %(limit)s prefixes."),
    "prefix_twice": _l("%(prefix)s is both allowed and forbidden. Remove one of the two."),
    # self-test
    "test_running": _l("A test of this line is running. Wait until it has finished."),
    "test_one_call": _l("A test needs two calls at once, one out and one in. Your company's limits allow only one."),
    "test_no_way_out": _l(
        "This line cannot be tested through the carrier. The line needs a public number, and Faxroom needs a trunk to "
        "a carrier."
    ),
    "test_trunk_down": _l("The line to the telephone provider is down. The test was not sent."),
    "test_trunk_refused": _l(
        "The telephone provider takes no calls from this system at the moment. The test was not sent."
    ),
    "test_trunk_full": _l("All channels to the telephone provider were in use. The test was not sent."),
    "test_closed": _l("This fax line was closed."),
}
