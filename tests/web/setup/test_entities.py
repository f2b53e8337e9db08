"""Fax entities: added, changed and closed by the administrator, with who may use them."""

import re

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import AuditEvent, Direction, FaxEntity, Grant, Mail2FaxBox, PendingChange, Status
from app.rules.numbers import pool
from app.rules.numbers.routing import entity_for, find_line
from app.rules.receiving.strays import note_stray
from tenants.addresses import claim_address
from tenants.db import db, utc_now
from tenants.models import Role, Tenant
from tests.web.cast import Browser, Cast, changes, make_fax, make_user, receive_fax
from tests.web.saving import add, apply, form_of, give, post, save, save_users, stamp_of, template_of, whole


def by_name(app: Flask, name: str) -> FaxEntity:
    with app.app_context():
        entity = db.session.scalars(sa.select(FaxEntity).where(FaxEntity.name == name)).one()
        db.session.expunge_all()
        return entity


def grants(app: Flask, entity_id: int) -> dict[int, tuple[bool, bool]]:
    with app.app_context():
        rows = db.session.scalars(sa.select(Grant).where(Grant.entity_id == entity_id))
        return {grant.user_id: (grant.may_send, grant.may_receive) for grant in rows}


def make_box(app: Flask, cast: Cast, *, key: str | None = None, name: str = "faxbox") -> int:
    with app.app_context():
        address = claim_address(db.session, f"{name}@alpha.test")
        box = Mail2FaxBox(tenant_id=cast.alpha, name=name, imap="imaps://x.test", username="x", password="x")
        box.address, box.private_key = address, key
        db.session.add(box)
        db.session.commit()
        return box.id


# ---- Adding


def test_a_new_line_is_saved_given_users_and_applied(app: Flask, cast: Cast, alice: Browser, bob: Browser):
    give(app, cast.alpha, "+390509655640")
    answer = add(app, alice, cast.alpha, name="sales", extension="505", number="050 965 5640")
    assert re.fullmatch(r"/entities/added/\d+/users", answer.headers["Location"])
    assert save_users(alice, answer.headers["Location"], shown=[cast.bob], sends=[cast.bob]).status_code == 303
    assert "sales" not in bob.get("/faxes/send").text
    assert "new, not active yet" in alice.get("/entities").text
    saved = alice.get("/changes").text
    assert "Bob (bob@alpha.test)" in saved and "seconds that the telephone rings" not in saved
    assert apply(alice).status_code == 303
    sales = by_name(app, "sales")
    assert (sales.tenant_id, sales.extension, sales.number) == (cast.alpha, "505", "+390509655640")
    assert grants(app, sales.id) == {cast.bob: (True, False)}
    assert "sales" in bob.get("/faxes/send").text
    with app.app_context():
        assert entity_for(db.session, "0509655640").id == sales.id, "calls to its number arrive"
        (event,) = db.session.scalars(changes())
        assert (event.action, event.target, event.after["send"]) == ("entity.added", "sales", ["bob@alpha.test"])


def test_its_extension_enters_the_numbering_plan_by_itself(app: Flask, cast: Cast, alice: Browser, bob: Browser):
    add(app, alice, cast.alpha, name="sales", extension="505")
    assert "505 (sales)" not in bob.post("/faxes/send/number", to="505", htmx=True).text
    apply(alice)
    assert "505 (sales)" in bob.post("/faxes/send/number", to="505", htmx=True).text


def test_a_saved_line_is_changed_again_before_it_is_applied(app: Flask, cast: Cast, alice: Browser):
    where = add(app, alice, cast.alpha).headers["Location"].removesuffix("/users")
    fields = {"name": "support", "extension": "506", "template": template_of(app, cast.alpha), "authentication": "none"}
    assert post(alice, where, fields | {"stamp": stamp_of(alice, where)}).status_code == 303
    apply(alice)
    assert by_name(app, "support").extension == "506"


