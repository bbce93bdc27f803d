"""The check of a volume's invariants finds what is broken: one word of the arena changed at a time, or two."""

from __future__ import annotations

import copy
from functools import cache

import pytest

from clonesim.guest import Volume
from clonesim.guest import arena_kernel as a
from clonesim.guest import attribute_kernel as attribute
from clonesim.guest import file_kernel as file
from clonesim.guest import folder_kernel as folder
from clonesim.guest import index_kernel as index
from clonesim.guest import runs_kernel as runs
from clonesim.guest import space_kernel as space

FIELD, MASK = 30, (1 << 30) - 1


@cache
def made():
    volume = Volume("24 MiB", "first-fit", folder_files=3, usn=False, auto_checkpoint=False)
    for k in range(8):
        volume.create(f"file {k}", 9000 if k else 0)
        volume.create(k, 9000)
    for _ in range(2):
        for k in (3, 4):
            volume.append(f"file {k}", 4096)
    volume.create("late", 9000)
    volume.delete("late")
    volume.delete(5)
    assert len(volume.extents("file 3")) > 1 and volume.quarantined_bytes
    return volume


def base(m, region):
    return int(m[a.REGION + 2 * region])


def extent(volume, name, i=0):
    """Word of an extent of a file."""
    return int(file.chunk_at(volume._arena, volume._files[name])) + i


def first_waiting(m):
    return base(m, a.R_QUEUE) + int(space.WAITING) * int(m[space.QUEUE_HEAD])


# --- what is broken ------------------------------------------------------------------------------------------------


def two_owners(volume):
    volume._arena[extent(volume, "file 1")] = volume._arena[extent(volume, "file 2")]


def waiting_twice(volume):
    m = volume._arena
    at = first_waiting(m)
    m[at + 2] = m[at]


def owned_and_waiting(volume):
    m = volume._arena
    m[first_waiting(m)] = (m[extent(volume, "file 1")] & MASK) << FIELD | (m[first_waiting(m)] & MASK)


def clusters_without_length(volume):
    m = volume._arena
    m[extent(volume, "file 3", 1)] &= MASK  # starts at virtual cluster 0, as the first one does


def freed_in_the_bitmap_only(volume):
    m = volume._arena
    c = int(m[extent(volume, "file 2")]) & MASK
    m[base(m, a.R_BITMAP) + c // 64] ^= 1 << c % 64


def last_run(m):
    """Words of the last run: by address, by size. It is all of the zone that is free, so it is last in both."""
    places = []
    for which, directory, keys in ((0, a.R_RUNS_DIR, a.R_RUNS), (1, a.R_SIZES_DIR, a.R_SIZES)):
        assert m[runs.LIST + 4 * which] == 1, "one block is all"
        entry = int(m[base(m, directory) + 1])
        places.append(base(m, keys) + 128 * (entry >> 16) + (entry & 0xFFFF) - 1)
    start, length = int(m[places[0]]) >> FIELD & MASK, int(m[places[0]]) & MASK
    assert (int(m[places[1]]) >> FIELD & MASK, int(m[places[1]]) & MASK) == (length, start)
    return *places, start, length


def key(high, low):
    return 2 << 2 * FIELD | high << FIELD | low  # pool 2: the zone


def a_free_cluster_in_no_list(volume):
    m = volume._arena
    by_address, by_size, start, length = last_run(m)
    m[by_address], m[by_size] = key(start, length - 1), key(length - 1, start)


def one_run_as_two(volume):
    m = volume._arena
    by_address, by_size, start, length = last_run(m)
    m[by_address : by_address + 2] = key(start, 1), key(start + 1, length - 1)
    m[by_size : by_size + 2] = key(1, start), key(length - 1, start + 1)
    for which, directory in ((0, a.R_RUNS_DIR), (1, a.R_SIZES_DIR)):
        m[base(m, directory) + 1] += 1
        m[runs.LIST + 4 * which + 3] += 1


def runs_out_of_order(volume):
    m = volume._arena
    by_address, _, _, _ = last_run(m)
    m[by_address], m[by_address - 1] = m[by_address - 1], m[by_address]
    if int(m[base(m, a.R_RUNS_DIR) + 1]) & 0xFFFF == 2:
        m[base(m, a.R_RUNS_DIR)] = m[by_address - 1]


def an_empty_block(volume):
    m = volume._arena
    m[base(m, a.R_RUNS_DIR) + 1] &= ~0xFFFF


def a_shorter_zone(volume):
    volume._arena[runs.ZONE_END] -= 1


def no_room_in_the_record(volume):
    volume._arena[folder.ROOT_ENTRIES] = 0


def a_folder_less(volume):
    m = volume._arena
    m[base(m, a.R_FOLDER) + 1] -= 1 << 32


def a_block_marked_free(volume):
    m = volume._arena
    m[base(m, a.R_BLOCK)] ^= 1


def bytes_of_a_block(volume):
    m = volume._arena
    m[index.node(m, 0)] += 1 << 16


def bytes_of_the_root(volume):
    m = volume._arena
    m[index.node(m, -1)] -= 1 << 16


def entries_out_of_order(volume):
    m = volume._arena
    at = int(index.node(m, 0)) + 2
    m[at : at + 4] = m[[at + 2, at + 3, at, at + 1]]


def a_name_that_nobody_knows(volume):
    del volume._files["file 0"]


def a_name_too_many(volume):
    volume._files["other"] = volume._files["file 0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (two_owners, r"^clusters .* have two owners"),
        (waiting_twice, "a quarantined cluster has an owner"),
        (owned_and_waiting, "a quarantined cluster has an owner"),
        (clusters_without_length, r"^record \d+ has an empty extent"),
        (freed_in_the_bitmap_only, "owned without being in use"),
        (a_free_cluster_in_no_list, "the lists of free runs and the bitmap differ"),
        (one_run_as_two, r"^runs at \d+ and \d+ should be one"),
        (runs_out_of_order, "free runs out of order"),
        (an_empty_block, "a directory entry does not name its block's lowest key"),
        (a_shorter_zone, "is in the wrong pool"),
        (no_room_in_the_record, "a folder's index has no block"),
        (a_folder_less, "a folder miscounts its files"),
        (a_block_marked_free, "index block 0 is used but marked free"),
        (bytes_of_a_block, "index block 0 miscounts its bytes"),
        (bytes_of_the_root, "index block -1 miscounts its bytes"),
        (entries_out_of_order, "the directory is out of order"),
        (a_name_that_nobody_knows, "the directory and the files differ"),
        (a_name_too_many, "the directory and the files differ"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_broken_is_found(change, message):
    volume = copy.deepcopy(made())
    volume.check_invariants()
    change(volume)
    with pytest.raises(AssertionError, match=message):
        volume.check_invariants()


def test_clusters_of_a_driver_s_own_streams_have_an_owner():
    """The root's security descriptor is a stream of its own: forgotten, its clusters are nobody's."""
    volume = Volume("16 MiB", "ntfs3g")
    volume.check_invariants()
    m = volume._arena
    stream = int(attribute.stream_of(m, 5, attribute.SECURITY))
    assert stream < 0
    file.forget_extents(m, stream)
    with pytest.raises(AssertionError, match="in use without an owner"):
        volume.check_invariants()


def test_numbered_files_stand_in_the_driver_s_directory():
    volume = Volume("16 MiB", "ntfs3g")
    volume.create(3, 500)
    volume.create("b", 500)
    volume.check_invariants()
    m = volume._arena
    m[base(m, a.R_SLOT) + 3] = 0
    with pytest.raises(AssertionError, match="the directory and the files differ"):
        volume.check_invariants()
