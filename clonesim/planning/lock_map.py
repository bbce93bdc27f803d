"""Does locking bite? The lock of one LUN over numbers of clones and hosts, lengths of the hold, and phases of the day.

docs/does-locking-bite.md shows the map and says what it rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.intervals import quantile
from clonesim.lun.lock_model import NS, lock_model
from clonesim.lun.lock_traffic import LockTraffic, lock_requests, lock_traffic
from clonesim.lun.operations import GROWTH, Operations
from clonesim.planning.lock_phases import HOST_FAILURE, Habits, Phases, Scene, joined
from clonesim.planning.lock_waits import VirtualWaits, inside, virtual_waits
from clonesim.planning.pool_sample import PoolSample, sample_pool
from clonesim.planning.resized import resized
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "lock_map"
CLONES: Final = (8, 16, 32, 64, 128, 256, 512)
HOSTS: Final = (2, 4, 8, 16, 32)
HOLDS: Final = (0.3e-3, 1e-3, 5e-3, 20e-3)  # [s]
BY_LOAD: Final = "by load"  # commands x the array's latency in each minute
LOCKINGS: Final = ("scsi-reservation", "ats", "fifo")
KEYS: Final = ("locking", "phase", "hold", "hosts", "clones")
SHARE = 0.99
MINUTE_S = 60.0
_ON = {"scsi-reservation": ("vmfs-3", "scsi-reservation"), "ats": ("vmfs-5", "ats-only")}

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]


def lock_pool(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    seed: int = 0,
    *,
    clones: int = max(CLONES),
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> PoolSample:
    """Simulate the pool that the map is made from: one replicate, as many clones as the largest LUN has.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes. Users are as many per clone as there; its LUNs do not matter.
    seed : int, default 0
        Key of every draw.
    clones : int, default 512
        Of the largest LUN. [1]
    executor, processes, progress
        As in `sample_pool`.
    **overrides
        As `load_scenario` takes them.

    Raises
    ------
    ParameterError, ScenarioError
        If a value is out of its range.
    """
    given = load_scenario(scenario, **overrides)
    asked = resized(given, clones, days=catalog.value(TOPIC, "days"))
    return sample_pool(asked, seed, 1, executor=executor, processes=processes, progress=progress)


def lock_map(
    sample: PoolSample,
    *,
    lockings: Sequence[str] = LOCKINGS,
    clones: Sequence[int] = CLONES,
    hosts: Sequence[int] = HOSTS,
    holds: Sequence[float | str] = (*HOLDS, BY_LOAD),
    phases: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Waits for the lock of one LUN in every cell of a grid.

    Parameters
    ----------
    sample : PoolSample
        Of `lock_pool`.
    lockings : sequence of {"scsi-reservation", "ats", "fifo"}
        How hosts take it.
    clones, hosts : sequence of int
        Of the LUN. [1]
    holds : sequence of float or "by load"
        How long a transaction holds the lock; "by load": commands x the array's latency in that minute. [s]
    phases : sequence of str, optional
        Of `PHASES`; by default all that the pool has.
    progress : callable, optional
        Told how many cells are done, of how many.

    Returns
    -------
    DataFrame
        A row per cell, `locking`, `phase`, `hold`, `hosts`, `clones`: `hold_s`, mean of the requests' [s];
        `length_s`, of one such phase [s]; `steps_per_s` growth steps, `requests_per_s` lock transactions,
        `conflicts_per_s` [1/s]; `failed`, share of the requests [1]; `held`, locks held at a time,
        `reserved_fraction`, share of the time in which the LUN is reserved, and `io_met`, that in which it is reserved
        by another host, which is the share of guest I/Os that meet a reservation [1]; `wait_p50_s`, `wait_p99_s`, of a
        request at a random moment, infinite if it would fail [s]; `passes`, whether the 99th percentile is above the
        limit. The limit is `attrs["limit_s"]`.

    Raises
    ------
    ParameterError
        If the grid has what the pool has not, or a value is out of range.

    Notes
    -----
    Locks do not load the array here, so a saturated one is a little too fast in "by load".
    """
    grid = LockGrid(sample)
    names = tuple(phases) if phases is not None else grid.phases.names
    scenes = [(name, n, count) for name in names for n in clones for count in hosts]
    rows: list[dict[str, Any]] = []
    each = len(lockings) * len(holds)
    for done, (name, n, count) in enumerate(scenes):
        play = grid.play(name, n, count)
        rows += [play.row(grid.locks(locking, hold), locking, hold) for locking in lockings for hold in holds]
        if progress is not None:
            progress((done + 1) * each, len(scenes) * each)
    frame = pd.DataFrame(rows)
    frame.attrs = {"limit_s": grid.limit_s, "caption": grid.label(names)}
    return frame


