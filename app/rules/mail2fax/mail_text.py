"""What a mail has to say to become a fax: pure rules on text that was read elsewhere."""

import hashlib
import hmac
import re
import unicodedata
from collections import Counter
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
_LABEL = re.compile(
    r"\A(?:(?:tele)?fax(?:\s+(?:to|an|a|no\.?|number|nr\.?))?|to|an|a|number|numero|subject|oggetto)\s*[:=]\s*",
    re.IGNORECASE,
)
#: What programs and gateways put before a subject: an answer, a forwarded mail, where it came from.
_PUT_BEFORE = re.compile(
    r"(?:re|r|aw|antw|sv|rif|fwd?|fw|i|wg|tr|inoltro)\s*:\s*|\[[^\[\]0-9]{1,40}\]\s*", re.IGNORECASE
)
_QUOTES = "\"'“”„‟«»‘’‚‹›"


@dataclass(frozen=True)
class Wanted:
    """What a subject asks for: ``number`` as typed, the entity's name if there is one, a test that sends nothing."""

    number: str
    entity: str | None = None
    test: bool = False


def read_subject(text: str) -> Wanted | None:
    """``number`` or ``number@line``, with ``test`` before it if nothing is to be sent; None if it is anything else.

    What a program puts before a subject, a label and quotation marks change nothing. Nothing is guessed: a subject with
    other words in it was meant for a person.
    """
    text = _without_what_was_put_before(_visible(text))
    test = _TEST.match(text)
    rest = _LABEL.sub("", text[test.end() :] if test else text, count=1)
    number, at, entity = rest.partition("@")
    number, entity = number.strip(), entity.strip()
    if len(number) > 60 or not _NUMBER.fullmatch(number) or (at and not entity) or len(entity) > 100:
        return None
    return Wanted(number, entity or None, test is not None)


def _without_what_was_put_before(text: str) -> str:
    while before := _PUT_BEFORE.match(text):
        text = text[before.end() :]
    return _LABEL.sub("", text, count=1).strip(_QUOTES + " ")


def _visible(text: str) -> str:
    """Without the marks of direction that a copied number brings along, with plain blanks and signs of one width
    (full-width digits, letters with an accent of their own)."""
    return " ".join(_plain_signs(text).split())


