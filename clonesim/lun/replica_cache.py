"""Reads of the base image: which of them the hosts' caches and the array's cache serve, and what is left for disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.array import TOPIC
from clonesim.scenario import catalog

Ints = NDArray[np.int64]
READS, WRITES, READ_BYTES, WRITE_BYTES, DELTA_READS = range(5)  # columns of a LUN's demand by the minute
COUNTS = ("reads", "writes", "read_bytes", "write_bytes")  # of an ArrayDemand: what adds up


@dataclass(frozen=True, slots=True)
class ReplicaHits:
    """Where reads of the replica end, once the caches are warm.

    Attributes
    ----------
    host, array, disks : float
        Shares of the replica reads; they add up to 1. [1]
    host_warm_bytes, array_warm_bytes : int
        Read once to fill the caches: by all hosts from the array, and by the array from its disks. [B]
    """

    host: float
    array: float
    disks: float
    host_warm_bytes: int
    array_warm_bytes: int

    @property
    def array_hits(self) -> float:
        """Share of the replica reads that reach the array and are served by its cache. [1]"""
        reaching = self.array + self.disks
        return self.array / reaching if reaching else 0.0


def replica_hits(
    working_set: int | None = None,
    read_cache: int = 0,
    host_cache: int = 0,
    hosts: int = 1,
    replicas: int = 1,
) -> ReplicaHits:
    """Shares of the replica reads that host caches, the array's cache and its disks serve.

    Parameters
    ----------
    working_set : int, optional
        Part of a replica that is read again and again; by default the catalog's `cache.replica_working_set`. [B]
    read_cache : int, default 0
        Array cache that reads of replicas may use. [B]
    host_cache : int, default 0
        Of each host for base images (CBRC). [B]
    hosts : int, default 1
        Hosts that read. [1]
    replicas : int, default 1
        Copies of the base image on the array, such as one per LUN. Hosts' caches know equal content, arrays do not. [1]

    Notes
    -----
    Assumed: every block of the working set is read equally often, and what one cache holds is independent of what
    another one holds. Then a cache serves the share of the working set that fits in it: all after the first read if
    all fits. Popular blocks would raise the hits of small caches; a cache that other data push out has fewer.
    """
    size = catalog.value(TOPIC, "cache.replica_working_set") if working_set is None else working_set
    for name, value, least in (
        ("working_set", size, 0),
        ("read_cache", read_cache, 0),
        ("host_cache", host_cache, 0),
        ("hosts", hosts, 1),
        ("replicas", replicas, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ParameterError(name, value, f"a whole number from {least} up is needed")
    if not size:  # nothing is read again: what is read, is read from disks
        return ReplicaHits(0.0, 0.0, 1.0, 0, 0)
    host = min(1.0, host_cache / size)
    array = (1 - host) * min(1.0, read_cache / (size * replicas))
    held = min(int(size), int(host_cache))
    return ReplicaHits(host, array, 1 - host - array, hosts * held, min(int(size) * replicas, int(read_cache)))


@dataclass(frozen=True, slots=True)
class ArrayDemand:
    """What reaches a LUN's part of the array.

    Attributes
    ----------
    reads, writes : (minutes,) int64 array
        I/Os by minute. [1]
    read_bytes, write_bytes : (minutes,) int64 array
        Their bytes. [B]
    read_hits : (minutes,) float64 array
        Share of the reads that the array's cache serves. [1]
    """

    reads: Ints
    writes: Ints
    read_bytes: Ints
    write_bytes: Ints
    read_hits: NDArray[np.float64]


def array_demand(demand: Ints, hits: ReplicaHits, replica_elsewhere: bool = False) -> ArrayDemand:
    """What of the desktops' I/Os reaches their LUN, and how much of that its array's cache serves.

    Parameters
    ----------
    demand : (minutes, 5) int64 array
        Reads, writes, read bytes, write bytes, and the reads served from deltas. [1, 1, B, B, 1]
    hits : ReplicaHits
        Of the replica reads.
    replica_elsewhere : bool, default False
        Whether the replica lies on a LUN of its own: then its reads go there (`replica_demand`).

    Notes
    -----
    Reads of deltas and of the replica are taken to be equally large. Counts are whole: the hosts' share is taken from
    the sum since the start, so that over time nothing is lost by rounding.
    """
    reads, of_delta = demand[:, READS], demand[:, DELTA_READS]
    of_replica = np.zeros_like(reads) if replica_elsewhere else _past_the_hosts(reads - of_delta, hits.host)
    left = of_delta + of_replica
    part = np.divide(left, reads, out=np.zeros(len(reads)), where=reads > 0)
    cached = np.divide(of_replica * hits.array_hits, left, out=np.zeros(len(reads)), where=left > 0)
    read_bytes = np.rint(demand[:, READ_BYTES] * part).astype(np.int64)
    return ArrayDemand(left, demand[:, WRITES].copy(), read_bytes, demand[:, WRITE_BYTES].copy(), cached)


def replica_demand(demand: Ints, hits: ReplicaHits) -> ArrayDemand:
    """What reaches a replica LUN of its own: the replica reads that the hosts' caches leave.

    Parameters
    ----------
    demand : (minutes, 5) int64 array
        Of all desktops that read from it, columns as in `array_demand`.
    hits : ReplicaHits
        Of the replica reads.
    """
    reads = demand[:, READS]
    left = _past_the_hosts(reads - demand[:, DELTA_READS], hits.host)
    part = np.divide(left, reads, out=np.zeros(len(reads)), where=reads > 0)
    nothing = np.zeros_like(left)
    read_bytes = np.rint(demand[:, READ_BYTES] * part).astype(np.int64)
    return ArrayDemand(left, nothing, read_bytes, nothing.copy(), np.full(len(left), hits.array_hits))


def together(demands: Sequence[ArrayDemand]) -> ArrayDemand:
    """What reaches the array of several LUNs, or of several kinds of I/O, of the same minutes."""
    reads, writes, read_bytes, write_bytes = (sum(getattr(each, name) for each in demands) for name in COUNTS)
    served = sum(each.reads * each.read_hits for each in demands)
    hits = np.minimum(1.0, np.divide(served, reads, out=np.zeros(len(reads)), where=reads > 0))
    return ArrayDemand(reads, writes, read_bytes, write_bytes, hits)


def _past_the_hosts(reads: Ints, host_share: float) -> Ints:
    served: Ints = np.diff(np.floor(np.cumsum(reads) * host_share).astype(np.int64), prepend=0)
    left: Ints = reads - np.minimum(served, reads)
    return left
