"""What a calibration says in sentences: what was learned, what cannot be told apart, what does not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clonesim.planning.calibration_design import Design
from clonesim.planning.calibration_looks import TOPIC, Looks
from clonesim.planning.calibration_posterior import Posterior, correlation_of, divergence_of
from clonesim.scenario import catalog

CORRELATED = 0.5
LITTLE = 0.2  # of shrinkage
AT_THE_EDGE = 0.2  # probability of the outermost parts of a range
TITLES = {"scale": "Scale of writes", "spread": "Spread of users (users.intensity_sigma)"}


def verdict_of(posterior: Posterior, shrinkage: pd.DataFrame, policies: pd.DataFrame) -> tuple[str, ...]:
    """What was learned, then what this data cannot tell apart."""
    found = []
    for row in shrinkage.to_dict("records"):
        learned = f"{100 * row['shrinkage']:.0f} % of what was unknown" if row["shrinkage"] >= 0.01 else "nothing"
        found.append(
            f"{TITLES[row['parameter']]}: {row['low']:.2f} to {row['high']:.2f} (90 %), beforehand "
            f"{row['prior_low']:.2f} to {row['prior_high']:.2f}; the sizes told {learned}."
        )
    shares = ", ".join(f"{row['policy']} {100 * row['probability']:.0f} %" for row in policies.to_dict("records"))
    found.append(f"Policy: {shares} ({divergence_of(posterior):.2f} nats learned).")
    return (*found, *_untold(posterior, shrinkage, policies))


def _untold(posterior: Posterior, shrinkage: pd.DataFrame, policies: pd.DataFrame) -> list[str]:
    found = []
    factor = catalog.value(TOPIC, "policy.told")
    alike = policies[policies["factor"] < factor]
    if len(alike) > 1:
        scales = ", ".join(f"{row['policy']} with scale {row['scale']:.2f}" for row in alike.to_dict("records"))
        found.append(f"Cannot be told apart (Bayes factor below {factor:g}): {scales}.")
    little = shrinkage.loc[shrinkage["shrinkage"] < LITTLE, "parameter"]
    found += [f"{TITLES[name]} rests on what was supposed." for name in little]
    together = correlation_of(posterior)
    if abs(together) >= CORRELATED:
        found.append(f"Scale and spread are known together only (correlation {together:.2f}).")
    return found


def notes_of(posterior: Posterior, looks: Looks, design: Design) -> list[str]:
    """Whether the simulation reaches what was measured."""
    found = []
    looks = looks.chosen()
    made, seen = np.median(design.at(looks.age), axis=1), np.median(looks.size, axis=0)
    for number, age in enumerate(looks.age):
        low, high = made[:, number].min(), made[:, number].max()
        if not low <= seen[number] <= high:
            way, end = ("below", low) if seen[number] < low else ("above", high)
            found.append(
                f"The median size on day {age:.0f}, {seen[number] / 2**30:.2f} GiB, is {way} all that was simulated "
                f"({end / 2**30:.2f} GiB): the scenario differs from this pool in more than scale, spread and policy."
            )
    for number, name in enumerate(TITLES):
        share = posterior.edge(number)
        if share > AT_THE_EDGE:
            found.append(f"{TITLES[name]} lies at the end of what was simulated (probability {share:.2f}).")
    if posterior.strange < catalog.value(TOPIC, "misfit"):
        found.append(
            f"Misfit: the calibrated simulation makes sizes as strange as these in {100 * posterior.strange:.2g} % of "
            "pools. Check guest, disk, patch days, and since when the clones have been growing."
        )
    return found
