"""What charts and text tell of comparisons made by hand."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clonesim import plots
from clonesim.console import strategies as console
from clonesim.planning.alternatives import alternatives
from clonesim.planning.compare import STRATEGIES, Comparison
from clonesim.planning.strategy_row import COLUMNS
from clonesim.scenario.load import load_scenario
from clonesim.scenario.strategy import parse_strategies
from clonesim.strategy_words import (
    QUANTITIES,
    STORAGE,
    TIERS,
    broken,
    catalog_words,
    comparison_verdict,
    pareto,
    strategies_in,
    strategy_verdict,
)

GIB, MIB = 2**30, 2**20
LONG = "application-virtualization+refresh+persistent-disk"
WEEKLY = "refresh(when=days; every=7 d)"
FIGURES = {  # storage [GiB], lost at a refresh [MiB], refreshes
    "linked-clone": (10.0, 0.0, 0.0),
    "refresh": (4.0, 50.0, 20.0),
    WEEKLY: (6.0, 200.0, 2.0),
    "refresh+persistent-disk": (5.0, 0.0, 20.0),
    LONG: (4.9, 0.0, 20.0),
    "disposable-disk": (12.0, 0.0, 0.0),
    "guest-tuning": (9.9, 0.0, 0.0),
}
HALF = 0.25  # of the storage's interval [GiB]


def comparison(figures=FIGURES, half=HALF):
    """Two replicates, 1 % below and above the mean; half of the storage is the system disk's, a tenth swap."""
    samples = []
    for label, (storage, lost, refreshes) in figures.items():
        for replicate, factor in enumerate((0.99, 1.01)):
            row = dict.fromkeys(COLUMNS, 1.0)
            row |= dict.fromkeys(TIERS, 0.0)
            row |= {
                "os_bytes": 0.5 * storage * GIB,
                "user_bytes": 0.4 * storage * GIB,
                "swap_bytes": 0.1 * storage * GIB,
            }
            row |= {"storage_bytes": factor * storage * GIB, "state_lost_bytes": lost * MIB, "refreshes": refreshes}
            row |= {"refresh_hours": 2.5 if refreshes else 0.0, "hour_after_bytes": GIB if refreshes else np.nan}
            row |= {"increments_a_day": 20.0 + refreshes, "iops_max60": 50.0, "luns_needed": 8.0}
            samples.append({"strategy": label, "replicate": replicate, **row})
    table = pd.DataFrame(samples)
    frame = table.groupby("strategy", sort=False)[list(COLUMNS)].mean().reset_index()
    for column in COLUMNS:
        width = half * GIB if column == "storage_bytes" else 0.0
        frame[f"{column}_low"], frame[f"{column}_high"] = frame[column] - width, frame[column] + width
    base = frame.iloc[0]
    rows = []
    for row in frame.iloc[1:].to_dict("records"):
        for column in COLUMNS:
            difference = row[column] - base[column]
            width = half * GIB if column == "storage_bytes" else 0.0
            ends = {"low": difference - width, "high": difference + width}
            rows.append({"strategy": row["strategy"], "column": column, "difference": difference} | ends)
    differences = pd.DataFrame(rows, columns=["strategy", "column", "difference", "low", "high"])
    frame["p_outage"], frame["outage_day"] = 0.0, np.inf
    frame["clones_per_lun"], frame["binding"] = 2, "clones simulated"
    frame.attrs["caption"] = "Two pools."
    return Comparison(frame, differences, table, str(base["strategy"]), "Two pools.")


def changed(more):
    """The same with other differences of some strategies and columns."""
    found = comparison()
    differences = found.differences.copy()
    for (label, column), ends in more.items():
        mine = (differences["strategy"] == label) & (differences["column"] == column)
        differences.loc[mine, ["difference", "low", "high"]] = ends
    return Comparison(found.frame, differences, found.samples, found.base, found.label)


@pytest.fixture
def ax():
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def texts(ax):
    return [" ".join(text.get_text().split()) for text in ax.texts]


