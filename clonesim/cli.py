"""The command line: one command per question, thin. Anything heavy is imported inside the command that needs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonesim import __version__

if TYPE_CHECKING:
    from clonesim.ingest import Trace

app = typer.Typer(
    name="clonesim",
    help="How VDI linked clones grow, and what their growth does to the storage they share.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Device = Annotated[str | None, typer.Option(help="Which disk, if the trace has several.")]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Count and leave out rows that cannot be read.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for tables, run.json and PNG charts.")]
Tables = Annotated[str, typer.Option("--tables", help="Format of the tables in --out: parquet or csv.")]
FORMAT_HELP = "Delta format, such as vmfs-sparse; `clonesim catalog formats` lists them."
SCENARIO_HELP = "Name of a packaged scenario (`clonesim catalog` lists them), or a TOML file."
SET_HELP = "Override such as guest.disk='60 GiB'; repeat for more."
TRACE_HELP = "Block trace of one desktop (its kind is found from the content), or the word 'packaged'."


def _example(line: str) -> str:
    return f"\b\nExample:\n  {line}"  # the \b keeps the lines as they are


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"clonesim {__version__}")
        raise typer.Exit


@app.command(
    epilog=_example(
        "clonesim run windows-7-office --set pool.clones=8 --set pool.days=3 --band 4\n"
        '  clonesim run --trace packaged --clones 64 --hosts 8 --window "2 min" --interval "1 min"'
    )
)
def run(
    scenario: Annotated[str | None, typer.Argument(help=SCENARIO_HELP)] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help=SET_HELP)] = None,
    replicates: Annotated[int, typer.Option(help="How often the whole pool is drawn anew.")] = 1,
    band: Annotated[str, typer.Option(help="Clones under every policy: a number, 'full' or 'none'.")] = "50",
    processes: Annotated[int | None, typer.Option(help="Processes to start; by default one per core.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    out: Out = None,
    tables: Tables = "parquet",
    as_json: Json = False,
    trace: Annotated[str | None, typer.Option("--trace", help=TRACE_HELP)] = None,
    clones: Annotated[int | None, typer.Option(help="With --trace: number of clones; default 64.")] = None,
    luns: Annotated[int | None, typer.Option(help="With --trace: LUNs that they are dealt out to; default 1.")] = None,
    hosts: Annotated[int | None, typer.Option(help="With --trace: number of hosts; default 8.")] = None,
    delta_format: Annotated[str | None, typer.Option("--format", help=f"With --trace: {FORMAT_HELP}")] = None,
    window: Annotated[str | None, typer.Option(help="With --trace: clones start within it; default 10 min.")] = None,
    interval: Annotated[str | None, typer.Option(help="With --trace: length of a table's row; default 10 min.")] = None,
    hold: Annotated[str | None, typer.Option(help="With --trace: how long a growth step locks; 0.5 ms.")] = None,
    capacity: Annotated[str | None, typer.Option(help="With --trace: the desktop's disk, such as '32 GiB'.")] = None,
    device: Device = None,
    skip_bad_rows: SkipBadRows = False,
) -> None:
    """Simulate a pool of desktops, or a trace on every clone."""
    from clonesim.errors import ParameterError
    from clonesim.pool.run_files import check_table_format

    check_table_format(tables)
    asked: dict[str, Any] = {"clones": clones, "luns": luns, "hosts": hosts, "format": delta_format, "window": window}
    asked |= {"interval": interval, "hold": hold, "capacity": capacity, "device": device}
    asked = {name: value for name, value in asked.items() if value is not None}
    if trace is not None:
        if scenario is not None or settings:
            allowed = "a trace says what every clone does, so there is no scenario"
            raise ParameterError("trace", trace, allowed, "Leave out --trace, or the scenario and --set.")
        _run_trace(trace, asked, seed, _writable(out), tables, skip_bad_rows, as_json)
        return
    if asked or skip_bad_rows:
        name = next(iter(asked), "skip-bad-rows")
        remedy = "Add --trace, or change the scenario with --set, such as --set pool.clones=64."
        raise ParameterError(f"--{name}", asked.get(name, True), "this option goes with --trace", remedy)
    _run_pool(scenario or "windows-11-office", settings or [], seed, replicates, band, processes, out, tables, as_json)


def _run_trace(
    trace: str, asked: dict[str, Any], seed: int, folder: Path | None, tables: str, skip_bad_rows: bool, as_json: bool
) -> None:
    from clonesim import console, pool

    device = asked.pop("device", None)
    usual: dict[str, Any] = {"clones": 64, "luns": 1, "hosts": 8, "format": "vmfs-sparse"}
    usual |= {"window": "10 min", "interval": "10 min"}
    with console.progress("Replaying the trace"):
        result = pool.run_trace(_read(trace, device, skip_bad_rows), **(usual | asked), seed=seed)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        with console.progress("Writing tables and charts"):
            saved = [*result.save(folder, tables), *plots.save_run_charts(result, folder)]
    if as_json:
        rows = result.table.to_dict("records")
        _print_json({"parameters": result.parameters, "summary": result.summary, "intervals": rows})
        return
    console.print_run(result)
    console.print_saved(saved)


def _run_pool(
    scenario: str,
    settings: list[str],
    seed: int,
    replicates: int,
    band: str,
    processes: int | None,
    out: Path | None,
    tables: str,
    as_json: bool,
) -> None:
    from clonesim import console, pool, pool_console
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings)
    sample = pool.band_sample(band)
    folder = _writable(out)
    with pool_console.bars() as bars:
        result = pool.simulate_with_band(given, seed, replicates, sample, processes, bars)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        with console.progress("Writing tables and charts"):
            saved = [*result.save(folder, tables), *plots.save_run_pool(result, folder)]
    if as_json:
        _print_json(pool_console.as_json(result))
        return
    pool_console.print_pool(result)
    console.print_saved(saved)


@app.command(epilog=_example('clonesim replay packaged --format vmfs-sparse --format qcow2 --at "1 min" --at "3 min"'))
def replay(
    trace: Annotated[str, typer.Argument(help=TRACE_HELP)],
    formats: Annotated[list[str] | None, typer.Option("--format", help=FORMAT_HELP + " Repeat it for more.")] = None,
    at: Annotated[list[str] | None, typer.Option("--at", help="Time since the first command; repeat for more.")] = None,
    capacity: Annotated[str | None, typer.Option(help="Size of the disk, such as '32 GiB'.")] = None,
    device: Device = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the table (CSV) and a PNG chart.")] = None,
    skip_bad_rows: SkipBadRows = False,
    as_json: Json = False,
) -> None:
    """Replay a trace on one delta in several formats."""
    import pandas as pd

    from clonesim import console, pool
    from clonesim.delta import FORMATS
    from clonesim.delta import replay as replay_trace
    from clonesim.units import format_size, parse_duration

    asked_s = [parse_duration(text, "at") for text in at or []]
    names = list(dict.fromkeys(formats or FORMATS))
    folder = _writable(out)
    source = _read(trace, device, skip_bad_rows)
    end_s = float(source.time_s[-1]) if len(source) else 0.0
    times_s = sorted(set(asked_s)) or [end_s]
    with console.progress("Replaying the trace", len(names)) as step:
        deltas = {}
        for name in names:
            deltas[name] = replay_trace(source, name, capacity)
            step()
    parts = [delta.table(at=times_s).assign(format=name) for name, delta in deltas.items()]
    rows = pd.concat(parts, ignore_index=True).sort_values("time_s", kind="stable")
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        curve_s = [end_s * part / 200 for part in range(201)]
        curve = pd.concat([delta.table(at=curve_s).assign(format=name) for name, delta in deltas.items()])
        disk = format_size(deltas[names[0]].capacity)
        curve.attrs["caption"] = f"Trace: {pool.trace_label(source)}. Disk of {disk}."
        table = folder / "replay.csv"
        rows.to_csv(table, index=False, lineterminator="\n")
        saved = [table, plots.save_chart(plots.plot_replay, curve, folder / "replay.png")]
    if as_json:
        records = rows.to_dict("records")
        _print_json({"trace": pool.trace_label(source), "skipped_rows": len(source.skipped), "rows": records})
    else:
        console.print_replay(rows, pool.trace_label(source), len(source.skipped))
        console.print_saved(saved)


@app.command(epilog=_example('clonesim experiment --size "20 GiB" --used "10 GiB" --file "1 GiB" --rounds 10'))
def experiment(
    size: Annotated[str, typer.Option(help="Size of the guest's volume.")] = "20 GiB",
    used: Annotated[str, typer.Option(help="Size of the base image's files.")] = "10 GiB",
    file: Annotated[str, typer.Option(help="Size of the file that comes and goes.")] = "1 GiB",
    rounds: Annotated[int, typer.Option(help="How often it is created and deleted.")] = 10,
    policies: Annotated[
        list[str] | None, typer.Option("--policy", help="Allocation policy; repeat; default all.")
    ] = None,
    delta_format: Annotated[str, typer.Option("--format", help=FORMAT_HELP)] = "vmfs-sparse",
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the table (CSV) and a PNG chart.")] = None,
    as_json: Json = False,
) -> None:
    """Create and delete one file again and again, by policy."""
    from clonesim import console, pool
    from clonesim.guest import POLICIES

    folder = _writable(out)
    with console.progress("Creating and deleting", max(rounds, 0) * len(policies or POLICIES)) as step:
        frame = pool.create_delete(size, used, file, rounds, policies, delta_format, on_round=step)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        table = folder / "experiment.csv"
        frame.to_csv(table, index=False, lineterminator="\n")
        saved = [table, plots.save_chart(plots.plot_policies, frame, folder / "experiment.png")]
    if as_json:
        _print_json({"caption": frame.attrs["caption"], "rows": frame.to_dict("records")})
        return
    console.print_experiment(frame)
    console.print_saved(saved)


@app.command(epilog=_example("clonesim demo --out out/demo"))
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for tables and charts.")] = Path("out/demo"),
) -> None:
    """Run the experiment, the packaged trace and pool."""
    experiment(
        out=out, size="20 GiB", used="10 GiB", file="1 GiB", rounds=10, policies=None, delta_format="vmfs-sparse"
    )
    typer.echo()
    run(out=out / "trace", trace="packaged", window="2 min", interval="30 s", tables="csv")
    typer.echo()
    run(out=out / "pool")


@app.command(
    epilog=_example('clonesim init windows-7-office --set pool.clones=64 --set guest.disk="60 GiB" --out my.toml')
)
def init(
    scenario: Annotated[str, typer.Argument(help=SCENARIO_HELP)] = "windows-11-office",
    settings: Annotated[list[str] | None, typer.Option("--set", help=SET_HELP)] = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; without it the text is printed.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write a commented scenario to start from."""
    from clonesim.errors import ParameterError
    from clonesim.scenario import commented, load_scenario

    found = load_scenario(scenario, set=settings or [])
    if out is not None and out.exists() and not force:
        raise ParameterError("out", str(out), "the file exists", "Name another, or add --force.")
    if out is not None:
        out.write_text(commented(found), encoding="utf-8")
        print(f"Written to {out}.", file=sys.stderr)
    if as_json:
        _print_json(found.to_dict())
    elif out is None:
        typer.echo(commented(found), nl=False)


