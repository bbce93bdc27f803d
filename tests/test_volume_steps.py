"""Small steps of the guest volume that mutants showed no other quick test to hold fast."""

from __future__ import annotations

import random

import numpy as np
import pytest
import test_volume_reference
from reference_volume import name_codes
from test_volume_holes import windows_pair
from volume_tools import clusters_of, ops

from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.guest import arena_kernel as a
from clonesim.guest import attribute_kernel as attribute
from clonesim.guest import directory_kernel as directory
from clonesim.guest import file_kernel as file
from clonesim.guest import folder_kernel as folder
from clonesim.guest import index_kernel as index
from clonesim.guest import journal_kernel as journal
from clonesim.guest import mft_kernel as mft
from clonesim.guest import ntfs3g_file_kernel as ntfs3g_file
from clonesim.guest import ntfs3g_record_kernel as ntfs3g_record
from clonesim.guest import ntfs3g_space_kernel as ntfs3g_space
from clonesim.guest import policy_kernel as policy
from clonesim.guest import request_kernel as request
from clonesim.guest import runs_kernel as runs
from clonesim.guest import space_kernel as space
from clonesim.guest import windows_file_kernel as windows_file
from clonesim.guest.cluster_map import cluster_map
from clonesim.guest.names import sort_keys
from clonesim.ops import FileOp
from clonesim.units import KIB


def rooms(volume):
    """Words of every region."""
    return [int(volume._arena[a.REGION + 2 * r + 1]) for r in range(a.REGIONS)]


def test_two_keys_sort_names_as_their_first_18_characters_do():
    rnd = random.Random(1)
    letters = "aAbBzZ09.~ \x00\x01äЖ漢😀"
    names = ["".join(rnd.choice(letters) for _ in range(rnd.choice([1, 2, 9, 10, 18, 19, 30]))) for _ in range(300)]
    names += [name + more for name in names[:60] for more in ("a", "\x01", "z" * 9)]
    by_keys = sorted(names, key=sort_keys)
    assert [name_codes(name) for name in by_keys] == sorted(map(name_codes, names))
    assert {sort_keys(name) == sort_keys(name.upper()) for name in names} == {True}
    assert all(0 <= key < 2**63 for name in names for key in sort_keys(name))
    assert len({sort_keys(name) for name in names}) == len({name_codes(name) for name in names})


def test_a_large_file_in_one_piece_needs_no_more_room():
    """Room is asked for as many fragments as there are free runs, not clusters."""
    volume = Volume("1 GiB")
    volume.snapshot("exact")
    before = rooms(volume)
    volume.create("large", "400 MiB")
    assert len(volume.extents("large")) == 1
    assert rooms(volume) == before


def test_the_list_of_extents_grows_by_what_lacks():
    """4 words for each fragment that may come and for each that is there, 4096 to spare; else to twice the room."""
    pair = windows_pair("best-fit", random.Random(3), 1500, 2)
    volume = pair.fast
    m, before = volume._arena, rooms(volume)[a.R_EXTENT]
    m[file.CHUNK_NEXT] = before - 4200
    pair.call("create", 1, 400 * KIB)
    pair.compare_file(1)
    assert len(volume.extents(1)) > 100
    assert 2 * before < rooms(volume)[a.R_EXTENT] <= 2 * before + 4 * 450 + 4096 + 512


@pytest.mark.parametrize("name", test_volume_reference.POLICIES)
def test_requests_that_no_hole_holds(name):
    """No space is left in the zone, and no run of everyday space is long enough: the lists' ends are reached."""
    rnd = random.Random(name)
    pair = windows_pair(name, rnd, 900, 3, zone=False)
    for step in range(25):
        pair.call("create", step, rnd.choice([0, 5000, 20_000, 60_000]) if step else 3000)
        if step % 4 == 3 and len(pair.slow.files) > 1:
            pair.call("append", rnd.choice(list(pair.slow.files)), 30_000)
            pair.call("delete", rnd.choice(list(pair.slow.files)))
    pair.compare_all()
    wanted = {"fragment"} | ({"nothing fits"} if name != "worst-fit" else set())
    assert wanted <= set(pair.reached) and "data in zone" not in pair.reached


def test_the_journal_is_cut_at_its_size_and_a_step():
    """512 B a change: after 128 changes there are 64 KiB, and the next one frees them."""
    pair = test_volume_reference.Pair("12 MiB", "windows", usn_most=0, usn_step=64 * KIB, usn_bytes=512)
    for first in range(0, 300, 6):
        pair.apply([(0.01 * k, FileOp.CREATE, k, 0, 100) for k in range(first, first + 6)])
    assert pair.reached["journal cut"] >= 2
    pair.compare_all()


