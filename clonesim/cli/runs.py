"""Commands that simulate: run, replay, experiment, demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clonesim.cli.estate import Sample, refuse_for_estate, refuse_sample, run_estate
from clonesim.cli.root import app
from clonesim.cli.shared import (
    SCENARIO_HELP,
    Json,
    Out,
    Processes,
    Replicates,
    Scheduler,
    Seed,
    Settings,
    Tables,
    checked,
    example,
    print_json,
    scenario_names,
    writable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from clonesim.ingest import Trace, TraceStream
    from clonesim.pool import Run

Device = Annotated[str | None, typer.Option(help="Which disk, if the trace has several.")]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="Count and leave out rows that cannot be read.")]
FORMAT_HELP = "Delta format, such as vmfs-sparse; `clonesim catalog formats` lists them."
REPORT_HELP = "Also write one page of HTML: answers, charts, inputs with their sources, assumptions by influence."
TRACE_HELP = "Block trace of one desktop (its kind is found from the content), or the word 'packaged'."


@app.command(
    epilog=example(
        "clonesim run windows-7-office --set pool.clones=8 --set pool.days=3 --band 4\n"
        "  clonesim run --set pool.clones=16 --set pool.days=7 --band 4 --report out/report.html\n"
        '  clonesim run --trace packaged --clones 64 --hosts 8 --window "2 min" --interval "1 min"'
    )
)
def run(
    scenario: Annotated[str | None, typer.Argument(help=SCENARIO_HELP, autocompletion=scenario_names)] = None,
    settings: Settings = None,
    replicates: Replicates = 1,
    band: Annotated[
        str | None, typer.Option(help="Clones under every policy: a number, 'full' or 'none'; default 50.")
    ] = None,
    processes: Processes = None,
    seed: Seed = 0,
    out: Out = None,
    tables: Tables = "parquet",
    as_json: Json = False,
    report: Annotated[Path | None, typer.Option("--report", help=REPORT_HELP)] = None,
    scheduler: Scheduler = None,
    sample: Sample = None,
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
    """Simulate a pool, an estate of pools, or a trace on clones."""
    from clonesim.errors import ParameterError
    from clonesim.scenario.estate_load import is_estate

    asked: dict[str, Any] = {"clones": clones, "luns": luns, "hosts": hosts, "format": delta_format, "window": window}
    asked |= {"interval": interval, "hold": hold, "capacity": capacity, "device": device}
    asked = {name: value for name, value in asked.items() if value is not None}
    if trace is not None:
        refuse_sample(sample)
        if scenario is not None or settings:
            allowed = "a trace says what every clone does, so there is no scenario"
            raise ParameterError("trace", trace, allowed, "Leave out --trace, or the scenario and --set.")
        if scheduler is not None:
            allowed = "a trace is replayed in this process"
            raise ParameterError("scheduler", scheduler, allowed, "Leave it out.")
        if report is not None:
            allowed = "a report is of a simulated pool, not of a trace"
            raise ParameterError("report", str(report), allowed, "Leave out --trace, or write charts with --out.")
        _run_trace(trace, asked, seed, checked(out, tables), tables, skip_bad_rows, as_json)
        return
    if asked or skip_bad_rows:
        name = next(iter(asked), "skip-bad-rows")
        remedy = "Add --trace, or change the scenario with --set, such as --set pool.clones=64."
        raise ParameterError(f"--{name}", asked.get(name, True), "this option goes with --trace", remedy)
    given = scenario or "windows-11-office"
    if is_estate(given):
        refuse_for_estate(given, {"band": band, "report": report})
        run_estate(given, settings or [], seed, replicates, sample, processes, out, tables, as_json, scheduler)
        return
    refuse_sample(sample)
    _run_pool(given, settings or [], seed, replicates, band or "50", processes, out, tables, as_json, report, scheduler)


def _run_trace(
    trace: str, asked: dict[str, Any], seed: int, folder: Path | None, tables: str, skip_bad_rows: bool, as_json: bool
) -> None:
    from clonesim import pool
    from clonesim.console import text as console

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
        print_json({"parameters": result.parameters, "summary": result.summary, "intervals": rows})
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
    report: Path | None,
    scheduler: str | None,
) -> None:
    from clonesim import pool
    from clonesim.console import pool as pool_console
    from clonesim.console import text as console
    from clonesim.scenario import load_scenario

    given = load_scenario(scenario, set=settings)
    sample = pool.band_sample(band)
    folder = checked(out, tables)
    if report is not None:
        from clonesim.report.page import check_path

        writable(check_path(report).parent)
    store = None if folder is None else pool.Store(folder)
    with pool.scheduler(scheduler) as executor, pool_console.bars() as bars:
        result = pool.simulate_with_band(given, seed, replicates, sample, processes, bars, executor, store)
        ranking = "none" if report is None else _screened(result, processes, bars("Other assumptions"))
    saved: list[Path] = []
    if folder and store:
        from clonesim import plots

        with console.progress("Writing tables and charts"), pool.kept(result, store):
            saved = [*result.save(folder, tables), *plots.save_run_pool(result, folder)]
    if report is not None:
        from clonesim.report import write_report

        command = _command(scenario, settings, seed, replicates, band, report)
        with console.progress("Writing the report"):
            written = [write_report(result, report, ranking=ranking, command=command)]
    else:
        written = []
    if as_json:
        print_json(pool_console.as_json(result))
        return
    pool_console.print_pool(result)
    console.print_saved(saved)
    console.print_saved(written)


def _screened(run: Run, processes: int | None, progress: Callable[[int, int], None]) -> pd.DataFrame:
    """Assumptions by influence, for the report."""
    from clonesim.planning.screening import screen

    return screen(run.scenario, run.seed, processes=processes, progress=progress)


def _command(scenario: str, settings: list[str], seed: int, replicates: int, band: str, report: Path) -> str:
    """Command line that makes the same report; what cannot change a figure is left out."""
    import shlex

    from clonesim.scenario import presets

    name = scenario if scenario in presets() else Path(scenario).name
    words = ["clonesim", "run", name, *(part for one in settings for part in ("--set", one)), "--seed", str(seed)]
    words += ["--replicates", str(replicates)] if replicates != 1 else []
    return shlex.join([*words, "--band", band, "--report", report.name])


@app.command(epilog=example('clonesim replay packaged --format vmfs-sparse --format qcow2 --at "1 min" --at "3 min"'))
def replay(
    trace: Annotated[str, typer.Argument(help=TRACE_HELP)],
    formats: Annotated[list[str] | None, typer.Option("--format", help=FORMAT_HELP + " Repeat it for more.")] = None,
    at: Annotated[list[str] | None, typer.Option("--at", help="Time since the first command; repeat for more.")] = None,
    capacity: Annotated[str | None, typer.Option(help="Size of the disk, such as '32 GiB'.")] = None,
    device: Device = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the table (CSV) and a PNG chart.")] = None,
    skip_bad_rows: SkipBadRows = False,
    stream: Annotated[bool, typer.Option("--stream", help="Read in parts: for a trace larger than memory.")] = False,
    as_json: Json = False,
) -> None:
    """Replay a trace on one delta in several formats."""
    import pandas as pd

    from clonesim import pool
    from clonesim.console import text as console
    from clonesim.delta import FORMATS
    from clonesim.delta import replay as replay_trace
    from clonesim.files import write_csv
    from clonesim.units import format_size, parse_duration

    asked_s = [parse_duration(text, "at") for text in at or []]
    names = list(dict.fromkeys(formats or FORMATS))
    folder = writable(out)
    source: Trace | TraceStream
    if stream:
        source = _open(trace, device, skip_bad_rows)
        with console.progress("Counting the trace"):
            survey = source.survey()
        end_s, skipped = survey.duration_s, survey.skipped_rows
    else:
        source = _read(trace, device, skip_bad_rows)
        end_s, skipped = float(source.time_s[-1]) if len(source) else 0.0, len(source.skipped)
    times_s = sorted(set(asked_s)) or [end_s]
    curve_s = [end_s * part / 200 for part in range(201)]
    with console.progress("Replaying the trace", len(names)) as step:
        deltas = {}
        for name in names:
            deltas[name] = replay_trace(source, name, capacity, at=times_s + curve_s)
            step()
    parts = [delta.table(at=times_s).assign(format=name) for name, delta in deltas.items()]
    rows = pd.concat(parts, ignore_index=True).sort_values("time_s", kind="stable")
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        curve = pd.concat([delta.table(at=curve_s).assign(format=name) for name, delta in deltas.items()])
        disk = format_size(deltas[names[0]].capacity)
        curve.attrs["caption"] = f"Trace: {pool.trace_label(source)}. Disk of {disk}."
        table = write_csv(folder / "replay.csv", rows)
        saved = [table, plots.save_chart(plots.plot_replay, curve, folder / "replay.png")]
    if as_json:
        records = rows.to_dict("records")
        print_json({"trace": pool.trace_label(source), "skipped_rows": skipped, "rows": records})
    else:
        console.print_replay(rows, pool.trace_label(source), skipped)
        console.print_saved(saved)


@app.command(epilog=example('clonesim experiment --size "20 GiB" --used "10 GiB" --file "1 GiB" --rounds 10'))
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
    from clonesim import pool
    from clonesim.console import text as console
    from clonesim.files import write_csv
    from clonesim.guest import POLICIES

    folder = writable(out)
    with console.progress("Creating and deleting", max(rounds, 0) * len(policies or POLICIES)) as step:
        frame = pool.create_delete(size, used, file, rounds, policies, delta_format, on_round=step)
    saved: list[Path] = []
    if folder:
        from clonesim import plots

        table = write_csv(folder / "experiment.csv", frame)
        saved = [table, plots.save_chart(plots.plot_policies, frame, folder / "experiment.png")]
    if as_json:
        print_json({"caption": frame.attrs["caption"], "rows": frame.to_dict("records")})
        return
    console.print_experiment(frame)
    console.print_saved(saved)


@app.command(epilog=example("clonesim demo --out out/demo"))
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


def _read(path: str, device: str | None, skip_bad_rows: bool) -> Trace:
    from clonesim.ingest import packaged_trace, read_trace
    from clonesim.pool import check_one_disk

    trace = read_trace(packaged_trace() if path == "packaged" else path, skip_bad_rows=skip_bad_rows, device=device)
    check_one_disk(trace)
    return trace


def _open(path: str, device: str | None, skip_bad_rows: bool) -> TraceStream:
    from clonesim.ingest import iter_trace, packaged_trace

    return iter_trace(packaged_trace() if path == "packaged" else path, skip_bad_rows=skip_bad_rows, device=device)
