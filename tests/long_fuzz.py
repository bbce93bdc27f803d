"""Many mutated inputs for every reader: only errors of ours come out, within a time and in 3 GiB.

A nightly run; CI has short slices of the same in the readers' tests. A line per reader: inputs, how many were read and
refused, seconds, slowest input, memory. An input that breaks a reader is kept beside the table, and the exit code is 1.

Run: python tests/long_fuzz.py [--inputs 200000] [--readers traces,images] [--seed 1] [--out out/fuzz]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import test_images_refused
import test_inventory_refused
import test_listing_refused
import test_traces_files
import test_traces_refused
from counter_tools import simulate, write
from fuzz_tools import mutate
from probe_tools import GUEST, guest_result
from test_images_refused import NUMBERS

from clonesim.errors import ClonesimError
from clonesim.ingest import (
    TRACE_KINDS,
    read_file_trace,
    read_image,
    read_inventory,
    read_listing,
    read_trace,
    reclaimable,
)
from clonesim.ingest.esxtop import read_counters
from clonesim.planning.growth_file import read_history
from clonesim.planning.probe_results import read_probe
from clonesim.planning.probe_simulation import simulate_probe

MEMORY = 3 * 2**30
SECONDS = 20.0  # of processor time for one input, at most
Case = tuple[str, bytes]  # name of the file, and what is in it
Reader = Callable[[Path, int], Any]


def texts(seeds: list[bytes], name: str = "input") -> Callable[[random.Random, Path], Iterator[Case]]:
    """Changed bytes, pieces and lines of some files."""

    def cases(rng: random.Random, _: Path) -> Iterator[Case]:
        while True:
            yield name, mutate(rng.choice(seeds), rng)

    return cases


def workbooks(rng: random.Random, _: Path) -> Iterator[Case]:
    """Workbooks whose zip is whole and one of whose parts is changed."""
    parts = test_inventory_refused.parts_of(test_inventory_refused.seeds()[0])
    names = sorted(name for name in parts if name.endswith(".xml"))
    while True:
        name, file = rng.choice(names), io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for part, text in (parts | {name: mutate(parts[name], rng)}).items():
                archive.writestr(part, text)
        yield "input.xlsx", file.getvalue()


def images(rng: random.Random, folder: Path) -> Iterator[Case]:
    """Disk images, changed mostly where something stands; files beside them stay as they were."""
    seeds = test_images_refused.Seeds(folder).images
    names = sorted(seeds)
    while True:
        name = rng.choice(names)
        data, filled = seeds[name]
        yield name, _image(data, filled, rng)
        (folder / name).write_bytes(data)


def _image(data: bytes, filled: np.ndarray, rng: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        place = int(rng.choice(filled)) if rng.random() < 0.9 else rng.randrange(len(data))
        place = place // 4 * 4 if rng.random() < 0.5 else place
        kind = rng.randrange(4)
        if kind == 0:
            found[place] = rng.randrange(256)
        elif kind == 1:
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            width = rng.choice((2, 4, 8))
            value = (rng.choice(NUMBERS) % 256**width).to_bytes(width, rng.choice(("little", "big")))
            found[place : place + width] = value
        else:
            other = int(rng.choice(filled))
            found[place : place + 8], found[other : other + 8] = found[other : other + 8], found[place : place + 8]
    if rng.random() < 0.125:
        del found[rng.randint(1, len(found)) :]
    return bytes(found)


def counters(rng: random.Random, folder: Path) -> Iterator[Case]:
    """Batch files of esxtop."""
    loaded = {"locking": "ats+scsi", "minutes": 1, "rates": (3.0,) * 2, "io": (50.0,) * 2, "ats_fallback_after": 1}
    seed = write(folder, simulate(2, **loaded)[0], noise=2)[0].read_bytes()
    while True:
        yield "fuzz.csv", mutate(seed, rng)


def readers() -> dict[str, tuple[Callable[[random.Random, Path], Iterator[Case]], Reader]]:
    """Every reader with where its inputs come from."""
    traces = [seed.encode() if isinstance(seed, str) else seed for seed in test_traces_refused.SEEDS]
    listings = test_listing_refused.seeds()
    guest = json.dumps(guest_result(simulate_probe("next-fit", GUEST, 1))).encode()
    history = [
        b"clone,date,bytes\n" + b"".join(b"vdi%d,2026-0%d-0%d,%d\n" % (k, m, d, 10**9 * m + k)
                                           for m in (1, 2, 3) for d in (1, 8) for k in range(4))
    ]  # fmt: skip

    def image(path: Path, _: int) -> None:
        found = read_image(path)
        assert found.ntfs is None or found.ntfs.used + found.ntfs.free == found.ntfs.clusters
        reclaimable(found)

    def file_trace(path: Path, run: int) -> None:
        ops = read_file_trace(path, skip_bad_rows=run % 2 == 0).ops
        assert (np.diff(ops["time_s"]) >= 0).all()

    def trace(path: Path, run: int) -> None:
        kind = TRACE_KINDS[run // 2 % len(TRACE_KINDS)] if run % 4 > 1 else None
        found = read_trace(path, kind, skip_bad_rows=run % 2 == 0)
        assert found.rows == len(found) + len(found.skipped)

    return {
        "traces": (texts(traces), trace),
        "file-traces": (texts([test_traces_files.SEED], "log.csv"), file_trace),
        "inventories": (
            texts(test_inventory_refused.seeds()),
            lambda path, run: read_inventory(path, skip_bad_values=run % 2 == 0).delta_estimates(),
        ),
        "workbooks": (workbooks, lambda path, _: read_inventory(path).delta_estimates()),
        "listings": (
            texts(listings),
            lambda path, run: read_listing(
                path, listed="2026-02-01" if run % 2 else None, skip_bad_values=run % 3 == 0
            ),
        ),
        "images": (images, image),
        "counters": (counters, lambda path, run: read_counters(path, skip_bad_values=run % 2 == 0)),
        "probes": (texts([guest]), lambda path, _: read_probe(path)),
        "histories": (texts(history + listings[2:4]), lambda path, _: read_history(path)),
    }


def fuzz(name: str, inputs: int, seed: int, out: Path) -> dict[str, Any]:
    """Give one reader many inputs."""
    cases, read = readers()[name]
    rng, refused, slowest = random.Random(f"{seed}:{name}"), 0, 0.0
    begin, shown = time.process_time(), time.monotonic()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = cases(rng, Path(folder))
        for run in range(inputs):
            file, data = next(made)
            path = Path(folder) / file
            path.write_bytes(data)
            start = time.process_time()
            try:
                read(path, run)
            except ClonesimError as error:
                refused += 1
                wrong = "" if len(str(error)) < 3000 else f"a message of {len(str(error))} characters"
            except BaseException as error:  # noqa: BLE001 (that is what is looked for)
                wrong = repr(error)
            else:
                wrong = ""
            took = time.process_time() - start
            slowest = max(slowest, took)
            if wrong or took > SECONDS:
                out.mkdir(parents=True, exist_ok=True)
                (out / f"{name}-{run}-{file}").write_bytes(data)
                raise SystemExit(f"{name}: input {run} of seed {seed}: {wrong or f'{took:.1f} s'}; kept in {out}")
            if time.monotonic() - shown > 60:
                shown = time.monotonic()
                print(f"  {name}: {run + 1} of {inputs}", file=sys.stderr)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "reader": name, "inputs": inputs, "read": inputs - refused, "refused": refused,
        "cpu_s": round(time.process_time() - begin, 1), "slowest_s": round(slowest, 2), "peak_mib": round(peak),
    }  # fmt: skip


def main() -> int:
    """Run the readers asked for, each in a process of its own, so that memory is its own, too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--readers", default="", help="some of them, with commas; by default all")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"))
    args = parser.parse_args()
    failed = False
    for name in args.readers.split(",") if args.readers else readers():
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            try:
                print(json.dumps(fuzz(name, args.inputs, args.seed, args.out)), flush=True)
            except SystemExit as error:
                print(error, flush=True)
                os._exit(1)
            os._exit(0)
        failed |= os.waitpid(child, 0)[1] != 0
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
