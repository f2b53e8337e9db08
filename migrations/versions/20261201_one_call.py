"""one call to a number at a time, what the trunk has shown of its channels, dials counted apart from tries

Revision ID: 0035
Revises: 0032
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0035'
down_revision = '0032'
branch_labels = None
depends_on = None

WAITS = "status IN ('ready', 'scheduled', 'retrying')"
ON_CALLED = "ended_at IS NULL AND called IS NOT NULL"


def upgrade():
    op.create_table(
        'called_number',
        sa.Column('number', sa.String(length=20), nullable=False),
        sa.Column('lines', sa.Integer(), nullable=False),
        sa.CheckConstraint('lines >= 1', name=op.f('ck_called_number_lines')),
        sa.PrimaryKeyConstraint('number', name=op.f('pk_called_number')),
    )
    op.create_table(
        'trunk_channels',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('channels', sa.Integer(), nullable=False),
        sa.Column('full_at', sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint('id = 1', name=op.f('ck_trunk_channels_one')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trunk_channels')),
    )
    op.add_column('attempt', sa.Column('called', sa.String(length=20), nullable=True))
    op.add_column('attempt', sa.Column('called_line', sa.Integer(), nullable=True))
    _index('uq_attempt_called_line', 'attempt', ['called', 'called_line'], ON_CALLED, unique=True)
    op.add_column('fax', sa.Column('urgent', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('fax', sa.Column('waits_for_number', sa.String(length=20), nullable=True))
    op.drop_index('ix_fax_waits_for_line', table_name='fax')
    order = ['entity_id', 'urgent', 'due_at', 'id']
    _index('ix_fax_waits_for_line', 'fax', order, f'{WAITS} AND waits_for_number IS NULL')
    _index('ix_fax_waits_for_number', 'fax', ['waits_for_number', *order], 'waits_for_number IS NOT NULL')
    _index('ix_fax_waits_for_cause', 'fax', ['cause', 'status'], f'{WAITS} AND cause IS NOT NULL')
    op.add_column('fax_template', sa.Column('max_dials', sa.Integer(), server_default='12', nullable=False))
    op.add_column('fax_template', sa.Column('dial_hours', sa.Integer(), server_default='24', nullable=False))
    # nobody gets fewer calls than before
    op.execute('UPDATE fax_template SET max_dials = max_attempts WHERE max_attempts > 12')


def downgrade():
    op.drop_column('fax_template', 'dial_hours')
    op.drop_column('fax_template', 'max_dials')
    for name in ('ix_fax_waits_for_cause', 'ix_fax_waits_for_number', 'ix_fax_waits_for_line'):
        op.drop_index(name, table_name='fax')
    _index('ix_fax_waits_for_line', 'fax', ['entity_id', 'due_at', 'id'], WAITS)
    op.drop_column('fax', 'waits_for_number')
    op.drop_column('fax', 'urgent')
    op.drop_index('uq_attempt_called_line', table_name='attempt')
    op.drop_column('attempt', 'called_line')
    op.drop_column('attempt', 'called')
    op.drop_table('trunk_channels')
    op.drop_table('called_number')


def _index(name, table, columns, where, *, unique=False):
    only = {'sqlite_where': sa.text(where), 'postgresql_where': sa.text(where)}
    op.create_index(name, table, columns, unique=unique, **only)
