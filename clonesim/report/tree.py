"""Pieces of an HTML page as a tree: whatever text goes in comes out escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

Part: TypeAlias = "Element | str | None"


def element(tag: str, *parts: Part, **attributes: str) -> Element:
    """An element with children and texts in their order; `class_` is the attribute class, `aria_label` aria-label."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
    return put(made, *parts)


def put(parent: Element, *parts: Part) -> Element:
    """Put children and texts at the end of an element; None is left out."""
    for part in parts:
        if part is None:
            continue
        if isinstance(part, Element):
            parent.append(part)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + part
        else:
            parent.text = (parent.text or "") + part
    return parent


def prose(tag: str, text: str, **attributes: str) -> Element:
    """An element of text in which `such` spans are code; for texts of the program's own, not of users."""
    made = element(tag, **attributes)
    for number, part in enumerate(text.split("`")):
        put(made, element("code", part) if number % 2 else part)
    return made


def paragraphs(texts: Iterable[str]) -> list[Element]:
    """A paragraph for each text."""
    return [prose("p", text) for text in texts]


def table(
    head: Sequence[str], rows: Iterable[Sequence[Part]], label: str, texts: int = 1, class_: str = "figures"
) -> Element:
    """A table in a box of its own that scrolls sideways where it must; the first `texts` columns are text.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of sequences
        Cells: texts or elements. The first of each row is the row's name.
    label : str
        What the table holds, for readers who do not see the page; its caption.
    texts : int, default 1
        Columns on the left that are text; the others are numbers, set to the right.
    class_ : str, default "figures"
        Of the table.
    """

    def kind(column: int) -> dict[str, str]:
        return {} if column < texts else {"class": "number"}

    made = element("table", element("caption", label), class_=class_)
    line = element("tr")
    for column, name in enumerate(head):
        line.append(put(Element("th", {"scope": "col"} | kind(column)), name))
    made.append(element("thead", line))
    body = element("tbody")
    for row in rows:
        line = element("tr")
        for column, cell in enumerate(row):
            name_cell = Element("th", {"scope": "row"}) if column == 0 else Element("td", kind(column))
            line.append(put(name_cell, cell))
        body.append(line)
    made.append(body)
    return element("div", made, class_="scroll", tabindex="0", role="region", aria_label=label)


def details(summary: str, *parts: Part, printed: bool = True) -> Element:
    """Parts that are folded away until they are asked for, and (unless not `printed`) there on paper."""
    kind = {} if printed else {"class_": "screen"}
    return element("details", element("summary", summary), *parts, **kind)


def page(root: Element) -> str:
    """Text of a whole page."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
