"""several trunks, each with its habits, its trouble and its channels

Revision ID: 0038
Revises: 0033
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0038'
down_revision = '0033'
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
#: What was the whole installation's, and what it is called in the trunk's row.
HABITS = {
    'trunk_region': 'region',
    'trunk_area': 'area',
    'trunk_company_id': 'company_id',
    'called_order': 'called_order',
    'caller_form': 'caller_form',
}


def upgrade():
    op.create_table(
        'trunk',
        sa.Column('id', BIG, nullable=False),
        sa.Column('name', sa.String(length=20), nullable=False),
        sa.Column('position', sa.Integer(), server_default='0', nullable=False),
        sa.Column('enabled', sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column('from_environment', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('port', sa.Integer(), nullable=False),
        sa.Column('transport', sa.String(length=4), server_default='udp', nullable=False),
        sa.Column('media', sa.String(length=8), server_default='plain', nullable=False),
        sa.Column('username', sa.String(length=255), nullable=True),
        sa.Column('password', sa.Text(), nullable=True),
        sa.Column('registers', sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column('channels', sa.Integer(), server_default='0', nullable=False),
        sa.Column('t38', sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column('number_form', sa.String(length=16), server_default='plus', nullable=False),
        sa.Column('caller_in', sa.String(length=8), server_default='usual', nullable=False),
        sa.Column('prefers', sa.JSON(), server_default='[]', nullable=False),
        sa.Column('region', sa.String(length=2), nullable=True),
        sa.Column('area', sa.String(length=8), nullable=True),
        sa.Column('company_id', BIG, nullable=True),
        sa.Column('called_order', sa.JSON(), server_default='[]', nullable=False),
        sa.Column('caller_form', sa.String(length=8), server_default='usual', nullable=False),
        sa.ForeignKeyConstraint(
            ['company_id'], ['tenant.id'], name=op.f('fk_trunk_company_id_tenant'), ondelete='SET NULL'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trunk')),
        sa.UniqueConstraint('name', name=op.f('uq_trunk_name')),
    )
    _name_main()
    with op.batch_alter_table('dialing_policy') as table:
        table.drop_constraint('fk_dialing_policy_trunk_company_id_tenant', type_='foreignkey')
        for name in HABITS:
            table.drop_column(name)
    for table, columns in _of_each_trunk().items():
        rows = _taken(table, 'id')
        op.drop_table(table)
        op.create_table(
            table,
            sa.Column('trunk_id', BIG, autoincrement=False, nullable=False),
            *columns,
            sa.ForeignKeyConstraint(
                ['trunk_id'], ['trunk.id'], name=op.f(f'fk_{table}_trunk_id_trunk'), ondelete='CASCADE'
            ),
            sa.PrimaryKeyConstraint('trunk_id', name=op.f(f'pk_{table}')),
        )
        _put(table, 'trunk_id', rows)
    for table in ('attempt', 'fax_entity'):
        with op.batch_alter_table(table) as changed:
            changed.add_column(sa.Column('trunk_id', BIG, nullable=True))
            changed.create_foreign_key(f'fk_{table}_trunk_id_trunk', 'trunk', ['trunk_id'], ['id'], ondelete='SET NULL')
        op.create_index(f'ix_{table}_trunk_id', table, ['trunk_id'])


def downgrade():
    for table in ('fax_entity', 'attempt'):
        op.drop_index(f'ix_{table}_trunk_id', table)
        with op.batch_alter_table(table) as changed:
            changed.drop_constraint(f'fk_{table}_trunk_id_trunk', type_='foreignkey')
            changed.drop_column('trunk_id')
    for table, columns in _of_each_trunk().items():
        rows = _taken(table, 'trunk_id')[:1]
        op.drop_table(table)
        op.create_table(
            table,
            sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
            *columns,
            sa.CheckConstraint('id = 1', name=op.f(f'ck_{table}_one')),
            sa.PrimaryKeyConstraint('id', name=op.f(f'pk_{table}')),
        )
        _put(table, 'id', rows)
    with op.batch_alter_table('dialing_policy') as table:
        table.add_column(sa.Column('trunk_region', sa.String(length=2), nullable=True))
        table.add_column(sa.Column('trunk_area', sa.String(length=8), nullable=True))
        table.add_column(sa.Column('trunk_company_id', BIG, nullable=True))
        table.add_column(sa.Column('called_order', sa.JSON(), server_default='[]', nullable=False))
        table.add_column(sa.Column('caller_form', sa.String(length=8), server_default='usual', nullable=False))
        table.create_foreign_key(
            'fk_dialing_policy_trunk_company_id_tenant', 'tenant', ['trunk_company_id'], ['id'], ondelete='SET NULL'
        )
    main = '(SELECT {} FROM trunk ORDER BY position, id LIMIT 1)'
    habits = ', '.join(f'{ours} = {main.format(theirs)}' for ours, theirs in HABITS.items())
    op.execute(f'UPDATE dialing_policy SET {habits}')
    op.drop_table('trunk')


def _name_main():
    """The one trunk of an installation before; bin/up puts the address in that FAXROOM_TRUNK has."""
    op.execute("INSERT INTO trunk (name, host, port, from_environment) VALUES ('main', '127.0.0.1', 5060, true)")
    habits = ', '.join(
        f'{theirs} = (SELECT {ours} FROM dialing_policy)' for ours, theirs in HABITS.items()
    )
    op.execute(f'UPDATE trunk SET {habits} WHERE EXISTS (SELECT id FROM dialing_policy)')


def _of_each_trunk():
    return {
        'trunk_trouble': (
            sa.Column('since', sa.DateTime(timezone=True), nullable=False),
            sa.Column('probe_at', sa.DateTime(timezone=True), nullable=False),
            sa.Column('outcome', sa.String(length=32), nullable=False),
            sa.Column('response', sa.String(length=120), nullable=True),
        ),
        'trunk_channels': (
            sa.Column('channels', sa.Integer(), nullable=False),
            sa.Column('full_at', sa.DateTime(timezone=True), nullable=False),
        ),
    }


def _taken(table, key):
    """The rows as they are, without their key."""
    rows = op.get_bind().execute(sa.text(f'SELECT * FROM {table} ORDER BY {key}')).mappings().all()
    return [{name: value for name, value in row.items() if name != key} for row in rows]


def _put(table, key, rows):
    """Those of the first trunk."""
    id_ = "(SELECT id FROM trunk WHERE name = 'main')" if key == 'trunk_id' else '1'
    for row in rows:
        values = ', '.join(f':{name}' for name in row)
        statement = sa.text(f"INSERT INTO {table} ({key}, {', '.join(row)}) VALUES ({id_}, {values})")
        op.get_bind().execute(statement, row)
