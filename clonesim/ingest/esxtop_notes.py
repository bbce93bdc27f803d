"""What is doubtful about counters: what was not counted, clocks, gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from clonesim.ingest.esxtop_rates import Block

if TYPE_CHECKING:
    import pandas as pd

WANTED = {  # counter -> what esxtop calls it, and where to switch it on
    "reservations_per_s": "RESV/s (reservation statistics)",
    "conflicts_per_s": "CONS/s (reservation statistics)",
    "ats_per_s": "ATS (VAAI statistics)",
    "ats_failed_per_s": "ATSF (VAAI statistics)",
    "commands_per_s": "CMDS/s (I/O statistics)",
    "device_s": "DAVG/cmd (latency statistics)",
    "kernel_s": "KAVG/cmd (latency statistics)",
}
TOGETHER = 0.9  # share of a host's time that the others should have counted too
MOST_NAMED = 5


def notes_of(devices: pd.DataFrame, blocks: Sequence[Block]) -> Iterator[str]:
    """Sentences about what was read."""
    missing = [told for name, told in WANTED.items() if devices[name].isna().all()]
    if missing:
        yield (
            f"Not counted: {', '.join(missing)}. In esxtop: 'u', 'f', choose them, 'W' saves the choice, "
            "'esxtop -b -c FILE' records it."
        )
    if devices["read_bytes_per_s"].notna().any():
        yield "MBytes are taken as MiB; esxtop does not say which it means."
    zones = sorted({block.zone for block in blocks if block.zone})
    if len(zones) > 1:
        yield f"Files name different time zones ({', '.join(zones)}); all times were turned into UTC."
    gaps, resets = sum(block.gaps for block in blocks), sum(block.resets for block in blocks)
    if gaps:
        yield f"{gaps} samples came late; each counts for a usual interval, and the time before it is a gap."
    if resets:
        yield f"{resets} totals of ATS fell: a host was started anew; these samples have no ATS rate."
    yield from _clocks(devices)


def _clocks(devices: pd.DataFrame) -> Iterator[str]:
    """Say where hosts were not recorded at the same time by their clocks."""
    spans = devices.groupby("host")["time"].agg(["min", "max"])
    lengths = devices.groupby("host")["interval_s"].median()
    if len(spans) < 2:
        return
    start, end = spans["min"].max(), spans["max"].min()
    shortest = (spans["max"] - spans["min"]).min().total_seconds()
    shared = max((end - start).total_seconds(), 0.0)
    apart = (spans["min"].max() - spans["min"].min()).total_seconds()
    if shared < TOGETHER * shortest:
        first, last = spans["min"].idxmin(), spans["min"].idxmax()
        yield (
            f"By their clocks hosts were recorded together for {shared / 60:.0f} of {shortest / 60:.0f} min: {first} "
            f"began {apart / 60:.0f} min before {last}. If they were started together, a clock is off: set it by NTP."
        )
    if lengths.max() > 1.5 * lengths.min():
        yield f"Hosts sample every {lengths.min():g} to {lengths.max():g} s; what is put together uses the longest."
    seen = devices[devices["object"] == "device"].groupby("device")["host"].nunique()
    lone = seen.index[seen == 1]
    if len(lone) and len(lone) < len(seen):
        named = ", ".join(lone[:MOST_NAMED]) + (" ..." if len(lone) > MOST_NAMED else "")
        yield f"{len(lone)} of {len(seen)} devices are seen by one host only: {named}."
