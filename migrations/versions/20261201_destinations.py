"""what a number has shown, how a call was to go, and what came wrong of it

Revision ID: 0036
Revises: 0026
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0036'
down_revision = '0026'
branch_labels = None
depends_on = None

#: Of an attempt.
FLAGS = ('asked_t38', 'asked_ecm', 'asked_standard')
COUNTS = ('asked_rate', 'damaged_lines')


def upgrade():
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'destination',
        sa.Column('id', big, nullable=False),
        sa.Column('number', sa.String(length=40), nullable=False),
        sa.Column('t38', sa.String(length=8), nullable=True),
        sa.Column('rate', sa.Integer(), nullable=True),
        sa.Column('ecm', sa.Boolean(), nullable=True),
        sa.Column('standard_only', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('station_id', sa.String(length=64), nullable=True),
        sa.Column('learned_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('tenant_id', big, nullable=False),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_destination_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_destination')),
        sa.UniqueConstraint('tenant_id', 'number', name=op.f('uq_destination_tenant_id_number')),
    )
    op.create_index(op.f('ix_destination_tenant_id'), 'destination', ['tenant_id'])
    op.create_index('ix_destination_learned_at', 'destination', ['learned_at'])
    for name in FLAGS:
        op.add_column('attempt', sa.Column(name, sa.Boolean(), nullable=True))
    for name in COUNTS:
        op.add_column('attempt', sa.Column(name, sa.Integer(), nullable=True))
    # it was the wish of the line's template, and never what the machines had agreed on
    op.execute("UPDATE attempt SET asked_ecm = ecm, ecm = NULL WHERE ecm IS NOT NULL")


def downgrade():
    op.execute("UPDATE attempt SET ecm = asked_ecm WHERE ecm IS NULL")
    for name in (*FLAGS, *COUNTS):
        op.drop_column('attempt', name)
    op.drop_index('ix_destination_learned_at', table_name='destination')
    op.drop_index(op.f('ix_destination_tenant_id'), table_name='destination')
    op.drop_table('destination')
