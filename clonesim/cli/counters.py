"""The command on esxtop's counters: what they say about the locks of LUNs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, Seed, example, print_json


@app.command(
    epilog=example(
        "clonesim counters esx1.csv esx2.csv --listing listings/\n  clonesim counters esxtop/ --hosts 8 --json"
    )
)
def counters(
    files: Annotated[list[Path], typer.Argument(help="CSV of `esxtop -b`, one or more per host, or a folder of them.")],
    device: Annotated[
        list[str] | None, typer.Option("--device", help="LUN such as naa.6006...; repeat; by default all with locks.")
    ] = None,
    hosts: Annotated[int | None, typer.Option(help="Hosts that use each LUN, if not all were recorded.")] = None,
    listing: Annotated[
        Path | None, typer.Option("--listing", help="Sizes of clones with dates, for locks per growth step.")
    ] = None,
    step: Annotated[str, typer.Option("--step", help="Step by which delta files grow.")] = "16 MiB",
    no_kernel: Annotated[bool, typer.Option("--no-kernel", help="Do not take back-off from KAVG.")] = False,
    failed_are_tries: Annotated[
        bool, typer.Option("--failed-are-tries", help="FRESV/s counts each try of a lock that meets a reservation.")
    ] = False,
    skip_bad_values: Annotated[
        bool, typer.Option("--skip-bad-values", help="Leave out values that are no numbers.")
    ] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """How long locks are held, and what else esxtop tells of them."""
    from clonesim.console import counters as console
    from clonesim.ingest.esxtop import read_counters
    from clonesim.planning.lock_counters import lock_estimate

    operations = None
    if listing is not None:
        from clonesim.planning.growth_file import read_history
        from clonesim.planning.locks_per_operation import growth_steps

        operations = growth_steps(read_history(listing), step)
    read = read_counters(files, skip_bad_values=skip_bad_values)
    found = lock_estimate(
        read,
        device=device,
        hosts=hosts,
        operations=operations,
        kernel=not no_kernel,
        failed_are_tries=failed_are_tries,
        seed=seed,
    )
    if as_json:
        print_json(console.counters_json(read, found))
        return
    console.print_counters(read, found)