def points(ax):
    """Place of each point that is drawn, by marker."""
    found = {}
    for bars in ax.containers:
        line = bars.lines[0]
        found[line.get_marker()] = line.get_xydata()
    return found


def boxes(ax, names):
    """Box of each name that is drawn; strategies with the same point and interval stand together."""
    ax.figure.canvas.draw()
    return {
        text.get_text(): text.get_window_extent()
        for text in ax.texts
        if set(text.get_text().removesuffix(" (base)").split(", ")) <= set(names)
    }


def disjoint(found):
    return not [(one, other) for one, other in itertools.combinations(found, 2) if overlap(found[one], found[other])]


def overlap(one, other):
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def drawn(plot, frame):
    """A chart as it is saved, or as it is without axes given: as high as its names need."""
    ax = plot(frame)
    plt.close(ax.figure)
    FigureCanvasAgg(ax.figure).draw()
    return ax


def many_figures(many, seed=3):
    """Strategies that lie near each other, half of them with state lost, some with names of three parts."""
    draw = np.random.default_rng(seed)
    found = {"linked-clone": (8.0, 0.0, 0.0)}
    for k in range(many - 1):
        name = f"refresh+number-{k}" + ("+persistent-disk+application-virtualization" if k % 5 == 0 else "")
        found[name] = (6.0 + 3 * draw.random(), float(draw.choice([0.0, 0.0, 60.0, 75.0, 80.0])), float(k % 2))
    return found


