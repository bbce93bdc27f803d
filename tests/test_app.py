"""The planner page without a browser: pools kept in files, answers, downloads, addresses."""

from __future__ import annotations

import csv
import io
import re
import socket
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from matplotlib.figure import Figure

from clonesim.app import choices, pieces
from clonesim.app.answers import Answer, Planner, daily_csv, scenario_toml
from clonesim.app.choices import DENSITIES, Picked, packaged, small
from clonesim.app.drawings import charts, drawing
from clonesim.app.pools import KEPT, SIMULATED, Pools
from clonesim.app.serve import check_address, is_loopback, origins
from clonesim.cli import main
from clonesim.errors import ClonesimError, ParameterError
from clonesim.planning.density import plan_density
from clonesim.planning.draws import Dealings
from clonesim.planning.outlook import fill_course, full_day, growth_course
from clonesim.planning.planned_pool import (
    planned_pool,
    pool_key,
    read_planned_pool,
    save_planned_pool,
    small_pool,
)
from clonesim.planning.pool_sample import Part
from clonesim.plots import describe
from clonesim.plots.planner import plot_planned_waits, wait_told
from clonesim.pool.clones import Job, run_job
from clonesim.pool.replicates import Replicate
from clonesim.pool.space import space_of
from clonesim.pool.strategies.layout import effective
from clonesim.pool.timeline import Timeline
from clonesim.scenario.load import load_scenario
from clonesim.units import GIB

FOLDER = ROOT / "clonesim" / "app" / "pools"
MOST_BYTES = 4_000_000  # of all packaged pools
TINY = {"clones": 6, "days": 4, "replicates": 2, "seed": 1}


@pytest.fixture(scope="module")
def planner(tmp_path_factory) -> Planner:
    return Planner(Pools(tmp_path_factory.mktemp("pools"), processes=1))


@pytest.fixture(scope="module")
def answer(planner) -> Answer:
    return planner.answer(Picked(density=64, lun_gib=1024))


@pytest.fixture(scope="module")
def tiny():
    scenario = load_scenario("windows-7-office", pool={"days": TINY["days"]}, luns={"locking": "scsi-reservation"})
    one = small_pool(scenario, TINY["clones"], TINY["days"])
    return one, planned_pool(one, TINY["seed"], TINY["replicates"], processes=1)


def test_what_is_packaged_is_there_and_nothing_else():
    keys = {f"{pool_key(picked.small(), small()['seed'], small()['replicates'])}.npz" for picked in packaged()}
    assert {path.name for path in FOLDER.glob("*")} == keys, "run tools/planner_pools.py"
    assert sum(path.stat().st_size for path in FOLDER.glob("*")) <= MOST_BYTES


@pytest.mark.parametrize(
    "picked", [packaged()[0], packaged()[2], packaged()[8]], ids=lambda p: f"{p.guest} {p.strategy}"
)
def test_a_packaged_pool_is_what_this_version_simulates(picked):
    one, clone = picked.small(), 5
    kept = read_planned_pool(FOLDER / f"{pool_key(one)}.npz", one).sample
    line = Timeline.of(one.core, kept.seed, 1)
    batch = run_job(Job(one.core, kept.seed, 1, int(line.lun[clone]), (clone,)))
    anew = Part.of(one.core, kept.seed, Replicate(1, line, (batch,)))
    assert np.array_equal(anew.size[clone], kept.size[1][clone]), "run tools/planner_pools.py --anew"


def test_a_plan_of_a_kept_pool_is_the_plan_of_the_pool(tiny, tmp_path):
    one, found = tiny
    read = read_planned_pool(save_planned_pool(found, tmp_path / "a.npz"), one)
    assert np.array_equal(read.sample.size, found.sample.size)
    assert np.array_equal(read.sample.start, found.sample.start)
    assert read.row == pytest.approx(dict(found.row), nan_ok=True)
    pd.testing.assert_frame_equal(read.band, found.band)
    whole, kept = (plan_density(one.asked, sample=each.sample, densities=[1, 3, 6]) for each in (found, read))
    assert whole.frame["value"].gt(0).any()
    pd.testing.assert_frame_equal(kept.frame, whole.frame, rtol=1e-6)
    pd.testing.assert_frame_equal(kept.storms, whole.storms, rtol=1e-3)


