"""What clones' disks hold of each write source, day by day: for deduplication and compression."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.pool.strategies.layout import OS

Floats = NDArray[np.float64]
Net = Callable[[int], Floats]  # day -> (clones, disks, sources): first touches minus what was released [B]


def held_by_source(unique: Floats, net: Net, image: bool = False) -> Iterator[Floats]:
    """Bytes by clone and source at the end of each day, the image's own content last.

    Parameters
    ----------
    unique : (clones, disks, days) float64 array
        What each disk holds. [B]
    net : callable
        First touches minus releases of a day, by clone, disk and source. [B]
    image : bool, default False
        Whether the system disk holds the image as well, as a full clone's does.

    Yields
    ------
    (clones, sources + 1) float64 array
        Sums over a clone's disks, whose total is that of `unique`. [B]

    Notes
    -----
    What a disk holds is shared out by what the sources touched first so far, less what was released: exact where no
    disk was emptied; where one was, as if all sources had their usual parts in what was written since.
    """
    touched = np.zeros(0)
    for day in range(unique.shape[2]):
        touched = net(day) + touched if touched.size else net(day)
        weight = np.maximum(touched, 0.0)
        rest = np.zeros(unique.shape[:2])
        if image:
            rest[:, OS] = np.maximum(unique[:, OS, day] - weight[:, OS].sum(axis=1), 0.0)
        weight = np.concatenate([weight, rest[..., None]], axis=2)
        total = weight.sum(axis=2)
        weight[..., 0] += total == 0  # nothing known: the file system's own
        held = weight / np.maximum(total, 1.0)[..., None] * unique[:, :, day, None]
        yield held.sum(axis=1)


def net_of_frame(sources: pd.DataFrame, clones: int, disks: int) -> Net:
    """The callable of `held_by_source` for the rows of one replicate in `run.sources`."""
    names = len(sources["source"].cat.categories)
    days = sources["day"].to_numpy()
    order = np.argsort(days, kind="stable")
    days = days[order]
    place = tuple(
        column.to_numpy()[order] for column in (sources["clone"], sources["disk"], sources["source"].cat.codes)
    )
    amount = (sources["first_touch_bytes"] - sources["released_bytes"]).to_numpy(np.float64)[order]

    def net(day: int) -> Floats:
        rows = slice(*np.searchsorted(days, (day, day + 1)))
        found = np.zeros((clones, disks, names))
        np.add.at(found, tuple(column[rows] for column in place), amount[rows])
        return found

    return net
