"""One address, one owner, everywhere."""

import threading

import pytest
import sqlalchemy as sa

from tenants.addresses import AddressTaken, claim_address, user_by_address
from tenants.db import db
from tenants.models import EmailAddress


@pytest.mark.parametrize("spelling", ["bob@alpha.test", "BOB@ALPHA.TEST", " Bob@alpha.test "])
def test_an_address_is_taken_in_every_spelling(session, cast, spelling):
    with pytest.raises(AddressTaken):
        claim_address(session, spelling)


def test_the_transaction_goes_on_after_a_refusal(session, cast):
    with pytest.raises(AddressTaken):
        claim_address(session, "bob@alpha.test")
    claim_address(session, "new@alpha.test")
    session.commit()
    assert session.scalar(sa.select(sa.func.count()).where(EmailAddress.folded == "new@alpha.test")) == 1


def test_signing_in_does_not_depend_on_case(session, cast):
    assert user_by_address(session, "Charlie@Beta.Test").id == cast.charlie


def test_of_two_that_race_for_one_address_one_wins(app, cast):
    start, outcomes = threading.Barrier(2), []

    def race(spelling: str) -> None:
        with app.app_context():
            start.wait()
            try:
                claim_address(db.session, spelling)
                db.session.commit()
                outcomes.append("won")
            except AddressTaken:
                outcomes.append("taken")

    threads = [threading.Thread(target=race, args=(spelling,)) for spelling in ("x@alpha.test", "X@alpha.test")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["taken", "won"]
