"""the trunk that got through to a number

Revision ID: 0048
Revises: 0047
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0048'
down_revision = '0047'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('destination', schema=None) as batch_op:
        batch_op.add_column(sa.Column('trunk_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
        batch_op.create_index(batch_op.f('ix_destination_trunk_id'), ['trunk_id'], unique=False)
        batch_op.create_foreign_key(
            batch_op.f('fk_destination_trunk_id_trunk'), 'trunk', ['trunk_id'], ['id'], ondelete='SET NULL'
        )


def downgrade():
    with op.batch_alter_table('destination', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_destination_trunk_id_trunk'), type_='foreignkey')
        batch_op.drop_index(batch_op.f('ix_destination_trunk_id'))
        batch_op.drop_column('trunk_id')
