"""What the page lets its readers pick, and the scenarios that follow from it."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from clonesim.errors import ParameterError, nearest
from clonesim.planning.alternatives import Alternative
from clonesim.planning.planned_pool import small_pool
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario
from clonesim.scenario.strategy import parse_strategies
from clonesim.units import GIB

DENSITIES: Final = (8, 16, 24, 32, 48, 64)
DESKTOPS: Final = (50, 100, 200, 500, 1000, 2000)
SIZES: Final = (256, 512, 1024, 2048, 4096, 8192)  # of a LUN [GiB]
LEAST_DISKS: Final = 8
PRESET: Final = "{guest}-office"


@dataclass(frozen=True, slots=True)
class Picked:
    """What a reader has picked.

    Attributes
    ----------
    guest, workload, strategy, policy : str
        Keys of the tables of choices.toml; an empty policy is the scenario's own.
    desktops : int
        Of the whole pool. [1]
    density : int
        Most clones on a LUN. [1]
    lun_gib : int
        Size of a LUN. [GiB]
    locking : str
        "usual", or how hosts take a LUN's locks.
    """

    guest: str = "windows-11"
    workload: str = "office"
    strategy: str = "linked-clone"
    policy: str = "windows"
    desktops: int = 500
    density: int = 32
    lun_gib: int = 2048
    locking: str = "usual"

    def __post_init__(self) -> None:
        for name in ("guest", "workload", "strategy", "policy", "locking"):
            known, value = titles(name), getattr(self, name)
            if value not in known:
                raise ParameterError(name, value, f"known are {', '.join(known)}", nearest(value, known))
        for name, most in (("desktops", 100_000), ("density", max(DENSITIES)), ("lun_gib", 65_536)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ParameterError(name, value, f"whole numbers from 1 to {most} are allowed")

    def scenario(self) -> Scenario:
        """The scenario that all of that is, with as many disks per desktop as the packaged one has.

        Raises
        ------
        ScenarioError
            If the guest's platform lacks the strategy, or its datastores the locking.
        """
        ((_, tables),) = parse_strategies(self.strategy)
        preset = load_scenario(PRESET.format(guest=self.guest))
        disks = math.ceil(preset.array.disks * self.desktops / preset.pool.clones)
        locking = {} if self.locking == "usual" else {"locking": self.locking}
        return load_scenario(
            preset,
            pool={"name": self.name, "clones": self.desktops, "days": small()["days"]},
            guest={"policy": self.policy},
            workload={"name": self.workload},
            luns={
                "clones_per_lun": self.density,
                "size": self.lun_gib * GIB,
                "count": -(-self.desktops // self.density),
            }
            | locking,
            users={"count": self.desktops},
            array={"disks": max(disks, LEAST_DISKS)},
            strategy=[] if self.strategy == "linked-clone" else list(tables),
        )

    def small(self) -> Alternative:
        """The small pool that is simulated in its place; desktops, density, LUN size and locking do not change it."""
        return _small(self.guest, self.workload, self.strategy, self.policy)

    @property
    def name(self) -> str:
        """In words."""
        return f"{titles('guest')[self.guest]}, {titles('workload')[self.workload].lower()}"


@cache
def _small(guest: str, workload: str, strategy: str, policy: str) -> Alternative:
    pool = small()
    return small_pool(Picked(guest, workload, strategy, policy).scenario(), pool["clones"], pool["days"])


@cache
def _choices() -> Mapping[str, Any]:
    found: Mapping[str, Any] = tomllib.loads(files("clonesim.app").joinpath("choices.toml").read_text("utf-8"))
    return found


def titles(table: str) -> Mapping[str, str]:
    """Choices of "guest", "workload", "strategy" or "policy": names with the words that the page shows."""
    plural = {"strategy": "strategies", "policy": "policies"}.get(table, f"{table}s")
    found: Mapping[str, str] = _choices()[plural]
    return found


def small() -> Mapping[str, int]:
    """Clones, days, replicates and seed of the small pools."""
    found: Mapping[str, int] = _choices()["pool"]
    return found


def packaged() -> list[Picked]:
    """What was simulated beforehand, the most asked for first."""
    table = _choices()["packaged"]
    rows = [
        (guest, workload, strategy)
        for workload in table["workloads"]
        for strategy in table["strategies"]
        for guest in table["guests"]
    ]
    return [Picked(*row) for row in [*rows, *map(tuple, table["besides"])]]
