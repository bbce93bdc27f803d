"""The planner page itself: widgets on the left, answers on the right. One page object per visitor."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from typing import Any, Final

import panel

from clonesim.app import pieces
from clonesim.app.answers import Answer, Planner
from clonesim.app.choices import DENSITIES, DESKTOPS, SIZES, Picked, titles
from clonesim.app.drawings import charts, drawing
from clonesim.errors import ClonesimError
from clonesim.units import GIB, format_size

pn: Any = panel  # which has types for a part of what is called here
NAMES: Final = {
    **{"guest": "Guest", "workload": "Users", "strategy": "Strategy", "policy": "Free clusters are picked by"},
    **{"desktops": "Desktops", "density": "Clones on a LUN", "lun_gib": "Size of a LUN", "locking": "Locks"},
}
BAR: Final = "#2b8cc4"  # of a slider: stands out on light and on dark pages
WATCH_S: Final = 0.2
BODY: Final = (
    ":host{display:grid;grid-template-columns:minmax(0,290px) minmax(0,1fr);gap:8px 24px}"
    "@media(max-width:760px){:host{grid-template-columns:minmax(0,1fr)}}"
)
CHARTS: Final = ":host{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:12px}"


class Page:
    """What one visitor sees.

    Parameters
    ----------
    planner : Planner
        Shared by all visitors.
    """

    def __init__(self, planner: Planner) -> None:
        self.planner = planner
        self.widgets = _widgets(Picked())
        self.head = self._pane(pieces.head())
        self.told = self._pane(pieces.waiting("Working it out ..."))
        self.files = self._pane("")
        self.charts = {name: self._pane("") for name in pieces.CHARTS}
        self.bar = pn.indicators.Progress(name="Progress", value=0, max=100, visible=False, sizing_mode="stretch_width")
        self._drawn: dict[str, Any] = {}
        self._number = 0
        for widget in self.widgets.values():
            widget.param.watch(self._changed, "value_throttled" if hasattr(widget, "value_throttled") else "value")

    def view(self) -> Any:
        """All of it, as a page that fits telephones."""
        left = pn.Column(*self.widgets.values(), self.files, sizing_mode="stretch_width")
        grid = pn.Column(*self.charts.values(), sizing_mode="stretch_width", stylesheets=[CHARTS])
        right = pn.Column(self.bar, self.told, grid, sizing_mode="stretch_width")
        body = pn.Column(left, right, sizing_mode="stretch_width", stylesheets=[BODY])
        made = pn.Template(files("clonesim.app").joinpath("page.html").read_text("utf-8"))
        made.add_variable("sliders", [(NAMES["density"], [str(density) for density in DENSITIES])])
        made.add_panel("page", pn.Column(self.head, body, sizing_mode="stretch_width", max_width=1500))
        pn.state.onload(self.show)
        return made

    @property
    def picked(self) -> Picked:
        """What the widgets say."""
        return Picked(**{name: widget.value for name, widget in self.widgets.items()})

    async def _changed(self, *_: Any) -> None:
        await self.show()

    async def show(self) -> None:
        """Answer what the widgets say; a newer change makes an older one give up."""
        self._number += 1
        mine, picked = self._number, self.picked
        try:
            if self.planner.pools.ready(picked) is None:
                await self._simulated(picked)
            if mine != self._number:
                return
            answer = await asyncio.to_thread(self.planner.answer, picked)
        except ClonesimError as error:
            if mine == self._number:
                self.told.object, self.files.object = pieces.refused(str(error)), ""
                self._clear()
            return
        if mine == self._number:
            await self._put(answer, mine)

    async def _simulated(self, picked: Picked) -> None:
        """Simulate what is not there yet, with a progress bar."""
        done = [0.0]

        def progress(part: int, total: int) -> None:
            done[0] = 100.0 * part / total

        self._clear()
        self.told.object = pieces.waiting("Nobody has asked for this pool yet: it is simulated, which takes a minute.")
        work = asyncio.create_task(asyncio.to_thread(self.planner.pools.get, picked, progress))
        self.bar.visible = True
        try:
            while not work.done():
                self.bar.value = int(done[0])
                await asyncio.sleep(WATCH_S)
            work.result()
        finally:
            self.bar.visible = False

    async def _put(self, answer: Answer, mine: int) -> None:
        """Show an answer: words first, then the charts that are others than before."""
        source = self.planner.pools.source(answer.picked)
        self.told.object, self.files.object = pieces.told(answer, source), pieces.files_of(answer)
        for name, draw in charts(answer).items():
            key = (name, *_felt(answer.picked, name))
            if self._drawn.get(name) == key:
                continue
            await asyncio.sleep(0)
            if mine != self._number:
                return
            self.charts[name].object = await asyncio.to_thread(drawing, name, draw)
            self._drawn[name] = key

    def _clear(self) -> None:
        self._drawn = {}
        for pane in self.charts.values():
            pane.object = ""

    @staticmethod
    def _pane(text: str, **options: Any) -> Any:
        return pn.pane.HTML(text, stylesheets=[pieces.style()], sizing_mode="stretch_width", **options)


def _felt(picked: Picked, chart: str) -> tuple[Any, ...]:
    """What of a pick a chart shows."""
    desktop = (picked.guest, picked.workload, picked.strategy, picked.policy)
    more = {
        "growth": (),
        "fill": (picked.density, picked.lun_gib),
        "waits": (picked.density, picked.desktops, picked.locking),
        "cost": (picked.density, picked.desktops),
    }
    return desktop + more[chart]


def _widgets(first: Picked) -> dict[str, Any]:
    """A widget for each thing that can be picked."""
    found: dict[str, Any] = {}
    for name in ("guest", "workload", "strategy"):
        found[name] = _select(name, {text: value for value, text in titles(name).items()}, first)
    found["density"] = pn.widgets.DiscreteSlider(
        name=NAMES["density"],
        options=list(DENSITIES),
        value=first.density,
        bar_color=BAR,
        sizing_mode="stretch_width",
    )
    found["lun_gib"] = _select("lun_gib", {format_size(size * GIB): size for size in SIZES}, first)
    found["desktops"] = _select("desktops", {f"{many:,}": many for many in DESKTOPS}, first)
    for name in ("locking", "policy"):
        found[name] = _select(name, {text: value for value, text in titles(name).items()}, first)
    return found


def _select(name: str, options: dict[str, Any], first: Picked) -> Any:
    value = getattr(first, name)
    style = pieces.widget_style()
    return pn.widgets.Select(
        name=NAMES[name], options=options, value=value, sizing_mode="stretch_width", stylesheets=[style]
    )
