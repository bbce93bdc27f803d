"""The desktop inside each clone and what its users do: tables guest and workload of a scenario."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from clonesim.errors import ParameterError
from clonesim.scenario import catalog
from clonesim.scenario.fields import Section, cited, truth
from clonesim.scenario.sources import read_sources
from clonesim.units import format_size, parse_size


class Start(Section):
    """What the clones start from, if not from a fresh clone of an aged base image. At most one of the two.

    Attributes
    ----------
    bitmap : str or None
        File with the base image's cluster bitmap.
    delta : int
        Size of each clone's delta at the start. [B]
    """

    table: ClassVar[str] = "guest.start"
    bitmap: str | None = None
    delta: int = 0

    @field_validator("bitmap", mode="before")
    @classmethod
    def _path(cls, value: Any) -> str | None:
        if value is not None and not (isinstance(value, str) and value.isprintable()):
            raise ParameterError("guest.start.bitmap", value, "the path of a file is needed")
        return value

    @field_validator("delta", mode="before")
    @classmethod
    def _size(cls, value: Any) -> int:
        return parse_size(value, "guest.start.delta")


class Guest(Section):
    """The desktop inside each clone.

    Attributes
    ----------
    name : str
        Desktop of the catalog; the other values are its, unless given.
    os : str
        Guest file system's behaviour (`os=` of a Volume).
    disk : int
        Size of the virtual disk. [B]
    used : int
        In use in the base image, page and hibernation file included. [B]
    memory : int
        Configured memory. [B]
    page_file : int
        Size of the page file; 0: none on this disk. [B]
    hibernation : bool
        Whether there is a hibernation file, of the size of the memory.
    policy : str
        How the guest picks free clusters: a hypothesis, so results show several.
    discards : bool
        Whether the guest tells the disk what it freed; by the OS unless given.
    cluster_size : int
        Unit of the guest file system, a power of two. [B]
    servicing : str
        "in-clone": patches are installed in every clone; "in-image": in the base image, clones get them otherwise.
    start : Start
        Measured state to start from.
    """

    table: ClassVar[str] = "guest"
    name: str = cited("scenario:guest.name")
    os: str = cited("desktops:*.os")
    disk: int = cited("desktops:*.disk")
    used: int = cited("desktops:*.used")
    memory: int = cited("desktops:*.memory")
    page_file: int = cited("desktops:*.page_file")
    hibernation: bool = cited("desktops:*.hibernation")
    policy: str = cited("desktops:*.policy")
    discards: bool = Field(default_factory=lambda data: sends_discards(data["os"]))
    cluster_size: int = cited("desktops:*.cluster_size")
    servicing: str = cited("desktops:*.servicing")
    start: Start = Start()

    @field_validator("discards", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> bool:
        return truth(value, "guest.discards", "Leave it out: the OS decides.")

    @field_validator("cluster_size")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            allowed = "a power of two from 512 B to 64 KiB is needed"
            raise ParameterError("guest.cluster_size", format_size(value), allowed, "The usual size is '4 KiB'.")
        return value


class Workload(Section):
    """What the users do.

    Attributes
    ----------
    name : str
        Workload of the catalog.
    intensity : float
        Factor on how often the users' sources act. [1]
    sources : mapping
        By source of the catalog's topic activity: {"enabled": bool, parameter: value, ...}. The workload's own settings
        come first, given ones replace them.
    """

    table: ClassVar[str] = "workload"
    name: str = cited("scenario:workload.name")
    intensity: float = cited("workloads:*.intensity")
    sources: dict[str, dict[str, Any]] = Field(default_factory=lambda data: settings_of(data["name"]))

    @field_validator("sources", mode="before")
    @classmethod
    def _known_sources(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:

        merged = {source: dict(own) for source, own in settings_of(info.data.get("name")).items()}
        for source, own in read_sources(value).items():
            merged.setdefault(source, {}).update(own)
        return merged

    def given(self) -> dict[str, Any]:
        """Values that were asked for, without those that follow from the catalog."""
        found = super().given()
        if "sources" in found:
            base = settings_of(self.name)
            kept = {
                source: {key: value for key, value in own.items() if base.get(source, {}).get(key) != value}
                for source, own in self.sources.items()
            }
            found["sources"] = {source: own for source, own in kept.items() if own}
        return found


def settings_of(workload: str | None) -> dict[str, dict[str, Any]]:
    """What a workload of the catalog sets for single sources: {source: {"enabled": bool, parameter: value}}."""
    found: dict[str, dict[str, Any]] = {}
    if workload in catalog.names("workloads"):
        for path, parameter in catalog.group("workloads", str(workload)).items():
            source, dot, key = path.rpartition(".")
            if dot:
                found.setdefault(source, {})[key] = parameter.default
    return found


def sends_discards(os: str) -> bool:
    """Whether a guest tells its disk what it freed, unless somebody switched that off."""
    return bool(catalog.group("guests", os)["discards"].default)
