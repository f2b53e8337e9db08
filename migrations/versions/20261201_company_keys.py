"""company keys: documents are sealed, each company's with its own

Revision ID: 0025
Revises: 0024
Create Date: 2026-12-01

"""
import secrets
from datetime import datetime, timezone

from alembic import op
from cryptography.fernet import Fernet
from flask import current_app
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None

PLAIN = sa.text('sealed_with IS NULL AND removed_at IS NULL')


def upgrade():
    op.create_table('company_key',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_company_key_tenant_id_tenant')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_company_key'))
    )
    op.create_index(op.f('ix_company_key_tenant_id'), 'company_key', ['tenant_id'])
    op.add_column('document', sa.Column('sealed_with', sa.String(length=16), nullable=True))
    op.create_index('ix_document_plain', 'document', ['id'], sqlite_where=PLAIN, postgresql_where=PLAIN)
    _give_keys()


def _give_keys():
    """Each company has one from now on, as app/models/operator/company_key.py makes them."""
    connection, box = op.get_bind(), Fernet(current_app.config['SEALING_KEYS'][0])
    keys = sa.table('company_key', sa.column('tenant_id', sa.BigInteger), sa.column('content', sa.Text), sa.column('created_at', sa.DateTime(timezone=True)))
    tenants = sa.table('tenant', sa.column('id', sa.BigInteger), sa.column('deleting_at'))
    now = datetime.now(timezone.utc)
    for tenant_id in connection.scalars(sa.select(tenants.c.id).where(tenants.c.deleting_at.is_(None))).all():
        content = box.encrypt(f'{tenant_id}:{secrets.token_hex(32)}'.encode()).decode()
        connection.execute(keys.insert().values(tenant_id=tenant_id, content=content, created_at=now))


def downgrade():
    if op.get_bind().scalar(sa.text('SELECT count(*) FROM document WHERE sealed_with IS NOT NULL AND erased_at IS NULL')):
        raise RuntimeError('Documents are sealed, and the version before could not read them. Restore the backup made before the upgrade.')
    op.drop_index('ix_document_plain', 'document')
    op.drop_column('document', 'sealed_with')
    op.drop_table('company_key')
