"""What counters tell about a lock, quantity by quantity: an interval, how sure, and what a scenario takes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.planning.lock_evidence import Conflicts, Delay
from clonesim.planning.lock_exposure import TOPIC, Lun
from clonesim.planning.lock_posterior import Priors, retries
from clonesim.planning.locks_per_operation import PerOperation
from clonesim.scenario import catalog

SHARES = (0.05, 0.5, 0.95)
TIGHT = 0.2  # relative standard error up to which locks per operation count as measured
TOGETHER = 0.5  # correlation of logarithms that is told
MEASURED, DERIVED, PRIOR = "measured", "derived", "prior"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quantity:
    """One thing that counters may tell.

    Attributes
    ----------
    name, key, unit : str
        What it is; its name in the catalog's topic `locks`, or nothing.
    p5, p50, p95 : float
        Its interval and its median.
    kind : str
        MEASURED, DERIVED or PRIOR.
    shrinkage : float
        How far counters narrow it; NaN where nothing was known before. [1]
    how : str
        How it was found, and what it rests on.
    setting : float, int or None
        What a scenario takes; None for nothing.
    """

    name: str
    key: str
    unit: str
    p5: float
    p50: float
    p95: float
    kind: str
    shrinkage: float
    how: str
    setting: Any = None

    def row(self) -> dict[str, Any]:
        """As a row of `LockEstimate.table`."""
        return {
            "quantity": self.name,
            "key": self.key,
            "unit": self.unit,
            "p5": self.p5,
            "p50": self.p50,
            "p95": self.p95,
            "kind": self.kind,
            "shrinkage": self.shrinkage,
            "how": self.how,
        }


def _of(
    name: str, key: str, unit: str, values: Floats, before: float | None, how: str, kind: str = MEASURED
) -> Quantity:
    """Quantity of draws; a prior where counters narrow it too little from the spread of logarithms that was before."""
    shrinkage = math.nan
    if before is not None:
        shrinkage = 1.0 - float(np.log(values).std()) / before
        kind = kind if shrinkage >= catalog.value(TOPIC, "told") else PRIOR
    low, middle, high = np.quantile(values, SHARES)
    told = kind != PRIOR and bool(key)
    return Quantity(name, key, unit, low, middle, high, kind, shrinkage, how, _within(key, middle) if told else None)


def _spread(*ends: tuple[float, float]) -> float:
    """Standard deviation of the logarithm of a product of factors, each even in the logarithm between its ends."""
    return math.sqrt(sum(math.log(high / low) ** 2 for low, high in ends) / 12)


def _within(key: str, value: float) -> float | int | None:
    """The value as a scenario may have it; None if it may not."""
    cited = catalog.parameters("locks")[key]
    whole = isinstance(cited.default, int)
    setting: float | int = round(value) if whole else float(f"{value:.6g}")
    low, high = (float(end) for end in cited.range)
    return setting if low <= setting <= high else None


def reservation_rows(
    luns: Sequence[Lun],
    seen: Conflicts,
    delay: Delay,
    draws: pd.DataFrame,
    priors: Priors,
    latency_s: float,
    confounded: list[str],
    notes: list[str],
) -> list[Quantity]:
    """Hold, back-off, commands of a reservation, and the share of time for which others reserve."""
    hold, backoff = (draws[name].to_numpy(np.float64) for name in ("hold_s", "backoff_s"))
    could = seen.guests + seen.locks
    how = f"{seen.count:.0f} conflicts, {could:.4g} per second of hold expected"
    rows = [_of("hold", "hold", "s", hold, _spread(priors.hold_s), how if could > 0 else "no other host was counted")]
    told = f"KAVG: {delay.mean_s * 1e3:.3g} ms per conflict" if math.isfinite(delay.mean_s) else "conflicts alone"
    rows.append(_of("back-off", "backoff", "s", backoff, _spread(priors.backoff_s), told))
    if rows[0].kind == MEASURED and math.isfinite(latency_s):
        key = "commands.scsi-reservation"
        name, why = "commands per reservation", f"hold over DAVG of {latency_s * 1e3:.3g} ms"
        commands = _of(name, key, "1", hold / latency_s, None, why, DERIVED)
        rows.append(commands)
        if commands.setting is None:
            low, high = catalog.parameters("locks")[key].range
            notes.append(
                f"A hold is {commands.p50:.3g} latencies of DAVG, and a scenario's {key} may be {low} to {high}: it is "
                "not set. A pool's holds follow the array's latency, so give them with the array's load in mind."
            )
    rows.append(_reserved(luns, seen, hold, rows[0].kind == MEASURED))
    _say_edge(rows[0], priors.hold_s, notes)
    if could <= 0:
        confounded.append(
            "Hold and others' RESV/s show only as their product, the share of time for which others reserve the LUN: "
            "count all hosts of the LUN, or say hosts=."
        )
    if rows[1].kind == PRIOR:
        confounded.append(
            "Back-off: while it is longer than a hold, each I/O meets a reservation about once, whatever the back-off; "
            "only the time in the kernel (KAVG) tells it."
        )
    else:
        confounded.append("Back-off and other time in the kernel that comes with conflicts: KAVG holds both.")
    together = float(np.corrcoef(np.log(hold), np.log(backoff))[0, 1])
    if abs(together) > TOGETHER:
        confounded.append(f"Hold and back-off: correlation of their logarithms {together:.2f}.")
    if math.isfinite(latency_s):
        confounded.append(
            "DAVG holds both the array's own time and what waits behind a lock there: hold over DAVG is the number of "
            "commands of a reservation only if these take as long as others."
        )
    confounded.append("Tries until a request fails: none of these counters tells it.")
    return rows


def _reserved(luns: Sequence[Lun], seen: Conflicts, hold: Floats, told: bool) -> Quantity:
    """Share of time for which the LUN is reserved: by all hosts, or by others than the one that was counted."""
    if told:
        locks = sum(float(np.nansum(lun.amounts["reservations"])) for lun in luns)
        seconds = sum(float(np.nanmax(np.nansum(lun.seconds, axis=1))) for lun in luns)
        whole = np.mean([lun.whole for lun in luns])
        return _of("reserved fraction", "", "1", locks * whole / seconds * hold, None, "RESV/s x hold, mean of LUNs")
    rng = np.random.default_rng(hold.size)
    met = rng.gamma(seen.count / seen.spread + 0.5, seen.spread, hold.size)
    values = np.minimum(met / max(seen.commands, 1.0), 1.0)
    return _of("reserved by others", "", "1", values, None, "conflicts over I/Os")


def _say_edge(hold: Quantity, ends: tuple[float, float], notes: list[str]) -> None:
    if hold.kind == MEASURED and (hold.p5 < ends[0] * 1.02 or hold.p95 > ends[1] / 1.02):
        notes.append(
            f"The hold lies at the edge of what is looked at ({ends[0] * 1e3:g} to {ends[1] * 1e3:g} ms): counters ask "
            "for more, or conflicts have another cause."
        )


def ats_rows(
    luns: Sequence[Lun],
    seen: Conflicts,
    draws: pd.DataFrame,
    priors: Priors,
    latency_s: float,
    confounded: list[str],
    notes: list[str],
) -> list[Quantity]:
    """Hold times chance of the same lock; the affinity that follows from it with the catalog's number of locks."""
    product, collision = (draws[name].to_numpy(np.float64) for name in ("hold_collision_s", "collision"))
    how = f"{seen.count:.0f} miscompares, {seen.locks:.4g} pairs per second of hold"
    known = math.isfinite(latency_s)
    before = _spread(priors.commands if known else priors.hold_s, priors.collision)
    by = "{:g} to {:g} latencies".format(*priors.commands) if known else "{:g} to {:g} s".format(*priors.hold_s)
    rows = [
        _of("ATS hold x collision", "", "s", product, before, how),
        _of(
            "ATS collision", "", "1", collision, _spread(priors.collision), f"the product over a hold of {by}", DERIVED
        ),
    ]
    confounded.append(
        "ATS: hold and the chance that two hosts want the same lock show only as their product; of that chance, the "
        "number of locks and the hosts' affinity show only together."
    )
    confounded.append(
        "ATS: miscompares and back-off: where it is shorter than a hold a request meets the same holder again and "
        "again. ATS that failed for other reasons count as miscompares."
    )
    if rows[0].kind != MEASURED or seen.count <= 0:
        notes.append("ATS: too few miscompares to tell more than that collisions are rare.")
        return rows
    if known:
        rows += _affinity(luns, draws, priors, latency_s, notes)
    return rows


