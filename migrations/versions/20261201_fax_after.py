"""when a shared line's telephone is taken for away, and callers from outside

Revision ID: 0041
Revises: 0038
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0041'
down_revision = '0038'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('fax_entity', sa.Column('fax_after', sa.Integer(), server_default='30', nullable=False))
    op.add_column('fax', sa.Column('from_outside', sa.Boolean(), nullable=True))


def downgrade():
    op.drop_column('fax', 'from_outside')
    op.drop_column('fax_entity', 'fax_after')
