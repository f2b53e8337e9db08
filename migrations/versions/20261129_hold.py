"""hold: a restored installation sends nothing before somebody has said so

Revision ID: 0013
Revises: 0012
Create Date: 2026-11-29

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'hold',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('since', sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint('id = 1', name=op.f('ck_hold_one')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_hold')),
    )


def downgrade():
    op.drop_table('hold')
