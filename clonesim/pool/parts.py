"""Finished parts of a simulation, kept so that an interrupted one goes on: a file per batch of clones.

A part's name holds the hash of all that decides its bytes (scenario, seed, version), so parts of another scenario are
never taken for it; a part holds a checksum, so one that was torn is found out and made again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from clonesim import __version__
from clonesim.errors import ParameterError, WorkerError, WriteError
from clonesim.pool.clones import STEPS, Batch, Job, run_job
from clonesim.pool.store import Store
from clonesim.scenario.model import Scenario

FOLDER = "parts"
STATE = "state.json"
BEGUN = ("desktops", "days", "replicates", "seed", "parts")
MAGIC = b"clonesim-part-1"
ARRAYS = ("growth", "sources", "demand", "elsewhere", "totals", *STEPS)
VISITED = "visited-"  # and the number of the LUN


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of one scenario and seed in a store; made by `Parts.of`.

    Attributes
    ----------
    store : Store
        Where they are kept.
    key : str
        Hash of the scenario, the seed and the version.
    """

    store: Store
    key: str

    @classmethod
    def of(cls, store: Store, scenario: Scenario, seed: int) -> Self:
        """Parts of a scenario and seed."""
        return cls(store, run_key(scenario, seed))

    @property
    def folder(self) -> str:
        """Folder of these parts, within the store."""
        return f"{FOLDER}/{self.key}"

    def run(self, job: Job) -> str:
        """Simulate a job unless its part is there; the part's name, which is all that travels back."""
        name = self.name(job)
        if self._read(job, name) is None:
            self.store.put(name, encode(run_job(job)))
        return name

    def batch(self, job: Job) -> Batch:
        """What became of a job: read from its part, simulated again if that is torn or missing."""
        name = self.name(job)
        found = self._read(job, name)
        if found is None:
            found = run_job(job)
            self.store.put(name, encode(found))
        return found

    def _read(self, job: Job, name: str) -> Batch | None:
        data = self.store.get(name)
        return None if data is None else decode(data, job)

    def name(self, job: Job) -> str:
        """Name of a job's part: whose, and what was decided on the pool until then."""
        asked = {"clones": job.clones, "decided": [asdict(one) for one in job.decided]}
        text = f"r{job.replicate}-lun{job.lun}-clone{job.clones[0]}-{digest(asked)[:16]}"
        return f"{self.folder}/{text}.part"

    def begin(self, begun: dict[str, Any]) -> None:
        """Note for `clonesim status` what was begun (keys `BEGUN`)."""
        text = json.dumps({**begun, "version": __version__}, indent=2, sort_keys=True)
        self.store.put(f"{self.folder}/{STATE}", text.encode())

    def clear(self) -> None:
        """Remove them all: what came of them is saved."""
        self.store.remove(self.folder)
        if not self.store.names(FOLDER):
            self.store.remove(FOLDER)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Add to an interruption, or to an error of workers or storage, that what is finished stays."""
        try:
            yield
        except (KeyboardInterrupt, WorkerError, WriteError) as error:
            error.add_note(
                f"What is finished is kept in {self.store.place(FOLDER)}: the same command goes on from there."
            )
            raise


def run_key(scenario: Scenario, seed: int) -> str:
    """Hash of all that decides a simulation's bytes."""
    bitmap = scenario.guest.start.bitmap
    start = hashlib.sha256(Path(bitmap).read_bytes()).hexdigest() if bitmap else ""
    return digest({"scenario": scenario.to_dict(), "start": start, "seed": seed, "version": __version__})[:32]


def digest(value: Any) -> str:
    """SHA-256 of a value's JSON, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def encode(batch: Batch) -> bytes:
    """A batch as bytes: a line with checksum and length, then its arrays, compressed."""
    import pyarrow as pa

    arrays: dict[str, NDArray[Any]] = {name: getattr(batch, name) for name in ARRAYS}
    arrays |= {f"{VISITED}{lun}": asked for lun, asked in batch.visited.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    plain = buffer.getvalue()
    packed = pa.compress(plain, codec="zstd", asbytes=True)
    return b"%s %s %d\n" % (MAGIC, _checksum(len(plain), packed), len(plain)) + bytes(packed)


def is_whole(data: bytes) -> bool:
    """Whether a part's bytes are all there and as they were written."""
    head, _, packed = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) != 3 or words[0] != MAGIC or not words[2].isdigit():
        return False
    return _checksum(int(words[2]), packed) == words[1]


def _checksum(length: int, packed: bytes) -> bytes:
    """Of a part's length when unpacked, and of its bytes; in hexadecimal digits."""
    return hashlib.sha256(b"%d\n" % length + packed).hexdigest().encode()


def decode(data: bytes, job: Job) -> Batch | None:
    """Batch of a job from a part's bytes; None if they are torn."""
    import pyarrow as pa

    if not is_whole(data):
        return None
    head, _, packed = data.partition(b"\n")
    plain = pa.decompress(packed, decompressed_size=int(head.split(b" ")[2]), codec="zstd", asbytes=True)
    with np.load(io.BytesIO(plain), allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    visited = {int(name.removeprefix(VISITED)): arrays.pop(name) for name in list(arrays) if name.startswith(VISITED)}
    return Batch(job, **arrays, visited=visited)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation in a folder is.

    Attributes
    ----------
    desktops, days, replicates, seed : int
        Of what.
    parts, done, torn : int
        Parts in all, those that are whole, and those that are not and will be made again. [1]
    """

    desktops: int
    days: int
    replicates: int
    seed: int
    parts: int
    done: int
    torn: int


def progress_of(url: str | Path) -> list[Progress]:
    """How far each simulation is that was begun in a folder and not ended.

    Raises
    ------
    ParameterError
        If a file there is damaged.
    WriteError
        If the folder cannot be read.
    """
    store = Store(url)
    found = []
    for folder in _begun(store):
        state = store.get(f"{folder}/{STATE}")
        if state is None:
            continue
        try:
            record = json.loads(state)
            begun = {name: int(record[name]) for name in BEGUN}
        except (ValueError, KeyError, TypeError) as error:
            place = store.place(f"{folder}/{STATE}")
            raise ParameterError("out", place, "the file is damaged", "Delete it.") from error
        whole = [is_whole(store.get(name) or b"") for name in store.names(folder) if name.endswith(".part")]
        found.append(Progress(**begun, done=sum(whole), torn=len(whole) - sum(whole)))
    return found


def _begun(store: Store) -> list[str]:
    """Folders of parts; of an estate in a local folder, also those of its pools."""
    found = store.names(FOLDER)
    if store.local:
        top = Path(store.url)
        below = sorted(top.glob(f"pools/*/*/{FOLDER}/*/{STATE}"))
        found += [path.parent.relative_to(top).as_posix() for path in below]
    return found
