"""What the guest no longer uses is given back: against sets of grains, by hand, and in pools."""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pool_tools import WITH_DISCARDS, WITHOUT, live
from reference_delta import PlainQcow2, plain, whole
from strategy_tools import KIB, MIB, SPARSE, pool
from volume_tools import ops

from clonesim.delta import Delta
from clonesim.guest import Volume
from clonesim.guest.presence import DAY_S
from clonesim.ops import BlockOp, FileOp, Requests
from clonesim.pool.account_kernel import READ_BYTES, READS, RELEASED, WRITE_BYTES, WRITES, WRITTEN
from clonesim.pool.clone_disk import CloneDisk, free_ranges
from clonesim.pool.clones import Job, run_job
from clonesim.pool.desktop import Desktop
from clonesim.pool.strategies.kinds import full_disk
from clonesim.pool.strategies.layout import DISCARD, LOGOFF, OS, TURN, WIPE, ZERO, Reclaim
from clonesim.pool.timeline import Timeline

HOUR = 3600.0
CREATE, APPEND, OVERWRITE, DELETE = FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.DELETE

# --- a delta against a set of grains ------------------------------------------------------------------------------

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("vmfs-sparse", {"increment": MIB}),
    ("se-sparse", {"increment": MIB}),
    ("se-sparse", {"increment": MIB, "discard": "ignore"}),
    ("qcow2", {}),
    ("qcow2", {"cluster_size": 512}),
    ("vmdk-hosted", {"grain": 8 * KIB}),
    ("vhd", {"block": MIB // 2}),
    ("vhdx", {"block": MIB}),
    ("lvm-thin", {}),
    ("zfs-zvol", {}),
    ("rbd", {"object": 64 * KIB}),
    ("exact", {}),
    ("exact", {"discard": "ignore"}),
]


@st.composite
def histories(draw: Any) -> tuple[int, list[tuple[int, list[tuple[int, int]]]]]:
    """Capacity, and steps: a block operation on a range, or -1 for reclaiming ranges that are in order and apart."""
    capacity = 512 * draw(st.integers(8, 6 * MIB // 512))
    unit = draw(st.sampled_from([512, 4096, 65536]))
    edge = st.integers(0, capacity // unit).map(lambda k: k * unit) | st.just(capacity)
    steps = []
    for _ in range(draw(st.integers(1, 15))):
        op = draw(st.sampled_from([int(BlockOp.WRITE)] * 3 + [int(BlockOp.DISCARD)] + [-1] * 2))
        edges = sorted(draw(st.sets(edge, min_size=2, max_size=2 if op >= 0 else 8)))
        pairs = list(zip(edges[::2], edges[1::2], strict=False))
        steps.append((op, pairs))
    return capacity, steps


@pytest.mark.parametrize(("name", "p"), VARIANTS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories())
def test_reclaiming_follows_a_set_of_grains(name: str, p: dict[str, Any], history: Any) -> None:
    capacity, steps = history
    delta, slow = Delta(name, capacity, **p), plain(name, capacity, **p)
    for number, (op, ranges) in enumerate(steps):
        if op >= 0:
            low, high = ranges[0]
            row = np.array([float(number)]), np.array([op], np.uint8), np.array([low]), np.array([high - low])
            delta.apply(Requests(*row))
            slow.request(number, op, low, high - low)
        else:
            gone = {g for low, high in ranges for g in whole(low, high, slow.grain, capacity)} & slow.held
            pairs, before = np.array(ranges, np.int64), slow.file
            expected = delta.reclaimable(pairs)
            assert delta.held_in(pairs) == len(gone)
            assert delta.reclaim(pairs) == len(gone)
            if isinstance(slow, PlainQcow2):
                at = slow.growth[-1][0] if slow.growth else 0.0  # when is not told
                for low, high in ranges:
                    slow.request(at, int(BlockOp.DISCARD), low, high - low)
                assert expected == len(gone) * slow.grain
            else:
                slow.held -= gone
                slow.file = slow.size()
                assert expected == before - slow.file
        grain = slow.grain
        owned = {g for low, high in delta.grain_map() for g in range(low // grain, -(-high // grain))}
        assert owned == slow.held and delta.grains == len(slow.held)
        sizes = (delta.file_bytes, delta.allocated_bytes, delta.metadata_bytes, delta.written_bytes)
        assert sizes == (slow.file, slow.allocated, slow.metadata, slow.written)
        assert list(zip(delta.increment_times, delta.increment_sizes, strict=True)) == slow.growth
    delta.revert()
    fresh = Delta(name, capacity, **p)
    assert (delta.grains, delta.file_bytes, delta.allocated_bytes) == (0, fresh.file_bytes, fresh.allocated_bytes)


# --- one disk by hand ---------------------------------------------------------------------------------------------

CAPACITY = 256 * MIB
PARAMETERS: dict[str, dict[str, Any]] = {"exact": {"grain": 4096}}
FORMATS = ("exact", "se-sparse", "vhdx", "qcow2", "lvm-thin", "zfs-zvol")


class Life:
    """A disk, its sums, and a slow reference of its file that gets the volume's requests."""

    def __init__(self, name: str, discards: bool = False) -> None:
        self.name = name
        volume = Volume("256 MiB", os="windows-10", usn=False, auto_checkpoint=False, discards=discards)
        volume.begin_image()
        volume.apply(ops((0.0, CREATE, 1, 0, MIB)))
        volume.seal()
        self.disk = CloneDisk(volume, volume.snapshot(name, **PARAMETERS.get(name, {})), 5 * MIB)
        self.slow: Any = plain(name, CAPACITY, **PARAMETERS.get(name, {}))
        usual = volume.watch
        assert usual is not None
        self.peak = 0

        def watch(requests: Requests, source: Any, fresh: Any) -> None:
            usual(requests, source, fresh)
            columns = (requests.time_s, requests.op, requests.offset, requests.length)
            for row in zip(*(column.tolist() for column in columns), strict=True):
                self.slow.request(*row)
                self.peak = max(self.peak, self.slow.file)

        volume.watch = watch
        self.sources, self.demand = np.zeros((3, 3), np.int64), np.zeros((1440, 5), np.int64)
        self.disk.begin()
        self.created = self.disk.file_bytes
        # 80 MiB in files of 4 MiB and 1 MiB, of which the larger ones are deleted: holes of 4 MiB.
        for k in range(16):
            self.do((HOUR + 60 * k, CREATE, 10 + 2 * k, 0, 4 * MIB), (HOUR + 60 * k, CREATE, 11 + 2 * k, 0, MIB))
        self.do(*((2 * HOUR, DELETE, 10 + 2 * k, 0, 0) for k in range(16)))
        self.do((3 * HOUR, OVERWRITE, 1, 0, MIB))  # deleted clusters are free for good by now

    def do(self, *rows: Any) -> None:
        assert self.disk.apply(ops(*rows, source=1), self.sources, self.demand) == 0

    def reclaim(self, method: str, time_s: float = 4 * HOUR, least: int = 0, **rule: Any) -> tuple[int, int]:
        return self.disk.reclaim(time_s, Reclaim(TURN, method, least, **rule), self.sources, self.demand)

    def unused(self) -> set[int]:
        """Grains of the format that lie wholly in free clusters of the volume."""
        ranges, grain = free_ranges(self.disk.volume).tolist(), self.slow.grain
        return {g for low, high in ranges for g in whole(low, high, grain, CAPACITY)}

    def law(self, held: set[int]) -> int:
        """Space that the file takes for these grains, and the 5 MiB besides."""
        if isinstance(self.slow, PlainQcow2):
            for g in set(self.slow.host) - held:
                self.slow.used.discard(self.slow.host.pop(g))
            return self.slow.allocated + 5 * MIB
        self.slow.held = set(held)
        self.slow.file = self.slow.size()
        return self.slow.file + 5 * MIB

    def at(self, time_s: float) -> int:
        times, sizes = self.disk.steps(DAY_S)
        return int(sizes[times <= time_s].sum())


@pytest.mark.parametrize("method", [WIPE, DISCARD])
@pytest.mark.parametrize("name", FORMATS)
class TestByHand:
    def test_what_is_left_is_what_the_guest_uses(self, name: str, method: str) -> None:
        life = Life(name)
        before, held, unused = life.disk.file_bytes, set(life.slow.held), life.unused()
        assert len(held & unused) * life.slow.grain > (20 if name == "vhdx" else 60) * MIB
        released = life.sources[:, RELEASED].sum()
        demand = life.demand.sum(axis=0)
        lost, written = life.reclaim(method)
        left = held - unused
        after = life.law(left)
        assert life.disk.delta.grains == len(left)
        assert life.disk.file_bytes == after == before - lost < before
        assert life.sources[:, RELEASED].sum() - released == len(held - left) * life.slow.grain
        moved = lost * len(left) * life.slow.grain // before
        pieces = -(-moved // (64 * KIB))
        asked = (life.demand.sum(axis=0) - demand)[[READS, WRITES, READ_BYTES, WRITE_BYTES]]
        assert written == moved > 0 and asked.tolist() == [pieces, pieces, moved, moved]
        growth = np.zeros(4, np.int64)
        life.disk.end_of_day(0, growth)
        assert growth[0] == after and growth[3] == len(left) * life.slow.grain
        assert life.at(4 * HOUR - 1) == before and life.at(4 * HOUR) == after == life.at(DAY_S)

    def test_a_discard_of_all_that_is_free_releases_the_same(self, name: str, method: str) -> None:
        """The volume tells its file what is free, once with and once without the job."""
        one, other = Life(name), Life(name)
        one.reclaim(method)
        other.disk.volume.apply(ops((4 * HOUR, FileOp.TRIM, 0, 0, 0)))
        assert np.array_equal(one.disk.delta.grain_map(), other.disk.delta.grain_map())
        again = Life(name)
        again.reclaim(method)
        assert again.reclaim(method, 5 * HOUR) == (0, 0), "there is nothing more"

    def test_life_goes_on(self, name: str, method: str) -> None:
        """Growth after it, a second one, and a reset: steps add up to the file at each time."""
        life = Life(name)
        sizes = {4 * HOUR - 1: life.disk.file_bytes}
        life.reclaim(method)
        sizes[4 * HOUR] = life.disk.file_bytes
        life.do((5 * HOUR, CREATE, 2, 0, 100 * MIB))
        sizes[6 * HOUR] = life.disk.file_bytes
        life.do((7 * HOUR, DELETE, 2, 0, 0), (8 * HOUR, OVERWRITE, 1, 0, MIB))
        sizes[8 * HOUR] = life.disk.file_bytes
        life.reclaim(method, 9 * HOUR)
        sizes[9 * HOUR] = life.disk.file_bytes
        life.do((10 * HOUR, CREATE, 2, 0, 50 * MIB))
        sizes[11 * HOUR] = life.disk.file_bytes
        life.disk.empty(12 * HOUR)
        sizes[12 * HOUR] = life.created
        life.do((13 * HOUR, CREATE, 2, 0, 50 * MIB))
        sizes[DAY_S] = life.disk.file_bytes
        growth = np.zeros(4, np.int64)
        life.disk.end_of_day(0, growth)
        times, steps = life.disk.steps(DAY_S)
        assert (np.diff(times) >= 0).all() and np.cumsum(steps).min() == steps[0] == life.created
        growth_s = [6 * HOUR, 8 * HOUR, 11 * HOUR]
        if name == "qcow2":  # the file gets no longer when holes are filled: told at the day's end
            sizes = {time_s: size for time_s, size in sizes.items() if time_s not in growth_s}
        assert {time_s: int(steps[times <= time_s].sum()) for time_s in sizes} == sizes
        assert sizes[4 * HOUR - 1] - sizes[4 * HOUR] > 16 * MIB < sizes[DAY_S] - sizes[12 * HOUR]
        assert growth[0] == sizes[DAY_S] and growth[2] == life.sources[:, WRITTEN].sum()


@pytest.mark.parametrize("name", FORMATS)
class TestZero:
    def test_first_it_grows(self, name: str) -> None:
        life = Life(name)
        held, free, volume = set(life.slow.held), life.unused(), life.disk.volume
        before, size, done = life.disk.file_bytes, int(volume.free_bytes * 0.99), life.disk.delta.written_bytes
        lost, written = life.reclaim(ZERO)
        filled = set(life.slow.held) if not isinstance(life.slow, PlainQcow2) else set(life.slow.host)
        assert len(filled - held) * life.slow.grain > 100 * MIB, "grains that were free and never written"
        peak = life.peak + 5 * MIB
        assert peak > before + 90 * MIB
        volume.check_invariants()
        volume.advance("1 min")  # now clusters of the deleted file are free
        gone = filled & free & life.unused()
        after, left = life.disk.file_bytes, life.disk.delta.grains
        assert len(filled) - len(gone) <= left <= len(filled) - len(gone) + 3 * MIB // life.slow.grain + 40
        times, steps = life.disk.steps(DAY_S)
        assert np.cumsum(steps).max() == peak, "the law of all that is held and all that is free"
        assert steps.sum() == after == peak - lost < before
        zeros = life.disk.delta.written_bytes - done
        assert size <= zeros < size + 8 * MIB and written == size + lost * left * life.slow.grain // peak
        assert times[np.cumsum(steps) == peak][0] > 4 * HOUR

    def test_what_happens_while_it_lasts(self, name: str) -> None:
        """A write in the same seconds counts, and no size is below what the file has when it is empty."""
        life = Life(name)
        life.reclaim(ZERO)
        life.do((4 * HOUR + 0.1, CREATE, 2, 0, 20 * MIB))
        after = life.disk.file_bytes
        life.disk.empty(4 * HOUR + 0.2)
        times, steps = life.disk.steps(DAY_S)
        assert (np.diff(times) >= 0).all()
        assert after > np.cumsum(steps).min() == steps.sum() == life.created


class TestRules:
    def test_only_above_the_threshold(self) -> None:
        life = Life("se-sparse")
        recoverable = life.disk.delta.reclaimable(free_ranges(life.disk.volume))
        assert recoverable % (16 * MIB) == 0 and recoverable >= 48 * MIB
        asked = life.demand.copy()
        assert life.reclaim(WIPE, least=recoverable) == (0, 0)
        assert np.array_equal(asked, life.demand)
        assert life.reclaim(WIPE, 5 * HOUR, least=recoverable - 1)[0] == recoverable

    def test_only_from_a_share_and_a_size_on(self) -> None:
        life = Life("exact")
        recoverable, size = life.disk.delta.reclaimable(free_ranges(life.disk.volume)), life.disk.file_bytes
        assert life.reclaim(WIPE, share=1.001 * recoverable / size) == (0, 0)
        assert life.reclaim(WIPE, file_least=size) == (0, 0)
        assert life.reclaim(WIPE, share=0.999 * recoverable / size, file_least=size - 1)[0] == recoverable

    def test_a_thin_disk_goes_back_to_what_is_used(self) -> None:
        """A container: sectors of 512 B that the volume uses, no more and no less."""
        volume = Volume("256 MiB", os="windows-10", usn=False, auto_checkpoint=False, discards=True)
        volume.begin_image()
        volume.apply(ops((0.0, CREATE, 1, 0, MIB)))
        volume.seal()
        disk = CloneDisk(volume, full_disk(volume, discard="ignore"), 0)
        disk.begin()
        start = disk.file_bytes
        given = np.zeros((3, 3), np.int64), np.zeros((1440, 5), np.int64)
        rows = (HOUR, CREATE, 2, 0, 64 * MIB), (2 * HOUR, DELETE, 2, 0, 0), (3 * HOUR, APPEND, 1, 0, MIB)
        disk.apply(ops(*rows), *given)
        assert disk.file_bytes >= start + 64 * MIB
        lost, _ = disk.reclaim(4 * HOUR, Reclaim(LOGOFF, WIPE, 0), *given)
        assert lost > 60 * MIB and disk.file_bytes == volume.used_bytes


# --- in pools -----------------------------------------------------------------------------------------------------


class TestContainers:
    """Compacted at sign-out, above a size and from a share of what can be recovered on."""

    def looked_at(self, **rule: Any) -> tuple[Any, list[tuple[float, int, int, int]], Any]:
        scenario = pool(WITH_DISCARDS, [{"name": "profile-container", **rule}])
        desk, line = Desktop(scenario, 3), Timeline.of(scenario, 3)
        disk, seen = desk.disks[1], list[tuple[float, int, int, int]]()
        usual = disk.reclaim

        def reclaim(time_s: float, *rest: Any) -> tuple[int, int]:
            before, recoverable = disk.file_bytes, disk.delta.reclaimable(free_ranges(disk.volume))
            found = usual(time_s, *rest)
            seen.append((time_s, before, recoverable, before - disk.file_bytes))
            return found

        disk.reclaim = reclaim  # type: ignore[method-assign]
        return live(desk, line, 0), seen, line.presence(0)

    def test_at_sign_out_where_it_pays(self) -> None:
        life, seen, presence = self.looked_at(compaction_least="64 MiB", compaction_share=0.05)
        assert [row[0] for row in seen] == np.unique(presence.session_end_s).tolist()
        for _, before, recoverable, lost in seen:
            happens = before > 64 * MIB and recoverable >= 0.05 * before
            assert lost == (recoverable if happens else 0)
        done = [row for row in seen if row[3]]
        assert done and len(done) < len(seen) and min(row[1] for row in done) > 64 * MIB
        time_s, size = life.ran.steps[1]
        assert time_s[size < 0].tolist() == [row[0] for row in done]
        assert life.ran.totals["reclaimed_bytes"] == -size[size < 0].sum() == sum(row[3] for row in done)
        written = life.growth[1, -1, 2] + life.ran.totals["reclaim_written_bytes"]
        assert life.demand.elsewhere[:, WRITE_BYTES].sum() == written

    def test_never_below_the_size(self) -> None:
        """1 GiB, as the product has it; these containers do not get there."""
        life, seen, _ = self.looked_at()
        assert seen and max(row[1] for row in seen) < 2**30 and not any(row[3] for row in seen)
        assert (life.ran.steps[1][1] > 0).all(), "its file never shrinks otherwise, whatever is deleted in it"
        none, never, _ = self.looked_at(compaction=False)
        assert not never and none.growth.tolist() == life.growth.tolist()


RULE = {"name": "space-reclaim", "every": "1 d", "threshold": "32 MiB"}


class TestSpaceReclaim:
    def test_each_desktop_in_its_own_time(self) -> None:
        scenario = pool(WITH_DISCARDS, [{**RULE, "at": "03:00", "window": "1 h"}], **SPARSE)
        line, layout = Timeline.of(scenario, 3), Desktop(scenario, 3).layout
        times = [line.turns(clone, layout.disks)[OS].reclaimed_s for clone in range(6)]
        assert all(part.size == 4 for part in times) and len({*np.concatenate(times).tolist()}) == 24
        hours = np.concatenate(times) % DAY_S / HOUR
        assert (hours >= 3).all() and (hours < 4).all()

    @pytest.mark.parametrize("method", [WIPE, DISCARD, ZERO])
    def test_what_is_told_is_what_happened(self, method: str) -> None:
        preset = WITH_DISCARDS if method == DISCARD else WITHOUT
        scenario = pool(preset, [{**RULE, "method": method}], **SPARSE)
        plain_pool, line = pool(preset, **SPARSE), Timeline.of(scenario, 3)
        batch, usual = (run_job(Job(one, 3, 0, 0, (0, 3))) for one in (scenario, plain_pool))
        given_back = 0
        for k, clone in enumerate((0, 3)):
            mine = batch.clone == clone
            time_s, size = batch.time_s[mine], batch.size[mine]
            turns_s = line.turns(clone, Desktop(scenario, 3).layout.disks)[OS].reclaimed_s
            done = time_s[size < 0]
            shrank = -size[size < 0]
            assert done.size and (shrank % (16 * MIB) == 0).all()
            assert batch.total("reclaimed_bytes")[k] == shrank.sum()
            if method == ZERO:
                nearest = turns_s[np.searchsorted(turns_s, done, side="right") - 1]
                assert ((done - nearest) < 300).all(), "as long as it takes to fill the free space"
                assert np.cumsum(size).max() > batch.growth[k, OS, :, 0].max() + 500 * MIB
            else:
                assert set(done) <= set(turns_s) and (shrank > 32 * MIB).all()
                assert batch.sources[k, :, :, 1:, WRITTEN].tolist() == usual.sources[k, :, :, 1:, WRITTEN].tolist()
            given_back += int(shrank.sum())
        assert given_back > 64 * MIB
        ends = [one.growth[:, OS, :, 0] for one in (batch, usual)]
        assert (ends[0] <= ends[1]).all()
        assert (ends[0] < ends[1]).any() == (method != DISCARD), "what was discarded is taken again in any case"

    def test_a_high_threshold_is_no_strategy(self) -> None:
        high = pool(WITH_DISCARDS, [{**RULE, "threshold": "1 TiB"}], **SPARSE)
        batch, usual = (run_job(Job(one, 3, 0, 0, (0, 3))) for one in (high, pool(WITH_DISCARDS, **SPARSE)))
        for part in ("growth", "sources", "time_s", "size", "demand", "totals"):
            assert getattr(batch, part).tobytes() == getattr(usual, part).tobytes(), part