class TestPareto:
    def test_who_is_not_beaten(self):
        assert pareto(comparison().frame) == ["refresh", LONG]
        assert pareto(comparison({"linked-clone": (3.0, 0.0, 0.0), "refresh": (4.0, 9.0, 1.0)}).frame) == [
            "linked-clone"
        ]

    def test_equal_ones_count_once(self):
        same = {"linked-clone": (3.0, 0.0, 0.0), "guest-tuning": (3.0, 0.0, 0.0)}
        assert pareto(comparison(same).frame) == ["linked-clone"]

    def test_points_lie_where_they_belong(self, ax):
        assert plots.plot_strategies(comparison().frame, ax) is ax
        found = points(ax)
        assert sorted(found["o"][:, 0]) == pytest.approx([9.9, 10.0, 12.0])  # never set back
        assert sorted(found["s"][:, 0]) == pytest.approx([4.0, 4.9, 5.0, 6.0])
        heights = dict(zip(np.round(found["s"][:, 0], 6), found["s"][:, 1], strict=True))
        assert heights[4.9] < heights[5.0] < heights[4.0] < heights[6.0]
        band = next(patch for patch in ax.patches)
        top = band.get_y() + band.get_height()
        assert heights[5.0] < top < heights[4.0]
        assert found["o"][:, 1].max() < top

    def test_what_is_lost_has_a_scale(self, ax):
        plots.plot_strategies(comparison().frame, ax)
        marks = {label.get_text(): at for label, at in zip(ax.get_yticklabels(), ax.get_yticks(), strict=True)}
        heights = points(ax)["s"]
        assert marks["50 MiB"] == pytest.approx(heights[np.isclose(heights[:, 0], 4.0), 1][0])
        assert marks["200 MiB"] == pytest.approx(heights[np.isclose(heights[:, 0], 6.0), 1][0])
        assert marks["100 MiB"] == pytest.approx((marks["50 MiB"] + marks["200 MiB"]) / 2)  # logarithmic
        assert 0 < marks["nothing"] < marks["50 MiB"]

    def test_intervals_base_and_frontier(self, ax):
        plots.plot_strategies(comparison().frame, ax)
        segments = np.concatenate([bars.lines[2][0].get_segments() for bars in ax.containers])
        spans = {(round(float(segment[0, 0]), 6), round(float(segment[1, 0]), 6)) for segment in segments}
        assert (4.0 - HALF, 4.0 + HALF) in spans
        assert len(segments) == len(FIGURES)
        assert any(line.get_linestyle() == ":" and set(line.get_xdata()) == {10.0} for line in ax.lines)
        front = next(line for line in ax.lines if line.get_label() == "not beaten by another")
        heights = dict(zip(np.round(points(ax)["s"][:, 0], 6), points(ax)["s"][:, 1], strict=True))
        assert front.get_xdata() == pytest.approx([4.0, 4.0, 4.9])  # down to refresh, along its loss, down to the next
        assert front.get_ydata() == pytest.approx([1.0, heights[4.0], heights[4.9]])
        assert front.get_drawstyle() == "steps-post"
        assert "linked-clone (base)" in texts(ax)
        assert any("Two pools." in text and "Student" in text for text in texts(ax))

    @pytest.mark.parametrize("many", [2, 7, 20])
    def test_names_do_not_overlap_and_stay_inside(self, ax, many):
        names = [label for label, _ in parse_strategies(STRATEGIES)]
        names += [f"alternative {k}" for k in range(20)]
        figures = {
            name: (5.0 + (k % 3) * 0.05, 40.0 if k % 4 == 2 else 0.0, float(k % 2))
            for k, name in enumerate(names[:many])
        }
        plots.plot_strategies(comparison(figures).frame, ax)
        self.check_names(ax, figures)

    @pytest.mark.parametrize("many", [2, 17, 25])
    def test_names_of_strategies_near_each_other(self, many):
        figures = many_figures(many)
        ax = drawn(plots.plot_strategies, comparison(figures).frame)
        self.check_names(ax, figures)

    @staticmethod
    def check_names(ax, figures):
        shown = boxes(ax, figures)
        names = [name for text in shown for name in text.removesuffix(" (base)").split(", ")]
        assert sorted(names) == sorted(figures)
        outer = ax.get_window_extent()
        assert all(box.x0 >= outer.x0 - 1 and box.x1 <= outer.x1 + 1 for box in shown.values())
        assert all(box.y0 >= outer.y0 - 1 and box.y1 <= outer.y1 + 1 for box in shown.values())
        assert disjoint(shown)
        assert disjoint({"title": ax.title.get_window_extent(), "legend": ax.get_legend().get_window_extent()} | shown)

    def test_a_huge_interval_is_cut_and_marked(self, ax):
        frame = comparison().frame
        wide = frame["strategy"] == "refresh"
        frame.loc[wide, ["storage_bytes_low", "storage_bytes_high"]] = [-90.0 * GIB, 98.0 * GIB]
        plots.plot_strategies(frame, ax)
        left, right = ax.get_xlim()
        assert left >= 0
        assert right < 20
        tips = {line.get_marker(): line.get_xydata() for line in ax.lines if line.get_label() == "_cut"}
        height = next(at for storage, at in points(ax)["s"] if np.isclose(storage, 4.0))
        assert tips[4][0] == pytest.approx([left, height])  # a tip to the left
        assert tips[5][0][1] == pytest.approx(height)
        segments = np.concatenate([bars.lines[2][0].get_segments() for bars in ax.containers])
        assert segments[:, :, 0].min() >= left
        assert segments[:, :, 0].max() <= right
        ax.clear()
        plots.plot_strategies(comparison().frame, ax)
        assert not [line for line in ax.lines if line.get_label() == "_cut"]

    def test_who_is_not_beaten_has_a_ring(self, ax):
        figures = FIGURES | {"mcs": FIGURES["refresh"]}  # as good as one that none beats
        plots.plot_strategies(comparison(figures).frame, ax)
        rings = next(line for line in ax.lines if line.get_label() == "_rings")
        assert sorted(rings.get_xdata()) == pytest.approx([4.0, 4.0, 4.9])

    def test_one_alone_is_not_beaten(self, ax):
        figures = {"linked-clone": (5.0, 0.0, 0.0), "refresh": (6.0, 50.0, 2.0), "full-clone": (20.0, 0.0, 0.0)}
        plots.plot_strategies(comparison(figures).frame, ax)
        front = next(line for line in ax.lines if line.get_label() == "not beaten by another")
        assert front.get_xdata() == pytest.approx([5.0, 5.0])
        assert min(front.get_ydata()) == pytest.approx(min(points(ax)["o"][:, 1]))  # in the lowest row

    def test_one_replicate_has_no_intervals(self, ax):
        frame = comparison().frame
        frame["storage_bytes_low"], frame["storage_bytes_high"] = -np.inf, np.inf
        plots.plot_strategies(frame, ax)
        assert np.isfinite(ax.get_xlim()).all()

    def test_nothing_lost_by_any_and_something_by_all(self, ax):
        plots.plot_strategies(comparison({"linked-clone": (3.0, 0.0, 0.0)}).frame, ax)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["nothing"]
        ax.clear()
        plots.plot_strategies(comparison({"refresh": (3.0, 30.0, 2.0)}).frame, ax)
        assert [label.get_text() for label in ax.get_yticklabels()]
        assert "nothing" not in [label.get_text() for label in ax.get_yticklabels()]