def test_no_more_lines_than_licensed_are_saved_or_applied(app: Flask, cast: Cast, alice: Browser):
    add(app, alice, cast.alpha, name="one", extension="511")
    add(app, alice, cast.alpha, name="two", extension="512")
    answer = add(app, alice, cast.alpha, name="three", extension="513")
    assert answer.status_code == 422
    assert "All licensed fax channels are in use" in answer.text
    assert "All licensed fax channels are in use" in alice.get("/entities/new").text, "told before anything is typed"
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).fax_channels = 3
        db.session.commit()
    answer = apply(alice)
    assert answer.status_code == 422
    assert "because of two" in answer.text
    with app.app_context():
        assert db.session.query(FaxEntity).filter_by(tenant_id=cast.alpha).count() == 2


def test_a_line_that_closes_makes_room_for_another_in_one_go(app: Flask, cast: Cast, alice: Browser):
    with app.app_context():
        db.session.get_one(Tenant, cast.alpha).fax_channels = 2
        db.session.commit()
    assert add(app, alice, cast.alpha).status_code == 422
    post(alice, f"/entities/{cast.archive}/close", {"really": "yes"})
    assert add(app, alice, cast.alpha, name="archive", extension="502").status_code == 303, "name and extension too"
    assert apply(alice).status_code == 303
    with app.app_context():
        opened = sa.select(FaxEntity.name).where(FaxEntity.tenant_id == cast.alpha, FaxEntity.closed_at.is_(None))
        assert sorted(db.session.scalars(opened)) == ["archive", "frontdesk"]


# ---- What is refused


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"name": ""}, "Enter a name"),
        ({"name": "FrontDesk"}, "already a fax line with this name"),
        ({"name": "x" * 101}, "up to 100 characters"),
        ({"extension": ""}, "up to 16 digits"),
        ({"extension": "5 01"}, "up to 16 digits"),
        ({"extension": "501"}, "501 is in use by frontdesk"),
        ({"extension": "112"}, "emergency number"),
        ({"extension": "0501234567"}, "is also a public number"),
        ({"number": "12"}, "This number does not exist"),
        ({"number": "hello"}, "This number does not exist"),
        ({"number": "+39 050 9655637"}, "is in use by frontdesk"),
        ({"number": "0509655638"}, "is already in use"),
        ({"template": ""}, "Choose a template"),
        ({"template": "999999"}, "Choose a template"),
        ({"limit_outbound": "-1"}, "number of calls"),
        ({"shared_with_voice": "yes", "voice_destination": "1,2"}, "Use digits only"),
        ({"shared_with_voice": "yes", "voice_destination": "118"}, "emergency number"),
        ({"shared_with_voice": "yes", "voice_destination": "505"}, "itself a fax line"),
        ({"shared_with_voice": "yes", "voice_destination": "502"}, "itself a fax line"),
        ({"shared_with_voice": "yes", "voice_destination": "050 9655637"}, "itself a fax line"),
        ({"shared_with_voice": "yes", "voice_destination": "+390509655638"}, "itself a fax line"),
        ({"box": "999999"}, "a Mail2Fax box from the list"),
        ({"authentication": "guess"}, "how senders prove"),
    ],
)
def test_what_is_wrong_is_named_before_it_is_saved(app: Flask, cast: Cast, alice: Browser, typed, told):
    answer = add(app, alice, cast.alpha, **typed)
    assert answer.status_code == 422
    assert told in answer.text
    assert "Beta" not in answer.text
    assert "office" not in answer.text, "whose number it is, is told to nobody"
    for text in (text for name, text in typed.items() if name not in ("template", "box", "authentication")):
        assert text[:100] in answer.text, "nothing that was typed is lost"
    with app.app_context():
        assert db.session.query(PendingChange).count() == 0


def test_what_somebody_saved_counts_as_taken_for_themselves(app: Flask, cast: Cast, alice: Browser):
    add(app, alice, cast.alpha, name="sales", extension="505")
    assert "505 is in use by sales" in add(app, alice, cast.alpha, name="support", extension="505").text