def test_the_same_pool_gives_the_same_bytes(tiny, tmp_path):
    paths = [save_planned_pool(tiny[1], tmp_path / name) for name in ("a.npz", "b.npz")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_damaged_file_is_told(tiny, tmp_path):
    path = save_planned_pool(tiny[1], tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ParameterError, match=r"the file is damaged.*Delete it"):
        read_planned_pool(path, tiny[0])


def test_a_pool_that_is_not_packaged_is_simulated_once(tmp_path, monkeypatch):
    monkeypatch.setattr("clonesim.app.pools.small", lambda: TINY)
    monkeypatch.setattr(choices, "small", lambda: TINY)
    choices._small.cache_clear()
    picked, heard = Picked("windows-7", "idle"), []
    pools = Pools(tmp_path, processes=1)
    assert pools.source(picked) == SIMULATED
    assert pools.ready(picked) is None
    found = pools.get(picked, lambda done, total: heard.append(done / total))
    assert heard[-1] == 1.0
    assert heard == sorted(heard)
    assert found.sample.size.shape == (TINY["replicates"], TINY["clones"], TINY["days"])
    later = Pools(tmp_path, processes=1)
    assert later.source(picked) == KEPT
    again = later.ready(picked)
    assert again is not None
    assert np.array_equal(again.sample.size, found.sample.size)
    next(tmp_path.glob("*.npz")).write_bytes(b"PK")
    assert Pools(tmp_path).ready(picked) is None  # and not an error
    choices._small.cache_clear()


def test_growth_is_quantiles_of_all_desktops(planner):
    pool = planner.pools.ready(Picked())
    last = pool.sample.size[:, :, -1].ravel()
    row = growth_course(pool).iloc[-1]
    assert row["p50"] == np.median(last)
    assert row["p5"] <= np.sort(last)[len(last) // 10]
    assert row["p95"] >= np.sort(last)[-len(last) // 10]
    ends = pool.band[pool.band["day"] == pool.band["day"].max()]["delta_p50_bytes"]
    assert (row["policies_low"], row["policies_high"]) == (ends.min(), ends.max())
    assert ends.max() > 3 * ends.min()  # without discards, never-used clusters first: the upper bound


def test_a_lun_is_the_sum_of_distinct_clones(planner):
    pool, n = planner.pools.ready(Picked()), 48
    scenario = effective(Picked(density=n, lun_gib=1024).scenario())
    sample, fill = pool.sample, fill_course(pool, scenario, n)
    dealt = Dealings.of(sample.clones, sample.replicates, sample.seed)
    beside = space_of(scenario, n).fixed_bytes
    sums = []
    for replicate in range(sample.replicates):
        for who in dealt.luns(replicate, n)[:7].reshape(-1, n):
            assert len(set(who.tolist())) == n
            sums.append(sample.size[replicate][who].sum(axis=0) + beside)
    assert np.min(sums) >= fill["p5"].min() * 0.9
    by_day = np.median(sums, axis=0)
    assert fill["p50"].to_numpy() == pytest.approx(by_day, rel=0.05)
    assert fill.attrs["fixed_bytes"] == beside
    risk = (np.array(sums).max(axis=1) > fill.attrs["limit_bytes"]).mean()
    assert fill["p_full"].iloc[-1] == pytest.approx(risk, abs=0.05)


def test_the_risk_of_the_chart_is_the_plan_s(answer):
    row = answer.found.plan.at(64, "outage")
    assert 0 < row["value"] < 1
    assert answer.found.fill["p_full"].iloc[-1] == pytest.approx(row["value"], abs=1e-9)
    assert answer.found.fill["p_full"].is_monotonic_increasing
    assert np.isfinite(full_day(answer.found.fill, 0.01))
    assert np.isinf(full_day(answer.found.fill, 1.0))


def test_smaller_luns_fill_up_sooner_and_more_clones_wait_no_less(planner):
    risks = [
        planner.answer(Picked(density=64, lun_gib=size)).found.fill["p_full"].iloc[-1] for size in (512, 1024, 2048)
    ]
    assert risks == sorted(risks, reverse=True)
    assert risks[0] > risks[-1]


def test_base_images_cost_by_the_lun(planner):
    items = planner.answer(Picked()).found.paid.items
    name = next(one for one in items["item"] if "replica" in one)
    by_density = {
        n: float(planner.answer(Picked(density=n)).found.paid.items.set_index("item").loc[name, "quantity"])
        for n in (16, 64)
    }
    scenario = Picked().scenario()
    fixed = space_of(scenario, 1)
    each = (fixed.fixed_bytes - fixed.clone_bytes) / GIB
    assert by_density == pytest.approx({16: 32 * each, 64: 8 * each})


def test_density_alone_leaves_growth_and_plan_as_they_are(planner):
    one, other = (planner.answer(Picked(density=n)).found for n in (16, 48))
    assert one.growth is other.growth
    assert one.plan is other.plan
    assert (one.luns, other.luns) == (32, 11)


def test_words_say_what_the_frames_hold(answer):
    text = " ".join(answer.sentences)
    assert "500 desktops, 64 to a LUN: 8 LUNs of 1 TiB, 8 TiB in all" in text
    assert "all assumed" in text
    assert "not published" in text
    assert re.search(r"Risk .* 66\.7 % \(interval", text)
    assert answer.seen[1][1].startswith("from day ")


def test_the_csv_holds_what_is_drawn(answer):
    lines = [line for line in daily_csv(answer).splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(io.StringIO("\n".join(lines))))
    assert len(rows) == small()["days"]
    assert int(rows[-1]["desktop_p50_bytes"]) == round(answer.found.growth["p50"].iloc[-1])
    assert float(rows[-1]["lun_full_probability"]) == answer.found.fill["p_full"].iloc[-1]
    ax = Figure().add_subplot()
    charts(answer)["fill"](ax)
    line = next(one for one in ax.lines if len(one.get_xdata()) == len(rows))
    assert np.asarray(line.get_ydata())[-1] * GIB == pytest.approx(int(rows[-1]["lun_p50_bytes"]))


def test_the_scenario_file_is_the_scenario(tmp_path):
    picked = Picked("windows-7", "task", "refresh(when=days; every=7 d)", "best-fit", 200, 24, 1024, "scsi-reservation")
    file = tmp_path / "my.toml"
    file.write_text(scenario_toml(picked), encoding="utf-8")
    tomllib.loads(file.read_text(encoding="utf-8"))
    read = load_scenario(file)
    assert read == picked.scenario()
    assert (read.pool.clones, read.luns.clones_per_lun, read.luns.locking) == (200, 24, "scsi-reservation")


def test_each_chart_has_a_text_alternative_and_no_outside_reference(answer):
    for name, draw in charts(answer).items():
        text = drawing(name, draw)
        label = re.search(r'aria-label="([^"]+)"', text)
        assert label, name
        assert len(label[1]) > 40
        assert 'role="img"' in text
        assert not re.search(r'(?:href|src)="(?!#)', text)


def test_a_request_that_is_given_up_is_told(answer):
    frame = answer.found.plan.frame.copy()
    frame.loc[frame["metric"] == "lock_wait", ["low", "value", "high"]] = [0.001, np.inf, np.inf]
    ax = Figure(figsize=(4.9, 4)).add_subplot()
    plot_planned_waits(frame, ax, density=64)
    assert "given up" in [text.get_text() for text in ax.get_yticklabels()]
    assert ax.get_ylim()[1] > 100
    assert "with 64 clones: given up" in describe(ax)
    assert [wait_told(one) for one in (0.0, 0.0123, np.inf)] == ["none", "12.3 ms", "given up"]


def test_a_lun_without_shared_locks_has_no_waits(answer):
    frame = answer.found.plan.frame
    ax = Figure().add_subplot()
    plot_planned_waits(frame[frame["metric"] != "lock_wait"], ax)
    assert "nothing takes a lock" in describe(ax)


def test_items_of_the_price_add_up(answer):
    ax = Figure(figsize=(4.9, 4)).add_subplot()
    charts(answer)["cost"](ax)
    drawn = sum(bar.get_width() for bar in ax.patches)
    assert drawn == pytest.approx(answer.found.paid.totals["per_desktop"].iloc[0])


def test_texts_are_escaped():
    assert "<script>" not in pieces.refused("<script>alert(1)</script>")
    assert "&lt;script&gt;" in pieces.refused("<script>alert(1)</script>")


@pytest.mark.parametrize("changed", [{"guest": "windows-12"}, {"strategy": "hope"}, {"density": 65}, {"desktops": 0}])
def test_what_cannot_be_picked_is_refused(changed):
    name = next(iter(changed))
    with pytest.raises(ParameterError, match=rf"^{name}="):
        replace(Picked(), **changed)


def test_every_guest_has_every_packaged_density_and_strategy_or_a_reason(planner):
    for guest in choices.titles("guest"):
        for strategy in choices.titles("strategy"):
            try:
                Picked(guest, strategy=strategy).small()
            except ClonesimError as error:
                assert "Traceback" not in str(error)
    assert max(DENSITIES) == small()["clones"]


def test_only_this_computer_is_listened_to_unless_told_otherwise(capsys):
    assert [is_loopback(one) for one in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")] == [
        *(True, True, True, False, False)
    ]
    assert origins("127.0.0.1", 5006) == ["127.0.0.1:5006", "localhost:5006"]
    assert "planner.example:443" in origins("0.0.0.0", 5006, ["planner.example:443"])
    assert main(["app", "--address", "0.0.0.0", "--port", str(_free()), "--check"]) == 0
    assert "warning: 0.0.0.0 can be reached from other computers" in capsys.readouterr().err
    assert main(["app", "--port", str(_free()), "--check"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_taken_port_and_a_foreign_address_are_refused(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["app", "--no-open", "--port", str(taken.getsockname()[1])]) == 2
    assert "Name another port" in capsys.readouterr().err
    with pytest.raises(ParameterError, match=r"^address="):
        check_address("203.0.113.1", _free())
    with pytest.raises(ParameterError, match="from 1 to 65535"):
        check_address("127.0.0.1", 0)


def test_without_panel_there_is_a_message(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "panel", None)
    assert main(["app", "--no-open", "--port", str(_free())]) == 2
    said = capsys.readouterr().err
    assert "clonesim[app]" in said
    assert "Traceback" not in said


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_the_page_s_own_files_ask_nobody_else():
    for path in (ROOT / "clonesim" / "app").rglob("*"):
        if path.suffix in (".html", ".css", ".toml", ".py"):
            assert not re.search(r"https?://(?!\{)", Path(path).read_text(encoding="utf-8")), path
