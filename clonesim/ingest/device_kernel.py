"""Kernel that numbers the devices of the rows of a text trace: thousands of names, found by hashing."""

from __future__ import annotations

from numba import njit

KERNELS = "2c6c66b026b2c0cb"

FAILED, FULL = -1, -2


@njit(cache=True)
def number_devices(  # type: ignore[no-untyped-def]
    data,  # uint8 (bytes,), read-only: whole lines
    delimiter,  # int64: byte between columns
    column,  # int64: the device's place in a row
    slots,  # int32 (a power of two,), in and out: number of a name + 1, 0 where empty
    names,  # uint8 (letters,), in and out: the names, one after another
    ends,  # int64 (names + 1,), in and out: ends[i] to ends[i + 1] is name i
    known,  # int64: names so far
    numbers,  # int32 (rows,), out: number of each row's device
):
    """Return how many rows there are, FAILED or FULL, and how many names are known now.

    Rows are what stands between line ends; comments and empty lines are none. A name that is empty, quoted, holds a
    blank or begins with # fails, and so does a row without that column. FULL asks for more room for names; the call
    can be made again.
    """
    n = data.size
    mask = slots.size - 1
    pos = 0
    rows = 0
    last = -1
    while pos < n:
        byte = data[pos]
        if byte == 10:
            pos += 1
            continue
        if byte == 13 and pos + 1 < n and data[pos + 1] == 10:
            pos += 2
            continue
        if byte == 35:
            while pos < n and data[pos] != 10:
                pos += 1
            continue
        place = 0
        while place < column:
            while pos < n and data[pos] != delimiter and data[pos] != 10:
                pos += 1
            if pos >= n or data[pos] == 10:
                return FAILED, known
            pos += 1
            place += 1
        start = pos
        key = 0
        while pos < n and data[pos] != delimiter and data[pos] != 10 and data[pos] != 13:
            byte = data[pos]
            if byte == 34 or byte == 32 or byte == 9:
                return FAILED, known
            key = (key * 1_000_003 + byte) & 0x3FFFFFFFFFF
            pos += 1
        size = pos - start
        if size == 0 or data[start] == 35 or rows == numbers.size:
            return FAILED, known
        found = -1
        if last >= 0 and ends[last + 1] - ends[last] == size:
            found = last
            for i in range(size):
                if names[ends[last] + i] != data[start + i]:
                    found = -1
                    break
        if found < 0:
            slot = (key ^ (key >> 21)) & mask
            while True:
                number = slots[slot] - 1
                if number < 0:
                    break
                if ends[number + 1] - ends[number] == size:
                    same = True
                    for i in range(size):
                        if names[ends[number] + i] != data[start + i]:
                            same = False
                            break
                    if same:
                        found = number
                        break
                slot = (slot + 1) & mask
            if found < 0:
                if 2 * known >= slots.size or known + 1 >= ends.size or ends[known] + size > names.size:
                    return FULL, known
                for i in range(size):
                    names[ends[known] + i] = data[start + i]
                ends[known + 1] = ends[known] + size
                slots[slot] = known + 1
                found = known
                known += 1
        last = found
        numbers[rows] = found
        rows += 1
        while pos < n and data[pos] != 10:
            pos += 1
        pos += 1
    return rows, known
