"""the header of an attempt as it went, and how many lines a company says that a number has

Revision ID: 0043
Revises: 0045
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0043'
down_revision = '0045'
branch_labels = None
depends_on = None


def upgrade():
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.add_column('attempt', sa.Column('header_name', sa.String(length=50), nullable=True))
    op.add_column('attempt', sa.Column('header_station', sa.String(length=20), nullable=True))
    op.create_table(
        'number_lines',
        sa.Column('id', big, nullable=False),
        sa.Column('number', sa.String(length=20), nullable=False),
        sa.Column('lines', sa.Integer(), nullable=False),
        sa.Column('tenant_id', big, nullable=False),
        sa.CheckConstraint('lines >= 1', name=op.f('ck_number_lines_lines')),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_number_lines_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_number_lines')),
        sa.UniqueConstraint('number', 'tenant_id', name=op.f('uq_number_lines_number_tenant_id')),
    )
    op.create_index(op.f('ix_number_lines_tenant_id'), 'number_lines', ['tenant_id'])


def downgrade():
    op.drop_table('number_lines')
    op.drop_column('attempt', 'header_station')
    op.drop_column('attempt', 'header_name')