def lock_cliff(frame: pd.DataFrame) -> pd.DataFrame:
    """Where the 99th percentile passes the limit: a row per locking, phase, hold and number of hosts.

    Returns
    -------
    DataFrame
        The keys, and `largest`, most clones of the grid up to which no number of clones passes the limit (0: the fewest
        do), `passes_at`, the fewest that do (missing: none does), `wait_p99_s` there, or at the most clones [s].
    """
    rows = []
    for key, part in frame.groupby([name for name in KEYS if name != "clones"], sort=False):
        part = part.sort_values("clones")
        over = part["passes"].to_numpy()
        first = int(over.argmax()) if over.any() else len(part)
        counts, waits = part["clones"].to_numpy(), part["wait_p99_s"].to_numpy()
        rows.append(
            {
                **dict(zip([name for name in KEYS if name != "clones"], key, strict=True)),
                "largest": int(counts[first - 1]) if first else 0,
                "passes_at": int(counts[first]) if first < len(part) else pd.NA,
                "wait_p99_s": float(waits[min(first, len(part) - 1)]),
            }
        )
    found = pd.DataFrame(rows).astype({"passes_at": "Int64"})
    found.attrs = dict(frame.attrs)
    return found


@dataclass(frozen=True, slots=True)
class Play:
    """LUNs of n clones in one phase, to be served by one lock after the other; made by `LockGrid.play`.

    Attributes
    ----------
    grid : LockGrid
        Whose they are.
    phase : str
        Which phase.
    n, hosts : int
        Clones of each LUN, and hosts that use it. [1]
    scenes : list of Scene
        A LUN each.
    operations : Operations
        Of all of them, one after the other.
    windows : (scenes, 2) float64 array
        When each of them is looked at. [s]
    period : int
        Minutes from one to the next. [1]
    """

    grid: LockGrid
    phase: str
    n: int
    hosts: int
    scenes: list[Scene]
    operations: Operations
    windows: Floats
    period: int

    @property
    def up(self) -> int:
        """Hosts that are up. [1]"""
        return self.hosts - (self.phase == HOST_FAILURE)

    def row(self, locks: LockTraffic, locking: str, hold: float | str) -> dict[str, Any]:
        """One cell of the map."""
        latency = self._latency() if hold == BY_LOAD else None
        served = self.served(locks, latency)
        inside_s = served.length_s
        requests, hold_s = self._holds(locks, latency)
        granted = 1 - served.failed / max(served.requests, 1)
        held = requests * hold_s * granted / inside_s
        reserved = 0.0 if locking == "ats" else min(held, 1.0)
        p99 = quantile(served.wait_s, SHARE)
        return {
            "locking": locking,
            "phase": self.phase,
            "hold": hold if isinstance(hold, str) else f"{hold * 1e3:g} ms",
            "hosts": self.hosts,
            "clones": self.n,
            "hold_s": hold_s,
            "length_s": inside_s / len(self.scenes),
            "steps_per_s": self._steps() / inside_s,
            "requests_per_s": served.requests / inside_s,
            "conflicts_per_s": served.conflicts / inside_s,
            "failed": served.failed / max(served.requests, 1),
            "held": held,
            "reserved_fraction": reserved,
            "io_met": reserved * (self.up - 1) / self.up if locking == "scsi-reservation" else 0.0,
            "wait_p50_s": quantile(served.wait_s, 0.5),
            "wait_p99_s": p99,
            "passes": p99 > self.grid.limit_s,
        }

    def served(self, locks: LockTraffic, latency: Callable[[Any], Floats] | None) -> VirtualWaits:
        """Waits at random moments of all scenes together."""
        probes = catalog.value(TOPIC, "probes") * len(self.scenes)
        spans = {self.phase: self.windows}
        found = virtual_waits(self.operations, spans, locks, self.up, latency, probes, self.grid.sample.seed)
        return found[self.phase]

    def _latency(self) -> Callable[[Any], Floats]:
        table = np.ones((len(self.scenes), self.period))
        for k, scene in enumerate(self.scenes):
            seconds = scene.latency_s
            table[k] = np.append(seconds, np.full(self.period - seconds.size, seconds[-1]))
        flat = table.ravel()
        return lambda minute: flat[minute]

    def _holds(self, locks: LockTraffic, latency: Callable[[Any], Floats] | None) -> tuple[int, float]:
        """Requests in the windows, and their mean hold."""
        requests = lock_requests(self.operations, locks)
        times = requests.time_s[inside(requests.time_s, self.windows)]
        if latency is None or not times.size:
            return times.size, locks.hold_ns / NS
        return times.size, float(locks.commands * latency((times / MINUTE_S).astype(np.int64)).mean())

    def _steps(self) -> int:
        grown = self.operations.kind == GROWTH
        return int(inside(self.operations.time_s[grown], self.windows).sum())


