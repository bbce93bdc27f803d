"""The parts of a report, in the order of the page."""

from __future__ import annotations

import base64
import tomllib
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from clonesim import plots
from clonesim.console.pool import STORM_HEAD, STORM_NOTE, datastore_note, datastore_rows, storm_rows
from clonesim.planning.limits import limits_of
from clonesim.plots.days import plot_latency_days, plot_load, plot_lock_days
from clonesim.pool.run_files import versions
from clonesim.pool_words import Answer, pool_answers
from clonesim.report import tables
from clonesim.report.picture import Picture, chart
from clonesim.report.tree import details, element, paragraphs, prose, table
from clonesim.scenario import commented

if TYPE_CHECKING:
    from clonesim.pool.run import Run


@cache
def texts() -> dict[str, Any]:
    """Sentences that do not depend on the run."""
    return tomllib.loads(resources.files(__package__).joinpath("texts.toml").read_text(encoding="utf-8"))


def answers(run: Run, first: tuple[str, ...]) -> Element:
    """What the run says, a pane for each question; `first` is what should be measured first."""
    found = pool_answers(run)
    if first:
        found.append(Answer("What should be measured first?", first))
    panes = [element("section", element("h3", one.question), *paragraphs(one.sentences)) for one in found]
    return element("div", *panes, class_="answers")


def growth(run: Run) -> list[Element]:
    """How the deltas grow, under the scenario's policy and the others, and what they are made of."""
    told = texts()["growth"]
    fan = partial(plots.plot_growth_fan, run.growth, band=run.band)
    found = [Picture("growth", told["chart"]["title"], fan, tables.growth_table(run), told["chart"]["lead"])]
    if run.band is not None:
        band = partial(plots.plot_band, run.band)
        found.append(Picture("band", told["band"]["title"], band, tables.band_table(run), told["band"]["lead"]))
    many = min(len(run.source_bytes), plots.pool.MOST_SOURCES)
    made = partial(plots.plot_sources, run.sources)
    size = (8.0, max(3.2, 1.2 + 0.3 * many))
    title, lead = told["sources"]["title"], told["sources"]["lead"]
    found.append(Picture("sources", title, made, tables.sources_table(run), lead, wide=size, phone=(4.4, 5.8)))
    return [chart(one, run.label) for one in found]


def space(run: Run) -> list[Element]:
    """Datastores filling up, and when."""
    told = texts()["space"]
    fill, steps = partial(plots.plot_fill, run.luns), partial(plots.plot_increments_map, run.increments)
    found = [
        Picture("fill", told["fill"]["title"], fill, tables.fill_table(run), told["fill"]["lead"]),
        Picture(
            "increments", told["increments"]["title"], steps, tables.increments_table(run), told["increments"]["lead"]
        ),
    ]
    return [chart(one, run.label) for one in found]


def load(run: Run) -> list[Element]:
    """Waits for locks, and what the array is asked for."""
    told, limits = texts()["load"], limits_of(run.scenario)
    waits = partial(plot_lock_days, run.luns, limit_s=limits.lock_wait)
    latency = partial(plot_latency_days, run.luns, limit_s=limits.latency)
    found = [
        Picture("locks", told["locks"]["title"], waits, tables.lock_table(run), told["locks"]["lead"]),
        Picture("demand", told["demand"]["title"], partial(plot_load, run.peaks), tables.load_table(run)),
        Picture("latency", told["latency"]["title"], latency, tables.latency_table(run)),
    ]
    return [chart(one, run.label) for one in found]


def figures(run: Run) -> list[Element]:
    """The tables of the terminal: datastores, and how long storms last."""
    head = [name.replace("\n", " ") for name in STORM_HEAD]
    return [
        table(["Figure", "Value"], datastore_rows(run), "Datastores", texts=2, class_="words"),
        element("p", datastore_note(run), class_="note"),
        element("h3", "How long storms last"),
        table(head, storm_rows(run), "Storms, each alone"),
        prose("p", STORM_NOTE, class_="note"),
    ]


def limits() -> list[Element]:
    """What the report does not tell."""
    return [element("ul", *(prose("li", one) for one in texts()["limits"]["items"]), class_="limits")]


def reproduce(run: Run, command: str) -> list[Element]:
    """Command, versions, hash and scenario."""
    toml = commented(run.scenario)
    facts = {
        "Versions": ", ".join(f"{name} {number}" for name, number in versions().items()),
        "Seed": str(run.seed),
        "Replicates": str(run.replicates),
        "Hash of all tables": run.hash,
    }
    pairs = [
        part for name, fact in facts.items() for part in (element("dt", name), element("dd", element("code", fact)))
    ]
    data = base64.b64encode(toml.encode()).decode()
    link = element("a", "Download the scenario (scenario.toml)", href=f"data:application/toml;base64,{data}")
    link.set("download", "scenario.toml")
    return [
        element("pre", element("code", command)),
        element("p", link),
        element("dl", *pairs, class_="facts"),
        details("Scenario as TOML", element("pre", element("code", toml)), printed=False),
    ]
