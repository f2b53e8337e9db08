"""which wrong PINs a mail put forward, which program wrote it, which programs a box lets in, one refusal a day

Revision ID: 0032
Revises: 0037
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0032'
down_revision = '0037'
branch_labels = None
depends_on = None

GUESSES = sa.text('guesses IS NOT NULL')
ONE_A_DAY = sa.text("kind = 'mail_refused' AND occasion != ''")


def upgrade():
    op.add_column('mail2fax_box', sa.Column('programs', sa.Text(), server_default='', nullable=False))
    op.add_column('mail_message', sa.Column('guesses', sa.Text(), nullable=True))
    op.add_column('mail_message', sa.Column('program', sa.String(length=16), nullable=True))
    op.drop_index('ix_mail_message_reason', 'mail_message')
    columns = ['box_id', 'sender', 'created_at']
    op.create_index('ix_mail_message_guesses', 'mail_message', columns, sqlite_where=GUESSES, postgresql_where=GUESSES)
    # before 0029 an occasion was the number of the mail, which stands in a column of its own since
    op.execute("UPDATE notice SET occasion = '' WHERE kind = 'mail_refused' AND mail_id IS NOT NULL")
    columns = ['tenant_id', 'recipient', 'occasion']
    op.create_index('uq_notice_refused', 'notice', columns, unique=True, sqlite_where=ONE_A_DAY, postgresql_where=ONE_A_DAY)


def downgrade():
    op.drop_index('uq_notice_refused', 'notice')
    op.drop_index('ix_mail_message_guesses', 'mail_message')
    op.create_index('ix_mail_message_reason', 'mail_message', ['box_id', 'reason', 'created_at'])
    op.drop_column('mail_message', 'program')
    op.drop_column('mail_message', 'guesses')
    op.drop_column('mail2fax_box', 'programs')
