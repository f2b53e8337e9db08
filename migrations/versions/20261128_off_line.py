"""off line: an incoming call that is over takes no place, however long its pages wait to be entered

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
    op.add_column('attempt', sa.Column('off_line_at', sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column('attempt', 'off_line_at')
