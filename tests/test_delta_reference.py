"""The kernels equal the slow reference, request by request, for every format."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reference_delta import plain

from clonesim.delta import FORMATS, Delta, replay
from clonesim.ops import BlockOp, Requests

MIB = 2**20
VARIANTS = {
    "vmfs-sparse": [{}, {"increment": MIB}, {"grain": 4096, "increment": MIB}],
    "se-sparse": [{"increment": MIB}, {"increment": MIB, "discard": "ignore"}],
    "qcow2": [{}, {"cluster_size": 512}, {"cluster_size": 4096}, {"cluster_size": 1024, "discard": "reuse"}],
    "vmdk-hosted": [{}, {"grain": 8192}],
    "vhd": [{}, {"block": MIB // 2}],
    "vhdx": [{}, {"block": MIB}, {"block": 256 * MIB}],
    "lvm-thin": [{}],
    "zfs-zvol": [{}, {"volblocksize": 512}],
    "rbd": [{}, {"object": 65536}],
    "inflated": [{}],
    "exact": [{}, {"discard": "reuse"}],
}
CASES = [(name, p) for name in FORMATS for p in VARIANTS[name]]


def one(at: float, op: int, offset: int, length: int) -> Requests:
    return Requests(np.array([at]), np.array([op], np.uint8), np.array([offset]), np.array([length]))


def owned(delta: Delta) -> set[int]:
    grain = delta.law.grain
    return {g for low, high in delta.grain_map() for g in range(low // grain, -(-high // grain))}


def compare(delta: Delta, slow, step: object) -> None:
    fast = (delta.written_bytes, delta.grains, delta.metadata_bytes, delta.file_bytes, delta.allocated_bytes)
    assert fast == (slow.written, len(slow.held), slow.metadata, slow.file, slow.allocated), step
    assert delta.unique_bytes == 512 * len(slow.sectors), step
    assert owned(delta) == slow.held, step
    assert list(zip(delta.increment_times, delta.increments.file_bytes, strict=True)) == slow.growth, step


@st.composite
def histories(draw):
    sectors = draw(st.integers(1, 6 * MIB // 512) | st.integers(1, 40))
    capacity = sectors * 512
    ops = st.sampled_from(
        [BlockOp.WRITE] * 4 + [BlockOp.DISCARD] * 3 + [BlockOp.WRITE_SAME, BlockOp.READ, BlockOp.FLUSH]
    )
    steps = []
    for _ in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 12)) == 0:
            steps.append("revert")
            continue
        offset = draw(st.integers(0, capacity))
        if draw(st.booleans()):
            offset -= offset % draw(st.sampled_from([512, 4096, 65536]))
        most = capacity - offset
        length = draw(st.integers(0, most) | st.integers(0, min(most, 9000)) | st.just(most))
        steps.append((int(draw(ops)), offset, length))
    return capacity, steps


@pytest.mark.parametrize(("name", "p"), CASES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=histories())
def test_every_format_follows_the_reference(name, p, history):
    capacity, steps = history
    delta, slow = Delta(name, capacity, track_unique=True, **p), plain(name, capacity, **p)
    compare(delta, slow, "fresh")
    for number, step in enumerate(steps):
        if step == "revert":
            delta.revert()
            slow.revert()
        else:
            delta.apply(one(number, *step))
            slow.request(number, *step)
        compare(delta, slow, (number, step))


@pytest.mark.parametrize(("name", "p"), CASES)
def test_one_call_equals_many(name, p):
    """Chunks of any size, and the growth lists that have to be enlarged inside a call, change nothing."""
    rng = np.random.default_rng(5)
    capacity, n = 24 * MIB + 512 * 3, 1500
    op = rng.choice([1, 2, 3], n, p=[0.8, 0.15, 0.05]).astype(np.uint8)
    offset = rng.integers(0, capacity // 512, n) * 512
    length = np.minimum(rng.integers(0, 40, n) * 512, capacity - offset)
    requests = Requests(np.arange(n, dtype=float), op, offset, length)
    whole, slow = replay(requests, name, capacity, **p), plain(name, capacity, **p)
    chunks = Delta(name, capacity, track_unique=True, **p)
    for low in range(0, n, 37):
        chunks.apply(requests[low : low + 37])
    for row in range(n):
        slow.request(float(row), int(op[row]), int(offset[row]), int(length[row]))
    compare(whole, slow, "replay")
    compare(chunks, slow, "chunks")


@pytest.mark.parametrize("name", ["vmfs-sparse", "exact", "qcow2"])
def test_a_single_request_may_grow_the_file_by_more_steps_than_there_is_room_for(name):
    capacity = 3 * 2**30
    delta = Delta(name, capacity, **({"increment": MIB} if name == "vmfs-sparse" else {}))
    delta.apply(one(7.5, 1, 0, capacity))
    assert delta.written_bytes == capacity
    if name == "vmfs-sparse":
        steps = -(-capacity * 129 // 128 // MIB)
        assert len(delta.increments) == steps - 1
        assert (delta.increment_times == 7.5).all()
        assert delta.file_bytes == delta.increments.file_bytes.iloc[-1] == delta.law.full_bytes
    else:
        assert len(delta.increments) == 1
