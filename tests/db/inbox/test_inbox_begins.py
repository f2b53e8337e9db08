"""The shared inbox begins in a database that knows faxes already."""

from datetime import timedelta

import flask_migrate
import pytest
import sqlalchemy as sa

from tenants.db import db, utc_now
from tests.db.ground.test_migrations import FOLDER, _one_row_in_each_table


@pytest.mark.parametrize(("days", "pages", "waits"), [(1, 2, True), (6, 1, True), (8, 2, False), (1, 0, False)])
def test_what_came_in_the_last_week_waits_unread_and_what_is_older_is_done(app, days, pages, waits):
    with app.app_context():
        db.drop_all()
        flask_migrate.upgrade(directory=FOLDER, revision="0001")
        _one_row_in_each_table()
        came = (utc_now() - timedelta(days=days)).replace(tzinfo=None)
        with db.engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE fax SET direction = 'received', status = 'received', pages = :p, created_at = :at"),
                {"p": pages, "at": came},
            )
            connection.execute(sa.text("UPDATE fax SET source_id = NULL"))
            connection.execute(sa.text('UPDATE "grant" SET may_receive = true'))
            connection.execute(sa.text('UPDATE "user" SET disabled_at = NULL'))
        flask_migrate.upgrade(directory=FOLDER, revision="0002")
        with db.engine.connect() as connection:
            unread = connection.scalar(sa.text("SELECT count(*) FROM unread"))
            done = connection.scalar(sa.text("SELECT count(*) FROM fax WHERE done_at IS NOT NULL"))
        assert (unread, done) == ((1, 0) if waits else (0, 1))
        flask_migrate.downgrade(directory=FOLDER, revision="base")
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
