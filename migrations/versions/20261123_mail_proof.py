"""mail proof: a test mail has a fate of its own

Revision ID: 0008
Revises: 0007
Create Date: 2026-11-23

"""
from alembic import op


# revision identifiers, used by Alembic.
revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

NAME = 'ck_mail_message_fate'


def allow(*fates):
    allowed = "fate IN (%s)" % ", ".join(f"'{fate}'" for fate in fates)
    if op.get_bind().dialect.name == 'sqlite':
        # a table that is copied leaves its old checks behind
        with op.batch_alter_table('mail_message', recreate='always') as batch_op:
            batch_op.create_check_constraint(op.f(NAME), allowed)
    else:
        op.drop_constraint(op.f(NAME), 'mail_message', type_='check')
        op.create_check_constraint(op.f(NAME), 'mail_message', allowed)


def upgrade():
    allow('accepted', 'refused', 'repeated', 'tested')


def downgrade():
    op.execute("UPDATE mail_message SET fate = 'refused' WHERE fate = 'tested'")
    allow('accepted', 'refused', 'repeated')
