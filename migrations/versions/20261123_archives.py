"""archives

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

OPEN = sa.text("done_at IS NULL")
TO_ERASE = sa.text("removed_at IS NOT NULL AND erased_at IS NULL")
FILES_KEPT = sa.text("files_removed_at IS NULL")
REPORT_KEPT = sa.text("direction = 'sent' AND report_removed_at IS NULL")


def big():
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    op.create_table('archive_place',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('encrypted', sa.Boolean(), nullable=False),
    sa.Column('keeps_sent', sa.Boolean(), nullable=False),
    sa.Column('keeps_received', sa.Boolean(), nullable=False),
    sa.Column('keeps_reports', sa.Boolean(), nullable=False),
    sa.Column('folder', sa.String(length=200), nullable=False),
    sa.Column('endpoint', sa.String(length=300), nullable=True),
    sa.Column('region', sa.String(length=40), nullable=True),
    sa.Column('bucket', sa.String(length=63), nullable=True),
    sa.Column('access_key', sa.String(length=200), nullable=True),
    sa.Column('secret_key', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tenant_id', big(), nullable=False),
    sa.CheckConstraint("kind IN ('folder', 's3')", name=op.f('ck_archive_place_kind')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_archive_place_tenant_id_tenant')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_archive_place')),
    sa.UniqueConstraint('tenant_id', 'name', name=op.f('uq_archive_place_tenant_id_name'))
    )
    op.create_index(op.f('ix_archive_place_tenant_id'), 'archive_place', ['tenant_id'])
    op.create_table('archive_copy',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('fax_id', sa.String(length=26), nullable=False),
    sa.Column('place_id', big(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tries', sa.Integer(), nullable=False),
    sa.Column('error', sa.String(length=255), nullable=True),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('object_name', sa.String(length=500), nullable=True),
    sa.Column('tenant_id', big(), nullable=False),
    sa.ForeignKeyConstraint(['fax_id'], ['fax.id'], name=op.f('fk_archive_copy_fax_id_fax')),
    sa.ForeignKeyConstraint(['place_id'], ['archive_place.id'], name=op.f('fk_archive_copy_place_id_archive_place'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_archive_copy_tenant_id_tenant')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_archive_copy')),
    sa.UniqueConstraint('fax_id', 'kind', 'place_id', name=op.f('uq_archive_copy_fax_id_kind_place_id'))
    )
    op.create_index(op.f('ix_archive_copy_place_id'), 'archive_copy', ['place_id'])
    op.create_index(op.f('ix_archive_copy_tenant_id'), 'archive_copy', ['tenant_id'])
    op.create_index('ix_archive_copy_due', 'archive_copy', ['due_at'], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index('ix_archive_copy_open', 'archive_copy', ['place_id', 'due_at'], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table('retention',
    sa.Column('tenant_id', big(), autoincrement=False, nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('days', sa.Integer(), nullable=False),
    sa.CheckConstraint('days >= 1', name=op.f('ck_retention_days')),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_retention_tenant_id_tenant')),
    sa.PrimaryKeyConstraint('tenant_id', 'kind', name=op.f('pk_retention'))
    )
    op.add_column('document', sa.Column('removed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('document', sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_document_to_erase', 'document', ['removed_at'], sqlite_where=TO_ERASE, postgresql_where=TO_ERASE)
    op.add_column('fax', sa.Column('files_removed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('fax', sa.Column('files_kept_days', sa.Integer(), nullable=True))
    op.add_column('fax', sa.Column('report_removed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('fax', sa.Column('report_kept_days', sa.Integer(), nullable=True))
    op.create_index('ix_fax_files_kept', 'fax', ['tenant_id', 'direction', 'finished_at'], sqlite_where=FILES_KEPT, postgresql_where=FILES_KEPT)
    op.create_index('ix_fax_report_kept', 'fax', ['tenant_id', 'finished_at'], sqlite_where=REPORT_KEPT, postgresql_where=REPORT_KEPT)


def downgrade():
    for name in ('ix_fax_report_kept', 'ix_fax_files_kept'):
        op.drop_index(name, 'fax')
    for name in ('report_kept_days', 'report_removed_at', 'files_kept_days', 'files_removed_at'):
        op.drop_column('fax', name)
    op.drop_index('ix_document_to_erase', 'document')
    op.drop_column('document', 'erased_at')
    op.drop_column('document', 'removed_at')
    op.drop_table('retention')
    op.drop_table('archive_copy')
    op.drop_table('archive_place')
