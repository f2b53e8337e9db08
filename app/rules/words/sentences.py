"""What a person reads: every code's sentence, every status's label, the story of a fax. All through Flask-Babel."""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from babel.dates import format_datetime, format_time
from babel.lists import format_list
from flask_babel import force_locale, get_locale, lazy_gettext, ngettext
from flask_babel import gettext as _

from app.models import Direction, Fax, Status
from app.rules.ground.call_ends import FULL, PASSED_ON, TRUNK_DOWN, TRUNK_SIDE, UNREAD
from app.rules.ground.days import day_of
from app.rules.numbers.callers import is_verified
from app.rules.numbers.numbers import shown_number
from app.rules.words.document_sentences import DOCUMENT_REFUSALS, WRONG_TYPES, DocumentWords
from app.rules.words.door_sentences import DOOR_SENTENCES
from app.rules.words.entity_sentences import ENTITY_SENTENCES
from app.rules.words.mail_sentences import MAIL_SENTENCES
from app.rules.words.policy_sentences import POLICY_SENTENCES
from app.rules.words.settings_sentences import SETTINGS_SENTENCES
from app.rules.words.template_sentences import TEMPLATE_SENTENCES
from tenants.db import utc_now
from tenants.languages import LOCALES, USUAL

_l = lazy_gettext


def in_language(language: str) -> AbstractContextManager[None]:
    """Write in a reader's language instead of the signed-in person's: for mails and reports."""
    return force_locale(LOCALES.get(language, LOCALES[USUAL]))


