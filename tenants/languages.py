"""The languages in which people are spoken to: the one list. What a page offers and a form accepts follows from it."""

#: Language → its own name, and its locale. English is written the European way: day before month, 24 hours.
_LANGUAGES = {"en": ("English", "en_GB"), "it": ("Italiano", "it")}
LANGUAGES = tuple(_LANGUAGES)
LANGUAGE_NAMES = {language: name for language, (name, _locale) in _LANGUAGES.items()}
LOCALES = {language: locale for language, (_name, locale) in _LANGUAGES.items()}
#: Of whoever has chosen none.
USUAL = LANGUAGES[0]
