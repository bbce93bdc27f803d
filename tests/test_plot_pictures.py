"""Every chart as a picture: like the one kept, inside its figure at both widths, told in words.

`python tests/plot_tools.py` draws the kept pictures anew.
"""

import inspect

import numpy as np
import plot_tools as tools
import pytest
from matplotlib import image

from clonesim import plots
from clonesim.plots import chart, describe

TOLERANCE = 6.0  # root mean square of the differences in grey [of 255]: fonts are smoothed differently by each release
BYTES = 600_000  # of all kept pictures
DRAWN = {  # functions whose chart another function of the gallery draws
    "plot_clusters": "clusters",
}


def grey(path):
    """Levels of grey, 0 to 255."""
    return 255 * image.imread(path)[..., :3].mean(axis=2)


def difference(one, other):
    return float(np.sqrt(np.mean((one - other) ** 2)))


@pytest.mark.parametrize("name", tools.CHARTS)
def test_the_picture_is_the_one_kept(name, tmp_path):
    found, kept = grey(tools.save(name, tmp_path / "now.png")), grey(tools.BASELINE / f"{name}.png")
    assert found.shape == kept.shape
    assert difference(found, kept) < TOLERANCE, f"look at {name}; if it is right, run python tests/plot_tools.py"


def test_another_frame_is_another_picture(tmp_path, monkeypatch):
    """The tolerance is small enough to see a curve that lies elsewhere."""
    monkeypatch.setitem(tools.CHARTS, "moved", lambda: tools.one(plots.plot_fill_date, tools.fill_date().iloc[10:]))
    moved = grey(tools.save("moved", tmp_path / "moved.png"))
    assert difference(moved, grey(tools.BASELINE / "fill-date.png")) > TOLERANCE


def test_kept_pictures_are_small_and_all_used():
    files = list(tools.BASELINE.iterdir())
    assert {file.name for file in files} == {f"{name}.png" for name in tools.CHARTS}
    assert sum(file.stat().st_size for file in files) < BYTES


def test_every_chart_is_in_the_gallery():
    """A new chart needs a picture, and with it all tests of this file."""
    source = inspect.getsource(tools)
    missing = [name for name in plots.__all__ if name.startswith("plot_") and f"plots.{name}" not in source]
    assert set(missing) <= set(DRAWN)


@pytest.mark.parametrize("name", tools.CHARTS)
def test_the_chart_is_told_in_words(name):
    figure = tools.drawn(name)
    text = describe(figure)
    assert text.endswith(".")
    assert "\n" not in text
    assert "nothing is drawn" not in text
    assert any(sign.isdigit() for sign in text)
    assert 40 < len(text) < 900, text


@pytest.mark.parametrize("name", [name for name in tools.CHARTS if name != "lock-map"])  # the map is for wide pages
@pytest.mark.parametrize("size", [tools.WIDE, tools.SMALL], ids=["wide", "narrow"])
def test_titles_and_legends_stay_inside_the_figure(name, size):
    figure = tools.drawn(name, size, 96)
    figure.canvas.draw()
    edge = figure.bbox.padded(3)
    for ax in figure.get_axes():
        legend = ax.get_legend()
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *([legend] if legend else [])]
        for text in texts:
            box = text.get_window_extent()
            assert box.width == 0 or (edge.x0 <= box.x0 and box.x1 <= edge.x1), (name, text)
            assert box.width == 0 or (edge.y0 <= box.y0 and box.y1 <= edge.y1), (name, text)


@pytest.mark.parametrize("name", ["growth", "written", "fill", "fill-many", "storm", "density", "shares", "replay"])
def test_no_legend_covers_the_curves_on_a_phone(name):
    figure = tools.drawn(name, tools.SMALL, 96)
    ax = figure.get_axes()[0]
    assert ax.get_legend().get_window_extent().y1 <= ax.get_window_extent().y0
    assert chart.narrow(ax)


def luminance(color):
    """Relative luminance of a colour as WCAG 2 defines it. [1]"""
    parts = [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_states_of_clusters_differ_in_grey_print():
    from clonesim.plots.clusters import STATES

    light = [116 * luminance(color) ** (1 / 3) - 16 for _, color, _ in STATES.values()]  # CIE lightness, 0 to 100
    assert light == sorted(light, reverse=True)
    assert min(-np.diff(light)) > 10
