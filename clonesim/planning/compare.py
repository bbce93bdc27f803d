"""Strategies for statelessness side by side: the same users and the same work, another way to keep their desktops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clonesim.planning.alternatives import BASE, STRATEGIES, Alternative, Asked, Group, alternatives, groups, together
from clonesim.planning.density import plan_density
from clonesim.planning.image_ages import break_even, by_age
from clonesim.planning.kept_rows import Found, Shelf, in_order
from clonesim.planning.pool_sample import Part, PoolSample, sample_of
from clonesim.planning.set_back import Resets, hourly_size
from clonesim.planning.strategy_row import COLUMNS, OUTAGE, strategy_row
from clonesim.planning.student import student
from clonesim.pool.luns import LunResult, run_luns
from clonesim.pool.replicates import Replicate, replicates_of, settled
from clonesim.pool.simulate import check_asked
from clonesim.pool.workers import workers
from clonesim.scenario.load import load_scenario
from clonesim.scenario.marks import marks_told
from clonesim.scenario.model import Scenario

__all__ = ["BASE", "CLONES", "REPLICATES", "STRATEGIES", "Comparison", "compare"]

REPLICATES, CLONES = 10, 50
DENSITIES = 25  # numbers of desktops on a LUN that are looked at, at most
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Comparison:
    """Strategies side by side; made by `compare`.

    Attributes
    ----------
    frame : DataFrame
        A row per strategy, the base first: `strategy`; each of `COLUMNS` as mean over replicates, with `_low` and
        `_high`, Student's interval of that mean; `p_outage`, share of the replicates in which a LUN is full within the
        run, with `p_outage_low` and `p_outage_high`, Clopper and Pearson's 95 % interval [1], and `outage_day`, the
        earliest day, infinite if there is none [d]; `clones_per_lun`, most desktops on one LUN that keep all limits,
        `clones_per_lun_sure`, the same if the upper ends of all intervals count [1], and `binding`, what limits them,
        as `plan_density` says: "clones simulated" if none does.
    differences : DataFrame
        A row per strategy but the base and column: `difference` to the base, with `low` and `high`: mean of the
        replicates' differences, which face the same users, and Student's interval. [as the column]
    samples : DataFrame
        A row per strategy and replicate, before the means are taken.
    base : str
        The first strategy.
    label : str
        What it rests on.
    break_even : DataFrame
        From which interval on refreshes save space, by the image's age; see `image_ages.break_even`.
    scenarios : mapping of str to Scenario
        By strategy, the pool that was asked for with all that the strategy changes.
    left_out : mapping of str to str
        What of the default list this scenario refuses, and why.
    """

    frame: pd.DataFrame
    differences: pd.DataFrame
    samples: pd.DataFrame
    base: str
    label: str
    break_even: pd.DataFrame = field(default_factory=pd.DataFrame)
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        best = self.frame["strategy"].iloc[int(self.frame["storage_bytes"].to_numpy().argmin())]
        return f"<Comparison of {len(self.frame)} strategies with {self.base}; least storage: {best}>"


def compare(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    strategies: Asked = STRATEGIES,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    clones: int = CLONES,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Progress | None = None,
    resume: str | Path | None = None,
    **overrides: Any,
) -> Comparison:
    """Compare strategies on a scenario's users.

    Parameters
    ----------
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes; its own strategies do not count.
    strategies : str, sequence of str, or mapping
        Alternatives: "refresh, refresh+persistent-disk, refresh(when=days; every=7 d)", a list of such texts, or labels
        with the lists that a scenario's `strategy` takes. The first one is the base of differences; "linked-clone",
        never refreshed, comes first unless it is named. Of the default list, what the scenario refuses is left out.
    seed : int, default 0
        Key of every draw; all strategies face the same users.
    replicates : int, default 10
        Pools to draw. Many small pools tell more of the spread than one large one. [1]
    clones : int, default 50
        Of each. [1]
    executor, processes, progress, **overrides
        As in `simulate`.
    resume : path, optional
        Folder in which each strategy's figures are kept as soon as they are known. What lies there already of the same
        scenario, strategy, seed, replicates, clones and version is not simulated again.

    Returns
    -------
    Comparison
        Means, paired differences, samples.

    Raises
    ------
    ScenarioError, ParameterError
        If a strategy is unknown, cannot be combined, or the platform lacks it; nothing has been simulated then.

    Notes
    -----
    Strategies whose clones do the same (memory reservation, thin LUNs, deduplication) are simulated once; with
    rebalance only the clones that are moved are simulated again.

    Examples
    --------
    >>> found = compare("windows-7-office", "refresh, refresh+persistent-disk", clones=8)  # doctest: +SKIP
    >>> found.frame[["strategy", "storage_bytes", "state_lost_bytes"]]  # doctest: +SKIP
    """
    check_asked(seed, replicates, processes)
    given = load_scenario(scenario, **overrides)
    asked, left = alternatives(given, strategies, clones)
    shelf = Shelf(resume, seed, replicates, clones)
    found = {one.label: shelf.get(one) for one in asked}
    every = groups(asked)
    rest = [Group(one.core, tuple(each for each in one.members if found[each.label] is None)) for one in every]
    todo = together([one for one in rest if one.members])
    each = clones * given.pool.days * replicates
    before = (len(together(every)) - len(todo)) * each
    with workers(executor, float(each * len(todo)), processes) as pool:
        coming = _coming(todo, seed, replicates, pool, progress, before, each)
        for one, figures in _figures(coming, seed, replicates):
            shelf.put(one, figures)
            found[one.label] = figures
    known = {label: figures for label, figures in found.items() if figures is not None}
    label = _label(given, clones, replicates, seed, left)
    return _comparison(known, {one.label: one.asked for one in asked}, left, label)


def _coming(
    todo: Sequence[tuple[Group, ...]],
    seed: int,
    replicates: int,
    pool: Executor | None,
    progress: Progress | None,
    before: int,
    each: int,
) -> Iterator[tuple[Group, Replicate]]:
    """Replicates of all groups, those together that begin with the same simulation.

    `progress` hears of desktop-days, those of groups kept before first.
    """
    total = before + each * len(todo)
    for number, some in enumerate(todo):

        def told(done: int, _: int, start: int = before + number * each) -> None:
            if progress:
                progress(start + done, total)

        for replicate in replicates_of(some[0].first, seed, replicates, pool, told):
            for group in some:
                yield group, settled(group.core, replicate, pool)
        told(each, each)
    if progress and not todo:
        progress(total, total)


def _figures(
    coming: Iterator[tuple[Group, Replicate]], seed: int, replicates: int
) -> Iterator[tuple[Alternative, Found]]:
    """Figures of all alternatives, group by group.

    Each replicate is looked at when the next one is there: so the workers have the next group's clones to simulate
    while a group is finished here. What came before an interruption is finished first.
    """
    every: dict[int, _Made] = {}
    held: tuple[Group, Replicate] | None = None
    while True:
        interruption, one = None, None
        try:
            one = next(coming, None)
        except BaseException as error:  # noqa: BLE001 (raised again below)
            interruption = error
        if held is not None:
            group, replicate = held
            made = every.setdefault(id(group), _Made(seed, group))
            made.add(replicate)
            if len(made.parts) == replicates:
                yield from every.pop(id(group)).finished()
        if interruption is not None:
            raise interruption
        if one is None:
            return
        held = one


class _Made:
    """What is known of one group's replicates so far."""

    def __init__(self, seed: int, group: Group) -> None:
        self.seed, self.group = seed, group
        self.rows: dict[str, dict[int, Any]] = {}
        self.ages: dict[int, Any] = {}
        self.hourly: dict[int, Any] = {}
        self.parts: dict[int, Part] = {}
        self.second = 0  # most bytes of second base images on a LUN

    def add(self, replicate: Replicate) -> None:
        """Work out one replicate's figures of each member."""
        group, number = self.group, replicate.number
        self.parts[number] = Part.of(group.core, self.seed, replicate)
        luns: dict[str, list[LunResult]] = {}
        resets = Resets.of(replicate)
        self.ages[number] = by_age(resets)
        self.hourly[number] = [] if resets.time_s.size else hourly_size(replicate).tolist()
        for one in group.members:
            mine = _luns(one, replicate, luns)
            self.second = max(self.second, *(int(np.cumsum(lun.extra[1]).max(initial=0)) for lun in mine))
            row = strategy_row(one.small, one.asked, replicate, mine, resets)
            self.rows.setdefault(one.label, {})[number] = row

    def finished(self) -> Iterator[tuple[Alternative, Found]]:
        """Figures of the group's members, when all replicates are there."""
        sampled = in_order(self.parts)
        for one in self.group.members:
            figures = in_order(self.rows[one.label]), in_order(self.ages), in_order(self.hourly)
            yield one, Found(*figures, _density(sample_of(one.asked, self.seed, sampled), self.second))


