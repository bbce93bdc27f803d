"""Purchases: clones that are all alike, counted by hand; what chance and other assumptions add; refusals."""

import math
import re
from typing import Any

import numpy as np
import pytest
from plan_tools import NO_LIMITS, made_sample
from pool_tools import small

from clonesim.errors import ParameterError
from clonesim.planning.limits import limits_of
from clonesim.planning.pool_sample import PoolSample
from clonesim.planning.purchase import Purchase, grown, lun_size, purchase
from clonesim.planning.sizing import ITEMS, Size, size
from clonesim.planning.space_risk import fixed_bytes, pool_peaks
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario
from clonesim.units import GIB, MIB

CLONE, IMAGES = 120 * MIB, 5 * GIB  # View: logs of 100 MiB and a disk of 20 MiB each, two base images of 2.5 GiB a LUN
ARRAY = {"media": "hdd-15k", "raid": "raid-10", "disk_size": "10 GiB", "spares": 2, "read_cache": 0, "disks": 60}


def pool(clones: int = 40, **tables: Any) -> Scenario:
    """Desktops without swap files on datastores of 36 GiB."""
    base: dict[str, Any] = {
        "pool": {"clones": clones, "days": 2},
        "luns": {"size": "36 GiB", "reserve": 0.0, "backing": "vmfs-5"},
        "hosts": {"memory_reservation": 1.0},
        "array": ARRAY,
    }
    return small(**{table: {**base.get(table, {}), **tables.get(table, {})} for table in {**base, **tables}})


def alike(scenario: Scenario, each: int = GIB, replicates: int = 3, **more: Any) -> PoolSample:
    return made_sample(scenario, np.full((replicates, scenario.pool.clones, 2), each), lines=True, **more)


def bought(scenario: Scenario, sample: PoolSample, most: int = 40, limits: Any = None, **more: Any) -> Purchase:
    return purchase(scenario, sample, limits_of(scenario, {**NO_LIMITS, **(limits or {})}), most, **more)


