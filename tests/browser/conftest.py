"""One Chromium for all browser tests, the faxes that they share, and a fresh context for each test."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.desk import ALICE, BETA, CHROMIUM, Desk, fax_id, fill, submit
from tests.documents import pdf, written
from tests.live.instance import Instance
from tests.live.lines import FAR_ENDS, UNALLOCATED

Visit = Callable[..., Page]

#: What is expected ends a wait early.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="package")
def instance() -> Instance:
    """The instance under test from behind: its database, and a number at which every call fails."""
    running = Instance(Path(os.environ["FAXROOM_TEST_HOME"]))
    running.add_far_ends(FAR_ENDS)
    return running


@pytest.fixture(scope="package")
def desk() -> Iterator[Desk]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        yield Desk(browser, os.environ["FAXROOM_TEST_URL"], os.environ["FAXROOM_TEST_PASSWORD"])
        browser.close()


@pytest.fixture
def visit(desk: Desk) -> Iterator[Visit]:
    """Opens pages for one test. Whatever a page of this test complained about fails it."""
    desk.problems.clear()
    before = desk.opened
    yield desk.open
    desk.close(keep=before)
    assert desk.problems == []


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents")


@pytest.fixture(scope="session")
def letter(folder: Path) -> Path:
    return written(folder, pdf(pages=2, text="A letter, page"), "letter.pdf")


@pytest.fixture(scope="session")
def later() -> str:
    """A time of sending at which no test is running any more, as the field wants it."""
    return (datetime.now() + timedelta(days=2)).strftime("%Y-%m-%dT12:00")


@dataclass(frozen=True)
class Sent:
    """Faxes that Alice sent by the form and that are on their way while other tests run."""

    scripted: str
    plain: str
    failing: str


@pytest.fixture(scope="package")
def sent(desk: Desk, instance: Instance, letter: Path) -> Sent:
    def send(to: str, *, script: bool = True) -> str:
        page = desk.open("/faxes/send", who=ALICE, script=script)
        fill(page, to=to, line="frontdesk", document=letter)
        submit(page)
        return fax_id(page)

    return Sent(scripted=send(BETA), plain=send(BETA, script=False), failing=send(UNALLOCATED))
