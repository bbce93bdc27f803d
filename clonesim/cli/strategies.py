"""Commands about strategies: compare, cost, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import (
    Json,
    Out,
    Processes,
    Scenario,
    Seed,
    Settings,
    Tables,
    checked,
    example,
    print_json,
    print_saved,
    save,
)

STRATEGIES_HELP = "Alternatives such as 'refresh, refresh+persistent-disk, refresh(when=days; every=7 d)'."
Strategies = Annotated[str | None, typer.Option("--strategies", help=STRATEGIES_HELP)]
Replicates = Annotated[int, typer.Option(help="Pools to draw; all strategies face the same ones.")]
Clones = Annotated[int, typer.Option(help="Clones of each pool that is drawn.")]
RESUME_HELP = "Folder that keeps each strategy's figures; what lies there already is not simulated again."
Resume = Annotated[Path | None, typer.Option("--resume", help=RESUME_HELP)]


@app.command(
    epilog=example(
        "clonesim compare windows-7-office --set pool.days=3 --strategies refresh,persistent-disk --clones 3 "
        "--replicates 2\n  clonesim compare --out out/compare"
    )
)
def compare(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    strategies: Strategies = None,
    replicates: Replicates = 10,
    clones: Clones = 50,
    processes: Processes = None,
    seed: Seed = 0,
    resume: Resume = None,
    out: Out = None,
    tables: Tables = "parquet",
    as_json: Json = False,
) -> None:
    """Strategies side by side, on the same users."""
    from clonesim.console import strategies as console

    folder = checked(out, tables)
    given, found = _compared(scenario, settings, strategies, replicates, clones, processes, seed, resume)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        frames = {"strategies": found.frame, "differences": found.differences, "samples": found.samples}
        frames["break_even"] = found.break_even
        saved = save(folder, tables, frames, given.to_dict(), {"caption": found.label})
        saved += plots.save_comparison(found, folder)
    if as_json:
        print_json(console.comparison_json(found))
        return
    console.print_comparison(found)
    print_saved(saved)


@app.command(
    epilog=example(
        "clonesim cost windows-7-office --set pool.days=3 --strategies refresh --clones 3 --replicates 2\n"
        "  clonesim cost --prices my-prices.toml --years 4"
    )
)
def cost(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    strategies: Strategies = None,
    prices: Annotated[
        Path | None, typer.Option(help="Your price list (TOML); without it the catalog's examples.")
    ] = None,
    off: Annotated[list[str] | None, typer.Option("--off", help="Item that does not count; repeat.")] = None,
    years: Annotated[float | None, typer.Option(help="Horizon in years.")] = None,
    rate: Annotated[float | None, typer.Option(help="Discount rate a year, such as 0.05.")] = None,
    replicates: Replicates = 10,
    clones: Clones = 50,
    processes: Processes = None,
    seed: Seed = 0,
    resume: Resume = None,
    out: Out = None,
    tables: Tables = "csv",
    as_json: Json = False,
) -> None:
    """What strategies cost, item by item, and when they pay."""
    from clonesim.console import cost as console
    from clonesim.planning.cost import cost as cost_of
    from clonesim.planning.prices import prices_of
    from clonesim.planning.strategy_cost import strategy_quantities

    listed = prices_of(prices, off=tuple(off or ()))
    folder = checked(out, tables)
    given, found = _compared(scenario, settings, strategies, replicates, clones, processes, seed, resume)
    quantities = strategy_quantities(found, given)
    paid = cost_of(quantities, listed, years, rate)
    saved: list[Path] = []
    if folder:
        frames = {"items": paid.items, "totals": paid.totals, "against": paid.against(found.base)}
        saved = save(folder, tables, frames, given.to_dict(), {"caption": found.label})
    if as_json:
        print_json(console.cost_json(paid, found.base))
        return
    console.print_cost(paid, quantities, listed, found)
    print_saved(saved)


@app.command(
    epilog=example(
        "clonesim sensitivity windows-7-office --set pool.clones=8 --set pool.days=3 --only policy --only patches\n"
        "  clonesim sensitivity --figure disks --out out/sensitivity"
    )
)
def sensitivity(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    figure: Annotated[str, typer.Option(help="Answer: storage, disks, luns, delta, iops, lock_wait, conflicts.")] = (
        "storage"
    ),
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Assumption to look at; repeat; default all.")
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Desktop-days to simulate at most.")] = None,
    processes: Processes = None,
    seed: Seed = 0,
    out: Out = None,
    tables: Tables = "csv",
    as_json: Json = False,
) -> None:
    """Which assumption moves the answer most."""
    from clonesim.console import sensitivity as console
    from clonesim.console.pool import bars
    from clonesim.planning.sensitivity import sensitivity as sensitivity_of
    from clonesim.planning.sensitivity import sensitivity_budget
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings or [])
    folder = checked(out, tables)
    console.print_budget(sensitivity_budget(given, figure, only=only, budget=budget))
    with bars() as bar:
        found = sensitivity_of(given, figure, only=only, budget=budget, seed=seed, processes=processes, progress=bar)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        saved = save(folder, tables, {"sensitivity": found.frame}, given.to_dict(), console.sensitivity_json(found))
        saved += plots.save_sensitivity(found, folder)
    if as_json:
        print_json(console.sensitivity_json(found))
        return
    console.print_sensitivity(found)
    print_saved(saved)


@app.command(epilog=example("clonesim plan windows-7-office --set pool.clones=8 --emit csv --out placement.csv"))
def plan(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    emit: Annotated[str, typer.Option(help="What to write: csv or powercli.")] = "csv",
    clones_per_lun: Annotated[
        int | None, typer.Option(help="Clones on each datastore; the scenario's unless given.")
    ] = None,
    names: Annotated[str | None, typer.Option(help="Names such as 'VDI-{number:04d}'.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="File; placement.csv or placement.ps1 unless given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write which clone is made on which datastore."""
    from clonesim.errors import ParameterError
    from clonesim.planning.emit import NAMES, assignments, emit_csv, emit_powercli
    from clonesim.scenario import load_scenario

    writers: dict[str, Any] = {"csv": emit_csv, "powercli": emit_powercli}
    if emit not in writers:
        raise ParameterError("emit", emit, f"allowed are {', '.join(map(repr, writers))}")
    frame = assignments(load_scenario(scenario, set=settings or []), clones_per_lun, names or NAMES)
    path = out or Path(f"placement.{'csv' if emit == 'csv' else 'ps1'}")
    written = writers[emit](frame, path)
    if as_json:
        print_json({"file": str(written), "rows": frame.to_dict("records")})
        return
    print_saved([written])


def _compared(
    scenario: str,
    settings: list[str] | None,
    strategies: str | None,
    replicates: int,
    clones: int,
    processes: int | None,
    seed: int,
    resume: Path | None,
) -> tuple[Any, Any]:
    from clonesim.console.pool import bars
    from clonesim.planning.compare import STRATEGIES, compare
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings or [])
    with bars() as bar:
        progress = bar("Comparing strategies")
        found = compare(
            *(given, strategies or STRATEGIES),
            seed=seed,
            replicates=replicates,
            clones=clones,
            processes=processes,
            progress=progress,
            resume=resume,
        )
        return given, found
