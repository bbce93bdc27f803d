"""Inputs of a run, each with where it comes from: measured, given, or of the catalog with its kind and source."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element

from clonesim.report.tree import details, element, prose, table
from clonesim.scenario import catalog
from clonesim.scenario.comment import _attributes as meanings
from clonesim.scenario.fields import Section, text
from clonesim.scenario.marks import touches, word_of
from clonesim.scenario.model import SECTIONS, Scenario
from clonesim.scenario.strategy import parameters_of
from clonesim.words import counted

SITE: Final = ("measured", "derived", "calibrated")  # words of marks: at the reader's own site
GIVEN, FOLLOWS, DEFAULT = "given", "follows", "default"
TITLES: Final = {
    "measured at your site": "marked so in the scenario",
    "derived at your site": "by arithmetic on such a measurement",
    "calibrated at your site": "fitted to such measurements",
    "given": "asked for in the scenario, its file or an option; nothing says where it comes from",
    "follows": "set by other values of the scenario",
    "default": "the program's, a choice rather than a figure",
    "paper": "read in a publication",
    "vendor": "read in a vendor's document",
    "measured": "measured on real data, not at your site",
    "derived": "by arithmetic on figures with a source",
    "assumed": "nobody measured it; the catalog says why it is this value",
}

NOT_MEASURED: Final = (
    "Nothing: no value carries a mark. Every figure of this report follows from what was given and assumed."
)


@dataclass(frozen=True, slots=True)
class Input:
    """One value of a scenario.

    Attributes
    ----------
    table, key : str
        Where it stands.
    value, default : str
        In words; no default where there is none.
    kind : str
        One of `TITLES`.
    source : str
        Key of the catalog's sources; empty for none.
    why : str
        What the mark, or the catalog's note, says.
    meaning : str
        What the value is.
    """

    table: str
    key: str
    value: str
    default: str
    kind: str
    source: str
    why: str
    meaning: str

    @property
    def differs(self) -> bool:
        """Whether it is not what the catalog has."""
        return self.kind in (GIVEN, *(f"{word} at your site" for word in SITE)) and self.value != self.default


def inputs_of(scenario: Scenario) -> list[Input]:
    """All values of a scenario, in the order of its tables; then those of its strategies."""
    found = [one for name in SECTIONS for one in _section(scenario, name)]
    for choice in scenario.strategy:
        for key, parameter in parameters_of(choice.name).items():
            value, default = text(choice.value(key), parameter.unit), text(parameter.default, parameter.unit)
            given = value != default
            kind = GIVEN if given else parameter.kind
            source, why = ("", "") if given else (parameter.source, parameter.note)
            found.append(Input(f"strategy {choice.name}", key, value, default, kind, source, why, parameter.note))
    return found


def _section(scenario: Scenario, name: str) -> Iterator[Input]:
    section: Section = getattr(scenario, name)
    told, given = meanings(type(section)), section.given()
    for key in type(section).model_fields:
        cited = type(section).parameter(key, getattr(section, "name", None))
        value = shown(getattr(section, key), cited.unit if cited else "1")
        default = text(cited.default, cited.unit) if cited else _plain_default(section, key)
        marks = {at: mark for at, mark in scenario.marks.items() if touches(at, f"{name}.{key}")}
        source, why = "", ""
        if marks:
            kind = f"{word_of(next(iter(marks.values())))} at your site"
            why = "; ".join(mark if at == f"{name}.{key}" else f"{at}: {mark}" for at, mark in marks.items())
        elif cited is not None and value == default:
            kind, source, why = cited.kind, cited.source, cited.note
        elif value == default:
            kind = DEFAULT
        else:
            kind = GIVEN if key in given else FOLLOWS
        yield Input(name, key, value, default, kind, source, why, told.get(key, ""))


def _plain_default(section: Section, key: str) -> str:
    """Default of a value that the catalog does not have; empty where it follows from others."""
    field = type(section).model_fields[key]
    return shown(field.default) if field.default_factory is None and not field.is_required() else ""


def shown(value: Any, unit: str = "1") -> str:
    """A value in words; "none" for no value."""
    if value is None or value == () or value == {}:
        return "none"
    if isinstance(value, Section):
        return shown(value.given())
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {shown(one)}" for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(one) for one in value)
    return text(value, unit)


def kinds_sentence(found: list[Input]) -> str:
    """How many values come from where."""
    counts = Counter(one.kind for one in found)
    names = {FOLLOWS: "that follow from others", DEFAULT: "left as they are"}
    parts = [f"{counts[kind]} {names.get(kind, kind)}" for kind in TITLES if counts[kind]]
    return f"Of {counted(len(found), 'value')}: {', '.join(parts)}."


def activity_sentence() -> str:
    """How much of the catalog's write sources is assumed."""
    kinds = Counter(parameter.kind for parameter in catalog.parameters("activity").values())
    return (
        f"What the users' programs write, how often and where is in the catalog's topic activity: of its "
        f"{kinds.total()} figures {kinds['assumed']} are assumed. `clonesim catalog activity` lists them with sources."
    )


