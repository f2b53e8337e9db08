"""what the operator lets be dialled

Revision ID: 0020
Revises: 0019
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'dialing_policy',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('countries', sa.JSON(), server_default='[]', nullable=False),
        sa.Column('premium_allowed', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('satellite_allowed', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint('id = 1', name=op.f('ck_dialing_policy_one')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_dialing_policy')),
    )
    op.add_column('tenant', sa.Column('calls_a_day', sa.Integer(), server_default='0', nullable=False))
    op.add_column('tenant', sa.Column('minutes_a_day', sa.Integer(), server_default='0', nullable=False))
    op.create_index('ix_attempt_day', 'attempt', ['tenant_id', 'created_at'])


def downgrade():
    op.drop_index('ix_attempt_day', table_name='attempt')
    op.drop_column('tenant', 'minutes_a_day')
    op.drop_column('tenant', 'calls_a_day')
    op.drop_table('dialing_policy')
