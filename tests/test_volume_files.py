"""Files of a volume, and its clock."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from volume_tools import PLAIN, lcns, ops, state

from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.ops import FileOp
from clonesim.units import KIB, MIB

# --- files ---------------------------------------------------------------------------------------------------------


def test_small_files_live_in_the_mft():
    vol = Volume("64 MiB", usn=False)
    used = vol.used_bytes
    vol.create("a", 700)
    assert vol.used_bytes == used and vol.extents("a").empty and vol.size("a") == 700
    vol.append("a", 1)
    assert vol.used_bytes == used + 4096 and vol.size("a") == 701


def test_rename_over_deletes_the_old_file():
    vol = Volume("64 MiB", usn=False)
    vol.create("a.doc", "1 MiB")
    used = vol.used_bytes
    vol.create("a.tmp", "1 MiB")
    place = lcns(vol, "a.tmp")
    vol.rename("a.tmp", "a.doc")
    assert "a.tmp" not in vol and lcns(vol, "a.doc") == place and len(vol) == 1
    assert vol.used_bytes == used and vol.quarantined_bytes == MIB
    vol.rename("a.doc", "a.doc")
    assert lcns(vol, "a.doc") == place


def test_names_of_all_kinds():
    vol = Volume("64 MiB")
    names = ["x" * 255, "\U0001f600" * 127, "漢" * 255, "\ud800", "a", "A", " ", "\x00", "\x00" * 8 + "\x05", 5, 2**20]
    for name in names:
        vol.create(name, 100)
    assert len(vol) == len(names) and all(name in vol for name in names)
    vol.check_invariants()
    for name in names:
        vol.delete(name)
    vol.check_invariants()
    assert len(vol) == 0


def test_many_files_make_the_regions_grow():
    """25,000 files, and back to the snapshot before them."""
    vol = Volume("1 GiB", "windows")
    vol.create("kept", "1 MiB")
    delta = vol.snapshot("exact")
    before = state(vol)
    vol.apply(ops(*((0.001 * k, FileOp.CREATE, k, 0, 300 + k % 2000) for k in range(25_000))))
    assert len(vol) == 25_001 and vol.used_bytes > 25_000 * KIB
    vol.check_invariants()
    vol.apply(ops(*((30 + 0.001 * k, FileOp.DELETE, k, 0, 0) for k in range(0, 25_000, 2))))
    vol.check_invariants()
    assert len(vol) == 12_501
    vol.revert()
    assert state(vol) == before and delta.grains == 0
    vol.check_invariants()


@pytest.mark.parametrize("policy", PLAIN)
def test_a_file_of_more_than_5000_fragments(policy):
    vol = Volume("128 MiB", policy, usn=False)
    count = 12_000
    vol.apply(ops(*((0.0, FileOp.CREATE, k, 0, 4096) for k in range(count))))
    vol.create("rest", vol.free_bytes - 512 * KIB)
    vol.snapshot("exact")
    before = state(vol)
    vol.apply(ops(*((1e4, FileOp.DELETE, k, 0, 0) for k in range(0, count, 2))))
    vol.advance("10 s")
    vol.create("pieces", 5_900 * 4096)
    assert len(vol.extents("pieces")) > 5000
    assert vol.extents("pieces")["clusters"].sum() == 5900
    vol.check_invariants()
    vol.delete("pieces")
    vol.trim()
    vol.check_invariants()
    vol.revert()
    assert state(vol) == before


def test_usn_journal_walks_through_free_space():
    vol = Volume("64 MiB", "first-fit", usn_most="64 KiB", usn_step="64 KiB", usn_bytes=512, name_units=1)
    start = vol.used_bytes
    vol.create("a")
    places, most = set(), 0
    for _ in range(2000):
        before = vol.bitmap
        vol.append("a", 1)
        places |= set(np.flatnonzero(vol.bitmap & ~before).tolist())
        most = max(most, vol.used_bytes - start)
    assert most <= 132 * KIB + 4096, "cut by a step once it has usn_most + usn_step bytes"
    assert len(places) > 200, "a million bytes of journal went through many clusters"
    vol.check_invariants()


def test_journal_that_is_cut_to_nothing():
    vol = Volume("64 MiB", usn_most=0, usn_step="64 KiB", usn_bytes=64)
    vol.create("a")
    for _ in range(3000):
        vol.append("a", 1)
    vol.check_invariants()


# --- clock ---------------------------------------------------------------------------------------------------------


def test_clock_runs_by_what_is_written_and_a_checkpoint():
    vol = Volume("1 GiB", write_rate="100 MiB", usn=False)
    vol.create("a", "100 MiB")
    metadata = vol.clock - 1.0 - 5.0
    assert 0 < metadata < 0.001
    vol = Volume("1 GiB", write_rate="100 MiB", auto_checkpoint=False)
    vol.create("a", "100 MiB")
    assert 1.0 < vol.clock < 1.001
    before = vol.clock
    vol.advance("2 min")
    assert vol.clock == pytest.approx(before + 120, abs=1e-9)
    vol.delete("a")
    assert vol.quarantined_bytes == 100 * MIB
    vol.advance(4.99)
    assert vol.quarantined_bytes == 100 * MIB
    vol.advance(0.01)
    assert vol.quarantined_bytes == 0


@pytest.mark.parametrize("duration", [-1, "5 parsecs", math.inf, math.nan, 1e12, "9999999999 s"])
def test_advance_refuses_what_is_no_duration(duration):
    vol = Volume("64 MiB")
    before = state(vol)
    with pytest.raises(ParameterError, match=r"^duration="):
        vol.advance(duration)
    assert state(vol) == before


def test_time_of_apply_moves_the_clock_on():
    vol = Volume("64 MiB")
    vol.apply(ops((100.0, FileOp.CREATE, 1, 0, 0)))
    assert 100.0 < vol.clock < 100.001
    vol.apply(ops((7.0, FileOp.CREATE, 2, 0, 0)))
    assert 100.0 < vol.clock < 100.002, "an earlier time waits for the clock"


def test_same_calls_same_bytes():
    def run():
        vol = Volume("256 MiB", "windows", os="windows-10")
        vol.snapshot("qcow2")
        rng = random.Random(5)
        for k in range(300):
            vol.create(k, rng.randrange(200_000))
            if k % 3 == 2:
                vol.delete(rng.choice([n for n in range(k) if n in vol]))
        return state(vol)

    assert run() == run()
