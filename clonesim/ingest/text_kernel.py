"""Kernel that reads the plain rows of text traces; anything unusual is left to the careful reader in careful.py."""

from __future__ import annotations

from numba import njit

KERNELS = "2c6c66b026b2c0cb"

# Roles of a column.
IGNORED, TIME, OP, OFFSET, LENGTH, DEVICE, LEAD = 0, 1, 2, 3, 4, 5, 6
# Code of a word that stands for a short row that is no request.
SHORT = -4
FAILED = -1
_MOST_DIGITS = 18
_MOST_SECONDS_DIGITS = 12


@njit(cache=True)
def parse_rows(  # type: ignore[no-untyped-def]
    data,  # uint8 (bytes,), read-only: whole lines
    roles,  # int64 (columns,): role of each column
    delimiter,  # int64: byte between columns
    words,  # uint8 (letters,): the known operations in lower case, one after another
    word_ends,  # int64 (words,): end of each in `words`
    word_codes,  # int64 (words,)
    leads,  # uint8 (256,): 1 for each byte that a LEAD column may hold
    decimals,  # int64: decimal places of the time that are kept; 0 if it is a whole number of ticks
    most_offset,  # int64: offsets up to here need no second look
    most_length,  # int64
    time,  # int64 (rows,), out
    code,  # int16 (rows,), out
    offset,  # int64 (rows,), out
    length,  # int64 (rows,), out
    device,  # int32 (rows,), out: index into `spans`
    spans,  # int64 (devices, 2), out: where in `data` a device's name first stands
):
    """Read plain rows; return rows or FAILED, devices, lines, and how many rows need a second look."""
    n = data.size
    columns = roles.size
    rows = 0
    names = 0
    lines = 0
    odd = 0
    last_name = 0
    last_word = 0
    pos = 0
    while pos < n:
        byte = data[pos]
        if byte == 10:
            lines += 1
            pos += 1
            continue
        if byte == 35:  # a comment
            while pos < n and data[pos] != 10:
                if data[pos] == 13 and not (pos + 1 < n and data[pos + 1] == 10):
                    return FAILED, 0, 0, 0
                pos += 1
            pos += 1
            lines += 1
            continue
        if byte == 13 and pos + 1 < n and data[pos + 1] == 10:
            lines += 1
            pos += 2
            continue
        if byte == 32 or byte == 9:
            return FAILED, 0, 0, 0
        row_code = 0
        row_time = 0
        row_offset = 0
        row_length = 0
        name_start = -1
        name_end = -1
        short = False
        for column in range(columns):
            role = roles[column]
            start = pos
            if role in (TIME, OFFSET, LENGTH):
                value = 0
                while pos < n and 48 <= data[pos] <= 57:
                    if pos - start >= _MOST_DIGITS:
                        return FAILED, 0, 0, 0
                    value = value * 10 + (data[pos] - 48)
                    pos += 1
                if pos == start:
                    return FAILED, 0, 0, 0
                if role == OFFSET:
                    row_offset = value
                elif role == LENGTH:
                    row_length = value
                elif decimals == 0:
                    row_time = value
                else:
                    if pos - start > _MOST_SECONDS_DIGITS:
                        return FAILED, 0, 0, 0
                    places = 0
                    up = 0
                    if pos < n and data[pos] == 46:
                        pos += 1
                        while pos < n and 48 <= data[pos] <= 57:
                            if places < decimals:
                                value = value * 10 + (data[pos] - 48)
                            elif places == decimals and data[pos] >= 53:
                                up = 1
                            places += 1
                            pos += 1
                    while places < decimals:
                        value = value * 10
                        places += 1
                    row_time = value + up
            elif role == LEAD:
                if pos >= n or leads[data[pos]] == 0:
                    return FAILED, 0, 0, 0
                pos += 1
            else:
                while pos < n and data[pos] != delimiter and data[pos] != 10 and data[pos] != 13:
                    if data[pos] == 34 or (role == DEVICE and (data[pos] == 32 or data[pos] == 9)):
                        return FAILED, 0, 0, 0
                    pos += 1
                if role == OP:
                    found = -1
                    for turn in range(-1, word_ends.size):
                        word = last_word if turn < 0 else turn
                        first = word_ends[word - 1] if word > 0 else 0
                        if word_ends[word] - first != pos - start:
                            continue
                        same = True
                        for i in range(pos - start):
                            letter = data[start + i]
                            if 65 <= letter <= 90:
                                letter = letter + 32
                            if letter != words[first + i]:
                                same = False
                                break
                        if same:
                            found = word
                            break
                    if found < 0:
                        return FAILED, 0, 0, 0
                    last_word = found
                    row_code = word_codes[found]
                elif role == DEVICE:
                    if pos == start:
                        return FAILED, 0, 0, 0
                    if name_start < 0:
                        name_start = start
                    name_end = pos
            at_end = pos >= n or data[pos] == 10 or (data[pos] == 13 and pos + 1 < n and data[pos + 1] == 10)
            if role == OP and row_code == SHORT:
                if not at_end:
                    return FAILED, 0, 0, 0
                short = True
                break
            if column < columns - 1:
                if at_end or data[pos] != delimiter:
                    return FAILED, 0, 0, 0
                pos += 1
            elif not at_end:
                return FAILED, 0, 0, 0
        if pos < n and data[pos] == 13:
            pos += 1
        pos += 1
        lines += 1
        if short:
            continue
        row_name = 0
        if name_start >= 0:
            row_name = -1
            for turn in range(-1, names):
                name = last_name if turn < 0 else turn
                if name >= names or spans[name, 1] - spans[name, 0] != name_end - name_start:
                    continue
                same = True
                for i in range(name_end - name_start):
                    if data[spans[name, 0] + i] != data[name_start + i]:
                        same = False
                        break
                if same:
                    row_name = name
                    break
            if row_name < 0:
                if names == spans.shape[0]:
                    return FAILED, 0, 0, 0
                spans[names, 0] = name_start
                spans[names, 1] = name_end
                row_name = names
                names += 1
            last_name = row_name
        if row_code < 0 or row_offset > most_offset or row_length == 0 or row_length > most_length:
            odd += 1
        if rows == time.size:
            return FAILED, 0, 0, 0
        time[rows] = row_time
        code[rows] = row_code
        offset[rows] = row_offset
        length[rows] = row_length
        device[rows] = row_name
        rows += 1
    return rows, names, lines, odd
