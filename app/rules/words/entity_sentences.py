"""What an administrator reads who enters fax entities, looks at the numbering plan and applies what was saved."""

from flask_babel import lazy_gettext as _l

ENTITY_SENTENCES = {
    "entity_name_missing": _l("Enter a name, such as frontdesk."),
    "entity_name_taken": _l("There is already a fax line with this name. Choose another name."),
    "extension_unreadable": _l("An extension has up to 16 digits, such as 501."),
    "extension_taken": _l("%(number)s is in use by %(name)s. Choose another extension."),
    "extension_emergency": _l(
        "%(number)s is an emergency number, so nobody could reach this line. Choose another one."
    ),
    "extension_public": _l(
        "%(number)s is also a public number: anyone dialling it would reach this line instead. Choose a shorter "
        "extension."
    ),
    "public_number_invalid": _l(
        "This number does not exist. Check the digits. For a number abroad, start with + and the country code."
    ),
    "number_taken": _l("%(number)s is in use by %(name)s. Each public number belongs to one fax line."),
    "number_taken_elsewhere": _l("%(number)s is already in use on this installation. Choose another public number."),
    "number_is_voice": _l(
        "Calls to %(name)s that are not faxes are forwarded to %(number)s, so it cannot be a fax line. Change one of "
        "the two."
    ),
    "number_is_voice_elsewhere": _l(
        "Calls that are not faxes are forwarded to %(number)s, so it cannot be a fax line."
    ),
    "voice_unreadable": _l("Enter a telephone number. Use digits only, with a + in front if needed."),
    "fax_after_unreadable": _l("Enter 0, or a number of seconds from %(least)s to %(most)s."),
    "voice_is_fax_line": _l(
        "%(number)s is itself a fax line, so the call would come back for ever. Enter a telephone number."
    ),
    "voice_emergency": _l("%(number)s is an emergency number. Enter one of your own telephones."),
    "entity_template_missing": _l("Choose a template."),
    "box_missing": _l("Choose a Mail2Fax box from the list, or none."),
    "box_without_key": _l(
        "%(name)s has no private PGP key, so it cannot open encrypted emails. Add a key to the box first."
    ),
    "received_mail_unknown": _l("Choose how received faxes are emailed."),
    "digest_time": _l("Enter a time of day, such as 18:00."),
    "authentication_unknown": _l("Choose how senders prove who they are."),
    "pin_missing": _l("Enter the PIN that emails must contain."),
    "pin_unreadable": _l("A PIN has 4 to 32 letters and digits, without spaces."),
    "entity_faxes_under_way": _l(
        "Faxes of this line are still waiting or being sent (%(count)s). Wait until they finish, or cancel them."
    ),
    "change_gone": _l("Someone has removed it in the meantime. Discard this change."),
    "change_overtaken": _l(
        "Someone else has changed the same thing in the meantime. Review it and save again, or discard your change."
    ),
    "change_clashes": _l("Someone else has just taken what this change needs. Review it."),
    "changes_differ": _l("Something was saved or discarded in the meantime. Review the list, then apply it."),
    "page_overtaken": _l(
        "Someone has changed this in the meantime. Your entries are still here. Open this page in another tab to see "
        "the new values, then save here."
    ),
}
