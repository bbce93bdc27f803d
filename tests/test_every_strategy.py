"""Each strategy of the catalog alone: no byte of the plan is lost, and plans change only where they must."""

from typing import Any

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, live
from strategy_tools import MIB, PAGE_DISK, SPARSE, full_plan, pool, written

from clonesim.errors import ParameterError
from clonesim.guest.rows import Plan
from clonesim.pool.account_kernel import WRITE_BYTES, WRITTEN
from clonesim.pool.clones import Job, plan_of, run_job
from clonesim.pool.desktop import Demand, Desktop, activity_of
from clonesim.pool.strategies.layout import DISCARD, OS, effective
from clonesim.pool.timeline import Timeline
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

NAMES = catalog.names("strategies")
SOON: dict[str, dict[str, Any]] = {
    "recompose": {"every": "2 d"},
    "rebalance": {"every": "2 d"},
    "space-reclaim": {"every": "1 d", "threshold": "1 MiB"},
    "provisioned-streaming": {"ram": "16 MiB"},
    "mcs": {"ram": "16 MiB"},
}
PRESETS = pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
EVERY = pytest.mark.parametrize("name", NAMES)
AT_BOOT = {"page-file", "registry-hives", "event-logs", "prefetch", "system-restore", "boot", "superfetch"}
AT_FIRST_LOGON = {"new-profile", "appx-first-logon"}
SET_BACK = ("refresh", "recompose", "provisioned-streaming", "mcs", "instant-clone")
TUNED = {"prefetch", "superfetch", "search-index", "search-index-log", "boot-defragmentation", "browser-cache"}


def alone(name: str, preset: str) -> Scenario:
    tables = SPARSE if name == "space-reclaim" else {}
    return pool(preset, [{"name": name, **SOON.get(name, {})}], **tables)


@EVERY
@PRESETS
def test_every_byte_is_written_somewhere(name: str, preset: str) -> None:
    """Source by source: what plan and streams write is done on one of the disks, or is away in packages."""
    scenario = alone(name, preset)
    desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
    for clone in (0, 4):
        done = [disk_sums(disk, len(desk.activity.names)) for disk in desk.disks]
        plan = full_plan(scenario, desk, line, clone)
        life = live(desk, line, clone, plan)
        lost, packaged = written_by(plan.ops, len(desk.activity.names)) - sum(done), desk.layout.installed
        assert not lost[~packaged].any(), "to the byte"
        assert lost[packaged].sum() == life.ran.away_bytes and (lost >= 0).all()
        assert (life.ran.away_bytes > 0) == (name in ("application-virtualization", "app-attach"))
        assert life.ran.refused == 0 and all(part.sum() > MIB for part in done)


def disk_sums(disk: Any, sources: int) -> np.ndarray:
    """Bytes of the operations that a disk is given from here on, by source."""
    found, usual = np.zeros(sources, np.int64), type(disk).apply

    def apply(ops: np.ndarray, *rest: Any) -> int:
        found[:] += written_by(ops, sources)
        return usual(disk, ops, *rest)

    disk.apply = apply
    return found


def written_by(ops: np.ndarray, sources: int) -> np.ndarray:
    return np.array([written(ops[ops["source"] == index]) for index in range(sources)])


def plans(scenario: Scenario) -> tuple[tuple[str, ...], list[Plan]]:
    activity, line = activity_of(effective(scenario)), Timeline.of(effective(scenario), 7)
    return activity.names, [plan_of(activity, line, clone, 5000) for clone in (0, 5)]


