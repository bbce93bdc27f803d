"""The four sizes of a simulated pool, a desktop: what the guests see, deltas, datastores, array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.guest.presence import DAY_S
from clonesim.lun.backing import backing
from clonesim.lun.space import FixedSpace
from clonesim.pool.clones import AMOUNTS, GROWTH, STEPS, Batch
from clonesim.pool.desktop import activity_of
from clonesim.pool.strategies.array_side import dedup_bytes, thin_dead_space
from clonesim.pool.strategies.content import Net, held_by_source, net_of_frame
from clonesim.pool.strategies.course import Course
from clonesim.pool.strategies.layout import effective, on_the_lun
from clonesim.scenario import catalog
from clonesim.scenario.model import Scenario
from clonesim.scenario.strategy import unmap_mode

if TYPE_CHECKING:
    from clonesim.pool.luns import LunResult
    from clonesim.pool.replicates import Replicate
    from clonesim.pool.run import Run

GUEST, DELTA, DATASTORE, ARRAY = "guest", "delta", "datastore", "array"
SIZES: Final = (GUEST, DELTA, DATASTORE, ARRAY)
FIGURES: Final = ("mean_bytes", "p95_bytes", "peak_bytes", "end_bytes")
P95: Final = 0.95
ELSEWHERE: Final = -1  # in place of a LUN's number: other datastores and file shares
FILE: Final = ["clone", "disk"]  # what tells one file of a replicate from another
BASE_IMAGE: Final = "base image"

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def four_sizes(run: Run, steps: pd.DataFrame | None = None, reuse: bool = True) -> pd.DataFrame:
    """Guest, delta, datastore and array bytes of a desktop, over the whole time.

    Parameters
    ----------
    run : Run
        A simulated pool; `run.scenario.strategy` says which thin LUNs and deduplication there are.
    steps : DataFrame, optional
        Every growth step, as `steps_frame` makes it. Without, files are known at the ends of days only, and count as
        if they had been so large all day: what comes and goes within a day is not seen.
    reuse : bool, default True
        Whether datastores write into dead space of a thin LUN first; see `thin_dead_space`.

    Returns
    -------
    DataFrame
        A row per `replicate` and `size` (guest, delta, datastore, array), all in bytes a desktop: `mean_bytes`, over
        desktops and time; `p95_bytes`, which 95 % of all desktops' ends of days do not pass; `peak_bytes`, the most
        that all together came to at any time, divided by the desktops; `end_bytes`, the mean at the end.

    Notes
    -----
    What a datastore holds beside the files of clones (swap files, logs, base images) counts for the desktops alike,
    and so does what the array keeps beyond, or saves of, the datastores' bytes. Desktops that went down because a
    datastore was full count as if there had been room. Deduplication is worked out at the end of each day, and over
    all LUNs where these share their disks. The array has the copies that the backing makes; those of RAID are left out.
    """
    every = _steps_by_day(run.growth) if steps is None else steps
    per = len(run.fills) // run.replicates
    tables = []
    for replicate in range(run.replicates):
        growth = run.growth[run.growth["replicate"] == replicate]
        sources = run.sources[run.sources["replicate"] == replicate]
        guest = _cube(growth, "guest_used_bytes")
        fixed = sum(fill.fixed for fill in run.fills[replicate * per : (replicate + 1) * per])
        pool = PoolSizes(
            scenario=run.scenario,
            steps=every[every["replicate"] == replicate],
            guest=guest,
            unique=_cube(growth, "unique_bytes"),
            lun=growth.drop_duplicates("clone").sort_values("clone")["lun"].to_numpy(),
            net=net_of_frame(sources, *guest.shape[:2]),
            beside=fixed,
            images=_images(run.fixed) * per,
            luns=per,
            room=float(run.scenario.luns.size - fixed // per),
            reuse=reuse,
        )
        tables.append(pool.table(replicate))
    return pd.concat(tables, ignore_index=True)


def sizes_of(scenario: Scenario, one: Replicate, luns: Sequence[LunResult], reuse: bool = True) -> pd.DataFrame:
    """The same of one replicate as it comes out of the second stage, exact at every growth step.

    Parameters
    ----------
    scenario, one, luns, reuse
        As of `PoolSizes.of`.
    """
    return PoolSizes.of(scenario, one, luns, reuse).table(one.number)


def steps_frame(batches: Sequence[Batch]) -> pd.DataFrame:
    """Growth steps of all disks: `replicate`, `lun`, `time_s`, `clone`, `disk`, `size`; those that shrink, too."""
    parts = [
        pd.DataFrame(
            {"replicate": np.int32(batch.job.replicate)}
            | {name: getattr(batch, name) for name in STEPS if name != "host"}
        )
        for batch in batches
    ]
    return pd.concat(parts, ignore_index=True)


def _steps_by_day(growth: pd.DataFrame) -> pd.DataFrame:
    """Steps of files that have the size of a day's end all day."""
    keys = ["replicate", *FILE]
    found = growth[[*keys, "lun", "day", "delta_bytes"]].sort_values([*keys, "day"])
    before = found.groupby(keys)["delta_bytes"].shift(fill_value=0)
    return found.assign(time_s=DAY_S * found["day"], size=found["delta_bytes"] - before)


