"""The command line: one command per question, thin. Anything heavy is imported inside the command that needs it."""

from clonesim.cli import runs, status, plans, strategies, inspect, collect, counters  # noqa: F401, I001 (they register their commands, in this order)
from clonesim.cli import calibrate, probe, forecast, scenarios, claims, planner  # noqa: F401
from clonesim.cli.root import app, main

__all__ = ["app", "main"]