def _plain_signs(text: str) -> str:
    """Unicode's NFKC, without what nobody sees."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", text) if unicodedata.category(sign) != "Cf")


def same_name(one: str, other: str) -> bool:
    """Of a line, as people type it."""
    return _visible(one).casefold() == _visible(other).casefold()


def names_address(text: str, address: str) -> bool:
    """Whether an address stands in a list of them, as a whole; servers do not mind capital letters."""
    return bool(re.search(rf"(?<![\w.+@-]){re.escape(address)}(?![\w@-]|\.\w)", text, re.IGNORECASE))


def same_wish(one: Wanted, other: Wanted) -> bool:
    return _plain_wish(one) == _plain_wish(other)


def _plain_wish(wanted: Wanted) -> tuple[str, str, bool]:
    return re.sub(r"[^0-9+]", "", wanted.number), _visible(wanted.entity or "").casefold(), wanted.test


def wishes_in(text: str) -> list[Wanted]:
    """The lines of a text that are a number and nothing else (``Fax:`` before it is fine): for a signed text whose
    subject is outside the signature. Something short, such as a PIN on its own line, is no number."""
    found = [read_subject(line) for line in text.splitlines() if line.strip()]
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
    HEAD = frozenset({"title", "style", "script", "meta", "link", "base", "noscript", "template"})
    LINES = frozenset({"p", "div", "br", "tr", "li", "ul", "ol", "table", "td", "th", "h1", "h2", "h3", "h4", "hr"})
    QUOTES = re.compile(
        r"gmail_quote|gmail_attr|moz-cite-prefix|yahoo_quoted|divRplyFwdMsg|appendonsend|gmail_signature"
    )
    UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|mso-hide", re.I)

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.open: list[tuple[str, bool]] = []
        self.count: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in self.LINES:
            self.words.append("\n")
        if tag not in self.HEAD:
            self.handle_endtag("head")  # HTML, 13.2.6.4.4: whatever does not belong to it ends it
        if tag in self.VOID:
            return
        values = {name: value or "" for name, value in attributes}
        marks = f"{values.get('class', '')} {values.get('id', '')} {values.get('type', '')}"
        silent = tag in self.SILENT or bool(self.QUOTES.search(marks)) or "hidden" in values
        silent = silent or bool(self.UNSEEN.search(values.get("style", "")))
        if len(self.open) < 2_000:
            self.open.append((tag, silent or self._is_silent()))
            self.count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in self.LINES:
            self.words.append("\n")
        still = self.count[tag] - 1
        while self.count[tag] > still >= 0:
            self.count[self.open.pop()[0]] -= 1

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """None are in HTML (13.2.5.42), where Python would refuse the page."""
        return self.parse_bogus_comment(i, report)

    def handle_data(self, data: str) -> None:
        if not self._is_silent():
            self.words.append(" ".join(data.split("\n")) if self.words else data)

    def _is_silent(self) -> bool:
        return bool(self.open) and self.open[-1][1]


def text_of_html(html: str) -> str:
    """The words that a reader of the page sees, without what is quoted. What is not closed at the end is not shown, and
    not tried again from each of its signs, as ``close`` does."""
    words = _Words()
    words.feed(html[:MOST_TEXT] + "\n")
    return "".join(words.words)


# ---- The PIN

#: What programs put around a word that was set in bold, and what a person puts before a PIN. None of it is given back:
#: thousands of marks would be shared out in all ways.
_MARKS = r"[*_`\"'“”„«»()\[\]]*+"
_PIN = r"([0-9A-Za-z]{4,32})"
_LINK = r"[ \t]*+(?:[:=\-\u2013]|\bis\b|\bist\b|è|e['’])?[ \t]*+"
#: Up to its end; no number goes on there.
_NAMED = re.compile(
    rf"(?<![0-9A-Za-z])pin{_MARKS}{_LINK}{_MARKS}{_PIN}{_MARKS}(?=[.,;:!?]?(?:\s|$))(?!\s+[0-9])", re.IGNORECASE
)
#: Letters only are a PIN where nothing else stands on the line.
_NAMED_ALONE = re.compile(rf"\s*{_MARKS}pin\b{_MARKS}{_LINK}{_MARKS}{_PIN}{_MARKS}[.!]?\s*", re.IGNORECASE)
_ALONE = re.compile(rf"\s*{_MARKS}{_PIN}{_MARKS}[.!]?\s*")


def pin_candidates(text: str) -> list[str]:
    """What is put forward as a PIN: what follows the word, else what stands on a line of its own and has a digit. A
    postcode or a number in running text is none, and no try."""
    lines = [_plain_signs(line) for line in text.splitlines()]
    named = [match[1] for line in lines for match in _NAMED.finditer(line) if _has_digit(match[1])]
    named += [match[1] for line in lines if (match := _NAMED_ALONE.fullmatch(line))]
    alone = [match[1] for line in lines if (match := _ALONE.fullmatch(line)) and _has_digit(match[1])]
    return list(dict.fromkeys(named or alone))


def _has_digit(text: str) -> bool:
    return any(sign in "0123456789" for sign in text)


def holds_pin(text: str, pin: str) -> bool | None:
    """Whether the PIN is put forward in the text; None if nothing is. A list of guesses is a wrong one."""
    candidates = pin_candidates(text)
    if not candidates:
        return None
    if len(candidates) > MOST_PIN_CANDIDATES:
        return False
    wanted, right = _digest(pin), False
    for candidate in candidates:
        right |= hmac.compare_digest(_digest(candidate), wanted)
    return right


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def without_pins(text: str, pins: list[str]) -> str:
    """For whatever is stored or shown: no reader recognises a PIN there, in digits of whatever script."""
    for pin in sorted(filter(None, pins), key=len, reverse=True):
        begin = r"(?:(?<![0-9A-Za-z])|(?<=[Pp][Ii][Nn]))"
        found = re.finditer(rf"{begin}{re.escape(pin)}(?![0-9A-Za-z])", "".join(map(_narrow, text)))
        for match in reversed(list(found)):
            text = text[: match.start()] + HIDDEN + text[match.end() :]
    return text


def _narrow(sign: str) -> str:
    """One sign, as before: a digit or a letter of any width or script as ASCII writes it."""
    plain = unicodedata.normalize("NFKC", sign)
    return str(unicodedata.decimal(sign)) if sign.isdecimal() else plain if len(plain) == 1 else sign
