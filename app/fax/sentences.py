"""What a person reads: every code's sentence, every status's label, the story of a fax. All through Flask-Babel."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from babel.dates import format_datetime, format_time
from flask_babel import force_locale, get_locale, lazy_gettext, ngettext
from flask_babel import gettext as _

from app.fax.document_sentences import DOCUMENT_REFUSALS, WRONG_TYPES, DocumentWords
from app.fax.entity_sentences import ENTITY_SENTENCES
from app.fax.mail_sentences import MAIL_SENTENCES
from app.fax.numbers import shown_number
from app.fax.policy_sentences import POLICY_SENTENCES
from app.fax.settings_sentences import SETTINGS_SENTENCES
from app.fax.template_sentences import TEMPLATE_SENTENCES
from app.models import Fax, Status
from tenants.db import utc_now

_l = lazy_gettext

#: Language → locale. English is written the European way: day before month, 24 hours.
LOCALES = {"en": "en_GB", "it": "it"}


def in_language(language: str) -> AbstractContextManager[None]:
    """Write in a reader's language instead of the signed-in person's: for mails and reports."""
    return force_locale(LOCALES.get(language, "en_GB"))


STATUS_LABELS = {
    Status.ACCEPTED: _l("Accepted"),
    Status.PREPARING: _l("Preparing"),
    Status.READY: _l("Waiting for a line"),
    Status.SCHEDULED: _l("Scheduled"),
    Status.DIALING: _l("Dialing"),
    Status.SENDING: _l("Sending"),
    Status.SENT: _l("Sent"),
    Status.RETRYING: _l("Will try again"),
    Status.FAILED: _l("Not sent"),
    Status.CANCELLED: _l("Cancelled"),
    Status.UNKNOWN: _l("Outcome unknown"),
    Status.RECEIVING: _l("Receiving"),
    Status.RECEIVED: _l("Received"),
    Status.INCOMPLETE: _l("Incomplete"),
}

#: How an attempt ended. Also the first half of a failed fax's story.
OUTCOMES = {
    "success": _l("All pages were confirmed by the other end."),
    "busy": _l("The line was busy."),
    "no_answer": _l("Nobody answered."),
    "congestion": _l("The network had no free path to the number."),
    "far_end_no_fax": _l("Somebody or something answered, but no fax machine."),
    "capped": _l("Faxroom ended the call because it had reached the longest time for calls from this line."),
    "capped_last_page": _l(
        "Faxroom ended the call at the longest time for calls from this line, before the last page was confirmed."
    ),
    "other": _l("The call failed for a reason that the network did not name."),
    "protocol_error": _l("The two fax machines could not agree on how to send."),
    "dropped": _l("The call was dropped before all pages were through."),
    "incomplete": _l("The other end confirmed fewer pages than the document has."),
    "unallocated": _l("The number does not exist."),
    "rejected": _l("The other end refused the call."),
    "file_refused": _l("The line could not read the prepared pages."),
    "line_down": _l("The telephone system does not answer."),
    "disk_full": _l("Faxroom's own disk is full; nothing was sent. It continues automatically when there is room."),
    "unknown": _l("The telephone system stopped in the middle of the call."),
    "restored": _l("Faxroom was restored from a backup that was made before this fax was over."),
    "all_confirmed": _l("Every page was confirmed, but the call broke off before it was closed."),
    "caller_no_fax": _l("Somebody called, but no fax machine."),
    "not_written": _l("The telephone system could not write the pages down."),
    "unreadable": _l("The pages arrived damaged and cannot be shown."),
}

#: What a person can do after a failure, by the same codes.
NEXT_STEPS = {
    "busy": _l("Try again later, or ask the addressee for another number."),
    "no_answer": _l("Check that the addressee's fax machine is switched on, then send it again."),
    "congestion": _l("Try again in an hour."),
    "far_end_no_fax": _l("Check with the addressee that this is a fax number."),
    "capped": _l("Ask your administrator to allow longer calls on this line, or split the document."),
    "capped_last_page": _l(
        "It may have arrived whole: ask the addressee before you send it again. If it is missing, ask your "
        "administrator to allow longer calls on this line."
    ),
    "other": _l("Send it again; if it fails once more, ask your administrator to look at the line."),
    "protocol_error": _l(
        "Send it again; if it fails once more, ask your administrator to lower the speed for this line."
    ),
    "dropped": _l("Send it again: the report says which pages were confirmed."),
    "incomplete": _l("Ask the addressee which pages arrived before you send it again."),
    "unallocated": _l("Check the number and send it again with the right one."),
    "rejected": _l("Ask the addressee whether calls from your number are blocked."),
    "many_sheet_pages": _l(
        "To fax all of them, send it again from its page here. For fewer, set a print area in the spreadsheet and send "
        "that."
    ),
    "file_refused": _l("Send it again; if it fails once more, tell your administrator."),
    "all_confirmed": _l("It has most likely arrived whole: ask the addressee before you send it again."),
    "unknown": _l("Ask the addressee whether it arrived before you send it again: it may have gone out."),
    "restored": _l("Ask the addressee whether it arrived before you send it again: it may have gone out."),
}

#: Why a request is not accepted, each with what to do about it.
REFUSALS = {
    "number_missing": _l("Enter the number that the fax goes to."),
    "number_unreadable": _l(
        "A fax number has digits only, with a + in front if you like. Remove the other characters."
    ),
    "number_too_short": _l("This number is too short. Enter all of its digits."),
    "number_too_long": _l("This number is too long. Check the digits."),
    "number_emergency": _l("This is an emergency number. Faxroom never dials those."),
    "number_invalid": _l(
        "There is no such number. Check the digits; for a number abroad begin with + and the country code."
    ),
    "time_unreadable": _l("Enter the time as day and hour, or leave it empty to send now."),
    "time_past": _l("This time has passed (it is %(now)s now). Choose a later one, or leave it empty to send now."),
    "time_too_far": _l("A fax can wait for a year at most. Choose an earlier time."),
    "time_skipped": _l("%(typed)s does not exist on that day: the clocks go forward. Choose %(next)s or another time."),
    "entity_missing": _l("Choose the origin line."),
    "looked_otherwise": _l(
        "This line sends the pages in another way than you have seen. Look at them once more, then send the fax."
    ),
    "many_sheet_pages_asked": _l(
        "This spreadsheet takes %(pages)s pages, %(time)s on the line. Should all of them go?"
    ),
    "still_counted": _l(
        "This spreadsheet takes more than %(limit)s pages, which are still being counted. Send the form again in a "
        "moment, and say whether all of them should go."
    ),
    "entity_not_allowed": _l("You may not send from this line. Choose one of the list."),
    "tenant_suspended": _l("Your company's fax service is suspended, so nothing can be sent. Ask your administrator."),
    "colleague_missing": _l("Choose at least one colleague."),
    "colleague_not_allowed": _l("This colleague may not see this fax any more. Choose another one."),
    "forwarded_too_late": _l("The document of this fax was removed meanwhile: there is nothing to forward any more."),
    "note_too_long": _l("This note has more than %(limit)s characters. Shorten it."),
    "email_missing": _l("Enter the email address."),
    "email_invalid": _l("This is no email address. Write it like name@example.org."),
    "email_taken": _l("This address is taken. Each address belongs to one user or one Mail2Fax box only: use another."),
    "email_twice": _l("This address is in line %(line)s already. Remove one of the two."),
    "name_missing": _l("Enter the name."),
    "name_too_long": _l("A name has %(limit)s characters at most, on one line."),
    "role_unknown": _l("Choose one of the roles: user or admin."),
    "language_unknown": _l("Choose one of the languages: en or it, or leave it empty for the company's."),
    "last_administrator": _l(
        "Nobody else could administer the company then. Make somebody else an administrator first."
    ),
    "invitation_accepted": _l("The invitation has just been accepted. If nobody should sign in, close the account."),
    "invitation_in_use": _l("Faxes or mails are of this account already, so it stays. Close the account instead."),
    "csv_missing": _l("Choose the CSV file."),
    "csv_too_large": _l("This file is larger than %(limit)s kB. Split it and import the parts."),
    "csv_not_utf8": _l("This file is no text in UTF-8. Save it as “CSV UTF-8” and choose it again."),
    "csv_empty": _l("There is nobody in this file."),
    "csv_columns": _l("The first line has to name the columns, of these: %(columns)s. Address and name are needed."),
    "csv_too_many": _l("This file has more than %(limit)s rows. Split it and import the parts."),
    "csv_unreadable": _l("Line %(line)s cannot be read: a quotation mark is not closed, or stands where none may."),
    "csv_cells": _l("This row has more cells than the first line has columns."),
    "key_missing": _l("Choose the file with the public key, or paste it."),
    "key_too_large": _l("This key is larger than %(limit)s kB. Export it without the signatures of others."),
    "key_secret": _l(
        "This is a secret key. It was not kept. Nobody but its owner may have it: export the public key instead."
    ),
    "key_none": _l("There is no PGP public key in this. Export the public key and choose or paste that."),
    "key_several": _l("There are %(count)s keys in this. Enter one at a time."),
    "key_other_user": _l("This key belongs to another user already. A signature must stand for one person."),
    "key_too_many": _l("A user has %(limit)s keys at most. Remove one that is no longer used."),
    "password_missing": _l("Enter the password."),
    "password_wrong": _l("This is not your password."),
    "password_short": _l("A password has at least %(limit)s characters. Three or four words are easy to keep."),
    "password_long": _l("A password has %(limit)s characters at most."),
    "password_name": _l("Your name or address is no password: it is what others try first."),
    "password_differs": _l("The two do not match. Type the new password again in both fields."),
    "code_wrong": _l("This code is wrong or was used already. Wait for the next one and enter that."),
    "code_missing": _l("Enter the code that your telephone shows."),
    "slug_missing": _l("Enter a short name, such as alpha."),
    "slug_unreadable": _l(
        "A short name has small letters, digits and hyphens only, 63 at most, and begins with a letter or digit."
    ),
    "slug_taken": _l("There is a company with this short name already. Choose another one."),
    "serial_missing": _l("Enter the serial number. It stands in the subject of each mail."),
    "serial_unreadable": _l("A serial number has letters, digits, dots, hyphens and underscores only, 40 at most."),
    "region_unknown": _l("Choose the country. National numbers are read by its rules."),
    "zone_unknown": _l("This is no time zone. Write it like Europe/Rome."),
    "company_language_unknown": _l("Choose one of the languages."),
    "outside_prefix_unreadable": _l("The outside-line prefix has up to 4 digits. Leave it empty if there is none."),
    "count_unreadable": _l("Enter a whole number from 0 to %(limit)s."),
    "reason_too_long": _l("This has more than %(limit)s characters. Shorten it."),
    "slug_differs": _l("This is not the company's short name. Type %(slug)s to delete it."),
    "tenant_not_suspended": _l("Suspend the company first: what is being sent has to come to its end."),
    "tenant_on_the_line": _l(
        "A fax of this company is on the line at the moment. Wait until the call is over, then delete it."
    ),
    "tenant_deleting": _l("This company is being deleted."),
    "uploads_busy": _l(
        "Other documents of your company are still being checked, so this one was not taken. Choose it again "
        "in a moment."
    ),
    "no_line_to_send_from": _l(
        "You may not send from any line, so nothing was uploaded. Ask your administrator for permission to send."
    ),
    "quota_storage": _l(
        "Your company has used all of its %(limit)s GB of storage, so nothing was uploaded. Ask your "
        "administrator to keep faxes for a shorter time, or to ask the operator for more."
    ),
    "quota_storage_own": _l(
        "You have used %(limit)s GB of storage, the most for one person, so nothing was uploaded. Ask your "
        "administrator to keep faxes for a shorter time."
    ),
    "quota_drafts": _l(
        "Your company has %(limit)s MB of documents that were never sent, so nothing was uploaded. They are "
        "removed after a day. Send or wait, or ask the operator for more."
    ),
    "quota_drafts_own": _l(
        "You have %(limit)s MB of documents that were never sent, so nothing was uploaded. They are removed "
        "after a day. Send them, or wait."
    ),
    "quota_uploads": _l(
        "Your company has uploaded %(limit)s documents in 24 hours, so nothing was uploaded. Try again later,"
        " or ask the operator for more."
    ),
    "quota_uploads_own": _l(
        "You have uploaded %(limit)s documents in 24 hours, the most for one person, so nothing was uploaded."
        " Try again later."
    ),
    "quota_mails": _l(
        "Your company has had %(limit)s emails sent in 24 hours, so this one was not sent. Try again later, "
        "or ask the operator for more."
    ),
    "quota_mails_own": _l(
        "You have had %(limit)s emails sent in 24 hours, the most for one person, so this one was not sent. "
        "Try again later."
    ),
    "no_room": _l(
        "Faxroom's disk is almost full, so it takes nothing new at the moment. Nothing that was taken is lost. Try "
        "again later; the operator has been told."
    ),
    "licence_used_up": _l(
        "All licensed fax channels are in use (%(used)s of %(channels)s). Remove a fax entity, or ask the operator for "
        "more channels."
    ),
}

#: What lies on a disk (:class:`app.adapters.disks.Disks`).
PLACES = {
    "home": _l("installation"),
    "astdb": _l("results of calls"),
    "spool": _l("faxes on the line"),
    "database": _l("database"),
    "documents": _l("documents"),
}

CANCELLATIONS = {
    "cancelled": _l("It was cancelled before anything was sent."),
    "not_looked_at": _l("Nobody looked at its pages and sent it within a day, so it was given up."),
    "cancelled_on_line": _l("It was cancelled while it was being sent."),
}

SENTENCES = {
    **MAIL_SENTENCES,
    **OUTCOMES,
    **DOCUMENT_REFUSALS,
    **REFUSALS,
    **CANCELLATIONS,
    **SETTINGS_SENTENCES,
    **TEMPLATE_SENTENCES,
    **ENTITY_SENTENCES,
    **POLICY_SENTENCES,
}


def sentence(code: str, **values: Any) -> str:
    """The sentence of a code in the language of the reader; an unknown code is told as such, never hidden."""
    text = SENTENCES.get(code)
    if text is None:
        return _("It did not work (%(code)s). Please tell your administrator.", code=code)
    if code == "wrong_type":
        text = WRONG_TYPES.get(values.get("looks_like", ""), text)
    try:
        return str(text) % DocumentWords(values)
    except KeyError:
        return str(text)


def place_name(name: str) -> str:
    return str(PLACES[name])


def status_label(status: str) -> str:
    return str(STATUS_LABELS[Status(status)])


def next_step(cause: str) -> str:
    return str(NEXT_STEPS.get(cause, ""))


def moment(fax: Fax, when: datetime) -> str:
    """A time in the tenant's zone as the reader writes it; the date only if it is not today."""
    zone, locale = fax.tenant.zone, get_locale()
    if when.astimezone(zone).date() == utc_now().astimezone(zone).date():
        return format_time(when, "short", tzinfo=zone, locale=locale)
    return format_datetime(when, "short", tzinfo=zone, locale=locale)


