"""The lock of one LUN: who waits how long for it.

A request is one metadata transaction, such as one growth step of a delta file. `fifo` is the ideal lock: one holder at
a time, first come, first served, no time lost between two holders. The other lockings lose time by conflicts and
retries; docs/lock-model.md states their rules.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.contend_kernel import contend
from clonesim.lun.lock_kernel import FIFO, serve
from clonesim.lun.lock_model import DISTRIBUTIONS, NS, LockModel, lock_model

COLUMNS = ("time_s", "host", "hold_s")
LONGEST_S = 4e9  # int64 nanoseconds end after 292 years; times and holds together must stay well below
MOST_HOSTS = 65_536  # of contended lockings, which keep a table of hosts

Ints = NDArray[np.int64]
Waits = tuple[Ints, Ints, NDArray[np.bool_]]


def lock_queue(
    requests: pd.DataFrame, locking: str | LockModel = "fifo", hosts: int | None = None, **parameters: Any
) -> pd.DataFrame:
    """Wait of every lock request of one LUN.

    Times are rounded to whole nanoseconds, and everything after that is exact. The queue is open: a request comes at
    its time, however long the ones before it wait.

    Parameters
    ----------
    requests : DataFrame
        One row per request, in order of time: `time_s`, seconds since the start [s]; `host`, number of the asking
        hypervisor [1]; `hold_s`, how long the lock is then held [s]. Other columns are handed through.
    locking : str or LockModel, default "fifo"
        `fifo`: one lock for the whole LUN, first come, first served, requests of equal time in the given order.
        `scsi-reservation`: a request reserves the whole LUN; hosts queue their own requests, and back off at random
        when another one's reservation is in their way. `ats` (or `ats-only`): the same, but each request needs only
        one of many locks, mostly one that its host prefers. `ats+scsi`: as `ats`, but after `ats_fallback_after`
        miscompares a request reserves the whole LUN.
    hosts : int, optional
        Number of hosts; a request of another one is refused. By default the highest number in the requests plus 1. With
        `ats` it decides which locks a host prefers. [1]
    **parameters
        Parameters of the locking, such as `tries`, `backoff`, `ats_affinity` and `seed`; see
        `clonesim.lun.lock_model`. By default the catalog's, most of which are assumed.

    Returns
    -------
    DataFrame
        The same rows with `wait_s`, from request to grant, or to giving up [s]; `retries`, conflicts met on the way
        [1]; and `failed`, whether the request gave up. `fifo` has neither conflicts nor failures.

    Raises
    ------
    ParameterError
        If the locking or a parameter is unknown or out of range, a column is missing, a time is negative, out of order
        or not finite, a hold is shorter than 1 ns, not finite or longer than the tries of others last, or a host is not
        a whole number from 0 up or not there.

    Notes
    -----
    With t, s and w the times, holds and waits, `fifo` is Lindley's recursion [1]_: w[0] = 0 and
    w[i] = max(0, w[i-1] + s[i-1] - (t[i] - t[i-1])). Back-offs are drawn by (seed, replicate, lun; host, number of the
    request on its host, attempt), so that no host and no order of service changes another one's draws. Two assumptions
    shape the contended waits: a host has one transaction at a time, and a request keeps to the lock it first tried.

    References
    ----------
    .. [1] D. V. Lindley, "The theory of queues with a single server", Math. Proc. Camb. Phil. Soc. 48(2), 1952.

    Examples
    --------
    >>> import pandas as pd
    >>> import clonesim as cs
    >>> requests = pd.DataFrame({"time_s": [0.0, 0.0, 1.0], "host": [0, 1, 0], "hold_s": [0.0005] * 3})
    >>> cs.lock_queue(requests)["wait_s"].tolist()
    [0.0, 0.0005, 0.0]
    >>> cs.lock_queue(requests, "scsi-reservation")["retries"].tolist()
    [0, 1, 0]
    """
    model = model_of(locking, parameters)
    for column in COLUMNS:
        if column not in requests:
            have = ", ".join(map(str, requests.columns)) or "none"
            allowed = f"the columns {', '.join(COLUMNS)} are needed; {column} is missing"
            raise ParameterError("requests.columns", have, allowed, "Rename or add the column.")
    time_s, hold_s = _seconds(requests, "time_s"), _seconds(requests, "hold_s")
    host = _hosts(requests, hosts, model)
    _check_times(time_s)
    _check_holds(hold_s, model)
    if time_s.size and (total := float(time_s[-1]) + float(hold_s.sum())) > LONGEST_S:
        allowed = f"the last time plus all holds may be {LONGEST_S:g} s at most"
        raise ParameterError("requests", total, allowed, "Check that times and holds are in seconds.")
    wait_ns, retries, failed = lock_waits(_ns(time_s), host, _ns(hold_s), model, hosts)
    return requests.assign(wait_s=wait_ns / NS, retries=retries, failed=failed)


def model_of(locking: str | LockModel, parameters: dict[str, Any]) -> LockModel:
    """Lock model of a name and its parameters, or the one that is given."""
    if isinstance(locking, str):
        return lock_model(locking, **parameters)
    if parameters:
        given = f"the locking is a LockModel already, {locking.name!r} with its parameters"
        raise ParameterError(*next(iter(parameters.items())), given, "Give its name, or the parameters to lock_model.")
    return locking


def lock_waits(
    time_ns: Ints, host: Ints, hold_ns: Ints, locking: int | LockModel = FIFO, hosts: int | None = None
) -> Waits:
    """Wait, retries and failure of checked requests, in whole nanoseconds; see `lock_queue`."""
    n = time_ns.size
    wait_ns, retries, failed = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_)
    if isinstance(locking, LockModel) and locking.contended:
        if n:
            contend(
                *(time_ns, host, hold_ns, hosts or int(host.max()) + 1),
                *(locking.key, locking.limit, locking.backoff_ns, DISTRIBUTIONS[locking.distribution]),
                *(locking.clusters, locking.affinity, locking.fallback_after),
                *(wait_ns, retries, failed),
            )
        return wait_ns, retries, failed
    code = FIFO if isinstance(locking, LockModel) else locking
    if not serve(code, time_ns, host, hold_ns, wait_ns, retries, failed):
        raise ParameterError("locking", code, f"allowed codes are [{FIFO}]")
    return wait_ns, retries, failed


def _ns(seconds: NDArray[np.float64]) -> Ints:
    return np.rint(seconds * NS).astype(np.int64)


def _seconds(requests: pd.DataFrame, column: str) -> NDArray[np.float64]:
    try:
        values = np.ascontiguousarray(requests[column].to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError):
        allowed = "numbers of seconds are needed"
        raise ParameterError(
            f"requests.{column}", str(requests[column].dtype), allowed, "Convert the column."
        ) from None
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        allowed = f"row {row} is not a finite number of seconds"
        raise ParameterError(f"requests.{column}", float(values[row]), allowed, "Drop or repair the row.")
    return values


def _hosts(requests: pd.DataFrame, hosts: int | None, model: LockModel) -> Ints:
    if hosts is not None and (isinstance(hosts, bool) or not isinstance(hosts, int) or not 0 < hosts <= MOST_HOSTS):
        raise ParameterError("hosts", hosts, f"allowed are whole numbers from 1 to {MOST_HOSTS}")
    column = requests["host"]
    if not pd.api.types.is_integer_dtype(column) or column.isna().any():
        allowed = "whole numbers of hosts from 0 up, without gaps, are needed"
        raise ParameterError("requests.host", str(column.dtype), allowed, "Number the hosts.")
    host = np.require(column.to_numpy(dtype=np.int64), requirements=["C", "W"])  # pandas' own arrays are read-only
    if (host < 0).any():
        row = int(np.flatnonzero(host < 0)[0])
        raise ParameterError("requests.host", int(host[row]), f"row {row} is below 0", "Number the hosts from 0 up.")
    most = hosts if hosts is not None else MOST_HOSTS if model.contended else None
    if most is not None and (host >= most).any():
        row = int(np.flatnonzero(host >= most)[0])
        allowed = f"row {row} names an unknown host; hosts are 0 to {most - 1}"
        remedy = "Number the hosts from 0 up." if hosts is None else f"Raise hosts={hosts}, or drop the row."
        raise ParameterError("requests.host", int(host[row]), allowed, remedy)
    return host


def _check_times(time_s: NDArray[np.float64]) -> None:
    if time_s.size and time_s[0] < 0:
        allowed = "row 0 is before the start; times are seconds since the start"
        raise ParameterError("requests.time_s", float(time_s[0]), allowed, "Shift all times to 0 or later.")
    late = np.flatnonzero(time_s[1:] < time_s[:-1])
    if late.size:
        row = int(late[0]) + 1
        allowed = f"row {row} is earlier than row {row - 1} ({float(time_s[row - 1])!r})"
        remedy = "Sort the requests by time: requests.sort_values('time_s', kind='stable')."
        raise ParameterError("requests.time_s", float(time_s[row]), allowed, remedy)


def _check_holds(hold_s: NDArray[np.float64], model: LockModel) -> None:
    short = np.flatnonzero(hold_s < 1 / NS)
    if short.size:
        row = int(short[0])
        allowed = f"row {row} is shorter than 1 ns"
        remedy = "A lock is held for some time; the catalog's default is 0.0005 s."
        raise ParameterError("requests.hold_s", float(hold_s[row]), allowed, remedy)
    if not model.contended:
        return
    budget_s = model.budget_ns / NS
    long = np.flatnonzero(hold_s > budget_s)
    if long.size:
        row = int(long[0])
        allowed = (
            f"row {row} is longer than the retry budget of {budget_s:g} s (tries={model.tries}, "
            f"backoff={model.backoff_ns / NS:g} s): other hosts would run out of tries meanwhile"
        )
        remedy = "Shorten the hold, or raise tries or backoff."
        raise ParameterError("requests.hold_s", float(hold_s[row]), allowed, remedy)