class TestTiers:
    def test_bars_are_stacked_and_add_up(self, ax):
        assert plots.plot_tiers(comparison().frame, ax) is ax
        legend = [text.get_text() for text in ax.get_legend().get_texts()]
        assert legend == ["system disk's delta", "persistent disk", "swap files"]  # tiers that somebody has
        ends: dict[float, float] = {}
        for patch in ax.patches:
            assert patch.get_x() == pytest.approx(ends.get(patch.get_y(), 0.0))
            ends[patch.get_y()] = patch.get_x() + patch.get_width()
        assert sorted(ends.values()) == pytest.approx(sorted(storage for storage, _, _ in FIGURES.values()))

    def test_the_least_is_on_top(self, ax):
        plots.plot_tiers(comparison().frame, ax)
        names = [" ".join(label.get_text().split()) for label in ax.get_yticklabels()]
        assert names[-1] == "refresh"
        assert names[0] == "disposable-disk"
        assert "linked-clone (base)" in names
        assert {"4 GiB (-60 %)", "10 GiB", "12 GiB (+20 %)", "9.90 GiB (-1 %)"} <= set(texts(ax))

    @pytest.mark.parametrize("many", [2, 17, 25])
    def test_names_have_room(self, many):
        frame = comparison(many_figures(many)).frame
        self.check_room(drawn(plots.plot_tiers, frame))

    @pytest.mark.parametrize("tiers", range(1, len(TIERS) + 1))
    def test_title_and_legend_at_any_number_of_tiers(self, ax, tiers):
        frame = comparison().frame
        frame[list(TIERS)] = 0.0
        for column in list(TIERS)[:tiers]:
            frame[column] = frame["storage_bytes"] / tiers
        plots.plot_tiers(frame, ax)
        ax.figure.canvas.draw()
        assert len(ax.get_legend().get_texts()) == tiers
        self.check_room(ax)

    @staticmethod
    def check_room(ax):
        names = {label.get_text(): label.get_window_extent() for label in ax.get_yticklabels()}
        totals = {f"total {k}": text.get_window_extent() for k, text in enumerate(ax.texts[:-1])}  # the last: caption
        title, legend = ax.title.get_window_extent(), ax.get_legend().get_window_extent()
        assert disjoint(names | totals | {"title": title, "legend": legend})
        assert title.y1 <= ax.figure.bbox.y1
        assert legend.y0 >= ax.get_window_extent().y1

    def test_a_huge_interval_is_cut_and_marked(self, ax):
        frame = comparison().frame
        wide = frame["strategy"] == "refresh"
        frame.loc[wide, ["storage_bytes_low", "storage_bytes_high"]] = [-90.0 * GIB, 98.0 * GIB]
        plots.plot_tiers(frame, ax)
        assert ax.get_xlim()[0] == 0
        assert ax.get_xlim()[1] < 20
        tips = {line.get_marker(): line.get_xdata()[0] for line in ax.lines if line.get_label() == "_cut"}
        assert tips == {4: 0, 5: ax.get_xlim()[1]}

    def test_tiers_are_those_of_a_comparison(self):
        assert set(TIERS) < set(COLUMNS)
        assert {quantity.column for quantity in (STORAGE, *QUANTITIES)} < set(COLUMNS)


