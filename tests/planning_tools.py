"""Plans made by hand, with figures that are easy to tell apart."""

import math

import pandas as pd

from clonesim.planning.density import Density
from clonesim.planning.host_needs import HostsNeeded
from clonesim.planning.limits import Limits
from clonesim.planning.purchase import Purchase
from clonesim.planning.sizing import Size

GIB, TIB = 2**30, 2**40
OUTAGE = {10: (0.0, 0.0, 0.04), 20: (0.0, 0.0, 0.2), 40: (0.5, 0.3, 0.7), 80: (1.0, 0.8, 1.0)}
WAIT = {10: 0.001, 20: 0.002, 40: 0.004, 80: 0.08}


def density_frame(largest=20, sure=10, binding="outage"):
    """Risk of 5 %, resolved but for 20 clones; waits of 20 ms; at most 50 clones."""
    rows = []
    for n, (value, low, high) in OUTAGE.items():
        rows.append((n, "outage", value, low, high, 0.05, value <= 0.05, n != 20, True))
        wait = WAIT[n]
        rows.append((n, "lock_wait", wait, wait / 2, 2 * wait, 0.02, wait <= 0.02, True, n != 40))
        rows.append((n, "clones", n, n, n, 50.0, n <= 50, True, True))
    names = ["n", "metric", "value", "low", "high", "limit", "passes", "resolved", "simulated"]
    frame = pd.DataFrame(rows, columns=names)
    frame.attrs |= {"caption": "Two pools.", "largest": largest, "sure": sure, "binding": binding}
    return frame


def density(largest=20, sure=10, binding="outage", needed=59.0):
    """Twenty clones, ten if the intervals count."""
    space = pd.DataFrame({"n": list(OUTAGE), "used_p95": [n * 5.0 * GIB for n in OUTAGE]})
    space.attrs |= {"replicates": 12}
    storms = {"kind": "patches", "windows": 3, "hours": 6.0, "requests": 2090, "wait_p50_s": 0.0005}
    storms |= {"wait_p99_s": 0.002, "conflicts_per_s": 0.25, "conflicts_max60": 1.5, "failed": 7}
    then = [("LUN size", 100 * GIB, 80 * GIB, 125 * GIB, 1.25), ("lock_wait", 0.02, 0.002, 0.004, 0.2)]
    moves = pd.DataFrame(
        [*then, ("clones", 50.0, 20.0, 40.0, 0.8)], columns=["metric", "limit", "now", "then", "factor"]
    )
    moves.attrs |= {"now": 20, "then": 40}
    return Density(
        frame=density_frame(largest, sure, binding),
        space=space,
        storms=pd.DataFrame([storms]),
        moves=moves,
        rules=rules(),
        largest=largest,
        sure=sure,
        binding=binding,
        replicates_needed=needed,
        limits=Limits(0.05, 0.02, None, None, None, None, 50),
        label="Two pools.",
    )


def rules():
    """One rule that allows five times too many, one for other backings, one that says nothing of clones."""
    rows = [
        ("view-minimum", "2 x memory", True, 4.0 * GIB, -0.5, 100.0 * GIB, 0.0, 100.0, 4.0, "a"),
        ("most-nfs", "200 on NFS", False, math.nan, math.nan, math.nan, math.nan, 10.0, -0.5, "b"),
        ("queue-depth", "32 a host", True, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, "c"),
    ]
    names = ["rule", "says", "applies", "clone_bytes", "clone_off", "lun_bytes", "lun_off", "clones", "clones_off"]
    return pd.DataFrame(rows, columns=[*names, "source"])


def bought(replica=0):
    """Two datastores of 250 GiB; the policy may double the capacity, patches move it by a tenth."""
    items = [
        ("datastores", "1", 2.0, 2.0, 4.0),
        ("clones per datastore", "1", 30.0, 15.0, 30.0),
        ("usable capacity", "B", 500.0 * GIB, 400.0 * GIB, 2.0 * TIB),
        ("raw capacity", "B", 2.0 * TIB, 1.5 * TIB, 3.0 * TIB),
        ("peak I/O", "1/s", 1234.0, 1000.0, 1500.0),
        ("peak throughput", "B/s", 25e6, 25e6, 25e6),
    ]
    swings = pd.DataFrame(
        [
            ("patches", "size of patches (storms.patch_factor)", "lower", 0.9, 1.0, "one delta", 450 * GIB, 10),
            ("patches", "size of patches (storms.patch_factor)", "higher", 1.1, 1.0, "one delta", 550 * GIB, 10),
            ("policy", "free clusters (guest.policy)", "best-fit", 1.02, 1.0, "one file", 510 * GIB, 10),
            ("policy", "free clusters (guest.policy)", "fresh-first", 2.1, 1.5, "one file", 1000 * GIB, 14),
        ],
        columns=["assumption", "title", "way", "space", "iops", "measure", "usable_bytes", "disks"],
    )
    wrong = {"growth": [1.25, 0.75], "p_outage": [0.8, 0.0], "bytes": [100 * GIB, -90 * GIB], "disks": [1, 0]}
    frame = pd.DataFrame(items, columns=["item", "unit", "value", "low", "high"])
    frame.attrs |= {"caption": "Two pools."}
    needed = HostsNeeded(3, 2, 1, 1, 83, "cpu", {"memory": 90, "cpu": 83})
    made = Purchase(2, 30, 250 * GIB, replica, 500 * GIB, 4.5e11, 10, 2, "latency", 4 * 10**12, 1234.0, 25e6, needed)
    return Size(
        frame=frame,
        swings=swings,
        wrong=pd.DataFrame(wrong),
        measure="one file",
        measure_swing=1.0,
        binding="outage",
        peak="logons",
        purchase=made,
        density=density(),
        risk=0.05,
        label="Two pools.",
    )
