"""A volume and the deltas below it: what is counted, what a discard gives back, chains, and what going back costs."""

from __future__ import annotations

import random

import numpy as np
import pytest
from volume_tools import Spy

from clonesim.errors import ParameterError
from clonesim.guest import POLICIES, Volume
from clonesim.guest import arena_kernel as a
from clonesim.ops import OPS_DTYPE, BlockOp, FileOp
from clonesim.units import GIB, KIB, MIB


def fingerprint(vol):
    """All that one can see of a volume."""
    names = [*sorted(vol._files), *(k for k in range(100) if k in vol)]
    files = [(name, vol.size(name), vol.extents(name).to_numpy().tolist()) for name in names]
    space = (vol.used_bytes, vol.quarantined_bytes, vol.bitmap.tobytes(), vol.ever_written.tobytes())
    return files, space, vol.clock, len(vol)


def work(vol, seed, steps=120, most=200_000):
    """A random working day."""
    rng = random.Random(seed)
    for step in range(steps):
        names = [*sorted(vol._files), *(k for k in range(100) if k in vol)]
        name, draw = (rng.choice(names) if names else None), rng.random()
        if name is None or draw < 0.45:
            new = rng.choice([f"s{seed}-{step}", rng.randrange(100)])
            if new not in vol:
                vol.create(new, rng.randrange(most))
        elif draw < 0.6:
            vol.append(name, rng.randrange(1, most))
        elif draw < 0.75 and vol.size(name):
            vol.overwrite(name, 0, rng.randint(1, vol.size(name)))
        elif draw < 0.85:
            vol.rename(name, rng.choice([n for n in names if type(n) is type(name)]))
        else:
            vol.delete(name)


# --- grains are exactly what was written ---------------------------------------------------------------------------


@pytest.mark.parametrize("policy", list(POLICIES))
@pytest.mark.parametrize(
    ("os", "kind", "grain", "parameters"),
    [
        ("windows-7", "exact", 512, {}),
        ("windows-xp", "exact", 512, {}),
        ("windows-10", "exact", 512, {}),
        ("windows-xp", "se-sparse", 4096, {}),
        ("windows-7", "vmfs-sparse", 512, {}),
        ("windows-xp", "qcow2", 65536, {"partition_offset": 17 * 512}),
    ],
)
def test_grains_equal_brute_force(policy, os, kind, grain, parameters):
    if policy == "ntfs3g":
        parameters = {}
    vol = Volume("64 MiB", policy, os=os, **parameters)
    vol.create("windows", "20 MiB")
    vol.snapshot(kind)
    spy = Spy(vol)
    for seed in range(8):
        work(vol, seed, steps=25)
        assert spy.delta.grains == len(spy.grains(grain)), f"after {25 * (seed + 1)} operations"
    discards = os == "windows-10" and policy != "ntfs3g"
    assert (int(BlockOp.DISCARD) in spy.ops) == discards
    vol.check_invariants()


def test_misaligned_clusters_of_xp_straddle_grains():
    """From sector 63 on, a cluster of 4 KiB lies in two grains of 4 KiB; from 1 MiB on, in one."""

    def grains(os):
        vol = Volume("256 MiB", "best-fit", os=os, usn=False)
        for k in range(200):
            vol.create(k, 4096)
        delta = vol.snapshot("se-sparse")
        before = delta.grains
        for k in range(0, 200, 10):
            vol.overwrite(k, 0, 4096)
        return delta.grains - before

    assert grains("windows-xp") == 40
    assert grains("windows-7") == 20


def test_requests_carry_the_partition_offset():
    for os, offset in (("windows-xp", 63 * 512), ("windows-7", MIB)):
        vol = Volume("64 MiB", os=os, usn=False)
        vol.create("a", 4096)
        vol.snapshot("exact")
        spy = Spy(vol)
        vol.overwrite("a", 0, 4096)
        lcn = int(vol.extents("a")["lcn"][0])
        assert spy.requests == [(BlockOp.WRITE, offset + lcn * 4096, 4096)]


