"""What a search means, and which faxes it finds, page by page."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_babel import force_locale
from sqlalchemy.orm import Session

import app.rules.log.log as log
from app.models import SEARCH_KEYS, Direction, Fax, FaxEntity, Grant, Status, search_key, search_span
from app.rules.ground.access import visible_faxes, visible_lines
from app.rules.log.log import OPEN, Filters, Page, count_new, read_page
from app.rules.log.search import Meaning, meanings, plain_words, search_text, statuses_called, with_name
from app.rules.receiving.receiving import begin_receiving, finish_receiving
from app.rules.sending.results import CallFacts
from tenants.db import new_ulid
from tenants.models import Tenant, User
from tests.db.faxes import make_document, submit
from tests.web.cast import Cast

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ITALY = Tenant(region="IT", outside_prefix="0", timezone="Europe/Rome")


#: As if of a large company's faxes only the next few could be read through, for a text that is often in these.
LARGE = {"SMALL": 0, "FIRST_LOOK": 3, "FAR_ENOUGH": 0.05, "SECOND_LOOK": 6, "SECOND_LOOK_OF_STATUS": 6}


@pytest.fixture(params=["small company", "large company"])
def looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large company's faxes are looked for in stages and by the indexes (on PostgreSQL)."""
    if request.param == "large company":
        for name, value in LARGE.items():
            monkeypatch.setattr(log, name, value)


def enter(session: Session, cast: Cast, *, minutes: int = 0, **values: object) -> str:
    """The id of a fax that is in the log, ``minutes`` after ten o'clock."""
    columns = {"entity_id": cast.frontdesk, "user_id": cast.bob, "direction": "sent", "status": "sent"}
    columns |= {"tenant_id": cast.alpha, "origin": "web", "remote_number": "+390501234567"}
    columns |= {"created_at": NOW + timedelta(minutes=minutes)}
    names = values.pop("names", ["letter.pdf", "Bob", "frontdesk"])
    fax = Fax(**(columns | values))
    tenant = session.get_one(Tenant, fax.tenant_id)
    tenant.last_fax_number += 1
    fax.number = tenant.last_fax_number
    fax.search_text = search_text(tenant=tenant, number=fax.remote_number, names=names)
    session.add(fax)
    session.commit()
    return fax.id


def page(session: Session, user_id: int, direction: str = "sent", *, size: int = 50, **asked: object) -> Page:
    user = session.get_one(User, user_id)
    turned = {name: asked.pop(name) for name in ("before", "after") if name in asked}
    lines = visible_lines(session, user, direction)
    return read_page(session, user, Filters(Direction(direction), **asked), lines=lines, size=size, **turned)


def found(session: Session, user_id: int, text: str = "", **asked: object) -> list[str]:
    return [fax.id for fax in page(session, user_id, text=text, **asked).faxes]


# ---- What a search means


def test_words_are_without_accents_capitals_and_punctuation() -> None:
    assert plain_words("Società_Rossi & Figli-2026.PDF") == ["societa", "rossi", "figli", "2026", "pdf"]
    assert plain_words("\0%_\\'\"") == []
    assert plain_words(None) == []


@pytest.mark.parametrize(
    "typed",
    ["050 123", "+39050123", "+39 050 123 4567", "0501234567", "00501234567", "0039 050", "1234", "(050) 123-45.67"],
)
@pytest.mark.usefixtures("looks")
def test_a_number_is_found_as_people_write_it(session: Session, cast: Cast, typed: str) -> None:
    wanted = enter(session, cast)
    enter(session, cast, remote_number="+393331112222")
    enter(session, cast, remote_number="+493023125000")
    assert found(session, cast.alice, typed) == [wanted]


