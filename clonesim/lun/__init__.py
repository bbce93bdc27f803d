"""What one datastore feels: the lock that every growth of a delta file takes."""

from clonesim.lun.locks import LOCKINGS, lock_queue

__all__ = ["LOCKINGS", "lock_queue"]
