"""The experiment that this field argues about: create and delete one file, again and again, under every policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from clonesim.errors import ParameterError
from clonesim.guest import POLICIES, Volume
from clonesim.units import format_size, parse_size


def create_delete(
    size: str | int = "20 GiB",
    used: str | int = "10 GiB",
    file: str | int = "1 GiB",
    rounds: int = 10,
    policies: Sequence[str] | None = None,
    format: str = "vmfs-sparse",  # noqa: A002 (the name of the delta's format everywhere)
    on_round: Callable[[], None] | None = None,
) -> pd.DataFrame:
    """Create and delete a file again and again in a linked clone; one run per policy.

    Parameters
    ----------
    size, used, file : str or int, default "20 GiB", "10 GiB", "1 GiB"
        Sizes of the guest's volume, of the one file in the base image and of the file that comes and goes. [B]
    rounds : int, default 10
        How often it is created and deleted. [1]
    policies : sequence of str, optional
        Allocation policies; all of them by default.
    format : str, default "vmfs-sparse"
        Delta format.
    on_round : callable, optional
        Called after every round, for progress bars.

    Returns
    -------
    DataFrame
        A row per policy and round, round 0 being the fresh snapshot: `policy`, `round`, `guest_used_bytes`,
        `delta_bytes` (the delta's file size), `increments` (its growth steps so far). [-, 1, B, B, 1]

    Raises
    ------
    ParameterError
        If a size, the number of rounds, a policy or the format is not allowed.
    VolumeError
        If the files do not fit the volume.
    """
    sizes = {n: parse_size(v, n, least=1) for n, v in (("size", size), ("used", used), ("file", file))}
    if isinstance(rounds, bool) or not isinstance(rounds, int) or not 1 <= rounds <= 100_000:
        raise ParameterError("rounds", rounds, "allowed are whole numbers from 1 to 100000")
    names = list(POLICIES) if policies is None else list(policies)
    for name in names:
        if name not in POLICIES:
            raise ParameterError("policy", name, f"allowed are {', '.join(map(repr, POLICIES))}")
    rows: list[tuple[str, int, int, int, int]] = []
    for name in names:
        volume = Volume(sizes["size"], policy=name)
        volume.create("base", sizes["used"])
        delta = volume.snapshot(format)
        rows.append((name, 0, volume.used_bytes, delta.file_bytes, len(delta.increments)))
        for step in range(1, rounds + 1):
            volume.create("file", sizes["file"])
            volume.delete("file")
            rows.append((name, step, volume.used_bytes, delta.file_bytes, len(delta.increments)))
            if on_round:
                on_round()
    frame = pd.DataFrame(rows, columns=["policy", "round", "guest_used_bytes", "delta_bytes", "increments"])
    texts = {n: format_size(v) for n, v in sizes.items()}
    frame.attrs["caption"] = (
        f"Volume {texts['size']}, base image {texts['used']}, {rounds} x (create and delete {texts['file']}), {format} "
        "delta. A policy is a hypothesis about the guest: ntfs3g models a Linux driver, none is a measurement of "
        "Windows."
    )
    return frame
