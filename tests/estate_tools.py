"""Estates small enough to simulate in a blink, and a stand-in for the simulator whose expectation is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pool_tools import BIG

from clonesim.pool.calendar import Calendar
from clonesim.pool.estate_strata import SampleJob, SampleResult
from clonesim.pool.storms import patches

OFF = "\n".join(f"{name} = false" for name in BIG)
SMALL = f"""
base = "windows-xp-office"
[guest]
disk = "4 GiB"
used = "2560 MiB"
memory = "1 GiB"
page_file = "256 MiB"
[workload.sources]
{OFF}
[luns]
size = "1 TiB"
"""
HEAD = """
[estate]
name = "small"
days = 3
start = 2008-12-08
[[sites]]
name = "a"
[[sites]]
name = "b"
"""
TWO = (
    HEAD
    + """
[[pools]]
name = "one"
site = "a"
scenario = "small.toml"
clones = 4
count = 2
[[pools]]
name = "two"
site = "b"
scenario = "small.toml"
clones = 5
luns = {count = 2}
"""
)
STANDARD = """
[estate]
name = "stand-in"
days = 5
start = 2008-12-08
[[sites]]
name = "a"
[[pools]]
name = "one"
site = "a"
scenario = "small.toml"
clones = 60
count = 5
[[pools]]
name = "two"
site = "a"
scenario = "small.toml"
clones = 100
[[pools]]
name = "three"
site = "a"
scenario = "small.toml"
clones = 7
"""
RING = """
[[pools]]
name = "ring{delay}"
site = "a"
scenario = "small.toml"
storms = {{patch_delay = {delay}}}
"""
MEAN = {60: 1e9, 100: 3e9, 7: 2e9}  # of a desktop, by the size of its pool [B]


def estate_file(folder: Path, text: str = TWO) -> Path:
    """Write an estate and the scenario that its pools name."""
    (folder / "small.toml").write_text(SMALL, encoding="utf-8")
    path = folder / "estate.toml"
    path.write_text(text, encoding="utf-8")
    return path


def stand_in(slope: float, shared_sd: float, own_sd: float) -> Callable[[SampleJob], SampleResult]:
    """Desktops that grow by patches, by a draw that all pools share, and by one of their own.

    A desktop's expectation is MEAN + slope x what is expected of patches.
    """

    def run(job: SampleJob) -> SampleResult:
        pool = job.scenario.pool
        patched = patches(job.scenario, Calendar.of(pool.start, pool.days), job.seed, job.replicate)[1].sum()
        shared = 1 + shared_sd * np.random.default_rng([job.seed, job.replicate]).standard_normal()
        key = [job.seed, job.replicate, *pool.stream.encode()]
        own = np.random.default_rng(key).standard_normal(pool.clones)[list(job.clones)]
        sizes = np.zeros((own.size, pool.days, 2), np.int64)
        sizes[:, -1, :] = ((MEAN[pool.clones] * (1 + own_sd * own) + slope * patched) * shared)[:, None]
        return SampleResult(sizes, 0.001, 0.01)

    return run
