"""lines

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

OPEN = sa.text("closed_at IS NULL")
ORDERED = sa.text("send_at IS NOT NULL")
TEST = sa.text("test_of_id IS NOT NULL")
FIRST = sa.text("n = 1")
#: Index → columns that belong to one entity only as long as it is open.
UNIQUE = {
    'uq_fax_entity_name': ['tenant_id', 'name'],
    'uq_fax_entity_extension': ['tenant_id', 'extension'],
    'uq_fax_entity_number': ['number'],
}


def big():
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    with op.batch_alter_table('fax_entity', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_fax_entity_number'), type_='unique')
        batch_op.drop_constraint(batch_op.f('uq_fax_entity_tenant_id_extension'), type_='unique')
        batch_op.drop_constraint(batch_op.f('uq_fax_entity_tenant_id_name'), type_='unique')
        batch_op.add_column(sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.alter_column('template_id', existing_type=big(), nullable=True)
    for name, columns in UNIQUE.items():
        op.create_index(name, 'fax_entity', columns, unique=True, sqlite_where=OPEN, postgresql_where=OPEN)

    op.add_column('fax_template', sa.Column('allowed_prefixes', sa.JSON(), server_default='[]', nullable=False))
    op.add_column('fax_template', sa.Column('forbidden_prefixes', sa.JSON(), server_default='[]', nullable=False))
    op.add_column('fax_template', sa.Column('premium_allowed', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('fax_template', sa.Column('daily_cap', sa.Integer(), server_default='0', nullable=False))

    op.add_column('fax', sa.Column('test_of_id', sa.String(length=26), nullable=True))
    op.create_index('uq_fax_test_of_id', 'fax', ['test_of_id'], unique=True, sqlite_where=TEST, postgresql_where=TEST)
    op.create_index('ix_fax_send_at', 'fax', ['entity_id', 'send_at'], sqlite_where=ORDERED, postgresql_where=ORDERED)

    op.create_index('ix_attempt_first', 'attempt', ['entity_id', 'created_at'], sqlite_where=FIRST, postgresql_where=FIRST)

    op.create_table('pending_change',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('user_id', big(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('target_id', sa.BigInteger(), nullable=True),
    sa.Column('act', sa.String(length=8), nullable=False),
    sa.Column('before', sa.JSON(), nullable=False),
    sa.Column('after', sa.JSON(), nullable=False),
    sa.Column('secrets', sa.Text(), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tenant_id', big(), nullable=False),
    sa.CheckConstraint("act IN ('add', 'change', 'remove')", name=op.f('ck_pending_change_act')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_pending_change_tenant_id_tenant')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_pending_change_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_pending_change')),
    sa.UniqueConstraint('user_id', 'kind', 'target_id', name=op.f('uq_pending_change_user_id_kind_target_id'))
    )
    op.create_index(op.f('ix_pending_change_tenant_id'), 'pending_change', ['tenant_id'])
    op.create_index(op.f('ix_pending_change_user_id'), 'pending_change', ['user_id'])


def downgrade():
    op.drop_table('pending_change')
    op.drop_index('ix_attempt_first', 'attempt', sqlite_where=FIRST, postgresql_where=FIRST)
    op.drop_index('ix_fax_send_at', 'fax', sqlite_where=ORDERED, postgresql_where=ORDERED)
    op.drop_index('uq_fax_test_of_id', 'fax', sqlite_where=TEST, postgresql_where=TEST)
    op.drop_column('fax', 'test_of_id')
    for name in ('daily_cap', 'premium_allowed', 'forbidden_prefixes', 'allowed_prefixes'):
        op.drop_column('fax_template', name)

    # Closed entities stay, as lines that nothing leads to: their faxes belong to them.
    op.execute("UPDATE fax_entity SET number = NULL, extension = '-' || id, name = substr(name, 1, 80) || ' -' || id WHERE closed_at IS NOT NULL")
    op.execute("""INSERT INTO fax_template (tenant_id, name, header, station_id, resolution, page_size, ecm, t38, max_rate, max_attempts, ring_seconds, max_seconds)
        SELECT DISTINCT e.tenant_id, '-', '', '', 'fine', 'A4', true, true, 14400, 5, 60, 3600 FROM fax_entity e
        WHERE e.template_id IS NULL AND NOT EXISTS (SELECT 1 FROM fax_template t WHERE t.tenant_id = e.tenant_id)""")
    op.execute("UPDATE fax_entity SET template_id = (SELECT min(t.id) FROM fax_template t WHERE t.tenant_id = fax_entity.tenant_id) WHERE template_id IS NULL")
    for name in UNIQUE:
        op.drop_index(name, 'fax_entity')
    with op.batch_alter_table('fax_entity', schema=None) as batch_op:
        batch_op.alter_column('template_id', existing_type=big(), nullable=False)
        batch_op.drop_column('closed_at')
        batch_op.create_unique_constraint(batch_op.f('uq_fax_entity_number'), ['number'])
        batch_op.create_unique_constraint(batch_op.f('uq_fax_entity_tenant_id_extension'), ['tenant_id', 'extension'])
        batch_op.create_unique_constraint(batch_op.f('uq_fax_entity_tenant_id_name'), ['tenant_id', 'name'])
