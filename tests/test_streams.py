"""What strategies bring over the network, by hand: made-up sessions and plans, every time and byte worked out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pool_tools import WITHOUT, small
from strategy_tools import LOGOFF
from stream_tools import (
    APPEND,
    CREATE,
    FIRST,
    HOUR,
    KIB,
    MIB,
    OVERWRITE,
    OWN,
    PROFILE,
    SCATTER,
    made,
    ops_of,
    plan_of,
    scenario,
    sessions,
)

from clonesim.guest.presence import DAY_S, Presence
from clonesim.ops import FileOp
from clonesim.pool.clones import Batch, Job, run_job
from clonesim.pool.desktop import activity_of
from clonesim.pool.strategies.streams import Streams, has_traffic, share_bytes_of_pool
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario


def told(streams: Streams) -> list[tuple[float, str, int, int, int]]:
    """Operations: time, name, file, offset, length."""
    names = ("time_s", "op", "file", "offset", "length")
    return [(float(t), FileOp(o).name, int(f), int(at), int(n)) for t, o, f, at, n in streams.ops[list(names)].tolist()]


def sent(streams: Streams) -> list[tuple[float, int, bool]]:
    columns = streams.traffic_s, streams.traffic_bytes, streams.writes
    return list(zip(*(column.tolist() for column in columns), strict=True))


def behind(asked: Scenario, most: int = 0) -> int:
    """First number of the streams' files: the next directory after those of the plan and of the base files."""
    base = [number for number, _ in activity_of(asked).base_files(FIRST)]
    return max(FIRST + most, *base) // 10 * 10 + 10


