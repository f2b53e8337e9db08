"""The three ways in which work can fail, each with a sentence that a person can act on.

``code`` is a stable word (``encrypted``, ``busy``, ...): it is what is stored, translated and tested. The sentence
belongs to the code and may carry values (``{limit}``); the texts live in :mod:`app.rules.words.sentences`, so that each
language says it in its own way.
"""

from typing import Any


class FaxroomError(Exception):
    """Base of all: a ``code`` and the ``values`` that its sentence needs."""

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code, values)
        self.code = code
        self.values = values

    def __str__(self) -> str:
        details = ", ".join(f"{name}={value}" for name, value in self.values.items())
        return f"{self.code} ({details})" if details else self.code


class TemporaryFailure(FaxroomError):
    """It did not work now and may work later: a service that is down, a line that is busy."""


class PermanentFailure(FaxroomError):
    """It will not work however often it is tried: a damaged document, an unallocated number."""


class Refused(FaxroomError):
    """The request itself is not accepted; nothing was begun. ``field`` names the input that has to change."""

    def __init__(self, code: str, *, field: str | None = None, **values: Any) -> None:
        super().__init__(code, **values)
        self.field = field