def timestamp(fax: Fax, when: datetime) -> str:
    """Date and time in the tenant's zone, always whole: for what is kept."""
    return format_datetime(when, "medium", tzinfo=fax.tenant.zone, locale=get_locale())


def pages_text(count: int) -> str:
    return ngettext("%(num)d page", "%(num)d pages", count)


def line_time_text(seconds: int) -> str:
    """How long the line will be busy, in the coarse words of an estimate."""
    if seconds < 50:
        return _("less than a minute")
    return ngettext("about %(num)d minute", "about %(num)d minutes", max(1, round(seconds / 60)))


def story(fax: Fax) -> str:
    """Where the fax is now and what comes next, in one or two plain sentences."""
    return _STORIES[Status(fax.status)](fax)


def _accepted(fax: Fax) -> str:
    return _("It is safe here; the pages are being prepared next.")


def _preparing(fax: Fax) -> str:
    if fax.cause:  # a part that is down or busy: it stays here until that is over
        return _("Preparing takes longer than usual today. It continues automatically.")
    return _("The pages are being drawn for the line.")


def _held() -> str:
    return _("Faxroom was restored from a backup. Sending resumes as soon as its operator allows it.")


def _to_look_at(fax: Fax) -> str:
    return _(
        "%(pages)s, %(time)s on the line. Nothing was dialed yet: look at the pages, then send it. If you do not, it "
        "is given up at %(at)s.",
        at=moment(fax, fax.look_until),
        **_size(fax),
    )


