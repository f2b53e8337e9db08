"""The operator's pages: companies are opened, licensed, suspended; counts and states, never what is faxed."""

import io
import json
import re
import zipfile
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

import app.jobs.running as running
from app.errors import PermanentFailure
from app.jobs.upkeep.erase import erase
from app.models import Attempt, AuditEvent, Document, Fax, FaxEntity, Notice, Status
from app.queues import QUEUES
from app.rules.figures.figures import count_days
from app.rules.numbers.routing import entity_for
from app.rules.operator import erasing
from app.rules.operator.exporting import LEFT_OUT_TABLES, exported_tables
from app.rules.operator.tenant_tables import belongs
from app.rules.setup.licence import licence_of
from app.services.upkeep.health import CHECKS
from app.services.upkeep.working import Sign
from app.web.operator.companies import PART_NAMES, PART_TASKS, QUEUE_NAMES
from tenants.db import db, utc_now
from tenants.models import EmailAddress, OneTimeLink, Role, Tenant, User
from tests.web.cast import Browser, Cast, changes, make_document, make_fax, receive_fax

GAMMA = {
    "slug": "gamma",
    "name": "Gamma & Söhne",
    "serial": "KPBX-3.1",
    "region": "DE",
    "timezone": "Europe/Berlin",
    "language": "it",
    "outside_prefix": "00",
    "fax_channels": "3",
    "limit_inbound": "1",
    "limit_outbound": "2",
    "limit_total": "0",
}
NEW = "/operator/tenants/new"


def open_gamma(olga: Browser, **changes: str) -> object:
    return olga.post(NEW, page=NEW, **{**GAMMA, **changes})


def tenant(slug: str) -> Tenant | None:
    return db.session.scalar(sa.select(Tenant).where(Tenant.slug == slug))


def acts(tenant_id: int | None) -> list[str]:
    return [event.action for event in db.session.scalars(changes().where(AuditEvent.tenant_id == tenant_id))]


@pytest.fixture
def alpha(cast: Cast) -> str:
    return f"/operator/tenants/{cast.alpha}"


# ---- Who may


def test_nobody_but_an_operator_finds_these_pages(alpha: str, alice: Browser, bob: Browser) -> None:
    for browser in (alice, bob):
        for path in ("/operator", "/operator/parts", "/operator/tenants", NEW, alpha, "/operator/figures"):
            assert browser.get(path).status_code == 404, path
        for path in (NEW, alpha, f"{alpha}/suspend", f"{alpha}/reopen", f"{alpha}/export", f"{alpha}/delete"):
            assert browser.post(path, **GAMMA).status_code == 404, path


def test_a_company_that_is_not_there_is_not_found(olga: Browser) -> None:
    assert olga.get("/operator/tenants/987654").status_code == 404
    assert olga.post("/operator/tenants/987654/suspend", page=NEW).status_code == 404


# ---- Opening


