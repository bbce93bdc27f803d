"""What hosts would have counted: locks of `lock_queue`, guest I/Os thrown at its reservations, as esxtop's CSV."""

import csv
import io

import numpy as np
import pandas as pd

import clonesim as cs
from clonesim.ingest.esxtop import Counters
from clonesim.ingest.esxtop_header import COUNTERS
from clonesim.lun import lock_model
from clonesim.lun.lock_frames import ServedLocks

START = pd.Timestamp("2026-05-13 10:00:00", tz="UTC")
NAA = "naa.60060160a1b2c3d4e5f6000000000001"
HEADS = {  # as public scripts that read esxtop's CSV have them; reservations and conflicts as this project supposes
    "commands_per_s": ("Commands/sec", 1.0),
    "reads_per_s": ("Reads/sec", 1.0),
    "writes_per_s": ("Writes/sec", 1.0),
    "read_bytes_per_s": ("MBytes Read/sec", 2.0**20),
    "written_bytes_per_s": ("MBytes Written/sec", 2.0**20),
    "device_s": ("Average Driver MilliSec/Command", 1e-3),
    "kernel_s": ("Average Kernel MilliSec/Command", 1e-3),
    "guest_s": ("Average Guest MilliSec/Command", 1e-3),
    "queue_s": ("Average Queue MilliSec/Command", 1e-3),
    "failed_reservations_per_s": ("Failed Reserves/sec", 1.0),
    "reservations_per_s": ("Reserves/sec", 1.0),
    "conflicts_per_s": ("Conflicts/sec", 1.0),
    "ats_per_s": ("ATS", 1.0),
    "ats_failed_per_s": ("ATS Failed", 1.0),
    "ats_s": ("Average Success Latency ms/ATS", 1e-3),
    "ats_failed_s": ("Average Failure Latency ms/ATS", 1e-3),
}


def served(rng, rates, seconds, hold_s, model, requests=None):
    """Locks of hosts that ask at random, or the given requests."""
    if requests is None:
        counts = rng.poisson(np.asarray(rates) * seconds)
        host = np.repeat(np.arange(counts.size), counts)
        time_s = rng.random(counts.sum()) * seconds
        order = np.argsort(time_s, kind="stable")
        holds = hold_s if np.ndim(hold_s) == 0 else rng.choice(hold_s, counts.sum())
        requests = pd.DataFrame({"time_s": time_s[order], "host": host[order], "hold_s": holds})
    return ServedLocks.of(cs.lock_queue(requests, model, len(rates)), model)


def moments(rng, rate, seconds, busy):
    """Times at random, in order; `busy` is how much each second has over the mean."""
    count = rng.poisson(rate * seconds)
    if busy is None:
        return np.sort(rng.random(count) * seconds)
    return np.sort(np.interp(rng.random(count), np.append(0, np.cumsum(busy)) / np.sum(busy), np.arange(busy.size + 1)))


def guests(rng, run, host, times, model):
    """Times of a host's I/Os that meet another host's reservation, and how long each is delayed."""
    locks = ~run.failed & run.reserved & (run.host != host)
    start = run.grant_ns[locks] / 1e9
    order = np.argsort(start)
    start, end = start[order], start[order] + run.hold_ns[locks][order] / 1e9
    last = np.searchsorted(start, times, side="right") - 1
    met = (last >= 0) & (times < end[np.maximum(last, 0)]) if start.size else np.zeros(times.size, bool)
    at, over = times[met], end[np.maximum(last, 0)][met] if start.size else times[:0]
    now = at.copy()
    while (left := now < over).any():
        mean = model.backoff_ns / 1e9
        off = (
            rng.random(left.sum()) * 2 * mean if model.distribution == "uniform" else rng.exponential(mean, left.sum())
        )
        now[left] += off
    return at, now - at