def _ready(fax: Fax) -> str:
    if fax.cause == "sender_gone":
        return sentence(fax.cause)
    if fax.look_until:
        return _to_look_at(fax)
    if fax.cause == "held":
        return _held()
    if fax.cause == "disk_full":
        return sentence(fax.cause)
    if fax.cause == "ceiling":
        return f"{sentence(fax.cause)} {_('Dialing at %(at)s.', at=moment(fax, fax.due_at))}"
    if fax.cause == "daily_cap":  # it was there in time; what the line may send in that day was used up
        return _("The line has sent its faxes of the day. Dialing at %(at)s.", at=moment(fax, fax.due_at))
    return _("%(pages)s, %(time)s on the line. Dialing as soon as a line is free.", **_size(fax))


def _scheduled(fax: Fax) -> str:
    if fax.cause in ("sender_gone", "ceiling"):
        return _ready(fax)
    if fax.look_until:
        return _to_look_at(fax)
    if fax.cause == "held":
        return _held()
    if fax.cause == "disk_full":
        return sentence(fax.cause)
    return _("%(pages)s, %(time)s on the line. Dialing at %(at)s.", at=moment(fax, fax.due_at), **_size(fax))


def _size(fax: Fax) -> dict[str, str]:
    return {"pages": pages_text(fax.pages or 0), "time": line_time_text(fax.line_seconds or 0)}


