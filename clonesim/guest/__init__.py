"""A desktop writing: an NTFS-like volume, its allocation policies and the block requests it makes."""

from clonesim.guest.policies import POLICIES, Policy
from clonesim.guest.volume import Volume

__all__ = ["POLICIES", "Policy", "Volume"]
