"""Whom the T.38 entrance trusts: whoever Asterisk takes for a trunk that may use it."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from app.errors import TemporaryFailure
from app.jobs.receiving.entrance import Trusted
from app.jobs.receiving.trunk_telling import _files_of
from app.models import Trunk
from app.rules.sending.trunks.fields import ENTRANCE_HEADER, FILE, TrunkFields


class Line:
    """An Asterisk that knows the addresses of a trunk by its name, or does not answer."""

    def __init__(self) -> None:
        self.addresses = {"main": ["192.0.2.8/255.255.255.254", "198.51.100.7/255.255.255.255"]}
        self.is_down = False

    def addresses_of(self, trunk: str) -> list[str]:
        if self.is_down:
            raise TemporaryFailure("line_down", reason="", certain=True)
        return self.addresses.get(trunk, [])


@pytest.fixture
def line(session, cast):
    return Line()


def test_an_address_is_of_the_trunk_that_asterisk_takes_it_for(line):
    trusted = Trusted(line)
    assert trusted.known is None and trusted.trunk_of("192.0.2.9") is None
    trusted.look()
    found = {address: trusted.trunk_of(address) for address in ("192.0.2.9", "198.51.100.7", "192.0.2.10")}
    assert found == {"192.0.2.9": "main", "198.51.100.7": "main", "192.0.2.10": None}


def test_what_is_known_stays_while_asterisk_does_not_tell(line):
    trusted = Trusted(line)
    trusted.look()
    line.is_down = True
    with pytest.raises(TemporaryFailure):
        trusted.look()
    assert trusted.trunk_of("192.0.2.9") == "main"


@pytest.mark.parametrize("change", [{"transport": "tcp"}, {"enabled": False}])
def test_nobody_is_of_a_trunk_that_is_off_or_speaks_otherwise(session, line, change):
    session.execute(sa.update(Trunk).values(**change))
    session.commit()
    trusted = Trusted(line)
    trusted.look()
    assert trusted.known == {} and trusted.trunk_of("192.0.2.9") is None


@pytest.mark.parametrize("port", [0, 5070])
def test_asterisk_is_told_of_the_entrance_where_there_is_one(app, session, line, port):
    app.config["SETTINGS"] = replace(app.config["SETTINGS"], entrance_port=port)
    told = _files_of([TrunkFields("h", 5060)])[FILE]
    assert (f"match_header = {ENTRANCE_HEADER}: " in told) == bool(port)
