"""what the operator lets be dialled, and whose numbers are whose

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
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'dialing_policy',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('countries', sa.JSON(), server_default='[]', nullable=False),
        sa.Column('premium_allowed', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('satellite_allowed', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('rest_days', sa.Integer(), server_default='30', nullable=False),
        sa.Column('trunk_region', sa.String(length=2), nullable=True),
        sa.CheckConstraint('id = 1', name=op.f('ck_dialing_policy_one')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_dialing_policy')),
    )
    op.add_column('tenant', sa.Column('calls_a_day', sa.Integer(), server_default='0', nullable=False))
    op.add_column('tenant', sa.Column('minutes_a_day', sa.Integer(), server_default='0', nullable=False))
    op.create_index('ix_attempt_day', 'attempt', ['tenant_id', 'created_at'])
    op.add_column('fax', sa.Column('released_by_id', sa.BigInteger(), nullable=True))
    op.create_table(
        'pool_number',
        sa.Column('id', big, nullable=False),
        sa.Column('number', sa.String(length=20), nullable=False),
        sa.Column('tenant_id', big, nullable=True),
        sa.Column('to_approve', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('released_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('last_holder_id', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_pool_number_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_pool_number')),
        sa.UniqueConstraint('number', name=op.f('uq_pool_number_number')),
    )
    op.create_index(op.f('ix_pool_number_tenant_id'), 'pool_number', ['tenant_id'])
    op.create_table(
        'stray_call',
        sa.Column('id', big, nullable=False),
        sa.Column('called', sa.String(length=40), nullable=False),
        sa.Column('reason', sa.String(length=10), nullable=False),
        sa.Column('calls', sa.Integer(), nullable=False),
        sa.Column('last_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_stray_call')),
        sa.UniqueConstraint('called', name=op.f('uq_stray_call_called')),
    )
    # what companies have in use stays theirs, and is shown to the operator
    op.execute(
        "INSERT INTO pool_number (number, tenant_id, to_approve) "
        "SELECT DISTINCT number, tenant_id, true FROM fax_entity WHERE closed_at IS NULL AND number IS NOT NULL"
    )


def downgrade():
    op.drop_column('fax', 'released_by_id')
    op.drop_table('stray_call')
    op.drop_table('pool_number')
    op.drop_index('ix_attempt_day', table_name='attempt')
    op.drop_column('tenant', 'minutes_a_day')
    op.drop_column('tenant', 'calls_a_day')
    op.drop_table('dialing_policy')
