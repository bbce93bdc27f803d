"""Full clones: what the image uses and what was dirtied beside it, or the whole disk."""

from __future__ import annotations

import numpy as np
import pytest
from pool_tools import small

from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.strategies.kinds import full_clone_steps, full_disk, full_disk_of, used_ranges
from clonesim.scenario import load_scenario

MIB = 2**20
SIZE = 256 * MIB
FILES = 60


def master(policy: str = "windows", discards: bool = False) -> Volume:
    """A sealed volume of 256 MiB with files of 1 MiB, every third of them deleted again."""
    volume = Volume(SIZE, policy=policy, discards=discards, auto_checkpoint=False)
    volume.begin_image()
    ops = np.zeros(FILES + FILES // 3, OPS_DTYPE)
    ops["file"][:FILES], ops["length"][:FILES] = np.arange(FILES), MIB
    ops["op"][FILES:], ops["file"][FILES:] = FileOp.DELETE, np.arange(0, FILES, 3)
    ops["time_s"] = np.arange(ops.size) * 0.01
    volume.apply(ops)
    volume.seal()
    return volume


def work(seed: int = 1, count: int = 200) -> np.ndarray:
    """Operations over two days: new files, overwrites of the image's files, deletions of both."""
    rng = np.random.default_rng(seed)
    live = [n for n in range(FILES) if n % 3]
    fresh, ops = FILES, []
    for time_s in np.sort(rng.uniform(1, 2 * 86400.0 - 60, count)):
        kind = rng.integers(4)
        if kind == 0 or len(live) < 5:
            ops.append((time_s, 0, int(rng.integers(1, MIB)), fresh, FileOp.CREATE))
            live.append(fresh)
            fresh += 1
        elif kind == 1:
            ops.append((time_s, 0, 0, live.pop(int(rng.integers(len(live)))), FileOp.DELETE))
        elif kind == 2:
            ops.append((time_s, 0, 4096 * int(rng.integers(1, 9)), live[int(rng.integers(len(live)))], FileOp.APPEND))
        else:
            old = [n for n in live if n < FILES]
            if old:
                offset = 4096 * int(rng.integers(200))
                ops.append((time_s, offset, 65536, old[int(rng.integers(len(old)))], FileOp.OVERWRITE))
    found = np.zeros(len(ops), OPS_DTYPE)
    for name, column in zip(("time_s", "offset", "length", "file", "op"), zip(*ops, strict=True), strict=True):
        found[name] = column
    return found


def sectors(ranges: np.ndarray) -> set[int]:
    return {n for start, end in ranges.tolist() for n in range(start // 512, end // 512)}


@pytest.mark.parametrize("policy", ["windows", "fresh-first"])
def test_thin_is_what_the_image_used_and_what_was_dirtied_beside_it(policy: str) -> None:
    linked = master(policy)
    used = sectors(used_ranges(linked))
    assert len(used) * 512 == linked.used_bytes
    delta = linked.snapshot("exact", discard="ignore")
    linked.apply(work())
    dirtied = sectors(delta.grain_map())
    assert dirtied & used, "nothing of the image was written over: the test would tell nothing"
    assert dirtied - used

    volume = master(policy)
    before = volume.used_bytes
    time_s, size = full_clone_steps(volume, work(), "thin", days=2, discard="ignore")
    assert (time_s[0], size[0]) == (0.0, before)
    assert size.sum() == len(used | dirtied) * 512 == volume.deltas[-1].file_bytes
    assert sectors(volume.deltas[-1].grain_map()) == used | dirtied
    assert (size > 0).all()
    assert volume.used_bytes == linked.used_bytes  # the guest sees no difference


def test_a_thin_disk_that_honours_discards_holds_what_the_guest_uses() -> None:
    volume = master(discards=True)
    used = sectors(used_ranges(volume))
    time_s, size = full_clone_steps(volume, work(), "thin", days=2)
    volume.advance("10 s")  # checkpoints pass: freed clusters are discarded
    volume._take_requests()
    now = sectors(used_ranges(volume))
    held = sectors(volume.deltas[-1].grain_map())
    assert (size < 0).any()
    assert held == now
    assert used - held, "nothing of the image was given back"
    assert (np.diff(time_s) >= 0).all()


def test_thick_is_the_whole_disk_from_the_start() -> None:
    volume = master(discards=True)
    time_s, size = full_clone_steps(volume, work(), "thick", days=2)
    assert (time_s.tolist(), size.tolist()) == ([0.0], [SIZE])
    disk = volume.deltas[-1]
    assert disk.file_bytes == SIZE
    assert disk.increment_times.size == 0
    assert disk.written_bytes > 0


def test_the_next_clone_begins_with_the_image() -> None:
    volume = master()
    disk = full_disk(volume)
    start, image = disk.file_bytes, disk.grain_map()
    assert start == disk.created_bytes == volume.used_bytes
    assert (disk.written_bytes, disk.increment_times.size) == (0, 0)
    ends = []
    for _ in range(3):
        volume.apply(work())
        ends.append((disk.file_bytes, disk.written_bytes, disk.increment_times.size))
        volume.revert()
        assert disk.file_bytes == start
        assert np.array_equal(disk.grain_map(), image)
    assert len(set(ends)) == 1
    assert ends[0][0] > start


def test_first_touches_count_only_what_lies_beside_the_image() -> None:
    volume = master()
    used = volume.used_bytes
    touched = []
    volume.watch = lambda requests, source, fresh: touched.append(int(fresh.sum()))
    disk = full_disk(volume, discard="ignore")
    volume.apply(work())
    assert sum(touched) * 512 + used == disk.file_bytes


def test_refused() -> None:
    with pytest.raises(ParameterError) as told:
        full_disk(master(), "thinn")
    assert str(told.value) == "full-clone.provisioning='thinn': allowed are thin, thick. Did you mean 'thin'?"
    volume = master()
    volume.snapshot("exact")
    with pytest.raises(ParameterError, match="a full clone is made of a volume without snapshots"):
        full_disk(volume)


def test_of_a_scenario() -> None:
    plain = small()
    assert full_disk_of(plain, master()) is None
    thin = load_scenario(plain, strategy=["full-clone"])
    keeps = full_disk_of(thin, master())
    assert keeps is not None
    assert keeps.law.discard == 0  # vmfs-sparse ignores discards
    thick = load_scenario(plain, strategy=[{"name": "full-clone", "provisioning": "thick"}])
    whole = full_disk_of(thick, master())
    assert whole is not None
    assert whole.file_bytes == SIZE
