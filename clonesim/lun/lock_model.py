"""Which lock a datastore has, and the numbers that describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from clonesim.errors import ParameterError, nearest
from clonesim.keys import generator
from clonesim.lun.contend_kernel import EXPONENTIAL, NEVER, UNIFORM
from clonesim.scenario import catalog

NS = 1_000_000_000
TOPIC = "locks"
DISTRIBUTIONS = {"uniform": UNIFORM, "exponential": EXPONENTIAL}  # name -> code inside the kernel

_BACK_OFF = ("tries", "backoff", "backoff_distribution")
_ATS = (*_BACK_OFF, "ats_clusters", "ats_affinity")
_KEYS = ("seed", "replicate", "lun")
PARAMETERS: Mapping[str, tuple[str, ...]] = {  # of each locking; `_KEYS` go with all
    "fifo": (),
    "scsi-reservation": _BACK_OFF,
    "ats": _ATS,
    "ats+scsi": (*_ATS, "ats_fallback_after"),
    "ats-only": _ATS,
}
LOCKINGS = tuple(PARAMETERS)


@dataclass(frozen=True, slots=True)
class LockModel:
    """A locking with its parameters; made by `lock_model`.

    Attributes
    ----------
    name : str
        One of `LOCKINGS`.
    tries : int
        Conflicts with which a request fails; for `ats+scsi` counted from its fallback on. [1]
    backoff_ns : int
        Mean back-off. [ns]
    distribution : {"uniform", "exponential"}
        Of the back-offs.
    clusters : int
        Locks; 1 for a lock of the whole LUN. [1]
    affinity : float
        Probability of one of the host's own locks. [1]
    fallback_after : int
        Miscompares after which a request reserves the whole LUN: 0 for always. [1]
    seed, replicate, lun : int
        Name the stream of the draws. [1]
    """

    name: str
    tries: int
    backoff_ns: int
    distribution: str
    clusters: int
    affinity: float
    fallback_after: int
    seed: int
    replicate: int
    lun: int

    @property
    def contended(self) -> bool:
        """Whether hosts meet conflicts and back off; if not, the lock is `fifo`."""
        return self.name != "fifo"

    @property
    def reserves(self) -> bool:
        """Whether some request may reserve the whole LUN."""
        return self.fallback_after < int(NEVER)

    @property
    def limit(self) -> int:
        """Conflicts of all kinds with which a request fails. [1]"""
        return self.tries + (self.fallback_after if self.reserves else 0)

    @property
    def budget_ns(self) -> int:
        """Time that `tries` back-offs take in the mean. [ns]"""
        return self.tries * self.backoff_ns

    @property
    def key(self) -> np.uint64:
        """Key of all draws."""
        drawn = generator(self.seed, self.replicate, self.lun, "pool:lock").integers(2**64, dtype=np.uint64)
        return np.uint64(drawn)


def lock_model(name: str, **parameters: Any) -> LockModel:
    """Locking of a name, with the catalog's values where none is given.

    Parameters
    ----------
    name : str
        `fifo`, the ideal lock; `scsi-reservation`, which takes the whole LUN; `ats`, one of many locks on it, also
        called `ats-only`; `ats+scsi`, which reserves the LUN after `ats_fallback_after` miscompares.
    **parameters
        Of the catalog's topic `locks`, as far as the locking has them (`PARAMETERS`): `tries` [1], `backoff` [s],
        `backoff_distribution`, `ats_clusters` [1], `ats_affinity` [1], `ats_fallback_after` [1]; and for all of them
        `seed`, `replicate` and `lun`, default 0, which name the stream of the draws [1].

    Returns
    -------
    LockModel
        All checked.

    Raises
    ------
    ParameterError
        If the name or a parameter is unknown, or a value is not allowed.

    Examples
    --------
    >>> lock_model("scsi-reservation", backoff="10 ms").budget_ns
    800000000
    """
    if name not in PARAMETERS:
        raise ParameterError("locking", name, f"allowed are {', '.join(map(repr, LOCKINGS))}", nearest(name, LOCKINGS))
    allowed = (*PARAMETERS[name], *_KEYS)
    for given in parameters:
        if given not in allowed:
            has = f"{name!r} has {', '.join(map(repr, allowed))}"
            raise ParameterError(given, parameters[given], has, nearest(given, allowed))

    def value(parameter: str) -> Any:
        return _value(parameter, parameters[parameter]) if parameter in parameters else catalog.value(TOPIC, parameter)

    keys = {key: _whole(key, parameters.get(key, 0)) for key in _KEYS}
    clusters, affinity, fallback_after = 1, 0.0, 0
    if "ats_clusters" in allowed:
        clusters, affinity, fallback_after = value("ats_clusters"), float(value("ats_affinity")), int(NEVER)
    if "ats_fallback_after" in allowed:
        fallback_after = value("ats_fallback_after")
    return LockModel(
        name,
        tries=value("tries"),
        backoff_ns=round(value("backoff") * NS),
        distribution=value("backoff_distribution"),
        clusters=clusters,
        affinity=affinity,
        fallback_after=fallback_after,
        **keys,
    )


def hold_s(name: str, latency_s: float) -> float:
    """Time for which a transaction holds its lock, from the array's latency: commands x latency. [s]

    Parameters
    ----------
    name : str
        One of `LOCKINGS`; `fifo` counts as a reservation, `ats+scsi` as ATS.
    latency_s : float
        Of one command, at that moment. [s]
    """
    if name not in PARAMETERS:
        raise ParameterError("locking", name, f"allowed are {', '.join(map(repr, LOCKINGS))}", nearest(name, LOCKINGS))
    if not 0 < latency_s < float("inf"):
        raise ParameterError("latency_s", latency_s, "a time above 0 s is needed")
    kind = "ats" if name.startswith("ats") else "scsi-reservation"
    return float(catalog.value(TOPIC, f"commands.{kind}") * latency_s)


def _value(name: str, given: Any) -> Any:
    cited = catalog.parameters(TOPIC)[name]
    checked = cited.check(given.item() if isinstance(given, np.generic) else given, name)
    return _whole(name, checked) if isinstance(cited.default, int) else checked


def _whole(name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 0:
        raise ParameterError(name, given, "a whole number from 0 up is needed")
    return int(given)
