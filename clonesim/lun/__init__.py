"""What one datastore feels: space, the lock that a growing delta takes, and the demand of its desktops."""

from clonesim.lun.backing import BACKINGS, Backing, backing
from clonesim.lun.datastore import Fill, fill, in_order
from clonesim.lun.frames import lun_frame, peaks
from clonesim.lun.lock_frames import guest_io, lock_counters, retries_histogram
from clonesim.lun.lock_model import LOCKINGS, LockModel, hold_s, lock_model
from clonesim.lun.locks import lock_queue
from clonesim.lun.outage import first_full_day, outage_by_day
from clonesim.lun.space import FixedSpace, fixed_space

__all__ = [
    "BACKINGS",
    "LOCKINGS",
    "Backing",
    "Fill",
    "FixedSpace",
    "LockModel",
    "backing",
    "fill",
    "first_full_day",
    "fixed_space",
    "guest_io",
    "hold_s",
    "in_order",
    "lock_counters",
    "lock_model",
    "lock_queue",
    "lun_frame",
    "outage_by_day",
    "peaks",
    "retries_histogram",
]
