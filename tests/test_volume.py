"""What a guest volume does: the experiment, allocation, names, clock, batches of operations, and what it refuses."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clonesim.errors import ClonesimError, FileNameError, ParameterError, VolumeError, VolumeFullError
from clonesim.guest import POLICIES, Volume, entry_kernel
from clonesim.guest.layout import SYSTEM_FILES, windows_layout
from clonesim.guest.policies import Policy
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.units import GIB, KIB, MIB

PLAIN = [name for name in POLICIES if name != "ntfs3g"]


def state(vol):
    """Everything that a refused call must leave as it was."""
    names = [*vol._files, *(k for k in range(200) if k in vol)]
    files = {name: (vol.size(name), vol.extents(name).to_numpy().tolist()) for name in names}
    deltas = [(d.file_bytes, d.grains, d.written_bytes) for d in vol.deltas]
    space = (vol.used_bytes, vol.quarantined_bytes, vol.free_bytes, vol.bitmap.tobytes(), vol.ever_written.tobytes())
    return files, deltas, space, vol.clock, len(vol)


def ops(*rows):
    """Rows (time_s, FileOp, file, offset, length) as an array of operations."""
    array = np.zeros(len(rows), OPS_DTYPE)
    for k, row in enumerate(rows):
        array["time_s"][k], array["op"][k], array["file"][k], array["offset"][k], array["length"][k] = row
    return array


def lcns(vol, name):
    """Where a file's fragments start."""
    return vol.extents(name)["lcn"].tolist()


# --- the experiment: 10 GiB used, ten times 1 GiB created and deleted ----------------------------------------------


def experiment(policy, **settings):
    vol = Volume("20 GiB", policy, **settings)
    vol.create("windows", "10 GiB")
    before = vol.used_bytes
    delta = vol.snapshot("vmfs-sparse")
    for _ in range(10):
        vol.create("big.iso", "1 GiB")
        vol.delete("big.iso")
    assert vol.used_bytes - before <= 64 * KIB, "no net use, but for a page of the journal"
    vol.check_invariants()
    return delta.file_bytes / GIB


def test_experiment_fresh_first_fills_ten_gib():
    assert experiment("fresh-first") == pytest.approx(10, rel=0.01)


@pytest.mark.parametrize("policy", ["windows", "best-fit", "first-fit"])
def test_experiment_a_freed_run_is_taken_again(policy):
    assert 1 <= experiment(policy) <= 1.05


@pytest.mark.parametrize("policy", ["windows", "best-fit", "first-fit"])
def test_experiment_two_places_alternate_when_reuse_is_delayed(policy):
    assert 2 <= experiment(policy, auto_checkpoint=False) <= 2.05


@pytest.mark.parametrize(("policy", "low"), [("next-fit", 7), ("worst-fit", 6)])
def test_experiment_roving_policies_write_until_they_wrap(policy, low):
    """Every run that holds 1 GiB is used once: what lies before $MFT (next-fit only) and behind `windows`."""
    assert low <= experiment(policy) <= 10.1


def test_every_policy_says_its_rule_and_source():
    for name, policy in POLICIES.items():
        assert isinstance(policy, Policy) and policy.name == name and policy.rule and policy.source


# --- which run is taken, by hand -----------------------------------------------------------------------------------


def with_holes(policy, **settings):
    """Volume with free runs of 30, 10, 20 and 10 clusters, in this order, and a long one behind."""
    vol = Volume("256 MiB", policy, usn=False, **settings)
    for k, clusters in enumerate((30, 10, 20, 10)):
        vol.create(f"hole{k}", clusters * 4096)
        vol.create(f"wall{k}", 4096)
    holes = [lcns(vol, f"hole{k}")[0] for k in range(4)]
    for k in range(4):
        vol.delete(f"hole{k}")
    vol.advance("10 s")
    return vol, holes


@pytest.mark.parametrize(
    ("policy", "clusters", "hole"),
    [
        ("best-fit", 10, 1),  # ties: the lowest address
        ("best-fit", 11, 2),
        ("best-fit", 21, 0),
        ("windows", 10, 1),
        ("windows", 20, 2),
        ("first-fit", 5, 0),
        ("first-fit", 30, 0),
    ],
)
def test_hole_that_a_new_file_gets(policy, clusters, hole):
    vol, holes = with_holes(policy)
    vol.create("new", clusters * 4096)
    assert lcns(vol, "new") == [holes[hole]]


