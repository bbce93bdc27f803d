"""From counters of hosts to the lock of a LUN: how long it is held and backed off from, locks per operation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.keys import POOL, generator
from clonesim.lun.lock_model import DISTRIBUTIONS
from clonesim.planning.lock_evidence import Conflicts, Delay, kernel_delay, latency, of_ats, of_reservations
from clonesim.planning.lock_exposure import TOPIC, Lun, luns_of
from clonesim.planning.lock_posterior import Priors, ats_draws, reservation_draws
from clonesim.planning.lock_quantities import MEASURED, Quantity, ats_rows, operation_rows, reservation_rows
from clonesim.planning.locks_per_operation import locks_per_operation
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.ingest.esxtop import Counters

COARSER = 4
APART = 0.1  # relative difference of exposures from which clocks and bursts are talked about
STEADY, BEATS = 0.05, 0.8  # hosts' quietest bins have so much of the rate of heartbeats where there are any

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class LockEstimate:
    """The lock of LUNs, from counters; made by `lock_estimate`.

    Attributes
    ----------
    locking : str
        "scsi-reservation", "ats-only" or "ats+scsi", by what was counted.
    table : DataFrame
        A row per quantity: `quantity`, `key` (in a scenario's table luns.locks; empty if it is none), `unit`, `p5`,
        `p50`, `p95`; `kind`: "measured", "derived" (from measured ones and an assumption that `how` names) or "prior"
        (counters do not tell it); `shrinkage`, how far counters narrow it [1]; `how`.
    luns : DataFrame
        A row per device: `device`, `hosts`, `minutes`, `commands_per_s`, `reservations_per_s`, `conflicts_per_s`,
        `ats_per_s`, `ats_failed_per_s` of all hosts together [1/s], `reserved_fraction` at the median hold on average
        and in the worst bin (`reserved_worst`) [1].
    draws : DataFrame
        Draws of what is possible: `hold_s`, `backoff_s`; `ats_hold_s`, `ats_backoff_s`, `collision`,
        `hold_collision_s`.
    confounded : tuple of str
        What these counters cannot tell apart.
    notes : tuple of str
        What was taken for granted or is doubtful.
    """

    locking: str
    table: pd.DataFrame
    luns: pd.DataFrame
    draws: pd.DataFrame
    confounded: tuple[str, ...]
    notes: tuple[str, ...]
    settings: tuple[Quantity, ...] = ()

    def __repr__(self) -> str:
        """Locking, and what was measured."""
        told = [
            f"{row['quantity']} {row['p50']:.3g} {row['unit'] if row['unit'] != '1' else ''}".rstrip()
            for row in self.table.to_dict("records")
            if row["kind"] == "measured"
        ]
        return f"LockEstimate({self.locking}; {', '.join(told) or 'nothing is told'})"

    def overrides(self, *, locking: bool = True) -> dict[str, Any]:
        """Tables for `load_scenario`: `luns.locks` as measured (or derived), `luns.locking`, and their marks.

        Parameters
        ----------
        locking : bool, default True
            Whether the kind of locking is set too; a backing without it refuses it.

        Examples
        --------
        >>> scenario = load_scenario("windows-7-vmfs3", **estimate.overrides())  # doctest: +SKIP
        """
        locks = {one.key: one.setting for one in self.settings if one.setting is not None}
        tables: dict[str, Any] = {"locks": locks} if locks else {}
        if locking:
            tables["locking"] = self.locking
        rows = self.measured.to_dict("records")[0 if locking else 1 :]
        marks = {row["key"]: f"{row['kind']}: {row['how']}" for row in rows}
        return {"luns": tables, "marks": marks} if tables else {}

    @property
    def measured(self) -> pd.DataFrame:
        """What `overrides` sets: `key`, `value`, `unit`, `kind`, `how`."""
        rows = [("luns.locking", self.locking, "name", "measured", "which of RESV/s and ATS are above 0")]
        rows += [
            (f"luns.locks.{one.key}", one.setting, one.unit, one.kind, one.how)
            for one in self.settings
            if one.setting is not None
        ]
        return pd.DataFrame(rows, columns=["key", "value", "unit", "kind", "how"])


def lock_estimate(
    counters: Counters,
    *,
    device: str | Sequence[str] | None = None,
    hosts: int | None = None,
    operations: pd.DataFrame | None = None,
    distribution: str = "uniform",
    bin_s: float | None = None,
    kernel: bool = True,
    failed_are_tries: bool = False,
    heartbeats: bool | None = None,
    seed: int = 0,
) -> LockEstimate:
    """Hold time, back-off and locks per operation of LUNs, from counters of their hosts.

    Parameters
    ----------
    counters : Counters
        Of `read_counters`, of all hosts that use the LUNs if possible.
    device : str or sequence of str, optional
        LUNs that are looked at; by default all on which locks were taken, as if they had one kind of lock.
    hosts : int, optional
        Hosts that use each LUN, where not all were counted: the others are taken to lock as often as these. [1]
    operations : DataFrame, optional
        What was done meanwhile, for locks per operation: see `locks_per_operation`; `growth_steps(listing.history)`
        makes it from listings.
    distribution : {"uniform", "exponential"}, default "uniform"
        Of back-offs: assumed.
    bin_s : float, optional
        Stretch over which hosts' counters are compared; by default six samples. [s]
    kernel : bool, default True
        Whether KAVG is taken to hold the time for which guests' I/Os back off: it alone tells the back-off where that
        is longer than a hold. Assumed.
    failed_are_tries : bool, default False
        Whether FRESV/s counts each try of a lock that meets a reservation.
    heartbeats : bool, optional
        Whether hosts' ATS include heartbeats on the LUN (one in 3 s), which meet nobody; by default found from the
        quietest stretches.
    seed : int, default 0
        Key of the draws.

    Returns
    -------
    LockEstimate
        `.table`, `.overrides()`, `.confounded`, `.notes`.

    Raises
    ------
    ParameterError
        If no lock was counted, or a parameter is not allowed.

    Notes
    -----
    Guest I/Os of a host meet other hosts' reservations as often as these hold the LUN: conflicts over (I/Os x others'
    RESV/s) is the hold. docs/lock-counters.md has the formulas, and how intervals were checked on simulated counters.

    Examples
    --------
    >>> estimate = lock_estimate(read_counters("esxtop/"))  # doctest: +SKIP
    >>> estimate.table[["quantity", "p5", "p50", "p95", "kind"]]  # doctest: +SKIP
    """
    if distribution not in DISTRIBUTIONS:
        raise ParameterError("distribution", distribution, f"allowed are {', '.join(map(repr, DISTRIBUTIONS))}")
    only = [device] if isinstance(device, str) else device
    notes: list[str] = []
    luns = luns_of(counters.devices, hosts, only, bin_s, notes)
    priors, count = Priors.of_catalog(distribution), catalog.value(TOPIC, "draws")
    locking = _locking(luns)
    rows: list[Quantity] = []
    parts: list[pd.DataFrame] = []
    confounded: list[str] = []
    if locking != "ats-only":
        seen = of_reservations(luns)
        failed = _failed(luns) if failed_are_tries else math.nan
        delay = kernel_delay(luns, failed_are_tries) if kernel else Delay(math.nan, math.nan)
        rng = generator(seed, 0, POOL, "pool:lock-reservations")
        draws = reservation_draws(seen, delay, priors, count, rng, failed)
        rows += reservation_rows(luns, seen, delay, draws, priors, latency(luns, "device_s"), confounded, notes)
        parts.append(draws)
        _say_bins(luns, seen, hosts, notes)
    if locking != "scsi-reservation":
        floor = _floor(luns, heartbeats, notes)
        missed = of_ats(luns, floor)
        took_s = latency(luns, "ats_s")
        took_s = took_s if math.isfinite(took_s) else latency(luns, "device_s")
        rng = generator(seed, 0, POOL, "pool:lock-ats")
        found = ats_draws(missed, took_s, priors, count, rng)
        rows += ats_rows(luns, missed, found, priors, took_s, confounded, notes)
        parts.append(found.rename(columns={"hold_s": "ats_hold_s", "backoff_s": "ats_backoff_s"}))
    if operations is not None:
        rows += operation_rows(locks_per_operation(luns, operations, notes), notes)
    else:
        notes.append("Locks per operation need what was done meanwhile: operations=growth_steps(listing.history).")
    table = pd.DataFrame([one.row() for one in rows])
    hold = next((one.p50 for one in rows if one.name == "hold" and one.kind == MEASURED), math.nan)
    return LockEstimate(
        locking,
        table,
        _luns_frame(luns, hold),
        pd.concat(parts, axis=1),
        tuple(confounded),
        (*counters.notes, *notes),
        tuple(rows),
    )


def _locking(luns: Sequence[Lun]) -> str:
    reserved = sum(float(np.nansum(lun.amounts["reservations"])) for lun in luns)
    swapped = sum(float(np.nansum(lun.amounts["ats"])) for lun in luns)
    if reserved > 0:
        return "ats+scsi" if swapped > 0 else "scsi-reservation"
    return "ats-only"


def _failed(luns: Sequence[Lun]) -> float:
    """Tries of locks that met a reservation, where they were counted with the conflicts. [1]"""
    count = 0.0
    for lun in luns:
        good = np.isfinite(lun.amounts["conflicts"]) & np.isfinite(lun.rate_of_others(lun.amounts["reservations"]))
        part = lun.amounts["failed"][good]
        if not np.isfinite(part).all():
            return math.nan
        count += float(np.minimum(part, lun.amounts["conflicts"][good]).sum())
    return count


def _floor(luns: Sequence[Lun], heartbeats: bool | None, notes: list[str]) -> float:
    """Rate of a host's heartbeats by ATS. [1/s]"""
    rate = 1.0 / float(catalog.value("locks", "heartbeat.interval"))
    quiet = [
        float(np.quantile(one[np.isfinite(one)], STEADY))
        for lun in luns
        for one in lun.amounts["ats"] / lun.seconds
        if np.isfinite(one).any()
    ]
    there = heartbeats if heartbeats is not None else bool(quiet) and min(quiet) >= BEATS * rate
    if heartbeats is None and there:
        notes.append(
            f"Even in their quietest stretches hosts send {min(quiet):.2g} ATS/s: {rate:.2g} of them are taken as "
            "heartbeats, which meet nobody (heartbeats=False otherwise)."
        )
    return rate if there else 0.0


