"""Space on a pool's LUNs beside what clones write: base images, swap files, logs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.errors import ParameterError
from clonesim.lun.backing import backing
from clonesim.lun.space import FixedSpace, fixed_space
from clonesim.pool.power import RECOMPOSED
from clonesim.pool.strategies.resets import turns_s
from clonesim.pool.timeline import Timeline
from clonesim.scenario.model import Scenario
from clonesim.units import GIB, format_size


def space_of(scenario: Scenario, clones: int) -> FixedSpace:
    """What lies on a LUN of so many clones beside their deltas."""
    luns, guest = scenario.luns, scenario.guest
    alone = scenario.chosen("full-clone") or scenario.chosen("provisioned-streaming")
    mcs = scenario.chosen("mcs")
    return fixed_space(
        clones,
        luns.size,
        guest.memory,
        guest.used,
        platform=scenario.platform.name,
        where=luns.backing,
        memory_reservation=scenario.hosts.memory_reservation,
        replicas=0 if alone else int(mcs.value("replicas")) if mcs else None,
        replica_lun=luns.replica_lun,
        reserve=luns.reserve,
        helper_disk=int(mcs.value("identity")) if mcs else None,
    )


def second_image_bytes(scenario: Scenario) -> int:
    """What is needed besides, wherever base images lie, while clones are recomposed. [B]"""
    choice = scenario.chosen("recompose")
    if choice is None:
        return 0
    return (int(choice.value("replicas")) - 1) * int(backing(scenario.luns.backing).allocated(scenario.guest.used))


def second_images(scenario: Scenario, timeline: Timeline, lun: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Base images that lie on a LUN only while its clones are recomposed: when they come and go. [s, B]

    The new one is there from the first clone's turn on, the old one until the last clone is up again.
    """
    choice = scenario.chosen("recompose")
    none = np.zeros(0), np.zeros(0, np.int64)
    if choice is None or scenario.luns.replica_lun or scenario.chosen("provisioned-streaming"):
        return none
    renewed = timeline.restarts.take(timeline.restarts.cause == RECOMPOSED)
    mine = renewed.take(timeline.lun_at(renewed.clone, renewed.start_s) == lun)
    turns = turns_s(float(choice.value("every")), float(choice.value("at")), timeline.calendar)
    turn = np.searchsorted(turns, mine.down_s, side="right")
    size = second_image_bytes(scenario)
    times, sizes = [], []
    for k in np.unique(turn):
        first, last = mine.start_s[turn == k].min(), mine.up_s[turn == k].max()
        times += [float(first), float(last)]
        sizes += [size, -size]
    order = np.argsort(np.array(times), kind="stable")
    return np.array(times)[order], np.array(sizes, np.int64)[order]


def check_start(scenario: Scenario, lun: NDArray[np.int32]) -> None:
    """Refuse a pool whose fullest LUN is full before anybody logs on.

    Raises
    ------
    ParameterError
        That says what lies there, and how large the LUNs must be.
    """
    clones = int(np.bincount(lun, minlength=1).max())
    guest, where = scenario.guest, backing(scenario.luns.backing)
    whole = scenario.chosen("full-clone")
    if whole:
        empty = guest.disk if whole.value("provisioning") == "thick" else guest.used
    else:
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
