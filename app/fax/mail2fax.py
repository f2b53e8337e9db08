"""What a mail has to say to become a fax: pure rules on text that was read elsewhere."""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from html.parser import HTMLParser

#: A mail that holds more than this many things that could be the PIN is a list of guesses.
MOST_PIN_CANDIDATES = 5
MOST_TEXT = 200_000
HIDDEN = "••••"
#: In front of a number: judge the mail, send nothing.
TEST_WORD = "test"

_NUMBER = re.compile(r"\+?[0-9\s().\-\u2010-\u2015/+]*[0-9][0-9\s().\-\u2010-\u2015/]*")
_TEST = re.compile(rf"{TEST_WORD}\b[\s:]*", re.IGNORECASE)
_LABEL = re.compile(r"(?:fax|to|number|numero|subject|oggetto)\s*[:=]\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """What a subject asks for: ``number`` as typed, the entity's name if there is one, a test that sends nothing."""

    number: str
    entity: str | None = None
    test: bool = False


def read_subject(text: str) -> Wanted | None:
    """``number`` or ``number@entity``, with ``test`` before it if nothing is to be sent; None if it is anything else.

    Nothing is guessed: a subject with other words in it was meant for a person.
    """
    text = _visible(text)
    test = _TEST.match(text)
    rest = text[test.end() :] if test else text
    number, at, entity = rest.partition("@")
    number, entity = number.strip(), entity.strip()
    if len(number) > 60 or not _NUMBER.fullmatch(number) or (at and not entity) or len(entity) > 100:
        return None
    return Wanted(number, entity or None, test is not None)


def _visible(text: str) -> str:
    """Without the marks of direction that a copied number brings along, and with plain blanks."""
    return " ".join("".join(sign for sign in text if unicodedata.category(sign) != "Cf").split())


def same_wish(one: Wanted, other: Wanted) -> bool:
    return _plain_wish(one) == _plain_wish(other)


def _plain_wish(wanted: Wanted) -> tuple[str, str, bool]:
    return re.sub(r"[^0-9+]", "", wanted.number), (wanted.entity or "").casefold(), wanted.test


def wishes_in(text: str) -> list[Wanted]:
    """The lines of a text that are a number and nothing else (``Fax:`` before it is fine): for a signed text whose
    subject is outside the signature. Something short, such as a PIN on its own line, is no number."""
    found = [read_subject(_LABEL.sub("", line.strip(), count=1)) for line in text.splitlines() if line.strip()]
    return [wanted for wanted in found if wanted and (wanted.entity or len(re.sub(r"\D", "", wanted.number)) >= 6)]


# ---- A person's own words

_QUOTES_FROM_HERE = re.compile(
    r"-{2,}\s*(?:original message|messaggio originale|forwarded message|messaggio inoltrato"
    r"|ursprüngliche nachricht|message d'origine)\b.*"
    r"|_{10,}"
    r"|(?:on|il|am|le)\b.{4,200}\b(?:wrote|ha scritto|schrieb|a écrit)\s*:"
    r"|(?:from|da|von|de)\s*:\s.*@.*"
    r"|begin forwarded message:.*",
    re.IGNORECASE,
)


def own_text(text: str) -> str:
    """What the person wrote for this mail: no quoted part, nothing below a signature's dashes."""
    kept: list[str] = []
    lines = text[:MOST_TEXT].splitlines()
    for n, line in enumerate(lines):
        bare = line.strip()
        wrapped = f"{bare} {lines[n + 1].strip()}" if n + 1 < len(lines) else bare
        if line.rstrip() == "--" or _QUOTES_FROM_HERE.fullmatch(bare) or _is_wrapped_quote(bare, wrapped):
            break
        if not bare.startswith((">", "|")):
            kept.append(line)
    return "\n".join(kept)


def _is_wrapped_quote(bare: str, wrapped: str) -> bool:
    """“On … wrote:” is often broken in two."""
    return bool(re.match(r"(?:on|il|am|le)\b", bare, re.IGNORECASE) and _QUOTES_FROM_HERE.fullmatch(wrapped))


class _Words(HTMLParser):
    SILENT = frozenset({"script", "style", "head", "title", "template", "blockquote", "noscript", "textarea", "select"})
    VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "wbr", "col", "area", "base", "source", "embed"})
    LINES = frozenset({"p", "div", "br", "tr", "li", "ul", "ol", "table", "td", "th", "h1", "h2", "h3", "h4", "hr"})
    QUOTES = re.compile(
        r"gmail_quote|gmail_attr|moz-cite-prefix|yahoo_quoted|divRplyFwdMsg|appendonsend|gmail_signature"
    )
    UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|mso-hide", re.I)

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in self.LINES:
            self.words.append("\n")
        if tag in self.VOID:
            return
        values = {name: value or "" for name, value in attributes}
        marks = f"{values.get('class', '')} {values.get('id', '')} {values.get('type', '')}"
        silent = tag in self.SILENT or bool(self.QUOTES.search(marks)) or "hidden" in values
        silent = silent or bool(self.UNSEEN.search(values.get("style", "")))
        if len(self.open) < 2_000:
            self.open.append((tag, silent or self._is_silent()))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.LINES:
            self.words.append("\n")
        for n in range(len(self.open) - 1, -1, -1):
            if self.open[n][0] == tag:
                del self.open[n:]
                return

    def handle_data(self, data: str) -> None:
        if not self._is_silent():
            self.words.append(" ".join(data.split("\n")) if self.words else data)

    def _is_silent(self) -> bool:
        return bool(self.open) and self.open[-1][1]


