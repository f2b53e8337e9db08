"""The ways to carriers and telephone systems, and what is the matter with each."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.models.sealed import SealedText
from tenants.db import BigId, Model, utc_now


class CallerForm(StrEnum):
    """How a trunk writes the caller's number where no + stands before it."""

    USUAL = "usual"  # as it is dialled within the country
    WHOLE = "whole"  # with the country code


class NumberForm(StrEnum):
    """How a called number is written on the wire."""

    PLUS = "plus"  # E.164 with +
    DIGITS = "digits"  # E.164 without +
    INTERNATIONAL = "international"  # behind the prefix for other countries, such as 00
    NATIONAL = "national"  # as it is dialled within the trunk's country; behind that prefix elsewhere


class CallerIn(StrEnum):
    """Where our own number stands as the caller's."""

    USUAL = "usual"  # in From and P-Asserted-Identity (RFC 3325); with an account, From has the account
    FROM = "from"
    BOTH = "both"
    REMOTE_PARTY = "rpid"  # Remote-Party-ID and From, as older telephone systems want it


class Trunk(Model):
    """One way out and in. ``name`` names its endpoints in Asterisk (``asterisk/pjsip.conf``); the lowest ``position``
    is used first.

    ``registers``: we sign on with ``username`` and ``password``; without that an account only answers challenges.
    ``channels``: calls at once, 0 where it is learned.
    ``prefers``: E.164 prefixes with + that it is used for before others. ``from_environment``: its address and account
    stand in FAXROOM_TRUNK.

    How it writes the numbers of calls that come in (:mod:`app.rules.numbers.habits`): ``region`` the country by whose
    rules those without a country code are read, ``area`` the area code that it leaves out, ``company_id`` whose
    telephone system it is, ``called_order`` what names the called number, the first one first, empty for the usual
    order; ``caller_form`` how it writes the caller's.
    """

    __tablename__ = "trunk"
    #: Test calls name the trunk that they are bound to: the next one never has the id of one that was removed.
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[BigId]
    name: Mapped[str] = mapped_column(sa.String(20), unique=True)
    position: Mapped[int] = mapped_column(default=0, server_default="0")
    enabled: Mapped[bool] = mapped_column(default=True, server_default=sa.true())
    from_environment: Mapped[bool] = mapped_column(default=False, server_default=sa.false())

    host: Mapped[str] = mapped_column(sa.String(255))
    port: Mapped[int]
    transport: Mapped[str] = mapped_column(sa.String(4), default="udp", server_default="udp")
    media: Mapped[str] = mapped_column(sa.String(8), default="plain", server_default="plain")
    username: Mapped[str | None] = mapped_column(sa.String(255))
    password: Mapped[str | None] = mapped_column(SealedText)
    registers: Mapped[bool] = mapped_column(default=False, server_default=sa.false())
    channels: Mapped[int] = mapped_column(default=0, server_default="0")
    t38: Mapped[bool] = mapped_column(default=True, server_default=sa.true())

    number_form: Mapped[NumberForm] = mapped_column(sa.String(16), default=NumberForm.PLUS, server_default="plus")
    caller_in: Mapped[CallerIn] = mapped_column(sa.String(8), default=CallerIn.USUAL, server_default="usual")
    prefers: Mapped[list[str]] = mapped_column(sa.JSON, default=list, server_default="[]")

    region: Mapped[str | None] = mapped_column(sa.String(2))
    area: Mapped[str | None] = mapped_column(sa.String(8))
    company_id: Mapped[int | None] = mapped_column(sa.ForeignKey("tenant.id", ondelete="SET NULL"))
    called_order: Mapped[list[str]] = mapped_column(sa.JSON, default=list, server_default="[]")
    caller_form: Mapped[CallerForm] = mapped_column(sa.String(8), default=CallerForm.USUAL, server_default="usual")


class TrunkTrouble(Model):
    """While a trunk's row is there it is set aside: one fax at a time finds out whether it works again, from
    ``probe_at`` on, and the others wait. ``outcome`` and ``response`` are those of the attempt that said so last."""

    __tablename__ = "trunk_trouble"

    trunk_id: Mapped[int] = mapped_column(
        sa.ForeignKey("trunk.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    since: Mapped[datetime] = mapped_column(default=utc_now)
    probe_at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(sa.String(32))
    response: Mapped[str | None] = mapped_column(sa.String(120))


class TrunkChannels(Model):
    """What a trunk has shown of its room: with ``channels`` other calls of ours on it, it refused one more at
    ``full_at`` (:mod:`app.rules.sending.trunks.room`)."""

    __tablename__ = "trunk_channels"

    trunk_id: Mapped[int] = mapped_column(
        sa.ForeignKey("trunk.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    channels: Mapped[int]
    full_at: Mapped[datetime]
