"""What one datastore feels: space, the lock that a growing delta takes, and the demand of its desktops."""

from clonesim.lun.array import ArrayModel, array_model, array_of, outstanding, part_of
from clonesim.lun.backing import BACKINGS, Backing, backing
from clonesim.lun.datastore import Fill, fill, in_order
from clonesim.lun.device import latency
from clonesim.lun.frames import lun_frame, peaks
from clonesim.lun.lock_frames import guest_delays, guest_io, lock_counters, retries_histogram
from clonesim.lun.lock_model import LOCKINGS, LockModel, hold_s, lock_model
from clonesim.lun.lock_run import ClosedWaits, LockRun, closed_waits, run_locks, run_locks_loaded
from clonesim.lun.lock_traffic import LockRequests, LockTraffic, lock_requests, lock_traffic
from clonesim.lun.locks import lock_queue
from clonesim.lun.operations import KINDS, Operations
from clonesim.lun.outage import first_full_day, outage_by_day
from clonesim.lun.replica_cache import array_demand, replica_demand, replica_hits
from clonesim.lun.run_frames import heartbeat_frame, lock_frame, operation_frame, run_retries
from clonesim.lun.serving import serve_luns, serve_minutes
from clonesim.lun.space import FixedSpace, fixed_space

__all__ = [
    "BACKINGS",
    "KINDS",
    "LOCKINGS",
    "ArrayModel",
    "Backing",
    "ClosedWaits",
    "Fill",
    "FixedSpace",
    "LockModel",
    "LockRequests",
    "LockRun",
    "LockTraffic",
    "Operations",
    "array_demand",
    "array_model",
    "array_of",
    "backing",
    "closed_waits",
    "fill",
    "first_full_day",
    "fixed_space",
    "guest_delays",
    "guest_io",
    "heartbeat_frame",
    "hold_s",
    "in_order",
    "latency",
    "lock_counters",
    "lock_frame",
    "lock_model",
    "lock_queue",
    "lock_requests",
    "lock_traffic",
    "lun_frame",
    "operation_frame",
    "outage_by_day",
    "outstanding",
    "part_of",
    "peaks",
    "replica_demand",
    "replica_hits",
    "retries_histogram",
    "run_locks",
    "run_locks_loaded",
    "run_retries",
    "serve_luns",
    "serve_minutes",
]
