"""What holds for every route, those of tomorrow included."""

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask, request
from werkzeug.routing import Rule

from app.config import Settings
from app.factory import create_app
from app.models import Fax, Status
from app.services.upkeep.health import CHECKS
from app.web.site.guard import PUBLIC, is_own_path
from tenants.db import db, new_ulid
from tests.web.cast import Browser, Cast, make_document, make_fax

MASKED = re.compile(r'value="[^"]{20,}"|name="back" value="[^"]*"|X-CSRFToken": "[^"]+"|<time .*?</time>')
SAFE = ("GET", "POST")


def routes(app: Flask) -> Iterator[tuple[Rule, str]]:
    for rule in app.url_map.iter_rules():
        for method in SAFE:
            if method in rule.methods:
                yield rule, method


def path_of(rule: Rule, fax_id: str) -> str:
    """Where a route wants a number, one that nothing has: each area's own tests ask with real ones."""
    path = re.sub(r"<int:[^>]+>", str(zlib.crc32(fax_id.encode())), rule.rule)
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", fax_id, path)


def ask(browser: Browser, method: str, path: str) -> tuple[int, str, str]:
    """Status, place and page, without what differs at every request."""
    answer = browser.get(path) if method == "GET" else browser.post(path)
    return answer.status_code, answer.headers.get("Location", ""), MASKED.sub("", answer.text)


@pytest.mark.any_database
def test_to_an_outsider_every_fax_of_another_company_is_a_missing_one(app: Flask, cast: Cast, charlie: Browser) -> None:
    missing, walked = new_ulid(), 0
    theirs = {status: make_fax(app, cast, status=status) for status in Status}
    for rule, method in routes(app):
        if not rule.arguments or rule.endpoint == "static":
            continue
        told = ask(charlie, method, path_of(rule, missing))
        assert told[0] == 404
        paths = {path_of(rule, fax_id): status for status, fax_id in theirs.items()}
        for path, status in paths.items():
            assert ask(charlie, method, path) == told, (rule.rule, status)
            walked += 1
    assert walked >= 7 * len(Status)


def test_a_number_that_no_row_can_have_leads_to_nothing(app: Flask, alice: Browser, olga: Browser) -> None:
    walked = 0
    for rule, method in routes(app):
        if "<int:" in rule.rule:
            for browser in (alice, olga):
                path = re.sub(r"<(?:[^:>]+:)?[^>]+>", "9" * 20, rule.rule)
                assert ask(browser, method, path)[0] == 404, rule.rule
                walked += 1
    assert walked > 60


def test_ids_in_queries_and_forms_reach_nothing_of_another_company(app: Flask, cast: Cast, charlie: Browser) -> None:
    theirs = make_fax(app, cast, status=Status.SENDING, name="secret.pdf")
    with app.app_context():
        draft = make_document(app, cast.alpha, "secret.pdf")
        draft.user_id = cast.bob
        db.session.commit()
        draft_id = draft.id
    pages = [
        charlie.get(f"/faxes/live?ids={theirs}"),
        charlie.get("/faxes/live?direction=sent&since=0"),
        charlie.get("/faxes?direction=sent&q=secret"),
        charlie.get(f"/faxes?direction=sent&before={theirs}&entity={cast.frontdesk}"),
        charlie.post("/faxes/download", ids=theirs),
        charlie.get(f"/faxes/send?again={theirs}"),
        charlie.post("/faxes/send/document", draft=draft_id, htmx=True),
        charlie.post("/faxes/send", entity=str(cast.frontdesk), to="0501234567", draft=draft_id),
        charlie.get("/faxes?direction=sent"),
    ]
    for page in pages:
        assert "secret.pdf" not in page.text
        assert f"status-{theirs}" not in page.text
    with app.app_context():
        assert db.session.query(Fax).count() == 1


def test_nobody_sees_a_page_without_signing_in(app: Flask, cast: Cast, nobody: Browser) -> None:
    theirs = make_fax(app, cast)
    for rule, method in routes(app):
        if rule.endpoint in PUBLIC:
            continue
        status, place, _page = ask_without_page(nobody, method, path_of(rule, theirs))
        assert (status, place.split("?")[0]) == (303, "/sign-in"), rule.rule
    assert ask_without_page(nobody, "GET", "/no-such-page")[0] == 303


def ask_without_page(browser: Browser, method: str, path: str) -> tuple[int, str, str]:
    answer = browser.client.open(path, method=method)
    return answer.status_code, answer.headers.get("Location", ""), answer.text