def _say_bins(luns: Sequence[Lun], seen: Conflicts, hosts: int | None, notes: list[str]) -> None:
    """Doubts about clocks, bursts and hosts that were not counted."""
    if seen.of and seen.bins < 0.5 * seen.of:
        notes.append(
            f"Only {seen.bins} of {seen.of} stretches have counters of all hosts of their LUN; the rest is left out."
        )
    longer = of_reservations([lun.coarser(COARSER) for lun in luns])
    if seen.guests > 0 and longer.guests > 0:
        change = (longer.guests / max(longer.commands, 1.0)) / (seen.guests / max(seen.commands, 1.0)) - 1.0
        if abs(change) > APART:
            notes.append(
                f"Stretches {COARSER} times as long as {luns[0].bin_s:g} s would change the hold by {-change:+.0%}: "
                "hosts lock and write in bursts, so clocks that are apart matter."
            )
    if hosts is not None and any(lun.others > 0 for lun in luns):
        notes.append(f"Hosts that were not counted are taken to lock as often as those that were (hosts={hosts}).")


def _luns_frame(luns: Sequence[Lun], hold_s: float) -> pd.DataFrame:
    rows = []
    for lun in luns:
        seconds = float(np.nansum(lun.seconds, axis=1).max())
        row: dict[str, Any] = {"device": lun.device, "hosts": len(lun.hosts), "minutes": seconds / 60}
        for name in ("commands", "reservations", "conflicts", "ats", "ats_failed"):
            counted = np.isfinite(lun.amounts[name]).any()
            row[f"{name}_per_s"] = float(np.nansum(lun.amounts[name])) / seconds if counted else math.nan
        in_bins = np.nansum(lun.amounts["reservations"] / lun.seconds, axis=0)
        row["reserved_fraction"] = row["reservations_per_s"] * hold_s
        row["reserved_worst"] = float(in_bins.max()) * hold_s
        rows.append(row)
    return pd.DataFrame(rows)
