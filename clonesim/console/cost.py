"""What strategies cost, as text for terminals, and what `--json` prints. No modelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clonesim.console.text import print_table

if TYPE_CHECKING:
    from clonesim.planning.compare import Comparison
    from clonesim.planning.cost import Cost
    from clonesim.planning.prices import Prices
    from clonesim.planning.quantities import Quantities


def print_cost(paid: Cost, quantities: Sequence[Quantities], prices: Prices, found: Comparison) -> None:
    """Totals, what each strategy spends and saves beside the base, when it pays, and which price decides."""
    from clonesim.planning.break_even import break_even
    from clonesim.planning.price_sensitivity import price_sensitivity

    against = paid.against(found.base).set_index("strategy")
    rows = []
    for row in paid.totals.to_dict("records"):
        name = str(row["strategy"])
        other = against.loc[name] if name in against.index else None
        both = ["-", "-"] if other is None else [f"{other['spends']:,.0f}", f"{other['saves']:,.0f}"]
        rows.append([name, f"{row['present_value']:,.0f}", f"{row['per_desktop']:,.0f}", *both])
    crossings = [f"{name}: {break_even(quantities, found.base, name, prices).words}" for name in against.index]
    swing = price_sensitivity(quantities, prices).head(3)
    deciding = "; ".join(f"{row['item']} (x {row['low']:g} to {row['high']:g})" for row in swing.to_dict("records"))
    notes = [
        f"Spends, saves: beside {found.base}, present value of the pool. Currency: {paid.currency}.",
        *crossings,
        f"Prices that move the order most: {deciding}.",
        found.label,
    ]
    head = ["strategy", "present\nvalue", "per\ndesktop", "spends", "saves"]
    print_table("What strategies cost", head, rows, notes)


def cost_json(paid: Cost, base: str) -> dict[str, Any]:
    """What `clonesim cost --json` prints."""
    return {
        "currency": paid.currency,
        "totals": paid.totals.to_dict("records"),
        "items": paid.items.to_dict("records"),
        "against": paid.against(base).to_dict("records"),
    }
