"""What was picked in words and as files: the answers, the table of a day, the scenario."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd

from clonesim.app.choices import DENSITIES, Picked
from clonesim.app.pools import Pools
from clonesim.planning.density import NOTHING, Density
from clonesim.planning.outlook import Outlook, full_day, growth_course, outlook, plan_of
from clonesim.planning.planned_pool import PlannedPool
from clonesim.plots.planner import wait_told
from clonesim.pool.strategies.layout import effective
from clonesim.scenario import commented
from clonesim.words import METRICS, counted, density_verdict, number, sized

DAILY = "Sizes by day; space in bytes, probabilities from 0 to 1."


@dataclass(frozen=True)
class Answer:
    """What a pick comes to.

    Attributes
    ----------
    picked : Picked
        What was picked.
    found : Outlook
        Frames.
    seen : tuple of (str, str)
        Short answers: question, figure.
    sentences : tuple of str
        The same, and how sure it is, in words.
    """

    picked: Picked
    found: Outlook
    seen: tuple[tuple[str, str], ...]
    sentences: tuple[str, ...]


class Planner:
    """Answers, with what they share worked out once."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self._plan = lru_cache(maxsize=32)(self._planned)
        self._growth = lru_cache(maxsize=32)(self._grown)

    def answer(self, picked: Picked) -> Answer:
        """Answers for a pick whose pool is there.

        Raises
        ------
        ScenarioError, ParameterError
            If what was picked cannot be.
        """
        pool, scenario = self._pool(picked), effective(picked.scenario())
        plan = self._plan(replace(picked, density=DENSITIES[0]))
        found = outlook(pool, scenario, plan, self._growth(self._desktop(picked)))
        return Answer(picked, found, _seen(picked, found), _sentences(picked, found))

    def _pool(self, picked: Picked) -> PlannedPool:
        return self.pools.ready(picked) or self.pools.get(picked)

    @staticmethod
    def _desktop(picked: Picked) -> Picked:
        """The same desktop on datastores that do not matter."""
        return Picked(picked.guest, picked.workload, picked.strategy, picked.policy)

    def _planned(self, picked: Picked) -> Density:
        return plan_of(self._pool(picked), effective(picked.scenario()), list(DENSITIES))

    def _grown(self, picked: Picked) -> pd.DataFrame:
        return growth_course(self._pool(picked))


def _seen(picked: Picked, found: Outlook) -> tuple[tuple[str, str], ...]:
    totals = found.paid.totals.iloc[0]
    wait = _row(found.plan, picked.density, "lock_wait")
    waited = "none" if wait is None else wait_told(wait["value"])
    return (
        (f"A desktop, largest in {len(found.growth)} days", sized(float(found.growth["p50"].max()))),
        (f"A LUN of {picked.density} is full", _when(found)),
        ("Wait for the lock, worst storm", waited),
        ("A desktop a month, example prices", number(float(totals["per_desktop_month"]))),
    )


def _when(found: Outlook) -> str:
    fill = found.fill
    day, risk = full_day(fill, np.nextafter(0, 1)), float(fill["p_full"].iloc[-1])
    return f"from day {day:.0f} ({number(100 * risk)} %)" if np.isfinite(day) else f"not in {len(fill)} days"


def _sentences(picked: Picked, found: Outlook) -> tuple[str, ...]:
    fill, growth, totals = found.fill, found.growth, found.paid.totals.iloc[0]
    days, last, most = len(fill), growth.iloc[-1], float(growth["p50"].max())
    limit = float(fill.attrs["limit_bytes"])
    told = [
        f"After {days} days half of the desktops own {sized(last['p50'])} or less, nine of ten between "
        f"{sized(last['p5'])} and {sized(last['p95'])}; on the day with most, half own up to {sized(most)}. "
        f"Which free clusters Windows picks is not published: under all policies, discards on or off, the medians go "
        f"from {sized(last['policies_low'])} to "
        f"{sized(last['policies_high'])}.",
        f"{counted(picked.desktops, 'desktop')}, {picked.density} to a LUN: {counted(found.luns, 'LUN')} of "
        f"{sized(limit)}, {sized(found.luns * limit)} in all. At its largest the median LUN is "
        f"{fill['p50'].max() / limit:.0%} full, {sized(fill.attrs['fixed_bytes'])} of it base images, swap files "
        f"and logs.",
        _risk(picked, found),
        _most(found.plan),
        _load(picked, found.plan),
        f"The pool costs {number(float(totals['present_value']))} over {number(found.paid.terms.months / 12)} years, "
        f"{number(float(totals['per_desktop']))} a desktop, {found.paid.currency}: all assumed, replace them with "
        f"your own (clonesim cost --prices).",
    ]
    return tuple(text for text in told if text)


def _risk(picked: Picked, found: Outlook) -> str:
    row = _row(found.plan, picked.density, "outage")
    if row is None:
        return ""
    low, value, high = (METRICS["outage"].text(row[name]) for name in ("low", "value", "high"))
    few = f"{number(found.fill.attrs['replicates'])} simulated pools say little about a risk"
    return f"Risk that such a LUN is full within {len(found.fill)} days: {value} % (interval {low} to {high} %); {few}."


def _most(plan: Density) -> str:
    """How many clones a LUN takes, as far as was simulated."""
    if plan.binding == NOTHING:
        return (
            f"All {plan.largest} clones that were simulated fit on one LUN; the command clonesim density looks at more."
        )
    return density_verdict(plan)[0]


def _load(picked: Picked, plan: Density) -> str:
    row = _row(plan, picked.density, "iops")
    if row is None:
        return ""
    array = picked.scenario().array
    over = " More than its disks and paths can do." if row["value"] > 1 else ""
    return (
        f"One array of {counted(array.disks, 'disk')} ({array.media}), as many for each desktop as in the packaged "
        f"scenario, is at most {row['value']:.0%} busy in the worst minute: as if all were as busy together as the few "
        f"simulated.{over}"
    )


def _row(plan: Density, n: int, metric: str) -> dict[str, float] | None:
    rows = plan.frame[(plan.frame["n"] == n) & (plan.frame["metric"] == metric)]
    return None if rows.empty else {name: float(rows[name].iloc[0]) for name in ("low", "value", "high", "limit")}


def scenario_toml(picked: Picked) -> str:
    """The scenario as a commented file for `clonesim run`."""
    return commented(picked.scenario())


def daily_csv(answer: Answer) -> str:
    """What the charts of growth and of the LUN show, a row per day; comments say what was picked."""
    growth, fill = answer.found.growth, answer.found.fill
    table = pd.DataFrame({"day": growth["day"]})
    table = table.assign(
        **{f"desktop_{name}_bytes": np.rint(growth[name]).astype(np.int64) for name in ("p5", "p50", "p95")}
    )
    names = ("policies_low", "policies_high")
    table = table.assign(**{f"desktop_p50_{name}_bytes": np.rint(growth[name]).astype(np.int64) for name in names})
    table = table.assign(**{f"lun_{name}_bytes": np.rint(fill[name]).astype(np.int64) for name in ("p5", "p50", "p95")})
    table = table.assign(lun_full_probability=fill["p_full"])
    head = [f"# {answer.picked.name}; {answer.picked.strategy}; {answer.picked.density} clones a LUN", f"# {DAILY}"]
    head.append(f"# {growth.attrs['caption']}")
    return "\n".join([*head, table.to_csv(index=False, lineterminator="\n")])
