"""What a comparison is asked for: alternatives with their scenarios, and which of them one simulation serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from clonesim.errors import ClonesimError, ParameterError
from clonesim.planning.array_load import array_load
from clonesim.planning.resized import resized
from clonesim.pool.decisions import waits_for_sizes
from clonesim.pool.strategies.layout import effective
from clonesim.scenario.load import load_scenario
from clonesim.scenario.model import Scenario
from clonesim.scenario.strategy import Choice, mechanism, parse_strategies

BASE: Final = "linked-clone"
STRATEGIES: Final = (
    "linked-clone, memory-reservation, array-dedup, guest-tuning, smaller-free-space, disposable-disk, space-reclaim, "
    "rebalance, refresh, refresh+thin-lun, refresh(when=days; every=7 d)+profile-streaming, recompose, "
    "recompose+persistent-disk+application-virtualization, instant-clone+profile-container+app-attach, "
    "provisioned-streaming, mcs, full-clone"
)
MOVES: Final = "rebalance"  # which clones do not feel unless they are moved
AFTERWARDS: Final = ("array", "none")  # mechanisms that no clone feels

Asked = str | Sequence[str] | Mapping[str, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to keep desktops.

    Attributes
    ----------
    label : str
        As it is told.
    small : Scenario
        The pool that is simulated, with all that its strategies change.
    asked : Scenario
        The pool that it stands for, likewise.
    core : Scenario
        The pool that is simulated without what no clone feels.
    first : Scenario
        The same before anybody was moved because of what deltas have grown to.
    """

    label: str
    small: Scenario
    asked: Scenario
    core: Scenario
    first: Scenario


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives whose clones do the same, so that they are simulated once.

    Attributes
    ----------
    core : Scenario
        What is simulated.
    members : tuple of Alternative
        Whom it serves.
    """

    core: Scenario
    members: tuple[Alternative, ...]

    @property
    def first(self) -> Scenario:
        """What is simulated of it before anybody is moved."""
        return self.members[0].first


def alternatives(scenario: Scenario, strategies: Asked, clones: int) -> tuple[list[Alternative], dict[str, str]]:
    """Read and check what is compared.

    Parameters
    ----------
    scenario : Scenario
        The pool; its own strategies do not count.
    strategies : str, sequence of str, or mapping
        As of `compare`.
    clones : int
        Of the pool that is simulated. [1]

    Returns
    -------
    list of Alternative, dict of str to str
        In the order asked for, the base first unless it is named; and the labels that were left out, with the reason.
        Only of the default list is anything left out.

    Raises
    ------
    ScenarioError, ParameterError
        If an alternative is unknown, or the scenario refuses it.

    Notes
    -----
    Clones are dealt out in turn to as many LUNs as `luns.clones_per_lun` asks for, and to two at least where clones are
    moved between LUNs: the same for all alternatives.
    """
    named, found = _named(strategies), []
    left: dict[str, str] = {}
    luns = -(-clones // scenario.luns.clones_per_lun)
    if any(MOVES in _names(tables) for tables in named.values()):
        luns = max(luns, min(2, clones, scenario.luns.count or 1))
    for label, tables in named.items():
        try:
            small = resized(scenario, clones, luns=luns, strategy=list(tables))
            core = resized(scenario, clones, luns=luns, strategy=list(felt(small.strategy)))
            stay = [choice for choice in small.strategy if choice.name != MOVES]
            first = resized(scenario, clones, luns=luns, strategy=list(felt(stay)))
            if waits_for_sizes(first):
                first = core
            asked = effective(load_scenario(scenario, strategy=list(tables)))
            array_load(asked, 1)
        except ClonesimError as error:
            if strategies != STRATEGIES or label == BASE:
                raise
            left[label] = _first_line(error)
        else:
            found.append(Alternative(label, effective(small), asked, effective(core), effective(first)))
    return found, left


def _named(strategies: Asked) -> dict[str, Sequence[Any]]:
    if isinstance(strategies, Mapping):
        found = dict(strategies)
    else:
        text = strategies if isinstance(strategies, str) else ", ".join(strategies)
        found = dict(parse_strategies(text))
    if not found:
        raise ParameterError("strategies", strategies, "one strategy or more is needed", "Write for example 'refresh'.")
    return found if BASE in found else {BASE: [{"name": BASE}], **found}


def _names(tables: Sequence[Any]) -> set[str]:
    return {str(one.get("name")) if isinstance(one, Mapping) else str(getattr(one, "name", one)) for one in tables}


def _first_line(error: ClonesimError) -> str:
    problems = getattr(error, "problems", None)
    return str(problems[0].allowed if problems else getattr(error, "allowed", error))


def felt(strategies: Sequence[Choice]) -> tuple[Choice, ...]:
    """Strategies that a clone feels; the others change what datastores or the array make of the same writes.

    Swap files, which a reservation of memory makes smaller, count where clones are moved by free space.
    """
    moved = any(choice.name == MOVES for choice in strategies)
    kept = {"memory-reservation"} if moved else set()
    return tuple(one for one in strategies if mechanism(one.name) not in AFTERWARDS or one.name in kept)


def groups(found: Sequence[Alternative]) -> list[Group]:
    """Alternatives by what their clones feel, in order of the first of each."""
    members: dict[str, list[Alternative]] = {}
    for one in found:
        members.setdefault(one.core.model_dump_json(), []).append(one)
    return [Group(same[0].core, tuple(same)) for same in members.values()]


def together(found: Sequence[Group]) -> list[tuple[Group, ...]]:
    """Groups that begin with the same simulation, in order of the first of each."""
    same: dict[str, list[Group]] = {}
    for group in found:
        same.setdefault(group.first.model_dump_json(), []).append(group)
    return [tuple(some) for some in same.values()]
