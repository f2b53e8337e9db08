"""calls that were under way at the far end, such as by SIP 183

Revision ID: 0046
Revises: 0048
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0046'
down_revision = '0048'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('attempt', sa.Column('under_way', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute("UPDATE attempt SET under_way = true WHERE response = 'SIP 183 Session Progress'")


def downgrade():
    op.drop_column('attempt', 'under_way')
