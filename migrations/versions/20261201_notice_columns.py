"""what a mail is about stands in columns, and no more in the text of its occasion

Revision ID: 0029
Revises: 0025
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0029'
down_revision = '0025'
branch_labels = None
depends_on = None

KEY_EXPIRES = sa.text("kind = 'key_expires'")
#: Column → kinds of mails that began their occasion with its number.
NUMBERED = {
    'incident_id': "('alert', 'all_clear')",
    'mail_id': "('mail_accepted', 'mail_refused', 'mail_tested')",
    'box_id': "('box_fault')",
}


def upgrade():
    for name in NUMBERED:
        op.add_column('notice', sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column('notice', sa.Column('fingerprint', sa.String(length=64), nullable=True))
    is_sqlite = op.get_bind().dialect.name == 'sqlite'
    number = 'CAST(occasion AS INTEGER)' if is_sqlite else "CAST(split_part(occasion, ' ', 1) AS BIGINT)"
    has_number = "occasion GLOB '[0-9]*'" if is_sqlite else "occasion ~ '^[0-9]{1,18}( |$)'"
    for name, kinds in NUMBERED.items():
        op.execute(f'UPDATE notice SET {name} = {number} WHERE kind IN {kinds} AND {has_number}')
    op.drop_index('uq_notice_key_expires', 'notice')
    gap = "instr(occasion, ' ')" if is_sqlite else "strpos(occasion, ' ')"
    op.execute(
        f'UPDATE notice SET fingerprint = substr(occasion, 1, {gap} - 1), occasion = substr(occasion, {gap} + 1) '
        f"WHERE kind = 'key_expires' AND {gap} > 1"
    )
    columns = ['recipient', 'fingerprint', 'occasion']
    op.create_index('uq_notice_key_expires', 'notice', columns, unique=True, sqlite_where=KEY_EXPIRES, postgresql_where=KEY_EXPIRES)


def downgrade():
    op.drop_index('uq_notice_key_expires', 'notice')
    op.execute("UPDATE notice SET occasion = fingerprint || ' ' || occasion WHERE fingerprint IS NOT NULL")
    for name in NUMBERED:
        op.execute(f"UPDATE notice SET occasion = CAST({name} AS VARCHAR(20)) WHERE {name} IS NOT NULL AND occasion = ''")
    op.create_index('uq_notice_key_expires', 'notice', ['recipient', 'occasion'], unique=True, sqlite_where=KEY_EXPIRES, postgresql_where=KEY_EXPIRES)
    for name in ('fingerprint', *reversed(NUMBERED)):
        op.drop_column('notice', name)
