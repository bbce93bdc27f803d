"""Catch-up: what came out since the image of a clone was made, before the run as well, is done again; nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, small

from clonesim.guest.presence import DAY_S, DEFINITIONS, EVENT_KINDS, FEATURE_UPDATE, PATCHES, Presence, Shared
from clonesim.keys import generator
from clonesim.pool.calendar import Calendar
from clonesim.pool.desktop import activity_of
from clonesim.pool.storms import storms, storms_before
from clonesim.pool.strategies.catch_up import (
    catches_up,
    image_dates,
    kept,
    loses_profiles,
    merged,
    missed,
    oldest_image_s,
    since_image,
    with_catch_up,
)
from clonesim.scenario.model import Scenario

DAY = DAY_S


def scenario(*strategy: Any, preset: str = WITH_DISCARDS, **tables: Any) -> Scenario:
    tables = {"pool": {"days": 30, "start": "2026-01-05"}, "platform": {"name": "generic"}, **tables}
    return small(preset, strategy=list(strategy), **tables)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def shared(**events: list[tuple[float, int]]) -> Shared:
    found = {}
    for name, rows in events.items():
        kind = name.replace("_", "-")
        assert kind in EVENT_KINDS
        found[kind] = (floats(*(time_s for time_s, _ in rows)), np.array([size for _, size in rows], np.int64))
    return Shared(found, 0, 5)


def told(events: Shared, kind: str) -> list[tuple[float, int]]:
    times, sizes = events.event(kind)
    return list(zip(times.tolist(), sizes.tolist(), strict=True))


class TestMissed:
    def test_the_newest_of_each_kind_since_the_image(self) -> None:
        events = shared(
            patches=[(-20 * DAY, 1), (-5 * DAY, 2), (9 * DAY, 3)],
            definitions=[(-600.0, 10), (100.0, 11), (9 * DAY, 12)],
            feature_update=[(-1 * DAY, 30)],
            full_scans=[(-60.0, 0)],
        )
        boots, image = floats(50.0, 5 * DAY, 10 * DAY), floats(-15 * DAY, -15 * DAY, -15 * DAY)
        again = missed(events, boots, image)
        assert told(again, PATCHES) == [(350.0, 2), (5 * DAY + 300, 2), (10 * DAY + 300, 3)]
        assert told(again, DEFINITIONS) == [(110.0, 10), (5 * DAY + 60, 11), (10 * DAY + 60, 12)]
        assert told(again, FEATURE_UPDATE) == [(50 + 900.0, 30), (5 * DAY + 900, 30), (10 * DAY + 900, 30)]
        assert set(again.events) == {PATCHES, DEFINITIONS, FEATURE_UPDATE}
        assert (again.first_weekday, again.key) == (0, 5)

    def test_what_the_image_has_is_not_done_again(self) -> None:
        """An event of the image's very date is in it; each boot has an image of its own."""
        events = shared(patches=[(-5 * DAY, 2), (9 * DAY, 3)])
        boots = floats(DAY, 2 * DAY, 10 * DAY, 11 * DAY)
        assert told(missed(events, boots, floats(-5 * DAY, -6 * DAY, 9 * DAY, 8 * DAY)), PATCHES) == [
            (2 * DAY + 300, 2),
            (11 * DAY + 300, 3),
        ]
        assert told(missed(events, floats(-6 * DAY), floats(-9 * DAY)), PATCHES) == []
        assert told(missed(events, floats(9 * DAY), floats(0.0)), PATCHES) == [(9 * DAY + 300, 3)], "at that very time"

    def test_joined_with_the_run(self) -> None:
        before = shared(patches=[(-9.0, 1)], definitions=[(-3.0, 2)])
        run = shared(patches=[(5.0, 3)], full_scans=[(7.0, 0)])
        both = since_image(before, run)
        assert told(both, PATCHES) == [(-9.0, 1), (5.0, 3)]
        assert told(both, DEFINITIONS) == [(-3.0, 2)]
        assert told(both, FEATURE_UPDATE) == []
        assert told(both, "full-scans") == [(7.0, 0)]
        assert told(run, PATCHES) == [(5.0, 3)]


