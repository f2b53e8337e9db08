"""As many fax entities as licensed channels, however many people add one at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from app.errors import Refused
from app.models import FaxEntity, FaxTemplate
from app.rules.setup.licence import claim_channel, licence_of
from tenants.db import db
from tenants.models import Tenant
from tests.web.cast import Cast


def set_channels(session: Session, tenant_id: int, channels: int) -> None:
    session.execute(sa.update(Tenant).where(Tenant.id == tenant_id).values(fax_channels=channels))
    session.commit()


def add_entity(session: Session, tenant_id: int, n: int) -> None:
    claim_channel(session, tenant_id)
    template_id = session.scalar(sa.select(FaxTemplate.id).where(FaxTemplate.tenant_id == tenant_id))
    session.add(FaxEntity(tenant_id=tenant_id, name=f"line {n}", extension=f"9{n}", template_id=template_id))
    session.commit()


def test_an_entity_takes_a_channel_until_none_is_free(session: Session, cast: Cast) -> None:
    set_channels(session, cast.alpha, 3)
    add_entity(session, cast.alpha, 1)
    with pytest.raises(Refused) as refusal:
        add_entity(session, cast.alpha, 2)
    assert (refusal.value.code, refusal.value.values) == ("licence_used_up", {"used": 3, "channels": 3})


def test_the_channels_of_one_company_are_nothing_to_another(session: Session, cast: Cast) -> None:
    set_channels(session, cast.alpha, 2)
    set_channels(session, cast.beta, 2)
    add_entity(session, cast.beta, 1)
    assert licence_of(session, cast.beta).free == 0


def test_a_licence_below_what_is_in_use_keeps_it_and_admits_nothing_new(session: Session, cast: Cast) -> None:
    set_channels(session, cast.alpha, 1)
    licence = licence_of(session, cast.alpha)
    assert (licence.used, licence.is_exceeded, licence.free) == (2, True, 0)
    with pytest.raises(Refused, match="licence_used_up"):
        claim_channel(session, cast.alpha)


def test_a_session_that_remembers_an_older_licence_goes_by_the_present_one(session: Session, cast: Cast) -> None:
    tenant = session.get_one(Tenant, cast.alpha)
    assert tenant.fax_channels == 4
    with db.engine.connect() as other:  # what another transaction has committed meanwhile
        session.rollback()
        other.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(fax_channels=2))
        other.commit()
    with pytest.raises(Refused):
        claim_channel(session, cast.alpha)


def test_of_many_who_add_an_entity_at_once_exactly_as_many_succeed_as_are_licensed(app: Flask, cast: Cast) -> None:
    people, channels = 12, 7
    with app.app_context():
        set_channels(db.session, cast.alpha, channels)
    begin = Barrier(people)

    def add(n: int) -> bool:
        with app.app_context():
            begin.wait(30)
            try:
                add_entity(db.session, cast.alpha, n)
            except Refused:
                return False
            return True

    with ThreadPoolExecutor(people) as pool:
        added = list(pool.map(add, range(people)))
    with app.app_context():
        assert licence_of(db.session, cast.alpha).used == channels
    assert added.count(True) == channels - 2