class TestProfileStreaming:
    def test_a_dedicated_user_loads_once_between_resets(self) -> None:
        asked = scenario([{**PROFILE, "size": "30 MiB"}])
        days = [(DAY_S * k, DAY_S * k + HOUR, 7) for k in range(4)]
        streams = made(asked, sessions(*days), resets=(1.5 * DAY_S,))
        file = behind(asked) + OWN
        assert told(streams) == [(0.0, "CREATE", file, 0, 30 * MIB), (2 * DAY_S, "CREATE", file, 0, 30 * MIB)]
        assert sent(streams) == [(0.0, 30 * MIB, False), (2 * DAY_S, 30 * MIB, False)]
        assert streams.traffic_ios.tolist() == [480, 480]
        assert set(streams.ops["source"].tolist()) == {activity_of(asked).names.index("profile-load")}
        assert (streams.logons, streams.logon_added_s, streams.profile_bytes) == (4, 60.0, 30 * MIB)
        assert streams.totals == {
            "network_bytes": 60 * MIB,
            "profile_bytes": 30 * MIB,
            "logons": 4,
            "logon_added_ms": 60_000,
        }

    def test_a_reset_at_the_logon_comes_before_it(self) -> None:
        asked = scenario([{**PROFILE, "size": "30 MiB"}])
        days = sessions((0, HOUR, 1), (DAY_S, DAY_S + HOUR, 1))
        assert len(told(made(asked, days, resets=(DAY_S,)))) == 2
        assert len(told(made(asked, days, resets=(DAY_S + 1,)))) == 1

    def test_floating_users_load_at_each_logon(self) -> None:
        """What is there is written over; each user has a file of his own."""
        asked = scenario([{**PROFILE, "size": "30 MiB", "load_share": 0.5}], assignment="floating", count=9)
        file = behind(asked) + OWN
        rows = [(0, 60, 7), (100, 160, 3), (200, 260, 7), (400, 460, 7)]
        streams = made(asked, sessions(*rows), resets=(300.0,))
        assert told(streams) == [
            (0.0, "CREATE", file, 0, 15 * MIB),
            (100.0, "CREATE", file + 1, 0, 15 * MIB),
            (200.0, "OVERWRITE", file, 0, 15 * MIB),
            (400.0, "CREATE", file, 0, 15 * MIB),
        ]
        assert streams.logon_added_s == 60.0
        assert streams.profile_bytes == 45 * MIB, "9 users on 6 clones"

    def test_a_profile_that_grew_is_appended(self) -> None:
        """A floating user's file has the image's files, then 1 MiB more, which comes after they are written anew."""
        asked = scenario([{**PROFILE, "rate": 100 * MIB}], assignment="floating")
        activity = activity_of(asked)
        base = sum(
            size
            for source in activity.active
            if source.tag == "profile"
            for _, size in activity.base_files(FIRST, {source.index})
        )
        rows = [(50.0, "user-hive", APPEND, 0, 0, MIB), (60.0, "temp-files", CREATE, 9999, 0, 5 * MIB)]
        streams = made(asked, sessions((0, 80, 1), (100, 180, 1)), *rows)
        file = behind(asked, 9999) + OWN
        assert base > 10 * MIB
        assert told(streams) == [
            (0.0, "CREATE", file, 0, base),
            (100.0, "OVERWRITE", file, 0, base),
            (pytest.approx(100.0 + base / (100 * MIB)), "APPEND", file, 0, MIB),
        ]
        assert streams.logon_added_s == pytest.approx((2 * base + MIB) / (100 * MIB))
        assert streams.profile_bytes == base + MIB, "6 users on 6 clones"
        assert sent(streams)[1] == (80.0, MIB, True)

    def test_what_a_session_writes_goes_back(self) -> None:
        """Its logoff's writes too; not what others than the profile's sources write, or what is copied in."""
        asked = scenario([{**PROFILE, "size": "1 MiB", "sync_share": 0.5}])
        rows = [
            (5.0, "user-hive", SCATTER, 0, 1, 64 * KIB),
            (10.0, "user-hive", APPEND, 0, 0, 16 * KIB),
            (20.0, "profile-load", CREATE, 900, 0, 8 * KIB),
            (20.0, "temp-files", CREATE, 950, 0, 4 * KIB),
            (100.0, "profile-save", CREATE, 960, 0, 2 * KIB),
            (100.0, "profile-save", FileOp.RENAME, 960, FIRST + 961, 0),
            (100.5, "user-hive", OVERWRITE, 0, 0, KIB),
        ]
        streams = made(asked, sessions((10, 100, 1), (200, 300, 1)), *rows)
        assert sent(streams) == [(10.0, MIB, False), (100.0, 9 * KIB, True)]
        assert streams.traffic_ios.tolist() == [16, 1]

    def test_long_transfers_take_minutes(self) -> None:
        """150 MiB at 1 MiB/s: three minutes, 50 MiB each; within a session of 90 s two parts."""
        asked = scenario([{**PROFILE, "size": "150 MiB"}])
        file, third = behind(asked) + OWN, 50 * MIB
        streams = made(asked, sessions((0, HOUR, 1)))
        assert told(streams) == [
            (0.0, "CREATE", file, 0, third),
            (50.0, "APPEND", file, 0, third),
            (100.0, "APPEND", file, 0, third),
        ]
        assert sent(streams) == [(0.0, third, False), (50.0, third, False), (100.0, third, False)]
        short = made(asked, sessions((0, 90, 1)))
        assert told(short) == [(0.0, "CREATE", file, 0, 75 * MIB), (45.0, "APPEND", file, 0, 75 * MIB)]
        assert short.logon_added_s == streams.logon_added_s == 150.0
        again = scenario([{**PROFILE, "size": "150 MiB"}], assignment="floating")
        twice = made(again, sessions((0, HOUR, 1), (DAY_S, DAY_S + 90, 1)))
        assert told(twice)[3:] == [
            (DAY_S, "OVERWRITE", file, 0, 75 * MIB),
            (DAY_S + 45, "OVERWRITE", file, 75 * MIB, 75 * MIB),
        ]

    def test_nothing_after_the_horizon(self) -> None:
        asked = scenario([{**PROFILE, "size": "150 MiB"}], days=1)
        end = DAY_S - 60
        rows = [(end - 9, "user-hive", APPEND, 0, 0, MIB)]
        streams = made(asked, sessions((end - 10, DAY_S + HOUR, 1), (DAY_S, DAY_S + HOUR, 2)), *rows)
        assert [row[0] for row in told(streams)] == [end - 10, end + 40]
        assert [write for *_, write in sent(streams)] == [False, False]
        assert streams.logons == 1

    def test_a_disk_that_survives_keeps_the_copy(self) -> None:
        asked = scenario([{**PROFILE, "size": "30 MiB"}, "persistent-disk"])
        streams = made(asked, sessions((0, 60, 1), (100, 160, 1)), resets=(80.0,))
        assert len(told(streams)) == 1


