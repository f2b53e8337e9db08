"""Whom the operator trusts at the door, and for which companies."""

from ipaddress import ip_network

import pytest

from app.adapters.mail.door import peer_at
from app.config import DoorSettings, Peer


def peers(text: str) -> tuple[Peer, ...]:
    return DoorSettings.read(lambda name, default: text if name == "FAXROOM_DOOR_PEERS" else default).peers


def test_a_server_without_companies_speaks_for_all():
    assert peers("10.0.0.5, 10.1.0.0/24 2001:db8::/32") == tuple(
        Peer(ip_network(name)) for name in ("10.0.0.5", "10.1.0.0/24", "2001:db8::/32")
    )
    assert peers("") == ()


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.5=alpha,beta,10.0.0.6=gamma,10.0.0.7",
        "10.0.0.5 = alpha, beta 10.0.0.6 = gamma 10.0.0.7",
        "10.0.0.5=alpha beta\n10.0.0.6=gamma\n10.0.0.7",
    ],
)
def test_what_follows_a_servers_sign_up_to_the_next_address_are_its_companies(text: str):
    found = [(str(peer.network), peer.companies) for peer in peers(text)]
    assert found == [("10.0.0.5/32", {"alpha", "beta"}), ("10.0.0.6/32", {"gamma"}), ("10.0.0.7/32", None)]


def test_a_company_may_be_called_by_digits():
    assert peers("10.0.0.5=365,2020") == (Peer(ip_network("10.0.0.5"), frozenset({"365", "2020"})),)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mail.alpha.test", "mail.alpha.test is not an address or network"),
        ("alpha=10.0.0.5", "alpha is not an address or network"),
        ("10.0.0.5/24", "10.0.0.5/24 is not an address or network"),
        ("10.0.0.5 alpha", "alpha is not an address or network"),
        ("10.0.0.5=alpha,mail.beta.test", "mail.beta.test is not an address or network"),
        ("10.0.0.5=", "nothing after 10.0.0.5= is not a company"),
        ("10.0.0.5=10.0.0.6", "10.0.0.6 after 10.0.0.5= is not a company"),
        ("10.0.0.5=alpha 10.0.0.5=beta", "10.0.0.5 stands there twice"),
        ("10.0.0.5=alpha,10.0.0.5", "10.0.0.5 stands there twice"),
        ("=alpha", "=alpha is not an address or network"),
    ],
)
def test_what_cannot_be_meant_is_told(text: str, told: str):
    with pytest.raises(ValueError, match=r"^FAXROOM_DOOR_PEERS: ") as error:
        peers(text)
    assert told in str(error.value)


def test_of_several_networks_the_narrowest_counts_in_whatever_order():
    for text in ("10.0.0.0/8 10.0.0.0/24=alpha 10.0.0.5=beta", "10.0.0.5=beta 10.0.0.0/24=alpha 10.0.0.0/8"):
        found = [peer_at(address, peers(text)) for address in ("10.0.0.5", "10.0.0.6", "10.9.9.9", "::ffff:10.0.0.5")]
        assert [peer.companies if peer else None for peer in found] == [{"beta"}, {"alpha"}, None, {"beta"}]
    assert peer_at("192.0.2.1", peers("10.0.0.0/8")) is peer_at("no address", peers("10.0.0.0/8")) is None
