"""pages that the other machine confirmed and called poor

Revision ID: 0047
Revises: 0039
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0047'
down_revision = '0039'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('attempt', sa.Column('poor_pages', sa.JSON(none_as_null=True), nullable=True))


def downgrade():
    op.drop_column('attempt', 'poor_pages')
