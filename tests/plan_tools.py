"""Samples of pools made by hand, for plans whose answer is known."""

from __future__ import annotations

import numpy as np

from clonesim.planning.pool_sample import PoolSample, Steps, Worst
from clonesim.pool.clones import no_demand
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario

NO_LIMITS = dict.fromkeys(("lock_wait", "conflicts", "iops", "latency", "queue", "clones"))


def made_sample(
    scenario: Scenario,
    sizes: np.ndarray,
    *,
    start: np.ndarray | None = None,
    worst: tuple[int, ...] = (0, 0, 0, 0, 0),
    steps: list[Steps] | None = None,
    lines: bool = False,
    seed: int = 0,
) -> PoolSample:
    """Sample with given sizes (replicates, clones, days); each clone asks for `worst` in every minute.

    Timelines and the demand by minute are there only with `steps` or where `lines` asks for them.
    """
    replicates, clones, _ = sizes.shape
    days = scenario.pool.days
    each = np.array(worst, np.int64)
    counts = np.arange(1, clones + 1)
    lines = lines or steps is not None
    own = Worst(counts[None, :], counts[None, :, None] * each)
    none = Steps(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int32))
    return PoolSample(
        scenario=scenario,
        seed=seed,
        size=sizes.astype(np.int64),
        start=np.zeros((replicates, clones), np.int64) if start is None else start,
        steps=tuple(steps or [none] * replicates),
        timelines=tuple(Timeline.of(scenario, seed, k) for k in range(replicates if lines else 0)),
        demand=np.stack([no_demand(days) + clones * each] * replicates) if lines else np.zeros((replicates, 0, 5), int),
        worst=(own,) * replicates,
    )
