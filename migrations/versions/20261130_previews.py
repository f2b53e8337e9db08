"""previews: the pages of a draft, before it is sent

Revision ID: 0018
Revises: 0017
Create Date: 2026-11-30

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        'preview',
        sa.Column('id', sa.String(length=26), nullable=False),
        sa.Column('tenant_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('source_id', sa.String(length=26), nullable=False),
        sa.Column('resolution', sa.String(length=8), nullable=False),
        sa.Column('page_size', sa.String(length=8), nullable=False),
        sa.Column('version', sa.String(length=16), nullable=False),
        sa.Column('state', sa.String(length=8), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
        sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
        sa.Column('pages', sa.Integer(), nullable=False),
        sa.Column('parts', sa.JSON(), nullable=False),
        sa.Column('page_bytes', sa.JSON(), nullable=False),
        sa.Column('notes', sa.JSON(), nullable=False),
        sa.Column('line_seconds', sa.Integer(), nullable=True),
        sa.Column('pdf_id', sa.String(length=26), nullable=True),
        sa.Column('tiff_id', sa.String(length=26), nullable=True),
        sa.Column('cause', sa.String(length=32), nullable=True),
        sa.Column('cause_values', sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_preview_tenant_id_tenant')),
        sa.ForeignKeyConstraint(['source_id'], ['document.id'], name=op.f('fk_preview_source_id_document')),
        sa.ForeignKeyConstraint(['pdf_id'], ['document.id'], name=op.f('fk_preview_pdf_id_document')),
        sa.ForeignKeyConstraint(['tiff_id'], ['document.id'], name=op.f('fk_preview_tiff_id_document')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_preview')),
        sa.UniqueConstraint(
            'source_id', 'resolution', 'page_size', 'version',
            name=op.f('uq_preview_source_id_resolution_page_size_version'),
        ),
    )
    op.create_index(op.f('ix_preview_tenant_id'), 'preview', ['tenant_id'])
    op.create_index(op.f('ix_preview_created_at'), 'preview', ['created_at'])


def downgrade():
    op.drop_table('preview')
