"""What the field's rules of thumb say about a pool, beside what its simulation says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.backing import TOPIC as BACKINGS
from clonesim.lun.backing import backing
from clonesim.pool.space import space_of
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario

TOPIC = "planning"
MOST_CLONES = 100_000
SILENT = nan  # what a rule has no opinion on
COLUMNS = (
    "rule", "says", "applies", "clone_bytes", "clone_off", "lun_bytes", "lun_off", "clones", "clones_off", "source",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Simulated:
    """What the rules are compared with.

    Attributes
    ----------
    delta_bytes : float
        Mean size of a delta on the datastore, on the day when a replicate's deltas are largest. [B]
    lun_bytes : float
        95 % quantile of the peak of a LUN of `n` clones, all that lies there included. [B]
    clones : int
        Most clones per LUN within the risk. [1]
    n : int
        Clones per LUN of the scenario. [1]
    """

    delta_bytes: float
    lun_bytes: float
    clones: int
    n: int

    @classmethod
    def of(cls, sizes: NDArray[np.int64], risk: pd.DataFrame, n: int, clones: int) -> Simulated:
        """Figures of a pool's sizes, (replicates, clones, days), and its frame of `space_risk` with a row for n."""
        row = risk[risk["n"] == n]
        if row.empty:
            allowed = f"densities {', '.join(map(str, risk['n'].head(5)))} and so on were asked for"
            raise ParameterError("n", n, allowed, "Ask space_risk for this density, too.")
        return cls(mean_delta(sizes), float(row["used_p95"].iloc[0]), clones, n)


def mean_delta(sizes: NDArray[np.int64]) -> float:
    """Mean size of a delta on the day when a replicate's deltas are largest; (replicates, clones, days) in. [B]"""
    return float(sizes.sum(axis=1).max(axis=1).mean() / sizes.shape[1])


@dataclass(frozen=True, slots=True)
class RamRule:
    """Steps of the rule "3 x RAM + logs + 15 %" [B].

    Attributes
    ----------
    delta_bytes, log_bytes, swap_bytes : int
        Of one clone: three times its memory, its logs, and its memory that is not reserved.
    clones_bytes, images_bytes, overhead_bytes, total_bytes : int
        Of the LUN: all clones, the images beside them, the overhead on the clones and one image, and the sum.
    """

    delta_bytes: int
    log_bytes: int
    swap_bytes: int
    clones_bytes: int
    images_bytes: int
    overhead_bytes: int
    total_bytes: int


def view_sizing(clones: int, replica: int, memory: int, replicas: int | None = None) -> dict[str, int]:
    """View's table of storage for linked clones: minimum, 50 % and maximum. [B]

    Parameters
    ----------
    clones : int
        On the datastore. [1]
    replica, memory : int
        Size of the replica, and of a clone's memory. [B]
    replicas : int, optional
        Replicas on the datastore; by default View's two, for the time of a recompose. [1]

    Examples
    --------
    >>> view_sizing(10, 10, 1)  # in GB: VMware's own example
    {'view-minimum': 40, 'view-half': 80, 'view-maximum': 130}
    """
    _check_from(0, clones=clones, replica=replica, memory=memory)
    images: int = catalog.value(BACKINGS, "platforms.view.replicas") if replicas is None else replicas
    once = _value("view.memory") * memory
    each = {
        "view-minimum": _value("view.first_memory") * memory,
        "view-half": _value("view.half_share") * replica + once,
        "view-maximum": _value("view.full_share") * replica + once,
    }
    return {rule: images * replica + round(clones * size) for rule, size in each.items()}


def ram_rule(clones: int, memory: int, image: int, reservation: float = 0.0, images: int | None = None) -> RamRule:
    """Size of a LUN by "delta = 3 x RAM, 100 MB of logs, 15 % overhead". [B]

    Parameters
    ----------
    clones : int
        On the LUN. [1]
    memory, image : int
        A clone's memory, and the size of an image. [B]
    reservation : float, default 0
        Share of the memory that is reserved, and so not in the swap file. [1]
    images : int, optional
        Images on the LUN; by default the two of the rule's example. [1]

    Examples
    --------
    >>> GIB, MIB = 2**30, 2**20
    >>> steps = ram_rule(100, 2 * GIB, 20 * GIB)
    >>> steps.clones_bytes == 100 * (6144 + 100 + 2048) * MIB
    True
    >>> [part // GIB for part in (steps.clones_bytes, 20 * GIB, 20 * GIB, steps.overhead_bytes)]  # 973 in all
    [809, 20, 20, 124]
    """
    _check_from(0, clones=clones, memory=memory, image=image)
    if not 0 <= reservation <= 1:
        raise ParameterError("reservation", reservation, "a share from 0 to 1 is needed")
    count = _value("ram.images") if images is None else images
    delta, log = round(_value("ram.factor") * memory), catalog.value(BACKINGS, "hypervisors.vsphere.log")
    swap = memory - int(memory * reservation)
    all_clones = clones * (delta + log + swap)
    overhead = round(_value("ram.overhead") * (all_clones + min(count, 1) * image))
    return RamRule(delta, log, swap, all_clones, count * image, overhead, all_clones + count * image + overhead)


