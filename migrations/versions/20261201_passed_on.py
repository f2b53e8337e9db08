"""calls whose fax went on over another trunk

Revision ID: 0039
Revises: 0043
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0039'
down_revision = '0043'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('attempt', sa.Column('passed_on', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade():
    op.drop_column('attempt', 'passed_on')
