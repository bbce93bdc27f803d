"""A chart in the page: one drawing for wide screens and paper, one for phones, with text alternative and table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element

from clonesim.plots import describe
from clonesim.plots.chart import CAPTION
from clonesim.report.svg import chart_svg
from clonesim.report.tree import details, element

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE: Final = (8.0, 4.8)  # [inch]
PHONE: Final = (4.4, 4.8)  # [inch]


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart of the page.

    Attributes
    ----------
    name : str
        Of the chart in the page: a word that begins ids.
    title : str
        Heading above it.
    draw : callable
        Draws into the axes that it is given.
    table : Element or None
        What is drawn, as numbers.
    lead : str
        What the reader should know before looking at it.
    note : str
        What stands below it beside the chart's own caption.
    wide, phone : tuple of float
        Sizes. [inch]
    """

    name: str
    title: str
    draw: Callable[[Axes], Any]
    table: Element | None
    lead: str = ""
    note: str = ""
    wide: tuple[float, float] = WIDE
    phone: tuple[float, float] = PHONE


def chart(one: Picture, said_once: str = "") -> Element:
    """The chart with all that belongs to it.

    Parameters
    ----------
    one : Picture
        What to draw.
    said_once : str, optional
        A sentence of captions that the page tells elsewhere.
    """
    captions: list[str] = []

    def into(figure: Figure) -> str:
        ax = figure.add_subplot()
        one.draw(ax)
        captions.append(_taken(ax))
        text = describe(ax)
        ax.set_title("")  # stands above it as a heading
        return text

    drawings = []
    for kind, size in (("wide", one.wide), ("phone", one.phone)):
        drawing = chart_svg(into, f"{one.name}-{kind}", size)
        drawing.set("class", f"{drawing.get('class', '')} {kind}")
        drawings.append(drawing)
    caption = captions[0].replace(said_once, "").strip() if said_once else captions[0]
    below = " ".join(text for text in (caption, one.note) if text)
    made = element("figure", *drawings, element("figcaption", below) if below else None)
    if one.table is not None:
        made.append(details("Table behind this chart", one.table, printed=False))
    return element(
        "section",
        element("h3", one.title),
        element("p", one.lead) if one.lead else None,
        made,
        class_="chart",
        id=one.name,
    )


def _taken(ax: Axes) -> str:
    """Take the caption out of a chart: the page tells it below, in letters that can be read on any screen."""
    found = [text for text in ax.texts if text.get_gid() == CAPTION]
    for text in found:
        text.remove()
    return " ".join(" ".join(text.get_text().split()) for text in found)
