"""Profiles of a clone's users: sizes by hand, and by a slow way that is obviously right."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pool_tools import WITH_DISCARDS, WITHOUT, small
from reference_profiles import held
from stream_tools import (
    APPEND,
    CREATE,
    FIRST,
    HOUR,
    MIB,
    OVERWRITE,
    PROFILE,
    SCATTER,
    ops_of,
    scenario,
    sessions,
)

from clonesim.guest.presence import DAY_S, Presence, Shared
from clonesim.keys import generator
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.pool.desktop import activity_of
from clonesim.pool.strategies.profile_kernel import changes
from clonesim.pool.strategies.profiles import Held, profile_sizes, written_in_sessions
from clonesim.scenario.model import Scenario


class TestProfileSizes:
    def held_by(self, asked: Scenario, presence: Presence, *rows: Any, at: float) -> int:
        activity = activity_of(asked)
        ops = ops_of(activity, *rows)
        return int(profile_sizes(asked, activity, presence, ops, FIRST, np.array([at]))[0])

    def test_users_of_a_clone_share_what_is_each_users(self) -> None:
        """Two dedicated users: the hive is each one's, of the new profiles and the cache each has half."""
        rows = [
            (10.0, "new-profile", CREATE, 90_000, 0, 30 * MIB),
            (20.0, "web-app-cache", CREATE, 90_010, 0, 4 * MIB),
            (30.0, "user-hive", APPEND, 0, 0, MIB),
            (110.0, "new-profile", CREATE, 90_020, 0, 30 * MIB),
            (120.0, "new-profile", FileOp.DELETE, 90_020, 0, 0),
        ]
        presence = sessions((5, 300, 1), (105, 400, 2))
        strategy = [PROFILE]
        asked = small(WITH_DISCARDS, strategy=strategy, platform={"name": "generic"})
        held_by = self.held_by
        base = held_by(asked, presence, at=500)
        assert held_by(asked, presence, *rows, at=10.0) == base, "before the operation"
        assert held_by(asked, presence, *rows, at=105.0) == base + 35 * MIB
        assert held_by(asked, presence, *rows, at=115.0) == base + MIB + 60 * MIB // 2 + 2 * MIB
        assert held_by(asked, presence, *rows, at=500.0) == base + MIB + 30 * MIB // 2 + 2 * MIB

    def test_floating_users_are_one_at_a_time(self) -> None:
        """Sets of files are one for each user; the cache is one user's work, and has a cap."""
        sources = {"web-app-cache": {"cap": "6 MiB"}}
        tables = {"users": {"assignment": "floating"}, "platform": {"name": "generic"}}
        asked = small(WITH_DISCARDS, strategy=[PROFILE], workload={"sources": sources}, **tables)
        rows = [
            (10.0, "new-profile", CREATE, 90_000, 0, 30 * MIB),
            (20.0, "web-app-cache", CREATE, 90_010, 0, 4 * MIB),
            (110.0, "new-profile", CREATE, 90_020, 0, 10 * MIB),
            (120.0, "web-app-cache", CREATE, 90_030, 0, 4 * MIB),
        ]
        presence = sessions((5, 100, 1), (105, 200, 2))
        base = self.held_by(asked, presence, at=500)
        assert self.held_by(asked, presence, *rows, at=105.0) == base + 34 * MIB
        assert self.held_by(asked, presence, *rows, at=500.0) == base + 20 * MIB + 6 * MIB

    def test_sessions_at_a_time_share_what_is_written(self) -> None:
        asked = scenario([PROFILE])
        activity = activity_of(asked)
        rows = [(time_s, "user-hive", APPEND, 0, 0, 60) for time_s in (5.0, 15.0, 25.0, 35.0, 50.0)]
        presence = sessions((0, 30, 1), (10, 40, 2), (20, 26, 3))
        found = written_in_sessions(activity, presence, ops_of(activity, *rows))
        assert found.tolist() == [60 + 30 + 20, 30 + 20 + 60, 20]

    operations = st.lists(
        st.tuples(
            st.sampled_from([CREATE, APPEND, OVERWRITE, FileOp.DELETE, FileOp.RENAME, SCATTER]),
            st.integers(0, 5),
            st.integers(0, 5),
            st.integers(0, 9),
        ),
        max_size=40,
    )

    @given(operations, st.dictionaries(st.integers(0, 5), st.integers(0, 9)))
    def test_changes_are_those_of_the_reference(self, rows: list[tuple[int, ...]], base: dict[int, int]) -> None:
        ops = np.zeros(len(rows), OPS_DTYPE)
        for k, (op, file, onto, length) in enumerate(rows):
            ops[k] = (k, onto, length, file, op, 0, 0)
        size, out = np.zeros(6, np.int64), np.zeros(len(rows), np.int64)
        for file, have in base.items():
            size[file] = have
        columns = (np.ascontiguousarray(ops[name]) for name in ("op", "file", "offset", "length"))
        changes(*columns, size, out)
        after = held(ops, base)
        assert (after[0] + np.cumsum(out)).tolist() == after[1:]
        assert size.sum() == after[-1]

    @pytest.mark.parametrize("preset", [WITHOUT, WITH_DISCARDS])
    def test_a_real_plan(self, preset: str) -> None:
        """Bytes of the profile's files by the plan of a month are those of the slow way."""
        activity = activity_of(small(preset))
        presence = sessions(*((DAY_S * k + 9 * HOUR, DAY_S * k + 17 * HOUR, 0) for k in range(30)))
        stream = partial(generator, 1, 0, 0)
        plan = activity.plan(presence, Shared(key=5), lambda name: stream(f"clone:{name}"), 30 * DAY_S, FIRST)
        mine = {source.index for source in activity.sources if source.tag == "profile"}
        found = Held.of(plan.ops, activity, mine, FIRST)
        ops = plan.ops[np.isin(plan.ops["source"], list(mine))]
        assert ops.size > 1000
        assert found.total.tolist() == held(ops, dict(activity.base_files(FIRST, mine)))
        assert (found.total >= 0).all()
