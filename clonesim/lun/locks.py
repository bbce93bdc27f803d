"""The lock of one LUN: who waits how long for it.

A request is one metadata transaction, such as one growth step of a delta file. `fifo` is the ideal lock: one holder at
a time, first come, first served, no time lost between two holders. Its waits are the exact reference for lockings that
lose time by conflicts and retries.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clonesim.errors import ParameterError
from clonesim.lun.lock_kernel import FIFO, serve

LOCKINGS: dict[str, int] = {"fifo": FIFO}  # name -> code inside the kernel
COLUMNS = ("time_s", "host", "hold_s")
NS = 1_000_000_000
LONGEST_S = 4e9  # int64 nanoseconds end after 292 years; times and holds together must stay well below


def lock_queue(requests: pd.DataFrame, locking: str = "fifo") -> pd.DataFrame:
    """Wait of every lock request of one LUN.

    Times are rounded to whole nanoseconds, and everything after that is exact. Requests of equal time are served in the
    given order. The queue is open: a request comes at its time, however long the ones before it wait.

    Parameters
    ----------
    requests : DataFrame
        One row per request, in order of time: `time_s`, seconds since the start [s]; `host`, number of the asking
        hypervisor [1]; `hold_s`, how long the lock is then held [s]. Other columns are handed through.
    locking : str, default "fifo"
        One of `LOCKINGS`. `fifo` is one lock for the whole LUN, first come, first served.

    Returns
    -------
    DataFrame
        The same rows with `wait_s`, from request to grant [s]; `retries`, conflicts met on the way [1]; and `failed`,
        whether the request gave up. `fifo` has neither conflicts nor failures.

    Raises
    ------
    ParameterError
        If the locking is unknown, a column is missing, a time is negative, out of order or not finite, a hold is
        shorter than 1 ns or not finite, or a host is not a whole number from 0 up.

    Notes
    -----
    With t, s and w the times, holds and waits, `fifo` is Lindley's recursion: w[0] = 0 and
    w[i] = max(0, w[i-1] + s[i-1] - (t[i] - t[i-1])).

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
    """
    code = locking_code(locking)
    for column in COLUMNS:
        if column not in requests:
            have = ", ".join(map(str, requests.columns)) or "none"
            allowed = f"the columns {', '.join(COLUMNS)} are needed; {column} is missing"
            raise ParameterError("requests.columns", have, allowed, "Rename or add the column.")
    time_s, hold_s = _seconds(requests, "time_s"), _seconds(requests, "hold_s")
    host = _hosts(requests)
    _check_times(time_s)
    _check_holds(hold_s)
    if time_s.size and (total := float(time_s[-1]) + float(hold_s.sum())) > LONGEST_S:
        allowed = f"the last time plus all holds may be {LONGEST_S:g} s at most"
        raise ParameterError("requests", total, allowed, "Check that times and holds are in seconds.")
    wait_ns, retries, failed = lock_waits(_ns(time_s), host, _ns(hold_s), code)
    return requests.assign(wait_s=wait_ns / NS, retries=retries, failed=failed)


def locking_code(locking: str) -> int:
    """Code of a locking inside the kernel, or a ParameterError that lists the names."""
    if locking not in LOCKINGS:
        raise ParameterError("locking", locking, f"allowed are {', '.join(map(repr, LOCKINGS))}")
    return LOCKINGS[locking]


def lock_waits(
    time_ns: NDArray[np.int64], host: NDArray[np.int64], hold_ns: NDArray[np.int64], code: int = FIFO
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Wait, retries and failure of checked requests, in whole nanoseconds; see `lock_queue`."""
    n = time_ns.size
    wait_ns, retries, failed = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_)
    if not serve(code, time_ns, host, hold_ns, wait_ns, retries, failed):
        raise ParameterError("locking", code, f"allowed codes are {sorted(LOCKINGS.values())}")
    return wait_ns, retries, failed


def _ns(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
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


def _hosts(requests: pd.DataFrame) -> NDArray[np.int64]:
    column = requests["host"]
    if not pd.api.types.is_integer_dtype(column) or column.isna().any():
        allowed = "whole numbers of hosts from 0 up, without gaps, are needed"
        raise ParameterError("requests.host", str(column.dtype), allowed, "Number the hosts.")
    host = np.require(column.to_numpy(dtype=np.int64), requirements=["C", "W"])  # pandas' own arrays are read-only
    if (host < 0).any():
        row = int(np.flatnonzero(host < 0)[0])
        raise ParameterError("requests.host", int(host[row]), f"row {row} is below 0", "Number the hosts from 0 up.")
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


def _check_holds(hold_s: NDArray[np.float64]) -> None:
    short = np.flatnonzero(hold_s < 1 / NS)
    if short.size:
        row = int(short[0])
        allowed = f"row {row} is shorter than 1 ns"
        remedy = "A lock is held for some time; the catalog's default is 0.0005 s."
        raise ParameterError("requests.hold_s", float(hold_s[row]), allowed, remedy)