def test_operations_that_will_be_left_out_may_be_checked_beforehand():
    """Files may be missing then, or be there already; what can never be right is refused all the same."""
    volume = Volume("16 MiB")
    volume.create(1, 5000)
    volume.check_ops(ops((0, FileOp.DELETE, 5, 0, 0), (0, FileOp.CREATE, 1, 0, 9), (0, FileOp.OVERWRITE, 1, 0, 9999)))
    with pytest.raises(ParameterError, match=r"^ops\[0\]\.length=0"):
        volume.check_ops(ops((0, FileOp.APPEND, 5, 0, 0)))
    assert volume.size(1) == 5000 and 5 not in volume


def test_a_second_snapshot_saves_what_changed_since_the_first():
    volume = Volume("16 MiB", "best-fit")
    volume.snapshot("exact")
    volume.create("a", 50 * KIB)
    volume.snapshot("exact")
    bits, places = volume.bitmap.copy(), volume.extents("a").to_numpy().tolist()
    volume.append("a", 90 * KIB)
    volume.create("b", 9000)
    volume.revert()
    assert np.array_equal(volume.bitmap, bits)
    assert volume.extents("a").to_numpy().tolist() == places and "b" not in volume
    volume.check_invariants()


def test_header_words_of_the_kernels_are_apart():
    """Each word of the arena's header has one meaning; lists of words have their whole length for themselves."""
    lengths = {
        "REGION": 2 * int(a.REGIONS), "LIST": 8, "POOL_FREE": 3, "FOUND": 2, "CHUNK_FREE": int(file.CLASSES),
        "ZONE_POSITION": 3, "PATH": 2 * int(index.DEEPEST), "UNUSED": int(index.DEEPEST),
    }  # fmt: skip
    words = {
        a: "HALF COW TOUCHED REGION",
        runs: "LIST POOL_FREE ZONE_START ZONE_END SPLIT_FRESH FOUND",
        policy: "POLICY POSITION CACHE UNIT_FIRST UNIT_GROWTH",
        file: "CLUSTERS USED CLUSTER_BYTES CLUSTER_SHIFT CHUNK_FREE CHUNK_NEXT",
        request: "NOW RATE PAGE_TIME PARTITION EMIT OUT SOURCE LONGEST_WRITE BITMAP_LCN",
        space: "QUARANTINED REUSE QUEUE_HEAD QUEUE_TAIL DISCARDS BITMAP_PAGE",
        ntfs3g_space: "MFT_LCN ZONE_POSITION FULL_ZONES",
        mft: "FIRST_RECORD LOWEST_FREE MFT_STEP ZONE_STEP",
        journal: "LOG_POSITION LOG_BYTES USN_BYTES USN_MOST USN_STEP",
        windows_file: "RESIDENT_LIMIT NAME_UNITS",
        folder: "FOLDER_FILES FOLDER_SHARE ROOT_ENTRIES BLOCK_ENTRIES",
        attribute: "STREAM_FREE STREAM_NEXT",
        ntfs3g_record: "COVERED FORMATTED NEXT_RECORD",
        directory: "ROOT_ROOM ROOT_LIMIT BLOCKS_COVERED",
        index: "DEPTH PATH BLOCKS_HIGH UNUSED",
        ntfs3g_file: "REQUEST_PAGES",
    }
    taken = {}
    for module, names in words.items():
        for name in names.split():
            first = int(getattr(module, name))
            for word in range(first, first + lengths.get(name, 1)):
                assert word not in taken, f"{name} and {taken.get(word)} share word {word}"
                taken[word] = name
    assert max(taken) < a.PAGE, "the header is one page"
    assert all(word >= a.HEADER_FIXED for word, name in taken.items() if name not in ("HALF", "COW", "TOUCHED"))


def test_a_map_of_clusters_counted_by_hand():
    """20 clusters are written behind a snapshot and 5 of them freed; 3 that were there before are written in place."""
    volume = Volume("16 MiB", "best-fit", usn=False, cluster_size=4096)
    volume.create("old", 3 * 4096)
    volume.snapshot("exact")
    volume.create("new", 15 * 4096)
    volume.create("gone", 5 * 4096)
    volume.overwrite("old", 0, 3 * 4096)
    places = {name: clusters_of(volume, name) for name in ("old", "new", "gone")}
    quiet = next(c for c in range(volume.clusters) if not volume.ever_written[c])
    volume.delete("gone")
    table = cluster_map(volume)
    assert len(table) == volume.clusters
    for name, count, used in (("old", 3, True), ("new", 15, True), ("gone", 5, False)):
        rows = table.loc[places[name]]
        assert len(rows) == count
        assert rows["used"].eq(used).all() and rows["in_delta"].all() and rows["ever_written"].all()
    assert table.loc[quiet].tolist() == [False, False, False]
    assert table["used"].sum() * 4096 == volume.used_bytes
    held = sum(end - start for start, end in volume.deltas[-1].grain_map().tolist())
    assert table["in_delta"].sum() * 4096 >= held > 23 * 4096
    assert not cluster_map(Volume("16 MiB"))["in_delta"].any(), "no snapshot, no delta"
