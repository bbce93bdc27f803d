"""The command that calibrates, what it prints and draws."""

import json

import numpy as np
import pandas as pd
import pytest
from calibration_tools import design, frame, made

import clonesim.cli.calibrate  # noqa: F401  (registers the command)
from clonesim.cli.root import main
from clonesim.planning.calibrate import Calibration
from clonesim.planning.calibration_design import Pool, run_pool, small_pool
from clonesim.planning.calibration_looks import looks_of
from clonesim.planning.calibration_posterior import posterior_of
from clonesim.planning.growth_history import history_of
from clonesim.plots import calibration as plots
from clonesim.scenario import load_scenario

GIB = 2**30
SMALL = ["--clones", "4", "--points", "12", "--policy", "fresh-first", "--days", "1", "--processes", "1"]


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    path = tmp_path_factory.mktemp("sizes") / "sizes.csv"
    size = run_pool(Pool(small_pool(load_scenario("windows-7-office"), 4, 7), 3))
    frame(size, [7], "2012-01-02").to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def found():
    """A calibration to pools of a known formula, with dates and LUNs."""
    given = design(clones=20, days=40, saturates=(3.0, 5.0))
    size = made(1, 1.0, 0.4, 12, 40, np.random.default_rng(1), (3.0, 5.0))
    looks = looks_of(history_of(frame(size, [7, 14, 28])), "2026-01-05")
    return Calibration(load_scenario("windows-7-office"), looks, given, 0, 12, posterior_of(given, looks, 0))


def run(capsys, *argv):
    code = main(["calibrate", *(str(part) for part in argv)])
    told = capsys.readouterr()
    assert "Traceback" not in told.err
    return code, told.out, told.err


def test_the_command_writes_a_scenario_a_chart_and_json(capsys, sizes, tmp_path):
    out, plot = tmp_path / "my.toml", tmp_path / "charts" / "calibration.png"
    code, text, err = run(
        capsys, sizes, "windows-7-office", "--since", "2012-01-02", *SMALL, "--out", out, "--plot", plot, "--json"
    )
    assert code == 0, err
    assert "clonesim: simulating 12 pools of 4 clones x 8 days: 384 desktop-days, about 5 s of one process." in err
    told = json.loads(text)
    assert told["clones"] == 4
    assert told["ages"] == [7]
    assert told["born"] == "2012-01-02T00:00:00"
    assert told["policies"][0]["policy"] == "fresh-first"
    assert told["policies"][0]["probability"] == pytest.approx(1)
    assert told["values"]["workload.intensity"] == load_scenario(out).workload.intensity
    assert set(told["scenario"]) == set(told["values"])
    assert told["forecast"][-1]["level"] == "pool"
    assert told["weeks"][0]["dates"] == 1
    assert plot.read_bytes().startswith(b"\x89PNG")
    code, _, err = run(capsys, sizes, "windows-7-office", "--since", "2012-01-02", *SMALL, "--out", out)
    assert code == 2
    assert err == f"clonesim: out='{out}': the file exists. Name another, or add --force.\n"


def test_what_is_missing_is_told_before_anything_is_simulated(capsys, sizes):
    code, text, err = run(capsys, sizes, "windows-7-office", *SMALL)
    assert (code, text) == (2, "")
    assert "Give since=, the day on which the clones were made, refreshed or recomposed (--since on the" in err
    assert "simulating" not in err


def test_a_file_that_is_not_there_is_told(capsys, tmp_path):
    code, _, err = run(capsys, tmp_path / "no.csv")
    assert code == 2
    assert "no.csv" in err


def test_tables_say_what_was_learned(capsys, found):
    from clonesim.console.calibration import print_calibration

    print_calibration(found, found.forecast(), found.weeks())
    text = " ".join(capsys.readouterr().out.split())
    assert "12 clones, made on 2026-01-05, measured at 3 ages up to 28 days; compared with 40 pools of 20" in text
    assert found.verdict[0] in text
    assert "Mean size of a clone on day 40, as foretold so far" in text
    assert "2026-02-14" in text  # the last measurement and 12 days


def test_days_without_dates_are_numbers(capsys, sizes, tmp_path):
    table = pd.read_csv(sizes).drop(columns="date").assign(day=7)
    path = tmp_path / "days.csv"
    table.to_csv(path, index=False)
    code, _, err = run(capsys, path, "windows-7-office", "--since", "soon", *SMALL)
    assert code == 2
    assert err == "clonesim: since='soon': a number of days is needed.\n"


def test_the_chart_of_a_parameter_shows_its_probability(ax, found):
    plots.plot_calibration(found.posterior, ax, parameter="scale")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    share = found.posterior.groupby("policy")["probability"].sum()
    assert labels == ["before", *(f"after, {name}: {100 * share[name]:.0f} %" for name in ("slow", "fast"))]
    top = np.max([path.vertices[:, 1].max() for part in ax.collections[1:] for path in part.get_paths()])
    density = found.posterior.groupby("scale")["probability"].sum()
    width = np.log(density.index[1] / density.index[0])
    assert top == pytest.approx(density.max() / width)


def test_the_chart_of_policies_shows_both(ax, found):
    plots.plot_calibration(found.posterior, ax, parameter="policy")
    heights = [bar.get_height() for bar in ax.patches]
    assert heights[:2] == pytest.approx([50, 50])
    assert sum(heights[2:]) == pytest.approx(100)


def test_ranks_are_counted(ax):
    frame = pd.DataFrame({"scale": [0.05, 0.06, 0.95, 0.5]})
    plots.plot_ranks(frame, ax)
    (steps,) = (part for part in ax.patches if part.get_label() == "scale")
    assert steps.get_data().values.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def test_weeks_are_drawn_with_their_intervals(ax, found):
    weeks = found.weeks(40)
    plots.plot_weeks(weeks, ax)
    assert ax.lines[0].get_ydata() == pytest.approx(weeks["p50"] / GIB)
    assert ax.get_title() == "Day 40, as foretold after each week"
    assert weeks["week"].tolist() == [1, 2, 4]


def test_the_fan_starts_at_what_was_measured(found, tmp_path):
    past = plots.measured_total(found)
    assert past["bytes"].tolist() == pytest.approx(found.looks.size.sum(axis=0))
    assert past["date"].iloc[-1] == pd.Timestamp("2026-02-02")
    first, again = (plots.save_calibration(found, tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == again.read_bytes()
