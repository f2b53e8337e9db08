"""Every route of the portal, who may use it, and on what: the table that :mod:`tests.web.site.test_matrix` walks.

A new route gets a line here. ``who`` is one of AUDIENCES; ``thing`` is what the route's address names, one of alpha's
(THINGS), or nothing. Of a thing of alpha nobody of beta learns that it exists.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.routing import Rule

from app.adapters.pages.rasterizer import rasterize
from app.models import (
    ArchivePlace,
    BoxSignIn,
    DocumentKind,
    DoorCredential,
    Fax,
    FaxEntity,
    FaxTemplate,
    Grant,
    Mail2FaxBox,
    MailMessage,
    PendingChange,
    Preview,
    Status,
    Trunk,
)
from app.rules.sending.trunks.choosing import bound_key
from app.rules.setup.fax_settings import PlaceDetails
from app.rules.setup.templates import TemplateDetails, judge_template
from tenants.addresses import claim_address
from tenants.db import db, new_ulid
from tenants.links import make_link
from tenants.models import LinkPurpose, Passkey, PgpPublicKey, Role, SignInSession, Tenant, User
from tests.documents import pdf, written
from tests.unit.mail.test_pgp import Ring
from tests.web.cast import (
    Browser,
    Cast,
    make_document,
    make_entity,
    make_fax,
    make_tenant,
    make_user,
    receive_fax,
    refused_notice,
)

METHODS = ("GET", "POST")
EMAILS = {
    "bob": "bob@alpha.test",
    "alice": "alice@alpha.test",
    "charlie": "charlie@beta.test",
    "carla": "carla@beta.test",
    "olga": "ops@faxroom.test",
}
PEOPLE = ("nobody", *EMAILS)
OF_BETA = {"charlie", "carla"}
#: Alice and Carla administer their companies. ``herself``: only the one whom it is about, Alice. ``uploader``: Bob,
#: whose draft not even his administrator sees.
AUDIENCES = {
    "anybody": set(PEOPLE),
    "people": set(EMAILS),
    "company": {"bob", "alice", "charlie", "carla"},
    "admins": {"alice", "carla"},
    "herself": {"alice"},
    "uploader": {"bob"},
    "operator": {"olga"},
    "keepers": {"alice", "carla", "olga"},
}

TABLE = """
anybody   GET       static                          style
anybody   GET       health.healthz
anybody   GET       front.known
anybody   POST      preferences.theme
anybody   GET,POST  sign_in.sign_in
anybody   GET,POST  sign_in.code
anybody   GET       sign_in.passkey_options
anybody   POST      sign_in.by_passkey
anybody   GET,POST  sign_in.forgotten
anybody   GET,POST  sign_in.new_password            reset
anybody   GET,POST  sign_in.invitation              invitation
people    POST      sign_in.sign_out

people    GET       faxes.home
people    GET,POST  step_up.confirm
people    GET       step_up.passkey_options
people    GET,POST  profile.profile
people    POST      profile.password
people    POST      profile.mails
people    GET       profile.second_factor
people    POST      profile.begin_second_factor
people    POST      profile.confirm_second_factor
people    POST      profile.give_up_second_factor
people    POST      profile.remove_second_factor
people    POST      profile.begin_passkey
people    GET       profile.new_passkey
people    POST      profile.add_passkey
herself   POST      profile.rename_passkey          passkey
herself   POST      profile.remove_passkey          passkey
people    POST      profile.end_other_sessions
herself   GET,POST  profile.new_address             address
herself   POST      profile.end_one_session         session
herself   GET       profile.mail_key                keyed

