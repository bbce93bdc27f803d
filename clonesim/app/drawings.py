"""The page's charts as drawings inside it: letters stay letters, each with a text alternative."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import tostring

from clonesim.app.answers import Answer
from clonesim.plots import describe
from clonesim.plots.planner import plot_planned_cost, plot_planned_fill, plot_planned_growth, plot_planned_waits
from clonesim.report.svg import chart_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES: Final = (4.9, 4.0)  # below the width from which legends stand inside: legible on a telephone


def charts(answer: Answer) -> dict[str, Callable[[Axes], Any]]:
    """What is drawn into which chart."""
    found, density = answer.found, answer.picked.density
    return {
        "growth": lambda ax: plot_planned_growth(_bare(found.growth), ax),
        "fill": lambda ax: plot_planned_fill(_bare(found.fill), ax),
        "waits": lambda ax: plot_planned_waits(_bare(found.plan.frame), ax, density=density),
        "cost": lambda ax: plot_planned_cost(
            found.paid.items, ax, currency=found.paid.currency, years=found.paid.terms.months / 12
        ),
    }


def _bare(frame: Any) -> Any:
    """The frame without its caption: the page says it once for all charts."""
    bare = frame.copy(deep=False)
    bare.attrs = {name: value for name, value in frame.attrs.items() if name != "caption"}
    return bare


def drawing(name: str, draw: Callable[[Axes], Any]) -> str:
    """One of `charts` as an `<svg>` element."""

    def into(figure: Figure) -> str:
        ax = figure.add_subplot()
        draw(ax)
        return describe(ax)

    drawing = chart_svg(into, name, INCHES)
    drawing.set("id", f"chart-{name}")
    return tostring(drawing, encoding="unicode", method="html")
