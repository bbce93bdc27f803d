"""Inventories of desktops with known numbers, to be found again."""

import datetime as dt

GIB = 1024  # in MiB, as RVTools writes sizes
WHEN = dt.datetime(2026, 3, 2, 7, 30)


def vm(name, lun, host="esx1", os="Microsoft Windows 10 (64-bit)", **own):
    row = {
        "VM": name, "Powerstate": "poweredOn", "Template": "False", "CPUs": 2, "Memory": 4 * GIB, "Disks": 1,
        "Provisioned MiB": 70 * GIB, "In Use MiB": 10 * GIB, "Path": f"[{lun}] {name}/{name}.vmx", "Folder": "/",
        "Resource pool": "/dc/c1", "Annotation": "", "Cluster": "c1", "Host": host,
        "OS according to the configuration file": os, "OS according to the VMware Tools": os,
    }  # fmt: skip
    return row | own


def disk(name, lun, capacity=60 * GIB, number=1, key=2000, file=None):
    path = f"[{lun}] {name}/{file or name + '.vmdk'}"
    return {"VM": name, "Disk": f"Hard disk {number}", "Disk Key": key, "Capacity MiB": capacity, "Path": path}


def store(name, capacity=2048 * GIB, used=500 * GIB, hosts=4, version=6, kind="VMFS", block=1):
    return {
        "Name": name, "Type": kind, "Capacity MiB": capacity, "In Use MiB": used, "Free MiB": capacity - used,
        "# Hosts": hosts, "Hosts": "", "Block size": block, "Major Version": version,
    }  # fmt: skip


def host(name, cluster="c1", memory=512 * GIB, cores=40, speed=2500, ats="True"):
    return {
        "Host": name, "Cluster": cluster, "# CPU": 2, "# Cores": cores, "Speed": speed, "# Memory": memory,
        "ATS Locking": ats,
    }  # fmt: skip


def memory(name, reserved, size=4 * GIB):
    return {"VM": name, "Size MiB": size, "Active": 100, "Consumed": 100, "Ballooned": 0, "Reservation": reserved}


def partition(name, used, capacity=60 * GIB, disk="C:\\"):
    return {"VM": name, "Disk": disk, "Capacity MiB": capacity, "Consumed MiB": used, "Free MiB": capacity - used}


def file(folder, name, size):
    path = f"[{folder.replace('/', '] ', 1)}/"
    return {"Friendly Path Name": path, "File Name": name, "File Size in bytes": size, "Path": path}


def meta():
    return {"RVTools version": "4.7.1.4", "xlsx creation datetime": WHEN, "Server": "vc"}


def tabs(**found):
    """Sheets of {tab: rows as dicts}; the header is that of the first row."""
    return {
        name: [list(rows[0]), *([row.get(head, "") for head in rows[0]] for row in rows)]
        for name, rows in found.items()
        if rows
    }


def farm():
    """Twelve desktops on three LUNs of four hosts, with their replica, beside servers and a smaller pool."""
    names = [f"W10-OFF-{n:03d}" for n in range(1, 13)]
    luns = [f"vdi{n % 3}" for n in range(12)]
    vms = [vm(name, lun, f"esx{n % 4 + 1}") for n, (name, lun) in enumerate(zip(names, luns, strict=True))]
    vms += [vm(f"CAD-{n}", "vdi0", Memory=16 * GIB, **{"In Use MiB": 50 * GIB}) for n in range(1, 4)]
    vms += [vm(f"sql-{n}", "srv", os="Microsoft Windows Server 2019 (64-bit)") for n in range(1, 9)]
    vms += [vm(f"replica-{lun}", lun, **{"In Use MiB": 30 * GIB, "Powerstate": "poweredOff"}) for lun in set(luns)]
    vms += [vm("gold", "srv", Template="True")]
    used = {"vdi0": 12 * 10 // 3 + 30 + 150 + 100, "vdi1": 40 + 30 + 250, "vdi2": 40 + 30 + 250}
    return {
        "vInfo": vms,
        "vDisk": [disk(row["VM"], row["Path"][1:].split("]")[0]) for row in vms]
        + [disk(names[0], "vdi0", 40 * GIB, 2, 2001)],
        "vMemory": [memory(name, 1 * GIB) for name in names] + [memory("sql-1", 4 * GIB)],
        "vPartition": [partition(name, (20 + n) * GIB) for n, name in enumerate(names)]
        + [partition("sql-1", 55 * GIB)],
        "vDatastore": [store(lun, used=size * GIB) for lun, size in used.items()] + [store("srv", hosts=9, version=5)],
        "vHost": [host(f"esx{n}") for n in range(1, 5)] + [host(f"far{n}", "c2", 64 * GIB, 8) for n in range(3)],
        "vMetaData": [meta()],
    }