class TestContainersAndPackages:
    def test_a_container_is_mounted_at_each_logon(self) -> None:
        choice = {"name": "profile-container", "mount": "3 s", "mount_bytes": "1 MiB", "request": "100 KiB"}
        streams = made(scenario([choice]), sessions((0, 60, 1), (100, 160, 1), (200, 260, 2)))
        assert sent(streams) == [(time_s, MIB, False) for time_s in (0.0, 100.0, 200.0)]
        assert streams.traffic_ios.tolist() == [11] * 3
        assert (streams.logons, streams.logon_added_s, streams.profile_bytes) == (3, 9.0, 0)
        assert not streams.ops.size

    def test_packages_are_attached_at_each_logon(self) -> None:
        choice = {"name": "app-attach", "packages": 4, "mount": "0.25 s", "package_size": "3 MiB"}
        asked = scenario([choice])
        streams = made(asked, sessions((0, 60, 1), (100, 160, 1)))
        assert (streams.logon_added_s, streams.traffic_s.size, streams.ops.size) == (2.0, 0, 0)
        assert share_bytes_of_pool(asked) == 12 * MIB
        assert share_bytes_of_pool(scenario([])) == 0

    def test_packages_are_streamed_into_an_empty_cache(self) -> None:
        """16 parts over the first hour after each reset; a session of 32 minutes takes one each two minutes."""
        asked = scenario([{"name": "application-virtualization", "cache": 32 * MIB + 3}])
        rows = sessions((50, 50 + 8 * HOUR, 1), (DAY_S, DAY_S + 1920, 1), (2 * DAY_S, 2 * DAY_S + HOUR, 1))
        streams = made(asked, rows, resets=(HOUR * 20, HOUR * 22))
        file, ops = behind(asked), streams.ops
        assert ops["time_s"].tolist() == [50 + 225 * k for k in range(16)] + [DAY_S + 120 * k for k in range(16)]
        assert ops["file"].tolist() == [*range(file, file + 16)] * 2
        assert set(ops["op"].tolist()) == {int(CREATE)}
        assert ops["length"][:16].sum() == ops["length"][16:].sum() == 32 * MIB + 3
        assert set(ops["length"].tolist()) == {2 * MIB, 2 * MIB + 1}
        assert set(ops["source"].tolist()) == {activity_of(asked).names.index("application-reads")}
        assert streams.traffic_bytes.tolist() == ops["length"].tolist()
        assert not streams.writes.any()
        assert set(streams.traffic_ios.tolist()) == {32, 33}
        assert streams.logon_added_s == 0.0

    @pytest.mark.parametrize("given", [{"cache_in_image": True}, {"cache": 0}])
    def test_a_cache_in_the_image_streams_nothing(self, given: dict[str, Any]) -> None:
        asked = scenario([{"name": "application-virtualization", **given}])
        streams = made(asked, sessions((0, 60, 1)))
        assert (streams.ops.size, streams.traffic_s.size) == (0, 0)

    def test_nobody_logs_on(self) -> None:
        asked = scenario([PROFILE, "application-virtualization"])
        streams = made(asked, Presence.none())
        assert (streams.ops.size, streams.traffic_s.size, streams.logons, streams.logon_added_s) == (0, 0, 0, 0.0)
        assert streams.profile_bytes == 0

    def test_strategies_add_up(self) -> None:
        """In order of time, each with files of its own, at last behind the plan."""
        asked = scenario([{**PROFILE, "size": "1 MiB"}, {"name": "application-virtualization", "cache": "16 MiB"}])
        rows = [(5.0, "user-hive", SCATTER, 0, 1, KIB), (0.0, "user-hive", SCATTER, 0, 1, KIB)][::-1]
        streams = made(asked, sessions((0, 1600, 1), (DAY_S, DAY_S + 10, 2)), *rows)
        assert [row[:2] for row in told(streams)] == [
            (0.0, "CREATE"),
            *((100.0 * k, "CREATE") for k in range(16)),
            (DAY_S, "CREATE"),
        ]
        assert np.unique(streams.ops["file"]).size == 18
        plan = plan_of(ops_of(activity_of(asked), *rows))
        both = streams.added_to(plan)
        assert both.ops.size == 20
        assert (np.diff(both.ops["time_s"]) >= 0).all()
        assert both.ops[0] == plan.ops[0]
        assert made(scenario([]), sessions((0, 60, 1))).added_to(plan) is plan

    @pytest.mark.parametrize(
        ("strategy", "expected"),
        [
            ([], False),
            (["refresh", "persistent-disk"], False),
            (["app-attach"], False),
            (["application-virtualization"], True),
            ([{"name": "application-virtualization", "cache_in_image": True}], False),
            (["profile-container"], True),
            (["profile-streaming"], True),
        ],
    )
    def test_what_asks_a_file_share(self, strategy: list[Any], expected: bool) -> None:
        assert has_traffic(scenario(strategy)) is expected

    def test_demand_by_minute(self) -> None:
        asked = scenario([{**PROFILE, "size": "1 MiB"}])
        streams = made(asked, sessions((30, 90, 1)), (40.0, "user-hive", APPEND, 0, 0, 100 * KIB))
        demand = np.ones((10 * 1440, 5), np.int64)
        streams.account(demand)
        assert demand[0].tolist() == [17, 1, MIB + 1, 1, 17]
        assert demand[1].tolist() == [1, 3, 1, 100 * KIB + 1, 1]
        assert (demand[2:] == 1).all()
        none = made(asked, Presence.none())
        none.account(np.zeros((0, 5), np.int64))
        with pytest.raises(IndexError):
            streams.account(np.zeros((0, 5), np.int64))