def test_a_number_to_which_a_shared_line_leads_is_no_fax_line(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, shared_with_voice="yes", voice_destination="600")
    answer = add(app, alice, cast.alpha, extension="600")
    assert "Calls to frontdesk that are not faxes are forwarded to 600" in answer.text
    with app.app_context():
        theirs = db.session.get_one(FaxEntity, cast.beta_line)
        theirs.shared_with_voice, theirs.voice_destination = True, "0509655650"
        db.session.commit()
    give(app, cast.alpha, "+390509655650")
    answer = add(app, alice, cast.alpha, number="+39 050 9655650")
    assert "Calls that are not faxes are forwarded to +390509655650" in answer.text
    assert "office" not in answer.text


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("extension", "501", "501 is in use by frontdesk"),
        ("extension", "777", "777 is free"),
        ("extension", "7x", "up to 16 digits"),
        ("number", "0509655638", "is already in use"),
        ("number", "050 9655640", "050 965 5640 is free"),
        ("number", "050 9655641", "Choose one of your free numbers"),
        ("number", "1", "This number does not exist"),
        ("extension", "", "Part of your numbering plan"),
    ],
)
def test_while_it_is_typed_a_number_is_told_to_be_free_or_whose_it_is(
    app: Flask, cast: Cast, alice: Browser, field, typed, told
):
    give(app, cast.alpha, "+390509655640")
    answer = alice.post("/entities/judge", field=field, htmx=True, **{field: typed})
    assert told in answer.text
    assert "<html" not in answer.text


def test_only_numbers_that_the_operator_gave_are_offered_and_taken(app: Flask, cast: Cast, alice: Browser):
    page = alice.get("/entities/new").text
    assert "Your company has no free number. Ask your operator for a number." in page
    answer = add(app, alice, cast.alpha, number="+44 20 7183 8750")
    assert answer.status_code == 422
    assert "none of yours is free. Ask your operator for a number." in answer.text
    assert 'value="+44 20 7183 8750"' in answer.text
    give(app, cast.alpha, "+390509655640")
    page = alice.get("/entities/new").text
    assert "Your company has 1 free number:" in page
    assert '<option value="050 965 5640">' in page
    assert add(app, alice, cast.alpha, number="050 965 5640").status_code == 303


def test_a_number_that_was_taken_back_meanwhile_is_not_applied(app: Flask, cast: Cast, alice: Browser):
    give(app, cast.alpha, "+390509655640")
    assert add(app, alice, cast.alpha, number="050 965 5640").status_code == 303
    with app.app_context():
        pool.take_back(db.session, db.session.get_one(Tenant, cast.alpha), ["+390509655640"], utc_now())
        db.session.commit()
    answer = apply(alice)
    assert "Ask your operator for a number." in answer.text
    with app.app_context():
        assert db.session.scalar(sa.select(FaxEntity).where(FaxEntity.number == "+390509655640")) is None


def test_its_own_numbers_are_no_clash(cast: Cast, alice: Browser):
    answer = alice.post("/entities/judge", field="extension", extension="501", entity_id=str(cast.frontdesk))
    assert "501 is free" in answer.text


# ---- Lines shared with voice, Mail2Fax


def test_a_line_becomes_shared_and_dedicated_again(app: Flask, cast: Cast, alice: Browser):
    save(app, alice, cast.frontdesk, shared_with_voice="yes", voice_destination="050 123-4567")
    apply(alice)
    entity = whole(app, cast.frontdesk)
    assert (entity.shared_with_voice, entity.voice_destination) == (True, "0501234567")
    save(app, alice, cast.frontdesk, shared_with_voice="")
    apply(alice)
    entity = whole(app, cast.frontdesk)
    assert (entity.shared_with_voice, entity.voice_destination) == (False, None)


