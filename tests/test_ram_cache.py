"""A write cache in memory: by hand, against a plain twin, and what must hold whatever is written."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference_ram_cache import PAGE, WRITES, PlainCache
from volume_tools import ops

from clonesim.delta import Delta
from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.ops import BlockOp, FileOp, Requests
from clonesim.pool.strategies import ram_cache_kernel as kernel
from clonesim.pool.strategies.ram_cache import RamCache, ram_cache_of
from clonesim.scenario import load_scenario

KIB, MIB = 2**10, 2**20
READ, WRITE, DISCARD, SAME, FLUSH = (
    int(op) for op in (BlockOp.READ, BlockOp.WRITE, BlockOp.DISCARD, BlockOp.WRITE_SAME, BlockOp.FLUSH)
)


def requests(*rows: tuple[int, int, int]) -> Requests:
    """Rows (operation, offset, length), one a second."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    time_s = np.arange(len(rows), dtype=np.float64)
    return Requests(time_s, table[:, 0].astype(np.uint8), table[:, 1].copy(), table[:, 2].copy())


def told(found: Requests) -> list[tuple[int, int, int]]:
    return list(zip(found.op.tolist(), found.offset.tolist(), found.length.tolist(), strict=True))


def pages_of(offset: int, length: int) -> range:
    return range(offset // PAGE, -(-(offset + length) // PAGE)) if length else range(0)


# --- by hand ------------------------------------------------------------------------------------------------------


def test_three_blocks_through_a_memory_of_two() -> None:
    """Blocks of 64 KiB have 16 pages. Block 0 is older than block 1, until it is written to again."""
    cache = RamCache(MIB, 128 * KIB, 64 * KIB)
    a, b, c = 0, 64 * KIB, 128 * KIB
    asked = requests(
        (WRITE, a, 4 * KIB),
        (WRITE, b + 8 * KIB, 512),  # a whole page is dirty
        (WRITE, a + 12 * KIB, 8 * KIB),  # block 0 has pages 0, 3, 4 and is the newest
        (WRITE, c, 4 * KIB),  # block 1 makes room
        (WRITE, b, 4 * KIB),  # and is taken in again; block 0 makes room, in two runs
    )
    out, rows = cache.put_from(asked)
    assert told(out) == [(WRITE, b + 8 * KIB, 4 * KIB), (WRITE, a, 4 * KIB), (WRITE, a + 12 * KIB, 8 * KIB)]
    assert rows.tolist() == [3, 4, 4]
    assert out.time_s.tolist() == [3.0, 4.0, 4.0]
    assert (cache.held_bytes, cache.dirty_bytes) == (128 * KIB, 8 * KIB)


def test_the_same_page_again_reaches_the_disk_once() -> None:
    cache = RamCache(MIB, 64 * KIB, 64 * KIB)
    out = cache.put(requests(*[(WRITE, 0, 4 * KIB)] * 100, (WRITE, 64 * KIB, 4 * KIB)))
    assert told(out) == [(WRITE, 0, 4 * KIB)]


def test_a_block_may_make_room_for_one_of_the_same_write() -> None:
    """A write to blocks 0 and 1 finds 1 and 2 in memory, 1 the older one: it goes out, and is taken in again."""
    cache = RamCache(MIB, 128 * KIB, 64 * KIB)
    asked = requests((WRITE, 68 * KIB, 4 * KIB), (WRITE, 128 * KIB, 4 * KIB), (WRITE, 60 * KIB, 8 * KIB))
    assert told(cache.put(asked)) == [(WRITE, 68 * KIB, 4 * KIB), (WRITE, 128 * KIB, 4 * KIB)]
    assert cache.dirty_bytes == 8 * KIB


def test_neighbours_that_the_same_write_pushes_out_go_as_one() -> None:
    """Four blocks of a page: 1, 2 and 0 go for one write, 3 for the next. Only what follows in order is joined."""
    cache = RamCache(MIB, 16 * KIB, 4 * KIB)
    first = [(WRITE, 4 * KIB * page, 4 * KIB) for page in (1, 2, 0, 3)]
    out, rows = cache.put_from(requests(*first, (WRITE, 64 * KIB, 12 * KIB), (WRITE, 128 * KIB, 1)))
    assert told(out) == [(WRITE, 4 * KIB, 8 * KIB), (WRITE, 0, 4 * KIB), (WRITE, 12 * KIB, 4 * KIB)]
    assert rows.tolist() == [4, 4, 5]


def test_discards_drop_whole_pages_and_pass_on() -> None:
    cache = RamCache(MIB, 128 * KIB, 64 * KIB)
    cache.put(requests((WRITE, 0, 16 * KIB), (WRITE, 64 * KIB, 4 * KIB)))
    out = cache.put(requests((DISCARD, 2 * KIB, 10 * KIB)))  # pages 1 and 2; of page 0 the second half only
    assert told(out) == [(DISCARD, 2 * KIB, 10 * KIB)]
    assert (cache.held_bytes, cache.dirty_bytes) == (128 * KIB, 12 * KIB)
    cache.put(requests((DISCARD, 64 * KIB, 4 * KIB)))  # its block has no dirty page left
    assert (cache.held_bytes, cache.dirty_bytes) == (64 * KIB, 8 * KIB)
    assert told(cache.put(requests((WRITE, 256 * KIB, 4 * KIB)))) == []  # there is room again
    assert told(cache.put(requests((WRITE, 512 * KIB, 4 * KIB)))) == [(WRITE, 0, 4 * KIB), (WRITE, 12 * KIB, 4 * KIB)]


def test_a_write_of_more_blocks_than_the_memory_has_goes_through() -> None:
    cache = RamCache(MIB, 128 * KIB, 64 * KIB)
    cache.put(requests((WRITE, 0, 8 * KIB), (WRITE, 64 * KIB, 4 * KIB)))
    large = (WRITE, 6 * KIB, 186 * KIB)  # blocks 0 to 2; of page 1 the second half only
    assert told(cache.put(requests(large))) == [large]
    assert (cache.held_bytes, cache.dirty_bytes) == (64 * KIB, 8 * KIB)  # pages 0 and 1 stay
    two = (WRITE, 64 * KIB, 128 * KIB)  # two blocks do fit, and block 0 makes room
    assert told(cache.put(requests(two))) == [(WRITE, 0, 8 * KIB)]


def test_the_last_page_is_written_no_longer_than_it_is() -> None:
    capacity = 64 * KIB + 4 * KIB + 512
    cache = RamCache(capacity, 4 * KIB, 4 * KIB)
    out = cache.put(requests((WRITE, 68 * KIB, 512), (WRITE, 0, 1)))
    assert told(out) == [(WRITE, 68 * KIB, 512)]
    cache.put(requests((WRITE, 68 * KIB, 100)))
    assert cache.dirty_bytes == 4 * KIB
    cache.put(requests((DISCARD, 68 * KIB, 512)))  # all there is of it
    assert cache.dirty_bytes == 0


def test_what_is_no_write_passes() -> None:
    rows = [(READ, 0, 4 * KIB), (FLUSH, 0, 0), (WRITE, 8 * KIB, 0), (DISCARD, 0, 0)]
    cache = RamCache(MIB, 64 * KIB, 64 * KIB)
    assert told(cache.put(requests(*rows))) == rows
    assert cache.held_bytes == 0


def test_without_memory_everything_passes() -> None:
    rows = [(WRITE, 0, 512), (SAME, 100, 5 * KIB), (DISCARD, 0, MIB), (READ, 0, 1)]
    cache = RamCache(MIB, 0, 64 * KIB)
    out, causes = cache.put_from(requests(*rows))
    assert told(out) == rows
    assert causes.tolist() == [0, 1, 2, 3]
    cache.clear()
    assert (cache.held_bytes, cache.dirty_bytes) == (0, 0)


def test_as_much_memory_as_disk_keeps_everything() -> None:
    cache = RamCache(MIB + 512, 64 * MIB, 64 * KIB)
    assert told(cache.put(requests((WRITE, 0, MIB + 512), (WRITE, MIB, 512)))) == []
    assert cache.dirty_bytes == MIB + 4 * KIB
    assert cache.held_bytes == MIB + 64 * KIB


def test_many_results_of_one_request() -> None:
    """512 runs of 256 blocks reach the disk at once: more than the room that a request has to begin with."""
    cache = RamCache(64 * MIB, 16 * MIB, 64 * KIB)
    rows = [(WRITE, block * 64 * KIB + page * 4 * KIB, 1) for block in range(256) for page in range(0, 16, 2)]
    assert told(cache.put(requests(*rows))) == []
    out, causes = cache.put_from(requests((WRITE, 32 * MIB, 16 * MIB)))
    assert len(out) == 2048
    assert set(causes.tolist()) == {0}
    assert sorted(out.offset.tolist()) == sorted(offset for _, offset, _ in rows)


# --- against the twin ---------------------------------------------------------------------------------------------


@st.composite
def lives(draw: st.DrawFn) -> tuple[int, int, int, list[tuple[int, int, int]]]:
    """A disk, its memory, blocks, and requests that meet each other; 512 KiB blocks have more pages than a word."""
    block = draw(st.sampled_from([4 * KIB, 8 * KIB, 64 * KIB, 512 * KIB]))
    capacity = block * draw(st.integers(1, 7)) + 512 * draw(st.integers(0, 9))
    ram = block * draw(st.integers(1, 4)) + draw(st.sampled_from([0, block // 2]))
    unit = draw(st.sampled_from([512, 4 * KIB, block // 2]))
    rows = []
    for _ in range(draw(st.integers(1, 40))):
        op = draw(st.sampled_from([WRITE, WRITE, WRITE, DISCARD, SAME, READ]))
        offset = min(unit * draw(st.integers(0, capacity // unit)), capacity)
        length = min(unit * draw(st.sampled_from([0, 1, 1, 2, 3, 8, 40])), capacity - offset)
        rows.append((op, offset, length))
    return capacity, ram, block, rows


@settings(max_examples=300, deadline=None)
@given(life=lives(), cut=st.integers(0, 40), emptied=st.integers(0, 60))
def test_follows_its_plain_twin(life: tuple[int, int, int, list[tuple[int, int, int]]], cut: int, emptied: int) -> None:
    """Step by step; the same again in two calls, after whatever was in memory was forgotten."""
    capacity, ram, block, rows = life
    cache, plain = RamCache(capacity, ram, block), PlainCache(capacity, ram, block)
    whole, out = [], []
    for step, row in enumerate(rows):
        if step == emptied:
            cache.clear()
            plain.clear()
        expected = plain.put(*row)
        out += expected
        assert told(cache.put(requests(row))) == expected, f"step {step}: {row}"
        assert cache.dirty_bytes == len(plain.pages) * PAGE, f"step {step}: {row}"
        assert cache.held_bytes == len(plain.memory) * block, f"step {step}: {row}"
    cache.clear()
    assert (cache.held_bytes, cache.dirty_bytes) == (0, 0)
    assert not cache._bits.any()
    assert not cache._slot_of.any()
    for part in (rows[:cut], rows[cut:]):
        whole += told(cache.put(requests(*part)))
    if emptied >= len(rows):
        assert whole == out


@settings(max_examples=200, deadline=None)
@given(life=lives())
def test_nothing_is_lost_and_nothing_is_made(life: tuple[int, int, int, list[tuple[int, int, int]]]) -> None:
    """Pages on disk and in memory are those written and not dropped; no more bytes leave than came, in whole pages."""
    capacity, ram, block, rows = life
    cache = RamCache(capacity, ram, block)
    out = told(cache.put(requests(*rows)))
    into = sum(len(pages_of(offset, length)) * PAGE for op, offset, length in rows if op in WRITES)
    left = sum(length for op, _, length in out if op in WRITES)
    assert left + cache.dirty_bytes <= into
    assert cache.dirty_bytes <= cache.held_bytes <= ram
    alive: set[int] = set()
    on_disk: set[int] = set()
    for kept, part in ((alive, rows), (on_disk, out)):
        for op, offset, length in part:
            if op in WRITES:
                kept.update(pages_of(offset, length))
            elif op == DISCARD:
                end = offset + length
                kept -= {
                    p for p in pages_of(offset, length) if p * PAGE >= offset and min((p + 1) * PAGE, capacity) <= end
                }
    bits = np.unpackbits(cache._bits.view(np.uint8), bitorder="little")
    assert on_disk | set(np.flatnonzero(bits).tolist()) == alive


# --- speed, memory, entry -----------------------------------------------------------------------------------------


def test_one_signature_each() -> None:
    cache = RamCache(MIB, 64 * KIB, 64 * KIB)
    asked = requests((WRITE, 0, 1), (WRITE, 64 * KIB, 1))
    for column in (asked.op, asked.offset, asked.length):
        column.flags.writeable = False
    cache.put(asked[::-1])
    cache.clear()
    for function in (kernel.put_requests, kernel.forget):
        assert len(function.signatures) == 1


def test_the_overflow_is_what_a_delta_takes() -> None:
    """The cache's results are requests like any others."""
    cache, delta = RamCache(64 * MIB, 4 * MIB, 2 * MIB), Delta("vhdx", "64 MiB")
    for at in range(0, 64, 2):
        delta.apply(cache.put(requests((WRITE, at * MIB, 4 * KIB))))
    assert delta.written_bytes == 30 * 4 * KIB
    assert delta.grains == 30


POWER = "a power of two of 4 KiB or more is needed. Write for example '2 MiB'."
ONE = "1 B or more is needed. Give the size of the virtual disk."


def pages_held(delta: Delta) -> set[int]:
    return {page for start, end in delta.grain_map().tolist() for page in pages_of(start, end - start)}


@pytest.mark.parametrize("block", [4 * KIB, 64 * KIB, 2 * MIB])
def test_a_guest_s_requests(block: int) -> None:
    """Files come and go on a volume; a delta without a cache holds what the one behind it and the memory hold."""
    rng = np.random.default_rng(5)
    volume = Volume("128 MiB", os="windows-10", discards=True, auto_checkpoint=False)
    alone = volume.snapshot("exact", grain="4 KiB", discard="release")
    capacity = volume.settings.disk_bytes
    behind = Delta("exact", capacity, grain="4 KiB", discard="release")
    cache, plain = RamCache(capacity, 8 * MIB, block), PlainCache(capacity, 8 * MIB, block)
    through: list[tuple[int, int, int]] = []
    expected: list[tuple[int, int, int]] = []

    def watch(asked: Requests, source: NDArray[np.int64], fresh: NDArray[np.int64]) -> None:
        out = cache.put(asked)
        behind.apply(out)
        through.extend(told(out))
        expected.extend(request for row in told(asked) for request in plain.put(*row))

    volume.watch = watch
    alive: set[int] = set()
    for number in range(200):
        time_s = 30.0 * number
        volume.apply(ops((time_s, FileOp.CREATE, number, 0, int(rng.integers(1, MIB)))))
        alive.add(number)
        if len(alive) > 40:
            gone = int(rng.choice(sorted(alive)))
            alive.remove(gone)
            volume.apply(ops((time_s + 10.0, FileOp.DELETE, gone, 0, 0)))
    assert through == expected
    assert len(through) > 100
    assert DISCARD in {op for op, _, _ in through}
    assert pages_held(behind) | plain.pages == pages_held(alone)
    assert behind.written_bytes < alone.written_bytes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, MIB, 4096), f"capacity=0: {ONE}"),
        ((MIB, MIB, 2048), f"block=2048: {POWER}"),
        ((MIB, MIB, 12288), f"block=12288: {POWER}"),
        ((MIB, -1, 4096), "ram=-1: 0 B, or a block of 4 KiB or more is needed"),
        ((MIB, MIB, 2 * MIB), "ram=1048576: 0 B, or a block of 2 MiB or more is needed"),
    ],
)
def test_what_is_refused(given: tuple[int, int, int], message: str) -> None:
    remedy = ". Give more memory, or smaller blocks." if message.startswith("ram") else ""
    with pytest.raises(ParameterError, match=f"^{re.escape(message + remedy)}$"):
        RamCache(*given)


PLACE = "the disk has 1 MiB (1048576 B). Give the cache the capacity of the disk."


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((WRITE, MIB - 512, 1024), f"request 1 (WRITE), offset and length=(1048064, 1024): {PLACE}"),
        ((DISCARD, -512, 1024), f"request 1 (DISCARD), offset and length=(-512, 1024): {PLACE}"),
        ((9, 0, 512), "op of request 1=9: allowed are 0, 1, 2, 3, 4."),
    ],
)
@pytest.mark.parametrize("ram", [0, MIB])
def test_a_bad_request_changes_nothing(row: tuple[int, int, int], message: str, ram: int) -> None:
    cache = RamCache(MIB, ram, 4 * KIB)
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        cache.put(requests((WRITE, 0, 512), row))
    assert (cache.held_bytes, cache.dirty_bytes) == (0, 0)


def test_of_a_scenario() -> None:
    generic = {"base": "windows-11-office", "platform": {"name": "generic"}}
    for name in ("mcs", "provisioned-streaming"):
        cache = ram_cache_of(load_scenario(generic | {"strategy": [{"name": name, "block": "64 KiB"}]}))
        assert cache is not None
        assert (cache.ram, cache.block) == (256 * MIB, 64 * KIB)
        assert cache.capacity == load_scenario(generic).guest.disk
        assert ram_cache_of(load_scenario(generic | {"strategy": [{"name": name, "ram": "0 B"}]})) is None
    assert ram_cache_of(load_scenario(generic)) is None
    assert RamCache(MIB, 64 * MIB).block == 2 * MIB  # the catalog's
