"""What the mails say that a colleague or the inbox sends, in the reader's language."""

from flask_babel import gettext as _
from flask_babel import ngettext

from app.models import Notice
from app.rules.words.sentences import other_end


def sender_name(notice: Notice) -> str:
    """On one line, as a header needs it."""
    return " ".join(notice.from_user.name.split()) if notice.from_user else _("A colleague")


def forwarded_subject(notice: Notice) -> str:
    return _("[%(serial)s] %(name)s forwards you a fax from %(number)s", **_values(notice))


def handed_over_subject(notice: Notice) -> str:
    return _("[%(serial)s] %(name)s hands you the fax from %(number)s", **_values(notice))


def _values(notice: Notice) -> dict[str, str]:
    fax = notice.its_fax
    return {"serial": fax.tenant.serial, "name": sender_name(notice), "number": other_end(fax)}


def reminder_subject(notice: Notice, count: int) -> str:
    return ngettext(
        "[%(serial)s] %(num)d received fax has been waiting for days",
        "[%(serial)s] %(num)d received faxes have been waiting for days",
        count,
        serial=notice.its_fax.tenant.serial,
    )
