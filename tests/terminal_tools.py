"""All commands, the examples of their help, the files that these name, and the keys that docs/json.md tells."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from counter_tools import simulate
from counter_tools import write as write_counters
from estate_tools import estate_file
from growth_tools import pool, weekly
from image_tools import MIB, flat_vmdk, make_ntfs
from inventory_tools import write_xlsx
from prefill_tools import farm, tabs
from probe_tools import GUEST, guest_result

from clonesim import cli
from clonesim.planning.probe_simulation import simulate_probe
from clonesim.pool.run_files import to_json
from clonesim.pool.simulate import simulate as simulate_pool

PAGE = Path(__file__).parent.parent / "docs" / "json.md"
NUMBERS = {"MHz", "B", "s", "d", "h", "min", "1", "1/s", "1/d", "B/s", "money"}
FEWER = {  # what the tests add to an example, so that it ends soon
    "app": "--check --port 5099",
    "calibrate": "--clones 4 --points 12 --policy fresh-first --days 1 --processes 1",
    "probe fit": "--draws 20 --policy fresh-first --policy best-fit",
}


def commands():
    """Every command by its words behind `clonesim`."""
    found = {}

    def below(words, one):
        inner = getattr(one, "commands", None)
        if inner is None:
            found[" ".join(words)] = one
        for name, each in (inner or {}).items():
            below([*words, name], each)

    below([], typer.main.get_command(cli.app))
    return found


def examples(command):
    """Lines of the example in a command's help, as lists of words behind `clonesim`."""
    text = (command.epilog or "").partition("Example:\n")[2]
    return [shlex.split(line)[1:] for line in text.splitlines() if line.strip()]


def make_files(folder, needed):
    """Write the files that an example names into a folder."""
    names = {Path(word).name for word in needed}
    if "sizes.csv" in names and "clonesim-probe.json" not in names:
        weeks = 2 if "calibrate" in names else 10  # as many are simulated
        pool(12, weekly(weeks), lambda day: 90 * MIB * day, start="2026-01-12", luns=2, noise=8 * MIB, seed=1).to_csv(
            folder / "sizes.csv", index=False
        )
    if "estate.toml" in names:
        estate_file(folder)
    if "base.vmdk" in names:
        raw = make_ntfs(folder / "disk.raw", 64 * MIB)
        flat_vmdk(folder, "base", raw.read_bytes())
    if "esx1.csv" in names:
        (folder / "esxtop").mkdir()
        made = sorted(write_counters(folder / "esxtop", simulate(1, hold_s=0.002, minutes=15)[0]))
        for number, path in enumerate(made, 1):
            path.rename(folder / f"esx{number}.csv")
        (folder / "listings").mkdir()
        dates = pd.Timestamp("2026-05-13T10:00:00Z") + pd.to_timedelta(np.arange(5) * 200, unit="s")
        rows = {"clone": "a", "date": dates, "bytes": [0, 1e9, 4e9, 5e9, 9e9]}
        pd.DataFrame(rows).to_csv(folder / "listings" / "sizes.csv", index=False)
    if "clonesim-probe.json" in names:
        result = guest_result(simulate_probe("fresh-first", GUEST, 1))
        (folder / "clonesim-probe.json").write_text(to_json(result))
        steps = [(row["step"], row["delta_bytes"]) for row in result["steps"]]
        pd.DataFrame(steps, columns=["step", "bytes"]).to_csv(folder / "sizes.csv", index=False)
    if "pool" in names:
        simulate_pool("windows-7-office", pool={"clones": 2, "days": 1}, out=folder / "out" / "pool")
    if "RVTools_export.xlsx" in names:
        write_xlsx(folder / "RVTools_export.xlsx", tabs(**farm()))


def paths(value, start=""):
    """Path and value of every leaf; an element of a list is written [], an empty list or table is its own leaf."""
    if isinstance(value, dict) and value:
        return [found for key, one in value.items() for found in paths(one, f"{start}.{key}" if start else key)]
    if isinstance(value, list) and value:
        return [found for one in value for found in paths(one, f"{start}[]")]
    return [(start, value)]


def documented():
    """Rows of docs/json.md by the head of their section: (pattern, unit, whether it is always there)."""
    found = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        head, _, body = part.partition("\n")
        rows = found.setdefault(head.removeprefix("clonesim "), [])
        for line in body.splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("| `"):
                continue
            for key, both in re.findall(r"`([^`]+)`( ±)?", cells[0]):
                always = "Not always there" not in cells[2]
                rows += [(one, cells[1], always) for one in ([key, *_ends(key)] if both else [key])]
    return found


def _ends(key):
    place, dot, last = key.rpartition(".")
    if last in ("value", "difference"):
        return [f"{place}.low", f"{place}.high"]
    return [f"{place}{dot}{last}_low", f"{place}{dot}{last}_high"]


def matches(pattern, path):
    """Whether a documented key is that of a path; a last <placeholder> takes all below it."""
    text = re.escape(pattern).replace(r"\[\]", r"\[\]")
    text = re.sub(r"<[^>]*>$", ".+", text)
    return re.fullmatch(re.sub(r"<[^>]*>", r"[^\\[\\]]+", text), path) is not None


def misfits(section, told):
    """What of an output the page does not tell, or tells otherwise, and what the page tells and the output lacks."""
    rows, found = documented()[section], paths(told)
    wrong = []
    for path, value in found:
        units = [unit for key, unit, _ in rows if matches(key, path)]
        if not units:
            if value not in ([], {}, None) or not any(key.startswith(path) for key, *_ in rows):
                wrong.append(f"not documented: {path} = {value!r}")
        elif value is not None and value != [] and not any(_fits(unit, value) for unit in units):
            wrong.append(f"{path} = {value!r} is not of unit {units}")
    nothing = {path for path, value in found if value in ([], {}, None)}
    for key, _, always in rows:
        above = any(key.startswith((f"{path}.", f"{path}[")) for path in nothing)
        if always and not above and not any(matches(key, path) for path, _ in found):
            wrong.append(f"documented, but not there: {key}")
    return sorted(set(wrong))


def _fits(unit, value):
    if unit in NUMBERS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, {"text": str, "bool": bool}.get(unit, object))
