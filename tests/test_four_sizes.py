"""Guest, delta, datastore and array bytes of a simulated pool, recomputed from its steps in plain Python."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pool_tools import small

from clonesim.lun.backing import backing
from clonesim.pool.clones import GROWTH
from clonesim.pool.desktop import activity_of
from clonesim.pool.luns import LunResult, run_luns
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate
from clonesim.pool.strategies.content import held_by_source
from clonesim.pool.strategies.sizes import FIGURES, SIZES, four_sizes, sizes_of, steps_frame
from clonesim.scenario import load_scenario
from clonesim.scenario.model import Scenario

MIB = 2**20
DAY = 86400.0
CLONES, DAYS = 6, 3


def scenario(kind: str) -> Scenario:
    luns = {"count": 2, "placement": "round-robin", "size": "200 GiB", "backing": "vmfs-5"}
    strategy: dict[str, Any] = {"linked": [], "refresh": ["refresh", "disposable-disk"]}
    tables = {"platform": {"name": "generic"}, "delta": {"format": "vmfs-sparse"}}
    return load_scenario(small(luns=luns, **tables), strategy=strategy[kind])


@cache
def pool(kind: str) -> tuple[Scenario, Replicate, list[LunResult]]:
    given = scenario(kind)
    one = next(iter(replicates_of(given, 3, 1, None)))
    return given, one, run_luns(given, one)


@cache
def finished(kind: str) -> Run:
    return simulate(scenario(kind), seed=3, processes=1)


def told(kind: str, *strategies: Any, **options: Any) -> pd.DataFrame:
    given, one, luns = pool(kind)
    more = load_scenario(given, strategy=[*given.strategy, *strategies]) if strategies else given
    return sizes_of(more, one, luns, **options).set_index("size")


def steps_of(one: Replicate) -> list[tuple[float, int, int, int]]:
    found = []
    for batch in one.batches:
        columns = (batch.time_s, batch.clone, batch.disk, batch.size)
        found += list(zip(*(column.tolist() for column in columns), strict=True))
    return sorted(found)


def walk(one: Replicate, law: Any) -> tuple[float, float, list[list[float]]]:
    """Mean and most bytes of all files together under a law of each file's size, and each clone's at ends of days."""
    files: dict[tuple[int, int], int] = defaultdict(int)
    counted: dict[tuple[int, int], int] = {}
    ends = [[0.0] * DAYS for _ in range(CLONES)]
    area, most, last, total = 0.0, 0.0, 0.0, 0
    steps = [*steps_of(one), (DAYS * DAY, -1, 0, 0)]
    day = 0
    for k, (time_s, clone, disk, size) in enumerate(steps):
        area += total * (time_s - last)
        last = time_s
        while day < DAYS and time_s >= (day + 1) * DAY:
            for (whose, _), bytes_ in counted.items():
                ends[whose][day] += bytes_
            day += 1
        if clone < 0:
            break
        files[clone, disk] += size
        before = counted.get((clone, disk), 0)
        counted[clone, disk] = law(disk, files[clone, disk], before)
        total += counted[clone, disk] - before
        if steps[k + 1][0] > time_s:
            most = max(most, total)
    return area / (DAYS * DAY), most, ends


@pytest.mark.parametrize("kind", ["linked", "refresh"])
def test_sizes_equal_those_counted_step_by_step(kind: str) -> None:
    _, one, luns = pool(kind)
    frame = told(kind)
    assert list(frame.index) == list(SIZES)
    mean, most, ends = walk(one, lambda disk, size, before: size)
    delta = [mean / CLONES, np.quantile(ends, 0.95), most / CLONES, np.mean(ends, axis=0)[-1]]
    assert frame.loc["delta", list(FIGURES)].tolist() == pytest.approx(delta)
    fixed = sum(lun.fill.fixed for lun in luns) / CLONES
    mean, most, ends = walk(one, lambda disk, size, before: math.ceil(size / MIB) * MIB)  # blocks of VMFS-5
    store = [mean / CLONES, np.quantile(ends, 0.95), most / CLONES, np.mean(ends, axis=0)[-1]]
    assert frame.loc["datastore", list(FIGURES)].tolist() == pytest.approx([one + fixed for one in store])
    assert frame.loc["array", list(FIGURES)].tolist() == pytest.approx(frame.loc["datastore", list(FIGURES)].tolist())
    used = np.zeros((CLONES, DAYS))
    for batch in one.batches:
        for k, clone in enumerate(batch.job.clones):
            used[clone] = batch.growth[k, :, :, GROWTH.index("guest_used_bytes")].sum(axis=0)
    guest = [used.mean(), np.quantile(used, 0.95), used.mean(axis=0).max(), used[:, -1].mean()]
    assert frame.loc["guest", list(FIGURES)].tolist() == pytest.approx(guest)


def test_datastores_hold_what_their_filling_says() -> None:
    _, _, luns = pool("linked")
    by_hour = sum(lun.fill.used for lun in luns)  # hourly, so it may miss what nobody gives back: nothing, here
    assert told("linked").loc["datastore", "peak_bytes"] == pytest.approx(by_hour.max() / CLONES)
    assert told("linked").loc["datastore", "end_bytes"] == pytest.approx(by_hour[-1] / CLONES)


@pytest.mark.parametrize("kind", ["linked", "refresh"])
def test_a_run_tells_the_same_where_its_steps_are_known(kind: str) -> None:
    given, one, luns = pool(kind)
    run = finished(kind)
    exact = four_sizes(run, steps_frame(one.batches))
    pd.testing.assert_frame_equal(exact, sizes_of(given, one, luns))
    for strategy in (["array-dedup"], [{"name": "thin-lun", "mode": "none"}]):
        more = load_scenario(given, strategy=[*given.strategy, *strategy])
        found = four_sizes(replace(run, scenario=more), steps_frame(one.batches))
        pd.testing.assert_frame_equal(found, sizes_of(more, one, luns))


def test_days_alone_miss_what_goes_before_the_evening() -> None:
    exact = sizes_of(*pool("refresh")).set_index("size")
    by_day = four_sizes(finished("refresh")).set_index("size")
    assert by_day.loc["delta", "end_bytes"] == pytest.approx(exact.loc["delta", "end_bytes"])
    assert by_day.loc["delta", "p95_bytes"] == pytest.approx(exact.loc["delta", "p95_bytes"])
    assert by_day.loc["guest"].tolist() == pytest.approx(exact.loc["guest"].tolist())
    assert by_day.loc["delta", "peak_bytes"] < exact.loc["delta", "peak_bytes"]
    grown = four_sizes(finished("linked")).set_index("size")
    assert grown.loc["delta", "peak_bytes"] == pytest.approx(told("linked").loc["delta", "peak_bytes"])


def test_a_thin_lun_shows_only_where_something_is_given_back() -> None:
    never = {"name": "thin-lun", "mode": "none"}
    columns = list(FIGURES)
    assert told("linked", never).loc["array", columns].tolist() == pytest.approx(
        told("linked").loc["array", columns].tolist()
    )
    plain, thin = told("refresh"), told("refresh", never)
    assert thin.loc["array", "peak_bytes"] >= plain.loc["array", "peak_bytes"]
    assert thin.loc["array", "end_bytes"] > plain.loc["array", "end_bytes"]
    assert thin.loc["datastore", columns].tolist() == plain.loc["datastore", columns].tolist()
    most = told("refresh", never, reuse=False)
    assert most.loc["array", "end_bytes"] > thin.loc["array", "end_bytes"]
    fast = {"name": "thin-lun", "mode": "auto", "rate": 10**10}
    quick = told("refresh", fast).loc["array", columns].tolist()
    assert quick == pytest.approx(plain.loc["array", columns].tolist(), rel=1e-3)
    # by hand, LUN by LUN: without UNMAP and with reuse, an array has what its datastore ever had
    _, one, luns = pool("refresh")
    total = sum(lun.fill.fixed for lun in luns)
    for lun in range(2):
        files: dict[tuple[int, int], int] = defaultdict(int)
        live = top = 0
        for time_s, clone, disk, size in steps_of(one):
            if one.timeline.lun[clone] == lun and time_s < DAYS * DAY:
                before = math.ceil(files[clone, disk] / MIB)
                files[clone, disk] += size
                live += math.ceil(files[clone, disk] / MIB) - before
                top = max(top, live)
        total += top * MIB
    assert thin.loc["array", "end_bytes"] == pytest.approx(total / CLONES)


@pytest.mark.parametrize("compression", [True, False])
def test_deduplication_counts_shared_content_once(compression: bool) -> None:
    given, one, luns = pool("linked")
    choice = {"name": "array-dedup", "compression": compression, "block": "512 B"}
    frame = told("linked", choice)
    activity = activity_of(given)
    shared = activity.shared_content
    small_ = activity.compressed if compression else [1.0] * len(shared)
    held = np.zeros((CLONES, len(shared)))  # no disk was emptied: first touches less releases are what is held
    for batch in one.batches:
        for k, clone in enumerate(batch.job.clones):
            held[clone] = (batch.sources[k, 0, :, :, 1] - batch.sources[k, 0, :, :, 2]).sum(axis=0)
    array = 0.0
    for s in range(len(shared)):
        common = np.floor(held[:, s] * shared[s] / 512) * 512
        array += small_[s] * (common.max() + (held[:, s] - common).sum())
    table = luns[0].fixed.table
    images = int(table.loc[table["item"] == "base image", "total_bytes"].sum())
    store = told("linked").loc["datastore", "end_bytes"] * CLONES
    array += store - held.sum() - 2 * images  # grain tables, room in the last increment, swap files: as they are
    array += images * small_[0]  # the same on both LUNs
    assert images > 0
    assert frame.loc["array", "end_bytes"] == pytest.approx(array / CLONES)
    assert frame.loc["datastore"].tolist() == told("linked").loc["datastore"].tolist()


def test_luns_with_disks_of_their_own_share_no_content() -> None:
    given, one, luns = pool("linked")
    apart = load_scenario(given, strategy=["array-dedup"], array={"shared": False})
    own = sizes_of(apart, one, luns).set_index("size").loc["array", "end_bytes"]
    assert own > told("linked", "array-dedup").loc["array", "end_bytes"]


def test_copies_of_the_backing_count_in_the_array() -> None:
    given, one, luns = pool("linked")
    copies = backing("vsan").redundancy
    assert copies > 1
    where = load_scenario(
        given, luns={"backing": "vsan"}, delta={"format": "vmfs-sparse"}, platform={"name": "generic"}
    )
    frame = sizes_of(where, one, luns).set_index("size")
    for column in FIGURES:
        assert frame.loc["array", column] == pytest.approx(copies * frame.loc["datastore", column])


def test_content_is_shared_out_by_first_touches() -> None:
    # One clone, system disk and another; sources 0 (file system), 1, 2. Days: 30 + 10 touched; then 20 more, 5 back.
    days = [
        np.array([[[0.0, 30, 10], [0, 0, 7]]]),
        np.array([[[0.0, 20, -5], [0, 0, 0]]]),
    ]
    unique = np.array([[[40.0, 55], [7, 7]]])
    first, second = held_by_source(unique, lambda day: days[day])
    assert first.tolist() == [[0, 30, 17, 0]]
    assert second.tolist() == [[0, 50, 12, 0]]
    emptied = np.array([[[40.0, 11], [7, 0]]])  # reset on the second day: 11 are left, in the same parts
    _, second = held_by_source(emptied, lambda day: days[day])
    assert second.tolist() == [[0, 10, 1, 0]]
    full = np.array([[[140.0, 155], [7, 7]]])  # a full clone holds 100 of the image as well
    first, second = held_by_source(full, lambda day: days[day], image=True)
    assert first.tolist() == [[0, 30, 17, 100]]
    assert second.tolist() == [[0, 50, 12, 100]]
    unknown = next(held_by_source(np.array([[[9.0]]]), lambda day: np.zeros((1, 1, 3))))
    assert unknown.tolist() == [[9, 0, 0, 0]]
