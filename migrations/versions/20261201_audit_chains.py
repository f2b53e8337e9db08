"""audit log: entries are chained by their digests; those that are there become the beginnings of the chains

Revision ID: 0022
Revises: 0020
Create Date: 2026-12-01

"""
import hashlib
import json
from datetime import UTC

from alembic import op
import sqlalchemy as sa

from tenants.db import UtcDateTime


# revision identifiers, used by Alembic.
revision = '0022'
down_revision = '0020'
branch_labels = None
depends_on = None

BEGINNING = '0' * 64
BATCH = 1_000

EVENT = sa.table(
    'audit_event',
    sa.column('id', sa.BigInteger),
    sa.column('tenant_id', sa.BigInteger),
    sa.column('user_id', sa.BigInteger),
    sa.column('action', sa.String),
    sa.column('target', sa.String),
    sa.column('before', sa.JSON),
    sa.column('after', sa.JSON),
    sa.column('remote_address', sa.String),
    sa.column('at', UtcDateTime),
)


LINKS_APPEND_ONLY = {
    "sqlite": (
        """CREATE TRIGGER audit_link_no_update BEFORE UPDATE ON audit_link
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER audit_link_no_delete BEFORE DELETE ON audit_link
        WHEN NOT EXISTS (SELECT 1 FROM tenant WHERE id = OLD.chain AND deleting_at IS NOT NULL)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    ),
    "postgresql": (
        """CREATE OR REPLACE FUNCTION audit_link_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF EXISTS (SELECT 1 FROM tenant WHERE id = OLD.chain AND deleting_at IS NOT NULL) THEN
                    RETURN OLD;
                END IF;
            END IF;
            RAISE EXCEPTION 'the audit log is append-only';
        END $$""",
        """CREATE TRIGGER audit_link_append_only BEFORE UPDATE OR DELETE ON audit_link
        FOR EACH ROW EXECUTE FUNCTION audit_link_append_only()""",
        """CREATE TRIGGER audit_link_no_truncate BEFORE TRUNCATE ON audit_link
        FOR EACH STATEMENT EXECUTE FUNCTION audit_link_append_only()""",
    ),
}


def upgrade():
    chain = op.create_table(
        'audit_chain',
        sa.Column('chain', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
        sa.Column('length', sa.BigInteger(), nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('shipped', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_audit_chain_tenant_id_tenant')),
        sa.PrimaryKeyConstraint('chain', name=op.f('pk_audit_chain')),
        sa.UniqueConstraint('tenant_id', name=op.f('uq_audit_chain_tenant_id')),
    )
    link = op.create_table(
        'audit_link',
        sa.Column('chain', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('n', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('event_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(['event_id'], ['audit_event.id'], name=op.f('fk_audit_link_event_id_audit_event')),
        sa.PrimaryKeyConstraint('chain', 'n', name=op.f('pk_audit_link')),
        sa.UniqueConstraint('event_id', name=op.f('uq_audit_link_event_id')),
    )
    _chain_what_is_there(chain, link)
    for statement in LINKS_APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _chain_what_is_there(chain, link):
    """The digests of app/rules/audit/audit_chain.py, as they are from here on."""
    connection, ends, last = op.get_bind(), {}, 0
    while True:
        query = sa.select(EVENT).where(EVENT.c.id > last).order_by(EVENT.c.id).limit(BATCH)
        rows = connection.execute(query).mappings().all()
        if not rows:
            break
        last, links = rows[-1]['id'], []
        for row in rows:
            n, digest = ends.get(row['tenant_id'], (0, BEGINNING))
            entry = {name: row[name] for name in ('id', 'tenant_id', 'user_id', 'action', 'target', 'before', 'after')}
            entry['remote_address'] = row['remote_address']
            entry['at'] = row['at'].astimezone(UTC).isoformat(timespec='microseconds')
            text = json.dumps(entry, sort_keys=True, separators=(',', ':'), ensure_ascii=True).encode()
            digest = hashlib.sha256(digest.encode() + b'\n' + text).hexdigest()
            ends[row['tenant_id']] = n + 1, digest
            links.append({'chain': row['tenant_id'] or 0, 'n': n + 1, 'event_id': row['id'], 'digest': digest})
        connection.execute(sa.insert(link), links)
    for tenant_id, (length, digest) in ends.items():
        values = {'chain': tenant_id or 0, 'tenant_id': tenant_id, 'length': length, 'digest': digest, 'shipped': 0}
        connection.execute(sa.insert(chain).values(values))


def downgrade():
    op.drop_table('audit_link')
    op.drop_table('audit_chain')
    if op.get_bind().dialect.name == 'postgresql':
        op.execute('DROP FUNCTION audit_link_append_only()')
