"""turns: in which lane a document waits, and whose turn it was when

Revision ID: 0015
Revises: 0014
Create Date: 2026-11-30

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None

UNPREPARED = sa.text("status IN ('accepted', 'preparing')")
WAITS_FOR_LINE = sa.text("status IN ('ready', 'scheduled', 'retrying')")


def upgrade():
    op.add_column('fax', sa.Column('lane', sa.String(length=12), nullable=True))
    op.add_column('fax', sa.Column('gave_way', sa.Integer(), server_default='0', nullable=False))
    op.execute(
        "UPDATE fax SET lane = CASE WHEN EXISTS (SELECT 1 FROM document WHERE document.id = fax.source_id"
        " AND document.type <> 'pdf') THEN 'offices' ELSE 'documents' END WHERE status IN ('accepted', 'preparing')"
    )
    op.create_index('ix_fax_lane', 'fax', ['lane', 'tenant_id', 'user_id', 'id'], sqlite_where=UNPREPARED, postgresql_where=UNPREPARED)
    op.create_index('ix_fax_waits_for_line', 'fax', ['entity_id', 'due_at', 'id'], sqlite_where=WAITS_FOR_LINE, postgresql_where=WAITS_FOR_LINE)
    op.create_table(
        'last_turn',
        sa.Column('kind', sa.String(length=12), nullable=False),
        sa.Column('owner_id', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_last_turn_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('kind', 'owner_id', name=op.f('pk_last_turn')),
    )
    op.create_index(op.f('ix_last_turn_tenant_id'), 'last_turn', ['tenant_id'])


def downgrade():
    op.drop_table('last_turn')
    op.drop_index('ix_fax_waits_for_line', 'fax')
    op.drop_index('ix_fax_lane', 'fax')
    op.drop_column('fax', 'gave_way')
    op.drop_column('fax', 'lane')
