"""The probe names the policy that simulated guests follow, says so when it cannot, and tells right probabilities."""

from dataclasses import replace

import numpy as np
import pytest
from probe_tools import ALONE, GIB, GUEST, MIB

from clonesim.errors import ParameterError
from clonesim.guest import Volume
from clonesim.planning.probe import TRIED, fit_probe, reference
from clonesim.planning.probe_classifier import Classifier
from clonesim.planning.probe_pattern import (
    PARTS,
    STEP_NAMES,
    Act,
    base_acts,
    peak_parts,
    prepare_acts,
    room_parts,
    steps,
)
from clonesim.planning.probe_simulation import Unknowns, simulate_probe, with_noise
from clonesim.planning.probe_site import Probe, Site

FOUR = ("fresh-first", "next-fit", "best-fit", "worst-fit")
QUIET = Unknowns(200, 0.2, 1.5, 1, 5.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def alone():
    probe = simulate_probe("best-fit", ALONE, 77, noise=2e4)
    return probe, reference(probe, TRIED, 40, 1)


def test_pattern_deletes_only_what_is_there_and_fits_its_room():
    every = tuple(act for step in steps() for act in step.acts)
    assert tuple(step.name for step in steps()) == STEP_NAMES
    assert peak_parts(every) < room_parts()  # KeyError where a file is deleted that is not there
    assert peak_parts(base_acts()) + peak_parts(every) < 64 * PARTS  # the self-contained disk has 64 units
    assert {act.verb for act in prepare_acts()} == {"reserve", "ballast", "delete", "wait"}
    assert peak_parts((Act("create", "a", 5), Act("create", "b", 6), Act("delete", "a"), Act("append", "b", 3))) == 11


def test_growth_follows_from_the_rules_of_each_policy():
    """By hand, without others' writes, in units: fill 2.60 + 0.50 + 2.15 + 0.50 = 5.75 for everybody, and so on."""
    grown = {}
    for policy in (*FOUR, "first-fit"):
        probe = simulate_probe(policy, GUEST, 1, unknowns=QUIET)
        grown[policy] = probe.features
        assert probe.grown[0] == pytest.approx(0, abs=0.05 * GUEST.unit_bytes)
    tolerance = 0.15  # metadata, of which the journal and the log are most
    for policy, expected in {
        "fresh-first": (5.75, 2, 4),  # every file takes new clusters, as long as there are any
        "next-fit": (5.75, 2, 0),  # behind the last one; after the restart from the start again, over what was written
        "best-fit": (5.75, 0, 0, 0),  # the hole of the file before, each time
        "first-fit": (5.75, 0, 0, 2.4),  # D splits A's hole, so E finds no room in it
        "worst-fit": (5.75, 2, 2.1),  # after the restart on in the longest run, until A's hole is longer
    }.items():
        assert grown[policy][: len(expected)] == pytest.approx(expected, abs=tolerance), policy


def test_places_are_where_the_files_lie():
    """The mean place of what the step "fill" adds is that of the files' clusters on a volume driven by hand."""
    site = replace(ALONE, os="windows-7")
    probe = simulate_probe("worst-fit", site, 1, unknowns=QUIET)
    volume = Volume(site.disk_bytes, "worst-fit", os="windows-7", partition_offset=MIB, auto_checkpoint=False)
    for act in base_acts():
        if act.verb == "create":
            volume.create(act.file, act.size_bytes(site.unit_bytes))
        else:
            volume.delete(act.file)
    volume.snapshot()
    volume.advance("30 s")
    volume.snapshot()
    weight = moment = 0.0
    for act in steps()[1].acts:
        if act.verb == "create":
            volume.create(act.file, act.size_bytes(site.unit_bytes))
            for _, lcn, count in volume.extents(act.file).itertuples(index=False):
                weight, moment = weight + count, moment + count * (lcn + count / 2)
    expected = (moment / weight * 4096 + MIB) / site.disk_bytes
    assert probe.place[1] == pytest.approx(expected, abs=0.003)
    assert probe.grown[1] == pytest.approx(weight * 4096, rel=0.01)


@pytest.mark.parametrize("policy", TRIED)
def test_self_contained_probe_names_the_policy(alone, policy):
    first, classifier = alone
    noise = with_noise(ALONE, first.grown)
    right = wrong = 0
    for draw in range(20):
        told = classifier.probabilities(simulate_probe(policy, ALONE, 5, draw, noise=noise).features)
        right += TRIED[int(told.argmax())] == policy
        wrong += TRIED[int(told.argmax())] != policy and told.max() >= 0.9
    assert right >= 19
    assert wrong == 0


def test_guest_s_probe_tells_the_four_apart():
    first = simulate_probe("best-fit", GUEST, 78, noise=8e3)
    classifier = reference(first, FOUR, 40, 1)
    right = 0
    for number, policy in enumerate(FOUR):
        for draw in range(12):
            told = classifier.probabilities(simulate_probe(policy, GUEST, 6, draw, noise=8e3).features)
            right += int(told.argmax()) == number
    assert right >= 46


def test_ranks_of_the_truth_are_uniform(alone):
    """Randomised ranks of the true policy among all; chi-square with 9 degrees of freedom, 33.7 is its 0.9999."""
    first, classifier = alone
    rng, ranks = np.random.default_rng(1), []
    noise = with_noise(ALONE, first.grown)
    for place, policy in enumerate(TRIED):
        for draw in range(25):
            told = classifier.probabilities(simulate_probe(policy, ALONE, 8, draw, noise=noise).features)
            ranks.append(told[:place].sum() + rng.random() * told[place])
    counts = np.histogram(ranks, bins=10, range=(0, 1))[0]
    assert ((counts - 15) ** 2 / 15).sum() < 33.7


def test_probabilities_are_right_where_policies_overlap():
    """Two made-up policies, normal around 0 and 1 with a spread of 1: the truth is known, and so is its score."""
    rng = np.random.default_rng(0)
    table = rng.normal([[[0.0]], [[1.0]]], 1.0, (2, 400, 1))
    classifier = Classifier.of(table, 0)
    for x in (-1.0, 0.5, 2.0):
        exact = 1 / (1 + np.exp(x - 0.5))
        assert classifier.probabilities(np.array([x]))[0] == pytest.approx(exact, abs=0.1)


def test_it_says_so_when_it_cannot_tell():
    """Without a second restart or places, windows differs from best-fit in its streams only; half-way is either."""
    pair = ("best-fit", "windows")
    first = simulate_probe("best-fit", GUEST, 3, noise=8e3)
    classifier = reference(first, pair, 40, 0)
    unsure = [
        probe
        for draw in range(30)
        if classifier.probabilities((probe := simulate_probe("windows", GUEST, 4, draw, noise=8e3)).features).max()
        < 0.75
    ]
    assert unsure
    probe = replace(unsure[0], grown=np.array([first.grown[0], *unsure[0].grown[1:]]))
    found = fit_probe(replace(probe, site=GUEST), policies=pair, draws=40)
    assert found.policy is None
    assert set(found.candidates) == set(pair)
    assert found.verdict[0].startswith("The policy cannot be told: ")
    assert "self-contained" in found.verdict[-1]
    assert found.row["policy"] == "untold"


def test_what_no_policy_does_is_called_strange():
    grown = np.array([1.0, 5.75, 1.0, 0.5, 3.0, 2.0, 0.0]) * ALONE.unit_bytes
    grown[0] = 1e6
    found = fit_probe(Probe(ALONE, grown, np.full(7, 0.9)), draws=200, policies=("best-fit", "first-fit"))
    assert found.strange
    assert found.policy is None
    assert found.candidates == ()
    assert found.verdict[0].startswith("None of the policies explains")


def test_fit_of_a_probe_and_its_row():
    probe = simulate_probe("next-fit", ALONE, 11, noise=1e4)
    calls = []
    found = fit_probe(probe, draws=30, policies=FOUR, progress=lambda: calls.append(1))
    assert found.policy == "next-fit"
    assert found.verdict[0].startswith("The policy is next-fit, with a probability of ")
    assert "Windows 10 build 10.0.19045" in found.verdict[1]
    assert repr(found) == f"<ProbeFit: {found.verdict[0]}>"
    assert len(calls) == 4
    assert found.frame["probability"].sum() == pytest.approx(1)
    assert sum(value for name, value in found.row.items() if name.startswith("p_")) == pytest.approx(1, abs=1e-3)
    assert found.row["fill_grown"] == pytest.approx(probe.grown[1] / ALONE.unit_bytes, abs=1e-4)
    again = fit_probe(probe, draws=30, policies=FOUR)
    assert again.frame.equals(found.frame)  # same seed, same answer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policies": ("best-fit",)}, r"policies=\['best-fit'\]: two or more of fresh-first, .* are needed"),
        ({"policies": ("best-fit", "magic")}, r"two or more of fresh-first"),
        ({"draws": 3}, r"draws=3: a whole number from 20 up is needed"),
    ],
)
def test_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        fit_probe(Probe(ALONE, np.zeros(7)), **change)


