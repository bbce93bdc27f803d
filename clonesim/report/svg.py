"""Charts as drawings inside a page: text stays text, colours follow the page's light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, fromstring

from clonesim.plots.chart import BLUE, BROWN, GREEN, GREY, ICE, ORANGE, PALE, PAPER, PINK, RED, SKY
from clonesim.report.tree import element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
CLASS: Final = "drawing"
FONTS: Final = "'DejaVu Sans', Verdana, 'Segoe UI', sans-serif"  # matplotlib reckons with the widths of the first
SHAPES: Final = {  # colour of lines and areas as drawn: its name, and what it is on a dark page
    "#000000": ("ink", "#e8e8e8"),
    "#ffffff": ("page", "#16181c"),
    PAPER: ("paper", "#2a2e35"),
    "#808080": ("middle", "#9aa0a8"),
    "#b0b0b0": ("grid", "#5a6068"),
    "#cccccc": ("frame", "#5a6068"),
    GREY: ("muted", "#a8adb4"),
    PALE: ("pale", "#454b54"),
    ICE: ("ice", "#3a5568"),
    BLUE: ("blue", "#4fa8e0"),
    ORANGE: ("orange", "#e69f00"),
    GREEN: ("green", "#2fc196"),
    RED: ("red", "#ff7a2e"),
    PINK: ("pink", "#dd93bd"),
    SKY: ("sky", "#7fcaf0"),
    BROWN: ("brown", "#c98a5e"),
}
TEXTS: Final = {  # colour of letters as drawn: its name, what it is on a light page and on a dark one
    "#000000": ("text", "#000000", "#e8e8e8"),
    GREY: ("text-muted", "#595959", "#a8adb4"),
    BLUE: ("text-blue", BLUE, "#6fbcee"),
    ORANGE: ("text-orange", "#8a5a00", "#f0b429"),
    GREEN: ("text-green", "#00704f", "#2fc196"),
    RED: ("text-red", "#ab4a00", "#ff8c4a"),
}
RC: Final[dict[str, Any]] = {"svg.fonttype": "none", "font.family": ["DejaVu Sans"], "path.simplify": True}
NOTHING: Final = dict.fromkeys(("Date", "Creator", "Format", "Type"))
COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_SHAPE_NAMES = {color.lower(): name for color, (name, _) in SHAPES.items()}
_TEXT_NAMES = {color.lower(): name for color, (name, _, _) in TEXTS.items()}


def chart_css() -> str:
    """Style sheet of the drawings: colours by name, others on dark screens; print is always light."""
    light = {name: color.lower() for color, (name, _) in SHAPES.items()}
    light |= {name: color.lower() for name, color, _ in TEXTS.values()}
    dark = dict(SHAPES.values()) | {name: color for name, _, color in TEXTS.values()}

    def listed(colours: dict[str, str]) -> str:
        return "".join(f"--chart-{name}:{color};" for name, color in colours.items())

    return (
        f"svg.{CLASS}{{{listed(light)}fill:var(--chart-ink);max-width:100%;height:auto}}\n"
        f"svg.{CLASS} *{{stroke-linejoin:round;stroke-linecap:butt}}\n"
        f"@media screen and (prefers-color-scheme:dark){{svg.{CLASS}{{{listed(dark)}}}}}\n"
    )


def chart_svg(draw: Callable[[Figure], str], name: str, size: tuple[float, float] = (8, 5)) -> Element:
    """One chart as an `<svg>` element to stand in a page.

    Parameters
    ----------
    draw : callable
        Draws into an empty figure and hands back the chart's text alternative.
    name : str
        Of the chart, unlike that of all others of the page: letters, digits and hyphens. Ids begin with it.
    size : (float, float), default (8, 5)
        Width and height. [inch]

    Returns
    -------
    Element
        With `role="img"`, `aria-label` and `viewBox`; no outside references, dates or random ids. Colours are CSS
        variables: put `chart_css()` into the page once.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = RC | {"svg.hashsalt": name}
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        canvas: Any = FigureCanvasSVG(figure)
        text = draw(figure)
        for patch in (figure.patch, *(ax.patch for ax in figure.axes)):
            patch.set_facecolor("none")
        file = io.StringIO()
        canvas.print_svg(file, metadata=NOTHING)  # savefig would draw it twice
    svg = fromstring(file.getvalue())  # noqa: S314 (written just now)
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', file.getvalue()))
    box = svg.get("viewBox", "0 0 0 0")
    width, height = (f"{float(points) * 96 / 72:g}" for points in box.split()[2:])
    made = element("svg", class_=CLASS, role="img", viewBox=box, width=width, height=height, focusable="false")
    made.set("aria-label", text)
    for child in svg:
        if (copied := _copied(child, name, used)) is not None:
            made.append(copied)
    return made


def _copied(old: Element, name: str, used: set[str]) -> Element | None:
    """An element without namespaces, with names and colours of the page; None for what a page does not need."""
    tag = old.tag.removeprefix(SVG) if isinstance(old.tag, str) else "{"
    if tag.startswith("{") or tag in ("metadata", "style", "title"):
        return None
    made = Element(tag)
    letters = tag in ("text", "tspan")
    for key, value in old.attrib.items():
        plain = key.removeprefix(XLINK)
        if plain.startswith("{") or (plain == "id" and value not in used):
            continue
        if plain == "id":
            value = f"{name}-{value}"
        elif plain == "href" and value.startswith("#"):
            value = f"#{name}-{value[1:]}"
        elif plain in ("style", "fill", "stroke"):
            value = _restyled(value, letters)
        made.set(plain, re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", value))
    if letters:
        made.text = old.text
        if "fill:" not in made.get("style", ""):
            made.set("style", f"{made.get('style', '')}; fill: var(--chart-text)".removeprefix("; "))
    for child in old:
        if (copied := _copied(child, name, used)) is not None:
            copied.tail = child.tail if letters else None
            made.append(copied)
    return None if tag in ("g", "defs") and not len(made) else made


def _restyled(style: str, letters: bool) -> str:
    known = _TEXT_NAMES if letters else _SHAPE_NAMES

    def by_name(hit: re.Match[str]) -> str:
        called = known.get(hit[0].lower())
        return f"var(--chart-{called})" if called else hit[0].lower()

    style = COLOUR.sub(by_name, style)
    return re.sub(r"'DejaVu Sans'(?:, [^;]+)?", FONTS, style)
