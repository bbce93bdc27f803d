"""The third stage: the clones of one LUN together. Space, lock and demand, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.lun.datastore import Fill, fill, in_order
from clonesim.lun.frames import lun_frame, peaks
from clonesim.lun.space import FixedSpace, fixed_space
from clonesim.pool.clones import DEMAND, Batch
from clonesim.pool.replicates import Replicate
from clonesim.scenario.model import Scenario
from clonesim.units import GIB, format_size

STEPS = {"time_s": np.float64, "clone": np.int64, "host": np.int32, "size": np.int64}  # of a batch, and their types


@dataclass(frozen=True, slots=True)
class LunResult:
    """What one LUN of one replicate felt.

    Attributes
    ----------
    lun, replicate : int
        Which one.
    fill : Fill
        How it filled up, and who went down when.
    fixed : FixedSpace
        What lies there beside the deltas.
    hours, peaks : DataFrame
        As `run.luns` and `run.peaks`.
    time_s, clone, host : (n,) arrays
        Growth steps that took place, the files' creation left out, in order of time and clone.
    """

    lun: int
    replicate: int
    fill: Fill
    fixed: FixedSpace
    hours: pd.DataFrame
    peaks: pd.DataFrame
    time_s: NDArray[np.float64]
    clone: NDArray[np.int64]
    host: NDArray[np.int32]


def run_luns(scenario: Scenario, replicate: Replicate) -> list[LunResult]:
    """Put the clones of each LUN of one replicate together."""
    return [
        run_lun(scenario, lun, replicate.number, replicate.on(lun), replicate.demand(lun))
        for lun in range(scenario.luns.count)
    ]


def run_lun(
    scenario: Scenario, lun: int, replicate: int, batches: Sequence[Batch], demand: NDArray[np.int64]
) -> LunResult:
    """Put the clones of a LUN together.

    Parameters
    ----------
    scenario : Scenario
        Says what the LUN is made of.
    lun, replicate : int
        Which one.
    batches : sequence of Batch
        All clones of this LUN, in any order; none if no clone lives there.
    demand : (minutes, 5) int64 array
        Their I/Os and bytes by minute, all together; columns `DEMAND`.
    """
    clones = np.array(sorted(c for batch in batches for c in batch.job.clones), np.int64)
    time_s, clone, host, size = (
        np.concatenate([np.zeros(0, kind), *(getattr(batch, name) for batch in batches)])
        for name, kind in STEPS.items()
    )
    order = in_order(time_s, clone)
    time_s, clone, host, size = time_s[order], clone[order], host[order], size[order]
    luns = scenario.luns
    fixed = space_of(scenario, clones.size)
    horizon_s = scenario.horizon_s
    filled = fill(luns.size, fixed.fixed_bytes, clones, time_s, clone, size, horizon_s, luns.backing)
    happened = filled.accepted & (time_s > 0) & (size > 0)
    time_s, clone, host = time_s[happened], clone[happened], host[happened]
    reads, writes, read_bytes, write_bytes, _ = (demand[:, k] for k in range(len(DEMAND)))
    hours = lun_frame(filled, time_s, host, reads, writes, lun, replicate, luns.backing)
    worst = peaks(reads, writes, lun, replicate, read_bytes, write_bytes)
    per_hour = demand.reshape(-1, 60, len(DEMAND)).sum(axis=1)
    hours["delta_read_iops"] = per_hour[:, DEMAND.index("delta_reads")] / 3600.0
    return LunResult(lun, replicate, filled, fixed, hours, worst, time_s, clone, host)


def space_of(scenario: Scenario, clones: int) -> FixedSpace:
    """What lies on a LUN of so many clones beside their deltas."""
    luns, guest = scenario.luns, scenario.guest
    return fixed_space(
        clones,
        luns.size,
        guest.memory,
        guest.used,
        platform=scenario.platform.name,
        where=luns.backing,
        memory_reservation=scenario.hosts.memory_reservation,
        replica_lun=luns.replica_lun,
        reserve=luns.reserve,
    )


def check_start(scenario: Scenario, lun: NDArray[np.int32]) -> None:
    """Refuse a pool whose fullest LUN is full before anybody logs on.

    Raises
    ------
    ParameterError
        That says what lies there, and how large the LUNs must be.
    """
    clones = int(np.bincount(lun, minlength=1).max())
    guest, where = scenario.guest, backing(scenario.luns.backing)
    empty = Delta(scenario.delta.format, guest.disk, **scenario.delta.parameters).file_bytes + guest.start.delta
    fixed, deltas = space_of(scenario, clones).fixed_bytes, clones * int(where.allocated(empty))
    if fixed + deltas < where.limit(scenario.luns.size):
        return
    allowed = (
        f"{clones} clones on a LUN take {fixed / GIB:.1f} GiB for base images, swap files and logs, and "
        f"{deltas / GIB:.1f} GiB for their deltas, before anybody logs on"
    )
    remedy = "Enlarge luns.size, lower luns.clones_per_lun, or raise hosts.memory_reservation."
    raise ParameterError("luns.size", format_size(scenario.luns.size), allowed, remedy)
