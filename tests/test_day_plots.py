"""Charts of a pool day by day: the numbers of the frames, recounted by hand."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from clonesim.plots import describe, plot_latency_days, plot_load, plot_lock_days

HOUR = 3600.0


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture
def luns():
    """Two datastores, two days; waits of hour h on datastore n: h (n + 1) ms at most, a tenth of it at p99."""
    hour, lun = (part.ravel() for part in np.meshgrid(np.arange(48), (0, 1)))
    longest = 1e-3 * hour * (lun + 1)
    columns = {"wait_max_s": longest, "wait_p99_s": longest / 10, "wait_p50_s": 0.0, "latency_p95_s": longest / 4}
    return pd.DataFrame({"replicate": 0, "lun": lun, "time_s": hour * HOUR, **columns})


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.lines}


def test_waits_are_those_of_the_worst_hour_and_datastore(ax, luns) -> None:
    assert plot_lock_days(luns, ax, limit_s=0.02) is ax
    drawn = lines(ax)
    assert drawn["longest: 94 at its highest"] == [[0.5, 46], [1.5, 94]]
    assert drawn["99th percentile: 9.40 at its highest"] == [[0.5, 4.6], [1.5, pytest.approx(9.4)]]
    assert drawn["median: 0 at its highest"] == [[0.5, 0.001], [1.5, 0.001]], "no wait lies at the bottom"
    assert drawn["limit of a plan: 20"] == [[0, 20], [1, 20]]
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_yticklabels()][:2] == ["0.001 or less", "0.01"]


def test_hours_without_locks_are_gaps_and_a_pool_without_locks_says_so(ax, luns) -> None:
    luns.loc[luns["time_s"] < 24 * HOUR, ["wait_max_s", "wait_p99_s", "wait_p50_s"]] = np.nan
    plot_lock_days(luns, ax)
    assert np.isnan(lines(ax)["longest: 94 at its highest"][0][1])
    luns[["wait_max_s", "wait_p99_s", "wait_p50_s"]] = np.nan
    empty = Figure().add_subplot()
    plot_lock_days(luns, empty)
    assert "no lock that hosts share is taken" in [text.get_text() for text in empty.texts]


def test_demand_is_that_of_the_busiest_datastore(ax) -> None:
    rows = [(0, 0, 0, 100, 60, 5), (0, 1, 0, 300, 200, 7), (0, 0, 1, 50, 50, 2), (0, 1, 1, 40, 1, 1)]
    peaks = pd.DataFrame(rows, columns=["replicate", "lun", "day", "iops", "read_iops", "write_iops"])
    peaks["write_iops"] = peaks["iops"] - peaks["read_iops"]
    peaks["mean_iops"] = [5.0, 7.0, 2.0, 1.0]
    plot_load(peaks, ax)
    reads, writes = ax.containers
    assert [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in reads] == [(0.5, 200), (1.5, 50)]
    assert [(bar.get_y(), bar.get_height()) for bar in writes] == [(200, 100), (50, 0)]
    assert lines(ax)["mean of that day: 7 at most"] == [[0.5, 7], [1.5, 2]]
    assert "I/Os a second" in describe(ax)


def test_latency_of_the_worst_and_the_median_hour(ax, luns) -> None:
    plot_latency_days(luns, ax, limit_s=0.05)
    drawn = lines(ax)
    assert drawn["worst hour of the day: 23.5 at its highest"] == [[0.5, 11.5], [1.5, 23.5]]
    median = [row[1] for row in drawn["median hour of the day: 17.8 at its highest"]]
    assert median == pytest.approx([np.median(np.arange(24)) / 2, np.median(np.arange(24, 48)) / 2])
    luns["latency_p95_s"] = np.nan
    empty = Figure().add_subplot()
    plot_latency_days(luns, empty)
    assert "no latency is known" in [text.get_text() for text in empty.texts]