company   GET,POST  send.send
company   POST      send.judge_number
company   POST      send.take_document
company   POST      preview.ask
uploader  GET       preview.more                    looked
uploader  GET       preview.page                    looked
company   GET       faxes.faxes
company   GET       faxes.live
company   POST      faxes.download
company   GET       faxes.fax                       sent
company   GET       faxes.status                    sent
company   POST      faxes.cancel                    scheduled
company   POST      faxes.send_looked_at                  scheduled
company   POST      faxes.resend                    failed
company   POST      faxes.forget_number             sent
admins    POST      faxes.number_lines              sent
company   GET       faxes.document                  sent
company   GET       faxes.report                    sent
company   GET       viewer.view                     drawn
company   GET       viewer.page                     drawn
company   GET       inbox.inbox
company   GET       inbox.count
company   POST      inbox.done_with_read
company   POST      inbox.take                      received
company   POST      inbox.done                      received
company   POST      inbox.release                   received
company   POST      inbox.reopen                    received
company   POST      inbox.unread                    received
company   POST      inbox.hand_over                 received
company   GET       forward.forward                 received
company   POST      forward.mail                    received
company   POST      forward.by_fax                  received
company   GET,POST  forward.resend_to               sent

admins    GET       users.users
admins    POST      users.require_second_factor
admins    GET,POST  users.invite_user
admins    GET,POST  users.import_users
admins    GET,POST  users.user                      colleague
admins    POST      users.disable_user              colleague
admins    POST      users.enable_user               colleague
admins    POST      users.invite_again              invited
admins    POST      users.withdraw                  invited
admins    POST      users.reset_password            colleague
admins    POST      users.reset_second_factor       colleague
admins    POST      users.ask_address_again         moving
admins    POST      users.keep_address              colleague
admins    POST      users.sign_out_everywhere       colleague
admins    POST      users.add_key                   colleague
admins    POST      users.remove_key                key
keepers   GET       outbox.outbox
keepers   POST      outbox.send_all_again
keepers   POST      outbox.send_again               refused
admins    GET       operator_access.access
admins    POST      operator_access.change
admins    POST      operator_access.key
admins    GET       audit.log
admins    GET       audit.csv_file
admins    GET,POST  alerts.alerts
admins    GET       figures.figures
admins    GET       calls.calls
admins    GET       calls.csv_file
admins    GET       settings.settings
admins    POST      settings.limits
admins    POST      settings.retention
admins    GET,POST  settings.new_place
admins    GET,POST  settings.place                  place
admins    POST      settings.test_place             place
herself   GET,POST  settings.place_added            added_place
herself   POST      settings.test_place_added       added_place
admins    POST      settings.move                   place
admins    POST      settings.remove                 place
admins    GET       mail2fax.boxes
admins    GET,POST  mail2fax.new_box
admins    GET,POST  mail2fax.box                    box
admins    POST      mail2fax.proof
admins    POST      mail2fax.test_box               box
admins    POST      mail2fax.forget_key             box
admins    POST      mail2fax.remove                 box
admins    POST      mail2fax.begin_sign_in          signing
admins    GET       mail2fax.signed_in
admins    POST      mail2fax.forget_signed_in       signing
admins    GET       mail2fax.messages               box
admins    GET       mail2fax.message                message
admins    GET,POST  mail2fax.tester                 box
admins    GET,POST  door.new_box
admins    GET,POST  door.box                        door_box
admins    POST      door.add_credential             door_box
admins    POST      door.end                        credential
admins    GET,POST  self_test.test                  entity
admins    GET       self_test.result                entity
admins    GET       templates.templates
admins    GET,POST  templates.new_template
admins    GET,POST  templates.template              template
admins    POST      templates.remove                template
admins    POST      templates.forget                template
herself   GET,POST  templates.added                 added_template
herself   POST      templates.forget_added          added_template
admins    GET       entities.entities
admins    GET,POST  entities.new_entity
admins    GET,POST  entities.entity                 entity
admins    GET,POST  entities.users                  entity
admins    POST      entities.close                  entity
admins    POST      entities.forget                 entity
admins    POST      entities.judge
admins    GET,POST  entities.added                  saved
admins    GET,POST  entities.added_users            saved
admins    POST      entities.forget_added           saved
admins    GET       numbering.numbering
admins    GET       numbering.csv_file
admins    GET       changes.changes
admins    POST      changes.apply
admins    POST      changes.discard_all
admins    POST      changes.discard_one             saved
admins    GET       downloads.downloads
admins    GET       downloads.log_csv
admins    GET       downloads.log_zip

