"""Many clones: staggered starts, placement on LUNs and hosts, growth and locks over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from clonesim.pool.band import band_sample as band_sample
    from clonesim.pool.band import policy_band as policy_band
    from clonesim.pool.band import simulate_with_band as simulate_with_band
    from clonesim.pool.experiment import create_delete as create_delete
    from clonesim.pool.labels import trace_label as trace_label
    from clonesim.pool.parts import Progress as Progress
    from clonesim.pool.parts import progress_of as progress_of
    from clonesim.pool.run import Run as Run
    from clonesim.pool.run_files import finished_runs as finished_runs
    from clonesim.pool.simulate import kept as kept
    from clonesim.pool.simulate import simulate as simulate
    from clonesim.pool.store import Store as Store
    from clonesim.pool.trace_run import TraceRun as TraceRun
    from clonesim.pool.trace_run import check_one_disk as check_one_disk
    from clonesim.pool.trace_run import run_trace as run_trace
    from clonesim.pool.workers import scheduler as scheduler

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submod_attrs={
        "band": ["band_sample", "policy_band", "simulate_with_band"],
        "experiment": ["create_delete"],
        "labels": ["trace_label"],
        "parts": ["Progress", "progress_of"],
        "run": ["Run"],
        "run_files": ["finished_runs"],
        "simulate": ["kept", "simulate"],
        "store": ["Store"],
        "trace_run": ["TraceRun", "check_one_disk", "run_trace"],
        "workers": ["scheduler"],
    },
)
