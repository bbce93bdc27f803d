"""Eighteen claims about linked clones, each with figures computed anew; docs/claims.md has the verdicts.

The claims were made in 2008 and 2009. What one says is told in a few words here; what the figures say to it, and what
they rest on, is told on that page, which is checked against these figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

from clonesim.errors import ParameterError, nearest

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Figure:
    """One computed number.

    Attributes
    ----------
    name : str
        What it is.
    value : float or None
        The number; None where there is none, such as a day on which nothing happened; infinite for a wait that ends
        in failure.
    unit : str
        Its unit; empty for counts and factors.
    digits : int
        Digits after the point that are told.
    """

    name: str
    value: float | None
    unit: str = ""
    digits: int = 0

    @property
    def text(self) -> str:
        """Value and unit as they are told."""
        if self.value is None:
            return "never"
        if math.isinf(self.value):
            return "no end"
        value = round(self.value, self.digits) or 0.0  # no minus before a nought
        return f"{value:,.{self.digits}f} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim.

    Attributes
    ----------
    name : str
        "C1" to "C18".
    title : str
        What it says, in short.
    module, function : str
        Where its figures are computed, in this package.
    seconds : int
        About how long that takes on two cores. [s]
    """

    name: str
    title: str
    module: str
    function: str
    seconds: int

    def figures(self) -> list[Figure]:
        """Compute the figures."""
        found: Callable[[], list[Figure]] = getattr(
            import_module(f"clonesim.planning.claim_{self.module}"), self.function
        )
        return found()


CLAIMS: Final = (
    Claim("C1", "A delta can grow to the size of its disk, but usually will not", "growth", "most_a_delta_takes", 90),
    Claim("C2", "A delta grows to the size of the free space within weeks", "growth", "days_to_the_free_space", 90),
    Claim("C3", "NTFS writes never-used blocks before freed ones", "volume", "never_used_first", 4),
    Claim("C4", "Ten times 1 GB created and deleted: no net use, 10 GB of delta", "volume", "ten_times_one_file", 4),
    Claim("C5", "Caches, updates, antivirus and temporary files add up fast", "growth", "what_adds_up", 90),
    Claim("C6", "Every environment differs: measure yours every week", "growth", "how_environments_differ", 25),
    Claim("C7", "Linked clones are snapshots, with nothing clever below", "volume", "nothing_clever", 8),
    Claim("C8", "Growth takes the LUN's lock, so keep some 8 machines per LUN", "locks", "machines_per_lun", 60),
    Claim("C9", "A vendor's tests removed the fear of LUN locking", "locks", "without_fear", 60),
    Claim("C10", "Base image on a small LUN of its own, always in array cache", "locks", "base_image_in_cache", 3),
    Claim("C11", "Statelessness dents storage most", "strategies", "what_dents_storage", 45),
    Claim("C12", "What brings the cost down brings software at a premium", "strategies", "what_it_costs", 45),
    Claim("C13", "Slots of 256 MHz let 90 % full hosts claim four failures", "hosts", "slots_that_fit", 1),
    Claim("C14", "After a failure HA forgets the known good state", "hosts", "forgotten_state", 1),
    Claim("C15", "vMotion moves desktops, and their lock traffic with them", "hosts", "moves_and_locks", 5),
    Claim("C16", "Other platforms do the same with differencing disks", "volume", "other_platforms", 3),
    Claim("C17", "A fixed number of desktops per datastore, in datastore order", "strategies", "fixed_number", 10),
    Claim("C18", "Who spends 1 to save 2 still saves 1; compare itemised lists", "strategies", "spend_to_save", 1),
)
NAMES: Final = tuple(claim.name for claim in CLAIMS)


def claim(name: str) -> Claim:
    """Claim of a name such as "C4".

    Parameters
    ----------
    name : str
        "C1" to "C18", capital or not.

    Raises
    ------
    ParameterError
        If there is no such claim.

    Examples
    --------
    >>> claim("c4").title
    'Ten times 1 GB created and deleted: no net use, 10 GB of delta'
    """
    asked = str(name).upper()
    if asked not in NAMES:
        raise ParameterError("claim", name, f"claims are {NAMES[0]} to {NAMES[-1]}", nearest(asked, NAMES))
    return CLAIMS[NAMES.index(asked)]


def claim_frame(names: Sequence[str] | None = None) -> pd.DataFrame:
    """Figures of claims.

    Parameters
    ----------
    names : sequence of str, optional
        Such as ["C4", "C13"]; all of them by default, which takes some minutes.

    Returns
    -------
    DataFrame
        A row per figure: `claim`, `figure`, `value`, `unit`, `text` (the value as it is told).

    Raises
    ------
    ParameterError
        If there is no such claim; nothing has been computed then.
    """
    import pandas as pd

    asked = [claim(name) for name in (NAMES if names is None else names)]
    rows = [
        {"claim": one.name, "figure": figure.name, "value": figure.value, "unit": figure.unit, "text": figure.text}
        for one in asked
        for figure in one.figures()
    ]
    return pd.DataFrame(rows, columns=["claim", "figure", "value", "unit", "text"])
