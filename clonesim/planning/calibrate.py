"""The simulation calibrated to measured sizes: how much is written, how unequally, under which allocation policy."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.files import write_text
from clonesim.planning.calibration_design import (
    Cost,
    Design,
    cost_of,
    key_of,
    prior_of,
    scaled_tables,
    simulated,
    small_pool,
)
from clonesim.planning.calibration_forecast import chunks
from clonesim.planning.calibration_looks import Looks, looks_of
from clonesim.planning.calibration_posterior import Posterior, policies_of, posterior_of, shrinkage_of
from clonesim.planning.calibration_words import notes_of, verdict_of
from clonesim.planning.forecast import LEVELS, days_ahead, groups_in, reach_of, tabled
from clonesim.planning.growth_history import History, history_of
from clonesim.pool.simulate import check_asked
from clonesim.pool.workers import workers
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario

AHEAD = 60
MOST_AHEAD = 1825
WEEKS = (1, 2, 4, 8, 13, 26)

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Calibration:
    """What measured sizes say of a scenario; made by `calibrate`.

    Attributes
    ----------
    given : Scenario
        The scenario before, with its overrides.
    looks : Looks
        What was measured, by the clones' age.
    design : Design
        Pools that were simulated. With it `calibrate` needs no simulation for other measurements of the same dates.
    seed : int
        Key of every draw.
    ahead : int
        Days after the last measurement that forecasts reach. [d]
    """

    given: Scenario
    looks: Looks
    design: Design
    seed: int
    ahead: int
    _known: Posterior = field(repr=False)

    def __repr__(self) -> str:
        """Clones, dates, the likeliest policy, scale and spread."""
        best, told = self.policies.iloc[0], self.shrinkage.set_index("parameter")["mean"]
        return (
            f"Calibration({self.looks.who.size} clones, {self.looks.age.size} dates up to day {self.looks.last:.0f}; "
            f"{best['policy']} {best['probability']:.0%}, scale {told['scale']:.2f}, spread {told['spread']:.2f})"
        )

    @cached_property
    def posterior(self) -> pd.DataFrame:
        """Probabilities on a grid: `policy`, `scale`, `spread`, `prior`, `probability`."""
        return self._known.frame()

    @cached_property
    def shrinkage(self) -> pd.DataFrame:
        """What was learned of scale and spread; see `calibration_posterior.shrinkage_of`."""
        return shrinkage_of(self._known)

    @cached_property
    def policies(self) -> pd.DataFrame:
        """What was learned of the policy; see `calibration_posterior.policies_of`."""
        return policies_of(self._known)

    @property
    def misfit(self) -> float:
        """Share of what the best setting makes that is as strange as what was measured, or stranger. [1]"""
        return self._known.strange

    @property
    def cost(self) -> Cost:
        """What was simulated."""
        return self.design.cost

    @cached_property
    def verdict(self) -> tuple[str, ...]:
        """What was learned, and what this data cannot tell apart, in sentences."""
        return verdict_of(self._known, self.shrinkage, self.policies)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was left out or supposed, and whether the simulation reaches what was measured."""
        return (*self.looks.notes, *notes_of(self._known, self.looks, self.design))

    @property
    def scenario(self) -> Scenario:
        """The scenario with the likeliest policy, and the means of scale and spread if it holds; its marks say so."""
        return load_scenario(self.given, **self._tables(), marks=self.marks)

    @property
    def marks(self) -> dict[str, str]:
        """By key of the scenario that was calibrated: how, as `commented` writes it."""
        best, looks = self.policies.iloc[0], self.looks
        what = f"calibrated: {looks.who.size} clones, {looks.age.size} dates"
        found = dict.fromkeys(self.values, what)
        found["guest.policy"] = f"{what}, probability {best['probability']:.2f}"
        return found

    @property
    def values(self) -> dict[str, Any]:
        """By key of the scenario that was calibrated: its value, in base units."""
        tables = self._tables()
        return {f"{table}.{key}": value for table, values in tables.items() for key, value in values.items()}

    def _tables(self) -> dict[str, dict[str, Any]]:
        best = self.policies.iloc[0]["policy"]
        number = self.design.prior.policies.index(best)
        scale, spread = (
            float(value @ shares) for value, shares in (self._known.marginal(k, policy=number) for k in (0, 1))
        )
        return scaled_tables(self.given, best, round(scale, 4), round(spread, 4))

    def save(self, path: str | Path) -> Path:
        """Write the calibrated scenario as commented TOML, which `load_scenario` reads back."""
        from clonesim.scenario import commented

        return write_text(path, commented(self.scenario))

    def forecast(self, days: float | None = None, *, step: float = 7.0, levels: Sequence[str] = LEVELS) -> pd.DataFrame:
        """Sizes to come of the measured clones, with intervals, as `GrowthFit.forecast` gives them.

        Parameters
        ----------
        days : float, optional
            How far ahead; by default as far as was simulated. [d]
        step : float, default 7
            Days between two rows. [d]
        levels : sequence of str, default all
            "clone", "lun", "pool".
        """
        days = self.ahead if days is None else days
        ahead = days_ahead(days, step)
        if days > self.ahead:
            raise ParameterError("days", days, f"{self.ahead} days were simulated", f"Calibrate with ahead={days:g}.")
        for level in levels:
            if level not in LEVELS:
                raise ParameterError("levels", level, f"allowed are {', '.join(map(repr, LEVELS))}")
        history, who = self.looks.history, self.looks.who
        inside = np.zeros(history.clones, np.bool_)
        inside[who] = True
        groups = {key: mask[who] for key, mask in groups_in(history, inside, levels).items()}
        names = [str(name) for name in history.names[who]]
        frame = tabled(self._chunks(self._known, self.looks, ahead), names, groups, ahead, "clone" in levels)
        last = self.looks.since + self.looks.last
        if history.dated:
            dates = history.origin + pd.to_timedelta(last + frame["day"], unit="D")
            frame.insert(1, "date", dates.dt.round("s"))
        frame["checked"] = frame["day"] <= reach_of() * self.looks.last
        caption = f"{self!r}. Bands: what 90 % and 50 % of the calibrated simulation's courses keep within."
        frame.attrs |= {"last": history.when(last), "reach": reach_of() * self.looks.last, "caption": caption}
        return frame

    def _chunks(self, known: Posterior, looks: Looks, ahead: Floats) -> Any:
        return chunks(self.design, known, looks, ahead, self.seed, float(self.given.guest.disk))

    def weeks(self, day: float | None = None) -> pd.DataFrame:
        """How far the interval for one day had narrowed after each week of measuring.

        Parameters
        ----------
        day : float, optional
            Days after the clones were made; by default the last one simulated. [d]

        Returns
        -------
        DataFrame
            A row per week with a measurement up to which something was known (1, 2, 4, ...; the last is all):
            `week`, `dates` used, `ahead` from the last of them [d], `p5`, `p50`, `p95` of the clones' mean size on
            that day [B], `width` of the interval by its middle, `policy` (the likeliest) and its `probability`,
            `scale_low`, `scale_high` (5 and 95 %). [1]
        """
        end = float(self.design.cost.days)
        day = end if day is None else day
        if isinstance(day, bool) or not isinstance(day, (int, float)) or not self.looks.last < day <= end:
            allowed = f"a day after the last measurement (day {self.looks.last:.0f}) and up to day {end:.0f} is needed"
            raise ParameterError("day", day, allowed, "Days count from when the clones were made.")
        rows: list[dict[str, Any]] = []
        for week in [*(week for week in WEEKS if 7 * week + 1 <= self.looks.last), self.looks.last / 7]:
            looks = self.looks.until(7 * week + 1)
            if looks is None or (rows and rows[-1]["ahead"] == day - looks.last):
                continue
            known = posterior_of(self.design, looks, self.seed)
            total = sum(
                sizes[:, :, 0].sum(axis=1) for _, sizes in self._chunks(known, looks, np.array([day - looks.last]))
            )
            low, middle, high = np.quantile(np.asarray(total) / looks.who.size, (0.05, 0.5, 0.95))
            best, ends = policies_of(known).iloc[0], shrinkage_of(known).iloc[0]
            rows.append(
                {"week": looks.last / 7, "dates": looks.age.size, "ahead": day - looks.last}
                | {"p5": low, "p50": middle, "p95": high, "width": (high - low) / middle}
                | {"policy": best["policy"], "probability": best["probability"]}
                | {"scale_low": ends["low"], "scale_high": ends["high"]}
            )
        frame = pd.DataFrame(rows)
        frame.attrs |= {"day": day, "caption": f"{self!r}. Mean size of a clone on day {day:.0f}, as foretold so far."}
        return frame