admins    GET       held.held
admins    POST      held.release                    held
admins    POST      held.cancel                     held
operator  GET       operator.overview
operator  GET       operator.parts
operator  GET       operator.figures
operator  GET       operator.log
operator  GET       operator.tenants
operator  GET,POST  operator_dialing.policy
operator  POST      operator_dialing.number_lines
operator  GET       operator_door.door
operator  GET       trunk_pages.trunk               trunk
operator  GET       trunk_pages.state               trunk
operator  POST      trunk_pages.begin_test          trunk
operator  GET       trunk_pages.test                trunk_test
operator  GET       trunk_pages.calls
operator  POST      trunk_pages.capture
operator  GET       operator_numbers.numbers
operator  POST      operator_numbers.give_numbers
operator  POST      operator_numbers.take_back_numbers
operator  POST      operator_numbers.approve_numbers
operator  POST      operator_numbers.remove_numbers
operator  POST      operator_numbers.rules
operator  GET,POST  operator_numbers.import_file
operator  GET       operator_trunks.trunks
operator  GET,POST  operator_trunks.new_trunk
operator  GET,POST  operator_trunks.trunk          trunk
operator  POST      operator_trunks.first          trunk
operator  GET,POST  operator_trunks.remove         trunk
operator  GET,POST  operator.new_tenant
operator  GET,POST  operator.tenant                 tenant
operator  POST      operator.invite_administrator   tenant
operator  POST      operator.invite_again           tenant
operator  POST      operator.withdraw               tenant
operator  POST      operator.suspend_tenant         tenant
operator  POST      operator.reopen_tenant          tenant
operator  POST      operator.export_tenant          tenant
operator  GET,POST  operator.delete_tenant          tenant
"""

#: Nothing to be let in to without more: the page is missing for everybody who has not begun with it.
NEEDS_MORE = {
    ("GET", "security_contact.security_txt"): "a contact that the operator names",
    ("POST", "profile.recovery_codes"): "a second factor that is set up",
    ("GET", "trunk_pages.ladder"): "a call that was captured",
}


@dataclass(frozen=True)
class Route:
    """One line for one method."""

    who: str
    method: str
    endpoint: str
    thing: str | None

    @property
    def let_in(self) -> set[str]:
        """Those of the cast who may use it; of a thing of alpha only those who are not of beta."""
        people = AUDIENCES[self.who]
        return people - OF_BETA if self.thing and self.who not in ("anybody", "people") else people


def declared() -> list[Route]:
    lines = (line.split() for line in TABLE.splitlines() if line)
    return [
        Route(who, method, endpoint, thing[0] if thing else None)
        for who, methods, endpoint, *thing in lines
        for method in methods.split(",")
    ]


def served(app: Flask) -> set[tuple[str, str]]:
    """(method, endpoint) of everything that answers."""
    return {
        (method, rule.endpoint) for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}
    }


# ---- The things of alpha


Thing = dict[str, Any]


class World:
    """The cast, with a signed-in browser for each when it is first asked for, and things for routes to name."""

    def __init__(self, app: Flask, cast: Cast, tiff: bytes) -> None:
        self.app, self.cast, self.tiff = app, cast, tiff
        self.count = 0
        self._browsers: dict[str, tuple[Browser, str]] = {}
        self.rules: dict[str, Rule] = {rule.endpoint: rule for rule in app.url_map.iter_rules()}
        with app.app_context():
            beta = db.session.get_one(Tenant, cast.beta)
            carla = make_user(EMAILS["carla"], "Carla", beta, Role.ADMIN)
            grant = {"tenant_id": cast.beta, "entity_id": cast.beta_line, "may_send": True}
            db.session.add(Grant(user_id=carla.id, **grant))
            db.session.execute(sa.update(Grant).values(may_receive=True))
            db.session.commit()

    def browser(self, person: str) -> tuple[Browser, str]:
        """Theirs, with the token that its forms carry."""
        if person not in self._browsers:
            browser = Browser(self.app)
            if person in EMAILS:
                assert browser.sign_in(EMAILS[person]).status_code == 303
            self._browsers[person] = (browser, browser.token("/profile" if person in EMAILS else "/sign-in"))
        return self._browsers[person]

    def ask(self, person: str, route: Route, thing: Thing, **form: Any) -> Any:
        browser, token = self.browser(person)
        path = self.path(route, thing)
        if route.method == "GET":
            return browser.client.get(path)
        return browser.client.post(path, data={"csrf_token": token, **form})

    def path(self, route: Route, thing: Thing) -> str:
        return re.sub(r"<(?:[^:>]+:)?([^>]+)>", lambda name: str(thing[name[1]]), self.rules[route.endpoint].rule)

    def next(self) -> int:
        self.count += 1
        return self.count


def missing(route: Route, world: World) -> Thing:
    """Names that nothing has."""
    values = {"fax_id": new_ulid(), "number": 1, "token": "nothing", "filename": "nothing.css"}
    arguments = world.rules[route.endpoint].arguments
    return {name: values.get(name, 987_654_000 + world.next()) for name in arguments}


def _fax(**values: Any) -> Callable[[World], Thing]:
    return lambda world: {"fax_id": make_fax(world.app, world.cast, **values)}


def _held(world: World) -> Thing:
    """Bob may not send from that line."""
    return {"fax_id": make_fax(world.app, world.cast, status=Status.SCHEDULED, entity_id=world.cast.archive)}


def _received(world: World) -> Thing:
    return {"fax_id": receive_fax(world.app, world.cast)}


def _drawn(world: World) -> Thing:
    """With pages to look at."""
    fax_id = make_fax(world.app, world.cast)
    with world.app.app_context():
        document = make_document(world.app, world.cast.alpha, f"{fax_id}.tiff", world.tiff)
        document.kind = DocumentKind.TIFF
        db.session.flush()
        db.session.get_one(Fax, fax_id).tiff_id = document.id
        db.session.commit()
    return {"fax_id": fax_id, "number": 1}


def _colleague(world: World) -> Thing:
    with world.app.app_context():
        n, alpha = world.next(), db.session.get_one(Tenant, world.cast.alpha)
        user = make_user(f"c{n}@alpha.test", f"Colleague {n}", alpha, Role.USER)
        db.session.commit()
        return {"user_id": user.id}


def _invited(world: World, tenant_id: int | None = None, role: Role = Role.USER) -> Thing:
    with world.app.app_context():
        n = world.next()
        entry = claim_address(db.session, f"i{n}@alpha.test")
        user = User(address=entry, name=f"Invited {n}", role=role, tenant_id=tenant_id or world.cast.alpha)
        db.session.add(user)
        db.session.commit()
        return {"user_id": user.id}


def _link(purpose: LinkPurpose) -> Callable[[World], Thing]:
    def make(world: World) -> Thing:
        user_id = _invited(world)["user_id"]
        with world.app.app_context():
            token = make_link(db.session, db.session.get_one(User, user_id), purpose)
            db.session.commit()
            return {"token": token}

    return make


def _key(world: World) -> Thing:
    named = _colleague(world)
    key = PgpPublicKey(tenant_id=world.cast.alpha, armored="…", fingerprint=f"{world.next():040}", **named)
    return named | {"key_id": _added(world, key)}


def _place(world: World) -> Thing:
    place = ArchivePlace(tenant_id=world.cast.alpha, name=f"Place {world.next()}", kind="folder", folder="copies")
    return {"place_id": _added(world, place)}


def _box(world: World) -> Thing:
    n = world.next()
    with world.app.app_context():
        entry = claim_address(db.session, f"box{n}@alpha.test")
        box = Mail2FaxBox(tenant_id=world.cast.alpha, name=f"Box {n}", address=entry, username="fax", password="secret")
        box.imap = "imaps://127.0.0.1:993"
        db.session.add(box)
        db.session.commit()
        return {"box_id": box.id}


def _signing(world: World) -> Thing:
    """A box to whose mailbox somebody can sign in."""
    named = _box(world)
    with world.app.app_context():
        row = BoxSignIn(tenant_id=world.cast.alpha, box_id=named["box_id"], provider="google", client_secret="s")
        row.token_url, row.authorize_url = "https://login.alpha.test/token", "https://login.alpha.test/authorize"
        row.client_id, row.scope = "c", ""
        db.session.add(row)
        db.session.commit()
    return named


def _door_box(world: World) -> Thing:
    """Without a mailbox."""
    named = _box(world)
    with world.app.app_context():
        db.session.get_one(Mail2FaxBox, named["box_id"]).source = "door"
        db.session.commit()
    return named


def _credential(world: World) -> Thing:
    """What a copier signs in with."""
    named, n = _door_box(world), world.next()
    made = DoorCredential(
        tenant_id=world.cast.alpha, name=f"Copier {n}", username=f"copier-{n}", digest="0" * 64, **named
    )
    return named | {"credential_id": _added(world, made)}


def _message(world: World) -> Thing:
    """A mail that came to a box."""
    named = _box(world)
    message = MailMessage(tenant_id=world.cast.alpha, uid_validity=1, uid=1, digest="0" * 64, size=1, **named)
    message.fate, message.reason = "refused", "mail_sender"
    return named | {"message_id": _added(world, message)}


def _keyed(world: World) -> Thing:
    """A line whose box has a key."""
    line, named = _entity(world), _box(world)
    with tempfile.TemporaryDirectory(prefix="ring-", dir="/tmp") as folder, world.app.app_context():
        ring = Ring(folder)
        box = db.session.get_one(Mail2FaxBox, named["box_id"])
        box.private_key = ring.secret(ring.make("Box <box@alpha.test>")).decode()
        db.session.get_one(FaxEntity, line["entity_id"]).box_id = box.id
        db.session.commit()
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=True)
    return line


def _entity(world: World) -> Thing:
    with world.app.app_context():
        n, alice = world.next(), db.session.get_one(User, world.cast.alice)
        entity = make_entity(alice.tenant, f"Line {n}", str(6000 + n), None, senders=[alice])
        db.session.commit()
        return {"entity_id": entity.id}


def _looked(world: World) -> Thing:
    """A draft of Bob's, with its page as it will go out."""
    with world.app.app_context():
        source, tiff = (make_document(world.app, world.cast.alpha, content=world.tiff) for _ in range(2))
        source.user_id = world.cast.bob
        preview = Preview(tenant_id=world.cast.alpha, source_id=source.id, tiff_id=tiff.id, state="done", pages=1)
        preview.resolution, preview.page_size, preview.version = "fine", "A4", "of today"
        preview.page_bytes, preview.notes, preview.line_seconds = [1000], [], 16
        db.session.add(preview)
        db.session.commit()
        return {"preview_id": preview.id, "number": 1}


