"""Run lists and attribute records of the ntfs-3g model: bytes as NTFS writes them, and lists that do the same."""

from __future__ import annotations

import random
from itertools import accumulate

import numpy as np
import pytest

from clonesim.guest import attribute_kernel as attribute
from clonesim.guest import file_kernel as file
from clonesim.guest import ntfs3g_record_kernel as records
from clonesim.guest.arena import new_arena
from clonesim.guest.arena_kernel import R_EXTENT, base
from clonesim.guest.attribute_kernel import ALLOCATION, DATA, INDEX_BITMAP, INFORMATION, LIST, NAME, ROOT, SECURITY

F, G = np.int64(70), np.int64(71)  # files
KINDS = [INFORMATION, LIST, NAME, SECURITY, DATA, ROOT, ALLOCATION, INDEX_BITMAP]


def short(n):
    """A signed number in as few bytes as can hold it."""
    for size in range(1, 9):
        try:
            return n.to_bytes(size, "little", signed=True)
        except OverflowError:
            continue
    raise AssertionError(n)


def pairs(runs):
    """Mapping pairs of runs (first cluster, clusters) as NTFS stores them: sizes, length, distance to the last run."""
    found, before = [], 0
    for lcn, clusters in runs:
        length, offset = short(clusters), short(lcn - before)
        found.append(bytes([len(length) | len(offset) << 4]) + length + offset)
        before = lcn
    return found


def decoded(stored):
    """Runs of mapping pairs with their end mark."""
    runs, lcn, at = [], 0, 0
    while stored[at]:
        length, offset = stored[at] & 15, stored[at] >> 4
        clusters = int.from_bytes(stored[at + 1 : at + 1 + length], "little", signed=True)
        lcn += int.from_bytes(stored[at + 1 + length : at + 1 + length + offset], "little", signed=True)
        runs.append((lcn, clusters))
        at += 1 + length + offset
    assert at == len(stored) - 1
    return runs


def behind(runs, vcn):
    """Runs from a virtual cluster on."""
    found, at = [], 0
    for lcn, clusters in runs:
        skipped = min(max(vcn - at, 0), clusters)
        if skipped < clusters:
            found.append((lcn + skipped, clusters - skipped))
        at += clusters
    return found


def random_runs(rnd, count):
    """Runs of all magnitudes, apart from each other."""
    runs = []
    while len(runs) < count:
        run = rnd.randrange(1 << rnd.randint(1, 29)), rnd.randint(1, 1 << rnd.randint(0, 17))
        if not runs or sum(runs[-1]) != run[0]:
            runs.append(run)
    return runs


def empty_arena():
    m = new_arena(1000)
    m[file.CLUSTER_BYTES], m[file.CLUSTER_SHIFT] = 4096, 12
    return m


def store(m, f, runs):
    """A file that has these runs."""
    file.open_record(m, f, np.int64(5), np.int64(1), np.int64(2))
    vcn = 0
    for lcn, clusters in runs:
        file.add_extent(m, f, np.int64(vcn), np.int64(lcn))
        vcn += clusters
    file.set_size(m, f, np.int64(max(vcn * 4096 - 5, 0)))


def stored(m, f):
    """Runs of a file."""
    count, clusters = int(file.extents(m, f)), int(file.file_clusters(m, f))
    vcn = [*(int(file.extent_vcn(m, f, i)) for i in range(count)), clusters]
    return [(int(file.extent_lcn(m, f, i)), vcn[i + 1] - vcn[i]) for i in range(count)]


def free_words(m):
    """Words of all freed chunks."""
    total = 0
    for order in range(file.CLASSES):
        at = int(m[file.CHUNK_FREE + order])
        while at:
            total += 1 << order
            at = int(m[base(m, R_EXTENT) + at - 1])
    return total


# --- run lists -----------------------------------------------------------------------------------------------------


