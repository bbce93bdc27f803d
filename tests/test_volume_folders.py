"""Folders of numbered files on Windows: when they take a record or an index block, what is written; they stay."""

from __future__ import annotations

import numpy as np
import pytest
from volume_tools import Spy, ops, state

from clonesim.errors import VolumeFullError
from clonesim.guest import Volume
from clonesim.guest.layout import windows_layout
from clonesim.ops import BlockOp, FileOp
from clonesim.units import MIB

ROOT_FILES = 4  # (552 - 32) B of a folder's record / 120 B an entry of 16 characters
BLOCK_FILES = 33  # (4096 - 80) B of an index block / 120 B


def small(**values):
    """Volume without a journal."""
    return Volume("64 MiB", usn=False, **values)


def place(vol, number):
    """Byte of the disk where an MFT record lies."""
    return MIB + windows_layout(63 * MIB, vol.cluster_size, vol.settings.values).files[0][0] * 4096 + number * 1024


def new_cluster(vol, call, *arguments):
    """Run a call that allocates one cluster; returns the byte of the disk where that lies."""
    before = vol.bitmap
    getattr(vol, call)(*arguments)
    (lcn,) = np.flatnonzero(vol.bitmap & ~before)
    return MIB + int(lcn) * 4096


def used_after(vol, numbers):
    """Bytes in use after each empty file, less those before the first."""
    before, found = vol.used_bytes, []
    for number in numbers:
        vol.create(number)
        found.append(vol.used_bytes - before)
    return found


def test_an_index_block_appears_when_the_record_is_full():
    """Four entries fit the folder's record; the fifth file moves all into a block of 4 KiB, counted as used."""
    vol = small()
    assert used_after(vol, range(10)) == [0] * ROOT_FILES + [4096] * 6
    assert used_after(vol, range(10, 20)) == [0] * ROOT_FILES + [4096] * 6, "the next folder has its own"
    assert used_after(vol, range(100, 1000, 10)) == [0] * 90, "one file a folder"
    assert len(vol) == 110, "folders are no files"
    vol.check_invariants()


@pytest.mark.parametrize(("cluster_size", "taken"), [(512, 4096), (4096, 4096), (16384, 16384)])
def test_a_block_takes_whole_clusters(cluster_size, taken):
    vol = small(cluster_size=cluster_size)
    assert used_after(vol, range(5)) == [0] * ROOT_FILES + [taken]
    assert used_after(vol, range(5, 10)) == [0] * 5


def test_a_file_has_its_block_by_its_number():
    vol = small(folder_files=100)
    assert used_after(vol, [0, 1, 2, 3]) == [0] * ROOT_FILES
    assert used_after(vol, [2 * BLOCK_FILES])[-1] == 3 * 4096, "blocks up to its own"
    assert used_after(vol, range(4, 66)) == [0] * 62
    assert used_after(vol, [99]) == [4096]


def test_long_names_need_a_block_at_once():
    """An entry of 255 characters takes 592 B: none fits the record, six fit a block."""
    vol = small(name_units=255)
    assert used_after(vol, [0, 5, 6, 9]) == [4096, 4096, 8192, 8192]


def test_a_folder_takes_a_record_with_its_first_file():
    vol = small()
    vol.snapshot("exact")
    spy = Spy(vol)
    vol.create(3)
    first = spy.take()
    assert (BlockOp.WRITE, place(vol, 24), 1024) in first, "the folder's record"
    assert (BlockOp.WRITE, place(vol, 25), 1024) in first, "the file's"
    vol.create(4)
    second = spy.take()
    records = [o for _, o, n in second if n == 1024]
    assert records == [place(vol, 24), place(vol, 26)], "its entry stands in the folder's record"
    assert len(first) == len(second) + 3, "a new folder: a bit of the MFT, its record, a change in the log"


def test_a_folder_survives_its_last_file():
    vol = small()
    used_after(vol, range(10))
    used = vol.used_bytes
    for number in range(10):
        vol.delete(number)
    assert vol.used_bytes == used and len(vol) == 0
    vol.check_invariants()
    vol.snapshot("exact")
    spy = Spy(vol)
    vol.create(7)
    records = [o for _, o, n in spy.take() if n == 1024]
    assert records == [place(vol, 25)], "only the file's record is written: the folder keeps 24, and its block"
    assert vol.used_bytes == used


def test_what_writes_an_entry():
    """Creates, appends, deletes and renames write the index block; writing in place does not."""
    vol = small()
    for number in range(4):
        vol.create(number, 9000)
    block = (BlockOp.WRITE, new_cluster(vol, "create", 4), 4096)
    vol.create(20, 9000)
    vol.snapshot("exact")
    spy = Spy(vol)
    times = {}
    for what, row in {
        "append": (FileOp.APPEND, 0, 0, 100),
        "overwrite": (FileOp.OVERWRITE, 0, 0, 100),
        "scatter": (FileOp.SCATTER, 0, 5, 100),
        "create": (FileOp.CREATE, 5, 0, 0),
        "rename inside": (FileOp.RENAME, 5, 6, 0),
        "rename over inside": (FileOp.RENAME, 6, 1, 0),
        "rename out": (FileOp.RENAME, 1, 21, 0),
        "rename in": (FileOp.RENAME, 21, 1, 0),
        "delete": (FileOp.DELETE, 1, 0, 0),
        "elsewhere": (FileOp.APPEND, 20, 0, 100),
    }.items():
        vol.apply(ops((0, *row)))
        times[what] = spy.take().count(block)
    assert times == {
        "append": 1,
        "overwrite": 0,
        "scatter": 0,
        "create": 1,
        "rename inside": 2,
        "rename over inside": 3,
        "rename out": 1,
        "rename in": 1,
        "delete": 1,
        "elsewhere": 0,
    }


def test_named_files_take_nothing_of_a_folder():
    vol = small()
    used = vol.used_bytes
    for number in range(10):
        vol.create(str(number))
    vol.create(5)
    assert vol.used_bytes == used and len(vol) == 11, "the root directory's first block has room for all"


def test_a_folder_is_taken_back_by_revert():
    vol = small()
    vol.create(100, "8 KiB")
    vol.snapshot("exact")
    before = state(vol)
    used_after(vol, range(60))
    vol.revert()
    assert state(vol) == before
    vol.check_invariants()
    assert used_after(vol, range(10)) == [0] * ROOT_FILES + [4096] * 6


def test_a_folder_that_has_no_space_for_its_block_changes_nothing():
    """Eight clusters stay free for metadata; a block would take one of them."""
    vol = Volume("16 MiB", usn=False)
    for number in range(ROOT_FILES):
        vol.create(number)
    vol.create("fill", vol.free_bytes - 8 * 4096)
    vol.create(10)  # resident, in another folder: no cluster
    vol.snapshot("exact")
    before = state(vol)
    with pytest.raises(VolumeFullError):
        vol.create(4)
    with pytest.raises(VolumeFullError):
        vol.rename(10, 4)
    assert state(vol) == before
    vol.check_invariants()


def test_the_ntfs3g_driver_has_no_folders():
    """There, numbered files use the root directory as files do whose names of 16 characters sort alike."""

    def used(names):
        vol = Volume("64 MiB", "ntfs3g")
        found = []
        for name in names:
            vol.create(name, 5000)
            found.append(vol.used_bytes)
        vol.check_invariants()
        return found

    numbers = np.random.default_rng(1).permutation(500).tolist()
    assert used(numbers) == used(f"!{number:015}" for number in numbers)