def test_worst_fit_takes_the_longest_run_and_next_fit_goes_on():
    vol, holes = with_holes("next-fit")
    vol.create("new", 5 * 4096)
    assert lcns(vol, "new")[0] > holes[3], "next fit goes on behind the previous allocation"
    vol.snapshot()
    vol.create("after boot", 5 * 4096)
    assert lcns(vol, "after boot") == [holes[0]], "a boot puts the position back"
    vol, holes = with_holes("worst-fit")
    vol.snapshot()
    vol.create("new", 5 * 4096)
    assert lcns(vol, "new")[0] > holes[3]


def test_fresh_first_takes_freed_clusters_last():
    vol, holes = with_holes("fresh-first")
    vol.create("new", 10 * 4096)
    assert lcns(vol, "new")[0] > holes[3]
    assert vol.ever_written[holes[0]] and not vol.bitmap[holes[0]]


def test_windows_knows_only_the_cached_runs():
    """With the four longest runs known, the two of 10 clusters are unknown: what fits them goes into that of 20."""
    vol, holes = with_holes("windows", run_cache=4)
    zone_and_rest = 2  # everyday space: holes 30, 20, 10, 10 and one long run; the zone is another pool
    assert vol.free_runs == 4 + zone_and_rest
    vol.create("new", 10 * 4096)
    assert lcns(vol, "new") == [holes[1]], "ties with the last known run are known too"
    vol, holes = with_holes("windows", run_cache=3)
    vol.create("new", 10 * 4096)
    assert lcns(vol, "new") == [holes[2]]


def test_append_goes_on_behind_the_last_cluster():
    for policy in PLAIN:
        vol = Volume("256 MiB", policy, usn=False)
        vol.create("a", 8 * KIB)
        for _ in range(5):
            vol.append("a", 8 * KIB)
        assert vol.extents("a")["clusters"].tolist() == [12], policy


def test_stream_gets_growing_fragments_and_a_known_size_falling_ones():
    """Karresand 2020: fragments of a stream increase, those of a file of known size decrease."""
    rng = random.Random(1)
    vol = Volume("64 MiB", "windows", usn=False, os="windows-xp")
    for k in range(600):
        vol.create(k, 4096 * rng.randint(1, 30))
    for k in range(0, 600, 2):
        vol.delete(k)
    vol.create("base", vol.free_bytes - 12 * MIB)
    vol.create("known", 3 * MIB)
    known = vol.extents("known")["clusters"].tolist()
    assert len(known) > 3 and known == sorted(known, reverse=True)[:-1] + known[-1:]
    vol.create("other", 4096)  # so that the stream cannot just go on behind the base
    vol.append("other", 3 * MIB)
    stream = vol.extents("other")["clusters"].tolist()
    assert stream[1] < 8 < max(stream)


def test_data_enters_the_mft_zone_last():
    vol = Volume("256 MiB", "windows", usn=False)
    layout = windows_layout(255 * MIB, 4096, vol.settings.values)
    outside = [c for c in np.flatnonzero(~vol.bitmap) if not layout.zone_start <= c < layout.zone_end]
    vol.create("a", (len(outside) - 5) * 4096)
    assert (vol.extents("a")["lcn"] < layout.zone_start).all()
    vol.create("b", 64 * KIB)
    assert vol.extents("b")["lcn"].max() >= layout.zone_start


# --- a new volume --------------------------------------------------------------------------------------------------


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


# --- errors: clear, and nothing changed ----------------------------------------------------------------------------


@pytest.fixture
def vol():
    vol = Volume("16 MiB", usn=False)
    vol.create("a", "1 MiB")
    vol.create(7, "1 MiB")
    vol.snapshot("qcow2")
    vol.append("a", "10 KiB")
    vol.advance("10 s")
    return vol


