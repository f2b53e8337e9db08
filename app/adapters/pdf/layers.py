"""Optional content (ISO 32000-1 8.11) in the state that it has for printing, said so plainly that pdfium cannot err.

pdfium takes a group's usage for its state whether the configuration asks for it or not, and knows nothing of optional
forms. So the state is worked out here; groups are switched on or off for good, and memberships reduced to one group.
"""

from collections.abc import Iterable
from typing import Any

import pikepdf

from app.adapters.pdf.pdf_values import DEPTH, dictionary, drop, entry, name

#: The terms of all visibility expressions together; more are there to do harm.
TERMS = 100_000


class Layers:
    """What of a document's optional content is printed."""

    def __init__(self, off: set[tuple[int, int]]) -> None:
        self.off, self.terms = off, 0

    def hides(self, holder: pikepdf.Object) -> bool:
        """Whether an annotation or XObject belongs to content that is not printed."""
        return not self.shows(holder.get("/OC"))

    def shows(self, group: Any) -> bool:
        """Of a group or a membership."""
        if not isinstance(group, pikepdf.Dictionary):
            return True
        if _is_membership(group):
            return self._shows_membership(group)
        return not group.is_indirect or group.objgen not in self.off

    def _shows_membership(self, membership: pikepdf.Object) -> bool:
        """8.11.2.2."""
        expression = membership.get("/VE")
        if isinstance(expression, pikepdf.Array) and len(expression):
            return self._holds(expression, DEPTH)
        states = [group.objgen not in self.off for group in _groups(membership.get("/OCGs"))]
        if not states:
            return True
        policy = name(membership.get("/P"), "/AnyOn")
        if policy == "/AllOn":
            return all(states)
        if policy == "/AnyOff":
            return not all(states)
        return not any(states) if policy == "/AllOff" else any(states)

    def _holds(self, term: Any, depth: int) -> bool:
        """Terms are counted: an expression may name another many times over."""
        self.terms += 1
        if depth == 0 or self.terms > TERMS:
            return True
        if isinstance(term, pikepdf.Dictionary):
            return not term.is_indirect or term.objgen not in self.off
        if not isinstance(term, pikepdf.Array) or not len(term):
            return True
        operator, *operands = term
        states = (self._holds(operand, depth - 1) for operand in operands)
        if name(operator) == "/Not":
            return not next(states, False)
        return any(states) if name(operator) == "/Or" else all(states)


NONE = Layers(set())


def settle(document: pikepdf.Pdf) -> Layers | None:
    """The document's layers, with the document changed to say the same in the simplest way; None where it has none."""
    properties = dictionary(document.Root.get("/OCProperties"))
    if properties is None:
        return None
    groups = {group.objgen: group for group in _groups(properties.get("/OCGs"))}
    found = Layers(_off(dictionary(properties.get("/D")) or pikepdf.Dictionary(), groups))
    on, off = (document.make_indirect(_group(state)) for state in ("on", "off"))
    for item in document.objects:
        _settle_object(item, found, on, off)
    for group in groups.values():
        drop(group, "/Usage", "/Intent")
    document.Root["/OCProperties"] = pikepdf.Dictionary(
        OCGs=pikepdf.Array([*groups.values(), on, off]),
        D=pikepdf.Dictionary(
            ON=pikepdf.Array([on, *(group for number, group in groups.items() if number not in found.off)]),
            OFF=pikepdf.Array([off, *(groups[number] for number in found.off)]),
        ),
    )
    return found


def _settle_object(item: Any, found: Layers, on: pikepdf.Object, off: pikepdf.Object) -> None:
    """Forms and pictures of hidden content show nothing; memberships that content names become a group."""
    if isinstance(item, pikepdf.Stream) and "/OC" in item:
        if found.hides(item):
            _make_empty(item)
        else:
            del item["/OC"]
    for properties in (entry(item, "/Resources", "/Properties"), entry(item, "/Properties")):
        if isinstance(properties, pikepdf.Dictionary):
            for key, group in list(properties.items()):
                if isinstance(group, pikepdf.Dictionary) and _is_membership(group):
                    properties[key] = on if found.shows(group) else off


def _make_empty(item: pikepdf.Stream) -> None:
    item.write(b"")
    drop(item, *(key for key in list(item.keys()) if key != "/Length"))
    item["/Type"], item["/Subtype"] = pikepdf.Name.XObject, pikepdf.Name.Form
    item["/BBox"] = pikepdf.Array([0, 0, 1, 1])


def _is_membership(group: pikepdf.Object) -> bool:
    return name(group.get("/Type")) == "/OCMD" or (name(group.get("/Type")) != "/OCG" and "/OCGs" in group)


def _group(called: str) -> pikepdf.Dictionary:
    return pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name=pikepdf.String(called))


def _groups(value: Any) -> Iterable[pikepdf.Object]:
    """Of an array, or the one that stands in its place."""
    items = value if isinstance(value, pikepdf.Array) else [value]
    return [item for item in items if isinstance(item, pikepdf.Dictionary) and item.is_indirect]


def _off(configuration: pikepdf.Object, groups: dict[tuple[int, int], pikepdf.Object]) -> set[tuple[int, int]]:
    """8.11.4.3 and 8.11.4.5: the base state, the exceptions, then what usage says of printing where it is asked."""
    off = set(groups) if name(configuration.get("/BaseState")) == "/OFF" else set()
    off -= {group.objgen for group in _groups(configuration.get("/ON"))}
    off |= {group.objgen for group in _groups(configuration.get("/OFF"))}
    usages = configuration.get("/AS")
    for usage in usages if isinstance(usages, pikepdf.Array) else []:
        if not isinstance(usage, pikepdf.Dictionary) or name(usage.get("/Event")) != "/Print":
            continue
        for group in _groups(usage.get("/OCGs")):
            state = _usage_state(group, usage.get("/Category"))
            if state is not None:
                (off.discard if state else off.add)(group.objgen)
    if not isinstance(usages, pikepdf.Array):  # nobody is asked, yet nobody says "not on paper" without meaning it
        off |= {number for number, group in groups.items() if _usage_state(group, pikepdf.Name.Print) is False}
    return {number for number in off & set(groups) if _is_meant(groups[number], configuration)}


def _is_meant(group: pikepdf.Object, configuration: pikepdf.Object) -> bool:
    """8.11.2.3: a group of another intent than the configuration's has no say, and what belongs to it is shown."""
    meant, asked = _intents(group), _intents(configuration)
    return "/All" in asked or bool(meant & asked)


def _intents(holder: pikepdf.Object) -> set[str]:
    found = holder.get("/Intent")
    names = [name(item) for item in found] if isinstance(found, pikepdf.Array) else [name(found)]
    return {item for item in names if item} or {"/View"}


def _usage_state(group: pikepdf.Object, categories: Any) -> bool | None:
    """Of several categories all have to say ON; those that say nothing have no voice."""
    names = [name(item) for item in categories] if isinstance(categories, pikepdf.Array) else [name(categories)]
    usage, states = dictionary(group.get("/Usage")), []
    for category, key in (("/Print", "/PrintState"), ("/View", "/ViewState"), ("/Export", "/ExportState")):
        if usage is not None and category in names and (said := dictionary(usage.get(category))) is not None:
            states.append(name(said.get(key)))
    states = [state for state in states if state in ("/ON", "/OFF")]
    return all(state == "/ON" for state in states) if states else None