def test_charts_are_saved_and_the_same_for_the_same_frames(tmp_path):
    first = plots.save_comparison(comparison(), tmp_path)
    assert [path.name for path in first] == ["strategies.png", "tiers.png"]
    before = [path.read_bytes() for path in first]
    assert [path.read_bytes() for path in plots.save_comparison(comparison(), tmp_path)] == before


class TestWords:
    def test_names_are_broken_where_parts_begin(self):
        assert broken(LONG, 26) == "application-virtualization\n+refresh+persistent-disk"
        assert broken("refresh(when=days; every=7 d)", 20) == "refresh(when=days;\nevery=7 d)"
        assert broken("refresh(when=days; every=7 d)", 40) == "refresh(when=days; every=7 d)"
        assert broken("refresh+persistent-disk", 40) == "refresh+persistent-disk"
        for label, _ in parse_strategies(STRATEGIES):
            for width in (16, 22, 30):
                lines = broken(label, width).split("\n")
                assert max(map(len, lines)) <= width
                assert "".join(lines).replace(" ", "") == label.replace(" ", "")

    def test_strategies_of_a_name(self):
        assert strategies_in(LONG) == ("application-virtualization", "refresh", "persistent-disk")
        assert strategies_in(WEEKLY) == ("refresh",)
        assert strategies_in("our way") == ()

    def test_verdict(self):
        first, second, *rest = comparison_verdict(comparison())
        assert first == (
            "Least storage: refresh, 4 GiB per desktop (-60 % against the base; 3.75 to 4.25 GiB), with 50 MiB of the "
            "user's own lost at each refresh."
        )
        assert second.startswith(f"Least storage with nothing of the user's own lost: {LONG}, 4.90 GiB per desktop")
        assert not rest

    def test_who_is_not_told_apart(self):
        found = comparison(
            {"linked-clone": (10.0, 0.0, 0.0), "guest-tuning": (9.0, 0.0, 0.0), "refresh": (4.0, 1.0, 2.0)}
        )
        samples = found.samples.copy()
        mine = samples["strategy"] == "guest-tuning"
        samples.loc[mine, "storage_bytes"] = np.array([3.9, 4.2]) * GIB  # -0.06 and +0.16 against refresh
        again = Comparison(found.frame, found.differences, samples, found.base, found.label)
        assert comparison_verdict(again)[-1] == "Not told apart from the least: guest-tuning."
        assert "Not told apart" not in " ".join(comparison_verdict(found))

    def test_what_one_saves_and_adds(self):
        assert strategy_verdict(comparison(), "refresh+persistent-disk") == [
            "Saves 5 GiB of storage per desktop (-50 %; 4.75 to 5.25 GiB).",
            "Adds 20 increments a day (+100 %).",
            "Each refresh keeps the user's own (20 times per desktop in all); an hour later the delta has 1 GiB.",
        ]
        told = strategy_verdict(comparison(), WEEKLY)
        assert told[-1].startswith("Each refresh loses 200 MiB of the user's own (profile and data; 2 times per")
        assert strategy_verdict(comparison(), "disposable-disk") == [
            "Adds 2 GiB of storage per desktop (+20 %; 1.75 to 2.25 GiB)."
        ]

    def test_what_cannot_be_told(self):
        keys = {("disposable-disk", "storage_bytes"): (2.0 * GIB, -GIB, 5.0 * GIB)}
        keys |= {("disposable-disk", "iops_max60"): (-10.0, -20.0, 0.5)}
        told = strategy_verdict(changed(keys), "disposable-disk")
        assert told == [
            "Not resolved, the interval has zero inside: storage per desktop and I/Os a second on its LUN in the worst "
            "minute."
        ]

    def test_small_differences_are_none(self):
        keys = {("guest-tuning", "storage_bytes"): (-0.05 * GIB, -0.06 * GIB, -0.04 * GIB)}
        assert strategy_verdict(changed(keys), "guest-tuning") == ["No difference of 1 % or more."]

    def test_one_replicate_leaves_all_open(self):
        keys = {("guest-tuning", "storage_bytes"): (-5.0 * GIB, -np.inf, np.inf)}
        told = strategy_verdict(changed(keys), "guest-tuning")
        assert told == ["Not resolved, the interval has zero inside: storage per desktop."]

    def test_words_of_the_catalog(self):
        words = {name: texts for name, *texts in catalog_words(comparison())}
        assert list(words) == [
            *("linked-clone", "refresh", "persistent-disk", "disposable-disk"),
            *("application-virtualization", "guest-tuning"),
        ]
        assert all(all(texts) for texts in words.values())


