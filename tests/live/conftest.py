"""Real Asterisks, shared by the whole session: started once, stopped at its end."""

from collections.abc import Iterator

import pytest

from tests.live.lines import ASTERISK_ROOT, FAR_ENDS, Ear, Line, asterisk


@pytest.fixture(scope="session")
def asterisk_root() -> None:
    asterisk.install(ASTERISK_ROOT, print)


@pytest.fixture(scope="session")
def unattended(asterisk_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """An Asterisk that no portal listens to, and whose fax machine speaks no T.38 to anybody."""
    no_t38 = "[(main-t38](+)\nt38_udptl = no\n"
    line = Line(tmp_path_factory.mktemp("unattended"), local={"pjsip.conf": no_t38})
    yield from _running(line)


@pytest.fixture(scope="session")
def line(asterisk_root: None, unattended: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """An Asterisk with the loop, the far ends of :data:`FAR_ENDS` and an endpoint ``g711`` that leads to another
    machine, which refuses T.38."""
    contact = f"sip:127.0.0.1:{unattended.sip_port}"
    g711 = f"[g711](trunk)\nt38_udptl = yes\naors = g711\n[g711]\ntype = aor\ncontact = {contact}\n"
    line = Line(tmp_path_factory.mktemp("line"), local={"extensions.conf": FAR_ENDS, "pjsip.conf": g711})
    line.keep_apart_from(unattended)
    yield from _running(line)


def _running(line: Line) -> Iterator[Line]:
    line.start()
    yield line
    assert line.stop() == 0


@pytest.fixture(scope="session")
def ear(line: Line) -> Iterator[Ear]:
    with Ear(line.ari) as ear:
        yield ear
