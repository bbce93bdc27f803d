"""How often the probe names the right policy, and whether its probabilities are right.

    python benchmarks/bench_probe.py [--probes 200] [--draws 150] [--sites 4] [--form self-contained|guest] [--four]

Probes of a known policy are simulated at sites that are drawn (size, fullness, clusters, noise), and fitted against
other simulations of the same sites. "right" counts the named policy, "top" the likeliest one. The rank of the truth
among the policies, with ties broken at random, must be uniform where the truth is drawn as the fit supposes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from bench_tools import asked, finish

from clonesim.planning.probe import TRIED, reference
from clonesim.planning.probe_simulation import simulate_probe, with_noise
from clonesim.planning.probe_site import Site
from clonesim.units import GIB, KIB, MIB

FOUR = ("fresh-first", "next-fit", "best-fit", "worst-fit")


def draw_site(form: str, rng: np.random.Generator, restarted: bool) -> tuple[Site, float]:
    """A site, and what others write there. [B/s]"""
    system = str(rng.choice(["windows-7", "windows-10", "windows-11"]))
    if form == "self-contained":
        disk = int(rng.choice([2, 4, 8])) * GIB
        cluster = int(rng.choice([4 * KIB, 8 * KIB]))
        seconds = tuple(float(s) for s in rng.uniform(40, 120, 7))
        site = Site("self-contained", disk, disk * 2 // 5, disk // 64, cluster, os=system, seconds=seconds)
        return site, float(np.exp(rng.uniform(np.log(1e3), np.log(5e4))))
    disk = int(rng.choice([40, 64, 120])) * GIB
    seconds = tuple(float(s) for s in rng.uniform(0.8, 1.5, 7) * (60, 40, 80, 150, 40, 40, 40))
    used = round(disk * rng.uniform(0.3, 0.7))
    site = Site("guest", disk, used, 256 * MIB, os=system, seconds=seconds, restarted=restarted, pieces=1)
    return site, float(np.exp(rng.uniform(np.log(1e4), np.log(2e5))))


def run(form: str, policies: tuple[str, ...], probes: int, draws: int, sites: int, restarted: bool = True) -> dict:
    """Accuracy, ranks and seconds."""
    began = time.perf_counter()
    rng = np.random.default_rng(7)
    right, top, wrong = (dict.fromkeys(policies, 0) for _ in range(3))
    ranks, fits = [], 0
    for number in range(sites):
        site, noise = draw_site(form, rng, restarted)
        middle = simulate_probe("best-fit", site, 90_000 + number, noise=noise)
        seen = replace(middle, grown=np.array([noise * site.seconds[0], *middle.grown[1:]]))
        classifier = reference(replace(seen, site=site), policies, draws, 1000 + number)
        for draw in range(probes // sites):
            for name in policies:
                probe = simulate_probe(name, site, 50_000 + number, draw, noise=with_noise(site, seen.grown))
                told = classifier.probabilities(probe.features)
                best = policies[int(told.argmax())]
                named = told.max() >= 0.9
                top[name] += best == name
                right[name] += named and best == name
                wrong[name] += named and best != name
                place = policies.index(name)
                ranks.append(told[:place].sum() + rng.random() * told[place])
                fits += 1
    each = probes // sites * sites
    counts = np.histogram(ranks, bins=10, range=(0, 1))[0]
    expected = len(ranks) / 10
    return {
        "form": form,
        "restarted": restarted,
        "probes": each,
        "right": {name: right[name] / each for name in policies},
        "top": {name: top[name] / each for name in policies},
        "named_wrong": {name: wrong[name] / each for name in policies},
        "rank_counts": counts.tolist(),
        "rank_chi2_9": float(((counts - expected) ** 2 / expected).sum()),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--draws", type=int, default=150)
    parser.add_argument("--sites", type=int, default=4)
    parser.add_argument("--form", choices=["self-contained", "guest"], default="self-contained")
    parser.add_argument("--four", action="store_true", help="only the four policies that must be told apart")
    parser.add_argument("--no-restart", action="store_true")
    given = asked(parser, argv, probes=1, draws=8, sites=1, four=True)
    policies = FOUR if given.four else TRIED
    found = run(given.form, policies, given.probes, given.draws, given.sites, not given.no_restart)
    print(json.dumps(found, indent=1))
    return finish(given, found)


if __name__ == "__main__":
    raise SystemExit(main())
