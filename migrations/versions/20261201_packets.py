"""how much sound a packet of a call was to hold

Revision ID: 0042
Revises: 0041
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0042'
down_revision = '0041'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('attempt', sa.Column('asked_packet', sa.Integer(), nullable=True))


def downgrade():
    op.drop_column('attempt', 'asked_packet')
