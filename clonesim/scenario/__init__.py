"""What is modeled: scenarios (frozen, validated) and the catalog of cited parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as _lazy

if TYPE_CHECKING:
    from clonesim.scenario.catalog import presets as presets
    from clonesim.scenario.comment import commented as commented
    from clonesim.scenario.load import load_scenario as load_scenario
    from clonesim.scenario.model import Scenario as Scenario
    from clonesim.scenario.strategy import Choice as Choice
    from clonesim.scenario.strategy import parse_strategies as parse_strategies

__getattr__, __dir__, __all__ = _lazy.attach(
    __name__,
    submodules=["catalog"],
    submod_attrs={
        "catalog": ["presets"],
        "comment": ["commented"],
        "load": ["load_scenario"],
        "model": ["Scenario"],
        "strategy": ["Choice", "parse_strategies"],
    },
)
