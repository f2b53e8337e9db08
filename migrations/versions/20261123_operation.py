"""operation

Revision ID: 0006
Revises: 0005
Create Date: 2026-11-23

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

DOCUMENTS = ('source_id', 'pdf_id', 'tiff_id', 'picture_id', 'report_id')
OPEN = sa.text('ended_at IS NULL')
FINISHED = sa.text('finished_at IS NOT NULL')

APPEND_ONLY = {
    'sqlite': (
        """CREATE TRIGGER audit_event_no_update BEFORE UPDATE ON audit_event
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
        """CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event
        WHEN NOT EXISTS (SELECT 1 FROM tenant WHERE id = OLD.tenant_id AND deleting_at IS NOT NULL)
        BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    ),
    'postgresql': (
        """CREATE OR REPLACE FUNCTION audit_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' THEN
                IF EXISTS (SELECT 1 FROM tenant WHERE id = OLD.tenant_id AND deleting_at IS NOT NULL) THEN
                    RETURN OLD;
                END IF;
            END IF;
            RAISE EXCEPTION 'the audit log is append-only';
        END $$""",
        """CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_event
        FOR EACH ROW EXECUTE FUNCTION audit_event_append_only()""",
        """CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON audit_event
        FOR EACH STATEMENT EXECUTE FUNCTION audit_event_append_only()""",
    ),
}
NOT_APPEND_ONLY = {
    'sqlite': ('DROP TRIGGER audit_event_no_update', 'DROP TRIGGER audit_event_no_delete'),
    'postgresql': (
        'DROP TRIGGER audit_event_append_only ON audit_event',
        'DROP TRIGGER audit_event_no_truncate ON audit_event',
        'DROP FUNCTION audit_event_append_only()',
    ),
}


def big():
    return sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def upgrade():
    for column in (
        sa.Column('suspended_reason', sa.String(length=500), nullable=True),
        sa.Column('deleting_at', sa.DateTime(timezone=True), nullable=True),
        sa.Column('alert_failed_percent', sa.Integer(), server_default='80', nullable=False),
        sa.Column('alert_failed_of', sa.Integer(), server_default='10', nullable=False),
        sa.Column('alert_stuck_minutes', sa.Integer(), server_default='30', nullable=False),
        sa.Column('counted_until', sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column('tenant', column)

    op.create_table('fax_day',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('scope', sa.String(length=8), nullable=False),
    sa.Column('entity_id', big(), nullable=True),
    sa.Column('user_id', big(), nullable=True),
    sa.Column('direction', sa.String(length=8), nullable=False),
    sa.Column('status', sa.String(length=12), nullable=False),
    sa.Column('cause', sa.String(length=40), nullable=True),
    sa.Column('faxes', sa.Integer(), nullable=False),
    sa.Column('pages', sa.Integer(), nullable=False),
    sa.Column('seconds', sa.BigInteger(), nullable=False),
    sa.Column('tenant_id', big(), nullable=False),
    sa.ForeignKeyConstraint(['entity_id'], ['fax_entity.id'], name=op.f('fk_fax_day_entity_id_fax_entity'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_fax_day_tenant_id_tenant')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_fax_day_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_fax_day'))
    )
    op.create_index('ix_fax_day_all', 'fax_day', ['scope', 'day'])
    op.create_index('ix_fax_day_tenant', 'fax_day', ['tenant_id', 'scope', 'day'])
    for name in ('entity_id', 'tenant_id', 'user_id'):
        op.create_index(op.f(f'ix_fax_day_{name}'), 'fax_day', [name])

    op.create_table('alert_incident',
    sa.Column('id', big(), autoincrement=True, nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('facts', sa.JSON(), nullable=True),
    sa.Column('began_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tenant_id', big(), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_alert_incident_tenant_id_tenant')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alert_incident'))
    )
    op.create_index(op.f('ix_alert_incident_tenant_id'), 'alert_incident', ['tenant_id'])
    op.create_index('uq_alert_incident_open', 'alert_incident', ['tenant_id', 'kind'], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)

    op.create_index('ix_fax_finished', 'fax', ['tenant_id', 'finished_at'], sqlite_where=FINISHED, postgresql_where=FINISHED)
    for name in DOCUMENTS:
        there = sa.text(f'{name} IS NOT NULL')
        op.create_index(f'ix_fax_{name}', 'fax', [name], sqlite_where=there, postgresql_where=there)

    op.drop_index('ix_audit_event_tenant_id', 'audit_event')
    op.create_index('ix_audit_event_at', 'audit_event', ['tenant_id', 'at', 'id'])
    op.create_index('ix_audit_event_user', 'audit_event', ['tenant_id', 'user_id', 'at', 'id'])
    op.create_index('ix_audit_event_action', 'audit_event', ['tenant_id', 'action', 'at', 'id'])
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade():
    for statement in NOT_APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
    for name in ('ix_audit_event_action', 'ix_audit_event_user', 'ix_audit_event_at'):
        op.drop_index(name, 'audit_event')
    op.create_index('ix_audit_event_tenant_id', 'audit_event', ['tenant_id'])

    for name in DOCUMENTS[::-1]:
        op.drop_index(f'ix_fax_{name}', 'fax')
    op.drop_index('ix_fax_finished', 'fax')
    op.execute("DELETE FROM notice WHERE kind IN ('alert', 'all_clear')")
    op.drop_table('alert_incident')
    op.drop_table('fax_day')
    for name in ('counted_until', 'alert_stuck_minutes', 'alert_failed_of', 'alert_failed_percent', 'deleting_at', 'suspended_reason'):
        op.drop_column('tenant', name)
