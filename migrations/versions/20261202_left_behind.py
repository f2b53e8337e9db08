"""no id of a removed trunk again; no pictures of first pages, which former versions made; extensions found among many

Revision ID: 0051
Revises: 0050
Create Date: 2026-12-02

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0051'
down_revision = '0050'
branch_labels = None
depends_on = None

INSIDE = sa.text(
    "status IN ('ready', 'scheduled', 'retrying') AND waits_for_number IS NULL AND substr(dial_string, 1, 1) <> '+'"
)
HAS_PICTURE = sa.text('picture_id IS NOT NULL')


def upgrade():
    on_sqlite = op.get_bind().dialect.name == 'sqlite'
    if on_sqlite:
        with op.batch_alter_table('trunk', recreate='always', table_kwargs={'sqlite_autoincrement': True}):
            pass
        _begin_behind(_last_tested())
    # the rows stay, as those of all files that are removed; upkeep removes the files
    op.execute("UPDATE document SET removed_at = CURRENT_TIMESTAMP WHERE kind = 'picture' AND removed_at IS NULL")
    op.drop_index('ix_fax_picture_id', 'fax')
    others = _indexes_of_fax() if on_sqlite else []
    with op.batch_alter_table('fax') as fax:
        fax.drop_constraint('fk_fax_picture_id_document', type_='foreignkey')
        fax.drop_column('picture_id')
    _make_again(others)
    by = ['entity_id', 'urgent', 'due_at', 'id']
    op.create_index('ix_fax_waits_inside', 'fax', by, sqlite_where=INSIDE, postgresql_where=INSIDE)


def downgrade():
    op.drop_index('ix_fax_waits_inside', 'fax')
    others = _indexes_of_fax() if op.get_bind().dialect.name == 'sqlite' else []
    with op.batch_alter_table('fax') as fax:
        fax.add_column(sa.Column('picture_id', sa.String(length=26), nullable=True))
        fax.create_foreign_key('fk_fax_picture_id_document', 'document', ['picture_id'], ['id'])
    _make_again(others)
    op.create_index('ix_fax_picture_id', 'fax', ['picture_id'], sqlite_where=HAS_PICTURE, postgresql_where=HAS_PICTURE)
    if op.get_bind().dialect.name == 'sqlite':
        with op.batch_alter_table('trunk', recreate='always', table_kwargs={'sqlite_autoincrement': False}):
            pass


def _last_tested():
    """The highest id of a trunk that is there or that test calls name (app.rules.sending.trunks.choosing)."""
    keys = op.get_bind().scalars(sa.text("SELECT submission_key FROM fax WHERE submission_key LIKE 'trunk-%'"))
    ids = [int(key.split('-')[1]) for key in keys if key.split('-')[1].isdecimal()]
    return max([0, *ids, *op.get_bind().scalars(sa.text('SELECT id FROM trunk'))])


def _begin_behind(last):
    op.execute("DELETE FROM sqlite_sequence WHERE name = 'trunk'")
    op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('trunk', {last})")


def _indexes_of_fax():
    """SQLite copies the table for it, and Alembic does not know those of expressions."""
    return op.get_bind().execute(
        sa.text("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'fax' AND type IN ('index', 'trigger') AND sql IS NOT NULL")
    ).all()


def _make_again(those):
    there = set(op.get_bind().scalars(sa.text("SELECT name FROM sqlite_master"))) if those else set()
    for name, sql in those:
        if name not in there:
            op.execute(sa.text(sql.replace(':', '\\:')))
