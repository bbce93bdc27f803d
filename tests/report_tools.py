"""A small pool with a policy band, a ranking of its assumptions, and names that would break a careless page."""

from __future__ import annotations

from functools import cache

import pandas as pd
from pool_tools import small

from clonesim.planning.screening import screen
from clonesim.pool import Run, simulate_with_band

HOSTILE = "<b>\"K&o'</b><script>alert(1)</script>$x_{1}$</title>"
MARK = "measured: vInfo, <img src=http://evil.example/x onerror=alert(2)>: 3 rows"


@cache
def hostile_run() -> Run:
    """6 clones, 3 days, 2 replicates; the pool's name and a mark are hostile."""
    scenario = small(
        pool={"name": HOSTILE}, marks={"guest.disk": MARK, "pool.clones": "derived: rows"}, users={"absence": 0.2}
    )
    return simulate_with_band(scenario, 3, 2, 2, 1, lambda _: lambda done, total: None)


@cache
def ranking() -> pd.DataFrame:
    """Screening of the same pool."""
    return screen(hostile_run().scenario, 3, processes=1)


@cache
def page() -> str:
    """Text of its report."""
    from clonesim.report import report_html

    return report_html(hostile_run(), ranking=ranking())
