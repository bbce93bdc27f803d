"""Pools whose sizes follow a known formula, in place of simulated ones, and frames of what is measured of them."""

import numpy as np
import pandas as pd

from clonesim.planning.calibration_design import Cost, Design, Prior

GIB = 2**30
SIGMA_SHOCK = 0.08


def prior(policies=("slow", "fast"), sigma=0.5):
    return Prior(
        tuple(policies), np.array([1 / 3, 0.2]), np.array([3.0, 1.25]), np.array([1.0, 0.5]), np.array([sigma, 0.4])
    )


def made(policy, scale, spread, clones, days, rng, saturates):
    """Sizes (clones, days): growth a day in proportion to scale and speed; `saturates` (GiB by policy) bounds it.

    Policy 1 grows twice as fast as policy 0. One shock for all clones, and one of each.
    """
    speed = np.exp(spread * (rng.standard_normal((clones, 1)) - spread / 2))
    shock = np.exp(SIGMA_SHOCK * rng.standard_normal())
    wanted = 0.1 * (1, 2)[policy] * scale * speed * shock * np.arange(1, days + 1)
    most = saturates[policy]
    return GIB * (most * -np.expm1(-wanted / most))


def design(clones=30, days=40, points=20, saturates=(1e3, 1e3), seed=1, sigma=0.5):
    rng = np.random.default_rng(seed)
    given = prior(sigma=sigma)
    place = np.tile(np.stack([(rng.permutation(points) + 0.5) / points for _ in range(2)]), 2)
    value = given.at(place)
    size = np.stack([made(k // points, *value[:, k], clones, days, rng, saturates) for k in range(2 * points)])
    return Design(given, Cost(2, points, clones, days), place, size, "made by hand")


def frame(size, days, start="2026-01-05", luns=2):
    """What a listing says of sizes (clones, days) at the ends of some days."""
    clone, day = (part.ravel() for part in np.meshgrid(np.arange(len(size)), days, indexing="ij"))
    found = pd.DataFrame({"clone": [f"vdi-{number:03d}" for number in clone], "bytes": size[clone, day - 1]})
    if start is None:
        found["day"] = day
    else:
        found["date"] = pd.Timestamp(start) + pd.to_timedelta(day, unit="D")
    found["lun"] = [f"LUN{number % luns}" for number in clone]
    return found