def test_signed_numbers_take_as_few_bytes_as_can_hold_them():
    borders = [sign << bits for sign in (-1, 1) for bits in range(54)]
    for n in {n + more for n in borders for more in (-2, -1, 0, 1, 2)}:
        assert attribute.signed_bytes(np.int64(n)) == len(short(n)), n


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_mapping_pairs_are_those_of_ntfs(count):
    """From any cluster on, and as many as fit any number of bytes."""
    rnd = random.Random(count)
    runs = random_runs(rnd, count)
    m, total = empty_arena(), sum(clusters for _, clusters in runs)
    store(m, F, runs)
    vcns = list(accumulate((clusters for _, clusters in runs), initial=0))
    for vcn in sorted({0, *(v + d for v in rnd.sample(vcns, min(8, count)) for d in (-1, 0, 1))} & set(range(total))):
        rest = behind(runs, vcn)
        parts = pairs(rest)
        assert decoded(b"".join(parts) + b"\0") == rest
        ends = list(accumulate(map(len, parts), initial=0))
        for limit in (1 << 30, 1, *(end + d for end in ends[-3:] + ends[:4] for d in (0, 1, 2))):
            fit = max(i for i, end in enumerate(ends) if end + 1 <= limit or not i)
            stop = vcn + sum(clusters for _, clusters in rest[:fit])
            found = attribute.mapping_pairs(m, F, np.int64(total), np.int64(vcn), np.int64(limit))
            assert tuple(map(int, found)) == (ends[fit] + 1, stop), (vcn, limit)


def test_run_lists_grow_in_chunks_that_are_used_again():
    rnd, m = random.Random(2), empty_arena()
    for count in (1, 2, 3, 4, 5, 31, 33):
        runs, others = random_runs(rnd, count), random_runs(rnd, 40 - count)
        store(m, F, [(lcn + k, 1) for lcn, clusters in runs for k in range(min(clusters, 9))])
        store(m, G, others)
        assert stored(m, F) == [(lcn, min(clusters, 9)) for lcn, clusters in runs], "clusters in a row are one extent"
        assert stored(m, G) == others
        vcn = 0
        for i, (_, clusters) in enumerate(others):
            for at in (vcn, vcn + clusters - 1):
                assert file.extent_holding(m, G, np.int64(at)) == i
            vcn += clusters
        assert file.end_cluster(m, G, np.int64(vcn)) == sum(others[-1])
        assert file.file_clusters(m, G) == vcn
        file.close_record(m, F)
        file.close_record(m, G)
        assert (int(file.extents(m, F)), int(file.file_clusters(m, F)), int(file.name_units(m, F))) == (0, 0, 0)
        assert file.end_cluster(m, F, np.int64(0)) == -1
    used = int(m[file.CHUNK_NEXT])
    assert free_words(m) == used
    assert used <= 2 * (1 + 2 + 4 + 8 + 16 + 32 + 64)
    store(m, F, runs)
    assert m[file.CHUNK_NEXT] == used, "freed chunks come first"


# --- tables of attributes ------------------------------------------------------------------------------------------


