"""Which clone a user gets at a logon, and who is refused."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.pool.users import Sessions

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

TOO_MANY: Final = -1  # refused: as many users as allowed were logged on
NO_SEAT: Final = -2  # refused: no clone was free


def seats(sessions: Sessions, clones: int, per_clone: int, floating: bool, most: int) -> NDArray[np.int32]:
    """Clone of each session.

    A dedicated user's clone is the user's number modulo the number of clones. A floating user gets the seat that was
    free longest; at the start, seats are taken in order of clones, one per clone before any second one. Logoffs come
    before logons of the same time, logons of the same time in order of users. A refused user does not try again that
    day.

    Parameters
    ----------
    sessions : Sessions
        What users want.
    clones, per_clone : int
        Number of clones, and seats of each: more than one on multi-session hosts. [1]
    floating : bool
        Whether users get a free seat at each logon; else they own one.
    most : int
        Most users that may be logged on at a time, however they are assigned. [1]

    Returns
    -------
    (sessions,) int32 array
        Number of the clone; `TOO_MANY` or `NO_SEAT` where the logon is refused.

    Raises
    ------
    ParameterError
        If there are more dedicated users than seats.
    """
    if not floating and sessions.intensity.size > clones * per_clone:
        allowed = f"{clones} clones have {clones * per_clone} seats for dedicated users"
        raise ParameterError("users.count", sessions.intensity.size, allowed, "Raise pool.clones or let users float.")
    starts, ends, users = sessions.start_s.tolist(), sessions.end_s.tolist(), sessions.user.tolist()
    free = deque(seat % clones for seat in range(clones * per_clone)) if floating else deque()
    there: list[tuple[float, int, int]] = []  # logoff, order of the logon, clone
    got = np.empty(len(starts), np.int32)
    for turn, row in enumerate(np.lexsort((sessions.user, sessions.start_s)).tolist()):
        while there and there[0][0] <= starts[row]:
            clone = heappop(there)[2]
            if floating:
                free.append(clone)
        if len(there) >= most:
            got[row] = TOO_MANY
        elif floating and not free:
            got[row] = NO_SEAT
        else:
            got[row] = free.popleft() if floating else users[row] % clones
            heappush(there, (ends[row], turn, int(got[row])))
    return got


def users_of(scenario: Scenario, clones: Sequence[int] | None) -> NDArray[np.int64] | None:
    """Users of some clones, where these clones' time depends on no others; None: on all, or all are asked for.

    So it is where users own their clones, nobody is refused, and no clone waits for its turn with others.
    """
    users, storms = scenario.users, scenario.storms
    dedicated = users.assignment == "dedicated" and users.peak_concurrency >= 1.0
    in_turns = storms.restart != "guest" or storms.host_failures or storms.maintenance or scenario.strategy
    if clones is None or not dedicated or in_turns:
        return None
    return np.flatnonzero(np.isin(np.arange(users.count) % scenario.pool.clones, np.asarray(clones)))
