"""The map of lock waits as text for terminals. No modelling."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clonesim.console.screen import screen
from clonesim.console.text import print_table, records
from clonesim.planning.lock_map import lock_cliff
from clonesim.plots.locks import TITLES

NEVER = "-"
MOST_ROWS = 3  # numbers of hosts told of each phase


def print_locks(cells: pd.DataFrame, sensitivity: pd.DataFrame | None = None) -> None:
    """Tables of where the wait for a LUN's lock passes the limit, and of what moves that.

    Parameters
    ----------
    cells : DataFrame
        Of `lock_map`.
    sensitivity : DataFrame, optional
        Of `lock_sensitivity`.
    """
    cliff = lock_cliff(cells)
    holds = list(cells["hold"].unique())
    limit, most = 1e3 * cells.attrs["limit_s"], cells["clones"].max()
    for locking, part in cliff.groupby("locking", sort=False):
        title = TITLES[str(locking)]
        if part["passes_at"].isna().all():
            print_table(f"{title}: no wait (p99) above {limit:g} ms up to {most} clones", [], [])
            continue
        table = part.pivot(index=["phase", "hosts"], columns="hold", values="passes_at")
        hosts = _some(sorted(part["hosts"].unique()))
        rows = []
        for phase in part["phase"].unique():
            fewest = table.loc[phase].min()
            rows.append([str(phase), "any", *(_count(fewest[hold]) for hold in holds)])
            rows += [["", str(count), *(_count(table.loc[(phase, count), hold]) for hold in holds)] for count in hosts]
        notes = [f"By how long a transaction holds the lock. {NEVER}: not up to {most} clones."]
        head = f"{title}: fewest clones on a LUN whose wait (p99) passes {limit:g} ms"
        print_table(head, ["phase", "hosts", *(hold.replace(" ", "\n") for hold in holds)], rows, notes)
    screen().print(cells.attrs["caption"], markup=False)
    if sensitivity is not None:
        _print_sensitivity(sensitivity)


def locks_json(cells: pd.DataFrame, sensitivity: pd.DataFrame | None = None) -> dict[str, Any]:
    """The same as plain data; infinite waits and missing numbers are None."""
    tables = {"cells": cells, "cliff": lock_cliff(cells)}
    if sensitivity is not None:
        tables["sensitivity"] = sensitivity
    plain = {name: records(table) for name, table in tables.items()}
    return {"limit_s": cells.attrs["limit_s"], "caption": cells.attrs["caption"], **plain}


def _print_sensitivity(frame: pd.DataFrame) -> None:
    heads = list(dict.fromkeys(zip(frame["locking"], frame["phase"], strict=True)))
    heads.sort(key=lambda head: head[0] == "ats")
    rows = []
    for (assumption, value), part in frame.groupby(["assumption", "value"], sort=False):
        found = {(row["locking"], row["phase"]): row for row in part.to_dict("records")}
        rows.append([f"{assumption} {value}".strip(), *(_largest(found.get(head)) for head in heads)])
    short = {"scsi-reservation": "SCSI", "ats": "ATS"}
    columns = [f"{short[locking]}\n{phase}".replace(" ", "\n") for locking, phase in heads]
    attrs = frame.attrs
    title = f"Most clones whose wait stays below {1e3 * attrs['limit_s']:g} ms, one assumption changed"
    notes = [f"{attrs['hosts']} hosts, holds of {1e3 * attrs['hold']:g} ms. Empty: no effect there."]
    print_table(title, ["", *columns], rows, notes)


def _largest(row: dict[Any, Any] | None) -> str:
    return "" if row is None else str(row["largest"])


def _count(value: Any) -> str:
    return NEVER if pd.isna(value) else str(int(value))


def _some(hosts: list[int]) -> list[int]:
    if len(hosts) <= MOST_ROWS:
        return hosts
    return [hosts[0], hosts[len(hosts) // 2], hosts[-1]]