def test_an_operator_opens_a_company_with_all_that_belongs_to_it(app: Flask, olga: Browser) -> None:
    answer = open_gamma(olga)
    assert answer.status_code == 303
    with app.app_context():
        gamma = tenant("gamma")
        assert answer.headers["Location"] == f"/operator/tenants/{gamma.id}"
        assert {name: str(getattr(gamma, name)) for name in GAMMA} == GAMMA
        assert acts(gamma.id) == ["tenant.opened"]
    assert "Gamma &amp; Söhne is open." in olga.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("slug", "", "Enter a short name"),
        ("slug", "Gamma", "lower-case letters, digits and hyphens"),
        ("slug", "-gamma", "starts with a letter or digit"),
        ("slug", "alpha", "There is already a company with this short name"),
        ("name", "", "Enter a name."),
        ("name", "x" * 101, "up to 100 characters"),
        ("serial", "", "Enter a serial number"),
        ("serial", "a]b", "letters, digits, dots, hyphens"),
        ("region", "XX", "Choose a country"),
        ("timezone", "Rome", "not a time zone"),
        ("timezone", "../etc/passwd", "not a time zone"),
        ("language", "de", "Choose a language"),
        ("outside_prefix", "0a", "up to 4 digits"),
        ("fax_channels", "", "a whole number from 0 to 99999"),
        ("fax_channels", "-1", "a whole number"),
        ("limit_inbound", "1.5", "a number of calls from 0 to 1000"),
        ("limit_outbound", "1001", "a number of calls from 0 to 1000"),
        ("limit_total", "²", "a number of calls from 0 to 1000"),
        ("admin_email", "nobody", "This is not an email address"),
        ("admin_email", "alice@alpha.test", "This address is already in use"),
    ],
)
def test_each_field_is_judged_and_nothing_typed_is_lost(
    app: Flask, olga: Browser, field: str, value: str, sentence: str
) -> None:
    form = {"admin_name": "Gina"} if field == "admin_email" else {}
    answer = open_gamma(olga, **form, **{field: value})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'value="KPBX-3.1"' in answer.text or field == "serial"
    assert 'value="Europe/Berlin"' in answer.text or field == "timezone"
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Tenant)) == 2


def test_the_first_administrator_is_invited_by_mail(app: Flask, olga: Browser) -> None:
    assert open_gamma(olga, admin_name="Gina", admin_email="gina@gamma.test").status_code == 303
    with app.app_context():
        gamma = tenant("gamma")
        gina = db.session.scalar(sa.select(User).where(User.tenant_id == gamma.id))
        assert (gina.name, gina.email, gina.role, gina.is_invited) == ("Gina", "gina@gamma.test", Role.ADMIN, True)
        notice = db.session.scalar(sa.select(Notice))
        assert (notice.kind, notice.recipient, notice.language) == ("invitation", "gina@gamma.test", "it")
        assert acts(gamma.id) == ["tenant.opened", "user.invited"]


def test_a_double_click_opens_one_company_and_invites_once(app: Flask, olga: Browser) -> None:
    form = {**GAMMA, "submission": "twice", "admin_name": "Gina", "admin_email": "gina@gamma.test"}
    first, second = olga.post(NEW, page=NEW, **form), olga.post(NEW, page=NEW, **form)
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["Location"] == second.headers["Location"]
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(OneTimeLink)) == 1


# ---- Changing


def test_a_changed_company_is_audited_with_what_differs(app: Flask, cast: Cast, olga: Browser, alpha: str) -> None:
    answer = olga.post(alpha, page=alpha, **{**GAMMA, "slug": "other", "region": "IT", "fax_channels": "4"})
    assert answer.status_code == 303
    with app.app_context():
        changed = db.session.get(Tenant, cast.alpha)
        assert (changed.slug, changed.name, changed.timezone) == ("alpha", "Gamma & Söhne", "Europe/Berlin")
        event = db.session.scalar(sa.select(AuditEvent).where(AuditEvent.action == "tenant.changed"))
        assert event.before["name"] == "Alpha Srl"
        assert event.after["name"] == "Gamma & Söhne"
        assert "region" not in event.before
        assert "slug" not in event.after


def test_a_smaller_licence_keeps_what_exists_and_says_so(app: Flask, cast: Cast, olga: Browser, alpha: str) -> None:
    form = {**GAMMA, "fax_channels": "1"}
    answer = olga.post(alpha, page=alpha, **form)
    page = olga.get(answer.headers["Location"]).text
    assert "The company has 2 fax lines but 1 licensed channels. It keeps them" in page
    assert "Existing lines stay, but none can be added." in page
    with app.app_context():
        assert licence_of(db.session, cast.alpha).used == 2


def test_looking_into_a_company_is_written_into_its_log(
    app: Flask, cast: Cast, olga: Browser, alpha: str, alice: Browser
) -> None:
    olga.get(alpha)
    with app.app_context():
        event = db.session.scalar(changes().where(AuditEvent.tenant_id == cast.alpha))
        assert (event.action, event.user_id, event.remote_address) == ("tenant.viewed", cast.olga, "127.0.0.1")