def lun_with_margin(clones: int, average: float) -> int:
    """Size of a LUN by "number of machines x average size + 20 %". [B]

    >>> lun_with_margin(64, 30 * 2**30) == round(64 * 30 * 1.2 * 2**30)
    True
    """
    _check_from(0, clones=clones, average=average)
    margin: float = _value("margin.share")
    return round(clones * average * (1 + margin))


def host_queue_depth(lun_depth: int, hosts: int, target_depth: int | None = None, luns: int = 1) -> int:
    """Commands that each host may have outstanding on a LUN so that all together do not exceed its queue. [1]

    Parameters
    ----------
    lun_depth, hosts : int
        Depth of the LUN's queue, and hosts that use it. [1]
    target_depth, luns : int, optional
        Depth of the target port's queue and LUNs behind it, where that is the smaller one. [1]

    Examples
    --------
    >>> host_queue_depth(256, 8), host_queue_depth(256, 8, target_depth=1024, luns=16)
    (32, 8)
    """
    _check_from(1, lun_depth=lun_depth, hosts=hosts, luns=luns)
    depth = lun_depth if target_depth is None else min(lun_depth, target_depth // luns)
    return max(1, depth // hosts)


def clones_by_queue(lun_depth: int, outstanding: float) -> int:
    """Clones whose commands fill a LUN's queue, each having so many outstanding on average (I/O rate x latency). [1]

    >>> clones_by_queue(256, 10 * 0.02)
    1280
    """
    _check_from(1, lun_depth=lun_depth)
    if not outstanding > 0:
        raise ParameterError("outstanding", outstanding, "more than 0 commands are needed")
    return int(lun_depth / outstanding + 1e-9)


def overcommit_clones(capacity: int, disk: int, level: int) -> int:
    """Clones that View places on a datastore at an overcommit level; each counts with its full disk. [1]

    >>> overcommit_clones(100, 10, 4)
    40
    """
    _check_from(1, capacity=capacity, disk=disk, level=level)
    return level * capacity // disk


def classic_rules(
    scenario: Scenario,
    simulated: Simulated | None = None,
    *,
    outstanding: float | None = None,
    lun_depth: int | None = None,
) -> pd.DataFrame:
    """Every rule on one pool, and how far each is off.

    Parameters
    ----------
    scenario : Scenario
        The pool.
    simulated : Simulated, optional
        What the simulation says; without it the columns `_off` are empty, and so is the rule that needs a mean size.
    outstanding : float, optional
        Commands that a clone has outstanding on average in the worst minute: I/O rate x latency. Without it the rule of
        the queue depth says nothing about clones. [1]
    lun_depth : int, optional
        Depth of a LUN's queue; by default the scenario's. [1]

    Returns
    -------
    DataFrame
        A row per rule: `rule`; `says`, in words; `applies`, whether it is meant for this pool's backing and settings;
        what it says, NaN where nothing: `clone_bytes`, space of one clone with its swap file and logs [B];
        `lun_bytes`, space of the scenario's number of clones per LUN with all that lies beside them [B]; `clones`,
        clones on a LUN of the scenario's size [1]; `clone_off`, `lun_off`, `clones_off`: how much more (or, if
        negative, less) each is than simulated, as a share of the simulated figure [1]; `source`, the catalog's key.
    """
    depth = scenario.array.queue_depth if lun_depth is None else lun_depth
    rows = [*_view_rows(scenario), *_overcommit_rows(scenario), _ram_row(scenario)]
    rows += [_margin_row(scenario, simulated), _queue_row(scenario, depth, outstanding), *_maxima_rows(scenario)]
    figures = _figures(scenario, simulated)
    for row in rows:
        for name, figure in figures.items():
            row.setdefault(name, SILENT)
            row[name.removesuffix("_bytes") + "_off"] = row[name] / figure - 1 if figure else SILENT
    return pd.DataFrame(rows)[list(COLUMNS)]


def _figures(scenario: Scenario, simulated: Simulated | None) -> dict[str, float]:
    if simulated is None:
        return {"clone_bytes": 0.0, "lun_bytes": 0.0, "clones": 0.0}
    return {
        "clone_bytes": simulated.delta_bytes + space_of(scenario, 1).clone_bytes,
        "lun_bytes": simulated.lun_bytes,
        "clones": float(simulated.clones),
    }


def _view_rows(scenario: Scenario) -> list[dict[str, Any]]:
    guest, luns = scenario.guest, scenario.luns
    replica = guest.disk if _value("view.replica") == "disk" else guest.used
    replicas = 0 if luns.replica_lun else None
    says = {
        "view-minimum": "2 replicas + 2 x memory a clone",
        "view-half": "2 replicas + half a replica and 1 x memory a clone",
        "view-maximum": "2 replicas + a replica and 1 x memory a clone",
    }
    rows = []
    for rule, text in says.items():

        def size(n: int, rule: str = rule) -> int:
            return view_sizing(n, replica, guest.memory, replicas)[rule]

        row = _sized(rule, text, "view-52-sizing", scenario, size)
        rows.append(row | {"clone_bytes": float(size(1) - size(0))})
    return rows


def _overcommit_rows(scenario: Scenario) -> list[dict[str, Any]]:
    rows = []
    for name, level in catalog.group(BACKINGS, "overcommit").items():
        factor = int(level.default)
        clones = overcommit_clones(scenario.luns.size, scenario.guest.disk, factor)
        row = _row(f"overcommit-{name}", f"clones at full size fill {factor} x the LUN", level.source)
        rows.append(row | {"applies": factor == scenario.luns.overcommit, "clones": float(clones)})
    return rows


def _ram_row(scenario: Scenario) -> dict[str, Any]:
    guest, reservation = scenario.guest, scenario.hosts.memory_reservation
    images = 0 if scenario.luns.replica_lun else None

    def steps(n: int) -> RamRule:
        return ram_rule(n, guest.memory, guest.used, reservation, images)

    row = _sized(
        "three-times-ram",
        "delta = 3 x RAM; logs; swap file; 15 % overhead",
        "leibovici-745",
        scenario,
        lambda n: steps(n).total_bytes,
    )
    one = steps(1)
    return row | {"clone_bytes": float(one.delta_bytes + one.log_bytes + one.swap_bytes)}


def _margin_row(scenario: Scenario, simulated: Simulated | None) -> dict[str, Any]:
    text = "LUN = clones x average size + 20 %; the average is the simulated one"
    if simulated is None:
        return _row("average-plus-20", text, "epping-2009")
    average = _figures(scenario, simulated)["clone_bytes"]
    row = _sized("average-plus-20", text, "epping-2009", scenario, lambda n: lun_with_margin(n, average))
    return row | {"clone_bytes": average * (1 + _value("margin.share"))}


def _queue_row(scenario: Scenario, lun_depth: int, outstanding: float | None) -> dict[str, Any]:
    each = host_queue_depth(lun_depth, scenario.hosts.count)
    text = f"{lun_depth} commands on {scenario.hosts.count} hosts: {each} a host"
    if outstanding is None:
        return _row("queue-depth", text, "epping-2009")
    text += f"; {outstanding:.3g} a clone"
    return _row("queue-depth", text, "epping-2009") | {"clones": float(clones_by_queue(lun_depth, outstanding))}


def _maxima_rows(scenario: Scenario) -> list[dict[str, Any]]:
    where = backing(scenario.luns.backing)
    vmfs, hardware = where.name.startswith("vmfs"), where.lock_domain == "sector"
    meant = {
        "ballpark": where.locks_on_growth,
        "before_vaai": vmfs and not hardware,
        "view": vmfs and not hardware,
        "view_51": vmfs and hardware,
        "vaai": vmfs and hardware,
        "nfs": where.name == "nfs",
    }
    rows = []
    for name, most in catalog.group(TOPIC, "maxima").items():
        row = _row(f"most-{name.replace('_', '-')}", most.note.split(". ")[0].rstrip("."), most.source)
        rows.append(row | {"applies": meant[name], "clones": float(most.default)})
    return rows


def _sized(rule: str, says: str, source: str, scenario: Scenario, size: Callable[[int], int]) -> dict[str, Any]:
    """Row of a rule that gives a size for so many clones: for the scenario's number, and how many the LUN holds."""
    luns = scenario.luns
    clones = _fit(luns.size, size)
    return _row(rule, says, source) | {"lun_bytes": float(size(luns.clones_per_lun)), "clones": float(clones)}


def _row(rule: str, says: str, source: str) -> dict[str, Any]:
    return {"rule": rule, "says": says, "applies": True, "source": source}


def _fit(room: int, size: Callable[[int], int]) -> int:
    """Largest number of clones whose size is not above the room."""
    low, high = 0, MOST_CLONES + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= room else (low, middle)
    return low


def _value(name: str) -> Any:
    return catalog.value(TOPIC, name)


def _check_from(least: int, **numbers: float) -> None:
    """Raise a ParameterError for the first number that is below `least`."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not number >= least:
            raise ParameterError(name, number, f"a number from {least} up is needed", "Check the sign and the unit.")
