"""The words of docs/glossary.md: one for each thing, and none of those that a native writer would not use."""

import re
from pathlib import Path

import click
import pytest
from babel.messages.pofile import read_po

from app import cli

ROOT = Path(__file__).parents[2]

#: What a sentence for people does not say, and what it says instead.
ENGLISH = {
    r"\bmails?\b(?! server)": "email, emails",
    r"\be-mail": "email",
    r"\bfax entit(y|ies)\b": "fax line, fax lines",
    r"\bdial(ing|ed)\b": "dialling, dialled",
    r"\baddressee": "recipient",
    r"\bstation id\b": "fax ID",
    r"\b(some|any|every)body\b": "someone, anyone, everyone",
    r"\bby (itself|themselves)\b": "automatically",
    r"\bonce more\b": "again",
    r"\b(stands|stood) (in|on|there|here|still)\b": "is in, is stuck",
    r"\bholds (once|now|nowhere)\b": "takes effect, is active",
    r"\bmeanwhile\b": "in the meantime",
    r"\bmust carry\b|\bhas to be\b": "must contain, must be",
    r"\bblanks\b": "spaces",
    r"\bhand(s|ed)? in emails\b|\bemails can be handed in\b": "direct email",
}
ITALIAN = {
    r"\bmail\b": "email",
    r"\bentità\b": "linea fax",
    r"\bvostr[oaie]\b": "tuo, tua",
    r"\bda sol[oaie]\b": "automaticamente",
}
#: Where the reference's own word is told once.
TOLD = ("A fax line (or fax entity) works like a fax machine",)


def _sentences() -> list[tuple[str, str]]:
    with (ROOT / "app/translations/it/LC_MESSAGES/messages.po").open("rb") as file:
        catalog = read_po(file)
    found = []
    for message in catalog:
        english = [message.id] if isinstance(message.id, str) else message.id
        italian = [message.string] if isinstance(message.string, str) else message.string
        if message.id and not english[0].startswith(TOLD):
            found.append((" ".join(english), " ".join(italian)))
    return found


@pytest.mark.parametrize("word", ENGLISH)
def test_no_english_sentence_uses_a_word_that_the_glossary_has_better(word: str) -> None:
    astray = [english for english, _ in _sentences() if re.search(word, english, re.IGNORECASE)]
    assert astray == [], f"say: {ENGLISH[word]}"


@pytest.mark.parametrize("word", ITALIAN)
def test_no_italian_sentence_uses_a_word_that_the_glossary_has_better(word: str) -> None:
    astray = [italian for _, italian in _sentences() if re.search(word, italian, re.IGNORECASE)]
    assert astray == [], f"di': {ITALIAN[word]}"


#: What operators, administrators and users read.
PAGES = [
    *(ROOT / "docs/guide").glob("*.md"),
    *(ROOT / f"docs/{name}.md" for name in ("install", "configure", "upgrade", "backup", "keys", "door", "trunks")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "docs/carriers.md")),
]
CODE = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_of_the_documentation_uses_a_word_that_the_glossary_has_better(page: Path) -> None:
    text = " ".join(CODE.sub("", page.read_text(encoding="utf-8")).split())
    astray = {word: said.group() for word in ENGLISH if (said := re.search(word, text, re.IGNORECASE))}
    assert astray == {}


def test_no_help_of_the_command_line_uses_a_word_that_the_glossary_has_better() -> None:
    commands = [known for known in vars(cli).values() if isinstance(known, click.Command)]
    helps = [f"{one.short_help} {one.help}" for one in commands]
    assert len(helps) > 20
    assert [text for text in helps if any(re.search(word, text, re.IGNORECASE) for word in ENGLISH)] == []


def test_there_are_sentences_to_be_read() -> None:
    assert len(_sentences()) > 1500
