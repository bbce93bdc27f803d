"""Sizes to come of the measured clones, drawn from the calibrated simulation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clonesim.keys import POOL, generator
from clonesim.planning.calibration_design import Design
from clonesim.planning.calibration_emulator import LEAST, Formulas, fit_formulas
from clonesim.planning.calibration_looks import TOPIC, Looks
from clonesim.planning.calibration_posterior import Posterior
from clonesim.planning.growth_fit import CHUNK
from clonesim.scenario import catalog

WIDEST = 1.5  # of a clone's growth beside the pool's mean: standard deviation by mean
LEAST_SHARED = 0.25  # of the variance of what the formulas miss: that a pool's clones have in common at least
LEAST_SPEED = 0.05  # of the pool's mean: what a clone is expected to grow at least

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Growth:
    """Growth from one age to later ones as formulas; made by `growth_of`.

    Attributes
    ----------
    mean : Formulas
        Logarithm of the pool's mean growth up to each later age.
    slope, deviation : Formulas
        How much faster clones grow that are larger at first (share of the mean growth by share of the mean size), and
        the logarithm of the standard deviation of what is left, as a share of the mean growth.
    past : Formulas
        Logarithm of the pool's mean size at the first age.
    follows : (policies, later) float64 array
        How much more a pool grows that is larger at first than its setting lets expect. [1]
    left : (pools, later) float64 array
        What the formulas miss of the growth beyond that, as all clones of a pool have it in common.
    """

    mean: Formulas
    slope: Formulas
    deviation: Formulas
    past: Formulas
    follows: Floats
    left: Floats


def growth_of(design: Design, age: float, later: Floats) -> Growth:
    """Fit formulas to the growth of the design's pools between an age and some later ones."""
    sizes = design.at(np.concatenate([[age], later]))
    now, grown = sizes[:, :, 0], np.maximum(sizes[:, :, 1:] - sizes[:, :, :1], 0.0)
    mean = grown.mean(axis=1) + LEAST
    beside = now / now.mean(axis=1, keepdims=True) - 1
    speed = grown / mean[:, None, :] - 1
    variance = (beside**2).mean(axis=1)
    slope = np.einsum("pc,pcd->pd", beside, speed) / beside.shape[1] / np.maximum(variance, 1e-6)[:, None]
    left = speed - slope[:, None, :] * beside[:, :, None]
    deviation = left.std(axis=1) * np.sqrt(left.shape[1] / max(left.shape[1] - 2, 1)) + 1e-3
    fitted, past = fit_formulas(design, np.log(mean)), fit_formulas(design, np.log(now.mean(axis=1))[:, None])
    shape = design.cost.policies, design.cost.points, later.size
    was, came = past.residual.reshape(*shape[:2], 1), fitted.residual.reshape(shape)
    follows = (was * came).sum(axis=1) / np.maximum((was**2).sum(axis=1), 1e-12)
    left = (came - was * follows[:, None, :]).reshape(-1, later.size)
    own = (deviation**2).mean() / design.cost.clones
    shared = np.sqrt(np.clip(1 - own / max(float((left**2).mean()), 1e-12), LEAST_SHARED, 1.0))
    return Growth(
        fitted,
        fit_formulas(design, slope),
        fit_formulas(design, np.log(deviation)),
        past,
        follows,
        shared * left,
    )


def chunks(
    design: Design, posterior: Posterior, looks: Looks, ahead: Floats, seed: int, most: float
) -> Iterator[tuple[Ints, Floats]]:
    """Yield numbers of some clones with their drawn sizes, (draws, clones, days), part by part.

    Policy, scale and spread are drawn from what is known of them; the pool's growth with the error of the formula and
    one simulated pool's own deviation; each clone's with what its size tells of its speed, and what nothing tells.

    Parameters
    ----------
    design, posterior
        What was simulated, and what is known after the looks.
    looks : Looks
        What was measured; forecasts start at the last one.
    ahead : (days,) float64 array
        Days after that. [d]
    seed : int
        Key of the draws.
    most : float
        Size that no delta can pass. [B]
    """
    count = int(catalog.value(TOPIC, "draws"))
    growth = growth_of(design, looks.last, looks.last + ahead)
    rng = generator(seed, 0, POOL, "pool:calibration-forecast")
    policy, place = posterior.draw(count, rng)
    size = looks.size[:, -1]
    mean, slope, deviation = (np.empty((count, ahead.size)) for _ in range(3))
    for number in range(design.cost.policies):
        mine = policy == number
        if not mine.any():
            continue
        where = place[:, mine]
        mean[mine], slope[mine] = growth.mean.at(number, where), growth.slope.at(number, where)
        deviation[mine] = growth.deviation.at(number, where)
        own = growth.left[design.policy == number]
        drawn, again = (own[rng.integers(0, len(own), len(where[0]))] for _ in range(2))
        doubt = np.sqrt(growth.mean.doubt(number, where))[:, None]
        ahead_of = np.log(np.maximum(size.mean(), LEAST)) - growth.past.at(number, where)
        mean[mine] += growth.follows[number] * ahead_of + drawn + doubt * again
    beside = size / size.mean() - 1
    for first in range(0, size.size, CHUNK):
        part = np.arange(first, min(first + CHUNK, size.size))
        expected = np.maximum(1 + slope[:, None, :] * beside[part][None, :, None], LEAST_SPEED)
        wide = np.minimum(np.exp(deviation)[:, None, :] / expected, WIDEST)
        sigma = np.sqrt(np.log1p(wide**2))
        chance = generator(seed, first, POOL, "pool:calibration-clones").standard_normal((count, part.size, 1))
        speed = expected * np.exp(sigma * chance - sigma**2 / 2)
        grown = np.maximum(np.exp(mean)[:, None, :] - LEAST, 0.0) * speed
        yield part, np.minimum(size[part][None, :, None] + grown, np.maximum(most, size[part])[None, :, None])
