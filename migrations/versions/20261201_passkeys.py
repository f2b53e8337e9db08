"""people: passkeys, addresses that have not answered yet, and alerts about one person's faxes

Revision ID: 0027
Revises: 0029
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0027'
down_revision = '0029'
branch_labels = None
depends_on = None

INCIDENT = 'uq_alert_incident_open'
OPEN = sa.text('ended_at IS NULL')


def upgrade():
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'passkey',
        sa.Column('id', big, nullable=False),
        sa.Column('user_id', big, nullable=False),
        sa.Column('name', sa.String(length=100), nullable=False),
        sa.Column('credential_id', sa.String(length=1400), nullable=False),
        sa.Column('public_key', sa.Text(), nullable=False),
        sa.Column('user_handle', sa.String(length=64), nullable=False),
        sa.Column('sign_count', sa.BigInteger(), nullable=False),
        sa.Column('transports', sa.JSON(), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_passkey_user_id_user')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_passkey')),
        sa.UniqueConstraint('credential_id', name=op.f('uq_passkey_credential_id')),
    )
    op.create_index(op.f('ix_passkey_user_id'), 'passkey', ['user_id'])
    op.create_table(
        'spent_challenge',
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('spent_at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_spent_challenge')),
    )
    op.create_index(op.f('ix_spent_challenge_spent_at'), 'spent_challenge', ['spent_at'])
    op.add_column('user', sa.Column('new_email', sa.String(length=320), nullable=True))
    op.add_column('alert_incident', sa.Column('about_id', sa.BigInteger(), server_default='0', nullable=False))
    # what is about nobody by name is told anew, about each of them
    op.execute("UPDATE alert_incident SET ended_at = began_at WHERE ended_at IS NULL AND kind = 'senders'")
    op.drop_index(INCIDENT, table_name='alert_incident')
    op.create_index(
        INCIDENT, 'alert_incident', ['tenant_id', 'kind', 'about_id'], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )


def downgrade():
    """Of a company's alerts about several people the first stays open."""
    op.drop_index(INCIDENT, table_name='alert_incident')
    op.execute(
        "UPDATE alert_incident SET ended_at = began_at WHERE ended_at IS NULL AND id NOT IN "
        "(SELECT min(id) FROM alert_incident WHERE ended_at IS NULL GROUP BY tenant_id, kind)"
    )
    op.drop_column('alert_incident', 'about_id')
    op.create_index(
        INCIDENT, 'alert_incident', ['tenant_id', 'kind'], unique=True, sqlite_where=OPEN, postgresql_where=OPEN
    )
    op.drop_column('user', 'new_email')
    op.drop_table('spent_challenge')
    op.drop_table('passkey')
