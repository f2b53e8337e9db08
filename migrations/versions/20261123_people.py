"""people

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

KEY_EXPIRES = sa.text("kind = 'key_expires'")


def big():
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    op.create_table('one_time_link',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('token_digest', sa.String(length=64), nullable=False),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('user_id', big(), nullable=False),
    sa.Column('created_by_id', big(), nullable=True),
    sa.Column('submission_key', sa.String(length=64), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['created_by_id'], ['user.id'], name=op.f('fk_one_time_link_created_by_id_user')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_one_time_link_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_one_time_link')),
    sa.UniqueConstraint('created_by_id', 'submission_key', name=op.f('uq_one_time_link_created_by_id_submission_key')),
    sa.UniqueConstraint('token_digest', name=op.f('uq_one_time_link_token_digest'))
    )
    op.create_index(op.f('ix_one_time_link_user_id'), 'one_time_link', ['user_id'])
    op.create_table('second_factor',
    sa.Column('user_id', big(), autoincrement=False, nullable=False),
    sa.Column('secret', sa.Text(), nullable=True),
    sa.Column('last_counter', sa.BigInteger(), nullable=True),
    sa.Column('pending_secret', sa.Text(), nullable=True),
    sa.Column('pending_codes', sa.Text(), nullable=True),
    sa.Column('pending_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_second_factor_user_id_user')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_second_factor'))
    )
    op.create_table('recovery_code',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('user_id', big(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_recovery_code_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recovery_code'))
    )
    op.create_index(op.f('ix_recovery_code_user_id'), 'recovery_code', ['user_id'])

    op.add_column('tenant', sa.Column('second_factor_required', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column('user', sa.Column('second_factor_at', sa.DateTime(timezone=True), nullable=True))

    op.add_column('sign_in_session', sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE sign_in_session SET last_seen_at = CURRENT_TIMESTAMP")
    with op.batch_alter_table('sign_in_session', schema=None) as batch_op:
        batch_op.alter_column('last_seen_at', existing_type=sa.DateTime(timezone=True), nullable=False)

    with op.batch_alter_table('pgp_public_key', schema=None) as batch_op:
        batch_op.add_column(sa.Column('fingerprint', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('user_ids', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('algorithm', sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column('validity', sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.create_index(batch_op.f('ix_pgp_public_key_fingerprint'), ['fingerprint'])
        batch_op.create_unique_constraint(batch_op.f('uq_pgp_public_key_user_id_fingerprint'), ['user_id', 'fingerprint'])

    with op.batch_alter_table('notice', schema=None) as batch_op:
        batch_op.add_column(sa.Column('user_id', big(), nullable=True))
        batch_op.add_column(sa.Column('secret', sa.Text(), nullable=True))
        batch_op.alter_column('fax_id', existing_type=sa.String(length=26), nullable=True)
        batch_op.alter_column('tenant_id', existing_type=big(), nullable=True)
        batch_op.create_foreign_key(batch_op.f('fk_notice_user_id_user'), 'user', ['user_id'], ['id'])
        batch_op.create_index('uq_notice_key_expires', ['recipient', 'occasion'], unique=True, sqlite_where=KEY_EXPIRES, postgresql_where=KEY_EXPIRES)


def downgrade():
    op.execute("DELETE FROM notice WHERE fax_id IS NULL OR tenant_id IS NULL")
    with op.batch_alter_table('notice', schema=None) as batch_op:
        batch_op.drop_index('uq_notice_key_expires', sqlite_where=KEY_EXPIRES, postgresql_where=KEY_EXPIRES)
        batch_op.drop_constraint(batch_op.f('fk_notice_user_id_user'), type_='foreignkey')
        batch_op.alter_column('tenant_id', existing_type=big(), nullable=False)
        batch_op.alter_column('fax_id', existing_type=sa.String(length=26), nullable=False)
        batch_op.drop_column('secret')
        batch_op.drop_column('user_id')

    with op.batch_alter_table('pgp_public_key', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('uq_pgp_public_key_user_id_fingerprint'), type_='unique')
        batch_op.drop_index(batch_op.f('ix_pgp_public_key_fingerprint'))
        for name in ('expires_at', 'validity', 'algorithm', 'user_ids', 'fingerprint'):
            batch_op.drop_column(name)

    with op.batch_alter_table('sign_in_session', schema=None) as batch_op:
        batch_op.drop_column('last_seen_at')
    op.drop_column('user', 'second_factor_at')
    op.drop_column('tenant', 'second_factor_required')

    op.drop_table('recovery_code')
    op.drop_table('second_factor')
    op.drop_table('one_time_link')