def _cube(growth: pd.DataFrame, column: str) -> Floats:
    """A column of one replicate's growth by clone, disk and day."""
    places = [growth[name].to_numpy() for name in ("clone", "disk", "day")]
    found = np.zeros([int(place.max()) + 1 for place in places])
    found[tuple(places)] = growth[column]
    return found


def _images(fixed: FixedSpace) -> int:
    """Base images on a LUN. [B]"""
    table = fixed.table
    return int(table.loc[table["item"] == BASE_IMAGE, "total_bytes"].sum())


@dataclass
class PoolSizes:
    """Sizes of one replicate over time; made by `PoolSizes.of`, or from its frames.

    Attributes
    ----------
    scenario : Scenario
        Its strategies say which thin LUNs and deduplication there are.
    steps : DataFrame
        Growth steps of all files, as of `steps_frame`.
    guest, unique : (clones, disks, days) float64 array
        At the ends of days: used inside, and what the files hold. [B]
    lun : (clones,) int array
        Of each clone.
    net : callable
        As of `content.held_by_source`.
    beside : int
        What lies on all LUNs together from the start beside the clones' files. [B]
    images : int
        Base images among it. [B]
    luns : int
        Number of them. [1]
    room : float
        What the clones' files of a LUN can take of it. [B]
    reuse : bool
        As of `four_sizes`.
    extra : dict of int to (times, sizes)
        Growth steps on a LUN that are of no clone. [s, B]
    part : float
        Share of the clones that these are of all, who have one LUN for base images alone if they have any. [1]
    """

    scenario: Scenario
    steps: pd.DataFrame
    guest: Floats
    unique: Floats
    lun: NDArray[np.integer]
    net: Net
    beside: float
    images: float
    luns: int
    room: float
    reuse: bool
    extra: Mapping[int, tuple[Floats, Ints]] = field(default_factory=dict)
    part: float = 1.0

    @classmethod
    def of(cls, scenario: Scenario, one: Replicate, luns: Sequence[LunResult], reuse: bool = True) -> Self:
        """Sizes of a replicate as it comes out of the second stage.

        Parameters
        ----------
        scenario : Scenario
            As it was simulated; strategies that only the array feels may have been added since.
        one : Replicate
            The clones.
        luns : sequence of LunResult
            Their LUNs.
        reuse : bool, default True
            As in `four_sizes`.
        """
        order = np.argsort(np.concatenate([batch.job.clones for batch in one.batches]))
        growth = np.concatenate([batch.growth for batch in one.batches])[order]
        written = np.concatenate([batch.sources for batch in one.batches])[order]
        touched, released = AMOUNTS.index("first_touch_bytes"), AMOUNTS.index("released_bytes")

        def net(day: int) -> Floats:
            of_day = written[:, :, day]
            found: Floats = (of_day[..., touched] - of_day[..., released]).astype(np.float64)
            return found

        beside = sum(lun.fixed.fixed_bytes for lun in luns)
        return cls(
            scenario=scenario,
            steps=steps_frame(one.batches),
            guest=growth[..., GROWTH.index("guest_used_bytes")].astype(np.float64),
            unique=growth[..., GROWTH.index("unique_bytes")].astype(np.float64),
            lun=np.asarray(one.timeline.lun),
            net=net,
            beside=beside,
            images=sum(_images(lun.fixed) for lun in luns),
            luns=len(luns),
            room=float(scenario.luns.size - beside // len(luns)),
            reuse=reuse,
            extra={lun.lun: lun.extra for lun in luns if lun.extra[0].size},
        )

    def among(self, pool: int, luns: int, clone_bytes: int) -> Self:
        """The same clones as a part of a larger pool, so that each has its part of that pool's base images.

        Parameters
        ----------
        pool : int
            Clones of it. [1]
        luns : int
            LUNs of it. [1]
        clone_bytes : int
            What each clone has beside its files. [B]
        """
        part = self.clones / pool
        times = luns * part / self.luns
        own = self.clones * clone_bytes
        extra = {lun: (time_s, np.rint(size * times).astype(np.int64)) for lun, (time_s, size) in self.extra.items()}
        beside, images = own + times * (self.beside - own), times * self.images
        return replace(self, beside=beside, images=images, luns=luns, extra=extra, part=part)

    def __post_init__(self) -> None:
        self.made = effective(self.scenario)
        self.where = backing(self.scenario.luns.backing)
        self.clones, self.disks, self.days = self.guest.shape
        self.horizon_s = self.days * DAY_S
        self.ends: Floats = DAY_S * np.arange(1, self.days + 1, dtype=np.float64)

    def table(self, replicate: int) -> pd.DataFrame:
        """The rows of this replicate."""
        n, files, fixed = self.clones, self.files, self.fixed
        delta = Course.of_steps(files["time_s"].to_numpy(), files["size"].to_numpy(), self.horizon_s)
        used, kept = self._stores()
        beside = (fixed + self._extra_at(self.ends)) / n
        by_clone, stored = self._at_ends("size"), self._at_ends("taken").sum(axis=1) + beside
        total = used.before(self.ends) + fixed
        factor = self._after_dedup(total) * self.where.redundancy
        mean, most = kept.by_day()
        at_end = (kept.before(self.ends) + fixed) * factor
        guest, delta_end = self.guest.sum(axis=1), by_clone.sum(axis=1)
        mean_kept, most_kept = (mean + fixed) * factor, (most + fixed) * factor
        told = {
            GUEST: (guest.mean(), guest, guest.mean(axis=0).max(), guest[:, -1].mean()),
            DELTA: (delta.mean / n, delta_end, delta.peak / n, delta_end[:, -1].mean()),
            DATASTORE: ((used.mean + fixed) / n, stored, (used.peak + fixed) / n, stored[:, -1].mean()),
            ARRAY: (mean_kept.mean() / n, stored * (at_end / total), most_kept.max() / n, at_end[-1] / n),
        }
        rows = [
            (replicate, size, float(middle), float(np.quantile(each, P95)), float(peak), float(end))
            for size, (middle, each, peak, end) in told.items()
        ]
        return pd.DataFrame(rows, columns=["replicate", "size", *FIGURES])

    @cached_property
    def files(self) -> pd.DataFrame:
        """Steps in order of time: of each file's bytes (`size`), and of what its datastore gives (`taken`)."""
        found = self.steps.sort_values([*FILE, "time_s"], kind="stable", ignore_index=True)
        level = found.groupby(FILE)["size"].cumsum().to_numpy(np.int64)
        found["taken"] = _changes(found, self.where.allocated(level))
        found["lun"] = found["lun"].where(found["disk"].isin(on_the_lun(self.scenario)), ELSEWHERE)
        return found.sort_values(["time_s", "clone"], kind="stable", ignore_index=True)

    def largest(self, places: Sequence[int]) -> float:
        """Most that all clones' files of some disks took of their datastores at any time, together. [B]"""
        mine = self.files[self.files["disk"].isin(list(places))]
        return Course.of_steps(mine["time_s"].to_numpy(), mine["taken"].to_numpy(), self.horizon_s).peak

    @cached_property
    def fixed(self) -> float:
        """What lies on all datastores all the time beside the clones' files. [B]"""
        return self.beside + self.part * self.replica_lun

    @property
    def replica_lun(self) -> int:
        """Base images on a datastore of their own; 0 without one. [B]"""
        made = self.made
        if not made.luns.replica_lun or made.chosen("full-clone") or made.chosen("provisioned-streaming"):
            return 0
        mcs = made.chosen("mcs")
        usual = catalog.value("backings", f"platforms.{made.platform.name}.replicas")
        return int(mcs.value("replicas") if mcs else usual) * int(self.where.allocated(made.guest.used))

    @property
    def extra_peak(self) -> float:
        """Most that there was at any time on any LUN which is of no clone and was not there from the start. [B]"""
        return max((Course.of_steps(*part, self.horizon_s).peak for part in self.extra.values()), default=0.0)

    def _extra_at(self, seconds: Floats) -> Floats:
        """The same of all LUNs together, just before some times. [B]"""
        found = np.zeros(seconds.size)
        for part in self.extra.values():
            found += Course.of_steps(*part, self.horizon_s).before(seconds)
        return found

    def _at_ends(self, column: str) -> Floats:
        """Sum of all steps of each file up to the end of each day; (clones, disks, days). [B]"""
        files, found = self.files, np.zeros((self.clones, self.disks, self.days))
        day = np.minimum((files["time_s"].to_numpy() / DAY_S).astype(np.int64), self.days - 1)
        place = (files["clone"].to_numpy(), files["disk"].to_numpy(), day)
        np.add.at(found, place, files[column].to_numpy(np.float64))
        return np.cumsum(found, axis=2)

    def _stores(self) -> tuple[Course, Course]:
        """What clones' files take of all datastores, and what the array keeps for that."""
        choice, luns = self.made.chosen("thin-lun"), self.made.luns
        mode = unmap_mode(choice, luns.backing) if choice else ""
        used, kept = [], []
        for lun, part in self.files.groupby("lun"):
            time_s, taken = self._with_extra(lun, part["time_s"].to_numpy(), part["taken"].to_numpy(np.int64))
            used.append(Course.of_steps(time_s, taken, self.horizon_s))
            if not (choice and mode):
                kept.append(used[-1])
                continue
            room = max(float(self.room), float(used[-1].value.max()))
            kept.append(
                thin_dead_space(
                    *(time_s, taken, mode, float(choice.value("rate")), int(choice.value("granularity"))),
                    every=float(choice.value("every")),
                    horizon_s=self.horizon_s,
                    reuse=self.reuse,
                    capacity=np.inf if lun == ELSEWHERE else room,
                )
            )
        return Course.total(used, self.horizon_s), Course.total(kept, self.horizon_s)

    def _with_extra(self, lun: object, time_s: Floats, taken: Ints) -> tuple[Floats, Ints]:
        """A LUN's steps with those of no clone."""
        if lun not in self.extra:
            return time_s, taken
        more_s, more = self.extra[int(str(lun))]
        order = np.argsort(np.concatenate([time_s, more_s]), kind="stable")
        return np.concatenate([time_s, more_s])[order], np.concatenate([taken, more])[order]

    def _after_dedup(self, total: Floats) -> Floats:
        """Size after deduplication and compression by size before, at the end of each day. (days,) array [1]"""
        choice = self.made.chosen("array-dedup")
        if choice is None:
            return np.ones(self.days)
        activity = activity_of(self.made)
        shared, small = np.array([*activity.shared_content, 1.0]), np.array([*activity.compressed, 1.0])
        small[-1] = small[0]  # the image's own content, last: the system's, and the same in every clone
        if not choice.value("compression"):
            small[:] = 1.0
        together = self.made.array.shared
        domains = np.zeros(self.clones) if together else self.lun
        lone = self.part * self.replica_lun
        images = (self.images / self.luns if together else self.images) + lone
        on_disk = np.minimum(self.unique, self._at_ends("size"))
        full = self.made.chosen("full-clone") is not None
        found = np.empty(self.days)
        for day, held in enumerate(held_by_source(on_disk, self.net, full)):
            groups = [held[domains == domain] for domain in np.unique(domains)]
            kept = sum(float(dedup_bytes(one, shared, small, block=int(choice.value("block"))).sum()) for one in groups)
            as_it_is = total[day] - held.sum() - self.images - lone  # tables, room, swap files
            found[day] = (kept + as_it_is + images * small[-1]) / total[day]
        return found


def _changes(found: pd.DataFrame, level: Ints) -> Ints:
    """Steps between levels of each file."""
    before = found.assign(level=level).groupby(FILE)["level"].shift(fill_value=0)
    change: Ints = level - before.to_numpy(np.int64)
    return change
