"""a door for emails: boxes without a mailbox, what signs in there, and companies' domains

Revision ID: 0034
Revises: 0035
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0034'
down_revision = '0035'
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    with op.batch_alter_table('mail2fax_box') as table:
        table.add_column(sa.Column('source', sa.String(length=8), server_default='imap', nullable=False))
        table.create_check_constraint(op.f('ck_mail2fax_box_source'), "source IN ('imap', 'door')")
    op.add_column('tenant', sa.Column('fax_domain', sa.String(length=253), nullable=True))
    op.create_index(op.f('ix_tenant_fax_domain'), 'tenant', ['fax_domain'], unique=True)
    op.create_table(
        'door_credential',
        sa.Column('id', _ID, autoincrement=True, nullable=False),
        sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('box_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
        sa.Column('name', sa.String(length=100), nullable=False),
        sa.Column('username', sa.String(length=64), nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_door_credential_tenant_id_tenant')),
        sa.ForeignKeyConstraint(
            ['box_id'], ['mail2fax_box.id'], name=op.f('fk_door_credential_box_id_mail2fax_box'), ondelete='CASCADE'
        ),
        sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_door_credential_user_id_user')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_door_credential')),
        sa.UniqueConstraint('username', name=op.f('uq_door_credential_username')),
    )
    op.create_index(op.f('ix_door_credential_tenant_id'), 'door_credential', ['tenant_id'])
    op.create_index(op.f('ix_door_credential_box_id'), 'door_credential', ['box_id'])
    op.create_index(op.f('ix_door_credential_user_id'), 'door_credential', ['user_id'])


def downgrade():
    op.drop_table('door_credential')
    op.drop_index(op.f('ix_tenant_fax_domain'), table_name='tenant')
    op.drop_column('tenant', 'fax_domain')
    with op.batch_alter_table('mail2fax_box') as table:
        table.drop_constraint(op.f('ck_mail2fax_box_source'), type_='check')
        table.drop_column('source')
