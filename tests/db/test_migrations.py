"""The migrations lead to what the models say, and back."""

from pathlib import Path

import flask_migrate
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from tenants.db import db

FOLDER = str(Path(__file__).parents[2] / "migrations")


def test_every_migration_goes_up_and_down_and_ends_at_the_models(app):
    with app.app_context():
        db.drop_all()
        flask_migrate.upgrade(directory=FOLDER)
        flask_migrate.check(directory=FOLDER)
        for _ in ScriptDirectory(FOLDER).walk_revisions():
            flask_migrate.downgrade(directory=FOLDER)
        left = set(sa.inspect(db.engine).get_table_names())
        assert left == {"alembic_version"}
        flask_migrate.upgrade(directory=FOLDER)
        with db.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
