"""outbox: when a mail was given up and why, so that somebody can be told; why one waits

Revision ID: 0014
Revises: 0013
Create Date: 2026-11-29

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None

GIVEN_UP = sa.text('given_up_at IS NOT NULL')


def upgrade():
    op.add_column('notice', sa.Column('given_up_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('notice', sa.Column('cause', sa.String(length=32), nullable=True))
    op.execute("UPDATE notice SET given_up_at = created_at WHERE sent_at IS NULL AND due_at IS NULL")
    op.create_index('ix_notice_given_up', 'notice', ['tenant_id', 'given_up_at'], sqlite_where=GIVEN_UP, postgresql_where=GIVEN_UP)


def downgrade():
    op.drop_index('ix_notice_given_up', 'notice')
    op.drop_column('notice', 'cause')
    op.drop_column('notice', 'given_up_at')
