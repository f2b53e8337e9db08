"""quotas: how much a company may have stored, uploaded and mailed

Revision ID: 0016
Revises: 0015
Create Date: 2026-11-30

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None

DEFAULTS = {'quota_storage': '500', 'quota_drafts': '10000', 'quota_uploads': '20000', 'quota_mails': '20000'}
STORED = sa.text('erased_at IS NULL')
SOURCES = sa.text("kind = 'source'")
BY_PEOPLE = sa.text('from_user_id IS NOT NULL')


def upgrade():
    for name, default in DEFAULTS.items():
        op.add_column('tenant', sa.Column(name, sa.Integer(), server_default=default, nullable=False))
    op.create_index('ix_document_stored', 'document', ['tenant_id', 'user_id', 'size'], sqlite_where=STORED, postgresql_where=STORED)
    op.create_index('ix_document_given', 'document', ['tenant_id', 'created_at', 'user_id'], sqlite_where=SOURCES, postgresql_where=SOURCES)
    op.create_index('ix_notice_by_people', 'notice', ['tenant_id', 'created_at', 'from_user_id'], sqlite_where=BY_PEOPLE, postgresql_where=BY_PEOPLE)


def downgrade():
    op.drop_index('ix_notice_by_people', 'notice')
    op.drop_index('ix_document_given', 'document')
    op.drop_index('ix_document_stored', 'document')
    for name in DEFAULTS:
        op.drop_column('tenant', name)
