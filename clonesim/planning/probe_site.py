"""Where a probe ran, and what it saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import FORMATS
from clonesim.errors import ParameterError
from clonesim.guest.make import GUESTS
from clonesim.planning.probe_pattern import PARTS, STEP_NAMES, base_acts, peak_parts, room_parts, steps
from clonesim.units import GIB, KIB, MIB, format_size

Form = Literal["guest", "self-contained"]
FORMS: Final = ("guest", "self-contained")
SEEN: Final = STEP_NAMES[1:]  # the idle step says how much else is written; it is no feature
LEAST_UNIT, MOST_UNIT = MIB, 8 * GIB


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of the place where a probe ran.

    Attributes
    ----------
    form : str
        "guest" (the delta is looked at from outside) or "self-contained" (a VHD file's sector bitmaps).
    disk_bytes, used_bytes : int
        Size of the disk, and what the guest said was in use before the first step. [B]
    unit_bytes : int
        The pattern's unit. [B]
    cluster_bytes, partition_offset : int
        Geometry of the volume. [B]
    os : str
        Windows version as the catalog's topic "guests" has it.
    format : str
        Format of the delta that was looked at.
    restarted : bool
        Whether the guest was restarted before the step "again".
    wait_s : float
        How long each wait of the pattern lasted. [s]
    pieces : int
        Fragments of the file that the script reserved first; 0 if it could not tell.
    seconds : tuple of float
        How long each step lasted. [s]
    windows, build : str
        As Windows names itself; for the table of results.
    """

    form: Form
    disk_bytes: int
    used_bytes: int
    unit_bytes: int
    cluster_bytes: int = 4 * KIB
    partition_offset: int = MIB
    os: str = "windows-10"
    format: str = "vmfs-sparse"
    restarted: bool = True
    wait_s: float = 30.0
    pieces: int = 0
    seconds: tuple[float, ...] = (300.0,) * len(STEP_NAMES)
    windows: str = ""
    build: str = ""

    def __post_init__(self) -> None:
        for name, value, known in (
            ("form", self.form, FORMS),
            ("os", self.os, GUESTS),
            ("format", self.format, tuple(FORMATS)),
        ):
            if value not in known:
                raise ParameterError(name, value, f"allowed are {', '.join(known)}")
        _check("unit_bytes", self.unit_bytes, LEAST_UNIT, MOST_UNIT, "The script writes it; -UnitMiB sets it.")
        _check("disk_bytes", self.disk_bytes, 64 * MIB, 64 * 1024 * GIB, "It is the size of the disk in bytes.")
        _check("cluster_bytes", self.cluster_bytes, 512, 64 * KIB, "Windows uses powers of two; 4096 is usual.")
        _check("partition_offset", self.partition_offset, 0, self.disk_bytes // 2, "1048576 is usual.")
        if self.cluster_bytes & (self.cluster_bytes - 1):
            raise ParameterError("cluster_bytes", self.cluster_bytes, "a power of two is needed", "4096 is usual.")
        if len(self.seconds) != len(STEP_NAMES) or not all(0 <= second <= 1e7 for second in self.seconds):
            allowed = f"{len(STEP_NAMES)} durations are needed, one per step, of 0 to 1e7 s"
            raise ParameterError("seconds", list(self.seconds)[:10], allowed)
        if not 0 <= self.wait_s <= 3600:
            raise ParameterError("wait_s", self.wait_s, "allowed are 0 s to 3600 s")
        if type(self.pieces) is not int or self.pieces < 0:
            raise ParameterError("pieces", self.pieces, "a number of fragments is needed, or 0 if it is not known")
        room, needed = self.disk_bytes - self.partition_offset - self.used_bytes, self.needed_bytes
        if self.used_bytes < 0 or room < needed:
            allowed = f"the volume has {room} B free, the pattern needs {needed} B ({format_size(needed)})"
            raise ParameterError("used_bytes", self.used_bytes, allowed, "Use a smaller unit, or free space.")

    @property
    def free_bytes(self) -> int:
        """What the guest had free before the first step. [B]"""
        return self.disk_bytes - self.partition_offset - self.used_bytes

    @property
    def fullness(self) -> float:
        """Share of the volume in use before the first step. [1]"""
        return self.used_bytes / (self.disk_bytes - self.partition_offset)

    @property
    def needed_bytes(self) -> int:
        """Free space that the pattern needs so that it can run to its end. [B]"""
        return needed_bytes(self.unit_bytes)

    @property
    def has_places(self) -> bool:
        """Whether the probe saw where on the disk the delta grew."""
        return self.form == "self-contained"

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what a fit compares."""
        grown = tuple(f"{name}_grown" for name in SEEN)
        return grown + (tuple(f"{name}_place" for name in SEEN) if self.has_places else ())


def needed_bytes(unit_bytes: int) -> int:
    """Free space that the pattern needs, with some in reserve. [B]"""
    most = max(room_parts(), peak_parts(tuple(act for step in steps() for act in step.acts)))
    return most * unit_bytes // PARTS + 64 * MIB


def base_bytes(unit_bytes: int) -> int:
    """What the base image of the self-contained form takes at most. [B]"""
    return peak_parts(base_acts()) * unit_bytes // PARTS


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe saw.

    Attributes
    ----------
    site : Site
        Where it ran.
    grown : (7,) float64 array
        By how much the delta grew in each step. [B]
    place : (7,) float64 array
        Mean place of what was new in each step, 0 at the disk's start and 1 at its end; NaN where nothing was new, and
        everywhere in a guest's probe. [1]
    source : str
        File it was read from.
    """

    site: Site
    grown: NDArray[np.float64]
    place: NDArray[np.float64] = field(default_factory=lambda: np.full(len(STEP_NAMES), np.nan))
    source: str = ""

    @property
    def features(self) -> NDArray[np.float64]:
        """What is compared: growth of each step in units, then the places.

        A place counts the less, the less is new: it is told times g / (g + 0.1), with g the growth in units.
        """
        grown = self.grown[1:] / self.site.unit_bytes
        if not self.site.has_places:
            return grown
        weight = np.clip(grown, 0, None) / (np.clip(grown, 0, None) + 0.1)
        return np.concatenate([grown, np.where(weight > 0, np.nan_to_num(self.place[1:]) * weight, 0.0)])


def _check(name: str, value: int, least: int, most: int, remedy: str) -> None:
    if type(value) is not int or not least <= value <= most:
        raise ParameterError(name, value, f"allowed are whole numbers from {least} to {most} B", remedy)
