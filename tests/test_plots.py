"""What the charts draw: the numbers of the frames, in the units that the axes name."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clonesim import plots

GIB = 2**30


@pytest.fixture
def ax():
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def texts(ax):
    return [text.get_text() for text in ax.texts]


def lines(ax):
    return {line.get_label(): line.get_xydata() for line in ax.lines}


@pytest.fixture
def locks():
    rows = [
        (lun, t, t + 60.0, 5 * (i + 1), (i + 1) / 12 * (lun + 1), 5 * (i + 1) * 0.5e-3 / 60, 0.0, 1e-3 * i, 2e-3 * i)
        for lun in range(2)
        for i, t in enumerate([0.0, 60.0, 120.0, 180.0])
    ]
    names = ["lun", "time_s", "end_s", "reservations", "reservations_per_s", "reserved_fraction"]
    frame = pd.DataFrame(rows, columns=[*names, "wait_p50_s", "wait_p99_s", "wait_max_s"])
    frame.loc[frame["time_s"] == 180, ["wait_p50_s", "wait_p99_s", "wait_max_s"]] = np.nan
    frame.attrs["caption"] = "assumptions of the run"
    return frame


def test_policies(ax):
    frame = pd.DataFrame(
        {
            "policy": ["a", "a", "b", "b"],
            "round": [0, 3, 0, 3],
            "guest_used_bytes": [10 * GIB, 10 * GIB, 10 * GIB, 11 * GIB],
            "delta_bytes": [0, 5 * GIB, 0, 2 * GIB],
            "increments": [0, 320, 0, 128],
        }
    )
    frame.attrs["caption"] = "20 GiB volume"
    assert plots.plot_policies(frame, ax) is ax
    assert [bar.get_width() for bar in ax.patches] == [2, 5]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert lines(ax)["guest use: end minus start"].tolist() == [[1, 0], [0, 1]]
    assert ax.get_xlabel() == "Size"
    assert "3 rounds" in ax.get_title()
    assert {"2 GiB", "5 GiB", "20 GiB volume"} <= set(texts(ax))


def test_replay(ax):
    frame = pd.DataFrame(
        {
            "time_s": [0.0, 7200.0] * 2,
            "written_bytes": [0, 4 * GIB] * 2,
            "unique_bytes": [0, 2 * GIB] * 2,
            "file_bytes": [0, 3 * GIB, GIB, 50 * GIB],
            "format": ["x", "x", "y", "y"],
        }
    )
    plots.plot_replay(frame, ax)
    drawn = lines(ax)
    assert drawn["written by the guest: 4.000"].tolist() == [[0, 0], [120, 4]]
    assert drawn["distinct 512 B sectors: 2.000"].tolist() == [[0, 0], [120, 2]]
    assert drawn["x file: 3.000"].tolist() == [[0, 0], [120, 3]]
    assert drawn["y file: 50.000 (off the chart)"].tolist() == [[0, 1], [120, 50]]
    assert ax.get_ylim() == (0, pytest.approx(4.4))
    assert ax.get_xlabel() == "Time since the first command [min]"


def test_growth_with_the_sum_on_the_right(ax):
    frame = pd.DataFrame(
        {
            "time_s": [0.0, 3600.0, 7200.0],
            "end_s": [3600.0, 7200.0, 10800.0],
            "delta_mean_bytes": [GIB, 2 * GIB, 4 * GIB],
            "delta_p95_bytes": [2 * GIB, 3 * GIB, 5 * GIB],
            "delta_total_bytes": [8 * GIB, 16 * GIB, 32 * GIB],
        }
    )
    plots.plot_trace_growth(frame, ax)
    assert lines(ax)["mean of the clones"].tolist() == [[1, 1], [2, 2], [3, 4]]
    assert ax.get_xlabel() == "Time [h]"
    right = ax.child_axes[0]
    assert right.get_ylabel() == "Sum of all 8 clones, read at the mean"
    ax.figure.canvas.draw()
    assert right.get_ylim() == pytest.approx(8 * np.array(ax.get_ylim()))
    band = ax.collections[0].get_paths()[0].vertices
    assert {tuple(v) for v in band} >= {(1.0, 1.0), (1.0, 2.0), (3.0, 4.0), (3.0, 5.0)}


def test_increments_per_lun_and_the_peak_in_words(ax, locks):
    plots.plot_increments(locks, ax)
    steps = [patch.get_data() for patch in ax.patches]
    assert [s.values.tolist() for s in steps] == [[1 / 12, 2 / 12, 3 / 12, 4 / 12], [2 / 12, 4 / 12, 6 / 12, 8 / 12]]
    assert steps[0].edges.tolist() == [0, 1, 2, 3, 4]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["LUN 0", "LUN 1"]
    assert "peak 0.667/s: lock held 0.017 % of that interval" in texts(ax)
    assert "assumptions of the run" in texts(ax)


def test_many_luns_become_two_lines(ax, locks):
    many = pd.concat([locks[locks["lun"] == 0].assign(lun=n, reservations_per_s=float(n)) for n in range(9)])
    plots.plot_increments(many, ax)
    assert [p.get_data().values.tolist() for p in ax.patches] == [[8.0] * 4, [4.0] * 4]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["busiest LUN", "median LUN"]


def test_lock_waits_of_the_worst_lun_in_ms(ax, locks):
    locks.loc[(locks["lun"] == 1) & (locks["time_s"] == 60), "wait_max_s"] = 0.009
    plots.plot_lock_waits(locks, ax)
    drawn = lines(ax)
    assert drawn["99th percentile"][:3].tolist() == [[0.5, 0], [1.5, 1], [2.5, 2]]
    assert drawn["longest"][:3, 1].tolist() == [0, 9, 4]
    assert np.isnan(drawn["longest"][3, 1])
    assert set(drawn["one hold (0.5 ms)"][:, 1]) == {0.5}
    assert ax.get_ylabel() == "Wait for the lock, worst LUN [ms]"


def test_a_run_without_growth_can_be_drawn(ax, locks):
    empty = locks.assign(reservations=0, reservations_per_s=0.0, reserved_fraction=0.0)
    empty[["wait_p50_s", "wait_p99_s", "wait_max_s"]] = np.nan
    plots.plot_increments(empty, ax)
    plots.plot_lock_waits(empty, ax.figure.add_subplot())
    ax.figure.canvas.draw()


def test_saved_chart_is_a_png_and_repeats(tmp_path, locks):
    one = plots.save_chart(plots.plot_lock_waits, locks, tmp_path / "a.png")
    two = plots.save_chart(plots.plot_lock_waits, locks, tmp_path / "b.png")
    assert one.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert one.read_bytes() == two.read_bytes()


def test_without_axes_a_figure_is_made(locks, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    from matplotlib import pyplot as plt

    plt.switch_backend("Agg")
    ax = plots.plot_lock_waits(locks)
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)
