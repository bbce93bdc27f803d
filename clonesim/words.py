"""What plans say in words: names and units of limits, figures with units, verdicts. Shared by charts and text."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from clonesim.planning.cluster import Cluster
from clonesim.planning.density import NOTHING, Density
from clonesim.planning.sizing import Size
from clonesim.units import GIB, MIB, TIB, format_size

LEAST = 0.0001  # figures nearer to 0 are not told
TERA = 1e12  # disks are sold by it [B]
BYTES = (("TiB", TIB), ("GiB", GIB), ("MiB", MIB))


@dataclass(frozen=True, slots=True)
class Metric:
    """How a limit's figure is told.

    Attributes
    ----------
    short, title : str
        What it is, in few words, and with what is looked at.
    unit : str
        Behind the figure; "" for numbers.
    factor : float
        From the frame's unit to this one. [1]
    """

    short: str
    title: str
    unit: str
    factor: float = 1.0

    def text(self, value: float) -> str:
        """Figure without its unit."""
        return number(value * self.factor)

    def told(self, value: float) -> str:
        """Figure with its unit."""
        return f"{self.text(value)} {self.unit}".rstrip()


METRICS = {
    "outage": Metric("risk of a full LUN", "risk that the LUN is full", "%", 100.0),
    "lock_wait": Metric("lock wait", "lock wait, p99 of the worst storm", "ms", 1e3),
    "conflicts": Metric("lock conflicts", "lock conflicts, worst minute", "1/s"),
    "iops": Metric("load of the disks", "load of the disks, worst minute", "%", 100.0),
    "latency": Metric("array latency", "array latency p95, worst minute", "ms", 1e3),
    "queue": Metric("LUN's queue", "places in the LUN's queue, worst minute", "%", 100.0),
    "clones": Metric("vendor's maximum", "the vendor's maximum", "clones"),
    "LUN size": Metric("LUN size", "size of the LUN, less the reserve", "GiB", 1 / GIB),
}
RULES = {
    "view-minimum": "View's table, minimum",
    "view-half": "View's table, 50 %",
    "view-maximum": "View's table, maximum",
    "overcommit-none": "overcommit: none",
    "overcommit-conservative": "overcommit: conservative",
    "overcommit-moderate": "overcommit: moderate",
    "overcommit-aggressive": "overcommit: aggressive",
    "three-times-ram": "3 x RAM + logs + 15 %",
    "average-plus-20": "mean size + 20 %",
    "queue-depth": "depth of the queue",
    "most-ballpark": "practitioners' ballpark",
    "most-before-vaai": "most without VAAI",
    "most-view": "View's most, no VAAI",
    "most-view-51": "View 5.1's most",
    "most-vaai": "most with VAAI",
    "most-nfs": "most on NFS",
}
REASONS = {  # what `Purchase.disks_for` means
    "capacity": "the capacity",
    "iops": "the load in the worst minute",
    "latency": "the latency in the worst minute",
    "raid": "the RAID level",
}


def number(value: float) -> str:
    """Three significant digits without an exponent, whole numbers whole; "-" for none, "inf" for no bound."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    if 0 < abs(value) < LEAST:
        return f"{'<' if value > 0 else '>-'}{LEAST}"
    return f"{value:#.3g}".rstrip(".")


def off(share: float) -> str:
    """How much more (+) or less (-) a figure is than another one; as a factor from threefold up."""
    if math.isnan(share):
        return "-"
    return f"x {number(1 + share)}" if share >= 2 else f"{100 * share:+.0f} %".replace("+0", "0").replace("-0 %", "0 %")


def sized(size: float) -> str:
    """Bytes in TiB, GiB or MiB."""
    return figure(size, "B")


def figure(value: float, unit: str) -> str:
    """Figure of a purchase: `unit` is one of "1", "B", "1/s", "B/s"."""
    many, called = _parts(value, unit)
    return f"{many} {called}".rstrip()


def between(low: float, high: float, unit: str) -> str:
    """Interval of a figure, with the unit once if both ends have the same; one figure if both read alike."""
    (first, small), (last, large) = _parts(low, unit), _parts(high, unit)
    start = first if small == large else f"{first} {small}"
    return f"{last} {large}".rstrip() if (first, small) == (last, large) else f"{start} to {last} {large}".rstrip()