def test_only_these_routes_are_open(app: Flask) -> None:
    by_mail = {"sign_in.forgotten", "sign_in.invitation", "sign_in.new_password"}
    by_mail |= {"security_contact.security_txt", "front.known"}
    by_passkey = {"sign_in.passkey_options", "sign_in.by_passkey"}
    others = {"static", "sign_in.sign_in", "sign_in.code", "health.healthz", "preferences.theme"}
    assert others | by_mail | by_passkey == PUBLIC


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["form", "htmx"])
def test_every_post_without_its_token_is_refused(app: Flask, cast: Cast, bob: Browser, headers: dict[str, str]) -> None:
    mine = make_fax(app, cast, status=Status.SCHEDULED)
    for rule, method in routes(app):
        if method == "POST":
            for data in ({}, {"csrf_token": "guessed"}):
                answer = bob.client.post(path_of(rule, mine), data=data, headers=headers)
                assert answer.status_code == 400, rule.rule
                assert "This form is no longer valid" in answer.text
    with app.app_context():
        assert db.session.get(Fax, mine).status == Status.SCHEDULED
    assert bob.get("/faxes").status_code == 200, "and nobody was signed out"


def test_another_persons_token_is_no_token(bob: Browser, alice: Browser) -> None:
    answer = bob.client.post("/sign-out", data={"csrf_token": alice.token("/faxes")})
    assert answer.status_code == 400


def test_every_page_forbids_inline_code_and_being_framed(app: Flask, cast: Cast, bob: Browser, nobody: Browser) -> None:
    mine = make_fax(app, cast)
    pages = [bob.get(path) for path in ("/faxes", "/faxes/send", f"/faxes/{mine}", "/nothing")]
    for page in [*pages, nobody.get("/sign-in")]:
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert "HX-Request" in page.headers["Vary"]
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page.text)


def test_static_files_are_kept_for_a_year_under_a_name_that_changes(nobody: Browser) -> None:
    style = re.search(r'href="(/static/faxroom\.css\?v=\w+)"', nobody.get("/sign-in").text)[1]
    assert nobody.get(style).headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("target", ["/faxes", "/faxes?direction=sent&before=1", "/faxes/send"])
def test_a_path_of_this_site_is_a_place_to_go_back_to(target: str) -> None:
    assert is_own_path(target)


@pytest.mark.parametrize(
    "target",
    [
        *("", None, "https://evil.test/", "//evil.test", "/\\evil.test", "\\\\evil.test", "javascript:alert(1)"),
        *("/\t/evil.test", "/\n/evil.test", " /faxes", "///evil.test", "faxes"),
    ],
)
def test_anything_else_is_no_place_to_go_back_to(target: str | None) -> None:
    assert not is_own_path(target)


def test_a_fragment_asked_for_after_the_session_ended_leads_to_sign_in(app: Flask, cast: Cast, nobody: Browser) -> None:
    mine = make_fax(app, cast, status=Status.SENDING)
    here = f"http://localhost/faxes/{mine}"
    answer = nobody.get(f"/faxes/{mine}/status", headers={"HX-Request": "true", "HX-Current-URL": here})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == f"/sign-in?next=/faxes/{mine}"


def test_companies_and_operators_keep_to_their_own_pages(bob: Browser, alice: Browser, olga: Browser) -> None:
    for browser in (bob, alice):
        assert browser.get("/operator/tenants").status_code == 404
    page = olga.get("/operator/tenants")
    assert "Alpha Srl" in page.text
    assert "2 of 4" in page.text
    assert olga.get("/").headers["Location"] == "/operator/tenants"
    for path in ("/faxes", "/faxes/send"):
        assert olga.get(path).status_code == 404


def test_a_body_that_is_too_large_is_answered_with_a_page(app: Flask, cast: Cast, bob: Browser) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 1000
    answer = bob.client.post("/faxes/send", data={"to": "1" * 2000})
    assert answer.status_code == 413
    assert "This file is too large" in answer.text


@pytest.mark.parametrize(("refused", "said"), [("413", "This file is too large"), ("503", "disk is almost full")])
def test_what_the_front_did_not_hand_on_is_refused_in_our_words(bob: Browser, refused: str, said: str) -> None:
    answer = bob.client.post("/faxes/send", headers={"X-Front-Refused": refused})
    assert (answer.status_code, said in answer.text) == (int(refused), True)
    part = bob.client.post("/faxes/send/document", headers={"X-Front-Refused": refused, "HX-Request": "true"})
    assert 'id="document-field"' in part.text
    nobody = bob.client.application.test_client().post("/faxes/send", headers={"X-Front-Refused": refused})
    assert nobody.status_code == 303  # to the sign-in


def test_the_front_is_told_whether_somebody_is_signed_in(bob: Browser, nobody: Browser) -> None:
    assert bob.get("/front/known").status_code == 204
    bob.client.post("/sign-out", data={"csrf_token": bob.token("/faxes")})
    assert [browser.get("/front/known").status_code for browser in (bob, nobody)] == [401, 401]


