"""line status: what failed on one line is found by an index of its own

The two hold what did not simply go well, seven faxes of a hundred, for whoever sees some of the company's lines. And of
the words of a fax (0009) 300 lines tell PostgreSQL as much as a thousand, in half the time that it takes to make a plan.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

FAILED = sa.text("status NOT IN ('sent', 'received')")
WITH_CAUSE = sa.text('cause IS NOT NULL')


def upgrade():
    if op.get_bind().dialect.name == 'postgresql':
        op.create_index('ix_fax_line_status', 'fax', ['entity_id', 'direction', 'status', 'created_at', 'id'], postgresql_where=FAILED)
        op.create_index('ix_fax_line_cause', 'fax', ['entity_id', 'direction', 'cause', 'created_at', 'id'], postgresql_where=WITH_CAUSE)
        sample(300)


def downgrade():
    if op.get_bind().dialect.name == 'postgresql':
        sample(1000)
        op.drop_index('ix_fax_line_cause', table_name='fax')
        op.drop_index('ix_fax_line_status', table_name='fax')


def sample(lines):
    op.execute(f'ALTER TABLE fax ALTER COLUMN search_text SET STATISTICS {lines}')
    op.execute('ANALYZE fax')
