"""Results of a probe from the file that its script wrote: JSON, and where needed a table of sizes seen outside."""

from __future__ import annotations

import base64
import binascii
import csv
import json
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import ParameterError, ProbeError
from clonesim.ingest.limits import given_or_most, or_raise
from clonesim.planning.probe_pattern import STEP_NAMES
from clonesim.planning.probe_site import FORMS, Probe, Site
from clonesim.units import MIB, SECTOR

MARK: Final = "clonesim_probe"
VERSION: Final = 1
MOST_BLOCKS: Final = 2**20  # 2 TiB in blocks of 2 MiB, the most that a VHD holds
MOST_BYTES: Final = 64 * 2**40
_SCRIPT: Final = "Take the file as the script wrote it; `clonesim probe script` writes the script."
_BUILDS: Final = ((22000, "windows-11"), (10000, "windows-10"), (6000, "windows-7"), (0, "windows-xp"))


def read_probe(path: str | Path, delta: str | Path | None = None, *, largest: int | None = None) -> Probe:
    """Read what a probe's script wrote.

    Parameters
    ----------
    path : str or Path
        The script's JSON file.
    delta : str or Path, optional
        CSV of the delta's sizes as seen from outside, columns `step` and `bytes`, for a guest's probe in which they
        were not typed in; it wins over what was.
    largest : int, optional
        Longest file that is read; by default the limit `probe_bytes`, 64 MiB. [B]

    Returns
    -------
    Probe

    Raises
    ------
    ProbeError
        If the file is not such a result; the message names the field.
    """
    path = Path(path)
    largest = given_or_most(largest, "probe_bytes", "largest")
    known = _loaded(path, largest)
    form = _text(path, known, "form", FORMS)
    rows = _rows(path, known)
    site = _site(path, known, form, rows)
    if form == "guest":
        sizes = _typed_sizes(path, rows) | ({} if delta is None else _listed_sizes(Path(delta), largest))
        return Probe(site, _grown(path, sizes, site.restarted), source=str(path))
    if delta is not None:
        raise ProbeError(path, "form", form, "its sizes stand in the file itself", "Leave out the table of sizes.")
    grown, place = _from_bitmaps(path, known, rows, site)
    return Probe(site, grown, place, str(path))


def os_of(build: str) -> str:
    """Windows version in the catalog for a build such as "10.0.19045" or "19045"."""
    numbers = [int(part) for part in build.split(".") if part.isdecimal() and len(part) < 9]
    number = numbers[2] if len(numbers) > 2 else numbers[0] if len(numbers) == 1 else 19045
    return next(name for least, name in _BUILDS if number >= least)


def _loaded(path: Path, largest: int) -> dict[str, Any]:
    if (size := path.stat().st_size) > largest:
        told = or_raise("probe_bytes", _SCRIPT[:-1], largest)
        raise ProbeError(path, "size", size, f"a result has at most {largest} B", told)
    try:
        found = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ProbeError(path, "content", str(error)[:80], "it is no JSON in UTF-8", _SCRIPT) from None
    if not isinstance(found, dict) or MARK not in found:
        raise ProbeError(path, "content", type(found).__name__, f"a JSON object with {MARK!r} is needed", _SCRIPT)
    if found[MARK] != VERSION or type(found[MARK]) is not int:
        remedy = "Write the script anew with this clonesim, or fit with the one that wrote it."
        raise ProbeError(path, MARK, _short(found[MARK]), f"version {VERSION} is read", remedy)
    return found