def _luns(one: Alternative, replicate: Replicate, known: dict[str, list[LunResult]]) -> list[LunResult]:
    """LUNs of a member; of all that no clone feels, only reserved memory touches them."""
    key = one.small.hosts.model_dump_json()
    if key not in known:
        known[key] = run_luns(one.small, replicate)
    return known[key]


def _density(sample: PoolSample, second: int) -> dict[str, Any]:
    """Most desktops on a LUN, on which so many bytes are needed for second base images."""
    looked_at = np.unique(np.rint(np.linspace(1, sample.clones, DENSITIES)).astype(int)).tolist()
    luns = sample.scenario.luns
    room = luns.model_copy(update={"size": max(1, luns.size - second)})
    plan = plan_density(sample.scenario.model_copy(update={"luns": room}), densities=looked_at, sample=sample)
    return {"clones_per_lun": plan.largest, "clones_per_lun_sure": plan.sure, "binding": plan.binding}


def _label(scenario: Scenario, clones: int, replicates: int, seed: int, left: Mapping[str, str]) -> str:
    label = (
        f"{clones} clones x {scenario.pool.days} days x {replicates} replicates of {scenario.guest.name}, workload "
        f"{scenario.workload.name} (rates mostly assumed), {scenario.delta.format} on {scenario.luns.backing}, policy "
        f"{scenario.guest.policy} (a hypothesis); the same users under every strategy; seed {seed}."
        f"{marks_told(scenario.marks)}"
    )
    told = "; ".join(f"{name} ({why})" for name, why in left.items())
    return f"{label} Left out: {told}." if told else label


