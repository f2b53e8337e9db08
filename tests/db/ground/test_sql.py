"""Statements that are put together of pieces."""

from datetime import UTC, timedelta, timezone

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.models import Fax, Status
from app.rules.ground.sql import Sql, all_of, any_of, ask, condition, joined, one_of, sql
from tests.db.log.test_search import NOW, enter
from tests.web.cast import Cast


def test_a_piece_stands_where_its_braces_were_with_its_values_in_order() -> None:
    inner = sql("b = {} AND c = {}", 2, 3)
    assert sql("a = {} AND {} AND d = {}", 1, inner, 4) == Sql("a = {} AND b = {} AND c = {} AND d = {}", (1, 2, 3, 4))
    assert joined(", ", [inner, sql("{}", 5)]) == Sql("b = {} AND c = {}, {}", (2, 3, 5))


def test_none_of_no_conditions_holds_and_all_of_none_do(session: Session) -> None:
    for piece, holds in ((any_of([]), False), (one_of("x", []), False), (all_of([]), True)):
        assert session.scalar(sa.select(sa.literal(1)).where(condition(piece))) == (1 if holds else None)


def test_a_value_is_never_read_as_sql(session: Session) -> None:
    for value in ("{} {0} {name}", ":v0 :v1", "%s %(v0)s %%", "'; DROP TABLE fax; --", "\\", "💥"):
        query = sql("SELECT CAST({} AS varchar) AS one, CAST({} AS varchar) AS two, {} AS three", value, value, 7)
        assert [tuple(row) for row in ask(session, query)] == [(value, value, 7)]
        assert session.scalar(sa.select(condition(sql("CAST({} AS varchar) = {}", value, value))))


def test_times_and_words_of_an_enumeration_are_asked_for_as_they_are_stored(session: Session, cast: Cast) -> None:
    fax_id = enter(session, cast)
    rome = NOW.astimezone(timezone(timedelta(hours=1)))
    for at in (NOW, rome, NOW - timedelta(microseconds=1)):
        asked = sql("fax.created_at > {} AND fax.status = {}", at, Status.SENT)
        query = sql("SELECT fax.id, fax.created_at FROM fax WHERE {}", asked)
        rows = [tuple(row) for row in ask(session, query, times=("created_at",))]
        assert rows == ([] if at == NOW else [(fax_id, NOW)])
        assert list(session.scalars(sa.select(Fax.id).where(condition(asked)))) == [row[0] for row in rows]
    assert rows[0][1].tzinfo is UTC


def test_what_is_asked_a_second_time_has_its_own_values(session: Session) -> None:
    def answer(*values: object) -> tuple[object, ...]:
        return tuple(ask(session, sql("SELECT {} + {} AS sum, {} AS other", *values))[0])

    assert answer(1, 2, 3) == (3, 3)
    assert answer(1, 1, 1) == (2, 1)
    assert answer(2**40, 1, 2**40) == (2**40 + 1, 2**40)
