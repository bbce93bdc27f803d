"""A frame for each chart, made by hand, and how the charts are drawn for pictures to compare with.

`python tests/plot_tools.py` draws the pictures in `tests/baseline` anew; look at them before they are committed. With a
folder and "wide" or "narrow" it draws them there as large as in a page of 1440 or 390 pixels.
"""

import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import planning_tools
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from clonesim import plots
from clonesim.planning.cluster import cluster
from clonesim.planning.host_load import failures

GIB, MIB, DAY, HOUR = 2**30, 2**20, 86400.0, 3600.0
DPI = 40  # of kept pictures
BASELINE = Path(__file__).parent / "baseline"
LOOK = {"font.family": "DejaVu Sans", "font.size": 10, "text.hinting": "no_hinting"}
WIDE, SMALL = (8.0, 5.0), (4.06, 5.0)  # as in a page of 1440 pixels, and of 390 [inch]


def captioned(frame, text="Twelve desktops, 30 days, made by hand for the tests."):
    frame.attrs["caption"] = text
    return frame


def growth(days=30, clones=12, replicates=1):
    """Desktop k grows by the root of the days, k / 4 + 1 GiB at the end; three times as much is written."""
    rows = []
    for replicate in range(replicates):
        for day in range(days):
            part = ((day + 1) / days) ** 0.5
            for clone in range(clones):
                delta = part * (clone / 4 + 1) * GIB
                row = (replicate, day, clone, 0, clone % 2, 0, int(delta), int(2.2 * delta), int(0.95 * delta))
                rows.append((*row, int((10 + 0.2 * part) * GIB)))
    names = ["replicate", "day", "clone", "disk", "lun", "host", "delta_bytes", "written_bytes", "unique_bytes"]
    return captioned(pd.DataFrame(rows, columns=[*names, "guest_used_bytes"]))


def band(days=30):
    ends = {"best-fit": 1.6, "windows": 2.4, "fresh-first": 4.1}
    rows = [
        (policy, discards, day, 12, *(end * (1 - 0.25 * discards) * GIB * ((day + 1) / days) ** 0.5 for _ in range(2)))
        for policy, end in ends.items()
        for discards in (True, False)
        for day in range(days)
    ]
    names = ["policy", "discards", "day", "clones", "delta_p50_bytes", "delta_mean_bytes"]
    return captioned(pd.DataFrame(rows, columns=names))


def luns(count=3, replicates=1, days=20, full=((0, 0, 15.0),)):
    """LUN k has 40 + 10 k % at first and 2 k + 2 % more each day; some are full from a given day on."""
    parts = []
    stops = {(lun, replicate): day for lun, replicate, day in full}
    hours = np.arange(24 * days)
    for replicate in range(replicates):
        for lun in range(count):
            stop = stops.get((lun, replicate), np.inf)
            share = np.minimum(0.3 + 0.04 * lun + 0.02 * replicate + 0.0009 * (lun + 1) * hours, 0.97)
            if np.isfinite(stop):
                share = np.minimum(0.4 + 0.6 * (hours / 24) / stop, 1.0)
            used = (share * 1000).astype(np.int64) * GIB
            columns = {"replicate": replicate, "lun": lun, "time_s": hours * HOUR, "used_bytes": used}
            columns |= {"free_bytes": 1000 * GIB - used, "fixed_bytes": 200 * GIB}
            parts.append(pd.DataFrame(columns | {"desktops_down": np.where(hours / 24 >= stop, 5, 0)}))
    return captioned(pd.concat(parts, ignore_index=True))


def sources():
    names = ["page file", "browser cache", "antivirus definitions", "file-system metadata", "event logs", "patches"]
    rows = [
        (0, 0, clone, 0, name, int((place + 1) ** 2 * 40 * MIB), int((6 - place) ** 1.5 * 20 * MIB))
        for clone in range(4)
        for place, name in enumerate(names)
    ]
    columns = ["replicate", "day", "clone", "disk", "source", "written_bytes", "first_touch_bytes"]
    return captioned(pd.DataFrame(rows, columns=columns))


