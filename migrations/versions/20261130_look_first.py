"""fax: waits until its sender has looked at its pages; what to know of these

Revision ID: 0019
Revises: 0018
Create Date: 2026-11-30

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None

LOOKED_AT = sa.text('look_until IS NOT NULL')


def upgrade():
    op.add_column('fax', sa.Column('look_until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('fax', sa.Column('page_notes', sa.JSON(), nullable=True))
    op.create_index('ix_fax_look_until', 'fax', ['look_until'], sqlite_where=LOOKED_AT, postgresql_where=LOOKED_AT)


def downgrade():
    op.drop_index('ix_fax_look_until', 'fax')
    op.drop_column('fax', 'page_notes')
    op.drop_column('fax', 'look_until')
