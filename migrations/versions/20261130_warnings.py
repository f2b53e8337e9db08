"""documents: what a person should know of one before it goes out

Revision ID: 0017
Revises: 0016
Create Date: 2026-11-30

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('document', sa.Column('warnings', sa.JSON(), nullable=True))


def downgrade():
    op.drop_column('document', 'warnings')
