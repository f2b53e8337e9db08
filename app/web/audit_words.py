"""The audit log in words: rows keep codes, so that each reader has them in their own language."""

import json
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

#: The first word of an action: what it was done to.
THINGS = {
    "archive_order": _l("Archives"),
    "archive_place": _l("Archive location"),
    "audit": _l("Audit log"),
    "box": _l("Mail2Fax box"),
    "entity": _l("Fax line"),
    "fax": _l("Fax"),
    "log": _l("Fax log"),
    "mail2fax": _l("Mail2Fax"),
    "numbering": _l("Numbering plan"),
    "number": _l("Numbers"),
    "policy": _l("Dialling policy"),
    "profile": _l("Profile"),
    "retention": _l("Retention"),
    "rules": _l("Dialling rules"),
    "settings": _l("Fax settings"),
    "template": _l("Template"),
    "tenant": _l("Company"),
    "user": _l("User"),
    "users": _l("Users"),
}
#: The rest of it: what was done.
ACTS = {
    "accepted": _l("invitation accepted"),
    "added": _l("added"),
    "address_asked": _l("new address asked to confirm"),
    "address_changed": _l("new address confirmed"),
    "address_kept": _l("new address withdrawn"),
    "alerts_changed": _l("email warnings changed"),
    "applied": _l("applied"),
    "approved": _l("approved"),
    "cancelled": _l("cancelled"),
    "changed": _l("changed"),
    "closed": _l("closed"),
    "deleted": _l("deleted"),
    "deletion_begun": _l("deletion started"),
    "disabled": _l("account closed"),
    "discarded": _l("discarded"),
    "downloaded": _l("downloaded"),
    "enabled": _l("account reopened"),
    "given": _l("given to a company"),
    "exported": _l("everything exported"),
    "invited": _l("invited"),
    "invitation_withdrawn": _l("invitation withdrawn"),
    "invited_again": _l("invited again"),
    "key_added": _l("PGP key entered"),
    "key_removed": _l("PGP key removed"),
    "key_renewed": _l("new key for documents"),
    "limits_changed": _l("simultaneous calls changed"),
    "export_key_shown": _l("key of exports shown"),
    "moved": _l("moved"),
    "operator_let_in": _l("operator let in"),
    "operator_shut_out": _l("operator shut out"),
    "opened": _l("opened"),
    "password_changed": _l("password changed"),
    "password_reset": _l("new password by email"),
    "password_reset_sent": _l("password link sent"),
    "passkey_added": _l("passkey added"),
    "passkey_removed": _l("passkey removed"),
    "passkey_renamed": _l("passkey renamed"),
    "recovery_codes_renewed": _l("new recovery codes"),
    "released": _l("released"),
    "removed": _l("removed"),
    "reopened": _l("reopened"),
    "report_downloaded": _l("report downloaded"),
    "retention_changed": _l("retention changed"),
    "second_factor_removed": _l("second factor removed"),
    "second_factor_required": _l("second factor required for everyone"),
    "second_factor_reset": _l("second factor removed by an administrator"),
    "second_factor_set_up": _l("second factor set up"),
    "seen": _l("looked at"),
    "sign_in_failed": _l("sign-in refused"),
    "signed_in": _l("signed in"),
    "signed_off": _l("signed out"),
    "signed_out": _l("signed out everywhere"),
    "step_up_failed": _l("confirmation refused"),
    "suspended": _l("suspended"),
    "taken_back": _l("taken back"),
    "tested": _l("tested"),
    "viewed": _l("viewed by the operator"),
    "zip_downloaded": _l("chosen faxes downloaded"),
}
#: What an act has before and after.
FIELDS = {
    "access_key": _l("access key"),
    "alert_failed_of": _l("alert: number of recent faxes"),
    "alert_failed_percent": _l("alert: percentage failed"),
    "alert_stuck_minutes": _l("alert: minutes waiting"),
    "allowed_prefixes": _l("allowed prefixes"),
    "authentication": _l("sender authentication"),
    "authserv_id": _l("name in Authentication-Results"),
    "box": _l("Mail2Fax box"),
    "browser": _l("browser"),
    "bucket": _l("bucket"),
    "calls_a_day": _l("calls per day"),
    "channels": _l("channels"),
    "copies_not_made": _l("copies not made"),
    "countries": _l("countries that may be called"),
    "daily_cap": _l("faxes per day"),
    "direction": _l("direction"),
    "ecm": _l("error correction (ECM)"),
    "email": _l("email address"),
    "enabled": _l("active"),
    "encrypted": _l("encrypted"),
    "encryption_required": _l("encryption required"),
    "endpoint": _l("server"),
    "entity": _l("fax line"),
    "extension": _l("extension"),
    "fax_channels": _l("fax channels"),
    "faxes": _l("faxes"),
    "fingerprint": _l("fingerprint"),
    "folder": _l("folder"),
    "forbidden_prefixes": _l("forbidden prefixes"),
    "from": _l("started with fax no."),
    "header": _l("header"),
    "imap": _l("mail server"),
    "inbound": _l("simultaneous incoming calls"),
    "keeps_received": _l("copies of received files"),
    "keeps_reports": _l("copies of reports"),
    "keeps_sent": _l("copies of sent files"),
    "kind": _l("kind"),
    "language": _l("language"),
    "limit_inbound": _l("simultaneous incoming calls"),
    "limit_outbound": _l("simultaneous outgoing calls"),
    "limit_total": _l("simultaneous calls in total"),
    "mail_proof_required": _l("sender confirmation by the mail server required"),
    "max_attempts": _l("attempts"),
    "max_rate": _l("maximum rate"),
    "max_seconds": _l("maximum call length in seconds"),
    "minutes_a_day": _l("minutes per day"),
    "name": _l("name"),
    "new_email": _l("new address"),
    "number": _l("number"),
    "numbers": _l("numbers"),
    "order": _l("order"),
    "outbound": _l("simultaneous outgoing calls"),
    "outside_prefix": _l("outside-line prefix"),
    "page_size": _l("page size"),
    "passkey": _l("passkey"),
    "password": _l("password"),
    "pin": _l("PIN"),
    "poll_seconds": _l("seconds between checks"),
    "premium_allowed": _l("premium numbers allowed"),
    "private_key": _l("private PGP key"),
    "q": _l("text"),
    "reason": _l("reason"),
    "receive": _l("may receive"),
    "received": _l("received files kept for (days)"),
    "region": _l("country"),
    "reports": _l("reports kept for (days)"),
    "resolution": _l("resolution"),
    "rest_days": _l("days of rest"),
    "retry_delays": _l("retry delays"),
    "ring_seconds": _l("ring time in seconds"),
    "role": _l("role"),
    "satellite_allowed": _l("satellite networks allowed"),
    "sealed": _l("sealed"),
    "second_factor_required": _l("second factor required for everyone"),
    "secret_key": _l("secret key"),
    "send": _l("may send"),
    "sent": _l("sent files kept for (days)"),
    "serial": _l("serial number"),
    "shared_with_voice": _l("shared with voice"),
    "since": _l("from day"),
    "slug": _l("short name"),
    "station_id": _l("fax ID"),
    "status": _l("status"),
    "template": _l("template"),
    "timezone": _l("time zone"),
    "total": _l("simultaneous calls in total"),
    "trunk_region": _l("country of the trunk"),
    "until": _l("to day"),
    "username": _l("user name"),
    "way": _l("by"),
    "voice_destination": _l("voice destination"),
}
#: Values that are words of ours, by field. A secret is never kept: only that it was changed.
CHANGED = {"changed": _l("a new one"), "removed": _l("removed")}
DAYS = {"for ever": _l("for ever")}
VALUES = {
    **dict.fromkeys(("password", "pin", "private_key", "secret_key"), CHANGED),
    **dict.fromkeys(("received", "reports", "sent"), DAYS),
    "authentication": {"none": _l("sender's address"), "pin": _l("PIN"), "pgp": _l("PGP signature")},
    "direction": {"received": _l("received"), "sent": _l("sent")},
    "kind": {"folder": _l("folder")},
    "reason": {
        "password": _l("wrong password"),
        "code": _l("wrong code"),
        "passkey": _l("passkey not accepted"),
        "closed": _l("the account is closed"),
        "unknown": _l("no such account"),
    },
    "role": {"admin": _l("administrator"), "user": _l("user")},
    "way": {
        "password": _l("password"),
        "code": _l("password and code"),
        "passkey": _l("passkey"),
        "password_passkey": _l("password and passkey"),
        "link": _l("link in an email"),
    },
}


def action_text(action: str) -> str:
    """As people read it; a word that is not known here stays as it is."""
    thing, _dot, act = action.partition(".")
    return f"{THINGS.get(thing, thing)}: {ACTS.get(act, act.replace('_', ' '))}"


def field_text(name: str) -> str:
    return str(FIELDS.get(name, name.replace("_", " ")))


def value_text(value: Any, field: str = "") -> str:
    if value is None or value in ("", [], {}):
        return _("empty")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list) and not any(isinstance(part, (dict, list)) for part in value):
        return ", ".join(str(part) for part in value)
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(VALUES.get(field, {}).get(value, value))
