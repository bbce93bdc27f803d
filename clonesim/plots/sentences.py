"""Text alternatives of charts whose lines and bars do not say by themselves what matters: from their frames."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clonesim.planning.density import NOTHING
from clonesim.strategy_words import pareto
from clonesim.words import METRICS, between, figure, number, sized

MOST = 8  # rows told


def density_sentence(frame: pd.DataFrame) -> str:
    """How many clones fit, what stops there, and how near the other limits are then."""
    largest, sure = int(frame.attrs.get("largest", 0)), int(frame.attrs.get("sure", 0))
    binding = str(frame.attrs.get("binding", NOTHING))
    n = largest or int(frame["n"].min())
    if largest:
        why = "all that were simulated" if binding == NOTHING else f"stopped by {METRICS[binding].short}"
        told = f"{largest} clones, {why}; {sure} with all intervals" if sure else f"{largest} clones, {why}"
    else:
        told = "no number of clones keeps all limits"
    rows = frame[frame["n"] == n]
    near = [
        f"{METRICS[row['metric']].short} {METRICS[row['metric']].told(row['value'])} "
        f"of {METRICS[row['metric']].told(row['limit'])}"
        for row in rows.to_dict("records")
    ]
    return f"How many clones one LUN takes: {told}; with {n} clones: {', '.join(near)}"


def size_sentence(frame: pd.DataFrame, title: str) -> str:
    """Each item with its interval."""
    rows = [
        f"{row['item']} {figure(row['value'], row['unit'])} ({between(row['low'], row['high'], row['unit'])})"
        for row in frame.to_dict("records")
    ]
    return f"{title}: {'; '.join(rows)}"


def hosts_sentence(failures: pd.DataFrame) -> str:
    """How many failures are borne, and how many the rule claims."""
    row = failures.iloc[0]
    memory, cpu = (100 * float(row[name]) for name in ("memory_share_max", "cpu_share"))
    return (
        f"Hosts that fail, the promise and the truth: the rule claims that {int(row['claimed'])} may fail, "
        f"{int(row['holds_for'])} may; with none failed {number(memory)} % of the fullest host's memory and "
        f"{number(cpu)} % of the processors are wanted"
    )


def strategies_sentence(frame: pd.DataFrame) -> str:
    """Storage and loss of the base, and of the strategies that none beats."""
    names = frame["strategy"].astype(str).tolist()
    storage, state = (dict(zip(names, frame[f"{column}_bytes"], strict=True)) for column in ("storage", "state_lost"))
    base = names[0]
    front = [label for label in dict.fromkeys(str(name) for name in pareto(frame)) if label != base]

    def told(label: str) -> str:
        lost = float(state[label])
        loses = f"loses {sized(lost)} at each refresh" if lost > 0 else "loses nothing"
        return f"{label} needs {sized(float(storage[label]))} per desktop and {loses}"

    rest = f", and {len(front) - MOST} more" if len(front) > MOST else ""
    best = "; ".join(told(label) for label in front[:MOST])
    beaten = f"; not beaten by another: {best}{rest}" if front else "; no other strategy beats it"
    return f"What a strategy needs and what its users lose, {len(frame)} strategies: {told(base)} (base){beaten}"


def tiers_sentence(frame: pd.DataFrame, tiers: dict[str, str]) -> str:
    """Storage of each strategy, the least first, with its largest tier."""
    rows = []
    for row in frame.sort_values("storage_bytes", kind="stable").to_dict("records")[:MOST]:
        name = max(tiers, key=lambda column: float(row[column]))
        rows.append(f"{row['strategy']} {sized(row['storage_bytes'])} (most of it {tiers[name]}, {sized(row[name])})")
    rest = f"; and {len(frame) - MOST} more" if len(frame) > MOST else ""
    return f"What the storage of a desktop is made of: {'; '.join(rows)}{rest}"


def fill_date_sentence(frame: pd.DataFrame) -> str:
    """When the datastore is full with 5, 50 and 95 %."""
    time = frame["date"] if "date" in frame else frame["day"]
    share = frame["p_full"].to_numpy(np.float64)

    def at(place: int) -> str:
        moment = time.iloc[place]
        return f"{moment:%Y-%m-%d}" if isinstance(moment, pd.Timestamp) else f"day {number(float(moment))}"

    passed = [(level, np.flatnonzero(share >= level / 100)) for level in (5, 50, 95)]
    told = [f"{level} % by {at(int(hits[0]))}" for level, hits in passed if hits.size]
    end = f"{number(round(100 * float(share[-1]), 1))} % at the end, {at(len(frame) - 1)}"
    return f"When the datastore is full: the probability is {', '.join([*told, end])}"


def waits_sentence(frame: pd.DataFrame) -> str:
    """The longest wait under other assumptions, beside that of the map, for each lock and phase."""
    rows = []
    for (locking, phase), part in frame.groupby(["locking", "phase"], sort=False):
        most = part.iloc[int(part["wait_p99_s"].to_numpy().argmax())]
        name = f"{most['assumption']} {most['value']}".strip()
        first, longest = (_waits(float(value)) for value in (part["wait_p99_s"].iloc[0], most["wait_p99_s"]))
        rows.append(f"{locking}, {phase}: {first} as in the map, at most {longest} ({name})")
    return f"Wait for the lock, 99th percentile, under other assumptions: {'; '.join(rows)}"


def calibration_sentence(frame: pd.DataFrame, parameter: str, title: str) -> str:
    """Probability of each policy, and the median of the parameter, before and after."""
    names = frame.groupby("policy", sort=False)[["prior", "probability"]].sum()
    told = [
        f"{name} {100 * row['prior']:.0f} % before, {100 * row['probability']:.0f} % after"
        for name, row in names.to_dict("index").items()
    ]
    if parameter == "policy":
        return f"{title}: {'; '.join(told)}"
    sums = frame.groupby(parameter)[["prior", "probability"]].sum()
    before, after = (_median(sums[name]) for name in ("prior", "probability"))
    return f"{title}: the median is {number(before)} before and {number(after)} after; policies: {'; '.join(told)}"


def _median(weights: pd.Series[float]) -> float:
    share = weights.cumsum() / weights.sum()
    return float(share.index[int(np.searchsorted(share.to_numpy(), 0.5))])


def _waits(seconds: float) -> str:
    return "no success" if np.isinf(seconds) else f"{number(1e3 * seconds)} ms"