def test_a_pin_is_sealed_never_shown_and_kept_when_left_empty(app: Flask, cast: Cast, alice: Browser):
    box = make_box(app, cast)
    assert "Enter the PIN" in save(app, alice, cast.frontdesk, box=box, authentication="pin").text
    assert "letters and digits" in save(app, alice, cast.frontdesk, box=box, authentication="pin", pin="1 2").text
    assert save(app, alice, cast.frontdesk, box=box, authentication="pin", pin="hunter2pin").status_code == 303
    pages = [alice.get(path).text for path in ("/changes", f"/entities/{cast.frontdesk}", "/entities")]
    with app.app_context():
        kept = db.session.execute(sa.text("SELECT before, after, secrets FROM pending_change")).one()
    assert "hunter2" not in str(kept) + "".join(pages)
    assert "a new one" in pages[0]
    apply(alice)
    entity = whole(app, cast.frontdesk)
    assert (entity.box_id, entity.authentication, entity.pin) == (box, "pin", "hunter2pin")
    assert "hunter2" not in alice.get("/audit").text
    save(app, alice, cast.frontdesk, box=box, authentication="pin", name="reception")
    apply(alice)
    assert (whole(app, cast.frontdesk).name, whole(app, cast.frontdesk).pin) == ("reception", "hunter2pin")
    save(app, alice, cast.frontdesk, box=box, authentication="pgp")
    apply(alice)
    assert whole(app, cast.frontdesk).pin is None


def test_a_pin_alone_is_a_change(app: Flask, cast: Cast, alice: Browser):
    box = make_box(app, cast)
    save(app, alice, cast.frontdesk, box=box, authentication="pin", pin="4711")
    apply(alice)
    save(app, alice, cast.frontdesk, box=box, authentication="pin", pin="4712")
    apply(alice)
    assert whole(app, cast.frontdesk).pin == "4712"
    with app.app_context():
        last = db.session.scalars(sa.select(AuditEvent).order_by(AuditEvent.id.desc())).first()
        assert (last.action, last.after) == ("entity.changed", {"pin": "changed"})


def test_encrypted_mails_need_a_box_with_its_key(app: Flask, cast: Cast, alice: Browser):
    bare, keyed = make_box(app, cast), make_box(app, cast, key="a key", name="keyed")
    answer = save(app, alice, cast.frontdesk, box=bare, encryption_required="yes")
    assert "faxbox has no private PGP key" in answer.text
    assert save(app, alice, cast.frontdesk, box=keyed, encryption_required="yes").status_code == 303
    apply(alice)
    assert whole(app, cast.frontdesk).encryption_required


# ---- Who may use it


def crowd(app: Flask, cast: Cast, count: int) -> list[int]:
    with app.app_context():
        alpha = db.session.get_one(Tenant, cast.alpha)
        people = [make_user(f"user{n:03}@alpha.test", f"User {n:03}", alpha, Role.USER) for n in range(count)]
        db.session.commit()
        return [user.id for user in people]


def carried(page: str) -> list[tuple[str, str]]:
    """Every field of the grid as a browser would send it."""
    pairs = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page)
    return [pair for pair in pairs if pair[0] != "csrf_token"] + [
        (name, value)
        for name, value, more in re.findall(r'type="checkbox" name="(\w+)" value="(\d+)"([^>]*)', page)
        if "checked" in more
    ]


