"""What the charts of plans draw: figures of frames made by hand."""

import numpy as np
import planning_tools as tools
import pytest

from clonesim import plots
from clonesim.planning.cluster import cluster
from clonesim.planning.host_load import failures

GIB = 2**30


def texts(ax):
    return [" ".join(text.get_text().split()) for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def line(ax, label):
    return next(found for found in ax.lines if str(found.get_label()).startswith(label))


def test_density_is_drawn_in_per_cent_of_each_limit(ax):
    assert plots.plot_density(tools.density_frame(), ax) is ax
    wait = line(ax, "lock wait").get_xydata()
    assert wait == pytest.approx(np.array([[10, 5], [20, 10], [40, 20], [80, 400]]))
    assert line(ax, "vendor").get_ydata() == pytest.approx([20, 40, 80, 160])
    assert legend(ax) == ["risk of a full LUN:\n5 %", "lock wait:\n20 ms", "vendor's maximum:\n50 clones"]
    assert "20 clones: stopped by risk of a full LUN" in texts(ax)
    assert "10: whole intervals" in texts(ax)
    marked = {tuple(found.get_xdata()) for found in ax.lines if len(found.get_xdata()) == 2}
    assert {(20, 20), (10, 10)} <= marked
    assert any("Two pools." in text for text in texts(ax))


def test_what_is_not_resolved_is_dotted(ax):
    plots.plot_density(tools.density_frame(), ax)
    dotted = [found for found in ax.lines if found.get_linewidth() == 2.6]
    assert len(dotted) == 1
    drawn = dotted[0].get_xydata()[:, 0]
    assert drawn[:3].tolist() == [10, 20, 40]  # both pieces that 20 clones belong to
    assert np.isnan(drawn[3])  # and none from 40 to 80
    solid = line(ax, "risk")
    assert set(solid.get_xdata()[~np.isnan(solid.get_ydata())]) == {10, 40, 80}


def test_points_show_what_was_simulated(ax):
    plots.plot_density(tools.density_frame(), ax)
    points = [found for found in ax.lines if found.get_marker() == "."]
    assert [found.get_xdata().tolist() for found in points] == [[10, 20, 80]]


def test_values_beyond_the_chart_lie_on_its_borders(ax):
    frame = tools.density_frame()
    frame.loc[frame["metric"] == "lock_wait", ["value", "high"]] = np.inf
    plots.plot_density(frame, ax)
    assert set(line(ax, "lock wait").get_ydata()) == {ax.get_ylim()[1]}
    assert line(ax, "risk").get_ydata()[0] == ax.get_ylim()[0]


def test_no_number_of_clones(ax):
    plots.plot_density(tools.density_frame(largest=0, sure=0), ax)
    assert "no number of clones keeps all limits" in texts(ax)


def test_one_number_of_clones(ax):
    frame = tools.density_frame()
    plots.plot_density(frame[frame["n"] == 20], ax)
    assert ax.get_xlim()[0] < ax.get_xlim()[1]


def test_rules_beside_the_simulation(ax):
    plots.plot_rules(tools.rules(), ax, largest=20)
    assert [patch.get_width() for patch in ax.patches] == [100.0, 10.0]  # meant for this pool first
    assert [label.get_text() for label in ax.get_yticklabels()] == ["(most on NFS)", "View's table, minimum"]
    assert {"100", "x 5", "10", "-50 %"} <= set(texts(ax))
    assert "simulated: 20" in legend(ax)
    low, high = ax.get_xlim()
    assert low < 10
    assert high > 100


def test_rules_without_a_simulation(ax):
    plots.plot_rules(tools.rules(), ax)
    assert not any("simulated" in label for label in legend(ax))


def test_size_in_per_cent_of_the_plan(ax):
    frame = tools.bought().frame
    plots.plot_size(frame, ax)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(frame["item"])[::-1]
    ends = ax.collections[0].get_segments()  # the error bars, from below
    spans = [tuple(segment[:, 0]) for segment in ends][::-1]
    assert spans[0] == pytest.approx((100, 200))
    assert spans[2] == pytest.approx((80, 100 * 2048 / 500))
    assert spans[5] == pytest.approx((100, 100))
    shown = texts(ax)
    assert {
        "2",
        "2 to 4",
        "30",
        "15 to 30",
        "500 GiB",
        "400 GiB to 2 TiB",
        "2 TiB",
        "1.50 to 3 TiB",
        "25 MB/s",
        "the same",
    } <= set(shown)


def test_size_of_nothing_does_not_divide_by_zero(ax):
    frame = tools.bought().frame
    frame.loc[0, ["value", "low", "high"]] = 0.0
    plots.plot_size(frame, ax)


def test_tornado(ax):
    plots.plot_swings(tools.bought().swings, ax, planned=500.0 * GIB)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "size of patches\n(storms.patch_factor)",
        "free clusters\n(guest.policy)",
    ]
    assert [patch.get_width() for patch in ax.patches] == pytest.approx([10, -10, 100, 0])
    shown = texts(ax)
    assert {"lower: -10 %", "higher: +10 %", "fresh-first: +100 %"} <= set(shown)
    assert not any("best-fit" in text for text in shown)  # between the plan and the widest
    assert "500 GiB" in ax.get_xlabel()


