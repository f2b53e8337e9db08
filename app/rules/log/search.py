"""What the fax module searches: one line of plain words for each fax, and what a person means by what they type.

The line (``Fax.search_text``) holds the other end's number as people write it, and the names as they were when the fax
was entered: document, sender, entity, station id. The text of a status is not in it: words of a status are turned into
statuses and causes in the reader's language, so that a fax which moves is written once and not twice.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from flask_babel import get_locale
from flask_babel import lazy_gettext as _l

from app.models import Fax, Status
from app.rules.ground.sql import Sql, all_of, any_of, one_of, sql
from app.rules.numbers.numbers import outside_form
from app.rules.words.document_sentences import DOCUMENT_REFUSALS
from app.rules.words.sentences import OUTCOMES, STATUS_LABELS
from tenants.models import Tenant

#: More than anybody types; a pasted letter is no search.
LONGEST, MOST_WORDS = 100, 8
#: A trigram index knows nothing of fewer letters within a word: those are looked for where a word begins.
SHORTEST_PART = 3
#: Digits that are no year and month, day or folder any more.
WHOLE_NUMBER = 9
#: What the index is asked for at most of a number: the other digits would cost more than they tell.
TELLING_DIGITS = 6
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"[(+]*[0-9][0-9\s().\-\u2010-\u2015/]*")
#: Our own file names (:mod:`app.rules.numbers.naming`), and a fax's number as its page calls it.
_FAX_NUMBER = re.compile(r"(?:#|F\w+_T\w+_\d{4}-\d\d-\d\d_\d\d_\d\d_\d\d_)(\d{1,18})(?:_report)?(?:\.pdf)?")
#: What may be a fax's number and something else too: ``Fax 7``, ``No. 12``, ``n° 12``, and a few digits alone.
_PERHAPS_FAX_NUMBER = re.compile(
    r"(?:fax|(?:fax\s*)?(?:[#\u2116]|n[or]?\s?[.\u00b0\u00ba]?))\s*([1-9][0-9]{0,8})|([1-9][0-9]{0,5})", re.IGNORECASE
)

#: Words that are in more sentences than this tell nothing: the line, the document, PDF.
MOST_CAUSES = 2
#: What people call a status or a cause besides the words that we show for it, separated by commas.
OTHER_WORDS: dict[str, object] = {
    Status.FAILED: _l("failed, error, unsuccessful"),
    Status.SENT: _l("delivered, successful"),
    Status.RETRYING: _l("retrying, repeating"),
    Status.READY: _l("waiting, queued"),
    Status.UNKNOWN: _l("unknown, unclear"),
    Status.INCOMPLETE: _l("partial, cut off"),
    "busy": _l("busy, engaged"),
    "no_answer": _l("no answer, not answered, no reply"),
    "far_end_no_fax": _l("no fax machine, answering machine"),
    "unallocated": _l("wrong number, unknown number"),
    "rejected": _l("rejected, refused"),
    "dropped": _l("dropped, broken off"),
}


# ---- The line of a fax


def plain_words(text: str | None) -> list[str]:
    """Words of letters and digits alone, in small letters and without accents."""
    folded = unicodedata.normalize("NFKD", (text or "").casefold())
    return _WORD.findall("".join(sign for sign in folded if not unicodedata.combining(sign)))


def search_text(*, tenant: Tenant, number: str | None, names: Iterable[str | None]) -> str:
    """The line of a fax: each word with a blank before and behind it."""
    words = written_forms(number, tenant) if number else []
    for name in names:
        words += plain_words(name)
    return f" {' '.join(words)} " if words else ""


def search_text_of(fax: Fax) -> str:
    """The line of a fax that is in the database already."""
    names = [fax.source.name if fax.source else None, fax.user.name if fax.user else None]
    return search_text(
        tenant=fax.tenant, number=fax.remote_number, names=[*names, fax.entity.name, fax.remote_station_id]
    )


def with_name(line: str, name: str | None) -> str:
    """The line after a name became known, such as the far end's station id."""
    known = set(line.split())
    new = [word for word in plain_words(name) if word not in known]
    return f"{line.rstrip()} {' '.join(new)} " if new else line


def written_forms(number: str, tenant: Tenant) -> list[str]:
    """Digits of a number with 00 and country code, and from the outside line on. The national form, and the country
    code alone, are parts of these. A stranger may call himself anything."""
    international = "00" + number[1:] if number.startswith("+") else number
    try:
        outside = outside_form(number, tenant)
    except phonenumbers.NumberParseException:
        return plain_words(number)
    return [outside] if international in outside else [international, outside]


# ---- What a person means


@dataclass(frozen=True)
class Meaning:
    """One thing that a search may mean: all ``parts`` are in the line, and the status or the cause is one of these.

    ``whole_number`` is what the parts are as a number in E.164, if they are one; ``number`` a fax's own.
    """

    parts: tuple[str, ...] = ()
    statuses: frozenset[str] = frozenset()
    causes: frozenset[str] = frozenset()
    number: int | None = None
    whole_number: str | None = None

    @property
    def of_status(self) -> bool:
        return bool(self.statuses or self.causes)

    def holds(self, told: Callable[[str], Sql] | None = None) -> Sql:
        """The condition on the columns of ``fax``; what is known of a part already may be ``told`` instead."""
        conditions = [*map(told or has, self.parts)]
        if self.of_status:
            conditions.append(any_of([one_of("fax.status", self.statuses), one_of("fax.cause", self.causes)]))
        if self.number is not None:
            conditions.append(sql("fax.number = {}", self.number))
        return all_of(conditions)

    def holds_by_index(self, telling: Iterable[str]) -> Sql:
        """The same of the parts for PostgreSQL's index of trigrams, which reads through all that is often in it. It is
        asked for the parts that are ``telling``: for their longest words and for the last digits of a number, not for
        the country code that every line has. The few rows that it finds are looked at whole."""
        asked = {part: _telling(part) for part in telling}
        rest = (part for part in self.parts if asked.get(part) != part)
        whole = [sql("strpos(fax.search_text, {}) > 0", _beginning(part)) for part in rest]
        return all_of([*map(has, asked.values()), *whole])


