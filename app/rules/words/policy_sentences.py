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
    "ceiling": _l("Your company has used up its calls for today."),
    "ceiling_today": _l(
        "Your company has used up its calls for today. Choose a time tomorrow, or ask your operator for more."
    ),
    "sender_gone": _l(
        "The person who ordered it may no longer send from this line. It is sent only if an administrator releases it."
    ),
    "sender_decided": _l("This fax is no longer waiting for a decision."),
    "voice_invalid": _l(
        "%(number)s is not a valid telephone number. Check the digits: + or 00, the country code and the number."
    ),
    # a test call over a trunk
    "trunk_test_line": _l("No open fax line has this number. Enter the number of one, with + and the country code."),
    "trunk_test_suspended": _l("This line's company is suspended. Choose a line of another company."),
    "trunk_test_off": _l("This trunk is switched off, so no test call can be made over it. Switch it on first."),
    "sound_came": _l("%(received)s packets received, %(lost)s lost, %(sent)s sent (%(codec)s)."),
    "sound_missing": _l(
        "No sound came from the other side. Check that your firewall lets in the UDP ports for calls, and that the "
        "provider knows the right address of this machine."
    ),
    "sound_uncounted": _l("The page went by T.38, where Asterisk does not count packets."),
    "trunk_test_inside": _l("This is an extension. A test of the trunk needs a public number."),
    # the pool of numbers
    "number_not_given": _l("%(number)s is not one of your company's numbers. Choose one of your free numbers."),
    "number_none_given": _l(
        "%(number)s is not one of your company's numbers, and none of yours is free. Ask your operator for a number."
    ),
    "number_rests": _l(
        "%(number)s belonged to another company and is reserved until %(day)s. Choose another number, or wait until "
        "then."
    ),
    "number_in_use": _l("A fax line uses %(number)s. Its company must give the line another number first."),
    "pool_number_unreadable": _l(
        "“%(typed)s” is not a public number. Write it like +390509655637, or a range like +390509655600-49."
    ),
    "pool_range": _l(
        "“%(typed)s” is not a range. Write the first number and the last digits of the last one, like +390509655600-49."
    ),
    "pool_too_many": _l("More than %(limit)s numbers at once. Enter them in several steps."),
    "pool_numbers_missing": _l("Enter at least one number."),
    "pool_columns": _l("The first line must name the columns: number and company. Only number is required."),
    "pool_number_twice": _l("%(number)s is in the file more than once. Remove one of the rows."),
    "pool_company_unknown": _l("There is no company “%(name)s”. Write its short name, or leave the cell empty."),
    "pool_block_gone": _l("These numbers are no longer in the list. Review it, then choose."),
    "choice_unknown": _l("Choose one from the list."),
    "trunk_line_unknown": _l(
        "There is no fax line %(name)s. Enter its number, such as +390509655637, or company*extension if it has none."
    ),
    "trunk_beside": _l(
        "Calls from %(host)s over this trunk and %(name)s cannot be told apart. Choose the same as for %(name)s, or "
        "have both register. To change both, switch %(name)s off first."
    ),
    "trunk_area": _l("Enter the area code as digits only, at most %(limit)s of them."),
    "trunk_area_of": _l("Choose the country in which %(area)s is an area code."),
    "trunk_name": _l("Use lower-case letters, digits and hyphens, at most 20."),
    "trunk_name_taken": _l("There is already a trunk “%(name)s”. Choose another name."),
    "trunk_too_many": _l("You can have up to %(limit)s trunks. Remove one first."),
    "trunk_host": _l("Enter a host name or an IP address, such as sip.example.org."),
    "trunk_port": _l("Enter a port from 1 to 65535."),
    "trunk_srtp": _l("Encrypted sound needs TLS. Choose TLS, or switch encryption off."),
    "trunk_account": _l(
        "Enter up to 255 characters, without semicolons or line breaks, and without a space at either end."
    ),
    "trunk_user_missing": _l("Enter the user name that belongs to the password."),
    "trunk_registers": _l("To register, enter a user name and a password."),
    "trunk_channels": _l("Enter a whole number from 0 to %(limit)s."),
    "trunk_prefix": _l("%(prefix)s is not a prefix with + and country code. Write it like +39."),
    "trunk_from_environment": _l("%(name)s is set in FAXROOM_TRUNK. Remove it there."),
    "trunk_last": _l("This is the only trunk. Add another one first."),
    "rest_days": _l("Enter a whole number of days from 0 to %(limit)s."),
    # what an operator enters
    "called_number": _l("Enter the complete number with its country code, such as +39 050 9655637."),
    "called_lines": _l("Enter a whole number from 1 to %(limit)s."),
    "policy_count": _l("Enter a whole number from 1 to %(limit)s."),
    "country_unknown": _l("“%(typed)s” is not a country. Enter its name, or two letters like IT, one per line."),
}
