"""Templates of mails and reports: no request, no signed-in person, the language of whoever reads it."""

from typing import Any

from flask import current_app

from app.rules.words.sentences import in_language


def render_for(language: str, template: str, **values: Any) -> str:
    """``template`` with ``values`` and nothing else: what the pages' context processors add has no meaning here."""
    with in_language(language):
        return current_app.jinja_env.get_template(template).render(language=language, **values)
