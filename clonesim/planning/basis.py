"""What a plan rests on: values that were measured or calibrated, as the scenario's marks say, or priors alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

GROWTH: Final = ("workload.", "users.intensity_sigma")  # beginnings of keys that say how much is written
UNMEASURED: Final = "unmeasured: from priors"
NEXT: Final = (
    "Next: clonesim collect writes a script that measures your clones week after week; clonesim calibrate and "
    "clonesim fit take its table."
)
SHOWN: Final = 6


def growth_measured(keys: Iterable[str]) -> bool:
    """Whether any of the marked keys says how much is written."""
    return any(key.startswith(GROWTH) for key in keys)


def basis_text(keys: Iterable[str]) -> str:
    """Sentences on what a plan rests on, with the next step where that is priors.

    Parameters
    ----------
    keys : iterable of str
        Keys of the scenario that are marked as measured, derived or calibrated: `Scenario.marks`.
    """
    known = list(keys)
    named = ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
    if growth_measured(known):
        return f"Measured or calibrated: {named}; other values come from the catalog."
    if known:
        return f"Growth is {UNMEASURED}; measured are {named}. {NEXT}"
    return f"This is {UNMEASURED}, the catalog's, none of your own. {NEXT}"
