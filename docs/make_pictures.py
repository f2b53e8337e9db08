"""The pictures of the README and of the guide, taken from a demo that was just started.

    bin/test tests/unit/test_docs.py                      # once: installs Chromium
    FAXROOM_HOME=/tmp/pictures/home bin/up                # in another terminal
    .tools/venv/bin/python docs/make_pictures.py [http://127.0.0.1:8000]

Alice sends a contract to the other company, which calls for real; Charlie has three faxes in the inbox.
"""

import io
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

PICTURES = Path(__file__).with_name("pictures")
CHROMIUM = "/usr/bin/chromium"
PASSWORD = "faxroom-demo"
BETA = "+49 30 23125000"
FINAL = ", ".join(f'[data-fax-status="{status}"]' for status in ("sent", "failed", "unknown"))


def contract(pages: int) -> bytes:
    """So many pages of text, dense enough to take some seconds each on the line."""
    file = io.BytesIO()
    page = canvas.Canvas(file, pagesize=A4)
    for number in range(1, pages + 1):
        page.setFont("Helvetica-Bold", 18)
        page.drawString(72, 770, f"Supply agreement, part {number} of {pages}")
        page.setFont("Times-Roman", 11)
        for line in range(46):
            text = f"{number}.{line + 1}  The supplier delivers {120 + 7 * line} units within {3 + line % 9} days."
            page.drawString(72, 735 - 14 * line, text)
        page.showPage()
    page.save()
    return file.getvalue()


def signed_in(browser: Browser, url: str, who: str) -> Page:
    page = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800}).new_page()
    page.goto(f"{url}/sign-in")
    page.fill("[name=email]", who)
    page.fill("[name=password]", PASSWORD)
    with page.expect_navigation():
        page.press("[name=password]", "Enter")
    return page


def fill(page: Page, url: str, document: Path) -> None:
    page.goto(f"{url}/faxes/send")
    page.fill("[name=to]", BETA)
    page.select_option("[name=entity]", index=1)
    page.set_input_files("[name=document]", document)
    page.wait_for_selector(".kept strong")


def send(page: Page) -> None:
    with page.expect_navigation():
        page.click("form.cover button.primary")


#: Picture → page of an administrator; a name in braces is the first of the list that is shown there.
PAGES = {
    "module": "/faxes?direction=sent",
    "profile": "/profile",
    "lines": "/entities",
    "line": "/entities{first}",
    "box": "/mail2fax{first}",
    "figures": "/figures",
}


def faxes_link(page: Page, url: str) -> str:
    """Of the newest fax in the inbox, opened in the browser."""
    page.goto(f"{url}/inbox")
    page.locator("main a[href^='/faxes/']").first.click()
    page.wait_for_load_state()
    return str(page.get_by_role("link", name="View pages").get_attribute("href"))


def take(page: Page, url: str, name: str, path: str) -> None:
    listed, first, _ = path.partition("{first}")
    page.goto(f"{url}{listed}")
    if first:
        page.locator(f"main a[href^='{listed}/']:not([href$='/new'])").first.click()
        page.wait_for_load_state()
    page.wait_for_timeout(1500)  # pictures of pages, curves
    page.screenshot(path=PICTURES / f"{name}.png")


def main() -> None:
    url = (sys.argv[1:] or ["http://127.0.0.1:8000"])[0]
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        document = Path(name) / "supply-agreement.pdf"
        document.write_bytes(contract(4))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        alice = signed_in(browser, url, "alice@alpha.test")
        fill(alice, url, document)
        alice.wait_for_selector("img[src*='pages/4.png']", timeout=60_000)
        alice.wait_for_timeout(3000)
        alice.screenshot(path=PICTURES / "send.png")
        send(alice)
        alice.wait_for_selector('[data-fax-status="sending"]', timeout=60_000)
        alice.wait_for_selector("text=2 of 4 pages", timeout=120_000)
        alice.screenshot(path=PICTURES / "sending.png")
        alice.wait_for_selector(FINAL, timeout=180_000)
        for pages in (1, 2):
            document.write_bytes(contract(pages))
            fill(alice, url, document)
            send(alice)
            alice.wait_for_selector(FINAL, timeout=120_000)
        charlie = signed_in(browser, url, "charlie@beta.test")
        charlie.wait_for_timeout(3000)
        charlie.goto(f"{url}/inbox")
        charlie.screenshot(path=PICTURES / "inbox.png")
        take(charlie, url, "viewer", faxes_link(charlie, url))
        alice.goto(f"{url}/")
        for name, path in PAGES.items():
            take(alice, url, name, path)
        browser.close()


if __name__ == "__main__":
    main()