class TestByHand:
    """40 clones of 1 GiB and 120 MiB beside 5 GiB of images a datastore, which has 36 GiB at most."""

    def test_datastores(self) -> None:
        """27 clones fit, 28 do not: two datastores of 20, which need 20 x 1.117 + 5 = 27.3 GiB."""
        made = bought(pool(), alike(pool()))
        assert 27 * (GIB + CLONE) + IMAGES <= 36 * GIB < 28 * (GIB + CLONE) + IMAGES
        assert (made.luns, made.clones_per_lun, made.lun_bytes) == (2, 20, 28 * GIB)
        assert (made.usable_bytes, made.replica_bytes) == (56 * GIB, 0)
        assert made.used_bytes == 40 * (GIB + CLONE) + 2 * IMAGES

    def test_mirrored_disks_for_the_space(self) -> None:
        """56 GiB are six disks of 10 GiB, twice, and two spares."""
        made = bought(pool(), alike(pool()))
        assert (made.disks, made.spares, made.disks_for, made.raw_bytes) == (14, 2, "capacity", 140 * GIB)

    def test_disks_with_parity_for_the_space(self) -> None:
        """Eight disks in two groups of at most five have six disks' worth of data; seven have five."""
        scenario = pool(array={"raid": "raid-5", "spares": 1})
        made = bought(scenario, alike(scenario))
        assert (made.disks, made.raw_bytes) == (9, 90 * GIB)

    def test_the_least_that_the_raid_level_takes(self) -> None:
        scenario = pool(array={"disk_size": "1 TiB"})
        made = bought(scenario, alike(scenario))
        assert (made.disks, made.disks_for) == (4, "raid")

    @pytest.mark.parametrize(("limit", "disks"), [(1.0, 3), (0.5, 5), (0.25, 9)])
    def test_disks_for_the_reads(self, limit: float, disks: int) -> None:
        """40 clones x 10 reads a second x 5.5 ms are 2.2 disks; N places keep d of them busy by N / (N + d - 1)."""
        scenario = pool(array={"raid": "raid-0", "spares": 0, "disk_size": "1 TiB"})
        sample = alike(scenario, worst=(600, 0, 600 * 4096, 0, 600))
        made = bought(scenario, sample, limits={"iops": limit})
        places = 2 * min(256, 32 * scenario.hosts.count)
        service = 0.0055 + 4096 / (150 * MIB)
        needed = next(d for d in range(1, 99) if 400 * service / d * (places + d - 1) / places <= limit)
        assert (made.disks, made.disks_for) == (needed, "iops") == (disks, "iops")
        assert made.iops == 400.0
        assert made.bytes_per_s == 400 * 4096

    def test_disks_for_the_writes(self) -> None:
        """A write in a mirror is two: 20 clones x 5 writes a second x 2 x 5.5 ms are 1.1 disks, so one pair, or two."""
        scenario = pool(clones=20, array={"disk_size": "1 TiB", "spares": 0})
        for limit, disks in ((0.6, 2), (0.5, 4)):
            made = bought(scenario, alike(scenario, worst=(0, 300, 0, 0, 0)), limits={"iops": limit})
            assert (made.disks, made.iops) == (disks, 100.0)

    def test_disks_for_the_latency(self) -> None:
        """M/M/1: 95 % of 400 reads a second on d disks take 0.2 ms + 3.0 x 5.5 ms / (1 - 2.2 / d) at most."""
        scenario = pool(array={"raid": "raid-0", "spares": 0, "disk_size": "1 TiB"})
        made = bought(scenario, alike(scenario, worst=(600, 0, 0, 0, 600)), limits={"latency": "25 ms"})
        needed = next(d for d in range(3, 99) if 0.0002 - math.log(0.05) * 0.0055 / (1 - 2.2 / d) <= 0.025)
        assert (made.disks, made.disks_for) == (needed, "latency")

    def test_more_growth_and_more_demand(self) -> None:
        scenario = pool(array={"raid": "raid-0", "spares": 0, "disk_size": "1 TiB"})
        start = np.full((3, 40), 256 * MIB)
        sample = alike(scenario, worst=(600, 0, 0, 0, 600), start=start)
        assert set(grown(sample, 2.0).ravel().tolist()) == {1792 * MIB}
        assert grown(sample, 1.0).tolist() == sample.size.tolist()
        made = bought(scenario, sample, growth=2.0, demand=3.0)
        each = 1792 * MIB + CLONE
        most = (36 * GIB - IMAGES) // each
        assert (made.luns, made.clones_per_lun) == (math.ceil(40 / most), 14)
        assert made.lun_bytes == math.ceil((14 * each + IMAGES) / GIB) * GIB
        assert made.iops == 1200.0

    def test_a_number_of_datastores_that_is_settled(self) -> None:
        """14, 14 and 12 of them: 14 x 1.117 + 5 = 20.6 GiB, three times."""
        made = bought(pool(), alike(pool()), luns=3)
        assert (made.luns, made.clones_per_lun, made.lun_bytes) == (3, 14, 21 * GIB)

    def test_other_limits_than_space(self) -> None:
        made = bought(pool(), alike(pool()), most=9)
        assert (made.luns, made.clones_per_lun, made.lun_bytes) == (5, 8, math.ceil(8 * 1.1171875 + 5) * GIB)

    def test_base_images_on_a_datastore_of_their_own(self) -> None:
        scenario = pool(luns={"replica_lun": True})
        made = bought(scenario, alike(scenario))
        assert (made.luns, made.clones_per_lun) == (2, 20)
        assert made.lun_bytes == math.ceil(20 * 1.1171875) * GIB
        assert made.replica_bytes == IMAGES
        assert made.usable_bytes == 2 * made.lun_bytes + IMAGES

    def test_a_reserve_makes_datastores_larger(self) -> None:
        scenario = pool(luns={"reserve": 0.2})
        made = bought(scenario, alike(scenario), luns=2)
        assert made.lun_bytes == math.ceil((20 * 1.1171875 + 5) / 0.8) * GIB

    def test_full_steps_leave_a_byte(self) -> None:
        """A datastore that would be full to its last byte is not full; one step more would be too much."""
        scenario = pool(clones=4, luns={"replica_lun": True})
        sizes = np.full((2, 4, 2), GIB - CLONE)
        assert lun_size(scenario, sizes, 4, 0.05, 0) == 5 * GIB, "4 GiB hold 4 GiB, but then they are full"

    def test_hosts_by_hand(self) -> None:
        """At 16 GiB less what the hypervisor takes, the memory of 40 desktops decides; one host more may fail."""
        made = bought(pool(), alike(pool())).hosts
        assert made.hosts == made.running + made.spare
        assert made.running == math.ceil(40 / made.desktops_per_host)
        assert made.desktops_per_host == min(made.per_host.values())


