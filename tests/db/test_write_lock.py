"""Many writers at SQLite's one write lock."""

import threading

import pytest
import sqlalchemy as sa

from app.models import Fax
from tenants.db import db
from tenants.models import Tenant


def test_writers_wait_for_each_other_and_lose_nothing(app, cast):
    def count(times):
        with app.app_context():
            for _ in range(times):
                tenant = db.session.get(Tenant, cast.alpha, populate_existing=True, with_for_update=True)
                tenant.last_fax_number += 1
                db.session.commit()

    with app.app_context():
        before = db.session.get_one(Tenant, cast.alpha).last_fax_number
        db.session.rollback()
    writers = [threading.Thread(target=count, args=(20,)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    with app.app_context():
        assert db.session.get_one(Tenant, cast.alpha).last_fax_number == before + 160


def test_a_writer_that_fails_lets_the_next_one_in(app, cast):
    with app.app_context():
        with pytest.raises(sa.exc.IntegrityError):
            db.session.execute(sa.insert(Fax).values(id="0" * 26))
        db.session.rollback()
        done = threading.Event()

        def write():
            with app.app_context():
                db.session.get_one(Tenant, cast.alpha).name = "Alpha Spa"
                db.session.commit()
                done.set()

        threading.Thread(target=write).start()
        assert done.wait(10)
