"""Commands on measured growth: fit, backtest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, Out, Seed, example, print_json, print_saved, writable

File = Annotated[
    Path, typer.Argument(help="CSV of clone, date, bytes (and lun), or a listing or a folder of them with dates.")
]
Bound = Annotated[str | None, typer.Option("--bound", help="Size that no delta can pass, such as '60 GiB'.")]


@app.command(
    epilog=example(
        "clonesim fit sizes.csv --days 90 --capacity '2 TiB' --clones 64\n  clonesim fit listings/ --out out/fit"
    )
)
def fit(
    file: File,
    days: Annotated[float, typer.Option(help="How far ahead to forecast.")] = 90.0,
    capacity: Annotated[str | None, typer.Option(help="Size of a datastore: when is it full?")] = None,
    clones: Annotated[int | None, typer.Option(help="Clones on that datastore; by default all measured ones.")] = None,
    lun: Annotated[str | None, typer.Option(help="Datastore of the file that the capacity belongs to.")] = None,
    beside: Annotated[str, typer.Option(help="What lies there beside the deltas.")] = "0 B",
    bound: Bound = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Forecast from measured growth; when is a LUN full?"""
    from clonesim.console import forecast as console
    from clonesim.planning.growth_file import read_history
    from clonesim.planning.growth_fit import fit_growth

    folder = writable(out)
    found = fit_growth(read_history(file), capacity=bound, seed=seed)
    ahead = found.forecast(days)
    full = None
    if capacity is not None:
        full = found.fill_date(capacity, clones, lun=lun, beside=beside, days=max(days, 365.0))
    told = console.fit_json(found, ahead, full)
    saved: list[Path] = []
    if folder:
        from clonesim.plots.forecast import save_forecast

        saved = save_forecast(found, ahead, full, folder)
    if as_json:
        print_json(told)
        return
    console.print_fit(found, ahead, full)
    print_saved(saved)


@app.command(epilog=example("clonesim backtest sizes.csv --hide-last 4w --memory '4 GiB'"))
def backtest(
    file: File,
    hide_last: Annotated[str, typer.Option("--hide-last", help="How much to hide: 4w, 28d.")] = "4w",
    memory: Annotated[str | None, typer.Option(help="Memory of a guest, for the rule 3 x RAM.")] = None,
    origins: Annotated[int, typer.Option(help="How often to do it, each time a week earlier.")] = 1,
    bound: Bound = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """How good forecasts would have been on hidden weeks."""
    from clonesim.console import forecast as console
    from clonesim.planning.backtest import backtest as tested
    from clonesim.planning.growth_file import read_history

    folder = writable(out)
    found = tested(read_history(file), hide_last, memory=memory, origins=origins, capacity=bound, seed=seed)
    saved: list[Path] = []
    if folder:
        from clonesim.plots.forecast import save_backtest

        saved = save_backtest(found, folder)
    if as_json:
        print_json(console.backtest_json(found))
        return
    console.print_backtest(found)
    print_saved(saved)