def increments():
    """Two weeks of steps: quiet nights, busy mornings, and one storm on a Wednesday at 3."""
    rng = np.random.default_rng(1)
    hours = np.arange(14 * 24)
    busy = np.where((hours % 24 >= 8) & (hours % 24 < 18) & (hours // 24 % 7 < 5), 12, 1)
    busy[2 * 24 + 3] = 400
    time = np.concatenate([hour * HOUR + np.sort(rng.random(n)) * HOUR for hour, n in zip(hours, busy, strict=True)])
    frame = pd.DataFrame({"replicate": 0, "time_s": time})
    frame.attrs |= {"start": "2026-01-05", "horizon_s": 14 * DAY}
    return captioned(frame)


def served(count=3000):
    """Lock requests of one hour: sparse at first, a storm in the middle; some of its requests give up."""
    rng = np.random.default_rng(2)
    time = np.sort(np.concatenate([rng.random(count // 3) * 3600, 1500 + rng.random(count - count // 3) * 600]))
    storm = (time > 1500) & (time < 2100)
    wait = np.where(storm, rng.exponential(0.02, count), np.where(rng.random(count) < 0.8, 0, 0.002))
    frame = pd.DataFrame({"time_s": time, "host": 0, "hold_s": 0.004, "wait_s": wait, "retries": 0})
    return captioned(frame.assign(failed=storm & (wait > 0.12)))


def locks():
    rows = [
        (lun, 600.0 * k, 600.0 * (k + 1), n, n / 600 * (lun + 1), n * 0.005 / 600, 1e-4 * k, 4e-4 * k, 1e-3 * k)
        for lun in range(2)
        for k, n in enumerate([20, 80, 200, 90, 30, 10])
    ]
    names = ["lun", "time_s", "end_s", "reservations", "reservations_per_s", "reserved_fraction"]
    return captioned(pd.DataFrame(rows, columns=[*names, "wait_p50_s", "wait_p99_s", "wait_max_s"]))


def trace_growth():
    end = np.arange(1, 9) * HOUR
    mean = np.sqrt(end / HOUR) * GIB
    columns = {"time_s": end - HOUR, "end_s": end, "delta_mean_bytes": mean, "delta_p95_bytes": 1.4 * mean}
    return captioned(pd.DataFrame(columns | {"delta_total_bytes": 64 * mean}))


def replay():
    time = np.arange(0, 3601, 300.0)
    written = time / 3600 * 4 * GIB
    parts = []
    for name, factor in (("vmfs-sparse", 1.05), ("qcow2", 1.6), ("vhdx", 3.0)):
        columns = {"time_s": time, "written_bytes": written, "unique_bytes": 0.5 * written}
        parts.append(pd.DataFrame(columns | {"file_bytes": factor * 0.5 * written, "format": name}))
    return captioned(pd.concat(parts, ignore_index=True))


def rounds():
    ends = {"best-fit": 0.0, "windows": 0.3, "fresh-first": 1.0}
    rows = [
        (policy, k, int((10 + 0.01 * k) * GIB), int((0.2 + max(1.0 * (k > 0), share * k)) * GIB))
        for policy, share in ends.items()
        for k in range(11)
    ]
    return captioned(pd.DataFrame(rows, columns=["policy", "round", "guest_used_bytes", "delta_bytes"]))


def lock_cells():
    rows = [
        ("scsi-reservation", phase, hold, hosts, clones, 1e-4 * hosts * clones / 64 * factor * held, 1e-3 * held)
        for phase, factor in (("steady", 0.5), ("logons", 8.0))
        for hold, held in (("1 ms", 1.0), ("10 ms", 10.0))
        for hosts in (2, 4, 8, 16)
        for clones in (32, 64, 128, 256)
    ]
    names = ["locking", "phase", "hold", "hosts", "clones", "wait_p99_s", "hold_s"]
    frame = captioned(pd.DataFrame(rows, columns=names))
    frame.attrs["limit_s"] = 0.02
    return frame


def lock_panel():
    cells = lock_cells()
    found = cells[(cells["phase"] == "logons") & (cells["hold"] == "10 ms")]
    found.attrs = cells.attrs
    return found


def lock_sensitivity():
    rows = [
        (name, value, locking, phase, wait, largest)
        for (name, value), factor in {("as in the map", ""): 1, ("back-off", "1 ms"): 0.5, ("hosts", "16"): 3}.items()
        for locking, phase, wait, largest in (
            ("ats", "steady", 1e-5, 256),
            ("scsi-reservation", "steady", 2e-3 * factor, 128),
            ("scsi-reservation", "logons", 3e-2 * factor, 32),
        )
    ]
    names = ["assumption", "value", "locking", "phase", "wait_p99_s", "largest"]
    return captioned(pd.DataFrame(rows, columns=names))


def sensitivity():
    rows = [
        ("free clusters (guest.policy)", "best-fit", "fresh-first", 3.0, 8.0, 0.62, 0.70, 0.0),
        ("users (users.intensity_sigma)", "0.3", "0.9", 4.2, 5.6, 0.18, 0.22, 0.5),
        ("size of patches (storms.patch_factor)", "0.5", "2", 4.8, 5.3, 0.05, 0.06, 0.2),
    ]
    names = ["title", "lower", "higher", "at_lower", "at_higher", "first", "total", "rest"]
    frame = pd.DataFrame(rows, columns=names)
    for name in ("at_lower", "at_higher"):
        frame[name] *= GIB
    for name in ("first", "total"):
        frame[f"{name}_low"], frame[f"{name}_high"] = frame[name] - 0.05, frame[name] + 0.05
    frame.attrs |= {"unit": "B", "usual": 5.0 * GIB, "title": "mean size of a delta"}
    return captioned(frame)


def comparison():
    from test_strategy_plots import comparison as made

    return made().frame


def clusters(churn):
    """A volume of 64 Mi clusters' worth of places in small: base image in the middle, a delta behind it."""
    place = np.arange(40_000)
    base = (place > 8_000) & (place < 18_000)
    held = (place >= 18_000) & (place < 18_000 + 1_800 * churn)
    used = base | ((place >= 18_000 + 1_600 * churn) & held)
    written = used | held | (place < 2_000)
    frame = pd.DataFrame({"used": used, "ever_written": written, "in_delta": held})
    frame.attrs["cluster_bytes"] = 65_536
    return captioned(frame, "Volume 2.44 GiB.")


def forecast(dated=True):
    days = np.arange(1, 61)
    middle = (40 + 0.8 * days) * GIB
    columns = {"level": "pool", "id": "", "clones": 12, "checked": days < 40, "p50": middle}
    for share, width in (("p5", -2.0), ("p25", -0.8), ("p75", 0.8), ("p95", 2.0)):
        columns[share] = middle + width * np.sqrt(days) * GIB
    when = pd.Timestamp("2026-03-01") + pd.to_timedelta(days, unit="D") if dated else days
    return captioned(pd.DataFrame({"date" if dated else "day": when} | columns))


def measured(dated=True):
    days = np.arange(-42, 1, 7)
    when = pd.Timestamp("2026-03-01") + pd.to_timedelta(days, unit="D") if dated else days
    return pd.DataFrame({"date" if dated else "day": when, "bytes": (40 + 0.85 * days + 0.5 * (days % 2)) * GIB})


def fill_date():
    days = np.arange(1, 91)
    share = 1 / (1 + np.exp(-(days - 45) / 6))
    return captioned(pd.DataFrame({"date": pd.Timestamp("2026-03-01") + pd.to_timedelta(days, "D"), "p_full": share}))


def backtest():
    measured_ = np.linspace(2, 6, 8) * 30 * GIB
    columns = {"level": "lun", "clones": 30, "measured": measured_, "fit": 1.03 * measured_, "line": 1.25 * measured_}
    return captioned(pd.DataFrame(columns | {"fit_low": 0.95 * measured_, "fit_high": 1.1 * measured_}))


def probe():
    steps = ["rewrite", "append", "delete", "create"]
    rows = {"policy": ["best-fit", "windows", "fresh-first"], "probability": [0.02, 0.95, 0.03]}
    values = {"rewrite": (0, 1, 8), "append": (1, 2, 6), "delete": (0, 0, 0), "create": (2, 4, 9)}
    frame = pd.DataFrame(rows | {f"{step}_grown": values[step] for step in steps})
    frame.attrs["measured"] = {f"{step}_grown": values[step][1] + 0.2 for step in steps}
    return captioned(frame)


def posterior():
    scale, spread = np.geomspace(0.25, 4, 25), np.geomspace(0.1, 1.5, 15)
    rows = [
        (policy, a, b, 1 / (2 * 25 * 15), w * np.exp(-8 * np.log(a / m) ** 2 - 8 * np.log(b / 0.5) ** 2))
        for policy, m, w in (("best-fit", 1.6, 0.4), ("fresh-first", 0.8, 1.0))
        for a in scale
        for b in spread
    ]
    frame = pd.DataFrame(rows, columns=["policy", "scale", "spread", "prior", "probability"])
    frame["probability"] /= frame["probability"].sum()
    return captioned(frame)


def ranks():
    k = np.arange(200)
    return captioned(pd.DataFrame({"scale": (k * 0.618) % 1, "spread": ((k * 0.618) % 1) ** 1.3}))


def weeks():
    week = np.arange(1, 7)
    wide = 4.0 / week
    columns = {"week": week, "p5": (9 - wide) * GIB, "p50": 9 * GIB, "p95": (9 + 1.5 * wide) * GIB}
    frame = pd.DataFrame(columns | {"policy": "windows", "probability": 1 - 0.6 / week})
    frame.attrs["day"] = 90.0
    return captioned(frame)


def lun_hours(days=14):
    """Waits and latencies of two datastores by the hour: the mornings are busy, each day a little more."""
    hours = np.arange(24 * days)
    busy = (1 + hours // 24 / 10) * np.where(hours % 24 == 9, 40.0, 1.0)
    parts = [
        pd.DataFrame(
            {"replicate": 0, "lun": lun, "time_s": hours * HOUR, "wait_p50_s": 1e-5 * busy, "wait_p99_s": 5e-4 * busy}
            | {"wait_max_s": 1e-3 * busy * (lun + 1), "latency_p95_s": 0.003 + 2e-4 * busy * (lun + 1)}
        )
        for lun in range(2)
    ]
    return captioned(pd.concat(parts, ignore_index=True))


def peaks(days=14):
    day = np.arange(days)
    parts = [
        pd.DataFrame({"replicate": 0, "lun": lun, "day": day, "read_iops": 300.0 + 20 * day, "write_iops": 500.0 * lun})
        for lun in range(2)
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["iops"] = frame["read_iops"] + frame["write_iops"]
    return captioned(frame.assign(mean_iops=0.1 * frame["iops"]))


def hosts():
    made = cluster(hosts=8, host_cpu=41600, host_memory="192 GiB", guest_memory="2 GiB", desktop_cpu=400)
    return captioned(failures(made, 500, luns=8))


def one(plot, frame, **more):
    """Draw a chart of one axes into a figure."""
    return lambda figure: plot(frame, figure.add_subplot(), **more)


REPLICATES = [(0, replicate, 9.0 + 2 * replicate) for replicate in range(4)]
CHARTS = {
    "growth": lambda: one(plots.plot_growth_fan, growth(), band=band()),
    "growth-alone": lambda: one(plots.plot_growth_fan, growth()),
    "written": lambda: one(plots.plot_written, growth()),
    "band": lambda: one(plots.plot_band, band()),
    "fill": lambda: one(plots.plot_fill, luns()),
    "fill-many": lambda: one(plots.plot_fill, luns(4, 5, full=REPLICATES)),
    "sources": lambda: one(plots.plot_sources, sources()),
    "increments-map": lambda: one(plots.plot_increments_map, increments()),
    "storm": lambda: one(plots.plot_storm, served()),
    "lock-map": lambda: partial(plots.draw_lock_map, lock_cells()),
    "lock-panel": lambda: one(plots.plot_lock_panel, lock_panel()),
    "lock-sensitivity": lambda: one(plots.plot_lock_sensitivity, lock_sensitivity()),
    "lock-days": lambda: one(plots.plot_lock_days, lun_hours(), limit_s=0.02),
    "load": lambda: one(plots.plot_load, peaks()),
    "latency-days": lambda: one(plots.plot_latency_days, lun_hours(), limit_s=0.02),
    "lock-waits": lambda: one(plots.plot_lock_waits, locks()),
    "lock-traffic": lambda: one(plots.plot_increments, locks()),
    "density": lambda: one(plots.plot_density, planning_tools.density_frame()),
    "rules": lambda: one(plots.plot_rules, planning_tools.rules(), largest=20),
    "size": lambda: one(plots.plot_size, planning_tools.bought().frame),
    "swings": lambda: one(plots.plot_swings, planning_tools.bought().swings, planned=500.0 * GIB),
    "hosts": lambda: one(plots.plot_hosts, hosts()),
    "strategies": lambda: one(plots.plot_strategies, comparison()),
    "tiers": lambda: one(plots.plot_tiers, comparison()),
    "sensitivity": lambda: one(plots.plot_sensitivity, sensitivity()),
    "shares": lambda: one(plots.plot_shares, sensitivity()),
    "clusters": lambda: partial(plots.draw_clusters, {"Before": clusters(0), "After": clusters(10)}),
    "forecast": lambda: one(plots.plot_forecast, forecast(), past=measured()),
    "fill-date": lambda: one(plots.plot_fill_date, fill_date()),
    "backtest": lambda: one(plots.plot_backtest, backtest()),
    "probe": lambda: one(plots.plot_probe, probe()),
    "calibration-policy": lambda: one(plots.plot_calibration, posterior(), parameter="policy"),
    "calibration-scale": lambda: one(plots.plot_calibration, posterior(), parameter="scale"),
    "ranks": lambda: one(plots.plot_ranks, ranks()),
    "weeks": lambda: one(plots.plot_weeks, weeks()),
    "trace-growth": lambda: one(plots.plot_trace_growth, trace_growth()),
    "replay": lambda: one(plots.plot_replay, replay()),
    "policies": lambda: one(plots.plot_policies, rounds()),
}
HIGHER = {"lock-map": (15.0, 9.5), "clusters": (10.0, 5.0)}


@cache
def drawn(name, size=None, dpi=DPI):
    """A chart in a figure of its own, laid out."""
    with rc_context(LOOK):
        figure = Figure(figsize=size or HIGHER.get(name, WIDE), dpi=dpi, layout="constrained")
        FigureCanvasAgg(figure)
        CHARTS[name]()(figure)
        figure.canvas.draw()
    return figure


def save(name, path, size=None, dpi=DPI):
    with rc_context(LOOK):
        drawn(name, size, dpi).savefig(path, metadata={"Software": None})
    return path


def keep(name, path):
    """A small picture: few colours and no smooth shades between them."""
    save(name, path)
    Image.open(path).convert("RGB").quantize(24, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    folder, how = (Path(sys.argv[1]), sys.argv[2]) if len(sys.argv) > 2 else (BASELINE, "kept")
    folder.mkdir(exist_ok=True)
    for chart in CHARTS:
        if how == "kept":
            keep(chart, folder / f"{chart}.png")
        else:
            save(chart, folder / f"{chart}.png", *((SMALL, 96) if how == "narrow" else (None, 120)))
            print(chart, plots.describe(drawn(chart)))
