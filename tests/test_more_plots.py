"""Storms, maps of clusters, what was written, sizes on axes, and charts in words: recounted by hand."""

import numpy as np
import pandas as pd
import plot_tools as tools
import pytest
from matplotlib.figure import Figure

import clonesim as cs
from clonesim import plots
from clonesim.guest.cluster_map import cluster_map
from clonesim.plots.chart import size_axis

GIB, MIB = 2**30, 2**20


def lines(ax):
    return {str(line.get_label()): line.get_xydata() for line in ax.lines}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def caption(ax):
    return " ".join(" ".join(text.get_text() for text in ax.texts).split())


# --- clusters -------------------------------------------------------------------------------------------------------


@pytest.fixture
def churned():
    """A volume whose delta holds a deleted file and one that is there, and its map before."""
    volume = cs.Volume("512 MiB", policy="fresh-first", partition_offset=4096 + 512)
    volume.create("base", "100 MiB")
    delta = volume.snapshot("vmfs-sparse")
    before = cluster_map(volume)
    volume.create("gone", "64 MiB")
    volume.delete("gone")
    volume.create("kept", "32 MiB")
    return volume, delta, before


def test_the_map_has_what_the_delta_holds(churned):
    """Each grain lies in a cluster that the map has as held, and each such cluster has a grain: partition unaligned."""
    volume, delta, before = churned
    found = cluster_map(volume)
    size, offset = volume.cluster_size, 4096 + 512
    held = [
        bool(delta.holds(offset + k * size, size).any()) for k in range(0, volume.clusters, 97)
    ]  # asked of the delta itself
    assert found["in_delta"].to_numpy()[::97].tolist() == held
    assert 0 < sum(held) < len(held)
    assert not before["in_delta"].any()
    assert found["used"].sum() * size == volume.used_bytes
    volume.delete("kept")  # waits for its checkpoint, and is free to the guest
    assert volume.quarantined_bytes > 0
    assert cluster_map(volume)["used"].sum() * size == volume.used_bytes
    dead = (found["in_delta"] & ~found["used"]).sum() * size
    assert dead == pytest.approx(64 * MIB, rel=0.02)
    assert found.attrs["cluster_bytes"] == size


def test_clusters_before_and_after(churned):
    volume, _, before = churned
    figure = Figure(figsize=(10, 5))
    plots.draw_clusters({"Before": before, "After": cluster_map(volume)}, figure)
    first, second = figure.get_axes()
    assert [ax.get_title() for ax in (first, second)] == ["Before", "After"]
    assert not any("delta:" in text for text in legend(first) if not text.startswith("free again"))
    assert any(text.startswith("free, yet still in the delta: 64") for text in legend(second))
    words = plots.describe(second)
    assert words.startswith("After, a map of 512 MiB in ")
    assert "free and yet still in the delta" in words


