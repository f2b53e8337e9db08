"""Pages that the other machine called poor, confirmed all the same or sent again: people are told."""

import pytest
import sqlalchemy as sa
from flask_babel import force_locale
from sqlalchemy.orm import Session

from app.jobs.outbox.notify import outcome_mail
from app.jobs.receiving import listen
from app.models import Notice, Status
from app.rules.sending.results import CallFacts, record_result
from app.rules.words.sentences import story
from app.services.receiving.line_events import Answered, Ended, read_event
from app.services.sending.reports import report_html
from tests.db.faxes import claim, dial, reread
from tests.db.receiving.test_listening import Line
from tests.web.cast import Cast

ONE = "Page 2 arrived, but the receiving machine reported poor quality. Ask whether it can be read."
TWO = "Pages 1 and 2 arrived, but the receiving machine reported poor quality. Ask whether they can be read."

REFUSED = (
    "The receiving machine reported poor quality for page 1 and asked for it again. "
    "The recipient may also have the poor copy."
)


def test_the_fax_is_sent_and_page_and_report_say_which_page_was_poor(app, session: Session, cast: Cast) -> None:
    attempt = dial(session, cast)
    facts = CallFacts("success", pages=2, poor_pages=[2])
    record_result(session, attempt.channel_id, CallFacts.from_json(facts.to_json()))
    fax = reread(session, attempt.fax_id)
    assert fax.status == Status.SENT
    with app.test_request_context():
        assert story(fax).endswith(ONE)
        assert ONE in report_html(fax)
        with force_locale("it"):
            assert "La pagina 2" in story(fax)


def test_the_numbers_are_those_of_the_document_whatever_call_a_page_went_with(
    app, session: Session, cast: Cast
) -> None:
    first = dial(session, cast)
    record_result(session, first.channel_id, CallFacts("dropped", pages=1, poor_pages=[1]))
    fax = reread(session, first.fax_id)
    with app.test_request_context():
        assert "poor" not in story(fax)  # it is not over
    fax.due_at = fax.created_at
    session.commit()
    (second,) = claim(session)
    assert second.first_page == 2
    record_result(session, second.channel_id, CallFacts("success", pages=1, poor_pages=[1]))
    with app.test_request_context():
        assert story(reread(session, first.fax_id)).endswith(TWO)


def test_a_page_that_was_refused_and_sent_again_is_told(app, session: Session, cast: Cast) -> None:
    attempt = dial(session, cast)
    facts = CallFacts("success", pages=2, poor_pages=[2], refused_pages=[1])
    record_result(session, attempt.channel_id, CallFacts.from_json(facts.to_json()))
    fax = reread(session, attempt.fax_id)
    assert fax.status == Status.SENT
    with app.test_request_context():
        assert story(fax).endswith(f"{REFUSED} {ONE}")
        assert REFUSED in report_html(fax)
        with force_locale("it"):
            assert "per la pagina 1" in story(fax)
    notice = session.scalars(sa.select(Notice).where(Notice.fax_id == fax.id)).one()
    assert REFUSED in " ".join(outcome_mail(notice).get_body(("plain",)).get_content().split())


def test_a_page_that_two_calls_had_refused_is_named_once(app, session: Session, cast: Cast) -> None:
    first = dial(session, cast)
    record_result(session, first.channel_id, CallFacts("protocol_error", pages=1, refused_pages=[2]))
    fax = reread(session, first.fax_id)
    fax.due_at = fax.created_at
    session.commit()
    (second,) = claim(session)
    assert (first.refused_pages, first.poor_pages, second.first_page) == ([2], None, 2)
    record_result(session, second.channel_id, CallFacts("success", pages=1, refused_pages=[1]))
    with app.test_request_context():
        assert story(reread(session, first.fax_id)).endswith(REFUSED.replace("page 1", "page 2"))


def test_without_a_word_of_it_nothing_is_said(app, session: Session, cast: Cast) -> None:
    attempt = dial(session, cast)
    record_result(session, attempt.channel_id, CallFacts("success", pages=2, poor_pages=[]))
    fax = reread(session, attempt.fax_id)
    assert (fax.attempts[0].poor_pages, fax.attempts[0].refused_pages) == (None, None)
    with app.test_request_context():
        assert "poor" not in story(fax)


class Heard:
    """Who has read of a call, by the name that the log has for it."""

    def poor(self, call: str, pages: int) -> list[int]:
        return [2] if (call, pages) == ("C-00000007", 2) else []

    def refused(self, call: str, pages: int) -> list[int]:
        return [1] if (call, pages) == ("C-00000007", 2) else []


def test_the_line_process_joins_what_the_log_says_to_the_end_of_the_call(
    session: Session, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = dial(session, cast)
    jobs: list[tuple[object, ...]] = []
    monkeypatch.setattr(listen, "enqueue", lambda *job: jobs.append(job))
    listener = listen.Listener(Line())
    listener.answers = Heard()
    said = {"eventname": "FaxAnswered", "Log": "[C-00000007]"}
    answered = {"type": "ChannelUserevent", "channel": {"id": attempt.channel_id}, "userevent": said}
    assert read_event(answered) == Answered(attempt.channel_id, "C-00000007")
    listener.hear([answered])
    listener._take(Ended(attempt.channel_id, CallFacts("success", pages=2)))
    assert [(job[2]["poor_pages"], job[2]["refused_pages"]) for job in jobs] == [([2], [1])]