class TestImages:
    boots = floats(1 * DAY, 5 * DAY, 6 * DAY, 20 * DAY)

    def dates(self, *strategy: Any, recomposed: tuple[float, ...] = ()) -> list[float]:
        found = image_dates(scenario(*strategy), floats(*recomposed), self.boots)
        return (found / DAY).tolist()

    def test_the_image_of_the_start(self) -> None:
        assert self.dates("refresh") == [-15.0] * 4
        assert self.dates({"name": "refresh", "image_age": "90 d"}) == [-90.0] * 4
        assert self.dates("instant-clone") == [-15.0] * 4, "the default of a refresh"
        assert self.dates("rebalance", recomposed=(DAY,)) == [-15.0] * 4

    def test_a_recompose_renews_it(self) -> None:
        assert self.dates("recompose", recomposed=(5 * DAY, 20 * DAY)) == [-15.0, 5.0, 5.0, 20.0]
        refresh = {"name": "refresh", "image_age": "40 d"}
        old = {"name": "recompose", "image_age": "2 d"}
        assert self.dates(refresh, old, recomposed=(5.5 * DAY,)) == [-40.0, -40.0, 3.5, 3.5]
        assert self.dates(refresh, old) == [-40.0] * 4

    def test_no_boots(self) -> None:
        assert image_dates(scenario("recompose"), floats(), floats()).size == 0

    def test_how_far_back(self) -> None:
        assert oldest_image_s(scenario()) == 15 * DAY
        assert oldest_image_s(scenario({"name": "refresh", "image_age": "90 d"}, "recompose")) == 90 * DAY
        assert oldest_image_s(scenario("refresh", {"name": "recompose", "image_age": "70 d"})) == 70 * DAY


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ([], False),
        (["linked-clone", "persistent-disk"], False),
        (["refresh"], True),
        ([{"name": "refresh", "catch_up": False}], False),
        ([{"name": "refresh", "catch_up": False}, "recompose"], False),
        (["refresh", "recompose"], True),
        *(([name], True) for name in ("recompose", "rebalance", "instant-clone", "provisioned-streaming", "mcs")),
    ],
)
def test_who_catches_up(strategy: list[Any], expected: bool) -> None:
    assert catches_up(scenario(*strategy)) is expected


@pytest.mark.parametrize(
    ("strategy", "lost"),
    [
        (["refresh"], True),
        (["refresh", "disposable-disk"], True),
        (["refresh", "persistent-disk"], False),
        (["refresh", "profile-container"], False),
        (["refresh", "profile-streaming"], False),
        (["refresh", {"name": "persistent-disk", "tags": ["user-data"]}], True),
    ],
)
def test_whose_profiles_are_lost(strategy: list[Any], lost: bool) -> None:
    assert loses_profiles(scenario(*strategy)) is lost


def test_what_survives() -> None:
    asked = scenario({"name": "persistent-disk", "tags": ["user-data", "application"]})
    assert [kept(asked, tag) for tag in ("user-data", "application", "profile")] == [True, True, False]


class TestStormsBefore:
    def before(self, age: float, asked: Scenario | None = None, seed: int = 1, replicate: int = 0) -> Shared:
        asked = asked or scenario("refresh")
        return storms_before(asked, Calendar.of(asked.pool.start, asked.pool.days), seed, replicate, age * DAY)

    def dates(self, events: Shared, kind: str) -> list[str]:
        days = Calendar.of(scenario().pool.start, 30)
        return [days.stamp(time_s).strftime("%Y-%m-%d %H:%M") for time_s in events.event(kind)[0].tolist()]

    def test_patches_follow_the_rule(self) -> None:
        """The second Tuesdays before January 5th, 2026, and a night later."""
        assert self.dates(self.before(15), PATCHES) == []
        assert self.dates(self.before(26), PATCHES) == ["2025-12-10 22:00"]
        assert self.dates(self.before(25), PATCHES) == []
        assert self.dates(self.before(90), PATCHES) == ["2025-10-15 22:00", "2025-11-12 22:00", "2025-12-10 22:00"]
        late = scenario("refresh", storms={"patch_delay": 27})
        assert self.dates(self.before(1, late), PATCHES) == [], "of December 9th: on January 5th, within the run"
        assert self.dates(self.before(40, late), PATCHES) == ["2025-12-08 22:00"]
        assert storms(late, Calendar.of(late.pool.start, 30), 1, 0).event(PATCHES)[0].tolist() == [22 * 3600.0]
        assert not self.before(90, scenario("refresh", storms={"patch_day": "never"})).event(PATCHES)[0].size

    def test_definitions_are_pushed_as_ever(self) -> None:
        """From Monday back: a weekend, then weekdays."""
        times, sizes = self.before(14).event(DEFINITIONS)
        by_day = np.bincount(-np.floor(times / DAY).astype(int), minlength=15)[1:]
        assert by_day.tolist() == [1, 1, 3, 3, 3, 3, 3] * 2
        assert (np.diff(times) > 0).all()
        assert -14 * DAY <= times.min() <= times.max() < 0
        assert set(sizes.tolist()) == {110_000_000}
        assert self.before(0).event(DEFINITIONS)[0].size == 0
        half = self.before(0.5).event(DEFINITIONS)[0]
        assert half.tolist() == times[times >= -0.5 * DAY].tolist()

    def test_an_image_that_is_serviced_gets_definitions_only(self) -> None:
        events = self.before(90, scenario("refresh", guest={"servicing": "in-image"}))
        assert [events.event(kind)[0].size > 0 for kind in (PATCHES, DEFINITIONS)] == [False, True]

    def test_a_greater_age_only_adds(self) -> None:
        short, long = self.before(40), self.before(400)
        for kind in (PATCHES, DEFINITIONS):
            times, sizes = short.event(kind)
            assert times.size
            assert told(long, kind)[-times.size :] == told(short, kind)
            assert long.event(kind)[0].size > 5 * times.size
            assert sizes.dtype == np.int64
        assert told(self.before(40, seed=2), DEFINITIONS) != told(short, DEFINITIONS)
        assert told(self.before(40, replicate=1), DEFINITIONS) != told(short, DEFINITIONS)

    def test_sizes_are_those_of_the_system(self) -> None:
        sizes = np.concatenate([self.before(3600, seed=seed).event(PATCHES)[1] for seed in range(4)]) / 1e6
        assert 500 <= sizes.min() < sizes.max() <= 1500
        assert abs(sizes.mean() / 1000 - 1) < 0.1
        assert np.unique(sizes).size > 0.9 * sizes.size

    def test_nothing_of_the_run_changes(self) -> None:
        """The streams are others: no push of a day before has the time of day of one within."""
        asked = scenario("refresh")
        run = storms(asked, Calendar.of(asked.pool.start, 30), 1, 0)
        run_times, times = run.event(DEFINITIONS)[0], self.before(30, asked).event(DEFINITIONS)[0]
        assert not np.isin(np.round(times % DAY, 3), np.round(run_times % DAY, 3)).any()


