"""A disk image as text for terminals, and as plain data. No modelling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clonesim.console.screen import screen
from clonesim.console.text import gib, percent, print_table, say
from clonesim.ingest.images import Image, Reclaimable
from clonesim.ingest.ntfs_state import Ntfs
from clonesim.units import MIB, format_size


def print_image(image: Image, space: Reclaimable | None = None, saved: Path | None = None) -> None:
    """Print what an image holds.

    Parameters
    ----------
    image : Image
        Of `read_image`.
    space : Reclaimable, optional
        Of `reclaimable`, for a delta.
    saved : Path, optional
        Where its $Bitmap was written.
    """
    say(f"{image.path.name}: {image.format}, a disk of {gib(image.capacity)} GiB", _about_file(image, space))
    if image.partitions:
        rows = [
            (str(part.number), part.type or "-", part.content, gib(part.offset), gib(part.size))
            for part in image.partitions
        ]
        title = f"Partitions ({image.table})" if image.table != "none" else "No partition table"
        print_table(title, ["number", "type", "content", "begins at\nGiB", "size\nGiB"], rows, texts=3)
    if image.ntfs:
        _print_volume(image.ntfs)
    if image.notes:
        say("Notes", image.notes)
    if image.ntfs and saved:
        words = [f"--set {path}={value!r}" for path, value in settings(image, saved).items()]
        screen(whole=True).print("As a scenario:", *words, markup=False)


def image_json(image: Image, space: Reclaimable | None = None, saved: Path | None = None) -> dict[str, Any]:
    """The same as plain data. Sizes in bytes."""
    told: dict[str, Any] = {
        "path": str(image.path),
        "format": image.format,
        "capacity": image.capacity,
        "file_bytes": image.file_bytes,
        "grain": image.grain,
        "held_bytes": image.held_bytes,
        "parent": image.parent or None,
        "chain": [str(path) for path in image.chain],
        "partition_table": image.table,
        "partitions": [
            {name: getattr(part, name) for name in ("number", "offset", "size", "type", "content")}
            for part in image.partitions
        ],
        "ntfs": _volume_json(image.ntfs) if image.ntfs else None,
        "reclaimable": space._asdict() if space else None,
        "notes": list(image.notes),
    }
    if image.ntfs and saved:
        told["settings"] = settings(image, saved)
    return told


def settings(image: Image, bitmap: Path) -> dict[str, str]:
    """What a scenario says of this image, by its dotted paths.

    The disk has room for as many clusters behind a partition that begins at 1 MiB; other partitions are left out.

    Parameters
    ----------
    image : Image
        With an NTFS volume.
    bitmap : Path
        Where its $Bitmap was written.
    """
    volume = image.volume
    return {
        "guest.disk": format_size(-(-(volume.clusters * volume.cluster_size + MIB) // MIB) * MIB),
        "guest.used": format_size(volume.used_bytes),
        "guest.cluster_size": format_size(volume.cluster_size),
        "guest.start.bitmap": str(bitmap),
    }


def _about_file(image: Image, space: Reclaimable | None) -> list[str]:
    lines = [f"File: {gib(image.file_bytes)} GiB."]
    if image.grain:
        grain = f"{format_size(image.grain)} grains"
        lines.append(f"It holds {gib(image.held_bytes)} GiB of the disk in {grain}, {len(image.grains)} ranges.")
    if image.parent or len(image.chain) > 1:
        lines.append(f"Parent: {image.parent or 'not named'}; read from: {_names(image.chain[1:])}.")
    if space:
        lines.append(
            f"{str(space)[0].upper()}{str(space)[1:]} ({percent(_share(space.free_bytes, space.held_bytes))} %)."
        )
        lines.append(f"A discard of all free space could release {gib(space.grain_bytes)} GiB in whole grains.")
    return lines


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _names(paths: tuple[Path, ...]) -> str:
    return ", ".join(path.name for path in paths) or "nothing"


def _print_volume(volume: Ntfs) -> None:
    zone, cluster = volume.mft_zone, format_size(volume.cluster_size)
    free = f"{zone[1]} free clusters follow it" if zone else "a file follows it at once"
    lines = [
        f"NTFS {volume.version} at byte {volume.offset}: {volume.clusters} clusters of {cluster}.",
        f"In use: {gib(volume.used_bytes)} GiB ({percent(volume.fullness)} %); free: {gib(volume.free_bytes)} GiB.",
        f"$MFT: {format_size(volume.mft_bytes)} in {len(volume.mft_runs)} runs; {free} (all a disk shows of its zone).",
    ]
    say("Guest file system", lines)
    rows = [
        (
            f"{format_size(row['from_clusters'] * volume.cluster_size)}",
            str(row["runs"]),
            gib(row["bytes"]),
            percent(_share(row["bytes"], volume.free_bytes)),
        )
        for row in volume.free_run_histogram.to_dict("records")
        if row["runs"]
    ]
    print_table("Free runs by length", ["from", "runs", "free\nGiB", "of the free\nspace %"], rows)


def _volume_json(volume: Ntfs) -> dict[str, Any]:
    names = (
        "offset",
        "size",
        "sector_size",
        "cluster_size",
        "clusters",
        "record_size",
        "mft_bytes",
        "version",
        "dirty",
    )
    zone = volume.mft_zone
    return {
        **{name: getattr(volume, name) for name in names},
        "used_clusters": volume.used,
        "free_clusters": volume.free,
        "used_bytes": volume.used_bytes,
        "free_bytes": volume.free_bytes,
        "mft_runs": volume.mft_runs.tolist(),
        "mft_zone": {"first_cluster": zone[0], "clusters": zone[1]} if zone else None,
        "free_runs": volume.free_run_histogram.to_dict("records"),
    }
