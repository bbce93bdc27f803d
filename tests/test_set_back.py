"""What setting desktops back does, counted another way."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from pool_tools import WITHOUT, small

from clonesim.planning.image_ages import by_age
from clonesim.planning.set_back import Resets, hourly_size, state_lost, work_hours
from clonesim.pool.power import CYCLED, RECOMPOSED, REFRESHED, Restarts
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.storm_work import storm_load, task
from clonesim.pool.strategies.layout import effective
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

HOUR, DAY = 3600.0, 86400.0
CLONES, DAYS = 3, 4


def scenario(*strategy: Any, **tables: Any) -> Scenario:
    tables = {"pool": {"clones": CLONES, "days": DAYS}, "guest": {"disk": "12 GiB"}, **tables}
    made = small(WITHOUT, platform={"name": "generic"}, **tables)
    return effective(load_scenario(made, strategy=list(strategy)))


@cache
def pool(*names: str) -> Replicate:
    return next(iter(replicates_of(scenario(*names), 3, 1, None)))


def restarts(ready_s: list[float], cause: int = REFRESHED) -> Restarts:
    """As `work_hours` takes them: when they were ready, and why."""
    at = np.array(ready_s)
    return Restarts(np.arange(at.size), at, at, at, at + 1.0, np.full(at.size, cause, np.int8))


class TestWork:
    def test_all_desktops_at_the_limit(self) -> None:
        """Two simulated clones stand for 40 desktops, eight at a time: five rounds of the shortest time."""
        limits = {"name": "generic", "maintenance": 8}
        made = scenario("refresh", pool={"clones": 40, "days": DAYS}, array={"disks": 2000})
        made = load_scenario(made, platform=limits)
        one = task("refresh")
        assert storm_load(made, one).capacity_iops > 8 * one.ios / one.shortest_s  # so that the limit decides
        hours = work_hours(made, restarts([2 * HOUR, 2 * HOUR]), 2)
        assert hours == pytest.approx(5 * one.shortest_s / HOUR)
        assert work_hours(made, restarts([2 * HOUR, 2 * HOUR]), 1) == pytest.approx(10 * one.shortest_s / HOUR)

    def test_the_night_with_most_counts(self) -> None:
        made = scenario("refresh", array={"disks": 2000})
        one = task("refresh").shortest_s / HOUR
        evenings = [20 * HOUR, DAY + 20 * HOUR, DAY + 22 * HOUR, DAY + 26 * HOUR]  # the last after midnight
        assert work_hours(made, restarts(evenings), CLONES) == pytest.approx(3 * one)
        assert work_hours(made, restarts(evenings[:1]), CLONES) == pytest.approx(one)

    def test_causes_have_their_own_work(self) -> None:
        made = scenario("recompose", array={"disks": 2000})
        long = task("recompose").shortest_s / HOUR
        assert long > task("refresh").shortest_s / HOUR
        assert work_hours(made, restarts([2 * HOUR], RECOMPOSED), CLONES) == pytest.approx(long)

    def test_nothing_to_do(self) -> None:
        assert work_hours(scenario(), Restarts.none(), CLONES) == 0.0
        assert work_hours(scenario("refresh"), restarts([2 * HOUR], CYCLED), CLONES) == 0.0


class TestResets:
    def test_sizes_and_times_are_those_of_the_steps(self) -> None:
        one = pool("refresh")
        found = Resets.of(one)
        times, sizes = [], []
        for clone in range(CLONES):
            for reset in one.timeline.emptied(clone, "refresh"):
                times.append(reset)
                sizes.append(
                    sum(
                        int(size)
                        for batch in one.batches
                        for who, when, size in zip(batch.clone, batch.time_s, batch.size, strict=True)
                        if who == clone and when <= reset + HOUR
                    )
                )
        assert len(times) > CLONES
        assert found.time_s.tolist() == times
        assert found.after_bytes.tolist() == sizes
        assert found.last_s == {c: one.timeline.emptied(c, "refresh")[-1] for c in range(CLONES)}

    def test_an_image_gets_older_until_there_is_a_new_one(self) -> None:
        one = pool("refresh")
        assert Resets.of(one).age_s == pytest.approx(Resets.of(one).time_s + 15 * DAY)
        renewed = scenario({"name": "refresh", "when": "nightly"}, {"name": "recompose", "every": "1 d", "at": "20:00"})
        line = next(iter(replicates_of(renewed, 3, 1, None)))
        found = Resets.of(line)
        before = found.time_s < 1.8 * DAY  # the first new image comes in the evening of the second day
        assert before.any()
        assert not before.all()
        assert found.age_s[before] == pytest.approx(found.time_s[before] + 15 * DAY)
        assert (found.age_s[~before] < DAY).all()
        assert (found.age_s[~before] == 0).any()  # the recompose itself

    def test_write_caches_are_emptied_at_each_boot(self) -> None:
        one = pool("provisioned-streaming")
        boots = [one.timeline.presence(clone).boots_s for clone in range(CLONES)]
        assert Resets.of(one).time_s.size == sum(times.size - 1 for times in boots)

    def test_never_without_a_strategy(self) -> None:
        for names in ((), ("linked-clone",), ("persistent-disk",)):
            assert not Resets.of(pool(*names)).time_s.size

    def test_by_age(self) -> None:
        ages = np.array([0.0, 14.9, 15.0, 31.0]) * DAY
        found = Resets(ages, ages, np.array([10, 20, 30, 50]), {})
        assert by_age(found) == {"0": [2.0, 15.0], "1": [1.0, 30.0], "2": [1.0, 50.0]}
        none = np.zeros(0)
        assert by_age(Resets(none, none, np.zeros(0, np.int64), {})) == {}

    def test_state_counts_up_to_the_last_reset(self) -> None:
        one = pool("refresh")
        found = Resets.of(one)
        sources = one.batches[0].sources.shape[3]
        every, nobody = np.ones(sources, bool), np.zeros(sources, bool)
        assert state_lost(one, found, nobody) == 0
        total = 0
        for batch in one.batches:
            for k, clone in enumerate(batch.job.clones):
                days = round(found.last_s[clone] / DAY)
                part = batch.sources[k, 0, :days]
                total += int((part[..., 1] - part[..., 2]).sum())
        assert state_lost(one, found, every) == total > 0


def test_hourly_sizes_are_those_of_the_steps() -> None:
    one = pool("refresh")
    found = hourly_size(one)
    assert found.size == DAYS * 24 + 1
    for hour in (0, 1, 17, 40, DAYS * 24):
        held = sum(int(batch.size[batch.time_s <= hour * HOUR].sum()) for batch in one.batches)
        assert found[hour] == pytest.approx(held / CLONES)