STATUS_LABELS = {
    Status.ACCEPTED: _l("Accepted"),
    Status.PREPARING: _l("Preparing"),
    Status.READY: _l("Waiting for a line"),
    Status.SCHEDULED: _l("Scheduled"),
    Status.DIALING: _l("Dialling"),
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

#: Why a fax waits that goes on by itself; its sentence says so.
WAITS_FOR_OUR_SIDE = ("disk_full", UNREAD, *TRUNK_SIDE)

#: How an attempt ended. Also the first half of a failed fax's story.
OUTCOMES = {
    "success": _l("The other machine confirmed all pages."),
    "busy": _l("The line was busy."),
    "no_answer": _l("Nobody answered."),
    "congestion": _l("The network could not put the call through."),
    "far_end_no_fax": _l("Someone or something answered, but it was not a fax machine."),
    "silent": _l("The other side answered but sent nothing."),
    "stalled": _l("The other side stopped in the middle of the call, so Faxroom hung up."),
    "capped": _l("Faxroom ended the call because it reached this line's maximum call length."),
    "capped_last_page": _l(
        "Faxroom ended the call because it reached this line's maximum call length before the last page was confirmed."
    ),
    "other": _l("The call failed for a reason the network did not give."),
    "protocol_error": _l("The two fax machines could not agree on how to send."),
    "dropped": _l("The call was dropped before all pages were sent."),
    "incomplete": _l("The other machine confirmed fewer pages than the document has."),
    "unallocated": _l("The number does not exist."),
    "rejected": _l("The other side refused the call."),
    "blocked": _l("The call was blocked as unwanted before it arrived."),
    "forbidden": _l("The network refused the call without saying why."),
    "media_refused": _l("The other side takes no fax calls, either as T.38 or as audio."),
    "registration_lost": _l("The provider does not accept the registration. No calls come in until it does."),
    "trunk_restart": _l(
        "Asterisk was started without a trunk outside this machine and cannot reach this one. Restart bin/up."
    ),
    "trunk_no_answer": _l("The provider no longer answers Faxroom's checks (OPTIONS)."),
    "trunk_down": _l("The line to the telephone provider is down. The fax goes out as soon as it is back."),
    "trunk_refused": _l(
        "The telephone provider takes no calls from this system at the moment. The fax goes out as soon as it does."
    ),
    "trunk_full": _l("All channels to the telephone provider were in use. The fax goes out as soon as one is free."),
    "trunk_unread": _l("The settings of the trunk were changed. The fax goes out as soon as Asterisk has read them."),
    "next_trunk": _l("One telephone provider did not take the call. Faxroom is trying another."),
    "redirected": _l("The other side forwards its calls to another number. Faxroom does not follow."),
    "followed": _l("The other side forwards its calls to another number. Faxroom dials that one."),
    "file_refused": _l("The line could not read the prepared pages."),
    "called_off": _l("The fax was cancelled before the network answered."),
    "line_down": _l("The telephone system does not respond."),
    "disk_full": _l("Faxroom's own disk is full; nothing was sent. It continues automatically when there is space."),
    "unknown": _l("The telephone system stopped during the call."),
    "restored": _l("Faxroom was restored from a backup made before this fax was finished."),
    "all_confirmed": _l("All pages were confirmed, but the call broke off before it ended properly."),
    "caller_silent": _l("Someone called but sent nothing."),
    "caller_polled": _l("Someone called to fetch a fax (polling). There is none to fetch."),
    "caller_no_fax": _l("Someone called, but it was not a fax machine."),
    "not_written": _l("The telephone system could not store the pages."),
    "unreadable": _l("The pages arrived damaged and cannot be shown."),
}

#: What a person can do after a failure, by the same codes.
NEXT_STEPS = {
    "busy": _l("Try again later, or ask the recipient for another number."),
    "no_answer": _l("Check that the recipient's fax machine is switched on, then send again."),
    "congestion": _l("Try again in an hour."),
    "far_end_no_fax": _l("Check with the recipient that this is a fax number."),
    "silent": _l("Check with the recipient that this is a fax number and that the machine is ready."),
    "stalled": _l("Send it again. The report says which pages were confirmed."),
    "capped": _l("Ask your administrator to allow longer calls on this line, or split the document."),
    "capped_last_page": _l(
        "It may have arrived completely. Ask the recipient before you send it again. If it is missing, ask your "
        "administrator to allow longer calls on this line."
    ),
    "other": _l("Send it again. If it fails again, ask your administrator to check the line."),
    "protocol_error": _l("Send it again. If it fails again, ask your administrator to lower the speed for this line."),
    "dropped": _l("Send it again. The report says which pages were confirmed."),
    "incomplete": _l("Ask the recipient which pages arrived before you send it again."),
    "unallocated": _l("Check the number and send to the right one."),
    "rejected": _l("Ask the recipient whether calls from your number are blocked."),
    "blocked": _l("Ask the recipient to allow calls from your number, or send from another line."),
    "forbidden": _l("Check the number. If it is right, ask your administrator whether your line may call it."),
    "media_refused": _l("Ask the recipient for a number that takes faxes."),
    "redirected": _l("Ask the recipient for the number that takes faxes, and send it there."),
    "many_sheet_pages": _l(
        "To fax all of them, send it again from its page. For fewer, set a print area in the spreadsheet and send that."
    ),
    "file_refused": _l("Send it again. If it fails again, tell your administrator."),
    "all_confirmed": _l("It has most likely arrived completely. Ask the recipient before you send it again."),
    "unknown": _l("It may have been sent. Ask the recipient whether it arrived before you send it again."),
    "restored": _l("It may have been sent. Ask the recipient whether it arrived before you send it again."),
}

#: Why a request is not accepted, each with what to do about it.
REFUSALS = {
    "number_missing": _l("Enter the fax number to send to."),
    "number_unreadable": _l(
        "A fax number contains only digits, with a + in front if needed. Remove the other characters."
    ),
    "number_too_short": _l("This number is too short. Enter all of its digits."),
    "number_several": _l("This looks like several numbers. Enter one number: each fax goes to one."),
    "number_ambiguous": _l(
        "This could be %(one)s or %(other)s. Write the number you mean with a plus sign and its country code."
    ),
    "number_too_long": _l("This number is too long. Check the digits."),
    "number_emergency": _l("This is an emergency number. Faxroom never dials those."),
    "number_invalid": _l(
        "This number does not exist. Check the digits. For a number abroad, start with + and the country code."
    ),
    "time_unreadable": _l("Enter a date and time, or leave it empty to send now."),
    "time_past": _l(
        "This time is in the past (it is now %(now)s). Choose a later time, or leave it empty to send now."
    ),
    "time_too_far": _l("A fax can wait for up to a year. Choose an earlier time."),
    "time_skipped": _l("%(typed)s does not exist on that day: the clocks go forward. Choose %(next)s or another time."),
    "entity_missing": _l("Choose the origin line."),
    "looked_otherwise": _l(
        "This line sends the pages differently from what you saw. Check them again, then send the fax."
    ),
    "many_sheet_pages_asked": _l("This spreadsheet has %(pages)s pages, %(time)s on the line. Send all of them?"),
    "still_counted": _l(
        "This spreadsheet has more than %(limit)s pages, which are still being counted. Submit the form again in a "
        "moment and say whether to send all of them."
    ),
    "entity_not_allowed": _l("You do not have permission to send from this line. Choose one from the list."),
    "tenant_suspended": _l("Your company's fax service is suspended, so nothing can be sent. Ask your administrator."),
    "colleague_missing": _l("Choose at least one colleague."),
    "colleague_not_allowed": _l("This colleague may no longer see this fax. Choose someone else."),
    "forwarded_too_late": _l("The document of this fax was deleted in the meantime: there is nothing left to forward."),
    "note_too_long": _l("This note is longer than %(limit)s characters. Shorten it."),
    "email_missing": _l("Enter an email address."),
    "email_invalid": _l("This is not an email address. Write it like name@example.org."),
    "email_answered_elsewhere": _l(
        "This address now has an account at another company, and an address can have only one. Ask your "
        "administrator to invite you at another address."
    ),
    "email_answered_elsewhere_changed": _l(
        "This address now has an account, and an address can have only one. Ask your administrator to enter "
        "another one."
    ),
    "email_taken": _l(
        "This address is already in use. Each address belongs to one user or one Mail2Fax box: choose another one."
    ),
    "email_twice": _l("This address is already in line %(line)s. Remove one of the two."),
    "name_missing": _l("Enter a name."),
    "name_too_long": _l("A name has up to %(limit)s characters, on one line."),
    "role_unknown": _l("Choose a role: user or admin."),
    "language_unknown": _l("Choose a language: en or it. Leave it empty to use the company's."),
    "last_administrator": _l("The company would have no administrator left. Make someone else an administrator first."),
    "invitation_accepted": _l(
        "The invitation has just been accepted. To stop this person signing in, close the account."
    ),
    "invitation_in_use": _l("This account already has faxes or messages, so it cannot be removed. Close it instead."),
    "csv_missing": _l("Choose a CSV file."),
    "csv_too_large": _l("This file is larger than %(limit)s kB. Split it and import the parts."),
    "csv_not_utf8": _l("This file is not UTF-8 text. Save it as “CSV UTF-8” and choose it again."),
    "csv_empty": _l("This file contains no users."),
    "csv_columns": _l("The first line must name the columns, from these: %(columns)s. Email and name are required."),
    "csv_too_many": _l("This file has more than %(limit)s rows. Split it and import the parts."),
    "csv_unreadable": _l("Line %(line)s cannot be read: a quotation mark is not closed, or is in the wrong place."),
    "csv_cells": _l("This row has more cells than there are columns."),
    "key_missing": _l("Choose the file with the public key, or paste the key."),
    "key_too_large": _l("This key is larger than %(limit)s kB. Export it without other people's signatures."),
    "key_secret": _l(
        "This is a secret key. It was not saved. Only its owner may have it: export the public key instead."
    ),
    "key_none": _l("This does not contain a PGP public key. Export the public key, then choose or paste it."),
    "key_version": _l(
        "This is a key of version %(version)s, which Faxroom cannot read. Create one that works with GnuPG 2.2."
    ),
    "key_several": _l("This contains %(count)s keys. Add one at a time."),
    "key_other_user": _l("This key already belongs to another user. A signature must identify one person."),
    "key_too_many": _l("A user can have up to %(limit)s keys. Remove one that is no longer used."),
    "password_missing": _l("Enter your password."),
    "password_wrong": _l("This is not your password."),
    "password_short": _l("A password has at least %(limit)s characters. Three or four words are easy to keep."),
    "password_long": _l("A password has %(limit)s characters at most."),
    "password_known": _l("This password is too easy to guess. Use three or four unrelated words."),
    "password_name": _l("Do not use your name or email address as a password: they are the first thing others try."),
    "password_differs": _l("The passwords do not match. Type the new password again in both fields."),
    "code_wrong": _l("This code is wrong or was already used. Wait for the next one and enter that."),
    "code_missing": _l("Enter the code shown on your phone."),
    "recovery_code_missing": _l("Enter a recovery code."),
    "recovery_code_wrong": _l("This code is wrong or was already used. Enter another recovery code."),
    "passkey_wrong": _l("This passkey was not accepted. Try again, or use another way."),
    "passkey_late": _l("Your answer came too late or from another page. Try again."),
    "passkey_taken": _l("This passkey was already added. Choose another device or security key."),
    "passkey_unverified": _l(
        "This passkey did not ask for a PIN, fingerprint or face. Enter your password first, then use it."
    ),
    "passkeys_too_many": _l("You have %(limit)s passkeys, which is the most allowed. Remove one first."),
    "slug_missing": _l("Enter a short name, such as alpha."),
    "slug_unreadable": _l(
        "A short name contains lower-case letters, digits and hyphens, up to 63, and starts with a letter or digit."
    ),
    "slug_taken": _l("There is already a company with this short name. Choose another one."),
    "serial_missing": _l("Enter a serial number. It appears in the subject of every email."),
    "serial_unreadable": _l("A serial number contains letters, digits, dots, hyphens and underscores, up to 40."),
    "region_unknown": _l("Choose a country. It determines how national numbers are read."),
    "zone_unknown": _l("This is not a time zone. Write it like Europe/Rome."),
    "company_language_unknown": _l("Choose a language."),
    "outside_prefix_unreadable": _l("The outside-line prefix has up to 4 digits. Leave it empty if there is none."),
    "count_unreadable": _l("Enter a whole number from 0 to %(limit)s."),
    "reason_too_long": _l("This is longer than %(limit)s characters. Shorten it."),
    "slug_differs": _l("This is not the company's short name. Type %(slug)s to delete it."),
    "tenant_not_suspended": _l("Suspend the company first, so that faxes being sent can finish."),
    "tenant_on_the_line": _l("This company has a fax on the line. Wait until the call is over, then delete it."),
    "tenant_deleting": _l("This company is being deleted."),
    "uploads_busy": _l(
        "Other documents of your company are still being checked, so this one was not accepted. Choose it again in a "
        "moment."
    ),
    "no_line_to_send_from": _l(
        "You may not send from any line, so nothing was uploaded. Ask your administrator for permission to send."
    ),
    "quota_storage": _l(
        "Your company has used all of its %(limit)s GB of storage, so nothing was uploaded. Ask your "
        "administrator to keep faxes for a shorter time, or to ask the operator for more."
    ),
    "quota_storage_own": _l(
        "You have used your %(limit)s GB of storage, so nothing was uploaded. Ask your administrator to keep faxes "
        "for a shorter time."
    ),
    "quota_drafts": _l(
        "Your company has %(limit)s MB of documents that were never sent, so nothing was uploaded. They are "
        "removed after a day. Send them, wait, or ask the operator for more."
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
        "Your company has sent %(limit)s emails in 24 hours, so this one was not sent. Try again later, or ask the "
        "operator for more."
    ),
    "quota_mails_own": _l(
        "You have sent %(limit)s emails in 24 hours, the most for one person, so this one was not sent. Try again "
        "later."
    ),
    "no_room": _l(
        "Faxroom's disk is almost full, so nothing new is accepted at the moment. Nothing that was accepted is lost. "
        "Try again later; the operator has been told."
    ),
    "licence_used_up": _l(
        "All licensed fax channels are in use (%(used)s of %(channels)s). Remove a fax line, or ask your operator "
        "for more channels."
    ),
}

#: What lies on a disk (:class:`app.adapters.storage.disks.Disks`).
PLACES = {
    "home": _l("installation"),
    "astdb": _l("results of calls"),
    "spool": _l("faxes on the line"),
    "database": _l("database"),
    "documents": _l("documents"),
}

CANCELLATIONS = {
    "cancelled": _l("Cancelled before anything was sent."),
    "not_looked_at": _l("Nobody checked its pages and sent it within a day, so it was cancelled."),
    "cancelled_on_line": _l("Cancelled while it was being sent."),
}

SENTENCES = {
    **DOOR_SENTENCES,
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
    """The sentence of a code in the language of the reader; an unknown code is told as such, never hidden. Of a
    document that is one of several, its name stands first."""
    text = SENTENCES.get(code)
    if text is None:
        return _("Something went wrong (%(code)s). Please tell your administrator.", code=code)
    if code == "wrong_type":
        text = WRONG_TYPES.get(values.get("looks_like", ""), text)
    named = f"{values['name']}: " if code in DOCUMENT_REFUSALS and values.get("name") else ""
    try:
        return named + str(text) % DocumentWords(values)
    except KeyError:
        return named + str(text)


def place_name(name: str) -> str:
    return str(PLACES[name])


def status_label(status: str) -> str:
    return str(STATUS_LABELS[Status(status)])


def next_step(cause: str) -> str:
    return str(NEXT_STEPS.get(cause, ""))


def moment(fax: Fax, when: datetime | None) -> str:
    """A time in the tenant's zone as the reader writes it; the date only if it is not today. A dash where none is."""
    if when is None:
        return "–"
    zone, locale = fax.tenant.zone, get_locale()
    if day_of(when, zone) == day_of(utc_now(), zone):
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


def story(fax: Fax, place: int | None = None) -> str:
    """Where the fax is now and what comes next, in one or two plain sentences. ``place`` is which place it has among
    those of its company that wait for the same number. Without one nothing is said of the number: that somebody else
    calls it is nobody's to know."""
    if fax.waits_for_number:
        return _waiting_for_number(fax, place)
    return f"{_STORIES[Status(fax.status)](fax)} {poor_text(fax)}".rstrip()


def poor_text(fax: Fax) -> str:
    """Of pages that the other machine called poor, confirmed or refused; else empty."""
    if Status(fax.status) not in (Status.SENT, Status.FAILED, Status.UNKNOWN, Status.CANCELLED):
        return ""
    refused = {attempt.first_page - 1 + page for attempt in fax.attempts for page in attempt.refused_pages or ()}
    poor = [attempt.first_page - 1 + page for attempt in fax.attempts for page in attempt.poor_pages or ()]
    return f"{_refused_text(sorted(refused))} {_confirmed_text(poor)}".strip()


def _refused_text(pages: list[int]) -> str:
    if not pages:
        return ""
    return ngettext(
        "The receiving machine reported poor quality for page %(pages)s and asked for it again. "
        "The recipient may also have the poor copy.",
        "The receiving machine reported poor quality for pages %(pages)s and asked for them again. "
        "The recipient may also have the poor copies.",
        len(pages),
        pages=format_list([str(page) for page in pages], locale=get_locale()),
    )


def _confirmed_text(pages: list[int]) -> str:
    if not pages:
        return ""
    return ngettext(
        "Page %(pages)s arrived, but the receiving machine reported poor quality. Ask whether it can be read.",
        "Pages %(pages)s arrived, but the receiving machine reported poor quality. Ask whether they can be read.",
        len(pages),
        pages=format_list([str(page) for page in pages], locale=get_locale()),
    )


def _waiting_for_number(fax: Fax, place: int | None) -> str:
    if place is None:
        return _waiting(fax)
    number = shown_number(fax.waits_for_number, fax.tenant)
    return _("Waiting for the line to %(number)s, %(place)s.", number=number, place=_ordinal(place))


def _ordinal(place: int) -> str:
    """1st, 2nd, 3rd, 4th; 11th, 12th, 13th."""
    last = 0 if 10 < place % 100 < 14 else place % 10
    if last == 1:
        return _("%(place)sst", place=place)
    if last == 2:
        return _("%(place)snd", place=place)
    if last == 3:
        return _("%(place)srd", place=place)
    return _("%(place)sth", place=place)


def _accepted(fax: Fax) -> str:
    return _("Stored safely. The pages are prepared next.")


def _preparing(fax: Fax) -> str:
    if fax.cause:  # a part that is down or busy: it stays here until that is over
        return _("Preparation is taking longer than usual. It continues automatically.")
    return _("The pages are being prepared for the line.")


def _held() -> str:
    return _("Faxroom was restored from a backup. Sending resumes as soon as its operator allows it.")


def _to_look_at(fax: Fax) -> str:
    return _(
        "%(pages)s, %(time)s on the line. Nothing has been dialled yet: check the pages, then send the fax. "
        "Otherwise it is cancelled at %(at)s.",
        at=moment(fax, fax.look_until),
        **_size(fax),
    )


def _ready(fax: Fax) -> str:
    if fax.cause == "sender_gone":
        return sentence(fax.cause)
    if why := _held_up(fax):
        return why
    if fax.cause == "ceiling":
        at = _("Dialling at %(at)s.", at=moment(fax, fax.due_at))
        return f"{sentence(fax.cause)} {at}"
    if fax.cause == "daily_cap":  # it was there in time; what the line may send in that day was used up
        return _("This line has reached its daily limit. Dialling at %(at)s.", at=moment(fax, fax.due_at))
    return _waiting(fax)


def _held_up(fax: Fax) -> str | None:
    """Why it does not go, whether it is due now or later."""
    if fax.look_until:
        return _to_look_at(fax)
    if fax.cause == "held":
        return _held()
    if fax.cause in TRUNK_SIDE:
        return _waits_for_trunk(fax)
    return sentence(fax.cause) if fax.cause in WAITS_FOR_OUR_SIDE else None


def _waits_for_trunk(fax: Fax) -> str:
    began = (fax.cause_values or {}).get("since")
    if not began:
        return sentence(fax.cause or "")
    since = moment(fax, datetime.fromisoformat(began))
    if fax.cause == TRUNK_DOWN:
        return _(
            "The line to the telephone provider has been down since %(since)s. The fax goes out as soon as it is back.",
            since=since,
        )
    return _(
        "The telephone provider has taken no calls from this system since %(since)s. The fax goes out as soon as it "
        "does.",
        since=since,
    )


def _waiting(fax: Fax) -> str:
    return _("%(pages)s, %(time)s on the line. Dialling as soon as a line is free.", **_size(fax))


def _scheduled(fax: Fax) -> str:
    if fax.cause in ("sender_gone", "ceiling"):
        return _ready(fax)
    if why := _held_up(fax):
        return why
    return _("%(pages)s, %(time)s on the line. Dialling at %(at)s.", at=moment(fax, fax.due_at), **_size(fax))


def other_end(fax: Fax) -> str:
    """The number at the other end as a person reads it. Of a fax that came in it may be any word of a stranger."""
    if not fax.remote_number:
        return _("withheld number")
    number = shown_number(fax.remote_number, fax.tenant)
    if fax.direction == Direction.RECEIVED and not is_verified(fax.remote_number, from_outside=bool(fax.from_outside)):
        return _("%(number)s (not verified)", number=number)
    return number


def _size(fax: Fax) -> dict[str, str]:
    return {"pages": pages_text(fax.pages or 0), "time": line_time_text(fax.line_seconds or 0)}


def _dialing(fax: Fax) -> str:
    number = shown_number(fax.remote_number, fax.tenant)
    if fax.cancel_requested_at:
        return _("Hanging up.")
    if fax.attempts and fax.attempts[-1].ringing_at:
        return _("Ringing at %(number)s.", number=number)
    return _("Dialling %(number)s.", number=number)


def _sending(fax: Fax) -> str:
    if fax.cancel_requested_at:
        return _("Hanging up.")
    return _(
        "%(done)s of %(pages)s confirmed by the other machine.", done=fax.pages_done, pages=pages_text(fax.pages or 0)
    )


def _sent(fax: Fax) -> str:
    return _(
        "%(pages)s confirmed by the other machine at %(at)s.",
        pages=pages_text(fax.pages or 0),
        at=moment(fax, fax.finished_at),
    )


def _retrying(fax: Fax) -> str:
    if fax.cause in TRUNK_SIDE:
        return _waits_for_trunk(fax)
    if fax.cause == "sender_gone" or fax.cause in (FULL, PASSED_ON, UNREAD):
        return sentence(fax.cause)
    return _("%(what)s Next try at %(at)s.", what=sentence(fax.cause or "other"), at=moment(fax, fax.due_at))


def _failed(fax: Fax) -> str:
    values = ({"kind": fax.source.type} if fax.source else {}) | (fax.cause_values or {})
    return f"{sentence(fax.cause or 'other', **values)} {next_step(fax.cause or 'other')}".strip()


def _received(fax: Fax) -> str:
    came = _("%(pages)s received at %(at)s.", pages=pages_text(fax.pages or 0), at=moment(fax, fax.created_at))
    return f"{came} {damage_text(fax)}".rstrip()


def damage_text(fax: Fax) -> str:
    """Of a received fax with lines that did not come as they were sent; else empty."""
    lines = sum(attempt.damaged_lines or 0 for attempt in fax.attempts)
    if not lines:
        return ""
    return ngettext(
        "%(num)d line arrived damaged. If you cannot read something, ask the sender to send it again.",
        "%(num)d lines arrived damaged. If you cannot read something, ask the sender to send it again.",
        lines,
    )


def _incomplete(fax: Fax) -> str:
    return f"{_missing(fax)} {damage_text(fax)}".rstrip()


def _missing(fax: Fax) -> str:
    if fax.cause == "unreadable":
        whole = _("Only %(pages)s can be shown. The rest arrived damaged.", pages=pages_text(fax.pages or 0))
        return whole if fax.pages else sentence("unreadable")
    if fax.pages:
        return _("The call ended early: only %(pages)s arrived.", pages=pages_text(fax.pages))
    return _("There was a call, but no page arrived.")


def removed_texts(fax: Fax) -> list[str]:
    """What of the fax its company keeps no longer."""
    texts = []
    if fax.files_removed_at:
        days = fax.files_kept_days or 0
        texts.append(
            ngettext(
                "The document was deleted after %(num)d day, as set by your company.",
                "The document was deleted after %(num)d days, as set by your company.",
                days,
            )
        )
    if fax.report_removed_at:
        days = fax.report_kept_days or 0
        texts.append(
            ngettext(
                "The report was deleted after %(num)d day, as set by your company.",
                "The report was deleted after %(num)d days, as set by your company.",
                days,
            )
        )
    return texts


def incomplete_note(fax: Fax) -> str:
    """What the receiver of a fax that is not whole does about it."""
    return " ".join((_missing(fax), _("Ask the sender to send it again.")))


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
