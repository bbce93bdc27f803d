"""Binary vSCSI traces: fixed records, little-endian, as ESXi records them and libCacheSim reads them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from clonesim.errors import TraceError
from clonesim.ingest.collector import Collector
from clonesim.ingest.rows import MOST_BYTE, SCSI_OPS, UNKNOWN, BadRow, Columns, Layout, find_bad, in_line_order
from clonesim.ingest.source import Source

RECORDS = {
    "vscsi-v1": np.dtype(
        [("sn", "<u4"), ("len", "<u4"), ("nsg", "<u4"), ("cmd", "<u2"), ("ver", "<u2"), ("lbn", "<u8"), ("ts", "<u8")]
    ),
    "vscsi-v2": np.dtype(
        [
            *[("cmd", "<u2"), ("ver", "<u2"), ("sn", "<u4"), ("len", "<u4"), ("nsg", "<u4")],
            *[("lbn", "<u8"), ("ts", "<u8"), ("rt", "<u8")],
        ]
    ),
}
VERSIONS = {"vscsi-v1": 1, "vscsi-v2": 2}  # high byte of `ver`
LAYOUTS = {
    kind: Layout(kind, time="ts", op="cmd", offset="lbn", length="len", device="disk", ticks_per_s=1_000_000, block=512)
    for kind in RECORDS
}
_OPS = np.full(2**16, UNKNOWN, np.int16)
_OPS[list(SCSI_OPS)] = list(SCSI_OPS.values())


class BinaryReader:
    """Reads one binary trace.

    Parameters
    ----------
    source : Source
        The file.
    layout : Layout
        Its kind.
    collector : Collector
        Takes over the rows.
    """

    def __init__(self, source: Source, layout: Layout, collector: Collector) -> None:
        self.source, self.layout, self.collector = source, layout, collector

    def chunks(self) -> Iterator[None]:
        """Read the file, and pause after each chunk of it.

        Raises
        ------
        TraceError
            If the file is not a whole number of records, or a record is bad.
        """
        record, collector = RECORDS[self.layout.kind], self.collector
        for data in self.source.records(record.itemsize):
            if len(data) % record.itemsize:
                done = collector.rows * record.itemsize
                problem = (
                    f"ends inside a record: {done + len(data)} B are not a whole number of {record.itemsize} B records"
                )
                remedy = f"The copy is cut off: copy it again, or cut it to {done} B."
                raise TraceError(self.source.path, problem, remedy)
            _add(collector, np.frombuffer(data, record))
            yield


def _add(collector: Collector, records: NDArray[np.void]) -> None:
    layout = collector.layout
    columns = Columns(
        time=_signed(records["ts"]),
        code=_OPS[records["cmd"]],
        offset=_signed(records["lbn"]),
        length=records["len"].astype(np.int64),
        device=np.zeros(records.size, np.int32),
        names=("disk",),
    )
    verdicts = find_bad(layout, columns)
    version = VERSIONS[layout.kind]
    other = (records["ver"] >> 8) != version
    if other.any():
        verdicts.insert(0, (other, "ver", f"its high byte is not {version}, so this is no {layout.kind} record"))
    if not verdicts:
        collector.add(columns)
        return
    found = [
        BadRow(collector.rows + int(i) + 1, field, _shown(records, field, int(i)), problem)
        for rows, field, problem in verdicts
        for i in np.flatnonzero(rows)
    ]
    for row in in_line_order(found):
        byte = (row.line - 1) * records.itemsize
        collector.bad(row, f"(The line is the record number; it starts at byte {byte}.)")
    bad = np.logical_or.reduce([rows for rows, _, _ in verdicts])
    collector.add(columns.keep(~bad), rows=len(columns))


def _signed(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Values as int64; those from 2^63 on become 2^63 - 1, which find_bad refuses too."""
    return np.minimum(values, np.uint64(MOST_BYTE)).astype(np.int64)


def _shown(records: NDArray[np.void], field: str, row: int) -> str:
    value = int(records[field][row])
    return f"0x{value:x}" if field in {"cmd", "ver"} else str(value)


def plausible_share(kind: str, head: bytes) -> float:
    """Share of the head's records that look like this kind, 0 to 1."""
    record = RECORDS[kind]
    records = np.frombuffer(head[: len(head) - len(head) % record.itemsize], record)
    if not records.size:
        return 0.0
    good = (records["ver"] >> 8 == VERSIONS[kind]) & (records["cmd"] <= 0xFF) & (records["lbn"] <= MOST_BYTE // 512)
    return float(good.mean())


def oracle_share(head: bytes) -> float:
    """Share of the head's records that look like libCacheSim's oracleGeneral (24 B), 0 to 1."""
    record = np.dtype([("time", "<u4"), ("obj", "<u8"), ("size", "<u4"), ("next", "<i8")])
    records = np.frombuffer(head[: len(head) - len(head) % record.itemsize], record)
    if not records.size:
        return 0.0
    later = np.ones(records.size, bool)
    later[1:] = records["time"][1:] >= records["time"][:-1]
    good = later & (records["next"] >= -2) & (records["next"] < 2**48) & (records["size"] < 2**31)
    return float(good.mean())
