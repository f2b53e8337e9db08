"""what any trunk may take, found behind what trunks have passed on

Revision ID: 0052
Revises: 0051
Create Date: 2026-12-02

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0052'
down_revision = '0051'
branch_labels = None
depends_on = None

FOR_ANY = sa.text(
    "status IN ('ready', 'scheduled', 'retrying') AND waits_for_number IS NULL AND coalesce(cause, '') <> 'next_trunk'"
)


def upgrade():
    by = ['entity_id', 'urgent', 'due_at', 'id']
    op.create_index('ix_fax_waits_for_any', 'fax', by, sqlite_where=FOR_ANY, postgresql_where=FOR_ANY)


def downgrade():
    op.drop_index('ix_fax_waits_for_any', 'fax')
