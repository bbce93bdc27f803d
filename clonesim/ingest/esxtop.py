"""Counters of ESXi hosts, as `esxtop -b` writes them: I/O, latencies, reservations and conflicts of each device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import InventoryError, ParameterError
from clonesim.ingest.esxtop_header import COUNTERS, LOCAL, Head, is_head, read_head
from clonesim.ingest.esxtop_notes import notes_of
from clonesim.ingest.esxtop_rates import AtsKind, Block, ats_kind, block_of
from clonesim.ingest.esxtop_rows import Samples, lines
from clonesim.ingest.limits import given_or_most, most, or_raise

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("host", "device", "object", "time", "interval_s")
_RECORD = "Record it so: 'esxtop -b -a -d 5 -n 720 > FILE'; it begins with (PDH-CSV."
_ENDINGS = (".csv", ".csv.gz", ".gz")

Floats = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Counters:
    """What hosts counted. Times are UTC, latencies seconds; what was not counted is NaN.

    Attributes
    ----------
    devices : DataFrame
        A row per host, device and sample: `host`, `device` (such as "naa.6006..."), `object` ("device" or "nfs"),
        `time` at the end of the sample, `interval_s`, its length [s]; `commands_per_s`, `reads_per_s`,
        `writes_per_s` [1/s], `read_bytes_per_s`, `written_bytes_per_s` [B/s]; `reservations_per_s` (RESV/s),
        `conflicts_per_s` (CONS/s), `failed_reservations_per_s` (FRESV/s), `ats_per_s`, `ats_failed_per_s` (ATSF) [1/s];
        means per command `device_s` (DAVG), `kernel_s` (KAVG), `guest_s` (GAVG), `queue_s` (QAVG), and `ats_s`,
        `ats_failed_s` per ATS [s].
    others : DataFrame
        The same of adapters, paths and partitions, where asked for.
    source : str
        Files.
    notes : tuple of str
        What was missing, taken for granted or doubtful.
    """

    devices: pd.DataFrame
    others: pd.DataFrame
    source: str
    notes: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        """Hosts, devices, samples, time."""
        table = self.devices
        minutes = (table["time"].max() - table["time"].min()).total_seconds() / 60
        told = f"{table['host'].nunique()} hosts, {table['device'].nunique()} devices, {len(table)} rows"
        return f"Counters({self.source!r}: {told}, {minutes:.0f} min)"


def read_counters(
    path: str | Path | Sequence[str | Path],
    *,
    ats: AtsKind | None = None,
    others: bool = False,
    skip_bad_values: bool = False,
    rows_limit: int | None = None,
) -> Counters:
    """Read CSV of `esxtop -b`, of one host or several.

    Parameters
    ----------
    path : str, Path or sequence of them
        CSV, plain or gzip, or a folder of them: one file per host, or several of one host one after the other. A
        LUN that several hosts see is one device by its name (naa, eui, t10, mpx).
    ats : {"total", "interval"}, optional
        Whether the columns "ATS" and "ATS Failed" count since the host's start, or in each sample. Found from the
        values by default: totals never fall.
    others : bool, default False
        Whether adapters, paths and partitions are read too.
    skip_bad_values : bool, default False
        Leave out values that are no numbers from 0 up, and note how many.
    rows_limit : int, optional
        Most rows: hosts x devices x samples; by default the limit `counter_rows`, 2,000,000. A row takes 0.2 kB.

    Returns
    -------
    Counters
        Devices, notes.

    Raises
    ------
    InventoryError
        If a file is no such CSV or cannot be read; the message names file, row, column, value and remedy.
    ParameterError
        If a parameter is not allowed.

    Notes
    -----
    Files are read line by line; of thousands of columns only disk counters are kept. A first sample is left out: how
    long it lasted is not told.

    Examples
    --------
    >>> counters = read_counters(["esx1.csv", "esx2.csv.gz"])  # doctest: +SKIP
    >>> counters.devices.groupby("device")["conflicts_per_s"].max()  # doctest: +SKIP
    """
    most_rows = given_or_most(rows_limit, "counter_rows", "rows_limit")
    if ats not in (None, "total", "interval"):
        raise ParameterError("ats", ats, "allowed are 'total' and 'interval'", "Leave it out: it is found.")
    files = _files(path)
    parts: list[tuple[Path, list[Samples]]] = []
    room, notes = most_rows, list[str]()
    for file in files:
        samples = list(_read(file, others, skip_bad_values, room, most_rows, notes))
        room -= sum(len(one.ticks) * len(one.head.groups) for one in samples)
        parts.append((file, samples))
    kind = ats or ats_kind([one for _, samples in parts for one in samples], notes)
    blocks = [block_of(one, _hosts(file, one.head, notes), kind) for file, samples in parts for one in samples]
    source = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"
    return _counters(source, blocks, others, notes)


def _files(path: str | Path | Sequence[str | Path]) -> list[Path]:
    given = [path] if isinstance(path, (str, Path)) else list(path)
    if not given:
        raise ParameterError("path", path, "a file, a folder or a list of files is needed")
    found: list[Path] = []
    for one in given:
        place = Path(one)
        if "\0" in str(one) or not place.is_dir():
            found.append(place)
            continue
        inside = sorted(file for file in place.iterdir() if file.is_file() and file.name.lower().endswith(_ENDINGS))
        if not inside:
            raise InventoryError(place, "is a folder without .csv or .csv.gz files", "Name the files of 'esxtop -b'.")
        found += inside
    if len(found) > (allowed := most("counter_files")):
        told = or_raise("counter_files", "Name fewer files")
        raise InventoryError(found[0].parent, f"{len(found)} files; allowed are {allowed}", told)
    return found


def _read(path: Path, others: bool, skip_bad: bool, room: int, rows_limit: int, notes: list[str]) -> Iterator[Samples]:
    """Samples of a file; several where headers stand in its middle, as after `cat`."""
    now: Samples | None = None
    for row, line, ended in lines(path):
        if not line.strip():
            continue
        if is_head(line):
            if now is not None:
                yield _checked(now, notes)
                room -= len(now.ticks) * len(now.head.groups)
            now = Samples(path, read_head(path, line, row, others), skip_bad)
            continue
        if now is None:
            shown = line[:60].decode("utf-8", "replace").strip()
            raise InventoryError(path, f"is no output of esxtop -b; its first line is {shown!r}", _RECORD)
        if not now.fits(line):
            if not ended:
                notes.append(f"{path.name}: the last row, {row}, is cut off and left out.")
                break
            problem = f"{line.count(b',') + 1} fields where the header has {now.head.fields}"
            raise InventoryError(path, problem, "Remove the row, or copy the file again from the host.", row=row)
        now.add(row, line)
        if len(now.ticks) * len(now.head.groups) > room:
            told = f"more than {rows_limit} rows of devices and samples"
            remedy = or_raise("counter_rows", "Give fewer files or devices", rows_limit)
            raise InventoryError(path, told, remedy, row=row)
    if now is None:
        raise InventoryError(path, "has blank lines only", _RECORD)
    yield _checked(now, notes)


def _checked(samples: Samples, notes: list[str]) -> Samples:
    """The samples, if there are enough of them."""
    if len(samples.ticks) < 2:
        problem = f"holds {len(samples.ticks)} samples; 2 are the least, since a first one's length is not told"
        raise InventoryError(samples.path, problem, "Record more: 'esxtop -b -a -d 5 -n 720 > FILE'.")
    if samples.bad:
        notes.append(f"{samples.path.name}: {samples.bad} values are no numbers from 0 up and were left out.")
    return samples


def _hosts(path: Path, head: Head, notes: list[str]) -> dict[str, str]:
    """Names of a file's hosts; its own name where esxtop had none."""
    names = {}
    for host, _, _ in head.groups:
        names[host] = host
        if host.lower() in LOCAL:
            names[host] = path.name.split(".")[0] or host
            note = f"{path.name}: its host is called {host!r} there; it is taken by the file's name, {names[host]!r}."
            notes.extend([note] if note not in notes else [])
    return names


