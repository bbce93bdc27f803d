"""Command that calibrates the simulation to measured sizes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, Processes, Scenario, Seed, Settings, example, print_json, print_saved


@app.command(
    epilog=example(
        "clonesim calibrate sizes.csv windows-10-office --since 2026-01-05 --out my.toml\n"
        "  clonesim calibrate sizes.csv my.toml --set guest.disk='60 GiB' --days 90 --plot calibration.png"
    )
)
def calibrate(
    file: Annotated[Path, typer.Argument(help="CSV of clone, date, bytes, or a listing or folder of them with dates.")],
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    since: Annotated[
        str | None, typer.Option(help="Date on which the clones were made, refreshed or recomposed.")
    ] = None,
    days: Annotated[int, typer.Option(help="How far ahead to look; it is simulated.")] = 60,
    policies: Annotated[list[str] | None, typer.Option("--policy", help="Policies to choose from; repeat.")] = None,
    clones: Annotated[int | None, typer.Option(help="Clones of each simulated pool.")] = None,
    points: Annotated[int | None, typer.Option(help="Simulated pools for each policy.")] = None,
    budget: Annotated[float | None, typer.Option(help="Desktop-days to simulate at most.")] = None,
    processes: Processes = None,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option("--out", help="TOML file to write: the calibrated scenario.")] = None,
    plot: Annotated[Path | None, typer.Option("--plot", help="PNG file to write.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file of --out.")] = False,
    as_json: Json = False,
) -> None:
    """Fit scale, spread and policy to measured sizes."""
    from collections.abc import Callable

    from clonesim.cli.shared import writable
    from clonesim.console import calibration as console
    from clonesim.console.pool import bars
    from clonesim.errors import ParameterError
    from clonesim.planning.calibrate import calibrate as calibrated
    from clonesim.planning.growth_file import read_history
    from clonesim.planning.growth_history import history_of
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings or [])
    measured = history_of(read_history(file))
    if out is not None and out.exists() and not force:
        raise ParameterError("out", str(out), "the file exists", "Name another, or add --force.")
    for path in (out, plot):
        writable(path.parent if path else None)
    with bars() as bar:

        def told(text: str) -> Callable[[int, int], None]:
            print(f"clonesim: simulating {text}", file=sys.stderr)
            return bar("Simulating small pools")

        found = calibrated(
            *(measured, given),
            since=_numbered(since, measured.dated),
            ahead=days,
            policies=policies or None,
            clones=clones,
            points=points,
            budget=budget,
            seed=seed,
            processes=processes,
            progress=told,
        )
    ahead, weeks = found.forecast(), found.weeks()
    saved = [found.save(out)] if out else []
    if plot:
        from clonesim.plots.calibration import save_calibration

        saved.append(save_calibration(found, plot))
    if as_json:
        print_json(console.calibration_json(found, ahead, weeks))
        return
    console.print_calibration(found, ahead, weeks)
    print_saved(saved)


def _numbered(since: str | None, dated: bool) -> str | float | None:
    """The day of birth as a number, where days are numbered."""
    if since is None or dated:
        return since
    try:
        return float(since)
    except ValueError:
        return since