def text_of_html(html: str) -> str:
    """The words that a reader of the page sees, without what is quoted."""
    words = _Words()
    words.feed(html[:MOST_TEXT])
    words.close()
    return "".join(words.words)


# ---- The PIN

#: Between the digits of one number.
_JOINED_BEFORE = re.compile(r"[0-9][ \t\u00a0]*[\s().\-/+\u2010-\u2015]*$|[0-9][.,:'’]$|[+@#%&=?/\\_*-]$")
_JOINED_AFTER = re.compile(r"^[ \t\u00a0]*[\s().\-/+\u2010-\u2015]*[0-9]|^[.,:'’][0-9]|^[@%&=?/\\_*-]")
_TOKEN = re.compile(r"(?<!\w)[0-9A-Za-z]{4,32}(?!\w)")
_PIN_WORD = re.compile(r"\bpin\b[ \t\u00a0]*[:=]?[ \t\u00a0]*([0-9A-Za-z]{4,32})(?!\w)", re.IGNORECASE)


def pin_candidates(text: str) -> set[str]:
    """What in the text could be meant as a PIN: what follows the word, and what has digits and stands by itself."""
    found, named = set(), set()
    for line in text.splitlines():
        labelled = {match.start(1): match[1] for match in _PIN_WORD.finditer(line)}
        for match in _TOKEN.finditer(line):
            token = match[0]
            if match.start() in labelled:
                if not _JOINED_AFTER.search(line[match.end() :]):
                    named.add(token)
            elif any(sign.isdigit() for sign in token) and not _is_joined(line, match):
                found.add(token)
    every = found | named
    return every if len(every) <= MOST_PIN_CANDIDATES else named


def _is_joined(line: str, match: re.Match[str]) -> bool:
    """As a part of a longer number, an address or a link."""
    before, after = line[max(0, match.start() - 40) : match.start()], line[match.end() : match.end() + 40]
    return bool(_JOINED_BEFORE.search(before) or _JOINED_AFTER.search(after))


def holds_pin(text: str, pin: str) -> bool | None:
    """Whether the PIN stands in the text as a token of its own; None if there is nothing that could be one."""
    candidates = pin_candidates(text)
    if not candidates:
        many = len(_TOKEN.findall(text)) and any(sign.isdigit() for sign in text)
        return False if many and _is_a_list(text) else None
    if len(candidates) > MOST_PIN_CANDIDATES:
        return False
    wanted, right = _digest(pin), False
    for candidate in sorted(candidates):
        right |= hmac.compare_digest(_digest(candidate), wanted)
    return right


def _is_a_list(text: str) -> bool:
    digits = {token for token in _TOKEN.findall(text) if any(sign.isdigit() for sign in token)}
    return len(digits) > MOST_PIN_CANDIDATES


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def without_pins(text: str, pins: list[str]) -> str:
    """For whatever is stored or shown."""
    for pin in sorted(filter(None, pins), key=len, reverse=True):
        text = re.sub(rf"(?<![0-9A-Za-z]){re.escape(pin)}(?![0-9A-Za-z])", HIDDEN, text)
    return text