class TestTheRisk:
    @pytest.mark.parametrize("risk", [0.02, 0.1, 0.3])
    def test_of_any_datastore_is_what_was_asked_for(self, risk: float) -> None:
        """On the sample itself: no more than the risk, and a step less would be more."""
        rng = np.random.default_rng(4)
        sizes = (GIB * rng.lognormal(0, 0.8, (50, 40, 1))).astype(np.int64).repeat(2, axis=2)
        scenario = pool(luns={"size": "200 GiB"})
        made = bought(scenario, made_sample(scenario, sizes), limits={"outage": risk}, most=10)
        peaks = pool_peaks(sizes, fixed_bytes(scenario), made.clones_per_lun, 0)
        assert (peaks >= made.lun_bytes).mean() <= risk < (peaks >= made.lun_bytes - GIB).mean()

    def test_of_new_pools_too(self) -> None:
        """Bought on 200 pools at a risk of 10 %, tried on 2,000 others, each dealt out once."""
        rng = np.random.default_rng(5)

        def drawn(replicates):
            shock = rng.lognormal(0, 0.3, (replicates, 1, 1))
            return (GIB * shock * rng.lognormal(0, 0.8, (replicates, 40, 1))).astype(np.int64).repeat(2, axis=2)

        scenario = pool(luns={"size": "200 GiB"})
        made = bought(scenario, made_sample(scenario, drawn(200)), limits={"outage": 0.1}, luns=4)
        new = drawn(2000)[:, :, 0].reshape(2000, 4, 10).sum(axis=2).max(axis=1) + 10 * CLONE + IMAGES
        assert 0.04 < (new >= made.lun_bytes).mean() < 0.18


@pytest.fixture(scope="module")
def whole() -> Size:
    """Eight clones of 1 GiB each, seven on a datastore at most."""
    scenario = pool(clones=8)
    texts: list[str] = []

    def progress(text):
        texts.append(text)
        return lambda done, total: None

    limits = {**NO_LIMITS, "clones": 7}
    found = size(scenario, 0.1, limits=limits, sample=alike(scenario), processes=1, progress=progress)
    found.frame.attrs["texts"] = texts
    return found


