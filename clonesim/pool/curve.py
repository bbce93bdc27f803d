"""Growth of one delta over time, and of many that start at different times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.ingest import Trace
from clonesim.lun.intervals import NS, quantile
from clonesim.ops import BlockOp
from clonesim.pool.placement import Placement


@dataclass(frozen=True, slots=True)
class Curve:
    """Growth of one delta that starts at time 0."""

    end_ns: int  # last command of the trace
    step_ns: NDArray[np.int64]  # (k,) when the file grows
    bytes_after: NDArray[np.int64]  # (k + 1,) file size before the first and after each step
    write_ns: NDArray[np.int64]  # (n,) when the guest writes
    written: NDArray[np.int64]  # (n + 1,) bytes written before the first and after each write
    shrinking: Delta | None  # where discards may shorten the file between its growth steps

    @classmethod
    def of(cls, trace: Trace, delta: Delta, empty_bytes: int) -> Curve:
        """Take the growth of a delta that `replay` made from a trace; `empty_bytes` is its file size when created."""
        rows = trace.requests
        writes = rows[rows.writes]
        steps = delta.increments
        return cls(
            end_ns=int(_ns(rows.time_s[-1:])[0]) if len(rows) else 0,
            step_ns=_ns(steps["time_s"].to_numpy()),
            bytes_after=np.concatenate(([empty_bytes], steps["file_bytes"].to_numpy())).astype(np.int64),
            write_ns=_ns(writes.time_s),
            written=np.concatenate(([0], np.cumsum(writes.length))),
            shrinking=delta if (rows.op == BlockOp.DISCARD).any() else None,
        )

    def sizes(self, age_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """File size before each age, in bytes; negative ages are those of clones that have not started."""
        if self.shrinking is None:
            return self.bytes_after[np.searchsorted(self.step_ns, age_ns, side="left")]
        at_s = (age_ns - 0.5) / NS  # half a nanosecond before: a table row counts its own second
        return self.shrinking.table(at=at_s)["file_bytes"].to_numpy(np.int64)


def _ns(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(seconds * NS).astype(np.int64)


def growth_rows(
    borders: NDArray[np.int64], curve: Curve, placed: Placement, luns: int
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Frame of the deltas at the end of each interval, and their sums by interval and LUN."""
    rows, used = [], np.zeros((borders.size - 1, luns), np.int64)
    ages = borders[1:, None] - placed.start_ns[None, :]
    sizes = curve.sizes(ages.ravel()).reshape(ages.shape)
    for number, age_ns in enumerate(ages):
        size = sizes[number]
        written = curve.written[np.searchsorted(curve.write_ns, age_ns, side="left")]
        np.add.at(used[number], placed.lun, size)
        rows.append((size.mean(), int(quantile(size, 0.95)), int(size.max()), int(size.sum()), int(written.sum())))
    columns = ["delta_mean_bytes", "delta_p95_bytes", "delta_max_bytes", "delta_total_bytes", "written_total_bytes"]
    frame = pd.DataFrame(rows, columns=columns)
    frame.insert(0, "time_s", borders[:-1] / NS)
    frame.insert(1, "end_s", borders[1:] / NS)
    return frame, used
