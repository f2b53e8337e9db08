"""mail: a box's mailbox is signed in to at the provider

Revision ID: 0045
Revises: 0042
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0045'
down_revision = '0042'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('box_sign_in', sa.Column('authorize_url', sa.String(length=500), server_default='', nullable=False))
    op.add_column('box_sign_in', sa.Column('signed_in_as', sa.String(length=320), nullable=True))
    op.execute("UPDATE box_sign_in SET authorize_url = 'https://accounts.google.com/o/oauth2/v2/auth' WHERE provider = 'google'")
    op.execute(
        "UPDATE box_sign_in SET authorize_url = 'https://login.microsoftonline.com/' || directory || '/oauth2/v2.0/authorize' "
        "WHERE provider = 'microsoft' AND directory IS NOT NULL"
    )


def downgrade():
    """A box that signs in with a service account is one that its earlier version does not know: it goes without its
    sign-in, and collects nothing until it gets another one."""
    op.execute("DELETE FROM box_sign_in WHERE provider = 'google_service'")
    op.drop_column('box_sign_in', 'signed_in_as')
    op.drop_column('box_sign_in', 'authorize_url')
