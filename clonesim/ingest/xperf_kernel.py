"""Kernel that reads the plain rows of xperf's dumper; header rows and anything unusual are left to xperf.py."""

from __future__ import annotations

from numba import njit

from clonesim.ingest.blanks_kernel import lone_return, skip_blanks

KERNELS = "2c6c66b026b2c0cb"

FAILED = -1
# Roles of a column.
IGNORED, TIME, OFFSET, LENGTH, DISK, PROCESS, FILE = 0, 1, 2, 3, 4, 5, 6
# Codes of clonesim.ops.BlockOp.
READ, WRITE, FLUSH = 0, 1, 4
_MOST_DIGITS, _MOST_HEX_DIGITS, _MOST_DISK_DIGITS = 18, 15, 9


@njit(cache=True)
def _event(data, pos):  # type: ignore[no-untyped-def]
    """Kind of a row: 0 read, 1 write, 2 flush, -1 another event; and where its comma stands."""
    words = (b"DiskRead", b"DiskWrite", b"DiskFlush")
    for kind in range(3):
        word = words[kind]
        end = pos + len(word)
        if end < data.size and data[pos] == 68:
            same = True
            for i in range(len(word)):
                if data[pos + i] != word[i]:
                    same = False
                    break
            if same:
                end = skip_blanks(data, end)
                if end < data.size and data[end] == 44:
                    return kind, end
    return -1, pos


@njit(cache=True)
def _value(data, pos, hexadecimal, most):  # type: ignore[no-untyped-def]
    """Read a number: its value, how many digits (0: none, or too many), and where it ends."""
    value = 0
    digits = 0
    if hexadecimal:
        if pos + 1 >= data.size or data[pos] != 48 or data[pos + 1] != 120:
            return 0, 0, pos
        pos += 2
    while pos < data.size:
        byte = data[pos]
        if 48 <= byte <= 57:
            digit = byte - 48
        elif hexadecimal and 97 <= byte <= 102:
            digit = byte - 87
        elif hexadecimal and 65 <= byte <= 70:
            digit = byte - 55
        else:
            break
        if digits == most:
            return 0, 0, pos
        value = value * (16 if hexadecimal else 10) + digit
        digits += 1
        pos += 1
    return value, digits, pos


@njit(cache=True)
def parse_dump(  # type: ignore[no-untyped-def]
    data,  # uint8 (bytes,), read-only: whole lines
    roles,  # int64 (3, columns): role of each column behind the event's name, for reads, writes, flushes
    counts,  # int64 (3,): how many columns each has; 0 before its header row
    time,  # int64 (rows,), out [us]
    code,  # int16 (rows,), out
    offset,  # int64 (rows,), out [B]
    length,  # int64 (rows,), out [B]
    disk,  # int64 (rows,), out
    spans,  # int64 (rows, 2), out: where the name of the file stands
):
    """Return disk events or FAILED, lines, and how many lines are other events."""
    n = data.size
    pos = 0
    rows = 0
    lines = 0
    others = 0
    while pos < n:
        pos = skip_blanks(data, pos)
        if pos < n and lone_return(data, pos):
            return FAILED, 0, 0
        if pos < n and data[pos] == 13:
            pos += 1
        if pos >= n:
            break
        if data[pos] == 10:
            lines += 1
            pos += 1
            continue
        event, pos = _event(data, pos)
        if event < 0:
            commas = 0
            while pos < n and data[pos] != 10:
                commas += data[pos] == 44
                if lone_return(data, pos):
                    return FAILED, 0, 0
                pos += 1
            if commas == 0:  # it may frame the header rows
                return FAILED, 0, 0
            pos += 1
            lines += 1
            others += 1
            continue
        columns = counts[event]
        if columns == 0 or rows == time.size:
            return FAILED, 0, 0
        offset[rows] = 0
        length[rows] = 0
        spans[rows, 0] = 0
        spans[rows, 1] = 0
        code[rows] = READ if event == 0 else WRITE if event == 1 else FLUSH
        for column in range(columns):
            if pos >= n or data[pos] != 44:
                return FAILED, 0, 0
            pos = skip_blanks(data, pos + 1)
            role = roles[event, column]
            last = column == columns - 1
            if role == TIME or role == OFFSET or role == LENGTH or role == DISK:
                hexadecimal = role == OFFSET or role == LENGTH
                most = _MOST_HEX_DIGITS if hexadecimal else _MOST_DISK_DIGITS if role == DISK else _MOST_DIGITS
                value, digits, pos = _value(data, pos, hexadecimal, most)
                if digits == 0:
                    return FAILED, 0, 0
                if role == TIME:
                    time[rows] = value
                elif role == OFFSET:
                    offset[rows] = value
                elif role == LENGTH:
                    length[rows] = value
                else:
                    disk[rows] = value
                pos = skip_blanks(data, pos)
            else:
                start = pos
                while pos < n and data[pos] != 10 and (last or data[pos] != 44):
                    if lone_return(data, pos):
                        return FAILED, 0, 0
                    pos += 1
                if role == PROCESS and not last:  # a comma in its name does not count
                    end = pos
                    while end > start and data[end - 1] != 41:
                        end -= 1
                    if end == start:
                        return FAILED, 0, 0
                if last:
                    end = pos
                    while end > start and (data[end - 1] == 13 or data[end - 1] == 32 or data[end - 1] == 9):
                        end -= 1
                    if role == FILE:
                        while start < end and (data[start] == 34 or data[start] == 32 or data[start] == 9):
                            start += 1
                        while start < end and (data[end - 1] == 34 or data[end - 1] == 32 or data[end - 1] == 9):
                            end -= 1
                        spans[rows, 0] = start
                        spans[rows, 1] = end
        if pos < n and data[pos] == 13:
            pos += 1
        if pos < n and data[pos] != 10:
            return FAILED, 0, 0
        pos += 1
        lines += 1
        rows += 1
    return rows, lines, others
