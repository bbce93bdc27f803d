"""Where a volume's clusters stand: in use, ever written, held by a delta."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.guest.check import waiting_runs
from clonesim.guest.volume import Volume
from clonesim.units import format_size


def cluster_map(volume: Volume) -> pd.DataFrame:
    """State of every cluster of a volume, in order of place.

    Parameters
    ----------
    volume : Volume
        With or without snapshots.

    Returns
    -------
    DataFrame
        A row per cluster: `used`, allocated to a file (freed clusters that wait for their checkpoint are not);
        `ever_written`, as `Volume.ever_written` says; `in_delta`, whether a delta of the volume's chain holds some of
        it. `attrs` has `cluster_bytes` [B] and a caption.

    Examples
    --------
    >>> volume = Volume("64 MiB")
    >>> delta = volume.snapshot("vmfs-sparse")
    >>> volume.create("a", "8 MiB"); volume.delete("a"); volume.advance("10 s")
    >>> table = cluster_map(volume)
    >>> int((table["in_delta"] & ~table["used"]).sum()) * volume.cluster_size // 2**20
    8
    """
    used = volume.bitmap.copy()
    for start, length in waiting_runs(volume._arena):
        used[start : start + length] = False
    frame = pd.DataFrame({"used": used, "ever_written": volume.ever_written, "in_delta": _held(volume)})
    settings = volume.settings
    deltas = f"{', '.join(delta.format for delta in volume.deltas)} delta" if volume.deltas else "no snapshot yet"
    told = f"Volume {format_size(settings.disk_bytes)}, {settings.os}, policy {settings.policy}, {deltas}."
    frame.attrs |= {"cluster_bytes": volume.cluster_size, "caption": told}
    return frame


def _held(volume: Volume) -> NDArray[np.bool_]:
    """Clusters of which some delta holds a part."""
    change = np.zeros(volume.clusters + 1, np.int64)
    size, offset = volume.cluster_size, int(volume.settings.values["partition_offset"])
    for delta in volume.deltas:
        ranges = delta.grain_map() - offset
        first, end = (np.clip(at, 0, volume.clusters) for at in (ranges[:, 0] // size, -(-ranges[:, 1] // size)))
        np.add.at(change, first, 1)
        np.add.at(change, end, -1)
    return np.asarray(np.cumsum(change[:-1]) > 0)
