"""People at their browsers: they send by the form until it is accepted, and they look at pages all the time."""

import hashlib
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from . import codes
from .far_end import NUMBERS
from .ledger import Given, Tried
from .portal import PASSWORD, SENDERS

#: How long somebody goes on pressing "send" again.
PATIENCE = 300
#: Who is refused for one of these reasons does as it says.
TRY_LATER = ("Try again later", "again in a moment")
PAGES = ("/faxes", "/faxes/send")


def browser(base_url: str, email: str) -> httpx.Client:
    """Who is told to come back in a moment does so."""
    http = httpx.Client(base_url=base_url, timeout=30, trust_env=False)
    end = time.monotonic() + PATIENCE
    while (page := http.get("/sign-in")).status_code == httpx.codes.SERVICE_UNAVAILABLE and time.monotonic() < end:
        time.sleep(1)
    token = _hidden(page.text, "csrf_token")
    answer = http.post("/sign-in", data={"email": email, "password": PASSWORD, "csrf_token": token})
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise SystemExit(f"{email} could not sign in: {answer.status_code}")
    return http


def _hidden(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    if not found:
        raise ValueError(f"no {name} in the page")
    return found[1]


def known_as(form: dict[str, str], content: bytes) -> str:
    """What Faxroom knows this form with this document by (app/web/faxes/send.py: SendForm.key)."""
    parts = (*(form[name] for name in ("submission", "entity", "to", "send_at")), hashlib.sha256(content).hexdigest())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Answer:
    """One request: when it began (time.monotonic()), how long it took; ``status`` is 0 where nobody answered."""

    at: float
    seconds: float
    status: int


@dataclass
class People:
    """``given`` is what they saw accepted, ``tried`` what they gave up. Safe to use from several threads."""

    base_url: str
    given: list[Given] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    tried: list[Tried] = field(default_factory=list)
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _gone: threading.Event = field(default_factory=threading.Event)

    def come(self) -> None:
        self.cookies = [browser(self.base_url, email).cookies for email in SENDERS]
        threading.Thread(target=self._look, daemon=True, name="reader").start()

    def leave(self) -> None:
        self._gone.set()

    def _look(self) -> None:
        """Three times a second, in turn at the list, the form and the newest fax."""
        with httpx.Client(base_url=self.base_url, cookies=self.cookies[0], timeout=30, trust_env=False) as http:
            turn = 0
            while not self._gone.wait(0.33):
                turn += 1
                newest = [f"/faxes/{self.given[-1].id}"] if self.given else []
                paths = [*PAGES, *newest]
                self._ask(http, paths[turn % len(paths)])

    def _ask(self, http: httpx.Client, path: str) -> None:
        began, status = time.monotonic(), 0
        with suppress(httpx.HTTPError):
            status = http.get(path).status_code
        self.answers.append(Answer(began, time.monotonic() - began, status))

    def send(self, *, pages: int, as_word: bool) -> Given | None:
        """By the form, again and again with the same form until it is accepted; None if it never was."""
        with self._lock:
            self._count += 1
            fax = self._count
        number = NUMBERS[fax % len(NUMBERS)]
        name, content = ("fax.docx", codes.word(fax, pages)) if as_word else ("fax.pdf", codes.pdf(fax, pages))
        form: dict[str, str] = {}
        end, said = time.monotonic() + PATIENCE, "nothing"
        cookies = self.cookies[fax % len(self.cookies)]
        with httpx.Client(base_url=self.base_url, cookies=cookies, timeout=60, trust_env=False) as http:
            while time.monotonic() < end:
                try:
                    form = form or self._form(http, number)
                    answer = http.post("/faxes/send", data=form, files={"document": (name, content)})
                    said = f"{answer.status_code}"
                    if answer.status_code == httpx.codes.SEE_OTHER:
                        return self._accepted(Given(fax, pages, number, answer.headers["Location"].rsplit("/", 1)[1]))
                    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                        said = " ".join(re.findall(r"<li>(.*?)</li>", answer.text))
                        if not any(words in said for words in TRY_LATER):
                            break
                except (httpx.HTTPError, ValueError) as error:
                    said = repr(error)
                time.sleep(1)
        self.tried.append(Tried(fax, pages, number, known_as(form, content) if form else "", said))
        return None

    def _form(self, http: httpx.Client, number: str) -> dict[str, str]:
        page = http.get("/faxes/send").raise_for_status().text
        entity = re.search(r'<option value="(\d+)"', page)
        if not entity:
            raise ValueError("no line in the form")
        hidden = {name: _hidden(page, name) for name in ("csrf_token", "submission")}
        return {**hidden, "entity": entity[1], "to": number, "send_at": ""}

    def _accepted(self, given: Given) -> Given:
        with self._lock:
            self.given.append(given)
        return given
