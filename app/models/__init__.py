"""Every table of ours, imported here once so that migrations and relationships see them all."""

from app.models.archives.archive import ArchiveCopy, ArchiveKind, ArchivePlace, PlaceKind, Retention
from app.models.audit.audit import AuditChain, AuditEvent, AuditLink
from app.models.faxes.destination import Destination, NumberLines
from app.models.faxes.fax import (
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
from app.models.faxes.preview import Preview, PreviewLane, PreviewState
from app.models.faxes.turn import LastTurn
from app.models.faxes.voice import CallEnd, VoiceCall
from app.models.figures.figures import AlertIncident, AlertKind, FaxDay, Scope
from app.models.inbox.inbox import InboxAct, InboxEvent, Unread
from app.models.mail2fax.mail_message import BoxState, MailFate, MailMessage
from app.models.operator.called import CalledNumber
from app.models.operator.company_key import CompanyKey, key_in, new_content
from app.models.operator.hold import Hold
from app.models.operator.policy import DialingPolicy
from app.models.operator.pool import PoolNumber, StrayCall
from app.models.operator.trunk import CallerForm, CallerIn, NumberForm, Trunk, TrunkChannels, TrunkTrouble
from app.models.outbox.notice import DigestEntry, Notice, NoticeKind
from app.models.setup.change import PendingChange
from app.models.setup.entity import Authentication, FaxEntity, FormerNumber, Grant, ReceivedMail
from app.models.setup.mailbox import BoxSignIn, BoxSource, DoorCredential, Mail2FaxBox, SmtpSignIn, TokenState
from app.models.setup.template import FaxTemplate

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
    "BoxSignIn",
    "BoxSource",
    "BoxState",
    "CallEnd",
    "CalledNumber",
    "CallerForm",
    "CallerIn",
    "CompanyKey",
    "Destination",
    "DialingPolicy",
    "DigestEntry",
    "Direction",
    "Document",
    "DocumentKind",
    "DoorCredential",
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
    "NumberForm",
    "NumberLines",
    "Origin",
    "PendingChange",
    "PlaceKind",
    "PoolNumber",
    "Preview",
    "PreviewLane",
    "PreviewState",
    "ReceivedMail",
    "Retention",
    "Scope",
    "SmtpSignIn",
    "Status",
    "StrayCall",
    "TokenState",
    "Trunk",
    "TrunkChannels",
    "TrunkTrouble",
    "Unread",
    "VoiceCall",
    "key_in",
    "new_content",
    "search_key",
    "search_span",
]
