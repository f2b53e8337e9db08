"""calls of shared lines to telephones, and redirects that the operator lets be followed

Revision ID: 0028
Revises: 0027
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0028'
down_revision = '0027'
branch_labels = None
depends_on = None


def upgrade():
    big = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
    op.create_table(
        'voice_call',
        sa.Column('id', big, nullable=False),
        sa.Column('tenant_id', big, nullable=False),
        sa.Column('entity_id', big, nullable=False),
        sa.Column('node', sa.String(length=64), nullable=False),
        sa.Column('channel', sa.String(length=64), nullable=False),
        sa.Column('caller', sa.String(length=32), nullable=True),
        sa.Column('dialled', sa.String(length=32), nullable=False),
        sa.Column('goes_out', sa.Boolean(), nullable=False),
        sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('end', sa.String(length=12), nullable=True),
        sa.ForeignKeyConstraint(['entity_id'], ['fax_entity.id'], name=op.f('fk_voice_call_entity_id_fax_entity')),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_voice_call_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_voice_call')),
        sa.UniqueConstraint('channel', name=op.f('uq_voice_call_channel')),
    )
    op.create_index(op.f('ix_voice_call_tenant_id'), 'voice_call', ['tenant_id'])
    op.create_index('ix_voice_call_log', 'voice_call', ['tenant_id', 'began_at', 'id'])
    op.create_index('ix_voice_call_line', 'voice_call', ['entity_id', 'began_at', 'id'])
    over, runs = sa.text('ended_at IS NOT NULL'), sa.text('ended_at IS NULL')
    op.create_index(
        'ix_voice_call_ended', 'voice_call', ['tenant_id', 'ended_at'], sqlite_where=over, postgresql_where=over
    )
    op.create_index('ix_voice_call_open', 'voice_call', ['node'], sqlite_where=runs, postgresql_where=runs)
    op.add_column('fax', sa.Column('redirected_to', sa.String(length=20), nullable=True))
    op.add_column('attempt', sa.Column('dialled', sa.String(length=20), nullable=True))
    followed = sa.Column('redirects_followed', sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column('dialing_policy', followed)
    for name, value in (('voice_per_line', '10'), ('voice_per_company', '30'), ('voice_minutes', '120')):
        op.add_column('dialing_policy', sa.Column(name, sa.Integer(), server_default=value, nullable=False))


def downgrade():
    for name in ('voice_minutes', 'voice_per_company', 'voice_per_line', 'redirects_followed'):
        op.drop_column('dialing_policy', name)
    op.drop_column('attempt', 'dialled')
    op.drop_column('fax', 'redirected_to')
    op.drop_table('voice_call')
