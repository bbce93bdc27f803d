"""The page's texts as HTML: whatever goes in comes out escaped."""

from __future__ import annotations

import base64
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element, tostring

from clonesim import __version__
from clonesim.app.answers import Answer, daily_csv, scenario_toml
from clonesim.app.choices import small
from clonesim.report.svg import chart_css
from clonesim.report.tree import element

TITLE: Final = "clonesim planner"
CHARTS: Final = ("growth", "fill", "waits", "cost")


def style() -> str:
    """Style sheet of all pieces, charts included; colours of light and dark stand in page.html."""
    return files("clonesim.app").joinpath("style.css").read_text("utf-8") + chart_css()


def widget_style() -> str:
    """Style sheet of lists to pick from."""
    return files("clonesim.app").joinpath("widgets.css").read_text("utf-8")


def head() -> str:
    """Heading of the page, and what it answers from."""
    pool = small()
    text = (
        f"Every answer comes from {pool['replicates']} simulated pools of {pool['clones']} desktops over "
        f"{pool['days']} days with cited and, mostly, assumed rates. Nothing leaves this computer."
    )
    return _html(element("h1", TITLE), element("p", text))


def told(answer: Answer, source: str) -> str:
    """Answers in figures and in words."""
    figures = element("dl", *(element("div", element("dt", what), element("dd", text)) for what, text in answer.seen))
    words = element("ul", *(element("li", text) for text in answer.sentences), id="words")
    note = f"{answer.found.growth.attrs['caption']} Pools: {source}. clonesim {__version__}."
    return _html(figures, words, element("p", note, class_="note"))


def files_of(answer: Answer) -> str:
    """Links to the scenario and to the table of days; the files are in the page itself."""
    made = (
        ("clonesim-scenario.toml", "application/toml", scenario_toml(answer.picked), "Scenario (TOML)"),
        ("clonesim-plan.csv", "text/csv", daily_csv(answer), "Table of days (CSV)"),
    )
    return _html(element("div", *(_link(*one) for one in made)))


def refused(text: str) -> str:
    """What was picked cannot be, and why."""
    return _html(element("p", text, class_="refused", role="alert"))


def waiting(text: str) -> str:
    """What is being done."""
    return _html(element("p", text, role="status"))


def _link(name: str, kind: str, text: str, title: str) -> Element:
    data = base64.b64encode(text.encode()).decode()
    return element("a", title, class_="file", download=name, href=f"data:{kind};charset=utf-8;base64,{data}")


def _html(*parts: Element) -> str:
    return "".join(tostring(part, encoding="unicode", method="html") for part in parts)
