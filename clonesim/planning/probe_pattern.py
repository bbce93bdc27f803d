"""What a probe does: a known pattern of creates and deletes in which the allocation policies part ways.

One text is the pattern of the scripts, of the simulation and of the documentation. Sizes are in 256ths of the probe's
unit, a size in bytes that each run chooses.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

PARTS: Final = 256  # of a unit, in which the pattern's sizes are written
SCRAPS: Final = 64  # small files of the base image, every second of which is deleted

BASE: Final = "\n".join(
    [
        "create P1 1536",
        "create H0 768",
        *(f"create T{number:02d} 2" for number in range(SCRAPS)),
        "create H1 384",
        "create P2 1536",
        "create H2 180",
        "create P3 2048",
        "create H3 640",
        "create P4 8",
        *(f"delete T{number:02d}" for number in range(0, SCRAPS, 2)),
        "delete H0",
        "delete H1",
        "delete H2",
        "delete H3",
    ]
)

PREPARE: Final = """\
reserve X 2816
ballast Y 512
delete X
wait
"""

PATTERN: Final = """\
step idle
wait
step fill
create A 666
create K1 128
create C 550
create K2 128
delete A
delete C
wait
step reuse
create R1 256
delete R1
wait
create R2 256
delete R2
wait
step again
create R3 256
delete R3
wait
create R4 256
delete R4
wait
create R5 256
delete R5
wait
create R6 256
delete R6
wait
step places
create D 486
create E 614
delete E
wait
step stream
append S1 64
wait
step long
append S2 512
wait
"""

RESTART_BEFORE: Final = "again"  # where the guest is restarted; the other form attaches its disk anew at every step
STEP_NAMES: Final = ("idle", "fill", "reuse", "again", "places", "stream", "long")

Verb = Literal["create", "append", "delete", "wait", "reserve", "ballast"]
VERBS: Final[dict[str, Verb]] = {
    "create": "create",
    "append": "append",
    "delete": "delete",
    "wait": "wait",
    "reserve": "reserve",
    "ballast": "ballast",
}


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that the probe does.

    Attributes
    ----------
    verb : str
        "create" (size known beforehand), "append" (a stream), "delete", "wait", "reserve" (clusters are taken, nothing
        is written) or "ballast" (the same, for all free space but `parts`).
    file : str
        Name of the file; empty for "wait".
    parts : int
        Size in 256ths of the unit; of a ballast, what it leaves free.
    """

    verb: Verb
    file: str = ""
    parts: int = 0

    def size_bytes(self, unit_bytes: int) -> int:
        """Size of the file, whole pages of 4 KiB where the unit is whole MiB. [B]"""
        return self.parts * unit_bytes // PARTS


@dataclass(frozen=True, slots=True)
class Step:
    """What is done between two looks at the delta."""

    name: str
    acts: tuple[Act, ...]

    @property
    def waits(self) -> int:
        """Number of waits."""
        return sum(act.verb == "wait" for act in self.acts)


@cache
def base_acts() -> tuple[Act, ...]:
    """What fills the base image of the self-contained form, and the holes in it."""
    return tuple(_act(line) for line in BASE.splitlines())


@cache
def prepare_acts() -> tuple[Act, ...]:
    """What a guest's probe does first: room of known size and shape, whatever the guest's free space looks like."""
    return tuple(_act(line) for line in PREPARE.splitlines())


@cache
def steps() -> tuple[Step, ...]:
    """Steps of the pattern, in order."""
    found: list[tuple[str, list[Act]]] = []
    for line in PATTERN.splitlines():
        if line.startswith("step "):
            found.append((line.removeprefix("step "), []))
        else:
            found[-1][1].append(_act(line))
    return tuple(Step(name, tuple(acts)) for name, acts in found)


def room_parts() -> int:
    """What is left free for the pattern in a guest: the delta cannot grow by more. [256ths of a unit]"""
    return sum(act.parts for act in prepare_acts())


def peak_parts(acts: tuple[Act, ...]) -> int:
    """Most that the files of some acts take at one time. [256ths of a unit]"""
    sizes: dict[str, int] = {}
    most = 0
    for act in acts:
        if act.verb == "delete":
            del sizes[act.file]
        elif act.verb != "wait":
            sizes[act.file] = sizes.get(act.file, 0) + act.parts
        most = max(most, sum(sizes.values()))
    return most


def _act(line: str) -> Act:
    verb, *rest = line.split()
    return Act(VERBS[verb], rest[0] if rest else "", int(rest[1]) if len(rest) > 1 else 0)