class TestInAPool:
    """Through volumes and disks: what is streamed is written on the clone, and crosses the network."""

    def batch(self, *strategy: Any) -> tuple[Scenario, Batch]:
        asked = small(WITHOUT, strategy=list(strategy), platform={"name": "generic"}, guest={"disk": "8 GiB"})
        return asked, run_job(Job(asked, 3, 0, 0, (0, 3)))

    @pytest.mark.parametrize("reset", [[], [LOGOFF]], ids=["never set back", "at logoff"])
    @pytest.mark.parametrize(
        ("strategy", "source"),
        [({**PROFILE, "size": "40 MiB"}, "profile-load"), ("application-virtualization", "application-reads")],
        ids=["profile", "packages"],
    )
    def test_what_is_streamed_is_written(self, strategy: Any, source: str, reset: list[Any]) -> None:
        (_, without), (asked, with_) = self.batch(*reset), self.batch(*reset, strategy)
        line, amount = Timeline.of(asked, 3), 40 * MIB if source == "profile-load" else 2048 * MIB
        index = activity_of(asked).names.index(source)
        before, after = (batch.sources[:, 0, :, index, 0].sum(axis=1) for batch in (without, with_))
        for k, clone in enumerate((0, 3)):
            presence, emptied = line.presence(clone), line.emptied(clone, "refresh")
            lives = np.unique(np.searchsorted(emptied, presence.session_start_s, side="right"))
            assert lives.size > 1 or not reset
            expected = lives.size * amount
            assert expected <= after[k] - before[k] < 1.01 * expected, "whole clusters"
            assert with_.total("logons")[k] == presence.session_start_s.size > 0
        assert with_.total("refused").sum() == 0
        crossed = with_.elsewhere[:, [2, 3]].sum()
        assert crossed == with_.total("network_bytes").sum() > 0
        assert without.total("network_bytes").sum() == without.elsewhere.sum() == 0
        assert (with_.total("logon_added_ms") > 0).all() == (source == "profile-load")
        assert (with_.total("profile_bytes") == (40 * MIB if source == "profile-load" else 0)).all()
