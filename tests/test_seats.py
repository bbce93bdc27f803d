"""Who gets which clone, against a count second by second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clonesim.errors import ParameterError
from clonesim.pool.seats import NO_SEAT, TOO_MANY, seats
from clonesim.pool.users import Sessions


def sessions_of(rows, users):
    """Sessions from (user, start, length), as `Sessions` orders them."""
    rows = sorted(rows)
    user, start, length = (np.array(column) for column in zip(*rows, strict=True)) if rows else np.zeros((3, 0))
    start = start.astype(float)
    return Sessions(user.astype(np.int32), start, start + length, np.ones(users))


def counted(sessions, clones, per_clone, floating, most):
    """Slow and obvious: walk through every second, logoffs before logons, both in order of the logons."""
    free = [clone for _ in range(per_clone) for clone in range(clones)]  # the seat that is free longest comes first
    there, got = [], np.empty(len(sessions), int)
    for second in range(100):
        for row in [row for row in there if sessions.end_s[row] == second]:
            there.remove(row)
            free.append(got[row])
        for row in range(len(sessions)):  # in order of users, who log on at most once a second
            if sessions.start_s[row] != second:
                continue
            if len(there) >= most:
                got[row] = TOO_MANY
            elif floating and not free:
                got[row] = NO_SEAT
            else:
                got[row] = free.pop(0) if floating else sessions.user[row] % clones
                there.append(row)
    return got


@st.composite
def cases(draw):
    users = draw(st.integers(1, 12))
    rows = []
    for user in range(users):
        at = 0
        for _ in range(draw(st.integers(0, 3))):
            at += draw(st.integers(0, 6))
            length = draw(st.integers(1, 9))
            rows.append((user, at, length))
            at += length + 1
    return rows, users


@given(
    case=cases(),
    clones=st.integers(1, 5),
    per_clone=st.integers(1, 3),
    floating=st.booleans(),
    most=st.integers(1, 12),
)
def test_seats_are_those_that_a_count_finds(case, clones, per_clone, floating, most):
    rows, users = case
    if not floating:
        clones = max(clones, users)
    sessions = sessions_of(rows, users)
    got = seats(sessions, clones, per_clone, floating, most)
    assert got.tolist() == counted(sessions, clones, per_clone, floating, most).tolist()


def test_the_seat_that_was_free_longest():
    """Three clones: user 0 frees clone 0 at 5, user 1 frees clone 1 at 3; clone 2 was never used."""
    sessions = sessions_of([(0, 0, 5), (1, 0, 3), (2, 6, 9), (3, 7, 9), (4, 8, 9), (5, 9, 1)], 6)
    assert seats(sessions, 3, 1, True, 99).tolist() == [0, 1, 2, 1, 0, NO_SEAT]


def test_refused_users_hold_no_place():
    sessions = sessions_of([(0, 0, 10), (1, 1, 10), (2, 2, 10), (3, 10, 1)], 4)
    assert seats(sessions, 9, 1, True, 2).tolist() == [0, 1, TOO_MANY, 2]  # user 0 left at 10, user 2 was never there
    assert seats(sessions, 9, 1, False, 2).tolist() == [0, 1, TOO_MANY, 3]


def test_dedicated_users_share_multi_session_hosts_evenly():
    sessions = sessions_of([(user, 0, 1) for user in range(60)], 60)
    got = seats(sessions, 3, 20, False, 60)
    assert np.bincount(got).tolist() == [20, 20, 20]
    assert np.bincount(seats(sessions, 3, 20, True, 60)).tolist() == [20, 20, 20]


def test_more_dedicated_users_than_seats_are_refused():
    with pytest.raises(ParameterError) as refused:
        seats(sessions_of([], 7), 3, 2, False, 7)
    expected = "users.count=7: 3 clones have 6 seats for dedicated users. Raise pool.clones or let users float."
    assert str(refused.value) == expected
