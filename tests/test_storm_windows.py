"""Windows of storms: by hand, and moment by moment."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_tools import small

from clonesim.lun.operations import GROWTH, LOCK_BREAK, POWER_ON, VMOTION, Operations
from clonesim.planning.storm_windows import storm_windows, storms_at
from clonesim.pool.timeline import Timeline

DAY, HOUR, TAIL = 86400.0, 3600.0, 600.0
QUIET = {"definitions_weekday": 0, "definitions_weekend": 0, "patch_day": "never", "av_full": "never"}


def line(days=1, events=None, restarts=(), boot_window=0.0, logons=(), operations=()) -> Any:
    """What storm_windows looks at of a timeline; events are kind -> (window, times), operations (time, kind)."""
    given_events = events or {}
    start = np.array(sorted(logons), float)
    times = np.array([when for when, _ in operations], float)
    kinds = np.array([kind for _, kind in operations], np.int8)
    return SimpleNamespace(
        calendar=SimpleNamespace(horizon_s=days * DAY),
        shared=SimpleNamespace(
            events={k: (np.array(times_, float), np.zeros(len(times_))) for k, (_, times_) in given_events.items()}
        ),
        windows_s={kind: window for kind, (window, _) in given_events.items()},
        restarts_s=np.array(restarts, float),
        boot_window_s=boot_window,
        sessions=SimpleNamespace(start_s=start),
        session_clone=np.zeros(start.size, np.int32),
        operations=Operations(times, np.zeros(times.size, np.int64), np.zeros(times.size, np.int32), kinds),
    )


def told(timeline: Any) -> dict[str, list[list[float]]]:
    return {kind: spans.tolist() for kind, spans in storm_windows(timeline).items()}


class TestByHand:
    def test_an_event_lasts_its_window_and_the_last_clone_s_share(self) -> None:
        found = told(line(events={"patches": (2 * HOUR, [10 * HOUR])}))
        assert found == {
            "patches": [[10 * HOUR, 12 * HOUR + TAIL]],
            "steady": [[0.0, 10 * HOUR], [12 * HOUR + TAIL, DAY]],
        }

    def test_restarts_come_in_the_boot_window(self) -> None:
        found = told(line(restarts=[0.0, 3 * HOUR], boot_window=1800.0))
        assert found["restarts"] == [[0.0, 2400.0], [10800.0, 13200.0]]
        assert found["steady"] == [[2400.0, 10800.0], [13200.0, DAY]]

    def test_storms_of_a_kind_that_meet_are_one(self) -> None:
        found = told(line(events={"definitions": (HOUR, [1000.0, 3000.0, 20_000.0])}))
        assert found["definitions"] == [[1000.0, 3000.0 + HOUR + TAIL], [20_000.0, 20_000.0 + HOUR + TAIL]]

    def test_a_long_window_swallows_a_short_one(self) -> None:
        operations = [(100.0, POWER_ON), (200.0, POWER_ON), (700.0, POWER_ON), (1400.0, POWER_ON)]
        assert told(line(operations=operations))["power-ons"] == [[100.0, 1300.0], [1400.0, 2000.0]]

    def test_kinds_may_overlap_and_steady_overlaps_none(self) -> None:
        found = told(line(events={"patches": (HOUR, [HOUR])}, restarts=[1.5 * HOUR], boot_window=HOUR))
        assert found["patches"] == [[HOUR, 2 * HOUR + TAIL]]
        assert found["restarts"] == [[1.5 * HOUR, 2.5 * HOUR + TAIL]]
        assert found["steady"] == [[0.0, HOUR], [2.5 * HOUR + TAIL, DAY]]

    def test_what_is_on_at_a_time(self) -> None:
        timeline = line(events={"patches": (HOUR, [HOUR])}, restarts=[1.5 * HOUR], boot_window=HOUR)
        assert storms_at(timeline, 0.0) == ("steady",)
        assert storms_at(timeline, HOUR) == ("patches",)
        assert storms_at(timeline, 1.75 * HOUR) == ("patches", "restarts")
        assert storms_at(timeline, 2.5 * HOUR) == ("restarts",)
        assert storms_at(timeline, 2.5 * HOUR + TAIL) == ("steady",)

    def test_windows_end_with_the_run(self) -> None:
        found = told(line(events={"patches": (4 * HOUR, [22 * HOUR])}, restarts=[25 * HOUR]))
        assert found == {"patches": [[22 * HOUR, DAY]], "steady": [[0.0, 22 * HOUR]]}

    def test_a_storm_without_end_leaves_no_steady_time(self) -> None:
        assert told(line(events={"patches": (DAY, [0.0])})) == {"patches": [[0.0, DAY]]}

    def test_nothing_at_all_is_steady(self) -> None:
        assert told(line()) == {"steady": [[0.0, DAY]]}

    def test_operations_tell_their_storm(self) -> None:
        operations = [(HOUR, LOCK_BREAK), (2 * HOUR, VMOTION), (3 * HOUR, POWER_ON), (4 * HOUR, GROWTH)]
        found = told(line(operations=operations))
        assert found["host failure"] == [[HOUR, HOUR + TAIL]]
        assert found["maintenance"] == [[2 * HOUR, 2 * HOUR + TAIL]]
        assert found["power-ons"] == [[3 * HOUR, 3 * HOUR + TAIL]]
        assert set(found) == {"host failure", "maintenance", "power-ons", "steady"}

    def test_logons_between_the_fifth_and_the_ninety_fifth_of_a_hundred(self) -> None:
        """Places 5 and 95 of the day's logons, counted from 0; the early and the late ones are no storm."""
        first = [60.0, 120.0, 180.0, 240.0, 300.0]
        main = [8 * HOUR + 10 * k for k in range(91)]
        late = [20 * HOUR + k for k in range(4)]
        next_day = [DAY + 9 * HOUR, DAY + 10 * HOUR]
        found = told(line(days=3, logons=[*first, *main, *late, *next_day]))
        assert found["logons"] == [[8 * HOUR, 8 * HOUR + 900.0 + TAIL], [DAY + 9 * HOUR, DAY + 10 * HOUR + TAIL]]

    def test_refused_logons_do_not_count(self) -> None:
        timeline = line(logons=[HOUR, 9 * HOUR])
        timeline.session_clone = np.array([-1, 0], np.int32)
        assert told(timeline)["logons"] == [[9 * HOUR, 9 * HOUR + TAIL]]