def _telling(part: str) -> str:
    longest = max(part.split(), key=len)
    return longest[-TELLING_DIGITS:] if longest.isdigit() else longest


def _beginning(part: str) -> str:
    """Of few letters only the beginning of a word is meant."""
    return part if len(part) >= SHORTEST_PART else f" {part}"


def has(part: str) -> Sql:
    """The part of a text is in the line. Plain words hold nothing that LIKE interprets."""
    return sql("fax.search_text LIKE {}", f"%{_beginning(part)}%")


def meanings(text: str, tenant: Tenant) -> list[Meaning]:
    """Everything that ``text`` may mean; a fax is found if one of it holds. Empty if there is nothing to look for."""
    text = text.strip()[:LONGEST]
    if own := _FAX_NUMBER.fullmatch(text):
        return [Meaning(number=int(own[1]))]
    own = _PERHAPS_FAX_NUMBER.fullmatch(text)
    perhaps = [Meaning(number=int(own[1] or own[2]))] if own else []
    if _NUMBER.fullmatch(text):
        return _numbers(text, tenant) + perhaps
    words = plain_words(text)[:MOST_WORDS]
    return [Meaning(parts=tuple(words)), *_with_status(words), *perhaps] if words else []


def _numbers(text: str, tenant: Tenant) -> list[Meaning]:
    """As one number, however it is grouped; as it stands (a year and a month in a file's name); as E.164."""
    groups = plain_words(text)
    digits = "".join(groups)
    number = _e164(text, tenant.region)
    found = [Meaning(parts=("00" + digits if "+" in text else digits,), whole_number=number)]
    if len(groups) > 1 and "+" not in text and len(digits) < WHOLE_NUMBER:
        found.append(Meaning(parts=(" ".join(groups),)))
    if number and digits not in number:  # +49 (0)30
        found.append(Meaning(parts=("00" + number[1:],)))
    return found


def _e164(text: str, region: str) -> str | None:
    try:
        read = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    # Not every number that exists is in the library's plans: a direct dial may be longer than they say.
    whole = len(re.findall(r"\d", text)) >= WHOLE_NUMBER and phonenumbers.is_possible_number(read)
    known = whole or phonenumbers.is_valid_number(read)
    return phonenumbers.format_number(read, phonenumbers.PhoneNumberFormat.E164) if known else None


def _with_status(words: list[str]) -> Iterator[Meaning]:
    """Words of a status: all of them (``no answer``), or those at one end (``rossi busy``, ``no answer rossi``)."""
    cuts = range(1, len(words))
    beside = [(words[:n], words[n:]) for n in cuts] + [(words[n:], words[:n]) for n in cuts]
    for rest, phrase in [([], words), *beside]:
        statuses, causes = statuses_called(phrase)
        if statuses or causes:
            yield Meaning(parts=tuple(rest), statuses=statuses, causes=causes)
            if not rest:
                return


def statuses_called(phrase: list[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Statuses and causes whose shown text has these words, one behind the other. A label is meant from its first word
    on: who looks for *sent* does not mean *not sent*."""
    if sum(map(len, phrase)) < SHORTEST_PART:
        return frozenset(), frozenset()
    labels, sentences = _vocabulary(str(get_locale()))
    statuses = {code for code, said in labels.get(phrase[0][0], ()) if _begins(said, phrase)}
    causes = {code for code, said in sentences.get(phrase[0][0], ()) if _begins(said, phrase)}
    return frozenset(statuses), frozenset(causes if len(causes) <= MOST_CAUSES else ())


#: First letter → (status or cause, words of what is said from a word with that letter on).
Said = dict[str, list[tuple[str, list[str]]]]


@lru_cache(maxsize=8)
def _vocabulary(locale: str) -> tuple[Said, Said]:
    """Labels from their first word on, and sentences from each of their words on, in the reader's language."""
    shown = {code: said for code, said in {**OUTCOMES, **DOCUMENT_REFUSALS}.items() if code != "success"}
    others = [(str(code), text) for code, said in OTHER_WORDS.items() for text in str(said).split(",")]
    labels, sentences = defaultdict(list), defaultdict(list)
    for code, said in [*STATUS_LABELS.items(), *others]:
        if code in STATUS_LABELS:
            words = plain_words(str(said))
            labels[words[0][0]].append((str(code), words))
    for code, said in [*shown.items(), *others]:
        if code not in STATUS_LABELS:
            words = plain_words(str(said))
            for start, word in enumerate(words):
                sentences[word[0]].append((code, words[start:]))
    return dict(labels), dict(sentences)


def _begins(said: list[str], phrase: list[str]) -> bool:
    return len(phrase) <= len(said) and all(map(_is_meant, phrase, said))


def _is_meant(typed: str, said: str) -> bool:
    """The beginning of the word; a long one may end differently (occupato, occupata)."""
    return said.startswith(typed) or (len(typed) > 4 and said.startswith(typed[:-1]))
