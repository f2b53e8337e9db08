"""search keys: the index of words knows of when and of which line a fax is

A word that one fax in three hundred has was looked at in all faxes of all lines and years; now in those in question.

Revision ID: 0011
Revises: 0010
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None

SPAN = "((created_at AT TIME ZONE '00:00:00'::interval)::date - '2000-01-01'::date) / 32"
SENT = "(direction::text = 'sent'::text)::integer"
LINE = f'(entity_id * 2 + {SENT}) * 4096'
KEYS = f'(ARRAY[({SENT} * 4096 + {SPAN})::bigint, {LINE}, {LINE} + {SPAN}])'


def upgrade():
    if op.get_bind().dialect.name == 'postgresql':
        index_words(sa.text(KEYS))


def downgrade():
    if op.get_bind().dialect.name == 'postgresql':
        index_words()


def index_words(*more):
    op.drop_index('ix_fax_search', table_name='fax')
    op.create_index('ix_fax_search', 'fax', ['search_text', *more], postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'}, postgresql_with={'fastupdate': 'off'})
    op.execute('ANALYZE fax')
