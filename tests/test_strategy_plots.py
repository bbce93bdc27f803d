"""What charts and text tell of comparisons made by hand."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clonesim import plots
from clonesim.console import strategies as console
from clonesim.planning.compare import STRATEGIES, Comparison
from clonesim.planning.strategy_row import COLUMNS
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
    ax.figure.canvas.draw()
    return {
        text.get_text(): text.get_window_extent()
        for text in ax.texts
        if text.get_text().removesuffix(" (base)") in names
    }


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
        assert front.get_xdata() == pytest.approx([4.0, 4.9])
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
        shown = boxes(ax, set(figures))
        assert len(shown) == many
        outer = ax.get_window_extent()
        for box in shown.values():
            assert box.x0 >= outer.x0 - 1
            assert box.x1 <= outer.x1 + 1
        for one, other in itertools.combinations(shown.values(), 2):
            assert min(one.y1, other.y1) - max(one.y0, other.y0) < 2 or not one.overlaps(other)

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
        assert {"4 (-60 %)", "10", "12 (+20 %)", "9.90 (-1 %)"} <= set(texts(ax))

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
            "Each refresh (20 per desktop in all) keeps the user's own; an hour later the delta has 1 GiB.",
        ]
        told = strategy_verdict(comparison(), WEEKLY)
        assert told[-1].startswith("Each refresh (2 per desktop in all) loses 200 MiB of the user's own")
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
