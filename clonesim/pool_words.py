"""What a simulated pool says in words: a sentence or two for each question that a storage team asks of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clonesim.planning.limits import limits_of
from clonesim.pool.run import SHARES
from clonesim.sensitivity_words import told
from clonesim.words import between, counted, number, sized

if TYPE_CHECKING:
    from clonesim.pool.run import Run

FEW = 20  # replicates below which an interval of the risk says little
SOURCES = 3  # told by name
LITTLE = 0.005  # the means of two policies that differ by less, as a share, are the same


@dataclass(frozen=True, slots=True)
class Answer:
    """A question and what the run says to it.

    Attributes
    ----------
    question : str
        As a storage team asks it.
    sentences : tuple of str
        The answer, the most important first.
    """

    question: str
    sentences: tuple[str, ...]


def pool_answers(run: Run) -> list[Answer]:
    """What a run says of sizes, datastores, locks, the array, and what the deltas are made of."""
    return [_sizes(run), _full(run), _locks(run), _array(run), _made_of(run)]


def _sizes(run: Run) -> Answer:
    days = counted(run.scenario.pool.days, "day")
    desktops = run.desktops[run.desktops["day"] == run.desktops["day"].max()]["delta_bytes"]
    low, middle, high = (float(desktops.quantile(share)) for share in SHARES.values())
    spread = f"median; nine of ten have {between(low, high, 'B')}" if sized(low) != sized(high) else "all alike"
    found = [
        f"After {days} the delta of a desktop is {sized(middle)} ({spread}), with allocation policy "
        f"{run.scenario.guest.policy}.",
        _together(run),
    ]
    if run.growth["censored"].any():
        found.insert(1, "That is with room for all of it: some desktops are down before the end, see below.")
    return Answer("How large do the deltas get?", (*found, *_band(run)))


def _together(run: Run) -> str:
    """All deltas of the pool, at each of the places where their size differs."""
    s = run.summary
    files, stored, array = (sized(s[f"{name}_total_bytes"]) for name in ("delta", "datastore", "array"))
    found = f"{counted(s['desktops'], 'desktop')} together: {files} in files"
    found += f", {stored} allocated on the datastores" if stored != files else ", as much on the datastores"
    return f"{found}, {array} with the copies that the backing makes." if array != stored else f"{found}."


def _band(run: Run) -> list[str]:
    """What rests on how the guest picks free clusters."""
    if run.band is None:
        return ["Which free clusters the guest picks is a hypothesis; here only one was simulated."]
    end = run.band[run.band["day"] == run.band["day"].max()].sort_values("delta_mean_bytes", kind="stable")
    low, high = end.iloc[0], end.iloc[-1]
    if high["delta_mean_bytes"] <= (1 + LITTLE) * low["delta_mean_bytes"]:
        return [
            f"It does not depend on how the guest picks free clusters: the mean is {sized(low['delta_mean_bytes'])}."
        ]

    def name(row: dict[str, object]) -> str:
        several = end["discards"].nunique() > 1
        return f"{row['policy']}, discards {'on' if row['discards'] else 'off'}" if several else str(row["policy"])

    where = "of the system disk " if run.growth["disk"].nunique() > 1 else ""
    ends = [f"{sized(float(row['delta_mean_bytes']))} ({name(row.to_dict())})" for row in (low, high)]
    return [
        f"Which free clusters Windows picks is not published. The same work makes a mean delta {where}of {ends[0]} "
        f"to {ends[1]}."
    ]


def _full(run: Run) -> Answer:
    s, question = run.summary, "When is a datastore full?"
    luns, days = counted(s["datastores"], "datastore"), counted(s["days"], "day")
    low, high = 100 * s["p_outage_low"], 100 * s["p_outage_high"]
    risk = (
        f"Risk that some datastore is full within {days}: {number(100 * s['p_outage'])} % of "
        f"{counted(s['replicates'], 'replicate')} (95 % interval {number(low)} to {number(high)} %)"
    )
    risk += "; simulate more replicates to narrow it." if s["replicates"] < FEW else "."
    share = run.luns.groupby(["replicate", "lun"])["used_bytes"].last() / run.scenario.luns.size
    if s["first_full_day"] is None:
        most = f"at the end the fullest is at {share.max():.0%} of {sized(run.scenario.luns.size)}"
        none = f"None of {luns} is" if s["datastores"] > 1 else "The datastore is not"
        return Answer(question, (f"{none} full within {days}; {most}.", risk))
    lead = ", ".join(f"{number(value)} d from {name}" for name, value in s["warning_lead_days"].items())
    down = f"{counted(s['desktops_down'], 'desktop')} down at the end" + (
        " (all replicates together)" if s["replicates"] > 1 else ""
    )
    which = f"The first of {luns}" if s["datastores"] > 1 else "The datastore"
    found = [f"{which} is full on day {s['first_full_day']:.1f}: an outage; {down}."]
    found += [f"Shortest time that warnings leave: {lead}."] if lead else []
    return Answer(question, (*found, risk))


def _locks(run: Run) -> Answer:
    s, question = run.summary, "Does locking bite?"
    luns, limit = run.scenario.luns, limits_of(run.scenario).lock_wait
    wait = s["wait_p99_max_s"]
    if not s["locks_a_second_max"]:
        return Answer(question, (f"Nothing takes a lock that hosts share on {luns.backing}.",))
    worst = told(0.0 if math.isnan(wait) else wait, "s")
    found = f"In the worst hour of any datastore 99 of 100 requests for a lock wait for {worst} or less"
    if worst == "none":
        found = "Even in the worst hour of any datastore 99 of 100 requests for a lock do not wait"
    if limit is not None and worst != "none":
        found += f" (limit of a plan: {told(limit, 's')}; {'kept' if wait <= limit else 'passed'})"
    more = f"The busiest hour has {number(s['locks_a_second_max'])} locks a second"
    if s["reserved_fraction_max"]:
        more += f", and the datastore reserved for {number(100 * s['reserved_fraction_max'])} % of an hour at most"
    gave_up = counted(s["locks_failed"], "request") if s["locks_failed"] else "no request"
    return Answer(question, (f"{found}.", f"{more}; {gave_up} gave up.", "An hour hides the worst of its minutes."))


def _array(run: Run) -> Answer:
    s, array = run.summary, run.scenario.array
    limit, latency = limits_of(run.scenario).latency, s["latency_p95_max_s"]
    disks = f"{number(array.disks)} disks of {array.media}, {array.raid}{', shared by all' if array.shared else ''}"
    first = f"In its worst minute a datastore is asked for {number(round(s['iops_max60']))} I/Os a second"
    if math.isnan(latency):
        return Answer("Does the array keep up?", (f"{first}; how fast {disks} serve them is not known.",))
    kept = ""
    if limit is not None:
        kept = f" (limit of a plan: {told(limit, 's')}; {'kept' if latency <= limit else 'passed'})"
    second = f"95 of 100 I/Os take {told(latency, 's')} or less in the worst minute{kept}, with {disks}."
    return Answer("Does the array keep up?", (f"{first}.", second))


def _made_of(run: Run) -> Answer:
    question, held = "What adds up?", run.source_bytes["held_bytes"]
    total = int(held.sum())
    if total <= 0:
        return Answer(question, ("Nothing: the deltas hold no data.",))
    first = [f"{name} {value / total:.0%}" for name, value in held.head(SOURCES).items() if value > 0]
    written = run.summary["written_a_desktop_day_bytes"]
    return Answer(
        question,
        (
            f"Of what the deltas hold: {', '.join(first)}.",
            f"A desktop writes {sized(written)} a day; what it writes to the same place again adds nothing.",
        ),
    )
