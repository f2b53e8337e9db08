"""Bring the database to the newest form and, when nobody is in it, load a provision file.

Runs in the project's environment: ``python bin/lib/database.py PROVISION_FILE [IMAP_PORT]``. Prints ``provisioned`` if
it did, ``held`` if the database was restored and nobody has answered yet, ``gone NAME kept`` or ``gone NAME removed``
of a trunk that is not in FAXROOM_TRUNK any more. With a port the demo gets Mail2Fax boxes of the mail server that is
there.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # instead of bin/lib, whose names are for set-up

import sqlalchemy as sa  # noqa: E402
import yaml  # noqa: E402
from flask_migrate import upgrade  # noqa: E402

from app.factory import create_app  # noqa: E402
from app.rules.ground.holding import held_since  # noqa: E402
from app.rules.sending.trunks.fields import TrunkFields, read_trunks  # noqa: E402
from app.rules.sending.trunks.table import put_from_environment  # noqa: E402
from app.services.setup.provisioning import ProvisionError, apply_provision_file  # noqa: E402
from tenants.db import db  # noqa: E402
from tenants.models import Tenant, User  # noqa: E402


def main() -> None:
    file, *imap_port = Path(sys.argv[1]), *sys.argv[2:]
    with create_app().app_context():
        upgrade()
        gone = put_from_environment(db.session, _trunks())
        db.session.commit()
        for name, is_kept in gone:
            print(f"gone {name} {'kept' if is_kept else 'removed'}")
        if held_since(db.session):
            print("held")
        if db.session.scalar(sa.select(Tenant.id).limit(1)) or db.session.scalar(sa.select(User.id).limit(1)):
            return
        try:
            apply_provision_file(db.session, _with_boxes(file, imap_port[0]) if imap_port else file)
        except ProvisionError as error:
            sys.exit(f"{file} was not applied:\n" + "\n".join(f"- {fault}" for fault in error.faults))
    print("provisioned")


def _trunks() -> list[TrunkFields]:
    """Of FAXROOM_TRUNK, which bin/up has judged."""
    return read_trunks(os.environ.get("FAXROOM_TRUNK") or "loop", int(os.environ.get("FAXROOM_SIP_PORT") or 5060))


def _with_boxes(file: Path, imap_port: str) -> Path:
    """The demo with the boxes of ``mail2fax.yaml`` beside it, as a file of the instance's own."""
    content = yaml.safe_load(file.read_text())
    added = yaml.safe_load(file.with_name("mail2fax.yaml").read_text().replace(":1143", f":{imap_port}"))
    for tenant in content["tenants"]:
        more = added.get(tenant["slug"], {})
        tenant["mail2fax_boxes"] = more.get("mail2fax_boxes", [])
        for entity in tenant["entities"]:
            if mail2fax := more.get("mail2fax", {}).get(entity["name"]):
                entity["mail2fax"] = mail2fax
    target = Path(os.environ["FAXROOM_HOME"]) / "demo.yaml"
    target.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
    return target


main()
