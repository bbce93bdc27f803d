"""What reaches the array, against figures by hand, a slow reference, and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_dead_space import allocated_each_second

from clonesim.errors import ParameterError
from clonesim.guest.activity import Activity
from clonesim.pool.desktop import activity_of
from clonesim.pool.strategies.array_side import dedup_bytes, thin_dead_space
from clonesim.pool.strategies.course import Course
from clonesim.scenario import load_scenario

MIB, GIB = 2**20, 2**30
DAY = 86400.0


def times(*seconds: float) -> np.ndarray:
    return np.array(seconds, float)


def sizes(*amounts: int) -> np.ndarray:
    return np.array(amounts, np.int64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: thin_dead_space(times(0, 2, 1), sizes(1, 1, 1), "none", horizon_s=DAY),
            "time_s=1.0: row 2 is before the start or earlier than the row above it. Order the steps by time.",
        ),
        (
            lambda: thin_dead_space(times(0, 1), sizes(5, -6), "none", horizon_s=DAY),
            "size=-6: row 1 gives back more than there is. Give the first sizes as steps, too.",
        ),
        (
            lambda: thin_dead_space(times(0, 1), sizes(5), "none", horizon_s=DAY),
            "time_s=2: 1 sizes stand beside it. Give one of each per step.",
        ),
        (
            lambda: thin_dead_space(times(0), sizes(1), "automatic", horizon_s=DAY),
            "thin-lun.mode='automatic': modes are auto, manual, none. ",
        ),
        (
            lambda: thin_dead_space(times(0), sizes(1), "auto", horizon_s=DAY),
            "thin-lun.rate=0.0: mode 'auto' needs more than 0. Check the sign.",
        ),
        (
            lambda: thin_dead_space(times(0), sizes(1), "manual", horizon_s=DAY),
            "thin-lun.every=0.0: mode 'manual' needs more than 0. Check the sign.",
        ),
        (
            lambda: thin_dead_space(times(0), sizes(9), "none", horizon_s=DAY, capacity=8.0),
            "capacity=8.0: the datastore comes to 9 B. Enlarge the LUN.",
        ),
        (
            lambda: dedup_bytes(np.ones(2), np.ones(2), np.ones(2)),
            "clones=None: 1 or more are needed. Say whose bytes these are together.",
        ),
        (
            lambda: dedup_bytes(np.ones((3, 2)), np.array([0.0, 1.5]), np.ones(2)),
            "shared_content=[0.0, 1.5]: a share from 0 to 1 is needed for each of the 2 sources.",
        ),
    ],
)
def test_refused(call: object, message: str) -> None:
    with pytest.raises(ParameterError) as told:
        call()  # type: ignore[operator]
    assert str(told.value).strip().startswith(message.strip())


# --- thin LUNs ----------------------------------------------------------------------------------------------------


def test_after_a_mass_refresh_the_array_is_full_while_the_datastore_shows_free_space() -> None:
    # 100 GiB; 80 GiB come back at 1,000 s; UNMAP at 0.1 GiB/s needs 800 s.
    when, step = times(0, 1000), sizes(100, -80) * GIB
    rate = GIB / 10
    course = thin_dead_space(when, step, "auto", rate, horizon_s=DAY)
    asked = times(0, 999, 1000, 1100, 1400, 1800, 5000)
    assert (course.at(asked) / GIB).tolist() == pytest.approx([100, 100, 100, 90, 60, 20, 20], abs=1e-9)
    assert course.peak == 100 * GIB
    # 100 for 1,000 s, a line from 100 to 20 for 800 s, 20 for the rest
    assert course.mean / GIB == pytest.approx((100 * 1000 + 60 * 800 + 20 * (DAY - 1800)) / DAY)
    never = thin_dead_space(when, step, "none", horizon_s=DAY)
    assert (never.at(asked) == 100 * GIB).all()
    by_hand = thin_dead_space(when, step, "manual", every=1200.0, horizon_s=DAY)
    assert (by_hand.at(times(1199, 1200, 9000)) / GIB).tolist() == [100, 20, 20]


def test_what_is_written_anew_lies_in_dead_space_or_beside_it() -> None:
    when, step = times(0, 10, 20, 30), sizes(100, -80, 50, 40) * GIB
    asked = times(10, 20, 30)
    least = thin_dead_space(when, step, "none", horizon_s=DAY)
    assert (least.at(asked) / GIB).tolist() == [100, 100, 110]  # 20 + 50 + 40 live: no more than ever were live
    most = thin_dead_space(when, step, "none", horizon_s=DAY, reuse=False)
    assert (most.at(asked) / GIB).tolist() == [100, 150, 190]  # all that was ever written
    small = thin_dead_space(when, step, "none", horizon_s=DAY, reuse=False, capacity=120 * GIB)
    assert (small.at(asked) / GIB).tolist() == [100, 120, 120]


def test_what_is_left_of_whole_pieces_stays_until_it_is_written_again() -> None:
    when, step = times(0, 1, 2, 3), sizes(100, -10, -3, 3)
    course = thin_dead_space(when, step, "auto", 1e6, granularity=4, horizon_s=DAY)
    # 10 back: 8 in whole pieces, 2 stay. 3 back: all stay. 3 written: into them.
    assert course.at(times(0.5, 1, 1.5, 2.5, 3.5)).tolist() == [
        100,
        100,
        92,
        92,
        92,
    ]  # 100, 90 + 10, 90 + 2, 87 + 5, 90 + 2


STEPS = st.lists(st.tuples(st.integers(0, 30), st.integers(-40, 40)), max_size=25)


@given(
    STEPS,
    st.sampled_from(["auto", "manual", "none"]),
    st.integers(1, 6),
    st.integers(1, 9),
    st.integers(1, 12),
    st.booleans(),
    st.integers(0, 60),
)
def test_dead_space_equals_the_slow_reference(
    asked: list[tuple[int, int]], mode: str, rate: int, piece: int, every: int, reuse: bool, spare: int
) -> None:
    live, top, steps = 0, 0, []
    for second, size in sorted(asked, key=lambda step: step[0]):
        size = max(size, -live)
        live += size
        top = max(top, live)
        steps.append((second, size))
    when, size = times(*(s for s, _ in steps)), sizes(*(b for _, b in steps))
    course = thin_dead_space(
        when, size, mode, rate, piece, every, horizon_s=32.0, reuse=reuse, capacity=float(top + spare)
    )
    slow = allocated_each_second(steps, 32, mode, rate, piece, every, reuse, top + spare)
    seconds = np.arange(32, dtype=float)
    assert course.at(seconds).tolist() == pytest.approx(slow, abs=1e-9)
    used = Course.of_steps(when, size, 32.0)
    between = np.linspace(0, 31.99, 500)
    assert (course.at(between) >= used.at(between) - 1e-9).all()
    assert course.peak <= top + spare + 1e-9


# --- courses ------------------------------------------------------------------------------------------------------


@given(STEPS, STEPS, st.integers(1, 6))
def test_courses_add_up(one: list[tuple[int, int]], other: list[tuple[int, int]], rate: int) -> None:
    courses = []
    for asked in (one, other):
        live, steps = 0, []
        for second, size in sorted(asked, key=lambda step: step[0]):
            steps.append((second * 10_000.0, max(size, -live) * 10_000))
            live += max(size, -live)
        when, size = times(*(s for s, _ in steps)), sizes(*(b for _, b in steps))
        courses.append(thin_dead_space(when, size, "auto", rate, 1, horizon_s=4 * DAY))
    total = Course.total(courses, 4 * DAY)
    seconds = np.linspace(0, 4 * DAY - 1, 2001)
    together = courses[0].at(seconds) + courses[1].at(seconds)
    assert total.at(seconds) == pytest.approx(together, abs=1e-3)
    assert total.mean == pytest.approx(sum(course.mean for course in courses), abs=1e-3)
    mean, most = total.by_day()
    assert mean.mean() == pytest.approx(total.mean, abs=1e-3)
    assert most.max() == pytest.approx(total.peak, abs=1e-3)
    for day in range(4):
        inside = (seconds >= day * DAY) & (seconds < (day + 1) * DAY)
        assert together[inside].max() <= most[day] + 1e-3


def test_a_day_has_what_it_began_with() -> None:
    course = Course.of_steps(times(0, 1.25 * DAY, 1.75 * DAY), sizes(10, 20, -28), 3 * DAY)
    mean, most = course.by_day()
    assert mean.tolist() == pytest.approx([10, (10 + 2 * 30 + 2) / 4, 2])
    assert most.tolist() == [10, 30, 2]
    assert course.before(times(1.25 * DAY)).tolist() == [10]
    assert course.at(times(1.25 * DAY)).tolist() == [30]


def test_what_comes_and_goes_at_one_time_was_never_there() -> None:
    course = Course.of_steps(times(0, 5, 5, 5), sizes(10, 90, -60, -30), DAY)
    assert course.peak == 10
    assert course.by_day()[1].tolist() == [10]


# --- deduplication ------------------------------------------------------------------------------------------------


def test_patches_count_once_and_mail_for_each() -> None:
    # Two clones with 10 and 8 GiB of programs, 90 % of it the same, and 4 and 6 GiB of mail, 10 % the same.
    held = np.array([[10.0, 4.0], [8.0, 6.0]]) * GIB
    share, small = np.array([0.9, 0.1]), np.array([0.7, 0.75])
    kept = dedup_bytes(held, share, small) / GIB
    assert kept.tolist() == pytest.approx([0.7 * (9 + 1 + 0.8), 0.75 * (0.6 + 3.6 + 5.4)])
    together = dedup_bytes(held.sum(axis=0), share, small, clones=2) / GIB  # as if each had half
    assert together.tolist() == pytest.approx([0.7 * (0.9 * 9 + 0.1 * 18), 0.75 * (0.1 * 5 + 0.9 * 10)])


def test_equal_content_is_found_in_whole_blocks() -> None:
    kept = dedup_bytes(np.full((4, 1), 10_000.0), np.ones(1), np.ones(1), block=4096)
    assert kept.tolist() == [2 * 4096 + 4 * (10_000 - 2 * 4096)]


@given(
    st.lists(st.lists(st.integers(0, 10**9), min_size=3, max_size=3), min_size=1, max_size=6),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_dedup_lies_between_the_largest_clone_and_all(
    held: list[list[int]], share: list[float], small: list[float]
) -> None:
    amounts, shares, shrunk = np.array(held, float), np.array(share), np.array(small)
    kept = dedup_bytes(amounts, shares, shrunk)
    assert (kept <= amounts.sum(axis=0) * shrunk + 1e-3).all()
    assert (kept >= amounts.max(axis=0) * shrunk - 1e-3).all()
    alone = dedup_bytes(amounts[:1], shares, shrunk)
    assert alone == pytest.approx(amounts[0] * shrunk)  # one clone shares with nobody
    more = np.minimum(1.0, shares + 0.1)
    assert (dedup_bytes(amounts, more, shrunk) <= kept + 1e-3).all()


def test_sources_have_the_content_of_their_tag() -> None:
    activity: Activity = activity_of(load_scenario("windows-7-office"))
    held = np.zeros((2, len(activity.names)))
    programs, documents = activity.tags.index("application"), activity.tags.index("user-data")
    held[:, [programs, documents]] = GIB
    kept = dedup_bytes(held, np.array(activity.shared_content), np.array(activity.compressed)) / GIB
    kept /= np.array(activity.compressed)
    assert kept[[programs, documents]].tolist() == pytest.approx([0.9 + 2 * 0.1, 0.1 + 2 * 0.9])  # topic content
