"""after_resets: the same as a plain twin, every operation possible, every byte written."""

import numpy as np
import pytest
import reference_plan
import reference_resets
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_tools import ops as rows_of

from clonesim.guest import Volume
from clonesim.guest.reset_kernel import GONE, after_resets
from clonesim.ops import OPS_DTYPE, FileOp

CREATE, APPEND, OVERWRITE, DELETE = FileOp.CREATE, FileOp.APPEND, FileOp.OVERWRITE, FileOp.DELETE
RENAME, TRIM, SCATTER = FileOp.RENAME, FileOp.TRIM, FileOp.SCATTER
FILES = 5
PAGE = 4096

ACTION = st.tuples(
    st.integers(0, 3),  # time that passes: often none
    st.sampled_from(FileOp),
    st.integers(0, FILES - 1),
    st.integers(0, FILES - 1),
    st.integers(0, 40_000) | st.just(0),
)


def plan_of(actions, base):
    """The actions that are possible without resets, as rows (time, op, file, offset, length)."""
    sizes, time, rows = dict(base), 0.0, []
    for passed, op, file, other, amount in actions:
        time += passed
        have = sizes.get(file)
        offset, length = 0, amount
        if op == TRIM:
            file = length = 0
        elif (have is None) != (op == CREATE):
            continue
        elif op == CREATE:
            sizes[file] = length
        elif op == DELETE:
            del sizes[file]
            length = 0
        elif op == RENAME:
            offset, length = other, 0
            sizes[other] = sizes.pop(file)
        elif op == APPEND:
            length += 1
            sizes[file] += length
        elif op == OVERWRITE:
            if not have:
                continue
            offset = amount % have
            length = max(1, (have - offset) // (1 + other))
        else:
            length = min(have // PAGE, 1 + other) * PAGE
            offset = amount  # the key
            if not length:
                continue
        rows.append((time, op, file, offset, length))
    return rows


def mended(rows, resets_s, base, files=FILES):
    ops = rows_of(*rows) if rows else np.zeros(0, OPS_DTYPE)
    image = np.full(files, GONE)
    for file, size in base.items():
        image[file] = size
    keep, size = np.zeros(ops.size, np.bool_), image.copy()
    after_resets(ops, np.array(resets_s, np.float64), image, size, np.zeros(files, np.int64), keep)
    return ops[keep]


def tuples(ops):
    return [tuple(row) for row in ops[["time_s", "op", "file", "offset", "length"]].tolist()]


BASE = st.dictionaries(st.integers(0, FILES - 1), st.integers(0, 40_000) | st.just(0), max_size=3)
ACTIONS = st.lists(ACTION, max_size=60)
RESETS = st.lists(st.integers(0, 60).map(float), max_size=5).map(sorted)


@settings(max_examples=300, deadline=None)
@given(actions=ACTIONS, resets_s=RESETS, base=BASE)
def test_the_same_as_a_plain_twin(actions, resets_s, base) -> None:
    rows = plan_of(actions, base)
    left = mended(rows, resets_s, base)
    expected, _ = reference_resets.after_resets(rows, resets_s, base)
    assert tuples(left) == expected
    assert reference_resets.written(tuples(left)) == reference_resets.written(rows), "a byte was lost or made"


@settings(max_examples=200, deadline=None)
@given(actions=ACTIONS, base=BASE)
def test_without_resets_a_plan_stays_as_it_is(actions, base) -> None:
    rows = plan_of(actions, base)
    assert tuples(mended(rows, [], base)) == rows
    assert tuples(mended(rows, [1e6], base)) == rows, "a reset after the end changes nothing"


def on_a_volume(base):
    volume = Volume("64 MiB", usn=False, auto_checkpoint=False)
    volume.begin_image()
    if base:
        volume.apply(rows_of(*((0.0, CREATE, file, 0, size) for file, size in base.items())))
    volume.seal()
    volume.snapshot("exact")
    return volume


@settings(max_examples=60, deadline=None)
@given(actions=ACTIONS, resets_s=RESETS, base=BASE)
def test_a_volume_that_is_reverted_takes_every_operation(actions, resets_s, base) -> None:
    """`apply` without `skip_refused`: it checks each piece as a whole, and raises at what cannot be."""
    rows = plan_of(actions, base)
    left = mended(rows, resets_s, base)
    volume, first = on_a_volume(base), 0
    for cut in np.searchsorted(left["time_s"], resets_s).tolist():
        volume.apply(left[first:cut])
        volume.revert()
        first = cut
    volume.apply(left[first:])
    volume.check_invariants()
    _, files = reference_resets.after_resets(rows, resets_s, base)
    sizes = dict(base) if resets_s and not len(left[left["time_s"] >= resets_s[-1]]) else files
    assert {file: volume.size(file) for file in range(FILES) if file in volume} == sizes


class TestByHand:
    def check(self, rows, resets_s, base, expected) -> None:
        assert tuples(mended(rows, resets_s, base)) == expected
        ends = [*resets_s, np.inf]
        first = -np.inf
        for end in ends:  # each epoch is a valid plan on the image alone
            part = [row for row in expected if first <= row[0] < end]
            array = rows_of(*part) if part else np.zeros(0, OPS_DTYPE)
            for _ in reference_plan.run(array, list(base.items())):
                pass
            first = end

    def test_a_file_of_the_clone_is_made_anew(self) -> None:
        rows = [(0.0, CREATE, 2, 0, 100), (1.0, APPEND, 2, 0, 50), (3.0, APPEND, 2, 0, 70), (4.0, APPEND, 2, 0, 5)]
        expected = [*rows[:2], (3.0, CREATE, 2, 0, 70), (4.0, APPEND, 2, 0, 5)]
        self.check(rows, [2.0], {}, expected)

    def test_an_operation_at_the_time_of_a_reset_comes_after_it(self) -> None:
        rows = [(0.0, CREATE, 2, 0, 100), (2.0, APPEND, 2, 0, 50)]
        self.check(rows, [2.0], {}, [rows[0], (2.0, CREATE, 2, 0, 50)])

    def test_a_file_of_the_image_is_back_in_its_size(self) -> None:
        rows = [
            (0.0, APPEND, 1, 0, 1000),
            (1.0, OVERWRITE, 1, 500, 900),
            (3.0, OVERWRITE, 1, 500, 900),  # 1,400 B do not fit into 600 B
            (4.0, OVERWRITE, 1, 500, 900),  # nor into 1,500 B: no, they do
        ]
        self.check(rows, [2.0], {1: 600}, [*rows[:2], (3.0, APPEND, 1, 0, 900), rows[3]])

    def test_a_deleted_file_of_the_image_is_there_again(self) -> None:
        rows = [(0.0, DELETE, 1, 0, 0), (3.0, CREATE, 1, 0, 50), (4.0, DELETE, 1, 0, 0), (5.0, CREATE, 1, 0, 9)]
        self.check(rows, [2.0], {1: 600}, [rows[0], (3.0, APPEND, 1, 0, 50), *rows[2:]])

    def test_what_is_gone_is_neither_deleted_nor_renamed(self) -> None:
        rows = [
            (0.0, CREATE, 2, 0, 10),
            (0.0, CREATE, 3, 0, 10),
            (3.0, DELETE, 2, 0, 0),
            (4.0, RENAME, 3, 1, 0),
            (5.0, OVERWRITE, 1, 0, 10),
        ]
        self.check(rows, [2.0], {1: 600}, [*rows[:2], rows[4]])

    def test_a_safe_save_works_as_ever(self) -> None:
        rows = [(t, op, 2, 1 if op == RENAME else 0, n) for t in (0.0, 3.0) for op, n in ((CREATE, 70), (RENAME, 0))]
        self.check(rows, [2.0], {1: 60}, rows)

    def test_a_save_that_a_reset_cuts_in_two(self) -> None:
        rows = [(1.0, CREATE, 2, 0, 70), (3.0, RENAME, 2, 1, 0), (4.0, OVERWRITE, 1, 0, 70)]
        self.check(rows, [2.0], {1: 60}, [rows[0], (4.0, APPEND, 1, 0, 70)])

    def test_scattered_pages(self) -> None:
        rows = [
            (0.0, CREATE, 2, 0, 8 * PAGE),
            (0.0, APPEND, 1, 0, 4 * PAGE),
            (3.0, SCATTER, 2, 77, 2 * PAGE),
            (4.0, SCATTER, 2, 78, PAGE),
            (5.0, SCATTER, 1, 79, PAGE),
            (6.0, SCATTER, 1, 80, PAGE),
        ]
        made = (3.0, CREATE, 2, 0, 2 * PAGE)
        filled = (5.0, APPEND, 1, 0, PAGE)  # empty in the image: no pages to scatter over
        self.check(rows, [2.0], {1: 0}, [*rows[:2], made, rows[3], filled, rows[5]])

    def test_two_resets_in_one_pause(self) -> None:
        rows = [(0.0, CREATE, 2, 0, 10), (5.0, APPEND, 2, 0, 20), (6.0, TRIM, 0, 0, 0)]
        self.check(rows, [2.0, 3.0], {}, [rows[0], (5.0, CREATE, 2, 0, 20), rows[2]])

    @pytest.mark.parametrize("length", [0, 10])
    def test_an_empty_create_of_a_file_that_is_there(self, length: int) -> None:
        rows = [(0.0, DELETE, 1, 0, 0), (3.0, CREATE, 1, 0, length)]
        expected = [rows[0], (3.0, APPEND, 1, 0, length)][: 1 + bool(length)]
        self.check(rows, [2.0], {1: 600}, expected)
