"""Small pools by what was picked: packaged, kept from earlier, or simulated now."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from clonesim import __version__
from clonesim.app.choices import Picked, small
from clonesim.errors import ParameterError
from clonesim.planning.planned_pool import (
    PlannedPool,
    planned_pool,
    pool_key,
    read_planned_pool,
    save_planned_pool,
)

PACKAGED, KEPT, SIMULATED = "packaged", "kept from earlier", "simulated now"


def usual_folder() -> Path:
    """Where pools are kept: the user's folder for such files."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or str(Path.home() / ".cache")
    return Path(base) / "clonesim" / f"pools-{__version__}"


class Pools:
    """Small pools, each read or simulated once.

    Parameters
    ----------
    folder : Path, optional
        Where those that had to be simulated are kept; by default in the user's folder for such files.
    processes : int, optional
        For simulations; by default one per core.
    """

    def __init__(self, folder: Path | None = None, processes: int | None = None) -> None:
        self.folder = folder or usual_folder()
        self.processes = processes
        self._known: dict[str, PlannedPool] = {}
        self._one_at_a_time = threading.Lock()

    def ready(self, picked: Picked) -> PlannedPool | None:
        """The pool, if it need not be simulated.

        Raises
        ------
        ScenarioError, ParameterError
            If what was picked cannot be.
        """
        one, key = picked.small(), self._key(picked)
        if key not in self._known:
            for path in (self._packaged(key), self.folder / f"{key}.npz"):
                if path.is_file():
                    try:
                        self._known[key] = read_planned_pool(path, one)
                        break
                    except ParameterError:  # a damaged file is made anew
                        continue
        return self._known.get(key)

    def get(self, picked: Picked, progress: Callable[[int, int], None] | None = None) -> PlannedPool:
        """The pool; simulated if need be, one at a time."""
        with self._one_at_a_time:
            found = self.ready(picked)
            if found is None:
                size, key = small(), self._key(picked)
                found = planned_pool(
                    picked.small(), size["seed"], size["replicates"], processes=self.processes, progress=progress
                )
                self._known[key] = found
                self._keep(found, key)
            return found

    def source(self, picked: Picked) -> str:
        """Where the pool comes from: packaged, kept from earlier, or simulated now."""
        key = self._key(picked)
        if self._packaged(key).is_file():
            return PACKAGED
        return KEPT if (self.folder / f"{key}.npz").is_file() else SIMULATED

    def _keep(self, found: PlannedPool, key: str) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_planned_pool(found, self.folder / f"{key}.npz")
        except OSError:  # a folder that cannot be written to only means that it is simulated again
            return

    @staticmethod
    def _packaged(key: str) -> Path:
        return Path(str(files("clonesim.app"))) / "pools" / f"{key}.npz"

    @staticmethod
    def _key(picked: Picked) -> str:
        size = small()
        return pool_key(picked.small(), size["seed"], size["replicates"])
