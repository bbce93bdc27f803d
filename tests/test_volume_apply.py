"""Batches of operations: checked before anything runs, equal to the same calls one by one; kernels compiled once."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volume_tools import ops, state

from clonesim.errors import ParameterError, VolumeFullError
from clonesim.guest import POLICIES, Volume, entry_kernel
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.units import MIB

BIG = 2**63 - 1
LENGTHS = "create takes 0 B or more, the others 1 B or more; a file has at most 64 TiB, a scatter 1 GiB"
NUMBERS = "file numbers go from 0 to 16777215"
WRONG = [
    ((0, 7, 1, 0, 0), "op=7", "a FileOp code is needed: 0 (create) to 6 (scatter)"),
    ((0, -1, 1, 0, 0), "op=-1", "a FileOp code is needed: 0 (create) to 6 (scatter)"),
    ((0, FileOp.CREATE, 1, 0, 9), "file=1", "the file exists already at that time"),
    ((0, FileOp.CREATE, -1, 0, 9), "file=-1", NUMBERS),
    ((0, FileOp.CREATE, 2**24, 0, 9), f"file={2**24}", NUMBERS),
    ((0, FileOp.CREATE, 3, 0, -1), "length=-1", LENGTHS),
    ((0, FileOp.CREATE, 3, 0, BIG), f"length={BIG}", LENGTHS),
    ((0, FileOp.APPEND, 3, 0, 9), "file=3", "no such file at that time"),
    ((0, FileOp.APPEND, 1, 0, 0), "length=0", LENGTHS),
    ((0, FileOp.APPEND, 1, 0, BIG), f"length={BIG}", LENGTHS),
    ((0, FileOp.OVERWRITE, 1, 0, 0), "length=0", LENGTHS),
    ((0, FileOp.OVERWRITE, 1, 9990, 11), "offset=9990", "an overwrite stays inside the file"),
    ((0, FileOp.OVERWRITE, 1, -1, 1), "offset=-1", "an overwrite stays inside the file"),
    ((0, FileOp.OVERWRITE, 1, BIG, 1), f"offset={BIG}", "an overwrite stays inside the file"),
    ((0, FileOp.SCATTER, 3, 5, 9), "file=3", "no such file at that time"),
    ((0, FileOp.SCATTER, 1, 5, 0), "length=0", LENGTHS),
    ((0, FileOp.SCATTER, 1, 5, BIG), f"length={BIG}", LENGTHS),
    ((0, FileOp.SCATTER, 1, 5, 2**30 + 1), f"length={2**30 + 1}", LENGTHS),
    ((0, FileOp.DELETE, 3, 0, 0), "file=3", "no such file at that time"),
    ((0, FileOp.RENAME, 3, 1, 0), "file=3", "no such file at that time"),
    ((0, FileOp.RENAME, 1, -2, 0), "file=1", NUMBERS),
    ((-1, FileOp.DELETE, 1, 0, 0), "time_s=-1.0", "times are seconds from 0 on and never go back"),
    ((math.nan, FileOp.DELETE, 1, 0, 0), "time_s=nan", "times are seconds from 0 on and never go back"),
    ((1e10, FileOp.DELETE, 1, 0, 0), "time_s=10000000000.0", "times are seconds from 0 on and never go back"),
]


@pytest.mark.parametrize(("row", "what", "allowed"), WRONG, ids=lambda v: str(v)[:40])
def test_apply_checks_before_anything_runs(row, what, allowed):
    vol = Volume("64 MiB")
    vol.snapshot("qcow2")
    good = [(0, FileOp.CREATE, 1, 0, 10_000), (0, FileOp.CREATE, 2, 0, 0), (0, FileOp.DELETE, 2, 0, 0)]
    before = state(vol)
    with pytest.raises(ParameterError) as caught:
        vol.apply(ops(*good, row, (2e8, FileOp.CREATE, 5, 0, 0)))
    assert str(caught.value) == f"ops[3].{what}: {allowed}. Nothing was changed."
    assert state(vol) == before
    vol.apply(ops(*good))
    assert 1 in vol and 2 not in vol


def test_apply_refuses_times_that_go_back():
    vol = Volume("64 MiB")
    with pytest.raises(
        ParameterError, match=r"^ops\[1\]\.time_s=1\.0: times are seconds from 0 on and never go back\."
    ):
        vol.apply(ops((2.0, FileOp.CREATE, 1, 0, 0), (1.0, FileOp.DELETE, 1, 0, 0)))
    assert len(vol) == 0


@pytest.mark.parametrize("wrong", [[], np.zeros(3), np.zeros((2, 2), OPS_DTYPE), None])
def test_apply_takes_operations_only(wrong):
    with pytest.raises(ParameterError, match=r"^ops=.*: a one-dimensional array of clonesim.ops.OPS_DTYPE is needed"):
        Volume("64 MiB").apply(wrong)


def test_apply_stops_where_the_volume_is_full():
    vol = Volume("16 MiB")
    rows = [(0, FileOp.CREATE, k, 0, 3 * MIB) for k in range(9)]
    with pytest.raises(VolumeFullError, match=r"^operation 4: size=3145728 B: the volume has \d+ B free"):
        vol.apply(ops(*rows))
    assert [k for k in range(9) if k in vol] == [0, 1, 2, 3]
    vol.check_invariants()


def test_apply_of_nothing():
    Volume("64 MiB").apply(ops())


CALLS = [op for op in FileOp if op != FileOp.SCATTER]  # a batch is the only way to scatter


@pytest.mark.parametrize("policy", list(POLICIES))
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_apply_equals_the_same_calls_one_by_one(policy, seed):
    rng = random.Random(seed)
    together = Volume("64 MiB", policy, auto_checkpoint=False)
    single = Volume("64 MiB", policy, auto_checkpoint=False)
    for vol in (together, single):
        vol.snapshot("qcow2")
    held, rows = {}, []
    for _ in range(150):
        k, n, length = rng.randrange(30), rng.randrange(30), rng.randrange(1, 300_000)
        op = rng.choice(CALLS) if k in held else FileOp.CREATE
        if op == FileOp.CREATE and k not in held:
            held[k] = length
            rows.append((0, op, k, 0, length))
            single.create(k, length)
        elif op == FileOp.APPEND:
            held[k] += length
            rows.append((0, op, k, 0, length))
            single.append(k, length)
        elif op == FileOp.OVERWRITE:
            length = min(length, held[k])
            rows.append((0, op, k, held[k] - length, length))
            single.overwrite(k, held[k] - length, length)
        elif op == FileOp.DELETE:
            del held[k]
            rows.append((0, op, k, BIG, BIG))
            single.delete(k)
        elif op == FileOp.RENAME:
            held[n] = held.pop(k)
            rows.append((0, op, k, n, BIG))
            single.rename(k, n)
        elif op == FileOp.TRIM:
            rows.append((0, op, -1, BIG, BIG))
            single.trim()
    together.apply(ops(*rows))
    assert state(together) == state(single)
    together.check_invariants()


# --- batches whose refused operations are left out -----------------------------------------------------------------


@pytest.mark.parametrize("policy", ["windows", "ntfs3g"])
def test_what_a_full_volume_refuses_is_left_out(policy):
    """Nine files of 3 MiB on 16 MiB: the first four fit; what the others would do later is left out too."""
    vol, wanted = Volume("16 MiB", policy), Volume("16 MiB", policy)
    creates = [(0, FileOp.CREATE, k, 0, 3 * MIB) for k in range(9)]
    later = [(9, op, k, 0, 4096) for k in range(9) for op in (FileOp.OVERWRITE, FileOp.SCATTER)]
    later += [(9, FileOp.RENAME, k, k + 20, 0) for k in range(9)]
    later += [(20, FileOp.DELETE, k + 20, 0, 0) for k in range(9)] + [(30, FileOp.CREATE, 60, 0, 3 * MIB)]
    assert vol.apply(ops(*creates, *later), skip_refused=True) == 5 + 4 * 5
    wanted.apply(ops(*(row for row in creates + later if row[2] % 20 < 4)))
    assert state(vol) == state(wanted) and 60 in vol
    vol.check_invariants()


@pytest.mark.parametrize(
    ("row", "refused"),
    [
        ((0, FileOp.CREATE, 1, 0, 5), 1),  # is there already
        ((0, FileOp.APPEND, 2, 0, 5), 1),  # is not
        ((0, FileOp.OVERWRITE, 1, 9999, 1), 0),
        ((0, FileOp.OVERWRITE, 1, 10_000, 1), 1),  # behind its end
        ((0, FileOp.OVERWRITE, 1, 9_000, 2**46), 1),
        ((0, FileOp.SCATTER, 3, 7, 4096), 1),  # empty
        ((0, FileOp.DELETE, 2, 0, 0), 1),
        ((0, FileOp.RENAME, 2, 1, 0), 1),
        ((0, FileOp.TRIM, 0, 0, 0), 0),
        ((0, FileOp.OVERWRITE, 1, 2**63 - 1, 4096), 1),  # offset + length would wrap around
    ],
)
def test_operation_that_cannot_be_done_is_left_out(row, refused):
    vol = Volume("64 MiB")
    vol.apply(ops((0, FileOp.CREATE, 1, 0, 10_000), (0, FileOp.CREATE, 3, 0, 0)))
    files = state(vol)[0]
    assert vol.apply(ops(row), skip_refused=True) == refused
    assert state(vol)[0] == files
    vol.check_invariants()


@pytest.mark.parametrize("row", [row for row in WRONG if row[1].startswith(("op=", "time_s=", "length="))])
def test_operations_that_make_no_sense_are_never_left_out(row):
    operation, what, allowed = row
    vol = Volume("64 MiB")
    vol.apply(ops((0, FileOp.CREATE, 1, 0, 10_000)))
    before = state(vol)
    with pytest.raises(ParameterError) as caught:
        vol.apply(ops((0, FileOp.DELETE, 1, 0, 0), operation), skip_refused=True)
    assert str(caught.value) == f"ops[1].{what}: {allowed}. Nothing was changed."
    assert state(vol) == before


# --- kernels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("calls_first", [True, False])
def test_each_entry_kernel_is_compiled_once(calls_first):
    """One signature each, under both drivers, whatever kinds of names, sizes and calls there were."""
    for policy in ("windows", "ntfs3g"):
        vol = Volume("64 MiB", policy)
        if calls_first:
            vol.create("a", "1 MiB")
            vol.create(1, 5000)
        else:
            vol.apply(ops((0, FileOp.CREATE, 1, 0, 5000)))
            vol.create("a", 10**6)
        vol.snapshot("qcow2")
        vol.append("a", 1)
        vol.overwrite("a", 0, "4 KiB")
        vol.overwrite(1, 0, np.int64(7).item())
        vol.rename(1, 2)
        vol.create("b")
        vol.rename("a", "b")
        vol.rename("b", "c")
        vol.apply(ops((0, FileOp.CREATE, 3, 0, 0), (0, FileOp.SCATTER, 2, 7, 9000), (0, FileOp.TRIM, 0, 0, 0)))
        vol.apply(ops((0, FileOp.CREATE, 3, 0, 0)), skip_refused=True)
        vol.occupy(np.ones(20, np.bool_))
        vol.trim()
        vol.extents("c")
        vol.delete("c")
        vol.delete(2)
        vol.advance(1)
        vol.revert()
        vol.check_invariants()
    own = [f for f in vars(entry_kernel).values() if getattr(f, "__module__", "") == entry_kernel.__name__]
    compiled = {f.__name__: len(f.signatures) for f in own if hasattr(f, "signatures")}
    assert {"run", "run_driver", "run_ops", "run_ops_driver"} <= set(compiled)
    assert set(compiled.values()) == {1}, compiled
