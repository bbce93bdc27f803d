"""A probe on a simulated volume: the same pattern under a known policy, with all that is not known drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.delta import Delta
from clonesim.guest import POLICIES, Volume
from clonesim.ops import Requests
from clonesim.planning.probe_pattern import PARTS, RESTART_BEFORE, Act, Step, base_acts, prepare_acts, steps
from clonesim.planning.probe_site import Probe, Site
from clonesim.scenario import catalog
from clonesim.units import MIB

Generator = np.random.Generator
STREAM_WRITE: Final = MIB  # most that the scripts write at a time when they append [B]
_NEVER: Final = "vhdx"  # format of the snapshots that stand for restarts: nobody looks at them, so a coarse one
NOISE_FILE: Final = 512 * 1024  # about what others write at a time; most files that come and go are smaller [B]
MOST_NOISE_FILES: Final = 24  # in a step; where others write more, each is larger
LEFT_PARTS: Final = 6 * PARTS  # what the steps need of the room, at most
_TRIES: Final = 12  # at free space in which the reserved file has as many pieces as the script saw, one or several


@dataclass(frozen=True, slots=True)
class Unknowns:
    """What a probe does not know of its site, drawn.

    Attributes
    ----------
    holes : int
        Holes among what the guest had in use; those of the self-contained form are the pattern's own.
    hole_share : float
        Their share of the free space. [1]
    hole_spread : float
        Standard deviation of the logarithm of their sizes. [1]
    runs : int
        Long free runs that hold the rest of the free space.
    reuse_s : float
        How long freed clusters wait before they are used again. [s]
    noise : float
        Bytes per second that others write to the delta. [B/s]
    placed : float
        Share of these that go to new clusters; the others lie on clusters in use. [1]
    """

    holes: int
    hole_share: float
    hole_spread: float
    runs: int
    reuse_s: float
    noise: float
    placed: float


def draw_unknowns(rng: Generator, noise: float) -> Unknowns:
    """Draw what is not known; `noise` is what the idle step measured, or a guess of it. [B/s]"""
    known = catalog.parameters("probe")
    low, high = (float(known[f"reuse.{end}"].default) for end in ("least", "most"))
    few, many = (int(known[f"holes.{end}"].default) for end in ("least", "most"))
    return Unknowns(
        holes=round(np.exp(rng.uniform(np.log(few), np.log(many)))),
        hole_share=float(rng.uniform(0.0, known["holes.share"].default)),
        hole_spread=float(rng.uniform(0.5, known["holes.spread"].default)),
        runs=int(rng.integers(1, 1 + known["holes.runs"].default)),
        reuse_s=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
        noise=float(noise * np.exp(rng.normal(0.0, known["noise.spread"].default))),
        placed=float(rng.uniform(0.0, 1.0)),
    )


def simulate_probe(
    policy: str, site: Site, seed: int, draw: int = 0, *, noise: float = 0.0, unknowns: Unknowns | None = None
) -> Probe:
    """Run the pattern on a volume of a policy, and look at its delta as the probe does.

    Parameters
    ----------
    policy : str
        A key of `clonesim.guest.POLICIES`.
    site : Site
        Where: geometry, fullness, unit, durations.
    seed, draw : int
        Whatever is not known follows from these and the policy. [1]
    noise : float, default 0
        What others write, as the idle step measured it; each draw takes its own around it. [B/s]
    unknowns : Unknowns, optional
        Given instead of drawn.

    Returns
    -------
    Probe
    """
    rng = np.random.default_rng([seed, draw, POLICIES[policy].code])
    for _ in range(_TRIES):
        drawn = unknowns or draw_unknowns(rng, noise)
        volume, pieces = _volume(policy, site, drawn, rng)
        if not site.pieces or (pieces == 1) == (site.pieces == 1):
            break
    eyes = _Eyes(Delta(site.format if site.form == "guest" else "vmfs-sparse", volume.settings.disk_bytes))
    volume.watch = eyes
    parts = [
        _step(volume, site, step, seconds, drawn, eyes, rng)
        for step, seconds in zip(steps(), site.seconds, strict=True)
    ]
    grown, place = np.array(parts).T
    seen = replace(site, pieces=pieces)
    return Probe(seen, grown, place if site.has_places else np.full(grown.size, np.nan), f"simulated {policy}")


class _Eyes:
    """The delta as it is looked at after a step: its file, and where it grew."""

    def __init__(self, delta: Delta) -> None:
        self.delta = delta
        self._parts: list[Requests] = []

    def __call__(self, requests: Requests, _source: NDArray[np.int64], _fresh: NDArray[np.int64]) -> None:
        """Take what a volume writes."""
        self._parts.append(requests)

    def look(self) -> tuple[int, int, float]:
        """By how much the file grew since the last look [B], what it holds more [B], and the mean place of that [B]."""
        before, parts = self.delta.file_bytes, self._parts
        if not parts:
            return 0, 0, np.nan
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in Requests.__slots__]
        requests = Requests(*columns)
        new = np.zeros(len(requests), np.int64)
        self.delta.apply(requests, new)
        self._parts = []
        held = int(new.sum())
        middle = float((new * (requests.offset + requests.length / 2)).sum()) / held if held > 0 else np.nan
        return self.delta.file_bytes - before, held * self.delta.law.grain, middle


def _volume(policy: str, site: Site, unknowns: Unknowns, rng: Generator) -> tuple[Volume, int]:
    """The volume before the first step, and in how many pieces its reserved file lay."""
    disk, used = _squeezed(site)
    more = {} if policy == "ntfs3g" else _more(site, unknowns)
    volume = Volume(disk, policy, os=site.os, auto_checkpoint=False, **more)
    if site.form == "self-contained":
        for act in base_acts():
            _act(volume, act, site)
        volume.snapshot(_NEVER)
        return volume, 0
    volume.occupy(_occupied(volume.clusters, used / (disk - site.partition_offset), unknowns, rng))
    volume.snapshot(_NEVER)
    volume.begin_image()
    pieces = 0
    for act in prepare_acts():  # nothing is written to what is reserved, so it counts as never written
        _act(volume, act, site)
        pieces = pieces or len(volume.extents(act.file))
    volume.seal()
    return volume, pieces


def _more(site: Site, unknowns: Unknowns) -> dict[str, Any]:
    more: dict[str, Any] = {
        "cluster_size": site.cluster_bytes,
        "partition_offset": site.partition_offset,
        "reuse_delay": unknowns.reuse_s,
    }
    return more | ({"discards": False} if site.form == "self-contained" else {})


def _squeezed(site: Site) -> tuple[int, int]:
    """Disk and space in use that are simulated. [B]

    What is in use never moves, and free space beyond four times what the pattern needs is never reached: a guest's
    volume is simulated without these, so that a large disk takes no longer than a small one.
    """
    if site.form == "self-contained":
        return site.disk_bytes, site.used_bytes
    free = min(site.free_bytes, 4 * site.needed_bytes)
    used = min(site.used_bytes, free // 4)
    whole = (site.partition_offset + free + used) // MIB * MIB
    return min(whole, site.disk_bytes), used


def _occupied(clusters: int, share: float, unknowns: Unknowns, rng: Generator) -> NDArray[np.bool_]:
    """Clusters in use: chunks of random length with holes and a few long free runs between them, in random order."""
    free = clusters - round(share * clusters)
    holes = np.exp(rng.normal(0.0, unknowns.hole_spread, unknowns.holes))
    holes = np.maximum(holes * (unknowns.hole_share * free / holes.sum()), 1).astype(np.int64)
    runs = rng.dirichlet(np.full(unknowns.runs, 2.0)) * max(free - int(holes.sum()), 0)
    gaps = rng.permutation(np.concatenate([holes, runs.astype(np.int64)]))
    chunks = rng.dirichlet(np.ones(gaps.size + 1)) * max(clusters - int(gaps.sum()), 0)
    lengths = np.zeros(2 * gaps.size + 1, np.int64)
    lengths[::2], lengths[1::2] = chunks.astype(np.int64), gaps
    taken = np.zeros(lengths.size, np.bool_)
    taken[::2] = True
    return np.repeat(taken, lengths)[:clusters]


def _step(
    volume: Volume, site: Site, step: Step, seconds: float, unknowns: Unknowns, eyes: _Eyes, rng: Generator
) -> tuple[float, float]:
    """One step; returns by how much the delta grew [B], and the mean place of what was new [1]."""
    if site.form == "self-contained" or (step.name == RESTART_BEFORE and site.restarted):
        volume.snapshot(_NEVER)
    others = unknowns.noise * seconds * float(np.exp(rng.normal(0.0, 0.3)))
    count = min(math.ceil(others * unknowns.placed / NOISE_FILE), MOST_NOISE_FILES)
    when = rng.integers(0, len(step.acts), count)
    for number, act in enumerate(step.acts):
        for other in np.flatnonzero(when == number).tolist():
            if volume.free_bytes > LEFT_PARTS * site.unit_bytes // PARTS:  # a full disk stops the others first
                volume.create(f"other {step.name} {other}", round(others * unknowns.placed / count))
        _act(volume, act, site)
    on_used = others * (1 - unknowns.placed)
    longer, held, middle = eyes.look()
    return (longer if site.form == "guest" else held) + on_used, middle / volume.settings.disk_bytes


def _act(volume: Volume, act: Act, site: Site) -> None:
    size = act.parts * site.unit_bytes // PARTS
    if act.verb == "wait":
        volume.advance(site.wait_s)
    elif act.verb == "ballast":
        volume.create(act.file, max(volume.free_bytes - size, 0))
    elif act.verb in ("create", "reserve"):
        volume.create(act.file, size)
    elif act.verb == "delete":
        volume.delete(act.file)
    else:
        volume.create(act.file)
        piece = size if volume.settings.policy == "windows" else min(site.unit_bytes // PARTS, STREAM_WRITE)
        for start in range(0, size, piece):
            volume.append(act.file, min(piece, size - start))


def with_noise(site: Site, grown: NDArray[np.float64]) -> float:
    """Bytes per second that others write, from what the idle step saw. [B/s]"""
    return max(float(grown[0]), 0.0) / max(site.seconds[0], 1.0)
