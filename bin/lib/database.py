"""Bring the database to the newest form and, when nobody is in it, load a provision file.

Runs in the project's environment: ``python bin/lib/database.py PROVISION_FILE``. Prints ``provisioned`` if it did.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of bin/lib, whose names are for set-up

import sqlalchemy as sa  # noqa: E402
from flask_migrate import upgrade  # noqa: E402

from app.factory import create_app  # noqa: E402
from app.provisioning import ProvisionError, apply_provision_file  # noqa: E402
from tenants.db import db  # noqa: E402
from tenants.models import Tenant, User  # noqa: E402


def main() -> None:
    file = Path(sys.argv[1])
    with create_app().app_context():
        upgrade()
        if db.session.scalar(sa.select(Tenant.id).limit(1)) or db.session.scalar(sa.select(User.id).limit(1)):
            return
        try:
            apply_provision_file(db.session, file)
        except ProvisionError as error:
            sys.exit(f"{file} was not applied:\n" + "\n".join(f"- {fault}" for fault in error.faults))
    print("provisioned")


main()
