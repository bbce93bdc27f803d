"""What must be bought for a pool: datastores, disks, hosts."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.planning.cluster import cluster
from clonesim.planning.disks import disks_needed, peak, whole_array
from clonesim.planning.host_needs import HostsNeeded, hosts_needed
from clonesim.planning.limits import Limits
from clonesim.planning.pool_sample import PoolSample
from clonesim.planning.space_risk import fixed_bytes, pool_peaks
from clonesim.pool.space import space_of
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

TOPIC = "size"

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Purchase:
    """What must be bought; made by `purchase`.

    Attributes
    ----------
    luns : int
        Datastores for clones. [1]
    clones_per_lun : int
        Most clones on one. [1]
    lun_bytes : int
        Size of each. [B]
    replica_bytes : int
        Size of a datastore for base images alone; 0 without one. [B]
    usable_bytes : int
        All datastores together. [B]
    used_bytes : float
        What lies on them when the pool is largest, mean over replicates: effective capacity. [B]
    disks, spares : int
        Disks of the array, with spares. [1]
    disks_for : str
        Whether space or I/O asks for so many: "capacity", "iops", "latency" or "raid".
    raw_bytes : int
        Of all disks. [B]
    iops, bytes_per_s : float
        Of the pool in its worst minute, which 95 % of the replicates do not exceed. [1/s, B/s]
    hosts : HostsNeeded
        Hypervisor servers.
    """

    luns: int
    clones_per_lun: int
    lun_bytes: int
    replica_bytes: int
    usable_bytes: int
    used_bytes: float
    disks: int
    spares: int
    disks_for: str
    raw_bytes: int
    iops: float
    bytes_per_s: float
    hosts: HostsNeeded


def purchase(
    scenario: Scenario,
    sample: PoolSample,
    limits: Limits,
    most: int,
    growth: float = 1.0,
    demand: float = 1.0,
    luns: int | None = None,
) -> Purchase:
    """Buy datastores, disks and hosts for a sampled pool.

    Parameters
    ----------
    scenario : Scenario
        Its LUN size is the largest that is bought.
    sample : PoolSample
        What its clones do.
    limits : Limits
        `outage` is the risk that any of the pool's datastores is full before the end of the time simulated.
    most : int
        Clones that one LUN takes by all other limits. [1]
    growth, demand : float, default 1
        Factors on the space of the deltas, and on all I/O. [1]
    luns : int, optional
        Number of datastores, if that is settled. [1]

    Raises
    ------
    ParameterError
        If a datastore of the scenario's size cannot hold one clone, or no number of disks suffices.

    Notes
    -----
    Datastores are all of one size and hold equal numbers of clones, one more or less.
    """
    sizes = grown(sample, growth)
    size_of: dict[int, int] = {}
    clones = scenario.pool.clones
    count = luns or _fewest_luns(scenario, sizes, limits, most, sample.seed, size_of)
    each = -(-clones // count)
    size = size_of.get(each) or lun_size(scenario, sizes, each, limits.outage, sample.seed)
    replica = _replica_bytes(scenario)
    usable = count * size + replica
    used = float(sizes.sum(axis=1).max(axis=1).mean()) * clones / sample.clones
    used += count * space_of(scenario, each).fixed_bytes + replica
    disks, reason = disks_needed(scenario, sample, limits, usable, each, demand)
    load = whole_array(scenario, each)
    iops, rate = peak(load, sample, demand)
    array = replace(load.array, disks=disks)
    needed = hosts_needed(cluster(scenario), clones, where=scenario.luns.backing)
    return Purchase(
        count, each, size, replica, usable, used, disks, array.spares, reason, array.raw_bytes, iops, rate, needed
    )


def grown(sample: PoolSample, growth: float) -> Ints:
    """Space of each clone's files with all growth since the start multiplied: (replicates, clones, days). [B]"""
    if growth == 1.0:
        return sample.size
    start = sample.start[:, :, None]
    found: Ints = start + np.rint((sample.size - start) * growth).astype(np.int64)
    return found


def lun_size(scenario: Scenario, sizes: Ints, n: int, risk: float, seed: int) -> int:
    """Size of datastores of n clones each, of which none is full, but for the risk; whole steps. [B]"""
    peaks = pool_peaks(sizes, fixed_bytes(scenario), n, seed)
    where = backing(scenario.luns.backing)
    needed = float(np.quantile(peaks, 1 - risk, method="higher")) / where.full_share / (1.0 - scenario.luns.reserve)
    return _whole_steps(needed + 1)


def _fewest_luns(scenario: Scenario, sizes: Ints, limits: Limits, most: int, seed: int, size_of: dict[int, int]) -> int:
    """Fewest datastores, none larger than the scenario's; found by halving, since fewer clones need less."""
    clones = scenario.pool.clones
    low, high = 0, max(1, min(most, clones, sizes.shape[1])) + 1  # clones of a LUN: `low` fit, `high` do not
    while high - low > 1:
        middle = (low + high) // 2
        size_of[middle] = lun_size(scenario, sizes, middle, limits.outage, seed)
        low, high = (middle, high) if size_of[middle] <= scenario.luns.size else (low, middle)
    if not low:
        allowed = f"one clone needs {size_of[1] / 2**30:.0f} GiB"
        raise ParameterError("luns.size", scenario.luns.size, allowed, "Enlarge it, or shorten pool.days.")
    return -(-clones // low)


def _replica_bytes(scenario: Scenario) -> int:
    if not scenario.luns.replica_lun:
        return 0
    images = int(catalog.value("backings", f"platforms.{scenario.platform.name}.replicas"))
    return _whole_steps(images * scenario.guest.used)


def _whole_steps(size: float) -> int:
    step = int(catalog.value(TOPIC, "step"))
    return math.ceil(size / step) * step
