"""Which allocation policy does a guest follow? The probe's answer, with its probability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from clonesim.errors import ParameterError
from clonesim.guest import POLICIES
from clonesim.planning.probe_classifier import Classifier
from clonesim.planning.probe_results import read_probe
from clonesim.planning.probe_simulation import simulate_probe, with_noise
from clonesim.planning.probe_site import SEEN, Probe
from clonesim.scenario import catalog

TRIED: Final = ("fresh-first", "next-fit", "best-fit", "worst-fit", "first-fit", "windows")
LEAST_DRAWS: Final = 20
MOST_NOISE: Final = 2.0  # units that others may write while the probe runs; more would fill the room it keeps free


@dataclass(frozen=True)
class ProbeFit:
    """What a probe says about the policy.

    Attributes
    ----------
    probe : Probe
        What was measured, and where.
    frame : DataFrame
        A row per policy, the likeliest first: policy, probability, and the median of each feature in its simulations.
    measured : Series
        The measured features: growth per step in units, and for the self-contained form the mean places.
    strangeness : float
        Share of simulated probes that are at least as strange to their own policy as this one is to the policy that
        it is nearest to. [1]
    draws, seed : int
        Simulated probes per policy, and their seed. [1]
    """

    probe: Probe
    frame: pd.DataFrame
    measured: pd.Series[float]
    strangeness: float
    draws: int
    seed: int

    @cached_property
    def policy(self) -> str | None:
        """The policy, if one can be named; None if the probe cannot tell, or if none of them explains it."""
        known = catalog.parameters("probe")
        if self.strange or self.frame["probability"].iloc[0] < known["classifier.named"].default:
            return None
        return str(self.frame["policy"].iloc[0])

    @cached_property
    def strange(self) -> bool:
        """Whether none of the policies explains what was measured."""
        return self.strangeness < float(catalog.parameters("probe")["classifier.strange"].default)

    @cached_property
    def candidates(self) -> tuple[str, ...]:
        """The likeliest policies that together have the probability from which one is named; none if it is strange."""
        if self.strange:
            return ()
        together = self.frame["probability"].cumsum().to_numpy()
        count = int(np.searchsorted(together, catalog.parameters("probe")["classifier.named"].default)) + 1
        return tuple(self.frame["policy"].iloc[:count])

    @property
    def verdict(self) -> tuple[str, ...]:
        """The answer in sentences."""
        site = self.probe.site
        called = f"{site.windows or site.os}{f' build {site.build}' if site.build else ''}"
        where = f"{called}, volume {100 * site.fullness:.0f} % full"
        known = self._probabilities()
        if self.strange:
            first = (
                "None of the policies explains what was measured: others wrote too, or the guest follows another one."
            )
        elif self.policy:
            first = f"The policy is {self.policy}, with a probability of {100 * known[self.policy]:.1f} %."
        else:
            told = " or ".join(f"{name} ({100 * known[name]:.0f} %)" for name in self.candidates)
            first = f"The policy cannot be told: {told}."
        rest = [f"Measured in {where}; compared with {self.draws} simulated probes of each policy."]
        if not self.strange and not self.policy and not site.has_places:
            rest.append("The self-contained form tells more: it sees where on the disk the delta grew.")
        return first, *rest

    @property
    def row(self) -> dict[str, Any]:
        """One row for a table of results: where, what was measured, what follows; nothing that names a machine."""
        site = self.probe.site
        told: dict[str, Any] = {
            "windows": site.windows,
            "build": site.build,
            "form": site.form,
            "format": site.format,
            "disk_bytes": site.disk_bytes,
            "cluster_bytes": site.cluster_bytes,
            "fullness": round(site.fullness, 4),
            "unit_bytes": site.unit_bytes,
            "pieces": site.pieces,
            "restarted": site.restarted,
            "policy": self.policy or ("none" if self.strange else "untold"),
        }
        told |= {f"p_{name}": round(share, 4) for name, share in sorted(self._probabilities().items())}
        return told | {str(name): round(float(value), 4) for name, value in self.measured.items()}

    def _probabilities(self) -> dict[str, float]:
        return dict(zip(self.frame["policy"].tolist(), self.frame["probability"].tolist(), strict=True))

    def __repr__(self) -> str:
        return f"<ProbeFit: {self.verdict[0]}>"


def fit_probe(
    source: str | Path | Probe,
    *,
    delta: str | Path | None = None,
    policies: Sequence[str] = TRIED,
    draws: int | None = None,
    seed: int = 0,
    progress: Callable[[], None] | None = None,
) -> ProbeFit:
    """Name the policy that a probe's guest follows.

    Each policy is simulated many times at the probe's own site, with what is not known drawn: the shape of the free
    space, how long freed clusters wait, what others write. The result is compared with these by `Classifier`.

    Parameters
    ----------
    source : str, Path or Probe
        The file that the probe's script wrote.
    delta : str or Path, optional
        CSV of the delta's sizes seen from outside; see `read_probe`.
    policies : sequence of str
        Policies to choose from, all alike beforehand.
    draws : int, optional
        Simulated probes per policy; the catalog's by default. [1]
    seed : int, default 0
        Seed of the draws.
    progress : callable, optional
        Called after each policy.

    Returns
    -------
    ProbeFit

    Raises
    ------
    ProbeError
        If the file is not such a result.
    ParameterError
        If a policy is unknown, fewer than two are given, or others wrote more than the pattern.
    """
    count = int(catalog.parameters("probe")["classifier.draws"].default) if draws is None else draws
    tried = tuple(dict.fromkeys(policies))
    if len(tried) < 2 or not set(tried) <= set(POLICIES):
        raise ParameterError("policies", list(policies), f"two or more of {', '.join(POLICIES)} are needed")
    if type(count) is not int or count < LEAST_DRAWS:
        raise ParameterError("draws", draws, f"a whole number from {LEAST_DRAWS} up is needed")
    probe = source if isinstance(source, Probe) else read_probe(source, delta)
    classifier = reference(probe, tried, count, seed, progress)
    features = probe.features
    frame = pd.DataFrame({"policy": tried, "probability": classifier.probabilities(features)})
    middle = np.median(classifier.table, axis=1)
    for column, name in enumerate(probe.site.features):
        frame[name] = middle[:, column]
    frame = frame.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    measured = pd.Series(features, index=list(probe.site.features), name="measured")
    return ProbeFit(probe, frame, measured, classifier.strangeness(features), count, seed)


def reference(
    probe: Probe, policies: Sequence[str], draws: int, seed: int, progress: Callable[[], None] | None = None
) -> Classifier:
    """Classifier for a probe's site: simulated probes of each policy, with others writing as the idle step saw it."""
    site, noise = probe.site, with_noise(probe.site, probe.grown)
    if noise * sum(site.seconds) > MOST_NOISE * site.unit_bytes:
        allowed = (
            f"by the idle step, others would write more than {MOST_NOISE:g} units of {site.unit_bytes} B in all steps"
        )
        remedy = "Wait until the guest is quiet, or use a larger unit."
        raise ParameterError("others_bytes", round(noise * sum(site.seconds)), allowed, remedy)
    table = []
    for policy in policies:
        table.append([simulate_probe(policy, site, seed, draw, noise=noise).features for draw in range(draws)])
        if progress:
            progress()
    return Classifier.of(np.array(table), len(SEEN) if site.has_places else 0)
