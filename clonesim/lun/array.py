"""A disk array: what it is made of, what it holds, and the disk commands that its I/Os cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from clonesim.errors import ParameterError, nearest
from clonesim.lun.backing import backing
from clonesim.scenario import catalog

if TYPE_CHECKING:
    from clonesim.scenario.model import Scenario

TOPIC = "arrays"
MEDIA = tuple(catalog.parameters(TOPIC)["array.media"].range)
RAIDS = tuple(catalog.parameters(TOPIC)["array.raid"].range)
_OF_THE_MEDIUM = ("service", "channels", "transfer", "disk_size")
_OF_THE_RAID = ("write_penalty", "phases", "mirrors", "parity", "group")
_OF_THE_ARRAY = ("spares", "read_cache", "write_cache", "bandwidth", "controller_iops", "controller_latency", "copies")
PARAMETERS = (*_OF_THE_MEDIUM, *_OF_THE_RAID, *_OF_THE_ARRAY)


@dataclass(frozen=True, slots=True)
class ArrayModel:
    """An array, or the part of one that serves a LUN; made by `array_model`.

    Attributes
    ----------
    media, raid : str
        One of `MEDIA` and one of `RAIDS`.
    disks, spares : int
        All disks, and those of them that serve nothing until another one fails. [1]
    disk_size : int
        Of each. [B]
    service_s : float
        Time of a command in a disk, without its transfer. [s]
    channels : int
        Commands that a disk serves at a time. [1]
    transfer : int
        Rate of a disk's transfers, all channels together. [B/s]
    write_penalty : int
        Disk commands of a small write, in one copy. [1]
    phases : int
        One after the other, in which they are done. [1]
    mirrors, parity, group : int
        Times that the RAID level keeps each block; disks' worth of parity in a group, and most disks in a group. [1]
    read_cache, write_cache : int
        Memory for reads, and memory in which writes are acknowledged (0: on the disks only). [B]
    bandwidth : int
        Of all ports together. [B/s]
    controller_iops : float
        Commands that the controllers can handle. [1/s]
    controller_latency_s : float
        Fabric and controller without queueing. [s]
    copies : float
        Made by the backing above the RAID. [1]
    """

    media: str
    raid: str
    disks: int
    spares: int
    disk_size: int
    service_s: float
    channels: int
    transfer: int
    write_penalty: int
    phases: int
    mirrors: int
    parity: int
    group: int
    read_cache: int
    write_cache: int
    bandwidth: int
    controller_iops: float
    controller_latency_s: float
    copies: float

    @property
    def working_disks(self) -> int:
        """Disks that hold data; of mirrors whole sets only. [1]"""
        working = self.disks - self.spares
        return working - working % self.mirrors

    @property
    def least_disks(self) -> int:
        """Working disks that the RAID level needs at least. [1]"""
        return self.parity + 2 if self.parity else self.mirrors

    @property
    def raw_bytes(self) -> int:
        """Of all disks, spares too. [B]"""
        return self.disks * self.disk_size

    @property
    def usable_bytes(self) -> int:
        """What datastores can be cut from: without spares, parity, mirrors and the backing's copies. [B]"""
        working = self.working_disks
        groups = -(-working // self.group) if self.parity else 0
        data = (working - self.parity * groups) * self.disk_size // self.mirrors
        return int(data / self.copies) if self.copies != 1 else data

    @property
    def array_share(self) -> float:
        """Usable bytes per raw byte. [1]"""
        return self.usable_bytes / self.raw_bytes

    @property
    def write_back(self) -> bool:
        """Whether writes are acknowledged in memory."""
        return self.write_cache > 0

    @property
    def write_cost(self) -> float:
        """Disk commands of a small write, all copies together. [1]"""
        return self.write_penalty * self.copies

    @property
    def write_width(self) -> int:
        """Disks that a write waits for in each phase. [1]"""
        return max(1, round(self.write_penalty / self.phases)) * math.ceil(self.copies)

    def backend(self, reads: Any, writes: Any, read_hits: Any = 0.0) -> Any:
        """Disk commands of I/Os: reads that no cache serves, and writes with all that they cost.

        Parameters
        ----------
        reads, writes : number or array
            I/Os, or I/Os per second.
        read_hits : number or array, default 0
            Share of the reads that the array's cache serves. [1]
        """
        return np.multiply(reads, 1.0 - np.asarray(read_hits)) + np.multiply(writes, self.write_cost)

    def capacity_iops(
        self,
        read_share: float,
        read_size: int = 0,
        write_size: int = 0,
        read_hits: float = 0.0,
        outstanding: int | None = None,
    ) -> float:
        """I/Os per second that the array reaches at a mix of reads and writes. [1/s]

        Parameters
        ----------
        read_share : float
            Reads per I/O. [1]
        read_size, write_size : int, default 0
            Of an I/O; 0 leaves transfers out. [B]
        read_hits : float, default 0
            Share of the reads that the array's cache serves. [1]
        outstanding : int, optional
            Commands that are in the array at most; without a limit unless given. [1]
        """
        from clonesim.lun.device import unit_load

        if not 0 <= read_share <= 1:
            raise ParameterError("read_share", read_share, "allowed are shares from 0 to 1")
        mix = (np.array([read_share]), np.array([1 - read_share]))
        sizes = (np.array([float(read_size)]), np.array([float(write_size)]))
        return float(1 / unit_load(self, *mix, *sizes, np.array([float(read_hits)]), outstanding)[0])


def array_model(
    media: str | None = None, disks: int | None = None, raid: str | None = None, **given: Any
) -> ArrayModel:
    """Array of a kind, with the catalog's values where none is given.

    Parameters
    ----------
    media : {"hdd-7k", "hdd-10k", "hdd-15k", "ssd", "nvme"}, optional
        Of its disks.
    disks : int, optional
        All of them, with spares. [1]
    raid : {"raid-0", "raid-10", "raid-5", "raid-6"}, optional
        What they are made into.
    **given
        Of the catalog's topic `arrays`: `spares`, `disk_size` [B], `service` [s], `channels`, `transfer` [B/s],
        `write_penalty`, `phases`, `mirrors`, `parity`, `group`, `read_cache` [B], `write_cache` [B], `bandwidth`
        [B/s], `controller_iops` [1/s], `controller_latency` [s], `copies`.

    Raises
    ------
    ParameterError
        If a name is unknown, a value is not allowed, or the disks are too few for the RAID level.

    Examples
    --------
    >>> array = array_model("hdd-15k", disks=26, raid="raid-5", spares=1)
    >>> array.working_disks, array.usable_bytes // array.disk_size
    (25, 20)
    """
    cited = catalog.parameters(TOPIC)
    medium = _one_of("media", media if media is not None else cited["array.media"].default, MEDIA)
    level = _one_of("raid", raid if raid is not None else cited["array.raid"].default, RAIDS)
    for name in given:
        if name not in PARAMETERS:
            allowed = f"an array has media, disks, raid, {', '.join(PARAMETERS)}"
            raise ParameterError(name, given[name], allowed, nearest(name, PARAMETERS))

    def value(table: str, name: str, asked: Any) -> Any:
        parameter = cited[f"{table}.{name}"]
        if asked is None:
            return parameter.default
        asked = asked.item() if isinstance(asked, np.generic) else asked
        checked = parameter.check(asked, name)
        if isinstance(parameter.default, int) and checked != int(checked):
            raise ParameterError(name, asked, "a whole number is needed")
        return type(parameter.default)(checked)

    values = {name: value(medium, name, given.get(name)) for name in _OF_THE_MEDIUM}
    values |= {name: value(level, name, given.get(name)) for name in _OF_THE_RAID}
    values |= {name: value("array", name, given.get(name)) for name in _OF_THE_ARRAY}
    values["service_s"], values["controller_latency_s"] = values.pop("service"), values.pop("controller_latency")
    made = ArrayModel(medium, level, value("array", "disks", disks), **values)
    if made.working_disks < made.least_disks:
        allowed = f"{level} needs {made.least_disks} disks besides the {made.spares} spares"
        raise ParameterError("disks", made.disks, allowed, "Take more disks or fewer spares.")
    return made


def _one_of(name: str, given: object, allowed: tuple[str, ...]) -> str:
    if given not in allowed:
        raise ParameterError(name, given, f"allowed are {', '.join(map(repr, allowed))}", nearest(given, allowed))
    return str(given)


def array_of(scenario: Scenario) -> ArrayModel:
    """The array that all LUNs of a scenario lie on."""
    asked = scenario.array
    return array_model(
        asked.media,
        asked.disks,
        asked.raid,
        spares=asked.spares,
        disk_size=asked.disk_size,
        read_cache=asked.read_cache,
        write_cache=asked.write_cache,
        copies=backing(scenario.luns.backing).redundancy,
    )


def part_of(array: ArrayModel, luns: int) -> ArrayModel:
    """What serves one LUN where each has disks of its own: an equal part of disks, caches, ports and controllers.

    Raises
    ------
    ParameterError
        If there are too few disks for that many LUNs.
    """
    disks, least = array.working_disks // luns, array.least_disks
    if disks < least:
        allowed = f"{array.working_disks} working disks do not give each of {luns} LUNs the {least} of {array.raid}"
        raise ParameterError("array.disks", array.disks, allowed, "Take more disks, or share them between the LUNs.")
    return replace(
        array,
        disks=disks,
        spares=0,
        read_cache=array.read_cache // luns,
        write_cache=-(-array.write_cache // luns),
        bandwidth=max(1, array.bandwidth // luns),
        controller_iops=array.controller_iops / luns,
    )


def outstanding(hosts: int, luns: int = 1, lun_depth: int | None = None, per_host: int | None = None) -> int:
    """Commands of some LUNs that are in the array at most; what exceeds them waits in the hosts. [1]

    Parameters
    ----------
    hosts : int
        That use each of the LUNs. [1]
    luns : int, default 1
        How many LUNs together. [1]
    lun_depth : int, optional
        Commands of one LUN in the array; by default the catalog's `queue.lun_depth`. [1]
    per_host : int, optional
        Commands of one host on one LUN; by default the catalog's `queue.per_host`. [1]
    """
    known = catalog.parameters(TOPIC)
    depth = known["queue.lun_depth"].check(known["queue.lun_depth"].default if lun_depth is None else lun_depth)
    each = known["queue.per_host"].check(known["queue.per_host"].default if per_host is None else per_host)
    for name, number in (("hosts", hosts), ("luns", luns)):
        if isinstance(number, bool) or number < 1:
            raise ParameterError(name, number, "a whole number from 1 up is needed")
    return int(luns * min(depth, hosts * each))
