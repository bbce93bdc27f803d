"""Samples of `esxtop -b` as rows: lengths of samples, and rates of what the file has as totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clonesim.ingest.dates import MICROSECONDS
from clonesim.ingest.esxtop_header import COUNTERS, COUNTS
from clonesim.ingest.esxtop_rows import Samples

AtsKind = Literal["total", "interval"]
JITTER_S = 1.0  # times are whole seconds
FALLS = 0.05  # share of changes that may be falls in totals: hosts that were started anew

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one file under one header, group after group.

    Attributes
    ----------
    host, device, object : (n,) object array
        What is counted.
    time : (n,) int64 array
        End of the sample: microseconds since 1970, UTC.
    interval_s : (n,) float64 array
        Length of the sample. [s]
    values : (n, counters) float64 array
        In the order of COUNTERS.
    zone : str
        Time zone as the file names it.
    gaps : int
        Samples that came more than two intervals late.
    resets : int
        Totals that fell.
    """

    host: NDArray[np.object_]
    device: NDArray[np.object_]
    object: NDArray[np.object_]
    time: Ints
    interval_s: Floats
    values: Floats
    zone: str
    gaps: int
    resets: int


def ats_kind(samples: Sequence[Samples], notes: list[str]) -> AtsKind:
    """Whether the columns ATS and ATS Failed are totals: what never falls is."""
    rises = falls = 0
    for one in samples:
        places = [number for number, column in enumerate(one.head.columns) if column.name in COUNTS]
        if places:
            change = np.diff(np.stack(one.values)[:, places], axis=0)
            rises, falls = rises + int((change > 0).sum()), falls + int((change < 0).sum())
    kind: AtsKind = "total" if falls <= FALLS * (rises + falls) else "interval"
    if rises + falls:
        why = "they never fall" if not falls else f"they fall {falls} of {rises + falls} times that they change"
        meant = "totals since the host's start" if kind == "total" else "counts of each sample"
        notes.append(f"ATS and ATS Failed are taken as {meant}: {why}. Say ats='total' or 'interval' otherwise.")
    return kind


def block_of(samples: Samples, names: Mapping[str, str], kind: AtsKind) -> Block:
    """Rows of a file's samples after the first one."""
    head = samples.head
    ticks = np.array(samples.ticks, np.int64)
    values = np.stack(samples.values)
    order = np.argsort(ticks, kind="stable")
    ticks, values = ticks[order], values[order]
    step_s = np.diff(ticks) / MICROSECONDS
    usual = float(np.median(step_s))
    late = step_s > 3 * max(usual, JITTER_S)
    interval_s = np.where((np.abs(step_s - usual) <= JITTER_S) | late, usual, step_s)
    interval_s = np.maximum(interval_s, 0.5)  # several samples in one second of the clock
    n, count = interval_s.size, len(head.groups)
    found = np.full((count, n, len(COUNTERS)), np.nan)
    resets = 0
    for number, column in enumerate(head.columns):
        part = values[1:, number] * column.unit
        name = COUNTS.get(column.name, column.name)
        if column.name in COUNTS:
            rate = np.diff(values[:, number]) if kind == "total" else part
            resets += int((rate < 0).sum())
            part = np.where((rate >= 0) & ~(late & (kind == "total")), rate / interval_s, np.nan)
        found[column.group, :, COUNTERS.index(name)] = part
    host, what, device = (np.empty(count, object) for _ in range(3))
    for number, (one, kind_of, named) in enumerate(head.groups):
        host[number], what[number], device[number] = names[one], kind_of, named
    return Block(
        np.repeat(host, n),
        np.repeat(device, n),
        np.repeat(what, n),
        np.tile(ticks[1:] + head.offset_s * MICROSECONDS, count),
        np.tile(interval_s, count),
        found.reshape(count * n, len(COUNTERS)),
        head.zone,
        int(late.sum()),
        resets,
    )
