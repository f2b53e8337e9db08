"""mail2fax

Revision ID: 0007
Revises: 0006
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

ACCEPTED = sa.text("fate = 'accepted'")
LEFT = sa.text("filed_in IS NULL")


def big():
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    op.add_column('tenant', sa.Column('mail_proof_required', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('mail2fax_box', sa.Column('poll_seconds', sa.Integer(), server_default='60', nullable=False))
    op.add_column('mail2fax_box', sa.Column('authserv_id', sa.String(length=255), nullable=True))
    op.create_table('mail_message',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('box_id', big(), nullable=True),
    sa.Column('uid_validity', sa.BigInteger(), nullable=False),
    sa.Column('uid', sa.BigInteger(), nullable=False),
    sa.Column('message_id', sa.String(length=255), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('sender', sa.String(length=320), nullable=True),
    sa.Column('subject', sa.String(length=255), nullable=True),
    sa.Column('fate', sa.String(length=8), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('reason_values', sa.JSON(), nullable=True),
    sa.Column('checks', sa.JSON(), nullable=True),
    sa.Column('signature_digest', sa.String(length=64), nullable=True),
    sa.Column('user_id', big(), nullable=True),
    sa.Column('entity_id', big(), nullable=True),
    sa.Column('fax_id', sa.String(length=26), nullable=True),
    sa.Column('answered', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('filed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('filed_in', sa.String(length=255), nullable=True),
    sa.Column('tenant_id', big(), nullable=False),
    sa.CheckConstraint("fate IN ('accepted', 'refused', 'repeated')", name=op.f('ck_mail_message_fate')),
    sa.ForeignKeyConstraint(['box_id'], ['mail2fax_box.id'], name=op.f('fk_mail_message_box_id_mail2fax_box'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['entity_id'], ['fax_entity.id'], name=op.f('fk_mail_message_entity_id_fax_entity')),
    sa.ForeignKeyConstraint(['fax_id'], ['fax.id'], name=op.f('fk_mail_message_fax_id_fax')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_mail_message_tenant_id_tenant')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_mail_message_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_message')),
    sa.UniqueConstraint('box_id', 'uid_validity', 'uid', 'message_id', 'digest', name='uq_mail_message_delivery')
    )
    op.create_index(op.f('ix_mail_message_tenant_id'), 'mail_message', ['tenant_id'])
    op.create_index('ix_mail_message_box', 'mail_message', ['box_id', 'id'])
    op.create_index('ix_mail_message_reason', 'mail_message', ['box_id', 'reason', 'created_at'])
    op.create_index('ix_mail_message_fax', 'mail_message', ['fax_id'])
    op.create_index('ix_mail_message_left', 'mail_message', ['box_id', 'uid_validity'], sqlite_where=LEFT, postgresql_where=LEFT)
    op.create_index('uq_mail_message_fax', 'mail_message', ['box_id', 'digest'], unique=True, sqlite_where=ACCEPTED, postgresql_where=ACCEPTED)
    op.create_index('uq_mail_message_signature', 'mail_message', ['tenant_id', 'signature_digest'], unique=True, sqlite_where=ACCEPTED, postgresql_where=ACCEPTED)
    op.create_table('box_state',
    sa.Column('box_id', big(), autoincrement=False, nullable=False),
    sa.Column('holder', sa.String(length=64), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('idle', sa.Boolean(), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('fault', sa.String(length=40), nullable=True),
    sa.Column('fault_values', sa.JSON(), nullable=True),
    sa.Column('fault_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tenant_id', big(), nullable=False),
    sa.ForeignKeyConstraint(['box_id'], ['mail2fax_box.id'], name=op.f('fk_box_state_box_id_mail2fax_box'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_box_state_tenant_id_tenant')),
    sa.PrimaryKeyConstraint('box_id', name=op.f('pk_box_state'))
    )
    op.create_index(op.f('ix_box_state_tenant_id'), 'box_state', ['tenant_id'])


def downgrade():
    op.drop_table('box_state')
    op.drop_table('mail_message')
    op.drop_column('mail2fax_box', 'authserv_id')
    op.drop_column('mail2fax_box', 'poll_seconds')
    op.drop_column('tenant', 'mail_proof_required')
