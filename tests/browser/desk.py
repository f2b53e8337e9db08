"""Chromium at the instance under test: pages as one of the cast, and everything that those pages complain about."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, Response

ALICE, BOB, CHARLIE, OLGA = "alice@alpha.test", "bob@alpha.test", "charlie@beta.test", "olga@faxroom.test"
#: The fax machine of the other company.
BETA = "+493023125000"
FINAL = ("sent", "failed", "cancelled", "unknown")
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What Chromium notes of each answer from 400 on (:meth:`Desk._broken` judges those), and htmx of a question about the
#: number that was still open when the page was left; a request that fails in earnest is a ``htmx:sendError``.
HARMLESS = ("Failed to load resource", "htmx:afterRequest", "htmx:sendAbort")
#: A picture beside the form that was still being fetched when the form was sent: the preview is the fax's from then on,
#: and nobody sees the place that stays empty. Whether pictures come is asserted where they are looked at.
LEFT = re.compile(r"/faxes/send/preview/\w+/pages/\d+\.png")
#: Seconds for which a sign-in is as good as new.
LATELY = 240.0
SHIFTED = """() => {
  const width = document.documentElement.clientWidth;
  return document.documentElement.scrollWidth > width || window.innerWidth > width + 20;
}"""


@dataclass
class Desk:
    """Opens pages in fresh contexts. ``problems`` are complaints of pages since somebody last looked."""

    browser: Browser
    url: str
    password: str
    problems: list[str] = field(default_factory=list)
    _signed_in: dict[str, tuple[float, Any]] = field(default_factory=dict)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, path: str, *, who: str | None = None, script: bool = True, **options: Any) -> Page:
        """A page in a context of its own; ``who`` is signed in already."""
        if who:
            options["storage_state"] = self._state(who)
        page = self._context(java_script_enabled=script, **options).new_page()
        page.goto(self.url + path)
        return page

    def sign_in(self, page: Page, who: str, password: str | None = None) -> None:
        page.fill("[name=email]", who)
        page.fill("[name=password]", password or self.password)
        with page.expect_navigation():
            page.press("[name=password]", "Enter")

    def forget(self, who: str) -> None:
        """Whose sessions have ended: signs in anew at the next page."""
        self._signed_in.pop(who, None)

    def close(self, *, keep: int = 0) -> None:
        while len(self._contexts) > keep:
            self._contexts.pop().close()

    @property
    def opened(self) -> int:
        return len(self._contexts)

    def _state(self, who: str) -> Any:
        """Of somebody who came a moment ago: some acts ask again who is there after a while."""
        at, state = self._signed_in.get(who, (0.0, None))
        if state is None or time.monotonic() - at > LATELY:
            page = self.open("/sign-in")
            self.sign_in(page, who)
            assert "/sign-in" not in page.url, who
            at, state = time.monotonic(), page.context.storage_state()
            self._signed_in[who] = at, state
        return state

    def _context(self, **options: Any) -> BrowserContext:
        context = self.browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}, **options)
        context.set_default_timeout(60_000)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
        context.on("request", self._leaves)
        context.on("response", self._broken)
        self._contexts.append(context)
        return context

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(HARMLESS):
            self.problems.append(f"console: {message.text} ({message.location.get('url')})")

    def _leaves(self, request: Request) -> None:
        if not request.url.startswith((self.url + "/", "data:", "blob:")):
            self.problems.append(f"request to another place: {request.url}")

    def _broken(self, response: Response) -> None:
        """A page may be told that something is missing or wrong; a part of a page may not."""
        allowed = response.request.is_navigation_request() and response.status < 500
        allowed |= response.status == 404 and LEFT.search(response.url) is not None
        if response.status >= 400 and not allowed:
            self.problems.append(f"{response.status}: {response.request.method} {response.url}")


def fill(
    page: Page, *, to: str | None = None, line: str | None = None, document: Path | None = None, at: str | None = None
) -> None:
    """The send form by its names. With JavaScript the document has been judged when this returns."""
    if to is not None:
        page.fill("[name=to]", to)
    if line is not None:
        choose_line(page, line)
    if document is not None:
        page.set_input_files("[name=document]", document)
        if page.evaluate("typeof htmx") != "undefined":
            page.wait_for_selector(".kept strong")
    if at is not None:
        page.fill("[name=send_at]", at)


def choose_line(page: Page, name: str) -> None:
    text = page.locator("[name=entity] option", has_text=re.compile(rf"^{name}\b")).inner_text()
    page.select_option("[name=entity]", label=text)


def submit(page: Page) -> None:
    """Press the button of the send form and wait for the answer."""
    with page.expect_navigation():
        page.click("form.cover button.primary")


def follow(locator: Locator) -> None:
    """Click what leads to another page, and wait for that page."""
    with locator.page.expect_navigation():
        locator.click()


def fax_id(page: Page) -> str:
    found = re.search(r"/faxes/([0-9A-Za-z]{26})$", page.url)
    assert found, page.url
    return found[1]


def status(page: Page) -> str:
    return page.get_attribute("[data-fax-status]", "data-fax-status") or ""


def wait_for_status(page: Page, *wanted: str, seconds: float = 120) -> None:
    """Follow a fax as a person does: the page brings what is new, with JavaScript or with its own reloads."""
    selector = ", ".join(f'[data-fax-status="{one}"]' for one in wanted)
    page.wait_for_selector(selector, timeout=seconds * 1000)


def cancel(page: Page) -> None:
    """Leave no fax behind on the line."""
    if status(page) not in FINAL:
        with page.expect_navigation():
            page.click("#cancel")
    wait_for_status(page, *FINAL)
