"""Text read in chunks: fast where all rows are plain, else cut until the unusual rows stand in a small piece."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from clonesim.ingest.collector import Collector
from clonesim.ingest.source import Source

_CAREFUL_BYTES = 16 * 2**10


class PieceReader(ABC):
    """Reads one text trace.

    Parameters
    ----------
    source : Source
        The file.
    collector : Collector
        Takes over the rows.
    """

    def __init__(self, source: Source, collector: Collector) -> None:
        self.source, self.collector = source, collector

    def chunks(self) -> Iterator[None]:
        """Read the file, and pause after each chunk of it.

        Raises
        ------
        TraceError
            If the file cannot be read, or a row is bad.
        """
        line = 1
        for data in self.source.lines():
            line += self._parse(data, line)
            yield

    def _parse(self, data: bytes, line: int) -> int:
        """Take over the rows of a chunk whose first line is `line`; return how many lines it has."""
        if not data:
            return 0
        lines = self._fast(data, line)
        if lines is not None:
            return lines
        if len(data) > _CAREFUL_BYTES:
            cut = data.find(b"\n", len(data) // 2) + 1
            if 0 < cut < len(data):
                lines = self._parse(data[:cut], line)
                return lines + self._parse(data[cut:], line + lines)
        return self._careful(data, line)

    @abstractmethod
    def _fast(self, data: bytes, line: int) -> int | None:
        """Take over all rows if none of them is bad or unusual and return the lines; else do nothing."""

    @abstractmethod
    def _careful(self, data: bytes, line: int) -> int:
        """Take over the good rows, report each bad one with its line, and return how many lines there are."""
