"""The command that looks into a disk image: inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clonesim.cli.root import app
from clonesim.cli.shared import Json, example, print_json


@app.command(
    epilog=example(
        "clonesim inspect base.vmdk --bitmap base.bitmap\n  clonesim inspect clone-000001.vmdk --base replica.vmdk"
    )
)
def inspect(
    file: Annotated[Path, typer.Argument(help="Disk image: raw, VMDK, QCOW2, VHD or VHDX, found by its content.")],
    base: Annotated[
        Path | None, typer.Option(help="Parent of a delta, if it is not where the delta says or beside it.")
    ] = None,
    partition: Annotated[
        int | None, typer.Option(help="Number of the NTFS partition; by default the largest volume.")
    ] = None,
    bitmap: Annotated[
        Path | None, typer.Option(help="Write a copy of $Bitmap here, for a scenario's guest.start.bitmap.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What a disk image holds: geometry, free space, grains."""
    from clonesim.console import inspect as console
    from clonesim.ingest.images import read_image, reclaimable

    image = read_image(file, base, partition)
    saved = image.save_bitmap(bitmap) if bitmap else None
    space = reclaimable(image, partition=partition) if image.ntfs and image.is_delta else None
    if as_json:
        print_json(console.image_json(image, space, saved))
    else:
        console.print_image(image, space, saved)
