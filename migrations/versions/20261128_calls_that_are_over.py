"""off line: an incoming call that is over takes no place, however long its pages wait to be entered; and who had a
number before, so that what came for it then is not given to its next holder

Revision ID: 0012
Revises: 0011
Create Date: 2026-11-28

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('fax_entity', sa.Column('number_since', sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        'former_number',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
        sa.Column('number', sa.String(length=20), nullable=False),
        sa.Column('holder_id', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_former_number')),
    )
    op.create_index(op.f('ix_former_number_number'), 'former_number', ['number'])
    op.execute(
        "INSERT INTO former_number (number, holder_id) SELECT number, tenant_id FROM fax_entity "
        "WHERE closed_at IS NOT NULL AND number IS NOT NULL"
    )
    op.add_column('attempt', sa.Column('off_line_at', sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column('attempt', 'off_line_at')
    op.drop_table('former_number')
    op.drop_column('fax_entity', 'number_since')