class Table:
    """What a table should hold: attributes as lists, and MFT records."""

    def __init__(self, units):
        name = 66 + 2 * units
        self.rows = [[INFORMATION, 0, True, 72, 0, 48], [NAME, 0, True, 24 + -(-name // 8) * 8, 0, name]]
        self.rows += [[SECURITY, 0, True, 104, 0, 80], [DATA, 0, False, 88, 0, 0]]
        self.numbers = [int(F)]

    def used(self, holder):
        return 64 + sum(row[3] for row in self.rows if row[4] == holder)

    def compare(self, m):
        t = attribute.table(m, F)
        assert (int(m[t + attribute.T_ATTRIBUTE_COUNT]), int(m[t + attribute.T_RECORD_COUNT])) == (
            len(self.rows),
            len(self.numbers),
        )
        found = [
            [
                int(attribute.attribute_kind(m, F, i)),
                int(attribute.attribute_name(m, F, i)),
                bool(attribute.attribute_resident(m, F, i)),
                int(attribute.attribute_bytes(m, F, i)),
                int(attribute.attribute_record(m, F, i)),
                int(attribute.attribute_value(m, F, i)),
            ]
            for i in range(len(self.rows))
        ]
        assert found == [[int(row[0]), *row[1:]] for row in self.rows]
        for holder, number in enumerate(self.numbers):
            assert attribute.record_number(m, F, holder) == number
            assert attribute.record_used(m, F, holder) == self.used(holder)
            assert records.room_in(m, F, holder) == 1024 - self.used(holder)
            for kind in KINDS:
                held = any(row[0] == kind and row[4] == holder for row in self.rows)
                assert records.holds_kind(m, F, holder, kind) == held
        for kind in KINDS:
            first = next((i for i, row in enumerate(self.rows) if row[0] == kind), -1)
            assert attribute.first_piece(m, F, kind) == first


def do_at_random(m, table, rnd):
    """One change of both."""
    number = lambda: np.int64(rnd.randrange(len(table.numbers)))  # noqa: E731
    draw, holder = rnd.random(), number()
    if draw < 0.15:
        table.numbers.append(rnd.randrange(64, 1 << 24))
        assert attribute.add_record(m, F, np.int64(table.numbers[-1])) == len(table.numbers) - 1
    elif draw < 0.5:
        kind, name = rnd.choice(KINDS), rnd.choice([0, 8, 248])
        resident, size, value = rnd.random() < 0.5, 8 * rnd.randint(3, 30), rnd.randrange(1 << rnd.randint(1, 40))
        i = attribute.add_attribute(m, F, kind, np.int64(name), resident, np.int64(size), holder, np.int64(value))
        table.rows.append([kind, name, resident, size, int(holder), value])
        assert i == len(table.rows) - 1
    else:
        i = rnd.randrange(len(table.rows))
        row = table.rows[i]
        if draw < 0.8:
            size = rnd.randint(1, 500)
            rounded = -(-size // 8) * 8
            fits = table.used(row[4]) - row[3] + rounded <= 1024
            assert attribute.resize(m, F, np.int64(i), np.int64(size)) == fits
            row[3] = rounded if fits else row[3]
        else:
            records.move_attribute(m, F, np.int64(i), holder)
            row[4] = int(holder)


def test_a_table_of_attributes_equals_a_list():
    """Sizes rounded up to 8, records that say how full they are, chunks that double as the lists grow."""
    rnd = random.Random(5)
    for units, before in ((1, 0), (20, 1), (255, 3)):
        m = empty_arena()
        store(m, G, random_runs(rnd, before))  # tables start anywhere, not only where 16 words end
        file.open_record(m, F, np.int64(units), np.int64(1), np.int64(2))
        assert attribute.table(m, F) == -1
        attribute.open_file_table(m, F, np.int64(88), False, np.int64(0))
        table = Table(units)
        assert attribute.plain_bytes(m, F) == table.used(0) - 88
        assert not records.is_listed(m, F)
        table.compare(m)
        for step in range(90):
            do_at_random(m, table, rnd)
            if step % 5 == 0:
                table.compare(m)
        table.compare(m)
        assert len(table.numbers) > 8 and len(table.rows) > 16
        attribute.close_table(m, F)
        assert attribute.table(m, F) == -1
        used = int(m[file.CHUNK_NEXT])
        file.close_record(m, G)
        assert free_words(m) == used, "every word is free again"
        attribute.open_file_table(m, F, np.int64(88), False, np.int64(0))
        assert m[file.CHUNK_NEXT] == used, "a table given back is used again"
        Table(units).compare(m)


def test_a_new_table_has_no_streams_whatever_its_words_held_before():
    m = empty_arena()
    store(m, G, random_runs(random.Random(7), 16))
    was = int(file.chunk_at(m, G))
    file.close_record(m, G)
    file.open_record(m, F, np.int64(9), np.int64(1), np.int64(2))
    attribute.open_table(m, F)
    assert attribute.table(m, F) == was
    assert [int(attribute.stream_of(m, F, kind)) for kind in (LIST, SECURITY, INDEX_BITMAP)] == [0, 0, 0]
    assert not records.is_listed(m, F) and attribute.record_used(m, F, 0) == 64


def test_streams_of_a_table_have_numbers_of_their_own():
    m = empty_arena()
    numbers = []
    for f in (F, G):
        file.open_record(m, f, np.int64(9), np.int64(1), np.int64(2))
        attribute.open_table(m, f)
        assert [int(attribute.stream_of(m, f, kind)) for kind in (LIST, SECURITY, INDEX_BITMAP)] == [0, 0, 0]
        for kind in (LIST, SECURITY, INDEX_BITMAP):
            numbers.append(int(attribute.open_stream(m, f, kind)))
            assert attribute.stream_of(m, f, kind) == numbers[-1]
            file.add_extent(m, np.int64(numbers[-1]), np.int64(0), np.int64(100 - 7 * len(numbers)))
        assert attribute.stream_of(m, f, DATA) == attribute.stream_of(m, f, ALLOCATION) == f
    assert len(set(numbers)) == 6 and max(numbers) < 0
    assert [int(file.extent_lcn(m, np.int64(s), 0)) for s in numbers] == [93, 86, 79, 72, 65, 58]
    attribute.close_stream(m, F, SECURITY)
    assert attribute.stream_of(m, F, SECURITY) == 0
    assert [int(attribute.stream_of(m, G, kind)) for kind in (LIST, SECURITY, INDEX_BITMAP)] == numbers[3:]
    assert attribute.open_stream(m, F, INDEX_BITMAP) == numbers[1], "a stream that ended is used again"
    assert attribute.open_stream(m, F, SECURITY) not in numbers
