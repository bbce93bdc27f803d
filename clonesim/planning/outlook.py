"""What a planned pool comes to at one density: growth, the day a LUN is full, waits for its lock, what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.lun.backing import backing
from clonesim.planning.compare import Comparison
from clonesim.planning.cost import Cost, cost
from clonesim.planning.density import Density, plan_density
from clonesim.planning.draws import Dealings
from clonesim.planning.planned_pool import PlannedPool, of_scenario
from clonesim.planning.space_risk import fixed_bytes
from clonesim.planning.strategy_cost import strategy_quantities
from clonesim.pool.space import second_image_bytes, space_of
from clonesim.scenario.model import Scenario

DRAWN = 40  # orders of the clones
SHARES = {"p5": 0.05, "p50": 0.5, "p95": 0.95}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Outlook:
    """A planned pool at one density; made by `outlook`.

    Attributes
    ----------
    growth : DataFrame
        A row per day: `day` (its end) [d]; `p5`, `p50`, `p95` of a desktop's files on the LUN [B]; `policies_low`,
        `policies_high`, between which the medians under all policies lie [B].
    fill : DataFrame
        A row per day: `day`, `p5`, `p50`, `p95` of what is used on a LUN of so many clones [B], `p_full`, probability
        that it has been full by then [1]; attrs `fixed_bytes`, `limit_bytes`, `clones`, `replicates`.
    plan : Density
        Of several densities.
    paid : Cost
        Of the whole pool with the catalog's example prices.
    luns : int
        That the pool needs at this density. [1]
    """

    growth: pd.DataFrame
    fill: pd.DataFrame
    plan: Density
    paid: Cost
    luns: int


def outlook(found: PlannedPool, scenario: Scenario, plan: Density, growth: pd.DataFrame) -> Outlook:
    """Put a plan together.

    Parameters
    ----------
    found : PlannedPool
        Clones of the same desktops.
    scenario : Scenario
        What was asked for; `luns.clones_per_lun` is the density.
    plan : Density
        Of `plan_of`.
    growth : DataFrame
        Of `growth_course`.
    """
    n = scenario.luns.clones_per_lun
    return Outlook(
        growth, fill_course(found, scenario, n), plan, cost_of(found, scenario), -(-scenario.pool.clones // n)
    )


def plan_of(found: PlannedPool, scenario: Scenario, densities: list[int]) -> Density:
    """How many clones a LUN takes, with the clones of a planned pool; it does not matter how many it is to have."""
    room = max(1, scenario.luns.size - _second(scenario))
    roomy = scenario.model_copy(update={"luns": scenario.luns.model_copy(update={"size": room})})
    return plan_density(roomy, densities=densities, sample=of_scenario(found, roomy).sample)


def _second(scenario: Scenario) -> int:
    """Second base image on each LUN while clones are recomposed; it counts all the time. [B]"""
    return 0 if scenario.luns.replica_lun else second_image_bytes(scenario)


def growth_course(found: PlannedPool) -> pd.DataFrame:
    """How a desktop's files grow: quantiles over all clones and replicates, and the span of the policies."""
    size = found.sample.size
    rows: dict[str, Any] = {"day": np.arange(1, size.shape[2] + 1)}
    rows |= {name: np.quantile(size, share, axis=(0, 1)) for name, share in SHARES.items()}
    middles = found.band.groupby("day")["delta_p50_bytes"]
    rows |= {"policies_low": middles.min().to_numpy(), "policies_high": middles.max().to_numpy()}
    frame = pd.DataFrame(rows)
    frame.attrs["caption"] = found.sample.label
    return frame


def fill_course(found: PlannedPool, scenario: Scenario, n: int) -> pd.DataFrame:
    """How a LUN of n clones fills up, day by day; the same LUNs as `space_risk` looks at.

    A day's value is the sum of its clones' largest sizes on that day, an upper bound: they need not peak together.
    """
    sample = found.sample
    dealt = Dealings.of(sample.clones, sample.replicates, sample.seed)
    unit, size = _in_units(sample.size, n)
    used = np.stack([_lun_sums(size[k], dealt.order(k), dealt.start, n) for k in range(sample.replicates)])
    some = used[:, :DRAWN].reshape(-1, used.shape[-1]).astype(np.int64) * unit  # are enough for quantiles
    beside = fixed_bytes(scenario)(n) + _second(scenario)
    limit = int(backing(scenario.luns.backing).limit(scenario.luns.size) * (1.0 - scenario.luns.reserve))
    over = used.reshape(-1, used.shape[-1]) > (limit - beside) // unit
    first = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1])
    full = np.cumsum(np.bincount(first, minlength=over.shape[1] + 1)[:-1]) / first.size
    rows: dict[str, Any] = {"day": np.arange(1, over.shape[1] + 1)}
    rows |= {name: np.quantile(some, share, axis=0) + beside for name, share in SHARES.items()}
    frame = pd.DataFrame(rows | {"p_full": full})
    frame.attrs |= {"fixed_bytes": beside, "limit_bytes": limit, "clones": n, "replicates": sample.replicates}
    frame.attrs["caption"] = sample.label
    return frame


def _in_units(size: Ints, n: int) -> tuple[int, NDArray[np.signedinteger[Any]]]:
    """The largest unit that all sizes are multiples of [B], and the sizes in it, in words that hold a circle's sum."""
    unit = max(1, int(np.gcd.reduce(size, axis=None)))
    most = int(size.max(initial=0)) // unit * (size.shape[1] + n)
    kind = np.int32 if most <= np.iinfo(np.int32).max else np.int64
    return unit, (size // unit).astype(kind)


def _lun_sums(size: NDArray[np.signedinteger[Any]], order: Ints, start: Ints, n: int) -> NDArray[np.signedinteger[Any]]:
    """Sums over n neighbours in each circle of clones: (cuts, starts, days)."""
    around = np.concatenate([order, order[:, :n]], axis=1)
    before = np.zeros((around.shape[0], around.shape[1] + 1, size.shape[1]), size.dtype)
    np.cumsum(size[around], axis=1, out=before[:, 1:])
    found: NDArray[np.signedinteger[Any]] = before[:, start + n] - before[:, start]
    return found


def full_day(fill: pd.DataFrame, share: float) -> float:
    """Day by which that share of the LUNs has been full; infinite if it is not within the days simulated. [d]"""
    passed = fill["day"][fill["p_full"] >= share]
    return float(passed.iloc[0]) if len(passed) else float("inf")


def cost_of(found: PlannedPool, scenario: Scenario) -> Cost:
    """What the pool costs with the catalog's example prices, all assumed; base images lie on each of its LUNs.

    Parameters
    ----------
    found : PlannedPool
        Figures per desktop.
    scenario : Scenario
        What was asked for.
    """
    label = "+".join(choice.name for choice in scenario.strategy) or "linked-clone"
    desktops = scenario.pool.clones
    fixed = space_of(scenario, 1)
    luns = -(-desktops // scenario.luns.clones_per_lun)
    images = (fixed.fixed_bytes - fixed.clone_bytes) * (1 if scenario.luns.replica_lun else luns) / desktops
    frame = pd.DataFrame([{"strategy": label} | dict(found.row) | {"replica_bytes": images}])
    made = Comparison(frame, pd.DataFrame(), frame, label, found.sample.label, scenarios={label: scenario})
    return cost(strategy_quantities(made, scenario))