def _dialing(fax: Fax) -> str:
    number = shown_number(fax.remote_number, fax.tenant)
    if fax.cancel_requested_at:
        return _("Hanging up.")
    if fax.attempts and fax.attempts[-1].ringing_at:
        return _("It is ringing at %(number)s.", number=number)
    return _("Dialing %(number)s.", number=number)


def _sending(fax: Fax) -> str:
    if fax.cancel_requested_at:
        return _("Hanging up.")
    return _("%(done)s of %(pages)s confirmed by the other end.", done=fax.pages_done, pages=pages_text(fax.pages or 0))


def _sent(fax: Fax) -> str:
    return _(
        "%(pages)s confirmed by the other end at %(at)s.",
        pages=pages_text(fax.pages or 0),
        at=moment(fax, fax.finished_at),
    )


def _retrying(fax: Fax) -> str:
    if fax.cause == "sender_gone":
        return sentence(fax.cause)
    return _("%(what)s Next try at %(at)s.", what=sentence(fax.cause or "other"), at=moment(fax, fax.due_at))


def _failed(fax: Fax) -> str:
    values = ({"kind": fax.source.type} if fax.source else {}) | (fax.cause_values or {})
    return f"{sentence(fax.cause or 'other', **values)} {next_step(fax.cause or 'other')}".strip()


