"""pages that the other machine called poor and wanted again

Revision ID: 0050
Revises: 0049
Create Date: 2026-12-02

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0050'
down_revision = '0049'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('attempt', sa.Column('refused_pages', sa.JSON(none_as_null=True), nullable=True))


def downgrade():
    op.drop_column('attempt', 'refused_pages')
