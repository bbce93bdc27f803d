"""Requests carry the write source of their operation; what the file system writes for itself carries 0."""

from __future__ import annotations

import numpy as np
import pytest
from volume_tools import clusters_of, ops

from clonesim.guest import POLICIES, Volume
from clonesim.ops import BlockOp, FileOp


class Watch:
    """Rows (source, BlockOp, offset, length, fresh grains) that a volume hands to whom watches it."""

    def __init__(self, vol):
        self.rows = []
        vol.watch = self

    def __call__(self, requests, source, fresh):
        columns = (source, requests.op, requests.offset, requests.length, fresh)
        self.rows += zip(*(column.tolist() for column in columns), strict=True)

    def take(self):
        rows, self.rows = self.rows, []
        return rows


def watched(policy="windows", kind="exact", **values):
    """Volume with file 1, a snapshot, and a watch."""
    vol = Volume("64 MiB", policy, **values)
    vol.create(1, "1 MiB")
    vol.snapshot(kind)
    return vol, Watch(vol)


def start_of(vol):
    """Byte of the disk where the volume starts."""
    return vol.settings.values["partition_offset"]


@pytest.mark.parametrize("policy", list(POLICIES))
def test_data_carries_the_source_and_metadata_none(policy):
    """A request belongs to the source exactly where it lies in the files' clusters."""
    vol, watch = watched(policy)
    rows = [(0, FileOp.CREATE, k, 0, 900 * k) for k in range(2, 40)]
    rows += [(0, FileOp.APPEND, k, 0, 7000) for k in range(2, 40, 3)]
    rows += [(0, FileOp.OVERWRITE, 30, 5000, 9000), (0, FileOp.SCATTER, 1, 5, 40_000), (0, FileOp.RENAME, 39, 77, 0)]
    vol.apply(ops(*rows, source=6))
    names = [k for k in range(100) if k in vol]
    data = np.zeros(vol.clusters, bool)
    for name in names:
        data[clusters_of(vol, name)] = True
    found = watch.take()
    assert {source for source, *_ in found} == {0, 6}
    for source, _, offset, _, _ in found:
        assert (source == 6) == data[(offset - start_of(vol)) // 4096]


def test_each_operation_has_its_own_source():
    vol, watch = watched()
    batch = ops(*((0, FileOp.OVERWRITE, 1, 4096 * k, 4096) for k in range(5)))
    batch["source"] = [3, 1, 2**31 - 1, 0, 3]
    vol.apply(batch)
    assert [source for source, *_ in watch.take()] == [3, 1, 2**31 - 1, 0, 3]


def test_discards_carry_the_source_of_what_frees():
    vol, watch = watched(os="windows-10")
    vol.apply(ops((0, FileOp.DELETE, 1, 0, 0), source=4))
    rows = watch.take()
    assert [source for source, op, *_ in rows if op == BlockOp.DISCARD] == [4]
    assert {source for source, op, *_ in rows if op == BlockOp.WRITE} == {0}
    vol.apply(ops((0, FileOp.TRIM, 0, 0, 0), source=5))
    assert {row[:2] for row in watch.take()} == {(5, BlockOp.DISCARD)}


def test_calls_have_no_source():
    vol, watch = watched()
    vol.create("a", "64 KiB")
    vol.overwrite(1, 0, "64 KiB")
    assert {source for source, *_ in watch.take()} == {0}


@pytest.mark.parametrize("policy", ["windows", "ntfs3g"])
def test_calls_have_no_source_after_a_batch_either(policy):
    vol, watch = watched(policy)
    vol.apply(ops((0, FileOp.OVERWRITE, 1, 0, 4096), source=5))
    watch.take()
    vol.create("a", "64 KiB")
    assert {source for source, *_ in watch.take()} == {0}


def test_fresh_grains_are_counted_by_request():
    vol, watch = watched(os="windows-10", kind="qcow2")
    delta = vol.deltas[-1]
    grains = delta.grains
    vol.apply(ops((0, FileOp.OVERWRITE, 1, 0, 2**20), (0, FileOp.OVERWRITE, 1, 0, 2**20), source=2))
    fresh = [fresh for source, *_, fresh in watch.take() if source == 2]
    assert fresh[0] in (16, 17) and fresh[1] == 0 and delta.grains - grains == sum(fresh), "1 MiB in 64 KiB grains"
    vol.apply(ops((1, FileOp.DELETE, 1, 0, 0), source=3))
    rows = watch.take()
    assert delta.grains - grains == sum(fresh) + sum(row[-1] for row in rows)
    assert sum(row[-1] for row in rows if row[0] == 3) <= -15, "a discard takes away"
