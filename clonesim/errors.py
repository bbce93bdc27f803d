"""Every error that clonesim raises on purpose.

A message names the parameter, the value, what is allowed and the remedy, so that it can be shown to a user as it is.
"""

from __future__ import annotations

from pathlib import Path


class ClonesimError(Exception):
    """Base of all errors that clonesim raises on purpose; the command line prints it and exits with 2."""


class ParameterError(ClonesimError, ValueError):
    """A value is outside what is allowed."""

    def __init__(self, name: str, value: object, allowed: str, remedy: str = "") -> None:
        self.name, self.value, self.allowed, self.remedy = name, value, allowed, remedy
        super().__init__(f"{name}={value!r}: {allowed}.{' ' + remedy if remedy else ''}")


class VolumeError(ClonesimError):
    """A file operation that the guest file system refuses; the volume is as it was before the call."""


class VolumeFullError(VolumeError):
    """The guest file system has too few free clusters, even after a checkpoint."""


class FileNameError(VolumeError, KeyError):
    """A file that must exist does not, or one that must not exist does."""

    def __str__(self) -> str:
        """Return the message itself; KeyError would quote it."""
        return str(self.args[0])


class TraceError(ClonesimError, ValueError):
    """A trace that cannot be used, or a row of it that cannot be read."""

    def __init__(
        self,
        path: str | Path,
        problem: str,
        remedy: str,
        line: int | None = None,
        field: str = "",
        value: object = None,
    ) -> None:
        self.path, self.line, self.field, self.value = str(path), line, field, value
        where = f"{path}" if line is None else f"{path}, line {line}"
        what = f", {field}={value!r}" if field else ""
        super().__init__(f"{where}{what}: {problem}. {remedy}")