class TestSize:
    def test_the_frame_is_the_purchase(self, whole: Size) -> None:
        frame = whole.frame.set_index("item")
        assert list(frame.index) == list(ITEMS)
        assert frame.loc["datastores", "value"] == whole.purchase.luns == 2
        assert frame.loc["datastore size", "value"] == math.ceil(4 * 1.1171875 + 5) * GIB
        assert frame.loc["usable capacity", "value"] == 20 * GIB
        assert frame.loc["effective capacity", "value"] == 8 * (GIB + CLONE) + 2 * IMAGES
        assert frame.loc["disks", "value"] == 6, "two disks of 10 GiB, twice, and two spares"
        assert (frame["low"] <= frame["value"]).all() and (frame["value"] <= frame["high"]).all()
        assert whole.frame.attrs["texts"] == ["Other assumptions"]

    def test_four_of_seven_is_no_matter_of_space(self, whole: Size) -> None:
        """Eight clones are dealt out evenly; it was the number of clones that asked for a second datastore."""
        assert whole.binding == "clones"
        assert repr(whole) == "<Size: 2 datastores of 0.01 TiB with 4 clones each, 6 disks, 2 hosts, unmeasured>"

    def test_where_space_asks_for_more_datastores_it_binds(self) -> None:
        scenario = pool(clones=8, luns={"size": "10 GiB"})
        found = size(scenario, 0.1, limits=NO_LIMITS, sample=alike(scenario), processes=1)
        assert (found.purchase.luns, found.binding) == (2, "outage")

    def test_deviations_add_up_as_squares(self, whole: Size) -> None:
        """Replicates are alike, so only the assumptions are left; each by itself, the farther way counts."""
        row = whole.frame.set_index("item").loc["usable capacity"]
        sides = {"low": 0.0, "high": 0.0}
        for _, part in whole.swings.groupby("assumption"):
            moved = part["usable_bytes"] - row["value"]
            sides["low"] += min(moved.min(), 0.0) ** 2
            sides["high"] += max(moved.max(), 0.0) ** 2
        assert row["value"] - row["low"] == pytest.approx(math.sqrt(sides["low"]))
        assert row["high"] - row["value"] == pytest.approx(math.sqrt(sides["high"]))
        assert sides["high"] > 0.0

    def test_swings_are_purchases_of_other_sizes(self, whole: Size) -> None:
        """Clones start at nothing: all of 1 GiB is growth, and is multiplied."""
        for row in whole.swings.to_dict("records"):
            each = 4 * (round(GIB * row["space"]) + CLONE) + IMAGES
            assert row["usable_bytes"] == 2 * math.ceil((each + 1) / GIB) * GIB

    def test_a_quarter_wrong_either_way(self, whole: Size) -> None:
        """4 x 1.25 GiB and all else are 10.5 GiB of 10 GiB: full for certain, and 1 GiB short on each of two.

        22 GiB are three disks of 10 GiB, twice; 18 GiB are two, as planned.
        """
        more, less = whole.wrong.to_dict("records")
        assert more == {"growth": 1.25, "p_outage": 1.0, "bytes": 2 * GIB, "disks": 2}
        assert less == {"growth": 0.75, "p_outage": 0.0, "bytes": -2 * GIB, "disks": 0}

    def test_what_to_measure_is_what_moves_most(self, whole: Size) -> None:
        spans = whole.swings.groupby("assumption")["usable_bytes"].agg(
            lambda part: max(part.max(), 20 * GIB) - min(part.min(), 20 * GIB)
        )
        assert whole.measure_swing == spans.max() / (20 * GIB)
        measures = {catalog.text("size", f"vary.{name}", "measure") for name in spans[spans == spans.max()].index}
        assert whole.measure in measures

    def test_the_label(self, whole: Size) -> None:
        assert whole.label.endswith("Risk that a datastore is full: 0.1.")
        assert whole.risk == 0.1

    def test_the_storm_of_the_worst_minute(self, whole: Size) -> None:
        """All minutes ask for the same; the first one of them is in the boot storm at the start."""
        assert whole.peak == "restarts"

    def test_the_density_of_the_whole_datastore_is_told_too(self, whole: Size) -> None:
        assert (whole.density.largest, whole.density.binding) == (7, "clones")


class TestRefused:
    def test_a_datastore_that_cannot_hold_one_clone(self) -> None:
        scenario = pool()
        message = f"luns.size={36 * GIB}: one clone needs 46 GiB. Enlarge it, or shorten pool.days."
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            bought(scenario, alike(scenario, 40 * GIB))

    def test_no_disks_are_that_fast(self) -> None:
        scenario = pool()
        with pytest.raises(ParameterError) as caught:
            bought(scenario, alike(scenario, worst=(600, 0, 0, 0, 600)), limits={"latency": "1 ms"})
        assert re.fullmatch(
            r"array\.disks=\d{6}: not even 100000 disks keep the limit of latency\. "
            r"Take faster media, more cache, or another limit\.",
            str(caught.value),
        )

    @pytest.mark.parametrize(
        ("asked", "message"),
        [
            ({"risk": 0}, "risk=0: allowed are 0.0001 to 0.5. The catalog's default is 0.05."),
            ({"risk": 1.5}, "risk=1.5: allowed are 0.0001 to 0.5. The catalog's default is 0.05."),
            ({"limits": {"outage": 0.2}}, "limits.outage=0.2: what is bought follows `risk`. Give it as risk."),
            (
                {"limits": {"queues": 0.2}},
                "limits.queues=0.2: limits are outage, lock_wait, conflicts, iops, latency, queue, clones. "
                "Did you mean 'queue'?",
            ),
        ],
    )
    def test_mistakes(self, asked: dict[str, Any], message: str) -> None:
        with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
            size(pool(), **asked)

    def test_a_sample_of_another_scenario(self) -> None:
        with pytest.raises(ParameterError, match="it was made from another table pool"):
            size(pool(clones=9), sample=alike(pool(clones=8)))

    def test_limits_made_before_take_the_risk_as_well(self) -> None:
        scenario = pool(clones=4)
        made = limits_of(scenario, {**NO_LIMITS, "outage": 0.3})
        assert size(scenario, 0.2, limits=made, sample=alike(scenario), processes=1).risk == 0.2
