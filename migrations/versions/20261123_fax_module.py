"""fax module

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-23 00:47:27.146501

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('inbox_event',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('fax_id', sa.String(length=26), nullable=False),
    sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('act', sa.String(length=16), nullable=False),
    sa.Column('to_user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['fax_id'], ['fax.id'], name=op.f('fk_inbox_event_fax_id_fax')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_inbox_event_tenant_id_tenant')),
    sa.ForeignKeyConstraint(['to_user_id'], ['user.id'], name=op.f('fk_inbox_event_to_user_id_user')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_inbox_event_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_inbox_event'))
    )
    with op.batch_alter_table('inbox_event', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_inbox_event_fax_id'), ['fax_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_inbox_event_tenant_id'), ['tenant_id'], unique=False)

    op.create_table('unread',
    sa.Column('user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('fax_id', sa.String(length=26), nullable=False),
    sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['fax_id'], ['fax.id'], name=op.f('fk_unread_fax_id_fax')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_unread_tenant_id_tenant')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_unread_user_id_user')),
    sa.PrimaryKeyConstraint('user_id', 'fax_id', name=op.f('pk_unread'))
    )
    with op.batch_alter_table('unread', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_unread_fax_id'), ['fax_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_unread_tenant_id'), ['tenant_id'], unique=False)

    with op.batch_alter_table('fax', schema=None) as batch_op:
        batch_op.add_column(sa.Column('search_text', sa.Text(), server_default='', nullable=False))
        batch_op.add_column(sa.Column('taken_by_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
        batch_op.add_column(sa.Column('taken_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('done_by_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
        batch_op.add_column(sa.Column('done_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index('ix_fax_inbox', ['tenant_id', 'entity_id', 'id'], unique=False, sqlite_where=sa.text("direction = 'received' AND done_at IS NULL"), postgresql_where=sa.text("direction = 'received' AND done_at IS NULL"))
        batch_op.create_foreign_key(batch_op.f('fk_fax_done_by_id_user'), 'user', ['done_by_id'], ['id'])
        batch_op.create_foreign_key(batch_op.f('fk_fax_taken_by_id_user'), 'user', ['taken_by_id'], ['id'])



def downgrade():
    with op.batch_alter_table('fax', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_fax_taken_by_id_user'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_fax_done_by_id_user'), type_='foreignkey')
        batch_op.drop_index('ix_fax_inbox', sqlite_where=sa.text("direction = 'received' AND done_at IS NULL"), postgresql_where=sa.text("direction = 'received' AND done_at IS NULL"))
        batch_op.drop_column('done_at')
        batch_op.drop_column('done_by_id')
        batch_op.drop_column('taken_at')
        batch_op.drop_column('taken_by_id')
        batch_op.drop_column('search_text')

    with op.batch_alter_table('unread', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_unread_tenant_id'))
        batch_op.drop_index(batch_op.f('ix_unread_fax_id'))

    op.drop_table('unread')
    with op.batch_alter_table('inbox_event', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_inbox_event_tenant_id'))
        batch_op.drop_index(batch_op.f('ix_inbox_event_fax_id'))

    op.drop_table('inbox_event')
