"""people: an address that was only invited is nobody's before it has answered; a company lets operators in

Revision ID: 0024
Revises: 0023
Create Date: 2026-12-01

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None

ADDRESS = sa.table('email_address', sa.column('id'), sa.column('address'), sa.column('folded'))
PERSON = sa.table('user', sa.column('address_id'), sa.column('tenant_id'), sa.column('password_hash'))
MARK = ' INVITED BY '


def upgrade():
    op.add_column('tenant', sa.Column('operator_until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('tenant', sa.Column('export_key', sa.Text(), nullable=True))
    connection = op.get_bind()
    invited = sa.select(ADDRESS.c.id, ADDRESS.c.folded, PERSON.c.tenant_id).join(PERSON, PERSON.c.address_id == ADDRESS.c.id)
    invited = invited.where(PERSON.c.password_hash.is_(None), PERSON.c.tenant_id.is_not(None))
    for row in connection.execute(invited).all():
        mine = sa.update(ADDRESS).where(ADDRESS.c.id == row.id)
        connection.execute(mine.values(folded=f'{row.folded}{MARK}{row.tenant_id}'[:320]))


def downgrade():
    """Of two companies that have invited one address, only the first can keep it as it was."""
    connection = op.get_bind()
    rows = connection.execute(sa.select(ADDRESS.c.id, ADDRESS.c.folded).order_by(ADDRESS.c.id)).all()
    taken = {row.folded for row in rows if MARK not in row.folded}
    for row in rows:
        folded = row.folded.split(MARK)[0]
        if MARK in row.folded and folded not in taken:
            taken.add(folded)
            connection.execute(sa.update(ADDRESS).where(ADDRESS.c.id == row.id).values(folded=folded))
    op.drop_column('tenant', 'export_key')
    op.drop_column('tenant', 'operator_until')
