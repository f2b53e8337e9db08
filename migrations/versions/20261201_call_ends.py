"""what the network said of a call, and a trunk that is set aside

Revision ID: 0026
Revises: 0028
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0026'
down_revision = '0028'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('attempt', sa.Column('response', sa.String(length=120), nullable=True))
    op.create_index('ix_attempt_ended', 'attempt', ['ended_at'])
    op.create_table(
        'trunk_trouble',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.Column('probe_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('outcome', sa.String(length=32), nullable=False),
        sa.Column('response', sa.String(length=120), nullable=True),
        sa.CheckConstraint('id = 1', name=op.f('ck_trunk_trouble_one')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trunk_trouble')),
    )


def downgrade():
    op.drop_table('trunk_trouble')
    op.drop_index('ix_attempt_ended', table_name='attempt')
    op.drop_column('attempt', 'response')
