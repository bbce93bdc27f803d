"""What a delta promises its users: errors, reverts, chains, tables, maps."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.delta import FORMATS, Delta, law_kernel, qcow2_kernel, replay
from clonesim.errors import ParameterError
from clonesim.ops import BlockOp, Requests

KIB, MIB, GIB = 2**10, 2**20, 2**30


def requests(*rows):
    """Rows of (time, op, offset, length)."""
    time_s, op, offset, length = (np.array(column) for column in zip(*rows, strict=True))
    return Requests(time_s.astype(float), op.astype(np.uint8), offset.astype(np.int64), length.astype(np.int64))


def mixed(seed, capacity, n=400, discards=0.2):
    rng = np.random.default_rng(seed)
    offset = rng.integers(0, capacity, n)
    length = np.minimum(rng.integers(0, 200_000, n), capacity - offset)
    op = np.where(rng.random(n) < discards, BlockOp.DISCARD, BlockOp.WRITE).astype(np.uint8)
    return Requests(np.sort(rng.random(n) * 3600), op, offset, length)


def everything(delta):
    return (
        delta.written_bytes,
        delta.grains,
        delta.metadata_bytes,
        delta.file_bytes,
        delta.allocated_bytes,
        delta.grain_map().tolist(),
        delta.increments.to_numpy().tolist(),
    )


@pytest.mark.parametrize("name", FORMATS)
def test_a_reverted_delta_is_a_new_one(name):
    capacity = 200 * MIB + 512 * 5
    new, used = Delta(name, capacity, track_unique=True), Delta(name, capacity, track_unique=True)
    used.apply(mixed(1, capacity))
    used.revert()
    assert everything(used) == everything(Delta(name, capacity))
    again = mixed(2, capacity)
    used.apply(again)
    new.apply(again)
    assert everything(used) == everything(new)
    assert used.unique_bytes == new.unique_bytes
    pd.testing.assert_frame_equal(used.table([0, 1e9]), new.table([0, 1e9]))


@pytest.mark.parametrize("name", FORMATS)
def test_a_revert_visits_only_what_was_touched(name):
    """A bit planted behind the delta's back in an untouched region survives, so no sweep went over it."""
    delta = Delta(name, "40 GiB")
    delta.apply(requests((0, 1, 0, 4096), (1, 1, 5 * GIB, 100_000)))
    delta._bits[-1] = 1 << 3
    delta.revert()
    assert delta._bits[-1] == 1 << 3
    assert not delta._bits[:-1].any()
    assert not delta._regions.any()


@pytest.mark.parametrize("name", FORMATS)
def test_two_runs_give_the_same(name):
    trace = mixed(3, 300 * MIB)
    assert everything(replay(trace, name)) == everything(replay(trace, name))


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(FORMATS), seed=st.integers(0, 10_000))
def test_a_file_never_shrinks_but_by_a_released_discard(name, seed):
    capacity = 64 * MIB
    delta = Delta(name, capacity)
    trace = mixed(seed, capacity, n=60, discards=0.3)
    releases = name in ("lvm-thin", "zfs-zvol", "rbd", "exact")
    for row in range(len(trace)):
        before, grains = delta.file_bytes, delta.grains
        delta.apply(trace[row : row + 1])
        discards = trace.op[row] == BlockOp.DISCARD
        assert delta.file_bytes >= before or (releases and discards)
        assert delta.grains >= grains or discards
        assert delta.allocated_bytes <= delta.file_bytes


@pytest.mark.parametrize("name", FORMATS)
def test_a_bus_without_discards_loses_nothing(name):
    trace = mixed(4, 128 * MIB)
    writes = trace[trace.op == BlockOp.WRITE]
    dropped = replay(trace, name, "128 MiB", bus_discards=False)
    assert everything(dropped) == everything(replay(writes, name, "128 MiB", bus_discards=False))
    if name in ("vmfs-sparse", "vhd", "vmdk-hosted", "inflated"):
        assert everything(dropped) == everything(replay(trace, name, "128 MiB"))


def test_reads_flushes_and_empty_requests_do_nothing():
    delta = Delta("vmfs-sparse", "1 GiB", track_unique=True)
    fresh = everything(delta)
    delta.apply(requests((0, 0, 0, 4096), (1, 4, -5, 0), (2, 1, 4096, 0), (3, 2, 0, 0), (4, 0, 2**60, 512)))
    assert everything(delta) == fresh
    delta.apply(requests((5, 3, 0, 513)))  # WRITE_SAME writes; a part of a sector takes the sector
    assert (delta.written_bytes, delta.unique_bytes, delta.grains) == (513, 1024, 2)


