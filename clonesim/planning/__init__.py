"""Questions about a pool: how many clones a LUN holds, how many hosts it takes, what to buy, whether locking bites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from clonesim.planning.density import Density as Density
    from clonesim.planning.density import plan_density as plan_density
    from clonesim.planning.growth_fit import GrowthFit as GrowthFit
    from clonesim.planning.growth_fit import fit_growth as fit_growth
    from clonesim.planning.host_load import failures as failures
    from clonesim.planning.host_needs import hosts_needed as hosts_needed
    from clonesim.planning.limits import Limits as Limits
    from clonesim.planning.lock_counters import LockEstimate as LockEstimate
    from clonesim.planning.lock_counters import lock_estimate as lock_estimate
    from clonesim.planning.locks_per_operation import growth_steps as growth_steps
    from clonesim.planning.pool_sample import PoolSample as PoolSample
    from clonesim.planning.pool_sample import sample_pool as sample_pool
    from clonesim.planning.sizing import Size as Size
    from clonesim.planning.sizing import size as size

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "density": ["Density", "plan_density"],
        "growth_fit": ["GrowthFit", "fit_growth"],
        "host_load": ["failures"],
        "host_needs": ["hosts_needed"],
        "limits": ["Limits"],
        "lock_counters": ["LockEstimate", "lock_estimate"],
        "locks_per_operation": ["growth_steps"],
        "pool_sample": ["PoolSample", "sample_pool"],
        "sizing": ["Size", "size"],
    },
)
