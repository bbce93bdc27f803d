"""Counters of the hosts of a LUN on common stretches of time: how often who could have met whose reservation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError, nearest
from clonesim.scenario import catalog

TOPIC = "lock_counters"
AMOUNTS = {  # what is summed up -> the rate that it comes of
    "commands": "commands_per_s",
    "reservations": "reservations_per_s",
    "conflicts": "conflicts_per_s",
    "failed": "failed_reservations_per_s",
    "ats": "ats_per_s",
    "ats_failed": "ats_failed_per_s",
}
TIMES = {"device_s": "commands", "kernel_s": "commands", "ats_s": "ats"}  # mean -> what it is the mean over

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lun:
    """What hosts counted of one LUN, bin by bin.

    Attributes
    ----------
    device : str
        Its name.
    hosts : tuple of str
        Who counted.
    start : Timestamp
        Of the first bin.
    bin_s : float
        Length of a bin. [s]
    seconds : (hosts, bins) float64 array
        Time that was counted. [s]
    amounts : dict of str to (hosts, bins) float64 array
        Numbers by the names of AMOUNTS; NaN where not counted. [1]
    totals : dict of str to (hosts, bins) float64 array
        Sums over commands (or ATS) of the latencies by the names of TIMES. [s]
    others : float
        Hosts that lock this LUN and were not counted, over those that were, beside the one that looks; 0 for none. [1]
    """

    device: str
    hosts: tuple[str, ...]
    start: pd.Timestamp
    bin_s: float
    seconds: Floats
    amounts: dict[str, Floats]
    totals: dict[str, Floats]
    others: float

    def rate_of_others(self, amount: Floats) -> Floats:
        """Rate at which hosts other than each one did something; NaN where one of them was not counted. [1/s]"""
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = amount / self.seconds
        rest = rate.sum(axis=0) - rate
        if len(self.hosts) == 1:
            return np.asarray(rate * self.others)
        return np.asarray(rest * (1.0 + self.others))

    @property
    def whole(self) -> float:
        """Hosts that use it over those that were counted. [1]"""
        seen = len(self.hosts)
        return 1.0 + self.others if seen == 1 else ((seen - 1) * (1.0 + self.others) + 1.0) / seen

    def coarser(self, times: int) -> Lun:
        """The same in bins so many times as long."""
        count = -(-self.seconds.shape[1] // times)

        def joined(values: Floats) -> Floats:
            padded = np.full((values.shape[0], count * times), np.nan)
            padded[:, : values.shape[1]] = values
            parts = padded.reshape(values.shape[0], count, times)
            counted = np.isfinite(parts)
            return np.where(counted.any(axis=2), np.where(counted, parts, 0.0).sum(axis=2), np.nan)

        return Lun(
            self.device, self.hosts, self.start, self.bin_s * times, joined(self.seconds),
            {name: joined(values) for name, values in self.amounts.items()},
            {name: joined(values) for name, values in self.totals.items()}, self.others,
        )  # fmt: skip


def luns_of(
    devices: pd.DataFrame, hosts: int | None, only: Sequence[str] | None, bin_s: float | None, notes: list[str]
) -> list[Lun]:
    """LUNs on which locks were taken.

    Parameters
    ----------
    devices : DataFrame
        Of `read_counters`.
    hosts : int, optional
        Hosts that use each LUN, where not all were counted. [1]
    only : sequence of str, optional
        Names of the LUNs wanted.
    bin_s : float, optional
        Length of a bin; by default the catalog's number of the longest samples. [s]
    notes : list of str
        Doubts are added to it.

    Raises
    ------
    ParameterError
        If a name is unknown, the number of hosts is too small, or no lock was counted.
    """
    table = devices[devices["object"] == "device"]
    table = _with_commands(_chosen(table, only))
    if table.empty:
        remedy = "NFS has no such locks; save the screen of disk devices ('u')."
        raise ParameterError("counters", "no block devices", "counters of block devices are needed", remedy)
    length = float(table.groupby("host")["interval_s"].median().max())
    width = bin_s if bin_s is not None else length * catalog.value(TOPIC, "bins")
    if not length <= width < float("inf"):
        raise ParameterError("bin_s", width, f"allowed are times from {length:g} s up, the longest sample")
    found = [_lun(str(name), own, width, hosts) for name, own in table.groupby("device", sort=True)]
    locked = [one for one in found if _locks(one) > 0]
    if not locked:
        told = "no reservation and no ATS was counted" if found else "no device was counted"
        remedy = "Record RESV/s, CONS/s and ATS while desktops boot, grow or are refreshed."
        raise ParameterError("counters", f"{len(found)} devices", told, remedy)
    if len(locked) < len(found):
        notes.append(f"{len(found) - len(locked)} of {len(found)} devices took no lock and are left out.")
    return locked


def _chosen(table: pd.DataFrame, only: Sequence[str] | None) -> pd.DataFrame:
    names = sorted(set(table["device"]))
    for name in only or ():
        if name not in names:
            remedy = nearest(name, names) or f"Known are {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}."
            raise ParameterError("device", name, "no such device was counted", remedy)
    return table if only is None else table[table["device"].isin(list(only))]


def _with_commands(table: pd.DataFrame) -> pd.DataFrame:
    """The same, with reads and writes for commands where these were not counted."""
    both = table["reads_per_s"] + table["writes_per_s"]
    return table.assign(commands_per_s=table["commands_per_s"].fillna(both))


def _locks(one: Lun) -> float:
    return float(np.nansum(one.amounts["reservations"]) + np.nansum(one.amounts["ats"]))


def _lun(name: str, table: pd.DataFrame, width: float, hosts: int | None) -> Lun:
    names = tuple(sorted(set(table["host"])))
    if hosts is not None and (isinstance(hosts, bool) or not isinstance(hosts, int) or hosts < len(names)):
        allowed = f"{name} was counted by {len(names)} hosts; allowed are whole numbers from there"
        raise ParameterError("hosts", hosts, allowed, "Give the number of all hosts that use the LUN.")
    others = 0.0
    if hosts is not None:
        others = float(hosts - 1) if len(names) == 1 else (hosts - 1) / (len(names) - 1) - 1.0
    middle = table["time"] - pd.to_timedelta(table["interval_s"] / 2, unit="s")
    start = middle.min().floor("1s")
    place = ((middle - start).dt.total_seconds().to_numpy() / width).astype(np.int64)
    host = pd.Categorical(table["host"], categories=list(names)).codes.astype(np.int64)
    shape = (len(names), int(place.max()) + 1)
    seconds = table["interval_s"].to_numpy(np.float64)

    def summed(values: Floats) -> Floats:
        flat = np.bincount(host * shape[1] + place, values, shape[0] * shape[1])
        return np.asarray(flat.reshape(shape))

    rates = {what: table[column].to_numpy(np.float64) * seconds for what, column in AMOUNTS.items()}
    means = {what: table[what].to_numpy(np.float64) * rates[over] for what, over in TIMES.items()}
    return Lun(
        name, names, start, width, _held(summed(seconds)),
        {what: summed(values) for what, values in rates.items()},
        {what: summed(np.where(rates[TIMES[what]] == 0, 0.0, values)) for what, values in means.items()}, others,
    )  # fmt: skip


def _held(seconds: Floats) -> Floats:
    """Counted time; NaN of bins that were not counted, so that nothing is made of them."""
    return np.where(seconds > 0, seconds, np.nan)


def pieces(count: int, most: int) -> Iterator[slice]:
    """Stretches of bins that follow each other, as many as wanted at most."""
    edges = np.linspace(0, count, min(most, count) + 1).astype(int)
    for first, last in pairwise(edges):
        yield slice(int(first), int(last))