def _parts(value: float, unit: str) -> tuple[str, str]:
    """Number and unit to be read."""
    if unit == "B":
        called, length = next(((name, size) for name, size in BYTES if abs(value) >= size), BYTES[-1])
        return number(value / length), called
    if unit == "B/s":
        return number(round(value / 1e6, 1)), "MB/s"
    return number(round(value, 1)), "" if unit == "1" else unit


def counted(many: float, one: str) -> str:
    """Count a thing: "1 disk", "2 disks"."""
    return f"{number(many)} {one}" + ("" if many == 1 else "s")


def density_verdict(plan: Density) -> list[str]:
    """Sentences: the largest number of clones per LUN, what stops more, and how sure that is."""
    return [_most(plan), *_sure(plan), *_resolution(plan)]


def _most(plan: Density) -> str:
    if not plan.largest:
        fewest = int(plan.frame["n"].min())
        return f"Not even {counted(fewest, 'clone')} on a LUN keep all limits; passed most: {_title(plan.binding)}."
    most = f"Most clones per LUN: {plan.largest}."
    if plan.binding == NOTHING:
        return f"{most} No limit is passed by as many as were simulated; raise pool.clones to look further."
    after = int(plan.frame["n"][plan.frame["n"] > plan.largest].min())
    metric, row = METRICS[plan.binding], plan.at(after, plan.binding)
    figures = f"{metric.told(row['value'])} at {after}, limit {metric.told(row['limit'])}"
    return f"{most} Binding limit: {metric.title} ({figures})."


def _sure(plan: Density) -> list[str]:
    if plan.sure == plan.largest:
        return ["The upper ends of all intervals keep the limits there, too."] if plan.largest else []
    return [f"So that the upper ends of all intervals keep the limits, too: {plan.sure or 'no number of clones'}."]


def _resolution(plan: Density) -> list[str]:
    if plan.resolved:
        return []
    row, metric = plan.at(plan.largest, "outage"), METRICS["outage"]
    have = plan.space.attrs.get("replicates")
    between = (
        f"between {metric.text(row['low'])} and {metric.told(row['high'])} for a limit of {metric.text(row['limit'])}"
    )
    simulated = "" if have is None else f" ({have} simulated)"
    if math.isinf(plan.replicates_needed):
        needed = "not resolved: no number of replicates would tell, the estimate is too near the limit"
    else:
        needed = f"not resolved: {number(plan.replicates_needed)} replicates needed{simulated}"
    return [f"Risk of a full LUN with {plan.largest} clones: {needed}; it lies {between} %."]


def _title(metric: str) -> str:
    return METRICS[metric].title if metric in METRICS else metric


def moves_text(plan: Density) -> list[str]:
    """Sentences: how far each limit would have to move for more clones; limits that need not move are put together."""
    moves, now, then = plan.moves, plan.moves.attrs.get("now"), plan.moves.attrs.get("then")
    if now == then:
        return ["No more clones than that were looked at, so how far limits would have to move is not known."]
    must = moves[moves["factor"] > 1]
    rest = [_title(name) for name in moves["metric"][~(moves["factor"] > 1)]]
    found = [f"For {then} clones instead of {now}:"]
    for row in must.to_dict("records"):
        metric = METRICS[row["metric"]]
        by = f" (x {number(row['factor'])})" if math.isfinite(row["factor"]) else ""
        found.append(f"- {metric.title}: from {metric.told(row['limit'])} to {metric.told(row['then'])}{by}")
    return found + ([f"- need not move: {'; '.join(rest)}"] if rest else [])


