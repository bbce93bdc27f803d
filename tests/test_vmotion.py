"""vMotion: rounds, bytes and downtime of a pre-copy against the geometric series, and a copy page by page."""

import numpy as np
import pytest

from clonesim.errors import ParameterError
from clonesim.pool.vmotion import vmotion, vmotion_of
from clonesim.scenario import load_scenario

GIB = 2**30


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.9])
def test_rounds_are_a_geometric_series(share):
    memory, link, target = 8 * GIB, 125e6, 0.25
    found = vmotion(memory, share * link, link, target, 1000)
    rounds = int(np.ceil(np.log(target * link / memory) / np.log(share) - 1e-12))
    assert found.rounds == rounds
    assert found.bytes == pytest.approx(memory * (1 - share ** (rounds + 1)) / (1 - share))
    assert found.seconds == pytest.approx(found.bytes / link)
    assert found.downtime_s == pytest.approx(memory / link * share**rounds)
    assert found.converged


def test_a_desktop_that_changes_nothing_is_copied_once():
    found = vmotion(GIB, 0, 1e8, 0.5, 16)
    assert (found.rounds, found.bytes, found.downtime_s, found.converged) == (1, GIB, 0.0, True)


def test_a_small_desktop_fits_into_the_downtime_after_one_round():
    assert vmotion(1e6, 5e7, 1e8, 0.5, 16).rounds == 1


@pytest.mark.parametrize("dirty", [1e8, 3e8])
def test_memory_that_changes_faster_than_the_link_does_not_converge(dirty):
    found = vmotion(GIB, dirty, 1e8, 0.5, 16)
    assert (found.rounds, found.bytes, found.converged) == (1, 2 * GIB, False)  # all memory twice, then it stops
    assert found.downtime_s == pytest.approx(GIB / 1e8)


def test_few_rounds_mean_a_long_downtime():
    few, many = vmotion(8 * GIB, 5e7, 1e8, 0.1, 2), vmotion(8 * GIB, 5e7, 1e8, 0.1, 30)
    assert (few.rounds, few.converged, many.converged) == (2, False, True)
    assert few.downtime_s == pytest.approx(8 * GIB / 1e8 / 4)
    assert few.bytes < many.bytes


def test_a_copy_second_by_second():
    """The same, in steps of a millisecond: what was changed before a round began is copied in it."""
    memory, dirty, link, target = 2e9, 3e7, 1e8, 0.5
    found = vmotion(memory, dirty, link, target, 99)
    step, now, round_left, changed, rounds = 1e-3, 0.0, memory, 0.0, 1
    while True:
        round_left -= link * step
        changed += dirty * step
        now += step
        if round_left <= 0:
            if changed <= target * link:
                break
            round_left, changed, rounds = changed, 0.0, rounds + 1
    assert rounds == found.rounds
    assert now + changed / link == pytest.approx(found.seconds, rel=1e-3)
    assert changed / link == pytest.approx(found.downtime_s, rel=0.01)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, 1, 1, 1, 1), r"memory=0: a finite number above 0 is needed\."),
        ((1, -1, 1, 1, 1), r"dirty_bytes_per_s=-1: a finite number from 0 up is needed\."),
        ((1, 1, 0, 1, 1), r"link_bytes_per_s=0: a finite number above 0 is needed\."),
        ((1, 1, 1, float("nan"), 1), r"downtime_target_s=nan: a finite number from 0 up is needed\."),
        ((1, 1, 1, 1, 0), r"rounds=0: a whole number from 1 up is needed\."),
    ],
)
def test_what_cannot_be_is_refused(given, message):
    with pytest.raises(ParameterError, match=f"^{message}$"):
        vmotion(*given)


def test_a_scenario_s_desktops_share_the_link():
    """8 GiB at an eighth of 10 Gbit/s, of which 20 MB/s are changed again: 8 GiB / (156.25 - 20) MB/s, nearly."""
    found = vmotion_of(load_scenario())
    assert found.converged
    assert found.seconds == pytest.approx(8 * GIB / 136.25e6, rel=0.01)
    assert vmotion_of(load_scenario("windows-xp-office")).seconds < found.seconds / 10
