"""For which addresses there are passkeys."""

import pytest

from tenants.passkeys import Party, party_at


@pytest.mark.parametrize(
    ("url", "party"),
    [
        ("https://fax.example.org", Party("fax.example.org", "https://fax.example.org")),
        ("https://Fax.Example.org:8443/", Party("fax.example.org", "https://fax.example.org:8443")),
        ("http://127.0.0.1:8000", Party("localhost", "http://localhost:8000")),
        ("http://[::1]:8000", Party("localhost", "http://localhost:8000")),
        ("http://localhost:8000", Party("localhost", "http://localhost:8000")),
        ("http://fax.example.org", None),
        ("https://192.0.2.1", None),
        ("", None),
    ],
)
def test_passkeys_are_of_a_host_name_with_https_or_of_this_machine(url: str, party: Party | None) -> None:
    assert party_at(url) == party