@app.command(epilog=_example("clonesim catalog locks"))
def catalog(
    topic: Annotated[str | None, typer.Argument(help="Topic, such as locks; without it the topics are listed.")] = None,
    name: Annotated[str | None, typer.Argument(help="One parameter of the topic, with its note and source.")] = None,
    as_json: Json = False,
) -> None:
    """List the cited parameters with default, range and source."""
    from clonesim import catalog_text

    found = catalog_text.select(topic, name)
    if as_json:
        _print_json(found)
    else:
        catalog_text.show(found, topic, name)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; a bad input is a message on stderr and exit code 2, never a traceback."""
    from clonesim.errors import ClonesimError

    try:
        app(argv, prog_name="clonesim")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except ClonesimError as error:
        return _complain(str(error), 2)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}." if error.filename else str(error), 2)
    except Exception as error:  # the last resort: no user shall meet a traceback unasked
        if os.environ.get("CLONESIM_DEBUG"):
            raise
        text = f"internal error, please report it: {type(error).__name__}: {error} (CLONESIM_DEBUG=1 shows where)"
        return _complain(text, 1)
    return 0


def _complain(text: str, code: int) -> int:
    print(f"clonesim: {text}", file=sys.stderr)
    return code


def _read(path: str, device: str | None, skip_bad_rows: bool) -> Trace:
    from clonesim.ingest import packaged_trace, read_trace
    from clonesim.pool import check_one_disk

    trace = read_trace(packaged_trace() if path == "packaged" else path, skip_bad_rows=skip_bad_rows, device=device)
    check_one_disk(trace)
    return trace


def _writable(out: Path | None) -> Path | None:
    """Make the folder before the work starts, and find out whether it can be written."""
    import tempfile

    from clonesim.errors import ParameterError

    if out is None:
        return None
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        allowed = f"the folder cannot be written ({error.strerror})"
        raise ParameterError("out", str(out), allowed, "Name a folder that you may write to.") from None


def _print_json(value: Any) -> None:
    from clonesim.pool.run_files import to_json

    typer.echo(to_json(value), nl=False)