def test_a_busy_guest_is_refused():
    loud = Probe(GUEST, np.array([100 * MIB, 0, 0, 0, 0, 0, 0], float))
    with pytest.raises(ParameterError, match=r"others_bytes=\d+: by the idle step, .* more than 2 units .* quiet"):
        fit_probe(loud)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"form": "both"}, "form='both': allowed are guest, self-contained"),
        ({"os": "windows-95"}, "os='windows-95': allowed are "),
        ({"format": "vmdk"}, "format='vmdk': allowed are "),
        ({"unit_bytes": 5}, r"unit_bytes=5: allowed are whole numbers from 1048576"),
        ({"cluster_bytes": 3000}, r"cluster_bytes=3000: a power of two"),
        ({"used_bytes": 39 * GIB}, r"used_bytes=\d+: the volume has \d+ B free, the pattern needs .* smaller unit"),
        ({"seconds": (1.0,)}, r"seconds=\[1.0\]: 7 durations are needed"),
        ({"wait_s": -1.0}, r"wait_s=-1.0: allowed are 0 s to 3600 s"),
        ({"pieces": -1}, r"pieces=-1: a number of fragments"),
    ],
)
def test_site_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        Site(**({"form": "guest", "disk_bytes": 40 * GIB, "used_bytes": 0, "unit_bytes": 128 * MIB} | change))
