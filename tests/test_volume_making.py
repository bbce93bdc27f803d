"""A new volume: its layout, every cluster size, and settings that are refused."""

from __future__ import annotations

import math

import pytest

from clonesim.errors import ParameterError
from clonesim.guest import POLICIES, Volume
from clonesim.guest.layout import SYSTEM_FILES, windows_layout
from clonesim.units import GIB, KIB, MIB


@pytest.mark.parametrize("os", ["windows-xp", "windows-7", "windows-10", "windows-11"])
def test_layout_of_a_new_volume(os):
    vol = Volume("20 GiB", os=os)
    offset = 32256 if os == "windows-xp" else MIB
    clusters = (20 * GIB - offset) // 4096
    layout = windows_layout(20 * GIB - offset, 4096, vol.settings.values)
    assert vol.clusters == layout.clusters == clusters
    assert layout.files[0][0] == 786432, "$MFT starts at cluster 786432"
    assert layout.files[2][2] == 64 * MIB, "$LogFile of volumes from 12 GiB on"
    assert layout.files[6][2] == math.ceil(clusters / 8), "a bit a cluster"
    assert layout.files[7][0] == 0, "$Boot is first"
    assert layout.files[1][0] == (clusters // 2 if os == "windows-xp" else 2), "$MFTMirr"
    zone = layout.zone_end - layout.zone_start
    assert zone == (clusters // 8 if os == "windows-xp" else 200 * MIB // 4096)
    owned = [c for start, count, _ in layout.files.values() for c in range(start, start + count)]
    assert len(owned) == len(set(owned)) == vol.used_bytes // 4096
    assert set(layout.files) <= set(SYSTEM_FILES)
    vol.check_invariants()


@pytest.mark.parametrize("cluster_size", [512, 1024, 2048, 4096, 8192, 16384, 32768, 65536])
@pytest.mark.parametrize("size", ["9 MiB", "100 MiB", "1001 MiB"])
def test_every_cluster_size_makes_a_sound_volume(size, cluster_size):
    for os in ("windows-xp", "windows-7"):
        vol = Volume(size, os=os, cluster_size=cluster_size)
        vol.check_invariants()
        vol.create("a", "2 MiB")
        vol.delete("a")
        vol.check_invariants()


# --- settings that are refused --------------------------------------------------------------------------------------


SIZE = "a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes."
MAKING = [
    ({"policy": "bestfit"}, "policy='bestfit': allowed are " + ", ".join(POLICIES) + "."),
    ({"os": "windows-95"}, "os='windows-95': allowed are windows-10, windows-11, windows-7, windows-xp."),
    ({"cluster_size": 3000}, "cluster_size=3000: a power of two from 512 B to 64 KiB is needed."),
    ({"cluster_size": 128 * KIB}, "cluster_size=131072: allowed are 512 to 65536 B. The catalog's default is 4096."),
    ({"partition_offset": 100}, "partition_offset=100: a whole number of 512 B sectors is needed."),
    ({"size": "9000001 B"}, "size=9000001: a disk has whole sectors of 512 B. Try 9000448."),
    ({"size": "7 MiB"}, "size='7 MiB': allowed are 8 MiB to 64 TiB. Check the unit."),
    ({"size": "8 GB"}, f"size='8 GB': {SIZE} Did you mean GiB?"),
    (
        {"size": "8 MiB"},
        "partition_offset=1048576: the volume behind it needs 8 MiB at least. Make the disk larger.",
    ),
    ({"reuse_delay": "2 min"}, "checkpoint_interval='2 min': allowed are 0.0 to 60.0 s. The catalog's default is 5.0."),
    (
        {"policy": "ntfs3g", "cluster_size": 8192},
        "cluster_size=8192: policy 'ntfs3g' implies 4096. Leave it out.",
    ),
]


@pytest.mark.parametrize(("given", "message"), MAKING, ids=lambda v: str(v)[:40])
def test_settings_that_are_refused(given, message):
    with pytest.raises(ParameterError) as caught:
        Volume(**{"size": "64 MiB"} | given)
    found = str(caught.value)
    assert found == message or found == message.replace("checkpoint_interval=", "ntfs.checkpoint_interval=").replace(
        "cluster_size=131072", "ntfs.cluster_size=131072"
    )


def test_unknown_parameter_is_refused():
    with pytest.raises(ParameterError, match=r"^parameter='usm': a volume has .*usn.*"):
        Volume("64 MiB", usm=False)
