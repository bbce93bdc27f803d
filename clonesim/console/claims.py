"""Claims and their figures as text for terminals. No modelling."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

from clonesim.console.text import print_table, records
from clonesim.planning.claims import Claim

WIDTH = 58  # of a figure's name in a terminal of 80 columns
PAGE = "What the figures say to each claim, and what they rest on: docs/claims.md."


def print_claims(claims: Sequence[Claim]) -> None:
    """List claims."""
    rows = [(one.name, one.title, f"{one.seconds} s") for one in claims]
    print_table("Claims that are examined", ["", "claim", "about"], rows, [PAGE], texts=2)


def print_claim(claim: Claim, frame: pd.DataFrame) -> None:
    """Figures of one claim.

    Parameters
    ----------
    claim : Claim
        Which one.
    frame : DataFrame
        Of `claim_frame`.
    """
    rows = [
        ("\n".join(textwrap.wrap(name, WIDTH)), text) for name, text in zip(frame["figure"], frame["text"], strict=True)
    ]
    print_table(f"{claim.name}: {claim.title}", ["figure", "value"], rows)


def claims_json(claims: Sequence[Claim]) -> dict[str, Any]:
    """The list as plain data."""
    return {"claims": [{"claim": one.name, "title": one.title, "seconds": one.seconds} for one in claims]}


def claim_json(claim: Claim, frame: pd.DataFrame) -> dict[str, Any]:
    """One claim's figures as plain data; None where there is no number."""
    return {"title": claim.title, "figures": records(frame.drop(columns="claim"))}
