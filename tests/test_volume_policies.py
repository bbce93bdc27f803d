"""Which free clusters a volume takes: the experiment under every policy, and choices worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest
from volume_tools import PLAIN, lcns

from clonesim.guest import POLICIES, Volume
from clonesim.guest.layout import windows_layout
from clonesim.guest.policies import Policy
from clonesim.units import GIB, KIB, MIB

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
