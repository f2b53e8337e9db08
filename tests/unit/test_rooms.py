"""The house can be looked over: no room has more than a person keeps in mind, and each says what it is for."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
APP = ROOT / "app"
ARCHITECTURE = ROOT / "docs/architecture.md"
MAPS = [ARCHITECTURE, *sorted(ROOT.glob("docs/how-to/*.md"))]
PACKAGES = sorted(init.parent for init in APP.rglob("__init__.py"))
MOST = 16
#: Floors that have rooms: their rooms have the same names.
FLOORS = ("rules", "services", "web", "jobs", "models")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(APP.parent)))
def test_no_package_has_more_than_sixteen_modules(package):
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert len(modules | rooms) <= MOST, sorted(modules | rooms)


@pytest.mark.parametrize("floor", ["rules", "services", "adapters", "web", "jobs"])
def test_each_room_says_what_it_is_for(floor):
    for init in APP.glob(f"{floor}/*/__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))), init.relative_to(APP)


def test_every_module_of_the_rules_lies_in_a_room():
    assert [path.name for path in (APP / "rules").glob("*.py")] == ["__init__.py"]
    assert [path.name for path in (APP / "services").glob("*.py")] == ["__init__.py"]


def test_the_same_thing_has_the_same_room_on_every_floor():
    """A name of a floor's own stands here, so that it is chosen and not slipped in."""
    shared = {init.parent.name for init in (APP / "rules").glob("*/__init__.py")}
    own = {floor: {init.parent.name for init in (APP / floor).glob("*/__init__.py")} - shared for floor in FLOORS}
    assert own == {
        "rules": set(),
        "services": {"documents", "trunks"},
        "web": {"site", "faxes", "files"},
        "jobs": set(),
        "models": {"faxes"},
    }


@pytest.mark.parametrize("page", MAPS, ids=lambda page: page.name)
def test_every_file_that_a_map_names_is_there(page):
    named = re.findall(r"`((?:app|asterisk|bench|bin|front|templates|tenants|tests)/[\w./]*)", page.read_text("utf-8"))
    assert named or page.name == "README.md"
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_map_names_every_room():
    text = ARCHITECTURE.read_text(encoding="utf-8")
    missing = []
    for init in APP.glob("*/*/__init__.py"):
        room, floor = init.parent.name, init.parents[1].name
        if f"**{room}**" not in text and f"app/{floor}/{room}`" not in text and f"`{room}`" not in text:
            missing.append(f"{floor}/{room}")
    assert missing == []


def test_no_paragraph_of_the_map_is_longer_than_a_breath():
    paragraphs = re.split(r"\n\s*\n|\n(?=\d+\. |- |\|)", ARCHITECTURE.read_text(encoding="utf-8"))
    assert [text[:60] for text in paragraphs if len(text.split()) > 120] == []
