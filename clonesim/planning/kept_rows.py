"""What a comparison has found of each alternative, kept in a folder so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from clonesim import __version__
from clonesim.errors import ParameterError
from clonesim.files import write_text
from clonesim.planning.alternatives import Alternative

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one alternative. Plain numbers, so that they are the same bits from memory and from a file.

    Attributes
    ----------
    rows : list of dict
        By replicate: figures of `strategy_row`.
    set_back : list of dict
        By replicate: by age of the image (its bin, as text), how many system disks were set back [1] and the mean of
        their files an hour later [B].
    hourly : list of list of float
        By replicate: mean size of the system disks' files at the start and the end of each hour, if none was set back.
        [B]
    density : dict
        `clones_per_lun`, `clones_per_lun_sure` [1] and `binding`, as of `plan_density`.
    """

    rows: list[Figures]
    set_back: list[dict[str, list[float]]]
    hourly: list[list[float]]
    density: dict[str, Any]

    @classmethod
    def read(cls, text: str) -> Self:
        """From what `text` wrote."""
        return cls(**json.loads(text))

    def text(self) -> str:
        """As JSON; numbers keep every bit."""
        return json.dumps(asdict(self))


class Shelf:
    """Folder with a file per alternative; without a folder nothing is kept.

    Parameters
    ----------
    folder : path or None
        It is made if it is not there.
    seed, replicates, clones : int
        Of the comparison: with the scenario and the program's version they are the key of what is kept.

    Raises
    ------
    ParameterError
        If something that is no folder stands there.
    """

    def __init__(self, folder: str | Path | None, seed: int, replicates: int, clones: int) -> None:
        self.folder = None if folder is None else Path(folder)
        self._key = {"seed": seed, "replicates": replicates, "clones": clones, "version": __version__}
        if self.folder is not None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                allowed = "a folder is needed that can be written to"
                raise ParameterError("resume", str(folder), allowed, "Name another one.") from error

    def get(self, one: Alternative) -> Found | None:
        """What was kept of an alternative, None if nothing was.

        Raises
        ------
        ParameterError
            If its file is damaged.
        """
        path = self._path(one)
        if path is None or not path.is_file():
            return None
        try:
            return Found.read(path.read_text(encoding="utf-8"))
        except (ValueError, TypeError) as error:
            raise ParameterError("resume", str(path), "the file is damaged", "Delete it.") from error

    def put(self, one: Alternative, found: Found) -> None:
        """Keep what was found of an alternative; a file is there as a whole or not at all."""
        path = self._path(one)
        if path is not None:
            write_text(path, found.text())

    def _path(self, one: Alternative) -> Path | None:
        if self.folder is None:
            return None
        scenarios = {name: getattr(one, name).to_dict() for name in ("small", "asked")}
        return self.folder / f"{_digest({**self._key, **scenarios})}.json"


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]


def in_order(by_replicate: Mapping[int, Any]) -> list[Any]:
    """Values in order of the replicates."""
    return [by_replicate[number] for number in sorted(by_replicate)]
