"""The commands on measured growth, what they print and draw."""

import json

import numpy as np
import pandas as pd
import pytest
from growth_tools import GIB, MIB, pool, weekly

import clonesim.cli.forecast  # noqa: F401  (registers the commands)
from clonesim.cli.root import main
from clonesim.planning.backtest import backtest
from clonesim.planning.growth_file import read_history
from clonesim.planning.growth_fit import fit_growth
from clonesim.planning.growth_history import HistoryError
from clonesim.plots import forecast as plots


def measured(weeks=10):
    return pool(12, weekly(weeks), lambda day: 90 * MIB * day, start="2026-01-05", luns=2, noise=8 * MIB, seed=1)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory):
    path = tmp_path_factory.mktemp("sizes") / "sizes.csv"
    measured().to_csv(path, index=False)
    return path


def run(capsys, *argv):
    code = main([str(part) for part in argv])
    found = capsys.readouterr()
    assert "Traceback" not in found.err
    return code, found.out, found.err


def test_a_csv_keeps_its_luns(sizes):
    frame = read_history(sizes)
    assert set(frame.columns) == {"clone", "date", "bytes", "lun"}
    assert fit_growth(frame).forecast(7, levels=["lun"])["id"].tolist() == ["LUN0", "LUN1"]


def test_other_headers_are_read_as_listings(tmp_path):
    path = tmp_path / "other.csv"
    table = measured().drop(columns="lun")
    table["bytes"] = table["bytes"].round().astype(int)
    table.rename(columns={"clone": "VM", "date": "Date", "bytes": "Size (bytes)"}).to_csv(path, index=False)
    assert len(read_history(path)) == 120


def test_a_broken_csv_is_refused(tmp_path):
    path = tmp_path / "broken.csv"
    path.write_text("clone,date,bytes\na,2026-01-01,5\nb,2026-01-01,5,6,7\n", encoding="utf-8")
    with pytest.raises(HistoryError, match=r"broken\.csv: .*columns clone, date and bytes"):
        read_history(path)


def test_fit_prints_what_the_history_says(capsys, sizes):
    code, out, _ = run(capsys, "fit", sizes, "--days", 28, "--capacity", "120 GiB", "--beside", "10 GiB")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    plain = " ".join(out.split())
    assert "12 clones, 120 measurements over 9.0 weeks, last on 2026-03-09" in plain
    assert "LUNs, 28 days ahead" in plain
    assert "12 clones on 120.000 GiB beside 10.000 GiB of other things." in plain
    assert "Within 365 days: " in plain


def test_fit_as_json(capsys, sizes):
    code, out, _ = run(capsys, "fit", sizes, "--json", "--capacity", "60 TiB", "--clones", "5")
    told = json.loads(out)
    assert code == 0
    assert told["summary"]["clones"] == 12
    assert told["fill_date"]["by"]["p50"] is None  # beyond the horizon
    assert told["fill_date"]["clones"] == 5
    assert {row["level"] for row in told["forecast"]} == {"clone", "lun", "pool"}


def test_fit_writes_tables_and_charts(capsys, sizes, tmp_path):
    code, _, err = run(capsys, "fit", sizes, "--capacity", "120 GiB", "--out", tmp_path / "out")
    assert code == 0
    names = ["fill-date.csv", "fill-date.png", "forecast.csv", "forecast.png", "refusals.csv"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert "fill-date.png" in err
    assert len(pd.read_csv(tmp_path / "out" / "forecast.csv")) == (12 + 2 + 1) * 13


def test_backtest(capsys, sizes, tmp_path):
    code, out, _ = run(capsys, "backtest", sizes, "--hide-last", "4w", "--memory", "2 GiB", "--out", tmp_path)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    for text in ("fitted growth", "last value", "straight line", "3 x RAM", "a LUN"):
        assert text in out
    assert {"backtest.csv", "scores.csv", "backtest.png"} <= {path.name for path in tmp_path.iterdir()}
    code, out, _ = run(capsys, "backtest", sizes, "--json")
    assert {row["rule"] for row in json.loads(out)["scores"]} == {"fit", "last", "line"}


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["fit", "nowhere.csv"], "nowhere.csv"),
        (["fit", "SIZES", "--days", "-1"], "days=-1"),
        (["fit", "SIZES", "--capacity", "2 TB"], "Did you mean TiB"),
        (["fit", "SIZES", "--capacity", "2 TiB", "--lun", "x"], "known are LUN0, LUN1"),
        (["fit", "SIZES", "--bound", "1 MiB"], "capacity=1048576"),
        (["backtest", "SIZES", "--hide-last", "soon"], "Write '4w'"),
        (["backtest", "SIZES", "--hide-last", "9w"], "too little is left"),
        (["backtest", "SIZES", "--memory", "4 GB"], "Did you mean GiB"),
    ],
)
def test_bad_input_is_told_and_exits_with_2(capsys, sizes, argv, text):
    code, _, err = run(capsys, *[sizes if part == "SIZES" else part for part in argv])
    assert code == 2
    assert text in err


def test_the_fan_is_the_frame_s(ax):
    fit = fit_growth(measured())
    ahead = fit.forecast(300)
    past = plots.measured_pool(fit)
    assert plots.plot_forecast(ahead, ax, past=past) is ax
    median = next(line for line in ax.lines if str(line.get_label()).startswith("median"))
    rows = ahead[ahead["level"] == "pool"]
    assert median.get_ydata()[1:] == pytest.approx(rows["p50"].to_numpy() / GIB)
    assert median.get_ydata()[0] == past["bytes"].iloc[-1] / GIB
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["90 % interval", "50 % interval"]
    assert "further than the history bears" in labels
    assert any("12 clones, measured over 63 days" in text.get_text() for text in ax.texts)


def test_one_clone_without_dates(ax):
    fit = fit_growth(measured().assign(day=lambda part: np.tile(weekly(10), 12)).drop(columns="date"))
    plots.plot_forecast(fit.forecast(14), ax, level="clone", name="vdi-003")
    assert ax.get_title() == "Clone vdi-003"
    assert ax.get_xlabel() == "Days after the last measured"


def test_the_fill_date_s_chart(ax):
    found = fit_growth(measured()).fill_date("120 GiB")
    plots.plot_fill_date(found.frame, ax)
    line = next(line for line in ax.lines if len(line.get_xdata()) == len(found.frame))
    assert line.get_ydata() == pytest.approx(100 * found.frame["p_full"].to_numpy())
    assert any(text.get_text().startswith("50 %: 2026-") for text in ax.texts)


def test_the_backtest_s_chart(ax):
    found = backtest(measured(), "3w")
    plots.plot_backtest(found.frame, ax)
    rows = found.frame[found.frame["level"] == "lun"]
    points = next(line for line in ax.lines if line.get_marker() == "x").get_xydata()
    assert points[:, 0] == pytest.approx((rows["measured"] / rows["clones"] / GIB).to_numpy())
