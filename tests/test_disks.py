"""Disks: the fewest that keep each limit, against trying every number of them, and the worst minute by hand."""

from dataclasses import replace

import numpy as np
import pytest
from plan_tools import NO_LIMITS
from pool_tools import small
from test_size import alike
from test_size import pool as buying

from clonesim.errors import ParameterError
from clonesim.planning.array_load import worst_minute, worst_of
from clonesim.planning.disks import disks_for_io, disks_needed, least_disks, peak, usable_bytes, whole_array
from clonesim.planning.limits import limits_of
from clonesim.planning.resized import resized
from clonesim.units import GIB

WORST = (600, 300, 600 * 4096, 300 * 8192, 600)  # of a clone: I/Os and bytes of its worst minute


class TestDisksForIo:
    @pytest.mark.parametrize("raid", ["raid-0", "raid-5", "raid-10"])
    @pytest.mark.parametrize("limits", [{"iops": 0.3}, {"latency": "20 ms"}, {"iops": 0.3, "latency": "20 ms"}])
    def test_are_the_fewest_of_all_numbers(self, raid: str, limits: dict[str, float]) -> None:
        scenario = buying(array={"raid": raid, "spares": 1})
        sample = alike(scenario, worst=WORST)
        load, asked = whole_array(scenario, 20), limits_of(scenario, {**NO_LIMITS, **limits})
        minute = worst_of(sample, load)

        def bears(disks: int) -> bool:
            told = worst_minute(*minute, replace(load, array=replace(load.array, disks=disks)))
            used, late = np.quantile(told.utilisation, 0.95), np.quantile(told.latency_p95_s, 0.95)
            return (asked.iops is None or used <= asked.iops) and (asked.latency is None or late <= asked.latency)

        fewest = next(disks for disks in range(least_disks(load), 200) if bears(disks))
        assert fewest > 2 * least_disks(load), "the limits ask for something"
        assert disks_for_io(load, minute, asked) == fewest
        assert disks_needed(scenario, sample, asked, 0, 20)[0] == fewest
        assert disks_for_io(load, minute, asked, fewest + 3) == fewest + 3

    def test_limits_that_do_not_count(self) -> None:
        scenario = buying()
        load = whole_array(scenario, 20)
        minute = worst_of(alike(scenario, worst=WORST), load)
        asked = limits_of(scenario, {**NO_LIMITS, "iops": 0.3})
        assert disks_for_io(load, minute, asked, metrics=["latency"]) == least_disks(load)
        assert disks_for_io(load, minute, limits_of(scenario, NO_LIMITS)) == least_disks(load)

    def test_no_number_suffices(self) -> None:
        scenario = buying()
        load = whole_array(scenario, 20)
        minute = worst_of(alike(scenario, worst=WORST), load)
        asked = limits_of(scenario, {**NO_LIMITS, "iops": 0.3, "latency": "1 ms"})
        message = r"^array\.disks=\d{6}: not even 100000 disks keep the limit of iops and latency\. Take faster media, "
        with pytest.raises(ParameterError, match=message):
            disks_for_io(load, minute, asked)


def test_peak_of_the_whole_pool() -> None:
    """40 clones, ten reads and five writes a second each."""
    scenario = buying()
    load, sample = whole_array(scenario, 20), alike(scenario, worst=WORST)
    assert peak(load, sample) == (40 * 15.0, 40 * (10 * 4096.0 + 5 * 8192.0))
    assert peak(load, sample, 1.5) == (60 * 15.0, 60 * (10 * 4096.0 + 5 * 8192.0))


def test_capacity_of_too_few_disks_is_none() -> None:
    """Mirrored disks of 10 GiB, two spares: four make one pair beside the spares."""
    load = whole_array(buying(), 20)
    assert [usable_bytes(load, disks) for disks in (0, 3, 4, 6)] == [0, 0, 10 * GIB, 20 * GIB]


class TestResized:
    def test_as_many_users_for_each_clone(self) -> None:
        base = small(pool={"clones": 40, "days": 3}, users={"count": 30}, luns={"count": 4, "placement": "per-lun"})
        found = resized(base, 7, days=2, luns=1)
        assert (found.pool.clones, found.pool.days, found.users.count) == (7, 2, 5), "5.25 users for 7 clones"
        assert (found.luns.count, found.luns.placement) == (1, "round-robin")
        assert resized(base, 1).users.count == 1, "0.75 users are one"
        kept = resized(base, 80)
        assert (kept.pool.days, kept.users.count, kept.luns.count) == (3, 60, 4)

    def test_the_rest_stays(self) -> None:
        base = small(pool={"clones": 40}, users={"count": 30})
        back = resized(resized(base, 20), 40)
        assert back == resized(base, 40)
        assert resized(base, 40, guest={"discards": True}).guest.discards