def test_tornado_of_space_where_nothing_was_bought(ax):
    plots.plot_swings(tools.bought().swings.drop(columns="usable_bytes"), ax)
    assert max(patch.get_width() for patch in ax.patches) == pytest.approx(110)
    assert "Space of one clone" in ax.get_xlabel()


@pytest.fixture
def hosts():
    made = cluster(hosts=8, host_cpu=41600, host_memory="192 GiB", guest_memory="2 GiB", desktop_cpu=400)
    return made, failures(made, 500, luns=8)


def test_hosts_that_fail(ax, hosts):
    _, frame = hosts
    plots.plot_hosts(frame, ax)
    assert line(ax, "memory").get_ydata() == pytest.approx(100 * frame["memory_share_max"].to_numpy())
    assert line(ax, "processors").get_ydata() == pytest.approx(100 * frame["cpu_share"].to_numpy())
    shown = texts(ax)
    first = shown.index("rule claims to bear") + 1
    assert shown[first : first + 8] == [f"{claimed} more" for claimed in frame["claimed"]]
    swaps = shown.index("swap I/O a LUN [1/s]") + 1
    assert shown[swaps : swaps + 8] == [f"{value:,.0f}" for value in frame["swap_iops_per_lun"]]
    shaded = [patch for patch in ax.patches if patch.get_width() == pytest.approx(1.0)]
    assert len(shaded) == int((~frame["holds"]).sum())


def test_many_hosts_have_no_more_columns_than_fit(ax):
    made = cluster(hosts=40, host_cpu=41600, host_memory="192 GiB", guest_memory="2 GiB")
    plots.plot_hosts(failures(made, 2000), ax)
    assert sum("more" in text for text in texts(ax)) == 2 * 12


def test_saved_charts_are_the_same_twice_and_say_what_is_open(tmp_path, hosts):
    made, frame = hosts
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        saved = [*plots.save_density(tools.density(), folder), *plots.save_size(tools.bought(), folder)]
        saved += plots.save_hosts(frame, made, folder)
    assert [path.name for path in saved] == ["density.png", "rules.png", "size.png", "swings.png", "hosts.png"]
    for path in saved:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
        assert path.stat().st_size > 20_000


def test_saving_leaves_the_caption_of_the_plan_alone(tmp_path):
    plan = tools.density()
    plots.save_density(plan, tmp_path)
    assert plan.frame.attrs["caption"] == "Two pools."


def test_a_long_title_stands_above_the_heads_of_the_figures(ax):
    frame = tools.bought().frame
    frame.attrs["unmeasured"] = True
    plots.plot_size(frame, ax)
    ax.figure.canvas.draw()
    heads = [text for text in ax.texts if text.get_text() in ("planned", "interval")]
    assert len(heads) == 2
    assert ax.title.get_window_extent().y0 > max(text.get_window_extent().y1 for text in heads)