def _saved(world: World) -> Thing:
    """A fax entity that Alice has saved and not applied."""
    n = world.next()
    values = {"name": f"Saved {n}", "extension": str(7000 + n), "number": None}
    change = PendingChange(tenant_id=world.cast.alpha, user_id=world.cast.alice, kind="entity", act="add")
    change.before, change.after = {}, values
    return {"change_id": _added(world, change)}


def _session(world: World) -> Thing:
    """Another browser of Alice."""
    return {"session_id": _added(world, SignInSession(token_digest=f"{world.next():064}", user_id=world.cast.alice))}


def _passkey(world: World) -> Thing:
    """One of Alice's. She has no second factor before and after: what is asked of the others stays the same."""
    values = {"credential_id": f"{world.next():043}", "public_key": "", "user_handle": "", "sign_count": 0}
    return {"passkey_id": _added(world, Passkey(user_id=world.cast.alice, name="Laptop", transports=[], **values))}


def _moving(world: World) -> Thing:
    """A colleague whose new address has not answered."""
    named = _colleague(world)
    with world.app.app_context():
        db.session.get_one(User, named["user_id"]).new_email = f"m{world.next()}@alpha.test"
        db.session.commit()
    return named


def _address(world: World) -> Thing:
    """The link that was mailed to a new address of Alice's."""
    with world.app.app_context():
        alice = db.session.get_one(User, world.cast.alice)
        alice.new_email = f"a{world.next()}@alpha.test"
        token = make_link(db.session, alice, LinkPurpose.NEW_ADDRESS)
        db.session.commit()
        return {"token": token}


