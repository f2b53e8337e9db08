"""Every table of ours, imported here once so that migrations and relationships see them all."""

from app.models.archive import ArchiveCopy, ArchiveKind, ArchivePlace, PlaceKind, Retention
from app.models.audit import AuditChain, AuditEvent, AuditLink
from app.models.change import PendingChange
from app.models.company_key import CompanyKey, key_in, new_content
from app.models.entity import Authentication, FaxEntity, FormerNumber, Grant
from app.models.fax import (
    SEARCH_KEYS,
    Attempt,
    Direction,
    Document,
    DocumentKind,
    Fax,
    Lane,
    Origin,
    Status,
    search_key,
    search_span,
)
from app.models.figures import AlertIncident, AlertKind, FaxDay, Scope
from app.models.hold import Hold
from app.models.inbox import InboxAct, InboxEvent, Unread
from app.models.mail_message import BoxState, MailFate, MailMessage
from app.models.mailbox import Mail2FaxBox
from app.models.notice import Notice, NoticeKind
from app.models.policy import DialingPolicy
from app.models.pool import PoolNumber, StrayCall
from app.models.preview import Preview, PreviewLane, PreviewState
from app.models.template import FaxTemplate
from app.models.trunk import TrunkTrouble
from app.models.turn import LastTurn
from app.models.voice import CallEnd, VoiceCall

__all__ = [
    "SEARCH_KEYS",
    "AlertIncident",
    "AlertKind",
    "ArchiveCopy",
    "ArchiveKind",
    "ArchivePlace",
    "Attempt",
    "AuditChain",
    "AuditEvent",
    "AuditLink",
    "Authentication",
    "BoxState",
    "CallEnd",
    "CompanyKey",
    "DialingPolicy",
    "Direction",
    "Document",
    "DocumentKind",
    "Fax",
    "FaxDay",
    "FaxEntity",
    "FaxTemplate",
    "FormerNumber",
    "Grant",
    "Hold",
    "InboxAct",
    "InboxEvent",
    "Lane",
    "LastTurn",
    "Mail2FaxBox",
    "MailFate",
    "MailMessage",
    "Notice",
    "NoticeKind",
    "Origin",
    "PendingChange",
    "PlaceKind",
    "PoolNumber",
    "Preview",
    "PreviewLane",
    "PreviewState",
    "Retention",
    "Scope",
    "Status",
    "StrayCall",
    "TrunkTrouble",
    "Unread",
    "VoiceCall",
    "key_in",
    "new_content",
    "search_key",
    "search_span",
]