@pytest.mark.parametrize("typed", ["+49 30", "004930", "0004930", "30 23125", "+49 (0)30 23125000"])
@pytest.mark.usefixtures("looks")
def test_a_number_abroad_is_found_as_people_write_it(session: Session, cast: Cast, typed: str) -> None:
    enter(session, cast)
    wanted = enter(session, cast, remote_number="+493023125000")
    assert found(session, cast.alice, typed) == [wanted]


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("050 1234567", "+390501234567"),
        ("0567 208396", "+390567208396"),
        ("+39 0567 208396", "+390567208396"),
        ("65114", None),
        ("20261123", None),
        ("+39 0501234567890123", None),
    ],
)
def test_a_long_number_is_meant_as_a_whole_though_no_plan_of_numbers_has_it(typed: str, number: str | None) -> None:
    assert meanings(typed, ITALY)[0].whole_number == number


def test_a_caller_of_whom_no_number_can_be_made_is_found_and_breaks_nothing(session: Session, cast: Cast) -> None:
    odd = enter(session, cast, remote_number="+0")
    extension = enter(session, cast, remote_number="77")
    assert found(session, cast.alice, "77") == [extension]
    assert odd in found(session, cast.alice, "0")


@pytest.mark.parametrize(
    "typed",
    ["referto", "REFERTO rossi", "rossi 2026", "Università", "bianchi", "front", "2026-11", "referto_rossi-2026"],
)
@pytest.mark.usefixtures("looks")
def test_a_fax_is_found_by_its_names(session: Session, cast: Cast, typed: str) -> None:
    names = ["Referto_Rossi-2026-11.pdf", "Anna Bianchi", "frontdesk", "UNIVERSITA PISA"]
    wanted = enter(session, cast, names=names)
    for minutes in range(8):
        enter(session, cast, minutes=minutes, names=["letter.pdf", "Bob", "archive"])
    assert found(session, cast.alice, typed) == [wanted]