def _trunk(world: World) -> Thing:
    name = f"trunk-{world.next()}"
    _added(world, Trunk(name=name, host="sip.example.org", port=5060, position=9))
    return {"name": name}


def _tenant(world: World) -> Thing:
    """A company that may be suspended and deleted, with an administrator who has not come yet."""
    with world.app.app_context():
        n = world.next()
        tenant = make_tenant(f"t{n}", f"Company {n}", f"SERIAL{n}")
        db.session.commit()
        tenant_id = tenant.id
    return {"tenant_id": tenant_id} | _invited(world, tenant_id, Role.ADMIN)


def _added(world: World, row: Any) -> int:
    with world.app.app_context():
        db.session.add(row)
        db.session.commit()
        return row.id


def _template(world: World) -> Thing:
    template = FaxTemplate(tenant_id=world.cast.alpha, name=f"Template {world.next()}")
    return {"template_id": _added(world, template)}


def _added_place(world: World) -> Thing:
    """Saved by Alice and not applied: of nobody else's business, not even of the other administrator's."""
    after = asdict(PlaceDetails(name=f"place {world.next()}", folder="faxes"))
    after.pop("secret_key")
    row = PendingChange(tenant_id=world.cast.alpha, user_id=world.cast.alice, kind="archive_place", act="add")
    row.before, row.after = {}, after
    return {"change_id": _added(world, row)}


