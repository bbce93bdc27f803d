"""What a desktop does to its disk: the plan of one clone from the write sources of its OS.

Every source acts at its own events (`triggers`), by one of a few patterns (`file_pattern`, `place_patterns`), with
values from the catalog's topic "activity". All draws follow from keys: what a user does in a session from the pool's
key, the user and the logon's time; what the machine does by itself from a key of clone and source. So switching a
source off leaves every other source's part of the plan as it was, and users do the same work on whatever clone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from clonesim.errors import ParameterError
from clonesim.guest.draws import Ints
from clonesim.guest.file_pattern import base_files, plan_files
from clonesim.guest.place_patterns import (
    page_files,
    plan_log,
    plan_pages,
    plan_reads,
    plan_saves,
    plan_trim,
    saved_files,
)
from clonesim.guest.presence import Presence, Shared
from clonesim.guest.rows import Plan, Reads, Rows
from clonesim.guest.triggers import Clock
from clonesim.guest.write_sources import BLOCK, METADATA, Machine, Source, sources_of
from clonesim.scenario import catalog

__all__ = ["Activity", "Machine", "Plan", "Reads", "Source"]

USERS_WORK = "users"  # what is asked of `generator_for` where the pool gives no key of what users do
_BASE = {"files": base_files, "saves": saved_files, "pages": page_files}


class Activity:
    """The write sources of one OS and machine.

    Parameters
    ----------
    os : str
        Windows version in the catalog, such as "windows-11".
    sources : mapping of str to mapping, optional
        By source: "enabled" and values that differ from the catalog's, as a scenario's `workload.sources`.
    machine : Machine, optional
        The desktop: memory, page file, servicing and so on.
    intensity : float, default 1.0
        Factor on what users do; 1 is an office worker.

    Attributes
    ----------
    names : tuple of str
        Names of the sources by index; index 0 is the file system's own metadata, which no plan contains.
    tags : tuple of str
        What each writes: system, profile, temp, page, application, user-data.
    sources : tuple of Source
        All sources of the OS, index 1 first, inactive ones as well.

    Raises
    ------
    ParameterError
        If the OS, a source, a parameter or a value is not one; the message tells what is.

    Examples
    --------
    >>> activity = Activity("windows-11", {"print-spool": {"enabled": False}})
    >>> activity.names[1]
    'browser-cache'
    """

    def __init__(
        self,
        os: str,
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        machine: Machine | None = None,
        intensity: float = 1.0,
    ) -> None:
        if not 0 <= intensity < np.inf:
            raise ParameterError("workload.intensity", intensity, "allowed are finite numbers from 0 up")
        self.os, self.intensity, self.machine = os, intensity, machine or Machine()
        self.sources = tuple(sources_of(os, sources, self.machine))
        self.names = (METADATA, *(source.name for source in self.sources))
        self.tags = ("system", *(source.tag for source in self.sources))

    @property
    def active(self) -> tuple[Source, ...]:
        """Sources that are enabled and that this machine has."""
        return tuple(source for source in self.sources if source.active)

    @property
    def shared_content(self) -> tuple[float, ...]:
        """Share of what each source writes that is the same in every clone, by index. [1]"""
        return tuple(float(catalog.value("content", f"{tag}.shared_content")) for tag in self.tags)

    @property
    def compressed(self) -> tuple[float, ...]:
        """Size after compression by size before, of what each source writes, by index. [1]"""
        return tuple(float(catalog.value("content", f"{tag}.compressed")) for tag in self.tags)

    def base_files(self, first_file: int = 0, only: Collection[int] | None = None) -> list[tuple[int, int]]:
        """Files that the base image must hold: allocated there, written on use.

        Parameters
        ----------
        first_file : int, default 0
            As in `plan`.
        only : collection of int, optional
            Indices of the sources that count; all by default.

        Returns
        -------
        list of (file number, size in bytes)
        """
        _check_first(first_file)
        found = []
        for source in self.active:
            if only is not None and source.index not in only:
                continue
            held: Ints = _BASE[source.pattern](source) if source.pattern in _BASE else np.zeros(0, np.int64)
            found += [(int(source.number(slot, first_file)), int(size)) for slot, size in enumerate(held)]
        return found

    @property
    def base_bytes(self) -> int:
        """Sum of the base image's files. [B]"""
        return sum(size for _, size in self.base_files())

    def plan(
        self,
        presence: Presence,
        shared: Shared,
        generator_for: Callable[[str], np.random.Generator],
        horizon_s: float,
        first_file: int = 0,
        only: Collection[int] | None = None,
    ) -> Plan:
        """Draw what one clone does.

        Parameters
        ----------
        presence : Presence
            When the clone boots and who is logged on.
        shared : Shared
            Events of the pool, and the key of what users do.
        generator_for : callable
            Random stream of this clone for a source's name.
        horizon_s : float
            End of the plan. A longer horizon only adds operations at the end. [s]
        first_file : int, default 0
            Lowest file number that the plan uses; a multiple of 10, since ten numbers share a directory.
        only : collection of int, optional
            Indices of the sources that act; all by default.

        Returns
        -------
        Plan
            Operations valid one after the other on a volume that holds `base_files`.
        """
        _check_first(first_file)
        if not 0 < horizon_s < np.inf:
            raise ParameterError("horizon_s", horizon_s, "a finite time above 0 s is needed")
        kept = self.machine.profiles_kept
        own_key = int(generator_for(USERS_WORK).integers(2**63)) if shared.key is None else 0
        clock = Clock(presence, shared, horizon_s, self.intensity, kept, own_key)
        rows = Rows(first_file, horizon_s)
        for source in self.active:
            if only is not None and source.index not in only:
                continue
            events = clock.events(source, int(generator_for(source.name).integers(2**63)))
            plan_reads(source, events, rows)
            if source.pattern == "files":
                plan_files(source, events, rows, kept)
            elif source.pattern == "saves":
                plan_saves(source, events, rows)
            elif source.pattern == "pages":
                plan_pages(source, events, rows)
            elif source.pattern == "log":
                plan_log(source, events, rows)
            elif source.pattern == "trim":
                plan_trim(source, events, rows)
        return Plan(rows.ops(), rows.reads())


def _check_first(first_file: int) -> None:
    if first_file < 0 or first_file % BLOCK:
        raise ParameterError("first_file", first_file, f"allowed are multiples of {BLOCK} from 0 up")