# ---- Suspending


def test_a_suspended_company_reads_why_and_sends_nothing_until_it_is_open_again(
    app: Flask, cast: Cast, olga: Browser, alpha: str, bob: Browser
) -> None:
    waiting = make_fax(app, cast, status=Status.SCHEDULED)
    olga.post(f"{alpha}/suspend", page=alpha, reason="The invoice of October\nis open.")
    page = bob.get("/faxes").text
    assert "The fax service of Alpha Srl is suspended." in page
    assert "The invoice of October is open." in page
    with app.app_context():
        draft = make_document(app, cast.alpha)
        draft.user_id = cast.bob
        db.session.commit()
        draft_id = draft.id
    refused = bob.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567", draft=draft_id)
    assert refused.status_code == 422
    assert "is suspended, so nothing can be sent" in refused.text
    olga.post(f"{alpha}/reopen", page=alpha)
    assert "is suspended" not in bob.get("/faxes").text
    assert bob.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567", draft=draft_id).status_code == 303
    with app.app_context():
        assert db.session.get(Fax, waiting).status == Status.SCHEDULED
        done = [act for act in acts(cast.alpha) if act != "tenant.viewed"]
        assert done == ["tenant.suspended", "tenant.reopened"]


def test_suspending_twice_is_done_once(app: Flask, cast: Cast, olga: Browser, alpha: str) -> None:
    for reason in ("first", "second"):
        olga.post(f"{alpha}/suspend", page=alpha, reason=reason)
    with app.app_context():
        assert db.session.get(Tenant, cast.alpha).suspended_reason == "first"
        assert acts(cast.alpha).count("tenant.suspended") == 1


def test_a_reason_that_is_too_long_is_kept_and_judged(olga: Browser, alpha: str) -> None:
    answer = olga.post(f"{alpha}/suspend", page=alpha, reason="long " * 101)
    assert answer.status_code == 422
    assert "longer than 500 characters" in answer.text
    assert "long long" in answer.text


# ---- Administrators


def test_an_operator_invites_an_administrator_later(app: Flask, cast: Cast, olga: Browser, alpha: str) -> None:
    form = {"admin_name": "Ada", "admin_email": "ada@alpha.test", "submission": "key"}
    for _ in range(2):
        assert olga.post(f"{alpha}/administrators", page=alpha, **form).status_code == 303
    with app.app_context():
        ada = db.session.scalar(sa.select(User).where(User.name == "Ada"))
        assert (ada.tenant_id, ada.role) == (cast.alpha, Role.ADMIN)
        assert acts(cast.alpha).count("user.invited") == 1
        db.session.execute(sa.update(OneTimeLink).values(created_at=utc_now() - timedelta(hours=1)))
        db.session.commit()
        ada_id = ada.id
    assert olga.post(f"{alpha}/administrators/{ada_id}/invite", page=alpha).status_code == 303
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(OneTimeLink)) == 2


@pytest.mark.parametrize(
    ("name", "email", "sentence"),
    [
        ("", "ada@alpha.test", "Enter a name."),
        ("Ada", "", "Enter an email address."),
        ("Ada", "charlie@beta.test", "This address is already in use"),
    ],
)
def test_an_invitation_is_judged(olga: Browser, alpha: str, name: str, email: str, sentence: str) -> None:
    answer = olga.post(f"{alpha}/administrators", page=alpha, admin_name=name, admin_email=email)
    assert answer.status_code == 422
    assert sentence in answer.text
    assert "beta" not in answer.text.replace("charlie@beta.test", "")


def test_only_an_administrator_who_never_came_is_invited_again(cast: Cast, olga: Browser, alpha: str) -> None:
    for user_id in (cast.alice, cast.bob, cast.charlie):
        assert olga.post(f"{alpha}/administrators/{user_id}/invite", page=alpha).status_code == 404


