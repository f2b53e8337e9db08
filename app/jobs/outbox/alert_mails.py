"""What the mails about faxes that fail, or that are stuck, say."""

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from flask import current_app
from flask_babel import gettext as _

from app.models import AlertIncident, AlertKind, Notice, NoticeKind
from app.rules.words.sentences import OUTCOMES, in_language, place_name, sentence
from app.services.outbox.rendering import render_for
from tenants.db import db
from tenants.models import Tenant


def alert_mail(notice: Notice) -> tuple[str, str] | None:
    """Subject and text; None if the incident is over before its alert went out, or was never told of."""
    incident = db.session.get(AlertIncident, notice.incident_id) if notice.incident_id else None
    user = notice.user
    if incident is None or user is None or not user.is_active:
        return None
    if incident.ended_at and (notice.kind == NoticeKind.ALERT or not _heard_of_it(notice, incident.ended_at)):
        return None
    tenant = db.session.get_one(Tenant, incident.tenant_id)
    with in_language(notice.language):
        subject = _subject(notice, incident, tenant)
        template = f"outbox/email/{notice.kind}.txt"
        values = {"user": user, "tenant": tenant, "incident": incident, "facts": incident.facts or {}}
        values |= {"causes": _causes(incident), "oldest": _oldest(incident), "link": _link(incident, user)}
        return subject, render_for(notice.language, template, AlertKind=AlertKind, **values)


def _heard_of_it(notice: Notice, ended_at: datetime) -> bool:
    """Whether the alert went out before it was over: only then its end is news."""
    alert = sa.select(Notice.sent_at).where(
        Notice.tenant_id == notice.tenant_id,
        Notice.kind == NoticeKind.ALERT,
        Notice.incident_id == notice.incident_id,
        Notice.user_id == notice.user_id,
    )
    sent_at = db.session.scalar(alert)
    return sent_at is not None and sent_at <= ended_at


def _subject(notice: Notice, incident: AlertIncident, tenant: Tenant) -> str:
    name = " ".join(tenant.name.split())
    if incident.kind == AlertKind.SENDERS:
        person = " ".join((incident.facts or {})["person"].split())
        if notice.kind == NoticeKind.ALL_CLEAR:
            return _("[%(serial)s] No faxes from %(person)s are on hold now", serial=tenant.serial, person=person)
        return _(
            "[%(serial)s] Faxes from %(person)s are waiting for your decision", serial=tenant.serial, person=person
        )
    if incident.kind == AlertKind.CEILING:
        if notice.kind == NoticeKind.ALL_CLEAR:
            return _("[%(serial)s] %(company)s may dial again", serial=tenant.serial, company=name)
        return _("[%(serial)s] %(company)s has used up its calls for today", serial=tenant.serial, company=name)
    if incident.kind == AlertKind.TRUNK:
        if notice.kind == NoticeKind.ALL_CLEAR:
            return _("[%(serial)s] The line to the telephone provider works again", serial=tenant.serial)
        return _("[%(serial)s] The line to the telephone provider is down", serial=tenant.serial)
    if notice.kind == NoticeKind.ALL_CLEAR:
        return _("[%(serial)s] %(company)s: faxes are going through again", serial=tenant.serial, company=name)
    if incident.kind == AlertKind.FAILING:
        return _("[%(serial)s] Most faxes of %(company)s are failing", serial=tenant.serial, company=name)
    return _("[%(serial)s] Faxes of %(company)s are stuck", serial=tenant.serial, company=name)


def _causes(incident: AlertIncident) -> list[tuple[str, int]]:
    told = (incident.facts or {}).get("causes", [])
    return [(sentence(cause if cause in OUTCOMES else "other"), count) for cause, count in told]


def _oldest(incident: AlertIncident) -> datetime | None:
    text = (incident.facts or {}).get("oldest") or (incident.facts or {}).get("since")
    return datetime.fromisoformat(text) if text else None


def _link(incident: AlertIncident, user: Any) -> str:
    base_url = current_app.config["SETTINGS"].base_url
    if user.is_operator:
        own = f"/tenants/{incident.tenant_id}" if incident.kind == AlertKind.CEILING else ""
        return f"{base_url}/operator{own}"
    if incident.kind == AlertKind.SENDERS:
        return f"{base_url}/held"
    status = "failed" if incident.kind == AlertKind.FAILING else "open"
    return f"{base_url}/faxes?direction=sent&status={status}"


def disk_mail(notice: Notice) -> tuple[str, str] | None:
    """Subject and text, to an operator."""
    user = notice.user
    if user is None or not user.is_active:
        return None
    facts = json.loads(notice.note or "{}")
    base_url = current_app.config["SETTINGS"].base_url
    with in_language(notice.language):
        filling = notice.kind == NoticeKind.DISK_FILLING
        subject = _("[Faxroom] A disk is filling up") if filling else _("[Faxroom] There is enough disk space again")
        disks = [(place_name(name), megabytes) for name, megabytes in facts.get("free", {}).items()]
        values = {"user": user, "disks": disks, "least": facts.get("least"), "link": f"{base_url}/operator"}
        return subject, render_for(notice.language, f"outbox/email/{notice.kind}.txt", **values)


def trunk_mail(notice: Notice) -> tuple[str, str] | None:
    """Subject and text, to an operator."""
    user = notice.user
    if user is None or not user.is_active:
        return None
    told = json.loads(notice.note or "{}")
    since = datetime.fromisoformat(told["since"]).strftime("%d/%m/%Y %H:%M UTC")
    with in_language(notice.language):
        subject = _trunk_subject(notice.kind == NoticeKind.TRUNK_AWAY, told["trunk"], told.get("registers"))
        values = {"user": user, "trunk": told["trunk"], "since": since, "response": told.get("response")}
        values["registers"] = told.get("registers")
        values["link"] = f"{current_app.config['SETTINGS'].base_url}/operator"
        return subject, render_for(notice.language, f"outbox/email/{notice.kind}.txt", **values)


def _trunk_subject(away: bool, trunk: str, registers: bool | None) -> str:
    """``registers``: it is about its registration, None where it is about calls; False: it has none any more."""
    if registers is None:
        if away:
            return _("[Faxroom] The trunk %(trunk)s takes no calls", trunk=trunk)
        return _("[Faxroom] The trunk %(trunk)s takes calls again", trunk=trunk)
    if away:
        return _("[Faxroom] The trunk %(trunk)s is not registered", trunk=trunk)
    if registers:
        return _("[Faxroom] The trunk %(trunk)s is registered again", trunk=trunk)
    return _("[Faxroom] The trunk %(trunk)s no longer registers", trunk=trunk)
