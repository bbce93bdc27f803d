"""What a pool must show: users and their clones, an idle year, a full datastore, a full guest, measured starts."""

import numpy as np
import pytest
from pool_tools import WITH_DISCARDS, WITHOUT, live, small

from clonesim.errors import ParameterError, ScenarioError
from clonesim.guest import Volume
from clonesim.pool.clones import Desktop, activity_of
from clonesim.pool.run import Run
from clonesim.pool.simulate import simulate
from clonesim.pool.timeline import Timeline

MIB, GIB = 2**20, 2**30
# What users do themselves, whichever clone they sit at; "new-profile" and "appx-first-logon" are a clone's first logon.
USERS = {"browser-cache", "browser-database", "office-save", "office-temp", "documents", "profile-load", "profile-save"}
USERS |= {"user-hive", "temp-files", "print-spool"}


class TestUsers:
    @pytest.mark.parametrize("preset", [WITH_DISCARDS, WITHOUT])
    def test_floating_and_dedicated_write_the_same_with_another_spread(self, preset: str) -> None:
        dedicated, floating = (
            simulate(small(preset, pool={"clones": 12, "days": 10}, users={"assignment": how}), seed=5)
            for how in ("dedicated", "floating")
        )
        assert floating.refused_logons == dedicated.refused_logons == 0
        assert floating.refused_operations == dedicated.refused_operations == 0
        one, two = (run.source_bytes["written_bytes"] for run in (dedicated, floating))
        for source in USERS:
            assert one[source] == two[source] > 0, source
        assert two["new-profile"] > one["new-profile"], "every user meets every clone for a first time"
        assert dedicated.summary["delta_p95_bytes"] != floating.summary["delta_p95_bytes"]
        by_clone = [run.growth[run.growth["day"] == 9]["written_bytes"].to_numpy() for run in (dedicated, floating)]
        assert (by_clone[0] != by_clone[1]).all()

    def test_an_idle_clone_still_grows(self) -> None:
        run = simulate(small(pool={"clones": 2, "days": 7}, workload={"name": "idle"}), seed=0)
        assert run.scenario.users.count == 0
        steps = run.growth.groupby("clone")["unique_bytes"].diff().dropna()
        assert (steps > 0).all(), "every day, by the service logs alone"
        assert (
            run.growth.groupby("clone")["delta_bytes"].last() > run.growth.groupby("clone")["delta_bytes"].first()
        ).all()
        assert not USERS & set(run.sources["source"])


@pytest.fixture(scope="module")
def year() -> Run:
    return simulate(small(pool={"clones": 1, "days": 365}), seed=0)


