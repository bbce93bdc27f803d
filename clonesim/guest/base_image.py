"""The base image that clones are made from: a volume aged to its fullness, with the files that write sources expect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.guest.activity import Activity
from clonesim.guest.volume import Volume
from clonesim.guest.write_sources import BLOCK
from clonesim.ingest.limits import most, or_raise
from clonesim.ops import OPS_DTYPE, FileOp
from clonesim.scenario import catalog
from clonesim.units import MIB, format_size

STEP_S = 0.01  # between two operations of the ageing


@dataclass(frozen=True, slots=True)
class BaseImage:
    """A volume as clones find it.

    Attributes
    ----------
    volume : Volume
        At time 0, before its first snapshot.
    first_file : int
        Lowest file number that a plan may use: the one of `Activity.base_files` and `Activity.plan`.
    """

    volume: Volume
    first_file: int


def base_image(
    volume: Volume, activity: Activity, used: int, rng: np.random.Generator, bitmap: NDArray[np.bool_] | None = None
) -> BaseImage:
    """Fill a fresh volume as an installed desktop is filled.

    The sources' own files (page file, hives, mail cache, ...) come first, then files of lognormal size come and go
    until the volume holds `used` bytes. Or, with `bitmap`, the clusters of a measured image are taken.

    Parameters
    ----------
    volume : Volume
        Freshly made.
    activity : Activity
        What the clones will do.
    used : int
        Bytes in use at the end. [B]
    rng : Generator
        Draws the sizes, and which files go.
    bitmap : (clusters,) bool array, optional
        Which clusters of a measured image are in use; clusters beyond its end are free. System files lie where this
        volume has them.

    Raises
    ------
    ParameterError
        If the sources' files and the file system's own take more than `used`.
    """
    own = activity.base_bytes
    if own + volume.used_bytes > used:
        need = -(-(own + volume.used_bytes) // MIB) * MIB
        allowed = f"the page file, caches and databases in use need {format_size(need)}"
        raise ParameterError("guest.used", format_size(used), allowed, "Raise guest.used, or switch sources off.")
    volume.begin_image()
    if bitmap is not None:
        volume.occupy(bitmap)
        image = _with_base_files(volume, activity, 0)
        volume.seal()
        return image
    ageing = {name: parameter.default for name, parameter in catalog.group("ageing", "image").items()}
    others = used - own - volume.used_bytes
    peak = min(others * ageing["peak"], others + ageing["most_full"] * volume.settings.disk_bytes - used)
    maker = _Ager(volume, rng, ageing["size_mu"], ageing["size_sigma"], int(ageing["size_cap"]))
    numbers = int(1.5 * peak / maker.mean_bytes) + 1000
    image = _with_base_files(volume, activity, -(-numbers // BLOCK) * BLOCK)
    for _ in range(int(ageing["rounds"]) + 1):
        maker.fill(int(peak), numbers)
        maker.empty(used)
    volume.seal()
    return image


def read_bitmap(path: str | Path) -> NDArray[np.bool_]:
    """Clusters in use by a copy of $Bitmap: a bit a cluster, lowest bit first. (clusters,) bool array.

    Raises
    ------
    ParameterError
        If the file is empty or longer than the bitmap of the largest volume.
    """
    size = Path(path).stat().st_size
    allowed = most("bitmap_bytes")
    if not 0 < size <= allowed:
        told = f"a copy of $Bitmap has 1 B to {format_size(allowed)}"
        remedy = or_raise("bitmap_bytes", "Take the volume's $Bitmap")
        raise ParameterError("guest.start.bitmap", str(path), told, remedy)
    return np.unpackbits(np.fromfile(path, np.uint8), bitorder="little").view(np.bool_)


class _Ager:
    """Files that come and go on a volume; their numbers are used again."""

    def __init__(self, volume: Volume, rng: np.random.Generator, mu: float, sigma: float, cap: int) -> None:
        self.volume, self.rng, self.law, self.cap = volume, rng, (mu, sigma), cap
        self.live = np.zeros(0, np.int64)
        self.clusters = np.zeros(0, np.int64)  # of each live file
        self.time_s = volume.clock
        draws = np.minimum(np.exp(np.random.default_rng(0).normal(mu, sigma, 100_000)), cap)
        self.mean_bytes = float(self._clusters(draws.astype(np.int64)).mean()) * volume.cluster_size

    def _clusters(self, size: NDArray[np.int64]) -> NDArray[np.int64]:
        resident = self.volume.settings.values["resident_limit"]
        found: NDArray[np.int64] = np.where(size <= resident, 0, -(-size // self.volume.cluster_size))
        return found

    def fill(self, target: int, numbers: int) -> None:
        """Create files until there are about `target` bytes of them, or numbers run out."""
        spare = target - int(self.clusters.sum()) * self.volume.cluster_size
        free = np.setdiff1d(np.arange(numbers), self.live)
        size = np.minimum(np.exp(self.rng.normal(*self.law, free.size)), self.cap).astype(np.int64)
        clusters = self._clusters(size)
        count = int(np.searchsorted(np.cumsum(clusters) * self.volume.cluster_size, spare))
        refused = self._apply(FileOp.CREATE, free[:count], size[:count])
        made = np.array([number in self.volume for number in free[:count].tolist()]) if refused else slice(None)
        self.live = np.concatenate([self.live, free[:count][made]])
        self.clusters = np.concatenate([self.clusters, clusters[:count][made]])

    def empty(self, target: int) -> None:
        """Delete files, drawn at random, until the volume holds about `target` bytes; a file too large stays."""
        self.volume.advance(60.0)
        left = (self.volume.used_bytes - target) // self.volume.cluster_size
        order, gone = self.rng.permutation(self.live.size), np.zeros(0, np.int64)
        while left > 0 and order.size:
            order = order[self.clusters[order] <= left]
            count = int(np.searchsorted(np.cumsum(self.clusters[order]), left, side="right"))
            gone, left = np.append(gone, order[:count]), left - int(self.clusters[order[:count]].sum())
            order = order[count:]
        self._apply(FileOp.DELETE, self.live[gone], 0)
        self.live, self.clusters = np.delete(self.live, gone), np.delete(self.clusters, gone)
        self.volume.advance(60.0)
        self.time_s = self.volume.clock

    def _apply(self, op: FileOp, file: NDArray[np.int64], length: NDArray[np.int64] | int) -> int:
        ops = np.zeros(file.size, OPS_DTYPE)
        ops["op"], ops["file"], ops["length"] = op, file, length
        ops["time_s"] = self.time_s + STEP_S * np.arange(1, file.size + 1)
        refused = self.volume.apply(ops, skip_refused=True)
        self.time_s = self.volume.clock
        return refused


def _with_base_files(volume: Volume, activity: Activity, first_file: int) -> BaseImage:
    files = activity.base_files(first_file)
    ops = np.zeros(len(files), OPS_DTYPE)
    ops["file"], ops["length"] = [number for number, _ in files], [size for _, size in files]
    ops["time_s"] = volume.clock
    volume.apply(ops)
    return BaseImage(volume, first_file)