def _comparison(
    found: Mapping[str, Found], scenarios: Mapping[str, Scenario], left: Mapping[str, str], label: str
) -> Comparison:
    rows = [
        {"strategy": name, "replicate": number} | row
        for name, one in found.items()
        for number, row in enumerate(one.rows)
    ]
    samples, base = pd.DataFrame(rows), next(iter(found))
    frame = pd.DataFrame([_row(name, one, samples) for name, one in found.items()])
    frame.attrs["caption"] = label
    differences = [row for name in found if name != base for row in _differences(name, base, samples)]
    columns = ["strategy", "column", "difference", "low", "high"]
    table = pd.DataFrame(differences, columns=columns)
    return Comparison(frame, table, samples, base, label, break_even(found, BASE), scenarios, left)


def _of(name: str, samples: pd.DataFrame) -> pd.DataFrame:
    return samples[samples["strategy"] == name].set_index("replicate")


def _row(name: str, one: Found, samples: pd.DataFrame) -> dict[str, Any]:
    mine = _of(name, samples)
    row: dict[str, Any] = {"strategy": name}
    for column in COLUMNS:
        ends = student(mine[column].to_numpy(np.float64))
        row |= zip((column, f"{column}_low", f"{column}_high"), ends, strict=True)
    days = mine[OUTAGE].to_numpy(np.float64)
    full = int(np.isfinite(days).sum())
    low, high = _clopper_pearson(full, days.size)
    row |= {"p_outage": full / days.size, "p_outage_low": low, "p_outage_high": high}
    return row | {OUTAGE: float(days.min())} | one.density


def _clopper_pearson(hits: int, trials: int) -> tuple[float, float]:
    """Ends of a probability's 95 % interval. [1]"""
    from scipy.stats import beta

    low = float(beta.ppf(0.025, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def _differences(name: str, base: str, samples: pd.DataFrame) -> list[dict[str, Any]]:
    mine, other = _of(name, samples), _of(base, samples)
    found = []
    for column in COLUMNS:
        ends = student((mine[column] - other[column]).to_numpy(np.float64))
        found.append({"strategy": name, "column": column} | dict(zip(("difference", "low", "high"), ends, strict=True)))
    return found