class TestAYear:
    """A clone left alone for a year approaches the format's maximum and never passes it.

    The bound is the one of vmfs-sparse for a disk rewritten as a whole, H + 16 MiB x ceil(capacity x 129/128 / 16 MiB):
    4,328,531,968 B for 4 GiB. What the clone never writes again are the files of its base image that no source touches.
    """

    def test_never_passes_the_maximum(self, year: Run) -> None:
        capacity, tables = 4 * GIB, 2048
        header = -(-(2048 + 4 * tables) // 512) * 512
        bound = header + 16 * MIB * -(-(capacity * 129 // 128) // (16 * MIB))
        assert year.growth["delta_bytes"].max() <= bound
        assert Desktop(year.scenario, 0).delta.law.full_bytes == bound

    def test_approaches_it(self, year: Run) -> None:
        """All space that was free in the image, and more, is in the delta; growth has slowed down."""
        size = year.growth["delta_bytes"].to_numpy()
        free = year.scenario.guest.disk - year.scenario.guest.used
        assert size[-1] > free
        assert size[-1] - size[-91] < (size[90] - size[0]) / 5
        assert size[-1] > 0.5 * year.scenario.guest.disk


@pytest.fixture(scope="module")
def full() -> Run:
    """Replica 2.5 GiB and swap files 6 GiB leave 4.5 GiB to deltas that would come to about 17 GiB."""
    tables = {"pool": {"clones": 6, "days": 10}, "luns": {"size": "10 GiB", "count": 2}, "users": {"absence": 0.0}}
    return simulate(small(**tables), seed=0, replicates=2)


class TestAFullDatastore:
    def test_everyone_who_grows_goes_down(self, full: Run) -> None:
        assert full.summary["datastores_full"] == 4
        assert len(full.halts) == full.summary["desktops_down"] == 12
        assert set(full.halts["cause"]) == {"growth"}
        first = full.halts.groupby(["replicate", "lun"])["time_s"].min().to_numpy()
        assert first.tolist() == [fill.first_full_s for fill in full.fills]
        assert np.allclose(full.halts["down_s"], full.scenario.horizon_s - full.halts["time_s"])

    def test_nothing_grows_after_its_desktop_halted(self, full: Run) -> None:
        halt = full.halts[["replicate", "clone", "time_s"]].rename(columns={"time_s": "halt_s"})
        steps = full.increments.merge(halt, on=["replicate", "clone"])
        assert len(steps) == len(full.increments) > 100
        assert (steps["time_s"] < steps["halt_s"]).all()
        assert (full.luns["used_bytes"] <= 10 * GIB).all()
        frozen = full.luns.groupby(["replicate", "lun"])["used_bytes"].last()
        assert (frozen > 10 * GIB - 16 * MIB).all(), "the last step that would have fitted was refused"

    def test_growth_after_the_outage_is_censored(self, full: Run) -> None:
        halt = full.halts.set_index(["replicate", "clone"])["time_s"]
        for row in full.growth.itertuples():
            assert row.censored == ((row.day + 1) * 86400 > halt[row.replicate, row.clone])
        assert full.growth["censored"].any() and not full.growth["censored"].all()

    def test_desktops_down_by_the_hour(self, full: Run) -> None:
        for (replicate, lun), hours in full.luns.groupby(["replicate", "lun"]):
            mine = full.halts[(full.halts["replicate"] == replicate) & (full.halts["lun"] == lun)]["time_s"].to_numpy()
            expected = [(mine < end).sum() for end in hours["time_s"] + 3600]
            assert hours["desktops_down"].tolist() == expected

    def test_outage_and_warning(self, full: Run) -> None:
        s = full.summary
        first = min(fill.first_full_s for fill in full.fills) / 86400
        assert s["p_outage"] == 1.0 and s["first_full_day"] == first < 10
        assert full.outage["p_outage"].is_monotonic_increasing
        for row in full.outage.itertuples():
            hit = [min(part) < (row.day + 1) * 86400 for part in full.first_full_s]
            assert row.p_outage == np.mean(hit)
        lead = s["warning_lead_days"]
        assert list(lead) == ["75%", "85%", "95%"]
        assert lead["75%"] >= lead["85%"] >= lead["95%"] >= 0
        used = full.luns[(full.luns["replicate"] == 0) & (full.luns["lun"] == 0)]
        crossed = used[used["used_bytes"] >= 0.95 * 10 * GIB]["time_s"].iloc[0]
        assert crossed <= full.fills[0].level_s[0.95] < crossed + 3600
        assert full.first_full["day"].iloc[0] == first

    def test_with_room_the_same_desktops_grow_on(self, full: Run) -> None:
        roomy = simulate(small(pool={"clones": 6, "days": 10}, luns={"count": 2}, users={"absence": 0.0}), seed=0)
        before = full.growth[(full.growth["replicate"] == 0)].reset_index(drop=True)
        assert (before["delta_bytes"] == roomy.growth["delta_bytes"]).all(), "censored: what it would have come to"
        assert len(roomy.increments) > (full.increments["replicate"] == 0).sum()


class TestAFullGuest:
    def test_refused_operations_are_counted_and_the_volume_is_sound(self) -> None:
        scenario = small(guest={"used": "3800 MiB"}, pool={"clones": 2, "days": 5})
        run = simulate(scenario, seed=0)
        assert run.refused_operations > 0
        assert run.growth["guest_used_bytes"].max() > 0.98 * scenario.guest.disk
        desk = Desktop(scenario, 0)
        refused = 0
        for clone in (0, 1):
            refused += live(desk, Timeline.of(scenario, 0), clone).ran.refused
            desk.volume.check_invariants()
        assert refused == run.refused_operations == run.summary["refused_operations"]

    def test_with_room_nothing_is_refused(self) -> None:
        assert simulate(small(guest={"disk": "16 GiB"}, pool={"clones": 2, "days": 5}), seed=0).refused_operations == 0


class TestStartFromADeltaSize:
    def test_every_size_is_higher_by_that(self) -> None:
        plain, ahead = (simulate(small(guest={"start": {"delta": size}}), seed=0) for size in (0, "1 GiB"))
        assert (ahead.growth["delta_bytes"] - plain.growth["delta_bytes"] == GIB).all()
        for column in ("written_bytes", "unique_bytes", "guest_used_bytes"):
            assert (ahead.growth[column] == plain.growth[column]).all()
        assert (ahead.luns["used_bytes"] - plain.luns["used_bytes"] == 6 * GIB).all()
        assert ahead.increments["time_s"].tolist() == plain.increments["time_s"].tolist()


@pytest.fixture(scope="module")
def measured() -> Volume:
    """Another desktop's volume, aged: what a copy of $Bitmap would come from."""
    scenario = small(guest={"used": "2 GiB"})
    return Desktop(scenario, 99).image.volume


class TestStartFromABitmap:
    @pytest.fixture
    def path(self, measured: Volume, tmp_path) -> str:
        np.packbits(measured.bitmap, bitorder="little").tofile(tmp_path / "bitmap")
        return str(tmp_path / "bitmap")

    def test_a_volume_takes_the_clusters(self, measured: Volume) -> None:
        volume = Volume("4 GiB", os="windows-xp")
        own = volume.bitmap
        volume.occupy(measured.bitmap)
        assert (volume.bitmap == (measured.bitmap | own)).all()
        assert volume.used_bytes == volume.bitmap.sum() * volume.cluster_size
        assert volume.free_runs == pytest.approx(measured.free_runs, rel=0.01)
        volume.check_invariants()
        volume.create("file", "100 MiB")
        volume.delete("file")
        volume.check_invariants()
        assert volume.bitmap[measured.bitmap].all(), "a measured cluster was given away"

    def test_a_short_bitmap_leaves_the_rest_free(self, measured: Volume) -> None:
        volume = Volume("4 GiB", os="windows-xp")
        own = volume.bitmap
        volume.occupy(measured.bitmap[:200_000])
        assert (volume.bitmap[200_000:] == own[200_000:]).all()
        volume.check_invariants()

    def test_clones_start_from_it(self, measured: Volume, path: str) -> None:
        scenario = small(guest={"start": {"bitmap": path}}, pool={"clones": 2, "days": 5})
        desk = Desktop(scenario, 0)
        volume = desk.image.volume
        volume.check_invariants()
        assert volume.bitmap[measured.bitmap].all()
        base = activity_of(scenario).base_files(0)
        assert len(volume) == len(base)
        assert all(volume.size(number) == size for number, size in base)
        run = simulate(scenario, seed=0)
        assert run.hash == simulate(scenario, seed=0).hash
        assert run.refused_operations == 0
        assert run.growth["unique_bytes"].min() > 0

    def test_no_clone_writes_where_measured_files_lie(self, measured: Volume, path: str) -> None:
        scenario = small(guest={"start": {"bitmap": path}}, pool={"clones": 1, "days": 5})
        desk = Desktop(scenario, 0)
        own = Volume("4 GiB", os="windows-xp").bitmap
        live(desk, Timeline.of(scenario, 0))
        written, offset = np.zeros(own.size, np.bool_), desk.volume.settings.values["partition_offset"]
        for start, end in desk.delta.grain_map():  # grains are sectors: what is before the partition is below 0
            written[max(0, (start - offset) // 4096) : max(0, -(-(end - offset) // 4096))] = True
        assert written.sum() > 10_000
        assert not (written & measured.bitmap & ~own).any()

    def test_files_that_are_no_bitmap(self, tmp_path) -> None:
        (tmp_path / "empty").write_bytes(b"")
        with pytest.raises(ParameterError) as caught:
            simulate(small(guest={"start": {"bitmap": str(tmp_path / "empty")}}))
        where = str(tmp_path / "empty")
        assert str(caught.value) == (
            f"guest.start.bitmap={where!r}: a copy of $Bitmap has 1 B to 128 MiB. Take the volume's $Bitmap, or raise "
            "the limit: CLONESIM_LIMITS='bitmap_bytes=256 MiB'."
        )
        with pytest.raises(ScenarioError, match="there is no such file"):
            small(guest={"start": {"bitmap": str(tmp_path / "absent")}})


def test_a_desktop_is_all_its_disks() -> None:
    """Quantiles and means are of desktops: by hand, the disks of each added up."""
    run = simulate(small(WITHOUT, platform={"name": "generic"}, strategy=["disposable-disk"]), seed=3, replicates=2)
    last = run.growth[run.growth["day"] == run.scenario.pool.days - 1]
    assert last["disk"].nunique() == 2
    sums = {key: int(part["delta_bytes"].sum()) for key, part in last.groupby(["replicate", "clone"])}
    found = run.desktops[run.desktops["day"] == run.scenario.pool.days - 1]
    assert dict(zip(zip(found["replicate"], found["clone"], strict=True), found["delta_bytes"], strict=True)) == sums
    assert run.summary["delta_mean_bytes"] == pytest.approx(np.mean(list(sums.values())))
    assert run.summary["delta_p50_bytes"] == np.median(list(sums.values()))
    assert run.summary["delta_total_bytes"] == sum(sums.values()) // 2
    used = last.groupby(["replicate", "clone"])["guest_used_bytes"].sum()
    assert run.summary["guest_used_mean_bytes"] == pytest.approx(float(used.mean()))
