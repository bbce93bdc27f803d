"""Benchmarks run in their quick form, NumPy versions agree with the kernels, docs/performance.md tells the figures."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tomllib

import numpy as np
import pytest
from conftest import ROOT

from clonesim.delta import replay
from clonesim.delta.formats import law
from clonesim.ops import BlockOp, Requests

BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


def book_tool():
    spec = importlib.util.spec_from_file_location("performance_book", ROOT / "tools" / "performance_book.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["performance_book"] = module
    spec.loader.exec_module(module)
    return module


BOOK = book_tool()
TEMPLATE = BOOK.TEMPLATE.read_text(encoding="utf-8")
RESULTS = BOOK.read(BOOK.RESULTS)
LONG = {
    "compare": "two strategies of a small pool take 5 s",
    "distributed": "two schedulers and three workers take 10 s to start",
}
EXTRA = {"ciw": "ciw", "locks": "simpy"}
RAN = {}


def bench(name):
    """A benchmark as a module."""
    return importlib.import_module(f"bench_{name}")


def quick(name, tmp_path, monkeypatch):
    """Run a benchmark's quick form in this process: what it wrote."""
    path = tmp_path / "figures.json"
    monkeypatch.setattr(sys, "argv", [f"benchmarks/bench_{name}.py"])
    assert bench(name).main(["--quick", "--json", str(path)]) == 0
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", BOOK.RUNS)
def test_a_benchmark_runs(name, tmp_path, monkeypatch, capsys):
    if name in EXTRA:
        pytest.importorskip(EXTRA[name])
    if name in LONG and os.environ.get("BENCHMARKS") != "all":
        pytest.skip(f"{LONG[name]}: BENCHMARKS=all pytest tests/test_benchmarks.py runs it")
    told = quick(name, tmp_path, monkeypatch)
    assert told["command"] == f"python benchmarks/bench_{name}.py --quick"
    assert told["quick"]
    assert told["figures"]
    assert capsys.readouterr().out.strip()
    RAN[name] = told | {"seconds": 1.0, "peak_mib": 1, "load_before": 0.0, "date": "2026-01-01"}


def test_the_page_asks_for_nothing_that_benchmarks_do_not_tell():
    """Of those that just ran: every path of the template is found in what they wrote."""
    if len(RAN) < len(BOOK.RUNS) - len(LONG) - len(EXTRA):
        pytest.skip("the benchmarks did not run in this process before")
    told = {"machine": BOOK.machine(), "benchmarks": RAN}
    absent = {path.split(".")[0] for path in BOOK.missing(TEMPLATE, told)}
    left_out = {name for name in BOOK.RUNS if name not in RAN}
    partly = {path for path in BOOK.missing(TEMPLATE, told) if path.split(".")[0] not in left_out}
    allowed = {"replay", "scaling", "commands"}  # other formats, workers and commands than the quick forms have
    assert {path.split(".")[0] for path in partly} <= allowed, partly
    assert absent <= left_out | allowed


def test_every_benchmark_is_in_the_book_or_apart():
    there = {path.stem.removeprefix("bench_") for path in BENCHMARKS.glob("bench_*.py")} - {"tools"}
    assert there == set(BOOK.RUNS) | set(BOOK.APART)


@pytest.mark.parametrize("name", BOOK.APART)
def test_benchmarks_apart_take_the_same_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        bench(name).main(["--help"])
    assert ended.value.code == 0
    assert {"--quick", "--json"} <= set(capsys.readouterr().out.replace(",", " ").split())


def test_a_missed_gate_ends_with_1_but_not_in_the_quick_form(monkeypatch, tmp_path):
    import argparse

    tools = importlib.import_module("bench_tools")
    monkeypatch.setattr(sys, "argv", ["/somewhere/benchmarks/bench_x.py"])
    for words, code in ((["--count", "3"], 1), (["--quick"], 0)):
        parser = argparse.ArgumentParser()
        parser.add_argument("--count", type=int, default=100)
        options = tools.asked(parser, [*words, "--json", str(tmp_path / "x.json")], count=1)
        assert options.count == (3 if code else 1)
        assert tools.finish(options, {"a": 1}, passed=False) == code
        told = json.loads((tmp_path / "x.json").read_text())
        assert told["command"] == " ".join(["python", "benchmarks/bench_x.py", *words])
        assert told["passed"] is False


