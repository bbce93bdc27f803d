"""The third stage: the clones of one LUN together. Space, lock and demand, hour by hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.lun.datastore import Fill, fill, in_order
from clonesim.lun.frames import lun_frame, peaks
from clonesim.lun.space import FixedSpace, fixed_space
from clonesim.pool.clones import DEMAND, Batch
from clonesim.scenario.model import Scenario

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


def run_lun(scenario: Scenario, lun: int, replicate: int, batches: Sequence[Batch]) -> LunResult:
    """Put the clones of a LUN together.

    Parameters
    ----------
    scenario : Scenario
        Says what the LUN is made of.
    lun, replicate : int
        Which one.
    batches : sequence of Batch
        All clones of this LUN, in any order; none if no clone lives there.
    """
    clones = np.array(sorted(c for batch in batches for c in batch.job.clones), np.int64)
    time_s, clone, host, size = (
        np.concatenate([np.zeros(0, kind), *(getattr(batch, name) for batch in batches)])
        for name, kind in STEPS.items()
    )
    order = in_order(time_s, clone)
    time_s, clone, host, size = time_s[order], clone[order], host[order], size[order]
    luns, guest = scenario.luns, scenario.guest
    fixed = fixed_space(
        clones.size,
        luns.size,
        guest.memory,
        guest.used,
        platform=scenario.platform.name,
        where=luns.backing,
        memory_reservation=scenario.hosts.memory_reservation,
        replica_lun=luns.replica_lun,
        reserve=luns.reserve,
    )
    horizon_s = scenario.horizon_s
    filled = fill(luns.size, fixed.fixed_bytes, clones, time_s, clone, size, horizon_s, luns.backing)
    happened = filled.accepted & (time_s > 0) & (size > 0)
    time_s, clone, host = time_s[happened], clone[happened], host[happened]
    demand = np.zeros((scenario.pool.days * 1440, len(DEMAND)), np.int64)
    for batch in batches:
        demand += batch.demand
    reads, writes, read_bytes, write_bytes, _ = (demand[:, k] for k in range(len(DEMAND)))
    hours = lun_frame(filled, time_s, host, reads, writes, lun, replicate, luns.backing)
    worst = peaks(reads, writes, lun, replicate, read_bytes, write_bytes)
    per_hour = demand.reshape(-1, 60, len(DEMAND)).sum(axis=1)
    hours["delta_read_iops"] = per_hour[:, DEMAND.index("delta_reads")] / 3600.0
    return LunResult(lun, replicate, filled, fixed, hours, worst, time_s, clone, host)
