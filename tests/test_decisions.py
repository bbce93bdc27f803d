"""What is decided on simulated sizes: refreshes of clones over a share of their disk, and rebalances of LUNs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import WITHOUT
from strategy_tools import EXACT, MIB, pool

from clonesim.guest.presence import DAY_S
from clonesim.lun.backing import backing
from clonesim.pool import replicates
from clonesim.pool.clones import DEMAND, STEPS, Batch, run_job
from clonesim.pool.decisions import next_decisions
from clonesim.pool.luns import movements, run_luns
from clonesim.pool.power import MOVED, REFRESHED
from clonesim.pool.replicates import Replicate, replicates_of, settled
from clonesim.pool.simulate import simulate
from clonesim.pool.space import space_of
from clonesim.pool.strategies.layout import OS, effective, on_the_lun
from clonesim.pool.timeline import LONGEST_WAIT_S, Timeline, after_logoff
from clonesim.scenario.model import Scenario

HOUR = 3600.0
GROWTH, INCREMENTS = ["delta_bytes", "guest_used_bytes", "written_bytes", "unique_bytes"], ["time_s", "clone", "disk"]


def replicate(scenario: Scenario, seed: int = 3) -> Replicate:
    (one,) = replicates_of(effective(scenario), seed, 1, None)
    return one


def steps_of(one: Replicate, clone: int, disk: int = OS) -> tuple[np.ndarray, np.ndarray]:
    """Growth steps of a file, in order of time."""
    parts = [(b.time_s, b.size) for b in one.batches for b in [rows(b, clone, disk)]]
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


class Rows:
    def __init__(self, batch: Batch, mine: np.ndarray) -> None:
        self.time_s, self.size, self.lun = batch.time_s[mine], batch.size[mine], batch.lun[mine]


def rows(batch: Batch, clone: int, disk: int) -> Rows:
    return Rows(batch, (batch.clone == clone) & (batch.disk == disk))


# --- refresh where a delta is over a share of the disk ------------------------------------------------------------

SHARE = 0.045  # of 12 GiB: 553 MiB
OVER = {"name": "refresh", "when": "share", "share": SHARE, "floor": 0, "catch_up": False}


def by_share(share: float = SHARE, **tables: Any) -> Scenario:
    given = {**EXACT, "pool": {"clones": 6, "days": 10}, **tables}
    return pool(WITHOUT, [{**OVER, "share": share}], **given)


@pytest.fixture(scope="module")
def over() -> Replicate:
    return replicate(by_share())


def crossings(one: Replicate, clone: int, most: float) -> list[float]:
    """When a night finds the file of a clone at its share: from then, or from the next logoff on, it is set back."""
    when, size = steps_of(one, clone)
    level = np.cumsum(size)
    start, end = one.timeline.sessions_by_clone()
    found: list[float] = []
    for night in range(1, 10):
        at = night * DAY_S + 2 * HOUR
        waiting = found and found[-1] >= at
        if level[when < at][-1] >= most and not waiting:
            found.append(float(after_logoff(np.array([at]), start[clone], end[clone])[0]))
    return [at for at in found if at < 10 * DAY_S]


class TestRefreshByShare:
    def test_each_refresh_has_its_crossing(self, over: Replicate) -> None:
        most, count = SHARE * 12 * 2**30, 0
        restarts = over.timeline.restarts
        for clone in range(6):
            mine = restarts.take((restarts.clone == clone) & (restarts.cause == REFRESHED))
            assert mine.down_s.tolist() == crossings(over, clone, most)
            time_s, size = steps_of(over, clone)
            emptied = over.timeline.emptied(clone, "refresh")
            assert set(time_s[size < 0]) == set(emptied) and emptied.size == mine.down_s.size
            assert (-size[size < 0] >= most).all(), "what went was over the share"
            count += emptied.size
        assert count >= 6 and len(set(restarts.clone)) >= 3

    def test_nobody_is_over_the_share_for_long(self, over: Replicate) -> None:
        """At most until the next night, the logoff that is waited for then, and the work on those before."""
        most, longest = SHARE * 12 * 2**30, 0.0
        for clone in range(6):
            time_s, size = steps_of(over, clone)
            level = np.cumsum(size)
            above = level >= most
            for k in np.flatnonzero(above & ~np.append(False, above[:-1])):
                below = np.flatnonzero(~above[k:])
                until = time_s[k + below[0]] if below.size else 10 * DAY_S
                longest = max(longest, until - time_s[k])
        assert HOUR < longest < DAY_S + LONGEST_WAIT_S + HOUR

    def test_two_processes_decide_the_same(self) -> None:
        one, two = (simulate(by_share(), seed=3, processes=count) for count in (1, 2))
        assert one.hash == two.hash
        assert one.hash != simulate(by_share(0.06), seed=3, processes=1).hash

    def test_without_a_crossing_it_is_no_strategy(self) -> None:
        never, none = (
            simulate(s, seed=3, processes=1) for s in (by_share(1.0), pool(WITHOUT, **EXACT, pool={"days": 10}))
        )
        assert not steps_over(never, 0.5) and steps_over(never, SHARE)
        for name in ("growth", "increments", "sources", "luns", "peaks", "halts", "locks", "operations"):
            pd.testing.assert_frame_equal(getattr(never, name), getattr(none, name))

    def test_clones_that_stay_below_are_left_alone(self, over: Replicate) -> None:
        """A share that only some reach: the others are as without, byte for byte."""
        plain = replicate(pool(WITHOUT, **EXACT, pool={"clones": 6, "days": 10}))
        ends = [np.cumsum(steps_of(plain, clone)[1])[-1] for clone in range(6)]
        share = float(np.sort(ends)[2:4].mean()) / (12 * 2**30)
        some = replicate(by_share(share))
        high = {clone for clone in range(6) if some.timeline.emptied(clone, "refresh").size}
        assert 1 <= len(high) <= 3
        for clone in set(range(6)) - high:
            for mine, theirs in zip(steps_of(some, clone), steps_of(plain, clone), strict=True):
                assert mine.tobytes() == theirs.tobytes()


def steps_over(run: Any, share: float) -> bool:
    return bool((run.growth["delta_bytes"] >= share * 12 * 2**30).any())


# --- rebalance ----------------------------------------------------------------------------------------------------

UNEVEN = {"placement": "per-lun", "clones_per_lun": 6, "count": 2, "size": "1 TiB", "backing": "vmfs-5"}
BALANCE = {"name": "rebalance", "every": "4 d"}
SAME = {"name": "persistent-disk", "where": "same", "tags": ["system", "profile", "application", "user-data", "temp"]}


def balanced(strategy: Sequence[Any] = (BALANCE,), **tables: Any) -> Scenario:
    given = {**EXACT, "pool": {"clones": 8, "days": 7}, "luns": UNEVEN, "guest": {"memory": "512 MiB"}, **tables}
    return pool(WITHOUT, strategy, **given)


@pytest.fixture(scope="module")
def moved() -> Replicate:
    return replicate(balanced())


@pytest.fixture(scope="module")
def stayed() -> Replicate:
    return replicate(balanced(["linked-clone"]))


def used_at(scenario: Scenario, one: Replicate, lun: int, time_s: float) -> int:
    """By hand: what the files of all clones that lie on a LUN take before a time, and what they have beside."""
    where, here, total = backing(scenario.luns.backing), on_the_lun(scenario).tolist(), 0
    for clone in range(one.timeline.clones):
        if one.timeline.lun_at(clone, time_s, before=True) != lun:
            continue
        files = 0
        for disk in here:
            when, size = steps_of(one, clone, disk)
            files += int(size[when < time_s].sum())
        total += int(where.allocated(files)) + space_of(scenario, 1).clone_bytes
    return total + space_of(scenario, 0).fixed_bytes


class TestRebalance:
    def test_the_first_turn_evens_the_luns_out(self, moved: Replicate, stayed: Replicate) -> None:
        scenario, turn = balanced(), 4 * DAY_S + 2 * HOUR
        assert moved.timeline.lun.tolist() == [0] * 6 + [1] * 2
        assert set(moved.timeline.moved) and set(moved.timeline.lun_at(moved.timeline.moved, 7 * DAY_S)) == {1}
        for clone in moved.timeline.moved:
            (when,), (to,) = moved.timeline.moves(clone)
            assert turn <= when < turn + LONGEST_WAIT_S + 3 * HOUR and to == 1
        before, after, without = (
            [used_at(scenario, one, lun, at) for lun in (0, 1)]
            for one, at in ((moved, turn), (moved, turn + 2 * DAY_S), (stayed, turn + 2 * DAY_S))
        )
        assert before[0] - before[1] > 4 * 512 * MIB
        assert abs(after[0] - after[1]) < (before[0] - before[1]) / 2 < (without[0] - without[1]) / 2

    @pytest.mark.parametrize("strategy", [(BALANCE,), (BALANCE, SAME)], ids=["alone", "persistent disk"])
    def test_the_clones_that_move_are_those_that_even_it_out_most(self, strategy: Any, moved: Replicate) -> None:
        """One after the other, by hand: the one that leaves the smallest gap. A disk that survives goes along."""
        scenario, turn = balanced(strategy), 4 * DAY_S + 2 * HOUR
        one, unit = moved if len(strategy) == 1 else replicate(scenario), backing("vmfs-5").allocated

        def held(clone: int, disk: int) -> int:
            time_s, size = steps_of(one, clone, disk)
            return int(unit(int(size[time_s < turn].sum())))

        disks = on_the_lun(scenario).tolist()
        each, left, chosen = space_of(scenario, 1).clone_bytes, set(range(6)), list[int]()
        stays = {clone: sum(held(clone, disk) for disk in disks[1:]) for clone in range(8)}
        whole = {clone: each + held(clone, OS) + stays[clone] for clone in range(8)}
        used = [sum(whole[clone] for clone in part) for part in (range(6), (6, 7))]
        while left:
            gaps = {c: abs(used[0] - whole[c] - used[1] - each - stays[c]) for c in left}
            best = min(gaps, key=lambda c: (gaps[c], c))
            if used[0] <= used[1] or gaps[best] >= used[0] - used[1]:
                break
            used = [used[0] - whole[best], used[1] + each + stays[best]]  # a new delta in `exact` has 0 B
            left.remove(best)
            chosen.append(best)
        assert sorted(chosen) == np.unique(one.timeline.moved).tolist() and 2 <= len(chosen) <= 3

    def test_files_leave_one_lun_and_arrive_at_the_other(self, moved: Replicate) -> None:
        for clone in moved.timeline.moved:
            ((when,), _), (batch,) = moved.timeline.moves(clone), [b for b in moved.batches if clone in b.job.clones]
            mine = rows(batch, clone, OS)
            there = [int(mine.size[(mine.lun == lun) & (mine.time_s <= when)].sum()) for lun in (0, 1)]
            assert there == [0, 0], "all of it left, and the new one is empty"
            assert (
                (mine.size[mine.time_s == when]).tolist()[0] == -int(mine.size[mine.time_s < when].sum()) < -100 * MIB
            )
            assert (mine.lun[mine.time_s > when] == 1).all() and (mine.lun[mine.time_s < when] == 0).all()

    def test_hours(self, moved: Replicate) -> None:
        """Used bytes of both LUNs at the end of each hour; what lies there beside goes with the clones."""
        scenario = balanced()
        each, start = space_of(scenario, 1).clone_bytes, [space_of(scenario, n).fixed_bytes for n in (6, 2)]
        for lun, result in enumerate(run_luns(scenario, moved)):
            for hour in [*range(0, 7 * 24, 13), *range(95, 130)]:
                end = (hour + 1) * HOUR
                assert result.hours["used_bytes"][hour] == used_at(scenario, moved, lun, end), hour
                gone = int((moved.timeline.lun_at(np.arange(8), end, before=True)[:6] == 1).sum())
                assert result.hours["fixed_bytes"][hour] == start[lun] + (gone if lun else -gone) * each
            who, _, sign = movements(moved.timeline, lun)
            assert sign.sum() == (who.size if lun else 0)

    def test_clones_that_stay_are_as_without(self, moved: Replicate, stayed: Replicate) -> None:
        movers, seen = set(moved.timeline.moved.tolist()), 0
        for one, other in zip(moved.batches, stayed.batches, strict=True):
            if movers & set(one.job.clones):
                continue
            seen += len(one.job.clones)
            for part in ("growth", "sources", "time_s", "size", "lun", "demand", "totals"):
                assert getattr(one, part).tobytes() == getattr(other, part).tobytes(), part
        assert seen == 8 - len(movers)

    def test_demand_goes_with_the_clone(self, moved: Replicate) -> None:
        """Each minute counts on the LUN where the clone lies; writes add up to what all wrote."""
        demands = [moved.demand(lun) for lun in (0, 1)]
        written = sum(int(batch.growth[:, OS, -1, 2].sum()) for batch in moved.batches)
        assert sum(int(demand[:, DEMAND.index("write_bytes")].sum()) for demand in demands) == written
        for batch in moved.batches:
            (clone,) = batch.job.clones
            when, _ = moved.timeline.moves(clone)
            if when.size:
                minute = int(when[0] // 60)
                assert batch.demand[:minute].any() and not batch.demand[minute:].any()
                assert set(batch.visited) == {1}
                assert batch.visited[1][minute:].any() and not batch.visited[1][:minute].any()

    def test_frames_tell_where_it_lies(self) -> None:
        run = simulate(balanced(), seed=3, processes=1)
        last, first = (run.growth[run.growth["day"] == day].set_index("clone")["lun"] for day in (6, 3))
        assert first.tolist() == [0] * 6 + [1] * 2 and 3 <= (last == 0).sum() <= 4
        own = run.increments.merge(run.growth[["day", "clone", "lun"]], on="clone", suffixes=("", "_then"))
        same_day = own[(own["time_s"] // DAY_S == own["day"]) & (own["day"] != 4) & (own["day"] != 5)]
        assert len(same_day) and (same_day["lun"] == same_day["lun_then"]).all()
        causes = Timeline.of(balanced(), 3).restarts.cause
        assert MOVED not in causes, "nothing is decided before sizes are known"

    def test_on_one_lun_nothing_happens(self) -> None:
        one = {"count": 1, "size": "1 TiB", "backing": "vmfs-5"}
        with_, without = (
            simulate(balanced(s, luns=one), seed=3, processes=1).hash for s in ([BALANCE], ["linked-clone"])
        )
        assert with_ == without

    def test_two_processes_and_a_disk_that_goes_along(self) -> None:
        """A persistent disk on the same LUN moves as it is; so do both files' bytes, hour by hour."""
        scenario = balanced((BALANCE, SAME))
        assert simulate(scenario, seed=3, processes=1).hash == simulate(scenario, seed=3, processes=2).hash
        one = replicate(scenario)
        clone = int(one.timeline.moved[0])
        ((when,), _), (_, size) = one.timeline.moves(clone), steps_of(one, clone, 1)
        held = int(size[steps_of(one, clone, 1)[0] < when].sum())
        (batch,) = [b for b in one.batches if clone in b.job.clones]
        mine = rows(batch, clone, 1)
        assert mine.size[mine.time_s == when].tolist() == [-held, held] and held > MIB
        for lun, result in enumerate(run_luns(scenario, one)):
            for hour in range(95, 130):
                assert result.hours["used_bytes"][hour] == used_at(scenario, one, lun, (hour + 1) * HOUR)