class LockGrid:
    """What all cells of a map share.

    Parameters
    ----------
    sample : PoolSample
        Of `lock_pool`.
    """

    def __init__(self, sample: PoolSample) -> None:
        self.sample = sample
        self.phases = Phases(sample)
        self.limit_s: float = catalog.value("planning", "limits.lock_wait")

    def locks(self, locking: str, hold: float | str, **changed: Any) -> LockTraffic:
        """A lock with a hold of its own; `fifo` is that of a reservation without conflicts."""
        if locking not in LOCKINGS:
            raise ParameterError("locking", locking, f"allowed are {', '.join(map(repr, LOCKINGS))}")
        seed = self.sample.seed
        if hold != BY_LOAD:
            changed = {"hold": hold, **changed}
        given = dict(self.sample.scenario.luns.locks) | changed
        backing, name = _ON["scsi-reservation" if locking == "fifo" else locking]
        made = lock_traffic(backing, name, given, seed)
        return replace(made, model=lock_model("fifo", seed=seed)) if locking == "fifo" else made

    def play(self, name: str, n: int, hosts: int, habits: Habits | None = None) -> Play:
        """The LUNs of one phase, number of clones and number of hosts."""
        repetitions = catalog.value(TOPIC, "repetitions")
        operations, windows, scenes, period = joined(
            lambda k: self.phases.scene(name, n, hosts, k, habits), repetitions
        )
        return Play(self, name, n, hosts, scenes, operations, windows, period)

    def label(self, names: Sequence[str]) -> str:
        """What the map rests on."""
        scenario = self.sample.scenario
        steps = ", ".join(f"{name} {self.phases.steps(name):.2g}" for name in names)
        back_off = lock_model("scsi-reservation").backoff_ns / 1e6
        return (
            f"{self.sample.label} Growth steps of a clone in the phase (hour, or boot): {steps}. "
            f"Array of {scenario.array.disks} disks ({scenario.array.media}, {scenario.array.raid}). "
            f"Back-off {back_off:g} ms and {catalog.value('locks', 'locks_per_power_on')} locks per power-on: assumed."
        )
