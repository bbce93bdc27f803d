"""The state of an NTFS volume: which clusters are in use, and how the free ones lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_BYTES_AT_ONCE = 2**20


@dataclass(frozen=True)
class Ntfs:
    """An NTFS volume as an image holds it.

    Attributes
    ----------
    offset, size : int
        Where the volume begins on the disk, and how long it is. [B]
    sector_size, cluster_size, record_size : int
        Sector, cluster and MFT record. [B]
    clusters : int
        Clusters of the volume.
    mft_bytes : int
        Size of $MFT. [B]
    mft_runs : (n, 2) int64 array
        Where $MFT lies: first cluster and clusters of each run.
    version : str
        Of NTFS, such as "3.1".
    dirty : bool
        Whether the volume was not shut down cleanly.
    bits : (n,) uint8 array
        $Bitmap: a bit a cluster, lowest first, bits behind the last cluster cleared.
    notes : tuple of str
        What a reader should know.
    """

    offset: int
    size: int
    sector_size: int
    cluster_size: int
    clusters: int
    record_size: int
    mft_bytes: int
    mft_runs: NDArray[np.int64]
    version: str
    dirty: bool
    bits: NDArray[np.uint8]
    notes: tuple[str, ...] = ()

    @property
    def bitmap(self) -> NDArray[np.bool_]:
        """Which clusters are in use. (clusters,) bool array."""
        return np.unpackbits(self.bits, count=self.clusters, bitorder="little").view(np.bool_)

    @cached_property
    def used(self) -> int:
        """Clusters in use."""
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    @property
    def free(self) -> int:
        """Clusters that are free."""
        return self.clusters - self.used

    @property
    def used_bytes(self) -> int:
        """In use. [B]"""
        return self.used * self.cluster_size

    @property
    def free_bytes(self) -> int:
        """Free. [B]"""
        return self.free * self.cluster_size

    @property
    def fullness(self) -> float:
        """Share of the clusters in use, 0 to 1."""
        return self.used / self.clusters

    @cached_property
    def free_runs(self) -> NDArray[np.int64]:
        """Runs of free clusters, in order: first cluster and clusters. (n, 2) array."""
        starts, ends = [], []
        before = True  # whether the cluster before is in use
        for first in range(0, self.bits.size, _BYTES_AT_ONCE):
            part = self.bits[first : first + _BYTES_AT_ONCE]
            count = min(8 * part.size, self.clusters - 8 * first)
            used = np.unpackbits(part, count=count, bitorder="little").view(np.bool_)
            previous = np.concatenate([[before], used[:-1]])
            starts.append(np.flatnonzero(previous & ~used) + 8 * first)
            ends.append(np.flatnonzero(~previous & used) + 8 * first)
            before = bool(used[-1])
        begin, end = np.concatenate(starts), np.concatenate(ends)
        if not before:
            end = np.append(end, self.clusters)
        return np.column_stack([begin, end - begin]).astype(np.int64)

    @property
    def free_run_histogram(self) -> pd.DataFrame:
        """Free runs by their length, in powers of two.

        Returns
        -------
        DataFrame
            A row for each power from 1 to the longest run's: from_clusters, to_clusters (both included), runs,
            clusters, bytes.
        """
        import pandas as pd

        lengths = self.free_runs[:, 1]
        power = np.frexp(lengths.astype(np.float64))[1] - 1
        bins = int(power.max()) + 1 if lengths.size else 0
        runs = np.bincount(power, minlength=bins).astype(np.int64)
        clusters = np.zeros(bins, np.int64)
        np.add.at(clusters, power, lengths)
        low = np.left_shift(np.int64(1), np.arange(bins, dtype=np.int64))
        columns = {"from_clusters": low, "to_clusters": 2 * low - 1, "runs": runs, "clusters": clusters}
        return pd.DataFrame(columns | {"bytes": clusters * self.cluster_size})

    @property
    def mft_zone(self) -> tuple[int, int] | None:
        """Free clusters directly behind $MFT: first cluster and clusters; None where a file follows it at once.

        NTFS keeps its MFT zone in memory and writes it nowhere; this free run is what an image shows of it.
        """
        if not len(self.mft_runs):
            return None
        after = int(self.mft_runs[-1].sum())
        here = np.flatnonzero(self.free_runs[:, 0] == after)
        return (after, int(self.free_runs[here[0], 1])) if here.size else None

    def free_ranges(self) -> NDArray[np.int64]:
        """Free parts of the disk: first byte and end. (n, 2) array. [B]"""
        begin, length = self.free_runs[:, 0], self.free_runs[:, 1]
        return self.offset + np.column_stack([begin, begin + length]) * self.cluster_size
