"""A language is added in one place: what is offered, accepted and written in it follows."""

import re
from pathlib import Path

import pytest

from app.rules.operator.companies import Company, judge_company
from app.rules.people.accounts import judge_language
from tenants.languages import LANGUAGE_NAMES, LANGUAGES, LOCALES, USUAL

ROOT = Path(__file__).parents[3]


def test_each_has_a_name_and_a_locale_and_one_is_usual():
    assert tuple(LANGUAGE_NAMES) == LANGUAGES == tuple(LOCALES)
    assert USUAL in LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_is_accepted_of_people_and_companies_and_has_a_catalogue_unless_it_is_written_in_the_code(language):
    assert judge_language(language) is None
    assert "language" not in judge_company(Company(language=language))
    assert language == USUAL or (ROOT / f"app/translations/{language}/LC_MESSAGES/messages.po").exists()


def test_no_other_module_lists_them():
    listed = re.compile(r"""["']en["'](?:: |, )["'](?:en_GB|English|it)["']""")
    code = [*ROOT.glob("app/**/*.py"), *ROOT.glob("tenants/*.py")]
    assert [str(file) for file in code if listed.search(file.read_text()) and file.name != "languages.py"] == []
