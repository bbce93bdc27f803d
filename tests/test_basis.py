"""What plans rest on: unmeasured ones say so, in the table, in JSON and on the chart; what short histories lack."""

import json
from dataclasses import replace

import planning_tools as tools
import pytest
from growth_tools import GIB, frame

from clonesim.cli import main
from clonesim.console import plans as console
from clonesim.planning.basis import NEXT, basis_text, growth_measured
from clonesim.planning.growth_fit import fit_growth
from clonesim.planning.growth_history import HistoryError
from clonesim.pool.run_files import to_json


def test_what_is_said():
    assert basis_text(()) == f"This is unmeasured: from priors, the catalog's, none of your own. {NEXT}"
    assert basis_text(("hosts.count",)) == (f"Growth is unmeasured: from priors; measured are hosts.count. {NEXT}")
    assert basis_text([f"workload.a{k}" for k in range(8)]) == (
        "Measured or calibrated: workload.a0, workload.a1, workload.a2, workload.a3, workload.a4, workload.a5 and 2 "
        "more; other values come from the catalog."
    )


def test_which_marks_say_how_much_is_written():
    assert not growth_measured(
        {"users.count": "measured: x", "guest.disk": "measured: y", "guest.policy": "calibrated"}
    )
    assert growth_measured(["workload.intensity"])
    assert growth_measured(["hosts.count", "users.intensity_sigma"])


def test_the_table_says_it(capsys):
    console.print_size(tools.bought())
    out = capsys.readouterr().out
    assert out.startswith("What to buy, unmeasured: from priors\n")
    assert "clonesim collect writes a script" in " ".join(out.split())
    console.print_size(replace(tools.bought(), measured=("workload.scale",)))
    out = capsys.readouterr().out
    assert out.startswith("What to buy\n")
    assert "unmeasured" not in out
    assert "Measured or calibrated: workload.scale;" in out


def test_json_and_repr_say_it():
    told = json.loads(to_json(console.size_json(tools.bought())))
    assert (told["unmeasured"], told["measured"], told["basis"]) == (True, [], basis_text(()))
    known = replace(tools.bought(), measured=("hosts.count", "users.intensity_sigma"))
    told = json.loads(to_json(console.size_json(known)))
    assert (told["unmeasured"], told["measured"]) == (False, ["hosts.count", "users.intensity_sigma"])
    assert repr(tools.bought()).endswith(", unmeasured>")
    assert "unmeasured" not in repr(known)


def test_the_chart_says_it(monkeypatch):
    import matplotlib

    matplotlib.use("Agg")
    from clonesim.plots import plans as plots

    drawn = []
    monkeypatch.setattr(plots, "save_chart", lambda plot, table, path: drawn.append((plot(table), table)) or path)
    bought = tools.bought()
    bought.frame.attrs["unmeasured"] = True
    plots.save_size(bought, "nowhere")
    (ax, table), (_, swings) = drawn
    assert ax.get_title() == "What to buy, and how sure that is (unmeasured: from priors)"
    assert table.attrs["caption"].startswith(basis_text(()))
    assert swings.attrs["caption"].startswith(basis_text(()))


def test_size_of_a_file_knows_its_marks(tmp_path, capsys):
    """The command itself, on a pool of two desktops and a day: hosts that were measured say nothing of growth."""
    path = tmp_path / "my.toml"
    path.write_text("[pool]\nclones = 2\ndays = 1\n[hosts]\ncount = 4\n[marks]\nmeasured = ['hosts.count']\n")
    assert main(["size", str(path), "--replicates", "2", "--processes", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["unmeasured"], told["measured"]) == (True, ["hosts.count"])


@pytest.mark.parametrize(
    ("days", "measurements", "weeks"),
    [([0], "1 measurements over 0", "2 more weeks"), ([7, 14], "2 measurements over 7", "1 more week")],
)
def test_a_short_history_is_told_what_weeks_give(days, measurements, weeks):
    text = (
        f"measured history: {measurements} days are too few for a forecast. 3 over 14 days are needed: {weeks} of "
        "measuring. What weeks give: one size of each clone, a known time after it was made: an interval by clonesim "
        "calibrate, with the simulation as its prior; three sizes over two weeks: forecasts by clonesim fit, from the "
        "history alone; five over four weeks: clonesim backtest checks them on weeks that it hides."
    )
    with pytest.raises(HistoryError) as caught:
        fit_growth(frame(days, [GIB + day for day in days]))
    assert str(caught.value) == text


def test_weeks_one_two_and_four(tmp_path, capsys):
    """After weeks 1 and 2 `clonesim fit` says what is missing, with 4 it forecasts."""
    path = tmp_path / "sizes.csv"
    lines = ["clone,date,bytes"]
    for number, day in enumerate(("2026-03-06", "2026-03-13", "2026-03-27")):
        lines += [f"vdi-{k},{day},{(2 + k + number) * GIB}" for k in range(4)]
        path.write_text("\n".join(lines) + "\n")
        code = main(["fit", str(path), "--days", "14"])
        told = capsys.readouterr()
        assert code == (2 if number < 2 else 0)
        if number < 2:
            assert "clonesim calibrate" in told.err
    assert "4 clones, 12 measurements over 3.0 weeks" in told.out