def calibration_cost(
    measured: pd.DataFrame | History,
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    *,
    since: Any = None,
    ahead: int = AHEAD,
    policies: Sequence[str] | None = None,
    clones: int | None = None,
    points: int | None = None,
    budget: float | None = None,
    **overrides: Any,
) -> Cost:
    """What `calibrate` would simulate; nothing is simulated. Parameters as there."""
    given = load_scenario(scenario, **overrides)
    looks = looks_of(history_of(measured), since)
    return _cost(looks, given, ahead, policies, clones, points, budget)


def calibrate(
    measured: pd.DataFrame | History,
    scenario: str | Path | Scenario | Mapping[str, Any] = "windows-11-office",
    *,
    since: Any = None,
    ahead: int = AHEAD,
    policies: Sequence[str] | None = None,
    clones: int | None = None,
    points: int | None = None,
    budget: float | None = None,
    design: Design | None = None,
    seed: int = 0,
    executor: Executor | None = None,
    processes: int | None = None,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
    **overrides: Any,
) -> Calibration:
    """Calibrate a scenario to measured sizes of its clones: scale of writes, spread of users, allocation policy.

    Parameters
    ----------
    measured : DataFrame
        As of `fit_growth`: `clone`, `date` (or `day`) and `bytes`; one date a week after the clones were made is enough
        for a wide answer.
    scenario : str, Path, Scenario or mapping, default "windows-11-office"
        What `load_scenario` takes. What is known should stand in it: guest, disk, what is in use, patch days.
    since : date, str or number, optional
        When the clones were made, refreshed or recomposed. Without it, a reset that the sizes show or the first
        measured day is taken, where that makes sense.
    ahead : int, default 60
        Days after the last measurement that forecasts shall reach. [d]
    policies : sequence of str, optional
        Allocation policies to choose from; by default those of the policy band and the scenario's own.
    clones, points : int, optional
        Clones of each simulated pool and pools for each policy; by default the catalog's. [1]
    budget : float, optional
        Desktop-days to simulate at most. [d]
    design : Design, optional
        Pools of an earlier calibration of this scenario, seed and time: nothing is simulated.
    seed : int, default 0
        Key of every draw.
    executor, processes
        As in `simulate`.
    progress : callable, optional
        Makes a progress function for a text; the text says what is going to be simulated.
    **overrides
        As in `load_scenario`. Measured rates of single sources belong here (`workload={"sources": ...}`).

    Returns
    -------
    Calibration
        `.scenario`, `.posterior`, `.shrinkage`, `.policies`, `.verdict`, `.notes`, `.forecast(days)`, `.weeks(day)`.

    Raises
    ------
    HistoryError
        If it cannot be told since when the clones have been growing, or nothing was measured after that.
    ScenarioError, ParameterError
        If the scenario cannot be, has strategies, or a number is out of its range.

    Notes
    -----
    The scale multiplies workload.intensity, storms.patch_factor and storms.definitions_size; rates of sources by the
    machine's hours and all ratios between sources stay as they are. See docs/calibration.md.

    Examples
    --------
    >>> found = calibrate(measured, "windows-7-office", since="2026-01-05")  # doctest: +SKIP
    >>> found.policies[["policy", "probability"]]  # doctest: +SKIP
    """
    given = load_scenario(scenario, **overrides)
    check_asked(seed, 1, processes)
    looks = looks_of(history_of(measured), since)
    prior = prior_of(given, policies)
    if design is not None and clones is None and points is None:
        clones, points = design.cost.clones, design.cost.points
    cost = _cost(looks, given, ahead, policies, clones, points, budget)
    small = small_pool(given, cost.clones, cost.days, _start(looks))
    if design is None:
        with workers(executor, float(cost.desktop_days), processes) as pool:
            design = simulated(small, prior, cost, seed, pool, progress(cost.text) if progress else None)
    elif design.key != key_of(small, prior, cost, seed):
        allowed = "its pools are of another scenario, time, seed or version"
        raise ParameterError("design", design.cost.text, allowed, "Leave it out.")
    return Calibration(given, looks, design, seed, ahead, posterior_of(design, looks, seed))


def _cost(
    looks: Looks,
    given: Scenario,
    ahead: int,
    policies: Sequence[str] | None,
    clones: int | None,
    points: int | None,
    budget: float | None,
) -> Cost:
    if type(ahead) is not int or not 1 <= ahead <= MOST_AHEAD:
        raise ParameterError("ahead", ahead, f"a whole number of days from 1 to {MOST_AHEAD} is needed")
    days = int(np.ceil(looks.last - 1e-6)) + ahead
    return cost_of(len(prior_of(given, policies).policies), days, clones, points, budget)


def _start(looks: Looks) -> dt.date | None:
    """Date on which simulated pools start: that on which the clones were made; the scenario's without dates."""
    if not looks.history.dated:
        return None
    found: dt.date = looks.born.date()
    return found
