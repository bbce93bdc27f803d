"""Strategies for statelessness side by side: the same users and the same work, another way to keep their desktops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.planning.strategy_row import COLUMNS, strategy_row
from clonesim.pool.luns import run_luns
from clonesim.pool.replicates import replicates_of
from clonesim.pool.simulate import check_asked
from clonesim.pool.strategies.layout import check_simulated, effective
from clonesim.pool.workers import workers
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario
from clonesim.scenario.strategy import parse_strategies

BASE = "linked-clone"
REPLICATES, CLONES = 10, 50
STRATEGIES = (
    "linked-clone, guest-tuning, smaller-free-space, disposable-disk, persistent-disk, refresh(when=days; every=7 d), "
    "refresh, refresh+persistent-disk, refresh+profile-container, recompose, application-virtualization, "
    "application-virtualization+refresh+persistent-disk, full-clone, linked-clone+array-dedup"
)

Alternatives = str | Sequence[str] | Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Comparison:
    """Strategies side by side; made by `compare`.

    Attributes
    ----------
    frame : DataFrame
        A row per strategy, the base first: `strategy`; each of `COLUMNS` as mean over replicates, with `_low` and
        `_high`, Student's interval of that mean.
    differences : DataFrame
        A row per strategy but the base and column: `difference` to the base, with `low` and `high`: mean of the
        replicates' differences, which face the same users, and Student's interval. [as the column]
    samples : DataFrame
        A row per strategy and replicate, before the means are taken.
    base : str
        The first strategy.
    label : str
        What it rests on.
    """

    frame: pd.DataFrame
    differences: pd.DataFrame
    samples: pd.DataFrame
    base: str
    label: str

    def __repr__(self) -> str:
        best = self.frame["strategy"].iloc[int(self.frame["storage_bytes"].to_numpy().argmin())]
        return f"<Comparison of {len(self.frame)} strategies with {self.base}; least storage: {best}>"


def compare(
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    strategies: Alternatives = STRATEGIES,
    *,
    seed: int = 0,
    replicates: int = REPLICATES,
    clones: int = CLONES,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
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
        never refreshed, comes first unless it is named.
    seed : int, default 0
        Key of every draw; all strategies face the same users.
    replicates : int, default 10
        Pools to draw. Many small pools tell more of the spread than one large one. [1]
    clones : int, default 50
        Of each. [1]
    executor, processes, progress, **overrides
        As in `simulate`.

    Returns
    -------
    Comparison
        Means, paired differences, samples.

    Raises
    ------
    ScenarioError, ParameterError
        If a strategy is unknown, cannot be combined, or the platform lacks it; nothing has been simulated then.

    Examples
    --------
    >>> found = compare("windows-7-office", "refresh, refresh+persistent-disk", clones=8)  # doctest: +SKIP
    >>> found.frame[["strategy", "storage_bytes", "state_lost_bytes"]]  # doctest: +SKIP
    """
    check_asked(seed, replicates, processes)
    given = scenario if isinstance(scenario, Scenario) and not overrides else load_scenario(scenario, **overrides)
    named = _alternatives(strategies)
    asked = {label: _scenario(given, tables, clones) for label, tables in named.items()}
    for one in asked.values():
        check_simulated(one)
    each = clones * given.pool.days * replicates
    rows: list[dict[str, Any]] = []
    with workers(executor, float(each * len(asked)), processes) as pool:
        for number, (label, one) in enumerate(asked.items()):

            def told(done: int, _: int, before: int = number * each) -> None:
                if progress:
                    progress(before + done, each * len(asked))

            found: dict[int, dict[str, Any]] = {}
            for replicate in replicates_of(one, seed, replicates, pool, told):
                figures = strategy_row(one, given, replicate, run_luns(one, replicate))
                found[replicate.number] = {"strategy": label, "replicate": replicate.number} | figures
            rows += [found[k] for k in sorted(found)]
    return _comparison(pd.DataFrame(rows), given, clones, replicates, seed)


def _alternatives(strategies: Alternatives) -> dict[str, Sequence[Any]]:
    if isinstance(strategies, Mapping):
        found = dict(strategies)
    else:
        text = strategies if isinstance(strategies, str) else ", ".join(strategies)
        found = dict(parse_strategies(text))
    if not found:
        raise ParameterError("strategies", strategies, "one strategy or more is needed", "Write for example 'refresh'.")
    return found if BASE in found else {BASE: [{"name": BASE}], **found}


def _scenario(scenario: Scenario, tables: Sequence[Any], clones: int) -> Scenario:
    users = scenario.users.count or 0
    count = {"count": max(1, round(users * clones / scenario.pool.clones))} if users else {}
    luns = {"count": max(1, -(-clones // scenario.luns.clones_per_lun)), "placement": "round-robin"}
    return effective(load_scenario(scenario, pool={"clones": clones}, users=count, luns=luns, strategy=list(tables)))


def _comparison(samples: pd.DataFrame, scenario: Scenario, clones: int, replicates: int, seed: int) -> Comparison:
    order = list(dict.fromkeys(samples["strategy"]))
    base = order[0]
    of_base = samples[samples["strategy"] == base].set_index("replicate")
    rows, differences = [], []
    for label in order:
        mine = samples[samples["strategy"] == label].set_index("replicate")
        row: dict[str, Any] = {"strategy": label}
        for column in COLUMNS:
            row[column], row[f"{column}_low"], row[f"{column}_high"] = student(mine[column].to_numpy(np.float64))
            if label != base:
                ends = student((mine[column] - of_base[column]).to_numpy(np.float64))
                names = ("difference", "low", "high")
                differences.append({"strategy": label, "column": column} | dict(zip(names, ends, strict=True)))
        rows.append(row)
    label = (
        f"{clones} clones x {scenario.pool.days} days x {replicates} replicates of {scenario.guest.name}, workload "
        f"{scenario.workload.name} (rates mostly assumed), {scenario.delta.format} on {scenario.luns.backing}, policy "
        f"{scenario.guest.policy} (a hypothesis); the same users under every strategy; seed {seed}."
    )
    frame = pd.DataFrame(rows)
    frame.attrs["caption"] = label
    return Comparison(frame, pd.DataFrame(differences), samples, base, label)


def student(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of some values with Student's 95 % interval; infinite ends for a single one, NaN without any."""
    from scipy.stats import t

    known = values[np.isfinite(values)]
    if not known.size:
        return float("nan"), float("nan"), float("nan")
    mean = float(known.mean())
    if known.size == 1:
        return mean, -np.inf, np.inf
    half = float(t.ppf(0.975, known.size - 1) * known.std(ddof=1) / np.sqrt(known.size))
    return mean, mean - half, mean + half