@EVERY
@PRESETS
def test_plans_change_only_where_they_must(name: str, preset: str) -> None:
    names, before = plans(pool(preset, **(SPARSE if name == "space-reclaim" else {})))
    same_names, after = plans(alone(name, preset))
    assert names == same_names
    changed = set[str]()
    for one, other in zip(before, after, strict=True):
        assert one.ops.size > 1000
        for index, source in enumerate(names):
            mine, theirs = one.of_source(index), other.of_source(index)
            columns = [(getattr(mine.reads, c), getattr(theirs.reads, c)) for c in ("time_s", "bytes", "ios")]
            if mine.ops.tobytes() != theirs.ops.tobytes() or any(a.tobytes() != b.tobytes() for a, b in columns):
                changed.add(source)
    if name in SET_BACK:
        caught_up = {source for source in changed if source.startswith(("antivirus", "patch-", "feature-update"))}
        assert "boot" in changed and changed <= AT_BOOT | AT_FIRST_LOGON | caught_up
    elif name == "guest-tuning":
        assert changed and changed <= TUNED
    else:
        assert not changed


class TestPageFile:
    """Guest tuning moves the page file to a small disk of its own, elsewhere; a disposable disk has it instead."""

    @PRESETS
    def test_it_is_written_there(self, preset: str) -> None:
        scenario = pool(preset, [PAGE_DISK])
        desk = Desktop(scenario, 3)
        (batch, usual) = (run_job(Job(one, 3, 0, 0, (0, 3))) for one in (scenario, pool(preset)))
        page = desk.activity.names.index("page-file")
        for k in (0, 1):
            by_disk = batch.sources[k, :, :, :, WRITTEN].sum(axis=1)
            assert by_disk[1, page] == usual.sources[k, OS, :, page, WRITTEN].sum() > 10 * MIB
            assert set(np.flatnonzero(by_disk[1]).tolist()) == {page} and not by_disk[OS, page]
        disk = desk.layout.disks[1]
        assert (disk.name, disk.tier, disk.where, disk.emptied) == ("page", "disposable", "other", "never")
        assert disk.size == catalog.value("strategies", "guest-tuning.page_disk") * scenario.guest.page_file
        assert batch.elsewhere[:, WRITE_BYTES].sum() == batch.growth[:, 1, -1, 2].sum()
        assert batch.demand[:, WRITE_BYTES].sum() == batch.growth[:, OS, -1, 2].sum()

    def test_its_space_is_there_from_the_start(self) -> None:
        scenario = pool(WITHOUT, [PAGE_DISK], guest={"page_file": "256 MiB"})
        (life,) = [live(Desktop(scenario, 3), Timeline.of(scenario, 3), 0)]
        time_s, size = life.ran.steps[1]
        assert time_s[0] == 0.0 and size[0] > 256 * MIB and size[1:].sum() < MIB

    def test_a_disposable_disk_has_it_instead(self) -> None:
        both, alone = (Desktop(pool(WITHOUT, s), 3) for s in (["disposable-disk", PAGE_DISK], ["disposable-disk"]))
        assert both.layout.disks == alone.layout.disks
        page = both.activity.names.index("page-file")
        assert both.layout.disks[both.layout.route[page]].name == "disposable"

    def test_without_a_page_file_there_is_no_disk(self) -> None:
        assert len(Desktop(pool(WITHOUT, [PAGE_DISK], guest={"page_file": 0}), 3).layout.disks) == 1


def test_a_discard_needs_a_guest_that_tells() -> None:
    """What `space-reclaim` by discards gives back is what wiping does: the guest knows the same in both cases."""
    found = []
    for method in ("wipe", DISCARD):
        strategy = {"name": "space-reclaim", "every": "1 d", "threshold": "1 MiB", "method": method}
        found.append(run_job(Job(pool(WITH_DISCARDS, [strategy], **SPARSE), 3, 0, 0, (2,))))
    for part in ("growth", "time_s", "size", "totals"):
        assert getattr(found[0], part).tobytes() == getattr(found[1], part).tobytes(), part


def test_a_demand_without_minutes_is_refused() -> None:
    desk, line = Desktop(pool(WITHOUT, ["persistent-disk"]), 3), Timeline.of(pool(WITHOUT), 3)
    with pytest.raises(ParameterError, match=r"demand\.elsewhere=0: a disk lies elsewhere.*Demand\.none"):
        live(desk, line, 0, demand=Demand.none(5, elsewhere=False))
