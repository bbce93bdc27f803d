"""Texts of a table folded so that it fits; numbers are never folded. No modelling."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.cells import cell_len, chop_cells

USUAL = 16  # columns of texts beside the names give way down to here before names do
FLOOR = 12  # no column of texts is made narrower
FRAME, BETWEEN = 2, 2  # letters that a table needs at its edges, and between two columns
PIECES = re.compile(r"[^\s\-./\\_+,;:@]*[\s\-./\\_+,;:@]?")  # a name may be broken behind these


def fold(text: str, width: int) -> str:
    r"""Text in lines of so many letters at most, broken at spaces, else behind signs, else anywhere.

    Examples
    --------
    >>> fold("default.write_cache persistent-disk", 15)
    'default.write_\ncache\npersistent-disk'
    """
    return "\n".join(part for line in text.split("\n") for part in _lines(line, width))


def _lines(line: str, width: int) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    lines = [""]
    for word in line.split(" "):
        beside = f"{lines[-1]} {word}" if lines[-1] else word
        if cell_len(beside) <= width:
            lines[-1] = beside
        elif cell_len(word) <= width:
            lines.append(word)
        else:
            lines += _broken(word, width)
    return [part for part in lines if part] or [""]


def _broken(word: str, width: int) -> list[str]:
    lines = [""]
    for piece in PIECES.findall(word):
        if cell_len(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines += chop_cells(piece, width)
    return lines


def column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], texts: int, width: int) -> list[int]:
    r"""Widths of all columns with which a table fits; as wide as they are if it does.

    Texts give way, the widest first, names (the first column) once the others are down to `USUAL`, none below `FLOOR`.
    Where that is not enough, the table is wider than the screen rather than a number broken.

    Parameters
    ----------
    columns : sequence of str
        Heads.
    rows : sequence of sequences of str
        Cells; a cell may have several lines.
    texts : int
        How many columns, from the first, hold texts.
    width : int
        Of the screen. [letters]

    Examples
    --------
    >>> column_widths(["name", "size\nGiB"], [["a rather long name", "1.000"]], 1, 22)
    [13, 5]
    """
    found = [
        max(cell_len(line) for cell in (head, *(row[place] for row in rows)) for line in cell.split("\n"))
        for place, head in enumerate(columns)
    ]
    over = table_width(found) - width
    for giving, least in ((range(1, texts), USUAL), (range(texts), FLOOR)):
        while over > 0 and giving:
            widest = max(giving, key=found.__getitem__)
            if found[widest] <= least:
                break
            found[widest] -= 1
            over -= 1
    return found


def table_width(widths: Sequence[int]) -> int:
    """Letters that a table with columns of these widths needs."""
    return FRAME + BETWEEN * (len(widths) - 1) + sum(widths)