def test_a_tile_has_the_state_of_most_of_its_clusters(ax):
    count = 128 * 64 * 3  # three clusters a tile
    state = np.tile([True, True, False], count // 3)
    frame = pd.DataFrame({"used": state, "ever_written": state, "in_delta": False})
    frame.attrs["cluster_bytes"] = 4096
    plots.plot_clusters(frame, ax)
    tiles = ax.images[0].get_array()
    assert tiles.shape == (64, 128)
    assert set(np.unique(tiles)) == {3.0}  # in use, base image only
    assert legend(ax) == ["never written: 32 MiB", "in use, base image only: 64 MiB"]


def test_the_last_row_of_tiles_may_be_short(ax):
    frame = pd.DataFrame({"used": [True] * 130, "ever_written": True, "in_delta": False})
    plots.plot_clusters(frame, ax)
    tiles = ax.images[0].get_array()
    assert tiles.shape == (2, 128)
    assert int(tiles.mask.sum()) == 126


# --- storms ---------------------------------------------------------------------------------------------------------


def test_storm_quantiles_are_those_of_each_interval(ax):
    wait = np.concatenate([np.zeros(100), np.arange(1, 101) / 1e3])
    served = pd.DataFrame({"time_s": np.arange(200.0), "hold_s": 0.002, "wait_s": wait, "failed": False})
    served.loc[199, "failed"] = True
    plots.plot_storm(served, ax, interval_s=100.0, limit_s=0.05)
    drawn = lines(ax)
    most = next(xy for name, xy in drawn.items() if name.startswith("99th"))
    half = next(xy for name, xy in drawn.items() if name.startswith("median"))
    assert most[:, 0].tolist() == pytest.approx([50 / 60, 150 / 60])  # minutes
    assert most[:, 1].tolist() == pytest.approx([1e-3, np.quantile(wait[100:] * 1e3, 0.99)])
    assert half[:, 1].tolist() == pytest.approx([1e-3, 50.5])
    assert drawn["one hold, mean: 2"][:, 1].tolist() == [2, 2]
    assert drawn["limit: 50"][:, 1].tolist() == [50, 50]
    assert drawn["gave up: 1 of 200"][:, 1].tolist() == [100]
    assert "200 requests, of which 50 % found the lock free." in caption(ax)


def test_storm_of_a_queue_that_was_served(ax):
    requests = pd.DataFrame({"time_s": [0.0, 0.0, 0.0, 10.0], "host": 0, "hold_s": 1.0})
    plots.plot_storm(cs.lock_queue(requests), ax, limit_s=None)
    dots = lines(ax)["_requests"]
    assert dots[:, 1].tolist() == pytest.approx([1e-3, 1000, 2000, 1e-3])


def test_storm_without_requests(ax):
    plots.plot_storm(pd.DataFrame({"time_s": [], "hold_s": [], "wait_s": []}), ax)
    ax.figure.canvas.draw()


# --- growth ---------------------------------------------------------------------------------------------------------


def test_fan_with_the_band_of_policies(ax):
    band = tools.band(2)
    plots.plot_growth_fan(tools.growth(2), ax, band=band)
    area = next(one for one in ax.collections if str(one.get_label()).startswith("medians of all policies"))
    corners = {(float(x), round(float(y), 6)) for x, y in area.get_paths()[0].vertices}
    ends = band[band["day"] == 1]["delta_p50_bytes"] / GIB
    assert {(2.0, round(ends.min(), 6)), (2.0, round(ends.max(), 6))} <= corners
    assert "medians of all policies, best-fit to fresh-first: 1.20 to 4.10" in legend(ax)
    assert area.get_hatch()


def test_written_of_a_pool_is_the_mean_over_desktops(ax):
    growth = tools.growth(3, clones=2)
    plots.plot_written(growth, ax)
    drawn = lines(ax)
    last = growth[growth["day"] == 2]
    written = next(xy for name, xy in drawn.items() if name.startswith("written"))
    assert written[:, 0].tolist() == [1, 2, 3]
    assert written[-1, 1] == pytest.approx(last["written_bytes"].mean() / GIB)
    net = next(xy for name, xy in drawn.items() if name.startswith("guest use"))
    assert net[0, 1] == 0
    assert net[-1, 1] == pytest.approx((last["guest_used_bytes"].mean() - growth["guest_used_bytes"].iloc[0]) / GIB)


def test_written_of_one_delta(ax):
    volume = cs.Volume("256 MiB")
    delta = volume.snapshot("vmfs-sparse")
    for _ in range(3):
        volume.create("a", "8 MiB")
        volume.delete("a")
    table = delta.table(at=[5, 10, 20])
    plots.plot_written(table, ax)
    kept = next(xy for name, xy in lines(ax).items() if name.startswith("delta"))
    assert kept[:, 1].tolist() == (table["file_bytes"] / GIB).tolist()
    assert ax.get_xlabel() == "Time [s]"


def test_first_full_is_an_interval_over_replicates(ax):
    plots.plot_fill(tools.luns(2, 3, full=((0, 0, 5.0), (1, 0, 7.0), (1, 2, 9.0))), ax)
    strip = next(one for one in ax.patches if str(one.get_label()).startswith("first one full"))
    assert strip.get_label() == "first one full, day 5.0 to beyond the end (2 of 3 replicates)"
    assert strip.get_x() == pytest.approx(5 + 1 / 24)  # the end of the hour in which the first is full
    assert strip.get_x() + strip.get_width() == pytest.approx(20)


# --- axes of sizes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "marks"),
    [
        (4.1, ["0", "1 GiB", "2 GiB", "3 GiB", "4 GiB"]),
        (0.9, ["0", "256 MiB", "512 MiB", "768 MiB"]),
        (1400.0, ["0", "0.25 TiB", "0.5 TiB", "0.75 TiB", "1 TiB", "1.25 TiB"]),
        (100.0, ["0", "16 GiB", "32 GiB", "48 GiB", "64 GiB", "80 GiB", "96 GiB"]),
    ],
)
def test_marks_of_sizes_are_powers_of_two(ax, top, marks):
    ax.set_ylim(0, top)
    size_axis(ax)
    ax.figure.canvas.draw()
    assert [label.get_text() for label in ax.get_yticklabels()] == marks