class TestPlans:
    def stream(self, again: str, name: str) -> np.random.Generator:
        return generator(1, 0, 0, f"clone:{again}{name}")

    def plans(self, asked: Scenario, boots_s: np.ndarray, image_s: np.ndarray, events: Shared) -> tuple[Any, Any, Any]:
        activity, horizon_s = activity_of(asked), asked.pool.days * DAY
        plan = activity.plan(Presence.none(), Shared(key=5), partial(self.stream, ""), horizon_s)
        again = with_catch_up(plan, activity, events, boots_s, image_s, partial(self.stream, "again:"), horizon_s)
        return activity, plan, again

    def written(self, ops: np.ndarray, activity: Any, source: str) -> int:
        mine = ops[ops["source"] == activity.names.index(source)]
        return int(mine["length"][np.isin(mine["op"], (0, 1))].sum())

    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    def test_one_set_and_one_package_for_each_boot(self, preset: str) -> None:
        """Of the image's month: a patch of 10 MB from before the run, definitions of 3 MB."""
        events = shared(patches=[(-3 * DAY, 10**7), (8 * DAY, 2 * 10**7)], definitions=[(-60.0, 3 * 10**6)])
        boots, images = floats(2 * DAY, 9 * DAY, 10 * DAY), floats(-9 * DAY, -DAY, 9 * DAY)
        activity, plan, again = self.plans(scenario("refresh", preset=preset), boots, images, events)
        lost = 100  # at most a byte of each file
        patches = self.written(again.ops, activity, "patch-download")
        assert 0 <= 3 * 10**7 - patches < lost, "10 MB, then 20 MB, then none"
        assert 0 <= 2 * 3 * 10**6 - self.written(again.ops, activity, "antivirus-definitions") < lost
        assert again.ops.size > plan.ops.size
        added = np.isin(again.ops["file"], plan.ops["file"], invert=True)
        assert again.ops[~added].tobytes() == plan.ops.tobytes()
        assert (np.diff(again.ops["time_s"]) >= 0).all()
        assert again.ops["time_s"][added].min() == 2 * DAY + 60

    def test_an_image_of_today_has_nothing_to_catch_up(self) -> None:
        events = shared(patches=[(-3 * DAY, 10**7)], definitions=[(-60.0, 3 * 10**6)])
        _, plan, again = self.plans(scenario("refresh"), floats(2 * DAY), floats(0.0), events)
        assert again.ops.tobytes() == plan.ops.tobytes()
        _, plan, again = self.plans(scenario("refresh"), floats(), floats(), events)
        assert again is plan

    def test_two_plans_are_one_in_order_of_time(self) -> None:
        events = shared(definitions=[(-60.0, 3 * 10**6)])
        _, plan, again = self.plans(scenario("refresh"), floats(2 * DAY), floats(-DAY), events)
        both = merged(again, plan)
        assert both.ops.size == again.ops.size + plan.ops.size
        assert len(both.reads) == len(again.reads) + len(plan.reads)
        for column in (both.ops["time_s"], both.reads.time_s):
            assert (np.diff(column) >= 0).all()