@pytest.mark.parametrize(
    ("proxies", "front", "heard", "address"),
    [
        ("0", None, "198.51.100.7", "127.0.0.1"),
        ("0", "http://127.0.0.1:1", "198.51.100.7, 192.0.2.1", "192.0.2.1"),
        ("1", None, "198.51.100.7, 192.0.2.1", "192.0.2.1"),
        ("1", "http://127.0.0.1:1", "198.51.100.7, 192.0.2.1, 127.0.0.1", "192.0.2.1"),
    ],
)
def test_of_forwarded_addresses_that_of_the_outermost_proxy_is_believed(
    tmp_path: Path, proxies: str, front: str | None, heard: str, address: str
) -> None:
    told = {"FAXROOM_HOME": str(tmp_path), "SECRET_KEY": "x", "FAXROOM_PROXIES": proxies}
    app = create_app(Settings.from_environment(told | ({"FAXROOM_FRONT": front} if front else {})))
    app.add_url_rule("/static/who", view_func=lambda: f"{request.remote_addr} {request.host} {request.scheme}")
    app.before_request_funcs[None] = []
    claims = {"X-Forwarded-For": heard, "X-Forwarded-Host": "fax.test", "X-Forwarded-Proto": "https"}
    said = app.test_client().get("/static/who", headers=claims).text
    assert said == f"{address} " + ("fax.test https" if proxies == "1" else "localhost http")


def test_a_fault_of_ours_says_that_the_faxes_are_safe(
    app: Flask, bob: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    app.config["TESTING"] = False
    monkeypatch.setattr("app.web.faxes.fax_pages.read_page", fail)
    answer = bob.get("/faxes")
    assert answer.status_code == 500
    assert "Your faxes are safe" in answer.text
    assert "secret detail" not in answer.text


def test_health_needs_no_sign_in(nobody: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"database": {"ok": True}, "redis": {"ok": False, "error": "ConnectionError", "advice": "…"}}
    monkeypatch.setattr("app.web.site.health.check_health", lambda: parts)
    answer = nobody.get("/healthz")
    assert answer.status_code == 503
    assert answer.json == {"ok": False, "parts": parts}
    parts["redis"] = {"ok": True}
    assert nobody.get("/healthz").status_code == 200


def test_healthz_says_so_in_json_where_no_thread_is_left_to_ask_with(
    nobody: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", none_left)
    answer = nobody.get("/healthz")
    assert (answer.status_code, answer.json["ok"]) == (503, False)
    assert {part["error"] for part in answer.json["parts"].values()} == {"no_thread"}
    assert "ulimit" in answer.json["parts"]["database"]["advice"]


def test_healthz_answers_in_json_whatever_breaks(nobody: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise MemoryError

    monkeypatch.setattr("app.web.site.health.check_health", broken)
    answer = nobody.get("/healthz")
    assert (answer.status_code, answer.json["parts"]["web"]["error"]) == (503, "MemoryError")
    monkeypatch.undo()
    monkeypatch.setitem(CHECKS, "storage", broken)
    assert nobody.get("/healthz").json["parts"]["storage"]["error"] == "MemoryError"


def test_who_was_signed_out_is_told_that_the_form_did_nothing_and_comes_back_to_it(nobody: Browser) -> None:
    answer = nobody.client.post("/faxes/send", data={"to": "050 1234567"})
    assert answer.headers["Location"] == "/sign-in?next=/faxes/send"
    assert "You were signed out, so nothing was sent or saved." in nobody.get("/sign-in").text


def test_an_act_that_is_no_page_is_not_come_back_to(app: Flask, cast: Cast, nobody: Browser) -> None:
    answer = nobody.client.post(f"/faxes/{make_fax(app, cast)}/cancel")
    assert answer.headers["Location"] == "/sign-in"


def test_who_signs_out_twice_is_told_of_no_form(nobody: Browser) -> None:
    nobody.client.post("/sign-out")
    assert "nothing was sent" not in nobody.get("/sign-in").text


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
def test_a_form_of_another_site_signs_nobody_out(nobody: Browser, origin: str) -> None:
    """No cookie comes with it, and an answer with one would put out the one that the browser has."""
    for path in ("/faxes/send", "/sign-in", "/sign-out", "/nowhere"):
        answer = nobody.client.post(path, headers={"Origin": origin})
        assert "Set-Cookie" not in answer.headers, path
    ours = nobody.client.post("/faxes/send", headers={"Origin": "http://localhost"})
    assert "Set-Cookie" in ours.headers, "who was signed out in the middle of a form of ours is told"
