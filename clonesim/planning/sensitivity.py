"""Which assumption moves an answer most: shares of its variance, and what each one does by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError, nearest
from clonesim.planning.array_load import array_load
from clonesim.planning.assumptions import Assumption, assumptions_of
from clonesim.planning.disks import peak, whole_array
from clonesim.planning.limits import Limits, limits_of
from clonesim.planning.pool_sample import PoolSample, check_sample, sample_pool
from clonesim.planning.sensitivity_design import (
    BYTES,
    GROWTH,
    IOPS,
    Budget,
    Design,
    Ratios,
    budget_of,
    simulated,
    smaller,
)
from clonesim.planning.sensitivity_figures import FIGURES, Disks, Evaluated, Space
from clonesim.planning.sensitivity_frame import frame_of, rest_of
from clonesim.planning.sensitivity_locks import LockWaits, lock_design
from clonesim.planning.sobol import Model, indices
from clonesim.pool.simulate import check_asked
from clonesim.pool.workers import workers
from clonesim.scenario import catalog
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

TOPIC = "sensitivity"
STORAGE = "storage"
LITTLE = 0.01  # logarithm: a formula that misses by less does well, even where pools do not differ
ENDS = 4096  # random points that say between which ends tables are made
LOCKS = ("lock_wait", "conflicts")
RESPONSES_OF = {
    "iops": (IOPS,),
    "disks": (GROWTH, IOPS, BYTES),
    **dict.fromkeys(LOCKS, (GROWTH, IOPS)),
}  # GROWTH for the others

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sensitivity:
    """Which assumption moves a figure most; made by `sensitivity`.

    Attributes
    ----------
    frame : DataFrame
        A row per `assumption`, that with the largest share first: `title`; `measure`, what would tell the truth;
        `simulated`, whether pools were simulated for it; `first`, share of the figure's variance that it has by
        itself, and `total`, the same with all interactions that it has a part in, each with `_low` and `_high` [1];
        `rest`, its total share if the first row's assumption is settled at its usual value, 0 for that one [1];
        `lower` and `higher`, its ends in words, and `at_lower` and `at_higher`, the figure there if nothing else
        changes, of a policy the least and the most; `swing`, between them [unit of the figure].
    figure, title, unit : str
        What was asked about.
    usual : float
        The figure under the scenario's assumptions. [unit]
    middle : tuple of float
        5th, 50th and 95th percentile of the figure if all assumptions may be otherwise at once. [unit]
    budget : Budget
        What it cost.
    error : float
        Typical error of the fitted formulas, found by leaving out one pool at a time, as a share of the figure. [1]
    explained : float
        Share of the variance between pools that the formulas tell of pools left out, the worst of those that miss by
        more than 1 %; 1 if none does. [1]
    label : str
        What it rests on.
    scenario, seed
        What was asked about, and the key of every draw.
    sample : PoolSample
        Clones that figures are computed from.
    design : Design
        Small pools. With them `sensitivity` tells of another figure without simulating again (`before`).
    """

    frame: pd.DataFrame
    figure: str
    title: str
    unit: str
    usual: float
    middle: tuple[float, float, float]
    budget: Budget
    error: float
    explained: float
    label: str
    scenario: Scenario
    seed: int
    sample: PoolSample
    design: Design

    @property
    def most(self) -> str:
        """Assumption with the largest share; empty if none moves the figure."""
        return str(self.frame["assumption"].iloc[0]) if self.frame["total"].iloc[0] > 0 else ""

    def __repr__(self) -> str:
        return f"<Sensitivity of {self.figure}: {self.most or 'nothing'} moves it most>"


def sensitivity_budget(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    figure: str = STORAGE,
    *,
    only: Sequence[str] | None = None,
    budget: float | None = None,
    sample: PoolSample | None = None,
    **overrides: Any,
) -> Budget:
    """What `sensitivity` would cost; nothing is simulated. Parameters as there."""
    given = _given(scenario, overrides)
    return budget_of(given, assumptions_of(given, _figure(figure), only), budget, sample)


def sensitivity(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    figure: str = STORAGE,
    *,
    only: Sequence[str] | None = None,
    limits: Mapping[str, Any] | Limits | None = None,
    budget: float | None = None,
    sample: PoolSample | None = None,
    before: Sensitivity | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
    **overrides: Any,
) -> Sensitivity:
    """Find out which assumption moves an answer most.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes.
    figure : {"storage", "disks", "luns", "delta", "iops", "lock_wait", "conflicts"}
        The answer.
    only : sequence of str, optional
        Assumptions to look at; all that can move the figure by default.
    limits : mapping, optional
        As in `plan_density`.
    budget : float, optional
        Desktop-days to simulate at most; by default two pools for each term of the fitted formula. [d]
    sample : PoolSample, optional
        Clones of the scenario that were simulated before; by default those of one LUN are simulated.
    before : Sensitivity, optional
        What was found of another figure of this scenario: its pools are taken, and nothing is simulated again.
    seed : int, default 0
        Key of every draw.
    executor, processes
        As in `simulate`.
    progress : callable, optional
        Makes a progress function for a text; the first text says what is going to be simulated.
    **overrides
        As in `load_scenario`.

    Returns
    -------
    Sensitivity
        Shares of the variance, swings, and what they rest on.

    Raises
    ------
    ScenarioError, ParameterError
        If the scenario cannot be, a name is unknown, the budget is too small, or desktops do nothing.

    Notes
    -----
    Factors are taken as equally likely on a logarithmic scale between their ends, policies as equally likely: that is
    assumed too. What needs simulation is simulated in small pools of a Latin hypercube and fitted by a formula; the
    rest is computed with the functions of the plan.

    Examples
    --------
    >>> found = sensitivity("windows-7-office", "storage")  # doctest: +SKIP
    >>> found.frame[["assumption", "first", "total"]].head(3)  # doctest: +SKIP
    """
    given = _given(scenario, overrides)
    name = _figure(figure)
    asked = limits_of(given, limits)
    check_asked(seed, 1, processes)
    if sample is not None:
        check_sample(sample, given)
    assumed = assumptions_of(given, name, only)
    if before is not None:
        _check_before(before, given, assumed, seed)
        sample = before.sample
    cost = before.budget if before is not None else budget_of(given, assumed, budget, sample)

    def told(text: str, total: int) -> Callable[[int], None]:
        say = progress(text) if progress else None
        return lambda done: say(done, total) if say else None

    if before is not None:
        return _found(given, name, asked, assumed, cost, before.sample, before.design, seed, told)
    with workers(executor, float(cost.desktop_days), processes) as pool:
        say = told(cost.text, cost.desktop_days)
        if sample is None:
            base = smaller(given, cost.base_clones, cost.base_days)
            sample = sample_pool(
                base, seed, cost.base_replicates, executor=pool, processes=1, progress=lambda part, _: say(part)
            )
        done = cost.base_desktop_days
        design = simulated(given, assumed, cost, seed, pool, lambda part: say(done + part))
    return _found(given, name, asked, assumed, cost, sample, design, seed, told)


def _check_before(before: Sensitivity, scenario: Scenario, assumed: Sequence[Assumption], seed: int) -> None:
    """Refuse pools of another scenario, seed or choice of assumptions."""
    names = tuple(one.name for one in assumed if one.simulated)
    if before.scenario != scenario or before.seed != seed or before.design.names != names:
        allowed = "its pools are of another scenario, seed or choice of assumptions"
        raise ParameterError("before", before.label, allowed, "Leave it out.")


def _given(scenario: str | Path | Scenario | Mapping[str, Any], overrides: dict[str, Any]) -> Scenario:
    return load_scenario(scenario, **overrides)


def _figure(figure: str) -> str:
    if figure not in FIGURES:
        raise ParameterError("figure", figure, f"figures are {', '.join(FIGURES)}", nearest(figure, FIGURES))
    return figure


def _found(
    scenario: Scenario,
    figure: str,
    limits: Limits,
    assumed: list[Assumption],
    cost: Budget,
    sample: PoolSample,
    design: Design,
    seed: int,
    told: Callable[[str, int], Callable[[int], None]],
) -> Sensitivity:
    ratios = design.fitted()
    evaluated, again = _evaluated(scenario, figure, limits, assumed, sample, ratios, seed, told)
    model = _model(assumed, ratios, evaluated)
    rng = np.random.default_rng([seed, 1])
    refits = [
        _model(assumed, design.again(ratios, rng), again(rng)) for _ in range(catalog.value(TOPIC, "sobol.refits"))
    ]
    log = FIGURES[figure].log
    shares = indices(_logged(model, log), len(assumed), seed, others=[_logged(one, log) for one in refits])
    usual = np.array([[one.place] for one in assumed])
    middle = np.quantile(model(np.random.default_rng([seed, 2]).random((len(assumed), ENDS))), (0.05, 0.5, 0.95))
    error, explained = _errors(figure, ratios, evaluated)
    frame = frame_of(assumed, shares, model, usual)
    frame.insert(8, "rest", rest_of(assumed, frame, _logged(model, log), usual, seed))
    label = _label(scenario, figure, cost, error, explained, sample)
    told_usual = float(model(usual)[0])
    about = FIGURES[figure]
    attrs = {"caption": label, "figure": figure, "title": about.title, "unit": about.unit, "usual": told_usual}
    frame.attrs.update(attrs)
    ends = (float(middle[0]), float(middle[1]), float(middle[2]))
    return Sensitivity(
        *(frame, figure, about.title, about.unit, told_usual, ends, cost, error, explained, label),
        *(scenario, seed, sample, design),
    )


def _evaluated(
    scenario: Scenario,
    figure: str,
    limits: Limits,
    assumed: Sequence[Assumption],
    sample: PoolSample,
    ratios: Ratios,
    seed: int,
    told: Callable[[str, int], Callable[[int], None]],
) -> tuple[Evaluated, Callable[[np.random.Generator], Evaluated]]:
    """The figure as a function of values and ratios, and the same as it might have come out as well."""
    moved = sum(one.simulated for one in assumed)
    places = np.random.default_rng([seed, 3]).random((len(assumed), ENDS))
    reach = ratios.at(places[:moved])
    if figure in LOCKS:
        points = catalog.value(TOPIC, "design.lock_points")
        say = told("Lock of one LUN", points)
        locks = lock_design(scenario, figure, sample, assumed, reach, seed, say)
        waits = locks.fitted()
        return waits.value, lambda rng: waits.again(rng).value
    found = _direct(scenario, figure, limits, assumed, sample, reach, places)
    return found, lambda _: found


def _direct(
    scenario: Scenario,
    figure: str,
    limits: Limits,
    assumed: Sequence[Assumption],
    sample: PoolSample,
    reach: Floats,
    places: Floats,
) -> Evaluated:
    if figure == "iops":
        each = peak(whole_array(scenario, sample.clones), sample)[0]
        return lambda _, ratios: np.asarray(each * ratios[IOPS])
    space = Space.of(scenario, sample, limits, (float(reach[GROWTH].min()), float(reach[GROWTH].max())))
    if figure == "delta":
        return space.delta_bytes
    if figure == "luns":
        return lambda values, ratios: space.luns(values, ratios, limits.clones)
    if figure == "storage":
        return space.storage
    most = 2.0 * float(space.storage(_values(assumed, places), reach).max())
    demand = np.maximum(reach[IOPS], reach[BYTES])
    service = next(((one.low, one.high) for one in assumed if one.name == "array_service"), None)
    if service is None:
        service_s = array_load(scenario, 1).array.service_s
        service = service_s, service_s
    ends = float(demand.min()), float(demand.max())
    disks = Disks.of(scenario, sample, limits, ends, service, most)
    return lambda values, ratios: disks.disks(space.storage(values, ratios), values, ratios)


def _values(assumed: Sequence[Assumption], points: Floats) -> dict[str, Floats]:
    pairs = zip(assumed, points, strict=True)
    return {one.name: one.at(place) for one, place in pairs if not one.simulated}


def _model(assumed: Sequence[Assumption], ratios: Ratios, evaluated: Evaluated) -> Model:
    moved = sum(one.simulated for one in assumed)

    def model(points: Floats) -> Floats:
        return evaluated(_values(assumed, points), ratios.at(points[:moved]))

    return model


def _logged(model: Model, log: bool) -> Model:
    return (lambda points: np.asarray(np.log(model(points)))) if log else model


def _errors(figure: str, ratios: Ratios, evaluated: Evaluated) -> tuple[float, float]:
    """Typical error of the formulas behind a figure, and the worst share of variance that they tell."""
    own = [ratios.formulas[k] for k in RESPONSES_OF.get(figure, (GROWTH,)) if ratios.formulas]
    waits = getattr(evaluated, "__self__", None)
    own += [waits.formula] if isinstance(waits, LockWaits) else []
    error = max((float(np.expm1(one.error)) for one in own), default=0.0)
    return error, min((one.explained for one in own if one.error > LITTLE), default=1.0)


def _label(scenario: Scenario, figure: str, cost: Budget, error: float, explained: float, sample: PoolSample) -> str:
    how = f"{cost.points} small pools ({cost.clones} clones x {cost.days} days)" if cost.points else "no other pools"
    spread = "shares are of the variance of the logarithm" if FIGURES[figure].log else "shares are of its variance"
    told_error = f"{100 * error:.0f}" if error > 10 * LITTLE else f"{100 * error:.2g}"
    tells = f" and tells {100 * explained:.3g} % of the variance between pools" if error > LITTLE else ""
    return (
        f"{scenario.pool.clones} clones of {scenario.guest.name}, {scenario.pool.days} days; {how} and a fitted "
        f"formula, which misses what was left out by {told_error} %{tells}; {spread}. Assumed: factors equally "
        f"likely on a log scale, policies equally likely, all independent. Based on {sample.clones} clones x "
        f"{sample.replicates} replicates; seed {sample.seed}."
    )
