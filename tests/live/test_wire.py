"""What a carrier reads in an INVITE: whom it is for, and whose number stands where."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.models import CallerIn, NumberForm
from app.rules.sending.trunks.fields import FILE, MODULES, TrunkFields, file_text
from app.rules.sending.trunks.writing_out import wire_number
from tests.live.lines import Line, call_of, light_pages, wait_until
from tests.live.strange import HOST, Stranger

pytestmark = pytest.mark.live

OURS, CALLED, ACCOUNT = "+390501234567", "+390509655637", "account"
#: Where our number stands, without an account and with one: the user in From, P-Asserted-Identity, Remote-Party-ID.
PLACES = {
    (CallerIn.USUAL, False): (OURS, OURS, ""),
    (CallerIn.USUAL, True): (ACCOUNT, OURS, ""),
    (CallerIn.FROM, False): (OURS, "", ""),
    (CallerIn.FROM, True): (OURS, "", ""),
    (CallerIn.BOTH, False): (OURS, OURS, ""),
    (CallerIn.BOTH, True): (OURS, OURS, ""),
    (CallerIn.REMOTE_PARTY, False): (OURS, "", OURS),
    (CallerIn.REMOTE_PARTY, True): (OURS, "", OURS),
}
#: In Italy.
FORMS = {
    NumberForm.PLUS: CALLED,
    NumberForm.DIGITS: "390509655637",
    NumberForm.INTERNATIONAL: "00390509655637",
    NumberForm.NATIONAL: "0509655637",
}
Invites = dict[str, dict[str, str]]


def name_of(place: CallerIn, has_account: bool) -> str:
    return f"{place}-{'account' if has_account else 'none'}"


@pytest.fixture(scope="module")
def invites(asterisk_root: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Invites]:
    """Trunk, or form of the called number → the INVITE's headers, and its URI as ``uri``."""
    folder = tmp_path_factory.mktemp("wire")
    page = light_pages(folder / "page.tif", 1)
    with Stranger() as carrier:
        plain = TrunkFields(HOST, carrier.port)
        account = replace(plain, username=ACCOUNT, password="secret", registers=True)
        trunks = [
            replace(account if has_account else plain, name=name_of(place, has_account), caller_in=place)
            for place, has_account in PLACES
        ]
        line = Line(folder / "line", local={}, trunk=f"sip:{HOST}:{carrier.port}")
        line.start()
        (line.home / "spool/faxroom" / FILE).write_text(file_text(trunks, sip_port=line.sip_port))
        line.ari.read_anew(MODULES)
        found: Invites = {}

        def place_call(key: str, trunk: str, wire: str = "") -> None:
            known = set(carrier.calls)
            call = call_of(f"fax-wire{len(found)}-1", page, CALLED, caller_number=OURS)
            line.ari.originate(replace(call, trunk=trunk, wire=wire))
            (new,) = wait_until(100, f"an INVITE over {trunk}", lambda: set(carrier.calls) - known)
            found[key] = carrier.calls[new].headers

        try:
            for trunk in trunks:
                place_call(trunk.name, trunk.name)
            for form in FORMS:
                place_call(form, trunks[0].name, wire_number(CALLED, form, "IT"))
            yield found
        finally:
            line.stop()


def user_in(header: str) -> str:
    return header.partition("sip:")[2].partition("@")[0]


@pytest.mark.parametrize(("place", "has_account"), PLACES)
def test_our_number_stands_where_the_trunk_wants_it(invites: Invites, place: CallerIn, has_account: bool) -> None:
    headers = invites[name_of(place, has_account)]
    names = ("from", "p-asserted-identity", "remote-party-id")
    assert tuple(user_in(headers.get(name, "")) for name in names) == PLACES[place, has_account]
    assert "privacy" not in headers


@pytest.mark.parametrize("form", FORMS)
def test_the_called_number_is_written_as_the_trunk_wants_it(invites: Invites, form: NumberForm) -> None:
    assert user_in(invites[form]["uri"]) == FORMS[form]
    assert user_in(invites[form]["to"]) == FORMS[form]
