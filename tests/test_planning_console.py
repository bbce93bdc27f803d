"""Plans as text: tables that fit 80 columns and tell the frames' figures, and JSON that is JSON."""

import json
import re

import planning_tools as tools
import pytest

from clonesim.console import plans as console
from clonesim.planning.cluster import cluster
from clonesim.planning.density import plan_density
from clonesim.planning.host_load import failures
from clonesim.planning.host_needs import hosts_needed
from clonesim.pool.run_files import to_json
from clonesim.scenario.load import load_scenario


def printed(capsys, *calls):
    for call, *values in calls:
        call(*values)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "…" not in out
    return out


def cells(out, start):
    """Cells of the table's line that starts with this text, two spaces or more between them."""
    row = next(line for line in out.splitlines() if line.strip().startswith(start))
    return re.split(r"\s{2,}", row.strip())


def plain(out):
    return " ".join(out.split())


def test_density(capsys):
    out = printed(capsys, (console.print_density, tools.density()))
    assert cells(out, "risk of a full LUN  ") == ["risk of a full LUN", "0", "0 to 20", "5 %", "yes, open"]
    assert cells(out, "lock wait  ") == ["lock wait", "2", "1 to 4", "20 ms", "yes"]
    assert "Open: not resolved" in out
    assert cells(out, "20 <") == ["20 <", "100.000", "0", "2"]
    assert cells(out, "40  ") == ["40", "200.000", "50", "4"]
    assert cells(out, "patches") == ["patches", "3", "6.0", "2,090", "0.500", "2", "0.250", "1.50", "7"]
    assert cells(out, "View's table") == ["View's table, minimum", "4 GiB", "-50 %", "100 GiB", "0 %", "100", "x 5"]
    assert cells(out, "(most on NFS)")[-2:] == ["10", "-50 %"]
    assert "59 replicates needed" in plain(out)
    assert "from 100 GiB to 125 GiB (x 1.25)" in plain(out)
    assert "what is simulated, 20 clones on a LUN." in plain(out)


def test_density_without_locks_and_with_room_for_more(capsys):
    plan = tools.density(largest=80, sure=80, binding="clones simulated")
    frame = plan.frame[plan.frame["metric"] != "lock_wait"]
    out = printed(capsys, (console.print_density, type(plan)(**vars(plan) | {"frame": frame, "storms": frame[:0]})))
    assert "Lock of such a LUN" not in out
    assert "lock wait  " not in out
    assert "80 clones or more on a LUN." in plain(out)


def test_many_numbers_of_clones_are_thinned_but_the_largest_and_the_next_stay():
    shown = console._some(list(range(1, 101)), 37)
    assert {1, 37, 38, 100} <= set(shown)
    assert len(shown) <= 12


def test_size(capsys):
    out = printed(capsys, (console.print_size, tools.bought()))
    assert cells(out, "usable capacity  ") == ["usable capacity", "500 GiB", "400 GiB to 2 TiB"]
    assert cells(out, "peak throughput") == ["peak throughput", "25 MB/s", "the same"]
    assert cells(out, "size of patches") == ["size of patches", "lower", "0.90", "1.00", "-10 %", "10"]
    assert cells(out, "fresh-first") == ["fresh-first", "2.10", "1.50", "+100 %", "14"]
    assert "Measure first: one file." in plain(out)
    assert "100 GiB missing" in plain(out)


@pytest.fixture
def hosts():
    made = cluster(hosts=8, host_cpu=41600, host_memory="192 GiB", guest_memory="2 GiB", desktop_cpu=400)
    return failures(made, 500, luns=8), made, hosts_needed(made, 500)


def test_hosts(capsys, hosts):
    frame, _, needed = hosts
    out = printed(capsys, (console.print_hosts, *hosts))
    last, row = cells(out, "7  "), frame.iloc[-1]
    assert last[0] == "7"
    assert last[2] == str(row["claimed"])
    assert last[3] == "no"
    assert last[-1] == f"{row['swap_iops_per_lun']:,.0f}"
    assert frame["holds"].iloc[0]
    assert cells(out, "0  ")[3] == str(frame["holds_for"].iloc[0])
    assert f"Hosts needed: {needed.hosts}, {needed.running} of them for desktops" in plain(out)
    assert "Hosts needed" not in printed(capsys, (console.print_hosts, *hosts[:2]))


def test_json_keeps_what_the_objects_hold(hosts):
    plan, bought = tools.density(needed=float("inf")), tools.bought()
    told = json.loads(to_json(console.density_json(plan)))
    assert told["largest"] == 20
    assert told["resolved"] is False
    assert told["replicates_needed"] is None  # infinite
    assert told["limits"]["conflicts"] is None
    assert len(told["densities"]) == len(plan.frame)
    assert told["moves"]["then"] == 40
    assert told["rules"][1]["applies"] is False
    told = json.loads(to_json(console.size_json(bought)))
    assert told["purchase"]["hosts"]["hosts"] == 3
    assert [row["item"] for row in told["items"]] == list(bought.frame["item"])
    assert told["density"] == {"largest": 20, "binding": "outage"}
    frame, made, needed = hosts
    told = json.loads(to_json(console.hosts_json(frame, made, needed)))
    assert told["needed"]["hosts"] == needed.hosts
    assert told["failures"][7]["swapped_bytes"] == int(frame["swapped_bytes"].iloc[-1])
    assert "needed" not in console.hosts_json(frame, made)


def test_a_real_plan_prints_its_own_figures(capsys):
    scenario = load_scenario("windows-7-office", pool={"clones": 6, "days": 2})
    plan = plan_density(scenario, densities=[2, 4, 6], replicates=2, processes=1)
    out = printed(capsys, (console.print_density, plan))
    assert f"Most clones per LUN: {plan.largest}." in out
    assert plain(plan.label) in plain(out)
    now = plan.moves.attrs["now"]
    assert cells(out, "load of the disks")[1] == f"{100 * plan.at(now, 'iops')['value']:#.3g}"
    assert cells(out, "practitioners")[-2] == "8"
    assert to_json(console.density_json(plan))
