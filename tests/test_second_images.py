"""Base images on LUNs: two while clones are recomposed, none where nothing is shared, as many as MCS keeps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pool_tools import WITHOUT
from strategy_tools import EXACT, GIB, pool

from clonesim.guest.presence import DAY_S
from clonesim.lun.backing import backing
from clonesim.pool.luns import LunResult, run_luns
from clonesim.pool.power import RECOMPOSED
from clonesim.pool.replicates import Replicate, replicates_of
from clonesim.pool.simulate import simulate
from clonesim.pool.space import second_images, space_of
from clonesim.pool.strategies.layout import effective
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

HOUR = 3600.0
NOON = 12 * HOUR
RECOMPOSE = {"name": "recompose", "every": "2 d", "at": "12:00"}  # when users are logged on: clones wait for them
LUNS = {"count": 2, "size": "1 TiB", "backing": "vmfs-5"}


def scenario(strategy: Sequence[Any], **luns: Any) -> Scenario:
    return effective(pool(WITHOUT, strategy, **{**EXACT, "luns": {**LUNS, **luns}}))


def simulated(made: Scenario) -> tuple[Replicate, list[LunResult]]:
    (one,) = replicates_of(made, 3, 1, None)
    return one, run_luns(made, one)


@pytest.fixture(scope="module")
def recomposed() -> tuple[Replicate, list[LunResult]]:
    return simulated(scenario([RECOMPOSE]))


def spans(line: Timeline, lun: int) -> list[tuple[float, float]]:
    """By hand: from the first clone of a LUN that is worked on after each turn until its last one is up."""
    restarts = line.restarts
    mine = restarts.take((restarts.cause == RECOMPOSED) & (line.lun[restarts.clone] == lun))
    found = []
    for turn in (2 * DAY_S + NOON, 4 * DAY_S + NOON):
        of_turn = (mine.down_s >= turn) & (mine.down_s < turn + 2 * DAY_S)
        assert of_turn.sum() == 3
        found.append((float(mine.start_s[of_turn].min()), float(mine.up_s[of_turn].max())))
    return found


class TestRecompose:
    @pytest.mark.parametrize("replicas", [1, 2, 3])
    def test_when_and_how_large(self, replicas: int) -> None:
        made = scenario([{**RECOMPOSE, "replicas": replicas}])
        line, image = Timeline.of(made, 3), int(backing("vmfs-5").allocated(made.guest.used))
        for lun in (0, 1):
            time_s, size = second_images(made, line, lun)
            assert time_s.tolist() == [at for span in spans(line, lun) for at in span]
            assert size.tolist() == [(replicas - 1) * image, (1 - replicas) * image] * 2

    def test_the_datastore_holds_both(self, recomposed: tuple[Replicate, list[LunResult]]) -> None:
        """Used bytes and `fixed_bytes` of each hour, from the clones' steps and the images' by hand."""
        one, results = recomposed
        image, fixed = 2560 * 2**20, space_of(scenario([RECOMPOSE]), 3).fixed_bytes
        for lun, result in enumerate(results):
            seen = set()
            for hour in range(5 * 24):
                end = (hour + 1) * HOUR
                two = any(first < end <= last for first, last in spans(one.timeline, lun))
                files = 0
                for clone in np.flatnonzero(one.timeline.lun == lun):
                    (batch,) = [b for b in one.batches if clone in b.job.clones]
                    mine = (batch.clone == clone) & (batch.time_s < end)
                    files += int(backing("vmfs-5").allocated(int(batch.size[mine].sum())))
                assert result.hours["used_bytes"][hour] == fixed + two * image + files
                assert result.hours["fixed_bytes"][hour] == fixed + two * image
                seen.add(two)
            assert seen == {True, False}
            assert result.extra[1].tolist() == [image, -image] * 2
            assert result.fill.fixed == fixed and result.fill.clones.tolist() == [lun, lun + 2, lun + 4]
            assert len(result.time_s) == len(result.clone) and (result.clone >= 0).all(), "images are no increments"

    def test_a_lun_may_be_full_because_of_it(self) -> None:
        """Room for the clones and one image and a half."""
        made = scenario([RECOMPOSE])
        _, usual = simulated(made)
        two = {lun: max(used.hours["used_bytes"]) for lun, used in enumerate(usual)}
        before = max(used.hours["used_bytes"][: 2 * 24].max() for used in usual)
        size = (before + min(two.values())) // 2
        assert size > before
        given = {**EXACT, "luns": {**LUNS, "size": int(size)}}
        run, plain = (simulate(pool(WITHOUT, one, **given), seed=3, processes=1) for one in ([RECOMPOSE], []))
        full_s = [fill.first_full_s for fill in run.fills]
        assert min(full_s) >= 2 * DAY_S + NOON and np.isfinite(min(full_s))
        starts = [first for lun in (0, 1) for first, _ in spans(Timeline.of(made, 3), lun)]
        assert min(full_s) in starts, "the copy of the image does not fit"
        early = plain.luns[plain.luns["time_s"] < min(full_s) - HOUR]
        assert (early["free_bytes"] > 0).all() and not early["desktops_down"].any()

    def test_images_on_a_lun_of_their_own(self) -> None:
        made = scenario([RECOMPOSE], replica_lun=True)
        one, results = simulated(made)
        assert (one.timeline.restarts.cause == RECOMPOSED).sum() == 12
        assert all(result.extra[0].size == 0 for result in results)
        assert space_of(made, 0).fixed_bytes == 0

    def test_streamed_images_lie_elsewhere(self) -> None:
        made = scenario([RECOMPOSE, "provisioned-streaming"])
        line = Timeline.of(made, 3)
        assert (line.restarts.cause == RECOMPOSED).any()
        assert second_images(made, line, 0)[0].size == 0

    def test_with_a_rebalance_they_come_where_the_clones_are(self) -> None:
        """Clones that moved are recomposed on the LUN that they moved to."""
        uneven = {"placement": "per-lun", "clones_per_lun": 6}
        given = {**EXACT, "luns": {**LUNS, **uneven}, "pool": {"clones": 6, "days": 7}}
        both = effective(pool(WITHOUT, [{"name": "rebalance", "every": "2 d"}, {**RECOMPOSE, "every": "4 d"}], **given))
        one, results = simulated(both)
        assert np.unique(one.timeline.moved).size >= 2 and not (one.timeline.lun == 1).any()
        assert results[1].extra[1].tolist() == [2560 * 2**20, -2560 * 2**20]


class TestOthers:
    @pytest.mark.parametrize(
        "strategy, images",
        [
            ("linked-clone", 1),
            ("full-clone", 0),
            ("provisioned-streaming", 0),
            ("mcs", 2),
            ({"name": "mcs", "replicas": 3}, 3),
            ("instant-clone", 1),
        ],
    )
    def test_images_on_each_lun(self, strategy: Any, images: int) -> None:
        made = scenario([strategy])
        fixed = space_of(made, 3)
        plain = space_of(scenario([]), 3).table.set_index("item")
        table = fixed.table.set_index("item")
        one = plain.loc["base image", "total_bytes"]
        assert one == 2560 * 2**20 and table.loc["base image", "total_bytes"] == images * one
        own = fixed.fixed_bytes - images * one
        assert own == 3 * fixed.clone_bytes
        helper = table.loc["internal or identity disk", "bytes"]
        if "mcs" in str(strategy):
            assert helper == 36 * 2**20
        assert (
            fixed.clone_bytes - helper
            == space_of(scenario([]), 3).clone_bytes - plain.loc["internal or identity disk", "bytes"]
        )
        assert 3 * GIB < own < 4 * GIB, "swap files of 1 GiB"