def _affinity(
    luns: Sequence[Lun], draws: pd.DataFrame, priors: Priors, latency_s: float, notes: list[str]
) -> list[Quantity]:
    """Affinity with which the model's locks miss so often at its usual hold: chance = (1 - affinity^2) / locks."""
    clusters, commands = catalog.value("locks", "ats_clusters"), catalog.value("locks", "commands.ats")
    hosts = max(len(lun.hosts) * lun.whole for lun in luns)
    hold_s = np.full(len(draws), commands * latency_s)
    met = (draws["hold_collision_s"] * draws["retries"]).to_numpy(np.float64)
    chance = met / (hold_s * retries(hold_s, draws["backoff_s"].to_numpy(np.float64), priors.distribution))
    if np.median(chance) > 1:
        notes.append(
            f"ATS: locks collide more often than one lock for all allows at a hold of {commands} x "
            f"{latency_s * 1e3:.3g} ms: they are held longer than that; nothing is set."
        )
        return []
    why = f"a hold of {commands} x {latency_s * 1e3:.3g} ms, "
    if hosts > clusters:
        notes.append(
            f"ATS: with more hosts ({hosts:.0f}) than locks ({clusters}) hosts share their own; nothing is set."
        )
        return []
    if np.median(chance) * clusters <= 1:
        values = np.sqrt(np.clip(1.0 - chance * clusters, 0.0, 1.0))
        return [_of("ATS affinity", "ats_affinity", "1", values, None, f"{why}{clusters} locks", DERIVED)]
    fewer = _of("ATS locks", "ats_clusters", "1", 1.0 / chance, None, f"{why}no affinity", DERIVED)
    none = Quantity("ATS affinity", "ats_affinity", "1", 0.0, 0.0, 0.0, DERIVED, math.nan, "none is left", 0.0)
    return [fewer, none] if fewer.setting is not None else []


def operation_rows(found: Sequence[PerOperation], notes: list[str]) -> list[Quantity]:
    """Locks of each operation."""
    from scipy.stats import t

    rows = []
    for one in found:
        ends = [max(one.mean + float(t.ppf(share, one.freedom)) * one.error, 0.0) for share in SHARES]
        kind = MEASURED if one.mean > 0 and one.error <= TIGHT * one.mean else PRIOR
        setting = _within(one.key, one.mean) if kind == MEASURED else None
        if kind == MEASURED and setting is None:
            least, most = catalog.parameters("locks")[one.key].range
            notes.append(
                f"{one.mean:.3g} locks per {one.operation}: a scenario takes {least} to {most}; nothing is set."
            )
        how = f"{one.count:.0f} operations, {one.freedom} degrees of freedom, other locks as a constant rate"
        low, middle, high = ends
        name = f"locks per {one.operation}"
        rows.append(Quantity(name, one.key, "1", low, middle, high, kind, math.nan, how, setting))
    return rows
