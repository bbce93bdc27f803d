"""Kernel that reads the plain rows of blkparse's default output; anything unusual is left to blkparse.py."""

from __future__ import annotations

from numba import njit

from clonesim.ingest.blanks_kernel import lone_return, skip_blanks

KERNELS = "2c6c66b026b2c0cb"

FAILED = -1
# Codes of clonesim.ops.BlockOp.
READ, WRITE, DISCARD, FLUSH = 0, 1, 2, 4
_MOST_DIGITS = 18
_MOST_SECONDS_DIGITS = 9


@njit(cache=True)
def _number(data, pos):  # type: ignore[no-untyped-def]
    """Read digits: their value, how many, and where they end."""
    start = pos
    value = 0
    while pos < data.size and 48 <= data[pos] <= 57:
        if pos - start >= _MOST_DIGITS:
            return 0, 0, pos
        value = value * 10 + (data[pos] - 48)
        pos += 1
    return value, pos - start, pos


@njit(cache=True)
def parse_events(  # type: ignore[no-untyped-def]
    data,  # uint8 (bytes,), read-only: whole lines
    action,  # int64: letter of the events to take
    completion,  # int64: 1 if each of them must end in [0], its error code
    time,  # int64 (rows,), out [ns]
    code,  # int16 (rows,), out
    offset,  # int64 (rows,), out [sectors]
    length,  # int64 (rows,), out [sectors]
    device,  # int64 (rows,), out: major << 32 | minor
    others,  # int64 (256,), out: events of other kinds, by their first letter
):
    """Read plain events; return rows or FAILED, and lines."""
    n = data.size
    others[:] = 0
    rows = 0
    lines = 0
    pos = 0
    while pos < n:
        pos = skip_blanks(data, pos)
        if pos < n and lone_return(data, pos):
            return FAILED, 0
        if pos < n and data[pos] == 13:
            pos += 1
        if pos >= n:
            break
        if data[pos] == 10:
            lines += 1
            pos += 1
            continue
        major, digits, pos = _number(data, pos)
        if digits == 0 or pos >= n or data[pos] != 44:
            return FAILED, 0
        minor, more, pos = _number(data, pos + 1)
        if more == 0 or digits > 9 or more > 9:
            return FAILED, 0
        for _ in range(2):  # processor and sequence number
            pos = skip_blanks(data, pos)
            _, digits, pos = _number(data, pos)
            if digits == 0:
                return FAILED, 0
        pos = skip_blanks(data, pos)
        seconds, digits, pos = _number(data, pos)
        if digits == 0 or digits > _MOST_SECONDS_DIGITS or pos >= n or data[pos] != 46:
            return FAILED, 0
        nanos, digits, pos = _number(data, pos + 1)
        if digits != 9:
            return FAILED, 0
        pos = skip_blanks(data, pos)
        _, digits, pos = _number(data, pos)
        if digits == 0:
            return FAILED, 0
        pos = skip_blanks(data, pos)
        if pos + 1 >= n or not (65 <= data[pos] <= 90 or 97 <= data[pos] <= 122):
            return FAILED, 0
        letter, after = data[pos], data[pos + 1]
        if letter == action and after != 32 and not (65 <= after <= 90 or 97 <= after <= 122):
            return FAILED, 0
        if letter != action or after != 32:
            others[letter] += 1
            while pos < n and data[pos] != 10:
                if lone_return(data, pos):
                    return FAILED, 0
                pos += 1
            pos += 1
            lines += 1
            continue
        pos = skip_blanks(data, pos + 1)
        kind = -1
        flush = False
        start = pos
        while pos < n and 65 <= data[pos] <= 90:
            letter = data[pos]
            if letter == 70:
                flush = True
            elif kind < 0:
                kind = READ if letter == 82 else WRITE if letter == 87 else DISCARD if letter == 68 else -2
                if kind == -2 and letter != 78 and letter != 83:  # N: no data; S: synchronous
                    return FAILED, 0
            pos += 1
        if pos == start:
            return FAILED, 0
        pos = skip_blanks(data, pos)
        sector, digits, pos = _number(data, pos)
        if digits == 0:
            return FAILED, 0
        pos = skip_blanks(data, pos)
        sectors = 0
        if pos < n and data[pos] == 43:
            pos = skip_blanks(data, pos + 1)
            sectors, digits, pos = _number(data, pos)
            if digits == 0 or sectors == 0 or kind < 0 or pos >= n or data[pos] != 32:
                return FAILED, 0
        elif not flush or pos >= n or data[pos] != 91:
            return FAILED, 0
        end = pos
        while end < n and data[end] != 10:
            if lone_return(data, end):
                return FAILED, 0
            end += 1
        last = end - 1
        while last > pos and (data[last] == 32 or data[last] == 13):
            last -= 1
        if completion and (last - 2 < pos or data[last] != 93 or data[last - 1] != 48 or data[last - 2] != 91):
            return FAILED, 0
        if data[last] != 93 or rows == time.size:
            return FAILED, 0
        time[rows] = seconds * 1_000_000_000 + nanos
        code[rows] = kind if sectors else FLUSH
        offset[rows] = sector if sectors else 0
        length[rows] = sectors
        device[rows] = major << 32 | minor
        rows += 1
        pos = end + 1
        lines += 1
    return rows, lines