def test_everybody_of_five_hundred_is_chosen_at_once(app: Flask, cast: Cast, alice: Browser):
    people = crowd(app, cast, 498)
    path = f"/entities/{cast.archive}/users"
    page = alice.get(path).text
    assert "500 users" in page
    assert len(carried(page)) < 120, "only a page of them travels"
    page = post(alice, path, [*carried(page), ("act", "all-receive"), ("q", "")]).text
    assert "chosen: 1 send, 500 receive" in page
    page = post(alice, path, [*carried(page), ("act", "find"), ("q", "user00")]).text
    assert "10 users" in page
    page = post(alice, path, [*carried(page), ("act", "none-receive"), ("q", "user00")]).text
    page = post(alice, path, [*carried(page), ("act", "all-send"), ("q", "user00")]).text
    assert "chosen: 11 send, 490 receive" in page
    assert grants(app, cast.archive) == {cast.alice: (True, True)}, "asking keeps nothing"
    assert post(alice, path, [*carried(page), ("act", "save"), ("q", "user00")]).status_code == 303
    assert apply(alice).status_code == 303
    now = grants(app, cast.archive)
    assert {user for user, (sends, _receives) in now.items() if sends} == {cast.alice, *people[:10]}
    assert {user for user, (_sends, receives) in now.items() if receives} == {cast.alice, cast.bob, *people[10:]}


def test_pages_and_searches_lose_no_tick(app: Flask, cast: Cast, alice: Browser):
    people = crowd(app, cast, 250)
    path = f"/entities/{cast.archive}/users"
    page = alice.get(path).text
    page = post(alice, path, [*carried(page), ("sends", people[0]), ("act", "page-3")]).text
    assert "Page 3 of 3" in page
    page = post(alice, path, [*carried(page), ("receives", people[-1]), ("act", "find"), ("q", "bob@")]).text
    assert "1 user<" in page
    page = post(alice, path, [*carried(page), ("sends", cast.bob), ("act", "find"), ("q", "nobody like that")]).text
    post(alice, path, [*carried(page), ("act", "save")])
    apply(alice)
    alone = {people[0]: (True, False), people[-1]: (False, True), cast.bob: (True, False), cast.alice: (True, True)}
    assert grants(app, cast.archive) == alone


def test_a_search_by_script_brings_the_grid_alone(app: Flask, cast: Cast, alice: Browser):
    path = f"/entities/{cast.archive}/users"
    answer = post(
        alice, path, [*carried(alice.get(path).text), ("q", "bob")], **{"HX-Request": "true", "HX-Target": "grid"}
    )
    assert answer.text.lstrip().startswith('<div id="grid">')
    assert "bob@alpha.test" in answer.text
    assert "<strong>alice" not in answer.text


def test_nobody_of_another_company_is_ever_given_a_permission(app: Flask, cast: Cast, alice: Browser):
    path = f"/entities/{cast.frontdesk}/users"
    save_users(alice, path, shown=[cast.charlie, cast.olga], sends=[cast.charlie, cast.olga], receives=[cast.charlie])
    apply(alice)
    assert set(grants(app, cast.frontdesk)) == {cast.alice, cast.bob}
    with app.app_context():
        change = PendingChange(tenant_id=cast.alpha, user_id=cast.alice, kind="entity", target_id=cast.frontdesk)
        change.act, change.before, change.after = "change", {}, {f"grant:{cast.charlie}": "send"}
        db.session.add(change)
        db.session.commit()
    assert apply(alice).status_code == 422, "not even by a row that was forged"
    assert set(grants(app, cast.frontdesk)) == {cast.alice, cast.bob}


# ---- The end of a line


def close(alice: Browser, entity_id: int):
    return post(alice, f"/entities/{entity_id}/close", {"really": "yes"})


def test_a_closed_line_is_used_by_nobody_and_its_faxes_stay(app: Flask, cast: Cast, alice: Browser, bob: Browser):
    theirs, came = make_fax(app, cast), receive_fax(app, cast)
    assert "Close frontdesk?" in post(alice, f"/entities/{cast.frontdesk}/close", {}).text
    assert close(alice, cast.frontdesk).status_code == 303
    assert "frontdesk" in bob.get("/faxes/send").text, "not before it is applied"
    assert "closing, not active yet" in alice.get("/entities").text
    apply(alice)
    assert "frontdesk" not in alice.get("/entities").text
    assert alice.get(f"/entities/{cast.frontdesk}").status_code == 404
    assert bob.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567").status_code == 422
    with app.app_context():
        assert entity_for(db.session, "+390509655637") is None
    for fax_id in (theirs, came):
        assert alice.get(f"/faxes/{fax_id}").status_code == 200
    assert bob.get(f"/faxes/{theirs}").status_code == 200
    assert add(app, alice, cast.alpha, name="frontdesk", extension="501", number="0509655637").status_code == 303
    assert apply(alice).status_code == 303
    with app.app_context():
        event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "entity.closed")).one()
        assert event.before["number"] == "+390509655637"


