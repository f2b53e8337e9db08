"""Every sentence has its translation, in every language but the one in which it is written."""

import io
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from tenants.languages import LANGUAGES, USUAL
from tests.web.cast import Browser

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).parents[2]
KEYWORDS = {"_": None, "_l": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}


@pytest.fixture(scope="module", params=[language for language in LANGUAGES if language != USUAL])
def catalogue(request: pytest.FixtureRequest) -> Catalog:
    file = ROOT / f"app/translations/{request.param}/LC_MESSAGES/messages.po"
    return read_po(io.BytesIO(file.read_bytes()), locale=request.param)


def written() -> set[tuple[str | None, str]]:
    """(context, sentence) of everything that the code and the templates say."""
    with (ROOT / "babel.cfg").open() as config:
        methods, options = parse_mapping_cfg(config)
    found = set()
    for folder in ("app", "templates"):
        prefixed = [(pattern.removeprefix(f"{folder}/"), method) for pattern, method in methods]
        rules = {pattern.removeprefix(f"{folder}/"): values for pattern, values in options.items()}
        for _file, _line, message, _comments, context in extract_from_dir(
            ROOT / folder, prefixed, rules, keywords=KEYWORDS
        ):
            found.add((context, message[0] if isinstance(message, tuple) else message))
    return found


def test_every_sentence_of_code_and_templates_has_its_translation(catalogue: Catalog) -> None:
    sentences = written()
    assert len(sentences) > 200
    missing = [text for context, text in sentences if not (entry := catalogue.get(text, context)) or not entry.string]
    assert missing == []


def test_no_translation_is_fuzzy_or_empty_or_of_a_sentence_that_is_gone(catalogue: Catalog) -> None:
    for entry in catalogue:
        if entry.id:
            strings = entry.string if isinstance(entry.string, tuple) else (entry.string,)
            assert all(strings) and not entry.fuzzy, entry.id
    known = {text for _context, text in written()}
    gone = [m.id for m in catalogue if m.id and (m.id[0] if isinstance(m.id, tuple) else m.id) not in known]
    assert gone == []


def test_translations_carry_the_same_values(catalogue: Catalog) -> None:
    faults = [str(error) for message in catalogue if message.id for error in message.check()]
    assert faults == []


def test_sign_in_speaks_what_the_browser_asks_for(nobody: Browser) -> None:
    answer = nobody.get("/sign-in", headers={"Accept-Language": "it-IT,it;q=0.9,en;q=0.5"})
    assert '<html lang="it"' in answer.text
    assert "Indirizzo email" in answer.text
    assert '<html lang="en"' in nobody.get("/sign-in", headers={"Accept-Language": "fr"}).text
