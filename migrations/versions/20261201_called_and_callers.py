"""how the trunk writes called and calling numbers; whose the calls are that reached nobody

Revision ID: 0037
Revises: 0036
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0037'
down_revision = '0036'
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    with op.batch_alter_table('dialing_policy') as table:
        table.add_column(sa.Column('trunk_area', sa.String(length=8), nullable=True))
        table.add_column(sa.Column('trunk_company_id', BIG, nullable=True))
        table.add_column(sa.Column('called_order', sa.JSON(), server_default='[]', nullable=False))
        table.add_column(sa.Column('caller_form', sa.String(length=8), server_default='usual', nullable=False))
        table.create_foreign_key(
            'fk_dialing_policy_trunk_company_id_tenant', 'tenant', ['trunk_company_id'], ['id'], ondelete='SET NULL'
        )
    op.add_column('stray_call', sa.Column('number', sa.String(length=20), nullable=True))
    op.add_column('stray_call', sa.Column('caller', sa.String(length=32), nullable=True))
    op.create_index('ix_stray_call_number', 'stray_call', ['number'])


def downgrade():
    op.drop_index('ix_stray_call_number', 'stray_call')
    op.drop_column('stray_call', 'caller')
    op.drop_column('stray_call', 'number')
    with op.batch_alter_table('dialing_policy') as table:
        table.drop_constraint('fk_dialing_policy_trunk_company_id_tenant', type_='foreignkey')
        table.drop_column('caller_form')
        table.drop_column('called_order')
        table.drop_column('trunk_company_id')
        table.drop_column('trunk_area')