def test_the_operator_withdraws_an_invitation_to_administer(app: Flask, cast: Cast, olga: Browser, alpha: str) -> None:
    form = {"admin_name": "Gina", "admin_email": "gina@alpha.test", "submission": "one"}
    olga.post(f"{alpha}/administrators", page=alpha, **form)
    with app.app_context():
        gina = db.session.query(User).filter_by(name="Gina").one().id
    for user_id in (cast.alice, cast.bob, cast.charlie):
        assert olga.post(f"{alpha}/administrators/{user_id}/withdrawal", page=alpha).status_code == 404
    assert olga.post(f"{alpha}/administrators/{gina}/withdrawal", page=alpha).status_code == 303
    assert "The invitation for Gina was withdrawn" in olga.get(alpha).text
    assert "Gina" not in olga.get(alpha).text
    with app.app_context():
        assert db.session.get(User, gina) is None
        assert "user.invitation_withdrawn" in acts(cast.alpha)


# ---- The installation at a glance


def test_the_overview_counts_and_shows_nothing_of_a_fax(app: Flask, cast: Cast, olga: Browser) -> None:
    make_fax(app, cast, status=Status.SCHEDULED, name="secret.pdf")
    make_fax(app, cast, status=Status.READY, due_at=utc_now() - timedelta(hours=3), name="secret.pdf")
    page = olga.get("/operator").text
    assert "Alpha Srl" in page
    assert 'data-label="Stuck"><span class="badge tone-bad">' in page
    assert 'data-label="Scheduled">1</td>' in page
    assert "secret.pdf" not in page
    assert "+390501234567" not in page