@pytest.mark.parametrize("op", [BlockOp.WRITE, BlockOp.DISCARD, BlockOp.WRITE_SAME])
@pytest.mark.parametrize(
    ("offset", "length"), [(-1, 512), (GIB, 1), (GIB - 1, 2), (0, -1), (2**62, 2**62), (GIB + 1, 0)]
)
@pytest.mark.parametrize("name", ["vmfs-sparse", "qcow2"])
def test_a_request_outside_the_disk_changes_nothing(name, op, offset, length):
    delta = Delta(name, "1 GiB")
    fresh = everything(delta)
    with pytest.raises(ParameterError, match=rf"request 1 \({op.name}\).*{offset}, {length}.*1 GiB.*capacity"):
        delta.apply(requests((0, 1, 0, 4096), (1, op, offset, length)))
    assert everything(delta) == fresh


def test_an_unknown_operation_is_refused():
    with pytest.raises(ParameterError, match="op of request 0=9: allowed are 0, 1, 2, 3, 4"):
        Delta().apply(requests((0, 9, 0, 512)))


def test_columns_of_different_length_are_refused():
    bad = Requests(np.zeros(2), np.ones(3, np.uint8), np.zeros(3, np.int64), np.full(3, 512))
    with pytest.raises(ParameterError, match=r"2, 3, 3, 3.*same number of rows"):
        Delta().apply(bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "vmfs"}, "format='vmfs': allowed are vmfs-sparse, se-sparse"),
        ({"capacity": "32 GB"}, "did you mean GiB|Did you mean GiB"),
        ({"capacity": 1000}, "capacity=1000: a disk has whole sectors of 512 B. Try 1024"),
        ({"capacity": 0}, "capacity=0: allowed are 512 B"),
        ({"capacity": "3 TiB"}, "vmfs-sparse reaches 2 TiB"),
        ({"cluster_size": "64 KiB"}, "cluster_size.*vmfs-sparse has no such parameter; it has bus_discards"),
        ({"increment": "512 KiB"}, "increment='512 KiB': allowed are 1048576 to 67108864 B"),
        ({"increment": MIB + 1}, "whole sectors"),
        ({"grain": 1536}, "grain=1536: a power of two"),
        ({"discard": "release"}, "discard='release': allowed are 'ignore'"),
        ({"bus_discards": 1}, "bus_discards=1: allowed are True, False"),
        ({"format": "qcow2", "cluster_size": 1000}, "cluster_size=1000: a power of two"),
        ({"format": "qcow2", "cluster_size": 512, "capacity": "1 TiB"}, "clusters of 512 B reaches 128 GiB"),
    ],
)
def test_errors_name_what_is_allowed(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Delta(**arguments)


def test_replay_refuses_times_that_fall():
    with pytest.raises(ParameterError, match=r"time_s of request 2=1.0: times must not fall.*came at 5.0 s"):
        replay(requests((0, 1, 0, 512), (5, 1, 0, 512), (1, 1, 0, 512)))


@pytest.mark.parametrize(
    ("end", "gib"), [(512, 1), (GIB, 1), (GIB + 512, 2), (3 * GIB, 4), (31 * GIB, 32), (33 * GIB, 64)]
)
def test_the_capacity_of_a_trace_is_a_power_of_two(end, gib):
    assert replay(requests((0, 0, end - 512, 512), (1, 4, 2**62, 0))).capacity == gib * GIB


def test_unique_bytes_have_to_be_asked_for():
    delta = Delta("qcow2", "1 GiB")
    delta.apply(requests((0, 1, 0, 512)))
    with pytest.raises(ParameterError, match="track_unique=True"):
        _ = delta.unique_bytes
    assert delta.table([0.0]).unique_bytes.isna().all()
    assert Delta("vmfs-sparse").unique_bytes == 0  # its grains are sectors


def test_unique_sectors_stay_counted_after_a_discard():
    delta = Delta("exact", "1 GiB", track_unique=True)
    delta.apply(requests((0, 1, 0, 8192), (1, 2, 0, 4096), (2, 1, 0, 512)))
    assert (delta.grains, delta.unique_bytes, delta.file_bytes) == (9, 8192, 9 * 512)


def test_history_of_a_fed_delta_has_a_row_per_call():
    delta = Delta("vmfs-sparse", "1 GiB", track_unique=True)
    for second in range(20):
        delta.apply(requests((second, 1, second * 4096, 4096), (second + 0.5, 1, second * 4096, 4096)))
    table = delta.table(at=[-1, 0.4, 0.5, 7.5, 100])
    assert table.written_bytes.tolist() == [0, 0, 8192, 8 * 8192, 20 * 8192]
    assert table.unique_bytes.tolist() == [0, 0, 4096, 8 * 4096, 20 * 4096]
    exact = replay(requests(*[(s, 1, s * 4096, 4096) for s in range(20)]), capacity="1 GiB")
    assert exact.table(at=[3, 3.5, 2.999]).grains.tolist() == [32, 32, 24]
    halves = replay(requests((0.5, 1, 0, 4096), (1.5, 1, 4096, 4096)), capacity="1 GiB")
    assert halves.table(at=[0, 0.4, 0.5, 1, 1.4]).grains.tolist() == [8, 0, 8, 16, 8]  # a whole second to its end


def test_a_replayed_delta_takes_more_requests():
    first, second = requests((0, 1, 0, 4096)), requests((9, 1, MIB, 4096), (11, 1, 2 * MIB, 4096))
    delta = replay(first, capacity="1 GiB")
    delta.apply(second)
    assert delta.table([5, 9, 10, 11]).grains.tolist() == [8, 16, 16, 24]
    delta.revert()
    assert delta.table([5, 9, 10, 11]).grains.tolist() == [0, 0, 0, 0]
    with pytest.raises(ParameterError, match="requests were applied already"):
        used = Delta()
        used.apply(first)
        used.keep_requests()


def test_chain():
    base = Delta("vmfs-sparse", "1 GiB")
    base.apply(requests((0, 1, 0, 40 * MIB)))
    below = base.file_bytes
    top = Delta("vmfs-sparse", parent=base)
    top.apply(requests((1, 1, 0, 20 * MIB)))
    assert top.capacity == GIB
    assert top.chain_bytes == below + top.file_bytes
    top.revert()
    assert base.file_bytes == below
    assert top.parent is base
    with pytest.raises(ParameterError, match="a snapshot has its parent's 1 GiB"):
        Delta("vmfs-sparse", "2 GiB", parent=base)
    with pytest.raises(ParameterError, match="do not mix in one chain"):
        Delta("se-sparse", parent=base)


def test_holds_and_grain_map():
    delta = Delta("vmfs-sparse", 10 * MIB + 512)
    delta.apply(requests((0, 1, 512 * 60, 512 * 10), (0, 1, 10 * MIB, 512), (0, 1, 700, 1)))
    expected = np.zeros(delta.law.grains, np.bool_)
    expected[[1, *range(60, 70), 20_480]] = True
    assert (delta.holds(0, 10 * MIB + 512) == expected).all()
    assert (delta.holds(512 * 63 + 5, 512 * 8) == expected[63:72]).all()
    assert delta.holds(100, 0).size == 0
    assert delta.grain_map().tolist() == [[512, 1024], [30_720, 35_840], [10 * MIB, 10 * MIB + 512]]
    with pytest.raises(ParameterError, match="the disk has"):
        delta.holds(10 * MIB, 1024)
    coarse = Delta("lvm-thin", 100_000 - 100_000 % 512)
    coarse.apply(requests((0, 1, 99_000, 1)))
    assert coarse.grain_map().tolist() == [[65_536, 99_840]]


def test_strided_and_read_only_requests_are_taken():
    rows = np.zeros(50, [("time_s", float), ("op", np.uint8), ("offset", np.int64), ("length", np.int64)])
    rows["op"], rows["offset"], rows["length"] = 1, np.arange(50) * MIB, 4096
    rows.setflags(write=False)
    delta = Delta("qcow2", "1 GiB")
    delta.apply(Requests(rows["time_s"], rows["op"], rows["offset"], rows["length"]))
    assert delta.grains == 50
    assert delta.written_bytes == 50 * 4096


def test_kernels_have_one_signature_each():
    for name in FORMATS:
        replay(mixed(8, 64 * MIB), name, "64 MiB").revert()
    for module in (law_kernel, qcow2_kernel):
        for name, kernel in vars(module).items():
            if hasattr(kernel, "signatures"):
                assert len(kernel.signatures) <= 1, (name, kernel.signatures)


def test_memory_of_a_large_delta_is_its_bitmap():
    assert Delta("vmfs-sparse", "40 GiB")._bits.nbytes == 10 * MIB
