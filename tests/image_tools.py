"""Writers of disk images for tests: of formats that no tool here writes, and of partition tables."""

import shutil
import struct
import subprocess
import uuid
import zlib

import numpy as np
import pytest

KIB, MIB, GIB = 2**10, 2**20, 2**30
SECTOR = 512
GUID = uuid.UUID("11111111-2222-3333-4444-555555555555")


def need(*tools):
    """Skip a test whose tools are absent."""
    return pytest.mark.skipif(
        not all(map(shutil.which, tools)), reason=f"absent: {' or '.join(tools)} (Debian: qemu-utils, ntfs-3g)"
    )


def run(*argv, **how):
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True, **how).stdout


def descriptor(kind, extents, cid="aaaaaaaa", parent="ffffffff", hint=None):
    lines = ["# Disk DescriptorFile", "version=1", f"CID={cid}", f"parentCID={parent}", f'createType="{kind}"']
    if hint:
        lines.append(f'parentFileNameHint="{hint}"')
    lines += ["# Extent description", *extents, "# The Disk Data Base", "#DDB", 'ddb.adapterType = "lsilogic"', ""]
    return "\n".join(lines)


def flat_vmdk(folder, name, data):
    """Write a base disk as ESXi has it: a descriptor and a flat extent."""
    (folder / f"{name}-flat.vmdk").write_bytes(data)
    path = folder / f"{name}.vmdk"
    path.write_text(descriptor("vmfs", [f'RW {len(data) // SECTOR} VMFS "{name}-flat.vmdk"'], cid="0172e8a4"))
    return path