def inputs_section(scenario: Scenario) -> list[Element]:
    """What the run rests on: what differs from the defaults, what was measured, and every value by table."""
    found = inputs_of(scenario)
    own = [one for one in found if one.differs]
    measured = [one for one in found if one.kind.endswith("at your site")]
    parts = [element("p", kinds_sentence(found)), prose("p", activity_sentence())]
    head = ["Value", "Here", "Default", "Where it comes from"]
    rows = [[f"{one.table}.{one.key}", one.value, one.default or "none", _origin(one)] for one in own]
    parts.append(element("h3", "What differs from the catalog's defaults"))
    if rows:
        parts.append(table(head, rows, "Values that differ from the catalog's defaults", texts=4, class_="words"))
    else:
        parts.append(element("p", "Nothing: every value is the catalog's default."))
    parts.append(element("h3", "What was measured at your site"))
    if measured:
        rows = [[f"{one.table}.{one.key}", one.value, one.kind.partition(" ")[0], one.why] for one in measured]
        label = "Values that were measured, derived or calibrated at your site"
        parts.append(table(["Value", "Here", "How", "What its mark says"], rows, label, texts=4, class_="words"))
    else:
        parts.append(
            element(
                "p",
                NOT_MEASURED,
            )
        )
    parts += [element("h3", "All inputs"), _legend(found)]
    parts += [
        _of_table(name, [one for one in found if one.table == name]) for name in dict.fromkeys(o.table for o in found)
    ]
    parts.append(_cited(found))
    return parts


def _origin(one: Input) -> str:
    return f"{one.kind}: {one.why}" if one.why else one.kind


def _legend(found: list[Input]) -> Element:
    used = {one.kind for one in found}
    pairs = [
        part for kind, title in TITLES.items() if kind in used for part in (element("dt", kind), element("dd", title))
    ]
    return element("dl", *pairs, class_="legend")


def _of_table(name: str, found: list[Input]) -> Element:
    rows = [
        [
            element("span", one.key, title=one.meaning) if one.meaning else one.key,
            one.value,
            one.default or "none",
            one.kind,
            one.source if one.source != "assumption" else "",
            one.why or one.meaning,
        ]
        for one in found
    ]
    head = ["Key", "Value", "Default", "Kind", "Source", "Note"]
    label = f"Inputs of the table {name}"
    return details(f"{name} ({counted(len(found), 'value')})", table(head, rows, label, texts=6, class_="words"))


def _cited(found: list[Input]) -> Element:
    """What the source keys stand for. Plain text: a report makes no request, not even by a link."""
    known = catalog.sources()
    keys = sorted({one.source for one in found if one.source in known and one.source != "assumption"})
    rows = [
        [key, known[key]["title"], known[key]["where"], str(known[key].get("year", "")), known[key]["conf"]]
        for key in keys
    ]
    head = ["Key", "Title", "Where", "Year", "Seen"]
    return details(f"Sources ({len(keys)})", table(head, rows, "Sources of the inputs", texts=5, class_="words"))