@pytest.mark.parametrize("cluster_size", [512, 4096])
def test_ever_written_is_what_requests_wrote(cluster_size):
    """After every operation; the journal's records straddle its clusters."""
    vol = Volume("64 MiB", "fresh-first", cluster_size=cluster_size)
    vol.create("a")
    vol.snapshot("exact")
    spy, written = Spy(vol), vol.ever_written
    for k in range(300):
        vol.append("a", 1)
        for _, offset, length in spy.take():
            written[(offset - MIB) // cluster_size : -(-(offset + length - MIB) // cluster_size)] = True
        assert (vol.ever_written == written).all(), f"after append {k}"


# --- discards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("os", "released"), [("windows-10", True), ("windows-7", False), ("windows-xp", False)])
def test_a_delete_releases_clusters_where_guest_and_format_do(os, released):
    vol = Volume("1 GiB", os=os)
    delta = vol.snapshot("qcow2")
    before = delta.grains
    vol.create("a", "256 MiB")
    full = delta.grains
    assert full - before >= 4096
    vol.delete("a")
    assert (delta.grains <= before + 16) == released
    assert delta.grains >= full or released
    file_bytes = delta.file_bytes
    vol.create("b", "256 MiB")
    assert (delta.file_bytes - file_bytes <= MIB) or not released, "freed clusters of the file are taken again"


@pytest.mark.parametrize("kind", ["vmfs-sparse", "vhd"])
def test_formats_that_ignore_discards_never_shrink(kind):
    vol = Volume("256 MiB", os="windows-10")
    delta, before = vol.snapshot(kind), 0
    for k in range(20):
        vol.create(k, "1 MiB")
        vol.delete(k)
        vol.trim()
        assert delta.grains >= before
        before = delta.grains


def test_trim_discards_all_free_space():
    vol = Volume("64 MiB", os="windows-7", auto_checkpoint=False)
    vol.create("a", "8 MiB")
    vol.create("b", "8 MiB")
    vol.snapshot("exact")
    spy = Spy(vol)
    vol.overwrite("a", 0, "8 MiB")
    vol.delete("a")
    assert vol.quarantined_bytes == 8 * MIB and len(spy.sectors) > 16384
    spy.requests.clear()
    vol.trim()
    assert vol.quarantined_bytes == 0
    free = np.flatnonzero(~vol.bitmap)
    discarded = [c for _, o, n in spy.requests for c in range((o - MIB) // 4096, (o + n - MIB) // 4096)]
    assert {op for op, _, _ in spy.requests} == {BlockOp.DISCARD}
    assert discarded == free.tolist()
    assert spy.delta.grains == len(spy.sectors) < 1024


@pytest.mark.parametrize(("policy", "cluster_size"), [("windows", 512), ("ntfs3g", None)])
def test_trim_of_a_volume_with_very_many_holes(policy, cluster_size):
    """More discards than the list of requests has room for at first (65,536 requests)."""
    count = 250_000 if policy == "ntfs3g" else 150_000
    vol = Volume("2 GiB", policy, cluster_size=cluster_size, os="windows-7")
    rows = np.zeros(count, OPS_DTYPE)
    rows["file"], rows["length"] = np.arange(count), 1000 if policy == "ntfs3g" else 800
    vol.apply(rows)
    gone = rows[::2].copy()
    gone["op"], gone["time_s"] = FileOp.DELETE, 1000.0
    vol.apply(gone)
    vol.snapshot("exact")
    spy = Spy(vol)
    vol.trim()
    assert len(spy.requests) == vol.free_runs > 65_536
    assert sum(length for _, _, length in spy.requests) == int((~vol.bitmap).sum()) * vol.cluster_size
    assert spy.ops == {BlockOp.DISCARD}


# --- snapshots and back --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", list(POLICIES))
def test_revert_is_the_same_volume_again(policy):
    vol = Volume("128 MiB", policy)
    work(vol, 1)
    delta = vol.snapshot("vmfs-sparse")
    before, empty = fingerprint(vol), (delta.file_bytes, delta.grains, delta.allocated_bytes)
    outcomes = []
    for _ in range(3):
        work(vol, 2)
        vol.check_invariants()
        outcomes.append((fingerprint(vol), delta.file_bytes, delta.grains))
        vol.revert()
        assert fingerprint(vol) == before
        assert (delta.file_bytes, delta.grains, delta.allocated_bytes) == empty
        vol.check_invariants()
    assert outcomes[0] == outcomes[1] == outcomes[2], "the same day again leaves the same state"
    assert outcomes[0][0] != before


def test_chain_of_snapshots():
    vol = Volume("128 MiB")
    work(vol, 1)
    first = vol.snapshot("vmfs-sparse")
    work(vol, 2)
    middle = fingerprint(vol)
    below = (first.file_bytes, first.grains)
    assert first.grains > 0
    second = vol.snapshot("vmfs-sparse")
    assert second.parent is first and vol.deltas == [first, second] and second.grains == 0
    at_boot = fingerprint(vol)
    assert at_boot[0] == middle[0] and vol.quarantined_bytes == 0
    work(vol, 3)
    assert (first.file_bytes, first.grains) == below, "the lower delta takes no more writes"
    assert second.grains > 0
    vol.revert()
    assert fingerprint(vol) == at_boot and second.grains == 0 and (first.file_bytes, first.grains) == below
    vol.revert()
    assert fingerprint(vol) == at_boot, "it is the newest snapshot that one goes back to"
    vol.check_invariants()


def test_revert_without_a_snapshot():
    vol = Volume("64 MiB")
    with pytest.raises(ParameterError) as caught:
        vol.revert()
    assert str(caught.value) == "revert='no snapshot': a snapshot must be taken first. Call snapshot()."


def test_a_refused_snapshot_changes_nothing():
    vol = Volume("64 MiB", auto_checkpoint=False)
    vol.create("a", "1 MiB")
    vol.delete("a")
    before = fingerprint(vol)
    with pytest.raises(ParameterError, match=r"^format='vmdk': allowed are "):
        vol.snapshot("vmdk")
    assert fingerprint(vol) == before and not vol.deltas


def test_snapshot_is_a_power_off():
    vol = Volume("64 MiB", auto_checkpoint=False)
    vol.create("a", "1 MiB")
    vol.delete("a")
    assert vol.quarantined_bytes == MIB
    vol.snapshot()
    assert vol.quarantined_bytes == 0


def test_reverting_costs_what_was_touched():
    """Pages of the volume's state that were saved: the same for 1 GiB as for 1 TiB."""

    def saved(size):
        vol = Volume(size, "windows", usn=False)
        vol.snapshot("vhdx" if size != "1 GiB" else "vmfs-sparse")
        for k in range(50):
            vol.create(k, 100 * KIB)
        for k in range(0, 50, 2):
            vol.delete(k)
        return int(vol._arena[a.TOUCHED]), vol._arena.nbytes // 8192

    (small, _), (large, pages) = saved("1 GiB"), saved("1 TiB")
    assert small == pytest.approx(large, abs=4)
    assert large < pages / 100


def test_revert_after_regions_grew():
    vol = Volume("512 MiB")
    work(vol, 1)
    vol.snapshot("exact")
    before = fingerprint(vol)
    rows = np.zeros(30_000, OPS_DTYPE)
    rows["file"], rows["length"], rows["time_s"] = np.arange(1000, 31_000), 600, 1e6
    vol.apply(rows)
    vol.create(2**20, "1 MiB")
    vol.check_invariants()
    vol.revert()
    assert fingerprint(vol) == before and len(vol) == len(before[0])
    vol.check_invariants()
    work(vol, 2)
    vol.check_invariants()


# --- growth over time ----------------------------------------------------------------------------------------------


def test_increments_are_spread_over_the_time_of_a_write():
    """1 GiB at 100 MiB/s into 16 MiB increments: one each 0.16 s, not all at the call's start or end."""
    vol = Volume("4 GiB", write_rate="100 MiB", usn=False)
    delta = vol.snapshot("vmfs-sparse")
    start = vol.clock
    vol.create("a", "1 GiB")
    times = delta.increment_times[delta.increment_times > start + 1e-9] - start
    gaps = np.diff(times)
    assert len(times) >= 63 and (gaps >= 0).all()
    assert times[0] < 0.2 and 10.0 < times[-1] < 10.3
    assert np.median(gaps) == pytest.approx(0.16, rel=0.07) and gaps.max() < 0.33


def test_longest_write_only_moves_growth_in_time():
    sizes = []
    for longest in (4096, "16 MiB"):
        vol = Volume("1 GiB", longest_write=longest)
        delta = vol.snapshot("vmfs-sparse")
        work(vol, 4, most=2_000_000)
        sizes.append((delta.file_bytes, delta.grains, vol.used_bytes, vol.bitmap.tobytes()))
    assert sizes[0] == sizes[1]


def test_a_write_before_the_snapshot_is_not_in_the_delta():
    vol = Volume("4 GiB")
    vol.create("a", GIB)
    delta = vol.snapshot("exact")
    assert delta.grains == delta.written_bytes == 0
