"""What the documentation leads to is there, and every setting is told."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
READ = re.compile(r'read\(\s*"([A-Z][A-Z_]+)"')


def _anchors(page: Path) -> set[str]:
    """As a forge makes them of headings: small letters, hyphens for blanks, no other signs."""
    titles = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_of_the_documentation_leads_somewhere(page: Path) -> None:
    astray = []
    for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            astray.append(link)
    assert astray == []


def test_every_setting_of_the_portal_is_documented() -> None:
    settings = set(READ.findall((ROOT / "app/config.py").read_text(encoding="utf-8")))
    told = set(re.findall(r"`([A-Z][A-Z_]+)`", (ROOT / "docs/configure.md").read_text(encoding="utf-8")))
    assert len(settings) > 10
    assert settings - told - {"FAXROOM_FRONT"} == set()  # told by bin/up to its own web alone