def _received(fax: Fax) -> str:
    return _("%(pages)s received at %(at)s.", pages=pages_text(fax.pages or 0), at=moment(fax, fax.created_at))


def _incomplete(fax: Fax) -> str:
    if fax.cause == "unreadable":
        whole = _("Only %(pages)s can be shown; the rest arrived damaged.", pages=pages_text(fax.pages or 0))
        return whole if fax.pages else sentence("unreadable")
    if fax.pages:
        return _("The call ended early: only %(pages)s arrived.", pages=pages_text(fax.pages))
    return _("A call came in, but no page arrived.")


def removed_texts(fax: Fax) -> list[str]:
    """What of the fax its company keeps no longer."""
    texts = []
    if fax.files_removed_at:
        days = fax.files_kept_days or 0
        texts.append(
            ngettext(
                "The document was removed after %(num)d day, as your company has set it.",
                "The document was removed after %(num)d days, as your company has set it.",
                days,
            )
        )
    if fax.report_removed_at:
        days = fax.report_kept_days or 0
        texts.append(
            ngettext(
                "The report was removed after %(num)d day, as your company has set it.",
                "The report was removed after %(num)d days, as your company has set it.",
                days,
            )
        )
    return texts


def incomplete_note(fax: Fax) -> str:
    """What the receiver of a fax that is not whole does about it."""
    return " ".join((_incomplete(fax), _("Ask the sender to send it again.")))


def _receiving(fax: Fax) -> str:
    return _("A fax is coming in.")


_STORIES = {
    Status.ACCEPTED: _accepted,
    Status.PREPARING: _preparing,
    Status.READY: _ready,
    Status.SCHEDULED: _scheduled,
    Status.DIALING: _dialing,
    Status.SENDING: _sending,
    Status.SENT: _sent,
    Status.RETRYING: _retrying,
    Status.FAILED: _failed,
    Status.CANCELLED: _failed,
    Status.UNKNOWN: _failed,
    Status.RECEIVING: _receiving,
    Status.RECEIVED: _received,
    Status.INCOMPLETE: _incomplete,
}