def simulate(
    seed,
    *,
    locking="scsi-reservation",
    rates=(2.0,) * 4,
    hold_s=0.002,
    io=(300.0,) * 4,
    minutes=30,
    step_s=5,
    requests=None,
    commands=4,
    kernel_s=2e-5,
    device=NAA,
    heartbeats=0.0,
    busy=None,
    **parameters,
):
    """Counters of one LUN by hosts that take its lock, and the run that they are of."""
    rng = np.random.default_rng(seed)
    model = lock_model(locking, seed=seed, **parameters)
    seconds = minutes * 60
    run = served(rng, rates, seconds, hold_s, model, requests)
    edges = np.arange(0, seconds + step_s, step_s)
    at_ns, row, reserved = run.conflicts()
    rows = []

    def count(times):
        return np.histogram(times, edges)[0].astype(float)

    for host, rate in enumerate(io):
        mine = run.host == host
        grants = run.grant_ns / 1e9
        took, own = mine & ~run.failed & run.reserved, mine[row]
        swaps = mine & ~run.failed & ~run.reserved
        times = moments(rng, rate, seconds, busy)
        met, delay = guests(rng, run, host, times, model)
        lock_met = at_ns[own & reserved] / 1e9
        sent = count(times) + commands * count(grants[took]) + count(lock_met)
        late = np.histogram(met, edges, weights=delay)[0]
        beats = rng.binomial(step_s, heartbeats, edges.size - 1) if heartbeats else 0
        table = pd.DataFrame(
            {"host": f"esx{host + 1:02d}", "device": device, "object": "device"}, range(edges.size - 1)
        )
        table["time"] = (START + pd.to_timedelta(edges[1:], unit="s")).as_unit("us")
        table["interval_s"] = float(step_s)
        table[list(COUNTERS)] = np.nan
        table["commands_per_s"] = sent / step_s
        table["kernel_s"] = kernel_s * rng.gamma(20, 1 / 20, sent.size) + late / np.maximum(sent, 1)
        table["device_s"] = np.mean(hold_s) / commands
        table["reservations_per_s"] = count(grants[took]) / step_s
        table["conflicts_per_s"] = (count(lock_met) + count(met)) / step_s
        table["failed_reservations_per_s"] = count(lock_met) / step_s
        if locking != "scsi-reservation":
            table["ats_per_s"] = (count(grants[swaps]) + beats) / step_s
            table["ats_failed_per_s"] = count(at_ns[own & ~reserved] / 1e9) / step_s
            table["ats_s"] = np.mean(hold_s) / commands
        rows.append(table)
    devices = pd.concat(rows, ignore_index=True)
    return Counters(devices, devices.iloc[:0], "simulated"), run


def write(folder, counters, heads=HEADS, totals=True, local=False, zone=("UTC", 0), noise=40):
    """One CSV per host, as `esxtop -b` writes it, with columns of other things and a first sample."""
    files = []
    for host, table in counters.devices.groupby("host"):
        name = "local" if local else host
        columns = {}
        for device, own in table.groupby("device"):
            for counter, (text, unit) in heads.items():
                if own[counter].isna().all():
                    continue
                values = own[counter].to_numpy() / unit
                head = f"\\\\{name}\\Physical Disk SCSI Device({device})\\{text}"
                if text.startswith("ATS") and "/" not in text:
                    amount = values * own["interval_s"].to_numpy()
                    columns[head] = [f"{v:.0f}" for v in ([0, *np.cumsum(amount)] if totals else [0, *amount])]
                else:
                    columns[head] = ["0.00", *(f"{v:.2f}" if unit >= 1 else f"{v:.4f}" for v in values)]
        times = table["time"].drop_duplicates().dt.tz_localize(None) - pd.Timedelta(minutes=zone[1])
        stamps = [times.iloc[0] - pd.Timedelta(seconds=float(table["interval_s"].iloc[0])), *times]
        out = io.StringIO()
        writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
        others = [f"\\\\{name}\\Vcpu({k}:a, b:{k})\\% Used" for k in range(noise)]
        writer.writerow([f"(PDH-CSV 4.0) ({zone[0]})({zone[1]})", *others, *columns])
        for number, stamp in enumerate(stamps):
            cells = [values[number] for values in columns.values()]
            writer.writerow([stamp.strftime("%m/%d/%Y %H:%M:%S"), *["3.14"] * noise, *cells])
        path = folder / f"{host}.csv"
        path.write_text(out.getvalue(), encoding="utf-8")
        files.append(path)
    return files