def _added_template(world: World) -> Thing:
    """What Alice has saved and not applied."""
    after, _faults = judge_template(TemplateDetails(name=f"New {world.next()}"), "IT")
    row = PendingChange(tenant_id=world.cast.alpha, user_id=world.cast.alice, kind="template", act="add")
    row.before, row.after = {}, after
    return {"change_id": _added(world, row)}


def _trunk_test(world: World) -> Thing:
    with world.app.app_context():
        trunk_id = db.session.scalar(sa.select(Trunk.id).where(Trunk.name == "main"))
    bound = {"origin": "test", "submission_key": bound_key(trunk_id, f"{world.next()}")}
    return {"name": "main", "fax_id": make_fax(world.app, world.cast, user_id=world.cast.olga, **bound)}


THINGS: dict[str, Callable[[World], Thing]] = {
    "style": lambda _world: {"filename": "faxroom.css"},
    "reset": _link(LinkPurpose.PASSWORD_RESET),
    "invitation": _link(LinkPurpose.INVITATION),
    "session": _session,
    "passkey": _passkey,
    "moving": _moving,
    "address": _address,
    "sent": _fax(),
    "failed": _fax(status=Status.FAILED, cause="busy"),
    "scheduled": _fax(status=Status.SCHEDULED),
    "held": _held,
    "received": _received,
    "drawn": _drawn,
    "looked": _looked,
    "colleague": _colleague,
    "invited": _invited,
    "key": _key,
    "place": _place,
    "box": _box,
    "signing": _signing,
    "door_box": _door_box,
    "credential": _credential,
    "message": _message,
    "entity": _entity,
    "keyed": _keyed,
    "saved": _saved,
    "template": _template,
    "added_place": _added_place,
    "added_template": _added_template,
    "tenant": _tenant,
    "trunk": _trunk,
    "trunk_test": _trunk_test,
    "refused": lambda world: {"notice_id": _added(world, refused_notice(world.cast.alpha, "bob@alpha.test"))},
}


# ---- What the database holds


def whole_database() -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Each table with all its rows. When a browser was last seen is no change."""
    for table in db.metadata.sorted_tables:
        columns = [column for column in table.c if column.name != "last_seen_at"]
        rows = db.session.execute(sa.select(*columns).order_by(*table.primary_key.columns)).all()
        yield table.name, [tuple(map(repr, row)) for row in rows]


def fax_pages(folder: Path) -> bytes:
    """A fax of one page as the line carries it."""
    target = folder / "page.tif"
    rasterize(written(folder, pdf(pages=1)), target, resolution="standard", page_size="A4")
    return target.read_bytes()
