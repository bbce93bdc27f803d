"""Kernels of the lock model. Integers only: int64 nanoseconds, so that no wait depends on rounding."""

from __future__ import annotations

from typing import Any

from numba import njit

KERNELS = "2c6c66b026b2c0cb"

FIFO = 0


@njit(cache=True)
def serve(
    locking: int,
    time_ns: Any,
    host: Any,
    hold_ns: Any,
    wait_ns: Any,
    retries: Any,
    failed: Any,
) -> int:
    """Serve every lock request of one LUN; fills the last three arrays in place.

    Parameters
    ----------
    locking : int
        Code of the locking; see `clonesim.lun.locks.LOCKINGS`.
    time_ns, host, hold_ns : (n,) int64 array
        Requests in order of time; a tie is served in the given order. [ns, 1, ns]
    wait_ns, retries : (n,) int64 array
        From request to grant, and conflicts met on the way. [ns, 1]
    failed : (n,) bool array
        Requests that gave up.

    Returns
    -------
    int
        1, or 0 for a locking that this kernel does not know.
    """
    if locking == FIFO:  # nobody conflicts, nobody fails: `host`, `retries` and `failed` are for lockings with back-off
        free_ns = 0  # when the lock falls free
        for i in range(time_ns.size):
            grant_ns = max(time_ns[i], free_ns)
            wait_ns[i] = grant_ns - time_ns[i]
            free_ns = grant_ns + hold_ns[i]
            retries[i] = 0
            failed[i] = False
        return 1
    return 0