@pytest.mark.parametrize("strategy", [(), ({"name": "persistent-disk", "where": "same"},)], ids=["alone", "composed"])
def test_rebalances_begin_with_what_was_simulated_without_them(strategy: Any) -> None:
    """To the last byte, and only clones that are moved are simulated again."""
    scenario = effective(balanced([BALANCE, *strategy]))
    whole, without = replicate(scenario), replicate(balanced(["linked-clone", *strategy]))
    made = settled(scenario, without, None)
    assert made.timeline.moved.tolist() == whole.timeline.moved.tolist() != []
    assert {batch.job.scenario == scenario for batch in made.batches} == {True, False}
    for one, other in zip(made.batches, whole.batches, strict=True):
        for part in ("growth", "sources", "totals", "demand", "elsewhere", *STEPS):
            assert getattr(one, part).tobytes() == getattr(other, part).tobytes(), part
        assert {lun: asked.tobytes() for lun, asked in one.visited.items()} == {
            lun: asked.tobytes() for lun, asked in other.visited.items()
        }
    assert settled(without.batches[0].job.scenario, without, None) is without


def test_rounds_end_where_one_run_with_all_decisions_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refreshes by size and rebalances together: only some clones are simulated again, and it makes no difference."""
    scenario, decided = balanced([{**OVER, "share": 0.035}, {**BALANCE, "every": "3 d"}]), []

    def noted(*given: Any) -> Any:
        more = next_decisions(*given)
        decided.append(tuple(more))
        return more

    monkeypatch.setattr(replicates, "next_decisions", noted)
    one, whole = replicate(scenario), sum(decided, ())
    kinds = [{each.strategy for each in part} for part in decided]
    assert {"refresh"} in kinds and {"rebalance"} in kinds and decided[-1] == () and len(decided) > 4
    line = Timeline.of(effective(scenario), 3, 0, whole)
    assert line.moved.tolist() == one.timeline.moved.tolist() != []
    for batch in one.batches:
        again = run_job(replace(batch.job, decided=whole))
        for part in ("growth", "sources", "time_s", "size", "lun", "demand", "totals"):
            assert getattr(batch, part).tobytes() == getattr(again, part).tobytes(), part
    firsts = [min(each.ready_s for each in part) for part in decided[:-1]]
    assert firsts == sorted(firsts), "round by round, in order of time"