def _rows(path: Path, known: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Steps by name."""
    steps = known.get("steps")
    if not isinstance(steps, list) or not all(isinstance(row, dict) for row in steps) or len(steps) > 100:
        raise ProbeError(path, "steps", type(steps).__name__, "a list of steps is needed", _SCRIPT)
    rows = {str(row.get("step")): row for row in steps}
    if missing := [name for name in STEP_NAMES if name not in rows]:
        remedy = "Run the script to its end; a guest's probe goes on when it is run again after the restart."
        raise ProbeError(path, "steps", list(rows)[:12], f"steps {', '.join(missing)} are missing", remedy)
    return rows


def _site(path: Path, known: dict[str, Any], form: str, rows: dict[str, dict[str, Any]]) -> Site:
    def whole(name: str, usual: int | None = None) -> int:
        return _whole(path, name, known.get(name, usual))

    build, windows = (str(known.get(name, ""))[:80] for name in ("build", "windows"))
    restarted = known.get("restarted", False)
    if type(restarted) is not bool:
        raise ProbeError(path, "restarted", _short(restarted), "true or false is needed", _SCRIPT)
    try:
        return Site(
            form=form,  # type: ignore[arg-type]
            disk_bytes=whole("disk_bytes"),
            used_bytes=whole("used_bytes"),
            unit_bytes=whole("unit_bytes"),
            cluster_bytes=whole("cluster_bytes"),
            partition_offset=whole("partition_offset", MIB),
            os=os_of(build),
            format=str(known.get("delta_format", "vmfs-sparse"))[:40] if form == "guest" else "vhd",
            restarted=restarted,
            wait_s=_seconds(path, "wait_s", known.get("wait_s", 30)),
            pieces=whole("pieces", 0),
            seconds=tuple(_seconds(path, f"seconds of step {n}", rows[n].get("seconds")) for n in STEP_NAMES),
            windows=windows,
            build=build,
        )
    except ParameterError as error:
        raise ProbeError(path, error.name, _short(error.value), error.allowed, error.remedy or _SCRIPT) from None


def _typed_sizes(path: Path, rows: dict[str, dict[str, Any]]) -> dict[str, int]:
    found = {}
    for name, row in rows.items():
        if row.get("delta_bytes") is not None:
            found[name] = _whole(path, f"delta_bytes of step {name}", row["delta_bytes"])
    return found


def _listed_sizes(path: Path, largest: int) -> dict[str, int]:
    """Sizes from a table with columns step and bytes."""
    if (size := path.stat().st_size) > largest:
        told = or_raise("probe_bytes", "A row per step is needed", largest)
        raise ProbeError(path, "size", size, f"a table has at most {largest} B", told)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProbeError(path, "content", str(error)[:80], "it is no CSV in UTF-8", "Save it as CSV.") from None
    if not rows or not {"step", "bytes"} <= set(rows[0]):
        columns = list(rows[0])[:10] if rows else []
        raise ProbeError(path, "columns", columns, "columns step and bytes are needed", "Write a row per step.")
    found = {}
    for number, row in enumerate(rows, 2):
        text = (row["bytes"] or "").strip()
        if not text.isdecimal() or len(text) > 16:
            raise ProbeError(path, f"line {number}, bytes", text[:40], "a whole number is needed", "Write plain bytes.")
        found[(row["step"] or "").strip().lower()] = int(text)
    return found


def _grown(path: Path, sizes: dict[str, int], restarted: bool) -> NDArray[np.float64]:
    """By how much the delta grew in each step; what a restart wrote belongs to none. [B]"""
    looks = ["start", *STEP_NAMES]
    if restarted:
        looks.insert(looks.index("again"), "restart")
    if missing := [name for name in looks if name not in sizes]:
        remedy = "Give them as a CSV with columns step and bytes: `clonesim probe fit FILE --delta sizes.csv`."
        raise ProbeError(path, "delta_bytes", None, f"the delta's size is missing for: {', '.join(missing)}", remedy)
    before = dict(zip(looks[1:], looks[:-1], strict=True))
    return np.array([sizes[name] - sizes[before[name]] for name in STEP_NAMES], np.float64)


def _from_bitmaps(
    path: Path, known: dict[str, Any], rows: dict[str, dict[str, Any]], site: Site
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Growth and mean place of what is new in each step, from the sector bitmaps of the child's blocks."""
    block = _whole(path, "block_bytes", known.get("block_bytes", 2 * MIB))
    if block % (8 * SECTOR) or not 64 * 1024 <= block <= 64 * MIB:
        raise ProbeError(path, "block_bytes", block, "a VHD has blocks of 64 KiB to 64 MiB", _SCRIPT)
    seen: dict[int, NDArray[np.uint8]] = {}
    grown, place = np.zeros(len(STEP_NAMES)), np.full(len(STEP_NAMES), np.nan)
    for step, name in enumerate(STEP_NAMES):
        held = _bitmaps(path, name, rows[name], block // SECTOR // 8, site.disk_bytes // block + 1)
        sectors, moment = 0, 0.0
        for number, bits in held.items():
            fresh = bits & ~seen.get(number, np.zeros_like(bits))
            at = np.flatnonzero(np.unpackbits(fresh))  # the first sector is the highest bit
            sectors += at.size
            moment += at.size * number * (block // SECTOR) + float(at.sum())
        grown[step] = sectors * SECTOR
        if sectors:
            place[step] = (moment / sectors + 0.5) * SECTOR / site.disk_bytes
        seen |= held
    return grown, place


def _bitmaps(path: Path, name: str, row: dict[str, Any], length: int, most: int) -> dict[int, NDArray[np.uint8]]:
    """Sector bitmap by number of the block."""
    blocks, packed = row.get("blocks"), row.get("bitmaps")
    if isinstance(blocks, int):
        blocks = [blocks]  # PowerShell writes a list of one as its member
    if not isinstance(blocks, list) or not all(type(k) is int and 0 <= k < min(most, MOST_BLOCKS) for k in blocks):
        allowed = f"a list of blocks from 0 to {min(most, MOST_BLOCKS) - 1} is needed"
        raise ProbeError(path, f"blocks of step {name}", _short(blocks), allowed, _SCRIPT)
    where, wanted = f"bitmaps of step {name}", len(blocks) * length
    if not blocks:
        return {}
    try:
        raw = base64.b64decode(packed if isinstance(packed, str) else "", validate=True)
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, wanted + 1)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise ProbeError(path, where, str(error)[:80], "base64 of a deflate stream is needed", _SCRIPT) from None
    if len(data) != wanted:
        allowed = f"{len(blocks)} bitmaps of {length} B are needed, {wanted} B in all"
        raise ProbeError(path, where, len(data), allowed, _SCRIPT)
    parts = np.frombuffer(data, np.uint8).reshape(len(blocks), length)
    return dict(zip(blocks, parts, strict=True))


def _whole(path: Path, name: str, value: Any) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)  # a JSON writer may tell whole numbers so
    if type(value) is not int or not 0 <= value <= MOST_BYTES:
        allowed = f"a whole number from 0 to {MOST_BYTES} is needed"
        raise ProbeError(path, name, _short(value), allowed, _SCRIPT)
    return value


def _seconds(path: Path, name: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 1e7:
        raise ProbeError(path, name, _short(value), "seconds from 0 to 1e7 are needed", _SCRIPT)
    return float(value)


def _text(path: Path, known: dict[str, Any], name: str, allowed: tuple[str, ...]) -> str:
    value = known.get(name)
    if value not in allowed or not isinstance(value, str):
        raise ProbeError(path, name, _short(value), f"allowed are {', '.join(allowed)}", _SCRIPT)
    return value


def _short(value: Any) -> Any:
    text = repr(value)
    return value if len(text) <= 80 else text[:80] + "..."
