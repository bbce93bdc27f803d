"""What a simulated pool came to: frames, summary, files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clonesim.lun.backing import backing
from clonesim.lun.datastore import Fill
from clonesim.lun.outage import first_full_day, outage_by_day
from clonesim.lun.space import FixedSpace
from clonesim.pool.run_files import save_run
from clonesim.scenario.model import Scenario
from clonesim.units import format_size

FRAMES = ("growth", "increments", "sources", "luns", "peaks", "halts", "locks", "operations", "outages")
SHARES = {"delta_p5_bytes": 0.05, "delta_p50_bytes": 0.5, "delta_p95_bytes": 0.95}  # quantiles told of deltas
TOP_SOURCES = 10


@dataclass(frozen=True)
class Run:
    """A simulated pool.

    Attributes
    ----------
    scenario : Scenario
        What was simulated.
    seed, replicates : int
        How it was drawn.
    growth : DataFrame
        A row per replicate, day, clone and disk, at the end of the day: `lun`, `host`; `delta_bytes`, the delta's file;
        `guest_used_bytes`, what the guest sees as used; `written_bytes`, all that the guest wrote so far;
        `unique_bytes`, what the delta holds of it; `censored`, whether the desktop was down by then, its figures being
        what it would have come to with room. [B]
    increments : DataFrame
        A row per growth step of a delta's file: `replicate`, `time_s`, `clone`, `disk`, `lun`, `host`. Formats without
        an increment have one a minute at most.
    sources : DataFrame
        A row per replicate, day, clone, disk and write source: `written_bytes`, `first_touch_bytes` (grains that the
        source was the first to write), `released_bytes` (grains given back by its discards) of that day. First touches
        minus releases, added up, are the delta's grains.
    luns : DataFrame
        A row per replicate, LUN and hour, as `clonesim.lun.lun_frame` says; `delta_read_iops`, the part of the reads
        that the delta serves [1/s].
    peaks : DataFrame
        The worst minute per LUN and day, as `clonesim.lun.peaks` says.
    halts : DataFrame
        A row per desktop that went down because its datastore was full.
    locks : DataFrame
        A row per replicate, LUN and host (-1: all hosts together), as `clonesim.lun.lock_frame` says, over the whole
        time: RESV/s, CONS/s, reserved fraction, waits, failed requests; `io_met_fraction`, share of the guests' I/Os
        that meet another host's reservation [1], `io_delay_s`, mean delay of those [s], NaN where there are none; and
        `heartbeats_late`, expected number of heartbeats delayed until the alarm [1].
    operations : DataFrame
        A row per replicate, LUN and kind of operation, as `clonesim.lun.operation_frame` says: lock requests,
        conflicts, failures and how long an operation took to get its locks.
    outages : DataFrame
        A row per time that a host was down, as `clonesim.pool.storm_frame.outage_frame` says.
    fills : tuple of Fill
        The datastores, in order of replicate and LUN.
    fixed : FixedSpace
        What lies on the first LUN beside the deltas.
    refused_operations : int
        File operations left out because a guest's own volume was full. [1]
    refused_logons : int
        Logons refused because too many users were logged on, or no clone was free. [1]
    band : DataFrame or None
        The policy band, where it was asked for (`policy_band`).
    """

    scenario: Scenario
    seed: int
    replicates: int
    growth: pd.DataFrame
    increments: pd.DataFrame
    sources: pd.DataFrame
    luns: pd.DataFrame
    peaks: pd.DataFrame
    halts: pd.DataFrame
    locks: pd.DataFrame
    operations: pd.DataFrame
    outages: pd.DataFrame
    fills: tuple[Fill, ...]
    fixed: FixedSpace
    refused_operations: int
    refused_logons: int
    band: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        label = self.label
        for name in FRAMES:
            frame = getattr(self, name)
            frame.attrs["caption"] = label
            frame.attrs["start"] = self.scenario.pool.start.isoformat()
            frame.attrs["horizon_s"] = self.scenario.horizon_s

    @property
    def label(self) -> str:
        """One line on what was simulated and what it rests on."""
        s = self.scenario
        discards = "discards" if s.guest.discards else "no discards"
        return (
            f"{s.pool.clones} desktops x {s.pool.days} days, {s.guest.name}, workload {s.workload.name} (rates mostly "
            f"assumed), {s.delta.format} on {s.luns.backing}, allocation policy {s.guest.policy} (a hypothesis), "
            f"{discards}; seed {self.seed}, replicates {self.replicates}."
        )

    @cached_property
    def hash(self) -> str:
        """Hash of all frames' bytes: equal for equal scenario and seed, whatever did the work."""
        digest = hashlib.sha256()
        for name in FRAMES:
            frame = getattr(self, name)
            for column in frame.columns:
                values = frame[column]
                if isinstance(values.dtype, pd.CategoricalDtype):
                    values = values.cat.codes
                array = values.to_numpy()
                text = array.astype(str).tobytes() if array.dtype == object else np.ascontiguousarray(array).tobytes()
                digest.update(f"{name}.{column}".encode() + text)
        return digest.hexdigest()

    @cached_property
    def desktops(self) -> pd.DataFrame:
        """Growth of desktops, all disks of a clone added up: `replicate`, `day`, `clone`, `censored`, and bytes. [B]"""
        names = [name for name in self.growth.columns if name.endswith("_bytes")]
        found = self.growth.groupby(["replicate", "day", "clone"])[[*names, "censored"]].sum().reset_index()
        found["censored"] = found["censored"] > 0
        return found

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The pool in a few numbers; bytes [B], times in days from the start [d]."""
        last = self.growth[self.growth["day"] == self.scenario.pool.days - 1]
        delta, desktops = last["delta_bytes"].to_numpy(), self.desktops[self.desktops["day"] == last["day"].max()]
        desktop_days = self.scenario.pool.clones * self.scenario.pool.days * self.replicates
        where = backing(self.scenario.luns.backing)
        allocated = int(where.allocated(delta.astype(np.int64)).sum()) // self.replicates
        found: dict[str, Any] = {
            "desktops": self.scenario.pool.clones,
            "days": self.scenario.pool.days,
            "replicates": self.replicates,
            **{name: float(np.quantile(desktops["delta_bytes"], share)) for name, share in SHARES.items()},
            "delta_mean_bytes": float(desktops["delta_bytes"].mean()),
            "delta_total_bytes": int(delta.sum()) // self.replicates,
            "datastore_total_bytes": allocated,
            "array_total_bytes": where.array_bytes(allocated),
            "written_a_desktop_day_bytes": float(last["written_bytes"].sum()) / desktop_days,
            "guest_used_mean_bytes": float(desktops["guest_used_bytes"].mean()),
            "growth_steps": len(self.increments),
            "locks_a_second_max": float((self.luns["reservations"] + self.luns["ats"]).max()) / 3600.0,
            "conflicts_a_second_max": float((self.luns["conflicts"] + self.luns["miscompares"]).max()) / 3600.0,
            "reserved_fraction_max": float(self.luns["reserved_fraction"].max()),
            "wait_p99_max_s": float(self.luns["wait_p99_s"].max()),
            "locks_failed": int(self.luns["locks_failed"].sum()),
            "iops_max60": float(self.peaks["iops"].max()),
            "latency_p95_max_s": float(self.luns["latency_p95_s"].max()),
            "refused_operations": self.refused_operations,
            "refused_logons": self.refused_logons,
        }
        return found | self._outages() | {"sources": self.source_shares.head(TOP_SOURCES).to_dict()}

    @cached_property
    def storms(self) -> pd.DataFrame:
        """How long the pool's storms last, as `clonesim.pool.storm_frame` says."""
        from clonesim.pool.storm_frame import storm_frame

        return storm_frame(self.scenario)

    @cached_property
    def source_bytes(self) -> pd.DataFrame:
        """Bytes of all desktops by write source, largest part of the deltas first. [B]

        Columns of `sources`, and `held_bytes`: what of its first touches is left after its own discards.
        """
        columns = ["written_bytes", "first_touch_bytes", "released_bytes"]
        sums = self.sources.groupby("source", observed=True)[columns].sum()
        sums["held_bytes"] = sums["first_touch_bytes"] - sums["released_bytes"]
        return sums.sort_values(["held_bytes", "written_bytes"], ascending=False)

    @cached_property
    def source_shares(self) -> pd.Series[float]:
        """Each source's share of what the deltas hold, largest first. [1]"""
        held = self.source_bytes["held_bytes"]
        return held / max(int(held.sum()), 1)

    @property
    def first_full_s(self) -> list[list[float]]:
        """By replicate: first full time of each datastore; infinite if never. [s]"""
        per = len(self.fills) // self.replicates
        return [[fill.first_full_s for fill in self.fills[r * per : (r + 1) * per]] for r in range(self.replicates)]

    @cached_property
    def outage(self) -> pd.DataFrame:
        """Probability that some datastore has been full by the end of each day, with its interval over replicates."""
        return outage_by_day(self.first_full_s, self.scenario.pool.days)

    @cached_property
    def first_full(self) -> pd.DataFrame:
        """Day on which the first datastore is full: quantiles over replicates with intervals."""
        return first_full_day(self.first_full_s, self.scenario.pool.days, self.scenario.pool.start)

    def _outages(self) -> dict[str, Any]:
        last = self.outage.iloc[-1]
        first = min(min(part) for part in self.first_full_s)
        lead = [fill.lead_s for fill in self.fills if fill.full]
        return {
            "datastores": len(self.fills) // self.replicates,
            "datastores_full": sum(fill.full for fill in self.fills),
            "first_full_day": first / 86400.0 if np.isfinite(first) else None,
            "p_outage": float(last["p_outage"]),
            "p_outage_low": float(last["p_low"]),
            "p_outage_high": float(last["p_high"]),
            "desktops_down": len(self.halts),
            "warning_lead_days": {
                f"{share:.0%}": min(part[share] for part in lead) / 86400.0 for share in (lead[0] if lead else {})
            },
        }

    def save(self, folder: str | Path, table_format: str = "parquet") -> list[Path]:
        """Write all frames and `run.json` (scenario, seed, versions, hash, summary) into a folder."""
        text = json.dumps(self.scenario.to_dict(), sort_keys=True)
        about = {
            "scenario": self.scenario.to_dict(),
            "scenario_hash": hashlib.sha256(text.encode()).hexdigest(),
            "seed": self.seed,
            "replicates": self.replicates,
            "frames_hash": self.hash,
        }
        tables = {name: getattr(self, name) for name in FRAMES} | {"storms": self.storms}
        if self.band is not None:
            tables["band"] = self.band
        return save_run(folder, table_format, tables, about, self.summary)

    def __repr__(self) -> str:
        s = self.summary
        return (
            f"<Run {s['desktops']} desktops, {s['days']} days, {s['replicates']} replicates: delta median "
            f"{format_size(int(s['delta_p50_bytes']))}>"
        )


def joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Frames of the same columns, one below the other."""
    return pd.concat(frames, ignore_index=True)
