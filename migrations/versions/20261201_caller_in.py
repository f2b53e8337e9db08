"""trunks whose own number stands as usual

Revision ID: 0049
Revises: 0046
Create Date: 2026-12-01

"""
from alembic import op


# revision identifiers, used by Alembic.
revision = '0049'
down_revision = '0046'
branch_labels = None
depends_on = None


def upgrade():
    op.execute("UPDATE trunk SET caller_in = 'usual' WHERE caller_in = 'pai'")  # did the same


def downgrade():
    """The two are not told apart any more, nor need they be."""
