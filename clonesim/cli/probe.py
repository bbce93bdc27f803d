"""Commands of the probe: its scripts, and what their results say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, Out, Seed, example, print_json, print_saved, writable

probe = typer.Typer(help="Which free clusters does your Windows pick? Measure it.")
app.add_typer(probe, name="probe", no_args_is_help=True)


@probe.command(epilog=example("clonesim probe script --self-contained --out probe.ps1"))
def script(
    out: Annotated[Path, typer.Option("--out", help="File to write; it must not exist.")] = Path("probe.ps1"),
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="The form that needs no hypervisor: inside one VHD file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the PowerShell script that measures."""
    from clonesim.planning.probe_script import write_probe_script

    written = write_probe_script(out, self_contained)
    if as_json:
        print_json({"script": str(written), "self_contained": self_contained})
        return
    print_saved([written])


@probe.command(epilog=example("clonesim probe fit clonesim-probe.json --delta sizes.csv"))
def fit(
    result: Annotated[Path, typer.Argument(help="JSON file that the script wrote.")],
    delta: Annotated[
        Path | None, typer.Option("--delta", help="CSV with columns step and bytes: sizes seen from outside.")
    ] = None,
    policies: Annotated[
        list[str] | None, typer.Option("--policy", help="Policies to choose from; repeat; six by default.")
    ] = None,
    draws: Annotated[int | None, typer.Option(help="Simulated probes per policy.")] = None,
    seed: Seed = 0,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Name the policy, with its probability."""
    from clonesim.console import probe as console
    from clonesim.console.text import progress
    from clonesim.planning.probe import TRIED, fit_probe

    folder = writable(out)
    tried = tuple(policies or TRIED)
    with progress("Simulating the probe under each policy", len(tried)) as step:
        found = fit_probe(result, delta=delta, policies=tried, draws=draws, seed=seed, progress=step)
    saved: list[Path] = []
    if folder:
        import pandas as pd

        from clonesim.files import write_csv
        from clonesim.plots.probe import save_probe

        row = write_csv(folder / "probe-row.csv", pd.DataFrame([found.row]))
        saved = [row, *save_probe(found, folder)]
    if as_json:
        print_json(console.probe_json(found))
        return
    console.print_probe(found)
    print_saved(saved)
