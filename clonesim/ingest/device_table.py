"""The devices of a trace that has thousands of them, numbered in the order in which they turn up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


class DeviceTable:
    """Numbers of device names, kept over all chunks of a file.

    Attributes
    ----------
    names : list of str
        The devices so far, by number.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._slots = np.zeros(1024, np.int32)
        self._letters, self._ends = np.zeros(8192, np.uint8), np.zeros(513, np.int64)

    def number(self, data: bytes, delimiter: str, column: int, rows: int) -> NDArray[np.int32] | None:
        """Device number of each row of a chunk; None if one has no plain name, or rows are not lines."""
        from clonesim.ingest import device_kernel as kernel

        numbers = np.empty(rows, np.int32)
        known = len(self.names)
        while True:
            found, known = kernel.number_devices(
                np.frombuffer(data, np.uint8),
                ord(delimiter),
                column,
                self._slots,
                self._letters,
                self._ends,
                known,
                numbers,
            )
            if found != kernel.FULL:
                break
            self._grow(known)
        if found != rows:
            self._forget(len(self.names))
            return None
        ends = self._ends[len(self.names) : known + 1].tolist()
        letters = self._letters[: self._ends[known]].tobytes()
        self.names += [letters[a:b].decode("utf-8", "replace") for a, b in pairwise(ends)]
        return numbers

    def _grow(self, known: int) -> None:
        """Double the room for names, and place those there are anew."""
        letters, ends = self._letters, self._ends
        self._letters, self._ends = np.zeros(2 * letters.size, np.uint8), np.zeros(2 * ends.size, np.int64)
        self._letters[: letters.size], self._ends[: ends.size] = letters, ends
        self._slots = np.zeros(2 * self._slots.size, np.int32)
        self._place(known)

    def _forget(self, known: int) -> None:
        """Keep the first names only."""
        self._slots[:] = 0
        self._place(known)

    def _place(self, known: int) -> None:
        """Put the first names into the empty slots, by reading them once more as rows of one column."""
        from clonesim.ingest import device_kernel as kernel

        letters, ends = self._letters[: self._ends[known]].tobytes(), self._ends[: known + 1].tolist()
        rows = b"".join(letters[a:b] + b"\n" for a, b in pairwise(ends))
        if rows:
            kernel.number_devices(
                np.frombuffer(rows, np.uint8),
                ord("\n"),
                0,
                self._slots,
                self._letters,
                self._ends,
                0,
                np.empty(known, np.int32),
            )
