"""The map of lock waits under other assumptions: what would have to be true for locking to bite, or not to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from clonesim.planning.lock_map import CLONES, TOPIC, LockGrid, Progress
from clonesim.planning.lock_phases import BOOT_STORM, HOST_FAILURE, PATCH_HOUR, Habits
from clonesim.planning.pool_sample import PoolSample
from clonesim.scenario import catalog

LOCKINGS: Final = ("scsi-reservation", "ats")
STORMS: Final = (BOOT_STORM, PATCH_HOUR, HOST_FAILURE)
BOOTS: Final = (BOOT_STORM, HOST_FAILURE)
AS_USUAL: Final = "as in the map"
STEP: Final = 2**24  # 16 MiB, the step of growth that the merged ones are multiples of [B]


@dataclass(frozen=True, slots=True)
class Case:
    """One assumption, with another value.

    Attributes
    ----------
    assumption, value : str
        What is told of it.
    phases, lockings : tuple of str
        Where it can matter.
    habits : Habits
        Of the phase.
    locks : mapping
        Values that replace the catalog's of the topic `locks`.
    """

    assumption: str
    value: str
    phases: tuple[str, ...] = STORMS
    lockings: tuple[str, ...] = LOCKINGS
    habits: Habits = field(default_factory=Habits)
    locks: Mapping[str, Any] = field(default_factory=dict)


def cases() -> Iterator[Case]:
    """All variants, the usual case first."""
    yield Case(AS_USUAL, "")
    for backoff in ("1 ms", "5 ms", "50 ms", "100 ms"):
        yield Case("back-off", backoff, locks={"backoff": backoff})
    yield Case("law of back-offs", "exponential", locks={"backoff_distribution": "exponential"})
    for count in (5, 50):
        yield Case("locks per power-on", str(count), BOOTS, locks=_locks(count))
    for merge in (4, 16, 64):
        yield Case("growth by", f"{16 * merge} MiB", habits=Habits(merge=merge))
    for orders in (0.0, 2.0):
        yield Case("power-on orders every", f"{orders:g} s", BOOTS, habits=Habits(orders_s=orders))
    size = catalog.value(TOPIC, "boot.growth")
    boot_steps = -(-size // STEP)
    yield Case("growth in a boot", f"{size / 1e6:g} MB", BOOTS, habits=Habits(boot_steps=boot_steps))
    for affinity in (0.0, 0.5, 1.0):
        yield Case("ATS affinity", f"{affinity:g}", lockings=("ats",), locks={"ats_affinity": affinity})
    for clusters in (1, 256):
        yield Case("ATS locks", str(clusters), lockings=("ats",), locks={"ats_clusters": clusters})
    for name, backoff, count, merge, orders in (
        ("all in favour", "1 ms", 5, 16, 2.0),
        ("all against", "100 ms", 50, 1, 0.0),
    ):
        locks = {"backoff": backoff, **_locks(count), "ats_affinity": 1.0 if orders else 0.0}
        habits = Habits(merge, None if orders else boot_steps, orders)
        yield Case(name, "", BOOTS, habits=habits, locks=locks)


def _locks(count: int) -> dict[str, Any]:
    """So many locks of a power-on, and a tenth of them of a lock break."""
    return {"locks_per_power_on": count, "locks_per_lock_break": max(1, count // 10)}


def lock_sensitivity(
    sample: PoolSample,
    *,
    clones: Sequence[int] = CLONES,
    only: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Waits for the lock if one assumption is another one, at one number of hosts and one hold.

    Parameters
    ----------
    sample : PoolSample
        Of `lock_pool`.
    clones : sequence of int
        Of the LUN; the catalog's `vary.clones` are looked at in any case. [1]
    only : sequence of str, optional
        Assumptions to vary; all unless given.
    progress : callable, optional
        Told how many variants are done, of how many.

    Returns
    -------
    DataFrame
        A row per `assumption`, `value`, `locking` and `phase`: `wait_p99_s` [s], `conflicts_per_s` [1/s], `failed`,
        `io_met` [1] as in `lock_map`, at the catalog's numbers of clones and hosts and its hold (`vary`); `largest`,
        most clones of those looked at up to which the limit is kept [1]. The first rows are the usual case.
    """
    grid = LockGrid(sample)
    base = {name: catalog.value(TOPIC, f"vary.{name}") for name in ("clones", "hosts", "hold")}
    counts = sorted({*clones, base["clones"]})
    asked = [case for case in cases() if only is None or case.assumption in (AS_USUAL, *only)]
    rows = []
    for done, case in enumerate(asked):
        for phase in [name for name in case.phases if name in grid.phases.names]:
            plays = [grid.play(phase, n, base["hosts"], case.habits) for n in counts]
            for locking in case.lockings:
                locks = grid.locks(locking, base["hold"], **case.locks)
                rows.append(
                    _row(case, locking, phase, [play.row(locks, locking, base["hold"]) for play in plays], base)
                )
        if progress is not None:
            progress(done + 1, len(asked))
    frame = pd.DataFrame(rows)
    text = f"{base['clones']} clones on a LUN of {base['hosts']} hosts, holds of {base['hold'] * 1e3:g} ms. "
    attrs: dict[str, Any] = {"limit_s": grid.limit_s, "caption": text + grid.label(grid.phases.names), **base}
    frame.attrs.update(attrs)
    return frame


def _row(case: Case, locking: str, phase: str, cells: list[dict[str, Any]], base: Mapping[str, Any]) -> dict[str, Any]:
    own = next(cell for cell in cells if cell["clones"] == base["clones"])
    kept = [cell["clones"] for k, cell in enumerate(cells) if not any(one["passes"] for one in cells[: k + 1])]
    return {
        "assumption": case.assumption,
        "value": case.value,
        "locking": locking,
        "phase": phase,
        **{name: own[name] for name in ("wait_p99_s", "conflicts_per_s", "failed", "io_met")},
        "largest": max(kept, default=0),
    }