def write_cowd(path, capacity, sectors, grain=1):
    """Write a COWD extent: `sectors` maps the number of a grain to its bytes; tables and grains in the order given."""
    tables = {}
    count = -(-capacity // (4096 * grain * SECTOR))
    place = -(-(4 * SECTOR + 4 * count) // SECTOR)  # sectors
    directory, body = np.zeros(count, "<u4"), bytearray()
    for number, data in sectors.items():
        table, entry = divmod(number, 4096)
        if table not in tables:
            directory[table] = place + len(body) // SECTOR
            tables[table] = len(body)
            body += bytes(16 * KIB)
        struct.pack_into("<I", body, tables[table] + 4 * entry, place + len(body) // SECTOR)
        assert len(data) == grain * SECTOR
        body += data
    header = struct.pack("<4s10I", b"COWD", 1, 3, capacity // SECTOR, grain, 4, count, place, 0, 0, 0)
    path.write_bytes((header.ljust(2048, b"\0") + directory.tobytes()).ljust(place * SECTOR, b"\0") + body)


def cowd_delta(folder, name, base, capacity, sectors, grain=1):
    """Write a COWD delta of a base made by `flat_vmdk`: descriptor and extent."""
    write_cowd(folder / f"{name}-delta.vmdk", capacity, sectors, grain)
    path = folder / f"{name}.vmdk"
    extent = f'RW {capacity // SECTOR} VMFSSPARSE "{name}-delta.vmdk"'
    path.write_text(descriptor("vmfsSparse", [extent], "bbbbbbbb", "0172e8a4", base.name))
    return path


def sesparse_delta(folder, name, base, capacity, grains, zeros=(), unmapped=(), dirty=False):
    """Write an SEsparse delta of a base made by `flat_vmdk`: 4 KiB grains; some are zeros, some are unmapped."""
    count = -(-capacity // (16 * MIB))
    directory = np.zeros(-(-count // 64) * 64, "<u8")
    used = sorted({number // 4096 for number in [*grains, *zeros, *unmapped]}, reverse=True)  # not in the disk's order
    index = {table: place for place, table in enumerate(used)}
    for table, place in index.items():
        directory[table] = 0x1000000000000000 | place
    tables = np.zeros((len(used), 4096), "<u8")
    for place, number in enumerate(grains):
        entry = 0x3000000000000000 | ((place & 0xFFF) << 48) | (place >> 12)
        tables[index[number // 4096], number % 4096] = entry
    for kind, numbers in ((2, zeros), (1, unmapped)):
        for number in numbers:
            tables[index[number // 4096], number % 4096] = kind << 60
    directory_place, tables_place = 8, 8 + directory.nbytes // SECTOR
    grains_place = -(-(tables_place * SECTOR + tables.nbytes) // 4096) * 8
    words = [0] * 26
    words[:5] = 0xCAFEBABE, 0x200000001, capacity // SECTOR, 8, 64
    words[10:12], words[16:20] = (
        (1, 1),
        (directory_place, directory.nbytes // SECTOR, tables_place, tables.nbytes // 512),
    )
    words[24:26] = grains_place, 8 * len(grains)
    head = struct.pack("<26Q", *words).ljust(512, b"\0")
    head += struct.pack("<4Q", 0xCAFECAFE, len(used), 1, int(dirty)).ljust(512, b"\0")
    body = head.ljust(directory_place * SECTOR, b"\0") + directory.tobytes() + tables.tobytes()
    data = body.ljust(grains_place * SECTOR, b"\0") + b"".join(grains.values())
    (folder / f"{name}-sesparse.vmdk").write_bytes(data)
    path = folder / f"{name}.vmdk"
    extent = f'RW {capacity // SECTOR} SESPARSE "{name}-sesparse.vmdk"'
    path.write_text(descriptor("seSparse", [extent], "bbbbbbbb", "0172e8a4", base.name))
    return path


def vhd_footer(capacity, kind, place=2**64 - 1, mark=GUID):
    sectors = capacity // SECTOR
    geometry = struct.pack(">HBB", min(sectors // (16 * 63), 65535), 16, 63)
    data = struct.pack(
        ">8sIIQI4sI4sQQ4sI", b"conectix", 2, 0x10000, place, 0, b"cltt", 1, b"Wi2k", capacity, capacity, geometry, kind
    )
    data = (data + bytes(4) + mark.bytes).ljust(512, b"\0")
    return data[:64] + struct.pack(">I", ~sum(data) & 0xFFFFFFFF) + data[68:]


def write_vhd(path, capacity, sectors, parent=None, mark=GUID, parent_mark=GUID, block=2 * MIB):
    """Write a dynamic or, with the name of a parent, a differencing VHD: `sectors` maps numbers to bytes."""
    count = -(-capacity // block)
    bitmap = -(-block // (SECTOR * 8 * SECTOR)) * SECTOR
    table, body = np.full(-(-count // 128) * 128, 0xFFFFFFFF, ">u4"), bytearray()
    first = 512 + 1024 + table.nbytes
    for number, data in sectors.items():
        slot, inside = divmod(number, block // SECTOR)
        if table[slot] == 0xFFFFFFFF:
            table[slot] = (first + len(body)) // SECTOR
            body += bytes(bitmap + block)
        at = int(table[slot]) * SECTOR - first
        body[at + inside // 8] |= 0x80 >> inside % 8
        body[at + bitmap + inside * SECTOR : at + bitmap + (inside + 1) * SECTOR] = data
    header = struct.pack(">8sQQIIII", b"cxsparse", 2**64 - 1, 1536, 0x10000, count, block, 0)
    if parent:
        header += parent_mark.bytes + struct.pack(">II", 0, 0) + parent.encode("utf-16-be")
    header = header.ljust(1024, b"\0")
    header = header[:36] + struct.pack(">I", ~sum(header) & 0xFFFFFFFF) + header[40:]
    footer = vhd_footer(capacity, 4 if parent else 3, 512, mark)
    path.write_bytes(footer + header + table.tobytes() + body + footer)


def crc32c(data):
    """CRC-32C, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sealed(data):
    return data[:4] + struct.pack("<I", crc32c(data[:4] + bytes(4) + data[8:])) + data[8:]


def write_vhdx(path, capacity, sectors, parent=None, mark=GUID, full=(), zeros=(), log=False, block=2 * MIB):
    """Write a differencing VHDX (or without `parent` a dynamic one): sectors in blocks that are partly present.

    Blocks in `full` are wholly the child's, those in `zeros` read as zeros.
    """
    ratio = 2**23 * SECTOR // block
    count = -(-capacity // block)
    chunks = -(-count // ratio)
    bat = np.zeros(chunks * (ratio + 1), "<u8")
    place = 4 * MIB
    blocks, bitmaps = {}, {}
    for number in sorted({*(s * SECTOR // block for s in sectors), *full}):
        data = bytearray(block)
        blocks[number] = (place, data)
        bat[number + number // ratio] = place | (6 if number in full or not parent else 7)
        place += block
        if parent and number // ratio not in bitmaps:
            chunk = number // ratio
            bitmaps[chunk] = (place, bytearray(MIB))
            bat[chunk * (ratio + 1) + ratio] = place | 6
            place += MIB
    for number in zeros:
        bat[number + number // ratio] = 2
    for number, data in sectors.items():
        slot, inside = divmod(number, block // SECTOR)
        blocks[slot][1][inside * SECTOR : (inside + 1) * SECTOR] = data
        if parent:
            bit = number % (ratio * block // SECTOR)
            bitmaps[slot // ratio][1][bit // 8] |= 1 << bit % 8
    rest = bytes(16) + mark.bytes_le + (b"\1" * 16 if log else bytes(16)) + struct.pack("<HHIQ", 0, 1, MIB, MIB)
    header, older = (sealed((struct.pack("<4sIQ", b"head", 0, n) + rest).ljust(4096, b"\0")) for n in (7, 6))
    names = [("2dc27766-f623-4200-9d64-115e9bfd4a08", 3 * MIB), ("8b7ca206-4790-4b9a-b8fe-575f050f886e", 2 * MIB)]
    regions = struct.pack("<4sIII", b"regi", 0, 2, 0)
    for name, at in names:
        regions += uuid.UUID(name).bytes_le + struct.pack("<QII", at, MIB, 1)
    regions = sealed(regions.ljust(64 * KIB, b"\0"))
    items = [
        ("caa16737-fa36-4d43-b3b6-33f0aa44e76b", struct.pack("<II", block, 2 if parent else 0)),
        ("2fa54224-cd1b-4876-b211-5dbed83bf4b8", struct.pack("<Q", capacity)),
        ("8141bf1d-a96f-4709-ba47-f233a8faab5f", struct.pack("<I", 512)),
        ("cda348c7-445d-4471-9cc9-e9885251c556", struct.pack("<I", 512)),
        ("beca12ab-b2e6-4523-93ef-c309e000c746", GUID.bytes_le),
    ]
    if parent:
        items.append(("a8d35f2d-b30b-454d-abf7-d3d84834ab0c", _locator(parent, GUID)))
    table, values = struct.pack("<8sHH", b"metadata", 0, len(items)).ljust(32, b"\0"), b""
    for name, value in items:
        table += uuid.UUID(name).bytes_le + struct.pack("<IIII", 64 * KIB + len(values), len(value), 4, 0)
        values += value
    with path.open("wb") as file:
        for at, data in [
            *[(0, b"vhdxfile"), (64 * KIB, header), (128 * KIB, older), (192 * KIB, regions), (256 * KIB, regions)],
            *[(2 * MIB, table), (2 * MIB + 64 * KIB, values), (3 * MIB, bat.tobytes().ljust(MIB, b"\0"))],
            *blocks.values(),
            *bitmaps.values(),
        ]:
            file.seek(at)
            file.write(data)


def _locator(parent, mark):
    pairs = {"parent_linkage": "{" + str(mark) + "}", "relative_path": f".\\{parent}"}
    head = uuid.UUID("b04aefb7-d19e-4a81-b789-25b8e9445913").bytes_le + struct.pack("<HH", 0, len(pairs))
    at, entries, text = 20 + 12 * len(pairs), b"", b""
    for key, value in pairs.items():
        k, v = key.encode("utf-16-le"), value.encode("utf-16-le")
        entries += struct.pack("<IIHH", at + len(text), at + len(text) + len(k), len(k), len(v))
        text += k + v
    return head + entries + text


def mbr(parts):
    """Master boot record: parts are (type, first sector, sectors)."""
    data = bytearray(SECTOR)
    for number, (kind, first, count) in enumerate(parts):
        struct.pack_into("<B3xB3xII", data, 446 + 16 * number, 0, kind, first, count)
    data[510:] = b"\x55\xaa"
    return bytes(data)


BASIC = uuid.UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7")
RESERVED = uuid.UUID("e3c9e316-0b5c-4db8-817d-f92df00215ae")


def gpt(capacity, parts, sector=SECTOR):
    """Protective MBR, GPT header and entries; and the copy for the disk's end. Parts are (type, first, last)."""
    last = capacity // sector - 1
    entries = b"".join(
        kind.bytes_le + GUID.bytes_le + struct.pack("<QQQ", first, end, 0) + bytes(72) for kind, first, end in parts
    ).ljust(128 * 128, b"\0")

    def header(own, other, table):
        data = struct.pack("<8sIIIIQQQQ", b"EFI PART", 0x10000, 92, 0, 0, own, other, 34, last - 33)
        data += GUID.bytes_le + struct.pack("<QIII", table, 128, 128, zlib.crc32(entries))
        return (data[:16] + struct.pack("<I", zlib.crc32(data)) + data[20:]).ljust(sector, b"\0")

    spare = last - -(-len(entries) // sector)
    front = mbr([(0xEE, 1, 0xFFFFFFFF)]).ljust(sector, b"\0") + header(1, last, 2) + entries
    return front, entries.ljust((last - spare) * sector, b"\0") + header(last, 1, spare)


def make_ntfs(path, size, cluster=4096, first=0):
    """Make an NTFS volume in a sparse file."""
    with path.open("wb") as file:
        file.truncate(size)
    run("mkntfs", "-F", "-Q", "-q", "-c", cluster, "-s", 512, "-p", first, "-H", 16, "-S", 63, path)
    return path


def ntfsinfo(path):
    """Cluster size, clusters and free clusters of a volume, as ntfs-3g's own tool says."""
    found = {}
    for line in run("ntfsinfo", "-m", "-f", path).splitlines():
        name, _, value = line.strip().partition(":")
        found.setdefault(name, value.split("(")[0].strip())
    return tuple(int(found[name]) for name in ("Cluster Size", "Volume Size in Clusters", "Free Clusters"))
