"""A volume that is full: what still fits, what is refused, and that nothing is changed then."""

from __future__ import annotations

import pytest
from volume_tools import state, used_volume

from clonesim.errors import VolumeError, VolumeFullError
from clonesim.guest import Volume
from clonesim.units import GIB, KIB, MIB


@pytest.fixture
def vol():
    return used_volume()


@pytest.mark.parametrize("call", ["create", "append"])
@pytest.mark.parametrize("size", ["14 MiB", "20 GiB", "64 TiB"])
def test_full_volume(vol, call, size):
    before = state(vol)
    with pytest.raises(VolumeFullError) as caught:
        getattr(vol, call)("b" if call == "create" else "a", size)
    bytes_asked = {"14 MiB": 14 * MIB, "20 GiB": 20 * GIB, "64 TiB": 2**46}[size]
    assert str(caught.value) == (
        f"size={bytes_asked} B: the volume has {vol.free_bytes} B free, some of it kept for metadata. "
        "Delete files, or make the volume larger."
    )
    assert isinstance(caught.value, VolumeError)
    assert state(vol) == before
    vol.check_invariants()


def test_a_checkpoint_is_forced_before_volume_full():
    vol = Volume("16 MiB", usn=False, auto_checkpoint=False)
    vol.create("a", "8 MiB")
    vol.delete("a")
    assert vol.quarantined_bytes == 8 * MIB
    vol.create("b", "8 MiB")
    assert vol.quarantined_bytes == 0 and vol.size("b") == 8 * MIB


@pytest.mark.parametrize("cluster_size", [512, 4096, 65536])
def test_a_volume_can_be_filled_to_its_reserve(cluster_size):
    """8 index blocks' worth of clusters, at least 8, stay free for metadata."""
    reserve = 8 * max(1, 4096 // cluster_size) * cluster_size
    vol = Volume("64 MiB", cluster_size=cluster_size, usn=False)
    free = vol.free_bytes
    with pytest.raises(VolumeFullError):
        vol.create("a", free - reserve + 1)
    vol.create("a", free - reserve)
    assert vol.free_bytes == reserve
    with pytest.raises(VolumeFullError):
        vol.append("a", 1)
    vol.create("resident", 700)  # needs no cluster
    vol.check_invariants()
    vol.delete("a")
    vol.create("b", "1 MiB")


def test_full_volume_when_no_mft_record_is_left():
    """All records in use but the lowest: one more file fits, the next needs a longer $MFT, which has no space."""
    vol = Volume("16 MiB", usn=False)
    k = 0
    while vol.free_bytes - 9 * 4096 > 0 and k < 10_000:  # records run out of the first $MFT
        vol.create(k, 0)
        k += 1
        if k == 256 - 24:
            break
    vol.create("fill", 0)
    for size in (MIB, 64 * KIB, 4096):
        while vol.free_bytes >= size + 8 * 4096 + 64 * 4096:
            vol.append("fill", size)
    while True:
        try:
            vol.create(k, 0)
        except VolumeFullError:
            break
        k += 1
    with pytest.raises(VolumeFullError):
        vol.append("fill", vol.free_bytes)
    vol.delete(3)
    vol.create("in its place", 0)
    before = state(vol)
    with pytest.raises(VolumeFullError):
        vol.create("no record", 0)
    assert state(vol) == before
    vol.check_invariants()


def test_rename_over_on_a_full_volume_deletes_nothing():
    vol = Volume("16 MiB", "best-fit", usn=False)
    for k in range(120):
        vol.create(f"{'n' * 200}{k}", 0)
    vol.create("target", 0)
    vol.create("fill", vol.free_bytes - 8 * 4096)
    number = 0
    while vol.free_bytes >= 8 * 4096:  # the directory takes from the reserve
        vol.create(f"{'m' * 200}{number}", 0)
        number += 1
    before = state(vol)
    for _ in range(2):
        with pytest.raises(VolumeFullError):
            vol.rename("fill", "target")
    assert state(vol) == before and "target" in vol
    vol.check_invariants()
