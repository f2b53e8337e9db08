"""What the documentation leads to is there, and every setting is told."""

import re
from collections import Counter
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


def test_the_judgement_by_asvs_has_each_requirement_once_and_counts_right() -> None:
    """253 of version 5.0.0 are of level 1 or 2."""
    text = (ROOT / "docs/security-asvs.md").read_text()
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ([a-z *]+) \| (.+) \|$", text, re.MULTILINE)
    assert len({number for number, *_ in rows}) == len(rows) == 253
    verdicts = Counter(verdict for _number, _level, verdict, _why in rows)
    wanted = [verdicts[verdict] for verdict in ("met", "in part", "**not met**", "operator", "does not apply")]
    said = re.search(
        r"^Of 253 requirements (\d+) are met, (\d+) .*?, (\d+) .*?, (\d+) .*?, and (\d+) ", text, re.MULTILINE
    )
    assert [int(count) for count in said.groups()] == wanted


def _paragraphs(text: str) -> list[str]:
    """Points of a list one by one; no tables and no code."""
    blocks = [block for block in re.split(r"\n\s*\n", text) if not block.lstrip().startswith(("|", "```"))]
    return [point for block in blocks for point in re.split(r"\n(?= *(?:\d+\.|-) )", block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_paragraph_is_longer_than_people_read(page: Path) -> None:
    paragraphs = _paragraphs(page.read_text(encoding="utf-8"))
    assert [point[:60] for point in paragraphs if len(point.split()) > 120] == []


@pytest.mark.parametrize(
    "page", ["architecture.md", *(f"how-to/{page.name}" for page in (ROOT / "docs/how-to").iterdir())]
)
def test_every_file_and_name_that_leads_through_the_code_is_there(page: str) -> None:
    """``app/rules/sending/submit.py: submit_fax`` and the like."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:app|tenants|bin|tests|front|docs)/[\w/.]+\.\w+)(?:: (\w+))?`", text)
    gone = [place for place, name in named if not _holds(ROOT / place, name)]
    assert gone == []


def _holds(file: Path, name: str) -> bool:
    return file.exists() and re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")) is not None