def test_memory_of_children_counts():
    import subprocess

    from bench_tools import MIB, Memory

    held = "held = bytearray(200 * 2**20); import time; time.sleep(0.5)"
    with Memory() as memory:
        subprocess.run([sys.executable, "-c", held], check=True)
    assert memory.child > 200 * MIB
    assert memory.peak >= memory.child + memory.own * 0.5


# --- the NumPy versions


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("format_", ["vmfs-sparse", "se-sparse"])
def test_growth_in_numpy_is_the_kernels(seed, format_):
    from numpy_versions import growth

    rng = np.random.default_rng(seed)
    n, capacity = 30_000, 2 * 2**30
    offset = rng.integers(0, capacity // 4096, n) * 4096
    requests = Requests(np.arange(n) * 0.5, np.full(n, BlockOp.WRITE, np.uint8), offset, np.full(n, 4096, np.int64))
    delta = replay(requests, format_, capacity)
    at, size = growth(requests, law(format_, capacity, {}))
    assert requests.time_s[at].tolist() == delta.increment_times.tolist()
    assert size.tolist() == delta.increment_sizes.tolist()
    assert len(at) > 3


@pytest.mark.parametrize("load", [0.2, 0.9, 1.5])
def test_lindley_in_numpy_is_a_loop(load):
    from numpy_versions import fifo_waits

    rng = np.random.default_rng(2)
    time_ns = np.cumsum(rng.integers(0, 1000, 2000))
    hold_ns = rng.integers(1, int(1000 * load), 2000)
    wait, told = 0, []
    for i in range(2000):
        told.append(wait)
        if i + 1 < 2000:
            wait = max(0, wait + int(hold_ns[i]) - int(time_ns[i + 1] - time_ns[i]))
    assert fifo_waits(time_ns, hold_ns).tolist() == told


def test_next_fit_goes_on_behind_the_last_file_and_around_the_end():
    from numpy_versions import NextFit

    from clonesim.ops import OPS_DTYPE, FileOp

    def ops(*rows):
        table = np.zeros(len(rows), OPS_DTYPE)
        for i, (op, file, clusters) in enumerate(rows):
            table[i]["op"], table[i]["file"], table[i]["length"] = op, file, clusters * 4096
        return table

    volume = NextFit(10)
    volume.apply(ops((FileOp.CREATE, 0, 3), (FileOp.CREATE, 1, 4), (FileOp.DELETE, 0, 0), (FileOp.CREATE, 2, 5)))
    assert volume.files[1].tolist() == [3, 4, 5, 6]
    assert volume.files[2].tolist() == [7, 8, 9, 0, 1]
    assert volume.used_bytes == 9 * 4096


# --- the book


def test_a_page_is_its_template_with_figures():
    told = {
        "machine": {"cpu": "Some CPU"},
        "benchmarks": {
            "x": {
                "command": "python x",
                "quick": False,
                "passed": True,
                "seconds": 60.0,
                "peak_mib": 12,
                "load_before": 0.1,
                "date": "2026-01-02",
                "figures": {"rows": [{"name": "a", "n": 1234.5, "ok": True}, {"name": "b", "n": 2.0, "ok": False}]},
            }
        },
    }
    template = (
        "On {{machine.cpu}}: {{x.rows.name=b.n|.1f}}, {{x.rows.0.n|,.0f}}, {{ x.rows.9.n }}, {{y.z|.1f}}.\n"
        "{{each x.rows}}| {{.name}} | {{.n|.0f}} | {{.ok|yes/no}} |\n"
        "{{each y.rows}}| {{.name}} |\n"
        "{{summary.minutes|.0f}} minutes, {{summary.missed}}"
    )
    assert BOOK.page(template, told) == (
        "On Some CPU: 2.0, 1,234, not measured, not measured.\n| a | 1234 | yes |\n| b | 2 | no |\n1 minutes, none\n"
    )
    assert BOOK.missing(template, told) == ["x.rows.9.n", "y.z", "y.rows"]
    told["benchmarks"]["x"] |= {"quick": True}
    assert "quick forms, whose figures mean nothing: x" in BOOK.summary(told)["warning"]


def test_the_page_is_that_of_a_whole_run():
    if left := BOOK.to_run(RESULTS):
        pytest.skip(f"python tools/performance_book.py {' '.join(left)} is still to be run whole")
    told = "run python tools/performance_book.py --page"
    assert BOOK.PAGE.read_text(encoding="utf-8") == BOOK.page(TEMPLATE, RESULTS), told
    assert BOOK.missing(TEMPLATE, RESULTS) == []
    assert "Not for use" not in BOOK.PAGE.read_text(encoding="utf-8")


def test_a_page_of_some_benchmarks_does_not_replace_that_of_all(tmp_path, monkeypatch, capsys):
    results, page, partial = tmp_path / "results.json", tmp_path / "performance.md", tmp_path / "out" / "performance.md"
    page.write_text("all of them")
    results.write_text(json.dumps({"machine": {}, "benchmarks": {}}))
    for name, path in (("RESULTS", results), ("PAGE", page), ("PARTIAL", partial)):
        monkeypatch.setattr(BOOK, name, path)
    assert BOOK.main(["--page"]) == 0
    assert page.read_text() == "all of them"
    assert "not measured" in partial.read_text()
    assert "stays as it is until these have run whole: startup, baselines" in capsys.readouterr().out


def test_no_figure_names_the_machine():
    import platform

    text = json.dumps(RESULTS)
    assert str(ROOT) not in text
    assert platform.node() not in text or len(platform.node()) < 4
    assert "/tmp" not in text
    assert set(RESULTS["machine"]) >= {"cpu", "cores", "memory_gib", "python"}


COMMITTED = tomllib.loads(BOOK.RATIOS.read_text(encoding="utf-8"))


def test_every_ratio_is_measured_and_guarded():
    assert set(COMMITTED["ratios"]) == set(bench("baselines").CASES)
    assert all(0 < one.get("tolerance", COMMITTED["tolerance"]) <= 0.5 for one in COMMITTED["ratios"].values())


def test_a_ratio_may_fall_by_its_tolerance_and_no_more():
    committed = {"tolerance": 0.3, "ratios": {"a": {"ratio": 10.0}, "b": {"ratio": 2.0, "tolerance": 0.1}}}
    assert BOOK.fallen({"a": 7.01, "b": 1.81}, committed) == []
    assert BOOK.fallen({"a": 99.0, "b": 99.0}, committed) == []
    assert BOOK.fallen({"a": 6.99, "b": 1.7}, committed) == [
        "a: 6.99, 30% below the committed 10; at most 30% are allowed",
        "b: 1.7, 15% below the committed 2; at most 10% are allowed",
    ]
    told = BOOK.fallen({"a": 7.1}, committed)
    assert told == ["b: committed 2, not measured; run bench_baselines.py --cases b"]


def test_check_ends_with_1_where_a_ratio_fell(tmp_path, capsys, monkeypatch):
    ratios = {name: one["ratio"] for name, one in COMMITTED["ratios"].items()}
    results = {"machine": {}, "benchmarks": {"baselines": {"figures": {"ratios": ratios}}}}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    assert BOOK.main(["--check", "--results", str(path)]) == 0
    ratios["replay"] *= 0.5
    path.write_text(json.dumps(results))
    assert BOOK.main(["--check", "--results", str(path)]) == 1
    assert "slower: replay" in capsys.readouterr().out


def test_check_measures_a_fallen_ratio_again(monkeypatch, capsys):
    asked = []
    good = {name: one["ratio"] for name, one in COMMITTED["ratios"].items()}

    def measured(name, words, quick):
        asked.append(words[1:])
        low = len(asked) < 3
        return {
            "figures": {"ratios": {case: good[case] * (0.4 if low and case == "fifo" else 1) for case in words[1:]}}
        }

    monkeypatch.setattr(BOOK, "measured", measured)
    assert BOOK.main(["--check"]) == 0
    assert asked == [list(good), ["fifo"], ["fifo"]]


def test_accept_writes_ratios_and_keeps_the_rest(tmp_path, monkeypatch):
    copy = tmp_path / "ratios.toml"
    copy.write_text(BOOK.RATIOS.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(BOOK, "RATIOS", copy)
    BOOK.accept({"benchmarks": {"baselines": {"figures": {"ratios": {"replay": 123.4, "pool": 0.0567}}}}})
    found = tomllib.loads(copy.read_text(encoding="utf-8"))
    assert found["ratios"]["replay"]["ratio"] == 123
    assert found["ratios"]["pool"] == COMMITTED["ratios"]["pool"] | {"ratio": 0.0567}
    rest = {name: one for name, one in found["ratios"].items() if name not in ("replay", "pool")}
    assert rest == {name: one for name, one in COMMITTED["ratios"].items() if name in rest}


def test_a_benchmark_without_figures_stops_no_other(tmp_path, monkeypatch, capsys):
    for name, code in (("startup", "raise SystemExit(3)"), ("plan", "import sys, pathlib; {}")):
        write = 'pathlib.Path(sys.argv[-1]).write_text(\'{"figures": {}, "quick": true, "passed": null}\')'
        (tmp_path / f"bench_{name}.py").write_text(code.replace("{}", write))
    monkeypatch.setattr(BOOK, "BENCHMARKS", tmp_path)
    found = BOOK.run(["startup", "plan"], tmp_path / "results.json", quick=True)
    assert list(found["benchmarks"]) == ["plan"]
    assert BOOK.read(tmp_path / "results.json") == found
    told = "bench_startup.py gave no figures: it ended with code 3; what was told before stays"
    assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("*.part"))


def test_an_unknown_benchmark_is_refused(capsys):
    for name, told in (("speed", "no benchmark 'speed' in the book; there are startup"), ("forecast", "run by hand")):
        with pytest.raises(SystemExit) as ended:
            BOOK.main([name])
        assert ended.value.code == 2
        assert told in capsys.readouterr().err


# --- judgements of single benchmarks


def test_scaling_extrapolates_what_is_too_long_on_a_straight_line():
    scaling = bench("scaling")
    rows = [
        {"desktops": 100, "seconds": 12.0, "peak_mib": 300.0, "measured": True},
        {"desktops": 1000, "seconds": 30.0, "peak_mib": 1200.0, "measured": True},
    ]
    far = scaling.extrapolated(10_000, rows)
    assert far == {"desktops": 10_000, "seconds": 210.0, "peak_mib": 10_200.0, "measured": False}
    assert scaling.extrapolated(100_000, [*rows, far])["seconds"] == 2010.0  # from what was measured only
    rows[0]["peak_mib"] = 1300.0
    assert scaling.extrapolated(10_000, rows)["peak_mib"] == 1300.0, "more desktops never take less memory"


def test_the_roofline_names_what_bounds(monkeypatch):
    roofline = bench("roofline")
    monkeypatch.setattr(roofline, "caches", lambda: {"L2": 1.0, "L3": 16.0})
    speed = {"read": {"one": 17.0, "two": 20.0}}
    times = {"ordered_ns": 1.0, "mark_ns": 1.0}

    def rows(small, usual):
        sizes = ((1, 0.25, small), (40, 10.0, usual), (1024, 256.0, 50.0))
        return [{"gib": gib, "bits_mib": bits, "kernel_ns": ns, **times} for gib, bits, ns in sizes]

    found = roofline.judged(rows(8.0, 10.0), speed)
    assert found["parts_ns"] == {"memory": pytest.approx(1.0), "bits": 2.0, "kernel": pytest.approx(7.0)}
    assert found["bound"] == "the instructions of the kernel"
    assert found["usual"]["share_of_bandwidth"] == pytest.approx(0.1)  # 17 B in 10 ns of 17 B/ns
    assert roofline.judged(rows(2.0, 10.0), speed)["bound"].startswith("the latency of the caches")
    last = rows(8.0, 10.0)
    roofline.judged(last, speed)
    assert [row["bytes_a_write"] for row in last] == [17, 17, 17 + 128]
