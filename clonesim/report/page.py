"""The page of a report: one file of HTML that makes no request."""

from __future__ import annotations

import datetime as dt
import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree.ElementTree import Element

import pandas as pd

from clonesim import __version__
from clonesim.errors import ParameterError
from clonesim.files import make_folder, write_text
from clonesim.planning.screening import screen
from clonesim.planning.sensitivity import Sensitivity
from clonesim.report import sections
from clonesim.report.influence import influence_section, measure_first
from clonesim.report.inputs import inputs_section
from clonesim.report.svg import chart_css
from clonesim.report.tree import element, page
from clonesim.words import counted

if TYPE_CHECKING:
    from clonesim.pool.run import Run

SCREENING, NONE = "screening", "none"
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"  # whatever stands in the page
BREAKS: Final = ("growth", "space", "load", "assumptions", "inputs")  # begin on a sheet of their own


def write_report(
    run: Run,
    path: str | Path,
    *,
    ranking: Sensitivity | pd.DataFrame | str = SCREENING,
    command: str | None = None,
    date: dt.date | None = None,
) -> Path:
    """Write a run as one page of HTML that needs nothing else.

    Parameters
    ----------
    run : Run
        Of `clonesim.simulate`; with a policy band (`run.band`) the page shows it.
    path : str or Path
        File to write; its folder is made if need be.
    ranking : Sensitivity, DataFrame or {"screening", "none"}, default "screening"
        Assumptions by influence: what `clonesim.sensitivity` found for the scenario, what
        `clonesim.planning.screening.screen` found, a screening made now, or no ranking.
    command : str, optional
        That made the run; by default one that makes the same run from the scenario in the page.
    date : date, optional
        To stand in the page. Without it the same run gives the same bytes.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ParameterError
        If the path is a folder, or the ranking is none of these or of another scenario.

    Examples
    --------
    >>> run = cs.simulate("windows-7-office", seed=1)  # doctest: +SKIP
    >>> cs.write_report(run, "out/pool.html")  # doctest: +SKIP
    """
    file = check_path(path)
    text = report_html(run, ranking=ranking, command=command, date=date)
    make_folder(file.parent, "report")
    return write_text(file, text)


def check_path(path: str | Path) -> Path:
    """The path, if a file may be written there; asked before the work starts."""
    file = Path(path)
    if file.is_dir():
        raise ParameterError(
            "report", str(path), "a file is needed, this is a folder", f"Write {file / 'report.html'}."
        )
    if not file.name:
        raise ParameterError("report", str(path), "the name of a file is needed", "Write for example 'report.html'.")
    return file


def report_html(
    run: Run,
    *,
    ranking: Sensitivity | pd.DataFrame | str = SCREENING,
    command: str | None = None,
    date: dt.date | None = None,
) -> str:
    """The page's text; parameters as in `write_report`."""
    ranked = _ranked(run, ranking)
    scenario = run.scenario
    parts = {
        "answers": [sections.answers(run, measure_first(ranked))],
        "growth": sections.growth(run),
        "space": sections.space(run),
        "load": sections.load(run),
        "figures": sections.figures(run),
        "assumptions": influence_section(ranked),
        "inputs": inputs_section(scenario),
        "limits": sections.limits(),
        "reproduce": sections.reproduce(run, command or usual_command(run)),
    }
    told = sections.texts()
    made = f"clonesim {__version__}, seed {run.seed}, {counted(run.replicates, 'replicate')}"
    head = element(
        "header",
        element("h1", scenario.pool.name),
        element("p", run.label),
        element("p", made + (f", {date.isoformat()}" if date else "") + "."),
    )
    links = [element("li", element("a", told[name]["title"], href=f"#{_place(name)}")) for name in parts]
    menu = element("nav", element("ul", *links), aria_label="Parts of the report")
    main = element("main", *(one for name, part in parts.items() for one in _part(name, part)))
    body = element("body", head, menu, main)
    return page(element("html", _head(scenario.pool.name), body, lang="en"))


def usual_command(run: Run) -> str:
    """Command line that makes the run again from the scenario that the page holds."""
    words = ["clonesim", "run", "scenario.toml", "--seed", str(run.seed)]
    words += ["--replicates", str(run.replicates)] if run.replicates > 1 else []
    sample = "none" if run.band is None else str(int(run.band["clones"].iloc[0]))
    return shlex.join([*words, "--band", sample, "--report", "report.html"])


def _ranked(run: Run, ranking: Sensitivity | pd.DataFrame | str) -> Sensitivity | pd.DataFrame | None:
    allowed = "a Sensitivity, a frame of `screen`, 'screening' or 'none' is needed"
    if isinstance(ranking, str):
        if ranking not in (SCREENING, NONE):
            raise ParameterError("ranking", ranking, allowed)
        return screen(run.scenario, run.seed) if ranking == SCREENING else None
    if isinstance(ranking, Sensitivity):
        if ranking.scenario != run.scenario:
            raise ParameterError("ranking", ranking.label, "it is of another scenario", "Ask about the run's own.")
        return ranking
    if not isinstance(ranking, pd.DataFrame) or not {"assumption", "at_lower", "io_lower"} <= set(ranking.columns):
        raise ParameterError("ranking", type(ranking).__name__, allowed)
    return ranking


def _part(name: str, parts: list[Element]) -> list[Element]:
    told = sections.texts()[name]
    heading = element("h2", told["title"], id=_place(name))
    if name in BREAKS:
        heading.set("class", "leaf")
    return [heading, *([element("p", told["lead"], class_="lead")] if told.get("lead") else []), *parts]


def _place(name: str) -> str:
    return f"part-{name}"


def _head(title: str) -> Element:
    style = resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    policy = element("meta", content=POLICY)
    policy.set("http-equiv", "Content-Security-Policy")
    return element(
        "head",
        element("meta", charset="utf-8"),
        policy,
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"clonesim {__version__}"),
        element("title", f"{title} - clonesim"),
        element("style", style + chart_css()),
    )
