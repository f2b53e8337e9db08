"""Fax, attempt, document: a fax's life in rows. The allowed moves of a fax are in :mod:`app.models.faxes.moves`."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.models.operator.trunk import Trunk
from app.models.setup.entity import FaxEntity
from tenants.db import BigId, Model, TenantOwned, Ulid, utc_now
from tenants.models import Tenant, User


class Direction(StrEnum):
    SENT = "sent"
    RECEIVED = "received"


class Origin(StrEnum):
    """Through which door a fax came."""

    WEB = "web"
    MAIL = "mail"
    COMMAND = "command"
    LINE = "line"  # it was received
    TEST = "test"  # a self-test: one call from a line to itself, in our own house or through the carrier


class Status(StrEnum):
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    SCHEDULED = "scheduled"
    DIALING = "dialing"
    SENDING = "sending"
    SENT = "sent"
    RETRYING = "retrying"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    RECEIVING = "receiving"
    RECEIVED = "received"
    INCOMPLETE = "incomplete"


class Lane(StrEnum):
    """Where a document waits to be prepared: a queue, whose workers prepare nothing else (:mod:`app.queues`)."""

    DOCUMENTS = "documents"  # PDF
    OFFICES = "offices"  # LibreOffice comes first
    SLOW = "slow"  # it had its time and gave way to others


#: The statuses of faxes that wait in a lane, and of those that wait for the line: of what indexes are limited to.
UNPREPARED = "status IN ('accepted', 'preparing')"
WAITS_FOR_LINE = "status IN ('ready', 'scheduled', 'retrying') AND waits_for_number IS NULL"
#: Of these, those that go to extensions, which need no trunk.
WAITS_INSIDE = f"{WAITS_FOR_LINE} AND substr(dial_string, 1, 1) <> '+'"
#: Of those for the line, the ones that no trunk has passed on (:mod:`app.rules.sending.trunks.choosing`).
WAITS_FOR_ANY = f"{WAITS_FOR_LINE} AND coalesce(cause, '') <> 'next_trunk'"
#: Those that wait until the number that they call is free (:mod:`app.rules.sending.called`). Whoever moves forgets it
#: (:mod:`app.rules.sending.lifecycle`).
WAITS_FOR_NUMBER = "waits_for_number IS NOT NULL"
#: Of either, those that wait for a reason that is told.
WAITS_FOR_CAUSE = "status IN ('ready', 'scheduled', 'retrying') AND cause IS NOT NULL"


class DocumentKind(StrEnum):
    SOURCE = "source"  # what the person gave us, untouched
    PDF = "pdf"  # what is shown and archived
    TIFF = "tiff"  # what goes over the line
    REPORT = "report"  # the sending report


class Document(TenantOwned, Model):
    """A file in the storage. ``storage_key`` is where, ``sha256`` (hex) and ``size`` (bytes) are what was written.

    A source document without a fax is a draft: uploaded, judged, not sent. Drafts are removed after a day.
    ``removed_at`` is when its time was up (:mod:`app.rules.archives.retention`), ``erased_at`` when the storage had
    deleted the file; the row goes on telling what it was. ``warnings`` are what a person should know before it goes
    out, each a ``kind`` with the values that its sentence needs (:mod:`app.rules.words.document_sentences`).
    ``sealed_with`` names the company's key (:class:`app.models.CompanyKey`) that sealed the file, as its head does;
    null: it lies plain, as all did before there were keys.
    """

    __tablename__ = "document"
    __table_args__ = (
        sa.Index(
            "ix_document_plain",
            "id",
            sqlite_where=sa.text("sealed_with IS NULL AND removed_at IS NULL"),
            postgresql_where=sa.text("sealed_with IS NULL AND removed_at IS NULL"),
        ),
        # how much a company and a person have stored and given (app.rules.ground.quotas)
        sa.Index(
            "ix_document_stored",
            *("tenant_id", "user_id", "size"),
            sqlite_where=sa.text("erased_at IS NULL"),
            postgresql_where=sa.text("erased_at IS NULL"),
        ),
        sa.Index(
            "ix_document_given",
            *("tenant_id", "created_at", "user_id"),
            sqlite_where=sa.text("kind = 'source'"),
            postgresql_where=sa.text("kind = 'source'"),
        ),
        sa.Index(
            "ix_document_to_erase",
            "removed_at",
            sqlite_where=sa.text("removed_at IS NOT NULL AND erased_at IS NULL"),
            postgresql_where=sa.text("removed_at IS NOT NULL AND erased_at IS NULL"),
        ),
    )

    id: Mapped[Ulid]
    kind: Mapped[str] = mapped_column(sa.String(8))
    name: Mapped[str] = mapped_column(sa.String(255))
    type: Mapped[str] = mapped_column(sa.String(8))
    storage_key: Mapped[str] = mapped_column(sa.String(255), unique=True)
    sha256: Mapped[str] = mapped_column(sa.String(64))
    size: Mapped[int] = mapped_column(sa.BigInteger)
    pages: Mapped[int | None]
    warnings: Mapped[list[Any] | None] = mapped_column(sa.JSON)
    sealed_with: Mapped[str | None] = mapped_column(sa.String(16))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    removed_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]


#: What ix_fax_search holds of a fax beside its words: the span of 32 days in which it was entered, its line, and both
#: in one, each with its direction, as numbers (:func:`search_key`). Without them it would find a word in the faxes of
#: all lines and years. Written as PostgreSQL writes it, so that Alembic finds it the same.
_SPAN = "((created_at AT TIME ZONE '00:00:00'::interval)::date - '2000-01-01'::date) / 32"
_SENT = "(direction::text = 'sent'::text)::integer"
_LINE = f"(entity_id * 2 + {_SENT}) * 4096"
SEARCH_KEYS = f"ARRAY[({_SENT} * 4096 + {_SPAN})::bigint, {_LINE}, {_LINE} + {_SPAN}]"


def search_span(at: datetime) -> int:
    """The span of 32 days, counted from the year 2000 (UTC), in which this time lies."""
    return (at.astimezone(UTC).date() - date(2000, 1, 1)).days // 32


def search_key(direction: str, entity_id: int = 0, span: int = 0) -> int:
    """The number in ``SEARCH_KEYS`` for a line, for a span, or for a line in a span."""
    return (entity_id * 2 + (direction == Direction.SENT)) * 4096 + span


class Fax(TenantOwned, Model):
    """One fax, sent or received.

    ``number`` counts within the tenant and is the FAXID of file names. ``remote_number`` is the other end as E.164
    with +, or an extension of the own numbering plan; ``dial_string`` what Asterisk dials. ``from_outside``: of a
    received fax, that it came over the trunk, where a short number is nobody's extension. ``cause`` is a word of
    :mod:`app.rules.words.sentences`, ``cause_values`` what its sentence needs. ``pages_done`` are pages that the far
    end confirmed over all attempts. ``due_at`` is when to dial (scheduled, retrying) and never in the past of its
    status. ``urgent`` ones go before the others of their line. ``waits_for_number`` is set while the number that it
    calls has no line free (:mod:`app.rules.sending.called`). ``lane`` is where it waits to be prepared
    (:mod:`app.rules.sending.preparing`), ``gave_way`` how often its preparation was broken off because others waited.
    ``lease_until`` marks a preparation under way;
    past it another worker takes over. ``search_text`` is what the fax
    module searches (:mod:`app.rules.log.search`). Of a received fax (:mod:`app.rules.inbox.inbox`) ``seen_at`` is when
    the first person opened it, ``taken_by_id`` the colleague who has it, ``done_at`` when it was done with; without
    ``done_by_id`` it left the inbox by itself. ``resend_of_id`` is the fax that this one repeats, or forwards if that
    one was received. ``test_of_id`` is the self-test (origin ``test``) that this received fax is the other end of
    (:mod:`app.rules.sending.self_test`). ``look_until`` is set while it waits for its sender to look at its pages, at
    the longest until then (:mod:`app.rules.sending.looking`); ``page_notes`` is what to know of them
    (:mod:`app.rules.words.page_warnings`). ``released_by_id`` is the administrator who let it go though its sender may
    not send any more (:mod:`app.rules.sending.senders`). ``redirected_to`` is the number (E.164 with +) that the next
    attempt dials instead, because the other side said so and the operator lets it (:mod:`app.rules.sending.redirects`).
    ``files_removed_at`` is when its files were removed because the company keeps them for
    ``files_kept_days`` only, and so for the report.
    """

    __tablename__ = "fax"
    __table_args__ = (
        sa.UniqueConstraint("tenant_id", "number"),
        sa.UniqueConstraint("user_id", "submission_key"),
        # the fax module's list (app.rules.log.log), whole and by each of its filters, newest first
        sa.Index("ix_fax_module", "tenant_id", "direction", "created_at", "id"),
        sa.Index("ix_fax_status", "tenant_id", "direction", "status", "created_at", "id"),
        sa.Index("ix_fax_remote_number", "tenant_id", "direction", "remote_number", "created_at", "id"),
        sa.Index("ix_fax_entity", "entity_id", "direction", "created_at", "id"),
        sa.Index("ix_fax_sender", "user_id", "entity_id", "direction", "created_at", "id"),
        sa.Index(
            "ix_fax_cause",
            "tenant_id",
            "direction",
            "cause",
            "created_at",
            "id",
            sqlite_where=sa.text("cause IS NOT NULL"),
            postgresql_where=sa.text("cause IS NOT NULL"),
        ),
        # the same of what did not simply go well, line by line
        *(
            sa.Index(
                f"ix_fax_line_{name}",
                *("entity_id", "direction", name, "created_at", "id"),
                postgresql_where=sa.text(only),
                info={"only_on": "postgresql"},
            ).ddl_if(dialect="postgresql")
            for name, only in (("status", "status NOT IN ('sent', 'received')"), ("cause", "cause IS NOT NULL"))
        ),
        sa.Index(
            "ix_fax_search",
            "search_text",
            sa.text(f"({SEARCH_KEYS})"),
            postgresql_using="gin",
            postgresql_ops={"search_text": "gin_trgm_ops"},
            postgresql_with={"fastupdate": "off"},
            info={"only_on": "postgresql"},
        ).ddl_if(dialect="postgresql"),
        sa.Index("ix_fax_due", "status", "due_at"),
        # whose document, and whose fax, is next
        sa.Index(
            "ix_fax_lane",
            *("lane", "tenant_id", "user_id", "id"),
            sqlite_where=sa.text(UNPREPARED),
            postgresql_where=sa.text(UNPREPARED),
        ),
        sa.Index(
            "ix_fax_waits_for_line",
            *("entity_id", "urgent", "due_at", "id"),
            sqlite_where=sa.text(WAITS_FOR_LINE),
            postgresql_where=sa.text(WAITS_FOR_LINE),
        ),
        sa.Index(
            "ix_fax_waits_inside",
            *("entity_id", "urgent", "due_at", "id"),
            sqlite_where=sa.text(WAITS_INSIDE),
            postgresql_where=sa.text(WAITS_INSIDE),
        ),
        sa.Index(
            "ix_fax_waits_for_any",
            *("entity_id", "urgent", "due_at", "id"),
            sqlite_where=sa.text(WAITS_FOR_ANY),
            postgresql_where=sa.text(WAITS_FOR_ANY),
        ),
        sa.Index(
            "ix_fax_waits_for_number",
            *("waits_for_number", "entity_id", "urgent", "due_at", "id"),
            sqlite_where=sa.text(WAITS_FOR_NUMBER),
            postgresql_where=sa.text(WAITS_FOR_NUMBER),
        ),
        sa.Index(
            "ix_fax_waits_for_cause",
            *("cause", "status"),
            sqlite_where=sa.text(WAITS_FOR_CAUSE),
            postgresql_where=sa.text(WAITS_FOR_CAUSE),
        ),
        # what was over when: figures, alerts
        sa.Index(
            "ix_fax_finished",
            "tenant_id",
            "finished_at",
            sqlite_where=sa.text("finished_at IS NOT NULL"),
            postgresql_where=sa.text("finished_at IS NOT NULL"),
        ),
        # whose document it is: without these the database reads all faxes before it removes one document
        *(
            sa.Index(
                f"ix_fax_{name}",
                name,
                sqlite_where=sa.text(f"{name} IS NOT NULL"),
                postgresql_where=sa.text(f"{name} IS NOT NULL"),
            )
            for name in ("source_id", "pdf_id", "tiff_id", "report_id")
        ),
        # whose time is up (app.rules.archives.retention)
        sa.Index(
            "ix_fax_files_kept",
            "tenant_id",
            "direction",
            "finished_at",
            sqlite_where=sa.text("files_removed_at IS NULL"),
            postgresql_where=sa.text("files_removed_at IS NULL"),
        ),
        sa.Index(
            "ix_fax_report_kept",
            "tenant_id",
            "finished_at",
            sqlite_where=sa.text("direction = 'sent' AND report_removed_at IS NULL"),
            postgresql_where=sa.text("direction = 'sent' AND report_removed_at IS NULL"),
        ),
        # what became of a fax: sent again, forwarded
        sa.Index(
            "ix_fax_resend_of_id",
            "resend_of_id",
            sqlite_where=sa.text("resend_of_id IS NOT NULL"),
            postgresql_where=sa.text("resend_of_id IS NOT NULL"),
        ),
        # those that wait until their sender has looked at the pages (app.rules.sending.looking)
        sa.Index(
            "ix_fax_look_until",
            "look_until",
            sqlite_where=sa.text("look_until IS NOT NULL"),
            postgresql_where=sa.text("look_until IS NOT NULL"),
        ),
        # how many of an entity go out on a day for which they were ordered before (app.rules.numbers.dialing)
        sa.Index(
            "ix_fax_send_at",
            "entity_id",
            "send_at",
            sqlite_where=sa.text("send_at IS NOT NULL"),
            postgresql_where=sa.text("send_at IS NOT NULL"),
        ),
        sa.Index(
            "uq_fax_test_of_id",
            "test_of_id",
            unique=True,
            sqlite_where=sa.text("test_of_id IS NOT NULL"),
            postgresql_where=sa.text("test_of_id IS NOT NULL"),
        ),
        # the shared inbox: what is not done yet, and what was done last
        sa.Index(
            "ix_fax_inbox",
            "tenant_id",
            "entity_id",
            "id",
            sqlite_where=sa.text("direction = 'received' AND done_at IS NULL"),
            postgresql_where=sa.text("direction = 'received' AND done_at IS NULL"),
        ),
        sa.Index(
            "ix_fax_done",
            "tenant_id",
            "done_at",
            sqlite_where=sa.text("done_by_id IS NOT NULL"),
            postgresql_where=sa.text("done_by_id IS NOT NULL"),
        ),
    )

    id: Mapped[Ulid]
    number: Mapped[int] = mapped_column(sa.BigInteger)
    direction: Mapped[str] = mapped_column(sa.String(8))
    status: Mapped[str] = mapped_column(sa.String(12))
    entity_id: Mapped[int] = mapped_column(sa.ForeignKey("fax_entity.id"))
    user_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    submission_key: Mapped[str | None] = mapped_column(sa.String(64))
    origin: Mapped[str] = mapped_column(sa.String(8))
    resend_of_id: Mapped[str | None] = mapped_column(sa.ForeignKey("fax.id"))
    test_of_id: Mapped[str | None] = mapped_column(sa.String(26))

    remote_number: Mapped[str | None] = mapped_column(sa.String(32))
    from_outside: Mapped[bool | None]
    dial_string: Mapped[str | None] = mapped_column(sa.String(40))
    redirected_to: Mapped[str | None] = mapped_column(sa.String(20))
    remote_station_id: Mapped[str | None] = mapped_column(sa.String(64))

    pages: Mapped[int | None]
    pages_done: Mapped[int] = mapped_column(default=0)
    line_seconds: Mapped[int | None]  # estimated time on the line
    cause: Mapped[str | None] = mapped_column(sa.String(40))
    cause_values: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    cancel_requested_at: Mapped[datetime | None]
    released_by_id: Mapped[int | None] = mapped_column(sa.BigInteger)

    send_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    urgent: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    waits_for_number: Mapped[str | None] = mapped_column(sa.String(20))
    lane: Mapped[str | None] = mapped_column(sa.String(12))
    gave_way: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]
    search_text: Mapped[str] = mapped_column(sa.Text, default="", server_default="")

    seen_at: Mapped[datetime | None]
    taken_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    taken_at: Mapped[datetime | None]
    done_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("user.id"))
    done_at: Mapped[datetime | None]

    look_until: Mapped[datetime | None]
    page_notes: Mapped[list[Any] | None] = mapped_column(sa.JSON)

    source_id: Mapped[str | None] = mapped_column(sa.ForeignKey("document.id"))
    pdf_id: Mapped[str | None] = mapped_column(sa.ForeignKey("document.id"))
    tiff_id: Mapped[str | None] = mapped_column(sa.ForeignKey("document.id"))
    report_id: Mapped[str | None] = mapped_column(sa.ForeignKey("document.id"))
    files_removed_at: Mapped[datetime | None]
    files_kept_days: Mapped[int | None]
    report_removed_at: Mapped[datetime | None]
    report_kept_days: Mapped[int | None]

    tenant: Mapped[Tenant] = relationship()
    entity: Mapped[FaxEntity] = relationship()
    user: Mapped[User | None] = relationship(foreign_keys=user_id)
    taken_by: Mapped[User | None] = relationship(foreign_keys=taken_by_id)
    done_by: Mapped[User | None] = relationship(foreign_keys=done_by_id)
    source: Mapped[Document | None] = relationship(foreign_keys=source_id)
    pdf: Mapped[Document | None] = relationship(foreign_keys=pdf_id)
    tiff: Mapped[Document | None] = relationship(foreign_keys=tiff_id)
    report: Mapped[Document | None] = relationship(foreign_keys=report_id)
    attempts: Mapped[list["Attempt"]] = relationship(back_populates="fax", order_by="Attempt.n")

    @property
    def its_source(self) -> Document:
        """The document that was given. Where it was removed: :class:`LookupError`."""
        return _there(self.source, self.id)

    @property
    def its_tiff(self) -> Document:
        """The pages for the line. As long as there are none: :class:`LookupError`."""
        return _there(self.tiff, self.id)


def _there(document: Document | None, fax_id: str) -> Document:
    if document is None:
        raise LookupError(f"fax {fax_id} has no such document")
    return document


class Attempt(TenantOwned, Model):
    """One dial of one fax.

    The row is committed before Asterisk hears of it. ``placed_at`` is set immediately before the ARI request: an
    attempt without it was never dialled. ``under_way``: the far end said more than that it tries (SIP 183), so that it
    may have rung unheard. ``off_line_at`` is when an incoming call was over, whose pages are still to be
    entered: it takes no place on the line any more. ``pages_confirmed`` counts pages of this attempt, which began at
    ``first_page`` (1-based). ``dialled`` is what it dialled, where that was not the fax's own number but the one that
    the attempt before was redirected to. ``called`` is the number (E.164 with +) of which it takes line
    ``called_line``, from 1. ``outcome`` is a word of :mod:`app.rules.sending.retry`, ``hangup_cause`` a
    Q.850 cause, ``response`` the last one of SIP's. What begins with ``asked_`` is how the call was to go
    (:mod:`app.rules.sending.ladder`); ``mode``, ``rate`` (bit/s) and ``ecm`` are what the two machines agreed on, null
    where nobody knows. ``header_name`` and ``header_station`` stand in the line on top of its pages, whose time is
    ``created_at``; null where it had none. ``damaged_lines`` are lines that came in wrong;
    ``poor_pages`` those of this attempt, from 1, that the other machine confirmed and called poor, ``refused_pages``
    those that it called poor and wanted again.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        sa.UniqueConstraint("fax_id", "n"),
        sa.Index(
            "uq_attempt_one_open",
            "fax_id",
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        sa.Index(
            "ix_attempt_open",
            "tenant_id",
            "entity_id",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        ),
        # one call has one line of the number that it calls (app.rules.sending.called)
        sa.Index(
            "uq_attempt_called_line",
            *("called", "called_line"),
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL AND called IS NOT NULL"),
            postgresql_where=sa.text("ended_at IS NULL AND called IS NOT NULL"),
        ),
        # what a company has dialled in a day (app.rules.numbers.policy)
        sa.Index("ix_attempt_day", "tenant_id", "created_at"),
        # what the carrier said last (app.rules.sending.trunks.trouble)
        sa.Index("ix_attempt_ended", "ended_at"),
        # how many faxes a line has begun to dial in a day (app.rules.numbers.dialing)
        sa.Index(
            "ix_attempt_first",
            "entity_id",
            "created_at",
            sqlite_where=sa.text("n = 1"),
            postgresql_where=sa.text("n = 1"),
        ),
    )

    id: Mapped[BigId]
    fax_id: Mapped[str] = mapped_column(sa.ForeignKey("fax.id"))
    entity_id: Mapped[int] = mapped_column(sa.ForeignKey("fax_entity.id"))
    n: Mapped[int]
    channel_id: Mapped[str] = mapped_column(sa.String(64), unique=True)
    node: Mapped[str] = mapped_column(sa.String(64))
    first_page: Mapped[int] = mapped_column(default=1)
    dialled: Mapped[str | None] = mapped_column(sa.String(20))
    called: Mapped[str | None] = mapped_column(sa.String(20))
    called_line: Mapped[int | None]
    trunk_id: Mapped[int | None] = mapped_column(sa.ForeignKey("trunk.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    placed_at: Mapped[datetime | None]
    ringing_at: Mapped[datetime | None]
    under_way: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    answered_at: Mapped[datetime | None]
    off_line_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(sa.String(32))
    passed_on: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    pages_confirmed: Mapped[int] = mapped_column(default=0)
    mode: Mapped[str | None] = mapped_column(sa.String(8))  # T38 or audio
    rate: Mapped[int | None]
    ecm: Mapped[bool | None]
    remote_station_id: Mapped[str | None] = mapped_column(sa.String(64))
    hangup_cause: Mapped[int | None]
    response: Mapped[str | None] = mapped_column(sa.String(120))
    error: Mapped[str | None] = mapped_column(sa.String(255))
    asked_t38: Mapped[bool | None]
    asked_rate: Mapped[int | None]
    asked_ecm: Mapped[bool | None]
    asked_standard: Mapped[bool | None]
    asked_packet: Mapped[int | None]
    header_name: Mapped[str | None] = mapped_column(sa.String(50))
    header_station: Mapped[str | None] = mapped_column(sa.String(20))
    damaged_lines: Mapped[int | None]
    poor_pages: Mapped[list[int] | None] = mapped_column(sa.JSON(none_as_null=True))
    refused_pages: Mapped[list[int] | None] = mapped_column(sa.JSON(none_as_null=True))

    fax: Mapped[Fax] = relationship(back_populates="attempts")
    trunk: Mapped[Trunk | None] = relationship()

    @classmethod
    def takes_a_place(cls) -> sa.ColumnElement[bool]:
        """Calls that are on the line, or about to be: what limits count."""
        return sa.and_(cls.ended_at.is_(None), cls.off_line_at.is_(None))


#: What ix_fax_search is made of. A trusted extension: whoever may create in the database may add it.
event.listen(
    Fax.__table__, "before_create", sa.DDL("CREATE EXTENSION IF NOT EXISTS pg_trgm").execute_if(dialect="postgresql")
)