spans = st.lists(st.floats(0, 3 * DAY), max_size=12)


@settings(max_examples=150, deadline=None)
@given(spans, spans, spans, st.floats(0, DAY), st.floats(0, DAY), st.integers(0, 2**31))
def test_every_moment_is_in_the_storms_that_it_is_in_and_else_steady(patches, boots, fails, long, short, seed) -> None:
    timeline = line(
        days=3,
        events={"patches": (long, sorted(patches))},
        restarts=sorted(boots),
        boot_window=short,
        operations=[(when, LOCK_BREAK) for when in sorted(fails)],
    )
    found = storm_windows(timeline)
    for table in found.values():
        assert (table[:, 0] < table[:, 1]).all()
        assert (table[1:, 0] > table[:-1, 1]).all(), "in order, without overlap"
    lengths = {"patches": (patches, long), "restarts": (boots, short), "host failure": (fails, 0.0)}
    for moment in np.random.default_rng(seed).uniform(0, 3 * DAY, 60):
        kinds = {
            kind for kind, (times, window) in lengths.items() if any(t <= moment < t + window + TAIL for t in times)
        }
        mine = {kind for kind, table in found.items() if ((table[:, 0] <= moment) & (moment < table[:, 1])).any()}
        assert mine == (kinds or {"steady"})


class TestOfAPool:
    def test_daily_restarts_and_nothing_else(self) -> None:
        scenario = small(
            pool={"days": 3},
            workload={"name": "idle"},
            storms={**QUIET, "reboot": "daily", "reboot_at": "03:00", "boot_window": "20 min"},
        )
        found = told(Timeline.of(scenario, 1))
        begins = [0.0, DAY + 3 * HOUR, 2 * DAY + 3 * HOUR]
        assert found == {
            "restarts": [[t, t + 1800.0] for t in begins],
            "steady": [[1800.0, begins[1]], [begins[1] + 1800.0, begins[2]], [begins[2] + 1800.0, 3 * DAY]],
        }

    @pytest.mark.parametrize("how", ["guest", "power-cycle"])
    def test_every_logon_storm_holds_nine_tenths_of_its_day_s_logons(self, how: str) -> None:
        scenario = small(pool={"clones": 60, "days": 5}, storms={**QUIET, "restart": how})
        timeline = Timeline.of(scenario, 2)
        found = storm_windows(timeline)
        assert ("power-ons" in found) == (how == "power-cycle")
        start = timeline.sessions.start_s[timeline.session_clone >= 0]
        for low, high in found["logons"]:
            day = start[start // DAY == low // DAY]
            inside = ((day >= low) & (day < high)).mean()
            assert inside >= 0.9, "the tail of ten minutes may take some more"
            assert (day < low).mean() <= 0.05
