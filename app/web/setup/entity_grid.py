"""The grid of who may send and receive at a fax entity: searched, a page at a time, with nothing ticked lost meanwhile.

Only a page of it is in the browser. What is ticked elsewhere travels with the form, so that search, pages and "all" are
questions that change nothing until the form is saved, with a script and without.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from werkzeug.datastructures import MultiDict

from app.rules.setup.entities import BOTH, RECEIVE, SEND, Member, permission
from app.whole_numbers import read_whole

PAGE = 100
#: What the list is narrowed to.
SHOWN = ("", "some", "none")
#: Button → which permission of all that were found it sets, to what.
ALL = {
    "all-send": ("sends", True),
    "none-send": ("sends", False),
    "all-receive": ("receives", True),
    "none-receive": ("receives", False),
}


@dataclass(frozen=True)
class Grid:
    """``sends`` and ``receives`` are ids of all who are ticked, on whatever page. ``kept`` are those who were in the
    list when it was asked for: a tick that is taken away does not make its row vanish at once."""

    members: tuple[Member, ...]
    sends: frozenset[int]
    receives: frozenset[int]
    granted: frozenset[int]
    q: str = ""
    show: str = ""
    wanted_page: int = 1

    @classmethod
    def of(cls, members: Iterable[Member], grants: dict[int, str]) -> "Grid":
        """As it is kept. Closed accounts are listed only if they have a permission that can be taken away."""
        held = frozenset(grants)
        listed = tuple(member for member in members if member.state != "closed" or member.id in held)
        sends = frozenset(user_id for user_id, may in grants.items() if may in (SEND, BOTH))
        receives = frozenset(user_id for user_id, may in grants.items() if may in (RECEIVE, BOTH))
        return cls(listed, sends, receives, held)

    def asked(self, values: "MultiDict[str, str]") -> "Grid":
        """Narrowed as an address or a form asks."""
        show, words = values.get("show", ""), values.get("q", "").replace("\0", "").strip()[:100]
        return replace(self, q=words, show=show if show in SHOWN else "").at(values.get("page", "1"))

    def at(self, page: str) -> "Grid":
        return replace(self, wanted_page=read_whole(page, most=99_999) or 1)

    def ticked(self, form: "MultiDict[str, str]") -> "Grid":
        """With the ticks of a form; ids that are nobody's here count for nothing, and a form that says nothing of the
        other pages changes nothing there."""
        known, shown = {member.id for member in self.members}, _ids(form.get("shown", ""))

        def chosen(name: str) -> frozenset[int]:
            carried = form.get(f"{name}_elsewhere")
            elsewhere = (getattr(self, name) if carried is None else _ids(carried)) - shown
            return frozenset((elsewhere | _ids(",".join(form.getlist(name)))) & known)

        return replace(self, sends=chosen("sends"), receives=chosen("receives"))

    def all_found(self, button: str) -> "Grid":
        """One permission given to everybody who was found, on all pages, or taken from them."""
        name, on = ALL[button]
        found = {member.id for member in self.found}
        now = self.sends if name == "sends" else self.receives
        then = frozenset(now | found if on else now - found)
        return replace(self, sends=then) if name == "sends" else replace(self, receives=then)

    @property
    def found(self) -> list[Member]:
        words = self.q.casefold().split()
        return [member for member in self.members if self._is_shown(member) and _has(member, words)]

    def _is_shown(self, member: Member) -> bool:
        return not self.show or (member.id in self.granted) == (self.show == "some")

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.found) // PAGE))

    @property
    def page(self) -> int:
        return min(max(1, self.wanted_page), self.pages)

    @property
    def rows(self) -> list[Member]:
        return self.found[(self.page - 1) * PAGE : self.page * PAGE]

    def elsewhere(self, name: str) -> str:
        """The ticked ones that are not on this page, as the form carries them."""
        here = {member.id for member in self.rows}
        return ",".join(str(user_id) for user_id in sorted(getattr(self, name) - here))

    @property
    def grants(self) -> dict[int, str]:
        """User → what they may, for everybody of the grid."""
        return {member.id: permission(member.id in self.sends, member.id in self.receives) for member in self.members}


def _has(member: Member, words: list[str]) -> bool:
    text = f"{member.name} {member.email}".casefold()
    return all(word in text for word in words)


def _ids(text: str) -> set[int]:
    return {number for part in text[:200_000].split(",") if (number := read_whole(part)) is not None}