def _counters(source: str, blocks: list[Block], others: bool, notes: list[str]) -> Counters:
    import pandas as pd

    columns = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in KEYS}
    table = pd.DataFrame({**columns, "time": pd.to_datetime(columns["time"], unit="us", utc=True)})
    values = np.concatenate([block.values for block in blocks])
    table[list(COUNTERS)] = values
    table = table.sort_values(["host", "object", "device", "time"], kind="stable")
    twice = table.duplicated(["host", "object", "device", "time"])
    if twice.any():
        notes.append(f"{int(twice.sum())} rows of the same host, device and time stand twice; the first ones count.")
    table = table[~twice]
    is_device = table["object"].isin(["device", "nfs"])
    devices = table[is_device]
    lone = table[(table["object"] == "path") & ~table["host"].isin(devices["host"])]
    if len(lone):
        devices = pd.concat([devices, _of_paths(lone)])
        notes.append(f"{', '.join(sorted(set(lone['host'])))}: devices are put together from their paths.")
    if devices.empty:
        raise InventoryError(source, "has no counters of disk devices", "Save disk devices: 'esxtop -b -a'.")
    devices = devices.reset_index(drop=True)
    rest = table[~is_device].reset_index(drop=True) if others else table.iloc[:0].reset_index(drop=True)
    return Counters(devices, rest, source, (*notes, *notes_of(devices, blocks)))


def _of_paths(paths: pd.DataFrame) -> pd.DataFrame:
    """Devices of hosts that count paths only: rates add up, latencies are means over commands."""
    table = paths.assign(device=paths["device"].str.split(" by ").str[0], object="device")
    keys = ["host", "device", "object", "time"]
    means = [name for name in COUNTERS if name.endswith("_s") and "_per_" not in name]
    weight = table["commands_per_s"].fillna(0.0)
    for name in means:
        table[name] = table[name] * weight
    groups = table.groupby(keys)
    sums = groups[list(COUNTERS)].sum(min_count=1)
    found = groups["interval_s"].first().to_frame().join(sums).reset_index()
    for name in means:
        found[name] = found[name] / found["commands_per_s"].where(found["commands_per_s"] > 0)
    return found
