"""What an administrator reads who enters fax entities, looks at the numbering plan and applies what was saved."""

from flask_babel import lazy_gettext as _l

ENTITY_SENTENCES = {
    "entity_name_missing": _l("Enter a name, such as frontdesk."),
    "entity_name_taken": _l("There is a fax entity of this name already. Choose another name."),
    "extension_unreadable": _l("An extension has digits only, 16 at most, such as 501."),
    "extension_taken": _l("%(number)s is in use by %(name)s. Choose another extension."),
    "extension_emergency": _l("%(number)s is an emergency number. Nobody could reach this line: choose another one."),
    "extension_public": _l(
        "%(number)s is a public number too: who dials it would reach this line instead. Choose a shorter extension."
    ),
    "public_number_invalid": _l(
        "There is no such number. Check the digits; for a number abroad begin with + and the country code."
    ),
    "number_taken": _l("%(number)s is in use by %(name)s. Each public number belongs to one fax entity."),
    "number_taken_elsewhere": _l(
        "%(number)s is taken. Each public number belongs to one fax entity of this installation: use another."
    ),
    "number_is_voice": _l(
        "Calls of %(name)s that are no fax are led to %(number)s. It cannot be a fax line: change one of the two."
    ),
    "number_is_voice_elsewhere": _l("Calls that are no fax are led to %(number)s. It cannot be a fax line."),
    "voice_unreadable": _l("Enter the telephone's number: digits only, with a + in front if you like."),
    "voice_is_fax_line": _l(
        "%(number)s is a fax line itself: a call that is no fax would come back for ever. Enter a telephone."
    ),
    "voice_emergency": _l("%(number)s is an emergency number. Enter a telephone of your own."),
    "entity_template_missing": _l("Choose the template."),
    "box_missing": _l("Choose a Mail2Fax box of the list, or none."),
    "box_without_key": _l(
        "%(name)s has no private PGP key, so it could open no encrypted mail. Enter the key at the box first."
    ),
    "authentication_unknown": _l("Choose how a mail proves who sent it."),
    "pin_missing": _l("Enter the PIN that mails have to carry."),
    "pin_unreadable": _l("A PIN has 4 to 32 letters and digits, without blanks."),
    "entity_faxes_under_way": _l(
        "Faxes of this line still wait or are on their way (%(count)s). Wait until they are sent, or cancel them."
    ),
    "change_gone": _l("Somebody has removed it meanwhile. Discard this change."),
    "change_overtaken": _l(
        "Somebody has changed the same thing meanwhile. Look at it again and save it once more, or discard this change."
    ),
    "change_clashes": _l("Somebody else was faster and has taken what this change needs. Look at it again."),
    "changes_differ": _l("Something was saved or discarded meanwhile. Look at the list again, then apply it."),
    "page_overtaken": _l(
        "Somebody has changed this meanwhile. What you typed is still here: check it against what is new, then save."
    ),
}
