"""A real NTFS volume under ntfs-3g, on a real qcow2 overlay: operations go in, used space and file length come out.

Needs root, /dev/fuse and the Debian packages qemu-utils, qemu-system-common and ntfs-3g. Columns of the rows, also of
the packaged runs in data/measured/: step, op, file, bytes, guest_used_bytes, delta_file_bytes. Step -1 is a file of
the base image, step 0 the mounted overlay; an overwrite names its offset behind an @.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clonesim.units import KIB, MIB

from .entry import AbsentError, need

KINDS = {"blog": 6, "churn": 120, "mixed": 120}  # steps of a run
COLUMNS = ("step", "op", "file", "bytes", "guest_used_bytes", "delta_file_bytes")
MOUNT = ("ntfs-3g", "-o", "big_writes")
Row = tuple[int, str, str, int, int | None, int | None]


def can_run() -> None:
    """Raise AbsentError where NTFS cannot be mounted."""
    need("qemu-img", "qemu-storage-daemon", "mkntfs", "ntfs-3g", "umount")
    if os.name != "posix" or os.geteuid() != 0:
        raise AbsentError("mounting NTFS needs root")
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        raise AbsentError(f"/dev/fuse cannot be used: {error.strerror}") from None


@dataclass
class Rig:
    """A mounted volume and what has happened on it.

    Attributes
    ----------
    volume : Path
        Where it is mounted.
    overlay : Path or None
        The qcow2 file; None while the base image is filled.
    draw : random.Random
        Draws names, sizes and what happens.
    rows : list of tuple
        What happened, one row an operation.
    live : list of str
        Files that may be changed or deleted.
    """

    volume: Path
    overlay: Path | None
    draw: random.Random
    rows: list[Row] = field(default_factory=list)
    live: list[str] = field(default_factory=list)

    @property
    def full(self) -> float:
        """Share of the volume that is in use."""
        told = os.statvfs(self.volume)
        return 1 - told.f_bfree / told.f_blocks

    def put(self, step: int, op: str, name: str, size: int, at: int | None = None) -> None:
        """Write to a file as a whole, at its end, or from a place on, and keep what came of it."""
        mode = {"base": "wb", "create": "wb", "append": "ab"}.get(op, "r+b")
        with (self.volume / name).open(mode) as file:
            if at is not None:
                file.seek(at)
            file.write(self.draw.randbytes(size))
        self.keep(step, op if at is None else f"{op}@{at}", name, size)

    def delete(self, step: int, name: str) -> None:
        """Delete a file."""
        (self.volume / name).unlink()
        self.keep(step, "delete", name, 0)

    def keep(self, step: int, op: str, name: str = "", size: int = 0) -> None:
        """Add a row; sizes are measured once there is an overlay."""
        if self.overlay is None:
            self.rows.append((step, op, name, size, None, None))
            return
        os.sync()
        told = os.statvfs(self.volume)
        used = (told.f_blocks - told.f_bfree) * told.f_frsize
        self.rows.append((step, op, name, size, used, self.overlay.stat().st_size))


def run(kind: str, seed: int, mib: int, fill: float, steps: int, folder: Path) -> list[Row]:
    """Fill a base image, lay an overlay on it, and let files come and go.

    Parameters
    ----------
    kind : {"blog", "churn", "mixed"}
        Always the same file; files of many sizes come and go; they are appended to and overwritten too.
    seed : int
        Draws all that happens.
    mib : int
        Size of the volume. [MiB]
    fill : float
        Share of it that the base image's files take.
    steps : int
        How many operations follow.
    folder : Path
        Where the images may lie.

    Returns
    -------
    list of tuple
        Rows with `COLUMNS`.
    """
    volume, base, overlay = folder / "volume", folder / "base.raw", folder / "overlay.qcow2"
    volume.mkdir()
    with base.open("wb") as file:
        file.truncate(mib * MIB)
    _run("mkntfs", "-F", "-Q", "-q", "-c", "4096", base)
    rig = Rig(volume, None, random.Random(f"{kind} {seed}"))  # noqa: S311 (no secret)
    with _mounted(base, volume):
        while sum(row[3] for row in rig.rows) < fill * mib * MIB:
            rig.put(-1, "base", f"base{len(rig.rows)}", min(round(rig.draw.lognormvariate(11, 2)) + 1, 16 * MIB))
    _run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=65536", "-b", base, "-F", "raw", overlay)
    with _exported(overlay, folder / "disk", mib * MIB) as disk, _mounted(disk, volume):
        rig.overlay = overlay
        rig.keep(0, "mount")
        for step in range(1, steps + 1):
            _step(rig, kind, step, mib * MIB)
    return rig.rows


def _step(rig: Rig, kind: str, step: int, size: int) -> None:
    draw, name = rig.draw, f"file{step}"
    if kind == "blog":
        rig.put(step, "create", name, size // 20)
        rig.delete(step, name)
        return
    what = draw.random()
    if rig.live and (rig.full > 0.85 or what < (0.5 if kind == "churn" else 0.25)):
        rig.delete(step, rig.live.pop(draw.randrange(len(rig.live))))
    elif rig.live and kind == "mixed" and what < 0.5:
        rig.put(step, "append", draw.choice(rig.live), draw.randrange(1, MIB))
    elif rig.live and kind == "mixed" and what < 0.7:
        name = draw.choice(rig.live)
        length = (rig.volume / name).stat().st_size
        at = draw.randrange(length)
        rig.put(step, "overwrite", name, min(length - at, draw.randrange(1, 256 * KIB)), at)
    else:
        rig.put(step, "create", name, min(round(draw.lognormvariate(12.5, 2)) + 1, size // 32))
        rig.live.append(name)


def _run(*argv: object) -> None:
    subprocess.run([str(part) for part in argv], check=True, capture_output=True)


@contextmanager
def _mounted(disk: Path, volume: Path) -> Iterator[None]:
    """Mount for as long as it lasts, and leave nothing behind."""
    _run(*MOUNT, disk, volume)
    try:
        yield
    finally:
        for _ in range(20):
            if subprocess.run(["umount", volume], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.25)
        else:
            _run("umount", "-l", volume)


@contextmanager
def _exported(overlay: Path, disk: Path, size: int) -> Iterator[Path]:
    """The overlay's content as a file, by QEMU's FUSE export."""
    disk.touch()
    argv = [
        "qemu-storage-daemon",
        *("--blockdev", f"driver=file,node-name=file,filename={overlay},locking=off"),
        *("--blockdev", "driver=qcow2,node-name=disk,file=file"),
        *("--export", f"type=fuse,id=out,node-name=disk,mountpoint={disk},writable=on"),
    ]
    with ExitStack() as stack:
        daemon = stack.enter_context(subprocess.Popen(argv, stderr=subprocess.PIPE))
        stack.callback(daemon.terminate)
        for _ in range(600):
            if disk.stat().st_size == size:
                break
            if daemon.poll() is not None:
                said = daemon.stderr.read().decode() if daemon.stderr else ""
                raise AbsentError(f"QEMU's FUSE export does not start: {said.strip()[-200:]}")
            time.sleep(0.1)
        else:
            raise AbsentError("QEMU's FUSE export was not ready within a minute")
        yield disk
