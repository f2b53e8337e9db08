"""The shared inbox's pages."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from app.models import Fax, Grant, InboxEvent, Status, Unread
from tenants.db import db, utc_now
from tenants.models import Role, User
from tests.web.cast import Browser, Cast, make_fax, make_user, may_receive, receive_fax

#: Acts on a received fax.
ACTS = ("take", "done", "release", "reopen", "unread", "hand-over")
SEEN = re.compile(r"seen=(\w+)")


@pytest.fixture(autouse=True)
def receives(app: Flask, cast: Cast) -> None:
    """Bob may receive at the front desk as Alice does."""
    with app.app_context():
        may_receive(cast.bob, cast.frontdesk)


def row(app: Flask, fax_id: str) -> Fax:
    with app.app_context():
        fax = db.session.get_one(Fax, fax_id)
        db.session.expunge(fax)
        return fax


def unread(app: Flask, user_id: int) -> set[str]:
    with app.app_context():
        return set(db.session.scalars(sa.select(Unread.fax_id).where(Unread.user_id == user_id)))


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """The statements that are run meanwhile."""
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement)

    with app.app_context():
        sa.event.listen(db.engine, "before_cursor_execute", note)
        yield statements
        sa.event.remove(db.engine, "before_cursor_execute", note)


def order(page: str) -> list[str]:
    return re.findall(r'id="slip-(\w+)"', page)


# ---- The list


def test_what_nobody_has_opened_stands_above_what_is_read_and_what_colleagues_have(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    hours = (1, 5, 9, 3)
    newest, taken, read, older = (
        receive_fax(app, cast, created_at=utc_now() - timedelta(hours=hour)) for hour in hours
    )
    bob.get(f"/faxes/{read}")
    alice.post(f"/faxes/{taken}/take")
    page = bob.get("/inbox").text
    assert order(page) == [older, newest, read, taken]
    assert [title in page for title in ("Not opened by you", "Opened, not done", "Taken")] == [True] * 3
    assert order(bob.get("/inbox?tab=free").text) == [older, newest, read]
    assert order(bob.get("/inbox?tab=mine").text) == []
    assert order(alice.get("/inbox?tab=mine").text) == [taken]
    assert "Alice" in bob.get("/inbox").text


@pytest.mark.usefixtures("midday")
def test_what_waits_for_days_says_since_when_and_is_marked(app: Flask, cast: Cast, bob: Browser) -> None:
    late = receive_fax(app, cast, created_at=utc_now() - timedelta(days=6))
    fresh = receive_fax(app, cast)
    page = bob.get("/inbox").text
    old_row, new_row = page[page.index(f"slip-{late}") :], page[page.index(f"slip-{fresh}") :]
    assert re.search(r"tone-doubt.*?since \w+day, 6 days", old_row, re.S)
    assert "tone-doubt" not in new_row.split("</tr>")[0]


def test_done_is_one_click_and_can_be_taken_back(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    assert bob.post(f"/faxes/{fax_id}/done", back="/inbox").headers["Location"] == "/inbox"
    assert order(bob.get("/inbox").text) == []
    assert order(bob.get("/inbox?tab=done").text) == [fax_id]
    bob.post(f"/faxes/{fax_id}/reopen", back="/inbox?tab=done")
    assert order(bob.get("/inbox").text) == [fax_id]


def test_htmx_gets_the_row_the_count_and_a_word_for_the_screen_reader(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    fragment = bob.post(f"/faxes/{fax_id}/take", htmx=True).text
    assert order(fragment) == [fax_id]
    assert "<html" not in fragment
    assert 'id="inbox-count"' in fragment
    assert "You have fax 1 now." in fragment
    assert re.search(rf'id="done-{fax_id}"[^>]* autofocus', fragment)
    assert "is done" in bob.post(f"/faxes/{fax_id}/done", holder=str(cast.bob), htmx=True).text


def test_a_row_that_has_left_its_list_says_so_in_words(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    done = " ".join(re.sub(r"<[^>]+>", " ", bob.post(f"/faxes/{fax_id}/done", back="/inbox", htmx=True).text).split())
    assert re.search(r"Done \d+:\d\d by you Reopen", done)
    place = "/inbox?tab=done"
    again = bob.post(f"/faxes/{fax_id}/reopen", back=place, htmx=True).text
    assert "Open again" in again
    assert f'name="back" value="{place}"' in again
    assert "Open again" not in bob.post(f"/faxes/{fax_id}/done", back=place, htmx=True).text
    assert "since" in bob.post(f"/faxes/{fax_id}/reopen", back="/inbox", htmx=True).text


def test_without_javascript_a_list_says_what_was_done(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    for act, words in (("take", "You have fax 1 now."), ("done", "Fax 1 is done."), ("reopen", "Fax 1 is open again.")):
        bob.post(f"/faxes/{fax_id}/{act}", back="/inbox", holder=str(cast.bob))
        assert words in bob.get("/inbox").text


@pytest.mark.parametrize("htmx", [True, False])
def test_who_comes_second_is_told_who_has_it(app: Flask, cast: Cast, bob: Browser, alice: Browser, htmx: bool) -> None:
    fax_id = receive_fax(app, cast)
    alice.post(f"/faxes/{fax_id}/take")
    for act in ("take", "done"):
        answer = bob.post(f"/faxes/{fax_id}/{act}", htmx=htmx, back="/inbox")
        text = answer.text if htmx else bob.get(answer.headers["Location"]).text
        assert "Alice took it first." in text
    assert row(app, fax_id).taken_by_id == cast.alice
    alice.post(f"/faxes/{fax_id}/done")
    answer = bob.post(f"/faxes/{fax_id}/done", back="/inbox")
    assert "Alice has already marked it done." in bob.get(answer.headers["Location"]).text


def test_all_that_was_opened_is_done_in_one_go(app: Flask, cast: Cast, bob: Browser) -> None:
    read = [receive_fax(app, cast) for _ in range(2)]
    fresh = receive_fax(app, cast)
    for fax_id in read:
        bob.get(f"/faxes/{fax_id}")
    page = bob.get("/inbox").text
    ids = re.findall(r'name="ids" value="(\w+)"', page)
    assert set(ids) == set(read)
    assert "Mark 2 as done" in page
    bob.post("/inbox/done", ids=[*ids, fresh])
    page = bob.get("/inbox").text
    assert order(page) == [fresh]
    assert '2 faxes are done. <a href="/inbox?tab=done">' in page


def test_the_list_is_sent_again_only_when_something_in_it_has_changed(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    fax_id = receive_fax(app, cast)
    place = re.search(r'id="inbox-list" hx-get="([^"]+)"', bob.get("/inbox").text)[1].replace("&amp;", "&")
    htmx = {"headers": {"HX-Request": "true", "HX-Target": "inbox-list"}}
    assert bob.get(place, **htmx).status_code == 204
    alice.post(f"/faxes/{fax_id}/take")
    fragment = bob.get(place, **htmx)
    assert fragment.status_code == 200
    assert order(fragment.text) == [fax_id]
    assert "<html" not in fragment.text


def test_an_empty_inbox_says_what_will_be_there(bob: Browser) -> None:
    for tab, words in (
        ("open", "Inbox is empty"),
        ("mine", "You have not taken any faxes"),
        ("done", "Nothing has been marked"),
    ):
        assert words in bob.get(f"/inbox?tab={tab}").text


def test_who_works_alone_has_nothing_to_take_and_nobody_to_hand_it_to(app: Flask, cast: Cast, charlie: Browser) -> None:
    with app.app_context():
        db.session.execute(sa.update(Grant).where(Grant.user_id == cast.charlie).values(may_receive=True))
        fax = Fax(tenant_id=cast.beta, entity_id=cast.beta_line, number=1, direction="received", origin="line")
        fax.status, fax.pages, fax.remote_number = Status.RECEIVED, 1, "+390501234567"
        fax.created_at = utc_now() - timedelta(days=9)
        db.session.add(fax)
        db.session.flush()
        db.session.add(Unread(tenant_id=cast.beta, user_id=cast.charlie, fax_id=fax.id))
        db.session.commit()
        fax_id = fax.id
    assert "tone-doubt" in charlie.get("/inbox").text
    page = charlie.get(f"/faxes/{fax_id}").text
    inbox = charlie.get("/inbox").text
    for word in ("/take", "/hand-over", "Nobody has taken it", "Not taken"):
        assert word not in page + inbox
    assert "tone-doubt" not in inbox, "it was read: nobody is waited for"
    assert f"/faxes/{fax_id}/done" in inbox


# ---- Count and title


def test_the_count_stands_in_title_and_menu_and_falls_when_a_fax_is_opened(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    assert "<title>Inbox · Faxroom</title>" in bob.get("/inbox").text
    first = receive_fax(app, cast)
    receive_fax(app, cast)
    assert "<title>(2) Inbox · Faxroom</title>" in bob.get("/inbox").text
    assert "<title>(2) Send fax · Faxroom</title>" in bob.get("/faxes/send").text
    page = bob.get(f"/faxes/{first}").text
    assert "<title>(1) Received" in page
    assert 'data-text="1"' in page


def test_the_count_is_polled_with_few_questions_and_answered_only_when_it_changed(
    app: Flask, cast: Cast, bob: Browser
) -> None:
    receive_fax(app, cast)
    with counted(app) as statements:
        assert bob.get("/inbox/count?seen=1").status_code == 204
    assert len([one for one in statements if one.startswith("SELECT")]) == 2, "who is it, how many"
    receive_fax(app, cast)
    answer = bob.get("/inbox/count?seen=1")
    assert answer.status_code == 200
    assert 'data-text="2"' in answer.text
    assert "seen=2" in answer.text


def test_a_page_of_the_inbox_asks_the_database_as_often_for_many_faxes_as_for_few(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    counts = []
    for _ in range(2):
        for _n in range(3):
            fax_id = receive_fax(app, cast)
        alice.post(f"/faxes/{fax_id}/take")
        for path in ("/inbox", "/faxes?direction=received"):
            with counted(app) as statements:
                bob.get(path)
            counts.append(len(statements))
    assert counts[:2] == counts[2:]


# ---- Reading


def test_opening_reads_and_neither_polling_nor_fetching_ahead_does(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    bob.get(f"/faxes/{fax_id}", headers={"Sec-Purpose": "prefetch;prerender"})
    bob.get(f"/faxes/{fax_id}", headers={"Purpose": "prefetch"})
    bob.client.head(f"/faxes/{fax_id}")
    bob.get(f"/faxes/{fax_id}/status")
    bob.get("/inbox")
    assert unread(app, cast.bob) == {fax_id}
    assert row(app, fax_id).seen_at is None
    bob.get(f"/faxes/{fax_id}")
    assert unread(app, cast.bob) == set()
    assert unread(app, cast.alice) == {fax_id}, "hers is hers"
    assert row(app, fax_id).seen_at is not None


@pytest.mark.parametrize("page", ["document.pdf", "forward"])
def test_a_fax_of_which_the_pages_were_fetched_is_read(app: Flask, cast: Cast, bob: Browser, page: str) -> None:
    fax_id = receive_fax(app, cast)
    assert bob.get(f"/faxes/{fax_id}/{page}").status_code == 200
    assert unread(app, cast.bob) == set()


def test_a_fax_is_marked_unread_again(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    bob.get(f"/faxes/{fax_id}")
    answer = bob.post(f"/faxes/{fax_id}/unread")
    assert answer.headers["Location"] == "/inbox"
    assert unread(app, cast.bob) == {fax_id}
    assert "Fax 1 is unread again." in bob.get("/inbox").text


def test_the_fax_module_marks_what_is_unread_and_who_has_what(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    fresh, taken, done = (receive_fax(app, cast) for _ in range(3))
    alice.post(f"/faxes/{taken}/take")
    alice.post(f"/faxes/{done}/done")
    page = bob.get("/faxes?direction=received").text
    cells = {fax_id: page[page.index(f'id="fax-{fax_id}"') :].split("</th>")[0] for fax_id in (fresh, taken, done)}
    assert ["unread-dot" in cells[fax_id] for fax_id in (fresh, taken, done)] == [True, True, False]
    assert "Alice" in cells[taken]
    assert "Done" in cells[done]


# ---- The fax's page


def test_the_page_says_who_has_it_since_when_and_what_happened(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    fax_id = receive_fax(app, cast)
    assert "Nobody has taken it" in bob.get(f"/faxes/{fax_id}").text
    bob.post(f"/faxes/{fax_id}/take")
    assert "You have taken it" in bob.get(f"/faxes/{fax_id}").text
    page = alice.get(f"/faxes/{fax_id}").text
    assert "Bob has it" in page
    assert "Take over from Bob" in page
    assert "/hand-over" not in page, "there is nobody else"
    alice.post(f"/faxes/{fax_id}/take", holder=str(cast.bob))
    alice.post(f"/faxes/{fax_id}/hand-over", to=str(cast.bob), holder=str(cast.alice), note="<b>today</b>")
    alice.post(f"/faxes/{fax_id}/done", holder=str(cast.bob))
    page = bob.get(f"/faxes/{fax_id}").text
    told = re.sub(r"<[^>]+>", "", page[page.index('<ol class="history">') :].split("</ol>")[0])
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    acts = ("Alice marked it done", "Alice handed it to Bob", "Alice took it", "Bob took it")
    assert all(act in line for act, line in zip(acts, lines, strict=True))
    assert "&lt;b&gt;today" in page
    assert re.search(r'<button id="reopen"><span>Reopen<', page)


def test_done_and_next_leads_to_what_waits_longest_and_at_the_end_to_the_inbox(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    young, old, hers = (receive_fax(app, cast, created_at=utc_now() - timedelta(hours=h)) for h in (1, 2, 3))
    alice.post(f"/faxes/{hers}/take")
    assert bob.post(f"/faxes/{young}/done", next="1").headers["Location"] == f"/faxes/{old}"
    assert "Fax 1 is done. This is the next one." in bob.get(f"/faxes/{old}").text
    assert bob.post(f"/faxes/{old}/done", next="1").headers["Location"] == "/inbox"
    assert "Your inbox is empty." in bob.get("/inbox").text


def test_a_fax_leads_back_to_the_inbox_whatever_is_done_on_its_page(app: Flask, cast: Cast, bob: Browser) -> None:
    first, second = receive_fax(app, cast), receive_fax(app, cast)
    place = "/inbox?tab=free"
    page = bob.get(f"/faxes/{first}", headers={"Referer": f"http://localhost{place}"}).text
    assert f'<a href="{place}">← Inbox</a>' in page
    assert f'name="came_from" value="{place}"' in page
    for act in ({"act": "take"}, {"act": "release"}, {"act": "done", "next": "1"}):
        answer = bob.post(f"/faxes/{first}/{act.pop('act')}", came_from=place, holder=str(cast.bob), **act)
        assert f'<a href="{place}">← Inbox</a>' in bob.get(answer.headers["Location"]).text
    assert second in answer.headers["Location"]


def test_a_fax_is_handed_over_only_to_colleagues_who_may_see_it(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        carol = make_user("carol@alpha.test", "Carol", db.session.get(User, cast.bob).tenant, Role.USER).id
        db.session.commit()
    page = bob.get(f"/faxes/{fax_id}").text
    assert "Alice" in page
    assert "Carol" not in page
    for stranger in (carol, cast.charlie, cast.olga, "nobody", ""):
        answer = bob.post(f"/faxes/{fax_id}/hand-over", to=str(stranger))
        assert answer.status_code == 303
        shown = bob.get(answer.headers["Location"]).text
        assert "may no longer see this fax" in shown or "Choose at least one colleague" in shown
    assert row(app, fax_id).taken_by_id is None
    with app.app_context():
        assert db.session.query(InboxEvent).count() == 0


def test_what_a_disabled_colleague_had_is_free_on_every_page(
    app: Flask, cast: Cast, bob: Browser, alice: Browser
) -> None:
    fax_id = receive_fax(app, cast)
    bob.post(f"/faxes/{fax_id}/take")
    with app.app_context():
        make_user("carol@alpha.test", "Carol", db.session.get(User, cast.bob).tenant, Role.ADMIN)
        db.session.get(User, cast.bob).disabled_at = utc_now()
        db.session.commit()
    assert "Nobody has taken it" in alice.get(f"/faxes/{fax_id}").text
    assert order(alice.get("/inbox?tab=free").text) == [fax_id]
    assert "Bob" not in alice.get("/faxes?direction=received").text.split('id="list"')[1]
    alice.post(f"/faxes/{fax_id}/take")
    assert row(app, fax_id).taken_by_id == cast.alice


# ---- Who sees nothing


@pytest.mark.parametrize("fax_id", ["%00", "nothing", "01ARZ3NDEKTSV4RRFFQ69G5FA%00"])
def test_an_act_on_nonsense_finds_nothing(bob: Browser, fax_id: str) -> None:
    for act in ACTS:
        assert bob.post(f"/faxes/{fax_id}/{act}").status_code == 404
    assert bob.post("/inbox/done", ids=["\0", fax_id]).status_code == 303


@pytest.mark.parametrize("number", ["9" * 30, "-1", "\0", "1e9", "9" * 5000])
def test_a_colleague_who_cannot_be_is_nobody(app: Flask, cast: Cast, bob: Browser, number: str) -> None:
    fax_id = receive_fax(app, cast)
    for act in ("take", "done", "release", "hand-over"):
        assert bob.post(f"/faxes/{fax_id}/{act}", holder=number, to=number).status_code == 303
    assert row(app, fax_id).done_by_id == cast.bob


def test_charlie_learns_nothing_of_another_companys_fax(app: Flask, cast: Cast, charlie: Browser) -> None:
    fax_id = receive_fax(app, cast)
    missing = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for act in ACTS:
        answers = [charlie.post(f"/faxes/{one}/{act}", to=str(cast.charlie)) for one in (fax_id, missing)]
        assert [answer.status_code for answer in answers] == [404, 404]
    assert charlie.get(f"/faxes/{fax_id}").status_code == 404
    charlie.post("/inbox/done", ids=fax_id)
    assert unread(app, cast.bob) == {fax_id}
    fax = row(app, fax_id)
    assert (fax.taken_by_id, fax.done_at, fax.seen_at) == (None, None, None)
    assert "0501234567" not in charlie.get("/inbox").text


def test_without_the_permission_to_receive_there_is_no_inbox(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = receive_fax(app, cast)
    with app.app_context():
        db.session.execute(sa.update(Grant).where(Grant.user_id == cast.bob).values(may_receive=False))
        db.session.commit()
    assert bob.get("/inbox").status_code == 404
    assert bob.post("/inbox/done", ids=fax_id).status_code == 404
    page = bob.get("/faxes/send").text
    assert "/inbox" not in page
    assert "<title>Send fax" in page
    for act in ACTS:
        assert bob.post(f"/faxes/{fax_id}/{act}").status_code == 404


def test_an_operator_has_no_inbox(olga: Browser) -> None:
    assert olga.get("/inbox").status_code == 404
    assert olga.get("/inbox/count").status_code == 404
    assert "/inbox" not in olga.get("/operator/tenants").text


def test_a_sent_fax_is_in_nobodys_inbox(app: Flask, cast: Cast, bob: Browser) -> None:
    fax_id = make_fax(app, cast)
    for act in ACTS:
        assert bob.post(f"/faxes/{fax_id}/{act}").status_code == 404
    assert "inbox-card" not in bob.get(f"/faxes/{fax_id}").text
