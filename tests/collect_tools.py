"""A Proxmox VE node made by hand: programs that answer from files, in the forms of the real ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from clonesim.planning.collect_script import write_collect_script

GIB, MIB = 2**30, 2**20
START = 1_772_798_400  # 2026-03-06T12:00:00Z, a Friday
WEEK = 7 * 86_400
SHELL = shutil.which("dash") or shutil.which("sh")
STORAGE_CFG = """dir: local
\tpath {folder}/local
\tcontent iso,images

lvmthin: local-lvm
\tthinpool data
\tvgname pve
\tcontent rootdir,images

zfspool: tank
\tpool rpool/data
\tcontent images
\tsparse 1

rbd: ceph-vm
\tmonhost 10.0.0.1;10.0.0.2
\tpool vms
\tusername vdi
\tcontent images

lvm: thick
\tvgname old
\tcontent images
"""
PVESM = """Name             Type     Status           Total            Used       Available        %
ceph-vm           rbd     active      1048576000       104857600       943718400   10.00%
local             dir     active       209715200        52428800       157286400   25.00%
local-lvm     lvmthin     active       524288000       131072000       393216000   25.00%
tank          zfspool     active       419430400        41943040       377487360   10.00%
thick             lvm   inactive               0               0               0    0.00%
"""
PROGRAMS = {  # what each says: a file of the node, or a failure that the file tells
    "qm": 'answer qm "$1"',
    "pvesm": 'answer pvesm "$1"',
    "lvs": "answer lvs",
    "zfs": "answer zfs",
    "rbd": 'answer "rbd-$1"',
    "qemu-img": 'for last in "$@"; do :; done; answer "qemu-${last##*/}"',
    "date": 'exec /bin/date -d "@$(cat "$NODE/now")" "$@"',
}
FAKE = """#!/bin/sh
printf '%s\\n' "{name} $*" >>"$NODE/calls"
answer() {{
    if [ -f "$NODE/$1.fails" ]; then echo "{name}: broken" >&2; exit 5; fi
    cat "$NODE/$1" || exit 7
}}
{body}
"""


class Node:
    """A node in a folder; sizes are set clone by clone, then `run` measures.

    Clones 101 to 103 lie on LVM-thin, 104 to 106 on ZFS, 107 to 109 on Ceph, 110 to 112 are overlays; 100 is their
    template on this node, 200 (of 109) one that lies on another node.
    """

    thin, zfs, ceph, files = (101, 102, 103), (104, 105, 106), (107, 108, 109), (110, 111, 112)

    def __init__(self, folder: Path) -> None:
        self.folder, self.state, self.bin = folder, folder / "node", folder / "bin"
        for place in (self.state, self.bin):
            place.mkdir(parents=True)
        for name, body in PROGRAMS.items():
            program = self.bin / name
            program.write_text(FAKE.format(name=name, body=body))
            program.chmod(0o755)
        self.script = write_collect_script(folder / "scripts", "proxmox")
        self.config = folder / "storage.cfg"
        self.config.write_text(STORAGE_CFG.format(folder=folder))
        self.csv = folder / "sizes.csv"
        self.names = {number: f"vdi-{number}" for number in range(101, 113)}
        self.off: set[int] = set()
        (self.state / "pvesm").write_text(PVESM)
        for number in self.files:
            place = folder / "local" / "images" / str(number)
            place.mkdir(parents=True)
            (place / f"vm-{number}-disk-0.qcow2").touch()
        self.at(0)

    def at(self, week: float) -> None:
        """Set the clock."""
        (self.state / "now").write_text(f"{START + week * WEEK:.0f}")

    def hold(self, sizes: dict[int, int]) -> None:
        """Set what each clone holds beside its base image, in whole GiB where percentages tell it."""
        listed = "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID\n"
        for number, name in {100: "win10-template", **self.names, 300: "fileserver"}.items():
            listed += f"{number:>10} {name:<20} running    4096              64.00 {number + 1000}\n"
        (self.state / "qm").write_text(listed)
        (self.state / "lvs").write_text(self._lvs(sizes))
        (self.state / "zfs").write_text(self._zfs(sizes))
        (self.state / "rbd-ls").write_text(json.dumps(self._rbd_ls(), separators=(",", ":")))
        (self.state / "rbd-du").write_text(json.dumps(self._rbd_du(sizes), separators=(",", ":")))
        for number in self.files:
            text = json.dumps(self._qemu(number, sizes[number]), indent=4)
            (self.state / f"qemu-vm-{number}-disk-0.qcow2").write_text(text)

    def run(self, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script as cron would: with a bare environment."""
        path = f"{self.bin}:/usr/bin:/bin"
        call = [SHELL, str(self.script), "--csv", str(self.csv), "--storage-config", str(self.config), *options]
        env = {"PATH": path, "NODE": str(self.state), **environment}
        return subprocess.run(call, capture_output=True, text=True, timeout=60, env=env, cwd="/", check=False)

    def calls(self) -> list[str]:
        """Calls of programs so far."""
        place = self.state / "calls"
        return place.read_text().splitlines() if place.exists() else []

    def _lvs(self, sizes: dict[int, int]) -> str:
        size = 64 * GIB
        rows = [("data", 500 * GIB, "25.00", ""), ("base-100-disk-0", size, "20.00", ""), ("root", 96 * GIB, "", "")]
        for number in self.thin:
            share = "" if number in self.off else f"{100 * sizes[number] / size:.2f}"
            rows.append((f"vm-{number}-disk-0", size, share, "base-100-disk-0"))
        rows.append(("vm-300-disk-0", size, "50.00", ""))
        keys = ("lv_name", "lv_size", "data_percent", "origin")
        lines = [
            "{" + ", ".join(f'"{key}":"{value}"' for key, value in zip(keys, row, strict=True)) + "}" for row in rows
        ]
        inner = ",\n                  ".join(lines)
        blank = "\n" + 14 * " "
        head, tail = f'  {{\n      "report": [\n          {{{blank}"lv": [', f"{blank}]\n          }}\n      ]\n  }}\n"
        return f"{head}\n                  {inner}{tail}"

    def _zfs(self, sizes: dict[int, int]) -> str:
        rows = [("rpool/data", 98304, 0, "-", "-"), ("rpool/data/base-100-disk-0", 9 * GIB, 0, "-", 64 * GIB)]
        for number in self.zfs:
            kept = sizes[number] // 4  # in snapshots
            origin = "rpool/data/base-100-disk-0@__base__"
            rows.append((f"rpool/data/vm-{number}-disk-0", sizes[number] - kept, kept, origin, 64 * GIB))
        rows.append(("rpool/data/subvol-101-disk-0", GIB, 0, "rpool/data/basevol-9-disk-0@__base__", "-"))
        return "".join("\t".join(map(str, row)) + "\n" for row in rows)

    def _rbd_ls(self) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = [
            {"image": "base-100-disk-0", "id": "a1", "size": 64 * GIB, "format": 2},
            {"image": "base-100-disk-0", "snapshot": "__base__", "id": "4", "size": 64 * GIB, "protected": "true"},
        ]
        for number in self.ceph:
            base = 200 if number == 109 else 100
            parent = {"pool": "vms", "pool_namespace": "", "image": f"base-{base}-disk-0", "snapshot": "__base__"}
            row = {"image": f"vm-{number}-disk-0", "id": f"b{number}", "size": 64 * GIB, "parent": parent, "format": 2}
            rows += [row, {**row, "snapshot": "monday"}] if number == 107 else [row]
        return [*rows, {"image": "vm-300-disk-0", "id": "c", "size": 64 * GIB, "format": 2}]

    def _rbd_du(self, sizes: dict[int, int]) -> dict[str, object]:
        images: list[dict[str, object]] = [
            {"name": "base-100-disk-0", "snapshot": "__base__", "provisioned_size": 64 * GIB, "used_size": 9 * GIB},
            {"name": "base-100-disk-0", "id": "a1", "provisioned_size": 64 * GIB, "used_size": 0},
            {"name": "vm-300-disk-0", "id": "c", "provisioned_size": 64 * GIB, "used_size": 33 * GIB},
        ]
        for number in self.ceph:
            used = sizes[number]
            row = {"name": f"vm-{number}-disk-0", "id": f"b{number}", "provisioned_size": 64 * GIB, "used_size": used}
            if number == 107:  # its snapshot holds a part
                images.append({**row, "snapshot": "monday", "snapshot_id": 7, "used_size": used // 4})
                row["used_size"] = used - used // 4
            images.append(row)
        total = {"total_provisioned_size": 64 * GIB * len(images), "total_used_size": 99 * GIB}
        return {"images": images, **total}

    def _qemu(self, number: int, held: int) -> dict[str, object]:
        below = {"virtual-size": 7 * GIB, "filename": "x", "format": "file", "actual-size": 12345, "dirty-flag": False}
        return {
            "children": [{"name": "file", "info": {"children": [], **below}}],
            "backing-filename-format": "qcow2",
            "virtual-size": 64 * GIB,
            "filename": f"/images/{number}/vm-{number}-disk-0.qcow2",
            "cluster-size": 65536,
            "format": "qcow2",
            "actual-size": held,
            "full-backing-filename": "/images/100/base-100-disk-0.qcow2",
            "backing-filename": "../100/base-100-disk-0.qcow2",
            "dirty-flag": False,
        }


def environment() -> dict[str, str]:
    """Environment for real programs."""
    return {"PATH": os.environ["PATH"], "LC_ALL": "C"}
