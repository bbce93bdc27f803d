"""A simulated estate as text for terminals. No modelling."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from clonesim.console.text import ms, percent, print_table, records
from clonesim.units import GIB, TIB

if TYPE_CHECKING:
    import pandas as pd

    from clonesim.pool.estate import EstateRun

MOST_POOLS = 40  # rows shown; the tables that --out writes have all of them
NOTHING = "-"

Row: TypeAlias = dict[Hashable, Any]


def print_estate(run: EstateRun) -> None:
    """Tables by site and by pool, and what they rest on."""
    if run.sample is None:
        _print_sites(run)
        _print_pools(run)
        return
    _print_sampled_sites(run)
    _print_sampled_pools(run)
    _print_plan(run)


def _print_sites(run: EstateRun) -> None:
    unit = _Unit.of(run)
    head = ["site", "pools", "desk-\ntops", f"deltas\n{unit.name}", f"+-\n{unit.name}", "data-\nstores", "full"]
    rows = [
        [
            str(name),
            str(row["pools"]),
            f"{row['desktops']:,}",
            unit.text(row["delta_total_bytes"]),
            unit.text((row["delta_total_high_bytes"] - row["delta_total_low_bytes"]) / 2),
            str(row["datastores"]),
            str(int(row["datastores_full"])),
            _day(row["first_full_day"]),
            ms(float(row["wait_p99_max_s"])),
        ]
        for name, row in _with_total(run)
    ]
    notes = [
        run.label,
        "Deltas: all files at the end; +-: 95 % interval of the expectation over replicates, from two replicates up. "
        "Full and lock wait (p99 of a LUN's worst hour) are the worst of any replicate.",
    ]
    print_table("Sites", [*head, "first full\nday", "lock wait\nms"], rows, notes)


def _print_pools(run: EstateRun) -> None:
    unit, rows = _Unit.of(run), []
    for name, part in run.pools.groupby("pool", sort=False):
        full = part["first_full_day"].min()
        rows.append(
            [
                str(name),
                str(part["site"].iloc[0]),
                f"{part['desktops'].iloc[0]:,}",
                f"{part['delta_p50_bytes'].mean() / GIB:.2f}",
                f"{part['delta_p95_bytes'].mean() / GIB:.2f}",
                unit.text(float(part["delta_total_bytes"].mean())),
                _share(run.luns, str(name)),
                _day(full),
            ]
        )
    head = ["pool", "site", "desk-\ntops", "median\nGiB", "p95\nGiB", f"deltas\n{unit.name}"]
    note = "Median and p95: delta of one desktop at the end. Fullest LUN: used at the end, of any replicate."
    columns = [*head, "fullest\nLUN %", "full\nday"]
    print_table("Pools", columns, rows[:MOST_POOLS], [note, *_rest(len(rows))], texts=2)


def _print_sampled_sites(run: EstateRun) -> None:
    unit = _Unit.of(run)
    head = ["site", "pools", "desktops", f"deltas\n{unit.name}", "error\n%", f"95 % interval\n{unit.name}"]
    rows = [
        [name, str(row["pools"]), f"{row['desktops']:,}", *unit.estimated(row), _varies(row)]
        for name, row in _with_total(run)
    ]
    notes = [
        run.label,
        "Deltas: all files at the end, expected over replicates, with the standard error of that. Varies: standard "
        "deviation of what one replicate comes to, since all its pools share patches.",
    ]
    columns = [*head, f"datastores\n{unit.name}", "varies\n%"]
    print_table("Sites, estimated", columns, rows, notes)


def _print_sampled_pools(run: EstateRun) -> None:
    unit = _Unit.of(run)
    rows = [
        [row["pool"], row["site"], f"{row['desktops']:,}", str(row["clones"]), *unit.estimated(row)]
        for row in run.pools.to_dict("records")
    ]
    head = ["pool", "site", "desk-\ntops", "simu-\nlated", f"deltas\n{unit.name}", "error\n%"]
    note = "Simulated: of this pool and those that differ from it in name only, in all replicates together."
    columns = [*head, f"95 % interval\n{unit.name}", f"datastores\n{unit.name}"]
    print_table("Pools, estimated", columns, rows[:MOST_POOLS], [note, *_rest(len(rows))], texts=2)


def _print_plan(run: EstateRun) -> None:
    found = run.sample
    assert found is not None
    rows = []
    for wish in found.plan["relative_error"]:
        needed = found.needed(float(wish))
        rows.append([f"{wish:.1%}", f"{needed['replicates']:,}", f"{needed['clones']:,}", f"{needed['core_s']:,.0f}"])
    total = float(run.total["delta_total_bytes"].iloc[0])
    notes = [
        f"One replicate's total differs from another's by {percent(found.between_sd / total)} % (standard deviation), "
        f"of which patches explain {percent(found.explained)} % of the variance; looking at some desktops only adds "
        f"{percent(found.within_sd / total)} % to each. Time on one core, as measured here: a replicate's timelines "
        f"{found.timeline_s:.2f} s, a desktop {found.clone_s:.3f} s.",
    ]
    head = ["standard\nerror", "replicates", "desktops\nin all", "core\nseconds"]
    print_table("What a smaller error needs", head, rows, notes)


def as_json(run: EstateRun) -> dict[str, Any]:
    """What `--json` prints: estate, summary, rows by site, pool and LUN."""
    return {
        "estate": run.estate.name,
        "days": run.estate.days,
        "start": run.estate.start.isoformat(),
        "seed": run.seed,
        "summary": run.summary,
        "sites": records(run.sites),
        "pools": records(run.pools),
        "luns": records(run.luns),
        "plan": [] if run.sample is None else records(run.sample.plan),
    }


@dataclass(frozen=True, slots=True)
class _Unit:
    """Unit of the totals of a table, by the largest of them."""

    name: str
    size: int

    @classmethod
    def of(cls, run: EstateRun) -> Self:
        large = float(run.total["delta_total_bytes"].iloc[0]) >= TIB
        return cls("TiB", TIB) if large else cls("GiB", GIB)

    def text(self, size: float) -> str:
        """Size with two decimals; "-" where there is none."""
        return NOTHING if math.isnan(size) else f"{size / self.size:,.2f}"

    def estimated(self, row: Row) -> list[str]:
        """Total, relative error, interval, space on datastores."""
        mean = float(row["delta_total_bytes"])
        low, high = (self.text(float(row[f"delta_total_{end}_bytes"])) for end in ("low", "high"))
        error = percent(float(row["delta_total_se_bytes"]) / mean) if mean else NOTHING
        return [self.text(mean), error, f"{low} to {high}", self.text(float(row["datastore_total_bytes"]))]


def _with_total(run: EstateRun) -> list[tuple[str, Row]]:
    """Rows of sites and, if there are several, of all."""
    rows = [(str(row["site"]), row) for row in run.sites.to_dict("records")]
    return rows if len(rows) == 1 else [*rows, ("all", run.total.to_dict("records")[0])]


def _varies(row: Row) -> str:
    mean = float(row["delta_total_bytes"])
    return percent(float(row["delta_total_sd_bytes"]) / mean) if mean else NOTHING


def _share(luns: pd.DataFrame, pool: str) -> str:
    return f"{luns.loc[luns['pool'] == pool, 'used_share'].max():.0%}".rstrip("%")


def _day(day: float) -> str:
    return NOTHING if math.isnan(day) else f"{day:.1f}"


def _rest(count: int) -> list[str]:
    return [f"The first {MOST_POOLS} of {count} pools; --out writes all of them."] if count > MOST_POOLS else []
