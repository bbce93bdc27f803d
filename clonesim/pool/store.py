"""Where parts of a long run are kept: a local folder, or any address that fsspec knows. Whole files, or none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from clonesim.errors import ClonesimError, ParameterError, WriteError
from clonesim.files import write_error

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # one letter before :// would be a drive
PART = ".part"  # end of the name of a file that is being written


class Store:
    """Folder of whole files, local or remote; a task can take it along to another machine.

    A local file is written beside its place and then moved there; elsewhere a file is put in one request, which object
    stores carry out as a whole or not at all.

    Parameters
    ----------
    url : str or Path
        Local folder, or an address such as "s3://bucket/folder", for which fsspec (extra `distributed`) and its driver
        must be installed.

    Raises
    ------
    ParameterError
        If the address is of a kind that fsspec does not know here.
    WriteError
        From every method, if the folder cannot be read or written.
    """

    def __init__(self, url: str | Path) -> None:
        text = os.fspath(url).removeprefix("file://")
        self.url = text if ADDRESS.match(text) else str(Path(text).resolve())
        self._system: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Store, (self.url,)

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    @property
    def local(self) -> bool:
        """Whether this is a folder of this machine's file systems."""
        return ADDRESS.match(self.url) is None

    def put(self, name: str, data: bytes, final: bool = False) -> None:
        """Write a file, whole, in place of one that may be there.

        Parameters
        ----------
        name : str
            Of the file, with "/" between folders.
        data : bytes
            What is in it.
        final : bool, default False
            A result, not a part: written by one process only, and on the disk when this comes back.
        """
        path = self._path(name)
        with self._told(name):
            if not self.local:
                self._remote.pipe_file(path, data)
                return
            place = Path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            half = f".{place.name}{PART}"  # one that was left by an interruption is written over
            part = place.with_name(half if final else f"{half}{uuid4().hex}")  # two workers may make the same part
            try:
                with part.open("wb") as file:
                    file.write(data)
                    if final:
                        file.flush()
                        os.fsync(file.fileno())
                part.replace(place)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise

    def get(self, name: str) -> bytes | None:
        """Read a file; None if there is none."""
        path = self._path(name)
        with self._told(name):
            try:
                found: bytes = Path(path).read_bytes() if self.local else self._remote.cat_file(path)
            except FileNotFoundError:
                return None
            return found

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, in order; none if there is no such folder."""
        path = self._path(folder)
        with self._told(folder):
            try:
                every = [str(one) for one in Path(path).iterdir()] if self.local else self._list(path)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = (re.split(r"[/\\]", one)[-1] for one in every)
        return sorted(f"{folder}/{name}" for name in names if not name.startswith("."))

    def remove(self, folder: str) -> None:
        """Remove a folder with all that is in it; nothing if there is none."""
        path = self._path(folder)
        with self._told(folder):
            if not self.local:
                if self._remote.exists(path):
                    self._remote.rm(path, recursive=True)
                return
            import shutil

            if Path(path).is_dir():
                shutil.rmtree(path)

    def _list(self, path: str) -> list[str]:
        self._remote.invalidate_cache()
        found: list[str] = self._remote.ls(path, detail=False)
        return [one.rstrip("/") for one in found]

    def place(self, name: str) -> str:
        """Where a file is, or would be: its path or address."""
        return self._path(name)

    def _path(self, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ParameterError("name", name, "a part's name has letters, digits, - _ . and / between folders only")
        return f"{self.url.rstrip('/')}/{name}" if not self.local else str(Path(self.url, *name.split("/")))

    @property
    def _remote(self) -> Any:
        if self._system is None:
            self._system = file_system(self.url)
        return self._system

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Make errors of the system, and of drivers of remote storage, ours."""
        place = self._path(name)
        try:
            yield
        except ClonesimError:
            raise
        except OSError as error:
            raise write_error(place, error) from None
        except Exception as error:  # drivers have errors of their own
            if self.local:
                raise
            said = " ".join(str(error).split()) or type(error).__name__
            remedy = "Look at its rights and its room, and give the same command again."
            raise WriteError(place, said, remedy) from error


def file_system(url: str) -> Any:
    """File system of fsspec for an address.

    Raises
    ------
    ParameterError
        If fsspec or the driver for this kind of address is not installed, or nobody knows this kind.
    """
    kind = ADDRESS.match(url)
    try:
        import fsspec

        return fsspec.filesystem(kind[1] if kind else "file")
    except ImportError as error:
        allowed = f"its driver is not installed ({error})"
        remedy = "Install it: pip install 'clonesim[distributed]', and the driver that fsspec names."
        raise ParameterError("out", url, allowed, remedy) from None
    except ValueError as error:
        allowed = f"no such kind of storage is known ({error})"
        raise ParameterError("out", url, allowed, "Name a folder, or an address that fsspec knows.") from None
