"""Marks of a scenario's values: which of them were measured, derived from a measurement, or calibrated.

A mark is a text whose first word says which: "measured: vDisk, Capacity: 120 rows". In a TOML file the texts are
comments, and the table `marks` lists the keys by that word. Marks change nothing in a simulation; results tell them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from clonesim.errors import ParameterError, nearest
from clonesim.scenario.fields import Section

WORDS = ("measured", "derived", "calibrated")
TABLE = "marks"


def word_of(mark: str) -> str:
    """First word of a mark, such as "measured"."""
    return mark.partition(":")[0].strip()


def read_marks(value: Any, sections: Mapping[str, type[Section]]) -> dict[str, str]:
    """Marks by key.

    Parameters
    ----------
    value : mapping
        As a file has it, {"measured": ["guest.disk", ...]}, or as a scenario has it, {"guest.disk": "measured: ..."}.
    sections : mapping
        Tables of a scenario, which know their keys.

    Raises
    ------
    ParameterError
        If it is neither, or names an unknown word or key.
    """
    example = "Write measured = ['guest.disk']."
    if not isinstance(value, Mapping):
        raise ParameterError(TABLE, value, "a table is needed", example)
    found: dict[str, str] = {}
    for name, entry in value.items():
        if "." in name and isinstance(entry, str):
            pairs = [(_known(str(name), name, sections), entry)]
        elif isinstance(entry, (list, tuple)):
            pairs = [(_known(f"{TABLE}.{name}", key, sections), str(name)) for key in entry]
        else:
            raise ParameterError(f"{TABLE}.{name}", entry, "a list of keys of the scenario is needed", example)
        for key, mark in pairs:
            if word_of(mark) not in WORDS:
                where = f"{TABLE}.{name}"
                raise ParameterError(where, entry, f"marks are {', '.join(WORDS)}", nearest(word_of(mark), WORDS))
            found[key] = mark
    return found


def _known(path: str, key: Any, sections: Mapping[str, type[Section]]) -> str:
    names = [f"{table}.{field}" for table, model in sections.items() for field in model.model_fields]
    if isinstance(key, str) and ".".join(key.split(".")[:2]) in names:
        return key
    raise ParameterError(path, key, "a key of the scenario is needed, such as 'guest.disk'", nearest(key, names))


def without(marks: Mapping[str, str], changed: Iterable[str]) -> dict[str, str]:
    """Marks of the keys that did not change; a changed table or part of a table takes its marks along."""
    keys = list(changed)
    return {key: mark for key, mark in marks.items() if not any(touches(key, other) for other in keys)}


def touches(one: str, other: str) -> bool:
    """Whether two keys are the same, or one of them is a part of the other."""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def keys_of(tables: Mapping[str, Any]) -> list[str]:
    """Dotted keys that tables name: two levels, and a third one where a value is a table itself."""
    found = []
    for name, values in tables.items():
        given = values.given() if isinstance(values, Section) else values
        for key, value in given.items() if isinstance(given, Mapping) else ():
            inner = value if isinstance(value, Mapping) and value else {"": None}
            found += [f"{name}.{key}.{part}" if part else f"{name}.{key}" for part in inner]
    return found


def by_word(marks: Mapping[str, str]) -> dict[str, list[str]]:
    """Keys by the word of their marks, as a file has them."""
    found = {word: [key for key, mark in marks.items() if word_of(mark) == word] for word in WORDS}
    return {word: keys for word, keys in found.items() if keys}


def marks_told(marks: Mapping[str, str]) -> str:
    """Sentence that results carry, such as " Measured: guest (disk, used), pool (clones)."; empty without marks."""
    sentences = []
    for word, keys in by_word(marks).items():
        tables: dict[str, list[str]] = {}
        for key in keys:
            table, _, field = key.partition(".")
            tables.setdefault(table, []).append(field)
        parts = ", ".join(f"{table} ({', '.join(fields)})" for table, fields in tables.items())
        sentences.append(f" {word.capitalize()}: {parts}.")
    return "".join(sentences)
