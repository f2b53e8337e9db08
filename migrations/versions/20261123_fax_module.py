"""fax module

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-23 00:47:27.146501

"""
from datetime import UTC, datetime, timedelta

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
    sa.Column('note', sa.Text(), nullable=True),
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
        batch_op.add_column(sa.Column('seen_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('taken_by_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
        batch_op.add_column(sa.Column('taken_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column('done_by_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
        batch_op.add_column(sa.Column('done_at', sa.DateTime(timezone=True), nullable=True))
        batch_op.drop_index('ix_fax_entity_id')
        batch_op.drop_index('ix_fax_module')
        batch_op.drop_index('ix_fax_remote_number')
        batch_op.create_index('ix_fax_remote_number', ['tenant_id', 'direction', 'remote_number', 'created_at', 'id'], unique=False)
        batch_op.create_index('ix_fax_module', ['tenant_id', 'direction', 'created_at', 'id'], unique=False)
        batch_op.create_index('ix_fax_status', ['tenant_id', 'direction', 'status', 'created_at', 'id'], unique=False)
        batch_op.create_index('ix_fax_entity', ['entity_id', 'direction', 'created_at', 'id'], unique=False)
        batch_op.create_index('ix_fax_sender', ['user_id', 'entity_id', 'direction', 'created_at', 'id'], unique=False)
        batch_op.create_index('ix_fax_cause', ['tenant_id', 'direction', 'cause', 'created_at', 'id'], unique=False, sqlite_where=sa.text("cause IS NOT NULL"), postgresql_where=sa.text("cause IS NOT NULL"))
        batch_op.create_index('ix_fax_inbox', ['tenant_id', 'entity_id', 'id'], unique=False, sqlite_where=sa.text("direction = 'received' AND done_at IS NULL"), postgresql_where=sa.text("direction = 'received' AND done_at IS NULL"))
        batch_op.create_index('ix_fax_resend_of_id', ['resend_of_id'], unique=False, sqlite_where=sa.text("resend_of_id IS NOT NULL"), postgresql_where=sa.text("resend_of_id IS NOT NULL"))
        batch_op.create_index('ix_fax_done', ['tenant_id', 'done_at'], unique=False, sqlite_where=sa.text("done_by_id IS NOT NULL"), postgresql_where=sa.text("done_by_id IS NOT NULL"))
        batch_op.create_foreign_key(batch_op.f('fk_fax_done_by_id_user'), 'user', ['done_by_id'], ['id'])
        batch_op.create_foreign_key(batch_op.f('fk_fax_taken_by_id_user'), 'user', ['taken_by_id'], ['id'])

    with op.batch_alter_table('notice', schema=None) as batch_op:
        batch_op.add_column(sa.Column('occasion', sa.String(length=64), server_default='', nullable=False))
        batch_op.add_column(sa.Column('from_user_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True))
        batch_op.add_column(sa.Column('note', sa.Text(), nullable=True))
        batch_op.drop_constraint('uq_notice_fax_id_kind_recipient', type_='unique')
        batch_op.create_unique_constraint(batch_op.f('uq_notice_fax_id_kind_recipient_occasion'), ['fax_id', 'kind', 'recipient', 'occasion'])
        batch_op.create_index('uq_notice_reminder', ['recipient', 'occasion'], unique=True, sqlite_where=sa.text("kind = 'reminder'"), postgresql_where=sa.text("kind = 'reminder'"))
        batch_op.create_foreign_key(batch_op.f('fk_notice_from_user_id_user'), 'user', ['from_user_id'], ['id'])

    _fill_search_text(op.get_bind())
    _begin_inbox(op.get_bind())
    if op.get_bind().dialect.name == 'postgresql':
        op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        op.create_index('ix_fax_search', 'fax', ['search_text'], postgresql_using='gin', postgresql_ops={'search_text': 'gin_trgm_ops'}, postgresql_with={'fastupdate': 'off'})


def _begin_inbox(connection):
    """Received faxes that are older than a week are done with. Of the younger ones nobody knows whether somebody has
    looked at them, so they are in the inbox, unread for everybody who may receive them."""
    begin = datetime.now(UTC) - timedelta(days=7)
    begin = begin.replace(tzinfo=None) if connection.dialect.name == 'sqlite' else begin
    received = "direction = 'received' AND status IN ('received', 'incomplete')"
    old = sa.text(f"""UPDATE fax SET done_at = coalesce(finished_at, created_at)
        WHERE {received} AND (created_at < :begin OR (coalesce(pages, 0) = 0 AND source_id IS NULL))""")
    connection.execute(old.bindparams(sa.bindparam("begin", type_=sa.DateTime(timezone=True))), {"begin": begin})
    connection.execute(sa.text(f"""
        INSERT INTO unread (user_id, fax_id, tenant_id)
        SELECT "grant".user_id, fax.id, fax.tenant_id
        FROM fax JOIN "grant" ON "grant".entity_id = fax.entity_id JOIN "user" ON "user".id = "grant".user_id
        WHERE {received} AND done_at IS NULL AND "grant".may_receive AND "user".disabled_at IS NULL
    """))


def _fill_search_text(connection):
    """Faxes that were entered before there was a search are found as well."""
    from app.rules.log.search import search_text
    from tenants.models import Tenant

    faxes = connection.execute(sa.text("""
        SELECT fax.id, fax.remote_number, fax.remote_station_id, fax_entity.name AS entity, "user".name AS sender,
               document.name AS document, tenant.region, tenant.outside_prefix
        FROM fax JOIN tenant ON tenant.id = fax.tenant_id JOIN fax_entity ON fax_entity.id = fax.entity_id
        LEFT JOIN "user" ON "user".id = fax.user_id LEFT JOIN document ON document.id = fax.source_id
    """)).all()
    write = sa.text("UPDATE fax SET search_text = :line WHERE id = :id")
    for begin in range(0, len(faxes), 1000):
        lines = []
        for fax in faxes[begin:begin + 1000]:
            tenant = Tenant(region=fax.region, outside_prefix=fax.outside_prefix)
            names = [fax.document, fax.sender, fax.entity, fax.remote_station_id]
            lines.append({"id": fax.id, "line": search_text(tenant=tenant, number=fax.remote_number, names=names)})
        connection.execute(write, lines)


def downgrade():
    if op.get_bind().dialect.name == 'postgresql':
        op.drop_index('ix_fax_search', table_name='fax')
    op.execute("DELETE FROM notice WHERE kind IN ('forwarded', 'handed_over', 'reminder')")
    with op.batch_alter_table('notice', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_notice_from_user_id_user'), type_='foreignkey')
        batch_op.drop_index('uq_notice_reminder', sqlite_where=sa.text("kind = 'reminder'"), postgresql_where=sa.text("kind = 'reminder'"))
        batch_op.drop_constraint(batch_op.f('uq_notice_fax_id_kind_recipient_occasion'), type_='unique')
        batch_op.create_unique_constraint('uq_notice_fax_id_kind_recipient', ['fax_id', 'kind', 'recipient'])
        batch_op.drop_column('note')
        batch_op.drop_column('from_user_id')
        batch_op.drop_column('occasion')

    with op.batch_alter_table('fax', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_fax_taken_by_id_user'), type_='foreignkey')
        batch_op.drop_constraint(batch_op.f('fk_fax_done_by_id_user'), type_='foreignkey')
        batch_op.drop_index('ix_fax_done', sqlite_where=sa.text("done_by_id IS NOT NULL"), postgresql_where=sa.text("done_by_id IS NOT NULL"))
        batch_op.drop_index('ix_fax_resend_of_id', sqlite_where=sa.text("resend_of_id IS NOT NULL"), postgresql_where=sa.text("resend_of_id IS NOT NULL"))
        batch_op.drop_index('ix_fax_inbox', sqlite_where=sa.text("direction = 'received' AND done_at IS NULL"), postgresql_where=sa.text("direction = 'received' AND done_at IS NULL"))
        batch_op.drop_index('ix_fax_cause', sqlite_where=sa.text("cause IS NOT NULL"), postgresql_where=sa.text("cause IS NOT NULL"))
        batch_op.drop_index('ix_fax_sender')
        batch_op.drop_index('ix_fax_entity')
        batch_op.drop_index('ix_fax_status')
        batch_op.drop_index('ix_fax_module')
        batch_op.create_index('ix_fax_module', ['tenant_id', 'direction', 'id'], unique=False)
        batch_op.create_index('ix_fax_entity_id', ['entity_id'], unique=False)
        batch_op.drop_index('ix_fax_remote_number')
        batch_op.create_index('ix_fax_remote_number', ['remote_number'], unique=False)
        batch_op.drop_column('done_at')
        batch_op.drop_column('done_by_id')
        batch_op.drop_column('taken_at')
        batch_op.drop_column('taken_by_id')
        batch_op.drop_column('seen_at')
        batch_op.drop_column('search_text')

    with op.batch_alter_table('unread', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_unread_tenant_id'))
        batch_op.drop_index(batch_op.f('ix_unread_fax_id'))

    op.drop_table('unread')
    with op.batch_alter_table('inbox_event', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_inbox_event_tenant_id'))
        batch_op.drop_index(batch_op.f('ix_inbox_event_fax_id'))

    op.drop_table('inbox_event')
