"""sign-in: when whoever is there last proved who they are

Revision ID: 0023
Revises: 0022
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('sign_in_session', sa.Column('proved_at', sa.DateTime(timezone=True), nullable=True))


def downgrade():
    op.drop_column('sign_in_session', 'proved_at')