@pytest.mark.parametrize("status", [Status.ACCEPTED, Status.SCHEDULED, Status.DIALING, Status.RETRYING])
def test_a_line_from_which_a_fax_still_goes_is_not_closed(app: Flask, cast: Cast, alice: Browser, status):
    close(alice, cast.frontdesk)
    make_fax(app, cast, status=status)
    answer = apply(alice)
    assert answer.status_code == 422
    assert "are still waiting or being sent (1)" in answer.text
    assert whole(app, cast.frontdesk).closed_at is None
    page = close(alice, cast.frontdesk)
    assert "still waiting or being sent" in page.text, "and it is said before it is saved"


def test_a_fax_that_is_coming_in_does_not_keep_a_line_open(app: Flask, cast: Cast, alice: Browser):
    make_fax(app, cast, status=Status.RECEIVING, direction=Direction.RECEIVED)
    close(alice, cast.frontdesk)
    assert apply(alice).status_code == 303


def test_saving_the_form_takes_back_that_a_line_closes(app: Flask, cast: Cast, alice: Browser):
    close(alice, cast.frontdesk)
    assert "You have chosen to close this line" in alice.get(f"/entities/{cast.frontdesk}").text
    save(app, alice, cast.frontdesk, name="reception")
    apply(alice)
    entity = whole(app, cast.frontdesk)
    assert (entity.name, entity.closed_at) == ("reception", None)


# ---- Whose it is


def test_only_the_companys_own_administrator_reaches_a_line(app: Flask, cast: Cast, alice: Browser, bob: Browser):
    for path in ("", "/users", "/close", "/discard"):
        for browser, entity_id in ((alice, cast.beta_line), (bob, cast.frontdesk)):
            assert browser.post(f"/entities/{entity_id}{path}", really="yes").status_code == 404
    assert alice.get(f"/entities/{cast.beta_line}").status_code == 404
    assert bob.get("/entities").status_code == 404
    assert "office" not in alice.get("/entities").text


def test_a_forged_company_template_or_box_is_ignored(app: Flask, cast: Cast, alice: Browser):
    theirs = template_of(app, cast.beta)
    assert "Choose a template" in add(app, alice, cast.alpha, template=theirs).text
    forged = {"tenant_id": str(cast.beta), "closed_at": "2020-01-01", "id": str(cast.beta_line)}
    add(app, alice, cast.alpha, **forged)
    apply(alice)
    assert by_name(app, "sales").tenant_id == cast.alpha
    assert whole(app, cast.beta_line).name == "office"


def test_a_form_without_a_change_says_so(app: Flask, cast: Cast, alice: Browser):
    assert form_of(app, cast.frontdesk)["name"] == "frontdesk"
    save(app, alice, cast.frontdesk)
    assert "Nothing changed" in alice.get("/entities").text


def test_a_company_sees_calls_for_its_own_numbers_that_reached_nobody_and_no_others(app, cast, alice):
    with app.app_context():
        pool.give(db.session, db.session.get_one(Tenant, cast.alpha), ["+390509655660"], utc_now())
        pool.give(db.session, db.session.get_one(Tenant, cast.beta), ["+390509655670"], utc_now())
        for number in ("+390509655660", "0509655660", "+390509655670", "+390509655680"):
            note_stray(db.session, find_line(db.session, f"{number}||||"), "+390511234567", utc_now())
    page = alice.get("/entities").text
    assert page.count("050 965 5660") == 2 and "+390511234567" in page
    assert "050 965 5670" not in page and "050 965 5680" not in page