def test_the_overview_tells_which_limits_calls_met(olga: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Calls refused" not in olga.get("/operator").text  # nobody can tell: Redis is down
    monkeypatch.setattr("app.web.operator.companies.turned_away", lambda now: Counter(caller=1200, called=3))
    page = plain(olga.get("/operator").text)
    assert "Calls refused by a limit, last 24 hours 1,203 for one caller 1,200, for one line 3" in page
    monkeypatch.setattr("app.web.operator.companies.turned_away", lambda now: Counter())
    assert "for one caller" not in olga.get("/operator").text


def plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_the_overview_refreshes_its_counts_alone(olga: Browser) -> None:
    part = olga.get("/operator", headers={"HX-Request": "true", "HX-Target": "now"}).text
    assert part.lstrip().startswith('<div id="now"')


def test_a_part_that_does_not_answer_is_named_with_what_to_do(olga: Browser) -> None:
    page = olga.get("/operator/parts").text
    assert "Check REDIS_URL" in page
    assert "Database" in page


def test_every_part_and_every_queue_has_a_name_and_a_task() -> None:
    assert PART_NAMES.keys() == PART_TASKS.keys() == CHECKS.keys()
    assert QUEUE_NAMES.keys() == set(QUEUES)


def test_the_machines_are_told_with_what_runs_there(app: Flask, olga: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    signs = [Sign("fax1", list(QUEUES), 0), Sign("fax1", ["line"], 30), Sign("<fax2>", list(QUEUES), 0)]
    monkeypatch.setattr("app.services.upkeep.health.signs", lambda: signs)
    monkeypatch.setattr("app.web.operator.companies.check_health", lambda: {"asterisk": {"ok": True}})
    monkeypatch.setattr(app.extensions["asterisk"], "ping", lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))
    page = olga.get("/operator/parts").text
    assert re.findall(r'<dt class="mono break">([^<]*)</dt>', page)[0:2] == ["&lt;fax2&gt;", "fax1"]
    assert "2 workers" in page
    assert "Asterisk running since" in page


# ---- Taking away and deleting


def export(olga: Browser, path: str) -> zipfile.ZipFile:
    """While the company lets operators in."""
    with olga.client.application.app_context():
        db.session.execute(sa.update(Tenant).values(operator_until=utc_now() + timedelta(hours=1)))
        db.session.commit()
    answer = olga.post(f"{path}/export", page=path)
    assert answer.mimetype == "application/zip"
    return zipfile.ZipFile(io.BytesIO(answer.data))


def test_an_export_holds_every_row_and_document_and_nothing_that_lets_anybody_in(
    app: Flask, cast: Cast, olga: Browser, alpha: str
) -> None:
    make_fax(app, cast, name="contract.pdf")
    with app.app_context():
        db.session.execute(sa.update(FaxEntity).where(FaxEntity.id == cast.frontdesk).values(pin="471147"))
        db.session.commit()
        secrets = [*db.session.scalars(sa.select(User.password_hash)), "471147"]
        document = db.session.scalar(sa.select(Document))
        expected, content = f"documents/{document.id}.pdf", app.extensions["storage"].open(document.storage_key).read()
    archive = export(olga, alpha)
    assert archive.testzip() is None
    assert archive.read(expected) == content
    faxes = [json.loads(line) for line in archive.read("rows/fax.jsonl").splitlines()]
    assert [fax["remote_number"] for fax in faxes] == ["+390501234567"]
    assert "'+390501234567" in archive.read("rows/fax.csv").decode()
    people = archive.read("rows/user.csv").decode()
    assert "alice@alpha.test" in people
    assert "charlie@beta.test" not in people
    whole = b"".join(archive.read(name) for name in archive.namelist())
    assert not [secret for secret in secrets if secret.encode() in whole]
    assert b"Beta SpA" not in whole
    with app.app_context():
        assert "tenant.exported" in acts(cast.alpha)


def test_every_table_with_rows_of_a_company_is_exported_or_left_out_on_purpose(app: Flask, cast: Cast) -> None:
    with app.app_context():
        exported = {table.name for table in exported_tables(cast.alpha)}
    known = set(db.metadata.tables) - LEFT_OUT_TABLES - {"email_address"}
    assert exported == known


def test_a_file_that_is_gone_is_named_in_the_export(app: Flask, cast: Cast, olga: Browser, alpha: str) -> None:
    make_fax(app, cast)
    with app.app_context():
        document = db.session.scalar(sa.select(Document))
        app.extensions["storage"].delete(document.storage_key)
        name = f"documents/{document.id}.pdf"
    archive = export(olga, alpha)
    assert name not in archive.namelist()
    assert name in archive.read("READ-ME.txt").decode()


def on_the_line(app: Flask, cast: Cast) -> str:
    fax_id = make_fax(app, cast, status=Status.SENDING)
    with app.app_context():
        call = {"n": 1, "channel_id": "a", "node": "a", "tenant_id": cast.alpha, "entity_id": cast.frontdesk}
        db.session.add(Attempt(fax_id=fax_id, **call))
        db.session.commit()
    return fax_id


def test_only_a_suspended_company_with_no_call_is_deleted_by_who_types_its_name(
    app: Flask, cast: Cast, olga: Browser, alpha: str
) -> None:
    def ask(slug: str) -> str:
        answer = olga.post(f"{alpha}/delete", page=alpha, slug=slug)
        return answer.text if answer.status_code == 422 else answer.headers["Location"]

    assert "Suspend the company first" in ask("alpha")
    fax_id = on_the_line(app, cast)
    olga.post(f"{alpha}/suspend", page=alpha)
    assert "Type alpha to delete it" in ask("Alpha")
    assert "has a fax on the line" in ask("alpha")
    with app.app_context():
        assert db.session.get(Tenant, cast.alpha).deleting_at is None
        db.session.execute(sa.update(Attempt).where(Attempt.fax_id == fax_id).values(ended_at=utc_now()))
        db.session.commit()
    assert ask("alpha") == "/operator/tenants"


@pytest.fixture
def doomed(app: Flask, cast: Cast, olga: Browser, alpha: str, monkeypatch: pytest.MonkeyPatch) -> Cast:
    """Alpha with something in many tables, its deletion begun."""
    monkeypatch.setattr(running, "application", lambda: app)
    first = make_fax(app, cast)
    make_fax(app, cast, resend_of_id=first)
    for _ in range(3):
        receive_fax(app, cast)
    olga.get(alpha)
    form = {"admin_name": "Ada", "admin_email": "ada@alpha.test"}
    olga.post(f"{alpha}/administrators", page=alpha, **form)
    with app.app_context():
        count_days(db.session, utc_now())
        db.session.execute(sa.update(Tenant).where(Tenant.id == cast.alpha).values(suspended_at=utc_now()))
        db.session.commit()
    assert olga.post(f"{alpha}/delete", page=alpha, slug="alpha").status_code == 303
    return cast


def what_is_left(tenant_id: int) -> dict[str, int]:
    left = {}
    for table in db.metadata.sorted_tables:
        mine = belongs(table, tenant_id)
        count = db.session.scalar(sa.select(sa.func.count()).select_from(table).where(mine)) if mine is not None else 0
        if count:
            left[table.name] = count
    return left


def test_a_company_whose_deletion_was_begun_is_closed_at_once(app: Flask, doomed: Cast, olga: Browser) -> None:
    nobody = Browser(app)
    assert "This account is closed" in nobody.sign_in("alice@alpha.test").text
    with app.app_context():
        assert entity_for(db.session, "+390509655637") is None
        assert entity_for(db.session, "+390509655638").id == doomed.beta_line
    answer = olga.post(f"/operator/tenants/{doomed.alpha}/reopen", page="/operator/tenants/new")
    assert "This company is being deleted." in olga.get(answer.headers["Location"]).text


def test_nothing_is_left_of_a_deleted_company_and_nothing_of_another_is_missing(app: Flask, doomed: Cast) -> None:
    with app.app_context():
        beta, keys = what_is_left(doomed.beta), list(db.session.scalars(sa.select(Document.storage_key)))
        db.session.rollback()
    erase(doomed.alpha)
    with app.app_context():
        assert db.session.get(Tenant, doomed.alpha) is None
        assert what_is_left(doomed.alpha) == {}
        assert what_is_left(doomed.beta) == beta
        for key in keys:
            with pytest.raises(PermanentFailure):
                app.extensions["storage"].open(key)
        addresses = set(db.session.scalars(sa.select(EmailAddress.folded)))
        assert addresses == {"charlie@beta.test", "ops@faxroom.test"}
        assert acts(None) == ["tenant.deletion_begun", "tenant.deleted"]


def test_a_deletion_that_is_killed_anywhere_goes_on_to_the_end(
    app: Flask, doomed: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "BATCH", 1)
    steps = 0

    def killed() -> bool:
        """One step, then a kill: before the commit of the next one."""
        with app.app_context():
            step = next(erasing.remove_rows(db.session, doomed.alpha, remove_file=app.extensions["storage"].delete), 0)
            db.session.rollback()
        return bool(step)

    while killed():
        steps += 1
        with app.app_context():
            assert db.session.get(Tenant, doomed.alpha).deleting_at
    assert steps > 20
    erase(doomed.alpha)
    with app.app_context():
        assert what_is_left(doomed.alpha) == {}
        assert db.session.get(Tenant, doomed.alpha) is None


def test_the_installations_log_says_who_deleted_a_company(app: Flask, doomed: Cast, olga: Browser) -> None:
    erase(doomed.alpha)
    page = olga.get("/operator/log").text
    assert "Company: deletion started" in page
    assert "Olga" in page
    assert "Alpha Srl" in page


def test_deleting_twice_is_done_once(app: Flask, doomed: Cast, olga: Browser) -> None:
    answer = olga.post(f"/operator/tenants/{doomed.alpha}/delete", page="/operator/tenants/new", slug="alpha")
    assert answer.status_code == 303
    erase(doomed.alpha)
    erase(doomed.alpha)
    with app.app_context():
        assert acts(None) == ["tenant.deletion_begun", "tenant.deleted"]
