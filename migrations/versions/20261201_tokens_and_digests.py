"""mail: tokens in place of passwords, how received faxes are mailed, digests of what was sent

Revision ID: 0033
Revises: 0034
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0033'
down_revision = '0034'
branch_labels = None
depends_on = None

WARNED = sa.text("kind = 'token_ends'")


def _token_columns():
    return (
        sa.Column('refresh_token', sa.Text(), nullable=True),
        sa.Column('refresh_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('access_token', sa.Text(), nullable=True),
        sa.Column('access_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('refused', sa.String(length=40), nullable=True),
        sa.Column('refused_at', sa.DateTime(timezone=True), nullable=True),
    )


def upgrade():
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.add_column('fax_entity', sa.Column('received_mail', sa.String(length=16), server_default='attached', nullable=False))
    op.add_column('user', sa.Column('received_mail', sa.String(length=16), nullable=True))
    op.add_column('user', sa.Column('digest_at', sa.Time(), nullable=True))
    op.create_table(
        'box_sign_in',
        sa.Column('id', big, nullable=False),
        sa.Column('tenant_id', big, nullable=False),
        sa.Column('box_id', big, nullable=False),
        sa.Column('provider', sa.String(length=16), nullable=False),
        sa.Column('directory', sa.String(length=255), nullable=True),
        sa.Column('token_url', sa.String(length=500), nullable=False),
        sa.Column('client_id', sa.String(length=255), nullable=False),
        sa.Column('client_secret', sa.Text(), nullable=False),
        sa.Column('scope', sa.String(length=1000), nullable=False),
        sa.Column('secret_ends_on', sa.Date(), nullable=True),
        sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
        *_token_columns(),
        sa.ForeignKeyConstraint(['box_id'], ['mail2fax_box.id'], name=op.f('fk_box_sign_in_box_id_mail2fax_box'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_box_sign_in_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_box_sign_in')),
        sa.UniqueConstraint('box_id', name=op.f('uq_box_sign_in_box_id')),
    )
    op.create_index(op.f('ix_box_sign_in_tenant_id'), 'box_sign_in', ['tenant_id'])
    op.create_table(
        'smtp_sign_in',
        sa.Column('id', big, nullable=False),
        sa.Column('place', sa.String(length=64), nullable=False),
        *_token_columns(),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_smtp_sign_in')),
        sa.UniqueConstraint('place', name=op.f('uq_smtp_sign_in_place')),
    )
    op.create_table(
        'digest_entry',
        sa.Column('id', big, nullable=False),
        sa.Column('tenant_id', big, nullable=False),
        sa.Column('user_id', big, nullable=False),
        sa.Column('fax_id', sa.String(length=26), nullable=False),
        sa.Column('notice_id', big, nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['fax_id'], ['fax.id'], name=op.f('fk_digest_entry_fax_id_fax')),
        sa.ForeignKeyConstraint(['notice_id'], ['notice.id'], name=op.f('fk_digest_entry_notice_id_notice')),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_digest_entry_tenant_id_tenant')),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_digest_entry_user_id_user')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_digest_entry')),
        sa.UniqueConstraint('fax_id', 'user_id', name=op.f('uq_digest_entry_fax_id_user_id')),
    )
    for name in ('tenant_id', 'user_id', 'notice_id'):
        op.create_index(op.f(f'ix_digest_entry_{name}'), 'digest_entry', [name])
    op.create_index(
        'uq_notice_token_ends', 'notice', ['recipient', 'occasion'], unique=True, sqlite_where=WARNED, postgresql_where=WARNED
    )


def downgrade():
    """What signs in with tokens has no password then, and collects nothing until it gets one; what a digest would have
    told is in the fax log."""
    op.drop_index('uq_notice_token_ends', table_name='notice')
    op.execute("DELETE FROM notice WHERE kind IN ('digest', 'token_ends')")
    op.drop_table('digest_entry')
    op.drop_table('smtp_sign_in')
    op.drop_table('box_sign_in')
    op.drop_column('user', 'digest_at')
    op.drop_column('user', 'received_mail')
    op.drop_column('fax_entity', 'received_mail')