def printed(capsys, found):
    console.print_comparison(found)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    return out


def cells(out, start):
    line = next(line for line in out.splitlines() if line.strip().startswith(start))
    return re.split(r"\s{2,}", line.strip())


def test_table(capsys):
    out = printed(capsys, comparison())
    base, daily = cells(out, "linked-clone  "), cells(out, "refresh  ")
    assert [base[k] for k in (1, 2, 4, 5, 6, 7, 8)] == ["10", "0.250", "8", "20", "50", "-", "-"]
    assert [daily[k] for k in (1, 2, 4, 5, 6, 7, 8)] == ["4", "0.250", "8", "40", "50", "2.50", "50"]
    plain = " ".join(out.split())
    assert "Against linked-clone, with the same users" in plain
    assert "disposable-disk: Adds 2 GiB of storage per desktop" in plain
    assert "Saves: All that the delta gathered since the last refresh." in plain
    assert plain.endswith("Two pools.")


def test_wide_figures_stay_whole(capsys):
    figures = {
        label: (345.678 * storage, 99.0 * lost, refreshes) for label, (storage, lost, refreshes) in FIGURES.items()
    }
    found = comparison(figures, half=111.1)
    found.frame["luns_needed"] = 1234.0
    found.frame["increments_a_day"] = 12345.6
    found.frame["iops_max60"] = 2345.6
    found.frame["delta_p95_bytes"] = 123.456 * GIB
    out = printed(capsys, found)
    row = cells(out, "refresh  ")
    assert row[1:] == ["1,383", "111", "123", "1,234", "12,346", "2,346", "2.50", "4,950"]


def test_names_of_the_users_own(capsys):
    own = {"linked-clone": (10.0, 0.0, 0.0), "what we have been doing since the merger of 2009": (8.0, 0.0, 0.0)}
    out = printed(capsys, comparison(own))
    assert "what we have been" in out
    assert "Saves 2 GiB of storage" in " ".join(out.split())


def test_json_is_json(capsys):
    found = comparison()
    found.frame["storage_bytes_low"], found.frame["storage_bytes_high"] = -np.inf, np.inf
    read = json.loads(json.dumps(console.comparison_json(found), allow_nan=False))
    assert read["base"] == "linked-clone"
    assert read["pareto"] == ["refresh", LONG]
    assert [row["strategy"] for row in read["strategies"]] == list(FIGURES)
    assert read["strategies"][0]["storage_bytes"] == 10 * GIB
    assert read["strategies"][0]["storage_bytes_low"] is None
    assert read["strategies"][0]["hour_after_bytes"] is None
    assert set(read["verdicts"]) == set(FIGURES) - {"linked-clone"}
    assert len(read["samples"]) == 2 * len(FIGURES)
    assert read["catalog"]["refresh"]["saves"]