NO_FILE = "no such file. Files are made by create()."
SIZE = "a size is a whole number with B, KiB, MiB, GiB or TiB, or an integer of bytes."
REFUSED = [
    ("create", ("a", 1), FileNameError, "name='a': the file exists already. Delete it first, or append to it."),
    ("create", (7, 1), FileNameError, "name=7: the file exists already. Delete it first, or append to it."),
    ("create", ("b", -1), ParameterError, "size=-1: allowed are 0 B to 64 TiB. Check the unit."),
    ("create", ("b", "1 MB"), ParameterError, f"size='1 MB': {SIZE} Did you mean MiB?"),
    ("create", ("b", 1.5), ParameterError, f"size=1.5: {SIZE} Write for example '16 MiB'."),
    ("append", ("a", 0), ParameterError, "size=0: allowed are 1 B to 64 TiB. Check the unit."),
    ("append", ("a", -4096), ParameterError, "size=-4096: allowed are 1 B to 64 TiB. Check the unit."),
    ("append", ("b", 1), FileNameError, f"name='b': {NO_FILE}"),
    ("append", (8, 1), FileNameError, f"name=8: {NO_FILE}"),
    ("overwrite", ("b", 0, 1), FileNameError, f"name='b': {NO_FILE}"),
    ("overwrite", ("a", 0, 0), ParameterError, "size=0: allowed are 1 B to 64 TiB. Check the unit."),
    ("overwrite", ("a", -1, 1), ParameterError, "offset=-1: allowed are 0 B to 64 TiB. Check the unit."),
    (
        "overwrite",
        ("a", 1058816, 1),
        ParameterError,
        "offset=1058816: an overwrite of 1 B must end inside the file, at 1058816 B at most. "
        "Append what lies behind the end.",
    ),
    ("delete", ("b",), FileNameError, f"name='b': {NO_FILE}"),
    ("delete", (-1,), FileNameError, f"name=-1: {NO_FILE}"),
    ("rename", ("b", "c"), FileNameError, f"name='b': {NO_FILE}"),
    ("extents", ("b",), FileNameError, f"name='b': {NO_FILE}"),
    ("size", (2**40,), FileNameError, f"name={2**40}: {NO_FILE}"),
]
BAD_NAMES = ["", "a/b", "x" * 256, "\U0001f600" * 128, -1, 2**24, 1.5, None, True, b"a"]


@pytest.mark.parametrize(("call", "arguments", "kind", "message"), REFUSED, ids=lambda v: str(v)[:30])
def test_refused_calls_change_nothing(vol, call, arguments, kind, message):
    before = state(vol)
    with pytest.raises(kind) as caught:
        getattr(vol, call)(*arguments)
    assert str(caught.value) == message
    assert isinstance(caught.value, ClonesimError)
    assert state(vol) == before
    vol.check_invariants()


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
@pytest.mark.parametrize("call", ["create", "rename"])
def test_bad_names_are_refused(vol, call, name):
    before = state(vol)
    with pytest.raises(FileNameError) as caught:
        vol.create(name, 1) if call == "create" else vol.rename("a", name)
    allowed = "a name is 1 to 255 characters without '/', or a number from 0 to 16777215. Choose another name."
    assert str(caught.value) == f"name={name!r}: {allowed}"
    assert state(vol) == before


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


# --- apply ---------------------------------------------------------------------------------------------------------


BIG = 2**63 - 1
LENGTHS = "create takes 0 B or more, append and overwrite 1 B or more, and a file has at most 64 TiB"
NUMBERS = "file numbers go from 0 to 16777215"
WRONG = [
    ((0, 6, 1, 0, 0), "op=6", "a FileOp code is needed: 0 (create) to 5 (trim)"),
    ((0, -1, 1, 0, 0), "op=-1", "a FileOp code is needed: 0 (create) to 5 (trim)"),
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
        op = rng.choice(list(FileOp)) if k in held else FileOp.CREATE
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


# --- kernels -------------------------------------------------------------------------------------------------------


def test_each_entry_kernel_is_compiled_once():
    """One signature each, whatever kinds of names, sizes and calls there were."""
    vol = Volume("64 MiB", "windows")
    vol.create("a", "1 MiB")
    vol.create(1, 5000)
    vol.snapshot("qcow2")
    vol.append("a", 1)
    vol.overwrite(1, 0, np.int64(7).item())
    vol.rename(1, "b")
    vol.apply(ops((0, FileOp.CREATE, 3, 0, 0), (0, FileOp.TRIM, 0, 0, 0)))
    vol.trim()
    vol.delete("a")
    vol.advance(1)
    vol.revert()
    Volume("64 MiB", "ntfs3g").create("a", 10**6)
    own = [f for f in vars(entry_kernel).values() if getattr(f, "__module__", "") == entry_kernel.__name__]
    assert len(own) >= 10
    several = {f.__name__: f.signatures for f in own if hasattr(f, "signatures") and len(f.signatures) != 1}
    assert not several
