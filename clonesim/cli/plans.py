"""Commands that plan: density, size, locks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import (
    Json,
    Out,
    Processes,
    Replicates,
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

Limits = Annotated[list[str] | None, typer.Option("--limit", help="Such as lock_wait='5 ms' or clones=none; repeat.")]


@app.command(
    epilog=example(
        "clonesim density windows-7-office --set pool.clones=16 --set pool.days=3 --replicates 2\n"
        "  clonesim density --limit outage=0.01 --limit lock_wait='5 ms' --limit clones=none --replicates 60"
    )
)
def density(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    limits: Limits = None,
    replicates: Replicates = 20,
    processes: Processes = None,
    seed: Seed = 0,
    out: Out = None,
    tables: Tables = "parquet",
    as_json: Json = False,
) -> None:
    """How many clones one LUN takes, and what stops it."""
    from clonesim.console import plans as console
    from clonesim.console.pool import bars
    from clonesim.planning import plan_density
    from clonesim.planning.limits import limits_of
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings or [])
    asked = limits_of(given, read_limits(limits))
    folder = checked(out, tables)
    with bars() as bar:
        progress = bar("Simulating the pool")
        plan = plan_density(given, asked, seed=seed, replicates=replicates, processes=processes, progress=progress)
    told = console.density_json(plan)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        frames = {"density": plan.frame, "space": plan.space, "storms": plan.storms, "moves": plan.moves}
        saved = save(folder, tables, frames | {"rules": plan.rules}, given.to_dict(), told)
        saved += plots.save_density(plan, folder)
    if as_json:
        print_json(told)
        return
    console.print_density(plan)
    print_saved(saved)


@app.command(
    epilog=example(
        "clonesim size windows-7-office --set pool.clones=16 --set pool.days=3 --replicates 2\n"
        "  clonesim size --set pool.clones=1000 --risk 0.01 --out out/size"
    )
)
def size(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    risk: Annotated[float, typer.Option(help="That any datastore is full within pool.days.")] = 0.05,
    limits: Limits = None,
    replicates: Replicates = 20,
    processes: Processes = None,
    seed: Seed = 0,
    out: Out = None,
    tables: Tables = "parquet",
    as_json: Json = False,
) -> None:
    """What to buy for a pool: datastores, disks, hosts."""
    from clonesim.console import plans as console
    from clonesim.console.pool import bars
    from clonesim.errors import ParameterError
    from clonesim.planning import size as size_of
    from clonesim.planning.cluster import cluster
    from clonesim.planning.host_load import failures
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings or [])
    named = read_limits(limits)
    if "outage" in named:
        raise ParameterError("limits.outage", named["outage"], "the risk has an option of its own", "Use --risk.")
    folder = checked(out, tables)
    with bars() as bar:
        bought = size_of(
            *(given, risk),
            limits=named,
            seed=seed,
            replicates=replicates,
            processes=processes,
            progress=bar,
        )
    made = cluster(given, hosts=bought.purchase.hosts.hosts)
    failing = failures(made, given.pool.clones, bought.purchase.luns)
    told = console.size_json(bought)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        frames = {"purchase": bought.frame, "swings": bought.swings, "wrong": bought.wrong, "hosts": failing}
        saved = save(folder, tables, frames, given.to_dict(), told)
        saved += [*plots.save_size(bought, folder), *plots.save_hosts(failing, made, folder)]
    if as_json:
        print_json(told | {"hosts": console.hosts_json(failing, made, bought.purchase.hosts)})
        return
    console.print_size(bought)
    console.print_hosts(failing, made, bought.purchase.hosts)
    print_saved(saved)


@app.command(
    epilog=example(
        "clonesim locks windows-xp-office --clones 8 --clones 32 --hosts 8\n  clonesim locks --out out/locks"
    )
)
def locks(
    scenario: Scenario = "windows-11-office",
    settings: Settings = None,
    clones: Annotated[list[int] | None, typer.Option(help="Clones on the LUN; repeat; default 8 to 512.")] = None,
    hosts: Annotated[list[int] | None, typer.Option(help="Hosts that share it; repeat; default 2 to 32.")] = None,
    processes: Processes = None,
    seed: Seed = 0,
    out: Out = None,
    tables: Tables = "csv",
    as_json: Json = False,
) -> None:
    """Does locking bite? Waits by clones, hosts, hold, storm."""
    from clonesim.console import locks as console
    from clonesim.console.pool import bars
    from clonesim.planning.lock_map import CLONES, HOSTS, lock_map, lock_pool
    from clonesim.planning.lock_sensitivity import lock_sensitivity
    from clonesim.scenario import catalog, load_scenario

    given = load_scenario(scenario, set=settings or [])
    numbers = sorted(set(clones or CLONES))
    folder = checked(out, tables)
    with bars() as bar:
        simulated = bar("Simulating the pool")
        sample = lock_pool(
            given,
            seed,
            clones=max(*numbers, catalog.value("lock_map", "vary.clones")),
            processes=processes,
            progress=simulated,
        )
        served = bar("Serving the locks", "cells")
        cells = lock_map(sample, clones=numbers, hosts=sorted(set(hosts or HOSTS)), progress=served)
        varied = lock_sensitivity(sample, clones=numbers, progress=bar("Other assumptions", "variants"))
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        frames = {"locks": cells, "sensitivity": varied}
        saved = save(folder, tables, frames, sample.scenario.to_dict(), {"caption": cells.attrs["caption"]})
        saved += plots.save_lock_charts(cells, varied, folder)
    if as_json:
        print_json(console.locks_json(cells, varied))
        return
    console.print_locks(cells, varied)
    print_saved(saved)


def read_limits(items: list[str] | None) -> dict[str, Any]:
    """Limits as the command line takes them: name=value, where "none" switches a limit off."""
    from clonesim.errors import ParameterError

    found: dict[str, Any] = {}
    for item in items or []:
        name, equals, text = (part.strip() for part in item.partition("="))
        if not equals or not name or not text:
            allowed = "a limit is a name, an equals sign and a value"
            raise ParameterError("limit", item, allowed, "Write for example lock_wait='5 ms'.")
        found[name] = None if text == "none" else _number(text)
    return found


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
