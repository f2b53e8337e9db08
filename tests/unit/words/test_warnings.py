"""What a document warns of, in words."""

from flask import Flask
from flask_babel import Babel

from app.rules.words.document_sentences import warning_texts


def texts(*warnings: dict) -> list[str]:
    app = Flask(__name__)
    Babel(app)
    with app.test_request_context():
        return warning_texts(warnings)


def test_each_warning_is_said_once_and_an_unknown_one_not_at_all():
    tracked = {"kind": "tracked_changes"}
    [text] = texts(tracked, {"kind": "of another version", "x": 1}, tracked)
    assert text.startswith("This document has tracked changes")
    assert warning_texts(None) == []


def test_missing_characters_are_shown_and_what_are_too_many_counted():
    assert "in their place: ᚠ 𐎀." in texts({"kind": "missing_characters", "characters": "ᚠ𐎀"})[0]
    assert "and 3 more" in texts({"kind": "missing_characters", "characters": "abcdefghijklmno"})[0]