def size_verdict(bought: Size) -> list[str]:
    """Sentences: what to buy, which limits bind, and what to measure first."""
    p = bought.purchase
    lun = f"{counted(p.luns, 'datastore')} of {sized(p.lun_bytes)}, {counted(p.clones_per_lun, 'clone')} each"
    if p.luns > 1:
        lun = lun.replace(" each", " each at most")
    replica = f" and one of {sized(p.replica_bytes)} for base images" if p.replica_bytes else ""
    disks = f"{counted(p.disks, 'disk')} ({counted(p.spares, 'spare')} among them)"
    hosts = f"{counted(p.hosts.hosts, 'host')} ({p.hosts.spare} of them for failures)"
    raw = f"{number(p.raw_bytes / TERA)} TB as disks are sold"
    return [
        f"Buy: {lun}{replica}; {disks}, raw {raw}; {hosts}.",
        f"More clones per datastore: stopped by {_stopped(bought.binding)}. Number of disks: set by "
        f"{REASONS.get(p.disks_for, p.disks_for)}. Hosts: {counted(p.hosts.desktops_per_host, 'desktop')} on one by "
        f"{p.hosts.binding}. Worst minute of the pool: {bought.peak}.",
        f"Measure first: {bought.measure}. That assumption alone moves the usable capacity by "
        f"{100 * bought.measure_swing:.0f} %.",
    ]


def _stopped(binding: str) -> str:
    if binding == NOTHING:
        return "nothing, all clones fit on one"
    return "the largest size of a datastore" if binding == "outage" else _title(binding)


def wrong_text(wrong: pd.DataFrame) -> list[str]:
    """Sentences: what it costs if growth is other than planned."""
    found = []
    for row in wrong.to_dict("records"):
        more = row["growth"] - 1
        title = f"Growth {abs(100 * more):.0f} % {'higher' if more > 0 else 'lower'} than planned"
        parts = [f"some datastore is full with probability {number(row['p_outage'])}"]
        for name, text in (("bytes", sized(abs(row["bytes"]))), ("disks", counted(abs(row["disks"]), "disk"))):
            if row[name]:
                parts.append(f"{text} {'missing' if row[name] > 0 else 'bought in vain'}")
        found.append(f"{title}: {', '.join(parts)}.")
    return found


def hosts_label(made: Cluster, desktops: int) -> str:
    """One line on what the failures of hosts rest on."""
    rule = {"slots": "slots", "percentage": "a share kept free", "dedicated": "failover hosts", "none": "none"}
    return (
        f"{counted(desktops, 'desktop')} of {format_size(made.guest_memory)} on {counted(made.hosts, 'host')} of "
        f"{number(made.host_cpu / 1000)} GHz and {format_size(made.host_memory)}. Mean desktop in the worst hour: "
        f"{number(made.cpu)} MHz, {sized(made.consumed)} consumed, {sized(made.active)} of it active (assumed). "
        f"Admission control: {rule[made.admission]}, {counted(made.failures_tolerated, 'failure')} tolerated, rule of "
        f"{'Virtual Infrastructure 3' if made.era == 'vi3' else 'the later era'}. Survivors share the desktops evenly."
    )


def hosts_verdict(failures: pd.DataFrame) -> list[str]:
    """Sentences: what the rule claims, what memory and processors hold, and where swapping begins."""
    first = failures.iloc[0]
    claimed, real = int(first["claimed"]), int(first["holds_for"])
    holds = f"memory and processors hold {real}" if first["holds"] else "memory or processors are short already"
    found = [f"Admission control claims to bear {counted(claimed, 'host failure')}; {holds}."]
    for column, text in (("ballooned_bytes", "Balloons inflate"), ("swapped_bytes", "Swapping begins")):
        after = failures["failures"][failures[column] > 0]
        if len(after):
            found.append(f"{text} {_after(int(after.iloc[0]))}.")
    over = failures[(failures["claimed"] > failures["holds_for"]) & (failures["failures"] > 0)]
    if len(over):
        row = over.iloc[0]
        found.append(
            f"{_after(int(row['failures'])).capitalize()} the rule counts anew and claims {int(row['claimed'])} more; "
            f"{int(row['holds_for'])} would hold."
        )
    return found


def _after(failures: int) -> str:
    return f"after {counted(failures, 'failure')}" if failures else "before any failure"


def rule_titles(rules: pd.DataFrame) -> list[str]:
    """Names of classic rules in words, in parentheses where a rule is not meant for such a pool."""
    titles = [RULES.get(name, name) for name in rules["rule"]]
    return [title if meant else f"({title})" for title, meant in zip(titles, rules["applies"], strict=True)]
