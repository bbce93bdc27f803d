"""Tables of a simulated pool, put together from its batches and LUNs in an order that no worker can change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.guest.presence import DAY_S
from clonesim.pool.clones import AMOUNTS, GROWTH, Batch
from clonesim.pool.luns import LunResult
from clonesim.pool.timeline import Timeline

Ints = NDArray[np.int64]


def growth_frame(batches: Sequence[Batch], timelines: Sequence[Timeline], luns: Sequence[LunResult]) -> pd.DataFrame:
    """Rows of `run.growth`: sizes of every clone at the end of each day."""
    halts, lines = halts_of(luns), {line.replicate: line for line in timelines}
    parts = []
    for batch in batches:
        clones, disks, days = batch.growth.shape[:3]
        timeline = lines[batch.job.replicate]
        ends = DAY_S * np.arange(1, days + 1)
        host = np.stack([timeline.hosts.at(c, ends) for c in batch.job.clones]).astype(np.int32)
        lun = np.stack([timeline.lun_at(c, ends, before=True) for c in batch.job.clones]).astype(np.int32)
        halt = np.array([halts[batch.job.replicate].get(c, np.inf) for c in batch.job.clones])
        rows: dict[str, Any] = {
            "replicate": np.full(clones * disks * days, batch.job.replicate, np.int32),
            "day": np.tile(np.arange(days, dtype=np.int32), clones * disks),
            "clone": np.repeat(np.array(batch.job.clones, np.int32), disks * days),
            "disk": np.tile(np.repeat(np.arange(disks, dtype=np.int8), days), clones),
            "lun": np.repeat(lun, disks, axis=0).reshape(-1),
            "host": np.repeat(host, disks, axis=0).reshape(-1),
        }
        rows |= {name: batch.growth[..., k].reshape(-1) for k, name in enumerate(GROWTH)}
        rows["censored"] = np.repeat(ends[None, :] > halt[:, None], disks, axis=0).reshape(-1)
        parts.append(pd.DataFrame(rows))
    frame = pd.concat(parts, ignore_index=True)
    return frame.sort_values(["replicate", "day", "clone", "disk"], ignore_index=True)


def sources_frame(batches: Sequence[Batch], names: Sequence[str]) -> pd.DataFrame:
    """Rows of `run.sources`: bytes of every clone, day and write source; sources without any bytes are left out."""
    parts = []
    for batch in batches:
        clone, disk, day, source = np.nonzero(batch.sources.any(axis=4))
        rows: dict[str, Any] = {
            "replicate": np.full(clone.size, batch.job.replicate, np.int32),
            "day": day.astype(np.int32),
            "clone": np.array(batch.job.clones, np.int32)[clone],
            "disk": disk.astype(np.int8),
            "source": source.astype(np.int16),
        }
        amounts = batch.sources[clone, disk, day, source]
        rows |= {name: amounts[:, k] for k, name in enumerate(AMOUNTS)}
        parts.append(pd.DataFrame(rows))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.sort_values(["replicate", "day", "clone", "disk", "source"], ignore_index=True)
    frame["source"] = pd.Categorical.from_codes(frame["source"].to_numpy(), pd.Index(names))
    return frame


def increments_frame(luns: Sequence[LunResult]) -> pd.DataFrame:
    """Rows of `run.increments`: every growth step that took place."""
    parts = [
        pd.DataFrame(
            {
                "replicate": np.full(lun.time_s.size, lun.replicate, np.int32),
                "time_s": lun.time_s,
                "clone": lun.clone.astype(np.int32),
                "disk": lun.disk,
                "lun": np.full(lun.time_s.size, lun.lun, np.int32),
                "host": lun.host,
            }
        )
        for lun in luns
    ]
    frame = pd.concat(parts, ignore_index=True)
    return frame.sort_values(["replicate", "time_s", "clone"], kind="stable", ignore_index=True)


def halts_frame(luns: Sequence[LunResult]) -> pd.DataFrame:
    """Rows of `run.halts`: every desktop that went down because its datastore was full."""
    parts = [lun.fill.halts.assign(replicate=np.int32(lun.replicate), lun=np.int32(lun.lun)) for lun in luns]
    frame = pd.concat(parts, ignore_index=True)
    columns = ["replicate", "lun", "clone", "time_s", "cause", "down_s"]
    return frame[columns].sort_values(["replicate", "time_s", "clone"], ignore_index=True)


def halts_of(luns: Sequence[LunResult]) -> Mapping[int, Mapping[int, float]]:
    """By replicate, then clone: when it went down, on whatever LUN it lay then; infinite if never. [s]"""
    found: dict[int, dict[int, float]] = {}
    for lun in luns:
        mine = found.setdefault(lun.replicate, {})
        for clone, halt_s in zip(lun.fill.clones.tolist(), lun.fill.halt_s.tolist(), strict=True):
            mine[clone] = min(halt_s, mine.get(clone, np.inf))
    return found
