"""Results of probes as the scripts write them, made from simulations."""

import base64
import zlib

import numpy as np

from clonesim.planning.probe_pattern import STEP_NAMES
from clonesim.planning.probe_site import Site

GIB, MIB = 2**30, 2**20
ALONE = Site(
    "self-contained", 2 * GIB, 800 * MIB, 32 * MIB, seconds=(60.0,) * 7, build="10.0.19045", windows="Windows 10"
)
GUEST = Site(
    "guest",
    10 * GIB,
    5 * GIB,
    32 * MIB,
    os="windows-7",
    format="qcow2",
    seconds=(60.0, 40.0, 80.0, 150.0, 40.0, 40.0, 40.0),
    pieces=1,
)


def about(site):
    """All fields of a result but the steps."""
    return {
        "clonesim_probe": 1,
        "form": site.form,
        "windows": "Windows 10 Pro",
        "build": "6.1.7601" if site.os == "windows-7" else "10.0.19045",
        "disk_bytes": site.disk_bytes,
        "partition_offset": site.partition_offset,
        "cluster_bytes": site.cluster_bytes,
        "used_bytes": site.used_bytes,
        "unit_bytes": site.unit_bytes,
        "wait_s": 30,
        "restarted": site.restarted,
        "pieces": site.pieces,
    }


def guest_result(probe, start=100 * MIB, restart=40 * MIB):
    """Result of a guest's probe, with the sizes that were typed in."""
    told = about(probe.site) | {"delta_format": probe.site.format}
    size, rows = start, [{"step": "start", "seconds": 0, "delta_bytes": start}]
    for name, grown, seconds in zip(STEP_NAMES, probe.grown, probe.site.seconds, strict=True):
        if name == "again" and probe.site.restarted:
            size += restart
            rows.append({"step": "restart", "seconds": 0, "delta_bytes": size})
        size += round(grown)
        rows.append({"step": name, "seconds": seconds, "delta_bytes": size})
    return told | {"steps": rows}


def packed(sectors, block_bytes=2 * MIB):
    """Blocks and packed bitmaps for a bool array of the disk's sectors."""
    per = block_bytes // 512
    whole = np.zeros(-(-sectors.size // per) * per, bool)
    whole[: sectors.size] = sectors
    parts = whole.reshape(-1, per)
    blocks = np.flatnonzero(parts.any(axis=1))
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = deflate.compress(np.packbits(parts[blocks], axis=1).tobytes()) + deflate.flush()
    return {"blocks": blocks.tolist(), "bitmaps": base64.b64encode(data).decode()}


def alone_result(site, sectors_by_step, block_bytes=2 * MIB):
    """Result of a self-contained probe from what each step wrote, as bool arrays of sectors."""
    held = np.zeros(site.disk_bytes // 512, bool)
    rows = []
    for name, sectors in zip(STEP_NAMES, sectors_by_step, strict=True):
        held |= sectors
        rows.append({"step": name, "seconds": 60.0} | packed(held, block_bytes))
    return about(site) | {"block_bytes": block_bytes, "steps": rows}