class TestSentences:
    """What the text says beside the differences; scenarios are real ones, figures made by hand."""

    ASKED = (
        "memory-reservation, array-dedup, space-reclaim, rebalance, refresh, refresh+thin-lun, recompose, "
        "provisioned-streaming, mcs, instant-clone"
    )

    def found(self, more=None):
        scenario = load_scenario("windows-10-office", pool={"days": 3, "clones": 500}, platform={"name": "generic"})
        asked, _ = alternatives(scenario, self.ASKED, 4)
        refreshed = {"refresh", "refresh+thin-lun", "provisioned-streaming", "mcs", "instant-clone"}
        figures = {one.label: (4.0, 30.0, 3.0) if one.label in refreshed else (8.0, 0.0, 0.0) for one in asked}
        figures["memory-reservation"] = (5.0, 0.0, 0.0)
        figures["recompose"] = (7.0, 0.0, 0.0)
        made = comparison(figures)
        samples = made.samples.copy()
        for frame in (samples, made.frame):
            frame[["cache_full", "reclaimed_bytes"]] = 0.0
            for (label, column), value in (more or {}).items():
                frame.loc[frame["strategy"] == label, column] = value
        scenarios = {one.label: one.asked for one in asked}
        return Comparison(made.frame, made.differences, samples, made.base, made.label, scenarios=scenarios)

    def test_nothing_measurable_is_one_line(self, capsys):
        out = printed(capsys, self.found())
        assert "\nspace-reclaim: Changes nothing: gave back no space (every 7 d, above 1 GiB).\n" in out
        assert "\nrebalance: Changes nothing: no rebalance (every 30 d) within the run of 3 d.\n" in out

    def test_as_another(self):
        assert console.sentences(self.found(), "refresh+thin-lun") == [
            "As refresh in every figure (the peak in the array within 1 %)."
        ]
        other = self.found({("refresh+thin-lun", "luns_needed"): 9.0})
        assert not console.sentences(other, "refresh+thin-lun")[0].startswith("As ")

    def test_what_only_the_array_feels(self):
        found = self.found({("array-dedup", "array_peak_bytes"): 0.75})
        first, second = console.sentences(found, "array-dedup")
        assert first == "Changes nothing measurable but in the array."
        assert "(-25 % against linked-clone; " in second
        assert "assumed" in second
        assert "which the storage above does not count" in second

    def test_not_due(self):
        found = self.found()
        assert "No recompose (every 30 d) within the run of 3 d." in console.sentences(found, "recompose")
        last = console.verdict(found)[-1]
        assert last == "Not set back within the run, so what they empty and lose is not counted: rebalance, recompose."
        moved = self.found({("rebalance", "refreshes"): 0.25})
        told = console.sentences(moved, "rebalance")
        assert "Moves in the run: 0.250 per desktop (125 of 500 desktops), each made anew." in told
        assert not [text for text in told if text.startswith("No rebalance")]

    @pytest.mark.parametrize("label", ["provisioned-streaming", "mcs"])
    def test_memory_of_caches(self, label):
        told = " ".join(console.sentences(self.found(), label))
        assert "256 MiB per desktop for the write cache (125 GiB for 500 desktops); hosts needed: " in told
        assert ("Streaming servers are not counted." in told) == (label == "provisioned-streaming")

    def test_memory_that_is_reserved_and_of_parents(self):
        found = self.found()
        memory = found.scenarios["linked-clone"].guest.memory
        told = " ".join(console.sentences(found, "memory-reservation"))
        assert f"{memory // GIB} GiB per desktop reserved (" in told
        assert "on each host for the parent" in " ".join(console.sentences(found, "instant-clone"))
        assert "Memory of the hosts" not in " ".join(console.sentences(found, "refresh"))

    def test_reclaimed_and_full_caches(self):
        more = {("space-reclaim", "reclaimed_bytes"): 2.0 * GIB, ("space-reclaim", "reclaim_written_bytes"): 3.0 * MIB}
        told = console.sentences(self.found(more | {("mcs", "cache_full"): 0.5}), "space-reclaim")
        assert "Gives back 2 GiB per desktop in all, for 3 MiB of writes." in told
        told = console.sentences(self.found({("mcs", "cache_full"): 0.5}), "mcs")
        assert "On 50 % of the desktops the cache's disk is too small." in told

    def test_who_is_not_beaten(self):
        told = console.verdict(comparison())[-1]
        assert told == (
            "Not beaten in storage and state lost together, by the means: refresh (4 GiB, 50 MiB lost); "
            f"{LONG} (4.90 GiB, nothing lost)."
        )
