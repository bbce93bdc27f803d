"""The public face as directives of autodoc: every name of `clonesim`, in the groups that a page asks for."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import clonesim

GROUPS = {
    "guest": ("Volume", "Delta", "replay"),
    "inputs": (
        "read_trace",
        "iter_trace",
        "Trace",
        "read_file_trace",
        "read_inventory",
        "read_listing",
        "read_image",
        "reclaimable",
        "read_counters",
        "prefill",
        "limited",
    ),
    "pool": (
        *("load_scenario", "simulate", "Run", "policy_band", "run_trace", "lock_queue"),
        *("load_estate", "simulate_estate", "EstateRun"),
    ),
    "plans": ("size", "plan_density", "lock_estimate", "compare", "sensitivity"),
    "measured": ("fit_growth", "backtest", "calibrate", "fit_probe"),
}
REST = "rest"
MODULES = {"plots"}


def api_text(group: str) -> str:
    """Directives for one group; "rest" has the names that no group has."""
    named = {name for names in GROUPS.values() for name in names}
    names: Sequence[str] = GROUPS[group] if group != REST else sorted(set(clonesim.__all__) - named - MODULES)
    return "\n".join(_entry(name) for name in names)


def _entry(name: str) -> str:
    found = getattr(clonesim, name)
    if inspect.isclass(found):
        lines = [f".. autoclass:: clonesim.{name}"]
        if not issubclass(found, BaseException):
            lines += ["   :members:", "   :exclude-members: " + ", ".join(_fields(found))]
    else:
        lines = [f".. autofunction:: clonesim.{name}"]
    return "```{eval-rst}\n" + "\n".join(line for line in lines if not line.endswith(": ")) + "\n```\n"


def _fields(found: type) -> list[str]:
    """Fields that the class's own text tells already."""
    return [*getattr(found, "__dataclass_fields__", {}), *getattr(found, "__slots__", ())]
