"""Text kinds of traces as data: which columns they have, in which units, and what their operations are called.

Columns, units and codes are those of the formats' own documents: SNIA traces 4928 (SYSTOR'17), 388 (MSR Cambridge) and
391 (FIU), the documents of the Alibaba and Tencent block traces, libCacheSim's CSV of the CloudPhysics trace,
vscsiStats command traces, and fio's iolog.c.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from clonesim.ingest.rows import BLANK, SCSI_OPS, SHORT, UNKNOWN, WAIT, Layout
from clonesim.ops import BlockOp


@dataclass(frozen=True)
class TextLayout(Layout):
    """Columns of a text kind.

    Attributes
    ----------
    columns : tuple of str
        Names of the columns in the order of a file without a header line.
    devices : tuple of str
        Columns that name the device; empty where a file has one device.
    ops : mapping of str to int
        Operations in lower case -> code; empty where they are SCSI codes in hex.
    delimiter : str
        Between columns. With a blank, several blanks or tabs count as one.
    decimals : int
        Decimal places of a time in seconds that are kept (the next one rounds); 0 where the time is in whole ticks.
    aliases : mapping of str to str
        Other names of a column in header lines, in lower case -> the name in `columns`.
    skip_actions : frozenset of str
        Last fields of shorter rows that are not requests (a file was opened).
    blank_op : str
        Why a row without an operation is left out; empty where it is a bad row.
    first_values : frozenset of str
        Allowed values of the first column; empty for any.
    optional : int
        How many of the last columns a file may lack, in all of its rows.
    many_devices : bool
        Whether thousands of devices share a file; they are named by one column.
    """

    columns: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    ops: Mapping[str, int] = field(default_factory=dict)
    delimiter: str = ","
    decimals: int = 0
    aliases: Mapping[str, str] = field(default_factory=dict)
    skip_actions: frozenset[str] = frozenset()
    blank_op: str = ""
    first_values: frozenset[str] = frozenset()
    optional: int = 0
    many_devices: bool = False

    def columns_of(self, fields: int) -> tuple[str, ...]:
        """Columns of a file whose rows have so many fields."""
        most = len(self.columns)
        return self.columns[:fields] if most - self.optional <= fields <= most else self.columns

    def code(self, text: str) -> int:
        """`BlockOp` code of an operation as the file writes it, or UNKNOWN, BLANK or WAIT."""
        text = text.strip().lower()
        if not text and self.blank_op:
            return BLANK
        if self.ops:
            return self.ops.get(text, UNKNOWN)
        try:
            return SCSI_OPS.get(int(text, 16), UNKNOWN)
        except ValueError:
            return UNKNOWN

    def words(self) -> dict[str, int]:
        """Every usual way to write an operation, in lower case -> code."""
        if self.ops:
            return {**self.ops, **({"": BLANK} if self.blank_op else {}), **dict.fromkeys(self.skip_actions, SHORT)}
        return {text: code for number, code in SCSI_OPS.items() for text in (f"{number:02x}", f"{number:x}")}

    @property
    def needed(self) -> frozenset[str]:
        """Columns that a file must have."""
        return frozenset({self.op, self.offset, self.length, *self.devices} | ({self.time} - {""}))

    def header_names(self, text: bytes) -> tuple[str, ...] | None:
        """Columns that a header line names, or None if the line is no header."""
        if self.delimiter == " ":
            return None
        known = {name.lower(): name for name in self.columns} | dict(self.aliases)
        parts = [part.strip().strip('"').strip() for part in text.decode("utf-8", "replace").split(self.delimiter)]
        names = [known.get(part.lower(), part) for part in parts]
        hits = set(names) & set(self.columns)
        if len(hits) < 2 or len(set(names)) < len(names):
            return None
        return tuple(names)

    @property
    def allowed_ops(self) -> str:
        """What the operation column may hold, for messages."""
        return ", ".join(self.ops) if self.ops else ", ".join(f"{code:02x}" for code in SCSI_OPS) + " (hex)"


_FIO_OPS = {
    "read": BlockOp.READ,
    "write": BlockOp.WRITE,
    "trim": BlockOp.DISCARD,
    "sync": BlockOp.FLUSH,
    "datasync": BlockOp.FLUSH,
}
_FIO_FILE_ACTIONS = frozenset({"add", "open", "close"})

TEXT_LAYOUTS = {
    layout.kind: layout
    for layout in (
        TextLayout(
            "cloudphysics-csv",
            columns=("version", "time", "op", "size", "lbn"),
            time="time",
            op="op",
            offset="lbn",
            length="size",
            device="disk",
            ticks_per_s=1_000_000,
            block=512,
            decimals=6,
            first_values=frozenset({"1", "2"}),
        ),
        TextLayout(
            "vscsistats",
            columns=("serial", "length", "nSG", "command", "LBN", "time"),
            time="time",
            op="command",
            offset="LBN",
            length="length",
            device="disk",
            ticks_per_s=1_000_000,
            block=512,
            ops={"read": BlockOp.READ, "write": BlockOp.WRITE},
            aliases={
                "serial number": "serial",
                "io data length": "length",
                "num sg entries": "nSG",
                "command type": "command",
                "time stamp (microseconds)": "time",
            },
        ),
        TextLayout(
            "msr",
            columns=("Timestamp", "Hostname", "DiskNumber", "Type", "Offset", "Size", "ResponseTime"),
            time="Timestamp",
            op="Type",
            offset="Offset",
            length="Size",
            device="Hostname",
            ticks_per_s=10_000_000,
            epoch_s=11_644_473_600,  # FILETIME counts from 1601-01-01 UTC
            devices=("Hostname", "DiskNumber"),
            ops={"read": BlockOp.READ, "write": BlockOp.WRITE},
        ),
        TextLayout(
            "systor17",
            columns=("Timestamp", "Response", "IOType", "LUN", "Offset", "Size"),
            time="Timestamp",
            op="IOType",
            offset="Offset",
            length="Size",
            device="LUN",
            ticks_per_s=1_000_000,  # nine decimals, exact to 1 us
            epoch_s=0,
            decimals=6,
            devices=("LUN",),
            ops={"r": BlockOp.READ, "w": BlockOp.WRITE},
            blank_op="no operation: the recorder saw no response to this request",
        ),
        TextLayout(
            "fio-v2",
            columns=("file", "action", "offset", "length"),
            time="",
            op="action",
            offset="offset",
            length="length",
            device="file",
            ticks_per_s=1_000,
            devices=("file",),
            ops={**_FIO_OPS, "wait": WAIT},
            delimiter=" ",
            skip_actions=_FIO_FILE_ACTIONS,
        ),
        TextLayout(
            "fio-v3",
            columns=("time", "file", "action", "offset", "length"),
            time="time",
            op="action",
            offset="offset",
            length="length",
            device="file",
            ticks_per_s=1_000_000,
            devices=("file",),
            ops={**_FIO_OPS, "wait": WAIT},  # fio ignores waits here
            delimiter=" ",
            skip_actions=_FIO_FILE_ACTIONS,
        ),
        TextLayout(
            "alibaba",
            columns=("device_id", "opcode", "offset", "length", "timestamp"),
            time="timestamp",
            op="opcode",
            offset="offset",
            length="length",
            device="device_id",
            ticks_per_s=1_000_000,
            epoch_s=0,
            devices=("device_id",),
            ops={"r": BlockOp.READ, "w": BlockOp.WRITE},
            many_devices=True,
        ),
        TextLayout(
            "tencent",
            columns=("Timestamp", "Offset", "Size", "IOType", "VolumeID"),
            time="Timestamp",
            op="IOType",
            offset="Offset",
            length="Size",
            device="VolumeID",
            ticks_per_s=1,
            block=512,
            length_block=512,
            epoch_s=0,
            devices=("VolumeID",),
            ops={"0": BlockOp.READ, "1": BlockOp.WRITE},
            many_devices=True,
        ),
        TextLayout(
            "fiu",
            columns=("ts", "pid", "process", "lba", "size", "op", "major", "minor", "digest"),
            time="ts",
            op="op",
            offset="lba",
            length="size",
            device="major",
            ticks_per_s=1_000_000_000,
            block=512,
            length_block=512,
            devices=("major", "minor"),
            ops={"r": BlockOp.READ, "w": BlockOp.WRITE},
            delimiter=" ",
            optional=1,  # one set of traces has no digests
        ),
    )
}