def test_sizes_below_zero(ax):
    ax.set_ylim(-1.0, 2.0)
    size_axis(ax)
    ax.figure.canvas.draw()
    assert "−1 GiB" in [label.get_text() for label in ax.get_yticklabels()]


# --- words ----------------------------------------------------------------------------------------------------------


def test_a_line_is_told_by_its_ends_and_its_highest_point(ax):
    ax.plot([0, 5, 10], [1, 8, 2], label="load: 2.0")
    ax.plot([0, 10], [0, 0], label="_hidden")
    ax.set(title="Load", xlabel="Time [d]", ylabel="Rate [1/s]")
    assert plots.describe(ax) == "Load: Rate [1/s] against Time [d], 0 to 10; load from 1 to 2, highest 8 at 5."


def test_a_figure_behind_a_colon_that_is_not_the_value_stays(ax):
    ax.plot([0, 1], [1, 2], label="limit: 20 ms")
    assert "limit: 20 ms from 1 to 2" in plots.describe(ax)


def test_dates_and_sizes_are_told_as_such(ax):
    words = plots.describe(plots.plot_forecast(tools.forecast(), ax, past=tools.measured()))
    assert "2026-01-18 to 2026-04-30" in words
    assert "median from 40 GiB to 88 GiB" in words
    assert "further than the history bears at 2026-04-10" in words


def test_measured_dates_may_have_a_zone(ax):
    zoned = tools.measured()
    zoned["date"] = zoned["date"].dt.tz_localize("Europe/Berlin")
    words = plots.describe(plots.plot_forecast(tools.forecast(), ax, past=zoned))
    other = ax.figure.add_subplot()
    assert words == plots.describe(plots.plot_forecast(tools.forecast(), other, past=tools.measured()))


def test_bars_are_told_by_name_the_longest_first(ax):
    ax.barh([0, 1, 2], [1, 3, 2], label="share")
    ax.set_yticks([0, 1, 2], ["one", "three", "two"])
    ax.set(title="Shares", xlabel="Share [%]")
    assert plots.describe(ax) == "Shares: Share [%]; share: three 3, two 2, one 1."


def test_cells_are_told_by_the_highest(ax):
    words = plots.describe(plots.plot_increments_map(tools.increments(), ax))
    assert "highest 200 at Wed, Hour of the day 3" in words  # 400 steps, in one of two weeks


def test_many_series_are_counted(ax):
    for k in range(9):
        ax.plot([0, 1], [k, k], label=f"series {k}")
    assert plots.describe(ax).endswith("series 5 5; and 3 more.")


def test_nothing_drawn_and_unknown_values(ax):
    assert plots.describe(ax) == "Chart; nothing is drawn."
    ax.plot([0, 1], [np.nan, np.nan], label="none")
    assert plots.describe(ax) == "Chart; nothing is drawn."


def test_sentences_of_charts_that_need_their_own():
    """From the frames, not from the drawing: each figure is recounted here."""
    words = {name: plots.describe(tools.drawn(name)) for name in ("fill-date", "hosts", "lock-panel", "tiers")}
    share = tools.fill_date()
    half = share[share["p_full"] >= 0.5]["date"].iloc[0]
    assert f"50 % by {half:%Y-%m-%d}" in words["fill-date"]
    failed = tools.hosts().iloc[0]
    assert f"claims that {failed['claimed']} may fail, {failed['holds_for']} may;" in words["hosts"]
    panel = tools.lock_panel()
    over = int((panel["wait_p99_s"] > 0.02).sum())
    assert f"over 20 ms in {over} of 16 pairs" in words["lock-panel"]
    assert "longest with 256 clones on 16 hosts: 512 ms" in words["lock-panel"]
    assert words["tiers"].startswith("What the storage of a desktop is made of: refresh 4 GiB (most of it")


def test_names_from_files_are_told_as_they_are(ax):
    """Escaping is the page's task: the text has no markup of its own."""
    ax.plot([0, 1], [0, 1], label="<script>alert(1)</script>")
    assert "<script>alert(1)</script> from 0 to 1" in plots.describe(ax)
