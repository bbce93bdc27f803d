"""What the charts of a pool draw: the numbers of the frames, recounted by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clonesim import plots

GIB, TIB, DAY, HOUR = 2**30, 2**40, 86400.0, 3600.0


@pytest.fixture
def ax():
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


def caption(ax):
    return " ".join(" ".join(text.get_text() for text in ax.texts).split())


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.fixture
def growth():
    """Twenty-one desktops, 1 to 21 GiB after day 0 and twice that after day 1, half of it on a second disk."""
    rows = [
        (0, day, clone, disk, (day + 1) * (clone + 1) * GIB // 2, (10 + day) * GIB, (day + 1) * 3 * GIB)
        for day in range(2)
        for clone in range(21)
        for disk in range(2)
    ]
    names = ["replicate", "day", "clone", "disk", "delta_bytes", "guest_used_bytes", "written_bytes"]
    return pd.DataFrame(rows, columns=names)


def test_growth_fan(ax, growth):
    growth.attrs["caption"] = "21 clones."
    assert plots.plot_growth_fan(growth, ax) is ax
    drawn = lines(ax)
    assert drawn["delta, median: 22.00"].tolist() == [[1, 11], [2, 22]]
    assert drawn["written by the guest, median: 12.00"].tolist() == [[1, 6], [2, 12]]
    assert drawn["guest use since day 1, median: 2.00"].tolist() == [[1, 0], [2, 2]]
    band = {tuple(v) for v in ax.collections[0].get_paths()[0].vertices}
    assert band >= {(1.0, 2.0), (1.0, 20.0), (2.0, 4.0), (2.0, 40.0)}
    assert "21 clones. All 21 deltas together at the end: 462 GiB, mean 22.00 GiB." in caption(ax)
    assert not any("down" in label for label in legend(ax))


def test_growth_that_an_outage_cuts_short_says_so(ax, growth):
    growth["censored"] = (growth["day"] == 1) & (growth["clone"] < 7)
    growth["unique_bytes"] = growth["written_bytes"] // 3
    plots.plot_growth_fan(growth, ax)
    assert "some desktops are down (at the end 33 %): as if there were room" in legend(ax)
    assert "With room for all of it: All" in caption(ax)
    assert lines(ax)["distinct part of it, median: 4.00"].tolist() == [[1, 2], [2, 4]]


def test_much_more_written_than_kept_leaves_the_chart(ax, growth):
    growth["written_bytes"] *= 100
    plots.plot_growth_fan(growth, ax)
    assert "written by the guest, median: 1200.00 (leaves the chart)" in legend(ax)
    assert ax.get_ylim()[1] < 100


def luns_frame(luns=2, replicates=1, full_at=None):
    parts = []
    for replicate in range(replicates):
        for lun in range(luns):
            hours = np.arange(48)
            used = np.minimum((10 + 2 * hours + lun) * GIB, 100 * GIB)
            down = np.where((full_at is not None) & (hours >= (full_at or 0) + lun), 5, 0)
            parts.append(
                pd.DataFrame(
                    {
                        "replicate": replicate,
                        "lun": lun,
                        "time_s": hours * HOUR,
                        "used_bytes": used,
                        "free_bytes": 100 * GIB - used,
                        "fixed_bytes": 10 * GIB,
                        "desktops_down": down,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def test_fill_of_few_luns(ax):
    plots.plot_fill(luns_frame(), ax)
    drawn = lines(ax)
    assert drawn["LUN 1: 100 %"][:2].tolist() == [[1 / 24, 11], [2 / 24, 13]]
    assert drawn["LUN 0: 100 %"][-1].tolist() == [2, 100]
    assert "base images, swap files, logs: 10 %" in legend(ax)
    assert "No datastore is full within the simulated time." in caption(ax)
    assert ax.get_xlabel() == "Time [d]"


def test_a_full_lun_ends_there(ax):
    plots.plot_fill(luns_frame(full_at=45), ax)
    drawn = lines(ax)
    assert drawn["LUN 0: full on day 1.9"][-1].tolist() == [46 / 24, 100]
    assert drawn["LUN 1: full on day 2.0"][-1].tolist() == [47 / 24, 100]
    # LUN 0 passes 85 % in hour 38 and is full in hour 45; LUN 1 in hours 37 and 46
    assert (
        "2 of 2 datastores, the first on day 1.9; shortest time from 85 % to full: 7 h. Desktops down at the end: 10"
        in (caption(ax))
    )


def test_fill_of_many_luns_is_a_band(ax):
    frame = luns_frame(luns=4, replicates=2, full_at=44)
    plots.plot_fill(frame, ax)
    drawn = lines(ax)
    assert drawn["fullest: 100 %"][0].tolist() == [1 / 24, 13]
    assert drawn["median: 100 %"][0].tolist() == [1 / 24, 11.5]
    assert drawn["emptiest: 100 %"][0].tolist() == [1 / 24, 10]
    assert "all 8 datastores (4 LUNs x 2 replicates)" in legend(ax)
    assert "first full: day 1.9; full at the end: 8 of 8" in legend(ax)


def test_fill_without_the_optional_columns(ax):
    plots.plot_fill(luns_frame().drop(columns=["fixed_bytes", "desktops_down"]), ax)
    assert legend(ax) == ["LUN 0: 100 %", "LUN 1: 100 %"]


def sources_frame(count):
    rows = [
        (0, day, clone, 0, f"s{n}", 4 * GIB * (n == 0), GIB * (n + 1))
        for day in range(2)
        for clone in range(5)
        for n in range(count)
    ]
    names = ["replicate", "day", "clone", "disk", "source", "written_bytes", "first_touch_bytes"]
    return pd.DataFrame(rows, columns=names)


def test_sources_by_their_share_of_the_delta(ax):
    plots.plot_sources(sources_frame(3), ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["s0", "s1", "s2"]  # the largest on top
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([100 / 6, 100 / 3, 50])
    assert lines(ax)["share of all bytes written"].tolist() == [[100, 0], [0, 1], [0, 2]]
    assert {"2 GiB", "4 GiB", "6 GiB"} <= {text.get_text() for text in ax.texts}  # two days of one desktop
    assert "charged to the source that writes it first" in caption(ax)


def test_many_sources_are_put_together(ax):
    plots.plot_sources(sources_frame(20), ax)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == 16
    assert labels[0] == "5 smaller sources"
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(100)
    assert ax.patches[0].get_width() == pytest.approx(100 * 15 / 210)


def test_the_week_of_the_increments(ax):
    """Two weeks and a day from a Monday, two replicates: 6 steps on Mondays at 9, 8 on one Tuesday at 12."""
    times = [9.5 * HOUR] * 3 + [7 * DAY + 9 * HOUR] * 2 + [14 * DAY + 9.99 * HOUR] + [DAY + 12 * HOUR] * 8
    frame = pd.DataFrame({"replicate": [0, 1] * 7, "time_s": times})
    frame.attrs |= {"start": "2026-01-05", "horizon_s": 15 * DAY}
    plots.plot_increments_map(frame, ax)
    table = ax.collections[0].get_array().reshape(7, 24)
    assert table[0, 9] == pytest.approx(6 / 3 / 2)  # three Mondays, two replicates
    assert table[1, 12] == pytest.approx(8 / 2 / 2)
    assert (table > 0.01).sum() == 2
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["Mon", "Tue"]
    assert "(Tue 2026-01-06, 12:00) has 4, 0.0011 per second" in caption(ax)


def test_the_week_starts_on_the_pools_first_day(ax):
    frame = pd.DataFrame({"replicate": [0], "time_s": [10 * HOUR]})
    plots.plot_increments_map(frame, ax, start=pd.Timestamp("2026-01-08").date(), horizon_s=7 * DAY)  # a Thursday
    table = ax.collections[0].get_array().reshape(7, 24)
    assert np.argwhere(table > 0.01).tolist() == [[3, 10]]


def test_a_pool_without_growth_can_be_drawn(ax):
    nothing = pd.DataFrame({"replicate": np.empty(0, int), "time_s": np.empty(0)})
    plots.plot_increments_map(nothing, ax)
    plots.plot_sources(sources_frame(2).assign(written_bytes=0, first_touch_bytes=0), ax.figure.add_subplot())
    ax.figure.canvas.draw()
    assert "No delta has grown." in caption(ax)


def test_saved_charts_repeat(tmp_path, growth):
    increments = pd.DataFrame({"replicate": [0, 0], "time_s": [5.0, 4000.0]})
    frames = (growth, luns_frame(), sources_frame(4), increments)
    (tmp_path / "b").mkdir()
    one, two = plots.save_pool_charts(*frames, tmp_path), plots.save_pool_charts(*frames, tmp_path / "b")
    assert [path.name for path in one] == ["growth.png", "fill.png", "sources.png", "increments.png"]
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


@pytest.mark.parametrize(("high", "place"), [(13, "above"), (97, "below")])
def test_the_legend_of_fill_covers_no_line(ax, high, place):
    """Of datastores that stay nearly empty the lines are at the bottom, where a legend usually stands."""
    hours = np.arange(24 * 10)
    used = np.full(hours.size, high / 100 * 1024**4)
    frame = pd.DataFrame({"replicate": 0, "lun": 0, "time_s": hours * 3600.0, "used_bytes": used})
    plots.plot_fill(frame.assign(free_bytes=1024**4 - used), ax)
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    line = ax.transData.transform((0, high))[1]
    assert box.y0 > line if place == "above" else box.y1 < line


def test_the_legend_of_sources_covers_no_mark(ax):
    """The last source may have the largest share of all that is written."""
    rows = {"replicate": 0, "clone": 0, "source": ["a", "b"], "written_bytes": [10, 90], "first_touch_bytes": [90, 10]}
    plots.plot_sources(pd.DataFrame(rows), ax)
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1 - 1
