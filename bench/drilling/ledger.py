"""What was given to Faxroom and what arrived, kept outside of it, and the verdict."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from .codes import Code

SENT, FAILED, UNKNOWN = "sent", "failed", "unknown"
FINAL = (SENT, FAILED, UNKNOWN)
#: Causes of a failure that blame the document. All documents of the drill are sound.
DOCUMENTS_FAULT = ("damaged", "conversion_timed_out", "encrypted", "unreadable", "empty", "file_refused")


@dataclass(frozen=True)
class Given:
    """A fax that was accepted: the form's answer was seen. ``fax`` is the number in its code, ``id`` Faxroom's."""

    fax: int
    pages: int
    number: str
    id: str


@dataclass(frozen=True)
class Tried:
    """A fax that was handed in until whoever did it gave up: it may have been taken, and the answer lost.
    ``submission`` is what its form is known by, ``said`` the last answer."""

    fax: int
    pages: int
    number: str
    submission: str
    said: str


@dataclass(frozen=True)
class Told:
    """What Faxroom says of a fax in the end. ``submission`` is of its form; ``broken_off`` counts calls that were
    answered and of which it shows that they ended in an error; ``mails`` are the Message-IDs of the mails about its
    outcome."""

    id: str
    submission: str
    status: str
    cause: str | None
    attempts: int
    broken_off: int
    mails: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """One call as a far end took it: the number that was called, the codes of the pages that came."""

    number: str
    codes: tuple[Code, ...]

    def whole(self) -> set[int]:
        """Faxes of which this one call brought every page."""
        seen: dict[int, set[int]] = {}
        pages = {code.fax: code.pages for code in self.codes}
        for code in self.codes:
            seen.setdefault(code.fax, set()).add(code.page)
        return {fax for fax, found in seen.items() if len(found) == pages[fax]}


@dataclass
class Verdict:
    """``broken``: a sentence for each promise that was not kept. ``twice_told`` of those that came ``twice`` came again
    after a call that broke off before its pages were confirmed, which is shown. ``mails`` are those about the outcome
    of a fax, each counted once; ``mails_again`` how often one of them came once more. ``unseen`` are faxes that were
    taken though nobody saw the answer: in no other count but those of the mails, and judged like the others."""

    accepted: int = 0
    unseen: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    arrived: int = 0
    twice: int = 0
    twice_told: int = 0
    mails: int = 0
    mails_again: int = 0
    broken: list[str] = field(default_factory=list)


def judge(
    given: Iterable[Given],
    told: Iterable[Told],
    calls: Iterable[Call],
    delivered: Counter[str],
    tried: Iterable[Tried] = (),
) -> Verdict:
    """``told`` are all faxes that Faxroom has, ``delivered`` says how often each Message-ID came to the mail server.

    A call that was broken off and one that went on with the rest of the pages are one fax. What comes whole in two
    calls came twice: that is no harm done in silence only if a call was cut in the second or two between the last page
    and its confirmation (T.30), has that as its result, and so was made again.
    """
    accepted, known, calls = list(given), {fax.id: fax for fax in told}, list(calls)
    entered = {fax.submission: fax.id for fax in known.values() if fax.submission}
    tried = list(tried)
    unseen = [
        Given(one.fax, one.pages, one.number, entered[one.submission]) for one in tried if one.submission in entered
    ]
    verdict = Verdict(accepted=len(accepted), unseen=len(unseen))
    whole = Counter(fax for call in calls for fax in call.whole())
    pages: dict[int, set[int]] = {}
    for call in calls:
        for code in call.codes:
            pages.setdefault(code.fax, set()).add(code.page)
    for fax in (*accepted, *unseen):
        complete = len(pages.get(fax.fax, ())) == fax.pages
        verdict.broken += _faults(fax, known.get(fax.id), complete, whole[fax.fax], delivered)
    for fax in accepted:
        verdict.arrived += len(pages.get(fax.fax, ())) == fax.pages
        verdict.twice += whole[fax.fax] > 1
        verdict.twice_told += whole[fax.fax] > 1 and _is_told(known.get(fax.id), whole[fax.fax])
        verdict.outcomes[known[fax.id].status if fax.id in known else "lost"] += 1
    numbers = {fax.fax: fax.number for fax in (*accepted, *unseen)}
    strays = {(code.fax, call.number) for call in calls for code in call.codes if numbers.get(code.fax) != call.number}
    verdict.broken += [f"fax {fax} arrived at {number}, where nobody sent it" for fax, number in sorted(strays)]
    ours = {fax.id for fax in (*accepted, *unseen)}
    verdict.broken += [f"{id_} was entered, and nobody had sent it" for id_ in known if id_ not in ours]
    verdict.broken += [f"fax {one.fax} was not accepted: {one.said}" for one in tried if one.submission not in entered]
    came = [delivered[mail] for fax in known.values() for mail in fax.mails if delivered[mail]]
    verdict.mails, verdict.mails_again = len(came), sum(came) - len(came)
    return verdict


def _is_told(told: Told | None, whole: int) -> bool:
    return told is not None and whole <= 1 + told.broken_off


def _faults(fax: Given, told: Told | None, complete: bool, whole: int, delivered: Counter[str]) -> list[str]:
    name = f"fax {fax.fax} ({fax.id})"
    if told is None:
        return [f"{name} was accepted and is gone"]
    found = []
    if told.status not in FINAL:
        found.append(f"{name} is still {told.status}")
    if told.status == SENT and not complete:
        found.append(f"{name} is sent, and did not arrive whole")
    if whole > 1 and not _is_told(told, whole):
        found.append(f"{name} arrived {whole} times, in {told.attempts} attempts; it is {told.status}")
    if told.status == FAILED and told.cause in DOCUMENTS_FAULT:
        found.append(f"{name} is called {told.cause}, and is sound")
    if told.status in FINAL and len(told.mails) != 1:
        found.append(f"{name} is {told.status} with {len(told.mails)} mails about it")
    found += [f"the mail about {name} never came" for mail in told.mails if not delivered[mail]]
    return found