@pytest.mark.parametrize(
    "how",
    [
        {"SECOND_LOOK": 10**6, "SECOND_LOOK_OF_STATUS": 10**6},
        *({"SECOND_LOOK": 0, "SECOND_LOOK_OF_STATUS": 0} | keys for keys in ({}, {"MOST_KEYS": 0}, {"MOST_SPANS": 0})),
    ],
    ids=["reads on", "by lines and spans", "by spans", "by lines"],
)
@pytest.mark.parametrize("times", [0.05, 2])
@pytest.mark.parametrize(("who", "most_parts"), [("alice", 24), ("bob", 24), ("bob", 2), ("bob", 0)])
def test_a_large_company_finds_page_by_page_what_a_small_one_finds(
    session: Session,
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    how: dict[str, int],
    times: float,
    who: str,
    most_parts: int,
) -> None:
    """Bob sees all of the front desk, and what he sent himself from the archive."""
    reader = getattr(cast, who)
    rng = random.Random(7)
    for n in range(120):  # many at the same minute, and words that come and go with time
        words = [rng.choice(["letter", "offer", "rossi" if n < 20 or n > 100 else "verdi"]), str(rng.randint(10, 40))]
        status, cause = rng.choice([("sent", None), ("failed", "busy"), ("failed", "no_answer")])
        number = rng.choice(["+390501234567", "+390567208396", "+493023125000"])  # the second is in no plan of numbers
        values = {"status": status, "cause": cause, "remote_number": number, "names": [*words, "frontdesk"]}
        place = {"entity_id": rng.choice([cast.frontdesk, cast.archive]), "user_id": rng.choice([cast.bob, cast.alice])}
        enter(session, cast, minutes=n // 3 * rng.choice([1, 1, 50, 5_000]), **values, **place)

    def pages(text: str, direction: str) -> list[list[str]]:
        turned, all_pages = {}, []
        if direction == "newer":
            turned = {"after": oldest}
        while (faxes := page(session, reader, text=text, size=7, **turned).faxes) and len(all_pages) < 30:
            all_pages.append([fax.id for fax in faxes])
            turned = {"after": faxes[0].id} if direction == "newer" else {"before": faxes[-1].id}
            if direction == "newer" and all_pages[-2:-1] == all_pages[-1:]:
                break
        return all_pages

    oldest = enter(session, cast, minutes=-5, names=["nobody"])
    assert len(pages("", "older")) > (10 if who == "bob" else 15)
    texts = ["rossi", "offer 12", "offer", "busy", "rossi busy", "12 no answer", "never"]
    texts += ["0501234", "+39 050 1234567", "0567 208396"]
    asked = [(text, direction) for text in texts for direction in ("older", "newer")]
    small = {one: pages(*one) for one in asked}
    assert len(small["offer", "older"]) > 1
    for name, value in (LARGE | how | {"FAR_ENOUGH": times, "MOST_PARTS": most_parts}).items():
        monkeypatch.setattr(log, name, value)
    monkeypatch.setattr("app.rules.ground.access.MOST_PARTS", most_parts)
    assert {one: pages(*one) for one in asked} == small


def test_what_a_pattern_would_interpret_is_text(session: Session, cast: Cast) -> None:
    enter(session, cast)
    for typed in ("%", "_", "100%", "lette%9", "\\", "'", "*"):
        assert found(session, cast.alice, typed) == [], typed


def test_a_fax_is_found_by_its_own_number_and_by_the_name_of_its_file(session: Session, cast: Cast) -> None:
    enter(session, cast)
    second = enter(session, cast)
    for typed in ("#2", "F0509655637_T00501234567_2026-11-20_11_00_00_2.pdf", "F1_T2_2026-11-20_11_00_00_2_report.pdf"):
        assert found(session, cast.alice, typed) == [second], typed
    assert found(session, cast.charlie, "#2") == []


@pytest.mark.parametrize(
    "typed", ["Fax 2", "fax 2", "FAX2", "No. 2", "no 2", "N. 2", "n.2", "n° 2", "Nr. 2", "Fax no. 2", "fax n. 2", "# 2"]
)
@pytest.mark.usefixtures("looks")
def test_a_fax_is_found_by_its_own_number_as_people_say_it(session: Session, cast: Cast, typed: str) -> None:
    enter(session, cast)
    second = enter(session, cast, minutes=-60)
    for minutes in range(8):
        enter(session, cast, minutes=minutes)
    named = enter(session, cast, minutes=20, names=["Fax_no_2.pdf", "n. 2", "nr 2", "fax2"])
    assert [fax for fax in found(session, cast.alice, typed) if fax != named] == [second]
    assert found(session, cast.charlie, typed) == []


@pytest.mark.usefixtures("looks")
def test_a_few_digits_are_a_part_of_a_number_and_a_faxs_own_one(session: Session, cast: Cast) -> None:
    numbers = [f"+39055290{n}" for n in (111, 112, 113, 114, 115, 116, 117, 118, 119)]
    ids = [enter(session, cast, minutes=n, remote_number=number) for n, number in enumerate(numbers)]
    assert found(session, cast.alice, "7") == [ids[6]]
    assert found(session, cast.alice, "113") == [ids[2]]
    assert found(session, cast.alice, "0007") == []


@pytest.mark.parametrize(
    "typed", ["0501234", "1234567", "+12", "050 12", "2026-11", "12 34", "0", "fax 0", "n. 1234567890"]
)
def test_what_is_no_number_of_a_fax_asks_for_none(app: Flask, typed: str) -> None:
    with app.test_request_context():
        assert [meaning for meaning in meanings(typed, ITALY) if meaning.number is not None] == []


@pytest.mark.parametrize(
    ("typed", "language", "status", "cause"),
    [
        ("busy", "en", "failed", "busy"),
        ("BUSY", "en", "retrying", "busy"),
        ("line was bu", "en", "failed", "busy"),
        ("No answer", "en", "failed", "no_answer"),
        ("nobody", "en", "failed", "no_answer"),
        ("not sent", "en", "failed", "busy"),
        ("outcome unknown", "en", "unknown", "unknown"),
        ("cancelled", "en", "cancelled", "cancelled"),
        ("occupato", "it", "failed", "busy"),
        ("nessuno ha risposto", "it", "failed", "no_answer"),
        ("non inviato", "it", "failed", "busy"),
        ("annullato", "it", "cancelled", "cancelled"),
        ("letter busy", "en", "failed", "busy"),
        ("busy letter", "en", "failed", "busy"),
    ],
)
@pytest.mark.usefixtures("looks")
def test_a_fax_is_found_by_the_words_of_its_status(
    app: Flask, session: Session, cast: Cast, typed: str, language: str, status: str, cause: str
) -> None:
    for minutes in range(8):
        enter(session, cast, minutes=minutes)
    due = {"due_at": NOW} if status == "retrying" else {}
    wanted = enter(session, cast, minutes=-60, status=status, cause=cause, **due)
    with app.test_request_context(), force_locale(language):
        assert found(session, cast.alice, typed) == [wanted]


def test_who_looks_for_sent_does_not_mean_not_sent(app: Flask) -> None:
    with app.test_request_context(), force_locale("en"):
        assert statuses_called(["sent"])[0] == {Status.SENT}
        assert statuses_called(["not", "sent"])[0] == {Status.FAILED}
        assert statuses_called(["s"]) == (frozenset(), frozenset())


def test_words_that_many_sentences_have_are_no_status(app: Flask) -> None:
    with app.test_request_context(), force_locale("en"):
        for word in ("the", "fax", "pdf", "document"):
            assert meanings(word, ITALY) == [Meaning(parts=(word,))], word


def test_a_pasted_letter_is_cut_and_not_asked_word_by_word() -> None:
    (meaning,) = meanings("lorem " * 5000, ITALY)
    assert len(meaning.parts) <= 8


def test_the_line_of_a_fax_is_written_when_it_is_entered(session: Session, cast: Cast) -> None:
    document = make_document(session, cast.alpha, cast.bob)
    document.name = "Contratto.odt"
    fax = submit(session, cast, document=document)
    assert fax.search_text == " 00390501234567 00501234567 contratto odt bob frontdesk "
    assert found(session, cast.alice, "contratto") == [fax.id]


def test_the_far_ends_name_is_found_as_soon_as_it_is_known(session: Session, cast: Cast) -> None:
    entity = session.get_one(FaxEntity, cast.frontdesk)
    fax = begin_receiving(session, entity, node="a", channel_id="1", caller="0586880011", limits=None)
    assert found(session, cast.alice, "0586 88", direction="received") == [fax.id]
    assert found(session, cast.alice, "bianchi", direction="received") == []
    finish_receiving(session, fax, CallFacts("success", remote_station_id="Studio Bianchi"), pdf=None, tiff=None)
    session.commit()
    assert found(session, cast.alice, "bianchi", direction="received") == [fax.id]


def test_a_name_is_added_once() -> None:
    assert with_name(" 1 bob ", "Bob Ltd") == " 1 bob ltd "
    assert with_name(" 1 bob ", None) == " 1 bob "
    assert with_name("", "FAX") == " fax "


# ---- Filters, alone and together


@pytest.mark.usefixtures("looks")
def test_filters_hold_together_and_with_the_text(session: Session, cast: Cast) -> None:
    wanted = enter(session, cast, status="failed", cause="busy", names=["Referto.pdf"])
    for differing in (
        {"status": "sent"},
        {"entity_id": cast.archive},
        {"created_at": NOW - timedelta(days=3)},
        {"created_at": NOW + timedelta(days=3)},
        {"names": ["Fattura.pdf"]},
        {"direction": "received", "user_id": None},
    ):
        enter(session, cast, **({"status": "failed", "cause": "busy", "names": ["Referto.pdf"]} | differing))
    day = NOW.date()
    asked = {"entity_id": cast.frontdesk, "status": "failed", "since": day, "until": day}
    assert found(session, cast.alice, "referto", **asked) == [wanted]
    assert found(session, cast.alice, "referto busy", **asked) == [wanted]
    assert len(found(session, cast.alice, **(asked | {"since": None, "until": None}))) == 4


def test_a_day_begins_and_ends_where_the_company_is(session: Session, cast: Cast) -> None:
    midnight = datetime(2026, 11, 19, 23, 0, tzinfo=UTC)  # in Rome the 20th begins
    first, last = (
        enter(session, cast, created_at=midnight),
        enter(session, cast, created_at=midnight + timedelta(hours=23, minutes=59)),
    )
    enter(session, cast, created_at=midnight - timedelta(seconds=1))
    enter(session, cast, created_at=midnight + timedelta(hours=24))
    assert found(session, cast.alice, since=date(2026, 11, 20), until=date(2026, 11, 20)) == [last, first]


def test_what_is_in_progress_is_one_filter(session: Session, cast: Cast) -> None:
    ids = [enter(session, cast, minutes=n, status=status, due_at=NOW) for n, status in enumerate(("ready", "retrying"))]
    enter(session, cast, minutes=5)
    assert found(session, cast.alice, status=OPEN) == ids[::-1]


# ---- Paging


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("text", ["", "letter"])
def test_paging_shows_each_fax_once_there_and_back_even_where_times_are_equal(
    session: Session, cast: Cast, text: str
) -> None:
    ids = {enter(session, cast, minutes=n // 4) for n in range(17)}
    shown, turned = [], {}
    while True:
        now = page(session, cast.bob, text=text, size=5, **turned)
        shown.append([fax.id for fax in now.faxes])
        if not now.older:
            break
        turned = {"before": shown[-1][-1]}
    order = [fax_id for part in shown for fax_id in part]
    assert len(order) == 17
    assert set(order) == ids
    for n in range(len(shown) - 1, 1, -1):
        back = page(session, cast.bob, text=text, size=5, after=shown[n][0])
        assert [fax.id for fax in back.faxes] == shown[n - 1]
    assert [fax.id for fax in page(session, cast.bob, text=text, size=5, after=shown[1][0]).faxes] == shown[0]


def test_less_than_a_page_before_the_newest_is_the_first_page(session: Session, cast: Cast) -> None:
    ids = [enter(session, cast, minutes=n) for n in range(8)][::-1]
    back = page(session, cast.bob, size=5, after=ids[2])
    assert ([fax.id for fax in back.faxes], back.newer, back.older) == (ids[:5], False, True)


def test_a_place_that_is_gone_is_told_by_its_id_and_nonsense_is_the_first_page(session: Session, cast: Cast) -> None:
    ids = [enter(session, cast, minutes=n) for n in range(3)][::-1]
    assert found(session, cast.bob, before=new_ulid())  # its time is now, which is after all of them
    for nonsense in ("", "x", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "💥" * 26, "\0"):
        assert found(session, cast.bob, before=nonsense or None) == ids


def test_new_faxes_are_counted_from_the_last_number_on(session: Session, cast: Cast) -> None:
    enter(session, cast)
    last = session.get_one(Tenant, cast.alpha).last_fax_number
    enter(session, cast)
    enter(session, cast, entity_id=cast.archive, user_id=cast.alice)
    enter(session, cast, direction="received", user_id=None)
    alice, bob = session.get_one(User, cast.alice), session.get_one(User, cast.bob)
    assert count_new(session, alice, Direction.SENT, since_number=last, at_most=100) == 2
    assert count_new(session, alice, Direction.SENT, since_number=last, at_most=1) == 1
    assert count_new(session, bob, Direction.SENT, since_number=last, at_most=100) == 1
    assert count_new(session, bob, Direction.RECEIVED, since_number=last, at_most=100) == 0


# ---- Who sees what


@pytest.mark.usefixtures("looks")
@pytest.mark.parametrize("text", ["", "letter", "sent"])
@pytest.mark.parametrize("many_lines", [False, True])
def test_the_list_is_exactly_what_a_person_may_see(
    session: Session, cast: Cast, monkeypatch: pytest.MonkeyPatch, text: str, many_lines: bool
) -> None:
    """The parts that are read by index come from the same rule as the right to see one fax."""
    if many_lines:
        monkeypatch.setattr("app.rules.ground.access.MOST_PARTS", 0)
    for entity_id in (cast.frontdesk, cast.archive):
        for user_id in (cast.alice, cast.bob):
            enter(session, cast, entity_id=entity_id, user_id=user_id, minutes=user_id)
        enter(session, cast, entity_id=entity_id, user_id=None, direction="received", status="received")
    enter(session, cast, tenant_id=cast.beta, entity_id=cast.beta_line, user_id=cast.charlie)
    session.add(Grant(tenant_id=cast.alpha, entity_id=cast.archive, user_id=cast.bob, may_receive=True))
    session.commit()
    people = (cast.alice, cast.bob, cast.charlie, cast.olga)
    for user_id in people:
        for direction in Direction:
            may_see = visible_faxes(session.get_one(User, user_id)).where(Fax.direction == direction)
            wanted = {fax.id for fax in session.scalars(may_see)}
            if text == "sent" and direction == Direction.RECEIVED:
                continue
            assert set(found(session, user_id, text, direction=direction)) == wanted, (user_id, direction)
    assert len(found(session, cast.bob, direction="received")) == 1
    assert len(found(session, cast.bob)) == 3, "the desk's two, and his own from the archive"


def test_a_line_of_another_company_or_without_permission_finds_nothing(session: Session, cast: Cast) -> None:
    enter(session, cast, entity_id=cast.archive, user_id=cast.alice)
    assert found(session, cast.bob, entity_id=cast.archive) == []
    assert found(session, cast.charlie, entity_id=cast.archive) == []
    assert found(session, cast.olga) == []


def test_a_permission_that_was_taken_away_leaves_ones_own_faxes(session: Session, cast: Cast) -> None:
    own = enter(session, cast)
    enter(session, cast, user_id=cast.alice)
    session.execute(sa.delete(Grant).where(Grant.user_id == cast.bob))
    session.commit()
    assert found(session, cast.bob) == [own]
    lines = visible_lines(session, session.get_one(User, cast.bob), "sent")
    assert [(line.entity.name, line.whole) for line in lines] == [("frontdesk", False)]


@pytest.mark.parametrize(("nearest", "farthest"), [(NOW, NOW - timedelta(days=5_000)), (NOW, NOW.replace(year=9000))])
def test_a_look_goes_no_farther_than_there_are_years(nearest: datetime, farthest: datetime):
    assert log._Look([], 300, nearest, (farthest, ""), {}).spans(102 * 300) == ()


def test_a_look_tells_in_which_spans_so_many_more_lie():
    look = log._Look([], 300, NOW, (NOW - timedelta(days=1), ""), {})
    spans = look.spans(90 * 300)
    assert (spans[0], spans[-1]) == (search_span(NOW - timedelta(days=91)), search_span(NOW - timedelta(days=1)))
    assert len(spans) in (3, 4)
    later = replace(look, last=(NOW + timedelta(days=1), ""))
    assert later.spans(90 * 300)[-1] == search_span(NOW + timedelta(days=91))
    assert look.spans(32 * 20 * 300) == ()


def test_the_index_and_the_question_have_the_same_keys(session: Session, cast: Cast):
    if session.get_bind().dialect.name != "postgresql":
        pytest.skip("the index is PostgreSQL's")
    edge = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=32 * 306)
    assert search_span(edge) == search_span(edge - timedelta(microseconds=1)) + 1
    rome = edge.astimezone(ITALY.zone)
    for at in (NOW, edge, edge - timedelta(microseconds=1), rome, datetime(2000, 1, 1, tzinfo=UTC)):
        fax_id = enter(session, cast, created_at=at)
        session.execute(sa.text("SET LOCAL TIME ZONE 'Pacific/Auckland'"))
        keys = session.scalar(sa.select(sa.text(SEARCH_KEYS)).select_from(Fax).where(Fax.id == fax_id))
        span = search_span(at)
        sent = [
            search_key("sent", 0, span),
            search_key("sent", cast.frontdesk),
            search_key("sent", cast.frontdesk, span),
        ]
        assert keys == sent
        session.execute(sa.update(Fax).where(Fax.id == fax_id).values(direction="received"))
        received = session.scalar(sa.select(sa.text(SEARCH_KEYS)).select_from(Fax).where(Fax.id == fax_id))
        assert received == [key - 4096 for key in sent]
